"""CPython's tests of queue.Queue, against stoa.Queue."""
import queue
import types
import unittest

import stoa
import suites

suite = suites.load("test.test_queue")


def setup(self):
    self.type2test = stoa.Queue
    suite.BaseQueueTestMixin.setUp(self)


# what the suite takes for the module `queue`; before 3.13 it has no ShutDown and asks for none
module = types.SimpleNamespace(Queue=stoa.Queue, Empty=queue.Empty, Full=queue.Full, ShutDown=stoa.ShutDown)
StoaQueueTest = suites.adapt(suite.BaseQueueTestMixin, suites.QUEUE_EXCLUDED, setUp=setup, queue=module)


def load_tests(loader, standard, pattern):
    return unittest.TestSuite([loader.loadTestsFromTestCase(StoaQueueTest)])
