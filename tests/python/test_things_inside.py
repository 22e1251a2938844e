"""Proxies, queues, locks inside frozen graphs: each interpreter gets what stands for them there, and the graph keeps them."""

import gc
import unittest
import weakref

import stoa

import beside
import values_zoo as zoo


class Box:
    def __init__(self):
        self.count = 0

    def bump(self):
        self.count += 1
        return self.count


class Inside(beside.Beside):
    def test_a_proxy_is_the_object_at_home(self):
        box = Box()
        frozen = stoa.freeze((1, stoa.proxy(box), [stoa.proxy(box)], {"box": stoa.proxy(box), 2: zoo.Fixed(stoa.proxy(box))}))
        self.assertTrue(frozen[1] is box is frozen[2][0] is frozen[3]["box"] is frozen[3][2].a)
        self.assertIs(stoa.freeze(frozen), frozen)
        self.assertTrue(stoa.is_shared(frozen))

        def there(t):
            import stoa
            p = t[1]
            assert stoa.is_proxy(p) and p is t[2][0] is t[3]["box"] is t[3][2].a
            assert stoa.freeze(t) is t and hash(t[:1]) == hash((1,))
            return p.bump(), p, t

        count, back, again = self.other.call(there, frozen)
        self.assertEqual((count, box.count), (1, 1))
        self.assertIs(back, box)
        self.assertIs(again, frozen)

    def test_things(self):
        queue, lock = stoa.Queue(), stoa.Lock()
        frozen = stoa.publish("inside.things", {"queue": queue, "lock": lock, "all": (queue, lock, stoa.Event(), stoa.Semaphore(2))})
        self.assertIs(frozen["queue"], queue)
        self.other.exec("t = stoa.lookup('inside.things')\nwith t['lock']: t['queue'].put(type(t['all'][3]).__name__)\nassert t['all'][0] is t['queue']")
        self.assertEqual(queue.get(timeout=60), "Semaphore")
        stoa.unpublish("inside.things")

    def test_a_thing_by_itself(self):
        queue = stoa.Queue()
        self.assertIs(stoa.freeze(queue), queue)
        box = Box()
        proxy = self.other.call("values_zoo:same", stoa.proxy(box))
        self.assertIs(proxy, box)
        there = self.other.call(lambda: zoo.Plain(x=[1]))
        self.assertIs(stoa.freeze(there), there)

    def test_the_graph_keeps_what_is_in_it(self):
        box = Box()
        ended, frozen = weakref.ref(box), stoa.freeze((stoa.proxy(box),))
        del box, frozen
        gc.collect()
        self.assertIsNotNone(ended())
        self.assertIs(stoa.freeze([stoa.proxy(ended())])[0], ended())  # one node a handle
        handles = stoa.stats()["proxies"]["handles"]
        for i in range(50):
            stoa.freeze([i, stoa.proxy(ended())])
        self.assertEqual(stoa.stats()["proxies"]["handles"], handles)

    def test_a_freeze_that_fails_keeps_nothing(self):
        box = Box()
        ended = weakref.ref(box)
        with self.assertRaises(stoa.NotFreezable):
            stoa.freeze([stoa.proxy(box), [stoa.proxy(box)] * 20, object()])
        handles = stoa.stats()["proxies"]["handles"]
        boxes = [Box() for _ in range(100)]
        with self.assertRaises(stoa.NotFreezable):
            stoa.freeze([[stoa.proxy(b) for b in boxes], object()])
        del box, boxes
        gc.collect()
        self.assertEqual(self.other.call(lambda other: other.bump(), Box()), 1)  # who comes in applies the releases
        self.assertIsNone(ended())
        self.assertLess(stoa.stats()["proxies"]["handles"], handles + 20)

    def test_methods_of_containers(self):
        items = self.other.call(lambda: [1])
        append = items.append
        frozen = stoa.freeze((append, {"items": items}))
        frozen[0](2)
        self.assertEqual(frozen[1]["items"], [1, 2])
        self.assertIs(frozen[1]["items"], items)

    def test_refused(self):
        items = self.other.call(lambda: [1])
        with self.assertRaisesRegex(stoa.NotFreezable, r"\$\[1\].*share\(\) takes only what cannot"):
            stoa.share((1, items))
        stoa.release(items)
        with self.assertRaisesRegex(stoa.ReleasedProxy, "was released") as caught:
            stoa.freeze({"a": items})
        self.assertIn("$['a']", caught.exception.__notes__[0])

    def test_the_owner_ends(self):
        with stoa.Interpreter() as owner:
            frozen = stoa.freeze(("still", owner.call(lambda: [1, 2])))
            self.assertEqual(len(frozen[1]), 2)
        self.assertEqual(frozen[0], "still")
        with self.assertRaises(stoa.InterpreterGone):
            len(frozen[1])

        def there(t):
            try:
                len(t[1])
            except Exception as error:
                return t[0], type(error).__name__

        self.assertEqual(self.other.call(there, frozen), ("still", "InterpreterGone"))

    def test_thaw_leaves_them(self):
        queue, items = stoa.Queue(), self.other.call(lambda: [1])
        thawed = stoa.thaw(stoa.freeze({"q": [queue], "p": (items, [2])}))
        self.assertIs(thawed["q"][0], queue)
        self.assertIs(thawed["p"][0], items)
        self.assertEqual(thawed["p"][1], [2])

    def test_snapshot_and_records(self):
        point = zoo.Point(stoa.Queue(), 2.0)
        there = self.other.call("values_zoo:same", stoa.by_copy([point.x, stoa.freeze(point)]))
        self.assertIs(stoa.snapshot(there)[0], point.x)
        self.assertIs(stoa.snapshot(there)[1].x, point.x)

    def test_in_a_region_and_an_evolved_mapping(self):
        region, queue = stoa.Region("things"), stoa.Queue()
        frozen = region.freeze({"queue": queue})
        self.assertIs(frozen["queue"], queue)
        table = stoa.evolve(stoa.freeze({"a": 1}), {"q": stoa.freeze((queue,))})
        self.assertIs(table["q"][0], queue)
        self.assertTrue(self.other.call(lambda t, q: t["q"][0] is q, table, queue))


if __name__ == "__main__":
    unittest.main()
