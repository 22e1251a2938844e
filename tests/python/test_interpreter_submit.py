"""Interpreter.submit: futures, order, cancelling, closing with work outstanding."""

import asyncio
import concurrent.futures
import os
import tempfile
import threading
import time
import unittest
import unittest.mock

import stoa


def identity(x):
    return x


def fail(text):
    raise ValueError(text)


def wait(gate):
    return gate.wait()


def thread_of_call():
    return threading.get_ident(), threading.current_thread() is threading.current_thread()


def submit_and_wait(executor, gate, asked):
    future = executor.submit(wait, gate)
    asked.set()
    done, _ = concurrent.futures.wait([future], timeout=100)
    return tuple(future.result() for future in done)


kept = threading.local()


def count_here():
    kept.count = getattr(kept, "count", 0) + 1
    return kept.count


def submit_to(interp, x):
    return interp.submit(identity, x).result()


def record(text):
    stoa.replace("test.submit.log", (*stoa.lookup("test.submit.log", ()), text))


class Submit(unittest.TestCase):
    def setUp(self):
        self.interp = stoa.Interpreter(name="worker")
        self.addCleanup(self.interp.close)

    def test_result(self):
        future = self.interp.submit(identity, ("a", 1))
        self.assertIsInstance(future, concurrent.futures.Future)
        self.assertIsInstance(future, stoa.Future)
        self.assertEqual(future.result(10), ("a", 1))
        self.assertTrue(future.done())

    def test_exception(self):
        future = self.interp.submit(fail, "no")
        self.assertIsInstance(future.exception(10), ValueError)
        with self.assertRaisesRegex(ValueError, "no"):
            future.result()
        self.assertIn("in fail", future.exception().__cause__.text)

    def test_system_exit(self):
        self.assertIsInstance(self.interp.submit("sys:exit", 3).exception(10), SystemExit)
        self.assertEqual(self.interp.submit(identity, 1).result(10), 1)

    def test_bad_arguments_are_told_at_once(self):
        cycle = ([],)
        cycle[0].append(cycle)
        with self.assertRaises(stoa.NotFreezable):
            self.interp.submit(identity, stoa.by_copy(cycle))
        with self.assertRaises(TypeError):
            self.interp.submit()
        with self.assertRaises(TypeError):
            self.interp.submit(3)
        with self.assertRaises(ValueError):
            self.interp.submit("no colon")

    def test_function_that_is_not_there(self):
        self.assertIsInstance(self.interp.submit("no_such_module:f").exception(10), ModuleNotFoundError)

    def test_mutable_result_is_a_proxy(self):
        self.assertTrue(stoa.is_proxy(self.interp.submit(list).result(10)))

    def test_mutable_argument_comes_home(self):
        mine = []
        self.assertIs(self.interp.submit(identity, mine).result(10), mine)

    def test_large(self):
        text = "x" * 1_000_000
        self.assertEqual(self.interp.submit(identity, text).result(10), text)

    def test_one_thread_in_order(self):
        stoa.replace("test.submit.log", ())
        futures = [self.interp.submit(record, str(n)) for n in range(50)]
        for future in futures:
            future.result(10)
        self.assertEqual(stoa.lookup("test.submit.log"), tuple(str(n) for n in range(50)))
        stoa.unpublish("test.submit.log")
        idents = {self.interp.submit(thread_of_call).result(10)[0] for _ in range(5)}
        self.assertEqual(len(idents), 1)
        self.assertNotIn(threading.get_ident(), idents)
        self.assertEqual([self.interp.submit(count_here).result(10) for _ in range(3)], [1, 2, 3])

    def test_cancel(self):
        gate = stoa.Event()
        first = self.interp.submit(wait, gate)
        second = self.interp.submit(identity, 1)
        third = self.interp.submit(identity, 2)
        self.assertTrue(second.cancel())
        gate.set()
        self.assertEqual(third.result(10), 2)
        self.assertTrue(second.cancelled())
        self.assertFalse(first.cancel())

    def test_await(self):
        async def work():
            one = self.interp.submit(identity, 1)
            two = self.interp.submit(fail, "later")
            results = [await one]
            try:
                await two
            except ValueError as error:
                results.append(str(error))
            return results

        self.assertEqual(asyncio.run(work()), [1, "later"])

    def test_callbacks_and_as_completed(self):
        seen = []
        future = self.interp.submit(identity, 4)
        future.add_done_callback(lambda f: seen.append(f.result()))
        done = set(concurrent.futures.as_completed([future, self.interp.submit(identity, 5)], timeout=10))
        self.assertEqual(len(done), 2)
        self.assertEqual(seen, [4])

    def test_callback_may_call_back(self):
        seen = threading.Event()
        result = []

        def again(future):
            result.append(self.interp.call(identity, future.result() + 1))
            seen.set()

        self.interp.submit(identity, 1).add_done_callback(again)
        self.assertTrue(seen.wait(60))
        self.assertEqual(result, [2])

    def test_callback_cannot_close(self):
        seen = []
        done, gate = threading.Event(), stoa.Event()

        def close(future):
            try:
                self.interp.close()
            except RuntimeError as error:
                seen.append(error)
            done.set()

        self.interp.submit(wait, gate).add_done_callback(close)
        gate.set()
        self.assertTrue(done.wait(60))
        self.assertIsInstance(seen[0], stoa.Deadlock)

    def test_an_interrupt_is_for_the_call_and_not_for_the_future(self):
        """The interpreter's thread tells the future, in the interpreter of who submitted, before and after the call."""
        Future = concurrent.futures.Future
        telling, go_on = threading.Event(), threading.Event()

        def slowly(method):
            def told(*args):
                telling.set()
                for _ in range(1000):
                    if go_on.wait(0.01):
                        break
                return method(*args)
            return told

        with unittest.mock.patch.object(Future, "set_running_or_notify_cancel", slowly(Future.set_running_or_notify_cancel)):
            future = self.interp.submit(identity, 4)
            self.assertTrue(telling.wait(20))
            self.assertTrue(self.interp.interrupt())
            go_on.set()
            with self.assertRaises(KeyboardInterrupt):  # in the call, before it does anything
                future.result(20)
        telling.clear(), go_on.clear()
        with unittest.mock.patch.object(Future, "set_result", slowly(Future.set_result)):
            future = self.interp.submit(identity, 5)
            self.assertTrue(telling.wait(20))
            self.assertFalse(self.interp.interrupt())
            go_on.set()
            self.assertEqual(future.result(20), 5)
        self.assertEqual(self.interp.submit(identity, 6).result(20), 6)

    def test_an_interrupt_of_the_import_of_what_is_called(self):
        begun = stoa.Event()
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "never_imported.py"), "w") as file:
                file.write("import __main__\n__main__.begun.set()\nwhile True: pass\n")
            self.interp.prepare_main(begun=begun, folder=folder)
            self.interp.exec("import sys; sys.path.insert(0, folder)")
            future = self.interp.submit("never_imported:function")
            self.assertTrue(begun.wait(20))
            self.assertTrue(self.interp.interrupt())
            with self.assertRaises(KeyboardInterrupt):
                future.result(20)
            self.interp.exec("sys.path.remove(folder)")
        self.assertEqual(self.interp.submit(identity, 6).result(20), 6)

    def test_from_another_interpreter(self):
        with stoa.Interpreter() as other:
            self.assertEqual(other.call(submit_to, self.interp, 3), 3)
            self.assertEqual(other.call(submit_to, stoa.main(), 4), 4)

    def test_main_has_a_thread_of_its_own(self):
        ident, _ = stoa.main().submit(thread_of_call).result(10)
        self.assertNotEqual(ident, threading.get_ident())

    def test_from_many_threads(self):
        results = []

        def run(n):
            results.append(sum(self.interp.submit(identity, n).result(20) for _ in range(50)))

        threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(results), [50 * n for n in range(8)])


