"""An executor is a thing of the process: any interpreter has it by argument, queue or name, and uses the same workers."""

import gc
import multiprocessing.reduction
import pickle
import sys
import unittest

import child
import stoa


def square(x):
    return x * x


def worker_name():
    return stoa.current().name


def use(pool, n):
    with_callback = []
    future = pool.submit(square, n)
    future.add_done_callback(with_callback.append)
    return isinstance(pool, stoa.InterpreterPoolExecutor), stoa.is_proxy(pool), future.result(20), len(with_callback)


def submit_here(pool, n):
    return pool.submit(square, n)


def fail_to_submit(pool):
    try:
        pool.submit(square, 1)
    except RuntimeError as error:
        return str(error)


class Derived(stoa.InterpreterPoolExecutor):
    def submit(self, fn, /, *args, **kwargs):
        return super().submit(fn, *args, **kwargs)


class Thing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pool = stoa.InterpreterPoolExecutor(2, "thing")
        cls.other = stoa.Interpreter()

    @classmethod
    def tearDownClass(cls):
        cls.other.close()
        cls.pool.shutdown()

    def test_by_argument(self):
        self.assertEqual(self.other.call(use, self.pool, 7), (True, False, 49, 1))

    def test_the_workers_are_the_same(self):
        here = {self.pool.submit(worker_name).result(20) for _ in range(20)}
        there = {self.other.call(worker_from_here, self.pool) for _ in range(20)}
        self.assertLessEqual(here | there, {"thing_0", "thing_1"})

    def test_by_queue_and_home_again_it_is_the_same_object(self):
        queue = stoa.Queue()
        queue.put(self.pool)
        self.assertIs(queue.get(), self.pool)
        self.assertIs(self.other.call(give_back, self.pool), self.pool)

    def test_by_name(self):
        stoa.publish("pool thing", self.pool)
        try:
            self.assertIs(stoa.lookup("pool thing"), self.pool)
            self.other.exec(
                "import stoa\n"
                "pool = stoa.lookup('pool thing')\n"
                "assert pool is stoa.lookup('pool thing')\n"
                "assert list(pool.map('math:sqrt', [4.0, 9.0])) == [2.0, 3.0]\n"
                "assert list(pool.map('math:sqrt', [4.0, 9.0, 16.0], chunksize=2)) == [2.0, 3.0, 4.0]\n"
                "del pool"
            )
        finally:
            stoa.unpublish("pool thing")

    def test_a_task_gets_its_own_pool(self):
        self.assertEqual(self.pool.submit(use, self.pool, 3).result(20)[:3], (True, False, 9))

    def test_a_future_of_another_interpreter(self):
        future = self.other.call(submit_here, self.pool, 5)
        self.assertEqual(future.result(20), 25)
        self.assertTrue(future.done())

    def test_a_derived_class_goes_by_proxy(self):
        with Derived(1) as pool:
            self.assertTrue(self.other.call(stoa.is_proxy, pool))
            self.assertEqual(self.other.call(submit_here, pool, 6).result(20), 36)

    def test_shut_down_there_it_is_shut_here(self):
        pool = stoa.InterpreterPoolExecutor(1)
        future = pool.submit(square, 4)
        self.other.call(shut, pool)
        self.assertTrue(future.done())
        with self.assertRaisesRegex(RuntimeError, "after shutdown"):
            pool.submit(square, 1)
        self.assertIn("after shutdown", self.other.call(fail_to_submit, pool))
        self.assertIn("shut down", repr(pool))

    def test_what_an_uninitialised_one_says(self):
        pool = Derived.__new__(Derived)
        with self.assertRaisesRegex(RuntimeError, "not initialised"):
            pool.submit(square, 1)
        raw = stoa.InterpreterPoolExecutor.__new__(stoa.InterpreterPoolExecutor)
        with self.assertRaisesRegex(RuntimeError, "not initialised"):
            self.other.call(submit_here, raw, 1)
        with self.assertRaisesRegex(RuntimeError, "not initialised"):
            stoa.publish("raw pool", raw)

    def test_stats(self):
        self.pool.submit(square, 2).result(20)
        mine = next(e for e in stoa.stats()["executors"] if e["name"] == "thing")
        self.assertEqual((mine["max_workers"], mine["shut"], mine["broken"]), (2, False, False))
        self.assertGreaterEqual(mine["done"], 1)
        self.assertIn(mine["id"], [t["id"] for t in stoa.stats()["things"] if t["kind"] == "Executor"])

    def test_pickled_it_is_itself_in_this_process_only(self):
        data = bytes(multiprocessing.reduction.ForkingPickler.dumps(self.pool))
        self.assertIs(pickle.loads(data), self.pool)
        child.check(self, f"import pickle, stoa\ntry: pickle.loads({data!r})\nexcept Exception as e: print(type(e).__name__)",
                    stdout="ValueError\n")
        with Derived(1) as pool, self.assertRaises(TypeError):
            pickle.dumps(pool)


