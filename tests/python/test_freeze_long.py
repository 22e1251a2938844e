"""freeze() of many objects: what a long walk remembers of dicts alike, and what it asks for ahead, changes nothing."""

import random
import string
import types
import unittest

import stoa

LONG = 3000  # objects after which a walk is long


def plain(value):
    """The same with mappings as lists of pairs: their order counts."""
    if isinstance(value, (dict, types.MappingProxyType)) or type(value).__name__ == "frozendict":
        return [(key, plain(each)) for key, each in value.items()]
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else (type(value), value)


class Long(unittest.TestCase):
    def same(self, value):
        for interning in (True, False):
            self.assertEqual(plain(stoa.freeze(value, intern=interning)), plain(value))


class Headings(Long):
    def test_records_of_one_kind(self):
        self.same([{"id": i, "name": f"n{i}", "score": i / 7, "tags": [f"t{i % 5}", i]} for i in range(LONG)])

    def test_keys_alike_but_not_the_same(self):
        kinds = [
            lambda i: {"a": i, "b": 1, "c": 2},
            lambda i: {"a": i, "c": 2, "b": 1},
            lambda i: {"a": i, "b": 1},
            lambda i: {"a": i, "b": 1, "d": 2},
            lambda i: {"".join(["a"]): i, "b": 1, "c": 2},  # an equal key that is another object
            lambda i: {"a": i, 1: 1, "c": 2},
            lambda i: {"a": i, "b": 1, "c": 2, "d": 3, "e": 4, "f": 5},
            lambda i: {},
            lambda i: types.MappingProxyType({"a": i, "b": 1, "c": 2}),
        ]
        choice = random.Random(1)
        self.same([choice.choice(kinds)(i) for i in range(LONG)])

    def test_dicts_that_have_lost_and_got_keys(self):
        def changed(i):
            record = {"a": i, "b": i + 1, "c": i + 2}
            if i % 3 == 0:
                del record["b"]
            if i % 5 == 0:
                record["b"] = "again"
            return record

        self.same([changed(i) for i in range(LONG)])

    def test_many_kinds_and_many_keys(self):
        names = [a + b for a in string.ascii_lowercase for b in string.ascii_lowercase]
        choice = random.Random(2)
        headings = [choice.sample(names, choice.choice([1, 2, 8, 23, 24, 25, 40])) for _ in range(200)]
        self.same([dict.fromkeys(choice.choice(headings), i) for i in range(LONG)])

    def test_instances_dicts(self):
        class Thing:
            def __init__(self, i):
                self.first, self.second = i, [i]

        self.same([vars(Thing(i)) for i in range(LONG)])

    def test_refusals_name_the_key(self):
        class Bad(list):
            pass

        records = [{"id": i, "inner": {"x": i, "y": i}} for i in range(LONG)]
        records[-1]["inner"]["y"] = Bad()
        with self.assertRaisesRegex(stoa.NotFreezable, rf"\[{LONG - 1}\]\['inner'\]\['y'\]"):
            stoa.freeze(records)
        records[-1]["inner"]["y"] = records
        with self.assertRaises(stoa.NotFreezable):
            stoa.freeze(records)


class Ahead(Long):
    def test_shared_parts_of_the_source(self):
        parts = [[float(i), f"part {i}", 10**9 + i, {"k": i * 1.5}] for i in range(50)]
        choice = random.Random(3)
        value = [[choice.choice(parts), choice.random(), choice.choice(parts)] for _ in range(LONG)]
        self.same(value)
        twin = stoa.freeze(value)
        self.assertEqual(len({id(each[0]) for each in twin}), len({id(each[0]) for each in value}))

    def test_graphs_without_leaves_have_an_end(self):
        graph = []
        for _ in range(200):
            graph = [graph, graph]
        for interning in (True, False):
            twin = stoa.freeze([list(range(10**6, 10**6 + LONG)), graph, [f"{i} after" for i in range(LONG)]], intern=interning)
            self.assertEqual(twin[2][-1], f"{LONG - 1} after")
            self.assertEqual(len(twin[1]), 2)

    def test_deep_and_flat_in_turn(self):
        def deep(i):
            value = [i * 1.25, f"bottom {i}"]
            for level in range(40):
                value = [f"{i} at {level % 7}", value, level * 1.5]
            return value

        self.same([deep(i) if i % 10 == 0 else [f"flat {i}", i + 0.5] for i in range(LONG)])

    def test_all_kinds_of_leaves(self):
        choice = random.Random(4)
        kinds = [
            lambda: choice.random(), lambda: choice.randrange(5000), lambda: choice.randrange(2**200), lambda: -choice.randrange(2**40),
            lambda: "".join(choice.choices(string.ascii_letters, k=choice.randrange(40))), lambda: "\u00e9" * choice.randrange(9),
            lambda: "\U0001f600" + str(choice.randrange(99)), lambda: choice.randbytes(choice.randrange(20)), lambda: None,
            lambda: choice.random() < 0.5, lambda: complex(choice.randrange(9), 1), lambda: (choice.randrange(50), "x"), lambda: float("inf"),
            lambda: range(choice.randrange(3000)), lambda: frozenset(range(choice.randrange(4))), lambda: "name", lambda: "__init__",
        ]
        self.same([[choice.choice(kinds)() for _ in range(choice.randrange(12))] for _ in range(LONG)])

    def test_tuples_of_known_items(self):
        choice = random.Random(5)
        items = [lambda: f"tag {choice.randrange(9)}", lambda: choice.randrange(9) * 1.5, lambda: 10**6 + choice.randrange(9),
                 lambda: None, lambda: choice.randrange(3), lambda: f"{choice.randrange(2)}", lambda: [f"tag {choice.randrange(9)}"]]
        value = [{"tags": [choice.choice(items)() for _ in range(choice.randrange(11))], "all": tuple(f"tag {i % 9}" for i in range(at % 12))}
                 for at in range(LONG)]
        self.same(value)
        twin = stoa.freeze(value)
        for key in ("tags", "all"):
            self.assertEqual(len({id(each[key]) for each in twin}), len({repr(each[key]) for each in value}))

    def test_equal_values_are_one_wherever_they_are(self):
        region = stoa.Region("long")
        first = stoa.freeze([[f"text {i % 997}", (i % 101) * 1.5, 10**6 + i % 499] for i in range(LONG)], region=region)
        again = stoa.freeze([[f"text {i % 997}", (i % 101) * 1.5, 10**6 + i % 499] for i in range(LONG)], region=region)
        self.assertIs(again, first)
        self.assertEqual(len({id(each) for row in first for each in row}), 997 + 101 + 499)


if __name__ == "__main__":
    unittest.main()
