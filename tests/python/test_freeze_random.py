"""Random graphs: freeze, compare with an independent model, thaw, compare again. STOA_SEED=n repeats a run."""

import math
import os
import random
import sys
import types
import unittest

import stoa

SEED = int(os.environ.get("STOA_SEED") or random.SystemRandom().randrange(2**32))
MAPPING = type(stoa.freeze({}))


class Graphs:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.pool = []

    def scalar(self):
        r = self.random
        kind = r.randrange(12)
        if kind == 0:
            return r.choice([None, True, False, Ellipsis, int, "", b"", (), math.inf, -0.0])
        if kind <= 2:
            return r.randrange(-10, 2000)
        if kind == 3:
            return r.randrange(-(2 ** r.choice([31, 62, 64, 200])), 2 ** r.choice([31, 62, 64, 200]))
        if kind == 4:
            return r.uniform(-1e6, 1e6)
        if kind == 5:
            return bytes(r.randrange(256) for _ in range(r.randrange(20)))
        if kind == 6:
            return complex(r.random(), r.random())
        if kind == 7:
            return r.choice([range(r.randrange(9), r.randrange(2**70)), slice(r.randrange(9), None)])
        alphabet = r.choice(["abcdefgh", "aé", "aé€", "a😀é", "\ud800x", "_xyz"])
        return "".join(r.choice(alphabet) for _ in range(r.randrange(12)))

    def hashable(self, depth):
        r = self.random
        if depth == 0 or r.random() < 0.7:
            return self.scalar()
        items = [self.hashable(depth - 1) for _ in range(r.randrange(4))]
        return tuple(items) if r.random() < 0.7 else frozenset(items)

    def value(self, depth):
        r = self.random
        if self.pool and r.random() < 0.1:
            return r.choice(self.pool)
        if depth == 0 or r.random() < 0.35:
            return self.scalar() if r.random() < 0.95 else bytearray(b"mutable")
        size = r.choice([0, 1, 2, 3, 5, 12])
        kind = r.randrange(7)
        if kind == 0:
            made = {self.hashable(2) for _ in range(size)}
        elif kind == 1:
            made = self.hashable(3)
        elif kind == 2:
            made = tuple(self.value(depth - 1) for _ in range(size))
        elif kind <= 4:
            made = [self.value(depth - 1) for _ in range(size)]
        else:
            made = {self.hashable(2): self.value(depth - 1) for _ in range(size)}
            if kind == 6:
                made = types.MappingProxyType(made)
        if self.random.random() < 0.3:
            self.pool.append(made)
        return made


def same(source, twin):
    """Is twin what freeze should make of source? Written without stoa."""
    todo = [(source, twin)]
    while todo:
        a, b = todo.pop()
        if isinstance(a, (list, tuple)):
            if type(b) is not tuple or len(a) != len(b):
                return False
            todo.extend(zip(a, b))
        elif isinstance(a, (dict, types.MappingProxyType)):
            if type(b) is not MAPPING or len(a) != len(b):
                return False
            for (ka, va), (kb, vb) in zip(a.items(), b.items()):
                if b[ka] is not vb or hash(ka) != hash(kb):
                    return False
                todo += [(ka, kb), (va, vb)]
        elif isinstance(a, (set, frozenset)):
            if type(b) is not frozenset or a != b or hash(frozenset(a)) != hash(b):
                return False
        elif isinstance(a, bytearray):
            if type(b) is not bytes or bytes(a) != b:
                return False
        elif type(a) is not type(b) or repr(a) != repr(b):
            return False
        if not stoa.is_shared(b):
            return False
    return True


def thawed(source):
    """What thaw should make of the twin of source, as a private value."""
    if isinstance(source, (list, tuple)):
        return [thawed(x) for x in source]
    if isinstance(source, (dict, types.MappingProxyType)):
        return {k: thawed(v) for k, v in source.items()}
    if isinstance(source, (set, frozenset)):
        return set(source)
    return bytes(source) if isinstance(source, bytearray) else source


class RandomGraphs(unittest.TestCase):
    def test_round_trips(self):
        print("seed", SEED, file=sys.stderr)
        region = stoa.Region("random")
        for n in range(1500):
            with self.subTest(seed=SEED, graph=n):
                graph = Graphs(SEED + n).value(5)
                intern, where = n % 3 != 0, region if n % 2 else None
                twin = stoa.freeze(graph, intern=intern, region=where)
                self.assertTrue(same(graph, twin))
                self.assertIs(stoa.freeze(twin, region=where), twin)
                copy = stoa.thaw(twin)
                self.assertEqual(copy, thawed(graph))
                self.assertTrue(same(copy, stoa.freeze(copy, intern=intern)))

    def test_one_unfreezable_anywhere_leaves_nothing(self):
        region = stoa.Region("random refusals")
        for n in range(400):
            graphs = Graphs(SEED + n)
            bad = object()
            graphs.scalar = lambda g=graphs, old=graphs.scalar: bad if g.random.random() < 0.05 else old()
            graph = graphs.value(5)
            before = region.stats()
            try:
                twin = region.freeze(graph)
            except stoa.NotFreezable as e:
                self.assertEqual(e.type_name, "object")
                after = region.stats()
                for name in ("used_bytes", "objects", "intern_entries"):
                    self.assertEqual(after[name], before[name], name)
            else:
                self.assertTrue(same(graph, twin))


if __name__ == "__main__":
    unittest.main()
