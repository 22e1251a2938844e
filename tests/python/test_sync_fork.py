"""Queues and locks in the child of a fork."""
import os
import subprocess
import sys
import threading
import unittest

import stoa
from sync_support import waiting


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
            thread.join(60)
        self.assertTrue(lock.acquire(timeout=60))

    # in the child of a fork, with threads of the parent waiting for everything
    CHILD = """
import faulthandler, os, queue, signal, threading, time
import stoa
faulthandler.dump_traceback_later(90, exit=True)
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
    assert items.get(timeout=60) == 1
    assert full.get(timeout=60) == 0
    full.put(2, timeout=60)
    joined.get()
    joined.task_done()
    joined.join()
    try:
        barrier.wait(0)
    except threading.BrokenBarrierError:
        barrier.reset()
    got = []
    helpers = [threading.Thread(target=lambda: got.append(barrier.wait(60))),
               threading.Thread(target=lambda: got.append(event.wait(60))),
               threading.Thread(target=lambda: got.append(gate.acquire(timeout=60))),
               threading.Thread(target=lambda: got.append(items.get(timeout=60)))]
    def notified():
        with condition:
            got.append(condition.wait(60))
    helpers.append(threading.Thread(target=notified))
    for thread in helpers:
        thread.start()
    while count() < len(helpers):
        time.sleep(0.001)
    barrier.wait(60)
    event.set()
    gate.release()
    items.put(3)
    with condition:
        condition.notify_all()
    for thread in helpers:
        thread.join(60)
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
items.put(1); full.get(); joined.task_done(); event.set(); gate.release(2); barrier.wait(60); lock.release(); rlock.release()
with condition:
    condition.notify_all()
for thread in threads:
    thread.join(60)
assert not any(thread.is_alive() for thread in threads)
os._exit(0)
"""
        self.run_child(code)

    def test_forks_while_everything_is_busy(self):
        """Locks of ours are whole in each child, in the midst of what did the parent's threads do."""
        self.run_child("""
import faulthandler, os, queue, threading
import stoa
faulthandler.dump_traceback_later(90, exit=True)
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
            event.set(); assert event.wait(60)
            semaphore.release(); assert semaphore.acquire(timeout=60)
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
stop = True
for thread in threads:
    thread.join(60)
os._exit(0)
""")

    def run_child(self, code):
        done = subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", "-c", code], capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])