def worker_from_here(pool):
    return pool.submit(worker_name).result(20)


def give_back(pool):
    return pool


def shut(pool):
    pool.shutdown()


class Lives(unittest.TestCase):
    def test_it_outlives_the_interpreter_that_made_it(self):
        with stoa.Interpreter() as maker:
            maker.exec("import stoa; stoa.publish('outlives', stoa.InterpreterPoolExecutor(1, 'outlives'))")
        with stoa.lookup("outlives") as pool:
            stoa.unpublish("outlives")
            self.assertEqual(pool.submit(square, 9).result(20), 81)

    def test_it_ends_when_the_last_one_lets_go(self):
        with stoa.Interpreter() as other:
            pool = stoa.InterpreterPoolExecutor(1, "let-go")
            pool.submit(square, 1).result(20)
            other.prepare_main(pool=pool)
            del pool
            gc.collect()
            self.assertIn("let-go", [e["name"] for e in stoa.stats()["executors"] if not e["shut"]])
            other.exec("assert pool.submit('math:sqrt', 4.0).result() == 2.0; del pool; import gc; gc.collect()")
            self.assertNotIn("let-go", [e["name"] for e in stoa.stats()["executors"] if not e["shut"]])

    def test_its_users_close_while_their_tasks_wait(self):
        with stoa.InterpreterPoolExecutor(1) as pool:
            gate = stoa.Event()
            first = pool.submit("stoa:Event.wait", gate)
            with stoa.Interpreter() as other:
                other.prepare_main(pool=pool)
                other.exec("import stoa; fs = [pool.submit(pow, n, 2) for n in range(20)]; fs[3].add_done_callback(print)")
            gate.set()
            self.assertTrue(first.result(20))
            self.assertEqual(pool.submit(square, 2).result(20), 4)

    def test_many_come_and_go(self):
        with stoa.InterpreterPoolExecutor(2) as pool, stoa.Interpreter() as other:
            other.prepare_main(pool=None)
            for n in range(300):
                self.assertIs(other.call(give_back, pool), pool)
                if n % 10 == 0:
                    self.assertEqual(other.call(use, pool, n)[2], n * n)
        entries = [t for t in stoa.stats()["things"] if t["kind"] == "Executor"]
        self.assertTrue(all(t["references"] <= 2 for t in entries), entries)

    @unittest.skipUnless(sys.version_info >= (3, 14), "concurrent.interpreters")
    def test_through_the_standard_librarys_interpreters(self):
        child.check(
            self,
            """
            import stoa
            from concurrent import interpreters
            with stoa.InterpreterPoolExecutor(1) as pool:
                other = interpreters.create()
                other.prepare_main(pool=pool)
                other.exec("import stoa; assert pool.submit(pow, 2, 5).result() == 32; del pool; print('used')")
                other.close()
            """,
            stdout="used\n",
        )


if __name__ == "__main__":
    unittest.main()
