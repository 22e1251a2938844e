"""Stoa: the interpreters of one process share objects.

freeze, share, thaw, is_shared   immutable twins of objects, in memory that all interpreters use by pointer
publish, lookup, once, …         names for them, known in the whole process
Interpreter, current, main, …    interpreters with a GIL of their own
Queue, Lock, Event, …            between interpreters and threads, blocking and awaitable
proxy, owner, fetch, …           objects of other interpreters, used through proxies
array, array_from_file, arrow    bulk data: buffers, NumPy and Arrow arrays, files
evolve                           new versions of shared mappings, cheaply
Region, stats                    memory: limits and figures

`python -m stoa demo` shows it on real input; `python -m stoa doctor` says whether this machine has what it needs.
"""

import sys as _sys

__all__ = [
    "ArrowArray",
    "Barrier",
    "BoundedSemaphore",
    "BrokenLock",
    "Condition",
    "Deadlock",
    "Error",
    "Event",
    "Future",
    "Interpreter",
    "InterpreterGone",
    "InterpreterPoolExecutor",
    "Lock",
    "NameTaken",
    "NotFreezable",
    "PersistentMapping",
    "Proxy",
    "ProxyInfo",
    "Queue",
    "RLock",
    "Region",
    "ReleasedProxy",
    "RemoteError",
    "Semaphore",
    "SharedSequence",
    "ShutDown",
    "Timeout",
    "UnsupportedPython",
    "array",
    "array_from_file",
    "arrow",
    "by_copy",
    "current",
    "evolve",
    "fetch",
    "freeze",
    "interpreters",
    "is_proxy",
    "is_shared",
    "lookup",
    "main",
    "names",
    "once",
    "options",
    "owner",
    "proxies",
    "proxy",
    "publish",
    "register",
    "release",
    "replace",
    "share",
    "snapshot",
    "stats",
    "submit",
    "thaw",
    "unpublish",
]


def _diagnosing():
    """Is this `python -m stoa doctor`? It must be able to say why the rest cannot be imported."""
    return _sys.argv[:1] == ["-m"] and "doctor" in _sys.orig_argv


try:
    from ._stoa import (
        Barrier,
        BoundedSemaphore,
        BrokenLock,
        Condition,
        Deadlock,
        Error,
        Event,
        Interpreter,
        InterpreterGone,
        Lock,
        NameTaken,
        NotFreezable,
        PersistentMapping,
        Proxy,
        Queue,
        RLock,
        Region,
        ReleasedProxy,
        RemoteError,
        Semaphore,
        SharedSequence,
        ShutDown,
        Timeout,
        UnsupportedPython,
        __version__,
        arrow,
        by_copy,
        current,
        fetch,
        freeze,
        interpreters,
        is_proxy,
        is_shared,
        lookup,
        main,
        names,
        once,
        options,
        owner,
        proxy,
        publish,
        register,
        release,
        replace,
        share,
        snapshot,
        stats,
        submit,
        thaw,
        unpublish,
    )

    _ProxyType = type(Proxy)  # the stubs have it, too: Proxy has a type of its own
    from ._array import array, array_from_file
    from ._arrow import ArrowArray
    from ._evolve import evolve
except Exception:
    if not _diagnosing():
        raise


def __getattr__(name):
    if name == "Future":  # see _future.py
        from ._future import Future

        globals()["Future"] = Future
        return Future
    if name in ("ProxyInfo", "proxies"):  # imported when somebody asks
        from . import _proxies

        globals()[name] = getattr(_proxies, name)
        return globals()[name]
    if name == "InterpreterPoolExecutor":  # see _pool.py
        from ._pool import InterpreterPoolExecutor

        globals()["InterpreterPoolExecutor"] = InterpreterPoolExecutor
        return InterpreterPoolExecutor
    raise AttributeError(f"module 'stoa' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
