"""Locks, events, conditions, semaphores and barriers against models, under a seed.

Workers, threads of this interpreter and of others, do what one rng says, one step after the other; the model says what each
of them must report, who waits, and in which order who waits is served. Interpreters are closed and interrupted at random,
waits run out. STOA_TEST_SEED=n repeats a run, STOA_TEST_STEPS=n makes it longer.
"""
import os
import queue
import random
import threading
import time
import unittest

import stoa
from stoa_tests import SLOW_BUILD

STEPS = int(os.environ.get("STOA_TEST_STEPS", 0)) or (40 if SLOW_BUILD else 150)
SHORT = 0.002  # a time limit that runs out
WORK = """
import stoa
def work(name, commands, reports, thing):
    try:
        while (code := commands.get()) is not None:
            try:
                # not the text: an eval of text that is interrupted makes CPython end the process by SIGINT, much later
                result = str(eval(compile(code, "step", "eval"), {"t": thing}))
            except BaseException as error:
                result = type(error).__name__
            reports.put((name, result))
    except stoa.InterpreterGone:
        pass
"""


class Worker:
    def __init__(self, name, foreign, reports, thing):
        self.name, self.commands = name, stoa.Queue()
        self.other = stoa.Interpreter() if foreign else None
        if foreign:
            self.other.prepare_main(args=(name, self.commands, reports, thing))
            run = lambda other=self.other: other.exec(WORK + "work(*args)\n")
        else:
            there = {}
            exec(WORK, there)
            run = lambda: there["work"](name, self.commands, reports, thing)
        self.thread = threading.Thread(target=self.quietly, args=(run,), daemon=True)
        self.thread.start()

    def quietly(self, run):
        try:
            run()
        except (stoa.InterpreterGone, KeyboardInterrupt):
            pass

    def __repr__(self):
        return self.name

    def end(self):
        if self.other is not None:
            self.other.close(timeout=60)
        else:
            self.commands.put(None)
        self.thread.join(60)


class Due:
    """What is to be reported now: by all of `workers`, or by one of them, whichever."""

    def __init__(self, workers, *results, one=False):
        self.workers, self.results, self.one = set(workers), results, one


class Model:
    """`waiting`: who waits, first come first. Each step returns the Dues that it brings about."""

    def __init__(self):
        self.waiting = []

    def waiters(self):
        return [(self.thing, len(self.waiting))]

    def leave(self, worker):
        """A waiter is interrupted, or closed."""
        self.waiting.remove(worker)
        return []

    def gone(self, worker):
        """The interpreter of one who does not wait, or did not, is closed."""
        return []

    def takes_the_lock(self, worker):
        """Does a wait that ends by an exception leave the lock with the worker, who never lets go of it then?"""
        return False


class LockModel(Model):
    kind, reentrant = stoa.Lock, False

    def __init__(self, rng):
        super().__init__()
        self.thing = self.kind()
        self.holder, self.depth, self.broken = None, 0, False

    def step(self, worker, rng):
        code = rng.choice(["t.acquire()", "t.acquire()", "t.acquire(False)", f"t.acquire(timeout={SHORT})",
                           "t.release()", "t.release()", "t.locked()"])
        if code == "t.release()":
            return code, self.release(worker)
        if code == "t.locked()":
            return code, [Due([worker], str(self.holder is not None or self.broken))]
        if self.broken:
            return code, [Due([worker], "BrokenLock")]
        if self.holder is None or (self.reentrant and self.holder is worker):
            self.holder = worker
            self.depth += 1
            return code, [Due([worker], "True")]
        if code != "t.acquire()":
            return code, [Due([worker], "False")]
        self.waiting.append(worker)
        return code, []

    def release(self, worker):
        if self.broken:
            self.broken = False
            return [Due([worker], "None")]
        if self.holder is None or (self.reentrant and self.holder is not worker):
            return [Due([worker], "RuntimeError")]
        self.depth -= 1
        if self.depth > 0:
            return [Due([worker], "None")]
        return [Due([worker], "None")] + self.hand_on()

    def hand_on(self):
        self.holder, self.depth = None, 0
        if not self.waiting:
            return []
        self.holder, self.depth = self.waiting.pop(0), 1
        return [Due([self.holder], "True")]

    def gone(self, worker):
        if self.holder is not worker:
            return []
        told, self.waiting = self.waiting, []
        self.holder, self.depth, self.broken = None, 0, True
        return [Due(told, "BrokenLock")]


