"""Thread states: one for each thread and interpreter, what lives in them, and when they go."""

import contextvars
import os
import sys
import threading
import time
import unittest

import stoa
from child import check

local = threading.local()
variable = contextvars.ContextVar("variable", default=0)


def count_local():
    local.count = getattr(local, "count", 0) + 1
    return local.count


def count_variable():
    variable.set(variable.get() + 1)
    return variable.get()


def nested(interps, depth):
    """A -> B -> A …: each level sees the thread local of its own interpreter."""
    local.depth = getattr(local, "depth", 0) + 1
    mine = local.depth
    inner = interps[depth % len(interps)].call(nested, interps, depth - 1) if depth else ()
    return (mine, *inner)


def callback_from_c():
    """PyGILState_Ensure, as ctypes callbacks do it, on the thread that runs this: in which interpreter does it end up?"""
    import ctypes  # 3.12 has none in interpreters with a GIL of their own

    seen = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    def callback(x):
        seen.append(stoa.current().name)
        return 2 * x

    address = ctypes.cast(callback, ctypes.c_void_p).value
    released = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(address)  # gives the GIL up around the call
    return released(21), tuple(seen)


class Finaliser:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        stoa.replace(self.name, stoa.lookup(self.name, 0) + 1)


def keep_finaliser(name):
    local.kept = Finaliser(name)


def handled():
    return repr(sys.exception())


