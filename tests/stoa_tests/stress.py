"""A seeded stress: freeze, look up, publish, once, close, fork at random, from several threads and interpreters.

    build/python -m stoa_tests.stress [--seed N] [--seconds S] [--threads N]

It imitates a server whose interpreters come and go while shared values are made, replaced and used everywhere, limits
are hit, bad objects are offered and children are forked. What it checks: a value read under a name is whole (each one
carries a checksum of itself), a failed freeze leaves no bytes, nothing raises that should not, nobody hangs or dies.
Do not read its speed as anything. It prints its seed; the choices of each thread follow from it, their interleaving
does not.
"""
import argparse
import gc
import os
import random
import signal
import sys
import threading
import time
import zlib

import stoa

NAMES = [f"stress/{number}" for number in range(24)]
FORK = hasattr(os, "fork")


def random_value(choice, depth=4):
    """A plain value of freezable kinds; many parts repeat, as in real data."""
    kind = choice.randrange(14 if depth else 7)
    if kind == 0:
        return choice.choice([None, True, False, ..., 0, 1, -1, "", b"", ()])
    if kind == 1:
        return choice.randrange(-300, 300)
    if kind == 2:
        return choice.getrandbits(choice.choice([20, 64, 200])) * choice.choice([1, -1])
    if kind == 3:
        return choice.choice([0.0, -0.0, 1.5, float("inf"), choice.random()])
    if kind in (4, 5):
        return choice.choice(["key", "value", "caf\xe9", "\u6f22\u5b57", "\U0001f40d", "__len__", "name"]) * choice.randrange(1, 4) + choice.choice(["", str(choice.randrange(50))])
    if kind == 6:
        return choice.randbytes(choice.choice([0, 1, 9, 100, 5000]))
    size = choice.choice([0, 1, 2, 3, 8, 30])
    if kind in (7, 8):
        return tuple(random_value(choice, depth - 1) for _ in range(size))
    if kind == 9:
        return [random_value(choice, depth - 1) for _ in range(size)]
    if kind == 10:
        return {f"field {choice.randrange(40)}" for _ in range(size)}
    if kind == 11:
        return frozenset(choice.randrange(10**9) for _ in range(size))
    return {choice.choice([f"field {i}", i, (i, "pair")]): random_value(choice, depth - 1) for i in range(size)}


def canonical_text(value):
    """The same text for a plain value and for its frozen twin."""
    if isinstance(value, (list, tuple)):
        return "(" + ",".join(map(canonical_text, value)) + ")"
    if isinstance(value, (set, frozenset)):
        return "{" + ",".join(sorted(map(canonical_text, value))) + "}"
    if hasattr(value, "items"):
        return "[" + ",".join(f"{canonical_text(k)}:{canonical_text(v)}" for k, v in value.items()) + "]"
    return repr(value)


def checksum(value):
    return zlib.crc32(canonical_text(value).encode("utf-8", "backslashreplace"))


def sealed_value(choice):
    value = random_value(choice)
    return {"value": value, "sum": checksum(value)}


def check(record):
    if record["sum"] != checksum(record["value"]):
        raise AssertionError(f"a damaged value: {record!r:.500}")


def freeze_something(choice):
    record = sealed_value(choice)
    frozen = stoa.freeze(record, intern=choice.random() < 0.7)
    check(frozen)
    check(stoa.thaw(frozen))
    if stoa.freeze(frozen) is not frozen or not stoa.is_shared(frozen):
        raise AssertionError("freezing what is frozen must give it back")


def publish_something(choice):
    name = choice.choice(NAMES)
    try:
        stoa.publish(name, sealed_value(choice))
    except stoa.NameTaken:
        stoa.replace(name, sealed_value(choice))


def unpublish_something(choice):
    try:
        stoa.unpublish(choice.choice(NAMES))
    except KeyError:
        pass


def look_something_up(choice):
    for _ in range(choice.randrange(1, 20)):
        record = stoa.lookup(choice.choice(NAMES), None, timeout=choice.choice([0, 0, 0, 0.002]))
        if record is not None:
            check(record)


def make_once(choice):
    name = f"stress/once/{choice.randrange(200)}"

    def factory():
        if choice.random() < 0.2:
            raise RuntimeError("this attempt fails")
        return sealed_value(choice)

    try:
        check(stoa.once(name, factory, timeout=10))
    except RuntimeError as error:
        if "this attempt fails" not in str(error):
            raise


def fail_to_freeze(choice):
    bad = choice.choice([object(), iter([]), "cycle"])
    holder = [sealed_value(choice), (1, {"deep": [bad]})]
    if bad == "cycle":
        holder[1][1]["deep"][0] = holder
    try:
        stoa.freeze(holder)
    except (stoa.NotFreezable, ValueError):
        return
    raise AssertionError("an unfreezable object was frozen")


def fill_a_region(choice):
    region = stoa.Region(name="stress", limit=choice.choice([1 << 12, 1 << 16, 1 << 21]))
    kept = []
    for _ in range(choice.randrange(1, 12)):
        before = region.stats()["used_bytes"]
        record = sealed_value(choice)
        record["more"] = [choice.getrandbits(80) for _ in range(choice.randrange(2000))]
        try:
            kept.append(region.freeze(record))
        except MemoryError:
            if region.stats()["used_bytes"] != before:
                raise AssertionError("a freeze that failed has left bytes behind") from None
            break
    for record in kept:
        check(record)


STEPS = [freeze_something] * 5 + [publish_something] * 4 + [unpublish_something] + [look_something_up] * 6 + [make_once] * 2 + [
    fail_to_freeze, fill_a_region]


