"""The workload: words and prefixes drawn from the text as often as they occur in it, phrases around any of its words.

A phrase starts at a word drawn from the vocabulary, where each word counts once: people look for phrases by a word that
says something, and seldom for "in the".
"""

from bisect import bisect_right
from random import Random

from .index import pieces_of
from .words import find_words

WORDS, PREFIXES = 0.6, 0.2  # the rest are phrases
MISSES = 0.02


def draw(searcher, count, seed):
    """`count` queries as a list of str, the same for the same index and seed."""
    random = Random(seed)
    total = searcher.totals[-1]
    if not total:
        return []
    queries = []
    for _ in range(count):
        kind = random.random()
        if kind < WORDS + PREFIXES:
            word = searcher.terms[bisect_right(searcher.totals, random.randrange(total)) - 1]
        else:
            word = random.choice(searcher.terms)
        if random.random() < MISSES:
            word += "qzx"
        if kind < WORDS:
            queries.append(word)
        elif kind < WORDS + PREFIXES:
            queries.append(word[: random.randint(3, 5)] + "*")
        else:
            queries.append(draw_phrase(searcher, word, random))
    return queries


def draw_phrase(searcher, word, random):
    """Two or three words as they stand in a line with this word."""
    numbers = searcher.postings.get(word)
    if numbers is None:
        return f'"{word} is missing"'
    piece = memoryview(random.choice(pieces_of(numbers))).cast("I")
    _, _, line = searcher.snippet(random.choice(piece))
    words = find_words(line.lower())
    if word not in words:  # it stands beyond the end of the snippet
        return f'"{word}"'
    at = words.index(word)
    return '"' + " ".join(words[at : at + random.randint(2, 3)]) + '"'
