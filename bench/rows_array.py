"""F13: arrays. Copying one into the heap against copying it once in memory; handing a gigabyte to another interpreter."""
import json
import os
import resource

import stoa
from measure import median, median_ratio, row, take_turns, timed

HERE = os.path.dirname(os.path.abspath(__file__))

# Runs in the other interpreter: every look-up is of an array that this interpreter has not seen.
OTHER = """
import json, os, sys, time
import stoa

def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')

stoa.lookup('bench/array/first')
before, figures = resident(), []
for i in range({count}):
    name = f'bench/array/{{i}}'
    started = time.perf_counter()
    stoa.lookup(name)
    figures.append((time.perf_counter() - started) * 1e9)
kept = stoa.lookup('bench/array/0')
started = time.perf_counter()
for _ in range(10000):
    stoa.lookup('bench/array/0')
again = (time.perf_counter() - started) / 10000 * 1e9
stoa.replace('bench/figures', json.dumps([figures, again, max(0, resident() - before)]))
"""


def shared_memory(source):
    from multiprocessing import shared_memory

    def copy():
        block = shared_memory.SharedMemory(create=True, size=len(source))
        try:
            block.buf[: len(source)] = source
        finally:
            block.close()
            block.unlink()

    return copy


def rows(group, quick):
    size = 1 << (26 if quick else 29)
    source = bytearray(os.urandom(1 << 20)) * (size >> 20)
    regions = iter(stoa.Region(f"bench-{i}") for i in range(1000))
    contestants = {"stoa": lambda: timed(lambda: stoa.array(source, region=next(regions))), "copy": lambda: timed(lambda: bytes(source))}
    try:
        contestants["shared_memory"] = lambda copy=shared_memory(source): timed(copy)
    except ImportError:
        pass
    figures = take_turns(contestants, 3 if quick else 5)
    speed = {name: [size / 1e9 / seconds for seconds in values] for name, values in figures.items()}
    ratio = median_ratio(speed["stoa"], speed["copy"])
    result = [row("F13", f"array() of a buffer of {size >> 20} MB", median(speed["stoa"]), "GB/s", "memcpy to new memory (bytes)", median(speed["copy"]),
                  ratio=ratio, bar=">= 0.8", ok=ratio >= 0.8)]
    if "shared_memory" in speed:
        result.append(row("F13", f"array() of a buffer of {size >> 20} MB", median(speed["stoa"]), "GB/s", "multiprocessing.shared_memory",
                          median(speed["shared_memory"])))
    del source
    count = 200
    whole = stoa.array(bytes(1 << (26 if quick else 30)))
    view = memoryview(whole).cast("B")
    stoa.publish("bench/array/first", stoa.array(b"first"))
    for i in range(count):  # each a view of nearly all of it: another array, the same bytes
        stoa.publish(f"bench/array/{i}", stoa.array(view[i:]))
    with stoa.Interpreter(name="bench") as other:
        other.exec(OTHER.format(count=count))
    first, again, grown = json.loads(stoa.lookup("bench/figures"))
    label = f"{whole.nbytes >> 20} MB"
    result.append(row("F13", f"array of {label} arrives in another interpreter", median(first), "ns", "it is there already", again,
                      bar="<= 1000 ns", ok=median(first) <= 1000))
    result.append(row("F13", f"memory that {count} arrays of {label} take there", grown / count, "bytes", "", None, bar="0 of the data",
                      ok=grown < 2 << 20, peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
    return result
