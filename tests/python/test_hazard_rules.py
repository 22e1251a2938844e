"""What hazards.md says of objects rather than of operations: which are the runtime's own (section 2), reference counts
(section 3), layout (section 4), types (section 5), and what must not be shared at all (W17, W20, W21)."""
import array
import collections
import datetime
import decimal
import enum
import fractions
import gc
import os
import re
import struct
import subprocess
import sys
import types
import unittest
import uuid
import weakref

import _stoa_testing as c
import stoa
from stoa_tests import hazards

DEBUG = hasattr(sys, "gettotalrefcount")
FROZENDICT = sys.version_info >= (3, 15)


def fresh(text):
    """An equal str that nobody has interned."""
    return "".join(list(text))


def word(value, offset, size=8):
    return int.from_bytes(c.peek(value, offset, size), sys.byteorder)


class Canonical(unittest.TestCase):
    """Section 2: where the runtime has an object of its own, freezing gives that one."""

    def test_S2_dunder_names_are_the_runtime_s(self):
        for name in ("__len__", "__eq__", "__init__", "__getattr__", "__class__", "__call__", "__hash__", "__iter__", "__name__",
                     "__dict__", "__doc__", "__module__", "__add__", "__setattr__", "__enter__", "__exit__", "__repr__"):
            with self.subTest(name):
                self.assertIs(stoa.freeze(fresh(name)), sys.intern(fresh(name)))
                self.assertIs(stoa.freeze((1, (fresh(name),)))[1][0], sys.intern(fresh(name)))

    def test_S2_short_text_and_bytes(self):
        for number in range(256):
            # 3.12 has two objects of some letters; the interned one is what compiled code holds
            self.assertIs(stoa.freeze(fresh(chr(number))), sys.intern(chr(number)) if number < 128 else chr(number))
            self.assertIs(stoa.freeze(bytes([number])), bytes([number]))
            self.assertIs(stoa.freeze(bytearray([number])), bytes([number]))
        self.assertIs(stoa.freeze(fresh("")), "")
        self.assertIs(stoa.freeze(bytearray()), b"")

    def test_S2_small_ints_are_the_runtime_s_and_others_are_not(self):
        highest = 1024 if sys.version_info >= (3, 15) else 256
        for number in range(-5, highest + 1):
            self.assertIs(stoa.freeze(int(str(number))), int(str(number)))
        for number in (-6, highest + 1):
            self.assertIsNot(stoa.freeze(int(str(number))), int(str(number)))

    def test_S2_singletons(self):
        for value in (None, True, False, ..., NotImplemented, ()):
            self.assertIs(stoa.freeze(value), value)
            self.assertTrue(stoa.is_shared(value))
        self.assertIs(stoa.freeze([]), ())

    def test_S2_static_types_are_shared(self):
        for kind in (int, str, tuple, dict, type, object, ValueError, KeyError, types.MappingProxyType):
            self.assertTrue(stoa.is_shared(kind), kind)
            self.assertIs(stoa.freeze(kind), kind)

    def test_S2_sys_intern_keeps_the_shared_one(self):
        shared = stoa.freeze(fresh("an identifier for intern"))
        self.assertIs(sys.intern(shared), shared)


