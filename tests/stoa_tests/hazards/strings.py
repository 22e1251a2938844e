"""W1-W6, W16, W18, W19: str."""
import ast
import copy
import io
import locale
import os
import pickle
import re
import string
import sys
import types

import _stoa_testing as c
from . import case


def ascii_text(token):
    return f"ascii text {token}"


def latin_text(token):
    return f"caf\xe9 {token}"


def wide_text(token):
    return f"\u6f22\u5b57 {token}"


def astral_text(token):
    return f"\U0001f40d {token}"


def surrogate_text(token):
    return f"lone \ud800 {token}"


def name_text(token):
    return f"name_{token}"


TEXTS = {"ascii": ascii_text, "latin1": latin_text, "ucs2": wide_text, "ucs4": astral_text,
         "surrogate": surrogate_text}


def on_all_texts(prefix):
    """One case for each storage form of str."""

    def register(operation):
        for label, make in TEXTS.items():
            case(f"{prefix}_{label}", make)(operation)
        return operation

    return register


@on_all_texts("W01_str_hash")
def _(s):
    return hash(s), {s: 1}[s], s in {s}, {s: 2}.get(s)


@on_all_texts("W02_str_utf8")
def _(s):
    return c.as_utf8(s)


@on_all_texts("W02_str_encode")
def _(s):
    return [s.encode(encoding, "replace") for encoding in ("utf-8", "utf-16", "utf-32", "latin-1", "ascii", "utf-7")]


@on_all_texts("W02_str_strict_encode")
def _(s):
    return s.encode()


@on_all_texts("W03_str_wide_copies")
def _(s):
    return c.unicode_copies(s)


@on_all_texts("W03_str_path_and_collation")
def _(s):
    return os.path.exists(s), os.path.join(s, "x"), os.fspath(s), locale.strcoll(s.replace("\ud800", ""), "a") != 0


@case("W03_str_open_missing_file", ascii_text)
def _(s):
    return open(s)


@case("W04_sys_intern", name_text)
def _(s):
    return sys.intern(s) == s, sys.intern(s) is s or True


@case("W04_intern_in_place", name_text)
def _(s):
    return c.intern_in_place(s)


@case("W04_setattr_instance", name_text)
def _(s):
    class Thing:
        pass

    thing = Thing()
    setattr(thing, s, 1)
    return getattr(thing, s), thing.__dict__, hasattr(thing, s), delattr(thing, s), hasattr(thing, s)


@case("W04_setattr_type", name_text)
def _(s):
    class Thing:
        pass

    setattr(Thing, s, 1)
    return getattr(Thing, s), getattr(Thing(), s), s in vars(Thing), s in dir(Thing)


@case("W04_setattr_module", name_text)
def _(s):
    module = types.ModuleType("scratch")
    setattr(module, s, 1)
    return getattr(module, s), s in vars(module)


@case("W04_setattr_from_c", name_text)
def _(s):
    class Thing:
        pass

    return c.set_attr(Thing(), s, 5), c.set_attr(Thing, s, 6), c.set_attr(types.SimpleNamespace(), s, 7)


@case("W04_setattr_function", name_text)
def _(s):
    def function():
        pass

    setattr(function, s, 3)
    return getattr(function, s), function.__dict__


@case("W05_compile_source", name_text)
def _(s):
    space = {}
    exec(compile(f"{s} = 3\ndef f({s}):\n    return {s} + 1", s, "exec"), space)
    return space[s], space["f"](4), space["f"](**{s: 5}), space["f"].__code__.co_filename


@case("W05_source_text_itself", lambda token: f"result_{token} = [i * 2 for i in range(5)]\n")
def _(s):
    space = {}
    exec(s, space)
    return [value for key, value in space.items() if key.startswith("result")], eval("1+1", space)


@case("W05_ast_names", name_text)
def _(s):
    tree = ast.Module([ast.Assign([ast.Name(s, ast.Store())], ast.Constant(s)),
                       ast.FunctionDef("f", ast.arguments([], [ast.arg(s)], None, [], [], None, []),
                                       [ast.Return(ast.Name(s, ast.Load()))], [], type_params=[])], [])
    space = {}
    exec(compile(ast.fix_missing_locations(tree), "<battery>", "exec"), space)
    return space[s], space["f"](1), space["f"].__code__.co_varnames


@case("W06_function_and_type_names", name_text)
def _(s):
    def function():
        pass

    class Thing:
        pass

    function.__name__ = s
    function.__qualname__ = s
    function.__module__ = s
    function.__doc__ = s
    Thing.__name__ = s
    Thing.__qualname__ = s
    Thing.__module__ = s
    return repr(function), Thing.__name__, repr(Thing), function.__doc__


