"""Interpreter: making, running, calling, looking, closing."""

import functools
import gc
import json
import math
import operator
import os
import pickle
import sys
import threading
import time
import unittest
import weakref

import stoa


def double(x):
    return 2 * x


class Making(unittest.TestCase):
    def test_name_and_id(self):
        with stoa.Interpreter(name="worker é") as interp:
            self.assertEqual(interp.name, "worker é")
            self.assertGreater(interp.id, 0)
            self.assertFalse(interp.closed)
            self.assertIn("worker é", repr(interp))
        self.assertTrue(interp.closed)
        self.assertIn("closed", repr(interp))

    def test_made_up_name(self):
        with stoa.Interpreter() as interp:
            self.assertTrue(interp.name)

    def test_bad_arguments(self):
        for kwargs in ({"name": ""}, {"name": "x" * 64}, {"name": "a\0b"}, {"gil": "none"}, {"gil": 1}):
            with self.subTest(kwargs), self.assertRaises(ValueError):
                stoa.Interpreter(**kwargs)
        with self.assertRaises(TypeError):
            stoa.Interpreter(name=3)
        with self.assertRaises(TypeError):
            stoa.Interpreter("positional")
        with self.assertRaises(UnicodeEncodeError):
            stoa.Interpreter(name="\ud800")

    def test_own_gil_runs_in_parallel(self):
        # the main interpreter spins and does not give up its GIL; only one with a GIL of its own can answer meanwhile
        with stoa.Interpreter() as interp:
            thread = threading.Thread(target=interp.call, args=(answer,))
            thread.start()
            stoa.lookup("test.parallel.ready", timeout=20)
            interval = sys.getswitchinterval()
            sys.setswitchinterval(100)
            try:
                stoa.publish("test.parallel.go", 1)
                deadline = time.monotonic() + 20
                while stoa.lookup("test.parallel.done", None) is None and time.monotonic() < deadline:
                    pass
                done = stoa.lookup("test.parallel.done", None)
            finally:
                sys.setswitchinterval(interval)
            thread.join()
        for name in ("ready", "go", "done"):
            stoa.unpublish("test.parallel." + name)
        self.assertEqual(done, 1)

    def test_shared_gil(self):
        with stoa.Interpreter(gil="shared") as interp:
            self.assertEqual(interp.call(double, 4), 8)
            self.assertEqual(interp.call("stoa:current"), interp)

    def test_sees_this_path(self):
        sys.path.insert(0, "/nowhere/of/this/test")
        try:
            with stoa.Interpreter() as interp:
                self.assertIn("/nowhere/of/this/test", interp.call("test_interpreter:get_path"))
        finally:
            sys.path.remove("/nowhere/of/this/test")

    def test_many(self):
        interps = [stoa.Interpreter() for _ in range(12)]
        self.assertEqual(len({i.id for i in interps}), 12)
        self.assertEqual([i.call(double, n) for n, i in enumerate(interps)], [2 * n for n in range(12)])
        for interp in interps[::2] + interps[1::2]:
            interp.close()

    def test_made_from_many_threads(self):
        made, errors = [], []

        def make():
            try:
                for _ in range(3):
                    interp = stoa.Interpreter()
                    made.append(interp.call(double, 1))
                    interp.close()
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((made, errors), ([2] * 12, []))

    def test_made_inside_another(self):
        with stoa.Interpreter() as outer:
            outer.exec("import stoa\ninner = stoa.Interpreter(name='inner')\ninner.exec('x = 6')")
            outer.exec("assert inner.call(eval, 'x * 7', stoa.by_copy({'x': 6})) == 42\ninner.close()")

    def test_builtins_that_look_at_their_callers_frame(self):
        with stoa.Interpreter() as interpreter:
            interpreter.exec("x = 6")
            self.assertEqual(interpreter.call(eval, "x * 7"), 42)
            self.assertIsNone(interpreter.call("builtins:exec", "x = 8"))
            self.assertEqual(interpreter.submit(eval, "x").result(), 8)
            for name in ("globals", "locals", "vars"):  # there is no frame to look at: they see __main__, in every version
                with self.subTest(name):
                    self.assertEqual(interpreter.call(f"builtins:{name}")["x"], 8)
            self.assertIn("x", interpreter.call("builtins:dir"))
            self.assertEqual(list(interpreter.call("builtins:dir")), sorted(interpreter.call("builtins:dir")))
            self.assertEqual(interpreter.call(vars, stoa).get("__name__"), "stoa")  # with an argument as ever
            self.assertRaises(NameError, interpreter.call, eval, "y")


