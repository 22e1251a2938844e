"""thaw(): private mutable deep copies."""

import json
import sys
import types
import unittest

import stoa


class Thaw(unittest.TestCase):
    def test_types(self):
        for source, wanted in (
            ({"a": [1, (2, 3), {4}], "b": {"c": None}}, {"a": [1, [2, 3], {4}], "b": {"c": None}}),
            ((), []),
            ({}, {}),
            (frozenset([1, (2, 3)]), {1, (2, 3)}),
            (b"bytes", b"bytes"),
            ("text", "text"),
            (10**30, 10**30),
            (range(3), range(3)),
            (slice(1, 2), slice(1, 2)),
            (1.5, 1.5),
            (2j, 2j),
            (None, None),
            ([[], {}, set(), ()], [[], {}, set(), []]),
        ):
            for private in (source, stoa.freeze(source)):
                with self.subTest(repr(private)):
                    copy = stoa.thaw(private)
                    self.assertEqual(copy, wanted)
                    self.assertIs(type(copy), type(wanted))

    def test_keys_and_members_stay_as_they_are(self):
        frozen = stoa.freeze({("a", ("b",)): [1], frozenset([1]): {(1, 2), frozenset([3])}})
        copy = stoa.thaw(frozen)
        self.assertEqual(copy, {("a", ("b",)): [1], frozenset([1]): {(1, 2), frozenset([3])}})
        self.assertTrue(all(stoa.is_shared(k) for k in copy))
        self.assertEqual({type(m) for m in copy[frozenset([1])]}, {tuple, frozenset})

    def test_the_copy_is_private_and_mutable(self):
        frozen = stoa.freeze({"a": [1, 2], "s": {1}, "d": {"x": 1}})
        one, two = stoa.thaw(frozen), stoa.thaw(frozen)
        one["a"].append(3)
        one["s"].add(2)
        one["d"]["y"] = 2
        one["new"] = 1
        self.assertEqual(two, {"a": [1, 2], "s": {1}, "d": {"x": 1}})
        self.assertEqual(dict(frozen)["a"], (1, 2))
        private = {"l": [1], "b": bytearray(b"x"), "s": {1}}
        copy = stoa.thaw(private)
        for name in private:
            self.assertEqual(copy[name], private[name])
            self.assertIsNot(copy[name], private[name])

    def test_aliases_stay_aliases(self):
        part = [1, {"k": 2}]
        copy = stoa.thaw(stoa.freeze([part, part, {"p": part}, {3}, {3}]))
        self.assertIs(copy[0], copy[1])
        self.assertIs(copy[2]["p"], copy[0])
        private = stoa.thaw([part, part])
        self.assertIs(private[0], private[1])
        self.assertIsNot(private[0], part)

    def test_a_private_cycle(self):
        a = [1]
        a.append({"a": a})
        copy = stoa.thaw(a)
        self.assertIs(copy[1]["a"], copy)
        self.assertIsNot(copy, a)
        a.clear()
        copy.clear()

    def test_order(self):
        keys = [str(i) for i in range(1000, 0, -1)]
        self.assertEqual(list(stoa.thaw(stoa.freeze(dict.fromkeys(keys)))), keys)

    def test_deep(self):
        value = None
        for i in range(1_000_000):
            value = [value] if i % 2 else {"k": value}
        copy = stoa.thaw(stoa.freeze(value))
        levels = 0
        while copy is not None:
            copy = copy[0] if type(copy) is list else copy["k"]
            levels += 1
        self.assertEqual(levels, 1_000_000)

    def test_mappingproxy(self):
        self.assertEqual(stoa.thaw(types.MappingProxyType({"a": (1,)})), {"a": [1]})

    def test_json(self):
        data = {"a": [1, 2, {"b": None}], "c": "text", "d": {"e": [[]]}}
        self.assertEqual(json.loads(json.dumps(stoa.freeze(data), default=stoa.thaw)), data)
        with self.assertRaises(TypeError):
            json.dumps({"f": stoa.freeze, "o": object()}, default=stoa.thaw)

    def test_other_objects_are_refused(self):
        class L(list):
            pass

        for value in (object(), L(), [object()], {"a": {"b": L()}}, types.MappingProxyType(__import__("collections").OrderedDict())):
            with self.assertRaisesRegex(TypeError, "deepcopy"):
                stoa.thaw(value)

    def test_hostile_keys_of_a_private_source(self):
        source = {}

        class Key:
            def __hash__(self):
                if source:
                    source.clear()
                return 1

        source.update({Key(): [1], "other": [2]})
        self.assertEqual(len(stoa.thaw([source])[0]), 2)

        class Bad:
            armed = False

            def __hash__(self):
                if Bad.armed:
                    raise ZeroDivisionError
                return 1

        private = {Bad(): [1], 1: [2]}
        Bad.armed = True
        before = sys.getrefcount(private)
        with self.assertRaises(ZeroDivisionError):
            stoa.thaw([private, private])
        self.assertEqual(sys.getrefcount(private), before)

    def test_no_reference_is_lost(self):
        part = [[1]]
        text = "".join(["some ", "text"])
        source = {"a": part, "b": [part, (text, text)], text: {text}}
        counts = [sys.getrefcount(o) for o in (part, source, text)]
        for _ in range(100):
            stoa.thaw(source)
        self.assertEqual([sys.getrefcount(o) for o in (part, source, text)], counts)


if __name__ == "__main__":
    unittest.main()
