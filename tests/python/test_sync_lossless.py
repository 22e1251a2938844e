"""Queues whose users come and go: nothing is lost, nothing comes twice, and each producer's items keep their order."""
import os
import queue
import random
import sys
import threading
import time
import unittest

import stoa
from sync_support import run

ITEMS = int(os.environ.get("STOA_TEST_ITEMS", "0")) or (
    30_000 if os.environ.get("STOA_SANITIZE") else 150_000 if hasattr(sys, "gettotalrefcount") else 1_000_000)


class Nothing(unittest.TestCase):
    """Nothing is lost and nothing comes twice."""

    def mill(self, count, move, size):
        """`count` items go through interpreters that are closed at any moment, under a seed."""
        seed = random.randrange(2**32)
        rng = random.Random(seed)
        source, sink = stoa.Queue(), stoa.Queue(size)
        source.put_many(range(count))
        seen, movers = bytearray(count), []

        def drain():
            got = 0
            try:
                while got < count:
                    for item in sink.get_many():
                        seen[item] += 1
                        got += 1
            except stoa.ShutDown:
                pass  # some are lost

        def start():
            other = stoa.Interpreter()
            other.prepare_main(source=source, sink=sink, seed=rng.random())
            movers.append((other, run(other, move)))

        drainer = threading.Thread(target=drain)
        for _ in range(3):
            start()
        closes, end = 0, time.monotonic() + 80
        while closes == 0 or (drainer.is_alive() and time.monotonic() < end):
            time.sleep(rng.random() * 0.01)
            other, join = movers.pop(rng.randrange(len(movers)))
            other.close(timeout=60)
            self.assertIsNone(join(), f"seed {seed}")
            start()
            closes += 1
            if closes == 1:  # not before one was closed with the sink full, however fast the others are
                drainer.start()
        source.shutdown()
        for other, join in movers:
            self.assertIsNone(join(), f"seed {seed}")
            other.close()
        sink.shutdown()
        drainer.join(60)
        self.assertEqual(seen.count(1), count, f"seed {seed}: {seen.count(0)} lost")
        self.assertEqual((sink.qsize(), source.qsize()), (0, 0))

    def test_random_closes(self):
        """Item by item, so that most closes meet somebody who waits."""
        # what a mover holds when it is closed it gives back
        self.mill(ITEMS // 30, """
import stoa
item = None
try:
    while True:
        item = source.get()
        sink.put(item)
        item = None
except stoa.ShutDown:
    pass
except stoa.InterpreterGone:
    if item is not None:
        source.put(item)
""", 3)

    def test_a_million_items_with_random_closes(self):
        self.mill(ITEMS, """
import random, stoa
rng = random.Random(seed)
held = []
try:
    while True:
        held = source.get_many(rng.choice((1, 10, 100)))
        try:
            sink.put_many(held)
        except stoa.InterpreterGone as error:
            del held[:error.put]
            raise
        held = []
        for _ in range(1000):
            held.append(source.get())
            sink.put(held[0])
            held.clear()
except stoa.ShutDown:
    pass
except stoa.InterpreterGone:
    source.put_many(held)
""", 64)

    def test_fifo_for_each_producer(self):
        q = stoa.Queue(16)
        others = [stoa.Interpreter() for _ in range(3)]
        count = ITEMS // 1000
        joins = []
        for number, other in enumerate(others):
            other.prepare_main(q=q, number=number, count=count)
            joins.append(run(other, "for i in range(count): q.put((number, i))"))
        seen = [[], [], []]
        for _ in range(3 * count):
            number, item = q.get(timeout=60)
            seen[number].append(item)
        self.assertEqual(seen, [list(range(count))] * 3)
        for other, join in zip(others, joins):
            self.assertIsNone(join())
            other.close()

    def test_against_a_model(self):
        seed = random.randrange(2**32)
        rng = random.Random(seed)
        for _ in range(40):
            size = rng.choice([0, 0, 1, 2, 5])
            ours, model = stoa.Queue(size), queue.Queue(size)
            has_shutdown = hasattr(model, "shutdown")
            for step in range(60):
                name = rng.choice(["put", "put", "get", "many", "take", "done", "look"]
                                  + (["shutdown"] if has_shutdown and rng.random() < 0.05 else []))
                self.assertEqual(self.step(ours, name, rng, step), self.step(model, name, rng, step),
                                 f"seed {seed}, step {step}, {name}")
                rng.random()

    def step(self, q, name, rng, step):
        state = rng.getstate()
        try:
            if name == "put":
                q.put(step, block=False)
            elif name == "get":
                return q.get(block=False)
            elif name == "many":
                room = q.maxsize - q.qsize() if q.maxsize else 3
                for i in range(min(3, room)) if isinstance(q, queue.Queue) else ():
                    q.put(step + i, block=False)
                if not isinstance(q, queue.Queue):
                    q.put_many([step + i for i in range(min(3, room))], block=False)
            elif name == "take":
                if isinstance(q, queue.Queue):
                    return [q.get(block=False) for _ in range(min(2, max(q.qsize(), 1)))]
                return q.get_many(2, block=False)
            elif name == "done":
                q.task_done()
            elif name == "shutdown":
                q.shutdown(rng.random() < 0.5)
            return q.qsize(), q.empty(), q.full(), q.unfinished_tasks
        except Exception as error:
            return type(error).__name__
        finally:
            rng.setstate(state)
