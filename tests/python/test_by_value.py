"""What crosses as it is without being frozen: values of a class, as arguments, results, and items of queues."""

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import gc
import ipaddress
import os
import pathlib
import re
import sys
import time
import types
import unittest
import uuid
import weakref

import stoa

import beside
import values_zoo as zoo

VALUES = [
    decimal.Decimal("1.50"), decimal.Decimal("NaN"), fractions.Fraction(1, 3), uuid.UUID(int=7), re.compile("a+(b)", re.I), re.compile(b"x"),
    pathlib.PurePosixPath("/a/b"), pathlib.Path("/tmp"), pathlib.PureWindowsPath("c:/x"), ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("::1"),
    ipaddress.ip_network("::/64"), ipaddress.ip_interface("10.0.0.1/8"), datetime.date(2024, 2, 29), datetime.time(1, 2, 3, 4, fold=1), datetime.timedelta(1, 2, 3),
    datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc), datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2), "X")),
    datetime.timezone.utc, os.stat("/"), time.gmtime(0), zoo.Fixed(1, (2, "three")), zoo.Slim(a=1, b=(zoo.Color.RED,)), zoo.Fixed(zoo.Fixed(zoo.Pair(1, 2))),
    zoo.Pair(1, zoo.Pair(2, decimal.Decimal(3))), zoo.Color.RED, zoo.Color.BLUE, zoo.Level.HIGH, zoo.Perm.R | zoo.Perm.W, zoo.Perm(0),
    (zoo.Color.BLUE,) * 3, frozenset([zoo.Pair(1, 2), decimal.Decimal(7)]), types.MappingProxyType({zoo.Color.RED: zoo.Fixed(1)}), slice(decimal.Decimal(1), None),
]
try:
    import zoneinfo
    VALUES += [zoneinfo.ZoneInfo("Europe/Paris"), datetime.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo("UTC"))]
except (ImportError, KeyError):  # no data
    pass


def describe(x):
    import stoa
    text = repr(x).replace("zoneinfo.ZoneInfo", "ZoneInfo")  # its twin in Python says less
    return f"{type(x).__module__}.{type(x).__qualname__}", text, stoa.is_proxy(x), stoa.is_shared(x)


def described(x):
    return describe(x)[:2] + (False,)


