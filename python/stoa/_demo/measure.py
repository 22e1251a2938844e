"""Memory of this process, as the kernel counts it."""

import gc


def trim():
    """Gives free memory back to the system, so that a reading shows what is in use."""
    gc.collect()
    try:
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)
    except (ImportError, OSError, AttributeError):  # another C library: the reading is a little higher
        pass


def memory():
    """(bytes, "pss" or "rss"): proportional set size, which counts a page once however often it is mapped; resident set
    size where the kernel does not tell the former."""
    trim()
    try:
        with open("/proc/self/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024, "pss"
    except OSError:
        pass
    with open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"VmRSS:"):
                return int(line.split()[1]) * 1024, "rss"
    return 0, "unknown"


def available():
    """Bytes that could still be used on this machine, or None when that is not known."""
    try:
        with open("/proc/meminfo", "rb") as file:
            for line in file:
                if line.startswith(b"MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def touch(index):
    """Reads a byte of every page of the index, so that the one copy is counted in full before anybody uses it."""
    total = 0
    for _, data, line_starts, line_words in index["files"]:
        total += sum(data[::4096]) + sum(line_starts[::4096]) + sum(line_words[::4096])
    for word, numbers in index["postings"].items():
        total += len(word)
        for piece in (numbers,) if type(numbers) is bytes else numbers:
            total += sum(piece[::4096])
    return total
