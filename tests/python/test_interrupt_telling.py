"""interrupt() of an interpreter in which a future is just being told: the future ends, and the interrupt is not lost."""

import threading
import time
import unittest

import stoa
from stoa_tests import SLOW_BUILD

CODE = """
import concurrent.futures, stoa, threading, time
gate = None

class Gate:
    '''The condition of a future, before which who tells it stands until he is let through.'''
    def __init__(self):
        self.lock = threading.RLock()
        self.at_gate = threading.Event()
        self.open = False
        self.hit = None
    def __enter__(self):
        self.lock.acquire()
        try:
            self.at_gate.set()
            while not self.open:  # a loop of nothing else would not be in the `try`, as CPython compiles it
                time.sleep(0)
        except BaseException as error:
            self.hit = type(error).__name__
            self.lock.release()
            raise
    def __exit__(self, *unused):
        self.lock.release()
    def notify_all(self):
        pass

running = threading.Event()
log = []
def forever(*unused):
    try:
        running.set()
        while True:
            pass
    except KeyboardInterrupt:
        log.append("hit")
def wait(ready, go):
    ready.put(1)
    go.get()
def begin(other):
    '''A future whose call is under way, and a gate for who tells it.'''
    global future, gate
    go, ready = stoa.Queue(), stoa.Queue()
    future = other.submit(wait, ready, go)
    ready.get()
    gate = future._condition = Gate()
    return go
def begin_in_pool():
    '''The same of a pool.'''
    global future, gate
    go = stoa.Queue()
    pool = stoa.InterpreterPoolExecutor(1)
    future = pool.submit(go.get)
    future._condition  # asked for: it is to be told here
    gate = future._condition = Gate()
    return go
def cancel_one():
    '''A future is told by the code that is at work itself, in the midst of it.'''
    global future, gate
    go, pool = stoa.Queue(), stoa.InterpreterPoolExecutor(1)
    first = pool.submit(go.get)
    future = pool.submit(abs, 1)
    future._condition
    gate = future._condition = Gate()
    try:
        future.cancel()
        forever()
    except KeyboardInterrupt:
        log.append("hit")
    go.put(1)
"""


class TestTelling(unittest.TestCase):
    def setUp(self):
        self.a, self.b = stoa.Interpreter(), stoa.Interpreter()
        for it in self.a, self.b:
            self.addCleanup(it.close)
            it.exec(CODE)

    def get(self, expression):
        return self.a.call(eval, expression)

    def interrupted_at_gate(self):
        """Whoever tells the future stands at its gate, and is not hit there. What interrupt() said."""
        self.assertTrue(self.get("gate.at_gate").wait(60))
        said = self.a.interrupt()
        for _ in range(50):
            self.get("None")
        self.assertIsNone(self.get("gate.hit"))
        self.a.exec("gate.open = True")
        return said

    def test_waits_for_the_telling(self):
        for begin in ("begin", self.b), ("begin_in_pool",):
            self.a.call("__main__:" + begin[0], *begin[1:]).put(1)
            self.assertFalse(self.interrupted_at_gate())
            self.a.call(eval, "future.result(60)")
            self.assertEqual(self.get("future._state"), "FINISHED")

    def test_hits_the_callback(self):
        for begin in ("begin", self.b), ("begin_in_pool",):
            go = self.a.call("__main__:" + begin[0], *begin[1:])
            self.a.exec("running.clear(); log.clear(); gate.open = True; future.add_done_callback(forever)")
            go.put(1)
            self.assertTrue(self.get("running").wait(60))
            self.assertTrue(self.a.interrupt())
            self.a.exec("while not log: time.sleep(0.001)")
            self.assertEqual(self.get("future._state"), "FINISHED")

    def test_many_times(self):
        """Nobody else is at work in there, so there is nobody to be hit, and every future ends."""
        self.a.exec("def begin_many(other, n):\n"
                    "    global futures\n"
                    "    go = stoa.Queue()\n"
                    "    futures = [other.submit(go.get) for _ in range(n)]\n"
                    "    pool = stoa.InterpreterPoolExecutor(2)\n"
                    "    futures += [pool.submit(go.get) for _ in range(n)]\n"
                    "    concurrent.futures.wait(futures, 0)\n"
                    "    return go\n")
        for _ in range(3 if SLOW_BUILD else 8):
            go = self.a.call("__main__:begin_many", self.b, 50)
            over, said = threading.Event(), []

            def interrupts():
                while not over.is_set():
                    said.append(self.a.interrupt())

            thread = threading.Thread(target=interrupts)
            thread.start()
            try:
                go.put_many(range(100))
                while any(i["inside"] for i in stoa.stats()["interpreters"] if i["id"] == self.b.id) or go.qsize():
                    pass
            finally:
                over.set()
                thread.join()
            self.a.exec("assert not concurrent.futures.wait(futures, 60).not_done")
            self.assertEqual(set(said), {False})

    def test_told_in_the_midst_of_work(self):
        """The thread that tells is at work in there: the rest of that is hit."""
        thread = threading.Thread(target=self.a.call, args=("__main__:cancel_one",))
        thread.start()
        self.a.exec("while gate is None: time.sleep(0.001)")
        self.assertTrue(self.interrupted_at_gate())
        thread.join(60)
        self.assertFalse(thread.is_alive())
        self.assertEqual(list(self.get("log")), ["hit"])
        self.assertTrue(self.get("future.cancelled()"))


if __name__ == "__main__":
    unittest.main()
