"""The hazards battery: every operation by which CPython is known, or was feared, to write to immutable objects.

A case is one operation on one value; it runs on the shared object, on an equal plain one, and on the shared one
again, with all writes into the heap recorded. Wanted: the same outcome, and no write (or just the documented ones).
The name of a case begins with the hazard it is about: W1-W26 the writes, S1a weak references to frozensets, S2 names
that are not the runtime's own, S3 reference counts, S4 layout, S5 types.
"""
import re
import sys

CASES = {}


class Case:
    def __init__(self, name, operation, make, writes, optional, when, main_only):
        self.name = name
        self.operation = operation
        self.make = make  # token -> plain value; the token keeps the text of each run from having been seen before
        self.writes = writes  # regular expression that each documented write's place must match; None: no write at all
        self.optional = optional  # the documented writes depend on how CPython was compiled
        self.when = when  # may be False on this Python
        self.main_only = main_only


def case(name, make, *, writes=None, optional=False, when=True, main_only=False):
    """Registers the decorated function as the operation of a case. make(token) gives its plain value."""

    def register(operation):
        if name in CASES:
            raise ValueError(f"two cases are called {name}")
        CASES[name] = Case(name, operation, make, writes, optional, when, main_only)
        return operation

    return register


def describe(value, depth=0):
    """Text for comparing outcomes: exact types, order of mappings kept, order of sets and addresses not."""
    kind = type(value)
    if depth > 12:
        return "..."
    if kind in (set, frozenset):
        return f"{kind.__name__}{{{', '.join(sorted(describe(item, depth + 1) for item in value))}}}"
    if kind in (tuple, list):
        return f"{kind.__name__}({', '.join(describe(item, depth + 1) for item in value)})"
    if kind is dict:
        pairs = (f"{describe(k, depth + 1)}: {describe(v, depth + 1)}" for k, v in value.items())
        return f"dict({', '.join(pairs)})"
    return f"{kind.__name__} {re.sub(r'0x[0-9a-f]+', '0x', repr(value))}"


def outcome(operation, value):
    try:
        return describe(operation(value))
    except Exception as error:  # the failure is the outcome
        return f"raised {type(error).__name__}: {re.sub(r'0x[0-9a-f]+', '0x', str(error))}"


def load_all():
    from . import code, containers, mappings, names, numbers, strings, times  # noqa: F401  (each registers its cases)

    if sys.implementation.cache_tag:
        from . import arrays  # noqa: F401
    return CASES
