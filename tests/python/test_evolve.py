"""evolve(): versions of mappings that share what did not change."""

import copy
import dataclasses
import enum
import gc
import os
import pickle
import random
import sys
import threading
import types
import unittest
from collections.abc import Mapping

import stoa
from stoa_tests import SLOW_BUILD

try:
    import hypothesis
    import hypothesis.strategies as st
except ImportError:
    hypothesis = None


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    name: object


@dataclasses.dataclass(frozen=True)
class Loose:
    items: object

    def __hash__(self):
        return hash(tuple(self.items) if isinstance(self.items, list) else [])


@dataclasses.dataclass(frozen=True)
class Angry:
    def __hash__(self):
        raise ZeroDivisionError("asked for its hash")


class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 0
    MIDDLE = 1
    HIGH = 2


class SameHash:
    """Equal to nothing else, but has the hash it was told."""

    def __init__(self, value):
        self.value = value

    def __hash__(self):
        return hash(self.value)


class Evolve(unittest.TestCase):
    def check(self, version, wanted):
        self.assertIsInstance(version, stoa.PersistentMapping)
        self.assertEqual(len(version), len(wanted))
        self.assertEqual(version, wanted)
        self.assertEqual(wanted, version)
        self.assertEqual(dict(version.items()), wanted)
        self.assertEqual(set(version), set(wanted))
        self.assertCountEqual(map(repr, version.values()), map(repr, wanted.values()))
        for key, value in wanted.items():
            self.assertIn(key, version)
            self.assertEqual(version[key], value)
            self.assertEqual(version.get(key), value)

    def test_changes_and_removals(self):
        base = stoa.freeze({i: str(i) for i in range(100)})
        version = stoa.evolve(base, {1: "one", 200: "more"}, remove=[5, 99])
        wanted = {**{i: str(i) for i in range(100)}, 1: "one", 200: "more"}
        del wanted[5], wanted[99]
        self.check(version, wanted)
        self.assertEqual(list(version), list(wanted))
        self.assertEqual(base[5], "5")
        self.assertNotIn(5, version)
        self.assertEqual(version.get(5, "none"), "none")
        again = stoa.evolve(version, {5: "back"}, remove=[1])
        self.assertEqual((again[5], 1 in again, version[1]), ("back", False, "one"))

    def test_versions_of_all_sizes_against_dict(self):
        chooser = random.Random(15)
        for size in (0, 1, 40, 700):
            keys = [chooser.choice([i, str(i), (i, str(i)), i + 0.5]) for i in range(2 * size + 10)]
            wanted = {key: chooser.random() for key in keys[:size]}
            version = stoa.freeze(wanted)
            for step in range(60):
                changes = {chooser.choice(keys): chooser.random() for _ in range(chooser.choice([0, 1, 1, 2, 9, 60]))}
                removed = chooser.sample(list(wanted), min(len(wanted), chooser.choice([0, 0, 1, 3])))
                after = {key: value for key, value in wanted.items() if key not in removed}
                after.update(changes)
                evolved = stoa.evolve(version, changes, remove=removed)
                self.assertEqual(evolved, after, (size, step))
                self.assertEqual(dict(evolved.items()), after)
                if step:
                    self.assertEqual(version, wanted)
                wanted, version = after, evolved
            self.check(version, wanted)

    def test_keys_with_equal_hashes(self):
        """Ints are hashed modulo 2**61 - 1: many keys, one hash."""
        modulus = 2**61 - 1
        keys = [7 + i * modulus for i in range(40)]
        version, wanted = stoa.freeze({i: i for i in range(500)}), {i: i for i in range(500)}
        for key in keys:
            version = stoa.evolve(version, {key: -key})
            wanted[key] = -key
        self.check(version, wanted)
        self.assertNotIn(7 + 50 * modulus, version)
        version = stoa.evolve(version, {}, remove=keys[::2])
        for key in keys[::2]:
            del wanted[key]
        self.check(version, wanted)
        self.assertNotIn(SameHash(7), version)

    def test_equal_keys_of_different_types_are_one(self):
        version = stoa.evolve(stoa.freeze({1: "a", "1": "b", (1, 2): "c"}), {1.0: "float", True: "bool", (1.0, 2.0): "d"})
        self.check(version, {1: "bool", "1": "b", (1, 2): "d"})
        self.assertEqual(version["".join(["1"])], "b")

    def test_keys_of_classes_against_dict(self):
        """Records, enums, Decimals, paths and tuples of them beside numbers and texts that are equal to some of them."""
        import decimal
        import ipaddress
        import pathlib

        chooser = random.Random(16)
        makers = [lambda i: Point(i, str(i)), lambda i: list(Colour)[i % 3], decimal.Decimal, lambda i: (i, Point(i, None)), lambda i: Level(i % 3),
                  lambda i: i, str, float, lambda i: pathlib.PurePosixPath(str(i)), ipaddress.ip_address, lambda i: (Colour.RED, (decimal.Decimal(i),))]
        for first in (0, 3, 200):
            keys = [chooser.choice(makers)(chooser.randrange(40)) for _ in range(first)]
            wanted = {key: n for n, key in enumerate(keys)}
            version = stoa.evolve(wanted)
            for step in range(40):
                removed = [key for key in wanted if chooser.random() < 0.05]
                changes = {chooser.choice(makers)(chooser.randrange(40)): step for _ in range(chooser.choice([0, 1, 5, 60]))}
                before, old = dict(wanted), version
                for key in removed:
                    del wanted[key]
                wanted.update(changes)
                version = stoa.evolve(version, changes, remove=removed)
                self.check(version, wanted)
                self.assertEqual(old, before)
        self.assertEqual(stoa.thaw(version), wanted)
        self.assertEqual(pickle.loads(pickle.dumps(version)), wanted)

    def test_keys_of_classes_elsewhere(self):
        table = stoa.evolve({Point(1, "a"): "one", "plain": 2}, {Colour.RED: "red", (Point(2, "b"), 3): "two"})
        table = stoa.evolve(table, {Point(1, "a"): "changed"}, remove=[Colour.RED])
        folder = os.path.dirname(os.path.abspath(__file__))
        with stoa.Interpreter() as other:
            other.exec(f"import sys; sys.path.insert(0, {folder!r})\nfrom test_evolve import Point, Colour")
            other.prepare_main(table=table)
            other.exec("assert table[Point(1, 'a')] == 'changed' and table[Point(2, 'b'), 3] == 'two' and table['plain'] == 2\n"
                       "assert Colour.RED not in table and len(table) == 3 and Point(1, 'a') in list(table)\n"
                       "import stoa\nmore = stoa.evolve(table, {Point(9, None): 9})\nstoa.publish('evolved-keys', more)")
            more = stoa.lookup("evolved-keys")
            self.addCleanup(stoa.unpublish, "evolved-keys")
            self.assertEqual((more[Point(9, None)], more[Point(1, "a")], len(more)), (9, "changed", 4))

    def test_keys_that_cannot_be(self):
        version = stoa.evolve({"a": 1})
        for words, key in [("by identity", Point), ("by identity", (lambda: 5)), ("unhashable", Loose([1])), ("asked for its hash", Angry())]:
            for base in (version, {}):
                with self.subTest(words), self.assertRaisesRegex((TypeError, ZeroDivisionError), words):
                    stoa.evolve(base, [(key, 1)])
        self.assertEqual(version, {"a": 1})
        self.assertRaises(KeyError, stoa.evolve, version, {}, remove=[Colour.RED])
        many = {Point(i, None): i for i in range(3000)}  # which lie in no base: they are not laid out anew each time
        version = stoa.evolve(many)
        region = stoa.Region("evolve-classes")
        version = stoa.evolve(region.freeze(many), {})
        before = region.stats()["used_bytes"]
        for i in range(50):
            version = stoa.evolve(version, {Point(i, None): -i})
        self.assertLess((region.stats()["used_bytes"] - before) / 50, 4000)
        self.assertEqual((version[Point(7, None)], version[Point(2999, None)], len(version)), (-7, 2999, 3000))

    def test_a_mapping_protocol_as_of_dict(self):
        version = stoa.evolve({"a": 1, "b": (2, 3)}, {"c": None})
        self.assertIsInstance(version, Mapping)
        self.assertEqual(version.keys() & {"a", "x"}, {"a"})
        self.assertIn(("b", (2, 3)), version.items())
        self.assertIn((2, 3), version.values())
        self.assertEqual({**version}, {"a": 1, "b": (2, 3), "c": None})
        self.assertEqual(dict(version), {"a": 1, "b": (2, 3), "c": None})
        self.assertEqual(repr(version), "PersistentMapping({'a': 1, 'b': (2, 3), 'c': None})")
        match version:
            case {"a": 1, **rest}:
                self.assertEqual(rest, {"b": (2, 3), "c": None})
            case _:
                self.fail("does not match")
        self.assertNotEqual(version, {"a": 1})
        self.assertNotEqual(version, 5)
        self.assertFalse(version == [("a", 1)])
        with self.assertRaises(KeyError) as caught:
            version["missing", 1]
        self.assertEqual(caught.exception.args, (("missing", 1),))
        for wrong in (lambda: version[[]], lambda: [] in version, lambda: version.get([])):
            self.assertRaises(TypeError, wrong)
        with self.assertRaises(TypeError):
            version["a"] = 1
        self.assertRaises(TypeError, type(version))
        iterator = iter(version)
        next(iterator)
        self.assertEqual(iterator.__length_hint__(), 2)

    def test_a_pair_that_is_kept_stays_as_it_is(self):
        wanted = {i: (i, str(i)) for i in range(100)}
        version = stoa.evolve(stoa.freeze(wanted), {5: (5, "5")})
        self.assertEqual(list(version.items()), list(wanted.items()))
        iterator, kept, hashes = iter(version.items()), [], set()
        for i, pair in enumerate(iterator):
            hashes.add(hash(pair))
            if i % 3 == 0:
                kept.append(pair)
            gc.collect(0)
        self.assertEqual(kept, [(i, wanted[i]) for i in range(0, 100, 3)])
        self.assertEqual(hashes, set(map(hash, wanted.items())))
        for key, value in version.items():
            self.assertEqual(value, wanted[key])
        iterator = iter(version.items())
        self.assertEqual(list(zip(iterator, iterator)), [((i, wanted[i]), (i + 1, wanted[i + 1])) for i in range(0, 100, 2)])

    def test_a_value_that_cannot_be_built_is_named(self):
        module = sys.modules["evolve_gone"] = types.ModuleType("evolve_gone")
        exec("class Gone:\n  def __init__(self, x): self.x = x\n  def __reduce__(self): return Gone, (self.x,)", module.__dict__)
        version = stoa.evolve({"here": 1}, {"there": [module.Gone(5)]})
        del sys.modules["evolve_gone"]
        stoa.publish("evolve.gone", version)
        self.addCleanup(stoa.unpublish, "evolve.gone")
        with stoa.Interpreter() as other:
            other.exec("import stoa\nversion = stoa.lookup('evolve.gone')\nassert len(version) == 2 and version['here'] == 1")
            for code in ("version['there']", "version.get('there')", "list(version.items())", "list(version.values())"):
                with self.subTest(code), self.assertRaisesRegex(stoa.Error, r"^\$\['there'\]\[0\]: 'evolve_gone.Gone' cannot be built"):
                    other.exec(code)

    def test_hash_where_values_are_hashable(self):
        first, second = stoa.evolve({"a": 1}, {"b": 2}), stoa.evolve({"b": 2}, {"a": 1})
        self.assertEqual(first, second)
        self.assertEqual(hash(first), hash(second))
        self.assertEqual({first: 1}[second], 1)
        if hasattr(__builtins__, "frozendict") or "frozendict" in dir(__import__("builtins")):
            self.assertEqual(hash(first), hash(stoa.freeze({"a": 1, "b": 2})))
        else:
            self.assertRaises(TypeError, hash, stoa.evolve({"a": {}}, {}))

    def test_pickle_copy_thaw(self):
        version = stoa.evolve({"a": [1, 2], 3: None}, {"b": "c"})
        again = pickle.loads(pickle.dumps(version))
        self.assertEqual(again, version)
        self.assertIsInstance(again, stoa.PersistentMapping)
        self.assertEqual(copy.copy(version), version)
        thawed = stoa.thaw(version)
        self.assertIs(type(thawed), dict)
        self.assertEqual(thawed, {"a": [1, 2], 3: None, "b": "c"})

    def test_frozen_once(self):
        version = stoa.evolve({"a": 1}, {"b": 2})
        self.assertIs(stoa.freeze(version), version)
        self.assertTrue(stoa.is_shared(version))
        graph = stoa.freeze({"inside": [version, version]})
        self.assertIs(graph["inside"][0], version)

    def test_refusals(self):
        version = stoa.evolve({"a": 1})
        for error, words, call in [
            (TypeError, "takes a mapping", lambda: stoa.evolve(5, {})),
            (TypeError, "takes a mapping", lambda: stoa.evolve([1], {})),
            (KeyError, "nowhere", lambda: stoa.evolve(version, {}, remove=["nowhere"])),
            (KeyError, "a", lambda: stoa.evolve(version, {}, remove=["a", "a"])),
            (stoa.NotFreezable, "", lambda: stoa.evolve(version, {"x": threading.Lock()})),
            (TypeError, "", lambda: stoa.evolve(version, [1])),
            (TypeError, "", lambda: stoa.evolve(version, {}, remove=5)),
            (TypeError, "^a key of type tuple is unhashable", lambda: stoa.evolve(version, [((1, {}), 2)])) if not hasattr(__import__("builtins"), "frozendict") else (ValueError, "", lambda: int("x")),
        ]:
            with self.subTest(words), self.assertRaisesRegex(error, words):
                call()
        self.assertEqual(version, {"a": 1})

    def test_a_refusal_leaves_nothing(self):
        region = stoa.Region("evolve-refuses")
        version = stoa.evolve(region.freeze({i: i for i in range(100)}))
        used, lock = region.stats()["used_bytes"], threading.Lock()
        for changes in ({"new key": lock}, {"another": list(range(1000)), "bad": lock}, [("x" * 50, "y" * 50)] * 3 + [(lock, 1)]):
            with self.assertRaises(stoa.NotFreezable):
                stoa.evolve(version, changes, region=region)
            self.assertEqual(region.stats()["used_bytes"], used)
        self.assertEqual(stoa.evolve(version, {"new key": 1, 5: None}, region=region)["new key"], 1)

    def test_a_refusal_names_the_place_in_the_changes(self):
        lock = threading.Lock()
        for changes, path in (({"k": lock}, "$['k']"), ({"k": {"l": [1, lock]}}, "$['k']['l'][1]"), ([(5, 6), ((1, lock), 3)], "$<key 1>[1]"),
                              ({lock: 5}, "$<key 0>"), ({i: [i, lock] if i == 37 else i for i in range(50)}, "$[37][1]"),
                              ([(i, i) for i in range(40)] + [((lock,), 0)], "$<key 40>[0]")):
            with self.subTest(path), self.assertRaises(stoa.NotFreezable) as caught:
                stoa.evolve({}, changes)
            self.assertEqual((caught.exception.path, caught.exception.type_name), (path, "_thread.lock"))
            self.assertTrue(str(caught.exception).startswith(path + ": '_thread.lock': "), str(caught.exception))

    def test_keys_whose_comparison_raises(self):
        class Angry(SameHash):
            def __eq__(self, other):
                raise ZeroDivisionError("asked")

            __hash__ = SameHash.__hash__

        version = stoa.evolve({"a": 1}, {"b": 2})
        for key in ("a", "b"):
            for look in (lambda: version[Angry(key)], lambda: Angry(key) in version, lambda: version.get(Angry(key))):  # noqa: B023
                self.assertRaises(ZeroDivisionError, look)

    def test_memory_in_proportion_to_the_change(self):
        region = stoa.Region("evolve-memory")
        version = region.freeze({f"key {i}": i for i in range(50_000)})
        before = region.stats()["used_bytes"]
        for i in range(1000):
            version = stoa.evolve(version, {f"key {i * 37}": -i})
        per_change = (region.stats()["used_bytes"] - before) / 1000
        self.assertLess(per_change, 2000)
        self.assertEqual(version["key 37"], -1)
        self.assertEqual(sum(1 for _ in version), 50_000)

    def test_a_limit_leaves_the_version_as_it_was(self):
        region = stoa.Region("evolve-limit", limit=200_000)
        version, wanted = region.freeze({i: i for i in range(1000)}), {i: i for i in range(1000)}
        with self.assertRaises(MemoryError):
            for i in range(100_000):
                version = stoa.evolve(version, {i % 1000: i + 10**6})
                wanted[i % 1000] = i + 10**6
        self.assertEqual(version, wanted)

    def test_regions_are_kept_apart(self):
        region = stoa.Region("evolve-region")
        version = region.freeze({"a": "some text", "b": 1})
        self.assertEqual(stoa.evolve(version, {"c": 1})["a"], "some text")
        with self.assertRaisesRegex(ValueError, "another region"):
            stoa.evolve(version, {"c": 1}, region=stoa.Region("evolve-other"))
        self.assertEqual(stoa.evolve(stoa.freeze({"a": 1}), {"c": "text"}, region=region), {"a": 1, "c": "text"})


