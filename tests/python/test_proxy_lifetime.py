"""Proxies: who keeps what alive, who lets go when, and what happens when an interpreter, a thread or the process ends."""

import asyncio
import gc
import os
import pickle
import sys
import threading
import time
import unittest

import child
import proxied as there
import stoa
from proxied import there_name
from proxy_support import Case, resident, wait_for
from stoa_tests import SLOW_BUILD



class Dropping(Case):
    def test_dropped_proxies_leave_nothing(self):
        for _ in range(1000):
            proxies = [self.call("Counted") for _ in range(20)]
            del proxies
        self.call("count")
        self.assertEqual(self.call("count"), 0)

    def test_owned_while_a_proxy_lives(self):
        p = self.call("Counted")
        self.assertEqual(self.call("count"), 1)
        stoa.release(p)
        stoa.release(p)
        self.call("count")
        self.assertEqual(self.call("count"), 0)
        for use in (lambda: p.x, lambda: p(), lambda: repr(p), lambda: self.call("identity", p), lambda: stoa.owner(p), lambda: stoa.freeze([p]),
                    lambda: stoa.publish("test.released", p), lambda: stoa.submit(p), lambda: stoa.options(p), lambda: pickle.dumps(p)):
            with self.assertRaisesRegex(stoa.ReleasedProxy, "interpreter 'owner' was released.*get the object from there again"):
                use()
        stoa.release(p)  # and once more

    def test_idle_owner_lets_go(self):
        """Nobody comes to the owner again: its objects go all the same. They report their end through a list of ours."""
        ended = []
        proxies = [self.call("Reporting", ended.append) for _ in range(50)]
        self.assertEqual(ended, [])
        del proxies
        self.assertTrue(wait_for(lambda: len(ended) == 50), len(ended))

    def test_blocking_finaliser_holds_up_its_own_owner_only(self):
        """Two owners sit in a __del__ that waits; a third one and a fourth let go all the same."""
        gate, begun, ended = stoa.Event(), stoa.Queue(), []
        before = stoa.stats()["proxies"]["known_elsewhere"]
        self.addCleanup(wait_for, lambda: stoa.stats()["proxies"]["known_elsewhere"] <= before)  # others count, too
        for name in ("first", "second"):
            owner = stoa.Interpreter(name=name)
            self.addCleanup(owner.close)
            self.addCleanup(gate.set)
            owner.prepare_main(gate=gate, begun=begun)
            owner.exec(
                "class Blocks:\n"
                "    def __del__(self):\n"
                "        begun.put(1)\n"
                "        gate.wait(60)\n"
                "def make(): return Blocks()\n"
            )
            owner.call("__main__:make")  # and dropped
        self.assertEqual([begun.get(timeout=30), begun.get(timeout=30)], [1, 1])
        other = stoa.Interpreter(name="fourth")
        self.addCleanup(other.close)
        proxies = [owner.call(there_name("Reporting"), ended.append) for owner in (self.interp, other)]
        del proxies
        self.assertTrue(wait_for(lambda: len(ended) == 2, 30), len(ended))

    def test_main_interpreter_lets_go_while_it_sleeps(self):
        before = there.alive
        self.interp.prepare_main(mine=[there.Counted()])
        self.assertEqual(there.alive, before + 1)
        self.interp.exec("del mine")
        self.assertTrue(wait_for(lambda: there.alive == before))

    def test_many_made_and_dropped(self):
        """A million; fewer where each costs ten times as much, under a sanitizer or on a debug Python. Memory stays flat, and
        nothing stays in the owner."""
        rounds, count = (20, 1000) if SLOW_BUILD else (100, 10_000)

        def make_and_drop():
            made = self.call("many_counted", count)
            self.assertEqual(len(set(map(id, made))), count)

        def settled():
            return stoa.stats()["proxies"]["handles"] <= before

        self.call("count")
        self.assertTrue(wait_for(lambda: stoa.stats()["proxies"]["handles"] < 10))
        before = stoa.stats()["proxies"]["handles"]
        make_and_drop()
        memory = None
        for i in range(rounds):
            make_and_drop()
            if i == rounds // 4:
                memory = resident()
        self.assertTrue(wait_for(lambda: self.call("count") == 0))
        self.assertTrue(wait_for(settled), stoa.stats()["proxies"])
        self.assertLess(resident() - memory, 20 << 20)

    def test_home_thread_lets_go(self):
        """What only one thread may touch ends on that thread, whoever drops the last proxy; on any, when it has ended."""
        ended = []
        wake, done = threading.Event(), threading.Event()

        class AtHome:
            def __del__(self):
                ended.append(threading.get_ident())

        made = []

        def home():
            made.extend(stoa.proxy(AtHome(), thread="home") for _ in range(2))
            done.set()
            wake.wait(30)
            for _ in range(2000):  # comes by, at a bytecode boundary
                if ended:
                    break
                time.sleep(0.005)

        thread = threading.Thread(target=home)
        thread.start()
        self.assertTrue(done.wait(30))
        ident = thread.ident
        made.pop()
        wake.set()
        thread.join(30)
        self.assertEqual(ended, [ident])
        made.pop()
        self.assertTrue(wait_for(lambda: len(ended) == 2))

    def test_home_thread_lets_go_beside_a_busy_one(self):
        """The other thread takes each pending call of the interpreter while its own one is in C."""
        ended, made = [], []
        done = threading.Event()

        class AtHome:
            def __del__(self):
                ended.append(threading.get_ident())

        def home():
            made.append(stoa.proxy(AtHome(), thread="home"))
            done.set()
            time.sleep(0.5)
            for _ in range(6000):
                if ended:
                    break
                time.sleep(0.005)

        thread = threading.Thread(target=home)
        thread.start()
        self.assertTrue(done.wait(30))
        ident = thread.ident
        made.pop()
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            pass
        thread.join(60)
        self.assertEqual(ended, [ident])

    def test_event_loop_at_home_lets_go(self):
        """It sits in its selector, and nothing else is to happen there."""
        made = []

        def drop_later():
            time.sleep(0.2)  # the loop is in its selector by now, most probably
            made.pop()

        async def serve():
            ended = asyncio.get_running_loop().create_future()

            class AtHome:
                def __del__(self):
                    ended.set_result(threading.get_ident())

            made.append(stoa.proxy(AtHome(), thread="home"))
            dropper = threading.Thread(target=drop_later)
            dropper.start()
            result = await ended  # no timer: that would wake the loop
            dropper.join()
            return result

        self.assertEqual(asyncio.run(serve()), threading.get_ident())

    def test_counts(self):
        """In a process of its own: what other tests still have to let go of counts there, too, and goes when it likes."""
        child.check(
            self,
            """
            import time, stoa
            def counts():
                return stoa.stats()["proxies"]
            with stoa.Interpreter() as other:
                other.exec("class Thing: pass")
                start = counts()
                a, b = (other.call("__main__:Thing") for _ in range(2))
                now = counts()
                print(now["held_here"] - start["held_here"], now["handles"] >= 2)
                mine = [a, b]
                other.prepare_main(theirs=mine)
                print(counts()["known_elsewhere"] - now["known_elsewhere"])
                other.exec("del theirs")
                stoa.release(a)
                print(counts()["held_here"] - now["held_here"])
                end = time.monotonic() + 20
                while counts()["known_elsewhere"] != now["known_elsewhere"] and time.monotonic() < end:
                    time.sleep(0.01)
                print(counts()["known_elsewhere"] - now["known_elsewhere"])
            """,
            stdout="2 True\n1\n-1\n0\n",
        )


