"""Random nested values, arrays and records: through every kind of interpreter, compared with what pickle makes of them.

A generator of our own runs everywhere (STOA_SEED=n repeats a run); Hypothesis, where it is installed, looks for small counterexamples."""

import array
import datetime
import decimal
import fractions
import ipaddress
import os
import pathlib
import pickle
import random
import unittest
import uuid

import stoa

import beside
import values_zoo as zoo
from stoa_tests import SLOW_BUILD

try:
    import hypothesis
    import hypothesis.strategies as st
except ImportError:
    hypothesis = None

SEED = int(os.environ.get("STOA_SEED") or random.SystemRandom().randrange(2**32))
ROUNDS = int(os.environ.get("STOA_TEST_VALUES") or (100 if SLOW_BUILD else 300))
ZONES = [None, datetime.timezone.utc, datetime.timezone(datetime.timedelta(hours=-3, minutes=30), "X")]
MEMBERS = [*zoo.Color, *zoo.Level, zoo.Perm.R, zoo.Perm.R | zoo.Perm.W, zoo.Perm(0)]


class Values:
    def __init__(self, seed):
        self.random, self.pool = random.Random(seed), []

    def text(self):
        r = self.random
        return "".join(r.choice(r.choice(["ab_", "aé", "a€", "😀x"])) for _ in range(r.randrange(9)))

    def leaf(self):
        r = self.random
        return r.choice([
            lambda: r.choice([None, True, False, ..., "", b"", (), 0.0, -0.0, float("inf"), float("nan")]),
            lambda: r.randrange(-5, 300), lambda: r.randrange(-(2**200), 2**200), r.random, lambda: complex(r.random(), r.random()),
            self.text, lambda: r.randbytes(r.randrange(9)), lambda: r.choice(MEMBERS), lambda: r.choice([range(3), range(9, -2, -3)]),
            lambda: decimal.Decimal(r.randrange(10**6)).scaleb(-2), lambda: fractions.Fraction(r.randrange(99), 7), lambda: uuid.UUID(int=r.getrandbits(128)),
            lambda: datetime.datetime(2024, 1, 1, tzinfo=r.choice(ZONES)) + datetime.timedelta(seconds=r.randrange(10**8)),
            lambda: datetime.date(2024, 1, 1) + datetime.timedelta(r.randrange(9999)), lambda: datetime.timedelta(r.randrange(99), microseconds=r.randrange(99)),
            lambda: pathlib.PurePosixPath(self.text() or "."), lambda: ipaddress.IPv4Address(r.getrandbits(32)),
        ])()

    def hashable(self, depth):
        r = self.random
        if depth == 0 or r.random() < 0.6:
            return self.leaf()
        items = [self.hashable(depth - 1) for _ in range(r.randrange(4))]
        return r.choice([lambda: tuple(items), lambda: frozenset(items), lambda: zoo.Pair(self.leaf(), tuple(items)), lambda: zoo.Fixed(tuple(items), self.leaf()),
                         lambda: zoo.Slim(a=self.leaf(), b=tuple(items))])()

    def value(self, depth):
        r = self.random
        if self.pool and r.random() < 0.1:
            return r.choice(self.pool)  # the same object again
        if depth == 0 or r.random() < 0.25:
            return self.leaf()
        below = [self.value(depth - 1) for _ in range(r.choice([0, 1, 2, 3, 6]))]
        made = r.choice([
            lambda: below, lambda: tuple(below), lambda: {self.hashable(2) for _ in below}, lambda: {self.hashable(1): b for b in below}, lambda: self.hashable(3),
            lambda: zoo.Point(self.value(depth - 1), 1.5, self.text()), lambda: zoo.Point3(1, 2.0, "q", below, r.choice(MEMBERS)), lambda: zoo.Node(below, zoo.Node(self.leaf())),
            lambda: zoo.Fixed(below, self.value(depth - 1)), lambda: zoo.Slim(a=below), lambda: zoo.Pair(below, self.leaf()),
            lambda: array.array(r.choice("bHiqd"), [r.randrange(99) for _ in below]), lambda: bytearray(r.randbytes(5)), lambda: slice(self.leaf(), *below[:2]),
        ])()
        self.pool.append(made)
        return made


def by_pickle(value):
    return zoo.canonical(pickle.loads(pickle.dumps(value, 5)))


def check_here(test, value, frozen):
    """Here: as by pickle; freezing again is O(1)."""
    test.assertEqual(zoo.canonical(frozen), by_pickle(value))
    test.assertIs(stoa.freeze(frozen), frozen)


