"""asyncio's own tests of its queues and locks, run against the awaitable methods of Stoa's.

The suites name `asyncio.Queue`, `asyncio.Lock` and so on: what they find under that name here is a class of asyncio's
methods over a thing of Stoa's, nothing else changed. A wake comes through the bell of the loop, two turns of the loop
after asyncio's own, so `asyncio.sleep(0)` is a few turns here.
"""
import asyncio
import queue
import threading
import types
import unittest

import stoa
import suites

TURNS = 5


class Thing:
    """What asyncio's things have in common; the fields with an underscore are what its tests look at."""

    def __init__(self, inner):
        self.inner = inner

    def _info(self):
        handle = self.inner.__reduce__()[1][2]
        return next(entry for entry in stoa.stats()["things"] if entry["handle"] == handle)

    @property
    def _waiters(self):
        return range(self._info()["waiters"])


class Lockable(Thing):
    async def acquire(self):
        return await self.inner.aacquire()

    def release(self):
        self.inner.release()

    async def __aenter__(self):
        return await self.inner.__aenter__()

    async def __aexit__(self, *raised):
        await self.inner.__aexit__(*raised)


class Lock(Lockable):
    def __init__(self):
        super().__init__(stoa.Lock())

    def locked(self):
        return self.inner.locked()


class Event(Thing):
    def __init__(self):
        super().__init__(stoa.Event())

    async def wait(self):
        return await self.inner.await_()

    def is_set(self):
        return self.inner.is_set()

    def set(self):
        self.inner.set()

    def clear(self):
        self.inner.clear()


class Condition(Lock):
    def __init__(self, lock=None):
        self._lock = Lock() if lock is None else lock
        Thing.__init__(self, stoa.Condition(self._lock.inner))

    async def wait(self):
        return await self.inner.await_()

    async def wait_for(self, predicate):
        return await self.inner.await_for(predicate)

    def notify(self, n=1):
        self.inner.notify(n)

    def notify_all(self):
        self.inner.notify_all()


class Semaphore(Lockable):
    kind = stoa.Semaphore

    def __init__(self, value=1):
        super().__init__(self.kind(value))

    def locked(self):
        return self._value == 0 or bool(self._waiters)

    @property
    def _value(self):
        return self._info()["depth"]


class BoundedSemaphore(Semaphore):
    kind = stoa.BoundedSemaphore


class Barrier(Thing):
    def __init__(self, parties):
        super().__init__(stoa.Barrier(parties))

    async def wait(self):
        return await self.inner.await_()

    async def __aenter__(self):
        return await self.wait()

    async def __aexit__(self, *raised):
        pass

    async def reset(self):
        self.inner.reset()

    async def abort(self):
        self.inner.abort()

    parties = property(lambda self: self.inner.parties)
    n_waiting = property(lambda self: self.inner.n_waiting)
    broken = property(lambda self: self.inner.broken)


class Queue(Thing):
    def __init__(self, maxsize=0):
        super().__init__(stoa.Queue(int(maxsize) if maxsize <= 0 else -int(-maxsize // 1)))

    async def put(self, item):
        await self.inner.aput(item)

    async def get(self):
        return await self.inner.aget()

    async def join(self):
        await self.inner.ajoin()

    __class_getitem__ = classmethod(types.GenericAlias)
    _getters = _putters = Thing._waiters

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.inner, name)


async def sleep(delay, result=None):
    for _ in range(TURNS if delay == 0 else 0):
        await asyncio.sleep(0)
    return await asyncio.sleep(delay, result)


class Shim(types.ModuleType):
    """The module `asyncio` as the suites see it."""

    def __getattr__(self, name):
        return getattr(asyncio, name)


shim = Shim("asyncio")
for thing in (Lock, Event, Condition, Semaphore, BoundedSemaphore, Barrier, Queue, sleep):
    setattr(shim, thing.__name__, thing)
shim.QueueEmpty, shim.QueueFull, shim.QueueShutDown = queue.Empty, queue.Full, stoa.ShutDown
shim.BrokenBarrierError = threading.BrokenBarrierError

CLASSES = {
    "test.test_asyncio.test_queues": (
        "QueueBasicTests", "QueueGetTests", "QueuePutTests", "QueueJoinTests", "QueueShutdownTests"),
    "test.test_asyncio.test_locks": (
        "LockTests", "EventTests", "ConditionTests", "SemaphoreTests", "BarrierTests"),
}


def load_tests(loader, standard, pattern):
    cases = unittest.TestSuite()
    for name, classes in CLASSES.items():
        suite = suites.load(name)
        suite.asyncio = shim
        for one in classes:
            if hasattr(suite, one):  # QueueShutdownTests: from 3.13 on
                members = {"q_class": Queue} if one.startswith("Queue") else {}
                cases.addTest(loader.loadTestsFromTestCase(
                    suites.adapt(getattr(suite, one), suites.ASYNC_EXCLUDED, **members)))
    return cases
