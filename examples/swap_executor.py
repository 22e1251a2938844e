"""A program that was written for the standard library's executors: one line decides which one works.

    python examples/swap_executor.py [threads | processes | interpreters | dask]

With Dask, too, it is one line, dask.config.set(scheduler="processes", pool=PoolForDask(2)). Its "threads" scheduler hands over
the graph's own objects, which go to a worker by proxy, so that their code runs where they are; "processes" hands over bytes.
"""

import concurrent.futures
import importlib.util
import sys
import time

import stoa


class PoolForDask(stoa.InterpreterPoolExecutor):
    """Functions among the arguments would be proxies; frozen, they are the worker's own. What is frozen stays in the heap."""

    def submit(self, fn, /, *args):
        return super().submit(fn, *stoa.freeze(args))


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


def with_dask():
    if importlib.util.find_spec("dask") is None:
        print("Dask is not installed")
        return
    import dask

    with PoolForDask(2) as pool, dask.config.set(scheduler="processes", pool=pool):
        steps = dask.compute(*[dask.delayed(collatz)(n) for n in range(1, 60)])
    print(f"dask: {max(steps)} steps")
    assert steps[26] == 111


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "interpreters"
    if kind == "dask":
        return with_dask()
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
