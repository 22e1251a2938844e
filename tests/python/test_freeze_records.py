"""freeze() of many records: dataclasses with and without slots, named tuples; read ahead of the walk, never through their code."""

import collections
import dataclasses
import gc
import random
import sys
import types
import unittest

import stoa
from region_retires import region_retires

LONG = 1200  # objects after which a walk is long


@dataclasses.dataclass
class Row:
    number: int
    name: str
    x: float
    parts: object = None


@dataclasses.dataclass(slots=True)
class Slim:
    number: int
    name: str
    x: float
    parts: object = None


@dataclasses.dataclass(slots=True)
class Slimmer(Slim):
    extra: str = ""


@dataclasses.dataclass(frozen=True)
class Fixed:
    number: int
    name: str
    x: float
    parts: object = None


Named = collections.namedtuple("Named", "number name x parts")
KINDS = [Row, Slim, Slimmer, Fixed, Named]


def parts(record):
    """All that it holds, by name and in order."""
    if isinstance(record, tuple):
        return list(zip(record._fields, record))
    slots = {name for each in type(record).__mro__ for name in getattr(each, "__slots__", ())}
    return [(name, getattr(record, name)) for name in sorted(slots) if hasattr(record, name)] + list(getattr(record, "__dict__", {}).items())


def plain(value):
    """What can be compared: the class of everything, attributes in their order."""
    if type(value) in (list, tuple) or type(value).__name__ == "SharedSequence":
        return [plain(each) for each in value]
    if isinstance(value, (dict, types.MappingProxyType)) or type(value).__name__ == "frozendict":
        return [(key, plain(each)) for key, each in value.items()]
    if dataclasses.is_dataclass(value) or isinstance(value, tuple):
        return type(value), [(name, plain(each)) for name, each in parts(value)]
    return type(value), None if type(value) is Meddler else value