class ByValue(beside.Beside):
    def test_arguments_and_results(self):
        for value in VALUES:
            with self.subTest(repr(value)):
                name, text, proxied, shared = self.other.call(describe, value)
                self.assertEqual((name.replace("_pydatetime", "datetime"), text, proxied), described(value))
                if type(value).__hash__ is not None and not isinstance(value, (enum.Enum, datetime.tzinfo)):
                    self.assertFalse(shared)  # nothing of it stays
                back = self.other.call("values_zoo:same", value)
                self.assertIs(type(back), type(value))
                self.assertEqual(repr(back), repr(value))
                if isinstance(value, enum.Enum):
                    self.assertIs(back, value)

    def test_in_proxy_calls_and_queues(self):
        same = self.other.call(lambda: zoo.same)
        self.assertTrue(stoa.is_proxy(same))
        queue = stoa.Queue()
        for value in VALUES:
            with self.subTest(repr(value)):
                self.assertEqual(repr(same(value)), repr(value))
                queue.put(value)
                self.assertEqual(self.other.call(lambda q: describe(q.get())[:3], queue)[1:], described(value)[1:])
        with stoa.InterpreterPoolExecutor(1) as pool:
            self.assertEqual(pool.submit(repr, decimal.Decimal("1.5")).result(), "Decimal('1.5')")

    def test_what_is_inside_crosses_by_the_rule(self):
        items = [1]
        fixed, mine = zoo.Fixed(items, zoo.Point(1, 2)), zoo.Fixed(stoa.proxy(items))
        self.assertEqual(self.other.call(lambda f: (type(f).__name__, f.a.append(2), stoa.is_proxy(f.b)), fixed), ("Fixed", None, True))
        self.assertEqual(items, [1, 2])
        self.assertIs(self.other.call("values_zoo:same", fixed).a, items)
        self.assertIs(self.other.call("values_zoo:same", mine).a, items)
        self.assertIs(self.other.call(lambda f: f.a is f.b, zoo.Fixed(fixed, fixed)), True)

    def test_attributes_of_all_kinds(self):
        many, odd, late = zoo.Fixed(1), zoo.Fixed(2), zoo.Fixed(3)
        for i in range(100):
            object.__setattr__(many, f"a{i}", i)
        odd.__dict__[5] = 6
        object.__delattr__(late, "a")
        object.__setattr__(late, "a", 4)
        self.assertEqual(self.other.call(lambda f: tuple(vars(f).items()), many), tuple(vars(many).items()))
        self.assertTrue(self.other.call(stoa.is_proxy, odd))  # no class statement makes such an attribute
        self.assertEqual(self.other.call(lambda f: tuple(vars(f)), late), ("b", "a"))

    def test_what_can_be_changed_stays(self):
        for value in (zoo.Point(1, 2.0), zoo.Node(1), zoo.Plain(), zoo.Reduced(1), collections.deque(), types.SimpleNamespace(), zoo.Fixed, zoo.same):
            with self.subTest(repr(value)):
                self.assertTrue(self.other.call(stoa.is_proxy, value))
                self.assertIs(self.other.call("values_zoo:same", value), value)

    def test_what_others_cannot_import_stays(self):
        @dataclasses.dataclass(frozen=True)
        class Local:
            x: int

        here = Local(5)
        self.assertEqual(self.other.call(lambda p: (stoa.is_proxy(p), p.x), here), (True, 5))
        space = {"__name__": "__main__"}
        exec("import collections\nMine = collections.namedtuple('Mine', 'x')", space)
        self.assertEqual(self.other.call(lambda p: (stoa.is_proxy(p), p.x), space["Mine"](6)), (True, 6))

    def test_copies_of_what_can_be_changed(self):
        for value in (zoo.Point(1, [2.0]), zoo.Node([zoo.Node(2)]), collections.deque([1, [2]], 5), collections.OrderedDict(a=[1]), collections.defaultdict(list, a=[1]),
                      collections.Counter("abca"), types.SimpleNamespace(a=[1], b=zoo.Point(1, [2]))):
            with self.subTest(repr(value)):
                self.assertEqual(self.other.call(describe, stoa.by_copy(value))[1:3], (repr(value), False))
        point = zoo.Point([1], 2)
        copy = self.other.call("values_zoo:same", stoa.by_copy(point))
        self.assertTrue(stoa.is_proxy(copy))  # what it changes there is its own
        copy.x.append(2)
        self.assertEqual((copy.x, point.x), ([1, 2], [1]))

    def test_a_class_that_is_not_there(self):
        space = types.ModuleType("only_in_main")
        exec("import dataclasses, enum\n@dataclasses.dataclass(frozen=True)\nclass Here:\n    x: int\nclass Kind(enum.Enum):\n    A = 1", space.__dict__)
        sys.modules["only_in_main"] = space
        queue = stoa.Queue()
        try:
            for value in (space.Here(1), space.Kind.A):
                with self.assertRaisesRegex(stoa.Error, rf"only_in_main\.{type(value).__name__}.* cannot be built in interpreter .*No module named"):
                    self.other.call(repr, value)
                queue.put(value)
                with self.assertRaisesRegex(stoa.Error, "only_in_main"):
                    self.other.call(lambda q: q.get(timeout=5), queue)
                self.assertIs(type(queue.get()), type(value))  # it is still there for who can take it
        finally:
            del sys.modules["only_in_main"]

    def test_reduce_that_lies_raises_recurses(self):
        cases = {"raise ZeroDivisionError('no')": (ZeroDivisionError, "no"), "return Bad, (Bad(),)": (RecursionError, "__reduce__"),
                 "return 5": (TypeError, "__reduce__ must give"), "return int, ()": (stoa.Error, "made a int"),
                 "return int, ('x',)": (stoa.Error, "invalid literal"), "return Bad, (), 1, None, None, 5": (TypeError, "__reduce__ must give"),
                 "return Bad, (), 1, None, None, len": (stoa.Error, "TypeError: len")}
        for number, (body, (error, text)) in enumerate(cases.items()):
            with self.subTest(body):
                name = f"values_bad_{number}"
                source = f"import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Bad:\n    def __reduce__(self):\n        {body}"
                sys.modules[name] = module = types.ModuleType(name)
                exec(source, module.__dict__)
                self.other.exec(f"import types\nsys.modules[{name!r}] = m = types.ModuleType({name!r})\nexec({source!r}, m.__dict__)")
                with self.assertRaisesRegex(error, text):
                    self.other.call(repr, module.Bad())
                del sys.modules[name]

    def test_one_that_contains_itself(self):
        loop = zoo.Fixed(1)
        object.__setattr__(loop, "a", (loop,))
        with self.assertRaisesRegex(stoa.NotFreezable, "contains itself"):
            self.other.call(type, loop)
        chain = zoo.Fixed(None)
        for _ in range(50_000):
            chain = zoo.Fixed(chain)
        self.assertEqual(self.other.call(lambda f: type(f.a).__name__, chain), "Fixed")
        while chain is not None:  # its own end would go as deep
            chain, below = chain.a, chain
            object.__setattr__(below, "a", None)

    def test_nothing_is_left(self):
        value = zoo.Fixed(zoo.Fixed("x"))
        there = self.other.call(lambda: zoo.same)
        there(value)
        before = stoa.stats()["region"]["objects"]
        ended = weakref.ref(value)
        for i in range(200):
            there(zoo.Fixed(i, decimal.Decimal(i)))
            self.other.call("values_zoo:same", zoo.Pair(i, str(i)))
        del value
        gc.collect()
        self.assertIsNone(ended())
        self.assertLess(stoa.stats()["region"]["objects"] - before, 20)


if __name__ == "__main__":
    unittest.main()