def steps(seed, count):
    """`count` random steps, in whatever interpreter this runs."""
    choice = random.Random(seed)
    for _ in range(count):
        choice.choice(STEPS)(choice)
    return count


# ---- the main interpreter's side: interpreters and children come and go ----------------------------------------------
class Stress:
    def __init__(self, seed, seconds, threads):
        self.seed, self.seconds, self.thread_count = seed, seconds, threads
        self.end = time.monotonic() + seconds
        self.lock = threading.Lock()
        self.fewer = threading.Condition(self.lock)  # an interpreter has gone
        self.forking = False  # nobody opens an interpreter now
        self.interpreters = []
        self.alive = 0  # interpreters that are there, those being opened or closed included
        self.errors = []
        self.counts = {}

    def borrow(self, choice):
        with self.lock:
            return choice.choice(self.interpreters) if self.interpreters else None

    def open_or_close(self, choice):
        with self.lock:
            if self.forking:
                return
            close = self.interpreters and (len(self.interpreters) > 4 or choice.random() < 0.4)
            interpreter = self.interpreters.pop(choice.randrange(len(self.interpreters))) if close else None
            self.alive += not close
        if interpreter is not None:
            self.close(interpreter)
        else:
            interpreter = stoa.Interpreter(name=f"stress-{choice.randrange(1000)}", gil=choice.choice(["own", "own", "own", "shared"]))
            with self.lock:
                late = self.forking  # whoever is about to fork waits until it is gone
                if not late:
                    self.interpreters.append(interpreter)
            if late:
                self.close(interpreter)

    def close(self, interpreter):
        interpreter.close()
        with self.lock:
            self.alive -= 1
            self.fewer.notify_all()

    def use(self, choice):
        interpreter = self.borrow(choice)
        if interpreter is None:
            return
        seed, count = choice.getrandbits(32), choice.randrange(1, 12)
        way = choice.randrange(3)
        try:
            if way == 0:
                interpreter.exec(f"from stoa_tests import stress\nstress.steps({seed}, {count})")
            elif way == 1:
                if interpreter.call("stoa_tests.stress:steps", seed, count) != count:
                    raise AssertionError("a call lost its result")
            elif interpreter.submit("stoa_tests.stress:steps", seed, count).result(timeout=60) != count:
                raise AssertionError("a future lost its result")
        except stoa.InterpreterGone:
            pass  # another thread has closed it meanwhile

    def fork(self, choice):
        """CPython (3.12 to 3.15) dies in a child that is forked while interpreters with GILs of their own are there, Stoa or
        not; so all are closed first. The threads go on meanwhile."""
        with self.lock:
            idle, self.interpreters, self.forking = self.interpreters, [], True
        for interpreter in idle:
            self.close(interpreter)
        with self.lock:
            try:
                if self.fewer.wait_for(lambda: self.alive == 0, timeout=20):
                    self.counts["forked"] = self.counts.get("forked", 0) + 1
                    self.fork_now(choice)
            finally:
                self.forking = False

    def fork_now(self, choice):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                for name in NAMES:
                    record = stoa.lookup(name, None)
                    if record is not None:
                        check(record)
                steps(choice.getrandbits(32), 10)
                status = 0
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stderr.flush()
                os._exit(status)
        deadline = time.monotonic() + 30
        while (done := os.waitpid(pid, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGUSR1)  # it prints its stacks
                time.sleep(1)
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise AssertionError("a forked child hangs")
            time.sleep(0.002)
        if done[1] != 0:
            raise AssertionError(f"a forked child ended with {os.waitstatus_to_exitcode(done[1])}")

    def work(self, index):
        choice = random.Random(f"{self.seed}/{index}")
        try:
            while time.monotonic() < self.end and not self.errors:
                number = choice.random()
                if number < 0.06:
                    action = self.open_or_close
                elif number < 0.08 and FORK and index == 0:
                    action = self.fork
                elif number < 0.10:
                    action = lambda _: gc.collect()  # noqa: E731
                elif number < 0.5:
                    action = self.use
                else:
                    action = choice.choice(STEPS)
                self.counts[action.__name__] = self.counts.get(action.__name__, 0) + 1
                action(choice)
        except BaseException as error:
            error.add_note(f"thread {index}, seed {self.seed}")
            self.errors.append(error)

    def run(self):
        threads = [threading.Thread(target=self.work, args=(index,)) for index in range(1, self.thread_count)]
        for thread in threads:
            thread.start()
        self.work(0)
        for thread in threads:
            thread.join()
        for interpreter in self.interpreters:
            interpreter.close()
        for name in stoa.names():
            if name.startswith("stress/"):
                check(stoa.lookup(name))
        return self.errors


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="stoa_tests.stress")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("STOA_STRESS_SEED", random.SystemRandom().randrange(10**9))))
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("STOA_STRESS_SECONDS", 8)))
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}: {options.seconds} s, {options.threads} threads", flush=True)
    import faulthandler  # here, and not above: interpreters with a GIL of their own do not load it

    faulthandler.enable(all_threads=True)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    faulthandler.dump_traceback_later(options.seconds + 100, exit=True)
    stress = Stress(options.seed, options.seconds, options.threads)
    errors = stress.run()
    faulthandler.cancel_dump_traceback_later()
    print(f"done: {stress.counts}", flush=True)
    for error in errors:
        sys.excepthook(type(error), error, error.__traceback__)
    return 1 if errors else 0


if __name__ == "__main__":
    raise SystemExit(main())
