"""Frozen objects of classes: taken apart once, built in each interpreter that receives them."""

import collections
import datetime
import decimal
import fractions
import functools
import ipaddress
import math
import operator
import os
import pathlib
import pickle
import random
import sys
import threading
import time
import types
import unittest
import uuid
import weakref

import stoa

import values_zoo as zoo
from beside import interpreter


def there(other, expression):
    other.exec("import stoa\nx = stoa.lookup('values.x', None)\nstoa.replace('values.result', (%s))" % expression)
    return stoa.lookup("values.result")


class RoundTrip(unittest.TestCase):
    """What arrives is equal, of the same class, one object per interpreter; and what was frozen stays as it was."""

    VALUES = [
        zoo.Point(1, 2.5, "p"), zoo.Fixed(1, (2, 3)), zoo.Slim(a=1, b=(2,)), zoo.Point3(1, 2.0, "q", 3.0, zoo.Color.RED),
        zoo.Node(1, zoo.Node(2)), zoo.Pair(1, (2, 3)), zoo.Color.RED, zoo.Level.HIGH, zoo.Perm.R | zoo.Perm.W, zoo.Perm(0), zoo.Reduced(5), zoo.Appended(1, 2),
        decimal.Decimal("1.50"), fractions.Fraction(1, 3), uuid.UUID(int=7), pathlib.PurePosixPath("/a/b"), pathlib.Path("/tmp"),
        ipaddress.ip_address("10.0.0.1"), ipaddress.ip_network("::/64"), datetime.timezone(datetime.timedelta(hours=2)),
        datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2), "X")), datetime.date(2024, 2, 29),
        zoo.Day(2024, 2, 29), zoo.Zone(3), zoo.Moment(2024, 1, 2, 3, fold=1), datetime.time(1, fold=1, tzinfo=zoo.Zone(3)),
        zoo.Ordered(b=1, a=(2,)), zoo.Space(a=1, b=zoo.Space()), collections.Counter, os.stat("/"), time.gmtime(0), functools.partial, math.sin, len, int.from_bytes, zoo.reduce_money, zoo.Point, int, {zoo.Color.RED: decimal.Decimal(1)},
        frozenset([zoo.Color.RED, zoo.Pair(1, 2)]), slice(decimal.Decimal(1), None), [(zoo.Fixed(zoo.Fixed(1)),)],
    ]

    def test_equal_here_and_there(self):
        with interpreter() as other:
            for value in self.VALUES:
                with self.subTest(repr(value)):
                    frozen = stoa.freeze(value)
                    self.assertEqual(frozen, tuple(value) if type(value) is list else value)
                    self.assertIs(stoa.freeze(frozen), frozen)
                    self.assertTrue(stoa.is_shared(frozen))
                    stoa.replace("values.x", frozen)
                    self.assertIs(stoa.lookup("values.x"), frozen)
                    self.assertTrue(there(other, "x is stoa.lookup('values.x') and stoa.freeze(x) is x and stoa.is_shared(x)"))
                    self.assertEqual(there(other, "f'{type(x).__module__}:{type(x).__qualname__}'").replace('_pydatetime', 'datetime'),
                                     f"{type(frozen).__module__}:{type(frozen).__qualname__}")
                    self.assertEqual(there(other, "x"), frozen)
                    self.assertIs(there(other, "x"), frozen)  # back home it is the one that stands for it here

    def test_the_source_stays_as_it_was(self):
        point = zoo.Point(1, 2.0, "p")
        frozen = stoa.freeze(point)
        self.assertIsNot(frozen, point)
        point.x = 5
        self.assertEqual(frozen.x, 1)


