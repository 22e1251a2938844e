"""NumPy's own values inside frozen graphs, and as arguments: scalars, dtypes, its subclasses of ndarray."""

import decimal
import unittest

import stoa

try:
    import numpy
except ImportError:
    numpy = None

WHERE = """
def what(x):
    return f"{type(x).__name__} {x!r}"
"""


def scalars():
    made = [numpy.dtype(code).type(3) for code in numpy.typecodes["AllInteger"] + numpy.typecodes["AllFloat"]]
    made += [numpy.True_, numpy.False_, numpy.str_("später"), numpy.str_(""), numpy.bytes_(b"a\0b"), numpy.float32(1.1), numpy.float64("-0.0")]
    made += [numpy.datetime64("2024-02-29"), numpy.datetime64("2024-02-29T01:02:03.4"), numpy.datetime64(5, "ns"), numpy.timedelta64(3, "D")]
    return made


@unittest.skipIf(numpy is None, "NumPy is not installed for this Python")
class NumpyValues(unittest.TestCase):
    def test_scalar_arrives_as_it_is_where_numpy_is(self):
        for value in scalars():
            made = stoa.freeze([value])[0]
            self.assertIs(type(made), type(value), repr(value))
            self.assertEqual((made, hash(made), repr(made)), (value, hash(value), repr(value)))
            self.assertIs(stoa.freeze(made), made)
            self.assertIs(stoa.share((value,))[0], made)  # equal values are one
        self.assertEqual(stoa.freeze({numpy.int32(3): "three"})[3], "three")
        self.assertIs(type(stoa.freeze(numpy.array([numpy.float32(2), "x"], dtype=object))[0]), numpy.float32)

    def test_values_unequal_to_themselves_stay_apart(self):
        for nan in (numpy.float64("nan"), numpy.datetime64("NaT"), decimal.Decimal("nan")):
            two = {nan: 1, type(nan)(nan if type(nan) is not decimal.Decimal else "NaN"): 2}
            two = two if len(two) == 2 else {nan: 1, nan + nan: 2}
            self.assertEqual(len(two), 2)
            self.assertEqual(sorted(stoa.freeze(two).values()), [1, 2], repr(nan))

    def test_scalar_is_the_equal_builtin_where_there_is_no_numpy(self):
        with stoa.Interpreter() as other:
            other.exec(WHERE)
            graph = stoa.publish("numpy-values", {"f": numpy.float64(1.5), "i": numpy.int8(-3), "d": numpy.datetime64("2024-02-29"), "b": numpy.True_})
            self.addCleanup(stoa.unpublish, "numpy-values")
            other.exec("import stoa; shown = {k: what(v) for k, v in stoa.lookup('numpy-values').items()}")
            shown = stoa.snapshot(other.call("builtins:eval", "shown"))
            self.assertEqual(dict(shown), {"f": "float 1.5", "i": "int -3", "d": "date datetime.date(2024, 2, 29)", "b": "bool True"})
            self.assertIs(type(graph["f"]), numpy.float64)
            self.assertEqual(other.call("__main__:what", numpy.float32(0.5)), "float 0.5")  # a value crosses by value
            self.assertEqual(other.call("builtins:sum", [numpy.int64(2), 3]), 5)
            self.assertTrue(other.call("__main__:what", numpy.datetime64(5, "ns")).startswith("Proxy"))  # no builtin is equal to it

    def test_what_is_nothing_without_numpy_says_so(self):
        with stoa.Interpreter() as other:
            for value, name in ((numpy.longdouble("0.1"), "numpy.longdouble"), (numpy.dtype("i4"), "numpy.dtypes.Int32DType"),
                                (numpy.datetime64(1, "ns"), "numpy.datetime64"), (numpy.ma.array([1, 2], mask=[0, 1]), "numpy.ma.MaskedArray")):
                with self.assertRaisesRegex(stoa.Error, rf"\$\[0\]: '{name}' cannot be built in interpreter '{other.name}': .*NumPy.*stoa.array"):
                    other.call("builtins:repr", stoa.freeze([value]))

    def test_dtypes(self):
        for dtype in ("f8", ">i2", "M8[ms]", "U7", "O", [("a", "i4"), ("b", "f8", (2,))], numpy.dtype({"names": ["x"], "formats": ["i2"], "offsets": [6], "itemsize": 16})):
            dtype = numpy.dtype(dtype)
            made = stoa.freeze({"t": dtype})["t"]
            self.assertEqual((made, hash(made), type(made)), (dtype, hash(dtype), type(dtype)))
            self.assertIs(stoa.freeze(made), made)

    def test_record_scalar_is_a_private_copy_that_can_be_changed(self):
        rows = numpy.array([(1, 2.5), (3, 4.5)], dtype=[("a", "i4"), ("b", "f8")])
        made = stoa.freeze([rows[1]])
        self.assertEqual((type(made[0]), made[0].item()), (numpy.void, (3, 4.5)))
        made[0]["a"] = 7
        self.assertEqual((rows[1]["a"], stoa.freeze(made)[0].item()), (3, (7, 4.5)))
        with self.assertRaisesRegex(stoa.NotFreezable, "can be changed"):
            stoa.share((rows[0],))
        with self.assertRaisesRegex(stoa.NotFreezable, r"x.item\(\)"):
            stoa.freeze(numpy.array([(1, [])], dtype=[("a", "i4"), ("o", "O")])[0])
        with stoa.Interpreter() as other:  # its bytes, where there is no NumPy
            self.assertEqual(other.call("builtins:len", by := stoa.freeze([rows[0]])), 1)
            other.prepare_main(by=by)
            other.exec("assert type(by[0]) is memoryview and by[0].nbytes == 12 and by[0].shape == (), by[0]")

    def test_subclasses_of_ndarray_share_their_items(self):
        record = numpy.rec.array([(1, 2.0), (3, 4.0)], dtype=[("a", "i4"), ("b", "f8")])
        for value in (numpy.asmatrix([[1, 2], [3, 4]]), record, numpy.char.array(["a", "bcd"])):
            made = stoa.freeze({"x": value})["x"]
            self.assertIs(type(made), type(value))
            self.assertEqual((made.dtype, made.tolist(), made.flags.writeable), (value.dtype, value.tolist(), False))
            self.assertTrue(stoa.is_shared(made.base))  # its bytes lie in the heap
            self.assertIs(stoa.freeze(made), made)
            with self.assertRaises(ValueError):
                made[0] = value[1]
        self.assertEqual(stoa.freeze(record).a.tolist(), [1, 3])
        self.assertIs(type(stoa.freeze(record)[0]), numpy.record)
        with stoa.Interpreter() as other:
            other.prepare_main(m=stoa.freeze(numpy.asmatrix([[1, 2], [3, 4]])))
            other.exec("assert type(m) is memoryview and m.tolist() == [[1, 2], [3, 4]]")

    def test_masked_array_keeps_its_mask(self):
        source = numpy.ma.array([1.5, 2.5, 3.5], mask=[False, True, False], fill_value=-1, hard_mask=True)
        made = stoa.freeze([source, source])
        self.assertIs(made[0], made[1])
        self.assertEqual((made[0].tolist(), made[0].mask.tolist(), made[0].fill_value, made[0].hardmask), ([1.5, None, 3.5], [False, True, False], -1, True))
        self.assertIs(stoa.freeze(made), made)  # its arrays are what they were
        made[0].fill_value = 5
        again = stoa.freeze(made)
        self.assertEqual((again[0].fill_value, again[0].tolist()), (5, [1.5, None, 3.5]))
        whole = stoa.freeze(numpy.ma.array([[1, 2]]))
        self.assertIs(whole.mask, numpy.ma.nomask)
        self.assertIs(stoa.freeze([numpy.ma.masked])[0], numpy.ma.masked)
        rows = numpy.ma.array([(1, 2.0), (3, 4.0)], mask=[(True, False), (False, False)], dtype=[("a", "i4"), ("b", "f8")], fill_value=(9, 9))
        for value in (rows, numpy.ma.array(5, mask=True), numpy.ma.zeros((0, 3)), numpy.ma.array(["a", None], mask=[0, 1], dtype=object)):
            made = stoa.freeze((value,))[0]
            self.assertEqual((made.dtype, made.shape, made.tolist(), str(made)), (value.dtype, value.shape, value.tolist(), str(value)))

    def test_other_subclasses_say_what_they_are_made_of_or_are_refused(self):
        with self.assertRaisesRegex(stoa.NotFreezable, r"stoa.array\(x\).*stoa.register"):
            stoa.freeze([numpy.arange(3).view(Plain)])
        self.assertEqual(stoa.array(numpy.arange(3).view(Plain)).tolist(), [0, 1, 2])
        made = stoa.freeze([numpy.arange(3).view(Told)])[0]
        self.assertEqual((type(made), made.tolist()), (Told, [0, 1, 2]))
        with self.assertRaisesRegex(stoa.NotFreezable, r"float\(\.\.\.\)"):
            stoa.freeze([Mine(2)])

    def test_array_of_a_scalar_knows_its_dtype(self):
        made = stoa.array(numpy.datetime64("2024-02-29"))
        self.assertEqual((made.shape, made.dtype, made[()]), ((), numpy.dtype("M8[D]"), numpy.datetime64("2024-02-29")))

    def test_memmap_is_an_array_of_its_content(self):
        import tempfile

        with tempfile.NamedTemporaryFile() as file:
            mapped = numpy.memmap(file.name, dtype="i4", mode="w+", shape=(3,))
            mapped[:] = [1, 2, 3]
            made = stoa.freeze({"m": mapped})["m"]
            mapped[0] = 9
            self.assertEqual((type(made), made.tolist()), (numpy.ndarray, [1, 2, 3]))


if numpy is not None:

    class Plain(numpy.ndarray):
        pass

    class Mine(numpy.float64):
        pass

    class Told(numpy.ndarray):
        def __reduce__(self):
            return told, (self.tolist(),)

    def told(items):
        return numpy.array(items).view(Told)


if __name__ == "__main__":
    unittest.main()
