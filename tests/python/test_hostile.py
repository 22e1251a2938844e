"""What bad input gets: a clear error, nothing lost, nothing leaked, the process alive.

Each case notes the bytes that the heap uses before and after: a freeze that failed has left nothing behind.
Keys with code of their own: test_hostile_keys.py; other interpreters: test_hostile_interpreters.py.
What a C host can do wrong (bad UTF-8 in the builder, threads without a thread state) is in tests/capi."""
import collections
import json
import os
import subprocess
import sys
import textwrap
import time
import unittest

import stoa
from refusals import HostileCase
from stoa_tests import SLOW_BUILD, used_bytes as used


class Unfreezable(HostileCase):
    def test_path_type_and_remedy(self):
        class Session:
            pass

        error = self.refused({"users": [{}, {}, {}, {"name": Session()}]}, "$['users'][3]['name']")
        self.assertIn("Session", error.type_name)
        self.assertGreater(len(str(error)), 60, "the message names the remedy")
        self.assertIsInstance(error, TypeError)
        self.assertIsInstance(error, stoa.Error)

    def test_in_every_kind_of_container(self):
        bad = type("Bad", (), {"__hash__": lambda self: 1})()
        for value in ([bad], (bad,), {bad}, frozenset({bad}), {"k": bad}, {bad: 1}, {(1, bad): 2}, [[[{"k": (0, bad)}]]], slice(bad), {"a": {"b": {"c": bad}}}):
            with self.subTest(repr(value)[:40]):
                self.assertTrue(self.refused(value).path.startswith("$"))

    def test_after_much_good(self):
        self.refused([f"good {i}" for i in range(200_000)] + [object()], "$[200000]", "object")

    def test_share_refuses_each_mutable_by_path(self):
        for value, kind in (([1], "list"), ({1}, "set"), ({"a": 1}, "dict"), (bytearray(b"x"), "bytearray")):
            self.refused((1, ("x", value)), "$[1][1]", kind, function=stoa.share)

    def test_keys_with_strange_text(self):
        for key in ("it's", 'say "x"', "new\nline", "\ud800", "\u6f22", "", "a" * 10_000, 5, None, (1, "x"), b"raw"):
            with self.subTest(repr(key)[:30]):
                self.assertTrue(self.refused({key: object()}).path.startswith("$["))

    def test_wrong_arguments(self):
        for call in (lambda: stoa.freeze(), lambda: stoa.freeze(1, 2), lambda: stoa.freeze(1, region="x"), lambda: stoa.freeze(1, nonsense=1),
                     lambda: stoa.freeze(obj=1), lambda: stoa.share(), lambda: stoa.thaw(), lambda: stoa.is_shared(), lambda: stoa.publish(1, 2),
                     lambda: stoa.publish("x"), lambda: stoa.publish(b"x", 1), lambda: stoa.lookup(), lambda: stoa.lookup(None), lambda: stoa.once("x", 5),
                     lambda: stoa.unpublish(3), lambda: stoa.names(1), lambda: stoa.lookup("x", timeout="soon"), lambda: stoa.Region(limit="big"),
                     lambda: stoa.Interpreter(5)):
            self.refused(None, error=TypeError, function=lambda _: call())

    def test_wrong_values(self):
        for call in (lambda: stoa.Region(limit=-1), lambda: stoa.Region(limit=-(1 << 80)), lambda: stoa.Interpreter(gil="none"), lambda: stoa.Interpreter(gil=5),
                     lambda: stoa.lookup("absent", timeout=float("nan")), lambda: stoa.publish("bad \ud800", 1), lambda: stoa.Interpreter(name="bad \ud800")):
            with self.subTest(call.__code__.co_firstlineno):
                self.refused(None, error=(ValueError, OverflowError), function=lambda _: call())


class Messages(unittest.TestCase):
    def test_functions_say_that_they_are_of_stoa(self):
        for name in sorted(vars(stoa)):
            function = getattr(stoa, name)
            if name.startswith("_") or type(function) is not type(len):
                continue
            with self.subTest(name):
                self.assertEqual(function.__module__, "stoa")
                for args, kwargs in (((1,) * 9, {}), ((), {"no_such": 1}), ((1, 2), {"no_such": 1})):
                    with self.assertRaises(TypeError) as caught:
                        function(*args, **kwargs)
                    self.assertNotIn("_stoa", str(caught.exception))


