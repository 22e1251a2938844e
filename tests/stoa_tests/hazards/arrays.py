"""W25: NumPy, where it can be imported (the main interpreter only)."""
import importlib.util

from . import case

PRESENT = importlib.util.find_spec("numpy") is not None


def on_numpy(name, make):
    return case(name, make, when=PRESENT, main_only=True)


@on_numpy("W25_numpy_frombuffer", lambda token: f"{token:>64}".encode())
def _(b):
    import numpy as np

    array = np.frombuffer(b, dtype=np.uint8)
    return array.sum(), array.flags.writeable, np.frombuffer(b, dtype="<u4")[:2].tolist(), np.array(memoryview(b))[:3].tolist()


@on_numpy("W25_numpy_from_tuples", lambda token: tuple((i, i * 2.5, int(token, 16)) for i in range(20)))
def _(t):
    import numpy as np

    return np.array(t).sum(), np.array(t, dtype=object)[3, 1], np.asarray(t[0]).tolist(), np.zeros(t[1][:1]).shape


@on_numpy("W25_numpy_names_and_keywords", lambda token: (f"first_{token}", f"second_{token}", "".join(list("dtype")), "".join(list("axis"))))
def _(names):
    import numpy as np

    record = np.zeros(3, **{names[2]: [(names[0], "i4"), (names[1], "f8")]})
    record[names[0]] = 5
    return record.dtype.names, record[names[0]].tolist(), np.ones((2, 3)).sum(**{names[3]: 1}).tolist(), getattr(np, names[2]).__name__


@on_numpy("W25_numpy_index_tuples_and_slices", lambda token: ((1, 2), (slice(0, 2), 1), slice(None, None, 2)))
def _(t):
    import numpy as np

    array = np.arange(12).reshape(3, 4)
    return array[t[0]], array[t[1]].tolist(), array[t[2]].tolist()


@on_numpy("W25_numpy_object_arrays", lambda token: (token, int(token, 16), 2.5, (token,)))
def _(t):
    import numpy as np

    array = np.empty(4, dtype=object)
    array[:] = t
    copied = array.copy()
    del array
    return copied[0], copied[3], np.array(t[:1]).astype("U").tolist(), np.unique(np.array([t[0], t[0]])).tolist(), np.array([t[2], t[1]]).sum()
