"""What passes through the standard library's own ways between interpreters: by pointer what is shared, by handle the rest."""

import sys
import unittest

import stoa

try:
    from concurrent import interpreters  # 3.14 and later
except ImportError:
    interpreters = None
try:
    import _interpchannels as channels  # 3.13 and later
except ImportError:
    import _xxinterpchannels as channels

SHARED = stoa.freeze(
    {"text": "x" * 100, "bytes": b"y" * 100, "numbers": [1.5, 2**80, 3j], "nested": [[{"a": (1, "z" * 50)}]], "set": {1, 2}}
)


def through_channel(value):
    """To itself: what arrives is made anew from the cross-interpreter data."""
    channel = channels.create() if sys.version_info < (3, 13) else channels.create(1)
    try:
        channels.send(channel, value, **({} if sys.version_info < (3, 13) else {"blocking": False}))
        received = channels.recv(channel)
        return received[0] if isinstance(received, tuple) and sys.version_info >= (3, 13) else received
    finally:
        channels.destroy(channel)


class Channels(unittest.TestCase):
    """The private modules, which every version has."""

    def test_shared_objects_go_by_pointer(self):
        for value in (SHARED, *SHARED.values(), *SHARED["numbers"]):
            self.assertIs(through_channel(value), value)

    def test_what_is_not_shared_is_copied_or_refused_as_before(self):
        self.assertEqual(through_channel("plain text"), "plain text")
        self.assertEqual(through_channel(b"bytes"), b"bytes")
        self.assertEqual(through_channel((1, "a", None)) if sys.version_info >= (3, 13) else (1, "a", None), (1, "a", None))
        self.assertEqual(through_channel(12345), 12345)
        self.assertIs(through_channel(None), None)

    def test_proxies_and_interpreters_go_by_handle(self):
        with stoa.Interpreter() as other:
            other.exec("items = [1, 2]")
            proxy = other.call(eval, "items")
            self.assertIs(through_channel(proxy), proxy)
            self.assertEqual(through_channel(other), other)
        mine = []
        self.assertIs(through_channel(stoa.proxy(mine)), mine)


@unittest.skipUnless(interpreters, "concurrent.interpreters is new in 3.14")
class ConcurrentInterpreters(unittest.TestCase):
    def setUp(self):
        self.other = interpreters.create()
        self.other.exec("import sys; sys.path[:] = %r\nimport stoa" % (sys.path,))
        self.addCleanup(self.other.close)

    def test_queue(self):
        q = interpreters.create_queue()
        self.other.prepare_main(q=q)
        target = []
        q.put(SHARED)
        q.put(stoa.proxy(target))
        q.put(frozenset({1}))  # pickled, as without us
        self.other.exec(
            "m = q.get(); assert stoa.is_shared(m) and m['text'] == 'x' * 100\n"
            "q.get().append(5)\n"
            "assert q.get() == {1}\n"
            "q.put(id(m))"
        )
        self.assertEqual(q.get(), id(SHARED))
        self.assertEqual(target, [5])

    def test_prepare_main_and_call(self):
        target = {}
        self.other.prepare_main(shared=SHARED, p=stoa.proxy(target), nested=SHARED["nested"])
        self.other.exec("p['id'] = id(shared); p['nested'] = id(nested)")
        self.assertEqual(target, {"id": id(SHARED), "nested": id(SHARED["nested"])})
        self.assertEqual(self.other.call(id, SHARED["text"]), id(SHARED["text"]))
        back = self.other.call(stoa.freeze, (1, 2, "a result that is long enough"))
        self.assertTrue(stoa.is_shared(back))

    def test_things(self):
        q, there, back = stoa.Queue(), interpreters.create_queue(), interpreters.create_queue()
        self.other.prepare_main(q=q, there=there, back=back)
        self.other.exec("q.put('from there')")
        self.assertEqual(q.get(timeout=10), "from there")
        for thing in THINGS:
            with self.subTest(type(thing).__name__):
                there.put(thing)
                self.other.exec("x = there.get(); back.put(x)")
                self.assertIs(back.get(), thing)
                self.assertIs(self.other.call(same, thing), thing)
                self.other.prepare_main(y=thing)
                self.other.exec("assert x is y; del x, y")

    def test_a_lock_is_held_for_an_interpreter_that_is_not_ours(self):
        lock = stoa.Lock()
        other = interpreters.create()
        other.exec("import sys; sys.path[:] = %r\nimport stoa" % (sys.path,))
        other.prepare_main(lock=lock)
        other.exec("lock.acquire()")
        self.assertFalse(lock.acquire(timeout=0.01))
        other.close()
        self.assertRaises(stoa.BrokenLock, lock.acquire)

    def test_standard_pool_workers_share_queues_and_locks(self):
        from concurrent.futures import InterpreterPoolExecutor

        lock, q, barrier = stoa.Lock(), stoa.Queue(), stoa.Barrier(2)
        with InterpreterPoolExecutor(2, initializer=set_path, initargs=(tuple(sys.path),)) as pool:
            self.assertEqual(sorted(pool.map(meet, [barrier] * 2, [lock] * 2, [q] * 2)), [0, 1])
        self.assertEqual(len(set(q.get_many())), 2)

    def test_standard_pool_workers_use_stoa(self):
        from concurrent.futures import InterpreterPoolExecutor

        stoa.publish("test_crossinterp", SHARED)
        self.addCleanup(stoa.unpublish, "test_crossinterp")
        target = []
        with InterpreterPoolExecutor(1, initializer=set_path, initargs=(tuple(sys.path),)) as pool:
            self.assertEqual(pool.submit(look_up_id).result(30), id(SHARED))
            self.assertEqual(pool.submit(id, SHARED).result(30), id(SHARED))
            pool.submit(append, stoa.proxy(target), 3).result(30)
        self.assertEqual(target, [3])


THINGS = (stoa.Queue(), stoa.Lock(), stoa.RLock(), stoa.Event(), stoa.Condition(stoa.Lock()), stoa.Semaphore(1),
          stoa.BoundedSemaphore(1), stoa.Barrier(1))


def same(thing):
    return thing


def meet(barrier, lock, q):
    import stoa

    place = barrier.wait(30)  # both workers are at it at once
    with lock:
        q.put(stoa.current().id)
    return place


def set_path(path):
    sys.path[:] = path


def look_up_id():
    return id(stoa.lookup("test_crossinterp"))


def append(target, value):
    target.append(value)


if __name__ == "__main__":
    unittest.main()
