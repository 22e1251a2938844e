"""Who holds proxies of what: for whoever looks for objects that do not go away."""

import gc
import types
import typing
import warnings

from . import _stoa

# What belongs to the program rather than to an object is not walked through: nearly everything can be reached from it.
_BOUNDARY: tuple[type, ...] = (type, types.ModuleType, types.FrameType, types.BuiltinFunctionType, _stoa.Interpreter)


class ProxyInfo(typing.NamedTuple):
    """A living proxy, and what it stands for."""

    holder: _stoa.Interpreter  #: where the proxy lives
    owner: _stoa.Interpreter  #: whose object it stands for
    type_name: str  #: of the object; "" when its owner is closed
    object_id: int  #: id() of the object in its owner
    references: int  #: who hold the object: proxies of all interpreters, names, C hosts, calls and messages under way


def _held():
    """In each interpreter: its living proxies."""
    return tuple(_stoa._imports())


def _types():
    """In each interpreter: (handle, type) of its objects that others know."""
    return tuple((handle, f"{type(x).__module__}.{type(x).__qualname__}") for handle, x in _stoa._exports())


def _is_namespace(x):
    return type(x) is dict and "__name__" in x and "__builtins__" in x


def _reached(start):
    """Handles of the proxies that an object keeps alive."""
    seen, found, stack = {id(start)}, [], [start]
    while stack:
        for x in gc.get_referents(stack.pop()):
            if id(x) in seen:
                continue
            seen.add(id(x))
            if _stoa.is_proxy(x):
                found.append(_stoa._handle_of(x))
            elif not isinstance(x, _BOUNDARY) and not _is_namespace(x):
                stack.append(x)
    return tuple(found)


def _edges():
    """In each interpreter: (handle of an object others know, handles of proxies that it keeps alive)."""
    return tuple((handle, _reached(x)) for handle, x in _stoa._exports())


class _Questions:
    """Put to each interpreter; who has not answered in time is not asked again."""

    def __init__(self, timeout):
        self.timeout = timeout
        self.silent = []

    def ask(self, interpreter, function):
        if interpreter == _stoa.current():
            return function()
        if interpreter in self.silent:
            return ()
        try:
            return interpreter.call(f"stoa._proxies:{function.__name__}", timeout=self.timeout)
        except (_stoa.InterpreterGone, ModuleNotFoundError):  # closed meanwhile; or it cannot import stoa, so it has none
            return ()
        except _stoa.Timeout:
            self.silent.append(interpreter)
            return ()

    def warn(self):
        if self.silent:
            silent = ", ".join(repr(interpreter.name) for interpreter in self.silent)
            warnings.warn(f"no answer within {self.timeout} seconds from {silent}: what is there is not listed", RuntimeWarning, stacklevel=3)


def _in_cycles(edges):
    """The handles among the keys of edges from which a way leads back to themselves."""
    found = set()
    for start in edges:
        seen, stack = set(), list(edges[start])
        while stack:
            handle = stack.pop()
            if handle not in seen:
                seen.add(handle)
                stack.extend(edges.get(handle, ()))
        if start in seen:
            found.add(start)
    return found


def proxies(owner=None, *, cycles=False, timeout=None):
    """Living proxies of the whole process, with who holds them.

    owner: only those of its objects. cycles: only those that are part of a circle through several interpreters,
    which nobody's garbage collector can see; break it with release(). Each interpreter is entered for its answer, and waited
    for: one that keeps its GIL in a C call answers when that ends. timeout: seconds for each; who does not answer in time is
    left out, with a RuntimeWarning that names it.
    """
    questions = _Questions(timeout)
    interpreters = _stoa.interpreters()
    rows = [(holder, *row) for holder in interpreters for row in questions.ask(holder, _held)]
    names = {handle: name for who in {row[2] for row in rows} for handle, name in questions.ask(who, _types)}
    if cycles:
        edges = {handle: reached for who in interpreters for handle, reached in questions.ask(who, _edges)}
        circle = _in_cycles(edges)
        rows = [row for row in rows if row[1] in circle]
    questions.warn()
    return [
        ProxyInfo(holder, who, names.get(handle, ""), address, _stoa._references(handle))
        for holder, handle, who, address in rows
        if owner is None or who == owner
    ]
