"""array() and array_from_file(): what can be said in Python of where arrays come from. The rest is in C."""

import os
import stat
import sys

from . import _stoa

_ARRAY_CODES = frozenset("bBhHiIlLqQfd")  # of the array module; the others go by struct


def array(buffer_or_iterable, /, format=None, shape=None, *, region=None):
    """A read-only array in memory that every interpreter of the process uses without a copy.

    buffer_or_iterable: anything with the buffer protocol (bytes, array.array, memoryview of any layout, mmap), a NumPy
    array of a fixed-size dtype, an Arrow array (__arrow_c_array__), or an iterable of numbers. It is copied once, in C order; what lies in the shared heap already is not copied at all.
    format: what the bytes are taken for instead, as in memoryview.cast(); for an iterable it is needed: a letter of the
    struct module. shape: dimensions, when they are to be others. region: a Region, default the one of the process.

    Returns a numpy.ndarray with writeable=False in the main interpreter where NumPy can be imported, and in others that have
    imported it; else a read-only memoryview. What Arrow has and they have not (nulls, text, lists, structs, dictionaries, unions …) is an ArrowArray: a
    sequence of values, shared as well. TypeError, ValueError: no such array; MemoryError: a limit.
    """
    obj = buffer_or_iterable
    if format is None and shape is None and _stoa._array_is(obj):
        return obj
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(obj, getattr(numpy, "generic", ())):
        obj = numpy.asarray(obj)  # a scalar's own buffer does not know of dates
    if numpy is not None and isinstance(obj, getattr(numpy, "ndarray", ())):
        return _from_numpy(numpy, obj, format, shape, region)
    if hasattr(type(obj), "__arrow_c_array__") and not isinstance(obj, memoryview):
        made = _stoa._array_arrow(*obj.__arrow_c_array__(), region)
        if type(made) is tuple:
            return _from_tree(made, format, shape, region)
        return made if format is None and shape is None else _stoa._array(made, format, shape, None, region)
    try:
        view = memoryview(obj)
    except TypeError:
        if hasattr(type(obj), "__arrow_c_stream__"):
            raise TypeError(f"array() takes one Arrow array, and {type(obj).__name__} is made of several: combine its chunks first") from None
        if isinstance(obj, str) or not hasattr(type(obj), "__iter__"):
            raise TypeError(f"array() takes a buffer or an iterable of numbers, not {type(obj).__name__}") from None
    else:
        with view:
            return _stoa._array(view, format, shape, None, region)
    if format is None:
        raise TypeError("array() of an iterable needs a format: a letter of the struct module, as in array(x, 'd')")
    return _stoa._array(_packed(obj, format), format, shape, None, region)


def _from_tree(tree, format, shape, region):
    if format is not None or shape is not None:
        raise TypeError(f"an Arrow array of type {tree[0]!r}, or with nulls, takes no other format or shape")
    from ._arrow import ArrowArray

    return _stoa.freeze(ArrowArray(tree), region=region)


def array_from_file(file, /, format=None, shape=None, *, offset=0, size=None, region=None):
    """As array(), of a file's bytes, read straight into the shared heap: there is no second copy.

    file: a path, or an open file with fileno() (its position does not matter and stays). offset: where to begin;
    size: how many bytes, default to the end. A pipe or socket is read from where it is, and needs a size.
    OSError; EOFError: the file is shorter; ValueError: no whole number of items, or another number than the shape has.
    """
    if not hasattr(file, "fileno"):
        with open(file, "rb", buffering=0) as opened:
            return array_from_file(opened, format, shape, offset=offset, size=size, region=region)
    fd = file.fileno()
    status = os.fstat(fd)
    if offset < 0:
        raise ValueError(f"offset cannot be negative: {offset}")
    if stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode):
        if size is None:
            end = status.st_size if stat.S_ISREG(status.st_mode) else os.lseek(fd, 0, os.SEEK_END)
            if end == 0 and os.pread(fd, 1, 0):
                return _array_of_unsized(fd, format, shape, offset, region)
            if offset > end:
                raise EOFError(f"the file has {end} bytes, and offset is {offset}")
            size = end - offset
    elif size is None or offset != 0:
        raise ValueError("a pipe, socket or device needs size=, and has no offset")
    else:
        offset = -1
    return _stoa._array_file(fd, offset, size, format, shape, region)


