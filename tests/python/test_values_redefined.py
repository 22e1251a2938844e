"""Names that get another meaning: class statements that are run again, modules that are reloaded, after something was frozen."""

import collections
import dataclasses
import enum
import gc
import sys
import types
import unittest
import weakref

import stoa


class Redefined(unittest.TestCase):
    def setUp(self):
        self.module = sys.modules["redefined"] = types.ModuleType("redefined")
        self.addCleanup(sys.modules.pop, "redefined")

    def define(self, made):
        made.__module__ = "redefined"
        made.__qualname__ = made.__name__
        setattr(self.module, made.__name__, made)
        return made

    def record(self, *fields, **options):
        return self.define(dataclasses.make_dataclass("Record", fields, **options))

    def test_a_new_class_of_the_name(self):
        for options in ({}, {"frozen": True}, {"slots": True}):
            with self.subTest(str(options)):
                before = self.record("a", "b", **options)
                held = stoa.freeze([before(1, 2), (before(3, 4),)])
                after = self.record("a", "b", **options)
                again = stoa.freeze([after(1, 2), (after(3, 4),)])
                self.assertEqual([type(held[0]), type(held[1][0])], [before, before])
                self.assertEqual([type(again[0]), type(again[1][0])], [after, after])
                self.assertIs(stoa.freeze(again), again)
                self.assertTrue(stoa.is_shared(again[0]))

    def test_fields_that_came_and_went(self):
        one = stoa.freeze(self.record("a", frozen=True)(1))
        two = stoa.freeze(self.record("a", "b", frozen=True)(1, 2))
        three = stoa.freeze(self.record("b", frozen=True, slots=True)(2))
        self.assertEqual((one.a, (two.a, two.b), three.b), (1, (1, 2), 2))
        self.assertIs(type(three), self.module.Record)

    def test_of_the_old_class(self):
        before = self.record("a", frozen=True)
        held = stoa.freeze(before(1))
        self.record("a", frozen=True)
        stoa.freeze(self.module.Record(1))
        self.assertTrue(stoa.is_shared(held))
        self.assertIs(type(stoa.freeze(held)), self.module.Record)  # it goes by what was shared of it
        with self.assertRaisesRegex(stoa.NotFreezable, "an import of redefined.Record finds something else"):
            stoa.freeze(before(2))

    def test_others_stay_what_they_are(self):
        other = self.define(dataclasses.make_dataclass("Other", ["a"], frozen=True))
        untouched = stoa.freeze([other(1), {"k": other(2)}])
        stoa.freeze(self.record("a")(1))
        stoa.freeze(self.record("a")(1))
        self.assertIs(stoa.freeze([other(1), {"k": other(2)}]), untouched)

    def test_a_change_in_an_object_of_the_old_class_is_not_lost_silently(self):
        held = stoa.freeze([self.record("a")(1)])[0]
        held.a = 2
        self.assertEqual(stoa.freeze(self.record("a")(5)).a, 5)
        self.assertRaises(stoa.NotFreezable, stoa.freeze, [held])

    def test_nothing_is_kept_of_what_nobody_holds(self):
        gone = weakref.ref(self.record("a", frozen=True))
        held = stoa.freeze(gone()(1))
        stoa.freeze(self.record("a", frozen=True)(1))
        for i in range(10_000):  # looked through when there are many
            stoa.freeze(self.module.Record(i))
        self.assertTrue(stoa.is_shared(held))
        held = None
        for i in range(10_000, 40_000):
            stoa.freeze(self.module.Record(i))
        gc.collect()
        self.assertIsNone(gone())

    def test_enumerations_named_tuples_functions(self):
        def function(value):
            made = eval(f"lambda: {value}", vars(self.module))
            made.__name__ = "function"
            return self.define(made)

        for members in ("A B", "A B C"):
            made = self.define(enum.Enum("Letters", members))
            for member in made:
                self.assertIs(stoa.freeze((member,))[0], member)
        for fields in ("a b", "a b c"):
            made = self.define(collections.namedtuple("Row", fields))
            self.assertIs(type(stoa.freeze(made(*made._fields))), made)
        for value in (1, 2):
            made = function(value)
            self.assertIs(stoa.freeze({"f": made})["f"], made)


if __name__ == "__main__":
    unittest.main()
