"""InterpreterPoolExecutor: what crosses, workers that come and go, bad input and faults."""

import asyncio
import concurrent.futures
import datetime
import functools
import operator
import random
import re
import threading
import time
import unittest

import child
import stoa

STATE = "nothing"


def square(x):
    return x * x


def remember(value):
    global STATE
    STATE = value


def recall():
    return STATE


def interpreter_id():
    return stoa.current().id


def wait(gate):
    return gate.wait()


def fail(message):
    raise ValueError(message)


def meet(barrier):
    barrier.wait()


def ignore(x):
    pass


def set_and_wait(began, gate):
    began.set()
    gate.wait()


def waiting_at_home():
    return stoa.proxy(set_and_wait, thread="home")


def wait_and_call(gate, f):
    gate.wait()
    return f()


def shut_down(pool):
    pool.shutdown()


def containers(n):
    return [n, {"n": (n, [n])}, {n}, bytearray(b"x")]


KEPT = [1, 2, 3]


def kept_list():
    return stoa.proxy(KEPT)


def containers_length():
    return len(KEPT)


def append_to(target, value):
    target.append(value)
    return stoa.is_proxy(target)


def exit_now(code):
    import sys

    sys.exit(code)


def fail_to_start():
    raise RuntimeError("no start")


class Holder:
    def __init__(self, value):
        self.value = value

    def get(self, more):
        return self.value + more


class Remembering:
    def __init__(self, value):
        self.value = value

    def call(self):
        remember(self.value)


class Adder:
    def __init__(self, value):
        self.value = value

    def __call__(self, more):
        return self.value + more


