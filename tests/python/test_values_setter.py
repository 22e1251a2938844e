"""The state of what is rebuilt as by pickle: set last, by the sixth item of a __reduce__ where it has one."""

import collections
import copyreg
import dataclasses
import pickle
import unittest

import stoa

import values_zoo as zoo
from beside import interpreter


def put(reduced, state):
    reduced.value = (type(state).__name__, tuple(map(type, state)) if isinstance(state, tuple) else None, state)


def put_nothing(reduced, state):
    reduced.value = "called"
    return state  # nobody looks at it


def refuse(reduced, state):
    raise LookupError(f"not with {state}")


def recurse(reduced, state):
    recurse(reduced, state)


class Counted(collections.OrderedDict):
    """Counts in an attribute what is written to it."""

    writes = 0

    def __setitem__(self, key, value):
        self.writes += 1
        super().__setitem__(key, value)


class WithSetState(zoo.Reduced):
    def __setstate__(self, state):
        self.value = ("__setstate__", state)

    def __reduce__(self):
        return WithSetState, (), *self.rest


@dataclasses.dataclass(frozen=True)
class Local:
    """What rebuilds it, others cannot import: `call` says which."""

    a: int = 0
    call = "setter"

    def __reduce__(self):
        if Local.call == "setter":
            return Local, (), self.a, None, None, lambda local, state: object.__setattr__(local, "a", state)
        return (lambda a: Local(a)), (self.a,)


class Setter(unittest.TestCase):
    def setUp(self):
        self.addCleanup(setattr, zoo.Reduced, "reduce", None)

    def reduced(self, *rest, setter=put):
        zoo.Reduced.reduce = lambda self: (zoo.Reduced, (), *rest, setter)
        return zoo.Reduced()

    def test_as_by_pickle(self):
        other = interpreter()
        self.addCleanup(other.close)
        for state in (0, "", (), {}, {"a": 1}, (None, {"a": 1}), ({}, {"a": 1}), ({"b": 2}, {}), ({}, {}, [1]), [1, 2], {1, 2}, bytearray(b"x"), False):
            with self.subTest(state):
                value = self.reduced(state, None, None)
                wanted = pickle.loads(pickle.dumps(value)).value
                self.assertEqual(stoa.freeze(value).value, wanted)
                self.assertEqual(other.call(lambda x: repr(x.value), stoa.freeze(value)), repr(wanted))

    def test_in_place_of_the_class(self):
        value = WithSetState()
        for value.rest, wanted in (((1, None, None, put_nothing), "called"), ((1,), ("__setstate__", 1)), ((1, None, None, None), ("__setstate__", 1)),
                                   ((({}, {"a": 1}),), ("__setstate__", ({}, {"a": 1}))), ((None, None, None, refuse), 0)):
            with self.subTest(value.rest):
                self.assertEqual(pickle.loads(pickle.dumps(value)).value, wanted)
                self.assertEqual(stoa.freeze(value).value, wanted)

    def test_a_function_by_value(self):
        with interpreter() as other:
            seen = []
            value = self.reduced(7, None, None, setter=lambda reduced, state, plus=3: setattr(reduced, "value", state + plus))
            self.assertEqual(other.call(lambda x: x.value, stoa.freeze([value, seen])[0]), 10)

    def test_of_copyreg(self):
        copyreg.pickle(zoo.Plain, lambda plain: (zoo.Plain, (), vars(plain), None, None, put))
        self.addCleanup(copyreg.dispatch_table.pop, zoo.Plain)
        self.assertEqual(stoa.freeze(zoo.Plain(x=1)).value, ("dict", None, {"x": 1}))

    def test_items_come_first(self):
        counted = Counted(a=1, b=2)
        counted["a"] = 3
        frozen = stoa.freeze({"there": counted})["there"]
        self.assertEqual((frozen.writes, dict(frozen)), (3, {"a": 3, "b": 2}))
        self.assertEqual(pickle.loads(pickle.dumps(counted)).writes, 3)

    def test_hostile(self):
        for setter in (5, "put", (), [put]):
            value = self.reduced(1, None, None, setter=setter)
            with self.assertRaisesRegex(stoa.NotFreezable, "__reduce__ must give") as caught:
                stoa.freeze([value])
            self.assertEqual(caught.exception.path, "$[0]")
        for setter, cause in ((refuse, LookupError), (recurse, RecursionError), (int, TypeError)):
            frozen = self.reduced("mine", None, None, setter=setter)
            for _ in range(2):
                with self.subTest(setter), self.assertRaisesRegex(stoa.Error, r"\$\[0\]: 'values_zoo.Reduced' cannot be built") as caught:
                    stoa.freeze([frozen])
                self.assertIsInstance(caught.exception.__cause__, cause)

    def test_one_that_raises_there_can_be_tried_again(self):
        frozen = stoa.freeze({"a": [self.reduced(1, None, None, setter=zoo.set_where_allowed)]})
        with interpreter() as other:
            stoa.replace("values-setter", frozen)
            self.addCleanup(stoa.unpublish, "values-setter")
            other.exec("import stoa, values_zoo as zoo\nzoo.Picky.allowed = False")
            for _ in range(2):
                with self.assertRaisesRegex(stoa.Error, r"\$\['a'\]\[0\]: 'values_zoo.Reduced' .*RuntimeError: not allowed"):
                    other.exec("stoa.lookup('values-setter')")
            other.exec("zoo.Picky.allowed = True")
            self.assertEqual(other.call(lambda x: x["a"][0].value, frozen), 1)

    def test_what_others_cannot_import_is_not_sent_to_be_called(self):
        self.addCleanup(setattr, Local, "call", "setter")
        with interpreter() as other:
            for Local.call in ("setter", "constructor"):
                with self.subTest(Local.call):
                    self.assertEqual(other.call(lambda x: (x.a, stoa.is_proxy(x)), Local(7)), (7, True))
                    self.assertEqual(other.call(lambda x: (x.a, stoa.is_proxy(x)), stoa.freeze(Local(7))), (7, False))


if __name__ == "__main__":
    unittest.main()