class Functions(unittest.TestCase):
    def test_by_value_here_and_there(self):
        base, calls = 10, []

        def plain(a, b=(1, 2), *, c=zoo.Color.RED):
            """Doc."""
            return a, b, c, base

        def fact(n):
            return 1 if n < 2 else n * fact(n - 1)

        def even(n):
            return True if n == 0 else odd(n - 1)

        def odd(n):
            return False if n == 0 else even(n - 1)

        def counter():
            count = 0

            def step():
                nonlocal count
                count += 1
                return count
            return step

        plain.mark = zoo.Point(1, 2.0)
        frozen = stoa.freeze([plain, fact, even, counter(), lambda x: x + base])
        f = frozen[0]
        self.assertEqual((f(0), f.__doc__, f.__name__, f.__qualname__, f.mark), (plain(0), "Doc.", "plain", plain.__qualname__, plain.mark))
        self.assertEqual((frozen[1](20), frozen[2](7), frozen[4](1)), (math.factorial(20), False, 11))
        self.assertEqual([frozen[3](), frozen[3]()], [1, 2])
        with interpreter() as other:
            stoa.replace("values.x", frozen)
            self.assertEqual(there(other, "(x[0](5, c=3), x[1](5), x[2](4), x[3](), x[3](), x[4](1), x[0].mark.x)"),
                             ((5, (1, 2), 3, 10), 120, True, 1, 2, 11, 1))
        self.assertEqual(calls, [])

    def test_globals_of_main_come_along(self):
        space = {"__name__": "__main__", "math": math, "Point": zoo.Point, "k": [1, 2], "unused": object()}
        exec("def f(n):\n    return g(n) if n else (math.pi, Point(1, 2.0), k)\ndef g(n): return f(n - 1)", space)
        frozen = stoa.freeze(space["f"])
        self.assertEqual(frozen(2), (math.pi, zoo.Point(1, 2.0), (1, 2)))
        with interpreter() as other:
            stoa.replace("values.x", frozen)
            self.assertEqual(there(other, "x(3)"), (math.pi, zoo.Point(1, 2.0), (1, 2)))

    def test_the_text_about_it_is_its_own(self):
        def plain():
            """Doc."""

        @functools.wraps(plain)
        def wrapper(*args):
            return plain(*args)

        def bare():
            """Taken away."""

        bare.__doc__ = None
        frozen = stoa.freeze([wrapper, bare])
        self.assertEqual([(f.__name__, f.__doc__) for f in frozen], [("plain", "Doc."), ("bare", None)])
        self.assertEqual(frozen[0].__wrapped__.__doc__, "Doc.")

    def test_what_cannot_come_along(self):
        lock = threading.Lock()
        with self.assertRaises(stoa.NotFreezable) as caught:
            stoa.freeze({"f": lambda: lock})
        self.assertIn("lock", caught.exception.type_name)
        space = {"__name__": "__main__", "lock": lock}
        exec("def f(): return g()\ndef g(): return lock\ndef h(a, b=[1, lock], *, c=0): pass\ndef k(a, *, c, d={1: lock}): pass\nf.note = 5", space)
        space["f"].mark = {"here": [lock]}
        space["g"].__dict__.update(first=1, mark=lock)
        for value, path in (((1, lambda: lock), "$[1].__closure__[0]"), (space["h"], "$.__defaults__[0][1]"), (space["k"], "$.__kwdefaults__['d'][1]"),
                            ({"f": space["f"]}, "$['f'].__dict__['mark']['here'][0]"), (space["g"], "$.__globals__['lock']")):
            with self.subTest(path), self.assertRaises(stoa.NotFreezable) as caught:
                stoa.freeze(value)
            self.assertEqual(caught.exception.path, path)