def answer():
    stoa.publish("test.parallel.ready", 1)
    stoa.lookup("test.parallel.go", timeout=20)
    try:
        stoa.lookup("test.parallel.never", timeout=0.001)  # a wait that begins meanwhile
    except KeyError:
        pass
    stoa.publish("test.parallel.done", 1)


def get_path():
    return tuple(sys.path)


class Looking(unittest.TestCase):
    def test_current_main_interpreters(self):
        self.assertEqual(stoa.current(), stoa.main())
        self.assertEqual(stoa.main().name, "main")
        self.assertEqual(stoa.main().id, 0)
        with stoa.Interpreter() as interp:
            self.assertEqual(interp.call("stoa:current"), interp)
            self.assertEqual(interp.call("stoa:main"), stoa.main())
            self.assertIn(interp, stoa.interpreters())
            self.assertNotEqual(interp, stoa.main())
            self.assertEqual(hash(interp), hash(interp.call("stoa:current")))
        self.assertNotIn(interp, stoa.interpreters())
        self.assertFalse(interp == 1)

    def test_one_object_for_each(self):
        """As in concurrent.interpreters, in each interpreter there is one object for each of them, as long as it lives."""
        self.assertIs(stoa.current(), stoa.main())
        with stoa.Interpreter() as interp:
            self.assertIs(interp.call("stoa:current"), interp)
            self.assertIs(next(i for i in stoa.interpreters() if i == interp), interp)
            interp.prepare_main(here=interp, home=stoa.main())
            interp.exec("import stoa; assert here is stoa.current() and home is stoa.main() and here in stoa.interpreters()")

    def test_asked_for_while_its_object_goes(self):
        again = []
        interp = stoa.Interpreter()
        found = interp.id
        reference = weakref.ref(interp, lambda _: again.extend(i for i in stoa.interpreters() if i.id == found))
        del interp
        gc.collect()
        self.assertIsNone(reference())
        self.assertEqual([i.id for i in again], [found])
        again.pop().close()

    def test_running(self):
        with stoa.Interpreter() as interp:
            self.assertFalse(interp.running)
            self.assertTrue(interp.call(is_running, interp))
            self.assertFalse(interp.running)
        self.assertTrue(stoa.main().running)

    def test_weak_references_and_pickle(self):
        interp = stoa.Interpreter()
        reference = weakref.ref(interp)
        self.assertIs(reference(), interp)
        with self.assertRaises(TypeError):
            pickle.dumps(interp)
        interp.close()
        del interp
        gc.collect()
        self.assertIsNone(reference())

    def test_stats(self):
        with stoa.Interpreter(name="in stats") as interp:
            before = stoa.stats()["counters"]["calls"]
            interp.call(double, 1)
            stats = stoa.stats()
            self.assertGreater(stats["counters"]["calls"], before)
            self.assertIn("in stats", [i["name"] for i in stats["interpreters"]])
            self.assertEqual(stats["guard"]["mode"] in ("off", "tolerate", "strict"), True)


def is_running(interp):
    return interp.running


