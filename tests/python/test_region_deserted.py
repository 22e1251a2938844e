"""A region goes by itself when nobody is left who could use it."""

import gc
import os
import subprocess
import sys
import textwrap
import threading
import unittest

import stoa
from proxy_support import wait_for


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
            gc.collect()
            self.assertTrue(wait_for(lambda: owner.call("builtins:eval", "ref() is None")), "the object that a deserted region held is kept")

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


if __name__ == "__main__":
    unittest.main()