class AcrossInterpreters(unittest.TestCase):
    def test_published_many_times_a_second(self):
        name = "evolve-published"
        version = stoa.evolve({f"key {i}": 0 for i in range(10_000)}, {"turn": 0})
        stoa.publish(name, version)
        self.addCleanup(stoa.unpublish, name)
        with stoa.Interpreter(name="evolve-reader") as reader:
            reader.exec(
                "import stoa, threading\n"
                "stop, seen, wrong = False, set(), []\n"
                "def read():\n"
                "    while not stop:\n"
                f"        m = stoa.lookup({name!r})\n"
                "        turn = m['turn']\n"
                "        seen.add(turn)\n"
                "        if turn and (m[f'key {turn}'] != turn or m[f'key {turn + 1}'] != 0): wrong.append(turn)\n"
                "thread = threading.Thread(target=read)\n"
                "thread.start()\n"
            )
            for turn in range(1, 1500):
                version = stoa.evolve(version, {"turn": turn, f"key {turn}": turn})
                stoa.replace(name, version)
            reader.exec("stop = True; thread.join()")
            reader.exec(f"assert not wrong, wrong[:5]\nassert stoa.lookup({name!r})['turn'] == 1499\nassert seen, seen")
            reader.exec(f"m = stoa.lookup({name!r})\nassert m is stoa.lookup({name!r})\nimport collections.abc\nassert isinstance(m, collections.abc.Mapping)\n"
                        "n = stoa.evolve(m, {'there': 'too'})\nassert n['there'] == 'too' and n['turn'] == 1499\nstoa.publish('evolve-back', n)")
        back = stoa.lookup("evolve-back")
        self.addCleanup(stoa.unpublish, "evolve-back")
        self.assertEqual((back["there"], back["turn"]), ("too", 1499))

    def test_threads_evolve_one_version(self):
        version = stoa.evolve({i: i for i in range(2000)})
        results = []

        def work(number):
            mine = version
            for i in range(200):
                mine = stoa.evolve(mine, {number * 1000 + i: -number}, remove=[1999 - i] if i < 100 else [])
            results.append((number, mine))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number, mine in results:
            wanted = {i: i for i in range(2000)}
            for i in range(200):
                if i < 100:
                    wanted.pop(1999 - i)
                wanted[number * 1000 + i] = -number
            self.assertEqual(mine, wanted)
        self.assertEqual(version, {i: i for i in range(2000)})


@unittest.skipIf(hypothesis is None, "hypothesis is not installed for this Python")
class AnyChange(unittest.TestCase):
    if hypothesis is not None:
        KEYS = st.one_of(st.integers(-3, 40), st.text(max_size=2), st.tuples(st.integers(0, 3), st.text(max_size=1)), st.none(), st.booleans())

        @hypothesis.settings(max_examples=30 if SLOW_BUILD else 80, deadline=None, database=None, derandomize=True)
        @hypothesis.given(st.dictionaries(KEYS, st.integers(), max_size=60),
                          st.lists(st.tuples(st.dictionaries(KEYS, st.integers(), max_size=6), st.sets(KEYS, max_size=4)), max_size=12))
        def test_as_a_dict_does(self, wanted, steps):
            version = stoa.freeze(wanted)
            for changes, removed in steps:
                removed = [key for key in removed if key in wanted]
                wanted = {key: value for key, value in wanted.items() if key not in removed} | changes
                version = stoa.evolve(version, changes, remove=removed)
                self.assertEqual(version, wanted)
                self.assertEqual(dict(version.items()), wanted)


if __name__ == "__main__":
    unittest.main()