class Records(unittest.TestCase):
    def same(self, value):
        wanted = plain(value)
        for interning in (True, False):
            frozen = stoa.Region("records").freeze(value, intern=interning)
            self.assertEqual(plain(frozen), wanted)

    def test_lists_and_tuples_of_one_kind(self):
        for kind in KINDS:
            with self.subTest(kind.__name__):
                records = [kind(i * 999, f"name {i}", i / 7, f"tag {i % 9}") for i in range(LONG)]
                self.same(records)
                self.same(tuple(records))

    def test_kinds_in_turn_and_inside_each_other(self):
        choice = random.Random(1)

        def record(i, levels):
            inner = [None, f"part {i}", [i * 1.5, f"in a list {i % 7}"], {"k": 10**6 + i}, (i, str(i))]
            if levels > 0:
                inner += [record(i + 10**7 * levels, levels - 1), [record(i + 1, levels - 1), f"beside {i}"]]
            return choice.choice(KINDS)(i + 2000, f"name {i}", i * 0.1, choice.choice(inner))

        self.same([record(i, 3) for i in range(LONG)])

    def test_deep_ones(self):
        def deep(i):
            value = f"bottom {i}"
            for level in range(40):
                value = KINDS[level % 5](i, f"{i} at {level % 7}", level * 1.5, value)
            return value

        self.same([deep(i) if i % 10 == 0 else Row(i, f"flat {i}", i + 0.5) for i in range(LONG // 4)])

    def test_more_classes_than_are_remembered_at_hand(self):
        module = sys.modules[__name__]
        classes = [dataclasses.make_dataclass(f"Many{i}", ["a", "b"], namespace={"__module__": __name__}) for i in range(40)]
        for each in classes:
            setattr(module, each.__name__, each)
        choice = random.Random(2)
        self.same([choice.choice(classes)(i * 1.5, f"text {i % 50}") for i in range(LONG)])

    def test_attributes_that_came_and_went(self):
        def changed(i):
            record = Row(i, f"name {i}", i * 0.5, "p")
            if i % 3 == 0:
                del record.x
            if i % 5 == 0:
                record.x = f"again {i}"
            if i % 7 == 0:
                record.more = i * 3.5
            return record

        def slim(i):
            record = Slimmer(i, f"name {i}", i * 0.5, "p", "e")
            if i % 3 == 0:
                del record.x
            return record

        self.same([changed(i) for i in range(LONG)])
        self.same([slim(i) for i in range(LONG)])

    def test_dicts_that_were_made(self):
        """By looking at __dict__, by setting it, by more attributes than are kept apart."""

        def looked_at(i):
            record = Row(i, f"name {i}", i * 0.5)
            vars(record)
            return record

        def swapped(i):
            record = Row(i, f"name {i}", i * 0.5)
            record.__dict__ = {"name": f"n{i}", "number": i, f"only{i % 5}": i * 1.5}
            return record

        def updated(i):
            record = Row.__new__(Row)
            record.__dict__.update(x=i * 0.5, name=f"name {i}")
            return record

        def without_some(i):
            record = swapped(i)
            del record.__dict__["number"]
            return record

        def large(i):
            record = Row(i, f"name {i}", i * 0.5)
            for at in range(45 + i % 3):
                setattr(record, f"a{at}", at * 1.5)
            return record

        for make in (looked_at, swapped, updated, without_some, large):
            with self.subTest(make.__name__):
                self.same([make(i) for i in range(LONG if make is not large else 300)])

    def test_names_of_attributes_in_a_region_that_goes(self):
        def named(name):
            record = Row.__new__(Row)
            record.__dict__ = {name: 5, "x": 1.0}
            return record

        region = stoa.Region("names of attributes")
        name = region.freeze("an attribute's name that nobody else has")
        stoa.freeze([named(name) for _ in range(20)])
        del name
        gc.collect()
        region_retires(self, region)
        self.same([named(f"other {i % 3}") for i in range(20)])

    def test_shared_ones_and_their_parts(self):
        shared = [Row(i, f"shared {i}", i * 1.25, [f"in {i}"]) for i in range(40)]
        text = [f"text {i}" for i in range(40)]
        choice = random.Random(3)
        value = [Slim(i, choice.choice(text), i * 0.5, choice.choice(shared)) for i in range(LONG)]
        twin = stoa.freeze(value)
        self.assertEqual(plain(twin), plain(value))
        self.assertEqual(len({id(each.parts) for each in twin}), len({id(each.parts) for each in value}))
        self.assertEqual(len({id(each.name) for each in twin}), len({id(each.name) for each in value}))

    def test_delivered_ones_among_others(self):
        delivered = list(stoa.freeze([Fixed(i, f"delivered {i}", i * 0.5) for i in range(LONG)]))
        value = [delivered[i] if i % 2 else Fixed(i, f"new {i}", i * 1.5) for i in range(LONG)]
        twin = stoa.freeze(value)
        self.assertEqual(list(twin), value)
        self.assertTrue(all(twin[i] is delivered[i] for i in range(1, LONG, 2)))

    def test_equal_values_are_one_wherever_they_are(self):
        value = [Row(10**6 + i % 499, f"text {i % 997}", (i % 101) * 1.5, Fixed(1, f"f {i % 50}", 0.0)) for i in range(LONG)]
        twin = stoa.freeze(value)
        found = {id(each) for row in twin for each in (row.number, row.name, row.x)}
        self.assertEqual(len(found), 499 + 997 + 101)
        self.assertEqual(len({id(row.parts) for row in twin}), 50)

    def test_refusals_name_the_place(self):
        for kind in KINDS:
            records = [kind(i, f"name {i}", i * 0.5, [i]) for i in range(LONG)]
            records[-1].parts.append(iter(()))
            place = r"\[3\]" if kind is Named else r"\.parts"
            with self.assertRaisesRegex(stoa.NotFreezable, rf"\[{LONG - 1}\]{place}\[1\]"):
                stoa.freeze(records)
            records[-1].parts[1] = records
            with self.assertRaises(stoa.NotFreezable):
                stoa.freeze(records)


class Nosy:
    """Its instances would tell if freezing looked at them by running code, and change all that is being frozen."""

    ran = []
    victims = []

    @classmethod
    def meddle(cls, what):
        cls.ran.append(what)
        for each in cls.victims:
            each.clear()
        gc.collect()


@dataclasses.dataclass
class Watched:
    number: int
    name: str
    x: float

    __hash__ = None

    def __getattribute__(self, name):
        if name == "name" and Nosy.victims:
            Nosy.meddle("__getattribute__")
        return object.__getattribute__(self, name)

    def __getattr__(self, name):
        Nosy.meddle("__getattr__")
        raise AttributeError(name)

    def __eq__(self, other):
        Nosy.meddle("__eq__")
        return self is other

    @property
    def derived(self):
        return Nosy.meddle("property")


class Described:
    def __get__(self, instance, owner=None):
        if instance is not None:
            Nosy.meddle("__get__")
        return self

    def __set__(self, instance, value):
        instance.__dict__["name"] = value


@dataclasses.dataclass
class Descriptive:
    number: int
    x: float


Descriptive.name = Described()


class Meddler:
    """Its __reduce__ is run by freezing, and does to the graph what the test says."""

    def __init__(self, act):
        self.act = act

    def __reduce__(self):
        self.act()
        gc.collect()
        return Meddler, (None,)


class Code(unittest.TestCase):
    def setUp(self):
        Nosy.ran, Nosy.victims = [], []

    def test_no_code_of_records_runs(self):
        def descriptive(i):
            record = Descriptive(i, i * 0.5)
            record.name = f"name {i}"
            return record

        records = [Watched(i, f"name {i}", i * 0.5) for i in range(LONG)] + [descriptive(i) for i in range(LONG)]
        del records[5].__dict__["x"]
        victims = [records, records[7].__dict__]
        before = len(records), dict(records[7].__dict__)
        Nosy.victims = victims
        twin = stoa.freeze(records)
        Nosy.victims = []
        self.assertEqual(Nosy.ran, [])
        self.assertEqual((len(records), records[7].__dict__), before)
        names = [object.__getattribute__(each, "__dict__").get("name") for each in twin]
        self.assertEqual(names, [f"name {i}" for i in range(LONG)] * 2)

    def meddled(self, kind, act):
        """The graph as it is after the code has run is what is frozen."""
        for at in (0, 700):
            records = [kind(i, f"name {i}", i * 0.5, [f"part {i}", i * 1.5]) for i in range(1000)]
            graph = [records, records[800:]]
            records.insert(at, Meddler(lambda: act(records)))
            twin = stoa.freeze(graph)
            self.assertEqual(plain(twin), plain(graph), at)

    def test_lists_of_records_that_change_meanwhile(self):
        def halve(records):
            del records[1::2]

        def renew(records):
            records[:] = [Row(i, f"new {i}", i * 2.5) for i in range(1500)]

        for kind in KINDS:
            for act in (list.clear, halve, renew):
                with self.subTest(kind=kind.__name__, act=act.__name__):
                    self.meddled(kind, act)

    def test_records_that_change_meanwhile(self):
        def empty(records):
            for each in records:
                if type(each) is Row:
                    each.__dict__.clear()

        def grow(records):
            for i, each in enumerate(records):
                if type(each) is Row:
                    for at in range(40):
                        setattr(each, f"late{at}", f"{at} of {i}")

        def replace(records):
            for i, each in enumerate(records):
                if type(each) is not Meddler:
                    each.number, each.name, each.parts = f"now text {i}", None, (i, i * 1.25)

        for kind in (Row, Slim):
            for act in (empty, grow, replace):
                if kind is Row or act is replace:
                    with self.subTest(kind=kind.__name__, act=act.__name__):
                        self.meddled(kind, act)

    def test_classes_that_change_meanwhile(self):
        self.addCleanup(lambda: delattr(Row, "late"))
        self.meddled(Row, lambda records: setattr(Row, "late", len(records)))

    def test_more_classes_than_are_remembered(self):
        """What is known of classes is dropped when it is too much, in the middle of a walk that stands among their records."""
        module = sys.modules[__name__]
        space = {"__module__": __name__, "__dataclass_fields__": {}, "__slots__": ("a", "b")}
        classes = [type(f"Class{i}", (), dict(space)) for i in range(4200)]

        def record(kind, i):
            made = kind()
            made.a, made.b = f"a {i}", i * 1.5
            return made

        for each in classes:
            setattr(module, each.__name__, each)
        stoa.freeze([record(each, 1) for each in classes])
        some = [record(classes[i % 10], i) for i in range(LONG)]
        twin = stoa.freeze(some[:2000] + [Meddler(lambda: None)] + some[2000:])
        found = [(type(each), each.a, each.b) for each in twin if type(each) is not Meddler]
        self.assertEqual(found, [(type(each), each.a, each.b) for each in some])


if __name__ == "__main__":
    unittest.main()