class Calls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pool = stoa.InterpreterPoolExecutor(2)

    @classmethod
    def tearDownClass(cls):
        cls.pool.shutdown()

    def test_is_an_executor_with_futures_of_ours(self):
        self.assertIsInstance(self.pool, concurrent.futures.Executor)
        future = self.pool.submit(square, 3)
        self.assertIsInstance(future, stoa.Future)
        self.assertIsInstance(future, concurrent.futures.Future)
        self.assertEqual(future.result(10), 9)
        self.assertIsNone(future.exception())
        self.assertTrue(future.done())

    def test_functions(self):
        self.assertEqual(self.pool.submit(lambda a, b=2, *, c: (a, b, c), 1, c=3).result(10), (1, 2, 3))
        self.assertEqual(self.pool.submit("math:sqrt", 16).result(10), 4.0)
        self.assertEqual(self.pool.submit(functools.partial(divmod, 17), 5).result(10), (3, 2))
        self.assertEqual(self.pool.submit(functools.partial(int, base=2), "101").result(10), 5)
        self.assertEqual(self.pool.submit(Holder(40).get, 2).result(10), 42)
        doubled = list(self.pool.map(functools.partial(pow, 2), range(5), chunksize=2))
        self.assertEqual(doubled, [1, 2, 4, 8, 16])

    def test_methods_of_builtin_classes(self):
        self.assertEqual(list(self.pool.map(str.upper, "ab")), ["A", "B"])
        self.assertEqual(list(self.pool.map(str.upper, "abc", chunksize=2)), ["A", "B", "C"])
        self.assertEqual(self.pool.submit(int.__add__, 1, 2).result(10), 3)
        self.assertEqual(self.pool.submit(str.maketrans, "a", "b").result(10), {97: 98})
        self.assertEqual(self.pool.submit(datetime.date.isoformat, datetime.date(2020, 1, 2)).result(10), "2020-01-02")
        self.assertEqual(self.pool.submit("-".join, ("a", "b")).result(10), "a-b")
        self.assertEqual(self.pool.submit(re.compile("a.").findall, "abac").result(10), ["ab", "ac"])
        self.assertEqual(self.pool.submit((5).__add__, 3).result(10), 8)
        target = []
        self.pool.submit(target.append, 1).result(10)  # of what goes by proxy
        self.pool.submit(target.append, 2).result(10)
        self.assertEqual(target, [1, 2])
        one, other = ["-".join, "+".join]
        self.assertEqual([self.pool.submit(f, ("a", "b")).result(10) for f in (one, other, one)], ["a-b", "a+b", "a-b"])

    def test_callable_objects(self):
        self.assertEqual(list(self.pool.map(operator.itemgetter(1), [(1, 2), (3, 4)])), [2, 4])
        self.assertEqual(self.pool.submit(operator.attrgetter("real"), 3).result(10), 3)
        self.assertEqual(self.pool.submit(operator.methodcaller("split", ","), "a,b").result(10), ["a", "b"])
        self.assertEqual(self.pool.submit(functools.partial(operator.itemgetter(0)), "xyz").result(10), "x")
        self.assertEqual(self.pool.submit(Adder(40), 2).result(10), 42)
        self.assertEqual(list(self.pool.map(Adder(1), range(3), chunksize=2)), [1, 2, 3])
        self.assertEqual(self.pool.submit(sorted, [(1, "b"), (2, "a")], key=operator.itemgetter(1)).result(10), [(2, "a"), (1, "b")])

    def test_a_function_that_changes_is_packed_anew(self):
        def f(x=1):
            return x

        self.assertEqual(self.pool.submit(f).result(10), 1)
        f.__defaults__ = (2,)
        self.assertEqual(self.pool.submit(f).result(10), 2)
        f.__code__ = (lambda x=1: x * 10).__code__
        self.assertEqual(self.pool.submit(f).result(10), 20)

    def test_a_global_that_changes_is_seen_where_globals_cross(self):
        child.check(
            self,
            """
            import stoa
            def f():
                return N
            with stoa.InterpreterPoolExecutor(1) as pool:
                seen = []
                for N in (10**6, 10**6 + 1, 10**6 + 2):
                    try:
                        seen.append(pool.submit(f).result(20) == N)
                    except NameError:  # globals do not cross
                        seen.append(True)
            print(seen)
            """,
            stdout="[True, True, True]\n",
        )

    def test_results_outlive_the_pool(self):
        with stoa.InterpreterPoolExecutor(1) as pool:
            future = pool.submit(containers, 7)
        self.assertEqual(future.result(), containers(7))

    def test_a_result_by_proxy_is_good_while_the_worker_lives(self):
        with stoa.InterpreterPoolExecutor(1) as pool:
            target = pool.submit(kept_list).result(20)
            self.assertTrue(stoa.is_proxy(target))
            target.append(4)
            self.assertEqual(pool.submit(containers_length).result(20), 4)
            held = pool.submit(Holder, 5).result(20)
            self.assertTrue(stoa.is_proxy(held))
            self.assertEqual(held.value, 5)
        for use in (lambda: target[0], lambda: held.value):
            self.assertRaises(stoa.InterpreterGone, use)

    def test_mutable_arguments_are_proxies(self):
        target = []
        self.assertTrue(self.pool.submit(append_to, target, 5).result(10))
        self.assertEqual(target, [5])

    def test_exception_with_remote_traceback(self):
        error = self.pool.submit(fail, "here").exception(10)
        self.assertIsInstance(error, ValueError)
        self.assertIn("in fail", str(error.__cause__))

    def test_what_cannot_be_submitted(self):
        for wrong in (None, 5, "no colon", Holder(1)):
            with self.assertRaises((TypeError, ValueError)):
                self.pool.submit(wrong)
        with self.assertRaises(TypeError):
            self.pool.submit()
        with self.assertRaises(ValueError):
            self.pool.map(square, [1], chunksize=0)
        if hasattr(functools, "Placeholder"):
            with self.assertRaisesRegex(TypeError, "placeholders"):
                self.pool.submit(functools.partial(divmod, functools.Placeholder, 5), 17)
        error = self.pool.submit("no_such_module:f").exception(10)
        self.assertIsInstance(error, ModuleNotFoundError)

    def test_map(self):
        for chunksize in (1, 3, 100):
            self.assertEqual(list(self.pool.map(square, range(50), chunksize=chunksize)), [n * n for n in range(50)])
        gate = stoa.Event()
        with self.assertRaises(TimeoutError):
            list(self.pool.map(wait, [gate, gate], timeout=0.01))
        gate.set()
        iterator = self.pool.map(square, [1, None, 3])
        self.assertEqual(next(iterator), 1)
        with self.assertRaises(TypeError):
            next(iterator)

    def test_from_many_threads(self):
        results = []

        def submit_some():
            results.extend(f.result(30) for f in [self.pool.submit(square, n) for n in range(100)])

        threads = [threading.Thread(target=submit_some) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(results), sorted(4 * [n * n for n in range(100)]))

    def test_from_another_interpreter(self):
        with stoa.Interpreter() as other:
            other.exec(
                "import stoa, test_pool\n"
                "with stoa.InterpreterPoolExecutor(1) as pool:\n"
                "    r = list(pool.map(test_pool.square, range(5)))\n"
                "assert r == [0, 1, 4, 9, 16], r"
            )

    def test_task_that_exits_is_an_exception(self):
        error = self.pool.submit(exit_now, 3).exception(10)
        self.assertIsInstance(error, SystemExit)
        self.assertEqual(self.pool.submit(square, 2).result(10), 4)


