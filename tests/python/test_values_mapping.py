"""Long mappings whose values are built when they are touched, and then kept: frozen ones and what evolve() makes of them."""

import collections.abc
import copy
import gc
import json
import pickle
import random
import sys
import threading
import types
import unittest

import stoa

import values_zoo as zoo
from beside import interpreter
from region_retires import region_retires


def there(other, expression):
    other.exec("x = stoa.lookup('mapping.x', None)\nstoa.replace('mapping.result', (%s))" % expression)
    return stoa.lookup("mapping.result")


def points(count=3000):
    return {f"key {i}": zoo.Point(i, i / 2, str(i)) for i in range(count)}


def sweep():
    """What nobody holds is dropped from the table of what was delivered."""
    for i in range(4000):
        stoa.freeze(zoo.Fixed(("sweep", i)))
    gc.collect()


class Frozen(unittest.TestCase):
    def test_like_the_dict(self):
        d = points()
        m = stoa.freeze(d)
        self.assertIsInstance(m, stoa.PersistentMapping)
        self.assertIsInstance(m, collections.abc.Mapping)
        self.assertTrue(m == d and d == m and m == types.MappingProxyType(d) and not m != d and m == stoa.freeze(d) == m)
        self.assertFalse(m == {**d, "key 5": None} or m == {**d, "more": 1} or m == {"key 0": d["key 0"]} or m == 5)
        self.assertNotEqual(m, {(f"other {key}" if key == "key 2999" else key): value for key, value in d.items()})
        self.assertEqual((len(m), m["key 5"], m.get("none"), m.get("key 7"), "key 9" in m, "none" in m), (3000, d["key 5"], None, d["key 7"], True, False))
        self.assertEqual((list(m), list(m.values()), list(m.items())), (list(d), list(d.values()), list(d.items())))
        for mine, its in ((m, d), (m.keys(), d.keys()), (m.values(), d.values()), (m.items(), d.items())):
            self.assertEqual(list(reversed(mine)), list(reversed(its)))
        self.assertEqual((m | {"a": 1}, {"a": 1} | m, m | m, dict(m), {**m}), (d | {"a": 1}, {"a": 1} | d, d, d, d))
        self.assertRaises(TypeError, lambda: m | 5)
        self.assertEqual((type(m.copy()), m.copy()), (dict, d))
        self.assertIs(m.copy()["key 3"], m["key 3"])
        self.assertEqual((repr(m), pickle.loads(pickle.dumps(m))), (f"PersistentMapping({d!r})", d))
        self.assertIs(copy.copy(m), m)
        self.assertEqual(copy.deepcopy(m), d)
        self.assertRaises(KeyError, lambda: m["none"])
        self.assertRaises(TypeError, lambda: m[[]])
        with self.assertRaises(TypeError):
            m["key 5"] = 1
        match m:
            case {"key 1": zoo.Point(x=x)}:
                self.assertEqual(x, 1)
        self.assertRaises(TypeError, hash, m)  # a Point has no hash
        fixed = {i: zoo.Fixed(i) for i in range(2000)}
        self.assertEqual(hash(stoa.freeze(fixed)), hash(stoa.evolve(fixed)))
        thawed = json.loads(json.dumps({"in": stoa.freeze({str(i): zoo.Pair(i, None) for i in range(2000)})}, default=stoa.thaw))
        self.assertEqual(thawed["in"]["7"], [7, None])
        self.assertEqual(stoa.thaw(m), d)
        self.assertIs(type(stoa.thaw(m)), dict)
        self.assertIsNot(stoa.thaw(m)["key 1"], m["key 1"])

    def test_short_ones_and_ones_with_keys_of_classes_are_built_whole(self):
        own = type(stoa.freeze({}))
        self.assertIs(type(stoa.freeze(points(1023))), own)
        self.assertIs(type(stoa.freeze({i: i for i in range(3000)})), own)
        odd = stoa.freeze({**points(2000), zoo.Color.RED: zoo.Point(1, 2.0)})
        self.assertIs(type(odd), own)
        odd["key 7"].x = odd[zoo.Color.RED].x = -1
        again = stoa.freeze(odd)
        self.assertEqual((again["key 7"].x, again[zoo.Color.RED].x, again["key 8"].x), (-1, -1, 8))
        self.assertEqual(stoa.evolve(odd)["key 7"].x, -1)

    def test_equal_ones_are_one(self):
        d = {i: zoo.Fixed(i) for i in range(2000)}
        m = stoa.freeze(d)
        self.assertIs(stoa.freeze(dict(d)), m)
        self.assertIs(stoa.freeze([types.MappingProxyType(d)])[0], m)
        self.assertIs(stoa.freeze([m, dict(m)])[1], m)
        self.assertIsNot(stoa.freeze(dict(reversed(d.items()))), m)
        self.assertIsNot(stoa.freeze(d, intern=False), m)
        self.assertEqual(stoa.freeze(d, intern=False), m)
        self.assertIs(stoa.share({"in": (m,)} and (m,))[0], m)
        numbers = {i: [zoo.Fixed(i), i * 0.37, 10**9 + i] for i in range(2000)} | {"n": 123456.789}
        self.assertIs(stoa.freeze(numbers), stoa.freeze({key: list(value) if type(value) is list else 123456.789 for key, value in numbers.items()}))

    def test_built_on_touch_and_kept(self):
        with interpreter() as other:
            stoa.replace("mapping.x", stoa.freeze(points()))
            other.exec("import gc\ncount = lambda: sum(type(o) is zoo.Point for o in gc.get_objects())\nx = stoa.lookup('mapping.x')\n"
                       "'key 5' in x, len(x), list(x)\nassert count() == 0\nx['key 7'], x['key 7'], x.get('key 8')")
            self.assertEqual(there(other, "count()"), 2)
            self.assertTrue(there(other, "x['key 7'] is x['key 7'] is dict(x.items())['key 7'] and count() == 3000"))
            other.exec("import weakref\ngone = weakref.ref(x)\nold, x = x['key 9'], None\nfor i in range(15000): stoa.freeze(zoo.Fixed(('sweep', i)))\n"
                       "gc.collect()\nassert gone() is None and count() < 1000, count()\nx = stoa.lookup('mapping.x')\nassert x['key 9'] is old")
            other.exec("assert stoa.freeze(x) is x and stoa.is_shared(x) and stoa.thaw(x)['key 20'] == zoo.Point(20, 10.0, '20')")

    def test_costs_its_holder_what_was_touched(self):
        m, s = stoa.freeze({i: zoo.Fixed(i) for i in range(60_000)}), stoa.freeze([zoo.Fixed(i) for i in range(60_000)])
        version = stoa.evolve(m, {0: 1})
        for each in (m, s, version):
            self.assertLess(sys.getsizeof(each), 200)
            for i in range(7, 60_000, 6000):
                each[i]
            if each is not s:  # who only reads it all keeps nothing
                self.assertEqual(len(repr(each)) > 0 and stoa.thaw(each), each)
                self.assertEqual((hash(each), pickle.loads(pickle.dumps(each))), (hash(each), each))
            self.assertLess(sys.getsizeof(each), 5000)
            list(each.values() if each is not s else each)
            self.assertGreater(sys.getsizeof(each), 480_000)

    def test_a_region_goes_when_its_mapping_is_let_go(self):
        region = stoa.Region("mapping.goes")
        m = region.freeze(points(2000))
        m["key 5"].x = "changed"
        self.assertIs(stoa.replace("mapping.goes", m) and stoa.lookup("mapping.goes"), stoa.lookup("mapping.goes"))
        stoa.unpublish("mapping.goes")
        iterator = iter(m.items())
        del m
        with self.assertRaises(stoa.Error):
            region.retire()
        self.assertFalse(region.closed)
        self.assertEqual(next(iterator)[0], "key 0")
        del iterator
        region_retires(self, region)

    def test_what_is_kept_is_seen_by_the_collector(self):
        m = stoa.freeze(points())
        before = len(gc.get_referents(m))
        kept = [m["key 5"], m["key 1999"]]
        self.assertTrue(gc.is_tracked(m))
        self.assertTrue(all(any(value is there for there in gc.get_referents(m)) for value in kept))
        self.assertEqual(len(gc.get_referents(m)) - before, 2)

    def test_by_queue_call_and_name(self):
        m, queue = stoa.freeze(points()), stoa.Queue()
        queue.put(m)
        queue.put({"in": m, "list": [1]})
        self.assertIs(queue.get(), m)
        self.assertIs(queue.get()["in"], m)
        with interpreter() as other:
            self.assertIs(other.call("values_zoo:same", m), m)
            other.prepare_main(given=m)
            other.exec("given['key 5'].x = 'changed there'")
            self.assertEqual((m["key 5"].x, there(other, "given['key 6'].x, given")[1]["key 5"].x), (5, "changed there"))

    def test_values_that_hold_more(self):
        inner = {i: [zoo.Point(i, 1.0), (zoo.Fixed(zoo.Point(-i, 2.0)),)] for i in range(1500)}
        m = stoa.freeze({**{i: {"nested": zoo.Point(i, 3.0)} for i in range(1500)}, "inner": inner, "plain": {"a": 1}, "text": "text"})
        m["inner"][7][0].x, m[5]["nested"].x, m["inner"][8][1][0].a.x = "a", "b", "c"
        sweep()
        again = stoa.freeze({"all": m})["all"]
        self.assertEqual((again["inner"][7][0].x, again[5]["nested"].x, again["inner"][8][1][0].a.x, again["inner"][9][0].x, again["plain"]["a"]),
                         ("a", "b", "c", 9, 1))
        self.assertIs(stoa.freeze(again), again)
        self.assertEqual(m["inner"][7][0].x, "a")

    def test_threads_touch_at_once(self):
        m = stoa.freeze({i: (zoo.Picky(i), [zoo.Point(i, 0.0)]) for i in range(1100)})
        seen, barrier = [], threading.Barrier(4)

        def work(step):
            barrier.wait()
            seen.append([m[i * step % 1100] for i in range(1100)])

        threads = [threading.Thread(target=work, args=(step,)) for step in (1, 3, 7, 13)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({id(value) for values in seen for value in values}, {id(value) for value in m.values()})

    def test_iteration_while_values_are_built(self):
        m = stoa.freeze(points(2000))
        given = []
        for n, (key, value) in enumerate(m.items()):
            given.append(value)
            m[f"key {1999 - n}"].y = n
            if n % 500 == 0:
                self.assertEqual(len(list(m.values())), 2000)
                gc.collect()
            self.assertIs(m[key], value)
        self.assertTrue(all(a is b for a, b in zip(given, m.values(), strict=True)))
        iterator = iter(m.values())
        next(iterator).x = "kept by the iterator's mapping"
        del m
        sweep()
        self.assertIs(next(iterator), given[1])

    def test_one_that_cannot_be_built_is_named(self):
        m = stoa.freeze({f"key {i}": [zoo.Picky(i)] for i in range(2000)})
        with interpreter() as other:
            stoa.replace("mapping.x", m)
            other.exec("x = stoa.lookup('mapping.x')\nx['key 3']\nzoo.Picky.allowed = False")
            for code in ("x['key 1234']", "x.get('key 1234')", "list(x.values())", "x == {**{f'key {i}': None for i in range(2000)}}", "stoa.thaw(x)", "x.copy()"):
                name = "1234" if "1234" in code else "0"
                with self.subTest(code), self.assertRaisesRegex(stoa.Error, rf"^\$\['key {name}'\]\[0\]: 'values_zoo.Picky' cannot be built .*not allowed now"):
                    other.exec(code)
            other.exec("assert x['key 3'][0].value == 3 and len(x) == 2000\nzoo.Picky.allowed = True\nassert x['key 1234'][0].value == 1234")

    def test_an_interpreter_that_ends_with_one(self):
        stoa.replace("mapping.x", stoa.freeze(points()))
        for _ in range(3):
            with interpreter() as other:
                other.exec("""if True:
                    x = stoa.lookup('mapping.x')
                    class Late:
                        def __del__(self, x=x):
                            try:
                                x['key 77'].x, next(iter(x.values())).x, len(x), x == {}
                            except Exception:
                                pass
                    x['key 5'].name, x['key 6'].name, late = x, iter(x.items()), Late()
                    import sys
                    sys.modules['late'] = late
                """)
        self.assertEqual(stoa.lookup("mapping.x")["key 5"].x, 5)


class FrozenAgain(unittest.TestCase):
    """Costs time of what was built, and loses no change."""

    def both(self, d):
        return stoa.freeze(d), stoa.evolve(stoa.freeze({"one": 1, **{key: None for key in list(d)[:9]}}), d, remove=["one"])

    def test_changes_are_kept_and_taken_along(self):
        chosen = random.Random(6)
        for touched in ([0], [2999], [15, 16, 255, 256, 257], sorted(chosen.sample(range(3000), 200)), range(3000)):
            for m in self.both(points()):
                for i in touched:
                    m[f"key {i}"].x
                self.assertIs(stoa.freeze(m), m)
                self.assertIs(stoa.freeze({"in": m})["in"], m)
                self.assertIs(stoa.evolve(m), stoa.evolve(m, {}) if type(m) is stoa.PersistentMapping else m)
                changed = chosen.sample(list(touched), min(3, len(touched)))
                for i in changed:
                    m[f"key {i}"].x = -i - 1
                sweep()
                again, evolved = stoa.freeze([m])[0], stoa.evolve(m, {"more": zoo.Point(0, 0.0)}, remove=["key 100"])
                self.assertEqual([p.x for p in again.values()], [-i - 1 if i in changed else i for i in range(3000)])
                self.assertEqual([p.x for p in evolved.values()], [-i - 1 if i in changed else i for i in range(3000) if i != 100] + [0])
                self.assertEqual(list(again), list(m))
                self.assertIsNot(again, m)
                self.assertIs(stoa.freeze(again), again)
                place = f"$['key {changed[0]}'].x"
                m[f"key {changed[0]}"].x = threading.Lock()
                for call in (stoa.freeze, stoa.evolve, lambda m: stoa.publish("mapping.refused", m)):
                    with self.assertRaises(stoa.NotFreezable) as caught:
                        call(m)
                    self.assertEqual(caught.exception.path, place)
                for i in changed:
                    m[f"key {i}"].x = i
                self.assertIs(stoa.freeze(m), m)

    def test_only_what_was_built_is_looked_at(self):
        calls = []

        def reduce(reduced):
            calls.append(reduced.value)
            return zoo.Reduced, (reduced.value,)

        for m in self.both({i: zoo.Reduced(i) for i in range(5000)}):
            m[7].value, m[4000].value, m[4001].value
            zoo.Reduced.reduce = reduce
            try:
                self.assertIs(stoa.freeze(m), m)
                self.assertEqual(sorted(calls), [7, 4000, 4001])
                m[7].value = "new"
                calls.clear()
                self.assertEqual(stoa.freeze(m)[7].value, "new")
                self.assertEqual(sorted(calls, key=str), [4000, 4001, "new"])
            finally:
                zoo.Reduced.reduce = None
                calls.clear()

    def test_memory_of_the_change_alone(self):
        region = stoa.Region("mapping.memory")
        m = region.freeze(points(20_000))
        self.assertGreater(region.stats()["used_bytes"], 1_000_000)
        for version in (m, stoa.evolve(m, {"key 5": zoo.Point(5, 5.0)})):
            before = region.stats()["used_bytes"], stoa.stats()["region"]["used_bytes"]
            version["key 7"].x = "changed"
            queue = stoa.Queue()
            queue.put(version)
            again = queue.get()
            self.assertEqual((again["key 7"].x, again["key 8"].x), ("changed", 8))
            self.assertLess(region.stats()["used_bytes"] - before[0], 6000)
            self.assertLess(stoa.stats()["region"]["used_bytes"] - before[1], 2000)
        changed = stoa.freeze(points(20_000))
        for point in changed.values():
            point.x = -1
        before = stoa.stats()["region"]["used_bytes"]
        again = stoa.freeze(changed)
        self.assertTrue(all(point.x == -1 for point in again.values()))
        self.assertLess((stoa.stats()["region"]["used_bytes"] - before) / 20_000, 200)
        self.assertEqual(stoa.evolve(again, {"key 3": 5})["key 4"].x, -1)

    def test_versions_share_what_was_built(self):
        m = stoa.freeze(points(2000))
        version = stoa.evolve(m, {"key 5": zoo.Point(-5, 0.0)})
        self.assertIs(version["key 7"], m["key 7"])
        self.assertEqual((version["key 5"].x, m["key 5"].x), (-5, 5))
        version["key 7"].x = "seen by both"
        self.assertEqual((stoa.freeze(m)["key 7"].x, stoa.freeze(version)["key 7"].x, stoa.freeze(version)["key 5"].x), ("seen by both",) * 2 + (-5,))

    def test_versions_with_keys_of_classes(self):
        version = stoa.evolve({zoo.Color.RED: zoo.Point(1, 1.0), "plain": zoo.Point(2, 2.0)}, {zoo.Fixed(1): zoo.Point(3, 3.0)})
        version[zoo.Color.RED].x = version[zoo.Fixed(1)].x = "changed"
        sweep()
        again = stoa.freeze(version)
        self.assertEqual((again[zoo.Color.RED].x, again[zoo.Fixed(1)].x, again["plain"].x, len(again)), ("changed", "changed", 2, 3))
        version["plain"].x = threading.Lock()
        with self.assertRaises(stoa.NotFreezable) as caught:
            stoa.freeze(version)
        self.assertEqual(caught.exception.path, "$['plain'].x")

    def test_many_changes_then_many_more(self):
        m, wanted, chosen = stoa.freeze({i: zoo.Point(i, 0.0) for i in range(1500)}), {i: i for i in range(1500)}, random.Random(7)
        for step in range(30):
            for i in chosen.sample(list(wanted), chosen.choice([1, 3, 40, len(wanted) // 3])):
                wanted[i] = m[i].x = step * 10_000 + i
            if step % 3 == 0:
                m = stoa.freeze(m)
            elif step % 3 == 1:
                gone, more = chosen.choice(list(wanted)), 10_000 + step
                m = stoa.evolve(m, {more: zoo.Point(more, 0.0)}, remove=[gone])
                del wanted[gone]
                wanted[more] = more
            else:
                m[next(iter(m))].x = wanted[next(iter(wanted))] = step
            self.assertEqual({key: point.x for key, point in m.items()}, wanted)

    def test_into_another_region(self):
        region, another = stoa.Region("mapping.one"), stoa.Region("mapping.another")
        for make in (lambda d: region.freeze(d), lambda d: stoa.evolve(region.freeze({}), d)):
            m = make(points(2000))
            m["key 7"].x = "changed"
            for wanted in (another.freeze(m), stoa.freeze(m), stoa.freeze([m])[0]):
                self.assertEqual([point.x for point in wanted.values()], [i if i != 7 else "changed" for i in range(2000)])
                self.assertIsNot(wanted, m)
        m = region.freeze({i: zoo.Fixed(i) for i in range(2000)})
        self.assertEqual(stoa.share((m,))[0], m)
        self.assertIs(stoa.freeze(m), stoa.freeze({i: zoo.Fixed(i) for i in range(2000)}))
        s = region.freeze([zoo.Point(i, 0.0) for i in range(2000)])
        self.assertEqual(stoa.freeze(s), s)

    def test_share_takes_none_that_can_be_changed(self):
        for touched in (False, True):
            for frozen in (*self.both(points(2000)), stoa.freeze(list(points(2000).values()))):
                if touched:
                    frozen[1 if isinstance(frozen, collections.abc.Sequence) else "key 1"].x
                self.assertRaises(stoa.NotFreezable, stoa.share, (frozen,))
        for m in self.both({i: zoo.Fixed(i) for i in range(2000)}):
            m[5]
            self.assertIs(stoa.share((m,))[0], m)


if __name__ == "__main__":
    unittest.main()