def _array_of_unsized(fd, format, shape, offset, region):
    """Of a file that does not say how long it is, as those of /proc: only reading tells, so there is a second copy."""
    data = bytearray()
    while chunk := os.pread(fd, 1 << 20, len(data)):
        data += chunk
    if offset > len(data):
        raise EOFError(f"the file has {len(data)} bytes, and offset is {offset}")
    with memoryview(data)[offset:] as view:
        return _stoa._array(view, format, shape, None, region)


def _thawed(view):
    """A private copy of a shared memoryview; as bytes where a memoryview cannot be of its format."""
    copy = memoryview(bytearray(view.tobytes()))
    try:
        return copy.cast(view.format) if view.ndim == 1 else copy.cast(view.format, view.shape)  # no axis of a shape may be 0
    except (ValueError, TypeError):
        return copy


def _packed(iterable, format):
    """The numbers as a buffer."""
    import struct

    if format in _ARRAY_CODES:
        from array import array as typed

        return typed(format, iterable)
    try:
        one = struct.Struct(format)
    except struct.error as error:
        raise ValueError(f"format {format!r} is none of the struct module: {error}") from None
    if len(one.unpack(bytes(one.size))) != 1:
        raise ValueError(f"format {format!r} is not of one number an item")
    packed = bytearray()
    for number in iterable:
        try:
            packed += one.pack(number)
        except struct.error as error:
            raise ValueError(f"an item is no {format!r}: {error}") from None
    return packed


def _numpy_buffer(numpy, array, dtype):
    """A buffer of the array's items, and the format to name it by: not all dtypes have a buffer of their own."""
    try:
        return memoryview(array)
    except (ValueError, TypeError, BufferError, NotImplementedError):
        if dtype.kind in "mM":
            return memoryview(array.view(numpy.dtype("i8").newbyteorder(dtype.byteorder)))
        return memoryview(array.view(numpy.dtype((numpy.void, dtype.itemsize))))


def _from_numpy(numpy, array, format, shape, region):
    import pickle

    dtype = array.dtype
    if isinstance(array, getattr(sys.modules.get("numpy.ma"), "MaskedArray", ())) and b"\1" in array.mask.tobytes():  # of records, too
        raise TypeError("a masked array has items that are not meant, and their mask would be lost: array(x.filled()), or arrays of x.data and x.mask")
    if dtype.kind == "O":
        if format is not None:
            raise TypeError("the items of an object array are Python objects: no format can be laid over them")
        if shape is not None:
            array = array.reshape(shape)
        return _stoa.freeze(_Objects(array), region=region)
    _check(dtype)
    with _numpy_buffer(numpy, numpy.asarray(array), dtype) as view:
        if format is not None:
            return _stoa._array(view, format, shape, None, region)
        return _stoa._array(view, None, shape, pickle.dumps(dtype, 4), region)


def _check(dtype):
    if dtype.hasobject or dtype.itemsize == 0 or dtype.kind not in "biufcmMSUV":
        raise TypeError(
            f"an array of dtype {dtype} has items that hold objects, have no size, or are kept elsewhere; convert it with "
            "astype() to a dtype of fixed size, or to object"
        )


def _for_freeze(array):
    """What freeze() freezes instead of an ndarray: a carrier of its items; or a buffer and the pickled dtype, to be copied."""
    import pickle

    if array.dtype.kind == "O":
        return _Objects(array)
    _check(array.dtype)
    numpy = sys.modules["numpy"]
    return _numpy_buffer(numpy, numpy.asarray(array), array.dtype), pickle.dumps(array.dtype, 4)


def _make_carrier():
    class Objects:
        """An object array on its way: its items are frozen one by one. No import finds this class, so that what it is
        rebuilt as need not be of it."""

        def __init__(self, array):
            self.shape, self.items = array.shape, tuple(array.ravel().tolist())

        def __reduce__(self):
            return _objects, (self.shape, (self.items,))  # what lies deeper than an argument's items stays frozen: no lists

    return Objects


_Objects = _make_carrier()


def _objects(shape, boxed):
    """The object array in an interpreter that receives it; nested tuples where there is no NumPy."""
    (items,) = boxed
    numpy = _stoa._array_numpy()
    if numpy is None:
        return _nested(shape, iter(items))
    made = numpy.empty(len(items), object)
    for place, item in enumerate(items):
        made[place] = item
    made.flags.writeable = False  # before it is viewed: a view can be made writable where its base is
    return made.reshape(shape)


def _nested(shape, items):
    return tuple(_nested(shape[1:], items) for _ in range(shape[0])) if shape else next(items)
