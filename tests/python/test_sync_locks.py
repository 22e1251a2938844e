"""Locks, conditions and barriers between interpreters."""
import os
import signal
import threading
import time
import unittest

import stoa
from sync_support import run, waiting


class Locks(unittest.TestCase):
    def test_a_lock_is_broken_when_its_holders_interpreter_closes(self):
        for kind in (stoa.Lock, stoa.RLock):
            lock = kind()
            holder, waiter = stoa.Interpreter(), stoa.Interpreter()
            holder.prepare_main(lock=lock)
            waiter.prepare_main(lock=lock)
            holder.exec("lock.acquire()")
            join = run(waiter, "lock.acquire()")
            waiting(lock)
            holder.close()
            self.assertIsInstance(join(), stoa.BrokenLock)
            with self.assertRaisesRegex(stoa.BrokenLock, "closed|gone"):
                lock.acquire()
            with self.assertRaises(stoa.BrokenLock):
                lock.acquire(False)
            lock.release()
            with lock:
                self.assertTrue(lock.locked())
            self.assertFalse(lock.locked())
            waiter.close()

    def test_no_timeout_is_for_ever(self):
        for lock in (stoa.Lock(), stoa.RLock(), stoa.Condition(), stoa.Semaphore(1)):
            self.assertTrue(lock.acquire(timeout=None))
            done = []
            thread = threading.Thread(target=lambda: done.append(lock.acquire(True, None)))
            thread.start()
            waiting(getattr(lock, "_lock", lock))
            lock.release()
            thread.join(60)
            self.assertEqual(done, [True])

    def test_leaving_a_block_does_not_mend_a_broken_lock(self):
        condition = stoa.Condition(stoa.Lock())
        holder, waiter = stoa.Interpreter(), stoa.Interpreter()
        holder.prepare_main(c=condition)
        waiter.prepare_main(c=condition)
        join = run(waiter, "with c: c.wait()")
        waiting(condition)
        holder.exec("c.acquire(); c.notify()")
        holder.close()
        self.assertIsInstance(join(), stoa.BrokenLock)
        for use in (condition.wait, condition.notify, condition.acquire, condition.__enter__):
            self.assertRaises(stoa.BrokenLock, use)
        self.assertRaises(stoa.BrokenLock, condition.__exit__, None, None, None)
        condition.release()
        with condition:
            pass
        waiter.close()

    def test_an_rlock_belongs_to_thread_and_interpreter(self):
        lock = stoa.RLock()
        with stoa.Interpreter() as other, lock:
            other.prepare_main(lock=lock)
            other.exec("assert not lock.acquire(False)")
            with self.assertRaises(RuntimeError):
                other.exec("lock.release()")
            with self.assertRaises(stoa.Deadlock):  # this thread, in another interpreter, waits for itself
                other.exec("lock.acquire()")
        self.assertFalse(lock.locked())

    def test_a_circle_of_locks_is_a_deadlock(self):
        with stoa.Interpreter() as other:
            while not self.closes_a_circle(other):
                pass  # the other one was the second to look, and saw it

    def closes_a_circle(self, other):
        one, two = stoa.Lock(), stoa.RLock()
        other.prepare_main(one=one, two=two)
        one.acquire()
        join = run(other, "with two:\n    one.acquire(); one.release()")
        waiting(one)
        try:
            two.acquire()
        except stoa.Deadlock as error:
            self.assertRegex(str(error), "waits for a lock of thread")
        else:
            self.assertIsInstance(join(), stoa.Deadlock)
            return False
        self.assertFalse(two.acquire(timeout=0.01))  # with a timeout it ends by itself
        one.release()
        self.assertIsNone(join())
        self.assertTrue(two.acquire(timeout=60))
        return True

    def test_a_lock_that_is_handed_on_is_no_circle(self):
        lock, done = stoa.Lock(), []

        def work():
            for _ in range(200):
                with lock:
                    time.sleep(0)
            done.append(1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(len(done), 4)

    def test_condition_over_interpreters(self):
        condition, q = stoa.Condition(), stoa.Queue()
        others = [stoa.Interpreter() for _ in range(3)]
        joins = []
        for other in others:
            other.prepare_main(c=condition, q=q)
            joins.append(run(other, "with c:\n    assert c.wait(60)\n    q.put(1)"))
        waiting(condition, 3)
        with condition:
            condition.notify()
            condition.notify_all()
        self.assertEqual([join() for join in joins], [None] * 3)
        self.assertEqual(q.get_many(), [1] * 3)
        for other in others:
            other.close()

    def test_who_cannot_take_a_conditions_lock_again_leaves_it_to_its_holder(self):
        for lock in (stoa.Lock(), stoa.RLock()):
            with self.subTest(lock=lock):
                condition, other = stoa.Condition(lock), stoa.Interpreter()
                other.prepare_main(c=condition)
                join = run(other, "with c: c.wait()")
                waiting(condition)
                with condition:
                    condition.notify()
                    waiting(lock)
                    other.close(timeout=60)
                    self.assertIsInstance(join(), stoa.InterpreterGone)
                    self.assertTrue(lock.locked())
                self.assertFalse(lock.locked())

    def test_what_a_signals_handler_raises_waits_for_the_conditions_lock(self):
        lock, handled, had = stoa.RLock(), threading.Event(), []
        condition = stoa.Condition(lock)

        def handler(number, frame):
            handled.set()
            raise OSError("from the handler")

        def notify():
            with condition:
                condition.notify()
                waiting(lock)
                os.kill(os.getpid(), signal.SIGUSR1)
                handled.wait(60)

        before = signal.signal(signal.SIGUSR1, handler)
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        thread = threading.Thread(target=notify)
        with self.assertRaisesRegex(OSError, "from the handler"):
            with condition:
                thread.start()
                try:
                    condition.wait()
                finally:
                    had.append(lock._is_owned())
        thread.join(60)
        self.assertEqual((had, lock.locked()), ([True], False))

    def test_barrier_action_runs_where_it_is_of(self):
        ran = []
        barrier = stoa.Barrier(2, action=lambda: ran.append(stoa.current().name))
        with stoa.Interpreter() as other:
            other.prepare_main(b=barrier)
            join = run(other, "b.wait(60)")
            barrier.wait(60)
            self.assertIsNone(join())
        self.assertEqual(ran, ["main"])
