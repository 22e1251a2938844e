"""The demo's parent process: starts the two measured children one after the other, shows their progress, compares."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time

from . import terminal
from .measure import available

MIB = 1 << 20
QUERIES, QUICK_QUERIES = 400_000, 20_000
QUICK_BYTES = 4 * MIB
# A private copy takes more memory than its pickle while it is being loaded.
COPY_FACTOR = 2.5


class DemoError(Exception):
    """What a user can mend; the text says how."""


def add_arguments(parser):
    parser.add_argument("dir", nargs="?", metavar="DIR", help="what to index (default: this Python's standard library)")
    parser.add_argument("-n", "--interpreters", type=positive, metavar="N", help="how many (default: one a core, at least 2)")
    parser.add_argument("-q", "--queries", type=positive, metavar="COUNT", help=f"how many (default: {QUERIES:,})")
    parser.add_argument("--suffix", action="append", metavar=".EXT", help="only files ending so; may be repeated")
    parser.add_argument("--max-file", type=file_size, default=16, metavar="MIB", help="skip larger files (default: 16)")
    parser.add_argument("--seed", type=int, default=1, help="of the drawn queries (default: 1)")
    parser.add_argument("--quick", action="store_true", help="a small part of the text, few queries: seconds")
    parser.add_argument("--no-baseline", action="store_true", help="leave the private copies out")
    parser.add_argument("--report", metavar="PATH", default="stoa-demo.html", help="the HTML page (default: %(default)s)")
    parser.add_argument("--no-report", action="store_true", help="write no page")
    parser.add_argument("--json", metavar="PATH", help="write the figures there, too; - is the standard output")


def positive(text):
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def file_size(text):
    value = positive(text)
    if value > 2048:
        raise ValueError(text)
    return value


def cores():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 2


def settings_of(args):
    """What the children are told."""
    root, suffixes = args.dir, args.suffix
    if root is None:
        root, suffixes = sysconfig.get_path("stdlib"), suffixes or [".py"]
    if os.path.exists(root) and not os.path.isdir(root):
        raise DemoError(f"{root}: a file; the demo wants a folder, and indexes the text files in it")
    if not os.path.isdir(root):
        raise DemoError(f"{root}: no such folder; name one that exists, or none for the standard library")
    return {
        "root": os.path.realpath(root),
        "suffixes": suffixes or [],
        "interpreters": args.interpreters or max(2, cores()),
        "queries": args.queries or (QUICK_QUERIES if args.quick else QUERIES),
        "max_file": args.max_file * MIB,
        "max_total": QUICK_BYTES if args.quick else None,
        "seed": args.seed,
        "folder": None,
    }


class Child:
    """One measured process: `python -m stoa._demo.<name>`. As a context manager it is ended with its block."""

    def __init__(self, name, settings):
        self.name = name
        self.stderr = tempfile.TemporaryFile()
        # A process group of its own: Ctrl-C reaches the parent alone, which then ends the child.
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"stoa._demo.{name}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env=environment(),
            process_group=0,
            encoding="utf-8",
        )
        try:
            with self.process.stdin as stdin:
                json.dump(settings, stdin)
        except BrokenPipeError:
            pass  # it died at once; result() says why

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        for end in (self.process.terminate, self.process.kill):
            if self.process.poll() is None:
                end()
                try:
                    self.process.wait(2)
                except subprocess.TimeoutExpired:
                    continue
        self.process.stdout.close()
        self.stderr.close()

    def result(self, progress):
        """Follows the child to its end. DemoError when it brought no result."""
        for line in self.process.stdout:
            message = json.loads(line)
            if "stage" in message:
                progress.show(**message)
            elif "error" in message:
                raise DemoError(message["error"])
            else:
                progress.finish()
                self.process.wait()
                return message["result"]
        code = self.process.wait()
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"
        self.stderr.seek(0)
        words = self.stderr.read().decode("utf-8", "replace").strip()
        raise DemoError(f"the process for the {self.name} way ended {how}; it said:\n{words or '(nothing)'}")


def environment():
    """Ours, with this package found by the child and its interpreters even where only sys.path leads to it."""
    env = dict(os.environ)
    parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if os.path.basename(parent) not in ("site-packages", "dist-packages"):
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (parent, env.get("PYTHONPATH"))))
    return env


def copies_that_fit(wanted, pickle_bytes):
    """How many private copies this machine's free memory holds."""
    free = available()
    if free is None:
        return wanted
    return min(wanted, int(free * 0.8 // (pickle_bytes * COPY_FACTOR)))


def measure_ways(settings, baseline, progress):
    """The results of both children; the second is None where it was not wanted or memory does not hold one copy."""
    with tempfile.TemporaryDirectory(prefix="stoa-demo-") as folder:
        settings = {**settings, "folder": folder if baseline else None}
        progress.way("one shared copy", settings["interpreters"])
        with Child("shared", settings) as child:
            shared = child.result(progress)
        if not baseline or shared["empty"]:
            return shared, None
        count = copies_that_fit(settings["interpreters"], shared["pickle_bytes"])
        if count < settings["interpreters"]:
            progress.note("memory does not hold a private copy for each interpreter: left out")
            return shared, None
        progress.way("private copies", count)
        settings = {**settings, "first_query": shared["first_query"]}
        with Child("private", settings) as child:
            return shared, child.result(progress)


def figures(settings, shared, private, seconds):
    """Everything that is shown, as plain data (and the content of --json)."""
    served = shared.pop("served")
    result = {
        "python": sys.version.split()[0],
        "machine": machine(),
        "root": settings["root"],
        "interpreters": settings["interpreters"],
        "queries": served["queries"],
        "seconds": seconds,
        **shared,
        "skipped": count_reasons(shared["skipped"]),
        "skipped_files": len(shared["skipped"]),
        "shared": way(served, shared["heap_bytes"]),
        "private": private and way(private, 0),
        "same": None,
    }
    if private:
        result["same"] = served["digests"] == private["digests"]
        result["batches"] = len(served["digests"])
    return result


def way(served, once):
    """One way's figures: `once` bytes are there however many interpreters there are."""
    each = max(0, served["memory_after"] - served["memory_before"]) / served["interpreters"]
    kept = ("opened", "ready", "per_second", "cpu_per_query", "span", "memory_kind")
    return {
        **{key: served[key] for key in kept},
        "memory_each": each,
        "memory_total": once + each * served["interpreters"],
    }


def machine():
    model = "unknown processor"
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    model = line.split(":", 1)[1].strip()
                    break
    except OSError:
        pass
    return f"{model}, {cores()} cores"


def count_reasons(skipped):
    """[(reason, how many, examples)], the most frequent first."""
    names = {}
    for name, reason in skipped:
        names.setdefault(reason, []).append(name)
    return sorted(((reason, len(found), found[:3]) for reason, found in names.items()), key=lambda row: -row[1])


def run(args):
    """Runs the demo; returns the exit status."""
    progress = terminal.Progress(sys.stderr if args.json == "-" else sys.stdout)
    begin = time.monotonic()
    try:
        settings = settings_of(args)
        progress.title(settings["root"])
        shared, private = measure_ways(settings, not args.no_baseline, progress)
        if shared["empty"]:
            terminal.print_skipped(progress.out, count_reasons(shared["skipped"]))
            raise DemoError(f"{settings['root']}: no text file to index; name a folder with UTF-8 text in it")
        result = figures(settings, shared, private, time.monotonic() - begin)
        terminal.print_result(progress.out, result)
        if not args.no_report:
            progress.write(f"\nReport: {write_report(args.report, result)}\n")
        if args.json:
            write_json(args.json, result)
    except DemoError as error:
        progress.finish()
        print(f"stoa demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        progress.finish()
        print("stoa demo: interrupted", file=sys.stderr)
        return 130
    if result["same"] is False:
        print("stoa demo: the two ways gave different answers; this is a bug in Stoa, please report it", file=sys.stderr)
        return 1
    return 0


def write_report(path, result):
    """Writes the page; into the folder for temporary files where `path` cannot be written. Returns where it is."""
    from .report import page

    text = page(result)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="stoa-demo-", suffix=".html", delete=False) as file:
            file.write(text)
        print(f"stoa demo: {path} cannot be written ({error.strerror}); using another place", file=sys.stderr)
        path = file.name
    return os.path.abspath(path)


def write_json(path, result):
    text = json.dumps(result, indent=1) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise DemoError(f"{path} cannot be written: {error.strerror}") from None