class Listing(Case):
    def test_who_holds_what(self):
        with stoa.Interpreter(name="third") as third:
            p = self.make("box")
            third.prepare_main(p=p)
            found = [info for info in stoa.proxies(self.interp) if info.type_name == "proxied.Box"]
            self.assertEqual({info.holder for info in found}, {stoa.current(), third})
            self.assertEqual({info.owner for info in found}, {self.interp})
            self.assertEqual({info.object_id for info in found}, {self.interp.call("builtins:id", p)})
            self.assertEqual({info.references for info in found}, {2})
            self.assertEqual(stoa.proxies(third), [])
            self.assertIsInstance(found[0], stoa.ProxyInfo)
            self.assertIn(found[0], stoa.proxies())

    def test_owner_closed(self):
        p = self.make("box")
        self.interp.close()
        (info,) = stoa.proxies(self.interp)
        self.assertEqual(info.type_name, "")
        del p
        self.assertEqual(stoa.proxies(self.interp), [])

    def test_who_does_not_answer_is_left_out(self):
        """An owner that keeps its GIL in a C call holds up nobody who has set a time limit."""
        kept = self.make("box")
        begun, over = os.pipe()
        self.addCleanup(os.close, begun)
        self.addCleanup(os.close, over)
        self.interp.exec(
            "import collections, functools, itertools, os\n"
            "def busy(begun, over):\n"
            "    says = map(os.set_inheritable, (begun,), (True,))\n"
            "    looks = iter(functools.partial(os.get_inheritable, over), True)\n"
            "    collections.deque(itertools.chain(says, looks), maxlen=0)\n"
        )
        with stoa.Interpreter(name="third") as third:
            also = third.call(there_name("make"), "box")
            thread = threading.Thread(target=self.interp.call, args=("__main__:busy", begun, over))
            thread.start()
            while not os.get_inheritable(begun):
                time.sleep(0.001)
            with self.assertWarnsRegex(RuntimeWarning, f"0.05 seconds from .*'{self.interp.name}'"):
                found = stoa.proxies(timeout=0.05)
            os.set_inheritable(over, True)
            thread.join()
            self.assertIn("", {i.type_name for i in found if i.owner == self.interp})
            self.assertEqual({i.type_name for i in stoa.proxies(timeout=20) if i.owner in (self.interp, third)}, {"proxied.Box"})
            del also
        del kept

    def test_circles_are_found_and_broken(self):
        with stoa.Interpreter(name="third") as third:
            a, b = self.call("Counted"), third.call(there_name("Counted"))
            a.other = b
            self.assertEqual(stoa.proxies(cycles=True), [])
            b.deep = stoa.by_copy({"x": (1, [a])})
            found = stoa.proxies(cycles=True)
            self.assertEqual({(i.holder, i.owner) for i in found if i.holder != stoa.current()},
                             {(self.interp, third), (third, self.interp)})
            self.assertEqual({i.type_name for i in found}, {"proxied.Counted"})
            del a, b
            self.assertEqual(len(stoa.proxies(cycles=True)), 2)
            self.assertEqual(third.call(there_name("count")), 1)  # nobody can know that it could go
            self.call("release_others")
            self.assertTrue(wait_for(lambda: self.call("count") == 0 and third.call(there_name("count")) == 0))
            self.assertEqual(stoa.proxies(cycles=True), [])


