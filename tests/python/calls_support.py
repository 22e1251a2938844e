"""An owner that can be kept busy, for the tests of calls."""

import time
import unittest

import stoa


def counters():
    return stoa.stats()["counters"]


OWNER = """
import sys, threading, time, contextvars
import stoa
turns = 0
stop = threading.Event()
def spin(ready):
    global turns
    ready.set()
    while not stop.is_set():
        for i in range(1000):
            turns += 1
def start():
    stop.clear()
    ready = threading.Event()
    thread = threading.Thread(target=spin, args=(ready,))
    thread.start()
    ready.wait()
    return thread
def ident():
    return threading.get_ident()
def sleep(seconds):
    time.sleep(seconds)
    return "slept"
def forever():
    while True:
        pass
var = contextvars.ContextVar("var", default="unset")
log = []
"""


class Owner(unittest.TestCase):
    def setUp(self):
        self.it = stoa.Interpreter()
        self.addCleanup(self.it.close)
        self.it.exec(OWNER)

    def get(self, expression):
        return self.it.call(eval, expression)

    def until_counted(self, counter, call):
        """Calls until the counter has moved: how busy the owner is is for the system to decide. What came of the calls."""
        before = counters()[counter]
        seen = []
        end = time.monotonic() + 20
        while counters()[counter] < before + 3 and time.monotonic() < end:
            time.sleep(0.0005)  # the owner's thread gets its GIL back
            seen.append(call())
        self.assertGreater(counters()[counter], before)
        return seen

    def until_inside(self):
        """Until a call is under way in there."""
        for _ in range(4000):
            if any(i["inside"] for i in stoa.stats()["interpreters"] if i["id"] == self.it.id):
                return
            time.sleep(0.005)
        self.fail("nobody comes")

    def busy(self):
        thread = self.get("start()")
        join, stop = thread.join, self.get("stop").set
        self.addCleanup(join)
        self.addCleanup(stop)
        return thread
