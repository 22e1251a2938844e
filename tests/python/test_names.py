"""publish, replace, unpublish, lookup, names."""

import threading
import time
import unittest

import stoa
from child import check


def wait_for(name, timeout):
    return stoa.lookup(name, timeout=timeout)


class Names(unittest.TestCase):
    def tearDown(self):
        for name in stoa.names():
            if name.startswith("t."):
                stoa.unpublish(name)

    def test_publish_freezes(self):
        value = stoa.publish("t.a", {"k": [1, 2]})
        self.assertEqual(value["k"], (1, 2))
        self.assertTrue(stoa.is_shared(value))
        self.assertIs(stoa.lookup("t.a"), value)
        with stoa.Interpreter() as interp:
            interp.exec("import stoa\nassert stoa.lookup('t.a')['k'] == (1, 2)")
            self.assertIs(interp.call("stoa:lookup", "t.a"), value)

    def test_in_use(self):
        stoa.publish("t.a", 1)
        used = stoa.stats()["region"]["used_bytes"]
        with self.assertRaisesRegex(stoa.NameTaken, "t.a"):
            stoa.publish("t.a", ["something", "new", time.time()])
        self.assertIsInstance(stoa.NameTaken(), ValueError)
        self.assertEqual(stoa.stats()["region"]["used_bytes"], used)

    def test_not_freezable(self):
        with self.assertRaises(stoa.NotFreezable):
            stoa.publish("t.a", [object()])
        self.assertNotIn("t.a", stoa.names())
        with self.assertRaises(stoa.NotFreezable):
            stoa.replace("t.a", object())
        self.assertNotIn("t.a", stoa.names())

    def test_replace(self):
        old = stoa.replace("t.a", ["old", 1])
        new = stoa.replace("t.a", ["new", 2])
        self.assertEqual((old[0], new[0]), ("old", "new"))
        self.assertIs(stoa.lookup("t.a"), new)

    def test_unpublish(self):
        value = stoa.publish("t.a", ["x", 1])
        stoa.unpublish("t.a")
        self.assertEqual(value, ("x", 1))
        with self.assertRaises(KeyError):
            stoa.lookup("t.a")
        with self.assertRaises(KeyError) as caught:
            stoa.unpublish("t.a")
        self.assertEqual(caught.exception.args, ("t.a",))

    def test_names(self):
        stoa.publish("t.b", 1)
        stoa.publish("t.é", 1)
        stoa.publish("t.a\0b", 1)
        self.assertEqual([n for n in stoa.names() if n.startswith("t.")], ["t.a\0b", "t.b", "t.é"])
        self.assertEqual(stoa.lookup("t.a\0b"), 1)

    def test_bad_names(self):
        for bad in ("", "x" * 5000):
            with self.subTest(bad[:3]), self.assertRaises(ValueError):
                stoa.publish(bad, 1)
        for bad in (None, 3, b"t.a"):
            for function in (lambda n: stoa.publish(n, 1), stoa.lookup, stoa.unpublish, lambda n: stoa.replace(n, 1)):
                with self.subTest(bad), self.assertRaises(TypeError):
                    function(bad)
        with self.assertRaises(UnicodeEncodeError):
            stoa.lookup("\ud800")

    def test_arguments_of_lookup(self):
        self.assertEqual(stoa.lookup("t.none", 7), 7)
        self.assertEqual(stoa.lookup("t.none", default=8), 8)
        self.assertIsNone(stoa.lookup("t.none", None, timeout=0))
        for args, kwargs in (((), {}), (("t.none", 1, 2), {}), (("t.none", 1), {"default": 2}), (("t.none",), {"x": 1})):
            with self.subTest(args=args, kwargs=kwargs), self.assertRaises(TypeError):
                stoa.lookup(*args, **kwargs)
        with self.assertRaises(ValueError):
            stoa.lookup("t.none", timeout=float("nan"))
        with self.assertRaises(TypeError):
            stoa.lookup("t.none", timeout="1")
        stoa.publish("t.there", 1)
        with self.assertRaises(TypeError):  # whether it is there or not
            stoa.lookup("t.there", timeout="1")
        with self.assertRaises(KeyError):
            stoa.lookup("t.none", timeout=-1)

    def test_region(self):
        region = stoa.Region("t")
        value = stoa.publish("t.a", ["in a region", 1.25], region=region)
        self.assertEqual(stoa.lookup("t.a"), value)
        with self.assertRaises(TypeError):
            stoa.publish("t.b", 1, region="t")

    def test_waiting(self):
        threading.Timer(0.1, stoa.publish, ("t.late", "here")).start()
        self.assertEqual(stoa.lookup("t.late", timeout=60), "here")
        with self.assertRaises(KeyError):
            stoa.lookup("t.never", timeout=0.05)
        self.assertEqual(stoa.lookup("t.never", "d", timeout=0.01), "d")

    def test_waiting_across_interpreters_holds_no_gil(self):
        with stoa.Interpreter() as interp:
            result = []
            thread = threading.Thread(target=lambda: result.append(interp.call(wait_for, "t.cross", 20)))
            thread.start()
            time.sleep(0.05)
            interp.exec("import stoa\nstoa.publish('t.cross', 5)")  # needs the GIL that the waiter must not hold
            thread.join(20)
            self.assertEqual(result, [5])

    def test_closing_wakes_waiters(self):
        interp = stoa.Interpreter()
        raised = []

        def wait():
            try:
                interp.call(wait_for, "t.never", None)
            except stoa.InterpreterGone as error:
                raised.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        while not interp.running:
            time.sleep(0.001)
        time.sleep(0.05)
        interp.close(timeout=20)
        thread.join(20)
        self.assertEqual(len(raised), 1)

    def test_lookup_is_constant_time(self):
        stoa.publish("t.small", "x")
        stoa.publish("t.large", ["y" * 100] * 200_000)
        times = {}
        for name in ("t.small", "t.large"):
            best = 1.0
            for _ in range(20):
                began = time.thread_time()
                for _ in range(2000):
                    stoa.lookup(name)
                best = min(best, time.thread_time() - began)
            times[name] = best
        self.assertLess(times["t.large"], 5 * times["t.small"])

    def test_many_writers_and_readers(self):
        stoa.publish("t.turn", 0)
        stop = threading.Event()
        wrong = []

        def read():
            last = 0
            while not stop.is_set():
                value = stoa.lookup("t.turn")
                if value < last:
                    wrong.append((last, value))
                last = value

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for n in range(3000):
            stoa.replace("t.turn", n)
        stop.set()
        for reader in readers:
            reader.join()
        self.assertEqual(wrong, [])


