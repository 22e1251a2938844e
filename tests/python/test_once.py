"""once: made by one, waited for by the others, in whichever interpreters they are."""

import threading
import time
import unittest

import stoa


def slow_factory():
    stoa.replace("o.calls", stoa.lookup("o.calls", 0) + 1)
    time.sleep(0.1)
    return {"made": [1, 2]}


def use():
    return stoa.once("o.value", slow_factory)


class Once(unittest.TestCase):
    def tearDown(self):
        for name in stoa.names():
            if name.startswith("o."):
                stoa.unpublish(name)

    def test_one_makes_all_get_the_same(self):
        interps = [stoa.Interpreter() for _ in range(3)]
        results = []
        threads = [threading.Thread(target=lambda i=i: results.append(i.call(use))) for i in interps for _ in range(2)]
        threads += [threading.Thread(target=lambda: results.append(use())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(results), 8)
        self.assertEqual(len({id(r) for r in results}), 1)
        self.assertEqual(results[0]["made"], (1, 2))
        self.assertEqual(stoa.lookup("o.calls"), 1)
        for interp in interps:
            interp.close()

    def test_later_calls_do_not_make(self):
        value = stoa.once("o.value", lambda: [1])
        self.assertIs(stoa.once("o.value", lambda: 1 / 0), value)
        self.assertIs(stoa.lookup("o.value"), value)

    def test_none_is_a_value(self):
        self.assertIsNone(stoa.once("o.value", lambda: None))
        self.assertIsNone(stoa.lookup("o.value"))

    def test_failure_goes_to_its_caller_and_the_next_tries(self):
        began = threading.Event()
        results = []

        def fail():
            began.set()
            time.sleep(0.1)
            raise ValueError("first")

        def first():
            try:
                stoa.once("o.value", fail)
            except ValueError as error:
                results.append(str(error))

        thread = threading.Thread(target=first)
        thread.start()
        began.wait()
        self.assertEqual(stoa.once("o.value", lambda: "second"), "second")
        thread.join()
        self.assertEqual(results, ["first"])

    def test_result_that_cannot_be_frozen(self):
        with self.assertRaises(stoa.NotFreezable):
            stoa.once("o.value", object)
        self.assertEqual(stoa.once("o.value", lambda: 2), 2)

    def test_asking_oneself(self):
        with self.assertRaisesRegex(stoa.Deadlock, "^waiting for the name 'o.value' .* in interpreter 'main', "):
            stoa.once("o.value", lambda: stoa.once("o.value", int))
        self.assertEqual(stoa.once("o.value", lambda: 3), 3)

    def test_a_ring_of_two(self):
        barrier = threading.Barrier(2)
        outcomes = []

        def make(mine, other):
            def factory():
                barrier.wait()
                return stoa.once(other, lambda: f"{other} by {mine}")

            try:
                outcomes.append(stoa.once(mine, factory))
            except stoa.Deadlock:
                outcomes.append("Deadlock")

        threads = [threading.Thread(target=make, args=pair) for pair in (("o.a", "o.b"), ("o.b", "o.a"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        self.assertEqual(outcomes.count("Deadlock"), 1, outcomes)
        self.assertEqual(len(outcomes), 2)

    def test_timeout(self):
        begun, over = threading.Event(), threading.Event()

        def factory():
            begun.set()
            over.wait()

        thread = threading.Thread(target=stoa.once, args=("o.value", factory))
        thread.start()
        begun.wait()
        with self.assertRaises(stoa.Timeout):
            stoa.once("o.value", int, timeout=0.05)
        over.set()
        thread.join()

    def test_published_meanwhile(self):
        def factory():
            stoa.publish("o.value", "published")
            return "made"

        self.assertEqual(stoa.once("o.value", factory), "published")

    def test_maker_is_closed(self):
        # the maker's interpreter waits for a name that never comes; closing it gives the making up
        interp = stoa.Interpreter()

        def make():
            try:
                interp.exec("import stoa\nstoa.once('o.value', lambda: stoa.lookup('o.never', timeout=None))")
            except stoa.InterpreterGone:
                pass

        thread = threading.Thread(target=make)
        thread.start()
        while not interp.running:
            time.sleep(0.001)
        time.sleep(0.1)
        result = []
        waiter = threading.Thread(target=lambda: result.append(stoa.once("o.value", lambda: "by the next")))
        waiter.start()
        time.sleep(0.05)
        interp.close(timeout=20)
        waiter.join(20)
        thread.join(20)
        self.assertEqual(result, ["by the next"])

    def test_bad_arguments(self):
        with self.assertRaises(TypeError):
            stoa.once("o.value", 3)
        with self.assertRaises(TypeError):
            stoa.once("o.value")
        with self.assertRaises(TypeError):
            stoa.once(3, int)
        with self.assertRaises(ValueError):
            stoa.once("o.value", int, timeout=float("nan"))


if __name__ == "__main__":
    unittest.main()
