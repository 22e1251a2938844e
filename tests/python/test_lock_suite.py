"""CPython's lock_tests, against Stoa's locks."""
import unittest

import stoa
import suites

suite = suites.load("test.lock_tests")

CASES = [
    suites.adapt(suite.LockTests, suites.LOCK_EXCLUDED, locktype=staticmethod(stoa.Lock)),
    suites.adapt(suite.RLockTests, suites.LOCK_EXCLUDED, locktype=staticmethod(stoa.RLock)),
    suites.adapt(suite.EventTests, suites.LOCK_EXCLUDED, eventtype=staticmethod(stoa.Event)),
    suites.adapt(suite.ConditionTests, suites.LOCK_EXCLUDED, condtype=staticmethod(stoa.Condition)),
    suites.adapt(suite.SemaphoreTests, suites.LOCK_EXCLUDED, semtype=staticmethod(stoa.Semaphore)),
    suites.adapt(suite.BoundedSemaphoreTests, suites.LOCK_EXCLUDED, semtype=staticmethod(stoa.BoundedSemaphore)),
    suites.adapt(suite.BarrierTests, suites.LOCK_EXCLUDED, barriertype=staticmethod(stoa.Barrier)),
]


def load_tests(loader, standard, pattern):
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in CASES)
