"""interrupt() reaches the innermost code, whichever interpreter that is in; what is stopped is stopped until it ends."""

import os
import random
import threading
import time
import unittest

import child
import stoa
from calls_support import limits

SEED = int(os.environ.get("STOA_TEST_SEED", time.time_ns() % 10**9))
ROUNDS = int(os.environ.get("STOA_TEST_ROUNDS", 60))

CODE = """
import asyncio, threading, time, weakref
import stoa
running = threading.Event()
log = []
def forever():
    running.set()
    while True:
        pass
def through(f, *args):
    try:
        return f(*args)
    except BaseException as error:
        log.append(type(error).__name__)
        raise
def catching(f, *args):
    try:
        f(*args)
    except KeyboardInterrupt:
        return "caught"
def wait(thing):
    running.set()
    thing.get()
def wait_in_a_loop(queue):
    async def main():
        queue.put(1)
        await queue.aget()  # its imports are done: Python may swallow what is raised in one
        running.set()
        await queue.aget()
    asyncio.run(main())
def count(n):
    s = 0
    for i in range(n):
        s += i
    return s
stop = threading.Event()
def spin():
    while not stop.is_set():
        pass
    return "never hit"
def start():
    thread = threading.Thread(target=lambda: log.append(spin()))
    thread.start()
    return thread
class Deaf:
    def __del__(self):
        forever()
def finaliser():
    Deaf()
    forever()
def callback():
    class Object: pass
    thing = Object()
    keep = weakref.ref(thing, lambda _: forever())
    del thing
    forever()
def stubborn():
    for _ in range(3):
        try:
            forever()
        except BaseException:
            log.append("caught")
def cleaning():
    try:
        forever()
    finally:
        end = time.monotonic() + 0.5
        while time.monotonic() < end: pass
        log.append("clean")
"""


# What looks like importlib's own code.
IMPORTING = """
exec(compile('''
def importing():
    global turns
    turns = 0
    running.set()
    while not let_go:
        turns += 1
''', "<frozen importlib._bootstrap of a test>", "exec"))
def load():
    importing()
    log.append("imported")
    forever()
"""


class Three(unittest.TestCase):
    def setUp(self):
        self.a, self.b, self.c = self.all = [stoa.Interpreter() for _ in range(3)]
        for it in self.all:
            self.addCleanup(it.close)
            it.exec(CODE)

    def get(self, it, name):
        return it.call(eval, name)

    def log(self, it):
        return list(self.get(it, "log"))

    def begin(self, function, *args):
        """On a thread of its own: (thread, what came of it)."""
        outcome = []

        def body():
            try:
                outcome.append(function(*args))
            except BaseException as error:
                outcome.append(type(error))

        thread = threading.Thread(target=body)
        thread.start()
        return thread, outcome

    def begin_in(self, it, function, *args):
        running = self.get(it, "running")
        running.clear()
        begun = self.begin(function, *args)
        self.assertTrue(running.wait(60))
        return begun

    def settled(self):
        for _ in range(6000):
            if not any(i["inside"] for i in stoa.stats()["interpreters"] if i["id"] != stoa.main().id):
                return
            time.sleep(0.005)
        self.fail("still running")

    def nothing_is_left(self):
        self.settled()
        through = [self.get(it, "through") for it in self.all]
        for i in range(500):
            self.assertEqual(through[0](through[1], through[2], through[0], abs, -i), i)
        self.assertEqual([it.interrupt() for it in self.all], [False] * 3)


