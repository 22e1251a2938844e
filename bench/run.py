"""Measures Stoa against named baselines, in one run, and prints a table.   make bench   (or: build/python bench/run.py)

    --only F2,F4     these rows only (the beginning of an id is enough)
    --quick          smaller data, fewer repetitions: shows that it works, says little
    --output FILE    the rows as JSON, the form of the table below
    --list           what there is

Each row compares two named things whose repetitions take turns, so that a slow moment of the machine hits both, and
gives the median of each and of the pairwise ratios. Every group of rows runs in a process of its own.
How to read the numbers: bench/README.md.
"""
import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import time

GROUPS = {  # id: (module, what it takes)
    "F0": "rows_control",
    "F1": "rows_lookup",
    "F2": "rows_freeze",
    "F3": "rows_use",
    "F4": "rows_parallel",
    "F5": "rows_proxy",
    "F5b": "rows_busy",
    "F5c": "rows_proxy",
    "F6": "rows_busy",
    "F7": "rows_proxy",
    "F8": "rows_queue",
    "F8b": "rows_queue",
    "F8c": "rows_queue",
    "F9": "rows_pool",
    "F9b": "rows_queue",
    "F10": "rows_memory",
    "F11": "rows_memory",
    "F12": "rows_builder",
    "F13": "rows_array",
    "F14": "rows_values",
    "F15": "rows_evolve",
    "F16": "rows_geometry",
    "F20": "rows_parallel",
    "F21": "rows_memory",
}
HERE = os.path.dirname(os.path.abspath(__file__))


def worker(group, quick):
    """In the child: the rows of one group, as JSON on the last line."""
    sys.path.insert(0, HERE)
    rows = importlib.import_module(GROUPS[group]).rows(group, quick)
    print("\n" + json.dumps(rows))


def measure(group, options):
    command = [sys.executable, os.path.abspath(__file__), "--worker", group] + (["--quick"] if options.quick else [])
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, PYTHONHASHSEED="0"))
    if done.returncode != 0:
        print(f"{group}: the measuring process ended with {done.returncode}\n{done.stderr[-4000:]}", file=sys.stderr)
        return [{"id": group, "name": "did not run", "value": None, "unit": "", "baseline": {"name": "", "value": None}, "ratio": None,
                 "bar": "", "ok": False}]
    rows = json.loads(done.stdout.splitlines()[-1])
    print(f"  {group}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return rows


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def print_table(rows):
    head = ("id", "what", "value", "unit", "baseline", "", "ratio", "bar", "")
    lines = [head]
    for row in rows:
        verdict = "" if row["ok"] is None else "ok" if row["ok"] else "MISSED"
        lines.append((row["id"], row["name"], number(row["value"]), row["unit"], row["baseline"]["name"], number(row["baseline"]["value"]),
                      "-" if row["ratio"] is None else f"{row['ratio']:.3g}", row["bar"], verdict))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    right = {2, 5, 6}
    for line in lines:
        print("  ".join(cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths))).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--worker", choices=GROUPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker, options.quick)
        return 0
    if options.list:
        print("\n".join(f"{group}  bench/{module}.py" for group, module in GROUPS.items()))
        return 0
    wanted = [part.strip() for part in options.only.split(",") if part.strip()]
    groups = [group for group in GROUPS if not wanted or group in wanted]
    if not groups:
        parser.error(f"--only {options.only}: there are {', '.join(GROUPS)}")
    cpus, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    if load > 0.5:
        print(f"note: the machine is busy (load {load:.1f}): what is measured here is the machine as well", file=sys.stderr)
    rows = []
    for group in groups:
        rows += measure(group, options)
    for row in rows:
        row["python"] = platform.python_version() + getattr(sys, "abiflags", "")
        row["settings"] = {"quick": options.quick, "cpus": cpus, "load": load, **row.get("settings", {})}
    if options.output:
        with open(options.output, "w") as file:
            json.dump(rows, file, indent=1)
    print(f"Python {platform.python_version()}, {cpus} processors{', quick' if options.quick else ''}\n")
    print_table(rows)
    missed = [row for row in rows if row["ok"] is False]
    print(f"\n{sum(row['ok'] is True for row in rows)} bars held, {len(missed)} missed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
