"""python -m stoa bench: what sharing gains on this machine, in a few seconds.

Each figure stands beside a named baseline measured in the same run; both are the best of several rounds, which is what
the machine does when nothing disturbs it. The project's own benchmark, `make bench`, is larger and has bars.
"""

import json
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

ROUNDS = 5
RECORDS = 20_000
KEYS = 50_000
NAME, TABLE = "stoa.bench.records", "stoa.bench.table"


def best(function, rounds=ROUNDS):
    """Least seconds of one call."""
    least = float("inf")
    for _ in range(rounds):
        begin = time.perf_counter()
        function()
        least = min(least, time.perf_counter() - begin)
    return least


def records():
    return [
        {"id": i, "name": f"user {i}", "tags": ["a", "b", f"t{i % 50}"], "score": i / 7, "address": {"city": f"c{i % 99}"}}
        for i in range(RECORDS)
    ]


def objects_in(value):
    """How many objects a walk over `value` meets."""
    count, stack = 0, [value]
    while stack:
        value = stack.pop()
        count += 1
        if isinstance(value, dict):
            stack += value.keys()
            stack += value.values()
        elif isinstance(value, list):
            stack += value
    return count


def ask_all(mapping, keys):
    get = mapping.__getitem__
    for key in keys:
        get(key)


def seconds_of_lookups(count):
    """In another interpreter: `count` times lookup()."""
    from stoa import lookup

    def loop():
        for _ in range(count):
            lookup(NAME)

    return best(loop)


def seconds_of_reading(rounds):
    """In another interpreter: every key of the shared table, `rounds` times."""
    from stoa import lookup

    table = lookup(TABLE)
    keys = list(table)

    def loop():
        for _ in range(rounds):
            ask_all(table, keys)

    return best(loop, 3)


def measure():
    """Rows (what, value, unit, baseline's name, baseline's value)."""
    import stoa

    data = records()
    count = objects_in(data)
    yield (
        "freeze, an object",
        best(lambda: stoa.freeze(data)) / count * 1e9,
        "ns",
        "pickle and unpickle",
        best(lambda: pickle.loads(pickle.dumps(data, pickle.HIGHEST_PROTOCOL))) / count * 1e9,
    )
    for name in (NAME, TABLE):
        stoa.replace(name, None)
    stoa.replace(NAME, data)
    local = {f"key {i}": i for i in range(KEYS)}
    shared = stoa.freeze(local)
    stoa.replace(TABLE, shared)
    keys = list(local)
    yield (
        "read a shared mapping, a key",
        best(lambda: ask_all(shared, keys)) / KEYS * 1e9,
        "ns",
        "the same from a local dict",
        best(lambda: ask_all(local, keys)) / KEYS * 1e9,
    )
    with stoa.Interpreter(name="bench-0") as one, stoa.Interpreter(name="bench-1") as two:
        yield (
            "get all records elsewhere",
            one.call(seconds_of_lookups, 10_000) / 10_000 * 1e9,
            "ns",
            "pickle and unpickle them",
            best(lambda: pickle.loads(pickle.dumps(data)), 3) * 1e9,
        )
        alone = one.call(seconds_of_reading, 20)
        both = max(future.result() for future in [i.submit(seconds_of_reading, 20) for i in (one, two)])
        with ThreadPoolExecutor(2) as threads:
            threaded = max(threads.map(seconds_of_reading, (20, 20)))
        yield "two interpreters at once, speed", 2 * alone / both, "x of one", "two threads of one", 2 * alone / threaded


def run(args):
    rows = list(measure())
    if args.json:
        keys = ("what", "value", "unit", "baseline", "baseline_value")
        print(json.dumps([dict(zip(keys, row)) for row in rows], indent=1))
        return 0
    for what, value, unit, baseline, other in rows:
        print(f"{what:34}{value:>12,.2f} {unit:10}{baseline:>28}{other:>16,.2f}")
    return 0
