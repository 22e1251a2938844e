"""Several interpreters, driven at random through proxies, beside a model that does the same to ordinary objects.

STOA_TEST_SEED=n repeats a run, STOA_TEST_OPERATIONS=n makes it longer. A failure prints the seed, and the last operations.
"""

import collections
import gc
import os
import random
import threading
import time
import unittest

import stoa
from proxied import there_name
from stoa_tests import SLOW_BUILD

OPERATIONS = int(os.environ.get("STOA_TEST_OPERATIONS", 10_000 if SLOW_BUILD else 100_000))
SEED = int(os.environ.get("STOA_TEST_SEED", 0)) or random.SystemRandom().randrange(1, 1 << 32)
SLOTS = 4


class Thing:
    """An object of an interpreter: what we know it by, and what ought to be in it."""

    def __init__(self, home, proxy, model):
        self.home, self.proxy, self.model = home, proxy, model


class Home:
    """An interpreter. `live` False: closed."""

    def __init__(self, number):
        self.interp = stoa.Interpreter(name=f"random {number}")
        self.live = True
        self.things = []


def outcome(operation, *args):
    try:
        return "value", operation(*args)
    except Exception as error:
        return "raised", type(error)


class World:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.made = 0
        self.homes = [self.new_home() for _ in range(SLOTS)]
        self.log = collections.deque(maxlen=20)
        self.done = collections.Counter()
        names = [name for name in dir(self) if name.startswith("do_")]
        self.names = [name for name in names for _ in range(getattr(World, name).weight)]

    # ---- values: ints, short and long text, tuples, Nones, and things

    def new_home(self):
        self.made += 1
        return Home(self.made)

    def home(self):
        return self.random.choice(self.homes)

    def thing(self, kind=None):
        home = self.home()
        fitting = [t for t in home.things if kind is None or type(t.model) is kind]
        if not fitting or (len(home.things) < 12 and self.random.random() < 0.1):
            return self.make(home, kind or self.random.choice((list, dict, set)))
        return self.random.choice(fitting)

    def make(self, home, kind):
        thing = Thing(home, home.interp.call(kind), kind())
        home.things.append(thing)
        return thing

    def key(self):
        r = self.random.random()
        return self.random.randrange(-3, 12) if r < 0.6 else f"key{self.random.randrange(12)}" if r < 0.9 else (1, "two")

    def value(self):
        r = self.random.random()
        if r < 0.5:
            return self.key()
        if r < 0.6:
            return self.random.choice((None, True, 1.5, 10**30, "é" * 50, "x" * 3000, b"bytes", (1, (2, "three")), frozenset((1, 2))))
        return self.thing()

    def sent(self, value):
        return value.proxy if isinstance(value, Thing) else value

    def check(self, told, expected):
        """Is what the proxy told what the model says?"""
        assert told[0] == expected[0], (told, expected)
        if told[0] == "raised":
            assert told[1] is expected[1], (told, expected)
        else:
            self.same(told[1], expected[1])

    def same(self, got, wanted):
        if isinstance(wanted, Thing):
            if wanted.proxy is None:  # we had dropped it; somebody else kept it
                wanted.proxy = got
            assert got is wanted.proxy, (got, wanted.proxy)
        elif type(wanted) is list:
            assert len(got) == len(wanted), (len(got), len(wanted))
            for a, b in zip(got, wanted):
                self.same(a, b)
        else:
            assert type(got) is type(wanted) and got == wanted, (got, wanted)

    def both(self, thing, operation, *args):
        """Does it to the proxy and to the model."""
        told = outcome(operation, thing.proxy, *map(self.sent, args))
        if not thing.home.live:
            assert told == ("raised", stoa.InterpreterGone), told
            return
        self.check(told, outcome(operation, thing.model, *args))

    # ---- what is done; weight: how often

    def do_list(self):
        t, i = self.thing(list), self.random.randrange(-2, 6)
        self.both(t, *self.random.choice((
            (lambda x, v: x.append(v), self.value()), (lambda x: x.pop(),), (lambda x: x[i],), (lambda x, v: x.__setitem__(i, v), self.value()),
            (len,), (bool,), (lambda x: x.reverse(),), (lambda x: x.insert(i, 5),), (lambda x: x.__delitem__(i),),
            (lambda x: x.nothing,), (lambda x: list(x[i : i + 3]),),
        )))  # fmt: skip
        if len(t.model) > 40:
            del t.model[5:], t.proxy[5:]

    do_list.weight = 40

    def do_dict(self):
        t, k = self.thing(dict), self.key()
        self.both(t, *self.random.choice((
            (lambda x, v: x.__setitem__(k, v), self.value()), (lambda x: x[k],), (lambda x: x.get(k),), (lambda x: k in x,),
            (lambda x: x.pop(k),), (len,), (lambda x, v: x.setdefault(k, v), self.value()), (lambda x: list(x),), (lambda x: list(x.values()),),
        )))  # fmt: skip

    do_dict.weight = 40

    def do_set(self):
        t, k = self.thing(set), self.key()
        self.both(t, *self.random.choice((
            (lambda x: x.add(k),), (lambda x: x.remove(k),), (lambda x: k in x,), (len,), (lambda x: sorted(map(repr, x)),),
            (lambda x: sorted(map(repr, x | {k, "more"})),), (lambda x: x <= {k},), (lambda x: x == {k},), (lambda x: x.add([]),),
        )))  # fmt: skip

    do_set.weight = 20

    def do_iterate(self):
        """As far as we like; changing it on the way now and then."""
        t, stop, change = self.thing(list), self.random.randrange(8), self.random.random() < 0.2

        def walk(x):
            seen = []
            for item in x:
                seen.append(item)
                if len(seen) == stop:
                    if not change:
                        break
                    x.append(stop)
                if len(seen) > 50:
                    break
            return seen

        self.both(t, walk)

    do_iterate.weight = 8

    def do_copy(self):
        t = self.thing(list)
        if t.home.live:
            self.same(stoa.fetch(t.proxy), t.model) if not any(isinstance(v, Thing) for v in t.model) else None

    do_copy.weight = 3

    def do_call(self):
        """A thing goes there and back; at home it is itself."""
        t, home = self.thing(), self.home()
        told = outcome(home.interp.call, there_name("identity"), t.proxy)
        self.check(told, ("value", t))
        if home.live and t.home.live:
            at_home = home.interp.call(there_name("apply"), stoa.is_proxy, t.proxy)
            assert at_home is True  # is_proxy ran here

    do_call.weight = 10

    def do_callback(self):
        """Down through several interpreters, each calling a function of ours; an exception may come all the way up."""
        depth, fails, trail = self.random.randrange(1, 6), self.random.random() < 0.3, []

        def down(n):
            trail.append(n)
            if n == 0:
                if fails:
                    raise ZeroDivisionError("at the bottom")
                return "bottom"
            return self.home().interp.call(there_name("apply"), down, n - 1)

        told = outcome(down, depth)
        self.check(told, ("raised", ZeroDivisionError) if fails else ("value", "bottom"))
        assert trail == list(range(depth, -1, -1)), trail

    do_callback.weight = 5

    def do_drop(self):
        """We forget a thing; what holds it elsewhere keeps it."""
        home = self.home()
        if home.things:
            t = home.things.pop(self.random.randrange(len(home.things)))
            if self.random.random() < 0.5:
                stoa.release(t.proxy)
                assert outcome(len, t.proxy) == ("raised", stoa.ReleasedProxy)
            t.proxy = None

    do_drop.weight = 4

    def do_idle_interrupt(self):
        assert self.home().interp.interrupt() is False

    do_idle_interrupt.weight = 1

    def rare(self, step):
        """Now and then: an interrupt of running code; an interpreter closed, and another in its place."""
        if step % 5 == 0:
            self.interrupt_running()
        home = self.home()
        home.live = False
        home.interp.close()
        for t in home.things:
            assert outcome(len, t.proxy) == ("raised", stoa.InterpreterGone)
            t.proxy = None
        self.forget(home)
        self.homes[self.homes.index(home)] = self.new_home()

    def forget(self, gone):
        """What was held of a closed interpreter is still there, as proxies that say so. The living let go of it."""
        for home in self.homes:
            for t in home.things:
                if home is not gone and any(isinstance(v, Thing) and v.home is gone for v in self.inside(t.model)):
                    t.proxy.clear()
                    t.model.clear()

    def inside(self, model):
        return model.values() if type(model) is dict else model

    def interrupt_running(self):
        home, other, raised = self.home(), self.home(), []
        endless = "while True: pass"
        # in there, or from there in another one, by way of us
        way = self.random.choice([(home.interp.exec, endless), (home.interp.call, there_name("apply"), other.interp.exec, endless)])

        def run():
            try:
                way[0](*way[1:])
            except KeyboardInterrupt:
                raised.append(True)

        thread = threading.Thread(target=run)
        thread.start()
        end = time.monotonic() + 30
        while thread.is_alive() and time.monotonic() < end:
            home.interp.interrupt()
            thread.join(0.005)
        assert raised == [True], "the endless loop was not interrupted"

    def run(self, operations):
        for i in range(operations):
            name = self.random.choice(self.names)
            self.log.append((i, name))
            self.done[name] += 1
            getattr(self, name)()
            if i % (operations // 25 + 1) == operations // 50:
                self.rare(i // (operations // 25 + 1))

    def finish(self):
        for home in self.homes:
            for t in home.things:
                self.both(t, lambda x: len(x))
            home.interp.close()


class Random(unittest.TestCase):
    def test_against_a_model(self):
        world = World(SEED)
        try:
            world.run(OPERATIONS)
            world.finish()
        except BaseException as error:
            error.add_note(f"STOA_TEST_SEED={SEED}; {world.done.total()} operations, the last: {list(world.log)}")
            raise
        counts = ", ".join(f"{name} {count}" for name, count in world.done.most_common())
        print(f"STOA_TEST_SEED={SEED}: {world.done.total()} operations: {counts}", flush=True)
        self.assertEqual(world.done.total(), OPERATIONS)
        del world
        gc.collect()
        self.assertEqual(stoa.proxies(), [])


if __name__ == "__main__":
    unittest.main()
