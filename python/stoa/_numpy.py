"""What NumPy's own values are made of when they are frozen or sent, and how they are made again: scalars, dtypes, and
arrays of NumPy's subclasses of ndarray. Where there is no NumPy, a scalar is the builtin value equal to it, an array a memoryview."""

import datetime
import importlib
import pickle
import sys

from . import _stoa

_BUILTIN = frozenset({bool, int, float, complex, str, bytes, datetime.date, datetime.datetime, datetime.timedelta})


def _numpy(name):
    """The module, for what cannot be without it."""
    numpy = _stoa._array_numpy()
    if numpy is None:
        raise ImportError(
            f"a {name} is nothing without NumPy, which is not to be had in this interpreter: freeze or send what it means in "
            "builtin types (x.item(), x.tolist(), str(dtype)) or as stoa.array(x)"
        )
    return numpy


# ---- apart -------------------------------------------------------------------------------------------------------------


def parts(obj):
    """(module and name of its class, what rebuilds it, arguments of that); None: it is what pickle says it is."""
    numpy, cls = sys.modules["numpy"], type(obj)
    name = cls.__module__, cls.__qualname__
    if isinstance(obj, numpy.dtype):
        return name, dtype, (pickle.dumps(obj, 4),)
    if isinstance(obj, numpy.void):
        if obj.dtype.hasobject:
            raise TypeError("a record with Python objects in it: freeze x.item(), a tuple, in its place")
        return name, record, (numpy.array(obj, obj.dtype),)
    if isinstance(obj, numpy.generic):
        if cls is not obj.dtype.type:
            raise TypeError("it is a subclass of NumPy's scalars that is not NumPy's: freeze x.item() in its place")
        return name, scalar, (_spec(obj.dtype), obj.tobytes(), _builtin(obj), ".".join(name))
    if cls is type(numpy.ma.masked):
        return None  # one object, which is found by its class
    if cls is getattr(numpy.ma, "MaskedArray", None):
        fill = obj._fill_value  # an array of one, or None: not yet asked for
        fill = fill if fill is None else fill.item() if fill.dtype.kind == "V" else fill[()]
        mask = None if obj._mask is numpy.ma.nomask else _items(numpy, obj._mask)
        return name, masked, (_items(numpy, obj.data), mask, fill, obj.hardmask)
    if cls is numpy.memmap:
        return ("numpy", "ndarray"), itself, (_items(numpy, obj),)
    if cls.__reduce__ is not numpy.ndarray.__reduce__:
        raise TypeError("it holds more than its items: freeze its parts, each as stoa.array(x), and make it anew from them")
    return name, subclass, (_items(numpy, obj), cls.__module__, cls.__qualname__)


def has_builtin(obj):
    return _builtin(obj) is not None


def _spec(dtype):
    """What numpy.dtype() takes for it: by letter, since 'l' and 'q' have the same size and are two types."""
    return dtype.char if dtype.kind in "biufc" else dtype.str


def _builtin(obj):
    """The builtin value that is equal to this scalar, or None."""
    value = obj.item()
    if type(value) not in _BUILTIN:
        return None
    return value if bool(value == obj) or value != value else None


def _items(numpy, array):
    """The array as a plain ndarray: the shared one itself where it is a view of all of that."""
    plain = numpy.asarray(array)
    base = plain.base
    if type(base) is numpy.ndarray and _stoa._array_is(base) and _same_layout(plain, base):
        return base
    return plain


def _same_layout(one, other):
    return one.__array_interface__ == other.__array_interface__ and one.dtype == other.dtype


# ---- together again ----------------------------------------------------------------------------------------------------


def scalar(spec, data, builtin, name):
    numpy = _stoa._array_numpy() if builtin is not None else _numpy(name)
    return builtin if numpy is None else numpy.ndarray((), numpy.dtype(spec), data)[()]


def dtype(pickled):
    _numpy("numpy.dtype")
    return pickle.loads(pickled)


def record(array):
    return array if isinstance(array, memoryview) else array.copy()[()]


def itself(array):
    return array


def subclass(array, module, qualname):
    numpy = _stoa._array_numpy()
    if numpy is None:
        return array
    cls = importlib.import_module(module)
    for part in qualname.split("."):
        cls = getattr(cls, part)
    return array.view(cls)


def masked(data, mask, fill, hard):
    ma = _numpy("numpy.ma.MaskedArray").ma
    return ma.MaskedArray(data, mask=ma.nomask if mask is None else mask, fill_value=fill, hard_mask=hard)