class Sequences(unittest.TestCase):
    def setUp(self):
        self.points = [zoo.Point(i, i / 2, str(i)) for i in range(3000)]
        self.frozen = stoa.freeze(self.points)

    def test_like_the_tuple(self):
        s, t = self.frozen, tuple(self.points)
        self.assertIs(type(s), stoa.SharedSequence)
        self.assertEqual(list(type(s).__iter__(s)), list(s[:]))
        self.assertIsInstance(s, collections.abc.Sequence)
        self.assertNotIsInstance(s, tuple)
        self.assertTrue(s == t and t == s and not s != t and s == stoa.freeze(self.points) and s <= s)
        self.assertEqual((len(s), s[5], s[-1], s[10:20:3], s[::-1], s.index(t[7]), s.count(t[9]), t[3] in s), (
            3000, t[5], t[-1], t[10:20:3], t[::-1], 7, 1, True))
        self.assertEqual((list(s), list(reversed(s)), s + (1,), (1,) + s, (s * 2)[:3001]),
                         (self.points, self.points[::-1], t + (1,), (1,) + t, (t * 2)[:3001]))
        self.assertIs(s[:], s)
        self.assertIs(s[4], s[4])
        self.assertEqual(repr(s), repr(t))
        self.assertEqual(pickle.loads(pickle.dumps(s)), t)
        self.assertRaises(IndexError, lambda: s[3000])
        self.assertRaises(TypeError, lambda: s["x"])
        self.assertRaises(ValueError, s.index, 5)
        self.assertRaises(TypeError, type(s))
        with self.assertRaises(TypeError):
            s[0] = 1
        match s:
            case [first, *_]:
                self.assertIs(first, s[0])
        self.assertRaises(TypeError, hash, s)  # a Point has no hash
        fixed = tuple(zoo.Fixed(i) for i in range(2000))
        self.assertEqual(hash(stoa.freeze(fixed)), hash(fixed))
        self.assertEqual(sorted([stoa.freeze(tuple(zoo.Pair(i, 1) for i in range(n))) for n in (2002, 2001)])[0][2000], (2000, 1))

    def test_built_on_touch_only(self):
        with interpreter() as other:
            stoa.replace("values.x", self.frozen)
            other.exec("import gc\nx = stoa.lookup('values.x')\nx[7]\nx[7].x")
            self.assertEqual(there(other, "sum(type(o) is zoo.Point for o in gc.get_objects())"), 1)
            self.assertTrue(there(other, "stoa.freeze(x) is x and stoa.is_shared(x)"))
            self.assertIs(there(other, "x"), self.frozen)

    def test_what_was_changed_is_frozen_anew(self):
        self.frozen[5].x = -1
        again = stoa.freeze(self.frozen)
        self.assertIsNot(again, self.frozen)
        self.assertEqual((again[5].x, again[6].x), (-1, 6))
        point = stoa.freeze([zoo.Fixed(zoo.Point(1, 2.0))])
        self.assertIs(stoa.freeze(point), point)
        point[0].a.x = 2
        self.assertEqual(stoa.freeze(point)[0].a.x, 2)

    def test_only_what_was_looked_at_is_compared(self):
        chosen = random.Random(11)
        for touched in ([0], [2999], [15, 16, 255, 256, 257], sorted(chosen.sample(range(3000), 200)), range(3000)):
            frozen = stoa.freeze([zoo.Point(i, i / 2, str(i)) for i in range(3000)])
            for i in touched:
                frozen[i].x
            self.assertIs(stoa.freeze(frozen), frozen)
            self.assertIs(stoa.freeze({"in": frozen})["in"], frozen)
            changed = chosen.sample(list(touched), min(3, len(touched)))
            for i in changed:
                frozen[i].x = -i - 1
            again = stoa.freeze([frozen])[0]
            self.assertEqual([p.x for p in again], [-i - 1 if i in changed else i for i in range(3000)])
            frozen[changed[0]].x = threading.Lock()
            with self.assertRaises(stoa.NotFreezable) as caught:
                stoa.freeze(frozen)
            self.assertEqual(caught.exception.path, f"$[{changed[0]}].x")
            frozen[changed[0]].x = 5
            region = stoa.Region("values.another")
            self.assertEqual([p.x for p in region.freeze(frozen)], [p.x for p in frozen])

    def test_an_item_that_cannot_be_built_is_named(self):
        module = sys.modules["values_gone"] = types.ModuleType("values_gone")
        self.addCleanup(sys.modules.pop, "values_gone")
        exec("class Gone:\n  def __init__(self, x): self.x = x\n  def __reduce__(self): return Gone, (self.x,)", module.__dict__)
        frozen = stoa.freeze([[module.Gone(i)] for i in range(2000)])
        with interpreter() as other:
            stoa.replace("values.x", frozen)
            other.exec("x = stoa.lookup('values.x')")
            with self.assertRaisesRegex(stoa.Error, r"^\$\[1234\]\[0\]: 'values_gone.Gone' cannot be built"):
                other.exec("x[1234]")
            other.exec("import types\nm = sys.modules['values_gone'] = types.ModuleType('values_gone')\nclass Gone:\n  def __init__(self, x): self.x = x\n"
                       "Gone.__module__, m.Gone = 'values_gone', Gone\nassert x[1234][0].x == 1234")

    def test_short_ones_are_tuples(self):
        self.assertIs(type(stoa.freeze(self.points[:1023])), tuple)
        self.assertIs(type(stoa.freeze(list(range(3000)))), tuple)