class Ends(Case):
    def test_owner_closed(self):
        p = self.make("list")
        iterator = iter(p)
        next(iterator)
        self.interp.close()
        for use in (len, repr, hash, list, bool, str, dir, iter, next, lambda x: x[0], lambda x: x.append, lambda x: x(),
                    lambda x: x + 1, lambda x: 1 in x, lambda x: x == 1, stoa.fetch, stoa.snapshot, memoryview,
                    pickle.dumps, stoa.freeze, stoa.Region().freeze, lambda x: next(iterator)):
            with self.assertRaisesRegex(stoa.InterpreterGone, "'owner'.*make another one"):
                use(p)
        with self.assertRaises(stoa.InterpreterGone) as caught:
            stoa.publish("test.closed owner", {"a": (1, [p])})
        self.assertIn("$['a'][1][0]", caught.exception.__notes__[0])
        with stoa.Interpreter() as other, self.assertRaisesRegex(stoa.InterpreterGone, "owner"):
            other.call(there_name("identity"), p)
        for make_known in (stoa.publish, stoa.replace, lambda name, p: stoa.once(name, lambda: p)):
            with self.assertRaisesRegex(stoa.InterpreterGone, "'owner'.* is closed"):
                make_known("test.closed owner", p)
        self.assertNotIn("test.closed owner", stoa.names())
        self.assertEqual(stoa.owner(p), self.interp)
        stoa.release(p)

    def test_caller_closed(self):
        with stoa.Interpreter() as caller:
            mine = [there.Counted()]
            caller.prepare_main(p=mine)
            caller.exec("p.append(1)")
        count = there.count()
        del mine
        gc.collect()
        stoa.is_proxy(self.make("list") == 1)
        self.assertEqual(there.count(), count - 1)

    def test_exit_with_proxies_alive(self):
        child.check(self, """
            import stoa
            a, b = stoa.Interpreter(), stoa.Interpreter()
            mine = [1]
            p = a.call("builtins:list", (1, 2))
            p.append(mine)
            b.prepare_main(p=p, mine=mine)
            b.exec("keep = [p, mine, iter(p), p.append]")
            q = b.call("builtins:dict", k=p)
            print("done")
        """, stdout="done\n")

    def test_memory_for_each(self):
        self.assertLessEqual(stoa.Proxy.__basicsize__, 96)

    def test_owner_closed_during_a_call(self):
        """The call under way finishes; the next one is told."""
        inside, go_on, outcome = threading.Event(), threading.Event(), []

        def wait():
            inside.set()
            go_on.wait(30)

        p = self.make("box")

        def work():
            outcome.append(self.call("apply", wait))
            try:
                p.n
            except stoa.InterpreterGone as error:
                outcome.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        self.assertTrue(inside.wait(30))
        with self.assertRaises(stoa.Timeout):
            self.interp.close(timeout=0.05)
        self.assertEqual(p.n, 3)  # the close gave up: nothing has changed
        closer = threading.Thread(target=self.interp.close)
        closer.start()
        self.assertTrue(wait_for(lambda: is_gone(p)))
        go_on.set()
        thread.join(30)
        closer.join(30)
        self.assertFalse(thread.is_alive() or closer.is_alive())
        self.assertIsNone(outcome[0])
        self.assertIn("owner", str(outcome[1]))

    def test_two_close_each_other(self):
        child.check(self, """
            import stoa, threading
            a, b = stoa.Interpreter(name="a"), stoa.Interpreter(name="b")
            barrier, told = threading.Barrier(2), []
            def close(other):
                barrier.wait(30)
                try:
                    other.close()
                except stoa.Error as error:
                    told.append(type(error).__name__)
            def apply(f, x): return f(x)
            threads = [threading.Thread(target=x.call, args=(apply, close, y)) for x, y in ((a, b), (b, a))]
            for t in threads: t.start()
            for t in threads: t.join(30)
            assert not any(t.is_alive() for t in threads), "they wait for each other"
            a.close(); b.close()
            assert a.closed and b.closed
            print(len(told) > 0)
        """, stdout="True\n")

    def test_last_breaths(self):
        """__del__ that uses a proxy: of its caller, of a third interpreter, of one that is closed; while all of it ends.
        thread: another one sits in a system call inside the owner, and stays there."""
        impatient = {**os.environ, "STOA_EXIT_PATIENCE": "0.5"}
        modes = ["drop", "close", "exit", "thread"]
        if hasattr(sys, "gettotalrefcount"):
            modes.remove("thread")  # a debug build asserts that every interpreter was ended
        for mode in modes:
            with self.subTest(mode):
                stays = mode == "thread"
                done = child.check(self, LAST_BREATHS, argv=(mode,), stdout="end\n", quiet=not stays, env=impatient if stays else None)
                if stays:
                    self.assertRegex(done.stderr, r"^stoa: interpreter 'a' is left open at the end: [^\n]*\n$")

    def test_proxies_during_shutdown(self):
        """Module globals, atexit, and objects that are found by the last garbage collection."""
        child.check(self, """
            import atexit, gc, stoa, sys
            a = stoa.Interpreter()
            p = a.call("builtins:dict", k=1)
            class Uses:
                def __init__(self): self.p, self.me = p, self
                def __del__(self):
                    try:
                        len(self.p), self.p.get, iter(self.p)
                    except stoa.InterpreterGone:
                        pass
            gc.disable()
            u = Uses(); v = Uses(); del v
            a.prepare_main(u=u)
            atexit.register(lambda: print(p["k"]))
            sys.modules["keeps"] = u
        """, stdout="1\n")

    def test_forked_child(self):
        """The child is told that the other interpreters are not there; the parent notices nothing."""
        child.check(self, """
            import os, stoa, warnings
            warnings.simplefilter("ignore")
            a = stoa.Interpreter(name="a")
            p = a.call("builtins:list", (1, 2))
            mine = [5]
            p.append(mine)
            own = stoa.proxy(mine)
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    for use in (len, repr, iter, lambda x: x.append(1), lambda x: x[0], stoa.fetch):
                        try:
                            use(p)
                        except stoa.InterpreterGone as error:
                            assert "'a'" in str(error) and "when this process was forked" in str(error), error
                        else:
                            raise AssertionError("it answers")
                    own.append(6)
                    assert mine == [5, 6]
                    stoa.release(p)
                    b = stoa.Interpreter(name="b")
                    q = b.call("builtins:list", (7,))
                    assert len(q) == 1
                    del q
                    b.close()
                    code = 0
                finally:
                    os._exit(code)
            assert os.waitpid(pid, 0)[1] == 0
            assert len(p) == 3 and p[2] is mine and mine == [5]
            print("parent")
        """, stdout="parent\n")

    def test_threads_that_end_inside(self):
        """SystemExit crosses, and ends the thread of the caller; its states in the owner go with it."""
        p = self.make("box")
        for _ in range(20):
            thread = threading.Thread(target=self.call, args=("leave_thread", p))
            thread.start()
            thread.join(30)
            self.assertFalse(thread.is_alive())
        self.assertFalse(self.interp.running)
        self.assertEqual(p.n, 3)


