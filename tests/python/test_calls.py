"""How a call gets to its owner, entered, let in or posted, and what it sees there."""

import contextvars
import sys
import threading
import time
import unittest

import stoa
from calls_support import Owner, counters


class TestWays(Owner):
    def test_idle_owner_is_entered(self):
        ident = self.get("ident")
        before = counters()
        self.assertEqual(ident(), threading.get_ident())
        after = counters()
        self.assertGreater(after["calls"], before["calls"])
        self.assertEqual(after["calls_let_in"], before["calls_let_in"])

    def test_busy_owner_lets_in(self):
        ident = self.get("ident")
        self.busy()
        self.assertEqual(set(self.until_counted("calls_let_in", ident)), {threading.get_ident()})

    def test_posted_call_is_run_by_the_running_thread(self):
        ident = self.get("ident")
        posted = stoa.options(ident, via="post")
        self.assertEqual(posted(), threading.get_ident())  # idle: entered
        thread = self.busy()
        seen = set(self.until_counted("calls_posted", posted))
        self.assertIn(thread.ident, seen)
        self.assertLessEqual(seen, {thread.ident, threading.get_ident()})

    def test_posted_call_is_taken_back(self):
        # the owner holds its GIL in C: nobody comes to a bytecode
        self.it.exec("def grind(n):\n    return sum(range(n))")
        grind = self.get("grind")
        posted = stoa.options(self.get("ident"), via="post")
        before = counters()["calls_withdrawn"]
        for _ in range(50):  # until the worker is found at it
            worker = threading.Thread(target=grind, args=(5_000_000,))
            worker.start()
            time.sleep(0.02)
            self.assertEqual(posted(), threading.get_ident())
            worker.join()
            if counters()["calls_withdrawn"] > before:
                break
        self.assertGreater(counters()["calls_withdrawn"], before)

    def test_each_is_run_exactly_once(self):
        self.it.exec("import itertools\ncount = itertools.count(1)\ndef once(): return next(count)")
        once = self.get("once")
        ways = [once, stoa.options(once, via="post"), stoa.options(once, via="enter"), stoa.options(once, timeout=20)]
        self.busy()
        seen = []

        def use(way):
            for _ in range(100):
                seen.append(way())

        threads = [threading.Thread(target=use, args=(way,)) for way in ways]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(seen), list(range(1, 401)))

    def test_lock_held_by_the_running_thread(self):
        # let in, the call waits for the lock on its own thread, and the owner goes on
        self.it.exec(
            "lock = threading.Lock()\n"
            "def locked():\n"
            "    with lock:\n"
            "        return 'locked'\n"
            "def hold(ready):\n"
            "    ready.set()\n"
            "    while not stop.is_set():\n"
            "        with lock:\n"
            "            sum(i for i in range(50))\n"
            "def start_holding():\n"
            "    stop.clear()\n"
            "    ready = threading.Event()\n"
            "    thread = threading.Thread(target=hold, args=(ready,))\n"
            "    thread.start(); ready.wait()\n"
            "    return thread\n"
        )
        locked = self.get("locked")
        thread = self.get("start_holding()")
        try:
            for _ in range(30):
                self.assertEqual(locked(), "locked")
        finally:
            self.get("stop").set()
            thread.join()

    def test_bad_options(self):
        f = self.get("ident")
        with self.assertRaises(ValueError):
            stoa.options(f, via="pigeon")
        with self.assertRaises(ValueError):
            stoa.options(f, timeout=float("nan"))
        with self.assertRaises(TypeError):
            stoa.options(f, timeout="soon")
        with self.assertRaises(TypeError):
            stoa.options([])
        with self.assertRaises(ValueError):
            stoa.proxy([], thread="moon")
        stoa.release(f)
        with self.assertRaises(stoa.ReleasedProxy):
            stoa.options(f)

    def test_options_are_another_proxy_of_the_object(self):
        log = self.get("log")
        timed = stoa.options(log, timeout=20)
        timed.append([1])
        self.assertEqual(len(timed), 1)
        self.assertEqual(timed, log)
        self.assertEqual(stoa.owner(timed), self.it)
        self.assertIs(timed[0], log[0])
        stoa.release(timed)
        self.assertEqual(len(log), 1)
        with self.assertRaises(stoa.ReleasedProxy):
            timed.append(2)

    def test_what_cannot_cross_by_a_cell(self):
        log = stoa.options(self.get("log"), timeout=20)
        log.append(("x" * 100_000, [1, 2], 2**200))
        log.extend(range(20))
        text, items, number = log[0]
        self.assertEqual((len(text), list(items), number), (100_000, [1, 2], 2**200))
        with self.assertRaises(IndexError):
            log[100]
        self.assertEqual(list(log)[1:], list(range(20)))
        with self.assertRaises(StopIteration):
            next(stoa.options(self.get("iter([])"), timeout=20))

    def test_submit(self):
        log = self.get("log")
        self.assertIsNone(stoa.submit(log.append, 5).result(20))
        self.assertEqual(list(log), [5])
        own = stoa.submit(self.get("ident")).result(20)
        self.assertNotEqual(own, threading.get_ident())
        self.assertEqual(own, self.it.submit(threading.get_ident).result(20))
        with self.assertRaises(ValueError):
            stoa.submit(log.remove, 17).result(20)
        with self.assertRaises(TypeError):
            stoa.submit(print, 1)
        with self.assertRaises(TypeError):
            stoa.submit()


