"""Region.retire(): what becomes of a region and its memory, of who waits for that, and of a child process."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import unittest

import stoa
from region_retires import EXACT, RetireCase
from stoa_tests import SLOW_BUILD


def records(count):
    return [{"id": i + 10**6, "name": f"user {i}", "tags": ["one tag", f"tag {i % 17}"], "score": i * 1.5} for i in range(count)]


class Closed(RetireCase):
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


class Interpreters(RetireCase):
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


class Waiting(RetireCase):
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
        for _ in range(5 if SLOW_BUILD else 20):
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

    @unittest.skipUnless(EXACT, "an address may stay behind")
    def test_who_waits_is_no_holder(self):
        region = stoa.Region("waited for by two")
        holder = [region.freeze(("for a while", 1.5))]
        barrier, outcomes = threading.Barrier(3), []

        def work():
            barrier.wait()
            while not region.closed:  # who comes while the other looks is refused
                try:
                    region.retire(timeout=1e6)
                    outcomes.append("retired")
                except stoa.Error:
                    pass

        threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        barrier.wait()
        time.sleep(0.3)  # both have looked, most likely; if not, nothing is tried here, and nothing fails
        holder.clear()
        for thread in threads:
            thread.join(100)
        self.assertEqual(outcomes, ["retired"])

    @unittest.skipUnless(EXACT, "an address may stay behind")
    def test_what_a_waiter_has_seen_stays_behind_nowhere(self):
        texts = []
        for i in range(10):
            region = stoa.Region("seen")
            holder = [region.freeze(("for a while", 1.5))]
            outcomes = []

            def wait():
                try:
                    region.retire(timeout=60)
                    outcomes.append("retired")
                except stoa.Error as error:
                    outcomes.append(str(error))

            thread = threading.Thread(target=wait)
            thread.start()
            time.sleep(0.02)  # it has looked and waits, most likely
            holder.clear()
            while not region.closed:
                try:
                    region.retire(timeout=0)
                    outcomes.append("retired")
                except stoa.Error as error:
                    texts.append(str(error))
            thread.join()
            self.assertEqual(outcomes.count("retired"), 1, outcomes)
            if outcomes[0] == "retired" and len(outcomes) > 1:
                self.assertRegex(outcomes[1], "region 'seen' (was|is being) retired by somebody else")
        self.assertLess(sum("the memory at" in text for text in texts), 5, texts)

    def test_ctrl_c(self):
        code = """
            import os, signal, threading, stoa
            region = stoa.Region("interrupted")
            holder = region.freeze(("kept", 1.5))
            try:
                threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
                region.retire(timeout=100)
            except KeyboardInterrupt:
                print("interrupted", region.closed, holder[0])
        """
        done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=110)
        self.assertEqual(done.stdout, "interrupted False kept\n", done.stderr)


class Forked(RetireCase):
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