class Cancelling(unittest.TestCase):
    def setUp(self):
        self.pool, self.gate = stoa.InterpreterPoolExecutor(1), stoa.Event()
        self.addCleanup(self.pool.shutdown)
        self.addCleanup(self.gate.set)

    def busy(self):
        """A task that is under way until the gate is open."""
        busy = self.pool.submit(wait, self.gate)
        while not busy.running():
            time.sleep(0.001)
        return busy

    def test_what_has_not_begun(self):
        busy = self.busy()
        plain, watched, told = self.pool.submit(square, 1), self.pool.submit(square, 2), []
        watched.add_done_callback(told.append)
        self.assertTrue(plain.cancel())
        self.assertTrue(watched.cancel())
        self.assertFalse(busy.cancel())
        self.assertEqual(told, [watched])
        for future in (plain, watched):
            self.assertTrue(future.cancelled() and future.done() and future.cancel())
            with self.assertRaises(concurrent.futures.CancelledError):
                future.result()
        self.gate.set()
        done, _ = concurrent.futures.wait([plain, watched, busy], timeout=60)
        self.assertEqual(done, {plain, watched, busy})

    def test_by_shutdown(self):
        busy = self.busy()
        told, futures = [], [self.pool.submit(square, n) for n in range(10)]
        futures[3].add_done_callback(told.append)
        futures[9].add_done_callback(lambda future: self.gate.set())
        self.pool.shutdown(cancel_futures=True)
        self.assertEqual(busy.result(0), True)
        self.assertTrue(all(f.cancelled() for f in futures))
        self.assertEqual(told, [futures[3]])

    def test_race(self):
        outcomes = {"cancelled": 0, "done": 0}
        for n in range(300):
            future = self.pool.submit(square, n)
            if n % 3 == 0:
                future.add_done_callback(lambda f: None)
            if n % 2:
                time.sleep(0.000005 * (n % 20))
            if future.cancel():
                outcomes["cancelled"] += 1
                self.assertTrue(future.cancelled())
            else:
                outcomes["done"] += 1
                self.assertEqual(future.result(10), n * n)
        self.assertEqual(sum(outcomes.values()), 300)


class Workers(unittest.TestCase):
    def test_initializer_once_and_its_globals_stay(self):
        with stoa.InterpreterPoolExecutor(2, "named", remember, ("set",)) as pool:
            self.assertEqual({pool.submit(recall).result(10) for _ in range(20)}, {"set"})
            self.assertIn(pool.submit("stoa:current").result(10).name, ("named_0", "named_1"))

    def test_initializers_with_arguments_in_front(self):
        for initializer in (functools.partial(remember, value="it"), functools.partial(remember, "it"), Remembering("it").call):
            with stoa.InterpreterPoolExecutor(1, initializer=initializer) as pool:
                self.assertEqual(pool.submit(recall).result(10), "it")

    def test_failing_initializer_breaks_the_pool(self):
        for initializer, args, cause in ((fail_to_start, (), RuntimeError), (exit_now, (1,), SystemExit)):
            with self.assertLogs("concurrent.futures", "CRITICAL"):
                pool = stoa.InterpreterPoolExecutor(1, initializer=initializer, initargs=args)
                told, futures = [], []
                try:
                    for n in range(3):
                        futures.append(pool.submit(square, n))
                        futures[-1].add_done_callback(told.append)
                except concurrent.futures.BrokenExecutor:
                    pass
                for future in futures:
                    error = future.exception(10)
                    self.assertIsInstance(error, concurrent.futures.BrokenExecutor)
                    self.assertIsInstance(error.__cause__, cause)
                with self.assertRaises(concurrent.futures.BrokenExecutor):
                    pool.submit(square, 1)
                pool.shutdown()
                self.assertEqual(len(told), len(futures))

    def test_initializer_that_hangs(self):
        gate = stoa.Event()
        pool = stoa.InterpreterPoolExecutor(1, initializer=wait, initargs=(gate,))
        future = pool.submit(square, 1)
        with self.assertRaises(TimeoutError):
            future.result(0.02)
        self.assertTrue(future.cancel())
        pool.shutdown(wait=False, cancel_futures=True)
        gate.set()

    def test_max_tasks_per_interpreter(self):
        with stoa.InterpreterPoolExecutor(1, max_tasks_per_interpreter=2) as pool:
            ids = [pool.submit(interpreter_id).result(20) for _ in range(6)]
        self.assertEqual([ids.count(i) for i in dict.fromkeys(ids)], [2, 2, 2])

    def test_worker_that_somebody_closes(self):
        with stoa.InterpreterPoolExecutor(1, "victim") as pool:
            first = pool.submit(interpreter_id).result(10)
            for interpreter in stoa.interpreters():
                if interpreter.name.startswith("victim"):
                    interpreter.close(timeout=10)
            second = pool.submit(interpreter_id).result(10)
            self.assertNotEqual(first, second)

    def test_task_that_waits_for_one_of_its_own_pool(self):
        code = """
            import stoa
            pool = stoa.InterpreterPoolExecutor(1)
            def outer(pool):
                return pool.submit(pow, 2, 5).result(20)
            print(pool.submit(outer, pool).result(30))
            pool.shutdown()
        """
        child.check(self, code, stdout="32\n")

    def test_task_that_shuts_its_own_pool_down(self):
        code = """
            import stoa
            pool = stoa.InterpreterPoolExecutor(1)
            def close(pool, wait):
                pool.shutdown(wait=wait)
                return "shut"
            try:
                print(pool.submit(close, pool, True).result(30))
            except stoa.Deadlock as error:
                print("Deadlock")
            pool.shutdown()
            pool = stoa.InterpreterPoolExecutor(1)
            print(pool.submit(close, pool, False).result(30))
            pool.shutdown()
        """
        child.check(self, code, stdout="Deadlock\nshut\n")

    def test_arguments_of_the_constructor(self):
        make = stoa.InterpreterPoolExecutor
        for wrong in ({"max_workers": 0}, {"max_tasks_per_interpreter": 0}):
            self.assertRaises(ValueError, make, **wrong)
        for wrong in ({"max_workers": "2"}, {"initializer": 5}, {"max_tasks_per_interpreter": 1.5}):
            self.assertRaises(TypeError, make, **wrong)
        with make() as pool:
            pass
        self.assertRaises(RuntimeError, pool.submit, square, 1)


