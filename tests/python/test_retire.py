"""Regions end: by retire(), when nobody uses anything of them, else who does is said; by themselves, when nobody is left who could."""

import collections
import dataclasses
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import unittest

import stoa
from region_retires import EXACT, region_retires


def records(count):
    return [{"id": i + 10**6, "name": f"user {i}", "tags": ["one tag", f"tag {i % 17}"], "score": i * 1.5} for i in range(count)]


@dataclasses.dataclass
class Point:
    x: int
    y: str


class Case(unittest.TestCase):
    def held(self, region, *words, **kwargs):
        with self.assertRaises(stoa.Error) as caught:
            region.retire(**kwargs)
        self.assertFalse(region.closed)
        self.assertIn(region.name, str(caught.exception))
        for word in words:
            self.assertIn(word, str(caught.exception))
        caught.exception.__traceback__ = None
        return type(caught.exception)

    def retired(self, region):
        region_retires(self, region)


class Closed(Case):
    @unittest.skipUnless(EXACT, "an address may stay behind")
    def test_what_a_retired_region_does(self):
        region = stoa.Region("over", limit=10**6)
        number = region.id
        self.assertEqual(region.freeze([1.25, "text"]), (1.25, "text"))
        self.retired(region)
        self.assertEqual((region.name, region.limit, region.id), ("over", 10**6, number))
        self.assertIn("retired", repr(region))
        for use in (
            lambda: region.freeze([1]),
            lambda: region.share((1.5,)),
            lambda: region.stats(),
            lambda: region.retire(),
            lambda: region.retire(timeout=1),
            lambda: stoa.freeze([1], region=region),
            lambda: stoa.publish("into a retired one", [1], region=region),
        ):
            with self.assertRaisesRegex(stoa.Error, "retired"):
                use()
        self.assertNotIn(number, [each["id"] for each in stoa.stats()["regions"]])
        self.assertNotIn("into a retired one", stoa.names())

    def test_arguments(self):
        region = stoa.Region("arguments")
        for args, kwargs, error in (((1, 2), {}, TypeError), ((), {"time": 1}, TypeError), (("1",), {}, TypeError), ((float("nan"),), {}, ValueError)):
            with self.subTest(str((args, kwargs))), self.assertRaises(error):
                region.retire(*args, **kwargs)
        self.assertFalse(region.closed)
        region.retire(0)

    def test_an_empty_one(self):
        self.retired(stoa.Region("empty"))

    @unittest.skipUnless(EXACT, "an address may stay behind")
    def test_many(self):
        for i in range(200):
            region = stoa.Region(f"number {i}")
            region.freeze(records(3))
            self.retired(region)

    @unittest.skipUnless(EXACT, "an address may stay behind")
    def test_memory_comes_back(self):
        code = """
            import stoa
            for i in range(20):  # far more than the limit in all
                region = stoa.Region(f"large {i}")
                assert len(region.freeze("x" * 50_000_000)) == 50_000_000
                region.retire(timeout=60)
            print("done")
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=110, env={**os.environ, "STOA_HEAP_LIMIT": "150M"})
        self.assertEqual(done.stdout, "done\n", done.stderr)

    @unittest.skipUnless(EXACT, "an address may stay behind")
    def test_a_mistake_faults(self):
        code = """
            import ctypes, stoa
            region = stoa.Region("gone")
            address = id(region.freeze(("a text", 1.5)))
            print(ctypes.c_ssize_t.from_address(address + 16).value, flush=True)
            region.retire(timeout=60)
            ctypes.c_ssize_t.from_address(address + 16).value
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=110)
        self.assertEqual(done.returncode, -signal.SIGSEGV, done.stderr)
        self.assertEqual(done.stdout, "2\n")
        self.assertIn("its region was retired", done.stderr)


class Holders(Case):
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

    def test_a_queue(self):
        region = stoa.Region("queued")
        queue = stoa.Queue()
        queue.put(region.freeze(("in a queue", 2.5)))
        self.held(region, "queues")
        self.assertEqual(queue.get(), ("in a queue", 2.5))
        self.retired(region)
        self.assertTrue(queue.empty())

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
            for _ in range(1000):
                if owner.call("builtins:eval", "ref() is None"):
                    break
            else:
                self.fail("the object that a retired region held is kept")


