"""F2: freezing JSON-like records, per object visited and per distinct object; baseline pickle dumps + loads of the same data."""
import gc
import json
import mmap
import os
import pickle
import subprocess
import sys
import time

import stoa
from measure import median, median_ratio, row
from records import count_objects, make_records


def heap_bytes():
    """Of objects and of the intern table."""
    region = stoa.stats()["region"]
    return region["used_bytes"] + region["intern_bytes"]


ROUND = """
import sys
sys.path.insert(0, {here!r})
import rows_freeze
rows_freeze.one_round({seed}, {count}, {turn})
"""


POPULATE_WRITE, WINDOW = 23, 1 << 20


def write_fresh(size):
    """What the machine's memory costs: as many bytes, of memory that was in cache, into new pages of shared memory, faulted in by one
    system call a window, with nothing looked at and nothing decided. CPU seconds. (Freezing itself gets its pages in a cheaper way
    where the kernel offers it: heap/pages.h.)"""
    size = -(-size // WINDOW) * WINDOW
    block = bytes(WINDOW)
    fd = os.memfd_create("bench")
    try:
        os.ftruncate(fd, size)
        with mmap.mmap(fd, size) as memory:
            started = time.thread_time()
            for at in range(0, size, WINDOW):
                memory.madvise(POPULATE_WRITE, at, WINDOW)
                memory[at : at + WINDOW] = block
            return time.thread_time() - started
    finally:
        os.close(fd)


def one_round(seed, count, turn):
    """In a process of its own, so that each freeze meets a heap that has not seen the data: nanoseconds per reference."""
    data = make_records(count, seed)
    objects, references = count_objects(data)
    gc.collect()

    def interned():
        return stoa.freeze(data)

    def plain():
        return stoa.freeze(data, intern=False)

    def pickled():
        return pickle.loads(pickle.dumps(data, pickle.HIGHEST_PROTOCOL))

    ways = {"interned": interned, "plain": plain, "pickle": pickled}
    order = list(ways)
    order = order[turn % 3:] + order[:turn % 3]
    figures = {}
    for name in order:
        gc.collect()
        before = heap_bytes()
        started, wall = time.thread_time(), time.perf_counter()
        kept = ways[name]()
        figures[name] = (time.thread_time() - started) / references * 1e9
        figures[name + " by the clock"] = (time.perf_counter() - wall) / references * 1e9
        if name != "pickle":
            figures[name + " floor"] = write_fresh(heap_bytes() - before) / references * 1e9
        del kept
    print(json.dumps({"figures": figures, "objects": objects, "references": references}))


def rows(group, quick):
    here = os.path.dirname(os.path.abspath(__file__))
    count = 3000 if quick else 85_000
    rounds = []
    for turn in range(3 if quick else 6):
        code = ROUND.format(here=here, seed=turn + 1, count=count, turn=turn)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        rounds.append(json.loads(done.stdout))
    figures = {name: [each["figures"][name] for each in rounds] for name in rounds[0]["figures"]}
    settings = {"objects": rounds[0]["objects"], "references": rounds[0]["references"], "records": count, "rounds": len(rounds),
                "clock": "CPU time of the thread, page faults included",
                "per": "object visited: each reference to a dict, list, str, int, float, bool or None counts, a dict's keys too"}
    distinct = rounds[0]["references"] / rounds[0]["objects"]
    result = []
    for name, label, bar in (("interned", "freeze, interned", 60), ("plain", "freeze, not interned", 35)):
        value = median(figures[name])
        result.append(row("F2", f"{label}, per object visited", value, "ns", "pickle dumps + loads", median(figures["pickle"]),
                          ratio=median_ratio(figures[name], figures["pickle"]), bar=f"<= {bar} ns", ok=value <= bar,
                          by_the_clock=median(figures[name + " by the clock"]), **settings))
        result.append(row("F2", f"{label}: beside it, the same bytes into fresh shared memory by page faults", median(figures[name + " floor"]), "ns",
                          "freeze", value, **settings))
        result.append(row("F2", f"{label}, per distinct object", value * distinct, "ns", "pickle dumps + loads",
                          median(figures["pickle"]) * distinct, ratio=result[-2]["ratio"],
                          **{**settings, "per": "distinct object: what several refer to counts once"}))
    return result
