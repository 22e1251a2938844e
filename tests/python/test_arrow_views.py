"""Arrow arrays whose items lie anywhere: views, list views, unions, runs."""

import pickle
import random
import struct
import unittest

import stoa
from stoa import _stoa

from arrow_support import Foreign, bits, exported, ints, numbers, texts

try:
    import pyarrow
except ImportError:
    pyarrow = None


def view(text, buffer=0, offset=0):
    data = text.encode()
    return struct.pack("<i12s", len(data), data) if len(data) <= 12 else struct.pack("<i4sii", len(data), data[:4], buffer, offset)


def views(items, data, layout=b"vu", **more):
    """items: views, or None."""
    valid = bits(*[item is not None for item in items]) if None in items else None
    return Foreign(layout, len(items), [valid, b"".join(item or b"\xff" * 16 for item in items), *data, ints(*map(len, data), code="q")],
                   nulls=items.count(None), **more)


def sliced(source, offset, length):
    source.array.offset, source.array.length, source.array.null_count = offset, length, -1
    return source


FAR = "longer than a view"


class Arrays(unittest.TestCase):
    def check(self, source, wanted):
        made = stoa.array(source)
        self.assertIsInstance(made, stoa.ArrowArray)
        self.assertEqual(list(made), wanted)
        self.assertEqual((len(made), made[-1:]), (len(wanted), tuple(wanted[-1:])))
        self.assertIs(stoa.freeze(made), made)
        again = stoa.array(made)  # out by capsules, and in again
        self.assertEqual((list(again), again.format), (wanted, made.format))
        self.assertEqual(pickle.loads(pickle.dumps(made)), made)
        return made

    def test_views(self):
        data = [b"....longer than a view", ("ü" * 20).encode()]
        items = [view("short"), None, view(FAR, 0, 4), view("ü" * 20, 1, 0), view(""), view("twelve bytes"), view(FAR, 0, 4)]
        made = self.check(views(items, data), ["short", None, FAR, "ü" * 20, "", "twelve bytes", FAR])
        self.assertEqual(made.null_count, 1)
        self.check(views(items[2:3], data, b"vz"), [FAR.encode()])
        self.check(views([], []), [])
        self.check(views([view("a"), view("b")], []), ["a", "b"])
        self.check(sliced(views(items, data), 3, 3), ["ü" * 20, "", "twelve bytes"])

    def test_of_a_slice_only_what_is_meant_is_kept(self):
        data = [b"x" * 100_000 + FAR.encode() + b"y" * 100_000, b"z" * 100_000]
        region = stoa.Region("views.cut")
        made = stoa.array(sliced(views([view("z" * 100_000, 1), view(FAR, 0, 100_000), view(FAR[3:], 0, 100_003)], data), 1, 2), region=region)
        self.assertEqual(list(made), [FAR, FAR[3:]])
        self.assertLess(region.stats()["used_bytes"], 10_000)
        format, _name, length, nulls, offset, buffers, _children = exported(made)
        self.assertEqual((format, length, nulls, offset, len(buffers)), (b"vu", 2, 0, 0, 5))

    def test_list_views(self):
        inner = numbers([1, 2, None, 4, 5])
        lists = Foreign(b"+vl", 4, [bits(1, 0, 1, 1), ints(3, -7, 0, 1), ints(2, 99, 0, 3)], [inner], nulls=1)
        self.check(lists, [(4, 5), None, (), (2, None, 4)])
        self.check(sliced(lists, 3, 1), [(2, None, 4)])
        self.check(Foreign(b"+vL", 2, [None, ints(1, 0, code="q"), ints(1, 2, code="q")], [inner]), [(2,), (1, 2)])
        self.check(Foreign(b"+vl", 0, [None, None, None], [inner]), [])

    def test_unions(self):
        whole, words = numbers([1, None, 3, 4]), texts(["a", "b", None, "d"])
        sparse = Foreign(b"+us:7,2", 4, [b"\7\2\7\2"], [whole, words])
        self.check(sparse, [1, "b", 3, "d"])
        self.check(sliced(sparse, 1, 2), ["b", 3])
        dense = Foreign(b"+ud:0,127", 5, [b"\0\x7f\0\0\x7f", ints(0, 3, 1, 3, 2)], [whole, words])
        self.check(dense, [1, "d", None, 4, None])
        self.check(sliced(dense, 3, 2), [4, None])
        self.check(sliced(dense, 2, 0), [])
        self.check(Foreign(b"+us:", 0, [b""]), [])

    def test_runs(self):
        for code, letter in (("h", b"s"), ("i", b"i"), ("q", b"l")):
            runs = Foreign(b"+r", 10, [], [Foreign(letter, 3, [None, ints(3, 5, 10, code=code)], name=b"run_ends"), texts(["a", None, "c"])])
            self.check(runs, ["a"] * 3 + [None] * 2 + ["c"] * 5)
            for first in range(10):
                for length in range(10 - first):
                    made = stoa.array(sliced(runs, first, length))
                    self.assertEqual(list(made), (["a"] * 3 + [None] * 2 + ["c"] * 5)[first : first + length])
            self.check(sliced(runs, 2, 3), ["a", None, None])
        self.assertEqual([len(child) for child in made.children], [0, 0])

    def test_inside_others_and_elsewhere(self):
        inner = views([view(FAR, 0, 0), None, view("b")], [FAR.encode()], name=b"text")
        made = self.check(Foreign(b"+s", 2, [None], [numbers([1, 2], name=b"number"), inner]), [{"number": 1, "text": FAR}, {"number": 2, "text": None}])
        with stoa.Interpreter() as other:
            other.exec("def look(x): return repr(list(x))")
            self.assertEqual(other.call("__main__:look", made), repr(list(made)))