class ReferenceCounts(unittest.TestCase):
    """Section 3."""

    def values(self):
        yield stoa.freeze("text for the counts")
        yield stoa.freeze(b"bytes for the counts")
        yield stoa.freeze((1, 2, "tuple for the counts"))
        yield stoa.freeze(frozenset({"set for the counts"}))
        yield stoa.freeze(123456789012345)
        yield stoa.freeze(2.71828)
        yield stoa.freeze({"mapping": "for the counts"})

    def test_S3_value_of_the_field(self):
        if sys.version_info < (3, 14):
            wanted = 0xFFFFFFFF
        elif DEBUG:
            wanted = 5 << 48 | 3 << 30
        else:
            wanted = 0x00050000FFFFFFFF
        offset = 16 if sys.flags.debug and hasattr(sys, "getobjects") else 0
        for value in self.values():
            self.assertEqual(word(value, offset), wanted, type(value))

    def test_S3_counting_leaves_it_alone(self):
        for value in self.values():
            before = sys.getrefcount(value)
            kept = [value] * 1000
            c.count_references(value)
            self.assertEqual(sys.getrefcount(value), before)
            del kept
            self.assertEqual(sys.getrefcount(value), before)

    def run_old_extension(self, mode, body):
        script = f"import stoa, _stoa_oldheaders as old\nx = stoa.freeze('given to an old extension')\n{body}"
        environment = dict(os.environ, STOA_GUARD=mode)
        return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)

    def test_S3_old_extension_is_tolerated(self):
        child = self.run_old_extension("tolerate", """
assert old.balanced(x, 100000) == 100000
assert old.incref(x, 1000000) == 1000000
y = stoa.freeze(('a tuple', x))
old.incref(y, 5)
assert x == 'given to an old extension' and {x: 1}[x] == 1 and y[1] is x
for _ in range(1000):
    kept = [x, y] * 100
    del kept
i = stoa.Interpreter()
stoa.publish('x', x)
i.exec("import stoa; x = stoa.lookup('x'); assert x == 'given to an old extension'; kept = [x] * 1000; del kept")
i.close()
print('alive', x)
""")
        self.assertEqual(child.returncode, 0, child.stderr)
        self.assertEqual(child.stdout, "alive given to an old extension\n")
        self.assertEqual(child.stderr.count("given to an old extension"), 1, f"warns once and names the object: {child.stderr}")

    def test_S3_a_freeze_puts_the_guard_in_front_of_handlers_that_came_later(self):
        child = self.run_old_extension("tolerate", """
import faulthandler, time
faulthandler.enable()
time.sleep(0.15)  # the guard looks ten times a second at most
stoa.freeze(['frozen after it'])
old.incref(x, 5)
print('alive')
""")
        self.assertEqual((child.returncode, child.stdout), (0, "alive\n"), child.stderr)

    def test_S3_old_extension_under_the_strict_guard(self):
        child = self.run_old_extension("strict", "old.incref(x)\nprint('unreachable')")
        self.assertLess(child.returncode, 0, child.stdout)
        self.assertNotIn("unreachable", child.stdout)
        for part in ("str 'given to an old extension'", "headers older than Python 3.12", "_stoa_oldheaders"):
            self.assertIn(part, child.stderr)

    def test_S3_writes_to_content_end_the_process_in_both_modes(self):
        for mode in ("strict", "tolerate"):
            with self.subTest(mode):
                script = "import stoa, _stoa_testing as c\nx = stoa.freeze('content')\nc.poke(x, 44)\nprint('unreachable')"
                child = subprocess.run([sys.executable, "-c", script], env=dict(os.environ, STOA_GUARD=mode), capture_output=True,
                                       text=True, timeout=60)
                self.assertLess(child.returncode, 0, child.stdout)
                self.assertNotIn("unreachable", child.stdout)
                self.assertIn("content", child.stderr)

    def test_S3_a_writer_that_gave_up_the_gil_is_found(self):
        script = ("import stoa, ctypes\nx = stoa.freeze('content')\ni = stoa.Interpreter(gil='shared')\nstoa.publish('x', x)\n"
                  "i.exec('import stoa, ctypes\\ndef stray(): ctypes.memmove(id(stoa.lookup(\"x\")) + 44, b\"z\", 1)\\nstray()')")
        child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
        self.assertLess(child.returncode, 0, child.stdout)
        self.assertNotIn("no interpreter", child.stderr)
        self.assertIn("stray", child.stderr)

    def test_S3_single_phase_extension_stays_out_of_own_gil_interpreters(self):
        with stoa.Interpreter() as interpreter:
            interpreter.exec("try:\n    import _stoa_oldheaders\nexcept ImportError:\n    pass\nelse:\n    raise SystemError('loaded')")


