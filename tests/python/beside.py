"""A second interpreter beside the tests of a class, with their module of classes."""

import os
import unittest

import stoa

HERE = os.path.dirname(os.path.abspath(__file__))


class Beside(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.other = stoa.Interpreter()
        cls.other.exec(f"import sys; sys.path.insert(0, {HERE!r}); import stoa, values_zoo, values_zoo as zoo")

    @classmethod
    def tearDownClass(cls):
        cls.other.close()
