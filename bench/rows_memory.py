"""F10: heap bytes against the sizes of the same graph. F11: what a further interpreter adds. F21: whole process, N users."""
import ctypes
import gc
import json
import mmap
import os
import pickle
import subprocess
import sys

import stoa
from events import make_events
from measure import row
from records import count_objects, make_records, make_trees, total_size

HERE = os.path.dirname(os.path.abspath(__file__))
LOWEST_BIT = bytes(i & 1 for i in range(256))  # of what mincore says of a page, the rest means nothing


def used_bytes():
    return stoa.stats()["region"]["used_bytes"]


def heap_pages():
    """Bytes of physical memory behind the shared heap: pages present in the first 8 GiB of the file that it is mapped from."""
    page, most = mmap.PAGESIZE, 8 << 30
    mincore = ctypes.CDLL(None, use_errno=True).mincore
    mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    total = 0
    with open("/proc/self/maps") as file:
        views = [line.split() for line in file if "memfd:stoa-heap" in line and " r--s " in line]
    if not views:
        raise RuntimeError("no view of the heap's file in /proc/self/maps")
    for span, _, offset, *_ in views:
        start, end = (int(number, 16) for number in span.split("-"))
        size = min(end - start, max(most - int(offset, 16), 0))
        present = ctypes.create_string_buffer(size // page)
        if size and mincore(start, size, present) != 0:
            raise OSError(ctypes.get_errno(), "mincore")
        total += sum(present.raw.translate(LOWEST_BIT)) * page
    return total


def process_memory():
    """Proportional set size of this process, in bytes."""
    with open("/proc/self/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))


def against_sizes(quick):
    """Three documents: syntax trees of the standard library, which are real data, an event log, whose content repeats as such logs do, and records of random numbers, which hardly repeat."""
    result = []
    for name, make, count, bars in (("syntax trees as JSON", make_trees, 10 if quick else 80, {False: 1.00, True: 0.60}),
                                    ("an event log", make_events, 1500 if quick else 40_000, {False: 1.00, True: 0.60}),
                                    ("random records", make_records, 3000 if quick else 75_000, {False: 1.00, True: None})):
        data = make(count)
        plain_bytes = total_size(data)
        objects, references = count_objects(data)
        for intern, label in ((False, "not interned"), (True, "interned")):
            bar = bars[intern]
            before, pages = used_bytes(), heap_pages()
            stoa.freeze(data, intern=intern)
            used = used_bytes() - before
            result.append(row("F10", f"heap bytes of {name}, {label}", used, "bytes", "sum of sys.getsizeof", plain_bytes,
                              bar="" if bar is None else f"<= {bar:.2f}", ok=None if bar is None else used / plain_bytes <= bar,
                              objects=objects, references=references, pages_bytes=heap_pages() - pages))
    return result


def walk():
    """Touches every object of the published graph; in whatever interpreter it runs."""
    waiting, total = [stoa.lookup("bench/data")], 0
    while waiting:
        node = waiting.pop()
        total += 1
        if hasattr(node, "items"):
            for key, value in node.items():
                hash(key)
                waiting.append(value)
        elif type(node) is tuple:
            waiting.extend(node)
        else:
            hash(node)
    return total


def further_interpreters(quick):
    """Data bytes: what the heap's file and the heap's counters grow by, and private pages inside the heap's mapping."""
    data = make_records(2000 if quick else 20_000)
    stoa.publish("bench/data", data)
    text = pickle.dumps(data)
    del data
    interpreters = [stoa.Interpreter() for _ in range(4)]
    for each in interpreters:
        each.exec(f"import sys; sys.path.insert(0, {HERE!r}); import stoa, rows_memory")
    interpreters[0].exec("rows_memory.walk()")
    gc.collect()
    before = heap_pages(), used_bytes(), private_pages()
    for each in interpreters[1:]:
        each.exec("rows_memory.walk()")
    after = heap_pages(), used_bytes(), private_pages()
    added = sum(b - a for a, b in zip(before, after)) / 3
    size = process_memory()
    copies = [pickle.loads(text) for _ in range(2)]
    private = (process_memory() - size) / len(copies)
    del copies
    for each in interpreters:
        each.close()
    return [row("F11", "data bytes added per further interpreter", added, "bytes", "unpickling its own copy", private, bar="0", ok=added == 0)]


def private_pages():
    """Bytes of pages in the heap's mappings that belong to this process alone (copied on write)."""
    total, inside = 0, False
    with open("/proc/self/smaps") as file:
        for line in file:
            first = line.split(None, 1)[0]
            if "-" in first and not first.endswith(":"):
                inside = "memfd:" in line
            elif inside and first == "Anonymous:":
                total += int(line.split()[1]) * 1024
    return total


USERS = """
import sys
sys.path.insert(0, {here!r})
import rows_memory
rows_memory.users({way!r}, {records})
"""


def users(way, records):
    """Four interpreters ready to use the data, one way or the other: prints the memory that this took."""
    data = make_records(records)
    if way == "shared":
        stoa.publish("bench/data", data)
    else:
        stoa.publish("bench/text", pickle.dumps(data))
    del data
    gc.collect()
    start = process_memory()
    interpreters = [stoa.Interpreter() for _ in range(4)]
    use = "rows_memory.walk()" if way == "shared" else "import pickle; data = pickle.loads(stoa.lookup('bench/text'))"
    for each in interpreters:
        each.exec(f"import sys; sys.path.insert(0, {HERE!r}); import stoa, rows_memory; {use}")
    print((process_memory() - start) / 4)


def whole_process(quick):
    figures = {}
    for way in ("shared", "private"):
        code = USERS.format(here=HERE, way=way, records=2000 if quick else 20_000)
        figures[way] = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()[-1])
    return [row("F21", f"memory per interpreter that uses {2000 if quick else 20_000} records", figures["shared"], "bytes", "private copies", figures["private"])]


def rows(group, quick):
    return {"F10": against_sizes, "F11": further_interpreters, "F21": whole_process}[group](quick)


if __name__ == "__main__":
    print(json.dumps(rows("F10", True)))