class RLockModel(LockModel):
    kind, reentrant = stoa.RLock, True


class EventModel(Model):
    def __init__(self, rng):
        super().__init__()
        self.thing, self.set = stoa.Event(), False

    def step(self, worker, rng):
        code = rng.choice(["t.wait()", "t.wait()", "t.wait()", f"t.wait({SHORT})", "t.wait(0)", "t.set()", "t.clear()", "t.is_set()"])
        if code == "t.set()":
            told, self.waiting, self.set = self.waiting, [], True
            return code, [Due([worker], "None"), Due(told, "True")]
        if code == "t.clear()":
            self.set = False
            return code, [Due([worker], "None")]
        if self.set or code != "t.wait()":
            return code, [Due([worker], str(self.set))]
        self.waiting.append(worker)
        return code, []


class SemaphoreModel(Model):
    def __init__(self, rng, kind=stoa.Semaphore):
        super().__init__()
        self.value = self.bound = rng.randrange(3)
        self.thing, self.bounded = kind(self.value), kind is stoa.BoundedSemaphore

    def step(self, worker, rng):
        n = rng.choice([1, 1, 2])
        code = rng.choice(["t.acquire()", "t.acquire()", "t.acquire(False)", f"t.acquire(timeout={SHORT})", f"t.release({n})"])
        if code.startswith("t.release"):
            if self.bounded and self.value + n > self.bound:
                return code, [Due([worker], "ValueError")]
            told, self.waiting = self.waiting[:n], self.waiting[n:]
            self.value += n - len(told)
            return code, [Due([worker], "None"), Due(told, "True")]
        if self.value > 0:
            self.value -= 1
            return code, [Due([worker], "True")]
        if code != "t.acquire()":
            return code, [Due([worker], "False")]
        self.waiting.append(worker)
        return code, []


class BarrierModel(Model):
    def __init__(self, rng):
        super().__init__()
        self.parties, self.broken = rng.choice([1, 2, 3, 4]), False
        self.thing = stoa.Barrier(self.parties)

    def step(self, worker, rng):
        code = rng.choice(["t.wait()"] * 8 + [f"t.wait({SHORT})", "t.abort()", "t.reset()", "t.reset()", "t.broken", "t.n_waiting"])
        if code == "t.broken":
            return code, [Due([worker], str(self.broken))]
        if code == "t.n_waiting":
            return code, [Due([worker], str(len(self.waiting)))]
        if code in ("t.abort()", "t.reset()"):
            return code, [Due([worker], "None")] + self.break_it(code == "t.abort()")
        if self.broken:
            return code, [Due([worker], "BrokenBarrierError")]
        if len(self.waiting) + 1 == self.parties:
            told, self.waiting = self.waiting + [worker], []
            return code, [Due([one], str(place)) for place, one in enumerate(told)]
        if code != "t.wait()":
            return code, [Due([worker], "BrokenBarrierError")] + self.break_it(True)
        self.waiting.append(worker)
        return code, []

    def break_it(self, stays):
        told, self.waiting, self.broken = self.waiting, [], stays
        return [Due(told, "BrokenBarrierError")]

    def leave(self, worker):
        self.waiting.remove(worker)
        return self.break_it(True)


