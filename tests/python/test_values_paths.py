"""What is refused, and what cannot be built where it arrives, is told by one path, also through what describes its holder."""

import collections
import functools
import threading
import types
import unittest

import stoa

import values_zoo as zoo
from beside import interpreter


def noted(x):
    error = ValueError("with attributes")
    error.first, error.more = 1, [x]
    return error


def reduced(*rest):
    zoo.Reduced.reduce = lambda self: (zoo.Reduced, *rest)
    return zoo.Reduced()


def closing_over(x):
    return lambda: x


def nested(x):
    first = 1
    return lambda: (first, lambda: x)


def with_attribute(x):
    made = lambda: 0
    made.first, made.mark = 1, {"here": x}
    return made


def with_global(x):
    space = {"__name__": "__main__", "one": 1, "two": x}
    exec("def f(): return one, two", space)
    return space["f"]


PLACES = [
    (lambda x: types.SimpleNamespace(first=1, second=x), "$.__reduce__()[2]['second']"),
    (lambda x: [functools.partial(print, 1, [x])], "$[0].__reduce__()[2][1][1][0]"),
    (lambda x: functools.partial(print, 1, first=2, second=x), "$.__reduce__()[2][2]['second']"),
    (noted, "$.__reduce__()[2]['more'][0]"),
    (lambda x: {"a": collections.defaultdict(list, k=[x])}, "$['a']['k'][0]"),
    (lambda x: reduced((1, {"k": 2, "l": [x]})), "$.__reduce__()[1][1]['l'][0]"),
    (lambda x: reduced((1, (2, {"k": x}))), "$.__reduce__()[1][1][1]['k']"),
    (lambda x: reduced(((3, [4]), {"k": x})), "$.__reduce__()[1][1]['k']"),
    (lambda x: reduced((1,), ({"a": 1}, {"b": 2, "c": x})), "$.__reduce__()[2][1]['c']"),
    (lambda x: zoo.Appended(1, x), "$.__reduce__()[3][1]"),
    (lambda x: reduced((1,), 2, None, None, lambda reduced, state: x), "$.__reduce__()[5].__closure__[0]"),
    (lambda x: zoo.Ordered(k=1, l=[x]), "$.__reduce__()[4]['l'][0]"),
    (closing_over, "$.__closure__[0]"),
    (nested, "$.__closure__[1]"),
    (lambda x: lambda a, b=(1, [x]), *, c=2: 0, "$.__defaults__[0][1][0]"),
    (lambda x: [lambda a, *, b=1, c=x: 0], "$[0].__kwdefaults__['c']"),
    (with_attribute, "$.__dict__['mark']['here']"),
    (with_global, "$.__globals__['two']"),
]


class Paths(unittest.TestCase):
    def setUp(self):
        self.addCleanup(setattr, zoo.Reduced, "reduce", None)

    def test_of_what_is_refused(self):
        for make, path in PLACES:
            with self.subTest(path), self.assertRaises(stoa.NotFreezable) as caught:
                stoa.freeze(make(threading.Lock()))
            self.assertEqual(caught.exception.path, path)

    def test_of_what_cannot_be_built(self):
        with interpreter() as other:
            other.exec("zoo.Picky.allowed = False")
            for make, path in PLACES:
                stoa.replace("values-paths", make(zoo.Picky(1)))
                with self.subTest(path), self.assertRaises(stoa.Error) as caught:
                    other.exec("stoa.lookup('values-paths')")
                self.assertTrue(str(caught.exception).startswith(f"{path}: 'values_zoo.Picky' cannot be built"), caught.exception)
        stoa.unpublish("values-paths")


if __name__ == "__main__":
    unittest.main()
