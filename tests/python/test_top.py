"""python -m stoa top: what another process shares, seen from outside."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import unittest

import stoa

WATCHED_NAME = f"watched-by-test-{os.getpid()}-"  # the same test may run for another Python beside this one
WATCHED = r"""
    import os, sys, threading, stoa
    table = stoa.publish("top.table", {"a": 1})
    stoa.publish("top.proxy", stoa.proxy([]))
    stoa.publish("odd\x1b[2J\nname ä", 1)
    odd = stoa.Interpreter(name="worker\x1b[31m")
    region = stoa.Region("top-region", limit=1 << 20)
    region.freeze(["some", "text" * 100])
    worker = stoa.Interpreter(name="top-worker")
    for _ in range(100):
        worker.call(abs, -1)
    if hasattr(stoa, "Queue"):
        empty, full = stoa.Queue(), stoa.Queue(maxsize=3)
        for n in range(3):
            full.put(n)
        threading.Thread(target=empty.get, daemon=True).start()
    pool = stoa.InterpreterPoolExecutor(2, "top-pool")
    for n in range(20):
        pool.submit(abs, -n).result()
    gate = stoa.Event()
    held = [pool.submit("stoa:Event.wait", gate) for _ in range(5)]
    while sum(f.running() for f in held) < 2:
        pass
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)
"""


def top(*args, timeout=60):
    return subprocess.run(
        [sys.executable, "-m", "stoa", "top", *args], capture_output=True, text=True, timeout=timeout
    )


class Top(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WATCHED), WATCHED_NAME],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert cls.process.stdout.readline() == "ready\n"
        try:
            stoa._stoa._look(cls.process.pid)
        except PermissionError as error:
            cls.tearDownClass()
            raise unittest.SkipTest(f"this system lets no process read another: {error}") from None

    @classmethod
    def tearDownClass(cls):
        cls.process.stdin.close()
        cls.process.wait(60)
        cls.process.stdout.close()

    def test_json(self):
        done = top("--json", str(self.process.pid))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        view = json.loads(done.stdout)
        self.assertEqual(view["pid"], self.process.pid)
        self.assertIn("top-worker", [i["name"] for i in view["interpreters"]])
        self.assertLessEqual({"top.table", "top.proxy"}, {n["name"] for n in view["names"]})
        region = next(r for r in view["regions"] if r["name"] == "top-region")
        self.assertEqual(region["limit"], 1 << 20)
        self.assertGreater(region["used_bytes"], 400)
        self.assertGreaterEqual(view["counters"]["calls"], 100)

    @unittest.skipUnless(hasattr(stoa, "Queue"), "no Queue in this build")
    def test_queues_and_who_waits(self):
        end = time.monotonic() + 60
        while True:
            queues = [t for t in stoa._stoa._look(self.process.pid)["things"] if t["kind"] == "Queue"]
            waiting = [w for q in queues for w in q["waiters"]]
            if waiting or time.monotonic() > end:
                break
            time.sleep(0.01)
        self.assertEqual(sorted((q["depth"], q["limit"]) for q in queues), [(0, 0), (3, 3)])
        self.assertEqual([w["what"] for w in waiting], ["get"])

    def test_executors(self):
        done = top("--json", str(self.process.pid))
        pool = next(t for t in json.loads(done.stdout)["things"] if t["kind"] == "Executor")
        figures = {key: pool[key] for key in ("name", "depth", "max_workers", "workers", "idle", "done", "shut")}
        expected = {"name": "top-pool", "depth": 3, "max_workers": 2, "workers": 2, "idle": 0, "done": 20, "shut": False}
        self.assertEqual(figures, expected)
        self.assertIn("'top-pool': 3 queued, 2 of 2 workers, 0 idle, 20 done", top("--once", str(self.process.pid)).stdout)

    def test_text_by_name(self):
        done = top("--once", "--name", WATCHED_NAME)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for text in (f"process {self.process.pid}", "top-worker", "top-region", "top.table"):
            self.assertIn(text, done.stdout)

    def test_names_cannot_command_the_terminal(self):
        done = top("--once", str(self.process.pid))
        self.assertNotIn("\x1b", done.stdout)
        self.assertIn(r"odd\x1b[2J\nname ä", done.stdout)
        self.assertIn(r"worker\x1b[31m", done.stdout)

    def test_intervals(self):
        for wrong in ("0", "-1", "nan", "inf", "soon"):
            done = top("--interval", wrong, str(self.process.pid))
            self.assertEqual(done.returncode, 2)
            self.assertIn("--interval", done.stderr)

    def test_a_reader_that_goes(self):
        live = subprocess.Popen(
            [sys.executable, "-m", "stoa", "top", "--interval", "0.05", str(self.process.pid)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        live.stdout.readline()
        live.stdout.close()
        self.assertEqual(live.stderr.read(), "")
        self.assertEqual(live.wait(60), 1)
        live.stderr.close()

    def test_live_view_ends_with_the_process(self):
        other = subprocess.Popen([sys.executable, "-c", "import stoa; print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        other.stdout.readline()
        live = subprocess.Popen(
            [sys.executable, "-m", "stoa", "top", "--interval", "0.05", str(other.pid)], stdout=subprocess.PIPE, text=True
        )
        self.assertIn("\n", live.stdout.readline())
        other.send_signal(signal.SIGKILL)
        other.wait(60)
        output, _ = live.communicate(timeout=60)
        self.assertEqual(live.returncode, 0)
        self.assertIn("has ended", output)
        other.stdin.close()
        other.stdout.close()

    def test_processes_that_cannot_be_shown(self):
        plain = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        plain.stdout.readline()
        for pid, text in ((plain.pid, "has not imported stoa"), (2**22 + 5, "there is no process"), (-1, "there is no process")):
            done = top("--once", "--", str(pid))
            self.assertEqual(done.returncode, 1)
            self.assertIn(text, done.stderr)
            self.assertNotIn("Traceback", done.stderr)
        plain.kill()
        plain.wait(60)
        plain.stdin.close()
        plain.stdout.close()

    def test_is_right_while_everything_changes(self):
        """Read as fast as can be while names, regions and interpreters come and go: no crash, nothing but the truth."""
        code = """
            import stoa, sys, threading
            print("ready", flush=True)
            threading.Thread(target=lambda: (sys.stdin.read(), __import__("os")._exit(0)), daemon=True).start()
            n = 0
            while True:
                n += 1
                name = f"n{n % 500}"
                if stoa.lookup(name, None) is None:
                    stoa.publish(name, "x" * (n % 300))
                else:
                    stoa.unpublish(name)
                if n % 500 == 0:
                    region = stoa.Region(f"r{n}")
                    region.freeze([n, "y" * 100])
                    del region
        """
        busy = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        busy.stdout.readline()
        for _ in range(200):
            view = stoa._stoa._look(busy.pid)
            for name in view["names"]:
                self.assertRegex(name["name"], r"\An[0-9]{1,3}\Z")
            self.assertEqual([i["name"] for i in view["interpreters"]], [view["interpreters"][0]["name"]])
        busy.stdin.close()
        busy.wait(60)
        busy.stdout.close()


if __name__ == "__main__":
    unittest.main()
