"""W8, W9, W12, W15, W16, W18, W19, 1a: tuple and frozenset, weak references, the gc."""
import collections
import copy
import functools
import gc
import heapq
import itertools
import json
import marshal
import operator
import pickle
import weakref

import _stoa_testing as c
from . import case


def small_tuple(token):
    return (f"first {token}", int(token, 16), 2.5, None)


def nested_tuple(token):
    return (small_tuple(token), (small_tuple(token + "d"), ((token,),)), f"last {token}".encode())


def small_set(token):
    return frozenset({f"member {token}", int(token, 16), (token, 1)})


def large_set(token):
    return frozenset({f"{token} {i}" for i in range(200)} | {(token, i) for i in range(50)})


def on_tuples(prefix):
    def register(operation):
        case(f"{prefix}_flat", small_tuple)(operation)
        case(f"{prefix}_nested", nested_tuple)(operation)
        return operation

    return register


def on_sets(prefix):
    def register(operation):
        case(f"{prefix}_small", small_set)(operation)
        case(f"{prefix}_large", large_set)(operation)
        return operation

    return register


@on_tuples("W08_tuple_hash")
def _(t):
    return hash(t), {t: 1}[t], t in {t}, hash(t[0]), functools.lru_cache(lambda x: x)(t)


@on_tuples("W08_tuple_use")
def _(t):
    first, *rest = t
    total = 0
    for _ in range(100):
        a, b, *_rest = t
        total += len(t) + (t[0] is first)
        for item in t:
            total += item is None
    return (first, rest, t + (1,), t * 2, t[1:], t[::-1], t.index(t[-1]), t.count(None), t == tuple(list(t)), t < t + (1,), total, list(zip(t, t))[0],
            repr(t), tuple(t) is t, sorted([t, t]), max(t, t), operator.itemgetter(0)(t), list(itertools.chain(t, t))[-1], copy.copy(t) is t)


@on_tuples("W08_tuple_call_arguments")
def _(t):
    def function(*args):
        return args

    return function(*t), function(*t, *t), "%s %s" % t[:2], "{} {}".format(*t), print(*t[:0], end="")


@on_tuples("W15_tuple_gc")
def _(t):
    cycle = [t]
    cycle.append(cycle)
    holder = type("Holder", (), {})()
    holder.t = t
    holder.me = holder
    for generation in range(3):
        gc.collect(generation)
    del cycle, holder
    gc.collect()
    gc.freeze()
    gc.unfreeze()
    return gc.is_tracked(t) and None, len([r for r in gc.get_referrers(t) if r is t]), gc.get_referents(t) is not None, c.gc_untrack(t)


@on_tuples("W15_tuple_gc_get_objects")
def _(t):
    return any(o is t[0] for o in gc.get_objects() if type(o) is str), gc.is_finalized(t)


@on_tuples("W16_tuple_resize")
def _(t):
    return c.tuple_resize(t, len(t)), c.tuple_resize(t, 1)


@on_tuples("W16_tuple_set_item_refused")
def _(t):
    return c.tuple_set_item(t)


@on_tuples("W16_tuple_in_place_add")
def _(t):
    u = t
    u += (1, 2)
    return u, t


@on_tuples("W18_tuple_refcount_calls")
def _(t):
    c.set_refcnt(t)
    c.count_references(t)
    c.make_immortal(t)
    return t


@on_tuples("W19_tuple_pickle_marshal_copy")
def _(t):
    return [pickle.loads(pickle.dumps(t, p)) for p in range(6)], marshal.loads(marshal.dumps(t)), copy.deepcopy(t), copy.copy(t)


@case("W19_tuple_json", small_tuple)
def _(t):
    return json.dumps(t), json.dumps({"a": t, "b": [t]}, indent=1), json.dumps(t, sort_keys=True)


@case("W08_tuple_as_base_of_structures", small_tuple)
def _(t):
    Row = collections.namedtuple("Row", "a b c d")
    return Row(*t), Row._make(t), dict([t[:2]]), collections.deque(t), heapq.nsmallest(1, [t, t]), isinstance(t, tuple), tuple.__getitem__(t, 0)


@case("W08_isinstance_tuples", lambda token: (int, str, (bytes, float)))
def _(types):
    return isinstance(3, types), issubclass(bool, types), isinstance([], types)


@case("W08_except_tuple", lambda token: (KeyError, (ValueError, TypeError)[0]))
def _(kinds):
    try:
        raise ValueError("x")
    except kinds as error:
        return repr(error)


@case("W08_str_prefix_tuple", lambda token: (token, "zz"))
def _(t):
    return (t[0] + "abc").startswith(t), "abc".endswith(t), "abc" in t, ("x" + t[0]).removeprefix(t[0])


@on_sets("W09_frozenset_hash")
def _(s):
    return hash(s), {s: 1}[s], s in {s}, s in {s: 2}


