"""python -m stoa doctor: each line one thing that Stoa needs, what was found, and the remedy where it falls short.

Works, and says why, where `import stoa` itself fails.
"""

import json
import os
import platform
import re
import struct
import sys
import sysconfig
import time

OK, NOTE, BAD = "ok", "note", "bad"
SUPPORTED = ((3, 12), (3, 15))
GIB = 1 << 30
MARKS = {OK: "ok  ", NOTE: "note", BAD: "BAD "}


def check_python():
    version = sys.version_info[:2]
    found = f"{platform.python_implementation()} {platform.python_version()}, {8 * struct.calcsize('P')} bit"
    low, high = SUPPORTED
    if sys.implementation.name != "cpython" or struct.calcsize("P") != 8:
        return BAD, found, "use a 64-bit CPython"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return BAD, found + ", free-threaded", "use a default build: python3.14, not python3.14t"
    if not low <= version <= high:
        return BAD, found, f"use CPython {low[0]}.{low[1]} to {high[0]}.{high[1]}"
    return OK, found, ""


def check_kernel():
    found = f"{platform.system()} {platform.release()} on {platform.machine()}"
    if platform.system() != "Linux":
        return BAD, found, "use Linux; other systems are not supported yet"
    if platform.machine() not in ("x86_64", "aarch64"):
        return NOTE, found, "tested on x86-64 and arm64 only: run `make test` here before you rely on it"
    return OK, found, ""


def check_headers():
    header = os.path.join(sysconfig.get_path("include"), "Python.h")
    if os.path.exists(header):
        return OK, header, ""
    return NOTE, f"{header} is not there", "only building needs it: install python3-dev (apt) or python3-devel (dnf)"


def check_module():
    try:
        from .. import _stoa
    except ImportError as error:
        return BAD, str(error), "build it for this Python: make build PYTHON=" + (sys.executable or "…")
    except Exception as error:
        return BAD, f"{type(error).__name__}: {error}", "mend what it says; the settings are listed by: python -m stoa info"
    return OK, f"{_stoa.__file__}", ""


def check_memfd():
    if not hasattr(os, "memfd_create"):
        return NOTE, "this Python has no os.memfd_create", "Stoa then uses an unlinked file in /dev/shm"
    try:
        os.close(os.memfd_create("stoa-doctor"))
    except OSError as error:
        return NOTE, f"memfd_create: {error.strerror}", "a sandbox may forbid it; Stoa then uses an unlinked file in /dev/shm"
    return OK, "memfd_create works", ""


def check_address_space():
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return OK, "no limit", ""
    found = f"limited to {soft / GIB:,.1f} GiB"
    if soft < 4 * GIB:
        return NOTE, found, "the heap will be small: raise it (ulimit -v unlimited), or set STOA_HEAP_RESERVE to what fits"
    return NOTE, found, "the heap reserves less than its usual 1 TiB of addresses: enough unless you share more than that"


def check_overcommit():
    mode = read("/proc/sys/vm/overcommit_memory")
    if mode == "2":
        return NOTE, "vm.overcommit_memory = 2", "address space is counted as memory: sysctl vm.overcommit_memory=0, or a small STOA_HEAP_RESERVE"
    return OK, f"vm.overcommit_memory = {mode or 'unknown'}", ""


def check_memory_limit():
    text = read("/sys/fs/cgroup/memory.max")
    if text is None or text == "max":
        return OK, "no limit by a control group", ""
    return NOTE, f"control group: {int(text) / GIB:,.1f} GiB", "shared objects count towards it: set STOA_HEAP_LIMIT below it to get MemoryError instead of a killed process"