class Cycles(HostileCase):
    def cycle(self, value, function=stoa.freeze):
        error = self.refused(value, function=function)
        self.assertRegex(str(error), "(?i)itself|cycle")
        return error.path

    def test_list_in_itself(self):
        value = [1]
        value.append(value)
        self.assertEqual(self.cycle(value), "$[1]")

    def test_through_dict_and_tuple(self):
        value = {"a": []}
        value["a"].append((1, value))
        self.assertEqual(self.cycle(value), "$['a'][0][1]")

    def test_tuple_only(self):
        inner = []
        value = (inner,)
        inner.append(value)
        self.cycle(value)

    def test_long_way_round(self):
        first = value = []
        for _ in range(100_000):
            value.append([])
            value = value[0]
        value.append(first)
        self.assertTrue(self.cycle(first).startswith("$[0][0]"))

    def test_shared_parts_are_no_cycle(self):
        part = [1, 2]
        frozen = stoa.freeze([part, [part], {"k": part}])
        self.assertIs(frozen[0], frozen[1][0])
        self.assertIs(frozen[0], frozen[2]["k"])


class Depth(HostileCase):
    LEVELS = 200_000 if SLOW_BUILD else 1_000_000  # test_freeze.py has such a one that is good

    def test_many_levels_and_then_a_bad_object(self):
        value = object()
        for _ in range(self.LEVELS):
            value = [value]
        error = self.refused(value, kind="object")
        self.assertLess(len(str(error)), 100_000, "the message does not repeat the whole path")
        while type(value) is list:
            value = value[0]

    def test_deep_value_thawed_and_compared(self):
        value = 7
        for _ in range(100_000):
            value = [value]
        thawed = stoa.thaw(stoa.freeze(value))
        for _ in range(100_000):
            self.assertIs(type(thawed), list)
            thawed, value = thawed[0], value[0]
        self.assertEqual(thawed, 7)


class Text(HostileCase):
    def test_lone_surrogates(self):
        for text in ("\ud800", "a\udfff", "\udc80" * 1000, "\ud83d\ude00", "\u6f22\ud800"):
            frozen = stoa.freeze([text, {text: text}])
            self.assertEqual(frozen[0], text)
            self.assertEqual(hash(frozen[0]), hash(text))
            self.assertEqual(frozen[1][text], text)
            self.assertRaises(UnicodeEncodeError, frozen[0].encode)
            self.assertEqual(frozen[0].encode("utf-8", "surrogatepass"), text.encode("utf-8", "surrogatepass"))

    def test_nul_and_extremes(self):
        for text in ("\0", "a\0b", "\uffff" * 3, "\U0010ffff" * 2, "\x7f\x80"):
            self.assertEqual(stoa.freeze([text])[0], text)
            self.assertEqual(stoa.freeze({text: 1})[text], 1)

    def test_names_with_strange_text(self):
        self.assertRaises(ValueError, stoa.publish, "", 1)
        self.assertRaises(ValueError, stoa.publish, "x" * 100_000, 1)
        for name in ("\0", "a\0b", "caf\xe9", "\u6f22", "\U0001f40d", "x" * 4096):
            stoa.publish(name, [name])
            self.assertEqual(stoa.lookup(name), (name,))
            self.assertIn(name, stoa.names())
            stoa.unpublish(name)
            self.assertRaises(KeyError, stoa.lookup, name)


class Subclasses(HostileCase):
    def test_refused_without_running_their_code(self):
        ran = []

        def spy(name):
            return lambda self, *args: ran.append(name)

        for base in (list, dict, set, tuple, frozenset, bytearray, str, int, bytes):
            body = {name: spy(name) for name in ("__iter__", "__len__", "__getitem__", "keys", "items", "__eq__")}
            body["__hash__"] = lambda self: 1
            error = self.refused([0, type(f"My{base.__name__}", (base,), body)()], "$[1]")
            self.assertIn(f"My{base.__name__}", error.type_name)
        self.assertEqual(ran, [])

    def test_standard_subclasses(self):
        for value in (collections.UserDict(a=1), collections.ChainMap({})):
            self.refused([value, object()], "$[1]")
        for value, twin in ((collections.OrderedDict(a=1), {"a": 1}), (collections.defaultdict(int), {}), (collections.Counter("a"), {"a": 1}),
                            (collections.deque([1]), (1,))):
            self.assertEqual(stoa.freeze([value])[0], twin)
        self.assertEqual(stoa.freeze(json.JSONDecodeError("m", "d", 0)).msg, "m")


class Numbers(HostileCase):
    def test_nan_keys(self):
        nan = float("nan")
        frozen = stoa.freeze({nan: 1, "x": 2, float("nan"): 3})
        self.assertEqual((len(frozen), list(frozen.values())), (3, [1, 2, 3]))
        inside = next(iter(frozen))
        self.assertEqual(frozen[inside], 1)
        self.assertNotIn(float("nan"), frozen)
        self.assertEqual(len(stoa.freeze({nan, float("nan"), 1.0})), 3)

    def test_equal_keys_of_other_types(self):
        self.assertEqual(stoa.freeze([1, 1.0, True, 0.0, -0.0]), (1, 1.0, True, 0.0, -0.0))
        self.assertEqual([type(x) for x in stoa.freeze([1, 1.0, True])], [int, float, bool])
        self.assertEqual(str(stoa.freeze([0.0, -0.0])), "(0.0, -0.0)")
        self.assertEqual(stoa.freeze({1: "a"})[True], "a")
        self.assertEqual(stoa.freeze({1.0: "a"})[1], "a")


