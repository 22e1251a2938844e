"""Proxies: identity, what stands for what, callbacks, copies."""

import asyncio
import collections
import copy
import os
import pickle
import threading
import types
import unittest
import weakref

import child
import stoa
from proxied import there_name
from proxy_support import Case


class Identity(Case):
    def test_one_proxy_an_object(self):
        p = self.make("list")
        self.assertIs(type(p), stoa.Proxy)
        self.assertIs(p[3], p[3])
        self.assertIs(self.call("identity", p), p)
        self.assertTrue(self.call("same", p, p))
        self.assertEqual(stoa.owner(p), self.interp)
        self.assertEqual(stoa.owner([]), stoa.current())
        self.assertTrue(stoa.is_proxy(p))
        self.assertFalse(stoa.is_proxy([]))

    def test_never_a_proxy_of_a_proxy(self):
        with stoa.Interpreter() as third:
            p = self.make("list")
            self.assertIs(third.call(there_name("identity"), p), p)
            held = third.call(there_name("make"), "list")
            held.append(p)
            self.assertIs(held[-1], p)
            self.assertTrue(third.call(there_name("apply"), stoa.is_proxy, p))
            self.assertEqual(third.call(there_name("apply"), len, p), 4)
            del held

    def test_callbacks_nest(self):
        depth = []

        def down(n):
            depth.append(stoa.current().id)
            return n if n == 0 else self.interp.call(there_name("apply"), down, n - 1)

        self.assertEqual(self.interp.call(there_name("apply"), down, 20), 0)
        self.assertEqual(set(depth), {stoa.current().id})
        self.assertEqual(len(depth), 21)

    def test_own_object_by_proxy(self):
        mine = [1]
        p = stoa.proxy(mine)
        self.assertTrue(stoa.is_proxy(p))
        p.append(2)
        self.assertEqual(mine, [1, 2])
        self.assertIs(self.call("identity", p), mine)

    def test_published(self):
        p = self.make("list")
        stoa.publish("test.proxy.published", p)
        try:
            self.assertIs(stoa.lookup("test.proxy.published"), p)
            self.assertTrue(self.interp.call(there_name("apply"), isinstance, stoa.lookup("test.proxy.published"), list))
            with self.assertRaises(stoa.NameTaken):
                stoa.publish("test.proxy.published", p)
        finally:
            stoa.unpublish("test.proxy.published")

    def test_weak_references(self):
        p = self.make("list")
        gone = []
        ref = weakref.ref(p, gone.append)
        self.assertIs(ref(), p)
        del p
        self.assertIs(ref(), None)
        self.assertEqual(len(gone), 1)

    def test_pickle(self):
        p = self.make("list")
        data = pickle.dumps(p)
        self.assertIs(pickle.loads(data), p)
        stoa.release(p)
        with self.assertRaises(stoa.ReleasedProxy):
            pickle.loads(data)
        with self.assertRaisesRegex(ValueError, "process"):
            pickle.loads(data.replace(str(os.getpid()).encode(), b"1")) if str(os.getpid()).encode() in data else (
                stoa._stoa._unpickle_proxy(1, 2, 3)
            )

    def test_snapshot_and_fetch(self):
        p = self.make("dict")
        frozen, copied = stoa.snapshot(p), stoa.fetch(p)
        self.assertTrue(stoa.is_shared(frozen))
        self.assertEqual(frozen["b"], (2,))
        self.assertEqual(copied, {"a": 1, "b": [2], 3: None})
        self.assertIs(type(copied["b"]), list)
        with self.assertRaises(TypeError):
            stoa.fetch([])
        with self.assertRaises(stoa.NotFreezable):
            stoa.snapshot(self.make("box"))

    def test_memoryview_of_the_same_memory(self):
        mine = bytearray(b"abc")
        p = self.make("list")
        p.append(memoryview(mine))
        mine[0] = 65
        self.assertEqual(bytes(p[-1]), b"Abc")
        p.clear()

    def test_chunks(self):
        p = self.call("identity", stoa.by_copy(list(range(10_000))))
        p = self.interp.call("builtins:list", range(10_000))
        self.assertEqual(list(p), list(range(10_000)))
        seen = []
        for item in p:
            seen.append(item)
            if item == 7:
                p[8:] = [100, 101]
        self.assertEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7, 100, 101])

    def test_generators_one_by_one(self):
        p = self.make("generator")
        self.assertEqual(next(p), 0)
        self.assertEqual(self.call("get_log"), (0,))
        self.assertEqual(next(p), 1)
        self.assertEqual(self.call("get_log"), (0, 1))
        del p

    def test_callbacks_run_on_the_callers_thread(self):
        threads = []

        def note(x):
            threads.append((threading.get_ident(), threading.current_thread().name))
            return x

        thread = threading.Thread(target=lambda: self.call("apply", note, 5), name="caller")
        thread.start()
        thread.join()
        self.assertEqual(threads, [(thread.ident, "caller")])

    def test_pickled_for_another_process(self):
        data = pickle.dumps(self.make("list"))
        done = child.check(self, f"""
            import pickle
            try:
                pickle.loads({data!r})
            except ValueError as error:
                print("fetch" in str(error) and "process" in str(error))
        """, stdout="True\n")
        self.assertEqual(done.returncode, 0)

    def test_asyncio(self):
        """A coroutine, an asynchronous generator and a context manager of the owner in a loop of ours."""
        box = self.make("box")

        async def all_of_it():
            seen = []
            async with box as value:
                seen.append(value)
            async for x in box:
                seen.append(x)
            async for x in self.call("asynchronous", 3):
                seen.append(x)
            seen.append(await self.make("coroutine"))
            return seen

        self.assertEqual(asyncio.run(all_of_it()), ["in", 2, 1, 0, 0, 1, 2, ("result", 5)])

    def test_tasks_of_coroutines(self):
        """An event loop here drives a coroutine of another interpreter: what it sends and throws gets there."""
        self.interp.exec(
            "import asyncio\nlog = []\n"
            "class Pause:\n    def __await__(self): return (yield)\n"
            "async def add(x):\n    log.append(await Pause())\n    return x + 1\n"
            "async def wait(started):\n"
            "    started()\n"
            "    try:\n"
            "        while True: await Pause()\n"
            "    except BaseException as e:\n        log.append(type(e).__name__)\n        raise\n"
        )
        add, wait, log = (self.interp.call(eval, name) for name in ("add", "wait", "log"))

        async def main():
            self.assertEqual(await asyncio.gather(add(1), asyncio.create_task(add(2)), asyncio.wait_for(add(3), 60)), [2, 3, 4])
            started = asyncio.Event()
            task = asyncio.ensure_future(wait(started.set))
            await started.wait()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        self.assertEqual(log, [None, None, None, "CancelledError"])
        coroutine = add(5)
        self.assertIsNone(coroutine.send(None))
        with self.assertRaises(StopIteration) as stop:
            coroutine.send("sent")
        self.assertEqual((stop.exception.value, log[-1]), (6, "sent"))

    def test_weak_containers(self):
        p = self.make("list")
        held = weakref.WeakValueDictionary(p=p)
        self.assertIs(held["p"], p)
        stoa.proxy(p)
        del p
        self.assertEqual(len(held), 0)

    def test_callable_says_nothing(self):
        """CPython looks at the type only, and that is one for all proxies: docs/python.md. The owner knows."""
        p = self.make("list")
        self.assertIs(type(p), type(self.make("class")))
        self.assertTrue(callable(p))
        self.assertFalse(self.interp.call(callable, p))
        with self.assertRaisesRegex(TypeError, "not callable"):
            p()

    def test_containers_of_the_library_beside_operators(self):
        """They know their like by the exact type: each crosses as a copy, like a list; its items by the rule."""
        inner = [1]
        for value in (collections.deque([1, inner], 5), collections.OrderedDict(a=1, b=inner), collections.defaultdict(list, a=inner),
                      collections.Counter("aab"), types.SimpleNamespace(a=inner)):
            p = self.call("identity", stoa.by_copy(value))
            with self.subTest(value=value), stoa.Interpreter(name="third") as third:
                self.assertTrue(stoa.is_proxy(p))
                q = third.call(there_name("identity"), stoa.by_copy(value))
                for a, b in ((p, value), (value, p), (p, q), (q, p), (p, copy.copy(p))):
                    self.assertTrue(a == b)
                    self.assertFalse(a != b)
                self.assertIn(p, [value])
                self.assertIn(value, self.call("identity", stoa.by_copy([value])))
        p = self.call("identity", stoa.by_copy(collections.deque([1])))
        whole = collections.deque([inner]) + p
        self.assertTrue(isinstance(whole, collections.deque))
        self.assertIs(whole[0], inner)
        self.assertLess(p, collections.deque([2]))
        p += collections.deque([inner])
        self.assertIs(p[1], inner)
        self.assertEqual(self.call("identity", stoa.by_copy(collections.OrderedDict(a=1))) | collections.OrderedDict(b=2), {"a": 1, "b": 2})
        self.assertNotEqual(self.call("identity", stoa.by_copy(collections.OrderedDict(a=1, b=2))), collections.OrderedDict(b=2, a=1))

    def test_the_other_operand_knows_more(self):
        """A class that leaves comparing to the operand's own: a builtin one knows the object, where it sees it."""
        self.interp.exec("import collections\n"
                         "class Reticent:\n"
                         "    def __eq__(self, other): return NotImplemented\n"
                         "    __lt__ = __gt__ = __hash__ = __eq__\n"
                         "class Number(Reticent, int): pass\n"
                         "class Text(Reticent, str): pass\n"
                         "class List(Reticent, list): pass\n"
                         "made = collections.Counter(a=1), Number(3), Text('t'), List([4])")
        for p, like, unlike in zip(self.interp.call(eval, "made"), ({"a": 1}, 3, "t", [4]), ({"a": 2}, 2, "s", [3])):
            with self.subTest(like=like):
                self.assertTrue(stoa.is_proxy(p))
                self.assertEqual((p == like, like == p, p != like, like != p), (True, True, False, False))
                self.assertEqual((p == unlike, unlike == p, p != unlike, unlike != p), (False, False, True, True))
                if not isinstance(p, dict):
                    self.assertEqual((p > unlike, unlike < p, p < unlike, unlike > p), (True, True, False, False))
        with self.assertRaises(TypeError):
            self.interp.call(eval, "made[0]") < {}  # neither knows

    def test_patterns(self):
        """Class patterns match by isinstance; sequence and mapping patterns ask for a flag of the type."""
        match self.make("list"):
            case list():
                pass
            case _:
                self.fail("no list")
        match self.make("list"):
            case [*_]:
                self.fail("documented otherwise")
            case _:
                pass
        match stoa.fetch(self.make("list")):
            case [3, *_]:
                pass
            case _:
                self.fail("fetch() is the way")


