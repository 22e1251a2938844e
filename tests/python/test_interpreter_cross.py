"""What crosses into a call and back, and as what."""

import collections
import datetime
import enum
import random
import sys
import types
import unittest

import stoa


def identity(x):
    return x


def describe(x):
    return type(x).__name__, repr(x)


def aliases(x):
    return x[0] is x[1]


def grow(x):
    x.append(x)
    return len(x)


def is_cycle(x):
    return x[0] is x


def return_list():
    return [1]


def return_copy():
    return stoa.by_copy({"a": [1, {2, 3}, bytearray(b"x")]})


def id_of(x):
    return id(x)


def count_levels(x):
    levels = 0
    while x:
        x = x[0]
        levels += 1
    return levels


def make_levels(count):
    x = ()
    for _ in range(count):
        x = (x,)
    return x


class Colour(enum.IntEnum):
    RED = 1


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.interp = stoa.Interpreter(name="cross")
        cls.addClassCleanup(cls.interp.close)

    def there_and_back(self, value):
        result = self.interp.call(identity, value)
        self.assertIs(type(result), type(value))
        return result


class ByValue(Case):
    def test_scalars(self):
        values = [None, True, False, ..., NotImplemented, 0, 1, -1, 255, 10**6, -(10**6), 2**63 - 1, -(2**63), 2**63, -(2**63) - 1]
        values += [10**5000, -(10**5000), 0.0, -0.0, 1.5, float("inf"), 1 + 2j, complex("-0-0j")]
        values += ["", "a", "é", "abc" * 100, "π" * 1000, "😀" * 1000, "\ud800", "a\0b", b"", b"a", b"\0" * 300]
        for value in values:
            with self.subTest(value=ascii(value)[:40] if value is ... or not isinstance(value, int) else hex(value)[:40]):
                result = self.there_and_back(value)
                self.assertEqual(result, value)
                if not isinstance(value, int):
                    self.assertEqual(repr(result), repr(value))  # -0.0
        self.assertNotEqual(self.there_and_back(float("nan")), 0)

    def test_large_text_both_ways(self):
        for value in ("x" * 200_000, "é" * 200_000, "π" * 200_000, "😀" * 200_000, b"y" * 200_000):
            self.assertEqual(self.there_and_back(value), value)
            self.assertEqual(self.there_and_back((value, value)), (value, value))

    def test_containers(self):
        values = [
            (),
            (1, ("a", (b"b", 2.5))),
            frozenset({1, "a", (2, 3)}),
            range(1, 10**30, 7),
            slice(None, "a", (1,)),
            types.MappingProxyType({"a": (1, 2), 3: types.MappingProxyType({})}),
        ]
        for value in values:
            with self.subTest(value=repr(value)[:40]):
                self.assertEqual(self.there_and_back(value), value)

    @unittest.skipUnless(sys.version_info >= (3, 15), "3.15 brings frozendict")
    def test_frozendict(self):
        value = frozendict({"a": (1, 2), 3: frozendict()})  # noqa: F821
        self.assertEqual(self.there_and_back(value), value)

    def test_mapping_is_a_copy(self):
        inner = {"a": 1}
        result = self.interp.call(describe, types.MappingProxyType(inner))
        self.assertEqual(result, ("mappingproxy", "mappingproxy({'a': 1})"))

    def test_mapping_over_something_else(self):
        with self.assertRaises(stoa.NotFreezable):
            self.interp.call(identity, types.MappingProxyType(collections.UserDict(a=1)))

    def test_dates(self):
        tz = datetime.timezone(datetime.timedelta(hours=-3, seconds=7), "here")
        values = [
            datetime.date(2024, 2, 29),
            datetime.time(1, 2, 3, 4, fold=1),
            datetime.time(1, tzinfo=tz),
            datetime.datetime(2024, 2, 29, 1, 2, 3, 4, fold=1),
            datetime.datetime(1, 1, 1, tzinfo=datetime.timezone.utc),
            datetime.datetime(9999, 12, 31, 23, 59, 59, 999999, tz),
            datetime.timedelta(-5, 3, 1),
            tz,
        ]
        for value in values:
            with self.subTest(value):
                result = self.there_and_back(value)
                self.assertEqual(repr(result), repr(value))
                self.assertEqual(getattr(result, "fold", 0), getattr(value, "fold", 0))

    def test_nothing_becomes_immortal(self):
        before = stoa.stats()["region"]
        for n in range(100):
            self.there_and_back(("some text that is not shared", n, 2.5 * n, b"bytes %d" % n))
        after = stoa.stats()["region"]
        self.assertEqual(before["objects"], after["objects"])

    def test_deep(self):
        value = make_levels(1_000_000)
        self.assertEqual(self.interp.call(count_levels, value), 1_000_000)
        self.assertEqual(count_levels(self.interp.call(make_levels, 1_000_000)), 1_000_000)

    def test_diamonds_do_not_explode(self):
        value = ("x", 1.5)
        for _ in range(200):
            value = (value, value)
        self.assertTrue(self.interp.call(aliases, value))


class ByPointer(Case):
    def test_shared(self):
        value = stoa.freeze({"a": [1, 2, {"b": "c"}]})
        self.assertEqual(self.interp.call(id_of, value), id(value))
        self.assertIs(self.interp.call(identity, value), value)
        inside = self.interp.call(identity, (value, "and more"))
        self.assertIs(inside[0], value)

    def test_process_wide_objects(self):
        for value in (None, int, "", (), 7, ValueError):
            self.assertIs(self.interp.call(identity, value), value)

    def test_interpreters(self):
        with stoa.Interpreter() as other:
            self.assertEqual(self.interp.call(identity, (other, self.interp)), (other, self.interp))
            self.assertEqual(self.interp.call(describe, other)[0], "Interpreter")
        self.assertTrue(self.interp.call(describe, stoa.main())[1].startswith("<stoa.Interpreter 'main'"))
        with self.assertRaises(stoa.InterpreterGone):
            self.interp.call(identity, other)