class Refused(unittest.TestCase):
    def test_the_remedy_is_named(self):
        class Chunked:
            def __arrow_c_stream__(self, requested_schema=None):
                raise AssertionError("not asked for")

        with self.assertRaisesRegex(TypeError, "one Arrow array, and Chunked is made of several: combine"):
            stoa.array(Chunked())
        with self.assertRaisesRegex(stoa.NotFreezable, r"^\$\['a'\]: 'Foreign': it is an Arrow array: put what stoa.array\(\) makes"):
            stoa.freeze({"a": numbers([1])})
        self.assertEqual(list(stoa.freeze({"a": stoa.array(numbers([1, None]))})["a"]), [1, None])


class Hostile(unittest.TestCase):
    def refused(self, words, source, error=ValueError):
        with self.assertRaisesRegex(error, words):
            stoa.array(source)

    def test_what_cannot_be(self):
        data = [FAR.encode()]
        for item in (view(FAR, 1, 0), view(FAR, -1, 0), view(FAR, 0, 1), view(FAR, 0, -1), view(FAR, 0, 2**31 - 1), struct.pack("<i12s", -1, b"")):
            with self.subTest(item):
                self.refused("none of its buffers", views([view("a"), item], data))
        self.refused("buffers and children", Foreign(b"vu", 1, [None, view("a")]))
        self.refused("no views", Foreign(b"vu", 1, [None, None, b""]))
        self.refused("how long", Foreign(b"vu", 1, [None, view("a"), b"data", None]))
        source = views([view(FAR)], data)
        source.array.n_buffers = 2**40
        self.refused("buffers and children", source)
        self.refused("fewer items", Foreign(b"+vl", 1, [None, ints(0), ints(9)], [numbers([1, None])]))
        self.refused("not in its child", Foreign(b"+vl", 1, [None, ints(-1), ints(1)], [numbers([1])]))
        self.refused("not in its child", Foreign(b"+vL", 1, [None, ints(2**62, code="q"), ints(1, code="q")], [numbers([1])]))
        self.refused("no offsets, or no sizes", Foreign(b"+vl", 1, [None, ints(0), None], [numbers([1])]))
        self.refused("type that it does not have", Foreign(b"+us:0", 1, [b"\1"], [numbers([1])]))
        self.refused("type that it does not have", Foreign(b"+ud:0", 1, [b"\xff", ints(0)], [numbers([1])]))
        self.refused("of what type", Foreign(b"+us:0", 1, [None], [numbers([1])]))
        self.refused("lead nowhere", Foreign(b"+ud:0", 1, [b"\0", ints(-1)], [numbers([1])]))
        self.refused("fewer items", Foreign(b"+ud:0", 1, [b"\0", ints(1)], [numbers([1])]))
        self.refused("fewer items", Foreign(b"+us:0", 2, [b"\0\0"], [numbers([1])]))
        self.refused("buffers and children", Foreign(b"+us:0,1", 1, [b"\0"], [numbers([1])]))
        for ends in ((3, 2, 9), (3,), (3, 3, 9), (-1,), ()):
            with self.subTest(ends):
                self.refused("runs end before|fewer items", Foreign(b"+r", 9, [], [Foreign(b"i", len(ends), [None, ints(*ends)]), numbers([1] * len(ends))]))
        self.refused("no whole numbers", Foreign(b"+r", 1, [], [texts(["a"]), numbers([1])]))
        self.refused("no whole numbers", Foreign(b"+r", 1, [], [Foreign(b"i", 1, [None, None]), numbers([1])]))
        self.refused("no whole numbers", Foreign(b"+r", 1, [], [Foreign(b"i", 1, [bits(0), ints(1)], nulls=1), numbers([1])]))
        self.refused("fewer items", Foreign(b"+r", 9, [], [Foreign(b"i", 2, [None, ints(3, 9)]), numbers([1])]))

    def test_trees_that_are_none(self):
        shared = stoa.array(b"1234")
        sources = [views([view("a" * 40)], [b"a" * 40]), Foreign(b"+vl", 1, [None, ints(0), ints(1)], [numbers([1])]),
                   Foreign(b"+ud:0", 1, [b"\0", ints(0)], [numbers([1])]), Foreign(b"+us:0", 1, [b"\0"], [numbers([1])])]
        for source in sources:
            good = stoa.array(source)._tree
            _stoa._arrow_give(good)
            for place in range(0 if good[0][:2] == "+u" else 1, min(2, len(good[6]))):
                for wrong in (None, shared) if place else (None,):
                    with self.subTest(format=good[0], place=place, wrong=wrong), self.assertRaises(ValueError):
                        _stoa._arrow_give((*good[:4], 5, 0, (*good[6][:place], wrong, *good[6][place + 1 :]), *good[7:]))
        good = stoa.array(Foreign(b"+r", 4, [], [Foreign(b"i", 2, [None, ints(2, 4)]), numbers([1, 2])]))._tree
        _stoa._arrow_give(good)
        ends, values = good[7]
        for length, children in [(5, good[7]), (4, (values, ends)[:1]), (4, (ends, None)), (4, (ends, ())), (4, (stoa.array(texts(["a", None]))._tree, values)),
                                 (4, ((*ends[:4], 1, *ends[5:]), values)), (4, ((*ends[:6], (None, shared), *ends[7:]), values))]:
            with self.subTest(length=length, children=children), self.assertRaises((ValueError, TypeError)):
                _stoa._arrow_give((*good[:4], length, 0, (), children, None))

    def test_damaged_at_random(self):
        """Views, offsets, codes and ends of random bytes: an error or a value, never a crash. Seeded."""
        chooser = random.Random(12)
        for _ in range(2000):
            noise = lambda size: bytes(chooser.choice([0, 0, 0, 1, 2, 13, 255, chooser.randrange(256)]) for _ in range(size))  # noqa: E731
            valid = chooser.choice([None, noise(1)])
            source = chooser.choice([
                lambda: Foreign(b"vu", 4, [valid, noise(64), b"x" * 300, b"y" * 20, ints(300, 20, code="q")], nulls=-1),
                lambda: Foreign(b"+vl", 4, [valid, noise(16), noise(16)], [numbers([1, 2, None])], nulls=-1),
                lambda: Foreign(b"+ud:0,1", 4, [noise(4), noise(16)], [numbers([1, 2, None]), texts(["a", None])]),
                lambda: Foreign(b"+us:0,1", 3, [noise(3)], [numbers([1, 2, None]), texts(["a", None, "c"])]),
                lambda: Foreign(b"+r", 3, [], [Foreign(b"s", 4, [None, noise(8)]), numbers([1, 2, None, 4])]),
            ])()
            if chooser.random() < 0.3:
                sliced(source, chooser.randrange(3), 1)
            try:
                list(stoa.array(source))
            except (ValueError, TypeError, IndexError):
                pass


