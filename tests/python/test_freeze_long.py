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


MANY = 8_000  # more numbers than a walk interns one by one


class Numbers(Long):
    """Numbers are content of what holds them: containers are one where their numbers are equal."""

    def setUp(self):
        self.region = stoa.Region(self._testMethodName)

    def freeze(self, value):
        return stoa.freeze(value, region=self.region)

    def used(self):
        return self.region.stats()["used_bytes"]

    def rows(self, start=0):
        return [[i + 0.5, f"text {i % 7}", {"id": 10**6 + i, "at": (i * 1.25, -i - 3000)}] for i in range(start, start + MANY)]

    def test_equal_containers_are_one_and_cost_nothing(self):
        first = self.freeze(self.rows())
        before = self.used()
        again = self.freeze(self.rows())
        self.assertIs(again, first)
        self.assertEqual(self.used(), before)
        longer = self.freeze(self.rows() + self.rows(start=MANY))
        self.assertTrue(all(a is b for a, b in zip(longer, first)))

    def test_within_one_walk(self):
        twin = self.freeze([self.rows(), "between", self.rows(), [self.rows()[-1]]])
        self.assertIs(twin[0], twin[2])
        self.assertIs(twin[3][0], twin[0][-1])

    def test_an_object_of_the_source_is_one_object(self):
        shared = [float(i) + 0.125 for i in range(MANY)] + [10**7 + i for i in range(MANY)]
        value = [[each, [each, "x"], {"k": each, each: 1}] for each in shared]
        for _ in range(2):
            twin = self.freeze(value)
            self.assertEqual(plain(twin), plain(value))
            for each in twin[:len(shared)]:
                self.assertIs(each[0], each[1][0])
                self.assertIs(each[0], each[2]["k"])
                self.assertIs(each[0], list(each[2])[1])
            value.append("longer")

    def test_an_object_of_the_source_is_one_beside_what_was_there(self):
        self.freeze([self.rows(), [[10.0**9 + i, "there"] for i in range(MANY)]])
        shared = [10.0**9 + i for i in range(MANY)]
        for value in ([[[x, "new"], [x, "there"], [x, "new, too"]] for x in shared], [[[x, "there"], [x, "more"]] for x in shared]):
            for row in self.freeze(value):
                self.assertEqual(len({id(each[0]) for each in row}), 1)

    def test_what_is_shared_stays_what_it_is(self):
        there = self.freeze([i * 0.75 + 10**6 for i in range(MANY)])
        twin = self.freeze([[each, "held"] for each in there])
        self.assertTrue(all(each[0] is number for each, number in zip(twin, there)))
        elsewhere = stoa.freeze([[each, "held"] for each in there], region=stoa.Region("numbers elsewhere"))
        self.assertEqual(elsewhere, twin)

    def test_numbers_that_are_nearly_the_same(self):
        edges = [0.0, -0.0, 1.0, 1, True, 1e308, float("inf"), -float("inf"), 2.0**53, 2**53, 2**30, 2**30 - 1, -(2**30), 2**60 - 1, 2**60,
                 -(2**60), 2**60 + 1, 2**90, -(2**90), 10**400, 256, 257, 1024, 1025, -5, -6, 5e-324]
        self.same([[each, i % 3, [each]] for i in range(MANY // len(edges)) for each in edges])
        twin = self.freeze([[self.rows(), [[each, "edge"] for each in edges], [[each, "edge"] for each in edges]]])
        self.assertIs(twin[0][1], twin[0][2])
        self.assertEqual(len({id(each) for each in twin[0][1]}), len(edges))
        self.assertEqual(plain(twin[0][1]), plain([[each, "edge"] for each in edges]))

    def test_nan_is_not_equal_to_itself(self):
        nan = float("nan")
        twin = self.freeze([self.rows(), [nan, "x"], [nan, "x"], [float("nan"), "x"]])
        self.assertIs(twin[1], twin[2])
        self.assertIsNot(twin[1], twin[3])

    def test_numbers_as_keys_members_and_limits(self):
        value = [self.rows(), {i * 1.5: [i * 1.5] for i in range(MANY)}, {i * 3 for i in range(MANY)}, slice(10**6, 10**7, 5000),
                 range(10**6, 10**7, 5000), {(i * 0.5, i): i + 10**5 for i in range(MANY)}]
        twin, again = self.freeze(value), self.freeze([*value[:2], set(value[2]), *value[3:]])
        self.assertIs(again, twin)
        self.assertEqual(twin[1][1.5 * 7], (10.5,))
        self.assertEqual((twin[2], twin[3], twin[4]), (value[2], value[3], value[4]))
        self.assertEqual(twin[5][(0.5, 1)], 10**5 + 1)

    def test_one_that_was_met_where_numbers_do_not_wait(self):
        def made():
            x = float("7.25e9")
            return [self.rows(), {x, 3}, slice(x), {x: 1}, [x, "k"]]

        twin = self.freeze(made())
        self.assertIs(self.freeze(made()), twin)
        self.assertIs(self.freeze({float("7.25e9"): 1}), twin[3])
        self.assertIs(self.freeze([float("7.25e9"), "k"]), twin[4])
        self.assertIs(twin[2].stop, twin[4][0])

    def test_a_number_of_another_region(self):
        there = stoa.freeze([i * 0.75 + 10**7 for i in range(MANY)], region=stoa.Region("numbers there"))
        value = [[each, "held"] for each in there]
        twin = self.freeze(value)
        self.assertIs(self.freeze([[float(repr(each)), "held"] for each in there]), twin)
        self.assertEqual(plain(twin), plain(value))

    def test_a_refusal_names_numbers_on_its_path(self):
        class Bad(list):
            pass

        for before in ([], self.rows()):
            with self.assertRaisesRegex(stoa.NotFreezable, r"\$\[1\]\[5000\.5\]\[2\]\[1000000\]"):
                self.freeze([before, {0.5: 1, 5000.5: [7000.5, 8000, {10**6: Bad()}]}])

    def test_a_failing_walk_leaves_nothing(self):
        self.freeze(self.rows())
        before = self.used()
        with self.assertRaises(stoa.NotFreezable):
            self.freeze([self.rows(start=MANY), [1.25e9, object()]])
        self.assertEqual(self.used(), before)


if __name__ == "__main__":
    unittest.main()
