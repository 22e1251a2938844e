"""Region.retire() refuses while something of the region is in use, and says who holds it: each way of holding."""

import collections
import dataclasses
import gc
import sys
import threading
import unittest

import stoa
import values_zoo as zoo
from beside import interpreter
from proxy_support import wait_for
from region_retires import EXACT, RetireCase


def records(count):
    return [{"id": i + 10**6, "name": f"user {i}", "tags": ["one tag", f"tag {i % 17}"], "score": i * 1.5} for i in range(count)]


@dataclasses.dataclass
class Point:
    x: int
    y: str


class Stated:
    """Taken apart into names and what they are set to."""

    def __reduce__(self):
        return Stated, (), ({"an attribute of its dictionary": 1.5}, {"an attribute that is set": 2.5})


class Holders(RetireCase):
    """Each way of holding something is found, told, and ends when it is given up."""

    def test_a_variable(self):
        region = stoa.Region("variable")
        mine = region.freeze(records(50))
        self.held(region, "in interpreter 'main'", "variable mine", "test_a_variable")
        self.assertEqual(len(mine), 50)  # nothing has changed
        self.assertEqual(region.freeze([7.5, mine])[1][3]["name"], "user 3")
        del mine
        self.retired(region)

    def test_a_module_attribute(self):
        global kept
        region = stoa.Region("module")
        kept = region.freeze({"a": [1.5]})
        self.held(region, f"{__name__}.kept")
        del kept
        self.retired(region)

    def test_a_part_of_it(self):
        region = stoa.Region("part")
        part = [region.freeze(records(50))[7]["name"]]
        self.held(region, "a list at", "user 7")
        part.clear()
        self.retired(region)

    def test_containers(self):
        for make in (
            lambda x: [x],
            lambda x: [1, (2, (3, x))],
            lambda x: {x: 1},
            lambda x: {"key": x},
            lambda x: {1: {2: x}},
            lambda x: {(1, x)},
            lambda x: collections.deque([x]),
            lambda x: (lambda: x),
            lambda x: iter([x]),
            lambda x: Point(1, x),
            lambda x: (x, 1),
            lambda x: slice(x, None),
            lambda x: iter(x),
            lambda x: enumerate(x),
            lambda x: x.__len__,
        ):
            region = stoa.Region(f"container of line {make.__code__.co_firstlineno}")
            holder = make(region.freeze(("in a container", 2.5)))
            self.held(region)
            del holder
            self.retired(region)

    def test_a_key_of_a_dict_that_the_gc_does_not_track(self):
        region = stoa.Region("key")
        holder = {region.freeze("a key of its own"): 1}
        self.held(region, "a key of its own" if sys.version_info >= (3, 14) else "variable holder")
        holder.clear()
        del holder
        self.retired(region)

    def test_the_name_of_an_attribute(self):
        region = stoa.Region("attribute")

        class Class:
            pass

        it = Class()
        setattr(it, region.freeze("a name for an attribute"), 1)
        self.held(region)
        del it, Class
        self.retired(region)

    def test_names_of_attributes_are_the_class_s_own(self):
        region = stoa.Region("names of attributes")
        it = region.freeze([Stated()])[0]
        self.assertEqual(list(vars(it)), ["an attribute of its dictionary", "an attribute that is set"])
        self.held(region)
        del it
        self.retired(region)

    def test_a_generator_and_a_frame(self):
        region = stoa.Region("frame")

        def generator(x):
            yield len(x)

        running = generator(region.freeze(("in a frame",)))
        next(running)
        self.held(region)
        del running
        self.retired(region)

    def test_garbage_is_collected(self):
        region = stoa.Region("garbage")
        gc.disable()
        try:
            cycle = [region.freeze(records(5))]
            cycle.append(cycle)
            del cycle
            self.retired(region)
        finally:
            gc.enable()

    def test_a_name(self):
        region = stoa.Region("named")
        stoa.publish("a name that holds", [1.5, "x"], region=region)
        self.held(region, "the name 'a name that holds'")
        stoa.unpublish("a name that holds")
        self.retired(region)

    def test_what_is_found_by_name_is_no_use(self):
        """Members are held by their class, names of modules by who imports them: neither is anything of the region."""
        with interpreter() as other:
            other.exec("assert 'colorsys' not in sys.modules and 'sched' not in sys.modules")
            for make in (
                lambda: zoo.Color.RED,
                lambda: [zoo.Perm.R | zoo.Perm.W, zoo.Perm(0), zoo.Level.HIGH],
                lambda: {zoo.Color.BLUE: zoo.Fixed(zoo.Color.RED)},
                lambda: [zoo.Fixed, zoo.same, zoo, len],
                lambda: [zoo.Fixed(zoo.Color.RED)] * 2000,
                lambda: __import__("colorsys").rgb_to_hsv,
                lambda: [__import__("sched").Event(*range(5), {})],
            ):
                with self.subTest(line=make.__code__.co_firstlineno):
                    region = stoa.Region(f"by name, line {make.__code__.co_firstlineno}")
                    frozen = region.freeze(make())
                    other.call(repr, frozen)
                    self.assertIs(other.call(zoo.same, frozen), frozen)
                    del frozen
                    self.retired(region)
            self.assertIs(other.call(zoo.same, stoa.freeze([zoo.Color.RED]))[0], zoo.Color.RED)

    def test_a_queue(self):
        region = stoa.Region("queued")
        queue = stoa.Queue()
        queue.put(region.freeze(("in a queue", 2.5)))
        self.held(region, "queues")
        self.assertEqual(queue.get(), ("in a queue", 2.5))
        self.retired(region)
        self.assertTrue(queue.empty())

    def test_what_is_being_frozen(self):
        region = stoa.Region("frozen into")
        outcomes = []

        class Meanwhile:
            def __reduce__(self):
                try:
                    region.retire()
                    outcomes.append("retired")
                except stoa.Error as error:
                    outcomes.append(str(error))
                return tuple, ((1.5, "part"),)

        mapping = stoa.freeze({"old": Meanwhile()})
        self.assertEqual(outcomes, ["retired"])  # nothing was being frozen into it
        for use in (
            lambda: region.freeze([Meanwhile()]),
            lambda: stoa.freeze([Meanwhile()], region=region),
            lambda: stoa.publish("a name meanwhile", [Meanwhile()], region=region),
            lambda: stoa.evolve(mapping, {"new": Meanwhile()}, region=region),
            lambda: stoa.evolve(mapping, {k: Meanwhile() for k in range(5)}, region=region),
        ):
            region = stoa.Region("frozen into")
            outcomes.clear()
            self.assertIsNotNone(use())
            self.assertTrue(outcomes)
            for outcome in outcomes:
                self.assertIn("region 'frozen into' cannot be retired: it is still in use", outcome)
        stoa.unpublish("a name meanwhile")

    def test_another_thread(self):
        region = stoa.Region("thread")
        there, go = threading.Event(), threading.Event()

        def work():
            theirs = region.freeze(("of a thread", 1.5))
            there.set()
            go.wait(60)
            return theirs

        thread = threading.Thread(target=work)
        thread.start()
        there.wait(60)
        self.held(region, "variable theirs")
        go.set()
        thread.join()
        self.retired(region)

    def test_delivered_objects(self):
        region = stoa.Region("delivered")
        holder = region.freeze([Point(1, "of a point")])
        point = holder[0]
        del holder
        self.held(region)
        self.assertEqual(point.y, "of a point")
        del point
        self.retired(region)

    def test_versions_that_are_dropped_again(self):
        region = stoa.Region("versions")
        version = stoa.evolve(region.freeze({i: 0 for i in range(2000)}), {})
        for turn in range(3000):  # what stood for them leaves whole pools of free blocks behind
            version = stoa.evolve(version, {k: turn for k in range(0, 2000, 100)})
        self.held(region)
        del version
        self.retired(region)

    def test_an_array(self):
        region = stoa.Region("array")
        view = region.freeze(bytearray(b"some bytes" * 1000))
        inside = memoryview(view)[5000:5010]
        del view
        self.held(region)
        self.assertEqual(bytes(inside), b"some bytes")
        del inside
        self.retired(region)

    @unittest.skipUnless(EXACT, "an address may stay behind")
    def test_a_proxy_inside_is_given_up(self):
        with stoa.Interpreter() as owner:
            owner.exec("class Thing: pass\nthing = Thing()\nimport weakref; ref = weakref.ref(thing)")
            region = stoa.Region("holds a proxy")
            proxy = owner.call("builtins:eval", "thing")
            region.freeze([proxy])
            owner.exec("del thing")
            stoa.release(proxy)
            del proxy
            self.retired(region)
            gc.collect()
            self.assertTrue(wait_for(lambda: owner.call("builtins:eval", "ref() is None")), "the object that a retired region held is kept")


if __name__ == "__main__":
    unittest.main()
