"""Calls that take too long or are interrupted."""

import contextvars
import os
import tempfile
import threading
import time
import unittest

import stoa
from calls_support import OWNER, Owner, limits


class TestTimeout(Owner):
    def check(self, call):
        """The call, which would not end by itself, runs into its limit."""
        with self.assertRaises(stoa.Timeout) as caught:
            call()
        self.assertIn(self.it.name, str(caught.exception))
        self.assertIsInstance(caught.exception, TimeoutError)

    def settled(self):
        """What ran too long has ended."""
        self.until(lambda: self.inside() == [0], "still running")

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
            "def slow(gate, answer):\n"
            "    hold(gate)\n"
            "    forever()\n"
            "    log.append(answer)\n"
            "    return Noisy()\n"
            "def quick(answer): return answer\n"
        )
        slow = stoa.options(self.get("slow"), timeout=0.05)
        quick = stoa.options(self.get("quick"), timeout=60)
        gate, let_go = self.gate()
        self.check(lambda: slow(gate, "late"))
        for i in range(20):
            self.assertEqual(quick(i), i)
        let_go()
        self.settled()
        for i in range(20):
            self.assertEqual(quick(i), i)
        # its exception met it when it was let go: nothing was appended, nothing is left
        self.assertEqual(list(self.get("log")), [])
        self.assertEqual(self.get("Noisy.alive"), 0)

    def test_late_result_is_freed(self):
        self.it.exec(
            "class Noisy:\n"
            "    alive = 0\n"
            "    def __init__(self): Noisy.alive += 1\n"
            "    def __del__(self): Noisy.alive -= 1\n"
            "def stubborn():\n"
            "    for _ in range(3):\n"
            "        try:\n"
            "            forever()\n"
            "        except BaseException:\n"
            "            log.append('caught')\n"
            "    return [Noisy()]\n"
        )
        log = self.get("log")
        for limit in limits(lambda: len(log)):
            self.check(stoa.options(self.get("stubborn"), timeout=limit))
            self.settled()
        self.assertEqual(set(self.get("log")), {"caught"})  # each time that it was told
        self.until(lambda: self.get("Noisy.alive") == 0, "it is kept")

    def test_late_buffer_is_released(self):
        self.it.exec(
            "class Slow:\n"
            "    memory = bytearray(8)\n"
            "    def __buffer__(self, flags):\n"
            "        view = memoryview(self.memory)\n"
            "        for _ in range(3):\n"
            "            try:\n"
            "                forever()\n"
            "            except BaseException:\n"
            "                log.append('caught')\n"
            "        return view\n"
            "    def is_free(self):\n"
            "        try:\n"
            "            self.memory.append(0)\n"
            "        except BufferError:\n"
            "            return False\n"
            "        return True\n"
            "slow = Slow()\n"
        )
        slow, log = self.get("slow"), self.get("log")
        for limit in limits(lambda: len(log)):
            self.check(lambda: memoryview(stoa.options(slow, timeout=limit)))
            self.settled()
        self.until(slow.is_free, "the memory is exported still")

    def test_importlib_is_left_alone(self):
        """Code that is to stop waits for the lock of a module that another thread imports: it gets it, and gives it back."""
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "slow_to_import.py"), "w") as file:
                file.write("import __main__\n__main__.running = True\n__main__.hold(__main__.gate)\n")
            self.it.exec(
                f"sys.path.insert(0, {folder!r})\n"
                "def start(at):\n"
                "    global gate, running, thread\n"
                "    gate, running = at, False\n"
                "    sys.modules.pop('slow_to_import', None)\n"
                "    thread = threading.Thread(target=__import__, args=('slow_to_import',))\n"
                "    thread.start()\n"
                "def load():\n"
                "    import slow_to_import\n"
                "    log.append('imported')\n"
                "    forever()\n"
            )
            load = self.get("load")
            for limit in 0.05, 0.2, 1, 5:  # a short one may be over before it waits
                gate, let_go = self.gate()
                self.get("start")(gate)
                self.until(lambda: self.get("running"), "it is not imported")
                self.check(stoa.options(load, timeout=limit))
                time.sleep(0.1)  # the exception is on its way by now, most probably
                let_go()
                self.get("thread").join()
                self.settled()
                if "imported" in self.get("log"):
                    return
            self.fail("the import was broken off")

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

    def test_iterators_have_the_options(self):
        self.it.exec(
            "class Slow:\n"
            "    def __iter__(self): return self\n"
            "    def __next__(self):\n"
            "        while True: pass\n"
            "    def __reversed__(self): return Slow()\n"
            "    def __aiter__(self): return Slow()\n"
            "    def __anext__(self): return Slow()\n"
            "    def __await__(self): return Slow()\n"
            "def count():\n"
            "    yield 1\n"
            "    while True: pass\n"
        )
        slow = stoa.options(self.get("Slow()"), timeout=0.1)
        self.check(lambda: list(slow))
        self.check(lambda: next(iter(slow)))
        self.check(lambda: next(reversed(slow)))

        async def wait():
            await slow

        async def go_over():
            async for _ in slow:
                pass
        self.check(lambda: wait().send(None))
        self.check(lambda: go_over().send(None))
        counting = stoa.options(self.get("count()"), timeout=60)
        self.assertIs(iter(counting), counting)
        self.assertEqual(next(counting), 1)
        self.check(lambda: next(stoa.options(counting, timeout=0.1)))
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
        hold = stoa.options(self.get("hold"), timeout=60)
        gate, let_go = self.gate()
        outcome = []

        def body():
            try:
                outcome.append(hold(gate))
            except stoa.InterpreterGone:
                outcome.append("gone")

        threads = [threading.Thread(target=body), threading.Thread(target=self.it.close)]
        threads[0].start()
        self.until_inside()
        threads[1].start()
        self.until_closing()
        let_go()
        for thread in threads:
            thread.join()
        self.assertEqual(outcome, ["held"])  # calls under way finish
        for use in (lambda: hold(gate), lambda: stoa.options(hold, timeout=1)):
            with self.assertRaisesRegex(stoa.InterpreterGone, f"'{self.it.name}'"):
                use()