class Methods(Case):
    """p.append is not asked for until something other than a call is done with it; nobody can tell."""

    def numbers(self):
        return self.known(self.interp.call("builtins:list", (3, 1, 2)))

    def known(self, p):
        for _ in range(3):  # asked more than once, its owner tells what these are
            self.assertTrue(p.append and p.pop and p.sort)
        return p

    def test_one_crossing(self):
        p = self.numbers()
        before = stoa.stats()["counters"]
        for i in range(100):
            p.append(i)
        after = stoa.stats()["counters"]
        self.assertEqual(after["calls"] - before["calls"], 100)
        self.assertEqual(after["handles_made"], before["handles_made"])

    def test_what_it_is(self):
        p = self.numbers()
        m = p.append
        self.assertIs(type(m), stoa.Proxy)
        self.assertTrue(stoa.is_proxy(m))
        self.assertEqual(stoa.owner(m), self.interp)
        m(4)
        self.assertIs(self.call("identity", m), m)
        m(5)
        self.assertEqual(list(p), [3, 1, 2, 4, 5])
        self.assertEqual(m.__name__, "append")
        self.assertIs(m.__self__, p)
        self.assertEqual(p.append, m)
        self.assertIsNot(p.append, m)
        self.assertEqual(hash(p.append), hash(m))
        self.assertIn("append of list", repr(p.append))
        self.assertIs(pickle.loads(pickle.dumps(m)), m)

    def test_arguments(self):
        p = self.numbers()
        p.sort(key=abs, reverse=True)
        self.assertEqual(list(p), [3, 2, 1])
        d = self.interp.call("builtins:dict", a=1)
        self.assertEqual((d.get("a"), d.get("zzz", 5)), (1, 5))
        d.update({"k": 1}, **{f"x{k}": k for k in range(20)})
        self.assertEqual(len(d), 22)
        for call in (p.append, lambda: p.append(1, 2), lambda: p.sort(3), lambda: p.pop(x=1)):
            with self.assertRaises(TypeError):
                call()

    def test_missing(self):
        p = self.numbers()
        with self.assertRaisesRegex(AttributeError, "appendd"):
            p.appendd
        self.assertFalse(hasattr(p, "mro"))
        self.assertTrue(hasattr(p, "__len__"))

    def test_outlives_the_proxy(self):
        p = self.numbers()
        m, other = p.pop, p.pop
        stoa.release(p)
        self.assertEqual(m(), 2)
        stoa.release(other)
        for use in (lambda: p.append, lambda: other(), lambda: other.__name__):
            with self.assertRaises(stoa.ReleasedProxy):
                use()

    def test_owner_closed(self):
        p = self.numbers()
        m = p.append
        self.interp.close()
        for use in (lambda: m(1), lambda: p.append, lambda: m.__name__):
            with self.assertRaisesRegex(stoa.InterpreterGone, "owner"):
                use()

    def test_published(self):
        p = self.numbers()
        stoa.publish("test.proxy.method", p.append)
        self.addCleanup(stoa.unpublish, "test.proxy.method")
        stoa.lookup("test.proxy.method")(7)
        self.assertEqual(p[-1], 7)

    def test_settled_while_others_call(self):
        p = self.known(self.interp.call("builtins:list"))
        m = p.append

        def work():
            for i in range(2000):
                m(i)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for t in threads:
            t.start()
        for _ in range(200):
            self.assertEqual(m.__name__, "append")
            m = p.append
        for t in threads:
            t.join()
        self.assertEqual(len(p), 4000)

    def test_subclasses_are_asked(self):
        p = self.call("Shouting", "abc")
        self.assertEqual(p.count("a"), "COUNT a")
        p.count = len
        self.assertEqual(p.count("four"), 4)


if __name__ == "__main__":
    unittest.main()