class ByCopy(Case):
    def test_containers(self):
        value = {"a": [1, {2, 3}, bytearray(b"x")], (1,): {}, None: []}
        result = self.interp.call(describe, stoa.by_copy(value))
        self.assertEqual(result[0], "dict")
        self.assertEqual(result[1], repr(value))
        self.assertEqual(self.interp.call(return_copy), {"a": [1, {2, 3}, bytearray(b"x")]})

    def test_it_is_a_copy(self):
        value = [1]
        self.assertEqual(self.interp.call(grow, stoa.by_copy(value)), 2)
        self.assertEqual(value, [1])

    def test_aliases_and_cycles(self):
        shared = [1]
        self.assertTrue(self.interp.call(aliases, stoa.by_copy([shared, shared])))
        self.assertTrue(self.interp.call(aliases, (stoa.by_copy(shared), stoa.by_copy(shared))))
        cycle = []
        cycle.append(cycle)
        self.assertTrue(self.interp.call(is_cycle, stoa.by_copy(cycle)))
        mapping = {}
        mapping["me"] = mapping
        self.assertEqual(self.interp.call(describe, stoa.by_copy(mapping))[1], "{'me': {...}}")
        bad = ([],)
        bad[0].append(bad)
        with self.assertRaisesRegex(stoa.NotFreezable, "contains itself"):
            self.interp.call(identity, stoa.by_copy(bad))

    def test_inside_and_nested_marks(self):
        result = self.interp.call(describe, (1, stoa.by_copy([2])))
        self.assertEqual(result[1], "(1, [2])")
        marked = [1]
        for _ in range(10_000):
            marked = stoa.by_copy(marked)
        self.assertEqual(self.interp.call(describe, marked)[1], "[1]")

    def test_objects_inside_are_proxies(self):
        inside = object()
        here = self.interp.call(copy_back, stoa.by_copy({"k": [0, inside]}))
        self.assertIs(here["k"][1], inside)

    def test_marker(self):
        self.assertEqual(repr(stoa.by_copy([1])), "by_copy([1])")
        with self.assertRaises(TypeError):
            type(stoa.by_copy(1))()


class ByProxy(Case):
    def test_comes_home_as_itself(self):
        point = collections.namedtuple("P", "x")(1)
        for value in ([1], {"a": 2}, {1}, bytearray(), object(), print, Case, Colour.RED, point, iter(())):
            with self.subTest(type(value).__name__):
                self.assertIs(self.interp.call(identity, value), value)
                self.assertIs(self.interp.call(identity, ((0, value),))[0][1], value)
                self.assertIs(self.interp.call(identity, x=value), value)

    def test_containers_as_a_whole(self):
        inner = [1]
        outer = self.interp.call(identity, types.MappingProxyType({"k": (1, inner)}))
        self.assertIs(type(outer), types.MappingProxyType)
        self.assertIs(outer["k"][1], inner)

    def test_result(self):
        result = self.interp.call(return_list)
        self.assertTrue(stoa.is_proxy(result))
        self.assertEqual(stoa.owner(result), self.interp)

    def test_deep(self):
        innermost = value = [1]
        for _ in range(5000):
            value = (value,)
        value = self.interp.call(identity, value)
        for _ in range(5000):
            (value,) = value
        self.assertIs(value, innermost)

    def test_nothing_is_kept_alive(self):
        probe = ["probe"]
        refs = sys.getrefcount(probe)
        for _ in range(10):
            self.interp.call(identity, (("text" * 1000,) * 3, probe))
        self.interp.call(identity, ())
        stoa.is_proxy(self.interp.call(return_list) == 1)  # what was let go of is applied by the next who comes by
        self.assertEqual(sys.getrefcount(probe), refs)


def copy_back(x):
    return stoa.by_copy(x)


def same(a, b):
    """Equal, and of equal types all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return all(map(same, a, b)) and all(map(same, a.values(), b.values())) and len(a) == len(b)
    return a == b


class Random(Case):
    def make(self, rng, depth, hashable=False):
        kind = rng.randrange(13 if depth > 0 else 7)
        if kind == 0:
            return rng.choice([None, True, False, ...])
        if kind == 1:
            return rng.randrange(-(2 ** rng.choice([4, 31, 64, 200])), 2**70)
        if kind == 2:
            return rng.random() * 10.0 ** rng.randrange(-300, 300)
        if kind in (3, 4):
            return "".join(chr(rng.choice([65, 233, 960, 0x1F600])) for _ in range(rng.choice([0, 1, 5, 400])))
        if kind == 5:
            return rng.randbytes(rng.choice([0, 1, 9, 700]))
        if kind == 6:
            return complex(rng.random(), rng.random())
        items = [self.make(rng, depth - 1, hashable) for _ in range(rng.randrange(5))]
        keys = [self.make(rng, depth - 1, True) for _ in items]
        if hashable or kind in (7, 8):
            return tuple(items)
        if kind == 9:
            return frozenset(keys)
        if kind == 10:
            return dict(zip(keys, items))
        if kind == 11:
            return set(keys)
        return items

    def test_round_trips(self):
        rng = random.Random(20261120)
        for _ in range(400):
            value = self.make(rng, 4)
            self.assertTrue(same(self.interp.call(copy_back, stoa.by_copy(value)), value), value)


if __name__ == "__main__":
    unittest.main()
