"""Region: limits, statistics, what crosses from one to another; a failing freeze leaves nothing."""

import dataclasses
import signal
import subprocess
import sys
import threading
import unittest

import stoa


def records(count, start=0):
    return [{"id": i + 10**6, "name": f"user {i}", "tags": ["a tag", f"tag {i % 17}"], "score": i * 1.5} for i in range(start, start + count)]


@dataclasses.dataclass
class Point:
    x: int
    y: str


@dataclasses.dataclass(frozen=True)
class Place:
    x: int
    y: str


class Arguments(unittest.TestCase):
    def test_new(self):
        region = stoa.Region("my region", limit=10**7)
        self.assertEqual((region.name, region.limit, region.closed), ("my region", 10**7, False))
        self.assertGreater(region.id, 1)
        self.assertIn("my region", repr(region))
        self.assertIsNone(stoa.Region().limit)
        self.assertNotEqual(stoa.Region().id, stoa.Region().id)

    def test_wrong(self):
        for args, kwargs, error in (
            (("x" * 64,), {}, ValueError),
            (("a\0b",), {}, ValueError),
            (("\ud800",), {}, UnicodeEncodeError),
            ((3,), {}, TypeError),
            (("x", 3), {}, TypeError),
            ((), {"limit": -1}, ValueError),
            ((), {"limit": 0}, ValueError),
            ((), {"limit": 2**64}, ValueError),
            ((), {"limit": 1.5}, TypeError),
            ((), {"limits": 1}, TypeError),
        ):
            with self.subTest(str((args, kwargs))), self.assertRaises(error):
                stoa.Region(*args, **kwargs)
        with self.assertRaises(TypeError):
            stoa.Region().freeze()
        with self.assertRaises(AttributeError):
            stoa.Region().name = "x"
        with self.assertRaises(TypeError):
            type("Sub", (stoa.Region,), {})

    def test_name_of_63_bytes(self):
        self.assertEqual(stoa.Region("é" * 31 + "x").name, "é" * 31 + "x")


class Freezing(unittest.TestCase):
    def test_both_ways_of_naming_it(self):
        region = stoa.Region("two ways")
        one = region.freeze({"only here": [1, 2.25]})
        two = stoa.freeze({"only here": [1, 2.25]}, region=region)
        self.assertIs(one, two)
        self.assertIs(region.share(one), one)
        self.assertEqual(region.freeze([1], intern=False), (1,))

    def test_stats_count(self):
        region = stoa.Region("stats")
        zero = region.stats()
        self.assertEqual((zero["name"], zero["limit"], zero["used_bytes"], zero["objects"], zero["freezes"]), ("stats", None, 0, 0, 0))
        region.freeze(records(100))
        one = region.stats()
        self.assertGreater(one["used_bytes"], 100 * 100)
        self.assertGreater(one["chunk_bytes"], one["used_bytes"] - 1)
        self.assertEqual(one["freezes"], 1)
        self.assertGreater(one["intern_entries"], 0)
        region.freeze(records(100))
        two = region.stats()
        self.assertEqual(two["used_bytes"], one["used_bytes"])
        self.assertEqual(two["freezes"], 2)

    def test_stats_of_the_process_list_every_region(self):
        region = stoa.Region("listed", limit=1 << 20)
        region.freeze(records(10))
        stats = stoa.stats()
        self.assertIn(region.stats(), stats["regions"])
        self.assertEqual(stats["regions"][0], stats["region"])
        self.assertEqual((stats["region"]["id"], stats["region"]["name"]), (1, "default"))
        ids = [each["id"] for each in stats["regions"]]
        self.assertEqual(ids, sorted(set(ids)))

    def test_an_object_of_another_region_is_copied(self):
        one, two = stoa.Region("one"), stoa.Region("two")
        a = one.freeze({"k": ["some value here", (1.5, 2)], 7: {3}})
        b = two.freeze(["x", a])
        self.assertIsNot(b[1], a)
        self.assertEqual(stoa.thaw(b[1]), stoa.thaw(a))
        self.assertIs(one.freeze([a])[0], a)
        c = stoa.freeze(a)
        self.assertIsNot(c, a)
        self.assertEqual(stoa.thaw(c), stoa.thaw(a))

    def test_the_default_region_is_reached_from_everywhere(self):
        default = stoa.freeze({"in the default": ["region", 1.25]})
        region = stoa.Region("mine")
        self.assertIs(region.freeze([default])[0], default)
        self.assertIs(stoa.freeze(default, region=region), default)

    def test_what_is_frozen_is_named_and_sent_where_it_lies(self):
        region, queue = stoa.Region("named"), stoa.Queue()
        self.addCleanup(stoa.unpublish, "region.named")
        native = region.freeze(records(50))
        values = {
            "native": native,
            "version": stoa.evolve(region.freeze({i: [i] for i in range(2000)}), {7: "changed"}),
            "changeable": region.freeze([Point(i, "of a point") for i in range(50)]),
            "not changeable": region.freeze({"k": Place(1, "of a place")}),
        }
        stoa.replace("region.named", 0)
        for what, value in values.items():
            with self.subTest(what):
                before = stoa.stats()["region"]["used_bytes"]
                self.assertIs(stoa.replace("region.named", value), value)
                self.assertIs(stoa.lookup("region.named"), value)
                queue.put(value)
                self.assertIs(queue.get(), value)
                self.assertEqual(stoa.stats()["region"]["used_bytes"], before)
        stoa.publish("region.published", native)
        self.assertIs(stoa.lookup("region.published"), native)
        stoa.unpublish("region.published")
        values["changeable"][3].y = "changed"
        queue.put(values["changeable"])
        self.assertEqual(queue.get()[3].y, "changed")

    def test_a_region_outlives_its_python_object(self):
        twin = stoa.Region("short").freeze(records(50))
        self.assertEqual(len(twin), 50)
        self.assertEqual(twin[49]["name"], "user 49")


