"""Repetitions that take turns, medians, and the form of a row."""
import statistics
import time


def timed(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def take_turns(contestants, repetitions):
    """{name: function returning a figure} -> {name: [figures]}; who goes first changes every round."""
    figures = {name: [] for name in contestants}
    order = list(contestants)
    for _ in range(repetitions):
        for name in order:
            figures[name].append(contestants[name]())
        order.reverse()
    return figures


def median(values):
    return statistics.median(values)


def median_ratio(values, baselines):
    return statistics.median(value / baseline for value, baseline in zip(values, baselines))


def row(identity, name, value, unit, baseline_name, baseline_value, *, ratio=None, bar="", ok=None, **settings):
    """One row of bench.json. ok None: there is no bar, the row is for information."""
    if ratio is None and value is not None and baseline_value:
        ratio = value / baseline_value
    return {"id": identity, "name": name, "value": value, "unit": unit, "baseline": {"name": baseline_name, "value": baseline_value},
            "ratio": ratio, "bar": bar, "ok": ok, "settings": settings}