class ConditionModel(LockModel):
    """Who is notified, or out of time, wants the lock again, behind those who want it already; who are notified at once,
    in any order."""

    def __init__(self, rng):
        Model.__init__(self)
        self.lock = stoa.Lock()
        self.thing = stoa.Condition(self.lock)
        self.holder, self.depth, self.broken = None, 0, False
        self.sleeping = []  # wait for a notification
        self.groups = []    # want the lock: lists of (worker, what he will report, was he notified?)

    def waiters(self):
        return [(self.thing, len(self.sleeping)), (self.lock, sum(map(len, self.groups)))]

    @property
    def waiting(self):
        return self.sleeping + [entry[0] for group in self.groups for entry in group]

    @waiting.setter
    def waiting(self, value):
        assert not value

    def step(self, worker, rng):
        if self.holder is worker:
            code = rng.choice(["t.wait()", "t.wait()", "t.wait()", f"t.wait({SHORT})", "t.notify()", "t.notify(2)",
                               "t.notify_all()", "t.release()", "t.release()"])
        else:
            code = rng.choice(["t.acquire()", "t.acquire()", "t.acquire()", "t.acquire(False)", f"t.acquire(timeout={SHORT})"]
                              + (["t.wait()", "t.notify()"] if self.holder is None else []))
        if self.broken:
            if rng.random() < 0.3:
                self.broken = False
                return "t.release()", [Due([worker], "None")]
            return code, [Due([worker], "BrokenLock")]
        if self.holder is None and code[:6] in ("t.wait", "t.noti"):
            return code, [Due([worker], "RuntimeError")]
        if code == "t.release()":
            return code, [Due([worker], "None")] + self.hand_on()
        if code.startswith("t.notify"):
            count = {"t.notify()": 1, "t.notify(2)": 2}.get(code, len(self.sleeping))
            told, self.sleeping = self.sleeping[:count], self.sleeping[count:]
            if told:
                self.groups.append([(one, "True", True) for one in told])
            return code, [Due([worker], "None")]
        if code == "t.wait()":
            self.sleeping.append(worker)
            return code, self.hand_on()
        if code.startswith("t.wait"):
            # out of time, it wants the lock again: at once if nobody else did, else at the end
            due = self.hand_on()
            if self.holder is None:
                self.holder = worker
                return code, [Due([worker], "False")]
            self.groups.append([(worker, "False", False)])
            return code, due
        if self.holder is None:
            self.holder = worker
            return code, [Due([worker], "True")]
        if code != "t.acquire()":
            return code, [Due([worker], "False")]
        self.groups.append([(worker, "True", False)])
        return code, []

    def hand_on(self):
        self.holder = None
        if not self.groups:
            return []
        group = self.groups[0]
        self.holder = "one of the first"
        return [Due([entry[0] for entry in group], *{entry[1] for entry in group}, one=True)]

    def reported(self, worker):
        """`worker` was the one."""
        self.holder = worker
        self.groups[0] = [entry for entry in self.groups[0] if entry[0] is not worker]
        self.drop_empty()

    def drop_empty(self):
        self.groups = [group for group in self.groups if group]

    def leave(self, worker):
        self.sleeping = [one for one in self.sleeping if one is not worker]
        passes_on = any(entry[0] is worker and entry[2] for group in self.groups for entry in group)
        self.groups = [[entry for entry in group if entry[0] is not worker] for group in self.groups]
        self.drop_empty()
        if passes_on and self.sleeping:  # what he was notified of is for the next
            self.groups.append([(self.sleeping.pop(0), "True", True)])
        return []

    def gone(self, worker):
        if self.holder is not worker:
            return []
        told = [entry[0] for group in self.groups for entry in group]
        self.holder, self.broken, self.groups = None, True, []
        return [Due(told, "BrokenLock")]

    def takes_the_lock(self, worker):
        # the other sleepers would have to wait for it, and are told once more: or pass on what they were notified of
        return self.holder is None and not self.broken and worker in self.sleeping


