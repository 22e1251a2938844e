"""What a proxy is an instance of: the same as its object, as far as the classes are known on this side."""

import collections
import collections.abc
import fractions
import gc
import inspect
import io
import logging
import numbers
import os
import pickle
import random
import threading
import typing
import unittest
import weakref

import stoa
from stoa import _classes

THERE = """
import abc, collections, dataclasses, enum, fractions, functools, io, random, stoa, threading
class Plain: pass
class Counts:
    def __len__(self): return 1
    def __iter__(self): return iter([1])
class Iterates:
    def __iter__(self): return self
    def __next__(self): raise StopIteration
class Unhashable:
    __hash__ = None
class Awaits:
    def __await__(self): yield
class Mapped(collections.abc.Mapping):
    def __getitem__(self, key): return 1
    def __len__(self): return 1
    def __iter__(self): return iter("a")
class Dict(dict): pass
class Ordered(collections.OrderedDict): pass
class Number(fractions.Fraction): pass
class Text(str): pass
class File(io.StringIO): pass
class Thread(threading.Thread): pass
class Chance(random.Random): pass
class Both(Dict, collections.abc.Hashable):
    __hash__ = object.__hash__
class Abstract(abc.ABC):
    @abc.abstractmethod
    def close(self): ...
class Concrete(Abstract):
    counter = 0
    def __init__(self, value=1): self.value = value
    def close(self): pass
class Meta(type):
    def __len__(cls): return 3
class WithMeta(metaclass=Meta): pass
class Plugin:
    made = []
    def __init_subclass__(cls): Plugin.made.append(cls)
class Plugged(Plugin): pass
class Lies:
    __class__ = 42
def generate(): yield 1
def same(x, expression): return x is eval(expression)
"""
KINDS = (
    "Plain() Counts() Counts Iterates() Unhashable() Awaits() Mapped() Dict() Ordered() Number(1) Text('x') File() Thread() Chance() Both() Concrete() WithMeta() "
    "WithMeta Plugged() Plugged generate() generate [] {} set() bytearray() io.StringIO() collections.deque() iter([]) {}.keys() {}.items() functools.partial(len)"
).split()
ABSTRACT = [getattr(collections.abc, name) for name in collections.abc.__all__ if name != "ByteString"] + [
    os.PathLike, numbers.Number, numbers.Rational, io.IOBase]  # fmt: skip


@typing.runtime_checkable
class Closes(typing.Protocol):
    def close(self): ...


@typing.runtime_checkable
class Adds(typing.Protocol):
    def __add__(self, other): ...


@typing.runtime_checkable
class Sizes(typing.Protocol):
    def __len__(self): ...


PROTOCOLS = [typing.SupportsInt, typing.SupportsIndex, typing.SupportsFloat, typing.SupportsAbs, typing.SupportsBytes, typing.SupportsComplex,
             typing.SupportsRound, Adds, Sizes, Closes]  # fmt: skip


def is_instance(x, name):
    return isinstance(x, getattr(typing, name, None) or globals()[name])


