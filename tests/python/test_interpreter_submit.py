"""Interpreter.submit: futures, order, cancelling, closing with work outstanding."""

import asyncio
import concurrent.futures
import threading
import time
import unittest

import stoa


def identity(x):
    return x


def fail(text):
    raise ValueError(text)


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def thread_of_call():
    return threading.get_ident(), threading.current_thread() is threading.current_thread()


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
        first = self.interp.submit(sleep, 0.3)
        second = self.interp.submit(identity, 1)
        third = self.interp.submit(identity, 2)
        self.assertTrue(second.cancel())
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
        self.assertTrue(seen.wait(10))
        self.assertEqual(result, [2])

    def test_callback_cannot_close(self):
        seen = []
        done = threading.Event()

        def close(future):
            try:
                self.interp.close()
            except RuntimeError as error:
                seen.append(error)
            done.set()

        self.interp.submit(sleep, 0.1).add_done_callback(close)
        self.assertTrue(done.wait(10))
        self.assertIsInstance(seen[0], stoa.Deadlock)

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
    def test_running_finishes_waiting_is_refused(self):
        interp = stoa.Interpreter()
        running = interp.submit(sleep, 0.3)
        waiting = [interp.submit(identity, n) for n in range(3)]
        while not running.running():
            time.sleep(0.001)
        interp.close()
        self.assertEqual(running.result(0), 0.3)
        for future in waiting:
            self.assertIsInstance(future.exception(0), stoa.InterpreterGone)
        with self.assertRaises(stoa.InterpreterGone):
            interp.submit(identity, 1)

    def test_close_that_gives_up(self):
        interp = stoa.Interpreter()
        running = interp.submit(sleep, 0.3)
        while not running.running():
            time.sleep(0.001)
        with self.assertRaises(stoa.Timeout):
            interp.close(timeout=0.02)
        self.assertEqual(interp.submit(identity, 1).result(10), 1)
        interp.close()

    def test_submitter_is_closed_first(self):
        worker, submitter = stoa.Interpreter(), stoa.Interpreter()
        submitter.prepare_main(worker=worker)
        submitter.exec("import test_interpreter_submit as t\nf = worker.submit(t.sleep, 0.3)")
        submitter.exec("g = worker.submit(t.identity, 'x' * 100_000)")
        submitter.close()
        self.assertEqual(worker.submit(identity, 2).result(10), 2)
        worker.close()


if __name__ == "__main__":
    unittest.main()