class Settled(unittest.TestCase):
    """Values that are hashed by identity, but cannot be changed."""

    def check(self, value):
        frozen = stoa.share([value][0])
        self.assertIs(stoa.freeze(frozen), frozen)
        self.assertIs(stoa.share((frozen,))[0], frozen)
        with stoa.Interpreter() as other:  # nobody has imported anything there
            stoa.replace("values.x", frozen)
            other.exec("import stoa\nx = stoa.lookup('values.x')\nstoa.replace('values.y', x)\nassert stoa.freeze(x) is x and stoa.share((x,))[0] is x")
            self.assertIs(stoa.lookup("values.y"), frozen)

    def test_numbers_that_are_unequal_to_themselves(self):
        for text in ("NaN", "-NaN7", "sNaN", "-sNaN123"):
            frozen = stoa.freeze([decimal.Decimal(text)])[0]
            self.assertEqual((type(frozen), str(frozen)), (decimal.Decimal, text))
            with interpreter() as other:
                stoa.replace("values.x", frozen)
                self.assertEqual(there(other, "str(x)"), text)

    def test_getters(self):
        self.check(operator.itemgetter(1, "x"))
        self.check(operator.attrgetter("a.b"))
        self.check(operator.methodcaller("count", 5))

    def test_zones(self):
        import zoneinfo  # not for other interpreters, which find functions of this file by its name

        try:
            zone = zoneinfo.ZoneInfo("Europe/Berlin")
        except zoneinfo.ZoneInfoNotFoundError:
            self.skipTest("no data of time zones")
        self.check(zone)
        self.check(datetime.datetime(2024, 7, 1, 12, tzinfo=zone))
        self.check(datetime.time(12, tzinfo=zone))

    def test_times_with_an_offset(self):
        if sys.version_info >= (3, 13):
            self.check(datetime.datetime(2024, 7, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2))))


class Aliases(unittest.TestCase):
    def test_one_object_stays_one(self):
        point, color = zoo.Point(1, 2.0), zoo.Color.RED
        frozen = stoa.freeze({"a": point, "b": [point, (point,)], color: color})
        self.assertIs(frozen["a"], frozen["b"][0])
        self.assertIs(frozen["a"], frozen["b"][1][0])
        self.assertIs(frozen[color], color)
        two = stoa.freeze([zoo.Point(1, 2.0), zoo.Point(1, 2.0)])
        self.assertIsNot(two[0], two[1])  # equal, but two objects that can be changed
        same = stoa.freeze([zoo.Fixed(1), zoo.Fixed(1)])
        self.assertIs(same[0], same[1])  # values
        with interpreter() as other:
            stoa.replace("values.x", frozen)
            self.assertTrue(there(other, "x['a'] is x['b'][0] is x['b'][1][0] and x[zoo.Color.RED] is zoo.Color.RED"))

    def test_deep_graphs(self):
        node = None
        for i in range(20_000):
            node = zoo.Node(i, node)
        frozen = stoa.freeze(node)
        depth, at = 0, frozen
        while at is not None:
            depth, at = depth + 1, at.next
        self.assertEqual(depth, 20_000)
        value = zoo.Color.RED
        for _ in range(20_000):
            value = (value,)
        frozen = stoa.freeze(value)
        for _ in range(20_000):
            (frozen,) = frozen
        self.assertIs(frozen, zoo.Color.RED)

    def test_nothing_is_kept_that_nobody_has(self):
        with interpreter() as other:
            other.exec("import gc\nfor i in range(5000): stoa.freeze(zoo.Fixed(('value', i)))")
            self.assertLess(there(other, "sum(type(o) is zoo.Fixed for o in gc.get_objects())"), 2000)
        kept = [stoa.freeze(zoo.Fixed(("kept", i))) for i in range(3000)]
        for i, fixed in enumerate(kept):
            self.assertIs(stoa.freeze(zoo.Fixed(("kept", i))), fixed)