class Interrupted(unittest.TestCase):
    SEND = """
        import os, signal, threading, time, stoa
        def send():
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGINT)
        sender = threading.Thread(target=send)
    """

    def test_ctrl_c_in_lookup(self):
        check(self, self.SEND + """
        try:
            sender.start()
            stoa.lookup("never", timeout=None)
        except KeyboardInterrupt:
            print("interrupted")
        """, stdout="interrupted\n")

    def test_ctrl_c_in_once(self):
        check(self, self.SEND + """
        begun, over = threading.Event(), threading.Event()
        def slow():
            begun.set()
            over.wait()
            return 1
        threading.Thread(target=stoa.once, args=("slow", slow)).start()
        begun.wait()
        try:
            sender.start()
            stoa.once("slow", int)
        except KeyboardInterrupt:
            print("interrupted")
        over.set()
        """, stdout="interrupted\n")

    def test_ctrl_c_while_inside_another(self):
        check(self, self.SEND + """
        interp = stoa.Interpreter()
        try:
            sender.start()
            interp.exec("import stoa; stoa.lookup('never', timeout=None)")
        except KeyboardInterrupt:
            print("interrupted")
        """, stdout="interrupted\n")

    def test_handler_that_returns(self):
        check(self, self.SEND + """
        signal.signal(signal.SIGINT, lambda *a: stoa.publish("late", "by the handler"))
        sender.start()
        print(stoa.lookup("late", timeout=60))
        """, stdout="by the handler\n")


if __name__ == "__main__":
    unittest.main()