def is_gone(p):
    try:
        p.n
    except stoa.InterpreterGone:
        return True
    return False


LAST_BREATHS = """
    import stoa, sys, textwrap, time
    code = '''
    class Last:
        def __init__(self, log, other=None): self.log, self.other = log, other
        def __del__(self):
            try:
                self.log.append(repr(self.other))
            except BaseException as error:
                if type(error).__name__ != "InterpreterGone": raise
    '''
    a, b, c = (stoa.Interpreter(name=n) for n in "abc")
    for i in (a, b, c): i.exec(textwrap.dedent(code))
    def make(*args):
        import __main__
        return __main__.Last(*args)
    log = []
    third = c.call("builtins:list", (1, 2, 3))
    pa, pb = a.call(make, log, third), b.call(make, log, third)
    pb2 = b.call(make, log, pa)
    keep = a.call("builtins:list", (4,)); keep.append(pb); keep.append(pb2)
    b.prepare_main(pa=pa, keep=keep)
    c.prepare_main(pa=pa, pb=pb, pb2=pb2, log=log)
    mode = sys.argv[1]
    if mode == "drop":
        b.exec("del pa, keep"); c.exec("del pa, pb, pb2"); del pa, pb, keep, pb2
        end = time.monotonic() + 20
        while len(log) < 3 and time.monotonic() < end: time.sleep(0.01)
        assert len(log) == 3 and log.count("[1, 2, 3]") == 2, log
    elif mode == "close":
        c.close(); del pa, pb, keep, pb2; a.close(); b.close()
    elif mode == "thread":
        import threading
        a.exec("import time")
        threading.Thread(target=lambda: a.call("time:sleep", 1000), daemon=True).start()
        while not a.running: time.sleep(0.001)
    print("end")
"""

if __name__ == "__main__":
    unittest.main()