class Registered(unittest.TestCase):
    def test_with_functions(self):
        self.assertRaises(stoa.NotFreezable, stoa.freeze, zoo.Money(5))
        self.assertIs(stoa.register(zoo.Money, zoo.reduce_money, zoo.rebuild_money), zoo.Money)
        frozen = stoa.share([zoo.Money(5)] and (zoo.Money(5), zoo.Money(5)))
        self.assertEqual(frozen, (zoo.Money(5), zoo.Money(5)))
        with interpreter() as other:
            stoa.replace("values.x", frozen)
            self.assertTrue(there(other, "type(x[0]) is zoo.Money and x[1].cents == 5"))

    def test_by_attributes(self):
        self.assertRaises(stoa.NotFreezable, stoa.freeze, zoo.Plain(a=1))
        stoa.register(zoo.Plain)
        self.assertEqual(stoa.freeze([zoo.Plain(a=1, b=(2,))])[0], zoo.Plain(a=1, b=(2,)))

    def test_without_registering_where_it_arrives(self):
        stoa.register(zoo.Money, zoo.reduce_money, zoo.rebuild_money)
        stoa.register(type=zoo.Plain, reduce=None, rebuild=None)
        money, plain = stoa.freeze((zoo.Money(7), zoo.Plain(a=1)))
        with interpreter() as other:
            stoa.replace("values.x", (money, plain))
            self.assertTrue(there(other, "all(stoa.freeze(y) is y and stoa.is_shared(y) for y in x) and stoa.freeze([x])[0] is x"))
            there(other, "len([stoa.replace('values.back', list(x)), setattr(x[1], 'a', 2), stoa.replace('values.changed', x)])")
            self.assertIs(stoa.lookup("values.back")[0], money)
            self.assertIs(stoa.lookup("values.back")[1], plain)
            self.assertEqual(stoa.lookup("values.changed"), (zoo.Money(7), zoo.Plain(a=2)))
            self.assertIs(stoa.lookup("values.changed")[0], money)
            self.assertTrue(there(other, "stoa.freeze([__import__('values_zoo').Plain(b=3)])[0].b == 3"))

    def test_wrong(self):
        self.assertRaises(TypeError, stoa.register, 5)
        self.assertRaises(TypeError, stoa.register, zoo.Money, zoo.reduce_money)
        self.assertRaises(TypeError, stoa.register, zoo.Money, zoo.reduce_money, lambda x: x)
        self.assertRaises(TypeError, stoa.register, dict)
        self.assertRaises(TypeError, stoa.register)


