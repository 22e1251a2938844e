"""What may go wrong with a pool, each as a program of its own under a watchdog: initializers, tasks that turn on their pool,
workers that are interrupted or closed, the end of the program, fork."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import textwrap
import threading
import unittest
import unittest.mock

import child
import stoa

IMPATIENT = {**os.environ, "STOA_EXIT_PATIENCE": "0.1"}


class Initializers(unittest.TestCase):
    @unittest.skipIf(hasattr(sys, "gettotalrefcount"), "a debug build asserts that every interpreter was ended")
    def test_hanging_in_c_does_not_keep_the_program(self):
        done = child.run(
            """
            import stoa, time
            pool = stoa.InterpreterPoolExecutor(1, "stuck", initializer="time:sleep", initargs=(1000,))
            future = pool.submit(pow, 2, 3)
            while not stoa.interpreters()[1:]:
                time.sleep(0.001)
            print(future.cancel(), flush=True)
            """,
            env=IMPATIENT,
            timeout=30,
        )
        self.assertEqual((done.returncode, done.stdout), (0, "True\n"), done.stderr)
        self.assertRegex(done.stderr, r"\Astoa: interpreter 'stuck_0' is left open at the end: .*\n\Z")

    def test_that_exits_breaks_the_pool(self):
        child.check(
            self,
            """
            import concurrent.futures, logging, stoa, sys
            logging.disable()
            with stoa.InterpreterPoolExecutor(2, initializer="sys:exit", initargs=(3,)) as pool:
                errors = []
                for n in range(5):
                    try:
                        errors.append(pool.submit(pow, n, 2).exception(20))
                    except concurrent.futures.BrokenExecutor as error:
                        errors.append(error)
            print({type(e).__name__ for e in errors}, {type(e.__cause__).__name__ for e in errors})
            """,
            stdout="{'BrokenInterpreterPool'} {'SystemExit'}\n",
        )


class Tasks(unittest.TestCase):
    def test_that_submit_to_their_own_full_pool(self):
        child.check(
            self,
            """
            import stoa
            def nest(pool, n):
                return 1 if n == 0 else sum(f.result(20) for f in [pool.submit(nest, pool, n - 1) for _ in range(2)])
            with stoa.InterpreterPoolExecutor(2) as pool:
                print(pool.submit(nest, pool, 6).result(40))
            """,
            stdout="64\n",
        )

    def test_that_close_their_own_worker_or_pool(self):
        child.check(
            self,
            """
            import stoa
            def close_worker():
                stoa.current().close()
            def forget(pool):
                pool.shutdown(wait=False, cancel_futures=True)
                return pool.submit(pow, 2, 3)
            pool = stoa.InterpreterPoolExecutor(1)
            print(type(pool.submit(close_worker).exception(20)).__name__)
            held, late = pool.submit(forget, pool), [pool.submit(pow, 2, n) for n in range(10)]
            print(type(held.exception(20)).__name__, sum(f.cancelled() for f in late) in (9, 10) or late)
            pool.shutdown()
            """,
            stdout="Deadlock\nRuntimeError True\n",
        )

    def test_whose_worker_is_closed_before_it_begins(self):
        child.check(
            self,
            """
            import stoa, threading
            done = threading.Event()
            def close_all():
                while not done.is_set():
                    for worker in stoa.interpreters():
                        if worker.name.startswith("brief") and worker.name[-2:] in ("_0", "_1", "_2"):  # one is left to do it
                            worker.close(timeout=60)
            closer = threading.Thread(target=close_all)
            closer.start()
            for n in range(15):
                pool = stoa.InterpreterPoolExecutor(1, f"brief{n}")
                assert [pool.submit(pow, 2, 3).result(60) for _ in range(2)] == [8, 8]
                pool.shutdown()
            done.set()
            closer.join()
            print("all done")
            """,
            stdout="all done\n",
            timeout=110,
        )

    def test_that_are_interrupted(self):
        child.check(
            self,
            """
            import stoa
            def spin():
                while True:
                    pass
            over = stoa.Event()
            over.set()
            with stoa.InterpreterPoolExecutor(1, "w") as pool:
                print(pool.submit("stoa:Event.wait", over).result(20))  # its imports are done: they are not what is interrupted
                for task in ((spin,), ("stoa:Event.wait", stoa.Event())):
                    future = pool.submit(*task)
                    while not future.running():
                        pass
                    worker = next(i for i in stoa.interpreters() if i.name == "w_0")
                    while not worker.interrupt():
                        pass
                    print(type(future.exception(20)).__name__)
                print(pool.submit(pow, 2, 3).result(20))
                while worker.interrupt():  # it is busy for a moment after its result is there
                    pass
                print(pool.submit(pow, 2, 4).result(20))
            """,
            stdout="True\nKeyboardInterrupt\nKeyboardInterrupt\n8\n16\n",
        )

    def test_whose_worker_is_interrupted_while_it_tells_the_future(self):
        telling, go_on = threading.Event(), threading.Event()
        set_result = concurrent.futures.Future.set_result

        def slowly(*args):
            telling.set()
            for _ in range(1000):
                if go_on.wait(0.01):
                    break
            return set_result(*args)

        with stoa.InterpreterPoolExecutor(1, "tells") as pool, unittest.mock.patch.object(concurrent.futures.Future, "set_result", slowly):
            begin, called = stoa.Event(), threading.Event()
            future = pool.submit("stoa:Event.wait", begin)
            future.add_done_callback(lambda future: called.set())
            begin.set()
            self.assertTrue(telling.wait(20))
            worker = next(i for i in stoa.interpreters() if i.name == "tells_0")
            self.assertFalse(worker.interrupt())
            go_on.set()
            self.assertIs(future.result(20), True)
            self.assertTrue(called.wait(20))
            self.assertEqual(pool.submit(pow, 2, 3).result(20), 8)

    def test_whose_worker_is_visited_meanwhile(self):
        """Calls into a worker that runs Python are let in at its next bytecode, and its task goes on."""
        child.check(
            self,
            """
            import stoa
            def spin(gate):
                n = 0
                while not gate:
                    n += 1
                return n > 0
            def make():
                return stoa.proxy([])
            with stoa.InterpreterPoolExecutor(1) as pool:
                target, gate = pool.submit(make).result(20), pool.submit(make).result(20)
                busy = pool.submit(spin, gate)
                while not busy.running():
                    pass
                let_in = lambda: stoa.stats()["counters"]["calls_let_in"]
                before, n = let_in(), 0
                while n < 200 or let_in() == before:  # the running task opens the door at a bytecode: nobody waits for its end
                    target.append(n)
                    n += 1
                gate.append(1)
                print(busy.result(60), len(target) == n)
            """,
            stdout="True True\n",
        )


class Ends(unittest.TestCase):
    def test_ctrl_c_ends_the_wait_for_a_task_blocked_in_c(self):
        program = """
            import stoa
            pool = stoa.InterpreterPoolExecutor(1, "blocked")
            future = pool.submit("time:sleep", 1000)
            while not future.running():
                pass
            print("at the end", flush=True)
        """
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent("import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n")
             + textwrap.dedent(program)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=IMPATIENT,
        )
        try:
            self.assertEqual(process.stdout.readline(), "at the end\n")
            while process.poll() is None:  # the first may come before the wait has begun
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(0.3)
                except subprocess.TimeoutExpired:
                    pass
        finally:
            process.kill()
            _, errors = process.communicate(timeout=20)
        self.assertIn("KeyboardInterrupt", errors)

    def test_outstanding_work_of_several_interpreters(self):
        child.check(
            self,
            """
            import stoa
            def note(log, n):
                log.put(n)
            log, pool = stoa.Queue(), stoa.InterpreterPoolExecutor(2)
            other = stoa.Interpreter()
            other.prepare_main(log=log, pool=pool)
            other.exec("import stoa\\nfor n in range(100): pool.submit('stoa:Queue.put', log, n)")
            for n in range(100, 200):
                pool.submit(note, log, n)
            pool.shutdown()
            print(sorted(log.get_many(1000)) == list(range(200)))
            for n in range(50):  # left over: done before the end
                try:
                    pool.submit(note, log, n)
                except RuntimeError:
                    pass
            pool = stoa.InterpreterPoolExecutor(2)
            left = [pool.submit(note, log, n) for n in range(50)]
            """,
            stdout="True\n",
        )

    def test_fork_while_others_wait(self):
        # and others are busy: workers that have just been made import what their tasks need
        child.check(
            self,
            """
            import os, stoa, threading, warnings
            warnings.simplefilter("ignore")
            pool, gate, got, stop = stoa.InterpreterPoolExecutor(2), stoa.Event(), [], []
            held = [pool.submit("stoa:Event.wait", gate) for _ in range(2)]
            waiters = [threading.Thread(target=lambda f=f: got.append(f.result(20))) for f in held]
            later = [pool.submit(pow, n, 2) for n in range(10)]
            def churn():
                while not stop:
                    pool.submit(abs, 1).cancel()
            waiters.append(threading.Thread(target=churn))
            for thread in waiters:
                thread.start()
            def in_child():
                for act in (lambda: pool.submit(pow, 2, 3), lambda: held[0].result(5), lambda: later[3].result(5)):
                    try:
                        act()
                    except (RuntimeError, stoa.Error) as error:
                        assert "fork" in str(error), error
                    else:
                        raise SystemExit("no error")
                stoa.stats()
                with stoa.InterpreterPoolExecutor(1) as own:
                    assert own.submit(pow, 2, 4).result(20) == 16
            for _ in range(3):
                pid = os.fork()
                if pid == 0:
                    status = 1
                    try:
                        in_child()
                        status = 0
                    finally:
                        os._exit(status)
                print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            stop.append(True)
            gate.set()
            for thread in waiters:
                thread.join()
            print(got, later[9].result(20))
            pool.shutdown()
            """,
            stdout="0\n0\n0\n[True, True] 81\n",
        )


if __name__ == "__main__":
    unittest.main()
