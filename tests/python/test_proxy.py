"""Proxies: the data model, done through a proxy and directly, with equal results; identity; lifetimes."""

import asyncio
import collections
import copy
import gc
import operator
import os
import pickle
import sys
import tempfile
import types
import unittest
import weakref

import child
import stoa

THERE = types.ModuleType("stoa_test_there")
SOURCE = '''
import collections, io, os

class Box:
    total = 0
    def __init__(self, n=3): self.n = n
    def method(self, a, *rest, k=0): return (self.n, a, rest, k)
    @property
    def double(self): return self.n * 2
    def __add__(self, other): return ("add", self.n, other)
    def __radd__(self, other): return ("radd", other, self.n)
    def __iadd__(self, other): self.n += other; return self
    def __sub__(self, other): return NotImplemented
    def __matmul__(self, other): return ("matmul", other)
    def __pow__(self, other, mod=None): return ("pow", other, mod)
    def __rpow__(self, other, mod=None): return ("rpow", other)
    def __divmod__(self, other): return ("divmod", other)
    def __neg__(self): return -self.n
    def __invert__(self): return ~self.n
    def __abs__(self): return abs(self.n)
    def __int__(self): return self.n
    def __float__(self): return float(self.n)
    def __index__(self): return self.n
    def __complex__(self): return complex(self.n, 1)
    def __round__(self, digits=None): return ("round", digits)
    def __trunc__(self): return "trunc"
    def __floor__(self): return "floor"
    def __ceil__(self): return "ceil"
    def __bool__(self): return self.n > 0
    def __len__(self): return self.n
    def __getitem__(self, key):
        if isinstance(key, int) and key >= 3: raise IndexError(key)
        return ("item", key)
    def __contains__(self, item): return item == self.n
    def __eq__(self, other): return other == self.n
    def __lt__(self, other): return self.n < other
    def __hash__(self): return 77 + self.n
    def __repr__(self): return f"Box({self.n})"
    def __format__(self, spec): return f"<{spec}|{self.n}>"
    def __bytes__(self): return b"box"
    def __call__(self, *args, **kwargs): return (args, tuple(sorted(kwargs.items())))
    def __enter__(self): return self.n
    def __exit__(self, kind, value, traceback): self.n = (kind and kind.__name__, str(value)); return kind is KeyError
    def __getattr__(self, name):
        if name == "raises": raise ZeroDivisionError("from __getattr__")
        raise AttributeError(name)
    def __fspath__(self): return "/box"
    def __reversed__(self): return iter((3, 2, 1))
    def __await__(self):
        got = yield 1
        return ("awaited", got)
    def __aiter__(self): self.left = 3; return self
    async def __anext__(self):
        if not self.left: raise StopAsyncIteration
        self.left -= 1
        return self.left
    async def __aenter__(self): return "in"
    async def __aexit__(self, kind, value, traceback): return kind is ValueError
    def __get__(self, instance, owner): return ("got", instance is None)

log = []
def generator(n):
    try:
        for i in range(n):
            log.append(i)
            got = yield i
            if got: log.append(got)
    except ValueError as error:
        yield ("caught", str(error))
    finally:
        log.append("end")
    return "value"

async def coroutine(x): return ("result", x)

def make(kind):
    log.clear()
    return {"list": lambda: [3, 1, 2, [4]], "dict": lambda: {"a": 1, "b": [2], 3: None}, "set": lambda: {1, 2, 3},
            "bytearray": lambda: bytearray(b"hello"), "deque": lambda: collections.deque([1, 2, 3]),
            "box": Box, "generator": lambda: generator(4), "coroutine": lambda: coroutine(5),
            "file": lambda: io.StringIO("one\\ntwo\\nthree\\n"), "class": lambda: Box}[kind]()

def apply(function, *args): return function(*args)
def identity(x): return x
def same(a, b): return a is b
def get_log(): return tuple(log)
alive = 0
class Counted:
    def __init__(self): global alive; alive += 1
    def __del__(self): global alive; alive -= 1
def count(): return alive
'''


def setUpModule():
    folder = tempfile.mkdtemp()
    with open(os.path.join(folder, "stoa_test_there.py"), "w") as file:
        file.write(SOURCE)
    sys.path.insert(0, folder)
    global there
    import stoa_test_there as there


def there_name(name):
    return "stoa_test_there:" + name


def plain(value):
    """What can be compared: proxies as copies of what they stand for, other objects as text without their address."""
    if stoa.is_proxy(value):
        value = stoa.fetch(value)
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    if type(value) is dict:
        return {plain(k): plain(v) for k, v in value.items()}
    if type(value) in (int, float, complex, bool, bytes, bytearray, set, frozenset, type(None)):
        return value
    return str(value).partition(" at 0x")[0]


