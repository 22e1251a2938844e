"""python -m stoa top: what a running process shares, and who waits for whom, read without stopping it."""

import argparse
import json
import math
import os
import sys
import time

PATHS = {  # how calls reached their owner, by counter
    "entered": "calls",
    "let in": "calls_let_in",
    "posted": "calls_posted",
    "at home": "calls_home",
    "served": "calls_served",
    "look-ups": "lookups",
}


def seconds(text):
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a number of seconds above 0 is wanted, not {text}")
    return value


def add_arguments(parser):
    which = parser.add_mutually_exclusive_group()
    which.add_argument("pid", nargs="?", type=int, metavar="PID", help="the process (default: the only one with Stoa in it)")
    which.add_argument("--name", metavar="TEXT", help="the process whose command line holds TEXT")
    parser.add_argument("--once", action="store_true", help="one look, and the end")
    parser.add_argument("--json", action="store_true", help="one look, for programs")
    parser.add_argument("--interval", type=seconds, default=1.0, metavar="SECONDS", help="between two looks (default: 1)")


def plain(text):
    """Names are anybody's: what a terminal would obey is written out."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return plain(file.read().replace(b"\0", b" ").decode(errors="replace").strip())
    except OSError:
        return ""


def has_stoa(pid):
    try:
        with open(f"/proc/{pid}/maps", "rb") as file:
            return any(b"stoa-process" in line for line in file)
    except OSError:
        return False


def candidates(name):
    own = {os.getpid(), os.getppid()}
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) not in own]
    return [pid for pid in pids if (name is None or name in command_line(pid)) and has_stoa(pid)]


def choose(args):
    if args.pid is not None:
        return args.pid
    found = candidates(args.name)
    if len(found) == 1:
        return found[0]
    what = f"with {args.name!r} in its command line" if args.name else "of yours"
    if not found:
        raise LookupError(f"no process {what} has imported stoa")
    listed = "\n".join(f"  {pid:>7}  {command_line(pid)[:90]}" for pid in sorted(found))
    raise LookupError(f"several processes {what} have imported stoa; say which:\n{listed}")


def look(pid):
    from .. import _stoa

    view = _stoa._look(pid)
    view["time"] = time.monotonic()
    return view


def size(count):
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def rates(view, before):
    """Calls a second by path; since the start of the process where there is no look before."""
    for title, counter in PATHS.items():
        now = view["counters"].get(counter, 0)
        if before is None:
            yield f"{title} {now:,}"
        else:
            elapsed = max(view["time"] - before["time"], 1e-6)
            yield f"{title} {(now - before['counters'].get(counter, 0)) / elapsed:,.0f}/s"


def waiting(thing, interpreters):
    for waiter in thing["waiters"]:
        where = interpreters.get(waiter["interpreter"], "outside")
        whom = f" (held by thread {waiter['whom']})" if waiter["whom"] else ""
        who = f"thread {waiter['thread']}" if waiter["thread"] else "a task"
        yield f"      {who} in {where} waits to {waiter['what']}{whom}"


def executor(thing, view, before):
    """'name': tasks that wait, what its workers do, tasks done (and a second, where there is a look before)."""
    earlier = {t["id"]: t for t in before["things"]} if before else {}
    rate = ""
    if "done" in earlier.get(thing["id"], ()):
        elapsed = max(view["time"] - before["time"], 1e-6)
        rate = f", {(thing['done'] - earlier[thing['id']]['done']) / elapsed:,.0f}/s"
    workers = f"{thing['workers']} of {thing['max_workers']} workers, {thing['idle']} idle"
    return f"{thing['name']!r}: {thing['depth']} queued, {workers}, {thing['done']:,} done{rate}"


def lines(view, before=None):
    interpreters = {i["serial"]: plain(i["name"]) for i in view["interpreters"]}
    yield f"process {view['pid']}  {command_line(view['pid'])[:100]}"
    yield "calls: " + "  ".join(rates(view, before))
    yield f"interpreters ({len(interpreters)})"
    for i in view["interpreters"]:
        yield f"  {i['id']:>4}  {plain(i['name']):<32} {i['state']:<8} threads inside {i['inside']}"
    yield f"regions ({len(view['regions'])})"
    for r in view["regions"]:
        limit = f" of {size(r['limit'])}" if r["limit"] else ""
        yield f"  {r['id']:>4}  {plain(r['name']):<32} {size(r['used_bytes'])}{limit}, {r['objects']:,} objects"
    yield f"queues, locks, executors ({len(view['things'])})"
    for t in view["things"]:
        limit = f"/{t['limit']}" if t["limit"] else ""
        state = " shut or broken" if t["shut"] else ""
        if t["kind"] == "Executor":
            yield f"  {t['id']:>4}  {t['kind']:<10} {executor(t, view, before)}{state}"
            continue
        yield f"  {t['id']:>4}  {t['kind']:<10} {t['depth']}{limit}, {len(t['waiters'])} waiting{state}"
        yield from waiting(t, interpreters)
    yield f"names ({len(view['names'])})"
    for n in sorted(view["names"], key=lambda n: n["name"])[:40]:
        yield f"        {plain(n['name'])}" + (" (proxy or thing)" if n["kind"] == "handle" else "")


def watch(pid, interval):
    """Until the process ends or Ctrl-C."""
    from .. import Error

    before = None
    while True:
        try:
            view = look(pid)
        except (ProcessLookupError, Error):
            if before is None:
                raise
            print(f"process {pid} has ended")
            return 0
        sys.stdout.write("\x1b[H\x1b[2J" if sys.stdout.isatty() else "\n")
        print("\n".join(lines(view, before)), flush=True)
        before = view
        time.sleep(interval)


def run(args):
    from .. import Error

    try:
        pid = choose(args)
        if not (args.once or args.json):
            return watch(pid, max(args.interval, 0.05))
        view = look(pid)
    except BrokenPipeError:
        raise  # our own output's
    except PermissionError:
        print(f"stoa top: process {pid} is not yours to look into: it belongs to another user, or is protected", file=sys.stderr)
        return 1
    except (LookupError, OSError, Error) as error:
        print(f"stoa top: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(view))
    else:
        print("\n".join(lines(view)))
    return 0
