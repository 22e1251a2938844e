"""Section 2 and W6: str as names: attributes, keywords, slots, match, globals, and all that compares by pointer."""
import collections
import dataclasses
import enum
import functools
import inspect
import json
import operator
import sys
import types

import _stoa_testing as c
from . import case


def name_text(token):
    return f"name_{token}"


def dunder(name):
    """A str equal to the runtime's, not identical: built at run time, never interned."""
    return lambda token: "".join(list(name))


SLOTS = {
    "__len__": (lambda self: 7, len), "__eq__": (lambda self, other: "eq", lambda x: x == 1),
    "__hash__": (lambda self: 5, hash), "__bool__": (lambda self: False, bool), "__call__": (lambda self: "called", lambda x: x()),
    "__iter__": (lambda self: iter("ab"), list), "__getitem__": (lambda self, i: i, lambda x: x[3]),
    "__contains__": (lambda self, i: True, lambda x: 3 in x), "__add__": (lambda self, o: "add", lambda x: x + 1),
    "__radd__": (lambda self, o: "radd", lambda x: 1 + x), "__repr__": (lambda self: "REPR", repr),
    "__str__": (lambda self: "STR", str), "__getattr__": (lambda self, n: n, lambda x: x.missing),
    "__lt__": (lambda self, o: "lt", lambda x: x < 1), "__index__": (lambda self: 3, lambda x: [0, 1, 2, 3][x]),
    "__enter__": (lambda self: "in", lambda x: type(x).__enter__(x)), "__next__": (lambda self: 9, next),
    "__setattr__": (lambda self, n, v: None, lambda x: setattr(x, "a", 1)), "__neg__": (lambda self: "neg", operator.neg),
    "__getattribute__": (lambda self, n: n, lambda x: x.anything), "__init__": (lambda self: None, lambda x: type(x)() is not None),
    "__get__": (lambda self, o, t: "got", lambda x: type("H", (), {"d": x})().d), "__format__": (lambda self, f: "F", format),
    "__iadd__": (lambda self, o: "iadd", lambda x: operator.iadd(x, 1)), "__matmul__": (lambda self, o: "mm", lambda x: x @ 1),
    "__await__": (lambda self: iter(()), lambda x: list(x.__await__())), "__missing__": (lambda self, k: k, lambda x: x.__missing__(1)),
}


def slot_case(name, function, use):
    @case(f"S2_slot_set_by_shared_name{name}", dunder(name))
    def _(s):
        class Thing:
            pass

        class Child(Thing):
            pass

        setattr(Thing, s, function)
        first = use(Thing()), use(Child())
        delattr(Thing, s)
        try:
            after = use(Thing())
        except Exception as error:
            after = type(error).__name__
        if name in ("__repr__", "__str__", "__hash__", "__format__", "__init__", "__eq__"):
            after = "default"
        return first, after

    @case(f"S2_slot_in_namespace{name}", dunder(name))
    def _(s):
        return use(type("Thing", (), {s: function})())


for _name, (_function, _use) in SLOTS.items():
    slot_case(_name, _function, _use)


@case("S2_getattr_after_slot_and_fallback", dunder("__getattr__"))
def _(s):
    class Thing:
        pass

    setattr(Thing, "__eq__", lambda a, b: True)
    setattr(Thing, s, lambda self, n: "fallback " + n)
    return Thing().other, Thing() == 3, getattr(Thing(), "x" + "y")


@case("S2_attributes_of_types", dunder("__abstractmethods__"))
def _(s):
    class Thing:
        pass

    setattr(Thing, s, frozenset({"a"}))
    return Thing.__flags__ & (1 << 20) != 0, Thing()


@case("S2_set_class", dunder("__class__"))
def _(s):
    class A:
        pass

    class B:
        pass

    a = A()
    setattr(a, s, B)
    return type(a).__name__, getattr(a, s).__name__


@case("S2_slots_declared_by_shared_names", lambda token: (f"first_{token}", f"second_{token}", "__weakref__"))
def _(names):
    Thing = type("Thing", (), {"__slots__": names})
    thing = Thing()
    for name in names[:2]:
        setattr(thing, name, name)
    return [getattr(thing, name) for name in names[:2]], hasattr(thing, "__dict__"), Thing.__slots__


@case("S2_keyword_arguments", name_text)
def _(s):
    def function(**kwargs):
        return kwargs

    space = {}
    exec(f"def named(first, *, {s}, other=2):\n    return first, {s}, other", space)
    named = space["named"]
    return (function(**{s: 1}), named(1, **{s: 2}), named(**{"first": 3, s: 4, "other": 5}),
            functools.partial(function, **{s: 6})(), dict(**{s: 7}), inspect.signature(named).bind(1, **{s: 2}).kwargs)


@case("S2_keyword_arguments_unknown", name_text)
def _(s):
    def function(first):
        return first

    return function(**{s: 1})


@case("S2_keywords_of_builtins", lambda token: tuple("".join(list(n)) for n in ("byteorder", "signed", "key", "reverse", "sep", "maxsplit", "encoding")))
def _(names):
    byteorder, signed, key, reverse, sep, maxsplit, encoding = names
    return ((5).to_bytes(2, **{byteorder: "little", signed: True}), sorted([2, 1, 3], **{key: lambda v: -v, reverse: True}),
            "a b c".split(**{sep: " ", maxsplit: 1}), str(b"x", **{encoding: "ascii"}), "a".encode(**{encoding: "utf-8"}))


@case("S2_to_bytes_byteorder_value", lambda token: ("".join(list("little")), "".join(list("big"))))
def _(orders):
    return [(258).to_bytes(2, order) for order in orders], [int.from_bytes(b"\1\2", order) for order in orders]


