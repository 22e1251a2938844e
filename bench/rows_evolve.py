"""F15: new versions of a mapping of a million keys, and looking up in them, against dict and immutables.Map."""
import random
import time

import packages
import stoa
from measure import median, median_ratio, row, take_turns


def rows(group, quick):
    size, count, repetitions = (50_000, 500, 5) if quick else (1_000_000, 5000, 15)
    private = {f"key number {i}": i for i in range(size)}
    shared = stoa.freeze(private)
    immutables = packages.get("immutables")
    choice = random.Random(15)
    keys = ["".join(list(key)) for key in choice.sample(list(private), min(size, 100_000))]
    versions = {"stoa": stoa.evolve(shared)}
    region = stoa.stats()["region"]

    def evolve():
        started = time.perf_counter()
        version = versions["stoa"]
        for key in keys[:count]:
            version = stoa.evolve(version, {key: count})
        versions["stoa"] = version
        return (time.perf_counter() - started) / count * 1e6

    def copy():
        started = time.perf_counter()
        for key in keys[:3]:
            {**private, key: count}
        return (time.perf_counter() - started) / 3 * 1e6

    contestants = {"evolve": evolve, "copy": copy}
    if immutables is not None:
        versions["map"] = immutables.Map(private)

        def assign():
            started = time.perf_counter()
            version = versions["map"]
            for key in keys[:count]:
                version = version.set(key, count)
            versions["map"] = version
            return (time.perf_counter() - started) / count * 1e6

        contestants["map"] = assign
    figures = take_turns(contestants, 3)
    taken = (stoa.stats()["region"]["used_bytes"] - region["used_bytes"]) / (3 * count)
    value = median(figures["evolve"])
    what = f"evolve 1 key of {size:,}"
    result = [row("F15", what, value, "us", "copy of the dict", median(figures["copy"]), bar="<= 5 us", ok=value <= 5, bytes_per_version=taken)]
    if immutables is not None:
        result.append(row("F15", what, value, "us", "immutables.Map.set", median(figures["map"])))

    def looking_up(table):
        def run():
            started = time.perf_counter()
            for key in keys:
                table[key]
            return (time.perf_counter() - started) / len(keys) * 1e9

        return run

    def iterating(table):
        def run():
            started = time.perf_counter()
            for _key, _value in table.items():
                pass
            return (time.perf_counter() - started) / size * 1e9

        return run

    for what, make in (("look-up in the evolved mapping", looking_up), ("items() of the evolved mapping", iterating)):
        contestants = {"stoa": make(versions["stoa"]), "dict": make(dict(private))}
        if immutables is not None:
            contestants["map"] = make(versions["map"])
        figures = take_turns(contestants, repetitions)
        ratio = median_ratio(figures["stoa"], figures["dict"])
        result.append(row("F15", what, median(figures["stoa"]), "ns", "dict", median(figures["dict"]), ratio=ratio, bar="<= 2.0", ok=ratio <= 2.0))
        if immutables is not None:
            result.append(row("F15", what, median(figures["stoa"]), "ns", "immutables.Map", median(figures["map"])))
    return result
