"""Frozen objects of classes: taken apart once, built in each interpreter that receives them."""

import collections
import contextlib
import datetime
import decimal
import fractions
import functools
import gc
import ipaddress
import math
import os
import pathlib
import pickle
import re
import sys
import threading
import time
import types
import unittest
import uuid
import weakref

import stoa

import values_zoo as zoo

HERE = os.path.dirname(os.path.abspath(__file__))


@contextlib.contextmanager
def interpreter(**kwargs):
    other = stoa.Interpreter(**kwargs)
    try:
        other.exec("import sys, stoa\nif %r not in sys.path: sys.path.insert(0, %r)\nimport values_zoo as zoo" % (HERE, HERE))
        yield other
    finally:
        other.close()


def there(other, expression):
    other.exec("import stoa\nx = stoa.lookup('values.x')\nstoa.replace('values.result', (%s))" % expression)
    return stoa.lookup("values.result")


class RoundTrip(unittest.TestCase):
    """What arrives is equal, of the same class, one object per interpreter; and what was frozen stays as it was."""

    VALUES = [
        zoo.Point(1, 2.5, "p"), zoo.Fixed(1, (2, 3)), zoo.Slim(a=1, b=(2,)), zoo.Point3(1, 2.0, "q", 3.0, zoo.Color.RED),
        zoo.Node(1, zoo.Node(2)), zoo.Pair(1, (2, 3)), zoo.Color.RED, zoo.Level.HIGH, zoo.Perm.R | zoo.Perm.W, zoo.Perm(0), zoo.Reduced(5),
        decimal.Decimal("1.50"), fractions.Fraction(1, 3), uuid.UUID(int=7), pathlib.PurePosixPath("/a/b"), pathlib.Path("/tmp"),
        ipaddress.ip_address("10.0.0.1"), ipaddress.ip_network("::/64"), datetime.timezone(datetime.timedelta(hours=2)),
        datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2), "X")), datetime.date(2024, 2, 29),
        os.stat("/"), time.gmtime(0), functools.partial, math.sin, len, int.from_bytes, zoo.reduce_money, zoo.Point, int, {zoo.Color.RED: decimal.Decimal(1)},
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


if __name__ == "__main__":
    unittest.main()