@case("S2_keywords_from_c", lambda token: ("".join(list("alpha")), "".join(list("beta_value"))))
def _(names):
    return c.parse_keywords(**{names[0]: 1, names[1]: 2}), c.vectorcall_keywords(c.parse_keywords, names, (3, 4))


@case("S2_vectorcall_shared_names", lambda token: (f"first_{token}", f"second_{token}"))
def _(names):
    def collect(**kwargs):
        return kwargs

    space = {}
    exec(f"def named({names[0]}, {names[1]}=9):\n    return {names[0]}, {names[1]}", space)
    return c.vectorcall_keywords(collect, names, (1, 2)), c.vectorcall_keywords(space["named"], names, (3, 4))


@case("S2_match_statement", lambda token: f"match_{token}")
def _(s):
    space = {}
    exec(f"""
def literal(value):
    match value:
        case {s!r}: return 'literal'
        case _: return 'no'
def mapping(value):
    match value:
        case {{{s!r}: found}}: return found
        case _: return 'no'
class Point:
    __match_args__ = ({s!r},)
def positional(value):
    match value:
        case Point(3): return 'positional'
        case _: return 'no'
""", space)
    point = space["Point"]()
    setattr(point, s, 3)
    space["Point"].__match_args__ = (s,)
    return [space["literal"](s), space["mapping"]({s: 5}), space["positional"](point)]


@case("S2_exec_globals_and_locals", name_text)
def _(s):
    space = {s: 41}
    exec(f"{s} = {s} + 1\nglobal_sum = {s}\ndef f():\n    global {s}\n    {s} += 1\n    return {s}", space)
    results = [space[s], space["global_sum"]] + [space["f"]() for _ in range(20)]
    local = {s: 1}
    exec(f"other = {s}", {}, local)
    return results, local


@case("S2_frame_locals", name_text)
def _(s):
    space = {"sys": sys}
    exec(f"def f():\n    {s} = 1\n    frame = sys._getframe()\n    return frame.f_locals[name], name in frame.f_locals, locals()[name]",
         space | {"name": s}, space)
    space["f"].__globals__["name"] = s
    return space["f"]()


@case("S2_specialised_attribute_loops", name_text)
def _(s):
    class Thing:
        pass

    space = {}
    exec(f"def load(x):\n    t = 0\n    for _ in range(100):\n        x.{s} = x.{s} + 1\n        t += x.{s}\n    return t", space)
    thing = Thing()
    setattr(thing, s, 0)
    other = Thing()
    other.__dict__[s] = 5
    setattr(Thing, s + "_cls", 1)
    return space["load"](thing), space["load"](other), vars(thing), getattr(thing, s), [getattr(other, s) for _ in range(40)]


@case("S2_specialised_global_loops", name_text)
def _(s):
    space = {}
    exec(f"def f():\n    t = 0\n    for _ in range(200):\n        t += {s}\n    return t", space)
    space[s] = 2
    first = space["f"]()
    space[s] = 3
    return first, space["f"]()


@case("S2_super_and_class_cell", lambda token: ("".join(list("__class__")), f"method_{token}"))
def _(names):
    space = {}
    exec(f"class A:\n    def {names[1]}(self):\n        return 1\nclass B(A):\n    def {names[1]}(self):\n"
         f"        return super().{names[1]}() + 1, __class__.__name__", space)
    return getattr(space["B"](), names[1])(), getattr(space["B"](), names[0]).__name__


@case("S2_operator_getters", name_text)
def _(s):
    thing = types.SimpleNamespace(**{s: 4})
    return operator.attrgetter(s)(thing), operator.itemgetter(s)({s: 5}), operator.methodcaller("get", s)({s: 6}), thing


@case("S2_namedtuple_dataclass_enum", name_text)
def _(s):
    Row = collections.namedtuple("Row", [s, "other"])
    Data = dataclasses.make_dataclass("Data", [s, ("other", int, 3)])
    Color = enum.Enum("Color", [s, "OTHER"])
    return Row(1, 2)._asdict(), dataclasses.asdict(Data(5)), Color[s].name, Color[s].value, getattr(Color, s).name


@case("S2_property_and_descriptor_names", name_text)
def _(s):
    class Field:
        def __set_name__(self, owner, name):
            self.name = name

        def __get__(self, instance, owner):
            return self.name

    Thing = type("Thing", (), {s: Field(), s + "2": property(lambda self: 8)})
    return getattr(Thing(), s), getattr(Thing(), s + "2"), getattr(Thing(), s) == s


@case("S2_json_and_namespaces", name_text)
def _(s):
    return json.dumps({s: s, "a": [s]}), json.loads(json.dumps({s: 1})), collections.OrderedDict([(s, 1)]), collections.Counter([s, s])


@case("S2_annotations_and_type_parameters", name_text)
def _(s):
    space = {}
    exec(f"def f(a: int) -> str: ...\nclass K[T]:\n    field: T\n    def {s}(self): return 2", space)
    space["f"].__annotations__[s] = int
    return space["f"].__annotations__, getattr(space["K"](), s)(), repr(space["K"].__type_params__)


@case("S2_type_attribute_cache", lambda token: tuple(f"cached_{i}_{token}" for i in range(40)))
def _(names):
    Thing = type("Thing", (), {name: i for i, name in enumerate(names)})
    for _ in range(3):
        values = [getattr(Thing, name) for name in names] + [getattr(Thing(), name) for name in names]
    for i, name in enumerate(names):
        setattr(Thing, name, -i)
    return values, [getattr(Thing, name) for name in names]