def outcome(operation, thing):
    try:
        return ("value", plain(operation(thing)))
    except BaseException as error:
        return ("raised", type(error).__name__)


def inplace(op, value):
    def run(x):
        before = x
        x = op(x, value)
        return (x is before, x)

    return run


def setter(*path):
    def run(x):
        operator.setitem(x, *path)
        return x

    return run


def with_it(error):
    def run(x):
        with x as value:
            if error:
                raise error
        return value, x.n

    return run


def drive(awaitable):
    async def run():
        return await awaitable

    coroutine = run()
    yielded = []
    try:
        yielded.append(coroutine.send(None))
        yielded.append(coroutine.send("sent"))
    except StopIteration as stop:
        return yielded, stop.value
    return yielded


async def all_of(x):
    return [item async for item in x]


async def async_with(x, error):
    async with x as value:
        if error:
            raise error
    return value


OPERATIONS = {
    "len": len, "repr": repr, "str": str, "bool": bool, "hash": lambda x: type(hash(x)), "list": list, "tuple": tuple,
    "set": lambda x: set(map(repr, x)), "sorted": sorted, "sum": sum, "max": max, "any": any,
    "iter twice": lambda x: (list(zip(x, x)), list(x)), "enumerate": lambda x: list(enumerate(x)),
    "reversed": lambda x: list(reversed(x)), "next": next, "for break": lambda x: [i for i, _ in zip(x, range(2))],
    "item 0": lambda x: x[0], "item -1": lambda x: x[-1], "item a": lambda x: x["a"], "item bad": lambda x: x["zzz"],
    "item None": lambda x: x[None], "item far": lambda x: x[99], "slice": lambda x: x[1:3], "slice step": lambda x: x[::-2],
    "set item": setter(0, 9), "set key": setter("new", 5), "set slice": setter(slice(0, 2), [7, 8, 9]),
    "del item": lambda x: (operator.delitem(x, 0), x)[1], "del key": lambda x: (operator.delitem(x, "a"), x)[1],
    "in": lambda x: 2 in x, "not in": lambda x: "zzz" in x, "in list": lambda x: [4] in x,
    "== self": lambda x: x == x, "== 3": lambda x: x == 3, "== list": lambda x: x == [3, 1, 2, [4]],
    "list ==": lambda x: [3, 1, 2, [4]] == x, "== dict": lambda x: {"a": 1, "b": [2], 3: None} == x,
    "!= set": lambda x: x != {1, 2, 3}, "<": lambda x: x < 5, "> list": lambda x: x > [1], "<= set": lambda x: x <= {1, 2, 3, 4},
    "== object": lambda x: x == object(), "negative": operator.neg, "positive": operator.pos, "invert": operator.invert, "abs": abs, "int": int, "float": float,
    "complex": complex, "index": operator.index, "range": lambda x: range(10)[x], "round": round,
    "round 1": lambda x: round(x, 1), "trunc": lambda x: __import__("math").trunc(x),
    "floor": lambda x: __import__("math").floor(x), "ceil": lambda x: __import__("math").ceil(x),
    "format": lambda x: format(x, "q"), "format none": lambda x: f"{x}", "bytes": bytes, "fspath": os.fspath,
    "call": lambda x: x(1, 2, k=3), "call none": lambda x: x(), "with": with_it(None), "with key": with_it(KeyError("k")),
    "with value": with_it(ValueError("v")), "attribute": lambda x: x.n, "no attribute": lambda x: x.nothing,
    "getattr": lambda x: getattr(x, "nothing", 1), "raising attribute": lambda x: x.raises, "property": lambda x: x.double,
    "set attribute": lambda x: (setattr(x, "n", 8), x.n), "del attribute": lambda x: (delattr(x, "n"), x)[1].n,
    "method": lambda x: x.method(1, 2, k=[3]), "class": lambda x: x.__class__ is type(x) or isinstance(x, x.__class__),
    "dir": lambda x: sorted(dir(x)), "isinstance": lambda x: [isinstance(x, t) for t in (list, dict, set, bytearray, collections.deque, there.Box)],
    "append": lambda x: (x.append([9]), x)[1], "pop": lambda x: (x.pop(), x), "keys": lambda x: list(x.keys()),
    "items": lambda x: list(x.items()), "values": lambda x: list(x.values()), "unpack": lambda x: [*x], "unpack map": lambda x: {**x},
    "kwargs": lambda x: dict(**x), "update": lambda x: (x.update({5: 6}), x)[1], "sort": lambda x: x.sort(), "get": lambda x: x.get("a"),
    "send": lambda x: (x.send(None), x.send("hi"), there.get_log and 0), "close": lambda x: (next(x), x.close(), next(x)),
    "throw": lambda x: (next(x), x.throw(ValueError("thrown"))), "throw other": lambda x: (next(x), x.throw(KeyError("t"))),
    "exhaust": lambda x: (list(x), next(x, "none")), "await": drive, "async for": lambda x: drive(all_of(x)),
    "async with": lambda x: drive(async_with(x, None)), "async with error": lambda x: drive(async_with(x, ValueError())),
    "memoryview": lambda x: bytes(memoryview(x)), "buffer write": lambda x: (memoryview(x).__setitem__(0, 65), x)[1],
    "bytes join": lambda x: b"-".join([x, b"z"]), "readline": lambda x: (x.readline(), x.read(3), list(x)), "file with": lambda x: x.__enter__().read(),
    "write": lambda x: (x.seek(0), x.write("NEW"), x.getvalue()), "rotate": lambda x: (x.rotate(1), x)[1],
    "copy": lambda x: copy.copy(x), "deepcopy": copy.deepcopy, "divmod": lambda x: divmod(x, 2), "pow": lambda x: x**2,
    "pow mod": lambda x: pow(x, 2, 3), "rpow": lambda x: 2**x, "matmul": lambda x: x @ 1,
    "mutate in for": lambda x: [x.update({i: i}) for i in x], "mutate set in for": lambda x: [x.add(i + 10) for i in x],
    "append in for": lambda x: [x.append(i) for i in x if len(x) < 8] and x, "descriptor": lambda x: type("Has", (), {"d": x})().d,
    "class descriptor": lambda x: type("Has", (), {"d": x}).d, "make": lambda x: x(5).n, "class attribute": lambda x: x.total,
    "isinstance of": lambda x: isinstance(x(1), x), "not instance of": lambda x: isinstance(3, x), "subclass of": lambda x: issubclass(x, x),
}  # fmt: skip
for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "and_", "or_", "xor", "lshift", "rshift"):
    function = getattr(operator, name)
    for value in (2, [5], {2, 9}, {"z": 1}, "%"):
        OPERATIONS[f"{name} {value}"] = lambda x, f=function, v=value: f(x, copy.copy(v))
        OPERATIONS[f"r{name} {value}"] = lambda x, f=function, v=value: f(copy.copy(v), x)
        OPERATIONS[f"i{name} {value}"] = inplace(getattr(operator, "i" + name.rstrip("_")), value)