@on_sets("W09_frozenset_use")
def _(s):
    member = min(s, key=str)
    total = sum(member in s for _ in range(100))
    return (member in s, "absent" in s, len(s), s | {1}, s & {member}, len(s - {member}), len(s ^ {member}), s == frozenset(list(s)), s <= s, s.issubset(list(s)),
            s.isdisjoint([3.5]), s.copy() is s, frozenset(s) is s, len(set(s)), total, len([x for x in s]), s.union([2]), bool(s), max(len(str(x)) for x in s))


@on_sets("W09_frozenset_as_key_of_set_lookup")
def _(s):
    return s in {frozenset(s)}, {frozenset(s): 3}[s], set() == s, {s} == {frozenset(list(s))}


@on_sets("W12_weakref_plain")
def _(s):
    ref = weakref.ref(s)
    return ref() is s, hash(ref) == hash(s), weakref.ref(s) is ref, ref in {ref}, weakref.getweakrefcount(s) >= 1, ref == weakref.ref(s), c.new_weakref(s)() is s


@on_sets("W12_weakref_none_callback")
def _(s):
    return weakref.ref(s, None)() is s, c.new_weakref(s, None)() is s


@on_sets("W12_getweakrefcount")
def _(s):
    return weakref.getweakrefcount(s) >= 0, isinstance(weakref.getweakrefs(s), list)


# Section 1a: these link a new reference into the list that begins in the frozenset and goes on in the pre-installed one.
LINKS = r"(frozenset\+192|ReferenceType\+\d+|weakref\+\d+)"


def weak_case(name, writes):
    return case(name, small_set, writes=writes)


@weak_case("S1a_weakref_with_callback", LINKS)
def _(s):
    ref = weakref.ref(s, lambda _: None)
    alive = ref() is s
    del ref
    return alive


@weak_case("S1a_weakref_subclass", LINKS)
def _(s):
    class Ref(weakref.ref):
        pass

    ref = Ref(s)
    alive = ref() is s
    del ref
    return alive


@weak_case("S1a_weakref_proxy", LINKS)
def _(s):
    proxy = weakref.proxy(s)
    size = len(proxy)
    del proxy
    return size


@weak_case("S1a_weak_set", LINKS)
def _(s):
    holder = weakref.WeakSet([s])
    found = s in holder
    del holder
    gc.collect()
    return found


@weak_case("S1a_weak_value_dictionary", LINKS)
def _(s):
    holder = weakref.WeakValueDictionary({1: s})
    found = holder[1] is s
    del holder
    gc.collect()
    return found


@weak_case("S1a_weak_key_dictionary", LINKS)
def _(s):
    holder = weakref.WeakKeyDictionary({s: 1})
    found = holder[s]
    del holder
    gc.collect()
    return found


@weak_case("S1a_weak_finalize", LINKS)
def _(s):
    end = weakref.finalize(s, print)
    alive = end.alive
    end.detach()
    del end
    gc.collect()
    return alive


def no_weakref(label, make):
    @case(f"S1a_no_weakref_to_{label}", make)
    def _(x):
        return weakref.ref(x)


for _label, _make in {"str": lambda t: f"x {t}", "bytes": lambda t: t.encode(), "int": lambda t: int(t, 16) + 10**6, "float": lambda t: int(t, 16) + 0.5,
                      "tuple": small_tuple, "range": lambda t: range(int(t, 16)), "complex": lambda t: complex(1, int(t, 16))}.items():
    no_weakref(_label, _make)


@on_sets("W15_frozenset_gc")
def _(s):
    cycle = [s]
    cycle.append(cycle)
    gc.collect()
    del cycle
    gc.collect()
    gc.freeze()
    gc.unfreeze()
    return c.gc_untrack(s), len(gc.get_referents(s)), [r for r in gc.get_referrers(s) if r is s]


@case("W15_slice_gc", lambda token: slice(token, int(token, 16), (1,)))
def _(s):
    cycle = [s]
    cycle.append(cycle)
    del cycle
    return gc.collect() >= 0, c.gc_untrack(s), s


@on_sets("W16_frozenset_add_refused")
def _(s):
    return c.set_add(s)


@on_sets("W16_frozenset_in_place_or")
def _(s):
    t = s
    t |= {1}
    return len(t) - len(s), type(t).__name__


@on_sets("W18_frozenset_refcount_calls")
def _(s):
    c.set_refcnt(s)
    c.count_references(s)
    c.make_immortal(s)
    return len(s)


@on_sets("W19_frozenset_pickle_marshal_copy")
def _(s):
    return pickle.loads(pickle.dumps(s)), marshal.loads(marshal.dumps(s)) == s, copy.deepcopy(s), copy.copy(s) is s


@case("W09_frozenset_of_frozensets", lambda token: frozenset({frozenset({token}), frozenset({token, 1}), frozenset()}))
def _(s):
    return hash(s), frozenset() in s, len(s), {len(x) for x in s}, frozenset({next(iter(sorted(s, key=len)[1]))}) in s


@case("W26_many_dropped_references", nested_tuple)
def _(t):
    kept = [t for _ in range(1000)]
    kept += [(t, t) for _ in range(1000)]
    del kept
    return [list(t) for _ in range(3)] == [list(t)] * 3
