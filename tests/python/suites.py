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
