"""F3: using shared objects, made by another interpreter, against using local ones."""
import json
import os

import stoa
from measure import median, median_ratio, row

HERE = os.path.dirname(os.path.abspath(__file__))


def operations(data, count):
    """{name: function of the data}: each does the same work on local and on shared data. Runs in the using interpreter."""
    import random

    choice = random.Random(5)
    keys = ["".join(list(key)) for key in data["table"]]
    choice.shuffle(keys)
    keys = keys[:count]
    few = keys[:50] * (count // 50)

    def look_up(table, wanted=keys):
        for key in wanted:
            table[key]

    def look_up_few(table, wanted=few):
        for key in wanted:
            table[key]

    def contains(table, wanted=keys):
        for key in wanted:
            key in table  # noqa: B015

    def iterate(nested):
        total = 0
        for rows in nested:
            for first, second in rows:
                total += first
        return total

    def index(nested):
        total = 0
        for rows in nested:
            total += rows[0][0] + rows[-1][0]
        return total

    def hash_texts(texts):
        for text in texts:
            hash(text)

    def hash_tuples(tuples):
        for each in tuples:
            hash(each)

    def text_methods(texts):
        for text in texts:
            text.upper()
            text.split(" ")
            text.startswith("text")
            text.find("9")
            text.replace("e", "a")

    def text_compare(texts):
        last = ""
        for text in texts:
            text == last  # noqa: B015
            last = text

    def encode(texts):
        for text in texts:
            text.encode()

    def arithmetic(numbers):
        total = 0
        for number in numbers:
            total += number * 2
        return total

    def membership(members):
        for key in few:
            key in members  # noqa: B015

    def iterate_items(table):
        for _key, _value in table.items():
            pass

    def attributes(names):
        class Thing:
            pass

        thing = Thing()
        for name in names:
            setattr(thing, name, 1)
            getattr(thing, name)

    return {"dict look-up, 100 000 keys": (look_up, "table"), "dict look-up, 50 hot keys": (look_up_few, "table"), "key in dict": (contains, "table"),
            "dict items()": (iterate_items, "table"), "iteration over nested tuples": (iterate, "nested"), "indexing nested tuples": (index, "nested"),
            "hash of str": (hash_texts, "texts"), "hash of tuple": (hash_tuples, "pairs"), "str methods": (text_methods, "texts"),
            "str comparison": (text_compare, "texts"), "str encode": (encode, "texts"), "int arithmetic": (arithmetic, "numbers"),
            "key in frozenset": (membership, "members"), "setattr and getattr": (attributes, "names")}


def make_data(size):
    return {"table": {f"key number {i}": i for i in range(size)},
            "nested": tuple(tuple((i * j, f"{i}.{j}") for j in range(20)) for i in range(size // 20)),
            "texts": tuple(f"text number {i} with some words" for i in range(size // 10)),
            "pairs": tuple((i, f"pair {i}", (i, i + 1)) for i in range(size // 10)),
            "numbers": tuple(range(10**6, 10**6 + size // 5)),
            "members": frozenset(f"key number {i}" for i in range(0, size, 2)),
            "names": tuple(f"attribute_{i}" for i in range(200)) * 20}


def twin(function):
    """The same function with code of its own: the interpreter specialises each for the one kind of data that it sees."""
    import types

    return types.FunctionType(function.__code__.replace(), function.__globals__, function.__name__, function.__defaults__, function.__closure__)


def compare(size, count, repetitions):
    """In another interpreter than the one that froze: publishes {operation: {"shared": [ns], "local": [ns]}}."""
    import time

    from measure import take_turns

    local = make_data(size)
    shared = {part: stoa.lookup(f"bench/use/{part}") for part in local}

    def measured(function, value):
        def run():
            started = time.perf_counter()
            function(value)
            return (time.perf_counter() - started) * 1e9

        return run

    figures = {}
    for name, (function, part) in operations(local, count).items():
        contestants = {"shared": measured(twin(function), shared[part]), "local": measured(twin(function), local[part])}
        for contestant in contestants.values():
            contestant()
        figures[name] = take_turns(contestants, repetitions)
    stoa.replace("bench/figures", json.dumps(figures))


def rows(group, quick):
    size, count, repetitions = (20_000, 10_000, 7) if quick else (100_000, 100_000, 41)
    for part, value in make_data(size).items():
        # regions of their own: else the parts would share equal numbers, and one would be measured by where another has them
        stoa.publish(f"bench/use/{part}", value, region=stoa.Region(part))
    with stoa.Interpreter(name="bench") as other:
        other.exec(f"import sys; sys.path.insert(0, {HERE!r}); import rows_use; rows_use.compare({size}, {count}, {repetitions})")
    figures = json.loads(stoa.lookup("bench/figures"))
    result = []
    for name, each in figures.items():
        ratio = median_ratio(each["shared"], each["local"])
        result.append(row("F3", f"{name}, shared", median(each["shared"]) / 1e6, "ms", "local", median(each["local"]) / 1e6, ratio=ratio,
                          bar="<= 1.00 (1.02)", ok=ratio <= 1.02, repetitions=repetitions, ratio_of_the_best=min(each["shared"]) / min(each["local"])))
    return result
