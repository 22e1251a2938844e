"""The index: its shape, how the parts become one, and how a query is answered.

An index is a mapping of plain immutable objects:

    root         str
    files        tuple of (name, data, line_starts, line_words), by ascending word number
    file_bases   bytes, 32 bits a file: the number of its first word
    terms        tuple of all words, sorted: prefixes are found by bisection
    totals       bytes, 64 bits a term and one more: how often the terms before it occur, so that any range of terms is
                 counted by one subtraction
    postings     mapping word -> bytes of 32-bit word numbers; or a tuple of such bytes, one for each part that has the
                 word, in ascending order
    words        int

A word's number is its place in its file plus the file's base, so neighbours in the text are neighbours in number and no
phrase reaches over the end of a file. bytes are read through memoryview casts, which copy nothing.

Merging moves no data: files, words and postings of the parts are used where they are, by pointer.
"""

from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate
from struct import Struct

HITS = 3  # snippets in an answer
SNIPPET = 90  # characters of a snippet
WINDOW = 4096  # bytes of a line that are looked at for it: a line may be the whole file
PHRASE_LIMIT = 1000  # a phrase is counted up to here
CHUNK = 512  # word numbers that are looked at together in a phrase

PAIR = Struct("=2I")
LEADING = [Struct(f"={count}I") for count in range(HITS + 1)]


def merge(parts, root):
    """One index out of the parts of index_part, given in the order of the files. The caller freezes it."""
    postings = {}
    for part in parts:
        for word, numbers in part["postings"].items():
            have = postings.setdefault(word, numbers)
            if have is not numbers:
                postings[word] = (*pieces_of(have), numbers)
    terms = tuple(sorted(postings))
    counts = (sum(map(len, pieces_of(postings[term]))) // 4 for term in terms)
    records = [record for part in parts for record in part["files"]]
    return {
        "root": root,
        "files": tuple(record[:4] for record in records),
        "file_bases": array("I", (record[4] for record in records)).tobytes(),
        "terms": terms,
        "totals": array("Q", accumulate(counts, initial=0)).tobytes(),
        "postings": postings,
        "words": sum(part["words"] for part in parts),
    }


def pieces_of(numbers):
    """A postings value as a tuple of bytes."""
    return (numbers,) if type(numbers) is bytes else numbers


class Searcher:
    """Answers queries from one index. Holds a few views of it and nothing else."""

    def __init__(self, index):
        self.files = index["files"]
        self.bases = memoryview(index["file_bases"]).cast("I")
        self.terms = index["terms"]
        self.totals = memoryview(index["totals"]).cast("Q")
        self.postings = index["postings"]

    def search(self, query):
        """`word`, `prefix*` or `"a phrase"` -> (how often, which words, up to three snippets).

        How often: the number of places; for a phrase at most PHRASE_LIMIT. Which words: how many different words a
        prefix stands for, else 0 or 1. A snippet is (file, line, text of the line).
        """
        query = query.lower()
        if query.startswith('"'):
            return self.phrase(query.strip('"').split())
        if query.endswith("*"):
            return self.prefix(query[:-1])
        return self.word(query)

    def word(self, word):
        numbers = self.postings.get(word)
        if numbers is None:
            return 0, 0, ()
        if type(numbers) is bytes:
            return len(numbers) // 4, 1, self.first_hits(numbers)
        return sum(map(len, numbers)) // 4, 1, self.first_hits(numbers[0])

    def prefix(self, prefix):
        """Counts every word with this prefix; shows the first places of the first of them."""
        terms = self.terms
        low = bisect_left(terms, prefix)
        high = bisect_left(terms, prefix + "\U0010ffff", low)
        if low == high:
            return 0, 0, ()
        first = pieces_of(self.postings[terms[low]])[0]
        return self.totals[high] - self.totals[low], high - low, self.first_hits(first)

    def phrase(self, words):
        """The words one after the other. Starts from the rarest and asks the others for the neighbouring numbers."""
        lists = []
        for place, word in enumerate(words):
            numbers = self.postings.get(word)
            if numbers is None:
                return 0, 0, ()
            lists.append((sum(map(len, pieces_of(numbers))), place, pieces_of(numbers)))
        if not lists:
            return 0, 0, ()
        lists.sort()
        _, place, pieces = lists[0]
        found = []
        for piece in pieces:
            numbers = memoryview(piece).cast("I")
            for at in range(0, len(numbers), CHUNK):
                starts = [number - place for number in numbers[at : at + CHUNK]]
                for _, other, other_pieces in lists[1:]:
                    starts = following(starts, other, other_pieces)
                    if not starts:
                        break
                found += starts
                if len(found) >= PHRASE_LIMIT:
                    return PHRASE_LIMIT, 1, tuple(map(self.snippet, found[:HITS]))
        return len(found), 1 if found else 0, tuple(map(self.snippet, found[:HITS]))

    def first_hits(self, numbers):
        count = min(HITS, len(numbers) // 4)
        return tuple(map(self.snippet, LEADING[count].unpack_from(numbers)))

    def snippet(self, number):
        """(file, line, text) of the word with this number."""
        name, data, line_starts, line_words = self.files[bisect_right(self.bases, number) - 1]
        line = bisect_right(memoryview(line_words).cast("I"), number) - 1
        start, end = PAIR.unpack_from(line_starts, 4 * line)
        window = data[start : min(end - 1, start + WINDOW)]
        return name, line + 1, window.decode("utf-8", "ignore").strip()[:SNIPPET]  # ignored: a character that is cut


def following(starts, place, pieces):
    """Those of `starts` (ascending) for which start + place is among the numbers of `pieces`."""
    kept = []
    for piece in pieces:
        numbers = memoryview(piece).cast("I")
        low = bisect_left(numbers, starts[0] + place)
        high = bisect_right(numbers, starts[-1] + place, low)
        if high - low > 32 * len(starts):
            # few against many: one bisection each
            for start in starts:
                low = bisect_left(numbers, start + place, low, high)
                if low < high and numbers[low] == start + place:
                    kept.append(start)
        elif low < high:
            near = set(numbers[low:high])
            kept += [start for start in starts if start + place in near]
    return kept
