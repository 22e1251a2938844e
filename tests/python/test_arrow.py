"""Arrow arrays that are no array of numbers: nulls, text, lists, structs. There need not be an Arrow library: capsules are made by hand."""

import ctypes
import decimal
import pickle
import random
import unittest

import stoa
from stoa import _stoa

from arrow_support import RELEASE_ARRAY, RELEASE_SCHEMA, Array, Foreign, Schema, bits, exported, extension, ints, metadata_of, numbers, pointer, texts


class Trees(unittest.TestCase):
    def check(self, source, wanted):
        made = stoa.array(source)
        self.assertIsInstance(made, stoa.ArrowArray)
        self.assertEqual(list(made), wanted)
        self.assertEqual((len(made), made[-1:], made[::2]), (len(wanted), tuple(wanted[-1:]), tuple(wanted[::2])))
        self.assertEqual(made.null_count, wanted.count(None))
        self.assertRaises(IndexError, made.__getitem__, len(wanted))
        self.assertIs(stoa.freeze(made), made)
        self.assertIs(stoa.arrow(made), made)
        again = stoa.array(made)  # out by capsules, and in again
        self.assertEqual(again, made)
        self.assertEqual(pickle.loads(pickle.dumps(made)), made)
        self.assertNotEqual(exported(made)[2:4], (0, -1))
        return made

    def test_kinds(self):
        self.check(numbers([1, None, 3]), [1, None, 3])
        self.check(texts(["a", None, "zwei", "ü" * 40, ""]), ["a", None, "zwei", "ü" * 40, ""])
        self.check(texts(["a", "b"], b"U"), ["a", "b"])
        self.check(texts(["a", "", None], b"z"), [b"a", b"", None])
        self.check(texts(["a"], b"Z"), [b"a"])
        self.check(Foreign(b"b", 3, [bits(1, 0, 1), bits(1, 1, 0)], nulls=1), [True, None, False])
        self.check(Foreign(b"n", 2, []), [None, None])
        self.check(Foreign(b"d:5,2", 2, [None, (-456).to_bytes(16, "little", signed=True) + (123).to_bytes(16, "little")]),
                   [decimal.Decimal("-4.56"), decimal.Decimal("1.23")])
        self.check(Foreign(b"tdD", 2, [bits(0, 1), ints(5, 6)], nulls=1), [None, 6])
        self.check(Foreign(b"w:2", 2, [bits(0, 1), b"abcd"], nulls=1), [None, b"cd"])
        self.check(Foreign(b"tiD", 1, [None, b"12345678"]), [b"12345678"])

    def test_nested(self):
        inner = numbers([1, 2, None, 4, 5])
        self.check(Foreign(b"+l", 3, [bits(1, 0, 1), ints(0, 2, 2, 5)], [inner], nulls=1), [(1, 2), None, (None, 4, 5)])
        self.check(Foreign(b"+L", 2, [None, ints(1, 2, 4, code="q")], [inner]), [(2,), (None, 4)])
        self.check(Foreign(b"+w:2", 2, [None], [inner]), [(1, 2), (None, 4)])
        fields = [numbers([1, 2], name=b"a"), texts(["x", None], name=b"b")]
        made = self.check(Foreign(b"+s", 2, [None], fields), [{"a": 1, "b": "x"}, {"a": 2, "b": None}])
        self.assertEqual([(child.name, child.format) for child in made.children], [("a", "i"), ("b", "u")])
        entries = Foreign(b"+s", 2, [None], [texts(["k", "l"]), numbers([7, 8])])
        self.check(Foreign(b"+m", 1, [None, ints(0, 2)], [entries]), [(("k", 7), ("l", 8))])
        words = texts(["yes", "no"])
        made = self.check(Foreign(b"c", 3, [bits(1, 0, 1), b"\1\0\0"], nulls=1, dictionary=words), ["no", None, "yes"])
        self.assertEqual((list(made.dictionary), made.children), (["yes", "no"], ()))

    def test_slices_are_cut_to_what_is_meant(self):
        values = [None if i % 3 == 0 else f"text {i}" for i in range(50)]
        for offset in (0, 1, 7, 8, 9, 33):
            for length in (0, 1, 9, 50 - offset):
                source = texts(values, offset=offset)
                source.array.length, source.array.null_count = length, -1
                self.check(source, values[offset : offset + length])
                flags = Foreign(b"b", length, [bits(*[i % 3 for i in range(50)]), bits(*[i % 2 for i in range(50)])], nulls=-1, offset=offset)
                if any(i % 3 == 0 for i in range(offset, offset + length)):
                    self.check(flags, [None if i % 3 == 0 else bool(i % 2) for i in range(offset, offset + length)])
                record = Foreign(b"+s", length, [None], [texts(values, name=b"t", offset=0)], offset=offset)
                self.check(record, [{"t": value} for value in values[offset : offset + length]])

    def test_the_same_memory_goes_out_each_time(self):
        made = stoa.array(Foreign(b"+s", 2, [None], [texts(["x", None], name=b"b")], metadata=ints(1, 3) + b"key" + ints(1) + b"v"))
        self.assertEqual(exported(made), exported(made))
        layout, name, length, nulls, offset, buffers, children = exported(made)
        self.assertEqual((layout, length, nulls, offset, buffers), (b"+s", 2, 0, 0, [None]))
        self.assertEqual(children[0][:5], (b"u", b"b", 2, 1, 0))
        self.assertTrue(all(children[0][5]))
        schema = made.__arrow_c_schema__()
        self.assertEqual(Schema.from_address(pointer(schema, b"arrow_schema")).format, b"+s")

    def test_extension_types_are_kept(self):
        named = extension("test.id", more="x" * 300)
        sources = [lambda metadata: Foreign(b"i", 2, [None, ints(7, -8)], metadata=metadata),
                   lambda metadata: Foreign(b"w:4", 2, [None, b"abcdefgh"], metadata=metadata),
                   lambda metadata: Foreign(b"b", 2, [None, bits(1, 0)], metadata=metadata),
                   lambda metadata: Foreign(b"+w:2", 2, [None], [numbers([1, 2, 3, 4])], metadata=metadata),
                   lambda metadata: Foreign(b"tdD", 2, [None, ints(7, 8)], metadata=metadata)]
        for source, wanted in zip(sources, ([7, -8], [b"abcd", b"efgh"], [True, False], [(1, 2), (3, 4)], [7, 8])):
            made = self.check(source(named), wanted)
            self.assertEqual(metadata_of(made, len(named)), named)
            with stoa.Interpreter() as other:
                other.prepare_main(made=made)
                other.exec("import pickle\nagain = pickle.loads(pickle.dumps(made))")
                self.assertEqual(metadata_of(other.call("builtins:eval", "again"), len(named)), named)
            for metadata in (ints(0), ints(1, 20) + b"arrow:extension:name" + ints(1) + b"x", ints(1, 1) + b"k" + ints(20) + b"ARROW:extension:name"):
                self.assertNotIsInstance(stoa.array(source(metadata)), stoa.ArrowArray)
        inside = Foreign(b"+w:2", 1, [None], [Foreign(b"i", 2, [None, ints(7, 8)], metadata=named)])
        made = self.check(inside, [(7, 8)])
        self.assertEqual(metadata_of(made.children[0], len(named)), named)

    def test_in_another_interpreter_and_in_graphs(self):
        made = stoa.array(texts(["a", None, "c"]))
        with stoa.Interpreter() as other:
            other.prepare_main(made=made, graph=stoa.freeze({"rows": [made]}))
            other.exec("assert list(made) == ['a', None, 'c'] and type(made).__name__ == 'ArrowArray'\n"
                       "assert graph['rows'][0] is made\nmade.__arrow_c_array__()\n")
            self.assertIs(other.call("operator:getitem", (made,), 0), made)
        region = stoa.Region("arrow")
        self.assertEqual(list(stoa.array(texts(["in a region"] * 3), region=region)), ["in a region"] * 3)
        self.assertGreater(region.stats()["used_bytes"], 0)
        self.assertRaisesRegex(TypeError, "takes no other format", stoa.array, texts(["a"]), "i")

    def test_large(self):
        values = [f"item {i}" for i in range(60_000)]
        made = stoa.array(texts(values))
        self.assertEqual((made[0], made[59_999], len(made)), ("item 0", "item 59999", 60_000))