KINDS = ("list", "dict", "set", "bytearray", "deque", "box", "generator", "coroutine", "file", "class")
# A proxy has every slot, so C code that asks for a slot takes the first that is there: bytearray() tries the buffer.
DIFFERENT = {("bytearray", "set slice")}


class DataModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.interp = stoa.Interpreter(name="data model")

    @classmethod
    def tearDownClass(cls):
        cls.interp.close()

    def check_kind(self, kind):
        for name, operation in OPERATIONS.items():
            if (kind, name) in DIFFERENT:
                continue
            direct = outcome(operation, there.make(kind))
            remote = outcome(operation, self.interp.call(there_name("make"), kind))
            with self.subTest(operation=name):
                self.assertEqual(remote, direct)


for kind in KINDS:
    setattr(DataModel, f"test_{kind}", lambda self, kind=kind: self.check_kind(kind))


class Case(unittest.TestCase):
    def setUp(self):
        self.interp = stoa.Interpreter(name="owner")
        self.addCleanup(self.interp.close)

    def make(self, kind):
        return self.interp.call(there_name("make"), kind)

    def call(self, name, *args):
        return self.interp.call(there_name(name), *args)


class Identity(Case):
    def test_one_proxy_an_object(self):
        p = self.make("list")
        self.assertIs(type(p), stoa.Proxy)
        self.assertIs(p[3], p[3])
        self.assertIs(self.call("identity", p), p)
        self.assertTrue(self.call("same", p, p))
        self.assertEqual(stoa.owner(p), self.interp)
        self.assertEqual(stoa.owner([]), stoa.current())
        self.assertTrue(stoa.is_proxy(p))
        self.assertFalse(stoa.is_proxy([]))

    def test_never_a_proxy_of_a_proxy(self):
        with stoa.Interpreter() as third:
            p = self.make("list")
            self.assertIs(third.call(there_name("identity"), p), p)
            held = third.call(there_name("make"), "list")
            held.append(p)
            self.assertIs(held[-1], p)
            self.assertTrue(third.call(there_name("apply"), stoa.is_proxy, p))
            self.assertEqual(third.call(there_name("apply"), len, p), 4)
            del held

    def test_callbacks_nest(self):
        depth = []

        def down(n):
            depth.append(stoa.current().id)
            return n if n == 0 else self.interp.call(there_name("apply"), down, n - 1)

        self.assertEqual(self.interp.call(there_name("apply"), down, 20), 0)
        self.assertEqual(set(depth), {stoa.current().id})
        self.assertEqual(len(depth), 21)

    def test_own_object_by_proxy(self):
        mine = [1]
        p = stoa.proxy(mine)
        self.assertTrue(stoa.is_proxy(p))
        p.append(2)
        self.assertEqual(mine, [1, 2])
        self.assertIs(self.call("identity", p), mine)

    def test_published(self):
        p = self.make("list")
        stoa.publish("test.proxy.published", p)
        try:
            self.assertIs(stoa.lookup("test.proxy.published"), p)
            self.assertTrue(self.interp.call(there_name("apply"), isinstance, stoa.lookup("test.proxy.published"), list))
            with self.assertRaises(stoa.NameTaken):
                stoa.publish("test.proxy.published", p)
        finally:
            stoa.unpublish("test.proxy.published")

    def test_weak_references(self):
        p = self.make("list")
        gone = []
        ref = weakref.ref(p, gone.append)
        self.assertIs(ref(), p)
        del p
        self.assertIs(ref(), None)
        self.assertEqual(len(gone), 1)

    def test_pickle(self):
        p = self.make("list")
        data = pickle.dumps(p)
        self.assertIs(pickle.loads(data), p)
        stoa.release(p)
        with self.assertRaises(stoa.ReleasedProxy):
            pickle.loads(data)
        with self.assertRaisesRegex(ValueError, "process"):
            pickle.loads(data.replace(str(os.getpid()).encode(), b"1")) if str(os.getpid()).encode() in data else (
                stoa._stoa._unpickle_proxy(1, 2, 3)
            )

    def test_snapshot_and_fetch(self):
        p = self.make("dict")
        frozen, copied = stoa.snapshot(p), stoa.fetch(p)
        self.assertTrue(stoa.is_shared(frozen))
        self.assertEqual(frozen["b"], (2,))
        self.assertEqual(copied, {"a": 1, "b": [2], 3: None})
        self.assertIs(type(copied["b"]), list)
        with self.assertRaises(TypeError):
            stoa.fetch([])
        with self.assertRaises(stoa.NotFreezable):
            stoa.snapshot(self.make("box"))

    def test_memoryview_of_the_same_memory(self):
        mine = bytearray(b"abc")
        p = self.make("list")
        p.append(memoryview(mine))
        mine[0] = 65
        self.assertEqual(bytes(p[-1]), b"Abc")
        p.clear()

    def test_chunks(self):
        p = self.call("identity", stoa.by_copy(list(range(10_000))))
        p = self.interp.call("builtins:list", range(10_000))
        self.assertEqual(list(p), list(range(10_000)))
        seen = []
        for item in p:
            seen.append(item)
            if item == 7:
                p[8:] = [100, 101]
        self.assertEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7, 100, 101])

    def test_generators_one_by_one(self):
        p = self.make("generator")
        self.assertEqual(next(p), 0)
        self.assertEqual(self.call("get_log"), (0,))
        self.assertEqual(next(p), 1)
        self.assertEqual(self.call("get_log"), (0, 1))
        del p


class Lifetimes(Case):
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
        for use in (lambda: p.x, lambda: p(), lambda: repr(p), lambda: self.call("identity", p), lambda: stoa.owner(p)):
            with self.assertRaises(stoa.ReleasedProxy):
                use()

    def test_owner_closed(self):
        p = self.make("list")
        iterator = iter(p)
        next(iterator)
        self.interp.close()
        for use in (len, repr, hash, list, bool, str, dir, iter, next, lambda x: x[0], lambda x: x.append, lambda x: x(),
                    lambda x: x + 1, lambda x: 1 in x, lambda x: x == 1, stoa.fetch, stoa.snapshot, memoryview,
                    lambda x: next(iterator)):
            with self.assertRaisesRegex(stoa.InterpreterGone, "owner"):
                use(p)
        with stoa.Interpreter() as other, self.assertRaises(stoa.InterpreterGone):
            other.call(there_name("identity"), p)
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


if __name__ == "__main__":
    unittest.main()
