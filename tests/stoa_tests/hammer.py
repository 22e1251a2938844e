"""Several interpreters using one graph at once, as hard as they can, under the strict guard.

    build/python -m stoa_tests.hammer [--interpreters N] [--seconds S]

The graph holds the values of the whole hazards battery; each interpreter runs all operations on it, those aside that are
known to write, in an order of its own, until the time is up. A write ends the process, which is how the test sees it.
"""
import argparse
import os
import random
import threading
import time
import zlib

import stoa
from stoa_tests import hazards

TOKEN = "c0ffee"
# Not for several interpreters at once: these change what belongs to the process (sys.modules entries are per interpreter,
# but files in the current folder and gc.freeze of a running collection are not worth the noise).
LEFT_OUT = ("W03_str_open", "W24_files", "W25_")


def cases():
    return {name: case for name, case in hazards.load_all().items()
            if case.when and case.writes is None and not case.main_only and not name.startswith(LEFT_OUT)}


def prepare():
    """Publishes the graph and, from the main interpreter, what each operation must come to."""
    values = {name: case.make(TOKEN) for name, case in cases().items()}
    stoa.publish("hammer/graph", {name: stoa.share(value) for name, value in values.items()})


def work(seconds, seed):
    """One interpreter: rounds of all operations until the time is up. Publishes how many rounds there were."""
    graph = stoa.lookup("hammer/graph")
    order = list(cases().items())
    expected = {}
    for name, case in order:
        expected[name] = zlib.crc32(hazards.outcome(case.operation, case.make(TOKEN)).encode())
    choice = random.Random(seed)
    rounds, wrong, end = 0, [], time.monotonic() + seconds
    while time.monotonic() < end or rounds == 0:
        choice.shuffle(order)
        for name, case in order:
            found = hazards.outcome(case.operation, graph[name])
            if zlib.crc32(found.encode()) != expected[name]:
                wrong.append(f"{name}: {found[:200]}")
        rounds += 1
        if wrong:
            break
    stoa.replace(f"hammer/result/{seed}", (rounds, tuple(wrong)))


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="stoa_tests.hammer")
    parser.add_argument("--interpreters", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args(arguments)
    if os.environ.get("STOA_GUARD") != "strict":
        parser.error("run it with STOA_GUARD=strict")
    prepare()
    interpreters = [stoa.Interpreter(name=f"hammer-{i}") for i in range(options.interpreters)]

    def run(index):
        interpreters[index].exec(f"from stoa_tests import hammer; hammer.work({options.seconds}, {index})")

    threads = [threading.Thread(target=run, args=(index,)) for index in range(options.interpreters)]
    for thread in threads:
        thread.start()
    work(options.seconds, "main")  # the main interpreter is one of them
    for thread in threads:
        thread.join()
    for interpreter in interpreters:
        interpreter.close()
    failed = 0
    for who in [*range(options.interpreters), "main"]:
        rounds, wrong = stoa.lookup(f"hammer/result/{who}", (0, ("no result",)))
        print(f"interpreter {who}: {rounds} rounds of {len(cases())} operations, {len(wrong)} wrong")
        for text in wrong:
            print("   ", text)
        failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
