"""What the tests of proxies have on the other side: imported there by name."""

import collections, io

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

class Everything:
    """Has every special method; most tell their name and what they were called with."""
    __match_args__ = ("n",)
    def __init__(self, n=3): self.n = n
    def __repr__(self): return "Everything()"
    def __hash__(self): return 5
    def __bool__(self): return True
    def __len__(self): return 2
    def __length_hint__(self): return 7
    def __dir__(self): return ["n"]
    def __sizeof__(self): return 99
    def __str__(self): return "everything"
    def __bytes__(self): return b"everything"
    def __buffer__(self, flags): return memoryview(b"everything")
    def __format__(self, spec): return "format" + spec
    def __iter__(self): return iter((1, 2))
    def __reversed__(self): return iter((2, 1))
    def __next__(self): return 1
    def __await__(self): return iter(())
    def __aiter__(self): return self
    def __int__(self): return 1
    def __float__(self): return 1.5
    def __index__(self): return 2
    def __complex__(self): return 1j
    def __contains__(self, item): return item == 0
    def __getattr__(self, name): raise AttributeError(name)
    def __setattr__(self, name, value): object.__setattr__(self, name, value)
    def __fspath__(self): return "/everything"
    def __del__(self): pass
    def __copy__(self): return ("copy",)
    def __exit__(self, *args): return False
    def __set__(self, *args): pass
    def __delete__(self, *args): pass
    def __delattr__(self, name): object.__delattr__(self, name)
    def __setitem__(self, key, value): pass
    def __delitem__(self, key): pass
    def __instancecheck__(self, x): return x == 5
    def __subclasscheck__(self, x): return x is int

def tell(name):
    def method(self, *args): return (name, *map(repr, args))
    return method

for name in """anext neg pos abs invert trunc floor ceil enter aenter aexit round lt le eq ne gt ge add sub mul matmul truediv
    floordiv mod divmod pow lshift rshift and xor or radd rsub rmul rmatmul rtruediv rfloordiv rmod rdivmod rlshift rrshift rand
    rxor ror rpow iadd isub imul imatmul itruediv ifloordiv imod ipow ilshift irshift iand ixor ior getitem missing call get
    set_name class_getitem prepare mro_entries""".split():
    setattr(Everything, f"__{name}__", tell(name))
Everything.__init_subclass__ = Everything.__class_getitem__

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

async def asynchronous(n):
    for i in range(n): yield i

async def coroutine(x): return ("result", x)

def make(kind):
    log.clear()
    return {"list": lambda: [3, 1, 2, [4]], "dict": lambda: {"a": 1, "b": [2], 3: None}, "set": lambda: {1, 2, 3},
            "bytearray": lambda: bytearray(b"hello"), "deque": lambda: collections.deque([1, 2, 3]),
            "box": Box, "generator": lambda: generator(4), "coroutine": lambda: coroutine(5),
            "file": lambda: io.StringIO("one\ntwo\nthree\n"), "class": lambda: Box, "everything": Everything}[kind]()

def apply(function, *args): return function(*args)
def identity(x): return x
def same(a, b): return a is b
def get_log(): return tuple(log)
alive = 0
class Counted:
    def __init__(self): global alive; alive += 1
    def __del__(self): global alive; alive -= 1
def count(): return alive
def many_counted(n): return tuple([Counted() for _ in range(n)])

def fail(*args):
    raise ZeroDivisionError("hostile")

def chained():
    try:
        fail()
    except ZeroDivisionError:
        raise KeyError("k")

def noted():
    error = KeyError("k")
    error.add_note("look here")
    raise error

class Hostile:
    """Everything raises."""
    __getattr__ = __hash__ = __eq__ = __ne__ = __bool__ = __len__ = __repr__ = __str__ = __format__ = __iter__ = fail
    __add__ = __radd__ = __call__ = __getitem__ = __setattr__ = __delattr__ = __int__ = __enter__ = __dir__ = __lt__ = fail
    __class__ = property(fail)

class Changing:
    def __init__(self, answer=None): self.answer, self.n = answer, 0
    def __hash__(self): self.n += 1; return self.answer or self.n
    def __eq__(self, other): return NotImplemented

class Strange(Exception):
    def __init__(self, a, b): raise RuntimeError("no instances")
    def __str__(self): raise RuntimeError("no text")
    args = property(fail)

def raise_strange(): raise Exception.__new__(Strange)

class OwnMapping:
    def __getitem__(self, key): raise KeyError(key)
    def keys(self): return []
    def copy(self): return self

def own_mapping():
    import types
    return types.MappingProxyType(OwnMapping())

def apply_and_tell(f):
    try:
        return f()
    except Exception as error:
        return type(error).__name__

def recurse(f): return f(f)

def nested(n):
    x = ()
    for _ in range(n): x = (x,)
    return x

class Shouting(list):
    def count(self, x): return f"COUNT {x}"

class Reporting:
    """Tells its end."""
    def __init__(self, report): self.report = report
    def __del__(self): self.report(1)

def leave_thread(box):
    assert box.n == 3
    raise SystemExit

def release_others():
    import gc, stoa
    for x in gc.get_objects():
        if type(x) is Counted and "other" in x.__dict__:
            stoa.release(x.other)


def there_name(name):
    return f"{__name__}:{name}"
