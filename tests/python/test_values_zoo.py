"""The standard library's own types, found by looking through its modules: frozen, and compared with what pickle makes of them."""

import codecs
import contextlib
import enum
import functools
import importlib
import io
import os
import pickle
import sys
import types
import typing
import unittest
import urllib.parse
import warnings

import stoa

import values_zoo as zoo

# Modules whose classes can be made without side effects.
MODULES = """array ast builtins calendar cmath collections collections.abc colorsys configparser contextlib copy csv dataclasses datetime decimal
difflib dis email.message email.policy enum errno fractions functools graphlib hashlib heapq html http http.cookies inspect ipaddress itertools json
keyword locale math numbers operator optparse os pathlib pprint random re reprlib shlex signal socket stat statistics string struct sys
sysconfig textwrap time timeit token tokenize traceback types typing unicodedata urllib.parse uuid zlib zoneinfo""".split()

# Modules that do something when they are imported, or are for other systems.
SKIPPED = """antigravity curses ensurepip idlelib lib2to3 msilib msvcrt nt ntpath pydoc_data readline rlcompleter test this tkinter turtle turtledemo venv
webbrowser winreg winsound""".split()

# Types of the library's own constants that nothing can take to another interpreter, and pickle only by looking for the very object.
REFUSED = {"builtins.object", "builtins.builtin_function_or_method", "builtins.method-wrapper", "builtins.method", "builtins.NoDefaultType", "typing.NoDefaultType",
           "sys.getwindowsversion", "types.SimpleNamespace", "_io.StringIO", "_io.TextIOWrapper"}

ARGUMENTS = [(), (1,), ("a",), (b"a",), ("1",), ((1, 2),), (1, 2), ("a", "b"), (1, 2, 3), (2020, 1, 2), ("a", 1, 2), ("a", "b", "c"), ("10.0.0.1",),
             ("10.0.0.0/8",), ("::1",), ("::/64",), ("UTC",), ({"a": 1},), ([1, 2],), (int, "1"), (len,), ("i", [1, 2]), ("a", "b", "c", "d", "e"),
             ("a", "b", "c", "d", "e", "f"), ("12345678123456781234567812345678",), (range(3),), (print, 1)]

BUILTIN = (int, float, complex, str, bytes, bytearray, tuple, list, dict, set, frozenset, bool, type(None), range, slice, types.MappingProxyType)


def library():
    """All its modules that can be imported here, but for the private ones."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for name in sorted(sys.stdlib_module_names):
            if name not in SKIPPED and not name.startswith("_"):
                with contextlib.suppress(Exception):
                    yield importlib.import_module(name)


def constants():
    for module in library():
        for key, value in sorted(vars(module).items()):
            if not key.startswith("__") and not isinstance(value, (types.ModuleType, type)) and type(value) not in (int, str, float, bool):
                yield f"{module.__name__}.{key}", value


def all_classes():
    seen = {c for m in library() for c in vars(m).values() if isinstance(c, type)}
    return sorted(seen, key=lambda c: (c.__module__ or "", c.__qualname__))


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
        for cls in all_classes():
            if not issubclass(cls, enum.Enum):
                continue
            for member in cls:
                try:
                    self.assertIs(stoa.share(member), member)
                    count += 1
                except stoa.NotFreezable:
                    self.assertIsNot(pickle_or_none(member), member)
        self.assertGreater(count, 300)

    def test_classes_and_functions_are_found_by_name(self):
        count = 0
        for cls in all_classes():
            try:
                self.assertIs(stoa.share(cls), cls)
                count += 1
            except stoa.NotFreezable:
                pass
        self.assertGreater(count, 300)

    def test_every_constant_of_the_library(self):
        """What its modules hold by name: frozen, it is what pickle makes of it, or it is refused for a reason that we know."""
        good, refused, wrong = 0, set(), []
        for name, value in constants():
            try:
                again = pickle.loads(pickle.dumps(value, 4))
            except Exception:
                again = None
            try:
                frozen = stoa.freeze(value)
            except stoa.NotFreezable as error:
                self.assertIn("$", error.path)
                if again is not None or value is None:
                    refused.add(f"{type(value).__module__}.{type(value).__qualname__}")
                continue
            except stoa.Error as error:
                if again is not None:  # pickle cannot build it either: codecs.CodecInfo
                    wrong.append((name, str(error)))
                continue
            same = again is None or equal(frozen, value) or looks(frozen) == looks(again)
            try:
                same = same or zoo.canonical(frozen) == zoo.canonical(again)
            except Exception:
                pass
            good += same
            if not same:
                wrong.append((name, f"{looks(frozen)!s:.80} != {looks(again)!s:.80}"))
        self.assertEqual(wrong, [])
        self.assertLessEqual(refused, REFUSED)
        self.assertGreater(good, 1000)

    def test_those_that_cannot_speak_for_themselves(self):
        """What some version's own protocol fails for is frozen, and sent, as in every other."""
        looked_at = typing.ForwardRef("list[int]")
        typing.get_type_hints(types.SimpleNamespace(__annotations__={"a": looked_at}, __module__=__name__))
        values = [
            typing.ForwardRef("int"), typing.ForwardRef("Missing", module="values_zoo"), looked_at, typing.Optional["Missing"],
            functools.partialmethod(print, 1, sep="-"), codecs.lookup("utf-8"), codecs.lookup("latin-1"),
            urllib.parse.SplitResult("a", "b", "c", "d", "e"), urllib.parse.DefragResult("a", "b"), urllib.parse.urlparse("http://a/b?c"),
            urllib.parse.ParseResultBytes(*[b"a"] * 6), sys.version_info, sys.flags, sys.implementation,
        ]
        values += [os.sched_param(3)] if hasattr(os, "sched_param") else []
        with stoa.Interpreter() as other:
            for value in values:
                with self.subTest(repr(value)):
                    frozen = stoa.freeze([value])[0]
                    self.assertIs(type(frozen), type(value))
                    self.assertEqual(looks(frozen), looks(value))
                    if type(value).__eq__ is not object.__eq__ and value is not sys.implementation:  # it holds a list
                        self.assertEqual(frozen, value)
                    self.assertIs(stoa.freeze([frozen])[0], frozen)
                    stoa.replace("zoo.value", [value])
                    other.exec("import stoa; x, = stoa.lookup('zoo.value'); stoa.replace('zoo.back', (x,)); stoa.replace('zoo.name', repr(type(x)))")
                    self.assertIs(stoa.lookup("zoo.back")[0], stoa.lookup("zoo.value")[0])
                    self.assertEqual(stoa.lookup("zoo.name"), repr(type(value)))
            if hasattr(os, "sched_param"):
                self.assertIs(type(other.call("values_zoo:same", os.sched_param(3))), os.sched_param)
            self.assertIs(type(other.call("values_zoo:same", urllib.parse.urlsplit("http://a/b"))), urllib.parse.SplitResult)
        self.assertIs(stoa.freeze([sys.version_info])[0], sys.version_info)
        self.assertEqual(stoa.freeze([functools.partialmethod(print, 1, sep="-")])[0].keywords, {"sep": "-"})

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