class Hostile(unittest.TestCase):
    def tearDown(self):
        zoo.Reduced.reduce = None
        zoo.Picky.allowed = True

    def refused(self, value, path, text=""):
        with self.assertRaisesRegex(stoa.NotFreezable, text) as caught:
            stoa.freeze(value)
        self.assertEqual(caught.exception.path, path)
        return caught.exception

    def test_paths(self):
        self.refused({"users": [0, 1, 2, zoo.Point(1, 2.0, object())]}, "$['users'][3].name", "belong")
        self.refused(zoo.Slim(a=1, b=[object()]), "$.b[0]")
        self.refused(zoo.Pair(1, {"k": object()}), "$[1]['k']")
        point = zoo.Point(1, 2.0)
        point.name = {"me": point}
        self.refused([point], "$[0].name['me']", "inside itself")

    def test_reduce_that_lies_raises_recurses(self):
        for reduce in (lambda self: 5, lambda self: (1, 2), lambda self: (), lambda self: "nowhere", lambda self: (print, [1]),
                       lambda self: (zoo.Reduced, (1,), None, None, None, None, None)):
            zoo.Reduced.reduce = reduce
            self.refused([zoo.Reduced()], "$[0]", "__reduce__")

        def fail(self):
            raise KeyError("no")
        zoo.Reduced.reduce = fail
        error = self.refused([zoo.Reduced()], "$[0]", "KeyError")
        self.assertIsInstance(error.__cause__, KeyError)
        zoo.Reduced.reduce = lambda self: (int, ())
        self.assertRaisesRegex(stoa.Error, "made a int", stoa.freeze, zoo.Reduced())
        zoo.Reduced.reduce = lambda self: (zoo.Reduced, (zoo.Reduced(),))
        self.assertRaises(RecursionError, stoa.freeze, zoo.Reduced())

        def leave(self):
            raise KeyboardInterrupt
        zoo.Reduced.reduce = leave
        self.assertRaises(KeyboardInterrupt, stoa.freeze, zoo.Reduced())

    def test_reduce_that_changes_the_graph(self):
        graph = []

        def reduce(self):
            graph.clear()
            graph.extend(("changed", i) for i in range(100))
            return zoo.Reduced, (1,)
        zoo.Reduced.reduce = reduce
        graph.extend([zoo.Reduced(), *([i] for i in range(1000))])
        self.assertEqual(stoa.freeze(graph)[0], ("changed", 0))

    def test_reduce_that_freezes(self):
        def reduce(self):
            zoo.Reduced.reduce = None
            return zoo.Reduced, (stoa.freeze([zoo.Reduced(1), zoo.Point(1, 2.0)]),)
        zoo.Reduced.reduce = reduce
        self.assertEqual(stoa.freeze(zoo.Reduced()).value[1], zoo.Point(1, 2.0))

    def test_what_cannot_be_pickled_is_told_what_to_do(self):
        for value in (threading.Lock(), sys._getframe(), {}.keys(), weakref.ref(zoo.Plain)):
            self.refused({"a": [value]}, "$['a'][0]", r"cannot pickle.*; give others a proxy .*stoa\.register")

    def test_a_rebuild_that_raises_can_be_tried_again(self):
        frozen = stoa.freeze({"a": [zoo.Picky(1)]})
        with interpreter() as other:
            stoa.replace("values.x", frozen)
            other.exec("zoo.Picky.allowed = False")
            for _ in range(2):
                with self.assertRaises(stoa.Error) as caught:
                    other.exec("stoa.lookup('values.x')")
                self.assertRegex(str(caught.exception), r"\$\['a'\]\[0\]: 'values_zoo.Picky' .*RuntimeError: not allowed")
            other.exec("zoo.Picky.allowed = True")
            self.assertEqual(there(other, "x['a'][0].value"), 1)

    def test_a_class_that_is_not_there(self):
        module = types.ModuleType("only_here")
        sys.modules["only_here"] = module
        exec("import dataclasses, enum\n@dataclasses.dataclass\nclass C:\n    x: int\nclass E(enum.Enum):\n    A = 1", module.__dict__)
        try:
            frozen = stoa.freeze([module.C(1)])
            members = stoa.freeze(module.E.A)
            self.assertIs(members, module.E.A)
            with interpreter() as other:
                stoa.replace("values.x", frozen)
                with self.assertRaisesRegex(stoa.Error, "only_here.C.*No module named 'only_here'"):
                    other.exec("stoa.lookup('values.x')")
                other.exec("import types; m = sys.modules['only_here'] = types.ModuleType('only_here')\nclass E: pass\nm.E = E")
                with self.assertRaisesRegex(stoa.Error, "only_here.C"):
                    other.exec("stoa.lookup('values.x')")
                other.exec("class C:\n    __slots__ = ('y',)\nm.C = C")
                with self.assertRaisesRegex(stoa.Error, "no place for attribute 'x'"):
                    other.exec("stoa.lookup('values.x')")
                other.exec("class C(dict): pass\nm.C = C")
                with self.assertRaisesRegex(stoa.Error, "attributes only"):
                    other.exec("stoa.lookup('values.x')")
                stoa.replace("values.x", members)
                with self.assertRaises(stoa.Error):
                    other.exec("stoa.lookup('values.x')")
        finally:
            del sys.modules["only_here"]

    def test_a_class_that_changes(self):
        point = stoa.freeze(zoo.Point(1, 2.0))
        self.addCleanup(lambda: delattr(zoo.Point, "extra"))
        zoo.Point.extra = property(lambda self: 5, lambda self, value: self.fail())
        late = zoo.Point(3, 4.0)
        late.__dict__["extra"] = 6
        frozen = stoa.freeze([late])[0]
        self.assertEqual((vars(frozen), frozen.extra, point.extra), ({"x": 3, "y": 4.0, "name": "", "extra": 6}, 5, 5))

    def test_share_takes_exceptions_for_what_they_say(self):
        shared = stoa.share((ValueError("a", (1, (2,))), KeyError()))
        self.assertEqual([error.args for error in shared], [("a", (1, (2,))), ()])
        for inside in ([1], ([1],), {"a": 1}, {1}, bytearray(b"a"), (1, ((), [1]))):
            with self.subTest(inside), self.assertRaisesRegex(stoa.NotFreezable, r"^\$\[0\]"):
                stoa.share((ValueError("a", inside),))
            self.assertEqual(len(stoa.freeze(ValueError("a", inside)).args), 2)

    def test_looking_at_an_exceptions_attributes_changes_nothing(self):
        for error in (ValueError("x", 1), OSError(2, "n", "f"), KeyError(), ExceptionGroup("g", [ValueError(1)])):
            with self.subTest(repr(error)):
                frozen = stoa.freeze([error])[0]
                self.assertEqual(vars(frozen), {})  # it has a dict from now on
                self.assertIs(stoa.freeze(frozen), frozen)
                frozen.note = 1
                self.assertEqual(vars(stoa.freeze(frozen)), {"note": 1})

    def test_share_takes_what_cannot_change(self):
        for value in (zoo.Fixed(1), zoo.Slim(a=1), zoo.Color.RED, zoo.Pair(1, 2), decimal.Decimal(1), uuid.UUID(int=1), len, zoo.Point):
            self.assertEqual(stoa.share((value,)), (value,))
        for value in (zoo.Point(1, 2.0), collections.deque(), collections.OrderedDict(), types.SimpleNamespace(), zoo.Fixed([])):
            self.assertRaises(stoa.NotFreezable, stoa.share, (value,))

    def test_threads_deliver_at_once(self):
        frozen = stoa.freeze([zoo.Fixed((i, zoo.Picky(i))) for i in range(300)])
        with interpreter() as other:
            stoa.replace("values.x", frozen)
            other.exec("""if True:
                import threading
                seen, barrier = [], threading.Barrier(4)
                def work():
                    barrier.wait()
                    seen.append(stoa.lookup('values.x'))
                threads = [threading.Thread(target=work) for _ in range(4)]
                for t in threads: t.start()
                for t in threads: t.join()
                good = all(a is b for a, b in zip(seen[0], seen[3])) and len({id(x) for x in seen}) == 1
            """)
            self.assertTrue(there(other, "good"))

    def test_attributes_of_all_kinds(self):
        slots = zoo.Node(1)
        del slots.next
        frozen = stoa.freeze([slots])[0]
        self.assertEqual((frozen.value, hasattr(frozen, "next")), (1, False))
        odd = zoo.Point(1, 2.0)
        odd.__dict__[5] = 6
        self.refused(odd, "$", "class statement")
        many = zoo.Point(1, 2.0)
        for i in range(100):
            setattr(many, f"a{i}", i)
        self.assertEqual(vars(stoa.freeze(many)), vars(many))
        swapped = zoo.Point(1, 2.0)
        swapped.__dict__ = {"name": "n", "x": 5}
        self.assertEqual(list(vars(stoa.freeze(swapped)).items()), [("name", "n"), ("x", 5)])
        late = zoo.Point(1, 2.0)
        del late.x
        late.x = 9
        self.assertEqual(list(vars(stoa.freeze(late)).items()), [("y", 2.0), ("name", ""), ("x", 9)])


