"""Names: a table is loaded once, by whichever interpreter comes first, and used by all."""

import stoa


def use_table(word):
    """Runs in each worker."""
    import stoa

    def load():
        stoa.publish(f"loaded by {stoa.current().name}", True)
        return {f"word {i}": i for i in range(50_000)}

    return stoa.once("words", load)[word]


def main():
    workers = [stoa.Interpreter(name=f"worker-{i}") for i in range(4)]
    try:
        answers = [worker.submit(use_table, f"word {i}") for i, worker in enumerate(workers)]
        print([future.result() for future in answers])
        print([name for name in stoa.names() if name.startswith("loaded by")])

        # A new version, at once, for everybody who asks from now on.
        old = stoa.lookup("words")
        stoa.replace("words", {"word 0": "zero"})
        print("now:", len(stoa.lookup("words")), "before:", len(old))
    finally:
        for worker in workers:
            worker.close()


if __name__ == "__main__":
    main()
