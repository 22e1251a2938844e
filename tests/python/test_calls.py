"""How a call gets to its owner: entered, let in, posted, at home, served with a deadline; signals, interrupts, limits."""

import asyncio
import contextvars
import sqlite3
import sys
import threading
import time
import unittest

import stoa
import child

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


class TestTimeout(Owner):
    def check(self, call, seconds=0.1):
        begin = time.monotonic()
        with self.assertRaises(stoa.Timeout) as caught:
            call()
        self.assertLess(time.monotonic() - begin, seconds + 3)
        self.assertIn(self.it.name, str(caught.exception))
        self.assertIsInstance(caught.exception, TimeoutError)

    def settled(self):
        """What ran too long has ended."""
        for _ in range(2000):
            inside = [i["inside"] for i in stoa.stats()["interpreters"] if i["id"] == self.it.id]
            if inside == [0]:
                return
            time.sleep(0.005)
        self.fail("still running")

    def test_closed_as_soon_as_the_time_is_up(self):
        for _ in range(8):
            with stoa.Interpreter() as it:
                with self.assertRaises(stoa.Timeout):
                    it.exec("while True: pass", timeout=0.02)
                it.close(timeout=30)

    def test_many_limits_at_once(self):
        def run():
            for _ in range(20):
                self.assertEqual(self.it.call(eval, "6 * 7", timeout=30), 42)
        threads = [threading.Thread(target=run) for _ in range(6)]
        self.check(lambda: [t.start() for t in threads] and self.it.exec("while True: pass", timeout=0.3))
        for thread in threads:
            thread.join(30)
            self.assertFalse(thread.is_alive())
        self.settled()

    def test_exec_and_call(self):
        self.check(lambda: self.it.exec("while True: pass", timeout=0.1))
        self.settled()
        self.check(lambda: self.it.call(eval, "forever()", timeout=0.1))
        self.settled()
        self.assertEqual(self.it.call(eval, "6 * 7", timeout=20), 42)
        self.it.exec("x = 1", timeout=20)
        self.assertEqual(self.get("x"), 1)
        with self.assertRaises(ZeroDivisionError):
            self.it.exec("1 / 0", timeout=20)
        with self.assertRaises(ZeroDivisionError):
            self.it.call(eval, "1 / 0", timeout=20)
        self.check(lambda: self.it.exec("forever()", timeout=0))
        self.settled()

    def test_proxy(self):
        self.check(stoa.options(self.get("forever"), timeout=0.1))
        self.settled()
        self.assertEqual(stoa.options(self.get("ident"), timeout=20)() > 0, True)

    def test_blocking_call_ends_later_and_reaches_nobody(self):
        self.it.exec(
            "class Noisy:\n"
            "    alive = 0\n"
            "    def __init__(self): Noisy.alive += 1\n"
            "    def __del__(self): Noisy.alive -= 1\n"
            "def slow(seconds, answer):\n"
            "    time.sleep(seconds)\n"
            "    log.append(answer)\n"
            "    return Noisy()\n"
            "def quick(answer): return answer\n"
        )
        slow = stoa.options(self.get("slow"), timeout=0.05)
        quick = stoa.options(self.get("quick"), timeout=20)
        self.check(lambda: slow(0.6, "late"), 0.05)
        for i in range(20):
            self.assertEqual(quick(i), i)
        self.settled()
        for i in range(20):
            self.assertEqual(quick(i), i)
        # its exception met it when the sleep was over: nothing was appended, nothing is left
        self.assertEqual(list(self.get("log")), [])
        self.assertEqual(self.get("Noisy.alive"), 0)

    def test_late_result_is_freed(self):
        self.it.exec(
            "class Noisy:\n"
            "    alive = 0\n"
            "    def __init__(self): Noisy.alive += 1\n"
            "    def __del__(self): Noisy.alive -= 1\n"
            "def until(end):\n"
            "    while time.monotonic() < end: pass\n"
            "def stubborn():\n"
            "    end = time.monotonic() + 0.6\n"
            "    while time.monotonic() < end:\n"
            "        try:\n"
            "            until(end)\n"
            "        except BaseException:\n"
            "            log.append('caught')\n"
            "    return [Noisy()]\n"
        )
        self.check(stoa.options(self.get("stubborn"), timeout=0.05), 0.05)
        self.settled()
        self.assertEqual(list(self.get("log")), ["caught"])
        self.get("ident")()  # applies what was released
        self.assertEqual(self.get("Noisy.alive"), 0)

    def test_exception_is_for_that_call_only(self):
        # calls end all around their deadlines; whatever thread serves the next one must not be hit
        sleep, ident = self.get("sleep"), self.get("ident")
        self.it.exec("def check():\n    s = 0\n    for i in range(3000): s += i\n    return s")
        check = self.get("check")
        outcomes = set()
        for i in range(60):
            try:
                outcomes.add(stoa.options(sleep, timeout=0.002)(0.0015 + i % 5 * 0.0004))
            except stoa.Timeout:
                outcomes.add("timeout")
            self.assertEqual(stoa.options(check, timeout=20)(), 4498500)
            self.assertEqual(check(), 4498500)
        self.assertIn("timeout", outcomes)
        self.assertTrue(stoa.options(ident, timeout=20)())

    def test_nested_elsewhere(self):
        # the code that runs too long is two interpreters away
        other = stoa.Interpreter()
        self.addCleanup(other.close)
        other.exec("def forever():\n    while True: pass")
        self.it.exec("def call(f): return f()")
        self.check(lambda: stoa.options(self.get("call"), timeout=0.1)(other.call(eval, "forever")))
        self.settled()

    def test_methods_have_the_options(self):
        self.it.exec("class Slow:\n    def go(self):\n        while True: pass\nslow = Slow()")
        self.check(stoa.options(self.get("slow"), timeout=0.1).go)
        self.settled()

    def test_many_at_once(self):
        forever = stoa.options(self.get("forever"), timeout=0.1)
        caught = []

        def body():
            try:
                forever()
            except stoa.Timeout:
                caught.append(1)

        threads = [threading.Thread(target=body) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(caught), 8)
        self.settled()

    def test_closed_meanwhile(self):
        sleep = stoa.options(self.get("sleep"), timeout=20)
        outcome = []

        def body():
            try:
                outcome.append(sleep(0.2))
            except stoa.InterpreterGone:
                outcome.append("gone")

        thread = threading.Thread(target=body)
        thread.start()
        self.until_inside()
        self.it.close()
        thread.join()
        self.assertEqual(outcome, ["slept"])  # calls under way finish
        with self.assertRaises(stoa.InterpreterGone):
            sleep(0)