class WorkersThatAreBusyOtherwise(unittest.TestCase):
    """What an idle worker does beside tasks may take long, and must not hold up the next task while another is idle."""

    def setUp(self):
        self.began, self.gate = stoa.Event(), stoa.Event()
        self.pool = stoa.InterpreterPoolExecutor(2)
        self.addCleanup(self.pool.shutdown)
        self.addCleanup(self.gate.set)
        barrier = stoa.Barrier(2)
        for future in [self.pool.submit(meet, barrier) for _ in range(2)]:  # so there are two
            future.result(60)

    def the_other_goes_on(self):
        self.assertEqual(self.pool.submit(square, 3).result(60), 9)  # one only: who does another finds what is left lying

    def test_letting_go_of_an_argument(self):
        began, gate = self.began, self.gate

        class Slow:
            def __del__(self):
                began.set()
                gate.wait()

        for _ in range(10):  # which of the two would be given the next task is not in our hands
            began.clear(), gate.clear()
            self.assertIsNone(self.pool.submit(ignore, Slow()).result(60))
            self.assertTrue(began.wait(60))
            self.the_other_goes_on()
            gate.set()

    def test_calls_of_an_object_whose_home_it_is(self):
        for _ in range(10):
            self.began.clear(), self.gate.clear()
            slow = self.pool.submit(waiting_at_home).result(60)
            caller = threading.Thread(target=slow, args=(self.began, self.gate))
            caller.start()
            self.assertTrue(self.began.wait(60))
            self.the_other_goes_on()
            self.gate.set()
            caller.join()


class WaitingForTheEnd(unittest.TestCase):
    """shutdown() is a wait as others are."""

    def test_calls_of_objects_at_home_on_the_thread_that_waits(self):
        gate, ident = stoa.Event(), stoa.proxy(threading.get_ident, thread="home")
        pool = stoa.InterpreterPoolExecutor(1)
        future = pool.submit(wait_and_call, gate, ident)
        opener = threading.Timer(0.2, gate.set)
        opener.start()
        pool.shutdown()
        opener.join()
        self.assertEqual(future.result(0), threading.get_ident())

    def test_interrupt(self):
        gate, pool = stoa.Event(), stoa.InterpreterPoolExecutor(1)
        future = pool.submit(wait, gate)
        with stoa.Interpreter() as interp:
            shutting = interp.submit(shut_down, pool)
            while not interp.interrupt():
                time.sleep(0.001)
            self.assertIsInstance(shutting.exception(60), KeyboardInterrupt)
        gate.set()
        self.assertTrue(future.result(60))


