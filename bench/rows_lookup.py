"""F1: lookup of a published object from another interpreter."""
import os

import stoa
from measure import median, median_ratio, row

HERE = os.path.dirname(os.path.abspath(__file__))

# Runs in the other interpreter. The loop itself is part of the figure.
OTHER = """
import sys
sys.path.insert(0, {here!r})
import json, pickle, time
import stoa
from measure import take_turns
from stoa import lookup
private = {{'bench/small': stoa.lookup('bench/small')}}

def per_lookup(name):
    def measured():
        started = time.perf_counter()
        for _ in range({count}):
            lookup(name)
        return (time.perf_counter() - started) / {count} * 1e9
    return measured

def per_dict():
    get = private.__getitem__
    started = time.perf_counter()
    for _ in range({count}):
        get('bench/small')
    return (time.perf_counter() - started) / {count} * 1e9

text = pickle.dumps(stoa.lookup('bench/small'))
def per_pickle():
    started = time.perf_counter()
    for _ in range({count} // 50):
        pickle.loads(text)
    return (time.perf_counter() - started) / ({count} // 50) * 1e9

figures = take_turns({{'small': per_lookup('bench/small'), 'large': per_lookup('bench/large'), 'dict': per_dict, 'pickle': per_pickle}}, {repetitions})
stoa.replace('bench/figures', json.dumps(figures))
"""


def rows(group, quick):
    import json

    large = 1 << (26 if quick else 30)
    stoa.publish("bench/small", b"x" * 1024)
    stoa.publish("bench/large", b"y" * large)
    with stoa.Interpreter(name="bench") as other:
        other.exec(OTHER.format(here=HERE, count=20_000 if quick else 200_000, repetitions=3 if quick else 9))
    figures = json.loads(stoa.lookup("bench/figures"))
    result = []
    for size, label in (("small", "1 KB"), ("large", f"{large >> 20} MB" if quick else "1 GB")):
        value = median(figures[size])
        result.append(row("F1", f"lookup from another interpreter, {label}", value, "ns", "dict access there", median(figures["dict"]),
                          ratio=median_ratio(figures[size], figures["dict"]), bar="<= 200 ns", ok=value <= 200, bytes=large if size == "large" else 1024))
    result.append(row("F1", "lookup from another interpreter, 1 KB", median(figures["small"]), "ns", "pickle.loads of it", median(figures["pickle"]),
                      ratio=median_ratio(figures["small"], figures["pickle"])))
    return result
