"""The executor mixins of CPython's own test_concurrent_futures, run against stoa.InterpreterPoolExecutor.

They are imported from the installed Python, and subclassed. Sleeps are shortened, or last until the test is over (HELD); cases
of the 'walltime' kind, which wait for many seconds, run with STOA_TEST_SLOW=1 only. Not taken over, and why:

* test_deadlock, test_process_pool, test_thread_pool, test_interpreter_pool: about processes that die, about the threads
  inside ThreadPoolExecutor, and about the standard library's InterpreterPoolExecutor itself.
* tests whose name is in EXCLUDED: the reason is beside it.
"""

import os
import threading
import time
import unittest

import stoa

SLOW = bool(os.environ.get("STOA_TEST_SLOW"))
SHORTER = 1 if SLOW else 0.2

try:
    from test import support

    if not SLOW:
        support.use_resources = []  # asked for when the modules below are imported
    from test.test_concurrent_futures import executor, test_as_completed, test_init, test_shutdown, test_wait, util
except ImportError as error:
    raise unittest.SkipTest(f"CPython's own tests are not installed with this Python: {error}") from None

EXCLUDED = {}

# They want something else to be over before a sleep is, which takes its time on a loaded machine.
HELD = {
    "test_cancel_futures", "test_first_completed", "test_first_completed_some_already_completed", "test_first_exception",
    "test_first_exception_one_already_failed", "test_first_exception_some_already_complete", "test_future_times_out",
    "test_timeout",
}


class Shortened(stoa.InterpreterPoolExecutor):
    """What the tests sleep to have something that takes long, takes a fifth of it, or lasts until the executor is shut down."""

    gate = None  # what sleeps waits for this
    sleeper = None  # the first task that does

    def submit(self, fn, /, *args, **kwargs):
        if self.gate is not None:
            if fn is not time.sleep:
                return super().submit(fn, *args, **kwargs)
            future = super().submit("stoa:Event.wait", self.gate)
            self.sleeper = self.sleeper or future
            return future
        if getattr(fn, "__name__", "") == "sleep" and args:
            args = (args[0] * SHORTER, *args[1:])
        return super().submit(fn, *args, **kwargs)

    def shutdown(self, wait=True, *, cancel_futures=False):
        if self.gate is not None:
            if cancel_futures:
                # test_cancel_futures wants that some have begun: 50 submits take less time than one wake
                while not self.sleeper.running():
                    time.sleep(0.001)
                super().shutdown(False, cancel_futures=True)
            self.gate.set()
        super().shutdown(wait, cancel_futures=cancel_futures)


Shortened.__name__ = "InterpreterPoolExecutor"  # the tests write it into scripts


class PoolMixin(util.ExecutorMixin):
    worker_count = 3
    executor_type = Shortened

    def setUp(self):
        super().setUp()
        if self._testMethodName in HELD:
            self.executor.gate = stoa.Event()
        if not self.executor_kwargs:  # one worker is there, and has the module: what is to be fast is not overtaken
            self.executor.submit(test_wait.mul, 2, 3).result()

    def create_event(self):  # from 3.14 on: the workers get a proxy of it
        return threading.Event()


def with_ours(original):
    def run(*args, **options):
        args = [a.replace("from concurrent.futures import", "from stoa import") if isinstance(a, str) else a for a in args]
        args = [a.replace("1.0", str(1.0 * SHORTER)) for a in args]
        # assert_python_ok isolates, and then no path leads to stoa
        return original(*args, __isolated=False, **options)

    return run


test_shutdown.assert_python_ok = with_ours(test_shutdown.assert_python_ok)


def adopt(suite, *more):
    """`suite` with our executor, without what is excluded."""
    name = "Pool" + suite.__name__
    fields = {case: unittest.skip(why)(lambda self: None) for case, why in EXCLUDED.items() if hasattr(suite, case)}
    globals()[name] = type(name, (*more, suite, PoolMixin, util.BaseTestCase), {"__module__": __name__, **fields})


adopt(executor.ExecutorTest)
adopt(test_as_completed.AsCompletedTests)
adopt(test_wait.WaitTests)
adopt(test_shutdown.ExecutorShutdownTest)


class PoolInitializer(PoolMixin, test_init.InitializerMixin, util.BaseTestCase):
    pass


class PoolFailingInitializer(PoolMixin, test_init.FailingInitializerMixin, util.BaseTestCase):
    pass


for foreign in list(globals()):  # unittest runs every TestCase that it finds, imported ones, too
    if isinstance(globals()[foreign], type) and globals()[foreign].__module__.startswith("test."):
        del globals()[foreign]

if __name__ == "__main__":
    unittest.main()