class RoundTrip(unittest.TestCase):
    KINDS = {"own": {"gil": "own"}, "shared": {"gil": "shared"}}

    def test_generated(self):
        made = [Values(SEED + i).value(4) for i in range(ROUNDS)]
        wanted = []
        for i, value in enumerate(made):
            with self.subTest(seed=SEED + i):
                wanted.append(by_pickle(value))
                check_here(self, value, stoa.freeze(value))
        frozen = stoa.freeze(made)
        for kind, options in self.KINDS.items():
            with beside.interpreter(**options) as other:
                there = other.call(lambda vs: tuple(map(zoo.canonical, vs)), frozen)
                back = other.call("values_zoo:same", frozen)
                self.assertTrue(back is frozen)
                copies = [other.call("values_zoo:canonical", stoa.by_copy(v)) for v in made[:ROUNDS // 4]]
                thawed = other.call(lambda vs: zoo.canonical(stoa.thaw(vs)) == zoo.canonical(vs), frozen[:ROUNDS // 4])
            for i in range(ROUNDS):
                self.assertEqual(there[i], wanted[i], f"STOA_SEED={SEED + i} {kind}")
            for i, copy in enumerate(copies):
                self.assertEqual(copy, wanted[i], f"STOA_SEED={SEED + i} {kind}")
            self.assertTrue(thawed, f"STOA_SEED={SEED} {kind}")

    def test_what_cannot_be_changed_by_value(self):
        made = [Values(SEED + i).hashable(4) for i in range(ROUNDS)]
        with beside.interpreter() as other:
            queue = stoa.Queue()
            for i, value in enumerate(made):
                back = other.call("values_zoo:same", value)
                self.assertEqual(zoo.canonical(back), zoo.canonical(value), f"STOA_SEED={SEED + i}")
                if not isinstance(value, float) and "nan" not in repr(value):
                    self.assertEqual(back, value)
                    self.assertEqual(hash(back), hash(value))
                queue.put(value)
                self.assertEqual(other.call(lambda q: zoo.canonical(q.get()), queue), zoo.canonical(value), f"STOA_SEED={SEED + i}")


@unittest.skipIf(hypothesis is None, "hypothesis is not installed for this Python")
class WithHypothesis(beside.Beside):
    if hypothesis is not None:
        leaves = st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.complex_numbers(allow_nan=False), st.text(max_size=8), st.binary(max_size=8),
            st.decimals(allow_nan=False), st.fractions(), st.uuids(), st.sampled_from(MEMBERS), st.dates(), st.timedeltas(),
            st.datetimes(timezones=st.sampled_from(ZONES)), st.ip_addresses(), st.builds(range, st.integers(-9, 9), st.integers(-9, 9)))
        hashables = st.recursive(leaves, lambda c: st.one_of(st.lists(c, max_size=3).map(tuple), st.builds(zoo.Pair, c, c), st.builds(zoo.Fixed, c, c),
                                                             st.builds(zoo.Slim, a=c), st.lists(c, max_size=3).map(frozenset)), max_leaves=6)
        arrays = st.builds(array.array, st.sampled_from("bhiq"), st.lists(st.integers(-100, 100), max_size=5))
        records = st.recursive(st.one_of(hashables, arrays), lambda c: st.one_of(
            st.lists(c, max_size=4), st.dictionaries(st.text(max_size=4), c, max_size=4), st.builds(zoo.Point, c, st.floats(0, 1), st.text(max_size=3)),
            st.builds(zoo.Node, c, st.none() | st.builds(zoo.Node, c)), st.builds(zoo.Point3, c, c, c, c, st.sampled_from(MEMBERS)), st.builds(zoo.Fixed, c, c)),
            max_leaves=8)
        settings = hypothesis.settings(max_examples=60, deadline=None, database=None, derandomize=True,
                                       suppress_health_check=list(hypothesis.HealthCheck))

        @settings
        @hypothesis.given(records)
        def test_records_and_arrays(self, value):
            frozen = stoa.freeze(value)
            check_here(self, value, frozen)
            self.assertEqual(self.other.call("values_zoo:canonical", frozen), by_pickle(value))
            self.assertEqual(self.other.call("values_zoo:canonical", stoa.by_copy(value)), by_pickle(value))

        @settings
        @hypothesis.given(hashables)
        def test_values(self, value):
            back = self.other.call("values_zoo:same", value)
            self.assertEqual(back, value)
            self.assertEqual(hash(back), hash(value))
            self.assertEqual(zoo.canonical(back), zoo.canonical(value))
            self.assertEqual(stoa.freeze(value), value)


if __name__ == "__main__":
    unittest.main()