@unittest.skipIf(pyarrow is None, "pyarrow is not installed for this Python")
class PyArrow(unittest.TestCase):
    def test_there_and_back(self):
        chooser = random.Random(5)
        words = [None if i % 7 == 3 else "x" * chooser.randrange(40) for i in range(200)]
        dense = pyarrow.UnionArray.from_dense(pyarrow.array([5, 7, 5, 5], pyarrow.int8()), pyarrow.array([0, 0, 1, 2], pyarrow.int32()),
                                              [pyarrow.array([1, 2, None]), pyarrow.array(["a"])], ["i", "s"], [5, 7])
        arrays = [pyarrow.array(words, pyarrow.string_view()), pyarrow.array([w and w.encode() for w in words], pyarrow.binary_view()), dense,
                  pyarrow.UnionArray.from_sparse(pyarrow.array([0, 1, 0], pyarrow.int8()), [pyarrow.array([1, 2, None]), pyarrow.array(["a", "b", "c"])]),
                  pyarrow.array([["a" * 20], None, [], ["b", None]] * 3, pyarrow.list_view(pyarrow.string_view())),
                  pyarrow.RunEndEncodedArray.from_arrays(pyarrow.array([3, 5, 10], pyarrow.int32()), pyarrow.array(["a", None, "c"]))]
        for whole in arrays:
            for array in (whole, whole[1:], whole[2:3], whole[:0]):
                with self.subTest(type=str(array.type), length=len(array)):
                    back = pyarrow.array(stoa.array(array))
                    back.validate(full=True)
                    self.assertEqual((back.type, back.to_pylist()), (array.type, array.to_pylist()))


if __name__ == "__main__":
    unittest.main()
