"""The data model, done through a proxy and directly, with equal results: each special method on each kind of object."""

import collections
import contextlib
import copy
import operator
import os
import unittest

import proxied as there
import stoa
from proxied import there_name


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
        return ("raised", type(error).__name__, plain(error.args) if isinstance(error, StopIteration) else ())


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


def stacked(error):
    def f(x):
        with contextlib.ExitStack() as stack:
            value = stack.enter_context(x)
            if error:
                raise error
        return value

    return f


async def async_stacked(x, error):
    async with contextlib.AsyncExitStack() as stack:
        value = await stack.enter_async_context(x)
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
    "== deque": lambda x: x == collections.deque([1, 2, 3]), "deque ==": lambda x: collections.deque([1, 2, 3]) == x,
    "!= deque": lambda x: x != collections.deque([1, 2, 3]), "deque <": lambda x: collections.deque([1, 2]) < x,
    "== ordered": lambda x: x == collections.OrderedDict({"a": 1, "b": [2], 3: None}),
    "== object": lambda x: x == object(), "negative": operator.neg, "positive": operator.pos, "invert": operator.invert, "abs": abs, "int": int, "float": float,
    "complex": complex, "index": operator.index, "range": lambda x: range(10)[x], "length hint": lambda x: operator.length_hint(x, 8), "round": round,
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
    "stacked": stacked(None), "stacked key": stacked(KeyError("k")), "stacked value": stacked(ValueError("v")),
    "async stacked": lambda x: drive(async_stacked(x, None)), "async stacked error": lambda x: drive(async_stacked(x, ValueError())),
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
    for value in (2, [5], {2, 9}, {"z": 1}, "%", collections.deque([6])):
        OPERATIONS[f"{name} {value}"] = lambda x, f=function, v=value: f(x, copy.copy(v))
        OPERATIONS[f"r{name} {value}"] = lambda x, f=function, v=value: f(copy.copy(v), x)
        OPERATIONS[f"i{name} {value}"] = inplace(getattr(operator, "i" + name.rstrip("_")), value)

KINDS = ("list", "dict", "set", "bytearray", "deque", "box", "generator", "coroutine", "file", "class")


class DataModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.interp = stoa.Interpreter(name="data model")

    @classmethod
    def tearDownClass(cls):
        cls.interp.close()

    def check_kind(self, kind):
        for name, operation in OPERATIONS.items():
            direct = outcome(operation, there.make(kind))
            remote = outcome(operation, self.interp.call(there_name("make"), kind))
            with self.subTest(operation=name):
                self.assertEqual(remote, direct)


for kind in KINDS:
    setattr(DataModel, f"test_{kind}", lambda self, kind=kind: self.check_kind(kind))


if __name__ == "__main__":
    unittest.main()