class TestInTheCallersStead(Owner):
    """A thread of Stoa's does what has a limit. Nobody can tell, but by the thread's number."""

    def setUp(self):
        super().setUp()
        self.it.exec(
            "local = threading.local()\n"
            "other = threading.local()\n"
            "def put(value):\n    var.set(value)\n    local.value = other.value = value\n"
            "def see(): return var.get(), getattr(local, 'value', None), getattr(other, 'value', None)\n"
            "def call(f, *args): return f(*args)\n"
            "def caught(f):\n"
            "    try: f()\n"
            "    except BaseException as e: log.append(type(e).__name__)\n"
        )

    def both(self, name):
        p = self.get(name)
        return p, stoa.options(p, timeout=60)

    def on_new_threads(self, body):
        """One after the other: service threads are used again, and nothing of one caller is left for the next."""
        seen = []
        for value in range(0, 300, 100):
            thread = threading.Thread(target=lambda value: (body(value), seen.append(value)), args=(value,))
            thread.start()
            thread.join(100)
        self.assertEqual(seen, [0, 100, 200])

    def test_what_the_thread_keeps_in_the_owner(self):
        (put, timed_put), (see, timed_see) = self.both("put"), self.both("see")

        def body(value):
            self.assertEqual(see(), ("unset", None, None))
            timed_put(value)  # the first to use them, on this thread's behalf
            self.assertEqual((see(), timed_see()), ((value,) * 3,) * 2)
            put(value + 1)
            self.assertEqual((timed_see(), self.it.call(eval, "see()", timeout=60)), ((value + 1,) * 3,) * 2)
            self.it.exec("put(var.get() + 1)", timeout=60)
            self.assertEqual(see(), (value + 2,) * 3)

        self.on_new_threads(body)
        self.assertEqual(timed_see(), ("unset", None, None))

    def test_what_the_thread_keeps_two_limits_away(self):
        with stoa.Interpreter() as near:
            near.exec("import stoa\ndef timed(f, *args): return stoa.options(f, timeout=60)(*args)")
            timed = stoa.options(near.call(eval, "timed"), timeout=60)
            put, see = self.get("put"), self.get("see")

            def body(value):
                self.assertEqual(see(), ("unset", None, None))
                timed(put, value)
                self.assertEqual((see(), timed(see)), ((value,) * 3,) * 2)
                put(value + 1)
                self.assertEqual((timed(see), see()), ((value + 1,) * 3,) * 2)

            self.on_new_threads(body)
            self.assertEqual(timed(see), ("unset", None, None))

    def test_what_the_thread_keeps_in_a_third_interpreter(self):
        with stoa.Interpreter() as near:
            near.exec("import stoa\ndef plain(f, *args): return f(*args), f(*args)\ndef owners(p, code): return stoa.owner(p).call(eval, code)")
            timed = stoa.options(near.call(eval, "plain"), timeout=60)
            timed_owners = stoa.options(near.call(eval, "owners"), timeout=60)
            put, see, get = self.get("put"), self.get("see"), self.get("lambda f: call(see)")

            def body(value):
                self.assertEqual(see(), ("unset", None, None))  # from now on the thread has been there
                timed(put, value)
                self.assertEqual((see(), timed(see)), ((value,) * 3, ((value,) * 3,) * 2))
                put(value + 1)
                self.assertEqual((timed(see)[1], timed(get, None)[0], timed_owners(see, "see()")), ((value + 1,) * 3,) * 3)
                self.assertEqual(near.call(eval, "owners", timeout=60)(see, "put(var.get() + 1)"), None)
                self.assertEqual(near.call("builtins:list", (1, 2), timeout=60), [1, 2])
                self.assertEqual(see(), (value + 2,) * 3)
                gate, let_go = self.gate()
                with self.assertRaises(stoa.Timeout):  # nobody's, once the caller has left
                    near.call("__main__:plain", self.get("hold"), gate, timeout=0.05)
                let_go()
                let_go()  # once, if it hears in between that it is to stop
                self.assertEqual(see(), (value + 2,) * 3)

            self.on_new_threads(body)

    def test_callbacks_run_on_the_callers_thread(self):
        var = contextvars.ContextVar("var", default=0)
        lock, local, here = threading.RLock(), threading.local(), threading.get_ident()
        local.value = 7
        call, timed_call = self.both("call")

        def callback(depth=0):
            with lock:
                self.assertEqual((threading.get_ident(), local.value), (here, 7))
                var.set(var.get() + 1)
                if depth < 3:
                    self.assertEqual(timed_call(callback, depth + 1), call(callback, depth + 1))
            return depth

        with lock:  # which that thread may take again, and no other
            self.assertEqual(timed_call(callback), 0)
        self.assertEqual(var.get(), 15)
        self.assertEqual(timed_call(threading.get_ident), here)
        items = []
        timed_call(items.append, 1)
        self.assertEqual(items, [1])

        class Mine:
            def method(self, *, key):
                return threading.get_ident() == here and key
        self.it.exec("def methods(x): return [x.method(key=i) for i in range(5)]")
        self.assertEqual(list(stoa.options(self.get("methods"), timeout=60)(Mine())), [0, 1, 2, 3, 4])

    def two_away(self):
        """A function of a second interpreter; and one of `it`, itself with a limit, that calls it with a limit or without."""
        other = stoa.Interpreter()
        self.addCleanup(other.close)
        other.exec("def call(f, *args): return f(*args)")
        self.it.exec(
            "def within(limit, f, *args): return stoa.options(f, timeout=limit)(*args)\n"
            "def told(limit, f, *args):\n"
            "    try: return within(limit, f, *args)\n"
            "    except stoa.Timeout: return 'told'\n"
        )
        return other.call(eval, "call"), lambda name, limit: stoa.options(self.get(name), timeout=limit)

    def test_callbacks_run_on_the_outermost_callers_thread(self):
        far, near = self.two_away()
        here = threading.get_ident()
        for limit in (None, 60):
            self.assertEqual(near("within", 60)(limit, far, threading.get_ident), here)

        def deep(n):
            self.assertEqual(threading.get_ident(), here)
            return near("within", 60)(60, far, deep, n - 1) + 1 if n else 0
        self.assertEqual(deep(4), 4)
        with self.assertRaises(ZeroDivisionError):
            near("within", 60)(60, far, lambda: 1 / 0)

    def test_limits_around_a_callback_into_the_outermost_caller(self):
        far, near = self.two_away()
        begun, ended, here = [], [], threading.get_ident()

        def forever():
            try:
                begun.append(threading.get_ident())
                while True:
                    pass
            except BaseException as error:
                ended.append(type(error).__name__)
                raise
        for limit in limits(lambda: here in begun):  # else it came when the caller had left
            with self.assertRaises(stoa.Timeout):  # the outer one ends it
                near("within", limit)(60, far, forever)
        begun.clear()
        for limit in limits(lambda: here in begun):
            self.assertEqual(near("told", 60)(limit, far, forever), "told")  # the inner one; the outer call goes on
        self.assertEqual(set(ended), {"OutOfTime"})
        for i in range(2000):  # nothing is left on its way
            self.assertEqual(near("within", 60)(None, far, abs, -i) if i % 100 == 0 else self.get("call")(abs, -i), i)

    def test_exceptions_of_callbacks(self):
        def fail():
            raise LookupError("mine")
        with self.assertRaisesRegex(LookupError, "mine"):
            stoa.options(self.get("call"), timeout=60)(fail)

    def test_callback_that_takes_too_long(self):
        begun, here = [], threading.get_ident()

        def forever():
            begun.append(threading.get_ident())
            while True:
                pass
        for name in ("call", "caught"):
            begun.clear()
            for limit in limits(lambda: here in begun):
                with self.assertRaises(stoa.Timeout):
                    stoa.options(self.get(name), timeout=limit)(forever)
        log = self.get("log")
        self.until(lambda: len(log), "it is not told")
        self.assertEqual(set(log), {"Timeout"})
        for i in range(2000):  # no exception is left on its way
            self.assertEqual(self.get("call")(abs, -i), i)


