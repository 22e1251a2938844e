"""Code that runs in the midst of an operation and takes away what that operation works on: releases the proxy, changes the list,
uses the same iterator, initialises the pool once more; and threads that go on when the interpreter has let go of its things.
"""
import unittest

import child
import stoa


class Acting(Exception):
    """Crosses by value, and says its text on the way: then it acts, once."""

    def __init__(self, act):
        self.act = act

    def __str__(self):
        act, self.act = self.act, None
        if act is not None:
            act()
        return "acting"

    def __reduce__(self):
        return Exception, ("acting",)


class Things(unittest.TestCase):
    def test_a_list_that_grows_while_it_is_put(self):
        queue = stoa.Queue()
        items = [Acting(lambda: items.extend(range(5000))), 1, 2]
        queue.put_many(items)
        self.assertEqual(queue.qsize(), 3)
        self.assertEqual(queue.get_many()[1:], [1, 2])

    def test_a_list_that_shrinks_while_it_is_put(self):
        queue = stoa.Queue()
        items = [Acting(lambda: items.clear()), 1, 2]
        with self.assertRaisesRegex(RuntimeError, "changed"):
            queue.put_many(items)
        self.assertTrue(queue.empty())

    def test_a_queue_shut_down_by_what_is_put(self):
        queue = stoa.Queue()
        with self.assertRaises(stoa.ShutDown):
            queue.put(Acting(lambda: queue.shutdown(immediate=True)))
        self.assertTrue(queue.empty())

    def test_a_pool_initialised_by_its_own_arguments(self):
        class Pool(stoa.InterpreterPoolExecutor):
            pass

        things = len(stoa.stats()["things"])
        pool = Pool.__new__(Pool)
        with self.assertRaisesRegex(RuntimeError, "initialised already"):
            pool.__init__(1, initializer="builtins:id", initargs=(Acting(lambda: pool.__init__(1)),))
        with self.assertRaisesRegex(RuntimeError, "open already"):
            pool.__init__(1)
        self.assertEqual(pool.submit(abs, -2).result(), 2)
        self.assertEqual(len(stoa.stats()["things"]), things + 1)
        pool.shutdown()
        del pool
        self.assertEqual(len(stoa.stats()["things"]), things)

    def test_threads_that_go_on_when_the_interpreter_has_let_go(self):
        """The end of the main interpreter waits for no daemon thread; what such a thread is reading still, an argument, it reads
        to the end, and is told then."""
        child.check(self, """
            import atexit, threading

            left, done = threading.Event(), threading.Event()

            def late():
                left.set()
                done.wait(30)
                print(len(told))

            atexit.register(late)  # runs when Stoa has left: what was registered last runs first

            import stoa

            inside = threading.Barrier(17)
            told = []

            class Slow:
                def wait(self):
                    if not left.is_set():
                        inside.wait(30)
                    left.wait(30)
                def __bool__(self):
                    self.wait()
                    return True
                def __float__(self):
                    self.wait()
                    return 1.0
                def __index__(self):
                    self.wait()
                    return 1

            class Told(Exception):
                def __str__(self):
                    Slow().wait()
                    return "told"

            def uses():
                yield lambda: stoa.Queue().put(1, Slow())
                yield lambda: stoa.Queue().put(Told())
                yield lambda: stoa.Queue().put_nowait(Told())
                yield lambda: stoa.Queue().put_many([1, Told()])
                yield lambda: stoa.Queue().put_many([1], timeout=Slow())
                yield lambda: stoa.Queue().get(Slow())
                yield lambda: stoa.Queue().get_many(Slow())
                yield lambda: stoa.Queue().shutdown(Slow())
                yield lambda: setattr(stoa.Queue(), "maxsize", Slow())
                yield lambda: stoa.Lock().acquire(Slow())
                yield lambda: stoa.RLock().acquire(timeout=Slow())
                yield lambda: stoa.Condition().acquire(Slow())
                yield lambda: stoa.Condition().wait(Slow())
                yield lambda: stoa.Event().wait(Slow())
                yield lambda: stoa.Barrier(2).wait(Slow())
                yield lambda: stoa.Semaphore().acquire(Slow())

            def run(use):
                try:
                    use()
                except stoa.InterpreterGone:
                    told.append(use)
                except BaseException as error:
                    print(type(error), error, use.__code__.co_names, use.__code__.co_consts)
                if len(told) == 16:
                    done.set()

            for use in uses():
                threading.Thread(target=run, args=(use,), daemon=True).start()
            inside.wait(30)
            """, stdout="16\n", timeout=90)


if __name__ == "__main__":
    unittest.main()
