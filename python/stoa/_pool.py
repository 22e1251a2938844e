"""InterpreterPoolExecutor. A module apart: concurrent.futures takes long to import, and many never make a pool."""

import itertools
import os
import sys
import threading
import weakref
from concurrent.futures import Executor
from concurrent.futures._base import LOGGER
from concurrent.futures.thread import BrokenThreadPool

from ._future import Future
from ._stoa import Pool

if sys.version_info >= (3, 14):
    from concurrent.futures.interpreter import BrokenInterpreterPool
else:

    class BrokenInterpreterPool(BrokenThreadPool):
        """Raised when the initializer of a worker of an InterpreterPoolExecutor failed, or no worker can be made."""


_pools = weakref.WeakSet()  # of this interpreter; guarded by _lock, as _ending
_lock = threading.Lock()
_ending = False
_numbers = itertools.count()


def _broken(message, cause):
    error = BrokenInterpreterPool(message)
    error.__cause__ = cause
    return error


def _log(exception):
    LOGGER.critical("Exception in initializer:", exc_info=exception)


def _at_exit():
    """Before the interpreter waits for its threads: what was submitted is done, then the workers end."""
    global _ending
    with _lock:
        _ending = True
        pools = list(_pools)
    for pool in pools:
        pool._stop(False)
    for pool in pools:
        pool._interrupt_preparing()
        while not pool._wait(1.0):
            pool._interrupt_preparing()


threading._register_atexit(_at_exit)  # raises where the interpreter is ending already, as concurrent.futures does
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def _count(what, value, or_none=True):
    if value is None and or_none:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{what} must be an int, not {type(value).__name__}")
    if value <= 0:
        raise ValueError(f"{what} must be greater than 0")
    return value


def _processors():
    return getattr(os, "process_cpu_count", os.cpu_count)() or 1


class InterpreterPoolExecutor(Pool, Executor):
    """An Executor whose workers are interpreters, each with a GIL of its own.

    max_workers: how many at most; None: one a processor that this process may use.
    thread_name_prefix: the interpreters are called "prefix_0", …
    initializer, initargs: called once in each worker before its first task; what it leaves in globals stays. When it
        fails, the pool is broken: pending futures and later submits raise BrokenInterpreterPool (a BrokenExecutor).
    max_tasks_per_interpreter: after so many tasks a worker is closed, and another made when there is need.

    Functions: importable ones, "module:qualname", those of __main__, lambdas. Arguments cross as in Interpreter.call;
    list, dict, set and bytearray in a result come back as copies, since the worker ends with the pool.
    Workers are made when there is something to do and none is idle. Any thread of the interpreter may use it.
    """

    def __init__(
        self,
        max_workers=None,
        thread_name_prefix="",
        initializer=None,
        initargs=(),
        *,
        max_tasks_per_interpreter=None,
    ):
        max_workers = _count("max_workers", max_workers) or _processors()
        max_tasks = _count("max_tasks_per_interpreter", max_tasks_per_interpreter) or 0
        if initializer is not None and not callable(initializer) and not isinstance(initializer, str):
            raise TypeError("initializer must be a callable")
        prefix = thread_name_prefix or f"{type(self).__name__}-{next(_numbers)}"
        self._max_workers = max_workers
        with _lock:
            if _ending:
                raise RuntimeError("cannot make a pool after interpreter shutdown")
            _pools.add(self)
        self._open(max_workers, prefix, initializer, tuple(initargs), max_tasks, Future)

    submit = Pool.submit

    def map(self, fn, *iterables, timeout=None, chunksize=1, **more):
        """As Executor.map: the results of fn(*arguments), in order, for the tuples of arguments that zip() makes.

        chunksize: so many calls go to a worker as one task; the results of a chunk come back together. buffersize, where
        Executor.map has it (3.14 and later): how many results, at most, are waited for at once.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout, **more)
        chunks = itertools.batched(zip(*iterables), chunksize)
        results = _Chunks(self).map(fn, chunks, timeout=timeout, **more)
        return _one_by_one(results)

    def shutdown(self, wait=True, *, cancel_futures=False):
        """No further tasks. wait: until all are done and the workers closed. cancel_futures: those that have not begun."""
        self._stop(cancel_futures)
        if wait:
            self._wait(None)
            with _lock:
                _pools.discard(self)

    def __reduce__(self):
        raise TypeError(f"{type(self).__name__} exists in this process only and cannot be pickled")


class _Chunks(Executor):
    """What Executor.map needs to work on chunks."""

    def __init__(self, pool):
        self._pool = pool

    def submit(self, fn, chunk):
        return self._pool._submit_chunk(fn, chunk)


def _one_by_one(results):
    for chunk in results:
        chunk.reverse()
        while chunk:
            yield chunk.pop()