class Interpreters(Case):
    def test_of_its_own_or_a_shared_gil(self):
        for gil in ("own", "shared"):
            with self.subTest(gil=gil), stoa.Interpreter(name="holds", gil=gil) as other:
                region = stoa.Region("across")
                mine = region.freeze(("across", [1.5]))
                other.prepare_main(theirs=mine)
                del mine
                self.held(region, "in interpreter 'holds'", "__main__.theirs")
                other.exec("del theirs")
                self.retired(region)

    def test_one_that_is_closed_holds_nothing(self):
        region = stoa.Region("closed")
        with stoa.Interpreter() as other:
            other.prepare_main(theirs=region.freeze(("of a closed one", 1.5)))
            self.held(region)
        self.retired(region)

    def test_what_it_returned(self):
        region = stoa.Region("returned")
        with stoa.Interpreter() as other:
            self.assertEqual(other.call("builtins:len", region.freeze(("a", "b", 2.5))), 3)
            self.assertEqual(other.submit("builtins:sum", region.freeze((1.5, 2.5))).result(), 4.0)
            self.retired(region)


def regions():
    return {figures["id"] for figures in stoa.stats()["regions"]}


class Deserted(unittest.TestCase):
    """When all interpreters that ever received something of a region are closed, it goes by itself."""

    FILL = """
        import stoa
        region = stoa.Region("deserted")
        number = region.id
        table = region.freeze({i: ["a text", str(i) * 10] for i in range(2000)})
    """

    def filled(self, **kwargs):
        interp = stoa.Interpreter(**kwargs)
        self.addCleanup(interp.close)
        interp.exec(textwrap.dedent(self.FILL))
        return interp, interp.call("builtins:eval", "number")

    def test_with_its_only_receiver(self):
        before = regions()
        for gil in ("own", "shared"):
            for use in ("region.share(('x' * 100, 1.5))", "stoa.array(b'bytes' * 1000, region=region)", "stoa.array_from_file('/proc/self/status', region=region)",
                        "stoa.evolve({}, {'a': 'b' * 100}, region=region)", "stoa.publish('x', 'y' * 100, region=region); stoa.unpublish('x')", "del region"):
                with self.subTest(gil=gil, use=use):
                    interp, number = self.filled(gil=gil)
                    interp.exec("kept = [table]\n" + use)
                    self.assertIn(number, regions())
                    interp.close()
                    self.assertNotIn(number, regions())
        self.assertEqual(regions(), before)

    def test_each_way_to_make_something_notes_who_has_it(self):
        """The Region object goes, what was made with it stays: in use."""
        for make in ("region.share(('x' * 100, 1.5))", "stoa.freeze(['x' * 100], region=region)", "stoa.array(b'bytes' * 1000, region=region)",
                     "stoa.array_from_file('/proc/self/status', region=region)", "stoa.evolve({}, {'a': 'b' * 100}, region=region)",
                     "stoa.publish('desert.x', ['y' * 100], region=region)"):
            with self.subTest(make):
                scope = {"stoa": stoa, "region": stoa.Region("made here")}
                number = scope["region"].id
                exec(f"made = {make}", scope)
                text = repr(scope["made"])
                del scope["region"]
                with stoa.Interpreter() as other:  # which receives it, too, and ends
                    other.call("builtins:repr", scope["made"])
                stoa.lookup("desert.x", None) is None or stoa.unpublish("desert.x")
                self.assertIn(number, regions())
                self.assertEqual(repr(scope["made"]), text)

    def test_with_the_last_of_several(self):
        first, number = self.filled()
        first.exec("stoa.publish('desert.table', table, region=region)")
        others = [stoa.Interpreter() for _ in range(3)]
        for other in others:
            other.exec("import stoa; table = stoa.lookup('desert.table')")
        first.close()
        with self.assertRaises(stoa.NameTaken):
            stoa.publish("desert.table", 1)  # asking whether it is in use is not receiving it
        stoa.unpublish("desert.table")
        for other in others:
            self.assertIn(number, regions())
            self.assertEqual(other.call("builtins:eval", "len(table) + len(table[7][1])"), 2010)
            other.close()
        self.assertNotIn(number, regions())

    def test_names_and_queues_keep_it(self):
        queue = stoa.Queue()
        interp, number = self.filled()
        interp.prepare_main(queue=queue)
        interp.exec("stoa.publish('desert.kept', table, region=region); queue.put(table)")
        interp.close()
        stoa.unpublish("desert.kept")
        self.assertIn(number, regions())
        with stoa.Interpreter() as other:
            other.prepare_main(queue=queue)
            other.exec("table = queue.get()")
            self.assertTrue(other.call("builtins:eval", "table[5][0] == 'a text'"))
        self.assertNotIn(number, regions())

    def test_what_came_here_keeps_it(self):
        ways = {
            "call": lambda interp: interp.call("builtins:eval", "table"),
            "submit": lambda interp: interp.submit("builtins:eval", "table").result(),
            "submit, read later": lambda interp: interp.submit("builtins:eval", "table"),
            "a part": lambda interp: interp.call("builtins:eval", "(1, [table[3]])")[1][0],
            "attribute": lambda interp: interp.call("builtins:eval", "type('Box', (), {'at': table})()").at,
            "item": lambda interp: interp.call("builtins:eval", "[table]")[0],
            "iteration": lambda interp: list(interp.call("builtins:eval", "[table] * 5"))[4],
            "buffer": lambda interp: memoryview(interp.call("builtins:eval", "memoryview(region.freeze(b'some bytes' * 1000))")),
            "exception": lambda interp: self.raised_by(interp),
        }
        for way, take in ways.items():
            with self.subTest(way):
                interp, number = self.filled()
                taken = take(interp)
                if way == "submit, read later":
                    taken.exception()
                interp.close()
                taken = taken.result() if way == "submit, read later" else taken
                self.assertIn(number, regions())
                self.assertGreater(len(bytes(taken)) if way == "buffer" else len(str(taken)), 10)

    def raised_by(self, interp):
        with self.assertRaises(KeyError) as caught:
            interp.exec("raise KeyError(table)")
        return caught.exception.args[0]

    def test_what_is_held_inside_is_given_up(self):
        with stoa.Interpreter() as owner:
            owner.exec("import weakref\nclass Thing: pass\nthing = Thing()\nref = weakref.ref(thing)")
            interp, number = self.filled()
            interp.prepare_main(thing=owner.call("builtins:eval", "thing"))
            interp.exec("holds = region.freeze([thing])")
            owner.exec("del thing")
            interp.close()
            self.assertNotIn(number, regions())
            for _ in range(1000):
                gc.collect()
                if owner.call("builtins:eval", "ref() is None"):
                    break
            else:
                self.fail("the object that a deserted region held is kept")

    def test_memory_comes_back(self):
        code = """
            import stoa
            for i in range(8):  # more than the limit in all
                with stoa.Interpreter() as interp:
                    interp.exec("import stoa; large = stoa.Region().freeze('x' * 50_000_000)")
            print("done")
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=110, env={**os.environ, "STOA_HEAP_LIMIT": "150M"})
        self.assertEqual(done.stdout, "done\n", done.stderr)

    def test_interpreters_that_others_made(self):
        try:
            import _interpreters as low
            run, destroy = low.exec, low.destroy
        except ImportError:
            import _xxsubinterpreters as low
            run, destroy = low.run_string, low.destroy
        path = f"import sys; sys.path[:] = {sys.path!r}\n"
        before = regions()
        number = low.create()
        run(number, path + textwrap.dedent(self.FILL))
        self.assertEqual(len(regions() - before), 1)
        destroy(number)
        self.assertEqual(regions(), before)

    def test_after_a_fork(self):
        code = """
            import os, stoa
            numbers = lambda: [figures["id"] for figures in stoa.stats()["regions"]]
            interp = stoa.Interpreter()
            interp.exec("import stoa; region = stoa.Region(); table = region.freeze(['text' * 100] * 100)")
            assert len(numbers()) == 2
            child = os.fork()
            if child == 0:
                with stoa.Interpreter() as own:
                    own.exec("import stoa; region = stoa.Region(); table = region.freeze(['text' * 100] * 100)")
                    count = len(numbers())
                os._exit(0 if len(numbers()) == count - 1 else 3)
            interp.close()
            print(os.waitpid(child, 0)[1], len(numbers()))
        """
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=110)
        self.assertEqual(done.stdout, "0 1\n", done.stderr)

    def test_many_at_once(self):
        before, errors = regions(), []

        def work(number):
            try:
                for i in range(5):
                    with stoa.Interpreter() as interp:
                        interp.exec(f"import stoa; region = stoa.Region(); stoa.replace('desert.{number}', 0); table = region.freeze([str(i) for i in range(500)])")
                        interp.exec(f"stoa.unpublish('desert.{number}'); stoa.publish('desert.{number}', table, region=region)")
                        with stoa.Interpreter() as other:
                            other.exec(f"import stoa; table = stoa.lookup('desert.{(number + 1) % 3}', ()); assert all(text == str(i) for i, text in enumerate(table or ()))")
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        for number in range(3):
            stoa.unpublish(f"desert.{number}")
        self.assertEqual(regions(), before)


class Waiting(Case):
    @unittest.skipUnless(EXACT, "an address may stay behind")
    def test_until_it_is_given_up(self):
        region = stoa.Region("waits")
        holder = [region.freeze(("for a while", 1.5))]
        tried = threading.Event()

        def give_up():
            tried.wait(60)
            holder.clear()

        thread = threading.Thread(target=give_up)
        thread.start()
        self.assertIs(self.held(region), stoa.Error)
        tried.set()
        region.retire(timeout=60)
        self.assertTrue(region.closed)
        thread.join()

    def test_a_timeout_is_a_timeout(self):
        region = stoa.Region("times out")
        holder = region.freeze(("for ever", 1.5))
        self.assertIs(self.held(region, "variable holder", timeout=0.05), stoa.Timeout)
        self.assertIs(self.held(region, timeout=0), stoa.Timeout)
        self.assertEqual(holder[1], 1.5)

    def test_freezes_of_others_go_on(self):
        region = stoa.Region("busy")
        stop = threading.Event()
        failures = []

        def work():
            while not stop.is_set():
                try:
                    region.freeze(records(20))
                except stoa.Error as error:
                    if not region.closed:
                        failures.append(error)
                    return

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            try:
                region.retire()
            except stoa.Error:
                pass
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        if not region.closed:
            self.retired(region)

    @unittest.skipUnless(EXACT, "an address may stay behind")
    def test_two_at_once(self):
        region = stoa.Region("twice")
        region.freeze(records(10))
        outcomes = []

        def work():
            try:
                region.retire(timeout=60)
                outcomes.append("retired")
            except stoa.Error:
                outcomes.append("refused")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(outcomes.count("retired"), 1)
        self.assertTrue(region.closed)

    def test_ctrl_c(self):
        code = """
            import os, signal, threading, stoa
            region = stoa.Region("interrupted")
            holder = region.freeze(("kept", 1.5))
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                region.retire(timeout=100)
            except KeyboardInterrupt:
                print("interrupted", region.closed, holder[0])
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=110)
        self.assertEqual(done.stdout, "interrupted False kept\n", done.stderr)


class Forked(Case):
    @unittest.skipUnless(EXACT, "an address may stay behind")
    def test_a_child_reads_on(self):
        code = """
            import os, stoa
            region = stoa.Region("before the fork")
            theirs = region.freeze({"k": ["what the child reads", 1.5] * 1000})
            ready, go = os.pipe()
            child = os.fork()
            if child == 0:
                os.read(ready, 1)
                os._exit(0 if theirs["k"][1998:] == ("what the child reads", 1.5) else 3)
            del theirs
            region.retire(timeout=60)
            other = stoa.Region("after it").freeze(["y" * 100_000] * 50)
            os.write(go, b"x")
            print(os.waitpid(child, 0)[1], region.closed)
        """
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=110)
        self.assertEqual(done.stdout, "0 True\n", done.stderr)


if __name__ == "__main__":
    unittest.main()
