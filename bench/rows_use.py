"""F3: using shared objects, made by another interpreter, against using local ones."""
import itertools
import json
import os

import stoa
from measure import median, row

PIECE = 2000  # keys a round: short rounds, so that a round meets one state of the machine
WARM = 10  # rounds that are not counted: code is specialised, pages are mapped
HERE = os.path.dirname(os.path.abspath(__file__))


def operations(data, count):
    """{name: function of the data}: each does the same work on local and on shared data. Runs in the using interpreter."""
    import random

    choice = random.Random(5)
    keys = ["".join(list(key)) for key in data["table"]]
    choice.shuffle(keys)
    keys = keys[:count]
    few = keys[:50] * (count // 50)
    pieces = itertools.cycle([keys[i : i + PIECE] for i in range(0, len(keys), PIECE)])
    wanted = []

    def next_piece():
        wanted[:] = next(pieces)

    def look_up(table):
        for key in wanted:
            table[key]

    def look_up_few(table, wanted=few):
        for key in wanted:
            table[key]

    def contains(table):
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

    return next_piece, {"dict look-up, 100 000 keys": (look_up, "table"), "dict look-up, 50 hot keys": (look_up_few, "table"), "key in dict": (contains, "table"),
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


def take_rounds(function, next_piece, values, repetitions):
    """{contestant: [ns]}: one round runs the function for all contestants, in random order, on the same keys."""
    import random
    import time

    functions = {contestant: twin(function) for contestant in values}
    times = {contestant: [] for contestant in values}
    order = list(values)
    for turn in range(WARM + repetitions):
        next_piece()
        random.shuffle(order)
        for contestant in order:
            run, value = functions[contestant], values[contestant]
            started = time.perf_counter_ns()
            run(value)
            taken = time.perf_counter_ns() - started
            if turn >= WARM:
                times[contestant].append(taken)
    return times


def compare(size, count, repetitions):
    """In another interpreter than the one that froze: publishes {operation: {contestant: [ns]}} of shared and local data, and afterwards of
    a second local copy and the first: what they differ by is the noise of the measurement; and of a mappingproxy of that copy: what the
    type costs that shared mappings have up to 3.14; and of nested tuples that were frozen without interning: what it costs that equal numbers are one. No two contestants share objects: one would warm the cache for the other."""
    import types

    local = make_data(size)
    shared = {part: stoa.lookup(f"bench/use/{part}") for part in local}
    next_piece, all_operations = operations(local, count)
    figures = {}
    for name, (function, part) in all_operations.items():
        figures[name] = take_rounds(function, next_piece, {"shared": shared[part], "local": local[part]}, repetitions)
    again = make_data(size)
    control = {name: take_rounds(function, next_piece, {"again": again[part], "local": local[part]}, repetitions // 4)
               for name, (function, part) in all_operations.items() if part != "names"}  # equal names are one object once they are interned
    proxies = {name: take_rounds(function, next_piece, {"mappingproxy": types.MappingProxyType(again[part]), "local": local[part]}, repetitions // 4)
               for name, (function, part) in all_operations.items() if part == "table"}
    name = "iteration over nested tuples"
    apart = {name: take_rounds(all_operations[name][0], next_piece, {"apart": stoa.lookup("bench/use/apart"), "local": local["nested"]}, repetitions // 4)}
    stoa.replace("bench/figures", json.dumps([figures, control, proxies, apart]))


def rows(group, quick):
    size, count, repetitions = (20_000, 10_000, 20) if quick else (100_000, 100_000, 400)
    for part, value in make_data(size).items():
        # regions of their own: else the parts would share equal numbers, and one would be measured by where another has them
        stoa.publish(f"bench/use/{part}", value, region=stoa.Region(part))
        if part == "nested":
            region = stoa.Region("apart")
            stoa.publish("bench/use/apart", stoa.freeze(value, intern=False, region=region), region=region)
    with stoa.Interpreter(name="bench") as other:
        other.exec(f"import sys; sys.path.insert(0, {HERE!r}); import rows_use; rows_use.compare({size}, {count}, {repetitions})")
    figures, control, proxies, apart = json.loads(stoa.lookup("bench/figures"))
    noise = {name: median(times["again"]) / median(times["local"]) for name, times in control.items()}
    result = []
    for name, each in figures.items():
        middle = {contestant: median(times) for contestant, times in each.items()}
        ratio = middle["shared"] / middle["local"]
        settings = {"repetitions": repetitions, "ratio_of_the_best": min(each["shared"]) / min(each["local"]), "another_local_copy": noise.get(name)}
        result.append(row("F3", f"{name}, shared", middle["shared"] / 1e6, "ms", "local", middle["local"] / 1e6, ratio=ratio,
                          bar="<= 1.00 (1.02)", ok=ratio <= 1.02, **settings))
    for name, each in proxies.items():
        result.append(row("F3", f"control: {name}, local mappingproxy", median(each["mappingproxy"]) / 1e6, "ms", "local", median(each["local"]) / 1e6))
    for name, each in apart.items():  # where interned numbers lie costs, not that they are shared
        result.append(row("F3", f"control: {name}, shared but not interned", median(each["apart"]) / 1e6, "ms", "local", median(each["local"]) / 1e6))
    worst = max(noise, key=lambda name: abs(noise[name] - 1))
    result.append(row("F3", f"control: another local copy, {worst}", median(control[worst]["again"]) / 1e6, "ms", "local",
                      median(control[worst]["local"]) / 1e6, ratio=noise[worst]))
    return result
