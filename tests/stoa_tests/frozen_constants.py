"""CPython's own test modules with every constant frozen.

    build/python -m stoa_tests.frozen_constants [options] [test_x ...]     (no name: the whole list below)

Each module of the standard `test` package runs in a process of its own, compiled with all co_consts, of nested code
objects too, replaced by shared objects, the write guard strict; and in another one, in the same kind of interpreter, as it
is. Wanted: no write into the heap, and no failure that the plain run does not have. So of the plain module only the
cases that did not pass are run, and all of them where that leaves anything open. A crash or a hang is one failure, with
the stacks. Where the plain run itself crashes, the case that crashed is left out of both.

Only constants are replaced: names tuples (co_names, co_varnames ...) are what hazard W13 is about.
"""
import argparse
import concurrent.futures
import importlib.machinery
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import types

MODULES = """test_tuple test_dict test_set test_str test_bytes test_int test_float test_complex test_range test_slice test_string
test_json test_re test_copy test_pickle test_collections test_itertools test_functools test_enum test_dataclasses test_marshal
test_gc test_list test_bool test_hash test_unpack test_keywordonlyarg test_extcall test_patma test_compile test_code test_codecs
test_descr test_generators test_format test_fstring test_heapq test_bisect test_operator test_weakset test_weakref test_types
test_typing test_unicodedata test_struct test_memoryview test_datetime test_decimal test_fractions test_statistics test_ast
test_inspect test_textwrap test_userdict test_userlist test_userstring test_contextlib test_graphlib test_ordered_dict
test_defaultdict test_deque test_opcache test_peepholer test_syntax test_grammar test_scope test_super test_property
test_exceptions test_raise test_with test_named_expressions test_positional_only_arg test_call test_long test_isinstance
test_augassign test_compare test_contains test_index test_iter test_enumerate test_zip test_sort test_reprlib test_pprint
test_fnmatch test_glob test_shlex test_csv test_configparser test_base64 test_binascii test_zlib test_hashlib
test_print test_richcmp test_strtod test_unary test_urlparse test_html test_difflib test_tokenize test_keyword test_abc""".split()

REQUIRED = MODULES[:22]  # what the project promises to run; the others come along with --all

# Differences that the documentation names: `is` between a constant and the interpreter's own interned string, and
# assertions about reference counts or gc tracking of a constant. {module: {part of a test's id: reason}}
DOCUMENTED = {"test_marshal": {"InterningTestCase.testIntern": "sys.intern of a shared str gives that one, not the interpreter's own"}}

# Left out of both runs: 3.12 does not limit the digits of ints in interpreters of their own, so these take minutes.
ENDLESS = ("test_denial_of_service_prevented", "test_disabled_limit", "PyLongModuleTests") if sys.version_info < (3, 13) else ()


# ---- freezing the constants of code ----------------------------------------------------------------------------------
def freeze_code(code):
    """The code object with shared constants, and nested ones likewise."""
    import stoa

    nested = any(type(const) is types.CodeType for const in code.co_consts)
    if not nested:
        return code.replace(co_consts=stoa.share(code.co_consts))
    consts = (freeze_code(const) if type(const) is types.CodeType else stoa.share(const) for const in code.co_consts)
    return code.replace(co_consts=tuple(consts))


class FreezingLoader(importlib.machinery.SourceFileLoader):
    """Compiles from source, never from or to a bytecode cache, and freezes what it compiles."""

    def path_stats(self, path):
        raise OSError("no cache: each module is compiled anew")

    def set_data(self, path, data, **_):
        pass

    def source_to_code(self, *arguments, **options):
        return freeze_code(super().source_to_code(*arguments, **options))


class FreezingFinder:
    """Loads the modules of the `test` package, but not its support code; with `everything`, all that is not loaded yet."""

    def __init__(self, everything):
        self.everything = everything

    def find_spec(self, name, path=None, target=None):
        support = name.startswith(("test.support", "test.libregrtest", "stoa"))
        if support or not (self.everything or name.startswith("test.")):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = FreezingLoader(spec.loader.name, spec.loader.path)
            spec.cached = None
            return spec
        return None


def stand_in_for_test_extensions():
    """Some test modules import an extension that an interpreter with a GIL of its own does not load, and would be skipped
    whole for it. With a stand-in only the cases that use it fail, in the plain run as in the frozen one."""
    import importlib
    from unittest import mock

    for name in ("_testcapi", "_testlimitedcapi", "_testinternalcapi", "_testbuffer"):
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = mock.MagicMock(name=name)


