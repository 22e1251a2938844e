"""Which files of a tree are indexed; what is left out, and why."""

import os
import stat

LEFT_OUT_FOLDERS = frozenset(
    (".git", ".hg", ".svn", ".tox", ".venv", "node_modules", "site-packages", "dist-packages")
)
# Word numbers are 32-bit and a file of n bytes is given n // 2 + 2 of them, so this many bytes fit with room to spare.
MAX_TOTAL = 7 << 30


def printable(path):
    """A path (bytes) as text that can be printed and frozen whatever its encoding."""
    return os.fsdecode(path).encode("utf-8", "backslashreplace").decode("utf-8")


def scan(root, suffixes=(), max_file=16 << 20, max_total=MAX_TOTAL):
    """Walks `root` without following symbolic links.

    Returns (files, skipped): files is a list of (name, path, size) sorted by name, with path as bytes; skipped is a
    list of (name, reason). Nothing found here is fatal; a root that is no readable directory raises OSError.
    """
    root = os.fsencode(os.path.realpath(root))
    suffixes = tuple(os.fsencode(suffix) for suffix in suffixes)
    files, skipped, total = [], [], 0
    folders = [(b"", root)]
    first = True
    while folders:
        prefix, folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if first:
                raise
            skipped.append((printable(prefix), f"folder cannot be read: {error.strerror}"))
            continue
        first = False
        for entry in found:
            relative = prefix + entry.name
            name = printable(relative)
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError as error:
                skipped.append((name, f"cannot be read: {error.strerror}"))
                continue
            if stat.S_ISDIR(info.st_mode):
                if entry.name == b"__pycache__":
                    continue  # nobody expects these
                if os.fsdecode(entry.name) in LEFT_OUT_FOLDERS:
                    skipped.append((name, "folder left out"))
                else:
                    folders.append((relative + b"/", entry.path))
            elif suffixes and not entry.name.endswith(suffixes):
                continue
            elif stat.S_ISLNK(info.st_mode):
                skipped.append((name, "symbolic link"))
            elif not stat.S_ISREG(info.st_mode):
                skipped.append((name, "not a regular file"))
            elif info.st_size > max_file:
                skipped.append((name, f"larger than {max_file >> 20} MiB"))
            elif total + info.st_size > max_total:
                skipped.append((name, f"beyond {max_total >> 20} MiB of text"))
            else:
                total += info.st_size
                files.append((name, entry.path, info.st_size))
    files.sort()
    return files, skipped


def split(files, count):
    """Cuts the sorted files into at most `count` runs of about equal bytes, none empty.

    Each file gets its base, the number of its first word: bases grow with the files, so that the runs can be indexed
    apart and word numbers still grow over the whole index.
    Returns a list of tuples of (name, path, size, base).
    """
    total = sum(size for _, _, size in files) or 1
    runs, base, seen = [[] for _ in range(count)], 0, 0
    for name, path, size in files:
        runs[min(count - 1, seen * count // total)].append((name, path, size, base))
        base += size // 2 + 2
        seen += size
    return [tuple(run) for run in runs if run]
