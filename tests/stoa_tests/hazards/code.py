"""W13, W14, W19, W20: code objects made with shared parts; marshal; evaluation of shared constants."""
import dis
import marshal
import sys
import types

import _stoa_testing as c
from . import case


def sample():
    """A new code object each time, with names of its own."""
    space = {}
    exec("def f(a, b=2):\n    c = a + b\n    return len([a, c]), 'constant', 12345678, (1, 'two')", space)
    return space["f"].__code__


# W13: CPython stores each name back into the tuple that it is given; whether the store is emitted depends on the compiler.
# So it is documented, and not counted as a failure where it happens.
def names_case(field, extra):
    @case(f"W13_code_replace_{field}", extra, writes=r"tuple\+\d+", optional=True)
    def _(names):
        code = sample().replace(**{field: names})
        return getattr(code, field)


names_case("co_names", lambda token: sample().co_names + (f"more_{token}",))
names_case("co_varnames", lambda token: (f"first_{token}", f"second_{token}", f"third_{token}"))


@case("W13_code_replace_name_and_filename", lambda token: (f"name_{token}", f"file_{token}.py", f"qual.{token}"))
def _(parts):
    code = sample().replace(co_name=parts[0], co_filename=parts[1], co_qualname=parts[2])
    return code.co_name, code.co_filename, code.co_qualname, types.FunctionType(code, {"len": len}, argdefs=(2,))(1)


@case("W14_code_replace_consts", lambda token: (f"text {token}", int(token, 16), (token, (b"x", 2.5)), frozenset({token, 1}), None, 1j, ...))
def _(consts):
    code = sample()
    code = code.replace(co_consts=code.co_consts + consts)
    again = compile("x", "<battery>", "eval").replace(co_consts=consts)
    return code.co_consts[-len(consts):], again.co_consts, types.FunctionType(code, {"len": len}, argdefs=(2,))(1)


@case("W14_shared_constants_run", lambda token: (f"text {token}", int(token, 16), (token, 3), frozenset({token, "b"}), 2.5, b"bytes " + token.encode(), 3j))
def _(consts):
    text, number, pair, members, real, raw, z = consts
    space = {}
    exec("def f(x):\n    t = []\n    for i in range(60):\n        t.append(('A', 1000, ('p', 3), x in {'m', 'n'}, 2.25, b'raw', 4j))\n        a, b = ('p', 3)\n"
         "    return t[-1], a, b, f\"{'A'}{x}\", x == 'A'", space)
    code = space["f"].__code__
    swap = {"A": text, 1000: number, ("p", 3): pair, frozenset({"m", "n"}): members, 2.25: real, b"raw": raw, 4j: z}
    code = code.replace(co_consts=tuple(swap.get(k, k) if k is not None else None for k in code.co_consts))
    function = types.FunctionType(code, space)
    return function("b"), function(text), function.__code__.co_consts == code.co_consts, hash(code) == hash(code.replace())


@case("W14_short_names_in_nested_tuples", lambda token: (("a", "_", "x", "n", "1", token), frozenset({("b", "Z")}), "c", "\xe9", ("\xe9", " ")))
def _(consts):
    code = compile("x", "<battery>", "eval").replace(co_consts=consts)
    return code.co_consts, code.replace(co_consts=(consts,)).co_consts


@case("W14_code_equality_and_hash", lambda token: (f"text {token}", int(token, 16)))
def _(consts):
    first, second = (sample().replace(co_consts=consts) for _ in range(2))
    return first == second, hash(first) == hash(second), {first: 1}[second]


@case("W19_marshal_code", lambda token: (f"text {token}", int(token, 16), (token, b"raw"), frozenset({token})))
def _(consts):
    code = sample()
    code = code.replace(co_consts=code.co_consts + consts)
    again = marshal.loads(marshal.dumps(code))
    return again == code, again.co_consts == code.co_consts, [type(x).__name__ for x in again.co_consts]


@case("W20_function_attributes", lambda token: (f"default {token}", (1, token)))
def _(values):
    def function(a, b):
        return a, b

    function.__defaults__ = values
    function.__kwdefaults__ = {"b": values}
    first = function(), function(1)
    return first, function.__defaults__, [function() for _ in range(50)][-1]


@case("W20_disassembly_and_trace", lambda token: (f"text {token}",))
def _(consts):
    code = sample().replace(co_consts=sample().co_consts[:-1] + consts)
    function = types.FunctionType(code, {"len": len}, argdefs=(2,))
    lines = []
    before = sys.gettrace()
    sys.settrace(lambda frame, event, arg: lines.append(event))
    try:
        function(1)
    finally:
        sys.settrace(before)
    return len(list(dis.get_instructions(code))), lines[:1], len(code.co_code)


@case("W20_constants_in_comprehensions_and_generators", lambda token: (token, token + "b", token + "c"))
def _(t):
    def generate():
        yield from t
        return t

    async def later():
        return t

    coroutine = later()
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value = stop.value
    return list(generate()), [x for x in t], {x: len(x) for x in t}, {x for x in t}, tuple(x for x in t), value, [*t, *t], max(t, key=len)


@case("W20_globals_named_by_shared_names", lambda token: (f"g_{token}", f"h_{token}"))
def _(names):
    space = {names[0]: 1}
    exec(f"def f():\n    global {names[1]}\n    {names[1]} = {names[0]}\n    return {names[1]}", space)
    return [space["f"]() for _ in range(50)][-1], space[names[1]], c.dict_set(space, names[0], 2), space["f"]()
