"""ArrowArray: Arrow arrays that are no array of numbers, kept as the buffers they are."""

import operator
import struct
from bisect import bisect_right
from collections.abc import Sequence

from . import _stoa

_VIEW = struct.Struct("<i4sii")
_NUMBERS = {"c": "b", "C": "B", "s": "h", "S": "H", "i": "i", "I": "I", "l": "q", "L": "Q", "e": "e", "f": "f", "g": "d"}


class ArrowArray(Sequence):
    """A read-only sequence over an Arrow array in the shared heap: made by array(), the same in every interpreter.

    Items are None where the array is null, and else int, float, bool, str, bytes, Decimal, a tuple for a list, a dict for a struct, a
    tuple of pairs for a map, what the dictionary has for a dictionary, what an item of a union or a run is; dates, times and durations are the integers they are kept as, and what
    is left (intervals, fixed-width binary) bytes; those of an extension type what it keeps them as. They are made when they are asked for. pyarrow.array(x) and the like take it by
    __arrow_c_array__, over the same memory.
    """

    __slots__ = ("_tree", "_valid", "_item", "__weakref__")

    def __init__(self, tree):
        self._tree = tree
        buffers = tree[6]
        has_validity = tree[0][:2] != "+u" and buffers and buffers[0] is not None
        self._valid = memoryview(buffers[0]) if has_validity else None
        self._item = None

    @property
    def format(self):
        """Of Arrow's C data interface: "u" is text."""
        return self._tree[0]

    @property
    def name(self):
        """Of the field, or None."""
        return self._tree[1]

    @property
    def null_count(self):
        """How many of its own items are null."""
        return self._tree[5]

    @property
    def children(self):
        """The arrays of a struct's fields, or of a list's items."""
        return tuple(map(ArrowArray, self._tree[7]))

    @property
    def dictionary(self):
        """What items are looked up in, or None."""
        return None if self._tree[8] is None else ArrowArray(self._tree[8])

    def __len__(self):
        return self._tree[4]

    def __getitem__(self, index):
        length = self._tree[4]
        if isinstance(index, slice):
            return tuple(map(self._get, range(*index.indices(length))))
        at = index.__index__()
        at += length if at < 0 else 0
        if not 0 <= at < length:
            raise IndexError(f"item {index} of an Arrow array of {length}")
        return self._get(at)

    def __iter__(self):
        return map(self._get, range(self._tree[4]))

    def __eq__(self, other):
        if not isinstance(other, ArrowArray):
            return NotImplemented
        return self is other or (self._tree[0] == other._tree[0] and len(self) == len(other) and all(map(operator.eq, self, other)))

    __hash__ = None

    def __repr__(self):
        shown = ", ".join(map(repr, self[:6])) + (", ..." if len(self) > 6 else "")
        return f"<stoa.ArrowArray {self._tree[0]!r} of {len(self)}: [{shown}]>"

    def __reduce__(self):
        return _unpickled, (_plain(self._tree),)

    def __arrow_c_array__(self, requested_schema=None):
        return _stoa._arrow_give(self._tree)

    def __arrow_c_schema__(self):
        return _stoa._arrow_give(self._tree)[0]

    def _get(self, at):
        if self._valid is not None and not self._valid[at >> 3] >> (at & 7) & 1:
            return None
        if self._item is None:
            self._item = _getter(self._tree)
        return self._item(at)


def _bytes(buffer, format="B"):
    view = memoryview(buffer)
    return view.cast("B").cast(format) if view.nbytes else view


def _getter(tree):
    """The function that gives an item that is no null."""
    format, buffers = tree[0], tree[6]
    if tree[8] is not None:
        places, found = _bytes(buffers[1], _NUMBERS[format]), ArrowArray(tree[8])
        count = len(found)
        return lambda at: found[_checked(places[at], count)]
    if format in _NUMBERS:
        return _bytes(buffers[1], _NUMBERS[format]).__getitem__
    if format == "n":
        return lambda at: None
    if format == "b":
        bits = memoryview(buffers[1])
        return lambda at: bool(bits[at >> 3] >> (at & 7) & 1)
    if format[0] == "+":
        return _nested_getter(tree)
    if format in ("vu", "vz"):
        return _view_getter(buffers, format)
    if format in "uUzZ":
        return _text_getter(buffers, format)
    return _fixed_getter(format, buffers[1])


