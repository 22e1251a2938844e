"""An owner that can be kept busy, for the tests of calls."""

import functools
import os
import time
import unittest

import stoa


def counters():
    return stoa.stats()["counters"]


def limits(begun):
    """Time limits that an endless call runs into: longer and longer ones, until it has begun within one of them."""
    limit = 0.05
    while True:
        yield limit
        if begun():
            return
        limit *= 4  # on a loaded machine a short one is over before that


OWNER = """
import os, sys, threading, time, contextvars
import stoa
turns = 0
holding = None
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
def hold(gate):
    global holding
    holding = gate  # who has the GIL afterwards, and sees it, has it of the read
    os.read(gate, 1)
    return "held"
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
        end = time.monotonic() + 60
        while counters()[counter] < before + 3 and time.monotonic() < end:
            time.sleep(0.0005)  # the owner's thread gets its GIL back
            seen.append(call())
        self.assertGreater(counters()[counter], before)
        return seen

    def gate(self):
        """What the owner's hold() blocks at, in C, and the function that lets it go."""
        gate, opens = os.pipe()
        self.addCleanup(os.close, gate)
        self.addCleanup(os.close, opens)
        return gate, functools.partial(os.write, opens, b"x")

    def until_held(self, gate):
        """Until a thread blocks there: before that it does what others want done at its next bytecode."""
        self.until(lambda: self.get("holding") == gate, "it does not begin")

    def until(self, condition, message):
        for _ in range(12000):
            if condition():
                return
            time.sleep(0.005)
        self.fail(message)

    def inside(self, it=None):
        return [i["inside"] for i in stoa.stats()["interpreters"] if i["id"] == (it or self.it).id]

    def until_inside(self, it=None):
        """Until a call that does not end by itself is under way in there."""
        self.until(lambda: any(self.inside(it)), "nobody comes")

    def until_closing(self):
        def refuses():
            try:
                self.it.call(abs, 1)
            except stoa.InterpreterGone:
                return True
        self.until(refuses, "nobody closes it")

    def busy(self):
        thread = self.get("start()")
        join, stop = thread.join, self.get("stop").set
        self.addCleanup(join)
        self.addCleanup(stop)
        return thread
