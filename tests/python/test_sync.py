"""Queues and locks between interpreters: what CPython's own suites (test_queue_suite, test_lock_suite) cannot ask."""
import gc
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
import unittest
import weakref

import stoa

ITEMS = int(os.environ.get("STOA_TEST_ITEMS", "0")) or (
    30_000 if os.environ.get("STOA_SANITIZE") else 150_000 if hasattr(sys, "gettotalrefcount") else 1_000_000)


def run(interpreter, code):
    """Runs code there on a thread of its own; join() returns what it raised, or None."""
    raised = []

    def work():
        try:
            interpreter.exec(code)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()

    def join():
        thread.join(30)
        assert not thread.is_alive(), "it hangs"
        return raised[0] if raised else None

    return join


def waiting(thing, count=1, timeout=20):
    """Until `count` wait for the thing, as stats() sees it."""
    number = thing.__reduce__()[1][2]
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        for entry in stoa.stats()["things"]:
            if entry["handle"] == number and entry["waiters"] >= count:
                return
        time.sleep(0.001)
    raise AssertionError(f"nobody waits for {thing!r}")


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


class Items(unittest.TestCase):
    def test_the_rule_of_crossing(self):
        q = stoa.Queue()
        shared = stoa.freeze({"a": (1, 2)})
        values = [None, True, 7, 2**80, 1.5, "ä", "x" * 100, b"b", (1, (2,)), frozenset({1}), int, shared]
        with stoa.Interpreter() as other:
            other.prepare_main(q=q)
            for value in values:
                q.put(value)
                other.exec("x = q.get(); q.put(x)")
                self.assertEqual(q.get(), value)
            q.put(shared)
            self.assertIs(q.get(), shared)
            mine = [1]
            q.put(mine)
            self.assertIs(q.get(), mine)
            q.put(mine)
            other.exec("p = q.get(); p.append(2)")
            self.assertEqual(mine, [1, 2])
            q.put(stoa.by_copy(mine))
            other.exec("assert type(q.get()) is list")

    def test_items_of_a_closed_interpreter(self):
        q = stoa.Queue()
        with stoa.Interpreter() as other:
            other.prepare_main(q=q)
            other.exec("import stoa; q.put_many([1, 'a' * 99, (1, [2]), stoa.freeze([1, 2]), [3]])")
        one, text, pair, frozen, mutable = q.get_many()
        self.assertEqual((one, text, pair[0], frozen), (1, "a" * 99, 1, (1, 2)))
        for proxy in (pair[1], mutable):
            with self.assertRaises(stoa.InterpreterGone):
                len(proxy)

    def test_what_cannot_cross_is_refused_and_nothing_is_put(self):
        q = stoa.Queue()
        inner = []
        outer = (inner,)
        inner.append(outer)
        with self.assertRaises(TypeError):
            q.put(stoa.by_copy(outer))
        with self.assertRaises(TypeError):
            q.put_many([1, 2, stoa.by_copy(outer)])
        self.assertEqual(q.qsize(), 0)
        self.assertEqual(q.unfinished_tasks, 0)

    def test_many(self):
        q = stoa.Queue(maxsize=3)
        q.put_many([])
        q.put_many(iter("abc"))
        with self.assertRaises(queue.Full) as raised:
            q.put_many([1], block=False)
        self.assertEqual(raised.exception.put, 0)
        self.assertEqual(q.get_many(2), ["a", "b"])
        with self.assertRaises(queue.Full) as raised:
            q.put_many(range(5), timeout=0.01)
        self.assertEqual(raised.exception.put, 2)
        self.assertEqual(q.get_many(), ["c", 0, 1])
        self.assertEqual(q.get_many(0), [])
        with self.assertRaises(queue.Empty):
            q.get_many(timeout=0.01)
        with self.assertRaises(ValueError):
            q.get_many(-1)
        with self.assertRaises(TypeError):
            q.put_many(3)
        q.put_many([None] * 3)
        q.shutdown()
        with self.assertRaises(stoa.ShutDown):
            q.put_many([1])
        self.assertEqual(len(q.get_many()), 3)
        with self.assertRaises(stoa.ShutDown):
            q.get_many()

    def test_strange_timeouts(self):
        q = stoa.Queue(1)
        q.put(0)
        for timeout in (0, 1e-9, 1e-300, 0.001):
            with self.assertRaises(queue.Full):
                q.put(1, timeout=timeout)
        for timeout in (-1, -1e300, float("nan"), float("-inf")):
            with self.assertRaises(ValueError):
                q.put(1, timeout=timeout)
        with self.assertRaises(TypeError):
            q.put(1, timeout="1")
        for timeout in (1e300, float("inf"), sys.maxsize):
            threading.Timer(0.01, q.get).start()
            q.put(1, timeout=timeout)
        for call in (lambda: q.put(), lambda: q.put(1, 2, 3, 4), lambda: q.put(1, item=2), lambda: q.get(nothing=1)):
            self.assertRaises(TypeError, call)


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
                other.close(timeout=20)
                self.assertIsInstance(join(), stoa.InterpreterGone)
        q.put("for us")
        self.assertEqual(q.get(timeout=5), "for us")
        self.assertEqual(full.qsize(), 1)
        self.assertTrue(barrier.broken)
        self.assertTrue(condition.acquire(timeout=5))
        semaphore.release()
        self.assertTrue(semaphore.acquire(timeout=5))

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
            timer.start()
            with self.assertRaises(KeyboardInterrupt):
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
        self.assertTrue(two.acquire(timeout=5))
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
            joins.append(run(other, "with c:\n    assert c.wait(20)\n    q.put(1)"))
        waiting(condition, 3)
        with condition:
            condition.notify()
            condition.notify_all()
        self.assertEqual([join() for join in joins], [None] * 3)
        self.assertEqual(q.get_many(), [1] * 3)
        for other in others:
            other.close()

    def test_barrier_action_runs_where_it_is_of(self):
        ran = []
        barrier = stoa.Barrier(2, action=lambda: ran.append(stoa.current().name))
        with stoa.Interpreter() as other:
            other.prepare_main(b=barrier)
            join = run(other, "b.wait(20)")
            barrier.wait(20)
            self.assertIsNone(join())
        self.assertEqual(ran, ["main"])