# ---- the child: one module, one interpreter --------------------------------------------------------------------------
def run_module(module, frozen, everything, excluded, only, path):
    """Runs the tests of test.<module> in this interpreter, with `only` those of that list; a line for each event goes to the
    file `path`."""
    import unittest
    from test import support

    import stoa

    support.use_resources = ()  # nothing that takes the network, much time or much memory
    support.verbose = 0

    class Result(unittest.TestResult):
        def event(self, what, test, details=""):
            record = json.dumps([what, test.id(), details])
            with open(path, "a") as file:
                file.write(record + "\n")

        def startTest(self, test):
            super().startTest(test)
            self.event("start", test)

        def addSuccess(self, test):
            self.event("ok", test)

        def addSkip(self, test, reason):
            self.event("skip", test, reason)

        def addFailure(self, test, err):
            self.event("fail", test, self._exc_info_to_string(err, test))

        addError = addFailure

        def addSubTest(self, test, subtest, err):
            if err is not None:
                self.event("fail", test, self._exc_info_to_string(err, test))

        def addExpectedFailure(self, test, err):
            self.event("ok", test)

        def addUnexpectedSuccess(self, test):
            self.event("fail", test, "unexpected success")

    elsewhere = stoa.current().id != stoa.main().id

    def leave_out(suite):
        for index, test in enumerate(suite):
            if isinstance(test, unittest.TestSuite):
                leave_out(test)
            elif test.id() in excluded or (elsewhere and any(part in test.id() for part in ENDLESS)):
                suite._tests[index] = unittest.TestSuite()
            else:
                result.event("there", test)
                if only is not None and test.id() not in only:
                    suite._tests[index] = unittest.TestSuite()
        return suite

    stand_in_for_test_extensions()
    if frozen:
        sys.meta_path.insert(0, FreezingFinder(everything))
    result = Result()
    try:
        suite = unittest.defaultTestLoader.loadTestsFromName(f"test.{module}")
    except unittest.SkipTest as skip:
        result.event("skip", unittest.FunctionTestCase(run_module), f"{module}: {skip}")
        return
    output, sys.stdout = sys.stdout, io.StringIO()
    try:
        leave_out(suite).run(result)
    finally:
        sys.stdout = output
    result.event("end", unittest.FunctionTestCase(run_module))


def child(options):
    import faulthandler

    faulthandler.enable(all_threads=True)
    faulthandler.dump_traceback_later(options.timeout - 5, exit=True)
    import stoa

    only = None if options.mode != "some" else options.only
    arguments = (options.modules[0], options.mode == "frozen", options.everything, options.exclude, only, options.result)
    if options.kind == "main":
        run_module(*arguments)
    else:
        with stoa.Interpreter(name=options.modules[0], gil="own") as interpreter:
            interpreter.exec(f"from stoa_tests.frozen_constants import run_module\nrun_module(*{arguments!r})")
    faulthandler.cancel_dump_traceback_later()


# ---- the parent ------------------------------------------------------------------------------------------------------
class Run:
    """One child: what each case came to ("ok", "skip", "fail"), the details of failures, and how the process ended.
    `mode`: "frozen"; "plain"; "some", which is plain, but of the cases in `only`."""

    def __init__(self, module, kind, mode, excluded, options, only=()):
        self.cases, self.outcomes, self.details = set(), {}, {}
        self.last, self.finished = None, False
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            result = os.path.join(folder, "result")
            command = [sys.executable, "-m", "stoa_tests.frozen_constants", "--child", "--kind", kind, "--mode", mode, "--result", result,
                       "--timeout", str(options.timeout), *[part for name in excluded for part in ("--exclude", name)],
                       *[part for name in only for part in ("--only", name)], module]
            if options.everything:
                command.append("--everything")
            environment = dict(os.environ, STOA_GUARD="strict", PYTHONDONTWRITEBYTECODE="1")
            environment.pop("PYTHONSTARTUP", None)
            with open(os.path.join(folder, "output"), "w+", errors="replace") as output:
                process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
                self.status = self.watch(process, result, options)
                output.seek(0)
                self.output = output.read()
            if os.path.exists(result):
                self.read(result)
        self.seconds = time.perf_counter() - started

    @staticmethod
    def watch(process, result, options):
        """The exit status; a case that takes too long gets SIGABRT, so that the stacks are printed."""
        while True:
            try:
                return process.wait(1)
            except subprocess.TimeoutExpired:
                last = os.stat(result).st_mtime if os.path.exists(result) else 0
                if last and time.time() - last > options.stall:
                    process.send_signal(signal.SIGABRT)
                    process.wait()
                    return f"a case took more than {options.stall} s"

    def read(self, path):
        with open(path) as file:
            for line in file:
                what, case, details = json.loads(line)
                if what == "there":
                    self.cases.add(case)
                elif what == "start":
                    self.last = case
                elif what == "end":
                    self.finished = True
                elif self.outcomes.get(case) != "fail":
                    self.outcomes[case] = what
                    self.details[case] = details

    @property
    def crashed(self):
        return self.status != 0


def documented(module, case):
    return next((reason for part, reason in DOCUMENTED.get(module, {}).items() if part in case), None)


def table_line(module, kind, outcomes, worse, plain, frozen):
    counts = [sum(1 for outcome in outcomes.values() if outcome == what) for what in ("ok", "skip", "fail")]
    return f"{module:<24} {kind:<5} {counts[0]:>6} {counts[1]:>6} {counts[2]:>6} {worse:>6} {plain.seconds:>7.1f} {frozen.seconds:>7.1f}"