class Classes(unittest.TestCase):
    def setUp(self):
        self.interp = stoa.Interpreter(name="owner")
        self.addCleanup(self.interp.close)
        self.interp.exec(THERE)

    def get(self, expression):
        return self.interp.call(eval, expression)

    def test_abstract_classes(self):
        """All of collections.abc: as the object itself would be, whatever its class."""
        for kind in KINDS:
            p = self.get(kind)
            self.assertTrue(stoa.is_proxy(p), kind)
            for abstract in ABSTRACT:
                with self.subTest(kind=kind, abstract=abstract.__name__):
                    wanted = self.get(f"isinstance({kind}, __import__('{abstract.__module__}', fromlist=['x']).{abstract.__name__})")
                    self.assertIs(isinstance(p, abstract), wanted)
            self.assertIs(inspect.isawaitable(p), self.get(f"__import__('inspect').isawaitable({kind})"))

    def test_derived_from_what_is_here(self):
        for kind, cls in [("Dict()", dict), ("Ordered()", collections.OrderedDict), ("Ordered()", dict), ("Mapped()", collections.abc.Mapping),
                          ("Number(1)", fractions.Fraction), ("Text('x')", str), ("File()", io.StringIO), ("Thread()", threading.Thread),
                          ("Chance()", random.Random), ("Both()", dict), ("Concrete()", Closes), ("Plain", type), ("WithMeta", type)]:  # fmt: skip
            with self.subTest(kind=kind, cls=cls.__name__):
                p = self.get(kind)
                self.assertIsInstance(p, cls)
                self.assertNotIsInstance(p, bytes)
        self.assertNotIsInstance(self.get("Plain()"), Closes)

    def test_protocols(self):
        """typing looks for special methods past __getattribute__, and the proxy's own type has them all."""
        for kind in ("[]", "Plain()", "Counts()", "Number(1)", "stoa.proxy(5)", "stoa.proxy('a')", "io.StringIO()"):
            p = self.get(kind)
            for protocol in PROTOCOLS:
                with self.subTest(kind=kind, protocol=protocol.__name__):
                    self.assertIs(isinstance(p, protocol), self.interp.call(is_instance, p, protocol.__name__))
        self.assertIn("__add__", vars(stoa.Proxy))

    def test_layouts_of_other_types_of_types(self):
        """ctypes says by a type of its own what inheriting from its classes means."""
        try:
            self.interp.exec("import ctypes\nclass Pair(ctypes.Structure): _fields_ = [('x', ctypes.c_int)]")
        except ImportError as error:
            self.skipTest(str(error))
        import ctypes

        numbers, pair = self.get("(ctypes.c_int * 3)(1, 2)"), self.get("Pair(3)")
        self.assertIsInstance(numbers, ctypes.Array)
        self.assertIsInstance(numbers, collections.abc.Sized)
        self.assertNotIsInstance(numbers, ctypes.Structure)
        self.assertIsInstance(pair, ctypes.Structure)
        self.assertNotIsInstance(pair, collections.abc.Sized)
        self.assertEqual((list(numbers), pair.x, pair.__class__(4).x), ([1, 2, 0], 3, 4))

    def test_names_of_classes_that_it_cannot_inherit_from(self):
        """Of two layouts it has one; the other class's special methods count all the same."""
        rows = tuple((None, module, name, names, ()) for module, name, names in (
            ("__main__", "Gone", ()), ("builtins", "int", ("__int__",)), ("builtins", "list", ("__len__", "__iter__"))))  # fmt: skip
        made = _classes.stand_in(self.get("Plain"), rows)
        for name in ("__int__", "__len__", "__iter__"):
            self.assertTrue(any(name in vars(cls) for cls in made.__mro__), name)

    def test_nothing_is_made_of_it(self):
        with self.assertRaisesRegex(TypeError, "class 'Derived' cannot inherit from a proxy: make it in the interpreter"):

            class Derived(self.get("Plain")):
                pass

        for make in (stoa.Proxy, lambda: stoa.Proxy([])):
            self.assertRaisesRegex(TypeError, "a proxy is made by stoa.proxy", make)

    def test_making_it_is_no_event(self):
        p = self.get("Plugged()")
        self.assertEqual(p.__class__.__name__, "Plugged")
        self.assertEqual(self.get("len(Plugin.made)"), 1)

    def test_stands_for_the_class(self):
        p, cls = self.get("Concrete()"), self.get("Concrete")
        own = p.__class__
        self.assertIs(p.__class__, own)
        self.assertIs(self.get("Concrete(2)").__class__, own)
        self.assertEqual((own.__name__, own.__qualname__, own.__module__, repr(own)), ("Concrete", "Concrete", "__main__", repr(cls)))
        self.assertTrue(own == cls and cls == own and not own != cls)
        self.assertEqual({cls: 1}[own], 1)
        self.assertTrue(isinstance(p, own) and isinstance(p, cls) and issubclass(own, own) and issubclass(cls, own))
        self.assertFalse(isinstance(self.get("Plain()"), own) or isinstance(3, own) or issubclass(int, own))
        self.assertEqual(own(5).value, 5)
        own.counter += 2
        self.assertEqual((cls.counter, self.get("Concrete.counter")), (2, 2))
        del own.counter
        self.assertFalse(hasattr(own, "counter"))
        self.assertIn("close", dir(own))
        self.assertTrue(self.interp.call("__main__:same", own, "Concrete"))
        self.assertIs(self.interp.call("__main__:same", (own, 1), "Concrete"), False)
        self.assertIs(self.interp.call(tuple, (own,))[0], cls)
        self.assertIs(pickle.loads(pickle.dumps(own)), cls)
        match p:
            case own(value=1):
                pass
            case _:
                self.fail("no match")

    def test_goes_with_its_proxies(self):
        p = self.get("Concrete()")
        known = weakref.ref(p.__class__)
        gc.collect()
        self.assertIsNone(known())
        own = p.__class__
        self.interp.close()
        self.assertEqual((own.__name__, own == own, hash(own) == hash(own)), ("Concrete", True, True))
        for use in (lambda: own.close, lambda: own(), lambda: isinstance(p, dict)):
            with self.assertRaises(stoa.InterpreterGone):
                use()

    def test_logged(self):
        """The standard library looks whether a message's argument is a mapping."""
        with self.assertLogs(level=logging.INFO) as logs:
            logging.info("%r", self.get("Plain"))
            logging.info("%(a)s", self.get("Dict(a=1)"))
        self.assertEqual([record.getMessage() for record in logs.records], ["<class '__main__.Plain'>", "1"])

    def test_a_class_that_is_none(self):
        self.assertEqual(self.get("Lies()").__class__, 42)


class Operands(unittest.TestCase):
    def test_proxies_of_two_owners(self):
        """Which are equal, and which is less, does not depend on who owns what."""
        with stoa.Interpreter() as a, stoa.Interpreter() as b:
            for one, other, relation in [("[1, [2]]", "[1, [2]]", 0), ("{'a': 1}", "{'a': 1}", 0), ("{1, 2}", "{1, 2}", 0), ("bytearray(b'x')", "bytearray(b'x')", 0),
                                         ("[1]", "[2]", -1), ("{1}", "{1, 2}", -1), ("bytearray(b'a')", "bytearray(b'b')", -1)]:  # fmt: skip
                p, q = a.call(eval, one), b.call(eval, other)
                self.assertEqual((p == q, q == p, p != q), (relation == 0, relation == 0, relation != 0))
                if one[:1] != "{" or ":" not in one:
                    self.assertEqual((p < q, p <= q, q > p, q >= p), (relation < 0, True, relation < 0, True))
            self.assertEqual((a.call(eval, "[1]") + b.call(eval, "[2]"), a.call(eval, "{1}") | b.call(eval, "{2}")), ([1, 2], {1, 2}))
            self.assertFalse(a.call(eval, "object()") == b.call(eval, "object()"))
            with self.assertRaises(TypeError):
                a.call(eval, "[1]") < b.call(eval, "object()")


if __name__ == "__main__":
    unittest.main()
