"""What goes through a queue from one interpreter to another."""
import asyncio
import queue
import sys
import threading
import unittest

import stoa


class Items(unittest.TestCase):
    def test_the_rule_of_crossing(self):
        q = stoa.Queue()
        shared = stoa.freeze({"a": (1, 2)})
        values = [None, True, 7, 2**80, 1.5, "ä", "x" * 100, b"b", (1, (2,)), frozenset({1}), int, shared]
        with stoa.Interpreter() as other:
            other.prepare_main(q=q)
            for value in values:
                q.put(value)
                other.exec("x = q.get(); q.put(x)")
                self.assertEqual(q.get(), value)
            q.put(shared)
            self.assertIs(q.get(), shared)
            mine = [1]
            q.put(mine)
            self.assertIs(q.get(), mine)
            q.put(mine)
            other.exec("p = q.get(); p.append(2)")
            self.assertEqual(mine, [1, 2])
            q.put(stoa.by_copy(mine))
            other.exec("assert type(q.get()) is list")

    def test_arguments_by_name(self):
        q = stoa.Queue()
        q.put(item=1, block=True, timeout=None)
        q.put_nowait(item=2)
        asyncio.run(q.aput(item=3))
        self.assertEqual([q.get(block=True, timeout=1), q.get(timeout=1), q.get_nowait()], [1, 2, 3])
        for wrong in (lambda: q.put_nowait(), lambda: q.put_nowait(1, 2), lambda: q.put_nowait(thing=1), lambda: q.aput()):
            self.assertRaises(TypeError, wrong)

    def test_items_of_a_closed_interpreter(self):
        q = stoa.Queue()
        with stoa.Interpreter() as other:
            other.prepare_main(q=q)
            other.exec("import stoa; q.put_many([1, 'a' * 99, (1, [2]), stoa.freeze([1, 2]), [3]])")
        one, text, pair, frozen, mutable = q.get_many()
        self.assertEqual((one, text, pair[0], frozen), (1, "a" * 99, 1, (1, 2)))
        for proxy in (pair[1], mutable):
            with self.assertRaises(stoa.InterpreterGone):
                len(proxy)

    def test_what_cannot_cross_is_refused_and_nothing_is_put(self):
        q = stoa.Queue()
        inner = []
        outer = (inner,)
        inner.append(outer)
        with self.assertRaises(TypeError):
            q.put(stoa.by_copy(outer))
        with self.assertRaises(TypeError):
            q.put_many([1, 2, stoa.by_copy(outer)])
        self.assertEqual(q.qsize(), 0)
        self.assertEqual(q.unfinished_tasks, 0)

    def test_many(self):
        q = stoa.Queue(maxsize=3)
        q.put_many([])
        q.put_many(iter("abc"))
        with self.assertRaises(queue.Full) as raised:
            q.put_many([1], block=False)
        self.assertEqual(raised.exception.put, 0)
        self.assertEqual(q.get_many(2), ["a", "b"])
        with self.assertRaises(queue.Full) as raised:
            q.put_many(range(5), timeout=0.01)
        self.assertEqual(raised.exception.put, 2)
        self.assertEqual(q.get_many(), ["c", 0, 1])
        self.assertEqual(q.get_many(0), [])
        with self.assertRaises(queue.Empty):
            q.get_many(timeout=0.01)
        with self.assertRaises(ValueError):
            q.get_many(-1)
        with self.assertRaises(TypeError):
            q.put_many(3)
        q.put_many([None] * 3)
        q.shutdown()
        with self.assertRaises(stoa.ShutDown):
            q.put_many([1])
        self.assertEqual(len(q.get_many()), 3)
        with self.assertRaises(stoa.ShutDown):
            q.get_many()

    def test_strange_timeouts(self):
        q = stoa.Queue(1)
        q.put(0)
        for timeout in (0, 1e-9, 1e-300, 0.001):
            with self.assertRaises(queue.Full):
                q.put(1, timeout=timeout)
        for timeout in (-1, -1e300, float("nan"), float("-inf")):
            with self.assertRaises(ValueError):
                q.put(1, timeout=timeout)
        with self.assertRaises(TypeError):
            q.put(1, timeout="1")
        for timeout in (1e300, float("inf"), sys.maxsize):
            threading.Timer(0.01, q.get).start()
            q.put(1, timeout=timeout)
        for call in (lambda: q.put(), lambda: q.put(1, 2, 3, 4), lambda: q.put(1, item=2), lambda: q.get(nothing=1)):
            self.assertRaises(TypeError, call)