class Layout(unittest.TestCase):
    """Section 4."""

    def same(self, plain):
        shared = stoa.freeze(plain)
        self.assertIsNot(shared, plain)
        self.assertTrue(stoa.is_shared(shared))
        self.assertIs(type(shared), type(plain))
        self.assertEqual(hazards.describe(shared), hazards.describe(plain))
        return shared

    def test_S4_str_of_every_form_and_length(self):
        for filler in ("a", "\xe9", "\u6f22", "\U0001f40d"):
            for length in [*range(2, 40), 255, 256, 1000, 4095, 4096, 70000]:
                shared = self.same(filler * length)
                self.assertEqual(len(shared), length)
                self.assertEqual(sys.getsizeof(shared), sys.getsizeof(fresh(shared)) + (len(shared.encode()) + 1 if filler != "a" else 0))

    def test_S4_bytes_of_every_length(self):
        for length in [*range(2, 40), 255, 256, 4096, 70000, 1 << 20, (1 << 20) + 1]:
            shared = self.same(b"\xff" * length)
            self.assertEqual(c.peek(shared, bytes.__basicsize__ - 1 + length, 1), b"\0")

    def test_S4_int_of_every_size(self):
        for bits in [*range(9, 130), 300, 1000, 10000]:
            for number in ((1 << bits) - 1, 1 << bits, -(1 << bits), -(1 << bits) + 1):
                if not -5 <= number <= 1024:
                    self.assertEqual(sys.getsizeof(self.same(int(str(number) if bits < 4000 else number) + 0)), sys.getsizeof(number))

    def test_S4_tuples_and_sets_of_every_size(self):
        for size in [*range(1, 70), 255, 256, 1000, 5000]:
            items = [f"item {i}" for i in range(size)]
            self.same(tuple(items))
            shared = self.same(frozenset(items))
            self.assertTrue(all(item in shared for item in items))
            self.assertFalse(any(item + "x" in shared for item in items))

    def test_S4_frozenset_with_dummies(self):
        source = set(range(1000, 1200))
        for number in range(1000, 1150):
            source.discard(number)
        shared = stoa.freeze(frozenset(source))
        self.assertEqual(sorted(shared), list(range(1150, 1200)))
        self.assertEqual(sorted(stoa.freeze(source)), list(range(1150, 1200)))
        self.assertNotIn(1000, shared)

    def test_S4_mappings_of_every_size_keep_their_order(self):
        for size in [*range(0, 70), 85, 86, 170, 171, 341, 342, 1000, 5000, 70000]:
            source = {f"key {i * 7919 % 100003}": i for i in range(size)}
            shared = stoa.freeze(source)
            self.assertEqual(list(shared.items()), list(source.items()))
            self.assertTrue(all(shared[key] == value for key, value in source.items()))

    def test_S4_mapping_after_deletions(self):
        source = {i: str(i) for i in range(100)}
        for i in range(0, 100, 3):
            del source[i]
        source[0] = "again"
        self.assertEqual(list(stoa.freeze(source).items()), list(source.items()))

    def test_S4_split_table_of_an_instance(self):
        class Thing:
            def __init__(self):
                self.first, self.second = 1, "two"

        self.assertEqual(dict(stoa.freeze(vars(Thing()))), {"first": 1, "second": "two"})

    @unittest.skipIf(sys.version_info < (3, 13), "native from 3.13 on")
    def test_S4_naive_and_utc_datetimes(self):
        utc = datetime.timezone.utc
        for value in (datetime.datetime(2020, 1, 2, 3), datetime.datetime(2020, 1, 2, 3, tzinfo=utc), datetime.time(1, 2),
                      datetime.time(1, 2, tzinfo=utc), datetime.date(2020, 1, 1), datetime.timedelta(5, 6, 7)):
            self.same(value)

    def test_S4_gc_does_not_know_them(self):
        for value in ((1, [2]), frozenset({1, (2,)}), slice(1, 2), {"a": [1]}):
            shared = stoa.freeze(value) if not isinstance(value, slice) else stoa.freeze(value)
            self.assertFalse(gc.is_tracked(shared))
            self.assertFalse(any(item is shared for item in gc.get_objects()))

    def test_S4_subclasses_are_refused(self):
        class Text(str): pass
        class Number(int): pass
        class Pair(tuple): pass
        class Group(frozenset): pass
        class Raw(bytes): pass
        class Real(float): pass
        class Table(dict): pass
        class Row(list): pass
        for value in (Text("a"), Number(3), Pair((1,)), Group({1}), Raw(b"x"), Real(1.5), Table(a=1), Row([1])):
            with self.subTest(type(value).__name__):
                with self.assertRaises(stoa.NotFreezable) as caught:
                    stoa.freeze([0, {"key": value}])
                self.assertEqual(caught.exception.path, "$[1]['key']")
                self.assertIn(type(value).__name__, caught.exception.type_name)


