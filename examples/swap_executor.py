"""A program that was written for the standard library's executors: one line decides which one works.

    python examples/swap_executor.py [threads | processes | interpreters]

With Dask it is the same line: dask.config.set(scheduler="threads", pool=InterpreterPoolExecutor(2)).
"""

import concurrent.futures
import sys
import time

import stoa

EXECUTORS = {
    "threads": concurrent.futures.ThreadPoolExecutor,
    "processes": concurrent.futures.ProcessPoolExecutor,
    "interpreters": stoa.InterpreterPoolExecutor,  # this one
}


def collatz(start):
    steps = 0
    while start != 1:
        start = start // 2 if start % 2 == 0 else 3 * start + 1
        steps += 1
    return steps


def longest(executor, limit):
    steps = list(executor.map(collatz, range(1, limit), chunksize=500))
    return max(range(1, limit), key=lambda n: steps[n - 1])


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "interpreters"
    with EXECUTORS[kind](2) as executor:
        started = time.perf_counter()
        best = longest(executor, 20_000)
        seconds = time.perf_counter() - started
        first = executor.submit(collatz, 27)
        done, _ = concurrent.futures.wait([first], timeout=60)
    print(f"{kind}: {best} takes longest; {seconds:.2f} s")
    assert best == 17_647 and done == {first} and first.result() == 111


if __name__ == "__main__":
    main()