class TestHome(Owner):
    def make_home(self, expression="log"):
        """A proxy of an object whose home is the interpreter's own thread."""
        self.it.exec("def make(expression):\n    return stoa.proxy(eval(expression), thread='home')")
        return self.it.submit(self.get("make"), expression).result(20)

    def own_thread(self):
        return self.it.submit(threading.get_ident).result(20)

    def test_only_that_thread_runs_calls(self):
        ident = self.make_home("ident")
        before = counters()["calls_home"]
        self.assertEqual(ident(), self.own_thread())
        self.assertGreater(counters()["calls_home"], before)
        seen = []
        threads = [threading.Thread(target=lambda: seen.append(ident())) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(set(seen), {self.own_thread()})

    def test_sqlite3_connection(self):
        self.it.exec("import sqlite3")
        connection = self.make_home("sqlite3.connect(':memory:')")
        connection.execute("create table t (a, b)")
        with connection:
            connection.executemany("insert into t values (?, ?)", stoa.by_copy([(i, str(i)) for i in range(50)]))
        cursor = connection.execute("select a, b from t where a >= ? order by a", (40,))
        self.assertEqual(cursor.fetchone(), (40, "40"))
        self.assertEqual([row[0] for row in cursor], list(range(41, 50)))
        other = stoa.Interpreter()
        self.addCleanup(other.close)
        other.exec("def count(c): return c.execute('select count(*) from t').fetchone()[0]")
        self.assertEqual(other.call(eval, "count")(connection), 50)
        with self.assertRaises(sqlite3.OperationalError):
            connection.execute("select * from nowhere")
        connection.close()

    def test_thread_that_runs_python(self):
        # the home is a thread of the owner that never waits in Stoa
        self.it.exec(
            "box = []\n"
            "def spin_at_home(ready):\n"
            "    box.append(stoa.proxy(ident, thread='home'))\n"
            "    ready.set()\n"
            "    while not stop.is_set(): pass\n"
            "def start_at_home():\n"
            "    stop.clear(); ready = threading.Event()\n"
            "    thread = threading.Thread(target=spin_at_home, args=(ready,))\n"
            "    thread.start(); ready.wait()\n"
            "    return thread\n"
        )
        thread = self.get("start_at_home()")
        ident = self.get("box[0]")
        try:
            self.assertEqual({ident() for _ in range(20)}, {thread.ident})
            self.busy()  # a second thread runs Python, too
            self.assertEqual({ident() for _ in range(5)}, {thread.ident})
        finally:
            self.get("stop").set()
            thread.join()
        with self.assertRaisesRegex(stoa.InterpreterGone, "has ended"):
            ident()

    def test_here(self):
        # this thread is the home: served while it waits, and for itself at once
        mine = stoa.proxy([], thread="home")
        mine.append(threading.get_ident())
        self.it.exec("def add(p):\n    p.append(threading.get_ident())\n    return len(p)")
        self.assertEqual(self.get("add")(mine), 2)  # entered: the same thread
        ident = stoa.proxy(threading.get_ident, thread="home")
        self.it.exec("def ask(f): return f(), threading.get_ident()")
        got, theirs = stoa.options(self.get("ask"), timeout=20)(ident)
        self.assertEqual(got, threading.get_ident())
        self.assertNotEqual(theirs, threading.get_ident())

    def test_served_while_it_waits_for_a_name(self):
        name = f"test.calls.{self.it.id}"
        ident = stoa.proxy(threading.get_ident, thread="home")
        self.it.exec(
            "def tell(f, name):\n"
            "    stoa.publish(name, f())\n"
            "def make(f, name, ready):\n"
            "    def factory():\n"
            "        ready()\n"
            "        return f()\n"
            "    return stoa.once(name, factory)\n"
        )
        stoa.submit(self.get("tell"), ident, name)
        self.assertEqual(stoa.lookup(name, timeout=20), threading.get_ident())
        ready = threading.Event()
        future = stoa.submit(self.get("make"), ident, name + "once", stoa.proxy(ready.set))
        ready.wait(20)
        self.assertEqual(stoa.once(name + "once", lambda: "mine", timeout=20), threading.get_ident())
        self.assertEqual(future.result(20), threading.get_ident())
        stoa.unpublish(name)
        stoa.unpublish(name + "once")

    def test_mutual_calls_of_two_homes(self):
        other = stoa.Interpreter()
        self.addCleanup(other.close)
        code = (
            "import stoa, threading\n"
            "calls = []\n"
            "class Peer:\n"
            "    def ping(self, depth, peer):\n"
            "        calls.append(threading.get_ident())\n"
            "        return peer.ping(depth - 1, me) if depth else 'done'\n"
            "    def start(self, peer):\n"
            "        return [peer.ping(4, me) for _ in range(20)]\n"
            "me = None\n"
            "def make():\n"
            "    global me\n"
            "    me = stoa.proxy(Peer(), thread='home')\n"
            "    return me\n"
        )
        peers = []
        for it in (self.it, other):
            it.exec(code)
            peers.append(it.submit(it.call(eval, "make")).result(20))
        results = [stoa.submit(peers[i].start, peers[1 - i]) for i in (0, 1)]
        self.assertEqual([list(r.result(30)) for r in results], [["done"] * 20] * 2)
        for it in (self.it, other):
            own = it.submit(threading.get_ident).result(20)
            self.assertEqual(set(it.call(eval, "calls")), {own})

    def test_deadlock_names_the_circle(self):
        # this thread holds the lock and waits for the home thread; that one, in the call, waits for the lock
        lock = stoa.Lock()
        self.it.exec("def take(lock):\n    with lock: return 'taken'")
        take = self.make_home("take")
        with lock:
            with self.assertRaises(stoa.Deadlock) as caught:
                take(lock)
        text = str(caught.exception) + str(caught.exception.__cause__)
        self.assertIn("waits for", text)
        self.assertIn(self.it.name, text)
        self.assertIn(f"thread {threading.get_native_id()}", text)
        self.assertEqual(take(lock), "taken")  # nothing is left behind

    def test_locks_and_mutual_calls(self):
        # each home thread waits for the other one, and serves it: no circle
        other = stoa.Interpreter()
        self.addCleanup(other.close)
        lock = stoa.Lock()
        for it in (self.it, other):
            it.exec(
                "import stoa\n"
                "class Peer:\n"
                "    n = 0\n"
                "    def add(self, lock):\n"
                "        with lock: self.n += 1\n"
                "        return self.n\n"
                "    def start(self, peer, lock):\n"
                "        for _ in range(30): peer.add(lock)\n"
                "        return self.n\n"
                "def make_peer(): return stoa.proxy(Peer(), thread='home')\n"
            )
        peers = [it.submit(it.call(eval, "make_peer")).result(20) for it in (self.it, other)]
        futures = [stoa.submit(peers[i].start, peers[1 - i], lock) for i in (0, 1)]
        for future in futures:
            future.result(30)
        self.assertEqual([p.n for p in peers], [30, 30])

    def test_asyncio_loop(self):
        # the loop's thread sits in its selector; a call from elsewhere is run there at once
        async def serve():
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            seen = []

            def touch(x):
                seen.append((x, threading.get_ident(), asyncio.get_running_loop() is loop))
                if x == 2:
                    done.set_result(None)
                return x * 2

            self.it.exec("def use(f): return [f(i) for i in range(3)]")
            future = stoa.submit(self.get("use"), stoa.proxy(touch, thread="home"))
            await asyncio.wait_for(done, 20)
            result = await asyncio.wait_for(asyncio.wrap_future(future), 20)
            return list(result), seen

        result, seen = asyncio.run(serve())
        self.assertEqual(result, [0, 2, 4])
        self.assertEqual(seen, [(i, threading.get_ident(), True) for i in range(3)])

    def test_closed_while_a_call_waits(self):
        append = self.make_home().append
        busy = self.it.submit(time.sleep, 0.4)
        outcome = []

        def body():
            begin = time.monotonic()
            try:
                append(1)
            except stoa.InterpreterGone:
                outcome.append(time.monotonic() - begin)

        self.until_inside()
        thread = threading.Thread(target=body)
        thread.start()
        time.sleep(0.05)
        self.it.close()
        thread.join()
        busy.result(20)
        self.assertEqual(len(outcome), 1)

    def test_timeout(self):
        sleep = stoa.options(self.make_home("sleep"), timeout=0.05)
        begin = time.monotonic()
        with self.assertRaises(stoa.Timeout):
            sleep(1)
        self.assertLess(time.monotonic() - begin, 0.9)
        # not begun in time: it is taken back, and never run
        append = stoa.options(self.make_home("log"), timeout=0.05).append
        self.own_thread()
        busy = self.it.submit(time.sleep, 0.4)
        self.until_inside()
        with self.assertRaises(stoa.Timeout):
            append("late")
        busy.result(20)
        self.own_thread()
        self.assertEqual(list(self.get("log")), [])

    def test_other_threads_get_the_proxy(self):
        log = self.make_home()
        self.it.exec("def what(x): return stoa.is_proxy(x)")
        self.assertIs(self.get("what")(log), True)  # entered on this thread, which is not its home
        self.assertIs(self.it.submit(self.get("what"), log).result(20), False)

    def test_conflict(self):
        mine = []
        self.it.exec("def keep(x): global kept; kept = x")
        self.get("keep")(mine)
        with self.assertRaisesRegex(ValueError, "any thread"):
            stoa.proxy(mine, thread="home")
        yours = []
        p = stoa.proxy(yours, thread="home")
        self.assertIs(stoa.proxy(yours, thread="home"), p)
        failed = []

        def body():
            try:
                stoa.proxy(yours, thread="home")
            except ValueError as error:
                failed.append(str(error))

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        self.assertEqual(len(failed), 1)
        with self.assertRaises(ValueError):
            stoa.proxy(self.get("log"), thread="home")

    def test_owner_closed(self):
        log = self.make_home()
        self.it.close()
        with self.assertRaises(stoa.InterpreterGone):
            log.append(1)


class TestInterrupt(Owner):
    def test_code_that_runs(self):
        outcome = []

        def body():
            try:
                self.it.exec("import time\nrunning = True\nwhile True: pass")
            except KeyboardInterrupt:
                outcome.append("interrupted")

        thread = threading.Thread(target=body)
        thread.start()
        while not self.get("'running' in dir(__import__('__main__'))"):
            pass
        self.assertTrue(self.it.interrupt())
        thread.join()
        self.assertEqual(outcome, ["interrupted"])
        self.assertFalse(self.it.interrupt())

    def test_code_that_waits_for_a_call(self):
        # the interpreter waits for a call of its own into another one
        other = stoa.Interpreter()
        self.addCleanup(other.close)
        other.exec("import time\ndef sleep(s): time.sleep(s)")
        self.it.exec("def wait(f): stoa.options(f, timeout=20)(1.5)")
        wait, sleep = self.get("wait"), other.call(eval, "sleep")
        outcome = []

        def body():
            begin = time.monotonic()
            try:
                wait(sleep)
            except KeyboardInterrupt:
                outcome.append(time.monotonic() - begin)

        thread = threading.Thread(target=body)
        thread.start()
        time.sleep(0.1)
        self.assertTrue(self.it.interrupt())
        thread.join()
        self.assertEqual(len(outcome), 1)
        self.assertLess(outcome[0], 1.4)


SIGNALS = """
import os, signal, stoa, threading, time
it = stoa.Interpreter()
other = stoa.Interpreter()
def send(after=0.15, number=signal.SIGINT):
    def body():
        time.sleep(after)
        os.kill(os.getpid(), number)
    threading.Thread(target=body).start()
def caught(f):
    send()
    begin = time.monotonic()
    try:
        f()
    except KeyboardInterrupt:
        took = time.monotonic() - begin
        assert took < 3, took
        print("caught")
    else:
        print("not caught")
it.exec('''
import stoa, time
def forever():
    while True: pass
def through(f): f()
''')
other.exec("def forever():\\n    while True: pass")
"""


class TestSignals(unittest.TestCase):
    def run_code(self, code):
        return child.check(self, SIGNALS + code).stdout

    def test_ctrl_c(self):
        out = self.run_code(
            "caught(lambda: it.exec('while True: pass'))\n"
            "caught(it.call(eval, 'forever'))\n"
            "caught(lambda: it.call(eval, 'through')(other.call(eval, 'forever')))\n"
            "caught(lambda: it.exec('while True: pass', timeout=50))\n"
            "caught(stoa.options(it.call(eval, 'forever'), timeout=50))\n"
            "caught(lambda: stoa.lookup('never', timeout=50))\n"
        )
        self.assertEqual(out.split(), ["caught"] * 6)

    def test_handler_runs_in_time_and_code_goes_on(self):
        out = self.run_code(
            "seen = []\n"
            "def handler(number, frame): seen.append((number, stoa.current() == stoa.main()))\n"
            "signal.signal(signal.SIGUSR1, handler)\n"
            "send(0.1, signal.SIGUSR1)\n"
            "it.exec('''\n"
            "n = 0\n"
            "end = time.monotonic() + 0.5\n"
            "while time.monotonic() < end: n += 1\n"
            "''')\n"
            "print(seen == [(signal.SIGUSR1, True)], it.call(eval, 'n > 0'))\n"
        )
        self.assertEqual(out.split(), ["True", "True"])

    def test_storm(self):
        out = self.run_code(
            "count = 0\n"
            "def handler(number, frame):\n"
            "    global count\n"
            "    count += 1\n"
            "signal.signal(signal.SIGALRM, handler)\n"
            "signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\n"
            "f = it.call(eval, 'lambda x: x + 1')\n"
            "timed = stoa.options(f, timeout=20)\n"
            "end = time.monotonic() + 0.5\n"
            "n = 0\n"
            "while time.monotonic() < end:\n"
            "    assert f(n) == n + 1 and timed(n) == n + 1\n"
            "    n += 1\n"
            "signal.setitimer(signal.ITIMER_REAL, 0)\n"
            "print(n > 10, count > 5)\n"
        )
        self.assertEqual(out.split(), ["True", "True"])

    def test_fork_with_ticker_and_service_threads(self):
        out = self.run_code(
            "assert it.call(eval, '1 + 1', timeout=20) == 2\n"
            "mine = stoa.options(stoa.proxy(lambda: 5), timeout=20)\n"
            "assert mine() == 5\n"
            "__import__('warnings').simplefilter('ignore')  # about threads\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    ok = mine() == 5\n"
            "    try:\n"
            "        it.call(eval, '1', timeout=20)\n"
            "    except stoa.InterpreterGone:\n"
            "        os._exit(0 if ok else 1)\n"
            "    os._exit(2)\n"
            "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), it.call(eval, '3', timeout=20))\n"
        )
        self.assertEqual(out.split(), ["0", "3"])


if __name__ == "__main__":
    unittest.main()
