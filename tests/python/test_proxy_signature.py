"""What inspect and pydoc tell of proxied functions, classes and callable objects."""

import collections
import inspect
import pydoc
import types
import unittest

import stoa

SOURCE = '''
import collections, dataclasses, functools, inspect, types

def function(a, /, b: int, *c, d=[3], **e) -> str:
    "What it does."

class Class:
    "What it is."
    def __init__(self, a, b: "text" = 2): pass
    def method(self, x, y=1): pass

class Sub(Class): pass

class New:
    def __new__(cls, q): return object.__new__(cls)

class Meta(type):
    def __call__(cls, *args, meta=1): return 1

class WithMeta(metaclass=Meta): pass

class Plain: pass

class Callable:
    def __call__(self, first, *, second: int = 1) -> float: pass

@dataclasses.dataclass
class Data:
    a: int
    b: str = "x"

class Told:
    __signature__ = inspect.Signature([inspect.Parameter("told", inspect.Parameter.POSITIONAL_ONLY)])

class Anything:
    def __getattr__(self, name): return name

class Refuses:
    def __getattr__(self, name): raise ZeroDivisionError(name)

@functools.wraps(function)
def wrapped(*args): pass

partial = functools.partial(function, 1, d=5)
instance, called = Class(1), Callable()
ordered = collections.OrderedDict(b=1, a=2)
ordered.move_to_end("b")
view = types.MappingProxyType(ordered)
'''
HERE = {"__name__": "__main__"}
exec(SOURCE, HERE)


class Signatures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.interp = stoa.Interpreter(name="signatures")
        cls.interp.exec(SOURCE)

    @classmethod
    def tearDownClass(cls):
        cls.interp.close()

    def there(self, expression):
        return self.interp.call("builtins:eval", expression)

    def test_as_of_the_object(self):
        for name in ("function", "wrapped", "partial", "Class", "Sub", "New", "WithMeta", "Plain", "Data", "Told", "called", "instance.method",
                     "Class.method", "called.__call__"):
            with self.subTest(name=name):
                p = self.there(name)
                self.assertTrue(stoa.is_proxy(p))
                self.assertEqual(str(inspect.signature(p)), str(inspect.signature(eval(name, HERE))))

    def test_it_is_an_own_one(self):
        signature = inspect.signature(self.there("Class"))
        self.assertIs(type(signature), inspect.Signature)
        self.assertEqual(list(signature.parameters), ["a", "b"])
        self.assertEqual(signature.bind(1, b=3).arguments, {"a": 1, "b": 3})
        self.assertIs(inspect.signature(self.there("function")).parameters["d"].default, self.there("function.__kwdefaults__['d']"))
        self.assertEqual(inspect.getfullargspec(self.there("Data")).args, ["a", "b"])

    def test_where_there_is_none(self):
        for name in ("function", "instance", "ordered", "instance.method"):
            with self.subTest(name=name), self.assertRaises(AttributeError):
                self.there(name).__signature__
        with self.assertRaisesRegex(ValueError, "no signature found"):
            inspect.signature(self.there("instance"))
        self.assertEqual(self.there("Anything()").__signature__, "__signature__")
        with self.assertRaises(ZeroDivisionError):
            self.there("Refuses()").__signature__

    def test_text(self):
        self.assertIn("What it does.", pydoc.render_doc(self.there("function")))
        self.assertIn("What it is.", inspect.getdoc(self.there("Class")))
        self.assertEqual(object.__getattribute__(self.there("Class"), "__doc__"), "What it is.")
        self.assertIn("An object of another interpreter", stoa.Proxy.__doc__)
        self.assertIn("An object of another interpreter", pydoc.render_doc(stoa.Proxy))

    def test_views_of_ordered_dicts(self):
        """The parameters of a Signature are one."""
        view = self.there("view")
        self.assertIs(type(view), types.MappingProxyType)
        self.assertEqual(list(view.items()), [("a", 2), ("b", 1)])
        sent = types.MappingProxyType(collections.OrderedDict(x=1))
        self.assertTrue(self.interp.call("builtins:isinstance", sent, types.MappingProxyType))


if __name__ == "__main__":
    unittest.main()