@case("W06_new_type_by_name", name_text)
def _(s):
    Thing = type(s, (), {s: 1, "__doc__": s})
    return Thing.__name__, getattr(Thing, s), Thing.__doc__, repr(Thing())[:10]


@case("W06_import_by_name", name_text)
def _(s):
    sys.modules[s] = types.ModuleType(s)
    try:
        space = {}
        exec(f"import {s} as module", space)
        return c.import_name(s).__name__, space["module"].__name__, __import__(s).__name__
    finally:
        del sys.modules[s]


@case("W06_import_missing", name_text)
def _(s):
    return __import__(s)


@case("W06_import_standard_module", lambda token: "js" + "on")
def _(s):
    return c.import_name(s).__name__, __import__(s).dumps([1])


@on_all_texts("W16_str_append")
def _(s):
    t = s
    t += "!"
    u = s
    for _ in range(70):
        u += "?"
    return t, len(u), s + s, c.unicode_append(s, "tail"), c.unicode_append(s, ""), c.unicode_append("", s)


@case("W16_str_resize", ascii_text)
def _(s):
    return c.unicode_resize(s, 3)


@case("W16_str_resize_same", ascii_text)
def _(s):
    return c.unicode_resize(s, len(s))


@case("W16_str_fill_refused", ascii_text)
def _(s):
    _ = hash(s)
    return c.unicode_fill(s)


@case("W16_str_write_char_refused", ascii_text)
def _(s):
    _ = hash(s)
    return c.unicode_write_char(s)


@on_all_texts("W18_str_refcount_calls")
def _(s):
    c.set_refcnt(s)
    c.count_references(s)
    c.make_immortal(s)
    return s


@on_all_texts("W19_str_pickle_copy")
def _(s):
    return ([pickle.loads(pickle.dumps(s, protocol)) if "\ud800" not in s or protocol else s for protocol in range(6)],
            copy.copy(s), copy.deepcopy(s))


@on_all_texts("W01_str_methods")
def _(s):
    return (s.upper(), s.lower(), s.title(), s.casefold(), s.swapcase(), s.capitalize(), s.split(), s.rsplit(" ", 1),
            s.partition(" "), s.strip(), s.center(40), s.zfill(30), s.find("t"), s.count("e"), s.replace(" ", "_"),
            s.startswith(s), s.endswith(s[-2:]), s.isidentifier(), s.isalpha(), s.encode("ascii", "backslashreplace"),
            s.expandtabs(), s.splitlines(), s.translate({32: "-"}), s.join(["a", "b"]), s * 2, s[1:4], s[::-1],
            s % () if "%" not in s else 0, f"{s:>40}", f"{s!r}", "%s|%r" % (s, s), "{}".format(s), list(s), min(s))


@on_all_texts("W01_str_compare")
def _(s):
    other = "".join(list(s))
    return s == other, s != other, s < other + "x", s >= other, other in s, s in other, sorted([s, "b", other, "a"])


@case("W01_str_many_specialised_uses", ascii_text)
def _(s):
    total = 0
    for _ in range(200):
        total += len(s) + (s == "x") + (s[0] == "a") + len(s + "x")
        if s in {"q": 1}:
            total += 1
    return total


@case("W02_str_format_template", lambda token: f"{token} {{0}} {{name}} {{0!r:>8}} $name %s")
def _(s):
    return s.format(1, name=2), string.Template(s).safe_substitute(name=3), s % "x"


@case("W19_str_regular_expression", lambda token: f"(?P<first>[a-z]+)\\s{token}|x")
def _(s):
    pattern = re.compile(s)
    return pattern.search("abc " + s[-10:-2]) is None, pattern.pattern, pattern.groupindex, pattern.sub(s[:0], "axb")


@on_all_texts("W24_stringio")
def _(s):
    buffer = io.StringIO(s)
    first = buffer.read(2)
    buffer.seek(0)
    buffer.write("XY")
    return first, buffer.getvalue(), s, io.StringIO(s).readlines()


@case("W01_str_in_exceptions", ascii_text)
def _(s):
    try:
        raise KeyError(s)
    except KeyError as error:
        error.add_note(s)
        return error.args, str(error), error.__notes__


@case("W01_str_error_from_c", ascii_text)
def _(s):
    return c.set_error(s)


@case("S2_str_compare_with_ascii", name_text)
def _(s):
    return c.unicode_compare(s, s), c.unicode_compare(s, "x"), c.unicode_compare(s, s + "y")
