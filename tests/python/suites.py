"""CPython's own test suites, run against ours: what is left out of them, and why.

The suites come from the installed Python's `test` package, which some distributions leave out: then they are skipped. A
row of EXCLUDED is (what it tests, why it does not apply), by class and method; a row without a method leaves out the
class. A test that the list names and the suite does not have is no error: the versions differ.
"""
import importlib
import unittest

# Of test_queue: PriorityQueue, LifoQueue and SimpleQueue are other queues, which Stoa has none of; FailingQueue overrides
# _put and _get, hooks of queue.Queue's own implementation, in a subclass: Stoa's queue is no Python code to override.
# So only the tests of Queue itself (BaseQueueTestMixin) run; of these none is left out.
QUEUE_EXCLUDED = {}

_REINIT = "_at_fork_reinit is threading's private way to mend a lock after fork; ours is told of the fork itself"

LOCK_EXCLUDED = {
    "LockTests.test_at_fork_reinit": _REINIT,
    "RLockTests.test_at_fork_reinit": _REINIT,
    "EventTests.test_at_fork_reinit": _REINIT,
    "EventTests.test_reset_internal_locks": _REINIT,
    "ConditionTests.test_acquire": "makes a Condition of a threading.Lock, which belongs to one interpreter; refused",
}

_LOOKS = "looks at what asyncio's class looks like inside, or prints"
_TURN = "counts turns of the loop: a wake of ours comes through the loop's bell, two turns later"
_OWN = "of asyncio's constructor; the class under test here is the suite's own"
_HANDED = "what is released belongs to who waited from that moment on, not from when his task runs"
_DRAINS = "asyncio's barrier lets its parties out one by one, and nobody in meanwhile; ours lets all go at once"

# LifoQueue and PriorityQueue, of which Stoa has none, are left out wholly.
ASYNC_EXCLUDED = {
    "QueueBasicTests.test_repr": _LOOKS,
    "QueueBasicTests.test_str": _LOOKS,
    "QueueGetTests.test_get_with_putters": _LOOKS,
    "QueueJoinTests.test_format": _LOOKS,
    "QueueShutdownTests.test_format": _LOOKS,
    "LockTests.test_repr": _LOOKS,
    "LockTests.test_cancel_race": _LOOKS,
    "LockTests.test_cancel_release_race": _TURN,
    "LockTests.test_lock_doesnt_accept_loop_parameter": _OWN,
    "EventTests.test_repr": _LOOKS,
    "EventTests.test_clear_with_waiters": "who waits for an event is off its list when it is set, not when he runs",
    "ConditionTests.test_repr": _LOOKS,
    "ConditionTests.test_ambiguous_loops": "of what belongs to one loop; ours may be used from any",
    "SemaphoreTests.test_repr": _LOOKS,
    "SemaphoreTests.test_acquire_fifo_order_2": _HANDED,
    "SemaphoreTests.test_acquire_fifo_order_4": _HANDED,
    "BarrierTests.test_repr": _LOOKS,
    "BarrierTests.test_barrier": _LOOKS,
    "BarrierTests.test_filling_task_by_task": _LOOKS,
    "BarrierTests.test_filling_tasks_cancel_one": "who leaves a barrier breaks it, as in threading",
    "BarrierTests.test_draining_state": _DRAINS,
    "BarrierTests.test_reset_barrier_when_tasks_half_draining": _DRAINS,
    "BarrierTests.test_reset_barrier_when_tasks_half_draining_half_blocking": _DRAINS,
    "BarrierTests.test_reset_barrier_while_tasks_draining": _DRAINS,
    "BarrierTests.test_abort_barrier_when_tasks_half_draining_half_blocking": _DRAINS,
}


def load(name):
    """A module of the test package, or SkipTest with a word."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise unittest.SkipTest(f"this Python comes without its test suite: {error}") from None


def adapt(base, excluded, **members):
    """The suite `base` as a test case with `members`; what is excluded is skipped with its reason."""
    for key, why in excluded.items():
        owner, _, method = key.partition(".")
        if owner == base.__name__ and hasattr(base, method):
            members[method] = unittest.skip(why)(getattr(base, method))
    bases = (base,) if issubclass(base, unittest.TestCase) else (base, unittest.TestCase)
    return type(base.__name__, bases, members)
