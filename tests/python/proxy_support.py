"""An owner whose objects come from proxied.py, for the tests of proxies."""

import os
import time
import unittest

import stoa
from proxied import there_name


def wait_for(condition, seconds=60.0):
    """Is it true within that time? Looks without a busy loop."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Case(unittest.TestCase):
    def setUp(self):
        self.interp = stoa.Interpreter(name="owner")
        self.addCleanup(self.interp.close)

    def make(self, kind):
        return self.interp.call(there_name("make"), kind)

    def call(self, name, *args):
        return self.interp.call(there_name(name), *args)
