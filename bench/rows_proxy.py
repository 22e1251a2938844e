"""F5: operations on a proxy of an idle owner. F7: iterating and fetching. F5c: memory of a proxy."""
import contextlib
import gc
import itertools
import time

import stoa
from measure import median, median_ratio, row, take_turns
from remote import SOURCE, connect_rpyc, start_manager


def per_call(function, count):
    """A contestant: microseconds a call; `function` makes `count` calls."""
    def measured():
        started = time.perf_counter()
        function(count)
        return (time.perf_counter() - started) / count * 1e6
    return measured


# The loop itself is part of each figure.
def call_function(f):
    def run(count):
        for _ in itertools.repeat(None, count):
            f(1)
    return run


def get_attribute(x):
    def run(count):
        for _ in itertools.repeat(None, count):
            x.value
    return run


def get_item(x):
    def run(count):
        for _ in itertools.repeat(None, count):
            x["key"]
    return run


def call_method(x):
    def run(count):
        for _ in itertools.repeat(None, count):
            x.method(1)
    return run


def call_by_name(interpreter, name, *arguments):
    def run(count):
        for _ in itertools.repeat(None, count):
            interpreter.call(name, *arguments)
    return run


OPERATIONS = [  # (name, loop, what it works on, bar in microseconds)
    ("function call", call_function, "function", 0.30),
    ("attribute get", get_attribute, "thing", 0.30),
    ("item get", get_item, "table", 0.30),
    ("method call", call_method, "thing", 0.60),
]


def idle_rows(quick):
    fast, slow, repetitions = (20_000, 500, 3) if quick else (200_000, 5_000, 7)
    result = []
    with contextlib.ExitStack() as stack:
        manager = start_manager()
        stack.callback(manager.shutdown)
        thing = manager.thing()
        managed = {"function": thing, "thing": thing, "table": manager.table()}
        rpyc, connection = connect_rpyc(stack)
        if rpyc is not None:
            connection.execute(SOURCE)
        owner = stack.enter_context(stoa.Interpreter(name="owner"))
        owner.exec(SOURCE)
        for name, loop, what, bar in OPERATIONS:
            contestants = {"Stoa": per_call(loop(owner.call("__main__:get", what)), fast), "Manager": per_call(loop(managed[what]), slow)}
            if rpyc is not None:
                contestants["RPyC"] = per_call(loop(connection.namespace[what]), slow)
            contestants["Interpreter.call"] = per_call(call_by_name(owner, "__main__:function", 1), fast // 10)
            figures = take_turns(contestants, repetitions)
            value, ratio = median(figures["Stoa"]), median_ratio(figures["Manager"], figures["Stoa"])
            result.append(row("F5", f"proxy, {name}", value, "us", "Manager", median(figures["Manager"]), ratio=ratio,
                              bar=f"<= {bar:.2f} us, Manager >= 100x", ok=value <= bar and ratio >= 100))
            for other in [each for each in contestants if each not in ("Stoa", "Manager")]:
                result.append(row("F5", f"proxy, {name}", value, "us", other, median(figures[other]), ratio=median_ratio(figures[other], figures["Stoa"])))
    return result


# ---- many items -------------------------------------------------------------------------------------------------------

def per_item(function, items, count):
    """A contestant: nanoseconds an item."""
    def measured():
        started = time.perf_counter()
        function(items)
        return (time.perf_counter() - started) / count * 1e9
    return measured


def iterate(items):
    for _ in items:
        pass


def many_rows(quick):
    count, few, repetitions = (100_000, 1_000, 3) if quick else (1_000_000, 5_000, 5)
    with contextlib.ExitStack() as stack:
        manager = start_manager()
        stack.callback(manager.shutdown)
        rpyc, connection = connect_rpyc(stack)
        if rpyc is not None:
            connection.execute(f"numbers = list(range({few}))")
        owner = stack.enter_context(stoa.Interpreter(name="owner"))
        owner.exec(f"numbers = list(range({count}))\ndef get(name): return globals()[name]\ndef copied(): return stoa.by_copy(numbers)\nimport stoa")
        numbers = owner.call("__main__:get", "numbers")
        local = list(range(count))
        iterating = {"Stoa": per_item(iterate, numbers, count), "Manager": per_item(iterate, manager.numbers(few), few), "local": per_item(iterate, local, count)}
        building = {"Stoa": per_item(stoa.fetch, numbers, count), "Manager": per_item(lambda items: items[:], manager.numbers(count), count),
                    "Interpreter.call": per_item(lambda name: owner.call(name), "__main__:copied", count), "local": per_item(list, local, count)}
        if rpyc is not None:
            iterating["RPyC"] = per_item(iterate, connection.namespace["numbers"], few)
            building["RPyC"] = per_item(rpyc.obtain, connection.namespace["numbers"], few)
        result = []
        for label, contestants, bar in (("iterate", iterating, 100), ("fetch", building, 60)):
            figures = take_turns(contestants, repetitions)
            value = median(figures["Stoa"])
            for number, other in enumerate(each for each in contestants if each != "Stoa"):
                result.append(row("F7", f"{label} a list of {count:,} ints", value, "ns/item", other, median(figures[other]),
                                  ratio=median_ratio(figures[other], figures["Stoa"]), bar="" if number else f"<= {bar} ns/item",
                                  ok=None if number else value <= bar))
    return result


# ---- memory -----------------------------------------------------------------------------------------------------------

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def memory_rows(quick):
    count = 30_000 if quick else 700_000
    with stoa.Interpreter(name="owner") as owner:
        owner.exec(f"objects = [[] for _ in range({count})]\ndef get(name): return globals()[name]\ndef one(i): return objects[i]")
        one = owner.call("__main__:get", "one")
        kept = [None] * count
        before = resident()
        for i in range(count):
            kept[i] = one(i)
        assert stoa.is_proxy(kept[-1]) and kept[0] is one(0)
        value = (resident() - before) / count
        del kept
    return [row("F5c", f"memory of a live proxy, both sides, {count:,} of them", value, "bytes", "a list of one item", 64, bar="<= 256 bytes", ok=value <= 256)]


def rows(group, quick):
    return {"F5": idle_rows, "F7": many_rows, "F5c": memory_rows}[group](quick)