class Types(unittest.TestCase):
    """Section 5, and what must not be shared."""

    def refused(self, value):
        with self.assertRaises(stoa.NotFreezable, msg=repr(value)) as caught:
            stoa.freeze((1, value))
        self.assertEqual(caught.exception.path, "$[1]")

    def test_W17_nothing_is_made_immortal_that_is_not_ours(self):
        plain = fresh("an ordinary string of the battery")
        before = sys.getrefcount(plain)
        stoa.freeze([plain, (plain,)])
        gc.collect()
        self.assertEqual(sys.getrefcount(plain), before)

    def built_anew(self, value):
        """It crosses as a node: no object of this interpreter lies in the heap, each interpreter builds its own."""
        frozen = stoa.freeze((1, value))[1]
        with stoa.Interpreter() as other:
            self.assertNotEqual(other.call("builtins:id", stoa.freeze((1, value))[1]), id(value))
        return frozen

    def test_W20_code_objects_are_refused(self):
        self.refused((lambda: 1).__code__)
        self.assertEqual(self.built_anew(lambda: 1)(), 1)

    def test_W21_memoryviews_are_copied(self):
        source = bytearray(b"abc")
        frozen = self.built_anew(memoryview(source))
        source[0] = 0
        self.assertEqual(bytes(frozen), b"abc")  # an ndarray where NumPy is

    def test_W21_local_memoryview_of_shared_bytes(self):
        shared = stoa.freeze(b"bytes under a view")
        view = memoryview(shared)
        self.assertEqual((view[:5].tobytes(), view.readonly, hash(view)), (b"bytes", True, hash(shared)))
        weakref.ref(view)

    def test_S5_types_of_one_interpreter_are_refused(self):
        Row = collections.namedtuple("Row", "a b")

        class Color(enum.Enum):
            RED = 1

        for value in (Row(1, 2), Color.RED, struct.Struct("i"), object(), iter([1]), weakref.ref(Row), types.ModuleType("m")):
            with self.subTest(type(value).__name__):
                self.refused(value)

    def test_S5_types_that_an_import_finds_are_built_anew(self):
        for value in (decimal.Decimal("1.5"), fractions.Fraction(1, 2), uuid.UUID(int=5), re.compile("x"), array.array("i", [1]),
                      os.stat("."), collections.OrderedDict(a=1), types.SimpleNamespace(a=1), list[int], int | str,
                      datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))):
            with self.subTest(type(value).__name__):
                self.assertEqual(self.built_anew(value), value)

    @unittest.skipIf(sys.version_info < (3, 13), "native from 3.13 on")
    def test_S5_datetime_in_an_interpreter_that_never_imported_it(self):
        stoa.publish("rules/when", datetime.datetime(2020, 1, 2, 3, 4, 5))
        with stoa.Interpreter() as interpreter:
            interpreter.exec("""
import stoa
d = stoa.lookup('rules/when')
assert d.year == 2020 and d.isoformat() == '2020-01-02T03:04:05', d
import datetime
assert type(d) is datetime.datetime and d + datetime.timedelta(1) > d
""")

    def test_S5_static_types_have_one_address(self):
        kinds = (str, bytes, int, float, complex, tuple, frozenset, range, slice, type(None), types.MappingProxyType)
        with stoa.Interpreter() as interpreter:
            interpreter.exec("""
import stoa, types
kinds = (str, bytes, int, float, complex, tuple, frozenset, range, slice, type(None), types.MappingProxyType)
stoa.publish('rules/addresses', tuple(map(id, kinds)))
""")
        self.assertEqual(stoa.lookup("rules/addresses"), tuple(map(id, kinds)))

    def test_W22_foreign_operand_meets_the_inner_dict(self):
        """`m == foreign` hands the dict behind a mappingproxy to foreign.__eq__: changing it there must not go unnoticed."""
        script = """
import stoa
class Foreign:
    def __eq__(self, other):
        other['new'] = 1
        return True
m = stoa.freeze({'a': 1})
try:
    m == Foreign()
except TypeError:
    print('refused')
"""
        child = subprocess.run([sys.executable, "-c", script], env=dict(os.environ, STOA_GUARD="strict"), capture_output=True, text=True,
                               timeout=60)
        if FROZENDICT:
            self.assertEqual((child.returncode, child.stdout), (0, "refused\n"), child.stderr)
        else:
            self.assertLess(child.returncode, 0, child.stdout)
            self.assertIn("mappingproxy of 1 items", child.stderr)


if __name__ == "__main__":
    unittest.main()
