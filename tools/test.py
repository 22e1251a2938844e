#!/usr/bin/env python3
"""Runs the tests of one build folder, shows progress, and ends in one plain line: N passed, N failed[, N skipped].

    tools/test.py [-j JOBS] [-R REGEX] [-E REGEX] [-L LABEL] [--slowest N] [--list] [-v] BUILD

Tests are what CMake registered (`ctest` runs the same). This counts the cases inside them: cmocka's, unittest's, and
those of any program that prints such a line itself; any other program is one case. A crash or a hang is one failure.
A test that hangs is asked for the stacks of its threads before it is killed with everything it started. Before the last
line stand the tests that took most processor time, which is what a run on few cores is made of.
"""
import argparse
import concurrent.futures
import heapq
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

PLAIN = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)
CASE = re.compile(r"^(ok|FAILED|skipped) +\S.* \(\d+\.\d+ s\)$", re.M)  # tests/python/run.py, if it did not get to the plain line
CMOCKA_CASE = re.compile(r"^\[ +(RUN|OK|FAILED|SKIPPED|ERROR) +\] +(.+)$")


class Test:
    def __init__(self, entry):
        properties = {p["name"]: p["value"] for p in entry.get("properties", [])}
        self.name = entry["name"]
        self.command = entry.get("command")
        self.timeout = float(properties.get("TIMEOUT", 120))
        self.labels = properties.get("LABELS", [])
        self.skip_code = properties.get("SKIP_RETURN_CODE", 77)
        self.folder = properties.get("WORKING_DIRECTORY")
        self.locks = sorted(properties.get("RESOURCE_LOCK", []))
        self.environment = dict(e.split("=", 1) for e in properties.get("ENVIRONMENT", []))
        self.alone = str(properties.get("RUN_SERIAL", "")).upper() in ("1", "ON", "TRUE")


class Outcome:
    def __init__(self, passed, failed, skipped, why, output, seconds, cpu):
        self.passed, self.failed, self.skipped = passed, failed, skipped
        self.why, self.output, self.seconds, self.cpu = why, output, seconds, cpu


def count_cmocka(text):
    """Cases between `Running N test(s)` and `N test(s) run`; the summary names the failed ones a second time."""
    passed = failed = skipped = 0
    inside, open_case = False, None
    for line in text.splitlines():
        if line.startswith("[==========]"):
            if "Running" in line:
                inside = True
            elif "run" in line:
                inside = False
            continue
        match = CMOCKA_CASE.match(line) if inside else None
        if not match:
            continue
        word, name = match.groups()
        if word == "RUN":
            failed += open_case is not None
            open_case = name
        elif name == open_case:
            passed += word == "OK"
            failed += word in ("FAILED", "ERROR")
            skipped += word == "SKIPPED"
            open_case = None
    return passed, failed + (open_case is not None), skipped


def count(text, code, skip_code):
    plain = PLAIN.findall(text)
    if plain:
        passed, failed, skipped = (int(n or 0) for n in plain[-1])
    else:
        passed, failed, skipped = count_cmocka(text)
        cases = CASE.findall(text)
        if cases and not passed + failed + skipped:
            passed, skipped = cases.count("ok"), cases.count("skipped")
            failed = cases.count("FAILED") + 1  # the one that it died of
    if code == skip_code and not failed:
        return passed, 0, skipped or 1
    if code != 0 and not failed:
        failed = 1
    if code == 0 and not passed + failed + skipped:
        passed = 1
    return passed, failed, skipped


def describe(code):
    if code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit code {code}"


def stacks_of(pid):
    """What a debugger says of a process that hangs; nothing where there is none."""
    if not shutil.which("gdb"):
        return ""
    try:
        done = subprocess.run(["gdb", "-p", str(pid), "-batch", "-nx", "-ex", "thread apply all bt 30"], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
        return done.stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def kill_group(pid, number):
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


class Late:
    """What becomes of a process that has not ended after `seconds`: its stacks are taken, then it is killed."""

    def __init__(self, pid, seconds):
        self.pid, self.came, self.stacks = pid, False, ""
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, args=(seconds,), daemon=True)
        self.thread.start()

    def watch(self, seconds):
        if self.ended.wait(seconds):
            return
        self.came = True
        self.stacks = stacks_of(self.pid)
        kill_group(self.pid, signal.SIGABRT)
        if not self.ended.wait(5):
            kill_group(self.pid, signal.SIGKILL)

    def stop(self):
        """The process has ended; what its stacks were, if it was late."""
        self.ended.set()
        self.thread.join()
        return self.stacks