def _checked(place, count):
    if not 0 <= place < count:  # no IndexError: that would be the end of the array to who reads it as a sequence
        raise ValueError(f"the Arrow array is damaged: it has item {place} of a dictionary of {count}")
    return place


def _text_getter(buffers, format):
    ends, data = _bytes(buffers[1], "i" if format in "uz" else "q"), memoryview(buffers[2])
    if format in "uU":
        return lambda at: str(data[ends[at] : ends[at + 1]], "utf-8")
    return lambda at: bytes(data[ends[at] : ends[at + 1]])


def _view_getter(buffers, format):
    views, data, text = memoryview(buffers[1]), list(map(memoryview, buffers[2:])), format == "vu"

    def get(at):
        size, _prefix, place, offset = _VIEW.unpack_from(views, 16 * at)
        inside = views[16 * at + 4 : 16 * at + 4 + size] if size <= 12 else data[place][offset : offset + size]
        return str(inside, "utf-8") if text else bytes(inside)

    return get


def _union_getter(format, buffers, children):
    chosen = dict(zip(map(int, filter(None, format[4:].split(","))), children))
    codes = _bytes(buffers[0], "b")
    if format[2] == "s":
        return lambda at: chosen[codes[at]][at]
    offsets = _bytes(buffers[1], "i")
    return lambda at: chosen[codes[at]][offsets[at]]


def _nested_getter(tree):
    format, buffers, children = tree[0], tree[6], [ArrowArray(child) for child in tree[7]]
    if format == "+s":
        fields = [(child.name or "", child) for child in children]
        return lambda at: {name: child[at] for name, child in fields}
    if format[:2] == "+u":
        return _union_getter(format, buffers, children)
    if format == "+r":
        ends, values = _bytes(children[0]._tree[6][1], _NUMBERS[children[0].format]), children[1]
        return lambda at: values[bisect_right(ends, at)]
    items = children[0]
    if format in ("+vl", "+vL"):
        starts, sizes = (_bytes(buffer, "q" if format == "+vL" else "i") for buffer in buffers[1:])
        return lambda at: items[starts[at] : starts[at] + sizes[at]]
    if format.startswith("+w:"):
        width = int(format[3:])
        return lambda at: items[at * width : (at + 1) * width]
    ends = _bytes(buffers[1], "q" if format == "+L" else "i")
    if format == "+m":
        keys, values = items.children
        return lambda at: tuple(zip(keys[ends[at] : ends[at + 1]], values[ends[at] : ends[at + 1]]))
    return lambda at: items[ends[at] : ends[at + 1]]


def _fixed_getter(format, buffer):
    if format[:2] in ("td", "tt", "ts", "tD"):
        return _bytes(buffer, "i" if format in ("tdD", "tts", "ttm") else "q").__getitem__
    data = memoryview(buffer)
    if format[:2] == "d:":
        from decimal import Context, Decimal

        _precision, scale, *bits = map(int, format[2:].split(","))
        width, exact = (bits[0] if bits else 128) // 8, Context(prec=100)
        return lambda at: Decimal(int.from_bytes(data[at * width : (at + 1) * width], "little", signed=True)).scaleb(-scale, exact)
    if format[:2] == "w:":
        width = int(format[2:])
    else:
        width = {"tiM": 4, "tiD": 8, "tin": 16}[format]
    return lambda at: bytes(data[at * width : (at + 1) * width])


def _plain(tree):
    """A tree that pickle takes: its buffers are bytes."""
    buffers = tuple(None if buffer is None else bytes(buffer) for buffer in tree[6])
    return (*tree[:6], buffers, tuple(map(_plain, tree[7])), tree[8] and _plain(tree[8]))


def _unpickled(plain):
    return _stoa.freeze(ArrowArray(_shared(plain)))


def _shared(plain):
    from ._array import array

    buffers = tuple(None if buffer is None else array(buffer) for buffer in plain[6])
    return (*plain[:6], buffers, tuple(map(_shared, plain[7])), plain[8] and _shared(plain[8]))


def _tree_of(made):
    return made._tree


_stoa.register(ArrowArray, _tree_of, ArrowArray)