class TestStates(Owner):
    """A -> B -> A and posted calls leave each side's own things alone."""

    def test_context_and_handled_exception(self):
        self.it.exec(
            "def look():\n"
            "    var.set('changed by the call')\n"
            "    return str(sys.exc_info()[0])\n"
            "def work(ready):\n"
            "    global result\n"
            "    var.set('mine')\n"
            "    bad = []\n"
            "    try:\n"
            "        raise KeyError('theirs')\n"
            "    except KeyError:\n"
            "        ready.set()\n"
            "        while not stop.is_set():\n"
            "            if var.get() != 'mine' or sys.exc_info()[0] is not KeyError:\n"
            "                bad.append((var.get(), sys.exc_info()))\n"
            "                break\n"
            "    result = repr(bad)\n"
            "def start_work():\n"
            "    stop.clear()\n"
            "    ready = threading.Event()\n"
            "    thread = threading.Thread(target=work, args=(ready,))\n"
            "    thread.start()\n"
            "    ready.wait()\n"
            "    return thread\n"
        )
        look = stoa.options(self.get("look"), via="post")
        thread = self.get("start_work()")
        seen = set(self.until_counted("calls_posted", look))
        self.get("stop").set()
        thread.join()
        self.assertEqual(seen, {"None"})
        self.assertEqual(self.get("result"), "[]")

    def test_nesting_sees_its_own_states(self):
        mine = contextvars.ContextVar("mine")
        local = threading.local()
        local.value = "home"
        mine.set("home")
        seen = []
        self.it.exec(
            "local = threading.local()\n"
            "def through(callback, depth):\n"
            "    local.value = depth\n"
            "    var.set(depth)\n"
            "    try:\n"
            "        raise ValueError(depth)\n"
            "    except ValueError as error:\n"
            "        callback(depth)\n"
            "        assert sys.exc_info()[1] is error\n"
            "    return local.value, var.get()\n"
        )
        through = self.get("through")

        def back(depth):
            seen.append((depth, local.value, mine.get(), type(sys.exc_info()[1]).__name__))
            if depth > 0:
                try:
                    raise LookupError
                except LookupError:
                    through(back, depth - 1)
                    self.assertIsInstance(sys.exc_info()[1], LookupError)

        self.assertEqual(through(back, 3), (0, 0))
        self.assertEqual(
            seen,
            [(3, "home", "home", "NoneType")] + [(d, "home", "home", "LookupError") for d in (2, 1, 0)],
        )

    def test_trace_function_stays_with_its_interpreter(self):
        events = []

        def trace(frame, event, arg):
            events.append(frame.f_code.co_name)

        sleep = self.get("sleep")
        sys.settrace(trace)
        try:
            sleep(0)
        finally:
            sys.settrace(None)
        self.assertNotIn("sleep", events)

    def test_recursion_is_an_error(self):
        for where in ("here", "thread"):
            self.it.exec("def bounce(f, g, n):\n    return f(g, f, n + 1)")
            bounce = self.get("bounce")

            def mine(f, g, n):
                return f(g, f, n + 1)

            outcome = []

            def body():
                limit = sys.getrecursionlimit()
                sys.setrecursionlimit(1_000_000)
                try:
                    bounce(mine, bounce, 0)
                except RecursionError as error:
                    outcome.append(type(error))
                    self.assertNotIn("STOA_", str(error))
                except BaseException as error:  # noqa: BLE001
                    outcome.append(error)
                finally:
                    sys.setrecursionlimit(limit)

            if where == "here":
                body()
            else:
                thread = threading.Thread(target=body)
                thread.start()
                thread.join()
            self.assertEqual(outcome, [RecursionError], where)
            self.assertEqual(self.get("ident")(), threading.get_ident())


if __name__ == "__main__":
    unittest.main()
