"""array(), array_from_file(), arrow(): bulk data in the heap."""

import array as typed
import ctypes
import io
import mmap
import os
import random
import tempfile
import threading
import unittest

import stoa

try:
    import numpy
except ImportError:
    numpy = None

try:
    import hypothesis
    import hypothesis.strategies as st
except ImportError:
    hypothesis = None

SANITIZED = bool(os.environ.get("STOA_SANITIZE"))


def shown(value):
    """What is delivered, as a memoryview: NumPy makes ndarrays of arrays in the main interpreter."""
    return memoryview(value)


def address(view):
    """Of the first byte, through the exporter."""
    if numpy is not None and isinstance(view, numpy.ndarray):
        return view.__array_interface__["data"][0]
    pointer = ctypes.py_object(view)
    buffer = (ctypes.c_ssize_t * 32)()  # Py_buffer: buf is its first word
    ctypes.pythonapi.PyObject_GetBuffer(pointer, ctypes.byref(buffer), ctypes.c_int(0x011C))
    found = buffer[0]
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))
    return found


class Buffers(unittest.TestCase):
    def check(self, source, **more):
        made = stoa.array(source, **more)
        view, wanted = shown(made), memoryview(source)
        self.assertEqual(view.tobytes(), wanted.tobytes())
        self.assertTrue(view.readonly)
        if not more:
            self.assertEqual((view.shape, view.format, view.itemsize), (wanted.shape, wanted.format, wanted.itemsize))
        return made

    def test_bytes_like(self):
        for source in (b"", b"x", b"hello" * 1000, bytearray(b"abc"), typed.array("d", [1.5, -2, 1e300]), typed.array("b"),
                       memoryview(b"abc"), typed.array("Q", [2**64 - 1])):
            with self.subTest(source=source if len(source) < 10 else type(source)):
                self.check(source)

    def test_every_layout_of_a_memoryview(self):
        base = memoryview(bytearray(range(240)))
        cube = base.cast("B", (4, 5, 12))
        for view in (base[::2], base[::-1], base[100:20:-7], base[5:5], base[:0:-1], cube, cube[1:3], cube[::-1], base[::3].toreadonly(),
                     base.cast("I"), base.cast("d", (30,)), base.cast("B", (240, 1)), base.cast("H", (2, 3, 20)), base[:8].cast("q", ())):
            with self.subTest(shape=view.shape, strides=view.strides):
                self.assertEqual(shown(self.check(view)).tolist(), view.tolist())

    def test_a_ctypes_structure_keeps_its_format(self):
        class Point(ctypes.Structure):
            _fields_ = [("x", ctypes.c_double), ("flags", ctypes.c_int32 * 2)]

        points = (Point * 3)((1.5, (1, 2)), (2.5, (3, 4)))
        made = stoa.array(points)
        self.assertEqual(shown(made).itemsize, 16)
        self.assertEqual(shown(made).tobytes(), bytes(points))

    def test_swapped_bytes_keep_their_format(self):
        swapped = (ctypes.c_int32.__ctype_be__ * 3)(1, 2, 3)
        made = stoa.array(swapped)
        self.assertEqual(shown(made).format, ">i" if numpy is None else shown(made).format)
        self.assertEqual(shown(made).tobytes(), b"".join(i.to_bytes(4, "big") for i in (1, 2, 3)))

    def test_objects_and_pointers_are_refused(self):
        class Of(ctypes.Structure):
            _fields_ = [("X", ctypes.c_int), ("Other", ctypes.py_object)]

        class Pointing(ctypes.Structure):
            _fields_ = [("O", ctypes.POINTER(ctypes.c_int))]

        class Owned(ctypes.Structure):
            _fields_ = [("O", ctypes.c_int), ("Xz", ctypes.c_double), ("Z", ctypes.c_short)]

        for source in ((ctypes.py_object * 2)([], {}), (Of * 2)(), Pointing(), (ctypes.c_char_p * 1)(), (ctypes.c_wchar_p * 1)(),
                       (ctypes.CFUNCTYPE(None) * 1)()):
            with self.subTest(format=memoryview(source).format):
                with self.assertRaisesRegex(TypeError, "Python objects or pointers"):
                    stoa.array(source)
                with self.assertRaisesRegex(stoa.NotFreezable, r"\$\[0\].*Python objects or pointers"):
                    stoa.freeze([memoryview(source)])
        with tempfile.TemporaryFile() as file, self.assertRaisesRegex(ValueError, "Python objects or pointers"):
            stoa.array_from_file(file, "O")
        owned = (Owned * 2)((1, 2.5, 3), (4, 5.5, 6))  # only the names of its fields have such letters
        for made in (stoa.array(owned), stoa.freeze([memoryview(owned)])[0]):
            self.assertEqual(shown(made).tobytes(), bytes(owned))

    def test_another_format_and_shape(self):
        made = stoa.array(bytes(range(16)), "<i", (2, 2))
        self.assertEqual((shown(made).shape, shown(made).itemsize), ((2, 2), 4))
        self.assertEqual(shown(stoa.array(b"\x01" * 8, "d", ())).shape, ())
        self.assertEqual(shown(stoa.array(bytes(12), None, (3, 4))).shape, (3, 4))
        self.assertEqual(shown(stoa.array(memoryview(bytearray(range(16)))[::2], "H")).tobytes(), bytes(range(0, 16, 2)))
        self.assertEqual(shown(stoa.array(b"", "d", (0, 7))).shape, (0, 7))
        self.assertEqual(shown(stoa.array(b"abcdef", "3s")).itemsize, 3)

    def test_iterables_of_numbers(self):
        self.assertEqual(shown(stoa.array(range(1000), "q")).tolist(), list(range(1000)))
        self.assertEqual(shown(stoa.array((i / 2 for i in range(5)), "d")).tolist(), [0, 0.5, 1, 1.5, 2])
        self.assertEqual(shown(stoa.array([True, False], "?")).tolist(), [True, False])
        self.assertEqual(shown(stoa.array([1.5], "e")).tobytes(), b"\x00\x3e")
        self.assertEqual(shown(stoa.array([1, 2], ">H")).tobytes(), b"\0\1\0\2")
        self.assertEqual(shown(stoa.array([], "d")).shape, (0,))
        self.assertEqual(shown(stoa.array(range(6), "i", (2, 3))).tolist(), [[0, 1, 2], [3, 4, 5]])

    def test_refusals_say_why(self):
        for error, words, arguments in [
            (TypeError, "needs a format", ([1, 2],)),
            (TypeError, "not int", (5,)),
            (TypeError, "not str", ("text", "B")),
            (TypeError, "not NoneType", (None,)),
            (OverflowError, "", ([300], "b")),
            (TypeError, "", (["x"], "d")),
            (ValueError, "whole number of items", (b"abc", "d")),
            (ValueError, "shape does not hold 2 items", (bytes(16), "d", (3,))),
            (ValueError, "negative", (b"abcd", None, (-2, -2))),
            (ValueError, "none of an item", (b"abcd", "nonsense")),
            (ValueError, "none of an item", (b"abcd", "")),
            (ValueError, "Python objects or pointers", (b"\1" * 8, "O")),
            (ValueError, "one number", ([1], "2i")),
            (ValueError, "'zz' is none of the struct module", ([1], "zz")),
            (ValueError, "an item is no '>i'", ([2**40], ">i")),
            (ValueError, "65 dimensions", (b"a", None, (1,) * 65)),
            (ValueError, "", (b"a", None, (2**62, 2**62))),
            (TypeError, "", (b"a", None, ("x",))),
            ((TypeError, ValueError), "", (b"a", 5)),
        ]:
            with self.subTest(arguments=arguments), self.assertRaisesRegex(error, words):
                stoa.array(*arguments)

    def test_raising_iterables_leave_nothing(self):
        region = stoa.Region("array-raises")

        def numbers():
            yield 1
            raise KeyError("here")

        with self.assertRaisesRegex(KeyError, "here"):
            stoa.array(numbers(), "q", region=region)
        self.assertEqual(region.stats()["used_bytes"], 0)

    def test_nobody_can_write(self):
        made = stoa.array(bytearray(b"abc"))
        with self.assertRaises((TypeError, ValueError)):
            made[0] = 1
        with self.assertRaisesRegex(TypeError, "read-?write|read-only"):
            io.BytesIO(b"xyz").readinto(made)
        exporter = stoa.arrow(made)
        buffer = (ctypes.c_ssize_t * 32)()
        with self.assertRaisesRegex(BufferError, "read-only; copy it"):
            ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(exporter), ctypes.byref(buffer), ctypes.c_int(0x0001))
        self.assertEqual(bytes(shown(made)), b"abc")

    def test_a_view_that_its_holder_releases(self):
        made = stoa.freeze({"in a graph": memoryview(b"released")})
        stoa.publish("array-released", made["in a graph"])
        self.addCleanup(stoa.unpublish, "array-released")
        with stoa.lookup("array-released") if numpy is None else memoryview(made["in a graph"]) as view:
            self.assertEqual(bytes(view), b"released")
        self.assertEqual(bytes(shown(stoa.lookup("array-released"))), b"released")
        self.assertEqual(bytes(shown(stoa.freeze([memoryview(b"released")])[0])), b"released")
        del made, view
        self.assertEqual(bytes(shown(stoa.freeze({"in a graph": memoryview(b"released")})["in a graph"])), b"released")
        with stoa.Interpreter() as other:
            other.exec("import stoa\nfirst = stoa.lookup('array-released')\nfirst.release()\nassert bytes(stoa.lookup('array-released')) == b'released'")

    def test_what_is_in_the_heap_is_not_copied(self):
        region = stoa.Region("array-views")
        big = stoa.array(os.urandom(1 << 20), region=region)
        before = region.stats()["used_bytes"]
        part = stoa.array(shown(big)[1000:2000], region=region)
        back = stoa.array(shown(big)[::-3], region=region)
        self.assertEqual(address(part), address(big) + 1000)
        self.assertEqual(shown(part).tobytes(), shown(big)[1000:2000].tobytes())
        self.assertEqual(shown(back).tobytes(), shown(big)[::-3].tobytes())
        self.assertLess(region.stats()["used_bytes"] - before, 4096)
        self.assertIs(stoa.array(big), big)
        text = stoa.freeze(b"bytes in the heap" * 10)
        self.assertEqual(shown(stoa.array(text)).tobytes(), text)
        elsewhere = stoa.array(part, region=stoa.Region("array-other")) if numpy is None else None
        if elsewhere is not None:  # the very object that was asked about: it stays where it is
            self.assertIs(elsewhere, part)

    def test_payload_is_aligned(self):
        for size in (1, 63, 64, 65, 4097, 70_000, 3 << 20):
            with self.subTest(size=size):
                made = stoa.array(bytes(size))
                self.assertEqual(address(made) % (4096 if size >= 65536 else 64), 0)

    def test_large_ones_of_odd_sizes(self):
        chooser = random.Random(13)
        for size in (65_536, (2 << 20) - 1, (2 << 20) + 4097, (5 << 20) + 1):
            source = chooser.randbytes(size)
            with self.subTest(size=size):
                self.assertEqual(shown(stoa.array(source)).tobytes(), source)
                self.assertEqual(shown(stoa.array(memoryview(source)[::-1])).tobytes(), source[::-1])

    def test_a_limit_is_a_memory_error_and_leaves_nothing(self):
        region = stoa.Region("array-limit", limit=1 << 20)
        for _ in range(5):
            with self.assertRaises(MemoryError):
                stoa.array(bytes(2 << 20), region=region)
        self.assertEqual(region.stats()["used_bytes"], 0)
        self.assertEqual(shown(stoa.array(bytes(1 << 19), region=region)).nbytes, 1 << 19)

    def test_released_and_resized_buffers(self):
        view = memoryview(bytearray(10))
        view.release()
        with self.assertRaises(ValueError):
            stoa.array(view)
        source = bytearray(os.urandom(8 << 20))
        wanted, failures = bytes(source), []
        go = threading.Event()

        def resize():
            go.wait()
            for _ in range(200):
                try:
                    source.append(0)
                    source.pop()
                except BufferError:
                    failures.append(1)

        thread = threading.Thread(target=resize)
        thread.start()
        go.set()
        for _ in range(3):
            self.assertEqual(shown(stoa.array(source))[: len(wanted)], wanted)
        thread.join()

    def test_a_map_of_a_file(self):
        with tempfile.TemporaryFile() as file:
            file.write(b"0123456789" * 1000)
            file.flush()
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                made = stoa.array(mapped)
            self.assertEqual(shown(made).tobytes(), b"0123456789" * 1000)


