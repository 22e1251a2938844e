"""Functions by value in frozen graphs: cells, functions and namespaces that several have in common stay one."""

import gc
import unittest
import weakref

import stoa
from region_retires import region_retires


def counter():
    n = 0

    def inc():
        nonlocal n
        n += 1
        return n

    def get():
        return n

    return inc, get


def namespace(source):
    """What functions of a script see: globals that no import finds."""
    made = {"__name__": "__main__"}
    exec(source, made)
    return made


class Together(unittest.TestCase):
    def test_a_cell_in_two_functions_is_one(self):
        for graph in (stoa.freeze(list(counter())), stoa.freeze(dict(zip((0, 1), counter()))), stoa.freeze([*counter(), *[None] * 3000])):
            graph[0](), graph[0]()
            self.assertEqual(graph[1](), 2)
        first, second = stoa.freeze([counter(), counter()])  # those of other cells are others
        first[0](), second[0](), second[0]()
        self.assertEqual((first[1](), second[1]()), (1, 2))

    def test_in_another_interpreter_whatever_is_looked_at_first(self):
        with stoa.Interpreter() as other:
            other.prepare_main(long=stoa.freeze([*counter(), *[None] * 3000]), named=stoa.freeze(dict(zip(("inc", "get"), counter()))))
            other.exec("get = long[1]; import gc; gc.collect(); long[0](); assert get() == 1 and long[1] is get")
            other.exec("named['inc'](); named['inc'](); assert named['get']() == 2")
        self.assertEqual(counter()[1](), 0)

    def test_the_cell_lives_as_long_as_one_of_them(self):
        graph = stoa.freeze([*counter(), *[None] * 3000])
        inc, gone = graph[0], weakref.ref(graph[1])
        inc()
        node = stoa.freeze(inc)
        self.assertIs(node, inc)
        self.assertIs(gone(), graph[1])
        self.assertEqual(graph[1](), 1)

    def test_nothing_is_kept_that_nobody_has(self):
        refs = [weakref.ref(stoa.freeze(counter())[0]) for _ in range(3000)]
        for _ in range(3000):
            stoa.freeze(counter())
        gc.collect()
        self.assertLess(sum(ref() is not None for ref in refs), 1500)

    def test_functions_that_reach_each_other_are_the_same_ones(self):
        def even(n):
            return n == 0 or odd(n - 1)

        def odd(n):
            return n != 0 and even(n - 1)

        for graph in (stoa.freeze((even, odd)), stoa.freeze((odd, even))[::-1]):
            self.assertEqual((graph[0](10), graph[1](10)), (True, False))
            for one, two in (graph, graph[::-1]):
                cells = dict(zip(one.__code__.co_freevars, one.__closure__))
                self.assertIs(cells[two.__name__].cell_contents, two)

    def test_functions_in_a_container_that_a_cell_holds(self):
        def make():
            n = 0

            def inc():
                nonlocal n
                n += 1

            def get():
                return n

            table = {"inc": inc, "get": get}

            def run(name):
                return n, table[name]()

            return run, inc

        run, inc = stoa.freeze(make())
        run("inc")
        inc()
        self.assertEqual(run("get"), (2, 2))

    def test_functions_of_one_script_have_one_namespace(self):
        script = namespace("n = 0\ndef inc():\n    global n\n    n += 1\ndef get(): return n\ndef both(): return inc, get")
        inc, get, both = stoa.freeze((script["inc"], script["get"], script["both"]))
        inc(), inc()
        self.assertEqual((get(), script["n"]), (2, 0))
        self.assertEqual((both()[0] is inc, both()[1] is get), (True, True))
        other, scripted = stoa.freeze([script["get"], namespace("n = 7\ndef get(): return n")["get"]])
        self.assertEqual((other(), scripted()), (0, 7))  # another graph; and another script of the same name

    def test_an_empty_cell_is_filled_by_who_assigns(self):
        def make():
            def read():
                return x

            def write():
                nonlocal x
                x = 5

            if read is None:
                x = 1
            return read, write

        read, write = stoa.freeze(make())
        self.assertRaises(NameError, read)
        write()
        self.assertEqual(read(), 5)

    def test_many_names(self):
        """Its description is long then, and arrives as what is built on touch."""
        names = [f"g{i}" for i in range(1500)]
        source = "import fractions\n" + "".join(f"{n} = {i}\n" for i, n in enumerate(names)) + "g3 = fractions.Fraction(1, 2)\n"
        script = namespace(source + "def total(): return sum([" + ",".join(names) + "])\n")
        self.assertEqual(stoa.freeze([script["total"]])[0](), script["total"]())
        with stoa.Interpreter() as other:
            self.assertEqual(other.call("builtins:float", other.call(stoa.freeze(script["total"]))), float(script["total"]()))

    def test_cells_of_regions(self):
        region = stoa.Region("values-functions")
        graph = region.freeze(list(counter()))
        graph[0]()
        self.assertEqual(graph[1](), 1)
        again = stoa.freeze(graph)  # the default region takes nothing of another: laid anew, as one
        again[0]()
        self.assertEqual((again[1](), graph[1]()), (2, 1))
        del graph
        gc.collect()
        region_retires(self, region)


if __name__ == "__main__":
    unittest.main()