class TestInterrupt(Three):
    def check(self, begun, *interrupted, outcome=KeyboardInterrupt):
        thread, seen = begun
        for it in interrupted:
            self.assertTrue(it.interrupt())
        thread.join(60)
        self.assertEqual(seen, [outcome])
        self.nothing_is_left()

    def test_through_a_proxy(self):
        forever = self.get(self.b, "forever")
        self.check(self.begin_in(self.b, self.get(self.a, "through"), forever), self.a)
        self.assertEqual(self.log(self.a), ["KeyboardInterrupt"])

    def test_through_call_and_exec(self):
        self.a.prepare_main(b=self.b)
        self.a.exec("def call(): b.call('__main__:forever')\ndef execute(): b.exec('forever()')")
        self.check(self.begin_in(self.b, self.get(self.a, "call")), self.a)
        self.check(self.begin_in(self.b, self.get(self.a, "execute")), self.a)

    def test_called_code_may_catch_it(self):
        work = self.get(self.a, "through"), self.get(self.b, "catching"), self.get(self.c, "forever")
        self.check(self.begin_in(self.c, *work), self.a, outcome="caught")
        self.assertEqual(self.log(self.a), [])

    def test_importlib_is_left_alone(self):
        """Its locks would stay taken: the interrupt comes when it is through, unless it takes more than some four seconds."""
        self.a.exec(IMPORTING)
        for _ in range(5):  # on a machine that stands still for seconds nothing is tried
            self.a.exec("let_go = False")
            begun = self.begin_in(self.a, self.get(self.a, "load"))
            self.assertTrue(self.a.interrupt())
            before = self.get(self.a, "turns")
            while begun[0].is_alive() and self.get(self.a, "turns") < before + 10000:
                time.sleep(0.001)
            self.a.exec("let_go = True")
            self.check(begun)
            if "imported" in self.log(self.a):
                return
        self.fail("the import was broken off")

    def test_nested(self):
        a, b, c = (self.get(it, "through") for it in self.all)
        for it in self.all:
            self.check(self.begin_in(self.a, a, b, c, self.get(self.a, "forever")), it)
        self.assertEqual([self.log(it) for it in self.all], [["KeyboardInterrupt"] * 3] * 3)
        self.check(self.begin_in(self.c, a, b, self.get(self.c, "forever")), self.b)

    def test_two_at_once_are_one(self):
        work = self.get(self.a, "through"), self.get(self.b, "through"), self.get(self.c, "stubborn")
        begun = self.begin_in(self.c, *work)
        self.get(self.c, "running").clear()
        self.assertTrue(self.a.interrupt())
        self.assertTrue(self.get(self.c, "running").wait(60))  # caught, and on again
        self.get(self.c, "running").clear()
        self.assertTrue(self.b.interrupt())
        self.assertTrue(self.get(self.c, "running").wait(60))
        self.check(begun, self.a, outcome=None)
        self.assertEqual(self.log(self.c), ["caught"] * 3)

    def test_back_in_the_main_interpreter(self):
        running = threading.Event()

        def forever():
            running.set()
            while True:
                pass

        begun = self.begin(self.get(self.a, "through"), self.get(self.b, "through"), forever)
        self.assertTrue(running.wait(60))
        self.check(begun, self.a)
        self.assertEqual(self.log(self.b), ["KeyboardInterrupt"])

    def test_waits_there(self):
        for name in "wait", "wait_in_a_loop":
            self.check(self.begin_in(self.b, self.get(self.a, "through"), self.get(self.b, name), stoa.Queue()), self.a)

    def test_submitted(self):
        through, b, forever = self.get(self.a, "through"), self.get(self.b, "through"), self.get(self.c, "forever")
        self.check(self.begin_in(self.c, lambda: self.a.submit(through, b, forever).result()), self.a)
        self.check(self.begin_in(self.b, lambda: self.a.submit(through, self.get(self.b, "forever")).result()), self.a)

    def test_others_there_are_not_hit(self):
        thread = self.get(self.b, "start")()
        other, outcome = self.begin(self.get(self.b, "spin"))
        begun, seen = self.begin_in(self.b, self.get(self.a, "through"), self.get(self.b, "forever"))
        self.assertTrue(self.a.interrupt())
        begun.join(60)
        self.get(self.b, "stop").set()
        thread.join()
        other.join(60)
        self.assertEqual((seen, outcome), ([KeyboardInterrupt], ["never hit"]))
        self.assertEqual(self.log(self.b), ["never hit"])
        self.nothing_is_left()

    def test_done_by_another_thread(self):
        self.a.prepare_main(b=self.b)
        self.a.exec("def timed(): b.call('__main__:forever', timeout=1000)\n"
                    "def posted(f): stoa.options(f, via='post')()\n")
        self.check(self.begin_in(self.b, self.get(self.a, "timed")), self.a)
        self.settled()
        self.b.exec("def at_home(): return stoa.proxy(forever, thread='home')")
        at_home = self.b.submit(self.get(self.b, "at_home")).result(60)
        self.check(self.begin_in(self.b, self.get(self.a, "through"), at_home), self.a)
        self.settled()
        thread = self.get(self.b, "start")()
        self.check(self.begin_in(self.b, self.get(self.a, "posted"), self.get(self.b, "forever")), self.a)
        self.get(self.b, "stop").set()
        thread.join()
        self.assertEqual(self.log(self.b), ["never hit"])
        self.nothing_is_left()

    def test_work_of_others_in_the_midst_is_not_hit(self):
        """A thread of `a` waits, and meanwhile does what others want of an object of `b` that only it may touch."""
        self.a.prepare_main(b=self.b, queue=stoa.Queue(), ready=stoa.Queue())
        self.b.exec("def at_home(name): return stoa.proxy(globals()[name], thread='home')")
        self.a.exec("def work():\n"
                    "    ready.put(b.call('__main__:at_home', 'count'))\n"
                    "    ready.put(b.call('__main__:at_home', 'spin'))\n"
                    "    queue.get()\n")
        thread, seen = self.begin(lambda: self.a.submit(self.get(self.a, "work")).result())
        ready = self.get(self.a, "ready")
        count, spin = ready.get(), ready.get()
        self.assertEqual(count(10), 45)
        other, outcome = self.begin(spin)
        while not any(i["inside"] for i in stoa.stats()["interpreters"] if i["id"] == self.b.id):
            time.sleep(0.001)
        self.assertTrue(self.a.interrupt())
        for _ in range(50):
            self.assertEqual(self.get(self.b, "sum")((1000,)), 1000)
        self.assertEqual((seen, outcome), ([], []))
        self.get(self.b, "stop").set()
        other.join(60)
        thread.join(60)
        self.assertEqual((seen, outcome), ([KeyboardInterrupt], ["never hit"]))
        self.nothing_is_left()

    def interrupted_while_closing(self, it):
        """A runs endless code of B, is interrupted while `it` is being closed, and both come to their end."""
        begun = self.begin_in(self.b, self.get(self.a, "through"), self.get(self.b, "forever"))
        closing, closed = self.begin(it.close)
        while not closed:
            try:
                it.call(abs, 1)
            except stoa.InterpreterGone:
                break
        self.assertTrue(self.a.interrupt())
        closing.join(60)
        begun[0].join(60)
        self.assertEqual((closed, begun[1]), ([None], [KeyboardInterrupt]))

    def test_what_closes_meanwhile(self):
        self.interrupted_while_closing(self.b)
        self.assertEqual(self.log(self.a), ["KeyboardInterrupt"])
        self.assertFalse(self.a.interrupt())

    def test_what_is_being_closed_itself(self):
        self.interrupted_while_closing(self.a)
        self.assertFalse(self.a.interrupt())

    def test_at_the_end_of_the_program(self):
        child.check(self, """
            import stoa, threading
            a, b = stoa.Interpreter(), stoa.Interpreter()
            for it in a, b:
                it.exec("import threading, stoa\\nrunning = threading.Event()\\n"
                        "def forever():\\n"
                        "    running.set()\\n"
                        "    while True: pass\\n"
                        "def through(f):\\n"
                        "    try: f()\\n"
                        "    except SystemExit: print('told', flush=True)\\n")
            work = a.call(eval, "through"), b.call(eval, "forever")
            threading.Thread(target=lambda: work[0](work[1]), daemon=True).start()
            b.call(eval, "running").wait()
        """, stdout="told\n", env={**os.environ, "STOA_EXIT_PATIENCE": "2"})


