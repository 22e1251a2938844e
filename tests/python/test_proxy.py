"""Proxies: identity, what stands for what, callbacks, copies."""

import os
import pickle
import unittest
import weakref

import stoa
from proxied import there_name


class Case(unittest.TestCase):
    def setUp(self):
        self.interp = stoa.Interpreter(name="owner")
        self.addCleanup(self.interp.close)

    def make(self, kind):
        return self.interp.call(there_name("make"), kind)

    def call(self, name, *args):
        return self.interp.call(there_name(name), *args)


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


if __name__ == "__main__":
    unittest.main()
