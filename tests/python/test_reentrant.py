"""Code that runs in the midst of an operation and takes away what that operation works on: releases the proxy, changes the list,
uses the same iterator, initialises the pool once more; and threads that go on when the interpreter has let go of its things.
"""
import concurrent.futures
import sys
import threading
import types
import unittest
import unittest.mock

import child
import stoa
from proxy_support import Case


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


class Hook:
    """What other interpreters call, and the first call of it does."""

    def __init__(self, act):
        self.acts = [act]

    def __call__(self):
        if self.acts:
            self.acts.pop()()


class Midst(Case):
    def setUp(self):
        super().setUp()
        self.other = self.interp
        self.other.exec(
            "events = []\n"
            "class Noting:\n"
            "    def note(self, *args): events.append('called')\n"
            "    def __del__(self): events.append('gone')\n"
            "class Acting(Exception):\n"
            "    def __str__(self): hook(); return 'acting'\n"
            "    def __reduce__(self): return Exception, ('acting',)\n")

    def make_there(self, expression):
        return self.other.call("builtins:eval", expression)

    def hook(self, act):
        """The same from the other side."""
        hook = Hook(act)
        self.other.prepare_main(hook=hook)
        return hook

    # ---- requests

    def test_packing_an_operand_releases_the_proxy(self):
        for use in (lambda p, x: p.note(x), lambda p, x: setattr(p, "x", x), lambda p, x: p.note(*[x] * 9)):
            p = self.make_there("Noting()")
            self.other.exec("events.clear()")
            use(p, Acting(lambda: stoa.release(p)))
            with self.assertRaises(stoa.ReleasedProxy):
                p.note()
            self.wait_for_end("gone")
        p = self.make_there("Noting()")
        method = p.note
        self.other.exec("events.clear()")
        method(Acting(lambda: stoa.release(method)))
        with self.assertRaises(stoa.ReleasedProxy):
            method()
        del p
        self.wait_for_end("called", "gone")

    def wait_for_end(self, *expected):
        """What the other interpreter noted, as soon as the object is gone: what was done with it came before."""
        events = list(stoa.fetch(self.make_there("events")))
        self.assertEqual(events[-1:], ["gone"])
        if len(expected) > 1:
            self.assertEqual(events, list(expected))

    def test_what_a_request_lets_go_of_releases_the_proxy(self):
        p = self.make_there("Noting()")
        for use in (lambda: p.note, lambda: p.note(), lambda: p == 1, lambda: stoa.options(p.note, timeout=60)()):
            p = self.make_there("Noting()")
            p.note(), p.note(), p.note()  # so that the method is known by now

            class Releasing:
                def __del__(self):
                    stoa.release(p)

            self.other.prepare_main(held=Releasing())
            self.other.exec("import gc; del held; gc.collect()")
            try:
                use()
            except stoa.ReleasedProxy:
                pass
            with self.assertRaises(stoa.ReleasedProxy):
                p.note(), p.note()  # one that was fetched before is good for itself

    # ---- buffers

    def test_a_buffer_whose_making_releases_the_proxy(self):
        self.other.exec("class Buffer:\n"
                        "    def __buffer__(self, flags): hook(); return memoryview(b'abc')")
        p = self.make_there("Buffer()")
        caught = []

        def release():
            try:
                stoa.release(p)
            except BufferError as error:
                caught.append(error)

        self.hook(release)
        with memoryview(p) as view:
            self.assertEqual(bytes(view), b"abc")
        self.assertEqual(len(caught), 1)
        stoa.release(p)
        with self.assertRaises(stoa.ReleasedProxy):
            memoryview(p)

    def test_more_views_than_are_counted(self):
        p = self.make_there("bytearray(b'abc')")
        views = [memoryview(p) for _ in range(65535)]
        with self.assertRaises(BufferError):
            memoryview(p)
        with self.assertRaises(BufferError):
            stoa.release(p)
        del views
        self.assertEqual(bytes(memoryview(p)), b"abc")
        stoa.release(p)

    # ---- iterators

    def test_an_iterator_used_by_what_it_asks_for(self):
        for container in ("[Acting(), *range(20)]", "dict.fromkeys([*range(21)], Acting()).values()"):
            got = []
            p = self.make_there(container)
            it = iter(p)
            self.hook(lambda: got.append(next(it)))
            got += it
            self.assertEqual(len(got), 21)
            if container.startswith("["):
                self.assertEqual(sorted(x for x in got if type(x) is int), [*range(20)])

    def test_an_iterator_that_is_used_up_meanwhile(self):
        for container in ("[*range(20)]", "dict.fromkeys(range(20))"):
            p = self.make_there(container)
            it = iter(p)
            got = [next(it), next(it), next(it)]
            self.assertEqual(len(p), 20)  # something came between: the iterator looks again

            class Draining:
                def __del__(self):
                    got.extend(it)

            self.other.prepare_main(held=Draining())
            self.other.exec("import gc; del held; gc.collect()")
            got += it
            self.assertEqual(sorted(got), [*range(20)])
            self.assertEqual(list(it), [])

    def test_an_iterator_of_several_threads(self):
        for container in ("[*range(2000)]", "dict.fromkeys(range(2000))"):
            p, got = self.make_there(container), []
            it = iter(p)

            def take():
                for x in it:
                    got.append(x)
                    self.assertEqual(len(p), 2000)  # so that what is left of a chunk is looked at again

            threads = [threading.Thread(target=take) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(sorted(got), [*range(2000)])

    # ---- exceptions

    def test_an_exception_whose_field_goes_while_it_is_described(self):
        self.other.exec(
            "import types\n"
            "class Value:\n"
            "    def __getitem__(self, key): raise KeyError(key)\n"
            "    def copy(self): error.value = None; raise TypeError('no')\n"
            "    def __repr__(self): events.append('told'); return 'a value'\n"
            "    def __del__(self): events.append('gone')\n"
            "class Stop(StopIteration): pass\n"
            "error = Stop()\n"
            "error.value = types.MappingProxyType(Value())\n"
            "def fail(): raise error")
        with self.assertRaises(Exception):
            self.make_there("fail")()
        self.other.exec("error.__traceback__ = None")
        self.assertEqual(list(stoa.fetch(self.make_there("events"))), ["told", "gone"])

    # ---- __main__

    def test_a_main_that_goes_meanwhile(self):
        """What arrives for __main__ runs code there first: the class of an exception."""
        source = ("class Going(Exception):\n"
                  "    def __new__(cls, *args):\n"
                  "        import sys\n"
                  "        if there: sys.modules.pop('__main__')\n"
                  "        return Exception.__new__(cls)\n"
                  "Going.__module__ = 'test_reentrant_going'\n")
        there = ("import sys, types\n"
                 "module = sys.modules['test_reentrant_going'] = types.ModuleType('test_reentrant_going')\n"
                 f"exec({source!r}, module.__dict__ | {{'there': True}}, module.__dict__)\n"
                 "del module\n")
        here = types.ModuleType("test_reentrant_going")
        exec(source, here.__dict__ | {"there": False}, here.__dict__)
        with unittest.mock.patch.dict(sys.modules, test_reentrant_going=here), stoa.Interpreter() as other:
            other.exec(there)
            other.prepare_main(x=here.Going())
            other.exec("assert 'x' not in globals() and 'sys' not in globals()\ny = 2")  # another __main__ by now
            self.assertEqual(other.call("builtins:eval", "y"), 2)


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

    def test_get_many_for_which_there_is_no_memory_loses_nothing(self):
        try:
            from _testcapi import remove_mem_hooks, set_nomemory
        except ImportError:
            self.skipTest("no _testcapi")
        queue, items = stoa.Queue(), ["text" * 20, *range(1000, 1300), ("a", [1])]
        failed = 0
        for start in range(1, 400):
            queue.put_many(items)
            got = None
            set_nomemory(start, start + 1)
            try:
                got = queue.get_many()
            except MemoryError:
                failed += 1
            finally:
                remove_mem_hooks()
            got = [] if got is None else got
            got += queue.get_many(block=False) if queue.qsize() else []
            self.assertEqual(got[:-1], items[:-1])
            self.assertEqual(list(got[-1][1]), [1])
            self.assertTrue(queue.empty())
        self.assertGreater(failed, 0)

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
                done.wait(60)
                print(len(told))

            atexit.register(late)  # runs when Stoa has left: what was registered last runs first

            import stoa

            inside = threading.Barrier(17)
            told = []

            class Slow:
                def wait(self):
                    if not left.is_set():
                        inside.wait(60)
                    left.wait(60)
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
            inside.wait(60)
            """, stdout="16\n", timeout=90)


class Futures(unittest.TestCase):
    def test_set_exception_takes_what_raise_takes(self):
        for make in (concurrent.futures.Future, stoa.Future):
            for what, expected in ((ValueError, ValueError), (ValueError("x"), ValueError), ("text", TypeError), (5, TypeError)):
                future = make()
                future.set_exception(what)
                with self.subTest(make=make, what=what), self.assertRaises(expected):
                    future.result()


class Functions(unittest.TestCase):
    def test_defaults_at_the_address_of_others(self):
        """What a function was packed into is kept for as long as it is the same: an address alone does not tell."""
        def get(x=None):
            return x

        with stoa.InterpreterPoolExecutor(1) as pool:
            for i in range(20):
                get.__defaults__ = tuple([i])
                self.assertEqual(pool.submit(get).result(), i)
                get.__defaults__ = None  # gives the tuple back, whose place the next one gets

    def test_globals_whose_keys_use_the_same_pool(self):
        with stoa.InterpreterPoolExecutor(1) as pool:
            class Key:
                def __hash__(self):
                    return hash("thing")

                def __eq__(self, other):
                    pool.submit(abs, -1)
                    return NotImplemented

            code = compile("def f():\n    return 'thing' if not thing else thing", "x", "exec")
            space = {"__name__": "__main__"}
            exec(code, space)
            f = types.FunctionType(space["f"].__code__, {Key(): 1, "__name__": "__main__", "thing": 7, "__builtins__": __builtins__}, "f")
            for _ in range(5):
                self.assertEqual(pool.submit(f).result(), 7)


if __name__ == "__main__":
    unittest.main()
