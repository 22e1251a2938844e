"""F9: submit and result of a pool, one in flight; map of small calls; CPU-bound work on two interpreters beside one."""
import concurrent.futures
import itertools
import time

import stoa
from measure import median, median_ratio, row, take_turns

try:
    from concurrent.futures import InterpreterPoolExecutor as StandardPool
except ImportError:  # before 3.14
    StandardPool = None


def add_one(n):
    return n + 1


def spin(rounds):
    total = 0
    for n in range(rounds):
        total += n * n % 7
    return total


def one_in_flight(pool, count):
    """Microseconds from submit to result."""
    def measured():
        started = time.perf_counter()
        for n in itertools.repeat(5, count):
            pool.submit(add_one, n).result()
        return (time.perf_counter() - started) / count * 1e6
    return measured


def map_small(pool, count, **how):
    """Milliseconds for the results of `count` calls."""
    def measured():
        started = time.perf_counter()
        results = list(pool.map(add_one, range(count), **how))
        assert results[-1] == count
        return (time.perf_counter() - started) * 1e3
    return measured


def pools(workers):
    made = {"stoa": stoa.InterpreterPoolExecutor(workers), "ThreadPoolExecutor": concurrent.futures.ThreadPoolExecutor(workers),
            "ProcessPoolExecutor": concurrent.futures.ProcessPoolExecutor(workers)}
    if StandardPool is not None:
        made["InterpreterPoolExecutor"] = StandardPool(workers)
    for pool in made.values():  # all workers are there, and have the function
        list(pool.map(add_one, range(50 * workers)))
    return made


def compare(identity, name, unit, contestants, repetitions, bar, within, **settings):
    """A row for stoa beside each other pool; the bar belongs to the first of them."""
    figures = take_turns(contestants, repetitions)
    ours = figures.pop("stoa")
    rows = []
    for other in sorted(figures, key=lambda name: name != "InterpreterPoolExecutor"):
        ratio = median_ratio(ours, figures[other])
        judged = not rows
        rows.append(row(identity, name, median(ours), unit, other, median(figures[other]), ratio=ratio,
                        bar=bar if judged else "", ok=within(median(ours), ratio, other) if judged else None, **settings))
    return rows


def scaling(quick):
    rounds = 400_000 if quick else 1_500_000
    seconds = {}
    with stoa.InterpreterPoolExecutor(1) as one, stoa.InterpreterPoolExecutor(2) as two:
        for pool in (one, two):
            list(pool.map(spin, [10] * 8))

        def run(pool):
            started = time.perf_counter()
            list(pool.map(spin, [rounds] * 8))
            return time.perf_counter() - started

        seconds = take_turns({"one": lambda: run(one), "two": lambda: run(two)}, 3)
    gain = median_ratio(seconds["one"], seconds["two"])
    return row("F9", "CPU-bound tasks: throughput of two workers", gain, "x", "one worker", 1.0, ratio=gain, bar=">= 1.9x",
               ok=gain >= 1.9, rounds=rounds, tasks=8)


def rows(group, quick):
    calls, size = (500, 2000) if quick else (2000, 10_000)
    made = pools(2)
    try:
        flight = {name: one_in_flight(pool, calls) for name, pool in made.items()}
        small = {name: map_small(pool, size) for name, pool in made.items()}
        chunks = {name: map_small(pool, size, chunksize=100) for name, pool in made.items()}

        def ten_times(_, ratio, other):
            return ratio <= 0.1 if other == "InterpreterPoolExecutor" else None

        return [
            *compare("F9", "submit + result, one in flight", "us", flight, 5, "<= 12 us", lambda us, *_: us <= 12, workers=2, calls=calls),
            *compare("F9", f"map of {size} small calls", "ms", small, 5, "<= 0.1x the standard pool", ten_times, workers=2, chunksize=1),
            *compare("F9", f"map of {size} small calls in chunks", "ms", chunks, 5, "", lambda *_: None, workers=2, chunksize=100),
            scaling(quick),
        ]
    finally:
        for pool in made.values():
            pool.shutdown()
