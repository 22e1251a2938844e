"""Queues and locks between interpreters: what CPython's own suites (test_queue_suite, test_lock_suite) cannot ask."""
import gc
import os
import signal
import threading
import time
import unittest
import weakref

import stoa
from sync_support import run, waiting


class Things(unittest.TestCase):
    def test_one_wrapper_an_interpreter(self):
        q = stoa.Queue()
        with stoa.Interpreter() as other:
            other.prepare_main(q=q, pair=(q, q))
            other.exec("assert pair[0] is q and pair[1] is q")
            back = other.call("builtins:eval", "__import__('__main__').q")
            self.assertIs(back, q)
            q.put(q)
            other.exec("assert q.get() is q")
            stoa.publish("sync.q", q)
            try:
                other.exec("import stoa; assert stoa.lookup('sync.q') is q")
            finally:
                stoa.unpublish("sync.q")

    def test_every_kind_crosses(self):
        lock = stoa.Lock()
        things = (stoa.Queue(), lock, stoa.RLock(), stoa.Event(), stoa.Condition(lock), stoa.Semaphore(2),
                  stoa.BoundedSemaphore(), stoa.Barrier(2))
        with stoa.Interpreter() as other:
            names = other.call(lambda *given: tuple(type(one).__name__ for one in given), *things)
            self.assertEqual(names, tuple(type(one).__name__ for one in things))
            kept = other.call(lambda *given: given, *things)
            for one, two in zip(things, kept):
                self.assertIs(one, two)

    def test_a_thing_outlives_who_made_it(self):
        other = stoa.Interpreter()
        q = other.call("stoa:Queue", 3)
        q.put("x")
        other.close()
        self.assertEqual((q.maxsize, q.get()), (3, "x"))

    def test_the_last_reference_ends_it(self):
        before = len(stoa.stats()["things"])
        q = stoa.Queue()
        q.put(stoa.Queue())
        other = stoa.Interpreter()
        other.prepare_main(q=q)
        wrapper = weakref.ref(q)
        self.assertEqual(len(stoa.stats()["things"]), before + 2)
        del q
        gc.collect()
        self.assertIsNone(wrapper())
        other.close()
        self.assertEqual(len(stoa.stats()["things"]), before)

    def test_a_long_chain_of_queues_ends(self):
        before = len(stoa.stats()["things"])
        head = stoa.Queue()
        for _ in range(20_000):
            outer = stoa.Queue()
            outer.put(head)
            head = outer
        del head, outer
        self.assertEqual(len(stoa.stats()["things"]), before)

    def test_pickled_within_the_process(self):
        import pickle

        q = stoa.Queue()
        self.assertIs(pickle.loads(pickle.dumps(q)), q)


class Waiting(unittest.TestCase):
    def test_first_come_first_served(self):
        q, order = stoa.Queue(), []
        lock = threading.Lock()

        def work(number):
            item = q.get()
            with lock:
                order.append((number, item))

        threads = []
        for number in range(5):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            waiting(q, number + 1)
        q.put_many(range(5))
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(order), [(i, i) for i in range(5)])

    def test_no_processor_time_and_no_gil(self):
        q = stoa.Queue()
        with stoa.Interpreter() as other:
            other.prepare_main(q=q)
            join = run(other, "q.get()")
            waiting(q)
            used = time.process_time()
            time.sleep(0.3)
            self.assertLess(time.process_time() - used, 0.1)
            self.assertEqual(other.call("builtins:len", "abc"), 3)
            q.put(1)
            self.assertIsNone(join())

    def test_closing_the_interpreter_of_who_waits(self):
        q, full, lock, event = stoa.Queue(), stoa.Queue(1), stoa.Lock(), stoa.Event()
        condition, semaphore, barrier = stoa.Condition(), stoa.Semaphore(0), stoa.Barrier(3)
        full.put(0)
        lock.acquire()
        waits = [(q, "t.get()"), (full, "t.put(1)"), (lock, "t.acquire()"), (event, "t.wait()"),
                 (condition, "with t: t.wait()"), (semaphore, "t.acquire()"), (barrier, "t.wait()")]
        for thing, code in waits:
            with self.subTest(thing=thing):
                other = stoa.Interpreter()
                other.prepare_main(t=thing)
                join = run(other, code)
                waiting(thing)
                other.close(timeout=60)
                self.assertIsInstance(join(), stoa.InterpreterGone)
        q.put("for us")
        self.assertEqual(q.get(timeout=60), "for us")
        self.assertEqual(full.qsize(), 1)
        self.assertTrue(barrier.broken)
        self.assertTrue(condition.acquire(timeout=60))
        semaphore.release()
        self.assertTrue(semaphore.acquire(timeout=60))

    def test_a_party_that_is_gone_breaks_the_barrier(self):
        barrier = stoa.Barrier(3)
        one, two = stoa.Interpreter(), stoa.Interpreter()
        one.prepare_main(b=barrier)
        two.prepare_main(b=barrier)
        first, second = run(one, "b.wait()"), run(two, "b.wait()")
        waiting(barrier, 2)
        one.close()
        self.assertIsInstance(first(), stoa.InterpreterGone)
        self.assertIsInstance(second(), threading.BrokenBarrierError)
        two.close()
        barrier.reset()
        self.assertFalse(barrier.broken)

    def test_shutdown_with_who_waits_in_other_interpreters(self):
        for immediate in (False, True):
            empty, full = stoa.Queue(), stoa.Queue(1)
            full.put(0)
            with stoa.Interpreter() as one, stoa.Interpreter() as two:
                one.prepare_main(q=empty)
                two.prepare_main(q=full)
                joins = run(one, "q.get()"), run(two, "q.put(1)")
                waiting(empty)
                waiting(full)
                empty.shutdown(immediate)
                full.shutdown(immediate)
                for join in joins:
                    self.assertIsInstance(join(), stoa.ShutDown)
            self.assertEqual(full.qsize(), 0 if immediate else 1)

    def test_ctrl_c(self):
        for wait in (stoa.Queue().get, stoa.Event().wait, stoa.Semaphore(0).acquire):
            timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
            with self.assertRaises(KeyboardInterrupt):
                timer.start()
                wait()
            timer.join()

    def test_interrupt(self):
        q = stoa.Queue()
        with stoa.Interpreter() as other:
            other.prepare_main(q=q)
            join = run(other, "q.get()")
            waiting(q)
            self.assertTrue(other.interrupt())
            self.assertIsInstance(join(), KeyboardInterrupt)
        q.put(1)
        self.assertEqual(q.qsize(), 1)
