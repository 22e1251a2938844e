"""Which writes into the shared heap does an operation make? See tests/support/recorder.h."""
import contextlib
import os
import sys
import types
import weakref

import _stoa_testing


def heap_range(shared):
    """(base, size) of the mapping, open pages and all, that the shared object lies in."""
    address = id(shared)
    parts = []
    with open("/proc/self/maps") as maps:
        for line in maps:
            fields = line.split()
            low, high = (int(part, 16) for part in fields[0].split("-"))
            parts.append((low, high, (fields[3], fields[4])))
    index = next(i for i, (low, high, _) in enumerate(parts) if low <= address < high)
    first = last = index
    while first and parts[first - 1][1] == parts[first][0] and parts[first - 1][2] == parts[index][2]:
        first -= 1
    while last + 1 < len(parts) and parts[last + 1][0] == parts[last][1] and parts[last + 1][2] == parts[index][2]:
        last += 1
    return parts[first][0], parts[last][1] - parts[first][0]


def nodes(graph):
    """Every object of a frozen graph that Python code can reach, once."""
    found, waiting = {}, [graph]
    while waiting:
        node = waiting.pop()
        if id(node) in found:
            continue
        found[id(node)] = node
        if isinstance(node, (tuple, frozenset)):
            waiting.extend(node)
        elif isinstance(node, types.MappingProxyType) or type(node).__name__ == "frozendict":
            waiting.extend(node.keys())
            waiting.extend(node.values())
        elif isinstance(node, (range, slice)):
            waiting.extend((node.start, node.stop, node.step))
        if type(node) is frozenset:
            waiting.extend(weakref.getweakrefs(node))
    return found


def place(address, known):
    """'frozenset+192': the object of `known` that the address lies in, and the offset from its start."""
    for start, node in known.items():
        header = 16 if type(node) in (tuple, frozenset, slice) or type(node).__name__ == "frozendict" else 0
        if start - header <= address < start - header + max(sys.getsizeof(node), 16):
            return f"{type(node).__name__}+{address - start}"
    return "elsewhere in the heap"


@contextlib.contextmanager
def recorded(shared):
    """Collects [(place, (native frame, ...))] of the writes made inside the with block."""
    known = nodes(shared)
    found = []
    base, size = heap_range(anchor(shared))
    _stoa_testing.record_start(base, size)
    try:
        yield found
    finally:
        found.extend((place(address, known), stack) for address, stack in _stoa_testing.record_stop())


def anchor(shared):
    """An object of the graph that lies in the heap itself, not one of CPython's own that it points to."""
    import stoa

    if "_anchor" not in globals():
        globals()["_anchor"] = stoa.freeze(f"anchor of the recorder in process {os.getpid()}")
    return globals()["_anchor"]
