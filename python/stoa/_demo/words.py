"""The tokeniser: one interpreter turns its share of the files into a frozen part of the index."""

import os
import re
import stat
from array import array
from collections import defaultdict
from itertools import accumulate

import stoa

find_words = re.compile(r"\w+").findall
CHUNK = 1 << 20
LONGEST = 1000  # characters: what is longer is data that happens to have no spaces, and nobody asks for it


def read_text(path, size):
    """The file's bytes, or a str that says why not. `size` is what the scan saw."""
    try:
        # O_NONBLOCK: what was a file at the scan may be a pipe by now
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        return "vanished"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return "not a regular file"
        pieces = []
        left = size + 1
        while left > 0 and (piece := os.read(fd, min(left, CHUNK))):
            pieces.append(piece)
            left -= len(piece)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    finally:
        os.close(fd)
    data = b"".join(pieces)
    if len(data) > size:
        return "grew while being read"
    if b"\0" in data:
        return "binary"
    return data


def index_text(data, base, postings):
    """Enters the words of one file into postings (word -> array of word numbers).

    Returns (line_starts, line_words): for each line the offset of its first byte, with one more entry one past the
    end, and the number of the first word that is not before it. None when the text is not UTF-8.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    number = base
    line_words = array("I")
    begin_line = line_words.append
    for line in text.lower().split("\n"):
        begin_line(number)
        for word in find_words(line):
            postings[word].append(number)
            number += 1
    line_starts = array("I", accumulate((len(line) + 1 for line in data.split(b"\n")), initial=0))
    return line_starts.tobytes(), line_words.tobytes(), number - base


def new_positions():
    return array("I")


def index_part(files, progress_fd=None):
    """Indexes `files`, tuples (name, path, size, base). Returns the part, frozen:

        files     tuple of (name, data, line_starts, line_words, base)
        postings  mapping word -> bytes: its word numbers, ascending, 32 bits each; words over LONGEST only have numbers
        skipped   tuple of (name, reason)
        words     how many

    For each file the size of it is written to progress_fd as 8 bytes: a pipe is something that every interpreter of the
    process can write to.
    """
    postings = defaultdict(new_positions)
    records, skipped, words = [], [], 0
    for name, path, size, base in files:
        data = read_text(path, size)
        if isinstance(data, str):
            skipped.append((name, data))
        elif (lines := index_text(data, base, postings)) is None:
            skipped.append((name, "not UTF-8"))
        else:
            line_starts, line_words, count = lines
            records.append((name, data, line_starts, line_words, base))
            words += count
        if progress_fd is not None:
            os.write(progress_fd, size.to_bytes(8, "little"))
    return stoa.freeze(
        {
            "files": records,
            "postings": {word: positions.tobytes() for word, positions in postings.items() if len(word) <= LONGEST},
            "skipped": skipped,
            "words": words,
        }
    )