class Graphs(unittest.TestCase):
    def test_in_frozen_graphs_names_and_arguments(self):
        made = stoa.array(range(1000), "q")
        self.assertIs(stoa.freeze(made), made)
        self.assertTrue(stoa.is_shared(made))
        graph = stoa.freeze({"numbers": [made, made], "typed": typed.array("d", [1, 2]), "view": memoryview(b"abc")[::-1]})
        self.assertIs(graph["numbers"][0], made)
        self.assertEqual(shown(graph["typed"]).tolist(), [1, 2])
        self.assertEqual(shown(graph["view"]).tobytes(), b"cba")
        stoa.publish("array-graph", graph)
        self.addCleanup(stoa.unpublish, "array-graph")
        self.assertIs(stoa.lookup("array-graph")["numbers"][1], made)
        with stoa.Interpreter(name="array-reader") as other:
            other.exec(
                "import stoa\n"
                "def total(x):\n"
                "    m = memoryview(x)\n"
                "    assert m.readonly and m.format == 'q' and m.shape == (1000,)\n"
                "    return sum(m)\n"
                "g = stoa.lookup('array-graph')\n"
                "assert g['numbers'][0] is g['numbers'][1] is stoa.lookup('array-graph')['numbers'][0]\n"
                "assert total(g['numbers'][0]) == 499500\n"
                "def make(): return stoa.array(range(5), 'i')\n"
            )
            self.assertEqual(other.call("__main__:total", made), 499500)
            self.assertEqual(shown(other.call("__main__:make")).tolist(), [0, 1, 2, 3, 4])

    def test_share_copies_nothing_that_can_change(self):
        with self.assertRaisesRegex(stoa.NotFreezable, r"\$\[1\].*can change"):
            stoa.share((1, memoryview(bytearray(b"abc"))))
        made = stoa.array(b"abc")
        self.assertIs(stoa.share((made,))[0], made)
        shared = stoa.share((1, memoryview(b"that nobody can change")[5:11]))
        self.assertEqual(bytes(shared[1]), b"nobody")
        for mutable in (memoryview(bytearray(b"abc")).toreadonly(), memoryview(typed.array("i", [1]))):
            with self.assertRaises(stoa.NotFreezable):
                stoa.share(mutable)

    def test_thaw(self):
        made = stoa.array(range(6), "i", (2, 3))
        copy = stoa.thaw(made)
        copy[0, 1] = 77
        self.assertEqual((shown(copy).tolist(), shown(made).tolist()), ([[0, 77, 2], [3, 4, 5]], [[0, 1, 2], [3, 4, 5]]))
        both = stoa.thaw(stoa.freeze([made, made]))
        self.assertIs(both[0], both[1])
        self.assertEqual(bytes(stoa.thaw(stoa.array(b""))), b"")


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "numbers")
        self.data = typed.array("d", [i / 3 for i in range(400_000)])
        with open(self.path, "wb") as file:
            self.data.tofile(file)

    def test_paths_and_open_files(self):
        self.assertEqual(shown(stoa.array_from_file(self.path, "d")).tolist(), self.data.tolist())
        with open(self.path, "rb") as file:
            file.seek(100)
            made = stoa.array_from_file(file, "d", (2, 1000), offset=80, size=16_000)
            self.assertEqual(file.tell(), 100)
        self.assertEqual(shown(made).tobytes(), self.data[10:2010].tobytes())
        self.assertEqual(shown(stoa.array_from_file(self.path, offset=3_200_000)).nbytes, 0)

    def test_errors(self):
        for error, options in [(EOFError, {"size": 1 << 40}), (EOFError, {"offset": 1 << 40}), (ValueError, {"offset": -1}),
                               (ValueError, {"size": -5}), (ValueError, {"size": 9, "format": "d"}), (EOFError, {"size": 3_200_001})]:
            with self.subTest(options=options), self.assertRaises(error if "size" not in options or options["size"] < 1 << 39 else
                                                                  (EOFError, MemoryError)):
                stoa.array_from_file(self.path, **options)
        with self.assertRaises(FileNotFoundError):
            stoa.array_from_file(self.path + "x")
        with self.assertRaises(OSError):
            stoa.array_from_file(self.folder.name, size=10)

    def test_files_that_do_not_say_how_long_they_are(self):
        with open("/proc/version", "rb") as file:
            text = file.read()
        self.assertEqual(bytes(shown(stoa.array_from_file("/proc/version"))), text)
        self.assertEqual(bytes(shown(stoa.array_from_file("/proc/version", offset=5))), text[5:])
        self.assertEqual(bytes(shown(stoa.array_from_file("/proc/version", size=3))), text[:3])
        self.assertRaises(EOFError, stoa.array_from_file, "/proc/version", offset=len(text) + 1)

    def test_pipes(self):
        reader, writer = os.pipe()
        with open(reader, "rb", buffering=0) as source:
            thread = threading.Thread(target=lambda: (os.write(writer, b"abc"), os.write(writer, b"defgh"), os.close(writer)))
            thread.start()
            self.assertRaises(ValueError, stoa.array_from_file, source)
            self.assertEqual(shown(stoa.array_from_file(source, size=6)).tobytes(), b"abcdef")
            self.assertRaises(EOFError, stoa.array_from_file, source, size=6)
            thread.join()


