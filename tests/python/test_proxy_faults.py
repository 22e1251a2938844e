"""Proxies when things go wrong: objects that raise, results that cannot cross, recursion, signals, many threads.
"""
import signal
import threading
import time
import traceback
import types
import unittest

import child
import stoa
from proxied import there_name
from proxy_support import Case, resident, wait_for
from stoa_tests import SLOW_BUILD



class Objects(Case):
    def test_special_methods_that_raise(self):
        p = self.call("Hostile")
        for use in (lambda: p.anything, lambda: hash(p), lambda: p == 1, lambda: p != p, lambda: 1 == p, lambda: {p: 1}, lambda: p in [1],
                    lambda: bool(p), lambda: len(p), lambda: repr(p), lambda: str(p), lambda: format(p), lambda: iter(p), lambda: p + 1,
                    lambda: 1 + p, lambda: p(), lambda: p[0], lambda: setattr(p, "x", 1), lambda: delattr(p, "x"), lambda: int(p),
                    lambda: p.__enter__(), lambda: dir(p), lambda: p < 1, lambda: isinstance(p, int), lambda: memoryview(p)):
            with self.subTest(use=use.__code__.co_names), self.assertRaises((ZeroDivisionError, TypeError)) as caught:
                use()
            if type(caught.exception) is ZeroDivisionError:
                self.assertIn("hostile", str(caught.exception))
                self.assertIn("in fail", str(caught.exception.__cause__))  # the frame over there
        self.assertTrue(stoa.is_proxy(p))
        self.assertEqual(self.call("count"), 0)

    def test_a_hash_that_lies(self):
        p = self.call("Changing")
        held = {p: "found"}
        self.assertEqual(held.get(p), None)  # as with the object itself
        with self.assertRaisesRegex(TypeError, "__hash__ method should return an integer"):
            hash(self.call("Changing", "text"))

    def test_exceptions_that_cannot_be_described(self):
        """No __init__ that works, no text, no args: the class is known here, so it arrives as one of it."""
        try:
            self.call("raise_strange")
        except Exception as error:
            self.assertEqual(type(error).__name__, "Strange")
            self.assertIn("raise_strange", error.__cause__.text)
        else:
            self.fail("nothing was raised")

    def test_a_miss_is_told_in_short(self):
        """Frames, lines and what was raised, as an ordinary traceback has them; chained ones and others in full."""
        box, plain = self.make("box"), self.make("list")
        with self.assertRaises(AttributeError) as caught:
            box.nothing
        text = caught.exception.__cause__.text
        self.assertRegex(text, r'^Traceback .*\n  File ".*proxied.py", line \d+, in __getattr__\n    raise AttributeError\(name\)\nAttributeError: nothing\n$')
        with self.assertRaises(IndexError) as caught:
            plain[99]
        self.assertEqual(caught.exception.__cause__.text, "IndexError: list index out of range\n")
        with self.assertRaises(KeyError) as caught:
            self.call("chained")
        self.assertIn("ZeroDivisionError: hostile", caught.exception.__cause__.text)
        self.assertIn("During handling", caught.exception.__cause__.text)
        with self.assertRaises(KeyError) as caught:
            self.call("noted")
        self.assertIn("look here", caught.exception.__cause__.text)
        self.assertEqual(caught.exception.__notes__, ["look here"])

    def test_what_is_being_handled_is_the_context(self):
        """As for any exception; and a traceback shows it, though it follows __cause__ rather than __context__."""
        self.interp.exec("class Exit:\n"
                         "    def __enter__(self): return self\n"
                         "    def __exit__(self, *what): raise LookupError\n"
                         "def leave(): raise LookupError")
        leave, plain, way_out = self.interp.call(eval, "leave"), self.make("list"), self.interp.call(eval, "Exit()")
        failed = self.interp.submit(leave)
        for use in (lambda: plain[99], leave, stoa.options(leave, timeout=100), stoa.options(leave, via="post"), lambda: self.interp.call(leave),
                    lambda: self.interp.call(leave, timeout=100), lambda: self.interp.exec("raise LookupError"), failed.result):
            with self.subTest(use=use), self.assertRaises(LookupError) as caught:
                try:
                    1 / 0
                except ZeroDivisionError as error:
                    handled = error
                    use()
            self.assertIs(caught.exception.__context__, handled)
            self.assertIsInstance(caught.exception.__cause__, stoa.RemoteError)
            if use != failed.result:  # a future raises one object as often as it is asked
                self.assertRegex("".join(traceback.format_exception(caught.exception)), "(?s)division by zero.*During handling.*direct cause")
        with self.assertRaises(LookupError) as caught:
            with way_out:
                raise handled
        self.assertIs(caught.exception.__context__, handled)
        with self.assertRaises(LookupError) as caught:
            leave()
        self.assertIsNone(caught.exception.__context__)

    def test_del_that_raises(self):
        done = child.run("""
            import stoa, time
            a = stoa.Interpreter()
            a.exec('''
            class Bad:
                def __del__(self): raise ZeroDivisionError("last words")
            '''.replace("\\n            ", "\\n"))
            p = a.call(eval, "Bad()")
            del p
            p = a.call(eval, "Bad()")
            stoa.release(p)
            time.sleep(0.2)
            print(a.call("builtins:len", (1, 2)))
        """)
        self.assertEqual((done.returncode, done.stdout), (0, "2\n"), done.stderr)
        self.assertEqual(done.stderr.count("ZeroDivisionError: last words"), 2, done.stderr)


