"""How processes end with interpreters in every state: no abort, no hang, nothing on standard error."""

import os
import sys
import unittest

from child import check, run


class Exit(unittest.TestCase):
    def test_left_open(self):
        check(self, """
        import stoa
        interps = [stoa.Interpreter() for _ in range(4)]
        for interp in interps:
            interp.exec("import stoa, json; x = [stoa.publish(str(stoa.current().id), (1, 2))]")
        print("end")
        """, stdout="end\n")

    def test_left_open_from_threads(self):
        check(self, """
        import stoa, threading
        interps = [stoa.Interpreter() for _ in range(3)]
        def visit():
            for interp in interps:
                interp.exec("import threading; threading.current_thread()")
        threads = [threading.Thread(target=visit) for _ in range(5)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """)

    def test_daemon_threads_with_states(self):
        check(self, """
        import stoa, threading, time
        interps = [stoa.Interpreter() for _ in range(3)]
        ready = threading.Barrier(5)
        def visit():
            for interp in interps:
                interp.exec("x = 1")
            ready.wait()
            time.sleep(1000)
        for _ in range(4): threading.Thread(target=visit, daemon=True).start()
        ready.wait()
        """)

    def test_daemon_threads_that_keep_calling(self):
        check(self, """
        import stoa, threading, time
        interp = stoa.Interpreter()
        def visit():
            try:
                while True:
                    interp.call(pow, 2, 3)
            except stoa.InterpreterGone:
                pass
        for _ in range(3): threading.Thread(target=visit, daemon=True).start()
        time.sleep(0.1)
        """)

    def test_interpreters_in_the_making(self):
        """They are ended, too: CPython warns of those that are left, and crashes when one is half made."""
        for wait in (0, 0.02, 0.05, 0.1, 0.15):
            check(self, f"""
            import stoa, threading, time
            def make():
                try:
                    while True:
                        stoa.Interpreter().close()
                except stoa.InterpreterGone:
                    pass
            for _ in range(3): threading.Thread(target=make, daemon=True).start()
            time.sleep({wait})
            """)

    def test_workers_in_the_making(self):
        for _ in range(5):
            check(self, """
            import stoa
            print(list(stoa.InterpreterPoolExecutor(3).map(pow, [1, 2, 3], [2, 2, 2])))  # the pool has gone before its workers came
            """, stdout="[1, 4, 9]\n")

    def test_waiters(self):
        check(self, """
        import stoa, threading, time
        interp = stoa.Interpreter()
        def wait():
            try:
                interp.exec("import stoa; stoa.lookup('never', timeout=None)")
            except stoa.InterpreterGone:
                print("gone", flush=True)
        threading.Thread(target=wait, daemon=True).start()
        while not interp.running: time.sleep(0.001)
        time.sleep(0.05)
        """)

    def test_submitted_work_outstanding(self):
        check(self, """
        import stoa, time
        interp = stoa.Interpreter()
        futures = [interp.submit("time:sleep", 0.1) for _ in range(50)]
        while not (futures[0].running() or futures[0].done()): time.sleep(0.001)
        """)

    def test_endless_work(self):
        """Submitted, and called by a daemon thread: together they have a few seconds."""
        check(self, """
        import stoa, threading, time
        submitted, called = stoa.Interpreter(), stoa.Interpreter()
        submitted.exec("def f():\\n    while True: pass")
        future = submitted.submit("__main__:f")
        def run():
            try:
                called.exec("while True: pass")
            except BaseException:
                pass
        threading.Thread(target=run, daemon=True).start()
        while not (future.running() and called.running): time.sleep(0.001)
        """)

    @unittest.skipIf(hasattr(sys, "gettotalrefcount"), "a debug build asserts that every interpreter was ended")
    def test_several_that_are_stuck(self):
        """Each is left alone, wherever it stands in CPython's list: its threads sit in C code, or run what hears no exception."""
        for code in ("time.sleep(1000)", "sum(range(1000))"):
            done = run("""
            import stoa, sys, time
            stuck = [stoa.Interpreter(name="stuck") if n % 2 else stoa.Interpreter() for n in range(6)]
            futures = []
            for interp in stuck[1::2]:
                interp.exec(f"import time\\ndef work():\\n while True:\\n  try:\\n   while True: {sys.argv[1]}\\n  except BaseException: pass")
                futures.append(interp.submit("__main__:work"))
            while not all(future.running() for future in futures): time.sleep(0.001)
            print("end")
            """, argv=[code], env={**os.environ, "STOA_EXIT_PATIENCE": "0.5"})  # the idle ones have that long to answer
            self.assertEqual((done.returncode, done.stdout), (0, "end\n"), done.stderr)
            self.assertRegex(done.stderr, r"\A(stoa: interpreter 'stuck' is left open at the end: .*\n){3}\Z")

    def test_a_thread_waits_in_close(self):
        """What it waits for gets its SystemExit all the same."""
        done = run("""
        import stoa, threading, time
        interp = stoa.Interpreter(name="worker")
        def call():
            try: interp.exec("while True: pass")
            except stoa.RemoteError as error: assert "SystemExit" in str(error)
        threading.Thread(target=call, daemon=True).start()
        while not interp.running: time.sleep(0.001)
        threading.Thread(target=interp.close, daemon=True).start()
        while not interp.closed: time.sleep(0.001)
        print("end")
        """, env={**os.environ, "STOA_EXIT_PATIENCE": "0.1"})
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "end\n", ""))

    def test_non_daemon_threads_are_waited_for(self):
        check(self, """
        import stoa, threading, time
        interp = stoa.Interpreter()
        def run():
            time.sleep(0.2)
            print(interp.call(pow, 2, 3))
        threading.Thread(target=run).start()
        """, stdout="8\n")

    def test_exit_codes(self):
        check(self, "import stoa, sys; stoa.Interpreter(); sys.exit(7)", returncode=7)
        done = check(self, "import stoa; stoa.Interpreter().exec('1/0')", returncode=1, quiet=False)
        self.assertIn("ZeroDivisionError", done.stderr)

    def test_atexit_order(self):
        check(self, """
        import atexit
        def late():
            import stoa
            print(stoa.lookup("name"), stoa.is_shared(stoa.freeze([1])), stoa.current().name)
            try:
                stoa.Interpreter()
            except stoa.Error as error:
                print(type(error).__name__)
        atexit.register(late)
        import stoa
        stoa.publish("name", "still there")
        """, stdout="still there True main\nInterpreterGone\n")

    def test_finalisers_at_the_end(self):
        check(self, """
        import os, stoa, sys
        class Late:
            def __del__(self, write=os.write, lookup=stoa.lookup):
                write(1, lookup("name", "lost").encode() + b"\\n")
        stoa.publish("name", "value")
        sys.keep = Late()
        """, stdout="value\n")

    def test_interpreters_inside_interpreters(self):
        check(self, """
        import stoa
        a = stoa.Interpreter()
        a.exec("import stoa\\nb = stoa.Interpreter()\\nb.exec('import stoa; c = stoa.Interpreter(); c.exec(\\"x = 1\\")')")
        """)

    def test_interrupted_program(self):
        done = check(self, """
        import os, signal, stoa, threading, time
        interp = stoa.Interpreter()
        interp.exec("import stoa")  # before the signal: a callback of importlib's would swallow it
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        interp.exec("stoa.lookup('never', timeout=None)")
        """, returncode=-2, quiet=False)
        self.assertIn("KeyboardInterrupt", done.stderr)

    def test_many_in_turn(self):
        check(self, """
        import stoa
        for n in range(30):
            interp = stoa.Interpreter()
            interp.exec("import json, threading; threading.current_thread()")
            if n % 3: interp.close()
        """, timeout=100)

    @unittest.skipUnless(sys.version_info >= (3, 14), "3.12 and 3.13 themselves leak 2 MB an interpreter")
    @unittest.skipIf(os.environ.get("STOA_SANITIZE"), "a sanitizer keeps freed memory for a while")
    def test_memory_is_flat(self):
        check(self, """
        import stoa
        def rss():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * 4096
        def rounds(count):
            for _ in range(count):
                with stoa.Interpreter() as interp:
                    interp.exec("x = [str(n) for n in range(10000)]")
        rounds(10)
        before = rss()
        rounds(20)
        grown = rss() - before
        assert grown < 20 * 300_000, grown
        """, timeout=100)