class Hostile(unittest.TestCase):
    def refused(self, words, source, error=ValueError):
        with self.assertRaisesRegex(error, words):
            stoa.array(source)

    def test_what_cannot_be(self):
        for layout in (b"v", b"vx", b"+v", b"+vx", b"+us", b"+us:x", b"+ud:0,", b"+ud:0,0", b"+us:128", b"+us:-1", b"+u:", b"+rr", b"+w:", b"+w:-1", b"+w:x", b"w:0", b"w:99999999999", b"d:1", b"d:1,2,3", b"ts", b"tsx:", b"+", b"", b"\xff\xfe", b"tdX", b"ii"):
            with self.subTest(layout):
                self.refused("no form|decode", Foreign(layout, 1, [None, b"\0" * 64]), (TypeError, UnicodeDecodeError))
        for layout in (b"+w:", b"+w:x", b"+w:1x"):
            self.refused("no form", Foreign(layout, 1, [None], [numbers([1])]), TypeError)
        self.refused("which items", Foreign(b"u", 1, [None, ints(0, 0), b""], nulls=1))
        self.refused("offsets go back", Foreign(b"u", 2, [None, ints(0, 5, 3), b"12345"]))
        self.refused("offsets go back", Foreign(b"u", 1, [None, ints(-5, 3), b"12345"]))
        self.refused("offsets go back", Foreign(b"Z", 1, [None, ints(0, 2**62, code="q"), b"12345"]))
        self.refused("no offsets", Foreign(b"u", 1, [None, None, b""]))
        self.refused("no bytes", Foreign(b"u", 1, [None, ints(0, 3), None]))
        self.refused("buffers and children", Foreign(b"u", 1, [None, ints(0, 3)]))
        self.refused("buffers and children", Foreign(b"+l", 1, [None, ints(0, 1)]))
        self.refused("fewer items", Foreign(b"+l", 1, [None, ints(0, 9)], [numbers([1])]))
        self.refused("fewer items", Foreign(b"+s", 3, [None], [numbers([1, None])]))
        for items in (numbers([1, 2]), Foreign(b"+s", 2, [None], [texts(["k", "l"])])):
            self.refused("no pairs", Foreign(b"+m", 1, [None, ints(0, 2)], [items]))
        self.refused("longer than memory|fewer items|damaged", Foreign(b"+w:2000000000", 2**50, [None], [numbers([1, None])]))
        self.refused("dictionary", Foreign(b"f", 1, [None, b"1234"], dictionary=numbers([1])))
        self.refused("metadata", texts(["a"], metadata=ints(-1) + b"\1"))
        self.refused("metadata", texts(["a"], metadata=ints(1, -1) + b"\1"))
        self.refused("metadata", texts(["a"], metadata=ints(2**30)))
        self.refused("metadata", numbers([1], metadata=ints(2**30)))
        for field, value in [("length", -1), ("length", 2**62), ("offset", -1), ("offset", 2**62), ("n_buffers", -1), ("n_buffers", 9),
                             ("n_children", -1), ("n_children", 5), ("release", RELEASE_ARRAY()), ("buffers", ctypes.POINTER(ctypes.c_void_p)())]:
            with self.subTest(field=field, value=value):
                source = texts(["a", None])
                setattr(source.array, field, value)
                self.refused("damaged|released", source)
        for field, value in [("format", None), ("n_children", 3), ("release", RELEASE_SCHEMA())]:
            source = texts(["a", None])
            setattr(source.schema, field, value)
            self.refused("damaged|released", source)
        source = Foreign(b"+s", 1, [None], [numbers([None])])
        source.arrays[0] = ctypes.POINTER(Array)()
        self.refused("child 0 is missing", source)
        self.refused("dictionary is missing", self.without_dictionary())
        for place in (-1, 1):
            made = stoa.array(Foreign(b"c", 2, [None, bytes([0, place % 256])], dictionary=texts(["only"])))
            self.assertEqual(made[0], "only")
            self.assertRaisesRegex(ValueError, f"damaged: it has item {place} of a dictionary of 1", made.__getitem__, 1)

    def without_dictionary(self):
        source = Foreign(b"c", 1, [None, b"\0"], dictionary=numbers([1]))
        source.array.dictionary = ctypes.POINTER(Array)()
        return source

    def test_capsules_that_are_none(self):
        class Speaker:
            def __init__(self, *given):
                self.given = given

            def __arrow_c_array__(self, requested_schema=None):
                return self.given

        good = texts(["a"]).__arrow_c_array__()
        for given in [(), (1, 2), good[::-1], (good[0], None), (good[0],), (good[0], good[1], 3)]:
            with self.subTest(given), self.assertRaises((TypeError, ValueError)):
                stoa.array(Speaker(*given))

    def test_depth_and_width_are_limited(self):
        deep = numbers([1, None])
        for _ in range(60):
            deep = Foreign(b"+s", 2, [None], [deep])
        self.assertEqual(len(stoa.array(deep)), 2)
        for _ in range(10):
            deep = Foreign(b"+s", 2, [None], [deep])
        self.refused("nested deeper", deep)
        circle = Foreign(b"+s", 1, [None], [numbers([1]), numbers([1])])
        for i in range(2):  # each child is the whole
            circle.schemas[i], circle.arrays[i] = ctypes.pointer(circle.schema), ctypes.pointer(circle.array)
        self.refused("nested deeper", circle)

    def test_nothing_is_left_of_what_failed(self):
        region = stoa.Region("arrow-fails", limit=1 << 20)
        bad = Foreign(b"+s", 1, [None], [texts(["x" * 3000]), Foreign(b"u", 1, [None, ints(3, 0), b""])])
        for _ in range(1000):
            with self.assertRaises(ValueError):
                stoa.array(bad, region=region)
        with self.assertRaises(MemoryError):
            stoa.array(texts(["x" * (2 << 20)]), region=region)
        self.assertEqual(region.stats()["objects"], 0)

    def test_trees_that_are_none(self):
        good = stoa.array(Foreign(b"+s", 2, [None], [texts(["abc", None])]))._tree
        _stoa._arrow_give(good)
        shared = stoa.array(b"12345678")
        for place, value in [(0, "zz"), (0, 5), (2, "x"), (3, "text"), (4, -1), (4, 2**61), (5, 3), (5, -1), (6, ()), (6, (b"private",)), (6, (shared, shared)), (7, (1,)), (7, ()), (8, 5)]:
            with self.subTest(place=place, value=value):
                bad = (*good[:place], value, *good[place + 1 :])
                if (place, value) == (7, ()):
                    _stoa._arrow_give(bad)  # a struct of nothing
                    continue
                with self.assertRaises((ValueError, TypeError)):
                    _stoa._arrow_give(bad)
        child = good[7][0]
        for buffers in [(None, child[6][1], child[6][2]), (child[6][0], shared, child[6][2]), (child[6][0], child[6][1], stoa.array(b"a")), (child[6][0], child[6][1], None)]:
            with self.assertRaises(ValueError):
                _stoa._arrow_give((*child[:6], buffers, *child[7:]))
        for bad in (None, [], (), 5):
            with self.assertRaises((ValueError, TypeError)):
                _stoa._arrow_give(bad)

    def test_damaged_at_random(self):
        """Counts, formats and null counts changed at random: an error or a value, never a crash. Seeded."""
        chooser = random.Random(6)
        for _ in range(1500):
            source = Foreign(b"+s", 4, [bits(1, 0, 1, 1)], [
                texts(["a", None, "c", "dd"]), Foreign(b"+l", 4, [None, ints(0, 1, 2, 3, 4)], [numbers([1, None, 3, 4])]),
                Foreign(b"c", 4, [None, b"\0\1\0\1"], dictionary=texts(["yes", "no"]))], nulls=1)
            at = chooser.choice([source, *source.kept[1], source.kept[1][1].kept[1][0], source.kept[1][2].kept[2]])
            for _ in range(chooser.randrange(1, 3)):
                if chooser.random() < 0.4:
                    at.schema.format = chooser.choice([b"+s", b"+l", b"u", b"+w:1", b"n", b"b", b"+m", b"c", b"zzz"])
                else:
                    field = chooser.choice(["null_count", "n_buffers", "n_children", "length"])
                    most = 5 if field != "length" else 4
                    setattr(at.array, field, chooser.choice([-1, -(2**62), *range(most)]))
            try:
                list(stoa.array(source))
            except (ValueError, TypeError, IndexError):
                pass


if __name__ == "__main__":
    unittest.main()