class Closing(unittest.TestCase):
    def blocked(self, interp):
        """A call that blocks in C and is under way, and what lets it go."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        future = interp.submit(os.read, reading, 1)
        while not future.running():
            time.sleep(0.001)
        return future, lambda: os.write(writing, b"x")

    def test_running_finishes_waiting_is_refused(self):
        interp = stoa.Interpreter()
        running, let_go = self.blocked(interp)
        waiting = [interp.submit(identity, n) for n in range(3)]
        closer = threading.Thread(target=interp.close)
        closer.start()
        with self.assertRaises(stoa.InterpreterGone):  # it is being closed
            while True:
                interp.call(abs, 1)
        let_go()
        closer.join()
        self.assertEqual(running.result(0), b"x")
        for future in waiting:
            self.assertIsInstance(future.exception(0), stoa.InterpreterGone)
        with self.assertRaises(stoa.InterpreterGone):
            interp.submit(identity, 1)

    def test_close_that_gives_up(self):
        interp = stoa.Interpreter()
        _, let_go = self.blocked(interp)
        with self.assertRaises(stoa.Timeout):
            interp.close(timeout=0.02)
        let_go()
        self.assertEqual(interp.submit(identity, 1).result(10), 1)
        interp.close()

    def test_a_call_under_way_hears_of_what_it_has_submitted(self):
        """Also when it waits by other means than ours, which do not end when a close begins."""
        gate, asked = stoa.Event(), stoa.Event()
        with stoa.Interpreter() as worker, stoa.InterpreterPoolExecutor(1) as pool:
            for executor in worker, pool:
                gate.clear(), asked.clear()
                interp = stoa.Interpreter()
                future = interp.submit(submit_and_wait, executor, gate, asked)
                asked.wait()
                closer = threading.Thread(target=interp.close)
                closer.start()
                with self.assertRaises(stoa.InterpreterGone):  # it is being closed
                    while True:
                        interp.call(abs, 1)
                gate.set()
                self.assertEqual(future.result(60), (True,))
                closer.join()

    def test_releases_are_applied_after_a_close_that_gives_up(self):
        """Who came to apply them while it was being closed was turned away; nobody else comes."""
        interp, gone = stoa.Interpreter(), stoa.Event()
        interp.prepare_main(gone=gone)
        interp.exec("class Noisy:\n    def __del__(self):\n        gone.set()")
        noisy = interp.call(eval, "Noisy()")
        running, let_go = self.blocked(interp)
        timeouts = []

        def close():
            try:
                interp.close(timeout=0.5)
            except stoa.Timeout as error:
                timeouts.append(error)

        closer = threading.Thread(target=close)
        closer.start()
        with self.assertRaises(stoa.InterpreterGone):  # it is being closed
            while True:
                interp.call(abs, 1)
        del noisy
        closer.join()
        self.assertTrue(gone.wait(60))
        self.assertEqual(len(timeouts), 1)
        let_go()
        running.result(60)
        interp.close()

    def test_submitter_is_closed_first(self):
        worker, submitter = stoa.Interpreter(), stoa.Interpreter()
        gate = stoa.Event()
        submitter.prepare_main(worker=worker, gate=gate)
        submitter.exec("import test_interpreter_submit as t\nf = worker.submit(t.wait, gate)")
        submitter.exec("g = worker.submit(t.identity, 'x' * 100_000)")
        submitter.close()
        gate.set()
        self.assertEqual(worker.submit(identity, 2).result(10), 2)
        worker.close()


if __name__ == "__main__":
    unittest.main()