class Arrow(unittest.TestCase):
    """The C data interface; there need not be an Arrow library."""

    class Speaker:
        def __init__(self, exporter):
            self.exporter = exporter

        def __arrow_c_array__(self, requested_schema=None):
            return self.exporter.__arrow_c_array__(requested_schema)

    def test_out_and_in(self):
        for code in "bBhHiIlLqQfd":
            source = stoa.array(range(100), code)
            back = stoa.array(self.Speaker(stoa.arrow(source)))
            self.assertEqual(shown(back).tolist(), shown(source).tolist(), code)
        cube = stoa.array(range(24), "i", (2, 3, 4))
        self.assertEqual(shown(stoa.array(self.Speaker(stoa.arrow(cube)))).tolist(), shown(cube).tolist())
        for flags in (stoa.array([i % 3 == 0 for i in range(42)], "?", (6, 7)), stoa.array(b"\0\1\2\3", "?"), stoa.array([], "?")):
            back = shown(stoa.array(self.Speaker(stoa.arrow(flags))))  # bits on the way
            self.assertEqual((back.format, back.shape, back.tolist()), ("?", shown(flags).shape, shown(flags).tolist()))
        empty = stoa.array([], "d")
        self.assertEqual(shown(stoa.array(self.Speaker(stoa.arrow(empty)))).shape, (0,))

    def test_refusals(self):
        with self.assertRaisesRegex(TypeError, "no numbers of format '>i'"):
            stoa.arrow(stoa.array([1], ">i")).__arrow_c_array__()
        with self.assertRaises(TypeError):
            stoa.arrow(b"abc")
        reversed_view = stoa.array(shown(stoa.array(range(5), "B"))[::-1])
        with self.assertRaisesRegex(BufferError, "copy it"):
            stoa.arrow(reversed_view).__arrow_c_array__()

    def foreign(self, layout, length, buffers, null_count=0, offset=0, children=()):
        """An Arrow array as another library would make it."""
        return _ForeignArrow(layout, length, buffers, null_count, offset)

    def test_of_another_library(self):
        numbers = (ctypes.c_int32 * 6)(*range(6))
        self.assertEqual(shown(stoa.array(self.foreign(b"i", 4, [None, numbers], offset=2))).tolist(), [2, 3, 4, 5])
        bits = (ctypes.c_uint8 * 2)(0b10110101, 1)
        self.assertEqual(shown(stoa.array(self.foreign(b"b", 8, [None, bits], offset=1))).tolist(), [False, True, False, True, True, False, True, True])
        valid = (ctypes.c_uint8 * 1)(0b111)
        self.assertEqual(shown(stoa.array(self.foreign(b"i", 3, [valid, numbers], null_count=-1))).tolist(), [0, 1, 2])
        self.assertEqual(shown(stoa.array(self.foreign(b"w:3", 2, [None, (ctypes.c_char * 6)(*b"abcdef")]))).tobytes(), b"abcdef")
        self.assertEqual(shown(stoa.array(self.foreign(b"tsn:UTC", 1, [None, (ctypes.c_int64 * 1)(7)]))).tolist(), [7])
        for words, case in [("buffers and children", (b"u", 1, [None, numbers])), ("damaged", (b"i", -4, [None, numbers])), ("no values", (b"i", 4, [None, None])),
                            ("type ''", (b"", 0, [None, None])), ("type 'w:x'", (b"w:x", 1, [None, numbers])), ("type 'vx'", (b"vx", 1, [None, numbers]))]:
            with self.subTest(words), self.assertRaisesRegex((TypeError, ValueError), words):
                stoa.array(self.foreign(*case))