GATED = """
import threading, weakref
class Kept: pass
gate = threading.Lock()
gate.acquire()
def make():
    global seen
    kept = Kept()
    seen = weakref.ref(kept, gate.acquire)  # so who drops it last waits, with no Python code around
    return kept
def open_when_told(by):
    threading.Thread(target=lambda: (os.read(by, 1), gate.release())).start()
"""


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
        self.until(lambda: self.get("'running' in dir(__import__('__main__'))"), "it does not run")
        self.assertTrue(self.it.interrupt())
        thread.join()
        self.assertEqual(outcome, ["interrupted"])
        self.assertFalse(self.it.interrupt())

    def test_thread_that_tidies_up(self):
        # it ends, and takes what it has kept in the interpreter down: whoever has joined it finds the interpreter idle
        self.it.exec(GATED + """
local = threading.local()
def keep(): local.kept = make()
""")
        thread = threading.Thread(target=lambda: self.it.exec("keep()"))
        thread.start()
        try:
            self.until(lambda: self.get("'seen' in globals() and seen() is None"), "it does not end")
            self.assertFalse(self.it.interrupt())
        finally:
            self.it.exec("gate.release()")
            thread.join()

    def test_releases_that_are_applied(self):
        self.it.exec(GATED)
        told, opens = self.gate()
        self.get("open_when_told")(told)
        try:
            stoa.release(self.get("make()"))
            self.until_inside()  # nobody calls: it is a thread of ours, which applies the release
            self.assertFalse(self.it.interrupt())
        finally:
            opens()

    def test_finalizer_of_a_thread_that_tidies_up(self):
        self.it.exec("""
import sys, threading, time
told = []
sys.unraisablehook = lambda raised: told.append(raised.exc_type.__name__)
class Kept:
    def __del__(self):
        told.append("begun")
        while True: pass
local = threading.local()
def keep(): local.kept = Kept()
""")
        thread = threading.Thread(target=lambda: self.it.exec("keep()"))
        thread.start()
        self.until(lambda: self.get("told == ['begun']"), "it does not end")
        self.assertTrue(self.it.interrupt())
        thread.join()
        self.until(lambda: self.get("told == ['begun', 'KeyboardInterrupt']"), "it is not interrupted")

    def test_code_that_waits_for_a_call(self):
        # the interpreter waits for a call of its own into another one
        other = stoa.Interpreter()
        self.addCleanup(other.close)
        other.exec(OWNER)
        self.it.exec("def wait(f, gate): stoa.options(f, timeout=1000)(gate)")
        wait, hold = self.get("wait"), other.call(eval, "hold")
        gate, let_go = self.gate()
        outcome = []

        def body():
            try:
                outcome.append(wait(hold, gate))
            except KeyboardInterrupt:
                outcome.append("interrupted")

        thread = threading.Thread(target=body)
        thread.start()
        self.until_inside(other)
        self.assertTrue(self.it.interrupt())
        thread.join(60)
        self.assertEqual(outcome, ["interrupted"])  # before that call has ended
        let_go()
        thread.join()


if __name__ == "__main__":
    unittest.main()