class Nothing(unittest.TestCase):
    """Nothing is lost and nothing comes twice."""

    def mill(self, count, move, size):
        """`count` items go through interpreters that are closed at any moment, under a seed."""
        seed = random.randrange(2**32)
        rng = random.Random(seed)
        source, sink = stoa.Queue(), stoa.Queue(size)
        source.put_many(range(count))
        seen, movers = bytearray(count), []

        def drain():
            got = 0
            try:
                while got < count:
                    for item in sink.get_many():
                        seen[item] += 1
                        got += 1
            except stoa.ShutDown:
                pass  # some are lost

        def start():
            other = stoa.Interpreter()
            other.prepare_main(source=source, sink=sink, seed=rng.random())
            movers.append((other, run(other, move)))

        drainer = threading.Thread(target=drain)
        for _ in range(3):
            start()
        closes, end = 0, time.monotonic() + 80
        while closes == 0 or (drainer.is_alive() and time.monotonic() < end):
            time.sleep(rng.random() * 0.01)
            other, join = movers.pop(rng.randrange(len(movers)))
            other.close(timeout=20)
            self.assertIsNone(join(), f"seed {seed}")
            start()
            closes += 1
            if closes == 1:  # not before one was closed with the sink full, however fast the others are
                drainer.start()
        source.shutdown()
        for other, join in movers:
            self.assertIsNone(join(), f"seed {seed}")
            other.close()
        sink.shutdown()
        drainer.join(10)
        self.assertEqual(seen.count(1), count, f"seed {seed}: {seen.count(0)} lost")
        self.assertEqual((sink.qsize(), source.qsize()), (0, 0))

    def test_random_closes(self):
        """Item by item, so that most closes meet somebody who waits."""
        # what a mover holds when it is closed it gives back
        self.mill(ITEMS // 30, """
import stoa
item = None
try:
    while True:
        item = source.get()
        sink.put(item)
        item = None
except stoa.ShutDown:
    pass
except stoa.InterpreterGone:
    if item is not None:
        source.put(item)
""", 3)

    def test_a_million_items_with_random_closes(self):
        self.mill(ITEMS, """
import random, stoa
rng = random.Random(seed)
held = []
try:
    while True:
        held = source.get_many(rng.choice((1, 10, 100)))
        try:
            sink.put_many(held)
        except stoa.InterpreterGone as error:
            del held[:error.put]
            raise
        held = []
        for _ in range(1000):
            held.append(source.get())
            sink.put(held[0])
            held.clear()
except stoa.ShutDown:
    pass
except stoa.InterpreterGone:
    source.put_many(held)
""", 64)

    def test_fifo_for_each_producer(self):
        q = stoa.Queue(16)
        others = [stoa.Interpreter() for _ in range(3)]
        count = ITEMS // 1000
        joins = []
        for number, other in enumerate(others):
            other.prepare_main(q=q, number=number, count=count)
            joins.append(run(other, "for i in range(count): q.put((number, i))"))
        seen = [[], [], []]
        for _ in range(3 * count):
            number, item = q.get(timeout=20)
            seen[number].append(item)
        self.assertEqual(seen, [list(range(count))] * 3)
        for other, join in zip(others, joins):
            self.assertIsNone(join())
            other.close()

    def test_against_a_model(self):
        seed = random.randrange(2**32)
        rng = random.Random(seed)
        for _ in range(40):
            size = rng.choice([0, 0, 1, 2, 5])
            ours, model = stoa.Queue(size), queue.Queue(size)
            has_shutdown = hasattr(model, "shutdown")
            for step in range(60):
                name = rng.choice(["put", "put", "get", "many", "take", "done", "look"]
                                  + (["shutdown"] if has_shutdown and rng.random() < 0.05 else []))
                self.assertEqual(self.step(ours, name, rng, step), self.step(model, name, rng, step),
                                 f"seed {seed}, step {step}, {name}")
                rng.random()

    def step(self, q, name, rng, step):
        state = rng.getstate()
        try:
            if name == "put":
                q.put(step, block=False)
            elif name == "get":
                return q.get(block=False)
            elif name == "many":
                room = q.maxsize - q.qsize() if q.maxsize else 3
                for i in range(min(3, room)) if isinstance(q, queue.Queue) else ():
                    q.put(step + i, block=False)
                if not isinstance(q, queue.Queue):
                    q.put_many([step + i for i in range(min(3, room))], block=False)
            elif name == "take":
                if isinstance(q, queue.Queue):
                    return [q.get(block=False) for _ in range(min(2, max(q.qsize(), 1)))]
                return q.get_many(2, block=False)
            elif name == "done":
                q.task_done()
            elif name == "shutdown":
                q.shutdown(rng.random() < 0.5)
            return q.qsize(), q.empty(), q.full(), q.unfinished_tasks
        except Exception as error:
            return type(error).__name__
        finally:
            rng.setstate(state)


@unittest.skipUnless(hasattr(os, "fork"), "no fork")
class Fork(unittest.TestCase):
    def test_fork_while_others_wait(self):
        q, lock, mine, event = stoa.Queue(), stoa.Lock(), stoa.Lock(), stoa.Event()
        held = threading.Event()

        def hold():
            with lock:
                held.set()
                event.wait()

        threads = [threading.Thread(target=hold), threading.Thread(target=q.get)]
        for thread in threads:
            thread.start()
        held.wait()
        waiting(q)
        mine.acquire()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                mine.release()
                q.put("child")  # nobody waits here
                assert q.get() == "child"
                try:
                    lock.acquire()  # its holder is a thread of the parent
                except stoa.BrokenLock:
                    code = 0
            finally:
                os._exit(code)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        q.put(1)
        event.set()
        for thread in threads:
            thread.join(10)
        self.assertTrue(lock.acquire(timeout=10))

    # in the child of a fork, with threads of the parent waiting for everything
    CHILD = """
import faulthandler, os, queue, signal, threading, time
import stoa
faulthandler.dump_traceback_later(25, exit=True)
other = stoa.Interpreter()
items, full, joined = stoa.Queue(), stoa.Queue(1), stoa.Queue()
full.put(0)
joined.put(0)
event, gate, barrier = stoa.Event(), stoa.Semaphore(0), stoa.Barrier(2)
condition, lock, rlock, held = stoa.Condition(stoa.Lock()), stoa.Lock(), stoa.RLock(), stoa.Lock()
for one in (lock, rlock, held):
    one.acquire()
def sleep():
    with condition:
        condition.wait()
things = [(items, items.get), (full, lambda: full.put(1)), (joined, joined.join), (event, event.wait), (gate, gate.acquire),
          (barrier, barrier.wait), (condition, sleep), (lock, lock.acquire), (rlock, rlock.acquire)]
other.prepare_main(gate=gate)
waits = [wait for _, wait in things] + [lambda: other.exec("gate.acquire()")]
threads = [threading.Thread(target=wait, daemon=True) for wait in waits]
for thread in threads:
    thread.start()
count = lambda: sum(entry["waiters"] for entry in stoa.stats()["things"])
while count() < len(waits):
    time.sleep(0.001)

def use():
    '''Everything works among the threads of one process; nobody of another is waited for, or woken.'''
    assert count() == 0, count()
    items.put(1)
    assert items.get(timeout=5) == 1
    assert full.get(timeout=5) == 0
    full.put(2, timeout=5)
    joined.get()
    joined.task_done()
    joined.join()
    try:
        barrier.wait(0)
    except threading.BrokenBarrierError:
        barrier.reset()
    got = []
    helpers = [threading.Thread(target=lambda: got.append(barrier.wait(5))),
               threading.Thread(target=lambda: got.append(event.wait(5))),
               threading.Thread(target=lambda: got.append(gate.acquire(timeout=5))),
               threading.Thread(target=lambda: got.append(items.get(timeout=5)))]
    def notified():
        with condition:
            got.append(condition.wait(5))
    helpers.append(threading.Thread(target=notified))
    for thread in helpers:
        thread.start()
    while count() < len(helpers):
        time.sleep(0.001)
    barrier.wait(5)
    event.set()
    gate.release()
    items.put(3)
    with condition:
        condition.notify_all()
    for thread in helpers:
        thread.join(5)
    assert len(got) == len(helpers), got
    for one in (lock, rlock, held):  # this thread's: it has forked with them
        one.release()
        with one:
            pass
"""

    def test_everything_waited_for_works_in_the_child(self):
        code = self.CHILD + """
pid = os.fork()
if pid == 0:
    status = 1
    try:
        use()
        status = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        os._exit(status)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
# and in the parent nothing has changed: everybody still waits, and gets what he waits for
assert count() == len(waits), count()
items.put(1); full.get(); joined.task_done(); event.set(); gate.release(2); barrier.wait(5); lock.release(); rlock.release()
with condition:
    condition.notify_all()
for thread in threads:
    thread.join(10)
assert not any(thread.is_alive() for thread in threads)
os._exit(0)
"""
        self.run_child(code)

    def test_forks_while_everything_is_busy(self):
        """Locks of ours are whole in each child, in the midst of what did the parent's threads do."""
        self.run_child("""
import faulthandler, os, queue, threading
import stoa
faulthandler.dump_traceback_later(25, exit=True)
things = [stoa.Queue(4), stoa.Lock(), stoa.Semaphore(1), stoa.Event(), stoa.Condition(stoa.Lock())]
q, lock, semaphore, event, condition = things
stop = False
def move():
    while not stop:
        try:
            q.put(1, timeout=0.001); q.get(timeout=0.001)
        except (queue.Full, queue.Empty):
            pass
def hold():
    while not stop:
        with lock, semaphore:
            event.set(); event.clear()
        with condition:
            condition.notify(); condition.wait(0.0001)
threads = [threading.Thread(target=work) for work in (move, move, hold, hold)]
for thread in threads:
    thread.start()
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            while not q.empty():
                q.get_nowait()
            q.put(1); assert q.get() == 1
            for one in (lock, condition):
                try:
                    one.acquire()
                except stoa.BrokenLock:  # a thread of the parent had it
                    pass
                one.release()
            event.set(); assert event.wait(1)
            semaphore.release(); assert semaphore.acquire(timeout=1)
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
stop = True
for thread in threads:
    thread.join(10)
os._exit(0)
""")

    def run_child(self, code):
        done = subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", code], capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])


def setUpModule():
    import faulthandler

    faulthandler.dump_traceback_later(110, exit=True)


def tearDownModule():
    import faulthandler

    faulthandler.cancel_dump_traceback_later()