def check_huge_pages():
    text = read("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
    if text is None:
        return NOTE, "the kernel does not tell", "nothing to do: small pages work, reading is a little slower"
    chosen = text.partition("[")[2].partition("]")[0]
    if chosen in ("never", "deny") and kernel_version() < (6, 1):
        return NOTE, f"shmem_enabled = {chosen}", "for faster reading: echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled"
    return OK, f"shmem_enabled = {chosen}" + ", and the kernel makes them on request" * (kernel_version() >= (6, 1)), ""


def check_memory_readings():
    if read("/proc/self/smaps_rollup") is None:
        return NOTE, "/proc/self/smaps_rollup cannot be read", "the demo shows resident instead of proportional set sizes"
    return OK, "/proc/self/smaps_rollup", ""


def check_guard():
    mode = os.environ.get("STOA_GUARD")
    if mode is None:
        return OK, "STOA_GUARD is not set: tolerate", ""
    if mode not in ("strict", "tolerate", "off"):
        return BAD, f"STOA_GUARD={mode}", "set it to strict, tolerate or off"
    if mode == "off":
        return NOTE, "STOA_GUARD=off", "a stray write ends the process without saying whose object it was; unset it to be told"
    return OK, f"STOA_GUARD={mode}", ""


def check_library():
    from .. import _stoa

    found = _stoa.build_info()
    built_for, running = found["built_for"], platform.python_version()
    text = f"Stoa {found['library']} for Python {built_for}, jemalloc {found['jemalloc']}, xxHash {found['xxhash']}"
    if tuple(map(int, found["jemalloc"].split("-")[0].split(".")[:2])) < (5, 3):
        return BAD, text, "build with jemalloc 5.3 or newer: see STOA_JEMALLOC_SOURCE in tools/jemalloc.sh"
    if built_for.rpartition(".")[0] != running.rpartition(".")[0]:
        return BAD, text, f"this is Python {running}: build again for it"
    return OK, text, ""


def check_interpreter():
    import stoa

    begin = time.perf_counter()
    with stoa.Interpreter(name="doctor") as interpreter:
        answer = interpreter.call("math:sqrt", 49.0)
    took = time.perf_counter() - begin
    if answer != 7.0:
        return BAD, f"math.sqrt(49.0) gave {answer!r} there", "please report it"
    return OK, f"made, called and closed in {took * 1e3:.0f} ms", ""


def check_sharing():
    import stoa

    frozen = stoa.freeze({"stoa": ["doctor", 1, 2.5, b"x"]})
    with stoa.Interpreter(name="doctor") as interpreter:
        same = interpreter.call("builtins:id", frozen) == id(frozen)
    if not same or not stoa.is_shared(frozen):
        return BAD, "another interpreter saw another object", "please report it"
    return OK, "another interpreter uses the same object at the same address", ""


CHECKS = (
    ("Python", check_python),
    ("kernel", check_kernel),
    ("Python headers", check_headers),
    ("extension module", check_module),
    ("libraries", check_library),
    ("memory file", check_memfd),
    ("address space", check_address_space),
    ("overcommit", check_overcommit),
    ("memory limit", check_memory_limit),
    ("huge pages", check_huge_pages),
    ("memory readings", check_memory_readings),
    ("write guard", check_guard),
    ("sub-interpreter", check_interpreter),
    ("sharing", check_sharing),
)
NEED_MODULE = (check_library, check_interpreter, check_sharing)


def kernel_version():
    """(major, minor); (0, 0) where the release is no such thing."""
    match = re.match(r"(\d+)\.(\d+)", platform.release())
    return tuple(map(int, match.groups())) if match else (0, 0)


def read(path):
    """The file's text without white space at its ends; None when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def examine():
    """[(what, status, found, remedy)]. A check that itself fails is a finding, too."""
    results, broken = [], False
    for what, check in CHECKS:
        if broken and check in NEED_MODULE:
            continue
        try:
            status, found, remedy = check()
        except Exception as error:
            status, found, remedy = BAD, f"{type(error).__name__}: {error}", "please report it with this line"
        broken = broken or check is check_module and status == BAD
        results.append((what, status, found, remedy))
    return results


def run(args):
    results = examine()
    bad = sum(status == BAD for _, status, _, _ in results)
    if args.json:
        keys = ("what", "status", "found", "remedy")
        print(json.dumps([dict(zip(keys, row)) for row in results], indent=1))
        return 1 if bad else 0
    for what, status, found, remedy in results:
        print(f"{MARKS[status]}  {what:17} {found}")
        if remedy:
            print(f"{'':24}-> {remedy}")
    notes = sum(status == NOTE for _, status, _, _ in results)
    print(f"\n{len(results)} checks: {bad} bad, {notes} with a note")
    return 1 if bad else 0
