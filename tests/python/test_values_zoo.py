"""The standard library's own types, found by looking through its modules: frozen, and compared with what pickle makes of them."""

import contextlib
import enum
import importlib
import io
import pickle
import types
import unittest
import warnings

import stoa

# Modules whose classes can be made without side effects.
MODULES = """array ast builtins calendar cmath collections collections.abc colorsys configparser contextlib copy csv dataclasses datetime decimal
difflib dis email.message email.policy enum errno fractions functools graphlib hashlib heapq html http http.cookies inspect ipaddress itertools json
keyword locale math numbers operator optparse os pathlib pprint random re reprlib shlex signal socket stat statistics string struct sys
sysconfig textwrap time timeit token tokenize traceback types typing unicodedata urllib.parse uuid zlib zoneinfo""".split()

ARGUMENTS = [(), (1,), ("a",), (b"a",), ("1",), ((1, 2),), (1, 2), ("a", "b"), (1, 2, 3), (2020, 1, 2), ("a", 1, 2), ("a", "b", "c"), ("10.0.0.1",),
             ("10.0.0.0/8",), ("::1",), ("::/64",), ("UTC",), ({"a": 1},), ([1, 2],), (int, "1"), (len,), ("i", [1, 2]), ("a", "b", "c", "d", "e"),
             ("a", "b", "c", "d", "e", "f"), ("12345678123456781234567812345678",), (range(3),), (print, 1)]

BUILTIN = (int, float, complex, str, bytes, bytearray, tuple, list, dict, set, frozenset, bool, type(None), range, slice, types.MappingProxyType)


def classes():
    seen = set()
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        for key in sorted(vars(module)):
            found = vars(module)[key]
            if not isinstance(found, type) or issubclass(found, io.IOBase) or found.__module__ in ("_io", "weakref", "_socket"):
                continue  # making one does something: closes a descriptor, runs code at exit
            if found not in seen and (found.__module__ or "").split(".")[0] in {m.split(".")[0] for m in MODULES}:
                seen.add(found)
                yield found


def instances(cls):
    """Some that pickle takes apart and makes again."""
    for arguments in ARGUMENTS:
        try:
            one = cls(*arguments)
            again = pickle.loads(pickle.dumps(one, 4))
        except Exception:
            continue
        if type(one) is cls and type(again) is cls:
            yield one, again
            return


def equal(a, b):
    try:
        return bool(a == b)
    except Exception:
        return False


def looks(value):
    """Something to compare by where a class has no == of its own."""
    try:  # lists are frozen as tuples
        return repr(value).replace("[", "(").replace("]", ")").replace(",)", ")") if " at 0x" not in repr(value) else sorted(map(str, getattr(value, "__dict__", ())))
    except Exception as error:
        return type(error)


class Zoo(unittest.TestCase):
    def test_round_trip_as_pickle(self):
        good, refused, wrong = [], [], []
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            for cls in classes():
                for one, again in instances(cls):
                    try:
                        frozen = stoa.freeze(one)
                    except stoa.NotFreezable as error:
                        refused.append(f"{cls.__module__}.{cls.__qualname__}")
                        self.assertIn("$", error.path)
                        continue
                    except stoa.Error as error:
                        wrong.append((cls, str(error)))
                        continue
                    by_pickle = equal(again, one)
                    same = equal(frozen, one) or (not by_pickle and looks(frozen) == looks(again))
                    kept = type(frozen) is cls or issubclass(cls, (list, dict, set, bytearray)) or cls.__module__ == "collections"
                    (good if kept and (same or issubclass(cls, BaseException)) else wrong).append((cls, f"{looks(frozen)!s:.60} != {looks(one)!s:.60}"))
        self.assertGreater(len(good), 60, f"{len(good)} good, {len(refused)} refused: {refused}")
        self.assertLess(len(wrong), 1 + len(good) // 10, wrong)

    def test_members_of_enumerations(self):
        count = 0
        for cls in classes():
            if not issubclass(cls, enum.Enum):
                continue
            for member in cls:
                try:
                    self.assertIs(stoa.share(member), member)
                    count += 1
                except stoa.NotFreezable:
                    self.assertIsNot(pickle_or_none(member), member)
        self.assertGreater(count, 100)

    def test_classes_and_functions_are_found_by_name(self):
        count = 0
        for cls in classes():
            try:
                self.assertIs(stoa.share(cls), cls)
                count += 1
            except stoa.NotFreezable:
                pass
        self.assertGreater(count, 300)

    def test_everywhere_the_same(self):
        """What all interpreters can import arrives as the same value in one with a GIL of its own."""
        values = []
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            for cls in classes():
                for one, again in instances(cls):
                    try:
                        frozen = stoa.share(one)
                    except (stoa.NotFreezable, stoa.Error):
                        continue
                    if equal(frozen, one) and equal(again, one):
                        values.append((frozen, f"{type(frozen).__module__}.{type(frozen).__qualname__}".replace("_pydatetime", "datetime")))
        self.assertGreater(len(values), 20)
        with stoa.Interpreter() as other:
            for value, name in values:
                with self.subTest(name):
                    stoa.replace("zoo.value", value)
                    try:
                        other.exec("import stoa; x = stoa.lookup('zoo.value'); stoa.replace('zoo.back', x); t = type(x)\n"
                                   "stoa.replace('zoo.name', f'{t.__module__}.{t.__qualname__}'.replace('_pydatetime', 'datetime'))")
                    except stoa.Error as error:
                        self.assertRegex(str(error), "cannot be built .*(Import|ModuleNotFound)Error")  # a module that wants no second interpreter
                        continue
                    self.assertEqual(stoa.lookup("zoo.name"), name)
                    self.assertIs(stoa.lookup("zoo.back"), stoa.lookup("zoo.value"))


def pickle_or_none(value):
    try:
        return pickle.loads(pickle.dumps(value))
    except Exception:
        return None


def setUpModule():
    warnings.simplefilter("ignore", DeprecationWarning)  # some of what is looked through is on its way out


if __name__ == "__main__":
    unittest.main()
