"""F12: the builder: text to shared tuples and mappings, by threads that hold no GIL and have no interpreter (bench/build_text.c)."""
import ctypes
import glob
import os
import time

import stoa  # noqa: F401  (prepares the runtime that the builder asks for)
from rows_parallel import scaling_rows


def library():
    folder = os.environ.get("STOA_BENCH_DIR") or os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(stoa._stoa.__file__))), "..", "bench")
    found = glob.glob(os.path.join(folder, "*build_text*.so"))
    if not found:
        raise RuntimeError(f"build_text is not built: no *build_text*.so in {folder}; `make build` makes it")
    lib = ctypes.CDLL(found[0])
    lib.bench_build_text.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_uint64, ctypes.c_uint, ctypes.POINTER(ctypes.c_double)]
    lib.bench_build_text.restype = ctypes.c_int
    lib.bench_error.restype = ctypes.c_char_p
    return lib


def rows(group, quick):
    lib = library()
    lines = 20_000 if quick else 200_000
    seed = 1

    def run(threads, flags):
        nonlocal seed
        seed += 10
        seconds = ctypes.c_double()
        cpu = time.process_time()
        if lib.bench_build_text(threads, lines, seed, flags, ctypes.byref(seconds)) != 0:
            raise RuntimeError(lib.bench_error().decode())
        return seconds.value, time.process_time() - cpu

    result = []
    for flags, label in ((0, "interned"), (1, "not interned")):
        run(1, flags)
        ones, twos = [], []
        for _ in range(3 if quick else 7):
            first, two, second = run(1, flags), run(2, flags), run(1, flags)
            ones += [first, second]
            twos.append(two)
        result += scaling_rows("F12", f"building from text, 2 threads, {label}", "lines/s", "1 thread", lines, ones, twos, 1.9)
    return result