class Limits(HostileCase):
    def test_region_limit_in_mid_freeze(self):
        region = stoa.Region(name="small", limit=1 << 20)
        kept = region.freeze(["kept", 1.5])
        before, outside = region.stats()["used_bytes"], used()
        big = [f"a string with the number {i}" for i in range(100_000)]
        for intern in (True, False):
            with self.assertRaises(MemoryError) as caught:
                region.freeze(big, intern=intern)
            self.assertIn("small", str(caught.exception))
            self.assertEqual(region.stats()["used_bytes"], before)
        self.assertEqual(used(), outside)
        self.assertEqual(kept, ("kept", 1.5))
        self.assertEqual(region.freeze({"still": ["works"]})["still"], ("works",))

    def test_heap_limit(self):
        script = """
            import stoa
            kept = stoa.freeze(['kept'] * 3)
            before = stoa.stats()['region']['used_bytes']
            for attempt in range(5):
                try:
                    stoa.freeze([str(i) * 20 for i in range(300_000)], intern=attempt % 2 == 0)
                except MemoryError as error:
                    assert 'STOA_HEAP_LIMIT' in str(error), error
                else:
                    raise SystemExit('no MemoryError')
                assert stoa.stats()['region']['used_bytes'] == before
            assert kept == ('kept',) * 3 and stoa.freeze({'more': 1})['more'] == 1
        """
        child = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=dict(os.environ, STOA_HEAP_LIMIT="16M"), capture_output=True,
                               text=True, timeout=100)
        self.assertEqual(child.returncode, 0, child.stderr)

    def test_address_space_limit(self):
        child = subprocess.run(["bash", "-c", f"ulimit -v 4000000; exec {sys.executable} -c 'import stoa; print(stoa.freeze([1, \"x\"]))'"],
                               capture_output=True, text=True, timeout=100)
        if os.environ.get("STOA_SANITIZE"):
            self.skipTest("sanitizers need their own address space")
        self.assertEqual((child.returncode, child.stdout), (0, "(1, 'x')\n"), child.stderr)


class Names(HostileCase):
    def test_in_use(self):
        stoa.publish("hostile/taken", 1)
        self.addCleanup(stoa.unpublish, "hostile/taken")
        with self.assertRaises(stoa.NameTaken) as caught:
            stoa.publish("hostile/taken", "another value that nobody has frozen")
        self.assertIn("hostile/taken", str(caught.exception))
        self.assertIsInstance(caught.exception, ValueError)
        self.assertEqual(stoa.lookup("hostile/taken"), 1)

    def test_unfreezable_value_takes_no_name(self):
        self.refused(None, function=lambda _: stoa.publish("hostile/never", [object()]))
        self.assertNotIn("hostile/never", stoa.names())
        self.refused(None, function=lambda _: stoa.replace("hostile/never", [object()]))
        self.assertNotIn("hostile/never", stoa.names())

    def test_names_that_cannot_be_are_refused_before_freezing(self):
        for name in ("", "x" * 10000, "\ud800"):
            for function in (stoa.publish, stoa.replace):
                self.refused([os.urandom(100)], error=ValueError, function=lambda value: function(name, value))
        self.assertEqual(stoa.publish("hostile.taken", 1), 1)
        self.addCleanup(stoa.unpublish, "hostile.taken")
        self.refused([os.urandom(100)], error=stoa.NameTaken, function=lambda value: stoa.publish("hostile.taken", value))

    def test_unknown(self):
        self.refused("hostile/unknown", error=KeyError, function=stoa.lookup)
        self.refused("hostile/unknown", error=KeyError, function=stoa.unpublish)
        self.assertIsNone(stoa.lookup("hostile/unknown", None))
        started = time.monotonic()
        self.assertEqual(stoa.lookup("hostile/unknown", 5, timeout=0.05), 5)
        self.assertRaises(KeyError, stoa.lookup, "hostile/unknown", timeout=0.05)
        self.assertGreater(time.monotonic() - started, 0.09)

    def test_once_whose_factory_fails(self):
        for error in (RuntimeError("no"), KeyboardInterrupt(), SystemExit(3)):
            def factory():
                raise error

            with self.assertRaises(type(error)):
                stoa.once("hostile/once", factory)
        self.refused(None, function=lambda _: stoa.once("hostile/once", object))
        self.assertEqual(stoa.once("hostile/once", lambda: [1]), (1,))

    def test_once_inside_itself(self):
        with self.assertRaises(stoa.Error) as caught:
            stoa.once("hostile/twice", lambda: stoa.once("hostile/twice", lambda: 1, timeout=5))
        self.assertIn("hostile/twice", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
