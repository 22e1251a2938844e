"""Work on all cores: interpreters share one text, each searches its part of it, results come back as futures."""

import asyncio
import os

import stoa

SEARCH = """
import stoa

def count(first, last):
    lines = stoa.lookup("lines")
    return sum(line.count("self") for line in lines[first:last])
"""


async def main():
    with open(os.__file__.replace("os.py", "argparse.py"), encoding="utf-8") as file:
        lines = stoa.publish("lines", file.read().splitlines())
    workers = [stoa.Interpreter() for _ in range(os.cpu_count() or 2)]
    try:
        for worker in workers:
            worker.exec(SEARCH)
        share = -(-len(lines) // len(workers))
        calls = [worker.submit("__main__:count", at * share, (at + 1) * share) for at, worker in enumerate(workers)]
        counts = await asyncio.gather(*calls)
        print(len(workers), "interpreters,", len(lines), "lines,", sum(counts), "times self")
        assert sum(counts) == sum(line.count("self") for line in lines)
    finally:
        for worker in workers:
            worker.close()


if __name__ == "__main__":
    asyncio.run(main())