class Results(Case):
    def test_what_cannot_cross(self):
        """A mapping proxy over something of the owner's own cannot cross by value; the call ran all the same."""
        made = []

        def make():
            made.append(1)
            return types.MappingProxyType(UserMapping())

        with self.assertRaisesRegex(stoa.NotFreezable, "result"):
            self.interp.call(there_name("own_mapping"))
        back = self.call("apply_and_tell", make)
        self.assertEqual((back, made), ("NotFreezable", [1]))
        with self.assertRaisesRegex(stoa.NotFreezable, r"args\[0\]"):
            self.call("identity", types.MappingProxyType(UserMapping()))
        holds_itself = []
        holds_itself.append((holds_itself,))
        copied = stoa.fetch(self.call("identity", stoa.by_copy(holds_itself)) or stoa.proxy([]))
        self.assertIsNotNone(copied)

    def test_it_is_let_go_of_what_was_packed(self):
        before = None
        for i in range(60):
            with self.assertRaises(stoa.NotFreezable):
                self.call("identity", [], object(), types.MappingProxyType(UserMapping()))
            if i == 10:
                before = stoa.stats()["proxies"]["known_elsewhere"]
        self.assertTrue(wait_for(lambda: stoa.stats()["proxies"]["known_elsewhere"] <= before))

    def test_recursion(self):
        """Across interpreters as in one: RecursionError, and all goes on."""

        def back(f):
            return self.call("recurse", f)

        with self.assertRaises(RecursionError):
            back(back)
        with stoa.Interpreter() as other:
            def ring(n):
                return other.call(there_name("apply"), lambda k: self.call("apply", ring, k), n + 1)

            with self.assertRaises(RecursionError):
                ring(0)
        self.assertEqual(self.call("identity", 5), 5)
        deep = self.call("nested", 50_000)
        self.assertEqual(deep[0], deep[0])


class UserMapping:
    def __getitem__(self, key):
        raise KeyError(key)

    def keys(self):
        return []

    def copy(self):
        return self


class Signals(Case):
    def test_storm(self):
        """A signal every millisecond while the main thread crosses: each call gives its own result, handlers run."""
        p = self.interp.call("builtins:list", range(100))
        caught = []
        before = signal.signal(signal.SIGALRM, lambda number, frame: caught.append(len(p)))
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        try:
            end = time.monotonic() + 0.5
            n = 0
            while time.monotonic() < end or (len(caught) < 50 and time.monotonic() < end + 20):
                n += 1
                self.assertEqual(p[n % 100], n % 100)
                self.assertEqual(self.call("identity", n), n)
                if n % 50 == 0:
                    self.assertEqual(list(p), list(range(100)))
                    self.interp.exec("import time; time.sleep(0.002)")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        self.assertGreaterEqual(len(caught), 50)
        self.assertEqual(set(caught), {100})


class Threads(unittest.TestCase):
    def test_many_over_time(self):
        """Each comes, crosses into four interpreters, and goes: what was made for it goes with it. 10,000 of them; fewer where
        each costs ten times as much, under a sanitizer or on a debug Python."""
        count = 200 if SLOW_BUILD else 10_000
        interps = [stoa.Interpreter() for _ in range(4)]
        proxies = [interp.call(there_name("make"), "list") for interp in interps]

        def work():
            for p in proxies:
                p.append(threading.get_ident())
                assert p.pop() is not None

        def round_of(n):
            for _ in range(n // 10):
                threads = [threading.Thread(target=work) for _ in range(10)]
                for t in threads:
                    t.start()
                for t in threads:
                    t.join(60)
                self.assertFalse(any(t.is_alive() for t in threads))

        def alive():
            counters = stoa.stats()["counters"]
            return counters["thread_states_made"] - counters["thread_states_ended"]

        before = alive()
        round_of(count // 4)
        memory = resident()
        round_of(count - count // 4)
        self.assertTrue(wait_for(lambda: alive() <= before + 8), (alive(), before))
        self.assertLess(resident() - memory, 16 << 20)
        self.assertEqual([len(p) for p in proxies], [4, 4, 4, 4])
        for interp in interps:
            interp.close()

    def test_all_at_once(self):
        """Threads that use, drop and release proxies of the same objects."""
        with stoa.Interpreter() as interp:
            shared = interp.call(there_name("make"), "dict")
            failed = []

            def work(seed):
                try:
                    for i in range(300):
                        mine = interp.call(there_name("Counted"))
                        shared[seed] = mine
                        assert shared[seed] is mine
                        if i % 3 == 0:
                            stoa.release(mine)
                except BaseException as error:
                    failed.append(error)

            threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
            for t in threads:
                t.start()
            for t in threads:
                t.join(60)
            self.assertEqual(failed, [])
            shared.clear()
            self.assertTrue(wait_for(lambda: interp.call(there_name("count")) == 0))


if __name__ == "__main__":
    unittest.main()