def reap(process):
    """Waits for the end of a process; its exit code, and the processor time of it and of the children that it waited for."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_utime + used.ru_stime


class Runner:
    def __init__(self, build, verbose):
        self.build, self.verbose = build, verbose
        self.locks = {}
        self.running = {}
        self.guard = threading.Lock()

    def run(self, test):
        held = [self.locks.setdefault(name, threading.Lock()) for name in test.locks]
        for lock in held:
            lock.acquire()
        started = time.perf_counter()
        with self.guard:
            self.running[test.name] = started
        try:
            return self.run_now(test, started)
        finally:
            with self.guard:
                del self.running[test.name]
            for lock in reversed(held):
                lock.release()

    def run_now(self, test, started):
        if not test.command or not os.path.exists(shutil.which(test.command[0]) or test.command[0]):
            return Outcome(0, 1, 0, "it was not built", "", 0.0, 0.0)
        environment = {**os.environ, **test.environment}
        for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):  # a test that runs make is not a part of the one that runs us
            environment.pop(name, None)
        with tempfile.TemporaryFile() as out:
            process = subprocess.Popen(test.command, cwd=test.folder or self.build, env=environment,
                                       stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                       start_new_session=True)
            late = Late(process.pid, test.timeout)
            code, cpu = reap(process)
            extra = late.stop()
            kill_group(process.pid, signal.SIGKILL)  # what it may have left behind
            out.seek(0)
            text = out.read().decode("utf-8", "replace") + extra
        why = ""
        if late.came:
            passed, failed, skipped = count(text, 1, None)
            why = f"hangs: no end after {test.timeout:.0f} s"
        else:
            passed, failed, skipped = count(text, code, test.skip_code)
            if code not in (0, test.skip_code):
                why = describe(code)
        return Outcome(passed, failed, skipped, why, text, time.perf_counter() - started, cpu)


def show(test, outcome, number, total, verbose):
    parts = [f"{outcome.passed} passed"]
    if outcome.failed:
        parts.append(f"{outcome.failed} FAILED")
    if outcome.skipped:
        parts.append(f"{outcome.skipped} skipped")
    text = ", ".join(parts) + (f" ({outcome.why})" if outcome.why else "")
    print(f"[{number:{len(str(total))}}/{total}] {test.name:<32} {text}  {outcome.seconds:.1f} s", flush=True)
    if outcome.failed or verbose:
        lines = outcome.output.rstrip().splitlines()
        if len(lines) > 400 and not verbose:
            lines = lines[:100] + [f"... {len(lines) - 300} lines left out ..."] + lines[-200:]
        for line in lines:
            print("    | " + line)
        sys.stdout.flush()


def read_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("-R", dest="only", help="only tests whose name matches")
    parser.add_argument("-E", dest="without", help="no tests whose name matches")
    parser.add_argument("-L", dest="label", help="only tests with a label that matches")
    parser.add_argument("-v", dest="verbose", action="store_true", help="show what passing tests print, too")
    parser.add_argument("--slowest", type=int, default=10, metavar="N", help="how many of the slowest are named at the end")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("build")
    return parser.parse_args()


def main():
    options = read_options()
    # what a script starts with `&` ignores Ctrl-C and hands that on, and a program that ignores it cannot show what it does
    signal.signal(signal.SIGINT, signal.default_int_handler)

    build = os.path.abspath(options.build)
    listing = subprocess.run(["ctest", "--show-only=json-v1"], cwd=build, check=True, stdout=subprocess.PIPE, text=True)
    tests = [Test(entry) for entry in json.loads(listing.stdout)["tests"]]
    if options.only:
        tests = [t for t in tests if re.search(options.only, t.name)]
    if options.without:
        tests = [t for t in tests if not re.search(options.without, t.name)]
    if options.label:
        tests = [t for t in tests if any(re.search(options.label, label) for label in t.labels)]
    if options.list:
        print(*(t.name for t in tests), sep="\n")
        return 0
    if not tests:
        print(f"no test of {options.build} has such a name or label; {sys.argv[0]} --list {options.build} names all\n0 passed, 0 failed")
        return 1

    runner = Runner(build, options.verbose)
    passed = failed = skipped = number = 0
    broken, times = [], []
    started = time.perf_counter()
    told = started
    for group, jobs in (([t for t in tests if not t.alone], options.jobs), ([t for t in tests if t.alone], 1)):
        with concurrent.futures.ThreadPoolExecutor(max(1, jobs)) as pool:
            futures = {pool.submit(runner.run, test): test for test in group}
            pending = set(futures)
            while pending:
                done, pending = concurrent.futures.wait(pending, 5, concurrent.futures.FIRST_COMPLETED)
                for future in sorted(done, key=lambda f: futures[f].name):
                    test, outcome = futures[future], future.result()
                    number += 1
                    passed += outcome.passed
                    failed += outcome.failed
                    skipped += outcome.skipped
                    times.append((outcome.cpu, test.name))
                    if outcome.failed:
                        broken.append(f"{test.name}: {outcome.failed} failed" + (f" ({outcome.why})" if outcome.why else ""))
                    show(test, outcome, number, len(tests), options.verbose)
                    told = time.perf_counter()
                if not done and time.perf_counter() - told > 20:
                    told = time.perf_counter()
                    with runner.guard:
                        names = ", ".join(f"{n} ({told - since:.0f} s)" for n, since in runner.running.items())
                    print(f"        still running: {names}", flush=True)
    print(f"\n{len(tests)} test programs of {os.path.basename(build)} in {time.perf_counter() - started:.0f} s,"
          f" processor time {sum(cpu for cpu, _ in times):.0f} s, most of it:")
    for cpu, name in heapq.nlargest(options.slowest, times):
        print(f"  {cpu:6.1f} s {name}")
    for line in broken:
        print("  " + line)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