class Run:
    def __init__(self, case, model, seed):
        self.case, self.model, self.seed = case, model, seed
        self.rng = random.Random(seed)
        self.reports, self.made, self.trace = stoa.Queue(), 0, []
        self.workers = [self.worker(foreign) for foreign in (False, False, True, True, True)]

    def worker(self, foreign):
        self.made += 1
        return Worker(f"{'other' if foreign else 'here'}{self.made}", foreign, self.reports, self.model.thing)

    def fail(self, what):
        self.case.fail(f"seed {self.seed}: {what}; before it: {self.trace[-12:]}")

    def expect(self, dues):
        dues = [due for due in dues if due.workers]
        while dues:
            try:
                name, result = self.reports.get(timeout=60)
            except queue.Empty:
                self.fail(f"nothing is heard of {[(due.workers, due.results) for due in dues]}")
            due = next((due for due in dues if name in {worker.name for worker in due.workers}), None)
            if due is None or result not in due.results:
                self.fail(f"{name} reports {result}, due: {[(due.workers, due.results) for due in dues]}")
            worker = next(worker for worker in due.workers if worker.name == name)
            if due.one:
                self.model.reported(worker)
            due.workers = set() if due.one else due.workers - {worker}
            dues = [due for due in dues if due.workers]

    def settle(self):
        """Until as many wait as the model says."""
        wanted = {thing.__reduce__()[1][2]: count for thing, count in self.model.waiters()}
        end = time.monotonic() + 60
        while True:
            seen = {entry["handle"]: entry["waiters"] for entry in stoa.stats()["things"] if entry["handle"] in wanted}
            if seen == wanted:
                break
            if time.monotonic() > end:
                self.fail(f"{seen} wait, not {wanted}")
            time.sleep(0.0001)
        if not self.reports.empty():
            self.fail(f"{self.reports.get()} was not due")

    def close(self, worker):
        self.trace.append(f"close {worker}")
        waited = worker in self.model.waiting
        takes_it = waited and self.model.takes_the_lock(worker)
        # a condition's lock that is broken: that is told last
        told = ["InterpreterGone"] + ["BrokenLock"] * getattr(self.model, "broken", False)
        dues = ([Due([worker], *told)] + self.model.leave(worker)) if waited else []
        if takes_it:
            self.model.holder = worker
        worker.end()
        self.expect(dues + self.model.gone(worker))
        self.workers[self.workers.index(worker)] = self.worker(True)

    def interrupt(self, worker):
        self.trace.append(f"interrupt {worker}")
        takes_it = self.model.takes_the_lock(worker)
        dues = [Due([worker], "KeyboardInterrupt")] + self.model.leave(worker)
        if takes_it:
            self.model.holder = worker
        worker.other.interrupt()
        self.expect(dues)

    def step(self):
        worker, chance = self.rng.choice(self.workers), self.rng.random()
        if worker.other is not None and chance < 0.04:
            self.close(worker)
        elif worker in self.model.waiting:
            may = not isinstance(self.model, ConditionModel) or self.model.takes_the_lock(worker)
            if worker.other is None or not may or chance > 0.3:
                return
            self.interrupt(worker)
        else:
            code, dues = self.model.step(worker, self.rng)
            self.trace.append(f"{worker}: {code}")
            worker.commands.put(code)
            self.expect(dues)
        self.settle()

    def end(self):
        foreign = [worker for worker in self.workers if worker.other is not None]
        for worker in foreign:
            worker.end()
        for worker in self.workers:
            if worker.other is None and worker not in self.model.waiting:
                worker.end()


class Models(unittest.TestCase):
    def run_model(self, make):
        seed = int(os.environ.get("STOA_TEST_SEED", 0)) or random.randrange(2**32)
        run = Run(self, make(random.Random(seed)), seed)
        for _ in range(STEPS):
            run.step()
        run.end()

    def test_lock(self):
        self.run_model(LockModel)

    def test_rlock(self):
        self.run_model(RLockModel)

    def test_event(self):
        self.run_model(EventModel)

    def test_semaphore(self):
        self.run_model(SemaphoreModel)

    def test_bounded_semaphore(self):
        self.run_model(lambda rng: SemaphoreModel(rng, stoa.BoundedSemaphore))

    def test_barrier(self):
        for _ in range(2):
            self.run_model(BarrierModel)

    def test_condition(self):
        for _ in range(2):
            self.run_model(ConditionModel)


if __name__ == "__main__":
    unittest.main()
