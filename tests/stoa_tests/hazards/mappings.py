"""W11 and W22: mappingproxy over a dict in the heap (up to 3.14), frozendict (from 3.15)."""
import collections
import copy
import gc
import json
import pickle
import sys
import types

import _stoa_testing as c
from . import case

FROZENDICT = sys.version_info >= (3, 15)


def mapping(pairs):
    return frozendict(pairs) if FROZENDICT else types.MappingProxyType(dict(pairs))  # noqa: F821


def text_keys(token):
    return mapping([(f"key {i} {token}", (i, token)) for i in range(12)])


def mixed_keys(token):
    return mapping([(1, "one"), (token, 2), ((token, 3), "tuple"), (None, "none"), (2.5, b"float"), (frozenset({token}), "set"), (b"x", 5)])


def nested(token):
    return mapping([("inner", text_keys(token)), ("list", (1, 2, mixed_keys(token))), (token, token)])


def large(token):
    return mapping([(f"{token} {i}", i) for i in range(3000)])


def empty(token):
    return mapping([])


KINDS = {"text": text_keys, "mixed": mixed_keys, "nested": nested, "large": large, "empty": empty}


def on_all(prefix, **options):
    def register(operation):
        for label, make in KINDS.items():
            case(f"{prefix}_{label}", make, **options)(operation)
        return operation

    return register


def plain_items(m):
    return [(k if not isinstance(k, frozenset) else sorted(k), str(v)[:20] if isinstance(v, (str, tuple, int)) else type(v).__name__) for k, v in m.items()]


@on_all("W22_mapping_reads")
def _(m):
    keys = list(m)
    return ([m[k] is m.get(k) for k in keys[:20]], m.get("absent", 7), "absent" in m, len(m), bool(m), [k in m for k in keys[:5]], list(reversed(m)) == keys[::-1],
            plain_items(m)[:20], len(m.keys()), len(list(m.values())), (keys and (keys[0], m[keys[0]]) in m.items()))


@on_all("W22_mapping_missing_key")
def _(m):
    return m["absent"]


@on_all("W22_mapping_to_dict")
def _(m):
    d = dict(m)
    d["new"] = 1
    e = {**m, "other": 2}
    f = m.copy()
    return len(d) - len(m), len(e) - len(m), len(f) == len(m), d.keys() >= m.keys(), list(dict(m)) == list(m), "new" in m


@on_all("W22_mapping_operators")
def _(m):
    return (len(m | {"new": 1}), len({"new": 1} | m), m == dict(m), dict(m) == m, m != {}, len(m.keys() & {"inner", 1}), len(m.keys() - set(m)), m.keys() == set(m),
            m.keys().isdisjoint([object()]), len(m.items() | set()) if not any(isinstance(v, types.MappingProxyType) for v in m.values()) else 0)


@on_all("W22_mapping_wrappers")
def _(m):
    chain = collections.ChainMap({}, m)
    return len(chain), len(collections.OrderedDict(m)), collections.UserDict(m).data == dict(m), len(collections.Counter(dict.fromkeys(m, 1))), isinstance(
        m, collections.abc.Mapping), type(m).__name__


@on_all("W22_mapping_set_item_refused")
def _(m):
    m["x"] = 1


@on_all("W22_mapping_iteration")
def _(m):
    total = 0
    for _ in range(4):
        for key in m:
            total += 1
        for key, value in m.items():
            total += key is not None
        for value in m.values():
            total += 1
    return total, [k for k in m][:3] == list(m)[:3], {k: 1 for k in m} == dict.fromkeys(m, 1)


@on_all("W22_mapping_gc")
def _(m):
    cycle = [m]
    cycle.append(cycle)
    del cycle
    gc.collect()
    gc.freeze()
    gc.unfreeze()
    gc.get_referrers(m)
    return len(gc.get_referents(m)) >= 0, len(m)


@on_all("W18_mapping_refcount_calls")
def _(m):
    c.set_refcnt(m)
    c.count_references(m)
    return len(m)


@case("W22_mapping_keyword_arguments", lambda token: mapping([(f"first_{token}", 1), (f"second_{token}", 2)]))
def _(m):
    def function(**kwargs):
        return kwargs

    return function(**m), dict(**m), types.SimpleNamespace(**m), function(**m, other=3), "{%s}" % ",".join(m)


@case("W22_mapping_format_map", lambda token: mapping([("name", token), ("size", 3)]))
def _(m):
    return "{name} {size}".format_map(m), "{name}".format(**m), "%(name)s %(size)d" % dict(m)


@case("W22_mapping_match", lambda token: mapping([("kind", "point"), ("x", 3), ("y", (4, token))]))
def _(m):
    match m:
        case {"kind": "line"}:
            return "line"
        case {"kind": "point", "x": x, "y": (y, _), **rest}:
            return x, y, rest


@case("W22_mapping_specialised_lookup", text_keys)
def _(m):
    key = next(iter(m))
    total = 0
    for _ in range(300):
        total += m[key][0] + len(m) + (key in m)
    return total


@case("W22_mapping_foreign_key_objects", text_keys)
def _(m):
    class Key:
        def __init__(self, text):
            self.text = text

        def __hash__(self):
            return hash(self.text)

        def __eq__(self, other):
            return self.text == other

    key = next(iter(m))
    return m[Key(key)] is m[key], Key("absent") in m, Key(key) in m.keys()


@case("W22_mapping_eval_globals_copy", lambda token: mapping([("alpha", 3), ("beta", 4)]))
def _(m):
    return eval("alpha + beta", dict(m)), type("T", (), dict(m)).alpha


@case("W22_mapping_eval_locals", lambda token: mapping([("alpha", 3), ("beta", 4)]))
def _(m):
    return eval("alpha * beta", {}, m)


@case("W19_mapping_json", lambda token: mapping([("a", (1, 2)), ("b", token), ("c", None)]))
def _(m):
    return json.dumps(dict(m)), json.dumps(m, default=dict) if not FROZENDICT else json.dumps(dict(m))


@case("W19_mapping_repr_and_copy", lambda token: mapping([("a", (1, 2)), ("b", token)]))
def _(m):
    return repr(m), str(m), copy.copy(dict(m))


@on_all("W11_frozendict_hash", when=FROZENDICT)
def _(m):
    return hash(m), {m: 1}[m], m in {m}, hash(m) == hash(frozendict(dict(m)))  # noqa: F821


@on_all("W11_frozendict_pickle_copy", when=FROZENDICT)
def _(m):
    return pickle.loads(pickle.dumps(m)) == m, copy.deepcopy(m) == m, copy.copy(m) is m, isinstance(m, frozendict), m.copy() is m  # noqa: F821


@case("W11_frozendict_fromkeys_and_or", text_keys, when=FROZENDICT)
def _(m):
    return len(m | m), len(m | {"x": 1}), frozendict(m) is m, len(frozendict(m, extra=1)), frozendict.fromkeys(m, 1) == dict.fromkeys(m, 1)  # noqa: F821


@case("W11_mappingproxy_hash", text_keys, when=not FROZENDICT and sys.version_info >= (3, 12))
def _(m):
    return hash(m)
