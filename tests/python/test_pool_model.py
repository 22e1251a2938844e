"""A pool against a model of it, at random: submits from two interpreters, cancels, waits, callbacks, workers that are
closed, shutdown with and without cancelling. What was not cancelled is done exactly once, and in whatever state a future is
seen, it goes no way back. STOA_TEST_SEED repeats a run, STOA_TEST_STEPS lengthens it."""

import concurrent.futures
import os
import random
import time
import unittest

import stoa

STEPS = int(os.environ.get("STOA_TEST_STEPS", 60 if os.environ.get("STOA_SANITIZE") else 180))
RUNS = 2
ORDER = {"PENDING": 0, "RUNNING": 1, "CANCELLED": 2, "CANCELLED_AND_NOTIFIED": 2, "FINISHED": 2}


def note(log, n):
    log.put(n)
    if n % 7 == 3:
        raise ValueError(n)
    return n * n


def submit_from_here(pool, log, n):
    return pool.submit(note, log, n)


class Entry:
    def __init__(self, future):
        self.future, self.seen, self.cancelled, self.told, self.asked = future, 0, None, 0, 0


class Model:
    def __init__(self, case, rng):
        self.case, self.rng, self.log, self.entries = case, rng, stoa.Queue(), []
        self.name = f"model{rng.randrange(10**6)}"
        workers, limit = rng.randint(1, 3), rng.choice((None, None, 20))
        self.pool = stoa.InterpreterPoolExecutor(workers, self.name, max_tasks_per_interpreter=limit)
        self.other = stoa.Interpreter()
        self.theirs = []  # futures of the other interpreter

    def some(self):
        return self.rng.choice(self.entries) if self.entries else None

    def do_submit(self):
        for _ in range(self.rng.choice((1, 1, 1, 10))):
            self.entries.append(Entry(self.pool.submit(note, self.log, len(self.entries))))

    def do_submit_elsewhere(self):
        n = 10_000 + len(self.theirs)
        self.theirs.append(self.other.call(submit_from_here, self.pool, self.log, n))

    def do_cancel(self):
        if (entry := self.some()) is not None:
            done = entry.future.cancel()
            self.case.assertIn(entry.cancelled, (None, done))
            if done:
                entry.cancelled = True
            elif not entry.future.running():
                entry.cancelled = False

    def do_look(self):
        for entry in self.rng.sample(self.entries, min(5, len(self.entries))):
            state = ORDER[entry.future._state]
            self.case.assertGreaterEqual(state, entry.seen)
            entry.seen = state

    def do_callback(self):
        if (entry := self.some()) is not None:
            def told(future):
                entry.told += 1
            entry.asked += 1
            entry.future.add_done_callback(told)

    def do_result(self):
        if (entry := self.some()) is not None:
            self.check(self.entries.index(entry), entry)

    def do_wait(self):
        futures = [e.future for e in self.rng.sample(self.entries, min(4, len(self.entries)))]
        done, left = concurrent.futures.wait(futures, timeout=30)
        self.case.assertEqual((done, left), (set(futures), set()))

    def do_close_worker(self):
        workers = [i for i in stoa.interpreters() if i.name.startswith(self.name)]
        if workers:
            self.rng.choice(workers).close(timeout=30)

    def check(self, n, entry):
        """Its outcome, which it must have within the time."""
        try:
            result = entry.future.result(30)
        except concurrent.futures.CancelledError:
            result = None
            self.case.assertTrue(entry.cancelled or entry.cancelled is None, n)
            entry.cancelled = True
        except ValueError as error:
            result = n * n
            self.case.assertEqual((error.args, n % 7), ((n,), 3))
        if result is not None:
            self.case.assertFalse(entry.cancelled, n)
            self.case.assertEqual(result, n * n)
            entry.cancelled = False

    def run(self, steps):
        actions = [(self.do_submit, 40), (self.do_submit_elsewhere, 5), (self.do_cancel, 12), (self.do_look, 12),
                   (self.do_callback, 8), (self.do_result, 8), (self.do_wait, 3), (self.do_close_worker, 0.6)]
        for action in self.rng.choices([a for a, _ in actions], [w for _, w in actions], k=steps):
            action()
        self.pool.shutdown(wait=self.rng.random() < 0.7, cancel_futures=self.rng.random() < 0.5)
        self.case.assertRaises(RuntimeError, self.pool.submit, note, self.log, -1)
        for n, entry in enumerate(self.entries):
            self.check(n, entry)
        expected = [n for n, entry in enumerate(self.entries) if not entry.cancelled]
        for n, future in enumerate(self.theirs):
            try:
                future.exception(30)
                expected.append(10_000 + n)
            except concurrent.futures.CancelledError:
                pass
        self.pool.shutdown()
        done = sorted(self.log.get_many(10**6)) if expected else []
        self.case.assertEqual(done, expected)
        self.case.assertTrue(self.log.empty())
        end = time.monotonic() + 60
        while any(e.told != e.asked for e in self.entries) and time.monotonic() < end:
            time.sleep(0.001)  # callbacks run on workers, a moment after the result is there
        self.case.assertEqual([e.told for e in self.entries], [e.asked for e in self.entries])
        self.theirs.clear()
        self.other.close()


class Random(unittest.TestCase):
    def test_pool_against_its_model(self):
        first = int(os.environ.get("STOA_TEST_SEED", random.randrange(2**32)))
        for seed in range(first, first + RUNS):
            with self.subTest(STOA_TEST_SEED=seed):
                print(f"STOA_TEST_SEED={seed}", flush=True)
                Model(self, random.Random(seed)).run(STEPS)


if __name__ == "__main__":
    unittest.main()