class States(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.a, cls.b = stoa.Interpreter(name="a"), stoa.Interpreter(name="b")
        cls.addClassCleanup(cls.a.close)
        cls.addClassCleanup(cls.b.close)

    def test_locals_survive_between_calls(self):
        before = self.a.call(count_local)
        self.assertEqual([self.a.call(count_local) for _ in range(3)], [before + 1, before + 2, before + 3])
        result = []
        thread = threading.Thread(target=lambda: result.extend(self.a.call(count_local) for _ in range(3)))
        thread.start()
        thread.join()
        self.assertEqual(result, [1, 2, 3])

    def test_context_variables_survive_between_calls(self):
        before = self.a.call(count_variable)
        self.assertEqual(self.a.call(count_variable), before + 1)

    def test_own_thread_state_is_used_when_called_back(self):
        count_local()
        mine = local.count
        self.assertEqual(self.a.call(call_main_count), mine + 1)
        self.assertEqual(local.count, mine + 1)

    def test_python_thread_uses_its_own_state(self):
        result = []

        def run():
            local.count = 41
            result.append(self.a.call(call_main_count))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        self.assertEqual(result, [42])

    def test_nesting_uses_the_same_states(self):
        thread = threading.Thread(target=lambda: result.append(nested((self.a, self.b), 8)))
        result = []
        thread.start()
        thread.join()
        # depth 8 .. 0 runs in main, a, b, a, b …: counted apart
        self.assertEqual(result, [(1, 1, 1, 2, 2, 3, 3, 4, 4)])

    def test_exception_state_is_its_owners(self):
        try:
            raise ValueError("mine")
        except ValueError:
            self.assertEqual(self.a.call(handled), "None")
            self.assertEqual(handled(), "ValueError('mine')")

    def test_gilstate_finds_the_interpreter(self):
        gil = "own" if sys.version_info >= (3, 13) else "shared"
        with stoa.Interpreter(name="c", gil=gil) as c, stoa.Interpreter(name="d", gil=gil) as d:
            self.assertEqual(c.call(callback_from_c), (42, ("c",)))
            self.assertEqual(d.call(callback_from_c), (42, ("d",)))
            self.assertEqual(callback_from_c(), (42, ("main",)))
            result = []
            thread = threading.Thread(target=lambda: result.append((d.call(callback_from_c), callback_from_c())))
            thread.start()
            thread.join()
            self.assertEqual(result, [((42, ("d",)), (42, ("main",)))])
            self.assertEqual(c.submit(callback_from_c).result(10), (42, ("c",)))

    def test_state_goes_with_its_thread(self):
        stoa.replace("test.threads.finalised", 0)
        before = stoa.stats()["counters"]
        for _ in range(20):
            thread = threading.Thread(target=self.a.call, args=(keep_finaliser, "test.threads.finalised"))
            thread.start()
            thread.join()
        self.wait_for(lambda: stoa.lookup("test.threads.finalised") == 20)
        self.wait_for(lambda: stoa.stats()["counters"]["thread_states_ended"] >= before["thread_states_ended"] + 20)
        stoa.unpublish("test.threads.finalised")

    def wait_for(self, condition):
        deadline = time.monotonic() + 60
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.001)  # the thread's own end comes shortly after join()
        self.assertTrue(condition())

    def test_states_go_with_the_interpreter(self):
        stoa.replace("test.threads.finalised", 0)
        interp = stoa.Interpreter()
        ready, leave = threading.Barrier(5), threading.Event()

        def run():
            interp.call(keep_finaliser, "test.threads.finalised")
            ready.wait()
            leave.wait()

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        ready.wait()
        interp.close()
        self.assertEqual(stoa.lookup("test.threads.finalised"), 4)
        leave.set()
        for thread in threads:
            thread.join()
        stoa.unpublish("test.threads.finalised")

    def test_many_threads(self):
        made = stoa.stats()["counters"]
        rounds = 10_000 if "1" == os.environ.get("STOA_TEST_SLOW") else 2_000

        def run():
            self.a.call(count_local)
            self.b.call(count_local)

        for _ in range(rounds // 10):
            threads = [threading.Thread(target=run) for _ in range(10)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        def balance():
            now = stoa.stats()["counters"]
            return now["thread_states_made"] - made["thread_states_made"], (
                now["thread_states_ended"] - made["thread_states_ended"]
            )

        self.wait_for(lambda: balance()[1] >= balance()[0])
        self.assertGreaterEqual(balance()[0], 2 * rounds)

    def test_threads_end_while_the_interpreter_closes(self):
        for _ in range(15):
            interp = stoa.Interpreter()
            go = threading.Event()

            def run():
                interp.call(count_local)
                go.wait()

            threads = [threading.Thread(target=run) for _ in range(6)]
            for thread in threads:
                thread.start()
            while interp.running or stoa.stats()["counters"]["calls"] == 0:
                time.sleep(0.001)
            go.set()
            interp.close()
            for thread in threads:
                thread.join()

    def test_calls_race_with_close(self):
        for _ in range(10):
            interp = stoa.Interpreter()
            outcomes = []

            def run():
                try:
                    while True:
                        interp.call(count_local)
                except stoa.InterpreterGone:
                    outcomes.append("gone")

            threads = [threading.Thread(target=run) for _ in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(0.01)
            interp.close()
            for thread in threads:
                thread.join(60)
            self.assertEqual(outcomes, ["gone"] * 4)


def call_main_count():
    return stoa.main().call(count_local)


class OthersInterpreters(unittest.TestCase):
    """Interpreters that Stoa did not make take part once they import it."""

    PRELUDE = """
        import sys, threading
        try:
            import _interpreters as low
            create, run, destroy = low.create, lambda i, s: low.exec(i, s), low.destroy
        except ImportError:
            try:
                import _xxsubinterpreters as low
            except ImportError:
                import _interpreters as low
            create, run, destroy = low.create, low.run_string, low.destroy
        def must(result):
            assert result is None, result
        import stoa
    """

    def test_takes_part(self):
        check(self, self.PRELUDE + """
        interp = create()
        must(run(interp, "import stoa; stoa.publish('from there', stoa.current().id)"))
        (other,) = [i for i in stoa.interpreters() if i != stoa.main()]
        assert other.id == stoa.lookup("from there")
        other.exec("x = 1")
        assert other.call(pow, 2, 3) == 8
        assert other.submit(pow, 2, 4).result() == 16
        must(run(interp, "assert x == 1; assert stoa.main().call(pow, 2, 5) == 32"))
        try:
            other.close()
        except RuntimeError as error:
            assert "not made by Stoa" in str(error)
        threads = [threading.Thread(target=other.call, args=(pow, 1, n)) for n in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        destroy(interp)
        assert other.closed
        try:
            other.exec("1")
        except stoa.InterpreterGone:
            print("gone")
        """, stdout="gone\n")

    def test_threads_that_still_have_states(self):
        check(self, self.PRELUDE + """
        interp = create()
        must(run(interp, "import stoa"))
        (other,) = [i for i in stoa.interpreters() if i != stoa.main()]
        ready, leave = threading.Barrier(4), threading.Event()
        def visit():
            other.exec("import threading; threading.local().x = 1; threading.current_thread()")
            ready.wait()
            leave.wait()
        threads = [threading.Thread(target=visit) for n in range(3)]
        for thread in threads: thread.start()
        ready.wait()
        other.call(pow, 1, 2)
        destroy(interp)
        leave.set()
        for thread in threads: thread.join()
        print("done")
        """, stdout="done\n")

    def test_left_open_at_the_end(self):
        """CPython ends it, and frees thread states that it finds there: none of them may be ours by then."""
        check(self, self.PRELUDE + """
        interp = create()
        must(run(interp, "import stoa; items = []; stoa.publish('items', stoa.proxy(items))"))
        items = stoa.lookup("items")
        items.append(1)
        assert stoa.owner(items).submit(pow, 2, 3).result() == 8
        if sys.version_info >= (3, 13):  # 3.12 itself cannot end with an interpreter and a daemon thread, with Stoa or without
            ready, leave = threading.Event(), threading.Event()
            def visit():
                items.append(2)
                ready.set()
                leave.wait()
            threading.Thread(target=visit, daemon=True).start()
            ready.wait()
        print("end")
        """, stdout="end\n", quiet=False)  # from 3.14 on CPython warns of it


if __name__ == "__main__":
    unittest.main()