class Exec(unittest.TestCase):
    def setUp(self):
        self.interp = stoa.Interpreter(name="exec")
        self.addCleanup(self.interp.close)

    def test_keeps_main(self):
        self.interp.exec("x = 1")
        self.interp.exec("x += 1\ndef f(): return x")
        self.assertEqual(self.interp.call("__main__:f"), 2)

    def test_code_object(self):
        self.interp.exec(compile("y = __name__", "made_up.py", "exec"))
        self.interp.exec("assert y == '__main__'")

    def test_no_future_flags_of_ours(self):
        self.interp.exec("def f(a: undefined_name = 1): pass" if sys.version_info >= (3, 14) else "pass")

    def test_syntax_error(self):
        with self.assertRaises(SyntaxError) as caught:
            self.interp.exec("a b")
        self.assertEqual(caught.exception.lineno, 1)
        self.assertEqual(caught.exception.text.strip(), "a b")

    def test_exception_has_traceback_text(self):
        with self.assertRaises(ZeroDivisionError) as caught:
            self.interp.exec("def f():\n    1 / 0\nf()")
        cause = caught.exception.__cause__
        self.assertIsInstance(cause, stoa.RemoteError)
        self.assertIn("line 2, in f", cause.text)
        self.assertIn("1 / 0", cause.text)
        self.assertEqual(cause.type_name, "builtins.ZeroDivisionError")

    def test_system_exit_is_told(self):
        with self.assertRaises(stoa.RemoteError) as caught:
            self.interp.exec("import sys; sys.exit(3)")
        self.assertEqual(caught.exception.type_name, "builtins.SystemExit")
        self.assertIn("3", str(caught.exception))

    def test_bad_arguments(self):
        for bad in (b"x", None, 3, double):
            with self.subTest(bad), self.assertRaises(TypeError):
                self.interp.exec(bad)
        with self.assertRaises(TypeError):
            self.interp.exec()
        with self.assertRaises((ValueError, SyntaxError)):
            self.interp.exec("a\0b")
        with self.assertRaises((UnicodeEncodeError, SyntaxError)):
            self.interp.exec("'\ud800'")
        cell = 1

        def closure():
            return cell

        with self.assertRaises(TypeError):
            self.interp.exec(closure.__code__)

    def test_closed(self):
        self.interp.close()
        with self.assertRaises(stoa.InterpreterGone) as caught:
            self.interp.exec("x = 1")
        self.assertIn("exec", str(caught.exception))  # its name


class Call(unittest.TestCase):
    def setUp(self):
        self.interp = stoa.Interpreter()
        self.addCleanup(self.interp.close)

    def test_by_name(self):
        self.assertEqual(self.interp.call("math:gcd", 12, 18), 6)
        self.assertEqual(self.interp.call("os.path:join", "a", "b"), "a/b")
        self.assertEqual(self.interp.call("builtins:str.upper", "a"), "A")
        for bad in ("math", ":gcd", "math:", ""):
            with self.subTest(bad), self.assertRaises(ValueError):
                self.interp.call(bad)
        with self.assertRaises(ModuleNotFoundError):
            self.interp.call("no_such_module_anywhere:f")
        with self.assertRaises(AttributeError):
            self.interp.call("math:no_such_function")

    def test_importable(self):
        self.assertEqual(self.interp.call(math.gcd, 12, 18), 6)
        self.assertEqual(self.interp.call(double, 21), 42)
        self.assertEqual(self.interp.call(json.__name__ + ":dumps", None), "null")
        self.assertEqual(self.interp.call(complex, 1, 2), 1 + 2j)
        self.assertEqual(self.interp.call(int.from_bytes, b"\x01\x00", "big"), 256)

    def test_plain_function(self):
        self.assertEqual(self.interp.call(lambda a, b=(1, "é"), *, c=2.5: (a, b, c), 0), (0, (1, "é"), 2.5))

        def local(x):
            return double(x)  # a global of this module, found there

        self.assertEqual(self.interp.call(local, 4), 8)

    def test_main_functions(self):
        namespace = {"__name__": "__main__"}
        exec("def f(n): return helper(n) + 1", namespace)
        self.interp.exec("def helper(n): return 10 * n")
        self.assertEqual(self.interp.call(namespace["f"], 4), 41)

    def test_closures(self):
        cell, count = [], 3

        def closure(n):
            cell.append(n)
            return count if n == 0 else closure(n - 1)

        self.assertEqual(self.interp.call(closure, 2), 3)
        self.assertEqual(cell, [2, 1, 0])  # what is mutable stays ours

    def test_main_functions_bring_the_globals_they_name(self):
        namespace = {"__name__": "__main__", "math": __import__("math"), "k": 2, "unused": object()}
        exec("def g(n): return f(n - 1) if n else math.gcd(12, 18) * k\ndef f(n): return g(n)\n"
             "state = None\ndef init(x):\n    global state\n    state = x\ndef read(): return state, k", namespace)
        self.assertEqual(self.interp.call(namespace["f"], 3), 12)
        self.interp.call(namespace["init"], 7)
        self.assertEqual(self.interp.call(namespace["read"]), (7, 2))  # what was assigned there stays
        namespace["k"] = 5
        self.assertEqual(self.interp.call(namespace["read"]), (7, 5))  # what changes here arrives
        self.assertEqual(self.interp.call(namespace["f"], 1), 30)

    def test_mutable_defaults_stay_ours(self):
        default = []
        self.assertIs(self.interp.call(lambda a=default: a), default)

    def test_not_callable(self):
        for bad in (None, 3, b"math:gcd", []):
            with self.subTest(bad), self.assertRaises(TypeError):
                self.interp.call(bad)
        with self.assertRaises(TypeError):
            self.interp.call()
        with self.assertRaises(stoa.NotFreezable):
            self.interp.call(functools.lru_cache(lambda: None))

    def test_what_has_arguments_in_front(self):
        target = []
        self.interp.call(target.append, 1)  # of a proxy
        self.assertEqual(target, [1])
        self.assertEqual(self.interp.call("-".join, ("a", "b")), "a-b")
        self.assertEqual(self.interp.call(str.upper, "a"), "A")
        self.assertEqual(self.interp.call(functools.partial(int, base=16), "ff"), 255)
        self.assertEqual(self.interp.call(functools.partial(int, base=16), "ff", timeout=60), 255)
        self.assertEqual(self.interp.call(operator.itemgetter(1), (1, 2)), 2)
        self.assertEqual(self.interp.submit(functools.partial(keywords, a=1), b=2).result(10), (("a", 1), ("b", 2)))

    def test_keywords(self):
        self.assertEqual(self.interp.call("builtins:int", "ff", base=16), 255)
        self.assertEqual(self.interp.call(keywords, a=1, é=(2,)), (("a", 1), ("é", (2,))))

    def test_timeout_is_not_passed_on(self):
        self.assertEqual(self.interp.call(keywords, a=1, timeout=20), (("a", 1),))
        self.assertEqual(self.interp.call(keywords, a=1, timeout=None), (("a", 1),))
        with self.assertRaises(TypeError):
            self.interp.call(double, 1, timeout="soon")

    def test_into_main(self):
        with stoa.Interpreter() as interp:
            interp.exec(
                "import stoa\n"
                "def work():\n"
                "    return stoa.main().call('test_interpreter:double', 4)\n"
            )
            self.assertEqual(interp.call("__main__:work"), 8)

    def test_recursion_is_an_error(self):
        other = stoa.Interpreter()
        self.addCleanup(other.close)
        with self.assertRaises(RecursionError):
            self.interp.call(ping, other, self.interp)
        self.assertEqual(self.interp.call(double, 1), 2)


