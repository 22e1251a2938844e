"""Things that come and go leave nothing: heap bytes, ordinary memory, file descriptors, threads."""
import gc
import os
import threading
import unittest

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

import stoa
from stoa_tests import used_bytes


def private_kib():
    """Memory of this process that no other has, the heap's pages left out."""
    total, counting = 0, False
    with open("/proc/self/smaps") as maps:
        for line in maps:
            first = line.split(None, 1)[0]
            if "-" in first and not first.endswith(":"):
                counting = "memfd:" not in line
            elif counting and first == "Private_Dirty:":
                total += int(line.split()[1])
    return total


def grows(action, times, warm):
    """KiB that `times` repetitions of action add, after `warm` of them."""
    for _ in range(warm):
        action()
    if os.environ.get("STOA_SANITIZE"):  # a sanitizer keeps freed memory for a while: nothing to be seen here
        action()
        return 0
    gc.collect()
    before = private_kib()
    for _ in range(times):
        action()
    gc.collect()
    return private_kib() - before


class Leaks(unittest.TestCase):
    def open_files(self):
        return len(os.listdir("/proc/self/fd"))

    def test_freezing_the_same_again_takes_no_bytes(self):
        value = {"users": [{"name": f"user {i}", "tags": ["a", "b"], "size": i * 1.5} for i in range(2000)]}
        stoa.freeze(value)
        before = used_bytes()
        for _ in range(20):
            stoa.freeze(value)
        self.assertEqual(used_bytes(), before)

    def test_failed_freezes(self):
        value = [[f"text {i}", i * 7919] for i in range(3000)] + [object()]

        def fail():
            with self.assertRaises(stoa.NotFreezable):
                stoa.freeze(value)
            with self.assertRaises(stoa.NotFreezable):
                stoa.freeze(value, intern=False)

        before = used_bytes()
        self.assertLess(grows(fail, 100, 10), 3000)
        self.assertEqual(used_bytes(), before)

    def test_lookups_and_replacements(self):
        values = [stoa.freeze(["one"]), stoa.freeze(["two"])]

        def turn():
            for _ in range(1000):
                stoa.replace("leaks/name", values[0])
                stoa.lookup("leaks/name")
                stoa.replace("leaks/name", values[1])
            stoa.unpublish("leaks/name")

        self.assertLess(grows(turn, 50, 5), 1000)

    def test_names_that_come_and_go(self):
        counter = iter(range(10**9))

        def turn():
            names = [f"leaks/{next(counter)}" for _ in range(200)]
            for name in names:
                stoa.publish(name, 1)
            for name in names:
                stoa.unpublish(name)

        self.assertLess(grows(turn, 100, 20), 2000)

    def test_interpreters_that_come_and_go(self):
        def turn():
            with stoa.Interpreter() as interpreter:
                interpreter.exec("import stoa; assert stoa.freeze(('text in an interpreter', 1))[1] == 1")

        def turn_without_stoa():
            other = interpreters.create()
            run = getattr(interpreters, "exec", None) or interpreters.run_string
            run(other, "import enum, concurrent.futures")
            interpreters.destroy(other)

        files = self.open_files()
        baseline = grows(turn_without_stoa, 20, 5)
        self.assertLess(grows(turn, 20, 5), baseline + 20 * 200, f"KiB for 20 interpreters; CPython itself keeps {baseline}")
        self.assertEqual(self.open_files(), files)

    def test_threads_that_come_and_go(self):
        with stoa.Interpreter() as interpreter:
            def turn():
                thread = threading.Thread(target=interpreter.exec, args=("x = 1",))
                thread.start()
                thread.join()

            made = stoa.stats()
            self.assertLess(grows(turn, 200, 20), 2000)
            self.assertEqual(interpreter.call("builtins:len", (1, 2)), 2)
            del made

    def test_results_and_exceptions_across(self):
        with stoa.Interpreter() as interpreter:
            def turn():
                for _ in range(50):
                    interpreter.call("builtins:str", 123456789)
                    try:
                        interpreter.exec("raise ValueError('x' * 1000)")
                    except ValueError:
                        pass

            self.assertLess(grows(turn, 40, 5), 2000)

    def test_thawing(self):
        frozen = stoa.freeze({"a": [{"b": i, "c": {str(i)}} for i in range(1000)]})
        self.assertLess(grows(lambda: stoa.thaw(frozen), 50, 5), 2000)


if __name__ == "__main__":
    unittest.main()
