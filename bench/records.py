"""Data like that of JSON files. Made up: records of users with nested addresses, tags, events; seeded, the same every time.
Real: the syntax trees of this Python's standard library."""
import ast
import json
import os
import random

FIRST = "Ada Alan Barbara Claude Donald Edsger Frances Grace Hedy John Katherine Ken Linus Margaret Niklaus Radia Tim".split()
LAST = "Allen Backus Dijkstra Hamilton Hopper Johnson Kernighan Knuth Lamarr Lamport Lovelace Perlman Ritchie Shannon Turing Wirth".split()
CITIES = "Amsterdam Berlin Copenhagen Dublin Edinburgh Florence Geneva Helsinki Istanbul Lisbon Madrid Oslo Paris Rome Vienna Zagreb".split()
TAGS = [f"{a}-{b}" for a in ("new", "paid", "trial", "late", "vip") for b in ("eu", "us", "asia", "web", "app", "partner")]
KINDS = ["login", "logout", "purchase", "refund", "message", "view", "search"]


def make_records(count, seed=1):
    """As json.loads gives them: every value an object of its own, keys shared within the document."""
    choice = random.Random(seed)
    records = []
    for number in range(count):
        first, last = choice.choice(FIRST), choice.choice(LAST)
        records.append({
            "id": seed * 10_000_000 + number,
            "name": f"{first} {last}",
            "email": f"{first.lower()}.{last.lower()}{number}@example.org",
            "active": choice.random() < 0.7,
            "score": round(choice.random() * 100, 2),
            "manager": None if choice.random() < 0.5 else seed * 10_000_000 + choice.randrange(count),
            "tags": choice.sample(TAGS, choice.randrange(1, 5)),
            "address": {"city": choice.choice(CITIES), "street": f"{choice.choice(LAST)} street {choice.randrange(200)}",
                        "zip": f"{choice.randrange(10000, 99999)}", "position": [round(choice.uniform(-90, 90), 4), round(choice.uniform(-180, 180), 4)]},
            "events": [{"kind": choice.choice(KINDS), "at": 1_700_000_000 + choice.randrange(10_000_000), "amount": round(choice.random() * 500, 2)}
                       for _ in range(choice.randrange(0, 5))],
        })
    return json.loads(json.dumps(records))


def plain_tree(node):
    if isinstance(node, ast.AST):
        return {"type": type(node).__name__, **{name: plain_tree(value) for name, value in ast.iter_fields(node)},
                **{name: getattr(node, name) for name in ("lineno", "col_offset") if hasattr(node, name)}}
    if isinstance(node, list):
        return [plain_tree(each) for each in node]
    return node if node is None or isinstance(node, (str, int, float, bool)) else repr(node)


def make_trees(count):
    """Of the first `count` modules, as json.loads gives them."""
    folder = os.path.dirname(os.__file__)
    names = sorted(name for name in os.listdir(folder) if name.endswith(".py"))[:count]
    trees = []
    for name in names:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            trees.append({"file": name, "tree": plain_tree(ast.parse(file.read()))})
    return json.loads(json.dumps(trees))


def count_objects(value):
    """(distinct objects, references) of a graph of lists, dicts and scalars."""
    seen, references, waiting = set(), 0, [value]
    while waiting:
        node = waiting.pop()
        references += 1
        if id(node) in seen:
            continue
        seen.add(id(node))
        if type(node) is dict:
            waiting.extend(node)
            waiting.extend(node.values())
        elif type(node) is list:
            waiting.extend(node)
    return len(seen), references


def total_size(value):
    """Sum of sys.getsizeof over the distinct objects."""
    import sys

    seen, total, waiting = set(), 0, [value]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        total += sys.getsizeof(node)
        if type(node) is dict:
            waiting.extend(node)
            waiting.extend(node.values())
        elif type(node) in (list, tuple, set, frozenset):
            waiting.extend(node)
    return total
