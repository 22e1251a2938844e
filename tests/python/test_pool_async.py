"""Futures and executors under asyncio: no helper threads, several loops, cancellation, loops and interpreters that end."""

import asyncio
import gc
import sys
import threading
import unittest

import child
import stoa
from stoa import _aio, _stoa


def square(x):
    return x * x


def fail(message):
    raise ValueError(message)


def wait(gate, result=None):
    gate.wait()
    return result


class Loop(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.pool = stoa.InterpreterPoolExecutor(2)
        list(cls.pool.map(square, range(10)))

    @classmethod
    def tearDownClass(cls):
        cls.pool.shutdown()

    def setUp(self):
        self.gate = stoa.Event()
        self.addCleanup(self.gate.set)

    def held(self, result=None):
        """A future that is over when the gate is open, and is under way."""
        future = self.pool.submit(wait, self.gate, result)
        while not future.running():
            pass
        return future

    async def test_no_thread_and_no_callback_is_needed(self):
        before = threading.active_count()
        futures = [self.held(n) for n in range(2)]
        tasks = [asyncio.create_task(self.await_it(f)) for f in futures * 5]
        await asyncio.sleep(0.01)
        self.assertEqual(threading.active_count(), before)
        self.assertFalse(any(t.done() for t in tasks))
        self.gate.set()
        self.assertEqual(await asyncio.gather(*tasks), [0, 1] * 5)

    async def await_it(self, future):
        return await future

    async def test_what_it_raises(self):
        with self.assertRaisesRegex(ValueError, "here") as raised:
            await self.pool.submit(fail, "here")
        self.assertIn("in fail", str(raised.exception.__cause__))

    async def test_one_with_callbacks_and_waiters(self):
        future, told = self.held(5), []
        future.add_done_callback(told.append)
        task = asyncio.create_task(self.await_it(future))
        wrapped = asyncio.wrap_future(future)
        await asyncio.sleep(0)
        self.gate.set()
        self.assertEqual((await task, await wrapped, told), (5, 5, [future]))

    async def test_cancelled_elsewhere(self):
        busy = [self.held(), self.held()]
        waiting = self.pool.submit(square, 3)
        task = asyncio.create_task(self.await_it(waiting))
        await asyncio.sleep(0.01)
        self.assertTrue(waiting.cancel())
        with self.assertRaises(asyncio.CancelledError):
            await asyncio.wait_for(task, 10)
        with self.assertRaises(asyncio.CancelledError):
            await waiting
        self.gate.set()
        await asyncio.gather(*map(self.await_it, busy))

    async def test_cancelling_one_of_two_that_await(self):
        busy = [self.held(), self.held()]
        waiting = self.pool.submit(square, 3)
        tasks = [asyncio.create_task(self.await_it(waiting)) for _ in range(2)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        with self.assertRaises(asyncio.CancelledError):
            await tasks[0]
        self.assertFalse(waiting.cancelled())
        self.gate.set()
        self.assertEqual(await tasks[1], 9)
        await asyncio.gather(*map(self.await_it, busy))

    async def test_cancelling_the_only_one_cancels_what_has_not_begun(self):
        busy = [self.held(), self.held()]
        waiting = self.pool.submit(square, 3)
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(waiting, 0.01)
        self.assertTrue(waiting.cancelled())
        for future in busy:  # these have begun: they go on, and are as whole as before
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(self.await_it(future), 0.01)
            self.assertTrue(future.running())
        self.gate.set()
        await asyncio.gather(*map(self.await_it, busy))

    async def test_a_blocked_thread_keeps_it_from_being_cancelled(self):
        busy = [self.held(), self.held()]
        waiting, results = self.pool.submit(square, 3), []
        thread = threading.Thread(target=lambda: results.append(waiting.result(60)))
        thread.start()
        while _stoa._await(_aio.bell(), waiting).leave():  # nobody else waits for it yet
            await asyncio.sleep(0)
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(waiting, 0.01)
        self.assertFalse(waiting.cancelled())
        self.gate.set()
        await asyncio.gather(*map(self.await_it, busy))
        thread.join(60)
        self.assertEqual(results, [9])

    async def test_cancelled_at_random(self):
        futures = [self.pool.submit(square, n) for n in range(300)]
        tasks = [asyncio.create_task(self.await_it(f)) for f in futures]
        for n, task in enumerate(tasks):
            if n % 3 == 0:
                task.cancel()
            if n % 50 == 0:
                await asyncio.sleep(0)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for n, outcome in enumerate(outcomes):
            self.assertTrue(outcome == n * n or isinstance(outcome, asyncio.CancelledError), outcome)
            self.assertTrue(n % 3 == 0 or outcome == n * n)
        self.assertEqual(await self.pool.submit(square, 2), 4)

    async def test_run_in_executor(self):
        loop = asyncio.get_running_loop()
        results = await asyncio.gather(*(loop.run_in_executor(self.pool, square, n) for n in range(50)))
        self.assertEqual(results, [n * n for n in range(50)])
        pending = loop.run_in_executor(self.pool, wait, self.gate, 1)
        await asyncio.sleep(0.01)
        pending.cancel()
        self.gate.set()
        with self.assertRaises(asyncio.CancelledError):
            await pending
        with self.assertRaises(ValueError):
            await loop.run_in_executor(self.pool, fail, "x")

    async def test_calls_submitted_to_an_interpreter(self):
        with stoa.Interpreter() as other:
            self.assertEqual(await asyncio.gather(*(other.submit(square, n) for n in range(5))), [0, 1, 4, 9, 16])
            future = other.submit(wait, self.gate, 3)
            while not future.running():  # else the call is cancelled with the task
                await asyncio.sleep(0)
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(self.await_it(future), 0.02)
            self.gate.set()
            self.assertEqual(await future, 3)
            with self.assertRaises(ValueError):
                await other.submit(fail, "y")

    async def test_hundreds_at_once(self):
        results = await asyncio.gather(*(self.await_it(self.pool.submit(square, n)) for n in range(300)))
        self.assertEqual(results, [n * n for n in range(300)])


class Loops(unittest.TestCase):
    def test_several_loops_await_one_future(self):
        gate, results = stoa.Event(), []
        with stoa.InterpreterPoolExecutor(1) as pool:
            future = pool.submit(wait, gate, 7)

            async def main():
                results.append(await future)

            threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(3)]
            for thread in threads:
                thread.start()
            gate.set()
            for thread in threads:
                thread.join(20)
        self.assertEqual(results, [7, 7, 7])

    def test_a_loop_that_ends_while_it_waits(self):
        gate = stoa.Event()
        with stoa.InterpreterPoolExecutor(1) as pool:
            future = pool.submit(wait, gate, 7)
            while not future.running():  # else the end of the loop, which cancels its tasks, would cancel the call
                pass

            async def leave():
                asyncio.ensure_future(self.forget(future))
                await asyncio.sleep(0.01)

            asyncio.run(leave())
            gc.collect()
            gate.set()
            self.assertEqual(future.result(20), 7)

    async def forget(self, future):
        await future

    def test_a_loop_in_each_interpreter_over_one_pool(self):
        code = """
            import asyncio, stoa
            async def main(pool):
                return await asyncio.gather(*(one(pool, n) for n in range(50)))
            async def one(pool, n):
                return await pool.submit(pow, n, 2)
            def run(pool):
                return asyncio.run(main(pool))
            with stoa.InterpreterPoolExecutor(2) as pool:
                others = [stoa.Interpreter() for _ in range(3)]
                futures = [each.submit(run, pool) for each in others]
                here = run(pool)
                print(all(list(f.result(30)) == here for f in futures), here[-1])
                for each in others:
                    each.close()
        """
        child.check(self, code, stdout="True 2401\n")

    @unittest.skipIf(sys.version_info < (3, 13), "3.12 frees memory twice when any interpreter with a pending task ends")
    def test_an_interpreter_that_closes_while_it_awaits(self):
        code = """
            import stoa, time
            with stoa.InterpreterPoolExecutor(1) as pool:
                gate = stoa.Event()
                other = stoa.Interpreter()
                other.prepare_main(pool=pool, gate=gate)
                other.exec('''
            import asyncio, stoa
            loop = asyncio.new_event_loop()
            async def forever():
                await pool.submit("stoa:Event.wait", gate)
            task = loop.create_task(forever())
            loop.run_until_complete(asyncio.sleep(0.02))
            ''')
                other.close()
                gate.set()
                print(pool.submit(pow, 2, 5).result(20))
        """
        done = child.run(code)
        self.assertEqual((done.returncode, done.stdout), (0, "32\n"), done.stderr)


if __name__ == "__main__":
    unittest.main()
