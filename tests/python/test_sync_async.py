"""The awaitable forms of queues and locks."""
import asyncio
import threading
import unittest

import stoa
from sync_support import run, waiting


async def until(condition):
    for _ in range(30_000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it does not come")


class Async(unittest.IsolatedAsyncioTestCase):
    async def test_items_come_from_other_threads_and_interpreters(self):
        q = stoa.Queue()
        loop = asyncio.get_running_loop()
        with stoa.Interpreter() as other:
            other.prepare_main(q=q)
            before = set(threading.enumerate())
            task = asyncio.create_task(q.aget())
            await asyncio.sleep(0.01)
            self.assertLessEqual(set(threading.enumerate()), before)  # no helper
            await loop.run_in_executor(None, other.exec, "q.put('there')")
            self.assertEqual(await asyncio.wait_for(task, 60), "there")

    async def test_put_waits_for_room(self):
        q = stoa.Queue(1)
        await q.aput(1)
        task = asyncio.create_task(q.aput(2))
        await asyncio.sleep(0.01)
        self.assertFalse(task.done())
        self.assertEqual(q.get(), 1)
        await asyncio.wait_for(task, 60)
        self.assertEqual(await q.aget(), 2)

    async def test_blocking_and_awaiting_users_at_once(self):
        q, count = stoa.Queue(4), 300
        got = []

        def blocking():
            while (item := q.get()) is not None:
                got.append(item)

        async def awaiting():
            while (item := await q.aget()) is not None:
                got.append(item)

        thread = threading.Thread(target=blocking)
        thread.start()
        task = asyncio.create_task(awaiting())
        for i in range(count):
            await q.aput(i)
        await q.aput(None)
        await q.aput(None)
        await asyncio.wait_for(task, 60)
        thread.join(60)
        self.assertEqual(sorted(got), list(range(count)))

    async def test_a_cancelled_get_loses_nothing(self):
        q = stoa.Queue()
        for settle in (False, True):
            task = asyncio.create_task(q.aget())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if settle:
                q.put("kept")  # handed to the task, which is cancelled before it can run
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
        self.assertEqual(q.get_nowait(), "kept")
        q.put("next")
        self.assertEqual(await q.aget(), "next")

    async def test_what_a_cancelled_task_was_given_goes_to_the_next(self):
        q, lock, semaphore = stoa.Queue(), stoa.Lock(), stoa.Semaphore(0)
        lock.acquire()
        for wait, give in ((q.aget, lambda: q.put(1)), (lock.aacquire, lock.release),
                           (semaphore.aacquire, semaphore.release)):
            first, second = asyncio.create_task(wait()), asyncio.create_task(wait())
            await asyncio.sleep(0.01)
            give()
            first.cancel()
            await asyncio.wait_for(second, 60)
            self.assertTrue(first.cancelled())

    async def test_a_cancelled_put_takes_its_item_along(self):
        q = stoa.Queue(1)
        q.put(1)
        task = asyncio.create_task(q.aput(2))
        await asyncio.sleep(0.01)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertEqual(q.get_many(), [1])
        self.assertEqual(q.unfinished_tasks, 1)

    async def test_a_cancelled_put_whose_item_came_in_takes_it_back(self):
        for got in (False, True):
            q = stoa.Queue(1)
            q.put(1)
            task = asyncio.create_task(q.aput(2))
            await asyncio.sleep(0.01)
            self.assertEqual(q.get(), 1)  # now 2 is in, before its task can run
            self.assertEqual(q.qsize(), 1)
            items = [q.get()] if got else []
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertEqual((items, q.qsize(), q.unfinished_tasks), ([2], 0, 2) if got else ([], 0, 1))

    async def test_a_notification_is_not_lost_with_who_is_cancelled_while_he_takes_the_lock(self):
        condition, woken = stoa.Condition(stoa.Lock()), []

        async def wait(name):
            async with condition:
                await condition.await_()
                woken.append(name)

        tasks = [asyncio.create_task(wait(name)) for name in "ab"]
        await asyncio.sleep(0.01)
        async with condition:
            condition.notify()
            await asyncio.sleep(0.01)  # the first wants the lock now
            tasks[0].cancel()
        await asyncio.wait_for(tasks[1], 60)
        self.assertEqual((woken, tasks[0].cancelled()), (["b"], True))

    async def test_many_cancelled_at_random(self):
        import random

        rng = random.Random(4)
        q, got = stoa.Queue(3), []

        async def consume():
            while True:
                got.append(await q.aget())

        tasks = [asyncio.create_task(consume()) for _ in range(5)]
        for i in range(300):
            await q.aput(i)
            if rng.random() < 0.2:
                victim = rng.randrange(5)
                tasks[victim].cancel()
                tasks[victim] = asyncio.create_task(consume())
        await until(lambda: len(got) == 300)
        for task in tasks:
            task.cancel()
        self.assertEqual(sorted(got), list(range(300)))

    async def test_shutdown_and_join(self):
        q = stoa.Queue()
        waits = [asyncio.create_task(q.aget()), asyncio.create_task(q.aget())]
        await asyncio.sleep(0.01)
        q.shutdown()
        for task in waits:
            with self.assertRaises(stoa.ShutDown):
                await task
        with self.assertRaises(stoa.ShutDown):
            await q.aput(1)
        q = stoa.Queue()
        q.put(1)
        task = asyncio.create_task(q.ajoin())
        await asyncio.sleep(0.01)
        self.assertFalse(task.done())
        q.get()
        q.task_done()
        await asyncio.wait_for(task, 60)

    async def test_locks(self):
        lock, running, most = stoa.Lock(), 0, 0

        async def work():
            nonlocal running, most
            async with lock:
                running += 1
                most = max(most, running)
                await asyncio.sleep(0)
                running -= 1

        await asyncio.gather(*(work() for _ in range(20)))
        self.assertEqual((most, lock.locked()), (1, False))
        semaphore = stoa.BoundedSemaphore(2)
        async with semaphore, semaphore:
            self.assertFalse(semaphore.acquire(False))
        self.assertTrue(semaphore.acquire(False))

    async def test_a_lock_held_by_a_thread(self):
        lock = stoa.Lock()
        lock.acquire()
        threading.Timer(0.05, lock.release).start()
        self.assertTrue(await asyncio.wait_for(lock.aacquire(), 60))

    async def test_a_lock_whose_holder_is_gone(self):
        lock, other = stoa.Lock(), stoa.Interpreter()
        other.prepare_main(lock=lock)
        other.exec("lock.acquire()")
        task = asyncio.create_task(lock.aacquire())
        await asyncio.sleep(0.01)
        await asyncio.get_running_loop().run_in_executor(None, other.close)
        with self.assertRaises(stoa.BrokenLock):
            await task

    async def test_event_condition_barrier(self):
        event, condition = stoa.Event(), stoa.Condition(stoa.Lock())
        task = asyncio.create_task(event.await_())
        threading.Timer(0.02, event.set).start()
        self.assertTrue(await asyncio.wait_for(task, 60))
        self.assertTrue(await event.await_())
        state = []

        async def consumer():
            async with condition:
                return await condition.await_for(lambda: state and state[0])

        task = asyncio.create_task(consumer())
        await asyncio.sleep(0.01)

        def produce():
            with condition:
                state.append("ready")
                condition.notify_all()

        threading.Thread(target=produce).start()
        self.assertEqual(await asyncio.wait_for(task, 60), "ready")
        self.assertFalse(condition.locked())
        with self.assertRaises(RuntimeError):
            await condition.await_()
        ran = []
        barrier = stoa.Barrier(3, action=lambda: ran.append(1))
        places = await asyncio.wait_for(asyncio.gather(*(barrier.await_() for _ in range(3))), 60)
        self.assertEqual((sorted(places), ran), ([0, 1, 2], [1]))

    async def test_cancelled_condition_has_its_lock_again(self):
        condition = stoa.Condition(stoa.Lock())
        seen = []

        async def wait():
            async with condition:
                try:
                    await condition.await_()
                finally:
                    seen.append(condition.locked())

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertEqual((seen, condition.locked()), ([True], False))


class Loops(unittest.TestCase):
    def test_one_loop_an_interpreter(self):
        there, back = stoa.Queue(), stoa.Queue()
        code = """
import asyncio
async def main():
    while (item := await there.aget()) is not None:
        await back.aput(item + 1)
asyncio.run(main())
"""
        with stoa.Interpreter() as other:
            other.prepare_main(there=there, back=back)
            thread = threading.Thread(target=other.exec, args=(code,))
            thread.start()

            async def main():
                for i in range(100):
                    await there.aput(i)
                    self.assertEqual(await asyncio.wait_for(back.aget(), 60), i + 1)
                await there.aput(None)

            asyncio.run(main())
            thread.join(60)

    def test_a_loop_that_ends_while_it_waits(self):
        q = stoa.Queue()

        async def main():
            asyncio.create_task(q.aget())
            await asyncio.sleep(0.01)

        for _ in range(3):
            asyncio.run(main())
        q.put(1)
        self.assertEqual(q.get(timeout=60), 1)

    def run_a_loop_that_waits(self, other, thread_target):
        """Tasks of `other` that wait for one of each kind; what each of them ended by goes into the queue `told`."""
        told, gate = stoa.Queue(), stoa.Event()
        full, lock = stoa.Queue(1), stoa.Lock()
        full.put(0)
        lock.acquire()
        condition = stoa.Condition()
        self.addCleanup(gate.set)
        other.prepare_main(told=told, things=(stoa.Queue(), full, lock, stoa.Event(), stoa.Semaphore(0), stoa.Barrier(2)),
                           condition=condition, pool=self.pool, gate=gate)
        other.exec("""
import asyncio
async def waits(name, awaitable):
    try:
        await awaitable
    except BaseException as error:
        told.put((name, type(error).__name__))
        if isinstance(error, asyncio.CancelledError):
            raise
async def sleeps():
    async with condition:
        await condition.await_()
async def future():
    await pool.submit("stoa:Event.wait", gate)
async def main():
    queue, full, lock, event, semaphore, barrier = things
    begun = {"get": queue.aget(), "put": full.aput(1), "lock": lock.aacquire(), "event": event.await_(),
             "semaphore": semaphore.aacquire(), "barrier": barrier.await_(), "condition": sleeps(), "future": future()}
    tasks = [asyncio.create_task(waits(name, awaitable)) for name, awaitable in begun.items()]
    asyncio.get_running_loop().call_later(0.01, told.put, "all wait")
    await asyncio.wait(tasks)
    try:
        await queue.aget()
    except BaseException as error:
        told.put(("afterwards", type(error).__name__))
""")
        thread = threading.Thread(target=thread_target, args=(other,), daemon=True)
        thread.start()
        self.assertEqual(told.get(timeout=60), "all wait")
        return thread, told

    NAMES = {"get", "put", "lock", "event", "semaphore", "barrier", "future"}

    def setUp(self):
        self.pool = stoa.InterpreterPoolExecutor(1)
        self.addCleanup(self.pool.shutdown)

    def test_who_awaits_in_an_interpreter_that_is_closed_hears_it(self):
        """The loop sleeps in the system's poll; it is woken, and its tasks are told what blocking waits are told."""
        other = stoa.Interpreter()
        thread, told = self.run_a_loop_that_waits(other, lambda there: there.exec("asyncio.run(main())"))
        other.close(timeout=60)
        thread.join(60)
        self.assertFalse(thread.is_alive())
        heard = dict(told.get_many(20))
        self.assertEqual(heard, dict.fromkeys({*self.NAMES, "condition", "afterwards"}, "InterpreterGone"))

    def test_a_notification_of_who_is_closed_while_he_takes_the_lock_goes_to_the_next(self):
        lock, woken = stoa.Lock(), []
        condition, other = stoa.Condition(lock), stoa.Interpreter()
        other.prepare_main(condition=condition)

        def wait():
            with condition:
                woken.append(condition.wait(60))

        first = run(other, """
import asyncio
async def wait():
    async with condition:
        await condition.await_()
asyncio.run(wait())
""")
        waiting(condition)
        thread = threading.Thread(target=wait)
        thread.start()
        waiting(condition, 2)
        with condition:
            condition.notify()
            waiting(lock)
            other.close(timeout=60)
            self.assertIsInstance(first(), stoa.InterpreterGone)
            self.assertTrue(lock.locked())
        thread.join(60)
        self.assertEqual(woken, [True])

    def test_a_loop_that_waits_is_interrupted(self):
        def run(there):
            try:
                there.exec("asyncio.run(main())")
            except KeyboardInterrupt:
                ended.append("KeyboardInterrupt")

        ended = []
        with stoa.Interpreter() as other:
            thread, told = self.run_a_loop_that_waits(other, run)
            self.assertTrue(other.interrupt())
            thread.join(60)
            self.assertEqual(ended, ["KeyboardInterrupt"])
            heard = dict(told.get_many(20))
            self.assertEqual(heard, dict.fromkeys({*self.NAMES, "condition"}, "CancelledError"))

    def test_an_interpreter_that_closes_with_a_task_that_was_given_an_item(self):
        q = stoa.Queue()
        other = stoa.Interpreter()
        other.prepare_main(q=q)
        other.exec("""
import asyncio
loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda *ignored: None)
task = loop.create_task(q.aget())
loop.run_until_complete(asyncio.sleep(0.01))
""")
        q.put("kept")  # handed to the task, whose loop never runs again
        self.assertTrue(q.empty())
        other.close()
        self.assertEqual(q.get(timeout=60), "kept")
