"""A second interpreter beside a test, or the tests of a class, with their module of classes."""

import os
import unittest

import stoa

HERE = os.path.dirname(os.path.abspath(__file__))


def interpreter(**options):
    """One that has imported stoa and the module of classes, as values_zoo and as zoo; `with` closes it."""
    other = stoa.Interpreter(**options)
    other.exec(f"import sys; sys.path.insert(0, {HERE!r}); import stoa, values_zoo, values_zoo as zoo")
    return other


class Beside(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.other = interpreter()

    @classmethod
    def tearDownClass(cls):
        cls.other.close()