class TestRaces(Three):
    def test_interrupts_around_short_calls(self):
        """What is interrupted hears of it once, or was over before; what is not, never does."""
        rand = random.Random(SEED)
        self.c.exec("def apply(f, *args): return f(*args)")
        a, b, c = (self.get(it, "through") for it in self.all)
        count = [self.get(it, "count") for it in self.all]
        ways = [(a, b, count[1]), (a, b, c, count[2]), (a, b, a, count[0]), (a, count[0]), (a, b, a, b, count[1])]
        told, heard, over = [0], [0], []
        turn = threading.Semaphore(0)

        def interrupts():
            while not over:
                turn.acquire()
                time.sleep(rand.random() * 0.0004)
                told[0] += self.a.interrupt()

        thread = threading.Thread(target=interrupts)
        thread.start()
        try:
            for i in range(ROUNDS * 10):
                way, n = rand.choice(ways), rand.randrange(4000)
                turn.release()
                try:
                    self.assertEqual(way[0](*way[1:], n), n * (n - 1) // 2)
                except KeyboardInterrupt:
                    heard[0] += 1
                for j in range(3):  # not of `a`
                    self.assertEqual(b(c, count[1], 50), 1225)
        except BaseException as error:
            error.add_note(f"STOA_TEST_SEED={SEED}")
            raise
        finally:
            over.append(True)
            turn.release()
            thread.join()
        self.assertLessEqual(heard[0], told[0])
        self.assertGreater(told[0], 0)
        self.nothing_is_left()

    def test_none_is_lost(self):
        """Between short calls, and into what never ends: each one arrives."""
        self.a.exec("def mixed(f, g, n):\n"
                    "    running.set()\n"
                    "    while True:\n"
                    "        f(g, n)\n")
        rand = random.Random(SEED)
        for i in range(ROUNDS):
            begun = self.begin_in(self.a, self.get(self.a, "mixed"), self.get(self.b, "through"),
                                  self.get(self.c, "count"), rand.choice([0, 1, 30, 3000]))
            time.sleep(rand.random() * 0.001)
            self.assertTrue(self.a.interrupt())
            begun[0].join(60)
            self.assertEqual(begun[1], [KeyboardInterrupt], f"STOA_TEST_SEED={SEED}")


class TestStops(Three):
    def stopped(self, it, call):
        """call(limit) runs into its limit when `it` has begun what is endless, and ends; what was logged there."""
        running, log = self.get(it, "running"), self.get(it, "log")
        for limit in limits(running.is_set):
            running.clear()
            log.clear()
            with self.assertRaises(stoa.Timeout):
                call(limit)
            self.settled()
        return self.log(it)

    def check(self, name, log=()):
        function = self.get(self.b, name)
        for call in (lambda limit: self.b.call("__main__:" + name, timeout=limit),
                     lambda limit: stoa.options(function, timeout=limit)()):
            self.assertEqual(set(self.stopped(self.b, call)), set(log))
        self.nothing_is_left()

    def test_swallowed_by_python(self):
        self.b.exec("import sys\nsys.unraisablehook = lambda unraisable: log.append('ignored')")
        self.check("finaliser", ["ignored"])
        self.check("callback", ["ignored"])

    def test_caught(self):
        self.check("stubborn", ["caught"])

    def test_cleaning_up_is_left_alone(self):
        self.check("cleaning", ["clean"])

    def test_in_a_third_interpreter(self):
        self.c.exec("import sys\nsys.unraisablehook = lambda unraisable: log.append('ignored')")
        for name, seen in ("finaliser", ["ignored"]), ("cleaning", ["clean"]), ("stubborn", ["caught"] * 3):
            work = self.get(self.b, "through"), self.get(self.c, name)
            self.assertEqual(self.stopped(self.c, lambda limit: self.b.call(*work, timeout=limit)), seen)
        self.nothing_is_left()

    def test_while_the_work_calls_elsewhere_all_the_time(self):
        self.b.exec("def calls(f):\n    while True: f(1)")
        for _ in range(ROUNDS // 3):
            with self.assertRaises(stoa.Timeout):
                stoa.options(self.get(self.b, "calls"), timeout=0.003)(self.get(self.c, "count"))
            self.settled()
        self.nothing_is_left()

    def test_cleaning_up_elsewhere(self):
        """The code that is stopped calls another interpreter for its cleaning up."""
        self.b.exec("def calls(clean):\n    try: forever()\n    finally: clean()")
        self.c.exec("def clean():\n    end = time.monotonic() + 0.5\n"
                    "    while time.monotonic() < end: pass\n"
                    "    log.append('clean')")
        work, clean = self.get(self.b, "calls"), self.get(self.c, "clean")
        self.stopped(self.b, lambda limit: stoa.options(work, timeout=limit)(clean))
        self.assertEqual(set(self.log(self.c)), {"clean"})


if __name__ == "__main__":
    unittest.main()