class Nothing(unittest.TestCase):
    """What a failed freeze leaves behind: nothing."""

    def unchanged(self, region, error, value, **kwargs):
        before = region.stats()
        with self.assertRaises(error) as caught:
            region.freeze(value, **kwargs)
        after = region.stats()
        self.assertEqual(after["used_bytes"], before["used_bytes"])
        self.assertEqual(after["objects"], before["objects"])
        self.assertEqual(after["intern_entries"], before["intern_entries"])
        self.assertEqual(after["aborts"], before["aborts"] + 1)
        return caught.exception

    def test_refusal(self):
        for intern in (True, False):
            region = stoa.Region("refuse")
            region.freeze(records(10))
            self.unchanged(region, stoa.NotFreezable, records(5000, 20) + [object()], intern=intern)
            cycle = records(5000, 20)
            cycle.append(cycle)
            self.unchanged(region, stoa.NotFreezable, cycle, intern=intern)
            cycle.clear()

    def test_a_limit_hit_in_the_middle(self):
        for intern in (True, False):
            for value in (records(20_000, 100), "x" * 8_000_000, b"y" * 8_000_000, {i: i for i in range(10**6, 10**6 + 100_000)},
                          list(range(10**6, 10**6 + 200_000)), set(range(10**6, 10**6 + 100_000)), 1 << 80_000_000, ["é" * 5_000_000]):
                region = stoa.Region("limited", limit=3_000_000)
                kept = region.freeze(records(10))
                error = self.unchanged(region, MemoryError, value, intern=intern)
                self.assertIn("limit", str(error))
                self.assertEqual(stoa.thaw(kept), records(10))
                self.assertEqual(len(region.freeze(records(100, 50), intern=intern)), 100)
                self.assertLessEqual(region.stats()["used_bytes"], 3_000_000)

    def test_after_an_abort_equal_values_are_made_anew(self):
        region = stoa.Region("again")
        for i in range(5):
            self.unchanged(region, stoa.NotFreezable, [*records(300, i), object()])
            twin = region.freeze(records(300, i))
            self.assertEqual(stoa.thaw(twin), records(300, i))


class Interrupt(unittest.TestCase):
    def setUp(self):
        self.data = records(200_000)

    def freeze_with_signal(self, region, handler):
        old = signal.signal(signal.SIGINT, handler)
        try:
            timer = threading.Timer(0.02, signal.raise_signal, [signal.SIGINT])
            timer.start()
            for _ in range(200):
                region.freeze(self.data, intern=False)
                if not timer.is_alive():
                    break
            timer.join()
        finally:
            signal.signal(signal.SIGINT, old)

    def test_ctrl_c_ends_a_long_freeze(self):
        code = """if True:
            import os, signal, sys, time, stoa
            data = [[str(i), i + 10**6, float(i)] for i in range(1_000_000)]
            data.append(object())  # which nobody can freeze: what is not stopped leaves nothing, however late the signal
            parent = os.getpid()
            try:
                if os.fork() == 0:
                    time.sleep(0.1)
                    os.kill(parent, signal.SIGINT)
                    os._exit(0)
                while True:
                    region, refused = stoa.Region('x'), False
                    try:
                        region.freeze(data, intern=False)
                    except stoa.NotFreezable:
                        refused = True
            except KeyboardInterrupt:
                print('stopped', refused, region.stats()['aborts'], region.stats()['used_bytes'])
            os.wait()
        """
        for _ in range(8):  # the signal may come just at the end of a freeze, which then ends as a whole
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=110)
            self.assertIn("stopped", done.stdout, done.stderr)
            if done.stdout.strip() == "stopped False 1 0":
                return
        self.fail(f"never stopped inside a freeze: {done.stdout}")

    def test_a_handler_that_goes_on_lets_the_freeze_finish(self):
        seen = []
        data = self.data

        def handler(*_):
            seen.append(len(data))
            data.append({"added": "by the handler"})

        region = stoa.Region("handled")
        self.freeze_with_signal(region, handler)
        self.assertEqual(len(seen), 1)
        twin = region.freeze(data, intern=False)
        self.assertEqual(len(twin), len(data))


if __name__ == "__main__":
    unittest.main()
