"""F14: a million dataclass records frozen, delivered, touched; baseline pickle of the same."""

import dataclasses
import gc
import os
import pickle
import time

import stoa
from measure import median, median_ratio, row


@dataclasses.dataclass
class Record:
    number: int
    name: str
    x: float
    y: float
    tag: str


def timed(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def make(count):
    return [Record(i, f"name {i}", i * 0.5, i * 0.25, f"tag {i % 100}") for i in range(count)]


DELIVER = """
import sys, time
sys.path.insert(0, {here!r})
import stoa, rows_values
stoa.lookup("bench/values/other")[0]
started = time.perf_counter_ns()
found = stoa.lookup("bench/values")
delivered = time.perf_counter_ns() - started
import gc
gc.disable()
indices = range(7, {count}, max(1, {count} // 10_000))
started = time.perf_counter_ns()
for i in indices:
    found[i]
first = (time.perf_counter_ns() - started) / len(indices)
started = time.perf_counter_ns()
for i in indices:
    found[i]
again = (time.perf_counter_ns() - started) / len(indices)
started = time.perf_counter_ns()
mapping = stoa.lookup("bench/values/mapping")
mapped = time.perf_counter_ns() - started
keys = list(range(7, len(mapping), len(mapping) // 100))
for key in keys:
    mapping[key]
started = time.perf_counter_ns()
for _ in range(100):
    assert stoa.freeze(mapping) is mapping
frozen = (time.perf_counter_ns() - started) / 100
stoa.replace("bench/values/times", (delivered / 1000, first / 1000, again / 1000, mapped / 1000, frozen / 1000))
"""


def rows(group, quick):
    count = 100_000 if quick else 1_000_000
    records = make(count)
    stoa.publish("bench/values/other", make(2000))
    gc.collect()
    gc.disable()
    freezes, dumps = [], []
    for _ in range(3):
        dumps.append(timed(lambda: pickle.dumps(records, pickle.HIGHEST_PROTOCOL)))
        freezes.append(timed(lambda: stoa.Region("bench-values").freeze(records)))
    gc.enable()
    loaded = timed(lambda blob=pickle.dumps(records, pickle.HIGHEST_PROTOCOL): pickle.loads(blob))
    stoa.publish("bench/values/mapping", dict(enumerate(records[: count // 10])))
    stoa.publish("bench/values", records)
    times = []
    for _ in range(5):
        with stoa.Interpreter() as other:
            other.exec(DELIVER.format(here=os.path.dirname(os.path.abspath(__file__)), count=count))
        times.append(stoa.lookup("bench/values/times"))
    ratio = median_ratio(freezes, dumps)
    delivered, first, again, mapped, frozen = (median(each) for each in zip(*times))
    settings = {"records": count, "fields": 5}
    return [
        row("F14", "freeze of a list of dataclasses", median(freezes), "s", "pickle.dumps", median(dumps), ratio=ratio, bar="<= 0.5",
            ok=ratio <= 0.5, **settings),
        row("F14", "delivery of it to another interpreter", delivered, "us", "pickle.loads", loaded * 1e6, bar="<= 10 us", ok=delivered <= 10,
            **settings),
        row("F14", "first touch of an item", first, "us", "second touch", again, bar="<= 1 us", ok=first <= 1, **settings),
        row("F14", f"delivery of a mapping of {count // 10:,} of them", mapped, "us", "freezing it again, 100 touched", frozen, **settings),
    ]
