"""What runs inside a serving interpreter. The same for both ways, but for the one line that gets the index."""

import gc
import hashlib
import os
import pickle
import time

import stoa

from .index import Searcher

# This interpreter's own: a module is imported once an interpreter.
held = {}


def hold_queries(batches):
    """The batches to answer, each a tuple of str; or the path of a pickle of them."""
    if isinstance(batches, str):
        with open(batches, "rb") as file:
            batches = pickle.load(file)
    held["batches"] = batches
    gc.collect()


def hold_shared(name, query):
    """Finds the published index; returns the moment at which it has answered its first query."""
    return ready(stoa.lookup(name), query)


def hold_private(path, query):
    """Unpickles a copy of its own, as fast as pickle can: the cyclic collector has nothing to find and is off."""
    gc.disable()
    try:
        with open(path, "rb") as file:
            index = pickle.load(file)
    finally:
        gc.enable()
    gc.freeze()
    return ready(index, query)


def ready(index, query):
    held["searcher"] = Searcher(index)
    held["searcher"].search(query)
    moment = time.perf_counter()
    gc.collect()
    return moment


def warm_up():
    """Part of the first batch, unmeasured."""
    search = held["searcher"].search
    for batch in held["batches"][:1]:
        for query in batch[:200]:
            search(query)


def answer(progress_fd):
    """Answers all batches. Returns (digests, begin, end, cpu): one digest a batch, made of all its answers."""
    search = held["searcher"].search
    digests = []
    begin, cpu = time.perf_counter(), time.thread_time()
    for batch in held["batches"]:
        answers = [search(query) for query in batch]
        digests.append(hashlib.blake2b(repr(answers).encode(), digest_size=16).hexdigest())
        os.write(progress_fd, len(batch).to_bytes(8, "little"))
    return tuple(digests), begin, time.perf_counter(), time.thread_time() - cpu