class _Schema(ctypes.Structure):
    pass


_RELEASE_SCHEMA = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Schema))
_Schema._fields_ = [("format", ctypes.c_char_p), ("name", ctypes.c_char_p), ("metadata", ctypes.c_char_p), ("flags", ctypes.c_int64),
                    ("n_children", ctypes.c_int64), ("children", ctypes.c_void_p), ("dictionary", ctypes.c_void_p),
                    ("release", _RELEASE_SCHEMA), ("private_data", ctypes.c_void_p)]


class _Array(ctypes.Structure):
    pass


_RELEASE_ARRAY = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Array))
_Array._fields_ = [("length", ctypes.c_int64), ("null_count", ctypes.c_int64), ("offset", ctypes.c_int64), ("n_buffers", ctypes.c_int64),
                   ("n_children", ctypes.c_int64), ("buffers", ctypes.POINTER(ctypes.c_void_p)), ("children", ctypes.c_void_p),
                   ("dictionary", ctypes.c_void_p), ("release", _RELEASE_ARRAY), ("private_data", ctypes.c_void_p)]


class _ForeignArrow:
    def __init__(self, layout, length, buffers, null_count=0, offset=0):
        self.release = (_RELEASE_SCHEMA(lambda schema: None), _RELEASE_ARRAY(lambda array: None))
        self.schema = _Schema(format=layout, name=b"", release=self.release[0])
        self.kept = buffers
        self.buffers = (ctypes.c_void_p * len(buffers))(*[buffer and ctypes.addressof(buffer) for buffer in buffers])
        self.array = _Array(length=length, null_count=null_count, offset=offset, n_buffers=len(buffers), buffers=self.buffers, release=self.release[1])

    def __arrow_c_array__(self, requested_schema=None):
        capsule = ctypes.pythonapi.PyCapsule_New
        capsule.restype, capsule.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        return capsule(ctypes.addressof(self.schema), b"arrow_schema", None), capsule(ctypes.addressof(self.array), b"arrow_array", None)