class Fork(unittest.TestCase):
    def test_child_goes_on(self):
        check(self, """
        import os, stoa, sys, threading
        a = stoa.Interpreter()
        a.exec("x = 1")
        a.submit(pow, 2, 3).result()
        value = stoa.publish("before", {"k": ["v", 1]})
        pid = os.fork()
        if pid == 0:
            assert stoa.lookup("before") is value
            try:
                a.exec("x")
            except stoa.InterpreterGone:
                pass
            else:
                os._exit(3)
            assert [i.name for i in stoa.interpreters()] == ["main"], stoa.interpreters()
            b = stoa.Interpreter()
            assert b.call(pow, 2, 3) == 8
            assert b.submit(pow, 2, 4).result() == 16
            t = threading.Thread(target=lambda: b.call(pow, 2, 5)); t.start(); t.join()
            assert stoa.main().submit(pow, 2, 6).result() == 64
            stoa.publish("in the child", ["c", 2])
            b.close()
            if hasattr(sys, "gettotalrefcount"):  # debug builds count the interpreters that are not there any more
                os._exit(5)
            sys.exit(5)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 5, status
        assert stoa.lookup("in the child", None) is None
        assert a.call(pow, 2, 3) == 8
        a.close()
        print("parent")
        """, stdout="parent\n", quiet=False)

    def test_fork_from_a_thread_that_visited(self):
        check(self, """
        import os, stoa, threading, time
        a = stoa.Interpreter()
        def work():
            a.exec("x = 1")
            pid = os.fork()
            if pid == 0:
                with stoa.Interpreter() as b:
                    ok = b.call(pow, 2, 3) == 8
                os._exit(0 if ok else 4)
            _, status = os.waitpid(pid, 0)
            print(os.waitstatus_to_exitcode(status))
        thread = threading.Thread(target=work); thread.start(); thread.join()
        """, stdout="0\n", quiet=False)

    def test_fork_while_others_are_inside(self):
        check(self, """
        import os, stoa, threading, time
        a = stoa.Interpreter()
        stop = threading.Event()
        def spin():
            while not stop.is_set():
                a.call(pow, 2, 3)
                stoa.main().call(pow, 2, 3)
        threads = [threading.Thread(target=spin) for _ in range(3)]
        for thread in threads: thread.start()
        codes = []
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                ok = stoa.lookup("none", 1) == 1 and stoa.Interpreter().call(pow, 2, 3) == 8
                os._exit(0 if ok else 4)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        stop.set()
        for thread in threads: thread.join()
        print(set(codes))
        """, stdout="{0}\n", quiet=False, timeout=100)

    def test_fork_inside_an_interpreter_is_refused(self):
        check(self, """
        import stoa
        for gil in ("own", "shared"):
            with stoa.Interpreter(gil=gil) as interp:
                try:
                    interp.exec("import os; os.fork()")
                except RuntimeError as error:
                    print("refused")
        """, stdout="refused\nrefused\n")

    def test_subprocess_inside_an_interpreter(self):
        check(self, """
        import stoa, sys
        with stoa.Interpreter(gil="shared") as interp:
            print(interp.call("subprocess:check_output", (sys.executable, "-c", "print(5)")))
        """, stdout="b'5\\n'\n")


if __name__ == "__main__":
    unittest.main()
