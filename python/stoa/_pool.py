"""InterpreterPoolExecutor. A module apart: concurrent.futures takes long to import, and many never make a pool."""

import itertools
import os
import sys
import threading
from concurrent.futures import Executor
from concurrent.futures._base import LOGGER
from concurrent.futures.thread import BrokenThreadPool

from ._stoa import Pool, _pools_that_end

if sys.version_info >= (3, 14):
    from concurrent.futures.interpreter import BrokenInterpreterPool
else:

    class BrokenInterpreterPool(BrokenThreadPool):
        """Raised when the initializer of a worker of an InterpreterPoolExecutor failed, or no worker can be made."""


_ending = False
_numbers = itertools.count()


def _broken(message, cause):
    error = BrokenInterpreterPool(message)
    error.__cause__ = cause
    return error


def _log(exception):
    LOGGER.critical("Exception in initializer:", exc_info=exception)


def _at_exit():
    """Before the interpreter waits for its threads: what was submitted is done, then the workers end.

    The main interpreter ends all pools that it knows, another one those that nobody else knows. One that Stoa closes has
    let go of its pools already; what was submitted to them goes on.
    """
    global _ending
    _ending = True
    pools = _pools_that_end()
    for pool in pools:
        pool._stop(False)
    for pool in pools:
        hung = 0  # an initializer in C code, which SystemExit does not reach: left to the end of the program
        pool._interrupt_preparing()
        while hung < 2 and not pool._wait(0.25):
            hung = hung + 1 if pool._interrupt_preparing() else 0


threading._register_atexit(_at_exit)  # raises where the interpreter is ending already, as concurrent.futures does


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
    list, dict, set and bytearray in a result come back as copies, since the worker ends with the pool; other mutable
    objects, and what a task returns as stoa.proxy(x), as proxies that are good until the worker is closed.
    Workers are made when there is something to do and none is idle. Any thread may use it, and any interpreter that gets
    it: as an argument, from a queue, by name, it is the same pool there. It ends when the last one lets go of it.
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
        if _ending:
            raise RuntimeError("cannot make a pool after interpreter shutdown")
        self._open(max_workers, prefix, initializer, tuple(initargs), max_tasks)

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

    def __reduce__(self):
        if type(self) is not InterpreterPoolExecutor:
            raise TypeError(f"{type(self).__name__} exists in this process only and cannot be pickled")
        return super().__reduce__()


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