def keywords(**kwargs):
    return tuple(kwargs.items())


def ping(other, me):
    return other.call(ping, me, other)


class PrepareMain(unittest.TestCase):
    def test_sets_globals(self):
        with stoa.Interpreter() as interp:
            interp.prepare_main({"a": 1}, b=(2, "x"))
            interp.prepare_main(c=stoa.by_copy([3]))
            interp.prepare_main()
            interp.exec("assert (a, b, c) == (1, (2, 'x'), [3])")
            mine = {"k": []}
            interp.prepare_main(d=mine)
            interp.exec("d['k'].append(1)")
            self.assertEqual(mine, {"k": [1]})
            with self.assertRaises(TypeError):
                interp.prepare_main({1: 2})
            with self.assertRaises(TypeError):
                interp.prepare_main(3)


class Closing(unittest.TestCase):
    def test_idempotent(self):
        interp = stoa.Interpreter()
        interp.close()
        interp.close()
        interp.close(timeout=0)
        with interp:
            pass

    def test_main_cannot_be_closed(self):
        with self.assertRaisesRegex(RuntimeError, "main interpreter"):
            stoa.main().close()

    def test_from_inside(self):
        with stoa.Interpreter() as interp:
            with self.assertRaisesRegex(RuntimeError, "from inside"):
                interp.exec("import stoa\nstoa.current().close()")
            with stoa.Interpreter() as other:
                with self.assertRaisesRegex(RuntimeError, "from inside"):
                    interp.call(close_via, other, interp)
            self.assertEqual(interp.call(double, 1), 2)

    def test_from_another_interpreter(self):
        interp, other = stoa.Interpreter(), stoa.Interpreter()
        other.call(close_it, interp)
        self.assertTrue(interp.closed)
        other.close()

    def test_calls_under_way_finish(self):
        interp = stoa.Interpreter()
        result = []
        reading, writing = os.pipe()
        thread = threading.Thread(target=lambda: result.append(interp.call(os.read, reading, 1)))
        thread.start()
        while not interp.running:
            time.sleep(0.001)
        with self.assertRaises(stoa.Timeout):
            interp.close(timeout=0.02)
        self.assertFalse(interp.closed)
        closer = threading.Thread(target=interp.close)
        closer.start()
        with self.assertRaises(stoa.InterpreterGone):  # it is being closed
            while True:
                interp.call(abs, 1)
        os.write(writing, b"x")
        closer.join()
        thread.join()
        os.close(reading), os.close(writing)
        self.assertEqual(result, [b"x"])

    def test_each_other(self):
        a, b, barrier = stoa.Interpreter(), stoa.Interpreter(), stoa.Barrier(2)
        outcome = []

        def run(this, that):
            try:
                this.call(meet_and_close, barrier, that)
                outcome.append("closed")
            except RuntimeError as error:
                outcome.append(type(error).__name__)

        threads = [threading.Thread(target=run, args=pair) for pair in ((a, b), (b, a))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(sorted(outcome), ["Deadlock", "closed"])
        self.assertEqual(sorted([a.closed, b.closed]), [False, True])
        a.close()
        b.close()

    def test_bad_timeout(self):
        with stoa.Interpreter() as interp:
            with self.assertRaises(ValueError):
                interp.close(timeout=float("nan"))
            with self.assertRaises(TypeError):
                interp.close(timeout="soon")

    def test_waits_for_python_threads(self):
        interp = stoa.Interpreter()
        interp.exec(
            "import threading, time, _thread\n"
            "threading.Thread(target=time.sleep, args=(0.2,)).start()\n"
            "_thread.start_new_thread(time.sleep, (0.2,))\n"
        )
        interp.close()

    @unittest.skipIf(sys.version_info < (3, 13), "3.12.1 itself corrupts its memory: _xxsubinterpreters does it, too")
    def test_executor_inside(self):
        interp = stoa.Interpreter()
        interp.exec(
            "import concurrent.futures\n"
            "pool = concurrent.futures.ThreadPoolExecutor(2)\n"
            "assert pool.submit(int, '3').result() == 3\n"
        )
        interp.close()

    def test_atexit_runs(self):
        interp = stoa.Interpreter()
        interp.exec("import atexit, stoa\natexit.register(lambda: stoa.publish('test.atexit.ran', 1))")
        interp.close()
        self.assertEqual(stoa.lookup("test.atexit.ran"), 1)
        stoa.unpublish("test.atexit.ran")

    def test_interrupt(self):
        interp = stoa.Interpreter()
        self.assertFalse(interp.interrupt())
        raised = []

        def run():
            try:
                interp.exec("while True: pass")
            except KeyboardInterrupt as error:
                raised.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        while not interp.running:
            time.sleep(0.001)
        time.sleep(0.05)
        self.assertTrue(interp.interrupt())
        thread.join(60)
        self.assertEqual(len(raised), 1)
        interp.close()
        self.assertFalse(interp.interrupt())

    def test_exit_with_a_status_that_cannot_be_shown(self):
        with stoa.Interpreter() as interp:
            with self.assertRaisesRegex(stoa.RemoteError, "SystemExit.*str.. failed"):
                interp.exec("class Status:\n    def __str__(self): raise ValueError('no')\nraise SystemExit(Status())")

    def test_an_interrupt_is_for_what_runs_then(self):
        """Not for what the same thread runs there next, when it came too late for a call that ended in C code."""
        with stoa.Interpreter() as interp:
            interp.exec("import os")
            for _ in range(20):
                reading, writing = os.pipe()

                def interrupt():
                    while not interp.interrupt():
                        time.sleep(0.001)
                    os.write(writing, b"x")

                thread = threading.Thread(target=interrupt)
                thread.start()
                try:
                    self.assertEqual(interp.call(os.read, reading, 1), b"x")
                except KeyboardInterrupt:
                    pass  # it came on the way to the C code
                thread.join()
                os.close(reading), os.close(writing)
                interp.exec("x = 1\nfor i in range(100): x += i")

    def test_interrupt_after_the_result(self):
        with stoa.Interpreter() as interp:
            for _ in range(300):
                self.assertEqual(interp.submit(len, "abc").result(10), 3)
                self.assertFalse(interp.interrupt())


def close_it(interp):
    interp.close()


def close_via(other, interp):
    other.call(close_it, interp)


def meet_and_close(barrier, interp):
    barrier.wait()
    interp.close()


if __name__ == "__main__":
    unittest.main()
