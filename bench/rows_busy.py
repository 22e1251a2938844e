"""F6: calls to an owner that is running Python, and what they cost it. F5b: two callers into two owners, against one."""
import threading
import time

import stoa
from measure import median, row

OWNER = """
import time
class Thing:
    def method(self, x):
        return x
thing = Thing()
going = True
def get(name): return globals()[name]
def spin():
    "A program of its own: counts, and says how often a second."
    global going
    going, count, started = True, 0, time.perf_counter()
    while going:
        for _ in range(100):
            count += 1
    return count / (time.perf_counter() - started)
def stop():
    global going
    going = False
"""


class Busy:
    """The owner's program, on a thread of its own, while the block runs; `rate` afterwards: counts a second."""

    def __init__(self, owner):
        self.owner = owner
        self.thread = threading.Thread(target=self.run)

    def run(self):
        self.rate = self.owner.call("__main__:spin")

    def __enter__(self):
        self.thread.start()
        time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.owner.call("__main__:stop")
        self.thread.join()


def paced(function, rate, seconds):
    """Calls at this rate; microseconds of each call, ascending."""
    taken, now = [], time.perf_counter()
    end, due = now + seconds, now
    while now < end:
        while now < due:
            now = time.perf_counter()
        function(1)
        after = time.perf_counter()
        taken.append((after - now) * 1e6)
        due += 1 / rate
        now = after
    return sorted(taken)


def busy_rows(quick):
    """The owner's loss is told by pairs of short rounds, in turns, whose caller does the same but for where its function is: a caller that
    sleeps meanwhile would leave the owner a machine of its own, and what the host takes away varies more from second to second than by the calls."""
    seconds, pairs = (0.1, 6) if quick else (0.25, 24)
    taken, slow, quiet, loaded, entering = [], [], [], [], []
    with stoa.Interpreter(name="owner") as owner:
        owner.exec(OWNER)
        call = owner.call("__main__:get", "thing").method

        def counts(function):
            with Busy(owner) as busy:
                times = paced(function, 10_000, seconds)
            return busy.rate, times

        for i in range(pairs):
            for calls in ((True, False), (False, True))[i % 2]:
                rate, times = counts(call if calls else (lambda x: x))
                (loaded if calls else quiet).append(rate)
                taken += times if calls else []
            slow.append((1 - loaded[-1] / quiet[-1]) * 100)
        for _ in range(3):
            with Busy(owner):
                entering += paced(lambda x: owner.call("__main__:get", "going"), 1000, seconds)
    entering.sort()
    taken.sort()
    p50, p99 = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
    reached = len(taken) / (pairs * seconds)
    by_call = entering[len(entering) // 2]
    return [row("F6", "call to a busy owner, p50", p50, "us", "Interpreter.call, p50", by_call, bar="<= 10 us", ok=p50 <= 10, calls=len(taken)),
            row("F6", "call to a busy owner, p99", p99, "us", "Interpreter.call, p99", entering[len(entering) * 99 // 100], bar="<= 100 us", ok=p99 <= 100,
                longest=taken[-1]),
            row("F6", "slow-down of the owner, 10,000 calls/s", median(slow), "%", "counts/s, the caller calls at home", median(quiet), ratio=1 - median(slow) / 100,
                bar="<= 5 %", ok=median(slow) <= 5, calls_a_second=reached, pairs=pairs, quarter=sorted(slow)[pairs // 4], three_quarters=sorted(slow)[pairs * 3 // 4])]


CALLER = """
import stoa, time
def run(name, seconds):
    "Calls for so long; how many a second."
    call, count, started = stoa.lookup(name), 0, time.perf_counter()
    end = started + seconds
    while True:
        for _ in range(1000):
            call(1)
        count += 1000
        now = time.perf_counter()
        if now >= end:
            return count / (now - started)
"""


def at_once(callers, seconds):
    """Calls a second, of all together: caller i calls into owner i."""
    rates = [0.0] * len(callers)

    def run(i):
        rates[i] = callers[i].call("__main__:run", f"bench/owner/{i}", seconds)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(callers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


def parallel_rows(quick):
    seconds, rounds = (0.2, 3) if quick else (0.7, 9)
    owners = [stoa.Interpreter(name=f"owner {i}") for i in range(2)]
    callers = [stoa.Interpreter(name=f"caller {i}") for i in range(2)]
    ones, twos = [], []
    try:
        for i, (owner, caller) in enumerate(zip(owners, callers)):
            owner.exec(f"import stoa\ndef function(x): return x\nstoa.publish('bench/owner/{i}', stoa.proxy(function))")
            caller.exec(CALLER)
        at_once(callers, seconds)
        for _ in range(rounds):
            ones.append(at_once(callers[:1], seconds))
            twos.append(at_once(callers, seconds))
    finally:
        for each in callers + owners:
            each.close()
    ratio = median([two / one for one, two in zip(ones, twos)])
    return [row("F5b", "2 callers into 2 owners, calls/s", median(twos), "calls/s", "1 into 1", median(ones), ratio=ratio, bar=">= 1.8x", ok=ratio >= 1.8,
                best=max(two / one for one, two in zip(ones, twos)))]


def rows(group, quick):
    return {"F6": busy_rows, "F5b": parallel_rows}[group](quick)
