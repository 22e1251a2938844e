"""Runs the unittest cases of one file in this process.

    build/python tests/python/run.py [--timeout SECONDS] [-k PATTERN] [-v] tests/python/test_x.py [Class[.test_name] ...]

One process a file: a crash or a hang is one failure and hurts nobody else. After SECONDS the stacks of all threads
are printed and the process ends. Prints one line a case and, last, `N passed, N failed, N skipped`.
Needs nothing but the standard library, so it runs on every Python. A test file may define `setUpModule`, `load_tests`
and all that; `tests/python` is on the import path, for helpers shared by test files.
"""
import argparse
import faulthandler
import importlib.util
import os
import signal
import sys
import time
import unittest


class LineResult(unittest.TestResult):
    """One line a case, at once, and the details of what failed under it; a case is counted once."""

    def __init__(self, verbose):
        super().__init__()
        self.verbose = verbose
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.begin()

    def begin(self):  # 3.12.1 calls stopTest, but not startTest, for a case that is skipped by decorator
        self.started = time.perf_counter()
        self.problems = []
        self.skip = None

    def line(self, outcome, test, details=""):
        took = time.perf_counter() - self.started
        print(f"{outcome:<8} {test.id().partition('.')[2] or test.id()} ({took:.2f} s)", flush=True)
        if details:
            print(details.rstrip(), flush=True)

    def startTest(self, test):
        super().startTest(test)
        self.begin()
        if self.verbose:
            print(f"start    {test.id().partition('.')[2]}", flush=True)

    def stopTest(self, test):
        if self.problems:
            self.counts["failed"] += 1
            self.line("FAILED", test, "\n".join(self.problems))
        elif self.skip is not None:
            self.counts["skipped"] += 1
            self.line("skipped", test, f"    {self.skip}")
        else:
            self.counts["passed"] += 1
            self.line("ok", test)
        self.begin()
        super().stopTest(test)

    def add_problem(self, test, err):
        text = self._exc_info_to_string(err, test)
        if isinstance(test, unittest.TestCase):
            self.problems.append(text)
        else:  # setUpModule, setUpClass: there is no case around it
            self.counts["failed"] += 1
            print(f"FAILED   {test.id()}\n{text}", flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        self.add_problem(test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.add_problem(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.problems.append(f"in {subtest.id().partition('.')[2]}\n{self._exc_info_to_string(err, subtest)}")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        if isinstance(test, unittest.TestCase):
            self.skip = reason
        else:  # a whole class or module
            self.counts["skipped"] += 1
            print(f"skipped  {test.id()}: {reason}", flush=True)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.problems.append("this was expected to fail, and passed")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timeout", type=float, default=0)
    parser.add_argument("-k", dest="patterns", action="append")
    parser.add_argument("-v", dest="verbose", action="store_true", help="say when a case starts, too")
    parser.add_argument("file")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background of a shell: tests send it, and are to be sent it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.enable(all_threads=True)
    if options.timeout > 0:
        faulthandler.dump_traceback_later(options.timeout, exit=True)

    path = os.path.abspath(options.file)
    name = os.path.splitext(os.path.basename(path))[0]
    sys.path.insert(0, os.path.dirname(path))
    sys.argv = [path]
    loader = unittest.TestLoader()
    if options.patterns:
        loader.testNamePatterns = [p if "*" in p else f"*{p}*" for p in options.patterns]
    try:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    except unittest.SkipTest as skip:
        print(f"skipped  {name}: {skip}\n0 passed, 0 failed, 1 skipped", flush=True)
        return 0
    suite = loader.loadTestsFromNames(options.names, module) if options.names else loader.loadTestsFromModule(module)
    result = LineResult(options.verbose)
    suite.run(result)
    faulthandler.cancel_dump_traceback_later()
    counts = result.counts
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped", flush=True)
    return 1 if counts["failed"] or not sum(counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