class Processes(unittest.TestCase):
    def test_what_was_submitted_is_done_before_the_end(self):
        child.check(
            self,
            """
            import stoa, sys
            def say(text):
                import time
                time.sleep(0.1)
                print(text, flush=True)
            pool = stoa.InterpreterPoolExecutor(1)
            for n in range(3):
                pool.submit(say, n)
            """,
            stdout="0\n1\n2\n",
        )

    def test_hanging_initializer_does_not_keep_the_program(self):
        child.check(
            self,
            """
            import logging, stoa
            logging.disable()
            def hang():
                while True:
                    pass
            pool = stoa.InterpreterPoolExecutor(1, initializer=hang)
            future = pool.submit(pow, 2, 3)
            while not stoa.interpreters()[1:]:
                pass
            print(future.cancel())
            """,
            stdout="True\n",
        )

    def test_fork(self):
        child.check(
            self,
            """
            import os, stoa, warnings
            warnings.simplefilter("ignore")
            pool, gate = stoa.InterpreterPoolExecutor(2), stoa.Event()
            pending = pool.submit("stoa:Event.wait", gate)
            done = pool.submit(pow, 2, 3)
            done.result()
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    assert done.result() == 8
                    for act in (lambda: pool.submit(pow, 2, 3), lambda: pending.result(5)):
                        try:
                            act()
                            raise SystemExit("no error")
                        except (RuntimeError, stoa.Error) as error:
                            assert "fork" in str(error), error
                    pool.shutdown()
                    with stoa.InterpreterPoolExecutor(1) as own:
                        assert own.submit(pow, 2, 4).result(20) == 16
                    status = 0
                finally:
                    os._exit(status)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            gate.set()
            print(status, pending.result())
            pool.shutdown()
            """,
            stdout="0 True\n",
        )

    def test_forgotten_pool_ends(self):
        child.check(
            self,
            """
            import gc, stoa, time
            future = stoa.InterpreterPoolExecutor(1).submit(pow, 2, 3)
            gc.collect()
            print(future.result(20))
            end = time.monotonic() + 20
            while len(stoa.interpreters()) > 1 and time.monotonic() < end:
                time.sleep(0.005)
            print(len(stoa.interpreters()))
            """,
            stdout="8\n1\n",
        )


class Asyncio(unittest.TestCase):
    def test_await(self):
        async def main(pool):
            loop = asyncio.get_running_loop()
            self.assertEqual(await pool.submit(square, 3), 9)
            self.assertEqual(await asyncio.gather(*(pool.submit(square, n) for n in range(20))), [n * n for n in range(20)])
            self.assertEqual(await loop.run_in_executor(pool, square, 5), 25)
            with self.assertRaises(ValueError):
                await pool.submit(fail, "x")
            over = pool.submit(square, 4)
            over.result(10)
            self.assertEqual(await over, 16)

        with stoa.InterpreterPoolExecutor(2) as pool:
            asyncio.run(main(pool))

    def test_cancelling_the_awaiting_task_cancels_what_has_not_begun(self):
        async def main(pool):
            gate = stoa.Event()
            busy, waiting = pool.submit(wait, gate), pool.submit(square, 1)

            async def await_it():
                await waiting

            task = asyncio.create_task(await_it())
            await asyncio.sleep(0.02)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            self.assertTrue(waiting.cancelled())
            gate.set()
            self.assertEqual(await busy, True)

        with stoa.InterpreterPoolExecutor(1) as pool:
            pool.submit(square, 1).result(10)
            asyncio.run(main(pool))


class Random(unittest.TestCase):
    def test_nothing_is_lost_or_done_twice(self):
        seed = random.randrange(2**32)
        with self.subTest(seed=seed):
            rng = random.Random(seed)
            with stoa.InterpreterPoolExecutor(3, max_tasks_per_interpreter=40) as pool:
                open_, told = {}, []
                for n in range(1500):
                    action = rng.random()
                    if action < 0.6 or not open_:
                        open_[n] = pool.submit(square, n)
                    elif action < 0.7:
                        open_[rng.choice(list(open_))].add_done_callback(told.append)
                    elif action < 0.8:
                        key = rng.choice(list(open_))
                        if open_[key].cancel():
                            self.assertTrue(open_.pop(key).cancelled())
                    elif action < 0.9:
                        key = rng.choice(list(open_))
                        self.assertEqual(open_.pop(key).result(30), key * key)
                    else:
                        keys = rng.sample(list(open_), min(5, len(open_)))
                        done, left = concurrent.futures.wait([open_[k] for k in keys], timeout=30)
                        self.assertFalse(left)
                for key, future in open_.items():
                    self.assertEqual(future.result(30), key * key)
            self.assertTrue(all(f.done() for f in told))


if __name__ == "__main__":
    unittest.main()
