"""Classes and functions that the tests of frozen values use: importable in every interpreter."""

import collections
import dataclasses
import datetime
import enum
import types


@dataclasses.dataclass
class Point:
    x: int
    y: float
    name: str = ""


@dataclasses.dataclass(frozen=True)
class Fixed:
    a: object
    b: object = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Slim:
    a: object
    b: tuple = ()


@dataclasses.dataclass
class Point3(Point):
    z: float = 0.0
    kind: "Color" = None


@dataclasses.dataclass(slots=True)
class Node:
    value: object
    next: "Node | None" = None


class Color(enum.Enum):
    RED = 1
    BLUE = "b"


class Perm(enum.Flag):
    R = 1
    W = 2


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


Pair = collections.namedtuple("Pair", "left right")


class Plain:
    """Frozen only when registered."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def __eq__(self, other):
        return type(other) is Plain and vars(other) == vars(self)


class Reduced:
    """Says by itself how it is taken apart; what it says can be set."""

    reduce = None

    def __init__(self, value=0, more=None):
        self.value = value

    def __reduce__(self):
        return type(self).reduce(self) if type(self).reduce else (Reduced, (self.value,))

    def __eq__(self, other):
        return type(other) is Reduced and other.value == self.value


class Appended:
    """A container that has no extend(): pickle appends its items one by one."""

    def __init__(self, *items):
        self.items = list(items)

    def append(self, item):
        self.items.append(item)

    def __reduce__(self):
        return Appended, (), None, iter(self.items), None, None

    def __eq__(self, other):
        return type(other) is Appended and other.items == self.items


class Picky:
    """Can be made only while `allowed` is set, in the interpreter where it is made."""

    allowed = True

    def __init__(self, value):
        if not Picky.allowed:
            raise RuntimeError("not allowed now")
        self.value = value

    def __reduce__(self):
        return Picky, (self.value,)


def set_where_allowed(picky, state):
    if not Picky.allowed:
        raise RuntimeError("not allowed now")
    picky.value = state


class Day(datetime.date):
    pass


class Moment(datetime.datetime):
    pass


class Zone(datetime.tzinfo):
    def __init__(self, hours=0):
        self.hours = hours

    def utcoffset(self, when):
        return datetime.timedelta(hours=self.hours)

    dst = tzname = lambda self, when: None

    def __eq__(self, other):
        return type(other) is Zone and other.hours == self.hours

    def __hash__(self):
        return self.hours


class Ordered(collections.OrderedDict):
    pass


class Space(types.SimpleNamespace):
    pass


class Money:
    def __init__(self, cents):
        self.cents = cents

    def __eq__(self, other):
        return type(other) is Money and other.cents == self.cents


def reduce_money(money):
    return money.cents


def rebuild_money(cents):
    return Money(cents)


class Coded(Exception):
    """Its arguments are not what it was made with."""

    def __init__(self, code, *, key):
        super().__init__(f"code {code}")
        self.code, self.key = code, key


class Problem(Exception):
    def __init__(self, text, code):
        super().__init__(text)
        self.code = code

    def __reduce__(self):
        return Problem, (self.args[0], self.code)


def same(x):
    return x


def canonical(x):
    """What x is, as text: equal for equal values in every interpreter, and with by pickle's round trip. list and tuple are one, and so
    on: what freezing makes of a container is the same container here."""
    import array
    import types

    cls = type(x)
    if isinstance(x, (list, tuple)) and not hasattr(x, "_fields"):
        return "(" + ", ".join(map(canonical, x)) + ")"
    if isinstance(x, (set, frozenset)):
        return "{" + ", ".join(sorted(map(canonical, x))) + "}"
    if isinstance(x, (dict, types.MappingProxyType)) or cls.__name__ == "frozendict":
        return "{" + ", ".join(f"{canonical(k)}: {canonical(x[k])}" for k in x) + "}"
    if isinstance(x, (array.array, memoryview)) or cls.__name__ == "ndarray":
        view = memoryview(x)
        return f"array {view.format} {view.shape} {view.tobytes()!r}"
    if cls.__name__ == "SharedSequence":
        return canonical(tuple(x))
    if dataclasses.is_dataclass(x) or hasattr(x, "_fields"):
        names = getattr(x, "_fields", None) or [f.name for f in dataclasses.fields(x)]
        return f"{cls.__module__}.{cls.__qualname__}(" + ", ".join(f"{n}={canonical(getattr(x, n))}" for n in names) + ")"
    if isinstance(x, slice):
        return f"slice({canonical(x.start)}, {canonical(x.stop)}, {canonical(x.step)})"
    if isinstance(x, (bytes, bytearray)):
        return repr(bytes(x))
    return f"{cls.__module__.replace('_pydatetime', 'datetime')}.{cls.__qualname__} {x!r}"