def agrees(frozen, plain, doubtful):
    """Is a frozen run all that it should be, as far as plain ones of the cases that did not pass tell?"""
    return (not plain.crashed and plain.finished and any(what == "ok" for what in frozen.outcomes.values())
            and plain.cases <= frozen.outcomes.keys() and all(plain.outcomes.get(case) == frozen.outcomes[case] for case in doubtful))


def compare(module, kind, options):
    """(line for the table, [problems], [notes]) of one module in one kind of interpreter."""
    frozen = Run(module, kind, "frozen", [], options)
    if not frozen.crashed and frozen.finished:
        doubtful = [case for case, what in frozen.outcomes.items() if what != "ok"]
        plain = Run(module, kind, "some", [], options, doubtful)
        if agrees(frozen, plain, doubtful):
            return table_line(module, kind, frozen.outcomes, 0, plain, frozen), [], []
    return compare_whole(module, kind, frozen, options)


def compare_whole(module, kind, frozen, options):
    """As compare(), against a plain run of all cases."""
    problems, notes, excluded = [], [], []
    while True:
        plain = Run(module, kind, "plain", excluded, options)
        if not plain.crashed or plain.finished or plain.last is None or plain.last in excluded or len(excluded) == 8:
            break
        excluded.append(plain.last)
        notes.append(f"{module} [{kind}]: the plain run crashes in {plain.last} ({plain.status}); left out")
    if plain.crashed and not plain.finished:
        return None, [f"{module} [{kind}]: the plain run crashes ({plain.status})\n{plain.output[-3000:]}"], notes
    if plain.crashed:
        notes.append(f"{module} [{kind}]: after its tests the plain run crashes ({plain.status})")
    if excluded:
        frozen = Run(module, kind, "frozen", excluded, options)
    if frozen.crashed and not (frozen.finished and frozen.status == plain.status):
        problems.append(f"{module} [{kind}]: crash or write in {frozen.last} ({frozen.status})\n{frozen.output[-6000:]}")
    for case, what in plain.outcomes.items():
        now = frozen.outcomes.get(case, "missing")
        if now in ("ok", what) or what == "fail" or (now == "missing" and frozen.crashed):
            continue
        if now == "skip":
            notes.append(f"{module} [{kind}]: {case}: skipped in the frozen run: {frozen.details.get(case, '')}")
            continue
        reason = documented(module, case)
        if reason is None:
            problems.append(f"{module} [{kind}]: {case}: plain {what}, frozen {now}\n{frozen.details.get(case, '')}")
        else:
            notes.append(f"{module} [{kind}]: {case}: {reason}")
    if not plain.outcomes:
        problems.append(f"{module} [{kind}]: no case ran\n{plain.output[-2000:]}")
    return table_line(module, kind, plain.outcomes, len(problems), plain, frozen), problems, notes


def available(module):
    try:
        return importlib.util.find_spec(f"test.{module}") is not None
    except ImportError:
        return False


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="stoa_tests.frozen_constants", description="CPython's test modules with frozen constants")
    parser.add_argument("modules", nargs="*", metavar="test_x")
    parser.add_argument("--all", action="store_true", help=f"all {len(MODULES)} modules of the list, not only the {len(REQUIRED)} promised ones")
    parser.add_argument("--where", default="main,own", help="main, own (an interpreter with a GIL of its own), or both (default)")
    parser.add_argument("--everything", action="store_true", help="freeze the constants of library modules, too, that are loaded meanwhile")
    parser.add_argument("--timeout", type=float, default=300, help="seconds a child may take")
    parser.add_argument("--stall", type=float, default=60, help="seconds a case may take")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    for hidden in ("--kind", "--mode", "--result"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    for hidden in ("--exclude", "--only"):
        parser.add_argument(hidden, action="append", default=[], help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        child(options)
        return 0
    if not available("test_tuple"):
        print("the `test` package of this Python is not installed: python.org's builds and pyenv have it, Debian calls it "
              f"libpython{sys.version_info[0]}.{sys.version_info[1]}-testsuite", file=sys.stderr)
        return 77
    names = options.modules or (MODULES if options.all else REQUIRED)
    missing = [name for name in names if not available(name)]
    names = [name for name in names if name not in missing]
    for name in missing:
        print(f"{name}: this Python has no such test module", flush=True)
    print(f"{'module':<24} {'where':<5} {'ok':>6} {'skip':>6} {'fail':>6} {'worse':>6} {'plain s':>7} {'frozen s':>7}", flush=True)
    problems, notes = [], []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = [pool.submit(compare, name, kind, options) for name in names for kind in options.where.split(",")]
        for job in jobs:
            line, bad, said = job.result()
            problems += bad
            notes += said
            if line:
                print(line, flush=True)
    for text in notes:
        print("note:", text)
    for text in problems:
        print("FAILED:", text)
    failed = len({text.partition(":")[0] for text in problems})
    print(f"{len(jobs) - failed} passed, {failed} failed")  # modules x interpreters
    return 1 if problems or (options.modules and missing) else 0


if __name__ == "__main__":
    sys.exit(main())
