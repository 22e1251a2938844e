"""Deep copies to another interpreter: what is big crosses in pieces, and what is one object stays one, whatever way leads to it."""

import collections
import dataclasses
import sys
import types
import unittest

import stoa

import beside

EDGES = [sign * (1 << bits) + more for bits in (0, 7, 8, 15, 16, 30, 31, 32, 60, 62, 63, 64, 65, 200) for sign in (1, -1) for more in (-1, 0, 1)]


@dataclasses.dataclass(frozen=True)
class Reaching:
    """Frozen, so it crosses by value; what it says it is made of is found by way of something else."""
    place: int

    def __reduce__(self):
        return Reaching, (self.place,), None, iter([Reaching.reached(self.place)])

    def extend(self, items):
        object.__setattr__(self, "found", items[0])


def same_inside(x):
    """Is what the last of the list has found the very object that is in the list before it?"""
    return [x[-1].found is x[i] for i in range(len(x) - 1)]


class Copies(beside.Beside):
    def copy(self, value):
        """There and back."""
        return stoa.fetch(self.other.call(lambda x: stoa.proxy(x), stoa.by_copy(value)))

    def check(self, value):
        copied = self.copy(value)
        self.assertEqual(copied, value)
        if not isinstance(value, set):  # the order of a set is where its members lie
            self.assertEqual(list(map(type, copied)), list(map(type, value)))

    def test_ints_of_every_width(self):
        for limit in (100, 1 << 14, 1 << 30, 1 << 31, 1 << 62, 1 << 70):
            kept = [edge for edge in EDGES if abs(edge) <= limit]
            self.check(kept * 3)
            self.check([100] * 9 + kept)
            self.check(kept + [-1] * 5000 + kept)

    def test_numbers_beside_others(self):
        for other in (1.5, None, True, "x", b"y", "x" * 1000, 2.5j, 1 << 80, (1,), [2], {}, {3}, bytearray(b"z"), range(3)):
            for before in (0, 1, 7, 8, 9, 2047, 2048, 2049, 4096):
                self.check([*range(before), other, *range(20)])
                self.check([other, *map(float, range(before)), other])

    def test_pieces(self):
        for count in (1, 255, 256, 257, 2047, 2048, 2049, 5000):
            self.check([str(i) for i in range(count)])
            self.check([(i, [i]) for i in range(count)])
            for of in (lambda i: i, lambda i: [i], lambda i: (i, str(i)), lambda i: i if i % 300 else [i]):
                self.check({i: of(i) for i in range(count)})
                self.check({(i, "k"): of(i) for i in range(count)})
            self.check(set(range(count)))
            self.check({str(i) for i in range(count)} | {(i,) for i in range(count)})

    def test_order_of_a_dict(self):
        value = {i * 7919 % 10007: [i] for i in range(3000)}
        self.assertEqual(list(self.copy(value).items()), list(value.items()))

    def test_one_object_stays_one(self):
        for make in (lambda: [1], lambda: (1, [2]), lambda: {"k": 1}, lambda: {1}, lambda: bytearray(b"x")):
            one = make()
            there = self.copy([one, 7, [one], {"k": one}, (one, 8)])
            self.assertEqual(there[0], make())
            self.assertTrue(there[0] is there[2][0] is there[3]["k"] is there[4][0])
        one = [1]
        marked = stoa.by_copy(one)
        del one
        first, second = self.other.call(lambda x: [x[0] is x[1], x[0] == x[1]], (marked, marked))
        self.assertTrue(first and second)

    def test_one_mapping_behind_two_views(self):
        mapping = {"k": [1]}
        views = (types.MappingProxyType(mapping), types.MappingProxyType(mapping))
        del mapping
        self.assertTrue(self.other.call(lambda x: x[0]["k"] is x[1]["k"], stoa.by_copy(views)))

    def test_what_code_reaches_is_the_object_that_was_met(self):
        """Nothing but its list has what is reached, so that it can be met again is not to be seen."""
        name = "test_copies"
        sys.modules.setdefault(name, sys.modules[__name__])
        Reaching.__module__ = name
        for make in (lambda: [1], lambda: {"k": 2}, lambda: {3}, lambda: bytearray(b"4"), lambda: (5, [6]), lambda: [(7, 8), "9"]):
            value = [make(), [0, 1.5], Reaching(0)]
            Reaching.reached = lambda place: value[place]
            with self.subTest(repr(value[0])):
                self.assertEqual(self.other.call("test_copies:same_inside", stoa.by_copy(value)), [True, False])

    def test_shallow_ends_of_deep_ones(self):
        chain = []
        for i in range(20_000):
            chain = [i, chain, (i,)]
        there = self.copy(chain)
        for i in reversed(range(20_000)):
            self.assertEqual((there[0], there[2]), (i, (i,)))
            there, chain = there[1], chain[1]

    def test_libraries_mutable_values(self):
        value = [[1], collections.deque([[2], [3]]), collections.OrderedDict(a=[4]), [5]]
        there = self.other.call(lambda x: repr(x), stoa.by_copy(value))
        self.assertEqual(there, repr(value))


if __name__ == "__main__":
    unittest.main()
