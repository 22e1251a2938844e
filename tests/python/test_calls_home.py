"""Objects that only one thread may touch."""

import asyncio
import sqlite3
import threading
import time
import unittest

import stoa
from calls_support import Owner, counters


class TestHome(Owner):
    def make_home(self, expression="log"):
        """A proxy of an object whose home is the interpreter's own thread."""
        self.it.exec("def make(expression):\n    return stoa.proxy(eval(expression), thread='home')")
        return self.it.submit(self.get("make"), expression).result(20)

    def own_thread(self):
        return self.it.submit(threading.get_ident).result(20)

    def test_only_that_thread_runs_calls(self):
        ident = self.make_home("ident")
        before = counters()["calls_home"]
        self.assertEqual(ident(), self.own_thread())
        self.assertGreater(counters()["calls_home"], before)
        seen = []
        threads = [threading.Thread(target=lambda: seen.append(ident())) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(set(seen), {self.own_thread()})

    def test_sqlite3_connection(self):
        self.it.exec("import sqlite3")
        connection = self.make_home("sqlite3.connect(':memory:')")
        connection.execute("create table t (a, b)")
        with connection:
            connection.executemany("insert into t values (?, ?)", stoa.by_copy([(i, str(i)) for i in range(50)]))
        cursor = connection.execute("select a, b from t where a >= ? order by a", (40,))
        self.assertEqual(cursor.fetchone(), (40, "40"))
        self.assertEqual([row[0] for row in cursor], list(range(41, 50)))
        other = stoa.Interpreter()
        self.addCleanup(other.close)
        other.exec("def count(c): return c.execute('select count(*) from t').fetchone()[0]")
        self.assertEqual(other.call(eval, "count")(connection), 50)
        with self.assertRaises(sqlite3.OperationalError):
            connection.execute("select * from nowhere")
        connection.close()

    def test_thread_that_runs_python(self):
        # the home is a thread of the owner that never waits in Stoa
        self.it.exec(
            "box = []\n"
            "def spin_at_home(ready):\n"
            "    box.append(stoa.proxy(ident, thread='home'))\n"
            "    ready.set()\n"
            "    while not stop.is_set(): pass\n"
            "def start_at_home():\n"
            "    stop.clear(); ready = threading.Event()\n"
            "    thread = threading.Thread(target=spin_at_home, args=(ready,))\n"
            "    thread.start(); ready.wait()\n"
            "    return thread\n"
        )
        thread = self.get("start_at_home()")
        ident = self.get("box[0]")
        try:
            self.assertEqual({ident() for _ in range(20)}, {thread.ident})
            self.busy()  # a second thread runs Python, too
            self.assertEqual({ident() for _ in range(5)}, {thread.ident})
        finally:
            self.get("stop").set()
            thread.join()
        with self.assertRaisesRegex(stoa.InterpreterGone, "has ended"):
            ident()

    def test_comes_by_now_and_then_beside_a_busy_thread(self):
        """Another thread takes what is meant for the home at each of its bytecodes; that is told once more when it comes."""
        self.it.exec(
            "def come_by(ready):\n"
            "    ready.append(stoa.proxy(ident, thread='home'))\n"
            "    while not stop.is_set(): time.sleep(0.05)\n"
            "def start_coming_by():\n"
            "    stop.clear(); ready = []\n"
            "    thread = threading.Thread(target=come_by, args=(ready,))\n"
            "    thread.start()\n"
            "    while not ready: time.sleep(0.001)\n"
            "    return thread, ready[0]\n"
        )
        thread, ident = self.get("start_coming_by()")
        busy = self.get("start()")
        try:
            self.assertEqual({ident() for _ in range(3)}, {thread.ident})
        finally:
            self.get("stop").set()
            thread.join()
            busy.join()

    def test_call_that_waits_for_another_busy_home_of_the_interpreter(self):
        """What the first does at a bytecode boundary does not keep the second from coming to one."""
        self.it.exec(
            "homes = []\n"
            "class Home:\n"
            "    def ident(self): return threading.get_ident()\n"
            "    def through(self, call, other): return call(other)\n"
            "def spin_at_home(ready):\n"
            "    homes.append(stoa.proxy(Home(), thread='home'))\n"
            "    ready.set()\n"
            "    while not stop.is_set(): pass\n"
            "def start_at_home():\n"
            "    ready = threading.Event()\n"
            "    thread = threading.Thread(target=spin_at_home, args=(ready,))\n"
            "    thread.start()\n"
            "    ready.wait()\n"
            "    return thread\n"
            "threads = [start_at_home(), start_at_home()]\n"
        )
        other = stoa.Interpreter()
        self.addCleanup(other.close)
        other.exec("def call(home): return home.ident()")
        for join in self.get("[t.join for t in threads]"):
            self.addCleanup(join)
        self.addCleanup(self.get("stop").set)
        first, second = self.get("homes")
        seen = []
        thread = threading.Thread(target=lambda: seen.append(first.through(other.call(eval, "call"), second)))
        thread.start()
        thread.join(60)
        self.assertEqual(seen, [self.get("threads[1].ident")])

    def test_here(self):
        # this thread is the home: served while it waits, and for itself at once
        mine = stoa.proxy([], thread="home")
        mine.append(threading.get_ident())
        self.it.exec("def add(p):\n    p.append(threading.get_ident())\n    return len(p)")
        self.assertEqual(self.get("add")(mine), 2)  # entered: the same thread
        ident = stoa.proxy(threading.get_ident, thread="home")
        self.it.exec("def ask(f): return f(), threading.get_ident()")
        got, theirs = stoa.options(self.get("ask"), timeout=20)(ident)
        self.assertEqual(got, threading.get_ident())
        self.assertNotEqual(theirs, threading.get_ident())

    def test_served_while_it_waits_for_a_name(self):
        name = f"test.calls.{self.it.id}"
        ident = stoa.proxy(threading.get_ident, thread="home")
        self.it.exec(
            "def tell(f, name):\n"
            "    stoa.publish(name, f())\n"
            "def make(f, name, ready):\n"
            "    def factory():\n"
            "        ready()\n"
            "        return f()\n"
            "    return stoa.once(name, factory)\n"
        )
        stoa.submit(self.get("tell"), ident, name)
        self.assertEqual(stoa.lookup(name, timeout=20), threading.get_ident())
        ready = threading.Event()
        future = stoa.submit(self.get("make"), ident, name + "once", stoa.proxy(ready.set))
        ready.wait(20)
        self.assertEqual(stoa.once(name + "once", lambda: "mine", timeout=20), threading.get_ident())
        self.assertEqual(future.result(20), threading.get_ident())
        stoa.unpublish(name)
        stoa.unpublish(name + "once")

    def test_mutual_calls_of_two_homes(self):
        other = stoa.Interpreter()
        self.addCleanup(other.close)
        code = (
            "import stoa, threading\n"
            "calls = []\n"
            "class Peer:\n"
            "    def ping(self, depth, peer):\n"
            "        calls.append(threading.get_ident())\n"
            "        return peer.ping(depth - 1, me) if depth else 'done'\n"
            "    def start(self, peer):\n"
            "        return [peer.ping(4, me) for _ in range(20)]\n"
            "me = None\n"
            "def make():\n"
            "    global me\n"
            "    me = stoa.proxy(Peer(), thread='home')\n"
            "    return me\n"
        )
        peers = []
        for it in (self.it, other):
            it.exec(code)
            peers.append(it.submit(it.call(eval, "make")).result(20))
        results = [stoa.submit(peers[i].start, peers[1 - i]) for i in (0, 1)]
        self.assertEqual([list(r.result(30)) for r in results], [["done"] * 20] * 2)
        for it in (self.it, other):
            own = it.submit(threading.get_ident).result(20)
            self.assertEqual(set(it.call(eval, "calls")), {own})

    def use_after_a_moment(self):
        """A submitted call of an object whose home is here, made when this thread is in a wait, most probably."""
        begun = stoa.Event()
        self.it.exec("def use(f, begun):\n    begun.set()\n    sleep(0.05)\n    return f(), f()")
        ident = stoa.proxy(self.ident_here, thread="home")
        future = self.it.submit(self.get("use"), ident, begun)
        begun.wait()
        return future

    @staticmethod
    def ident_here():
        return threading.get_ident()

    def test_served_while_it_waits_for_a_submitted_call(self):
        twice = (threading.get_ident(),) * 2
        self.assertEqual(self.use_after_a_moment().result(), twice)
        self.assertEqual(self.use_after_a_moment().result(60), twice)
        self.assertIsNone(self.use_after_a_moment().exception())
        watched = self.use_after_a_moment()
        watched.add_done_callback(lambda future: None)
        self.assertEqual(watched.result(), twice)

    def test_served_while_it_closes(self):
        future = self.use_after_a_moment()
        begun, entered = stoa.Event(), []
        ident = stoa.proxy(self.ident_here, thread="home")
        other = threading.Thread(target=lambda: entered.append(self.get("use")(ident, begun)))
        other.start()
        begun.wait()
        self.it.close()
        other.join()
        self.assertEqual([future.result(), *entered], [(threading.get_ident(),) * 2] * 2)

    def test_submitted_calls_that_wait_for_one_another(self):
        self.it.exec("import stoa\ndef own(it): return it.submit(time.monotonic).result()")
        with self.assertRaisesRegex(stoa.Deadlock, "waits for a submitted call of thread"):
            self.it.submit(self.get("own"), self.it).result()
        other = stoa.Interpreter()
        self.addCleanup(other.close)
        code = "def own(it, barrier):\n    barrier.wait()\n    return it.submit('time:monotonic').result()"
        for it in (self.it, other):
            it.exec(code)
        barrier = stoa.Barrier(2)
        futures = [it.submit("__main__:own", to, barrier) for it, to in ((self.it, other), (other, self.it))]
        errors = [e for e in (future.exception() for future in futures) if e is not None]
        self.assertIn(len(errors), (1, 2))
        for error in errors:
            self.assertIsInstance(error, stoa.Deadlock)
            self.assertEqual(str(error).count("waits for a submitted call of thread"), 2)

    def test_closing_what_waits_for_the_closer(self):
        lock = stoa.Lock()
        self.it.exec("def take(lock):\n    with lock: return 'taken'")
        with lock:
            future = self.it.submit(self.get("take"), lock)
            try:
                self.it.close()
            except stoa.Deadlock as error:
                self.assertIn("waits for a submitted call of thread", str(error))
                self.assertFalse(self.it.closed)
            else:
                self.assertIsInstance(future.exception(), (stoa.Deadlock, stoa.InterpreterGone))
        self.it.close()
        self.assertIn(type(future.exception()), (type(None), stoa.Deadlock, stoa.InterpreterGone))

    def test_who_waits_for_a_submitted_call_is_told_of_the_closing(self):
        other = stoa.Interpreter()
        event = stoa.Event()
        self.addCleanup(other.close)
        self.addCleanup(event.set)
        self.it.exec("def wait(it, event, begun):\n    future = it.submit(event.wait)\n    begun.set()\n    return future.result()")
        begun, outcome = stoa.Event(), []

        def body():
            try:
                outcome.append(self.get("wait")(other, event, begun))
            except stoa.InterpreterGone as error:
                outcome.append(str(error))

        thread = threading.Thread(target=body)
        thread.start()
        begun.wait()
        self.it.close()
        thread.join()
        self.assertEqual(len(outcome), 1)
        self.assertIn("is being closed", outcome[0])

    def test_deadlock_names_the_circle(self):
        # this thread holds the lock and waits for the home thread; that one, in the call, waits for the lock
        lock = stoa.Lock()
        self.it.exec("def take(lock):\n    with lock: return 'taken'")
        take = self.make_home("take")
        with lock:
            with self.assertRaises(stoa.Deadlock) as caught:
                take(lock)
        text = str(caught.exception) + str(caught.exception.__cause__)
        self.assertIn("waits for", text)
        self.assertIn(self.it.name, text)
        self.assertIn(f"thread {threading.get_native_id()}", text)
        self.assertEqual(take(lock), "taken")  # nothing is left behind

    def test_locks_and_mutual_calls(self):
        # each home thread waits for the other one, and serves it: no circle
        other = stoa.Interpreter()
        self.addCleanup(other.close)
        lock = stoa.Lock()
        for it in (self.it, other):
            it.exec(
                "import stoa\n"
                "class Peer:\n"
                "    n = 0\n"
                "    def add(self, lock):\n"
                "        with lock: self.n += 1\n"
                "        return self.n\n"
                "    def start(self, peer, lock):\n"
                "        for _ in range(30): peer.add(lock)\n"
                "        return self.n\n"
                "def make_peer(): return stoa.proxy(Peer(), thread='home')\n"
            )
        peers = [it.submit(it.call(eval, "make_peer")).result(20) for it in (self.it, other)]
        futures = [stoa.submit(peers[i].start, peers[1 - i], lock) for i in (0, 1)]
        for future in futures:
            future.result(30)
        self.assertEqual([p.n for p in peers], [30, 30])

    def test_asyncio_loop(self):
        # the loop's thread sits in its selector; a call from elsewhere is run there at once
        async def serve():
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            seen = []

            def touch(x):
                seen.append((x, threading.get_ident(), asyncio.get_running_loop() is loop))
                if x == 2:
                    done.set_result(None)
                return x * 2

            self.it.exec("def use(f): return [f(i) for i in range(3)]")
            future = stoa.submit(self.get("use"), stoa.proxy(touch, thread="home"))
            await asyncio.wait_for(done, 20)
            result = await asyncio.wait_for(asyncio.wrap_future(future), 20)
            return list(result), seen

        result, seen = asyncio.run(serve())
        self.assertEqual(result, [0, 2, 4])
        self.assertEqual(seen, [(i, threading.get_ident(), True) for i in range(3)])

    def test_closed_while_a_call_waits(self):
        append = self.make_home().append
        gate, let_go = self.gate()
        busy = self.it.submit(self.get("hold"), gate)
        outcome = []

        def body():
            try:
                append(1)
            except stoa.InterpreterGone:
                outcome.append("gone")

        self.until_held(gate)
        threads = [threading.Thread(target=body), threading.Thread(target=self.it.close)]
        threads[0].start()
        time.sleep(0.05)  # it waits by now, most probably
        threads[1].start()
        threads[0].join()
        self.assertEqual(outcome, ["gone"])  # while the home thread is still busy
        let_go()
        threads[1].join()
        self.assertEqual(busy.result(20), "held")

    def test_timeout(self):
        hold = stoa.options(self.make_home("hold"), timeout=0.05)
        gate, let_go = self.gate()
        with self.assertRaises(stoa.Timeout):
            hold(gate)
        let_go()
        # not begun in time: it is taken back, and never run
        append = stoa.options(self.make_home("log"), timeout=0.05).append
        self.own_thread()
        gate, let_go = self.gate()
        busy = self.it.submit(self.get("hold"), gate)
        self.until_held(gate)
        with self.assertRaises(stoa.Timeout):
            append("late")
        let_go()
        busy.result(20)
        self.own_thread()
        self.assertEqual(list(self.get("log")), [])

    def test_other_threads_get_the_proxy(self):
        log = self.make_home()
        self.it.exec("def what(x): return stoa.is_proxy(x)")
        self.assertIs(self.get("what")(log), True)  # entered on this thread, which is not its home
        self.assertIs(self.it.submit(self.get("what"), log).result(20), False)

    def test_conflict(self):
        mine = []
        self.it.exec("def keep(x): global kept; kept = x")
        self.get("keep")(mine)
        with self.assertRaisesRegex(ValueError, "any thread"):
            stoa.proxy(mine, thread="home")
        yours = []
        p = stoa.proxy(yours, thread="home")
        self.assertIs(stoa.proxy(yours, thread="home"), p)
        failed = []

        def body():
            try:
                stoa.proxy(yours, thread="home")
            except ValueError as error:
                failed.append(str(error))

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        self.assertEqual(len(failed), 1)
        with self.assertRaises(ValueError):
            stoa.proxy(self.get("log"), thread="home")

    def test_owner_closed(self):
        log = self.make_home()
        self.it.close()
        with self.assertRaises(stoa.InterpreterGone):
            log.append(1)


if __name__ == "__main__":
    unittest.main()
