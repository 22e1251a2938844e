"""Many freeze at once: threads of one interpreter, several interpreters, interpreters that come and go."""

import threading
import unittest

import stoa

WORK = """
import stoa
def work(n):
    for i in range(20):
        data = [{"id": j + 10**6, "name": f"user {j}", "pair": (n, j), "own": f"{n} {i} {j}", "tags": {"x", f"t{j % 7}"}} for j in range(200)]
        twin = stoa.freeze(data, intern=i % 3 != 0)
        assert stoa.is_shared(twin) and len(twin) == 200
        assert stoa.thaw(twin) == [{**d, "pair": list(d["pair"])} for d in data]
        assert stoa.freeze({"all": ["make", "this", i]}) == stoa.freeze({"all": ["make", "this", i]})
        try:
            stoa.freeze([*data, object()])
        except stoa.NotFreezable:
            pass
        else:
            raise AssertionError
    return n
"""


class Threads(unittest.TestCase):
    def test_threads_of_one_interpreter(self):
        names = {}
        exec(WORK, names)
        failed = []

        def run(n):
            try:
                names["work"](n)
            except BaseException as e:
                failed.append(repr(e))

        threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failed, [])


class Interpreters(unittest.TestCase):
    def test_interpreters_at_once(self):
        failed = []

        def run(n):
            try:
                for _ in range(2):
                    with stoa.Interpreter() as interpreter:
                        interpreter.exec(WORK + f"\nassert work({n}) == {n}")
            except BaseException as e:
                failed.append(repr(e))

        threads = [threading.Thread(target=run, args=(n,)) for n in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failed, [])

    def test_what_an_interpreter_froze_outlives_it(self):
        with stoa.Interpreter() as interpreter:
            interpreter.exec("import stoa; stoa.publish('freeze parallel', {'k': ['made there', 1.5, {2}], 7: (None, b'x')})")
        twin = stoa.lookup("freeze parallel")
        self.assertEqual(stoa.thaw(twin), {"k": ["made there", 1.5, {2}], 7: [None, b"x"]})
        stoa.unpublish("freeze parallel")

    def test_errors_in_a_sub_interpreter(self):
        with stoa.Interpreter() as interpreter:
            interpreter.exec(
                """if True:
                import stoa
                a = []
                a.append(a)
                for bad, path in ((a, '$[0]'), ({'k': [object()]}, "$['k'][0]")):
                    try:
                        stoa.freeze(bad)
                    except stoa.NotFreezable as e:
                        assert e.path == path, e.path
                    else:
                        raise AssertionError(path)
                """
            )

    def test_equal_values_from_two_interpreters_are_one_object(self):
        with stoa.Interpreter() as interpreter:
            interpreter.exec("import stoa; stoa.replace('freeze address', id(stoa.freeze({'a key of this test': [1.125, 'and text']})))")
        self.assertEqual(id(stoa.freeze({"a key of this test": [1.125, "and text"]})), stoa.lookup("freeze address"))
        stoa.unpublish("freeze address")


if __name__ == "__main__":
    unittest.main()
