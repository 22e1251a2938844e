"""Each special method of the data model by its name, on each kind of object, through a proxy and directly."""

import re
import unittest

import proxied as there
import stoa
from proxied import there_name
from test_proxy_model import KINDS, outcome

# A mutable argument of a method arrives as a proxy, which C code that wants a list refuses; operators send copies of
# containers (test_proxy_model.py).
VALUES = ((0,), ("a",), (2.5,), (b"x",), (None,), ((1, 2),), (frozenset((1, 9)),))
LIST = [5]
NOTHING = ((),)

# name -> the argument lists it is called with. Names with the same arguments stand together.
CALLS = {
    "repr str bytes bool hash dir len length_hint iter reversed next aiter anext await neg pos abs invert complex int float "
    "index trunc floor ceil enter aenter fspath sizeof copy": NOTHING,
    "round": ((), (1,)),
    "format": (("",), ("q",), (">10",)),
    "lt le eq ne gt ge add sub mul matmul truediv floordiv mod divmod lshift rshift and xor or "
    "radd rsub rmul rmatmul rtruediv rfloordiv rmod rdivmod rlshift rrshift rand rxor ror rpow "
    "iadd isub imul imatmul itruediv ifloordiv imod ipow ilshift irshift iand ixor ior": VALUES,
    "pow": ((2,), (2, 3), ("a",)),
    "getattribute getattr": (("n",), ("nothing",), ("append",), ("__len__",)),
    "setattr": (("n", 8), ("fresh", LIST)),
    "delattr": (("n",), ("nothing",)),
    "getitem contains missing delitem": ((0,), (-1,), (99,), ("a",), ("zzz",), (slice(0, 2),), (slice(None, None, -2),), (LIST,), (None,)),
    "setitem": ((0, 9), (0, 65), (99, 1), ("new", LIST), (slice(0, 2), b"xyz"), (slice(0, 2), (7, 8))),
    "call": ((), (1, 2), ("a", None)),
    "exit aexit": ((None, None, None),),
    "get": ((None, int), (5, int)),
    "set": ((5, 6),),
    "delete": ((5,),),
    "instancecheck": ((5,), (LIST,)),
    "subclasscheck": ((int,),),
    "class_getitem": ((int,),),
    "set_name": ((int, "n"),),
    "prepare mro_entries": ((("a",),),),
    "del init_subclass": ((),),
    "init": ((), ((7, 8),), (7, 8)),
    "buffer": ((0,), (1,)),
}  # fmt: skip
# no operation of an object: it makes one; data that some types compute; what a view that has been got is given back with
OTHERWISE = {"__new__", "__subclasses__", "__release_buffer__", "__class__"}
ATTRIBUTES = ("__doc__", "__module__", "__match_args__", "__wrapped__", "__name__", "__qualname__", "__slots__")


def table():
    for names, argument_lists in CALLS.items():
        for name in names.split():
            for arguments in argument_lists:
                yield f"__{name}__", arguments


def call(name, arguments):
    def operation(x):
        result = getattr(x, name)(*arguments)
        if name in ("__iter__", "__reversed__"):
            return next(result, "none")
        if name == "__buffer__":
            return bytes(result), result.readonly, result.format, result.shape, x
        if name in ("__hash__", "__sizeof__", "__dir__"):
            return type(len(result) if name == "__dir__" else result)
        return (result is x, result, x) if name.startswith("__i") else (result, x)

    return operation


def of_type(name, arguments):
    """As an operator finds it: on the type."""

    def operation(x):
        return getattr(type(x), name)(x, *arguments)

    return operation


class Special(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.interp = stoa.Interpreter(name="special")
        cls.addClassCleanup(cls.interp.close)

    def compare(self, kind, operation, *what):
        direct = outcome(operation, there.make(kind))
        remote = outcome(operation, self.interp.call(there_name("make"), kind))
        with self.subTest(what):
            self.assertEqual(remote, direct)

    def check_kind(self, kind):
        for name, arguments in table():
            if name == "__copy__" and kind != "everything":
                continue  # a proxy always has it: copy.copy() of the object
            self.compare(kind, call(name, arguments), name, arguments)
        for name in ATTRIBUTES:
            self.compare(kind, lambda x, name=name: getattr(x, name), name)

    def test_everything_has_all_of_them(self):
        """Nothing in the table is there for nothing: the class that has everything has it."""
        for name, _ in table():
            self.assertTrue(hasattr(there.Everything, name), name)

    def test_the_table_is_complete(self):
        """What the language reference calls special and some type of this Python has as a method, the table calls."""
        try:
            from pydoc_data.topics import topics
        except ImportError:
            self.skipTest("this Python has come without its documentation")
        mentioned = set(re.findall(r"\b__[a-z_]+?__\b", "".join(topics.values())))
        methods, classes = set(), [object]
        while classes:
            cls = classes.pop()
            if cls.__module__ not in ("__main__", __name__, there.__name__):
                methods.update(name for name, value in vars(cls).items() if callable(value) and not isinstance(value, type))
            classes.extend(type.__subclasses__(cls))
        called = {name for name, _ in table()}
        self.assertEqual(mentioned & methods - called - OTHERWISE, set())

    def test_found_on_the_type(self):
        """An operator finds, on the proxy's type, whatever the object's type has: the result is the same by either way."""
        for name, arguments in table():
            if name in ("__set_name__", "__mro_entries__", "__prepare__", "__class_getitem__", "__init_subclass__", "__del__", "__missing__",
                        "__getattr__", "__sizeof__", "__copy__", "__hash__", "__dir__", "__bool__", "__len__", "__length_hint__",
                        "__set__", "__delete__", "__iter__", "__aiter__", "__await__", "__buffer__", "__init__"):  # fmt: skip
                continue  # a type has them or not, or their results are checked by type
            if not hasattr(stoa.Proxy, name):
                self.assertIn(name, ("__ipow__",))
                continue
            self.compare("everything", lambda x: of_type(name, arguments)(x) if stoa.is_proxy(x) else getattr(type(x), name)(x, *arguments), name, arguments)


for kind in (*KINDS, "everything"):
    setattr(Special, f"test_{kind}", lambda self, kind=kind: self.check_kind(kind))

if __name__ == "__main__":
    unittest.main()