class Crossing(unittest.TestCase):
    def test_arguments_and_results(self):
        with interpreter() as other:
            for value in (zoo.Fixed(1), [zoo.Fixed(2), (zoo.Color.RED,)], {"k": decimal.Decimal(1)}, zoo.Point(1, 2.0)):
                frozen = stoa.freeze(value)
                self.assertIs(other.call("values_zoo:same", frozen), frozen)
            other.prepare_main(given=stoa.freeze(zoo.Fixed(7)))
            self.assertEqual(there(other, "given.a"), 7)

    def test_regions(self):
        region = stoa.Region("values")
        frozen = region.freeze([zoo.Fixed(("in a region", 1))])
        self.assertIs(region.freeze(frozen), frozen)
        other = stoa.freeze(frozen)
        self.assertEqual(other, frozen)

    def test_an_interpreter_that_ends_gives_up_what_was_delivered(self):
        frozen = stoa.freeze([zoo.Fixed(i) for i in range(10)])
        stoa.replace("values.x", frozen)
        for _ in range(3):
            with interpreter() as other:
                other.exec("x = stoa.lookup('values.x')")
        self.assertIs(stoa.lookup("values.x"), frozen)


class Thaw(unittest.TestCase):
    def test_copies(self):
        frozen = stoa.freeze({"a": [zoo.Point(1, 2.0, "n")], "b": zoo.Fixed([1]), "c": zoo.Color.RED})
        thawed = stoa.thaw(frozen)
        self.assertEqual(thawed, {"a": [zoo.Point(1, 2.0, "n")], "b": zoo.Fixed([1]), "c": zoo.Color.RED})
        self.assertIsNot(thawed["a"][0], frozen["a"][0])
        self.assertIs(type(thawed["b"].a), list)
        self.assertIs(thawed["c"], zoo.Color.RED)
        points = stoa.thaw(stoa.freeze([zoo.Point(i, 2.0) for i in range(2000)]))
        self.assertEqual((type(points), len(points), points[5]), (list, 2000, zoo.Point(5, 2.0)))

    def test_what_is_found_by_its_name_stays(self):
        import json

        named = [json.dumps, zoo.Point, json, len, "".join, collections.abc.Mapping]
        thawed = stoa.thaw(stoa.freeze({"all": named}))
        self.assertEqual(thawed, {"all": named})
        thawed["all"].append(1)


class Exceptions(unittest.TestCase):
    def test_a_constructor_that_takes_something_else(self):
        made = zoo.Coded(404, key="page")
        made.add_note("seen")
        with stoa.Interpreter() as other:
            frozen = stoa.freeze([made, OSError(2, "no", "f"), ExceptionGroup("g", [zoo.Coded(1, key="x"), KeyError("k")])])
            for graph in (frozen, other.call("values_zoo:same", frozen)):
                one, system, group = graph
                self.assertEqual((type(one), one.args, one.code, one.key, one.__notes__), (zoo.Coded, ("code 404",), 404, "page", ["seen"]))
                self.assertEqual((system.errno, system.filename), (2, "f"))
                self.assertEqual((type(group), group.message, group.exceptions[0].key, group.exceptions[1].args), (ExceptionGroup, "g", "x", ("k",)))
            other.prepare_main(frozen=frozen)
            other.exec("frozen[0].add_note('and again'); assert frozen[0].__notes__ == ['seen', 'and again']")
            other.exec("assert frozen[0].args == ('code 404',) and type(frozen[0]).__name__ == 'Coded' and frozen[0].key == 'page'")


if __name__ == "__main__":
    unittest.main()