@unittest.skipIf(numpy is None, "NumPy is not installed for this Python")
class NumPy(unittest.TestCase):
    def check(self, source):
        made = stoa.array(source)
        self.assertIsInstance(made, numpy.ndarray)
        self.assertEqual((made.dtype, made.shape), (source.dtype, source.shape))
        self.assertFalse(made.flags.writeable)
        if source.dtype.names is None:  # what lies in the gaps of a record is anybody's
            self.assertEqual(made.tobytes(), source.tobytes())
        numpy.testing.assert_array_equal(made, source)
        return made

    def test_every_dtype_of_fixed_size(self):
        record = numpy.dtype([("name", "U5"), ("when", "M8[s]"), ("at", "f4", (2, 3)), ("inner", [("a", "i1"), ("b", ">i8")])])
        gaps = numpy.dtype({"names": ["a", "b"], "formats": ["i4", "f8"], "offsets": [4, 16], "itemsize": 32})
        overlap = numpy.dtype({"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 2]})
        codes = [c for c in numpy.typecodes["All"] if c not in "OSUVmM"] + ["S7", "U3", "V5", "M8[ns]", "m8[D]", ">M8[us]", ">f8", ">i2", ">U2"]
        for dtype in [numpy.dtype(code) for code in codes] + [record, gaps, overlap, numpy.dtype([("x", "?"), ("y", "c16")], align=True)]:
            source = numpy.frombuffer(random.Random(str(dtype)).randbytes(dtype.itemsize * 12).replace(b"\xff", b"\1"), numpy.uint8)
            if dtype.kind in "U" or dtype.names or dtype.kind in "?fcg":
                source = numpy.zeros(dtype.itemsize * 12, numpy.uint8)
            with self.subTest(dtype=dtype):
                values = source.view(dtype).reshape(3, 4)
                self.check(values)
                self.check(values[::-1, ::2])
                self.check(values.T)
                self.check(values[:0])
                self.check(values[1:2, 2].reshape(()))

    def test_every_layout(self):
        base = numpy.arange(120.0).reshape(2, 3, 4, 5)
        for view in (base, base[::-1], base.T, base[:, 1], base[..., ::-2], numpy.broadcast_to(base[0, 0, 0], (7, 5)), base[1:1],
                     numpy.asfortranarray(base), numpy.float64(2.5).reshape(()), base.astype(">f4")[:, ::2]):
            self.check(numpy.asarray(view))

    def test_writing_is_refused(self):
        made = self.check(numpy.arange(5))
        with self.assertRaisesRegex(ValueError, "read-only"):
            made[0] = 1
        with self.assertRaises(ValueError):
            made.flags.writeable = True
        with self.assertRaises(ValueError):
            made += 1

    def test_slices_are_not_copied(self):
        made = stoa.array(numpy.arange(10_000))
        part = stoa.array(made[10:5000:7])
        self.assertTrue(numpy.shares_memory(part, made))
        numpy.testing.assert_array_equal(part, numpy.arange(10_000)[10:5000:7])
        self.assertIs(stoa.array(part), part)

    def test_object_arrays_are_frozen_item_by_item(self):
        source = numpy.array([[1, "two"], [(3.5, [4]), None]], dtype=object)
        made = stoa.array(source)
        self.assertEqual((made.dtype, made.shape, made.flags.writeable), (numpy.dtype(object), (2, 2), False))
        self.assertEqual(made.tolist(), [[1, "two"], [(3.5, (4,)), None]])
        self.assertIs(stoa.freeze([made])[0], made)
        with self.assertRaises(ValueError):
            made.flags.writeable = True
        flat = stoa.array(numpy.array([1, [2], {3: [4]}, {5}], dtype=object))
        self.assertEqual(flat.tolist(), [1, (2,), {3: (4,)}, {5}])
        self.assertNotIsInstance(flat[2], dict)
        self.assertIs(type(flat[3]), frozenset)
        stoa.publish("array-objects", stoa.freeze({"a": source}))
        self.addCleanup(stoa.unpublish, "array-objects")
        with stoa.Interpreter() as other:
            other.exec("import stoa\nassert stoa.lookup('array-objects')['a'] == ((1, 'two'), ((3.5, (4,)), None))")

    def test_in_frozen_graphs(self):
        source = numpy.arange(12).astype("M8[D]").reshape(3, 4)
        graph = stoa.freeze({"a": source[::2], "b": [source]})
        numpy.testing.assert_array_equal(graph["a"], source[::2])
        self.assertEqual(graph["b"][0].dtype, source.dtype)
        self.assertFalse(graph["b"][0].flags.writeable)
        with self.assertRaisesRegex(stoa.NotFreezable, "can change"):
            stoa.share([numpy.arange(3)][0])
        region = stoa.Region("ndarray-in-a-graph")
        graph = region.freeze([{"big": numpy.zeros(100_000), "small": numpy.arange(3, dtype="m8[s]")}])
        self.assertGreater(region.stats()["used_bytes"], 800_000)
        self.assertEqual(graph[0]["small"].dtype, numpy.dtype("m8[s]"))
        limited = stoa.Region("ndarray-in-a-small-one", limit=1 << 19)
        with self.assertRaises(MemoryError):
            limited.freeze([numpy.zeros(100_000)])
        self.assertEqual(limited.stats()["objects"], 0)
        made = stoa.array(source)
        self.assertIs(stoa.share(made), made)
        copy = stoa.thaw(made)
        copy[0, 0] = "2020-01-01"
        self.assertNotEqual(copy[0, 0], made[0, 0])
        with stoa.Interpreter() as other:  # which has no NumPy
            other.exec("def look(a): m = memoryview(a); return m.shape, m.format, m.tolist()")
            self.assertEqual(other.call("__main__:look", made), ((3, 4), "q" if made.dtype.str[0] != ">" else ">q", source.astype("i8").tolist())
                             if numpy.dtype("l").itemsize != 8 else ((3, 4), "l", source.astype("i8").tolist()))

    def test_a_refused_graph_leaves_no_copy(self):
        region = stoa.Region("ndarray-beside-a-refusal")
        big, small = numpy.zeros(100_000), numpy.arange(3, dtype="m8[s]")
        for graph in ([big, object()], [object(), small, big], [{"a": big, "b": iter(())}]):
            with self.subTest(graph=[type(x).__name__ for x in graph]), self.assertRaises(stoa.NotFreezable):
                region.freeze(graph)
            self.assertEqual(region.stats()["objects"], 0)
        made = region.freeze([big, small, big])
        self.assertIs(made[0], made[2])
        numpy.testing.assert_array_equal(made[1], small)

    def test_refused_dtypes(self):
        for values in (numpy.zeros(2, [("a", "O")]), numpy.zeros(2, "V0")):
            with self.subTest(dtype=values.dtype), self.assertRaisesRegex(TypeError, "astype"):
                stoa.array(values)

    def test_masks_are_not_lost_silently(self):
        whole = numpy.ma.array([1.0, 2.0], mask=[False, False])
        numpy.testing.assert_array_equal(stoa.array(whole), [1.0, 2.0])
        with self.assertRaisesRegex(TypeError, "mask would be lost"):
            stoa.array(numpy.ma.array([1.0, 2.0], mask=[False, True]))
        records = [(1, 2.0), (3, 4.0)], [("a", "i4"), ("b", "f8")]
        with self.assertRaisesRegex(TypeError, "mask would be lost"):
            stoa.array(numpy.ma.array(*records, mask=[(0, 0), (0, 1)]))
        numpy.testing.assert_array_equal(stoa.array(numpy.ma.array(*records)), numpy.array(*records))

    def test_other_formats(self):
        numpy.testing.assert_array_equal(stoa.array(numpy.arange(4, dtype="i4"), "B"), numpy.arange(4, dtype="i4").view("u1"))
        self.assertEqual(stoa.array(numpy.arange(6), shape=(2, 3)).shape, (2, 3))


@unittest.skipIf(hypothesis is None, "hypothesis is not installed for this Python")
class AnyBuffer(unittest.TestCase):
    if hypothesis is not None:

        @hypothesis.settings(max_examples=60, deadline=None, database=None, derandomize=True)
        @hypothesis.given(st.binary(max_size=300), st.lists(st.slices(300), max_size=3), st.sampled_from("BbHiQd"))
        def test_any_slice_of_any_format(self, data, slices, code):
            size = typed.array(code).itemsize
            view = memoryview(data[: len(data) // size * size]).cast(code)
            for each in slices:
                view = view[each]
            made = shown(stoa.array(view))
            self.assertEqual((made.tobytes(), made.shape), (view.tobytes(), view.shape))


if __name__ == "__main__":
    unittest.main()
