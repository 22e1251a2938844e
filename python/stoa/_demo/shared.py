"""Child process: builds the index with several interpreters, publishes it, serves it from the one copy."""

import os
import pickle
import time
from contextlib import ExitStack

import stoa

from . import serve, side
from .index import Searcher, merge
from .measure import memory, touch
from .queries import draw
from .scan import scan, split
from .words import index_part

INDEX, QUERIES = "stoa.demo.index", "stoa.demo.queries"
BATCH = 1000  # queries, at most: fewer where every interpreter would not get some


class Clock:
    """Seconds since the last lap."""

    def __init__(self):
        self.last = time.perf_counter()

    def lap(self):
        now = time.perf_counter()
        seconds, self.last = now - self.last, now
        return seconds


def find_files(parent):
    settings = parent.settings
    parent.stage("scan")
    try:
        files, skipped = scan(settings["root"], settings["suffixes"], settings["max_file"])
    except OSError as error:
        raise SystemExit(f"{settings['root']}: {error.strerror}; name a folder that can be read") from None
    if settings["max_total"] is not None:
        limit, kept = settings["max_total"], []
        for file in files:
            if (limit := limit - file[2]) >= 0:
                kept.append(file)
        files = kept
    return files, skipped


def build(parent, files, count):
    """The parts, made by `count` interpreters at once, each freezing its own."""
    total = sum(size for _, _, size in files)
    runs = split(files, count)
    reader, writer = os.pipe()
    with ExitStack() as stack:
        stack.callback(os.close, reader)
        stack.callback(os.close, writer)
        builders = [stack.enter_context(stoa.Interpreter(name=f"builder-{i}")) for i in range(len(runs))]
        futures = [builder.submit(index_part, run, writer) for builder, run in zip(builders, runs)]
        return side.wait_all(parent, "words", futures, reader, total)


def batches_of(queries, count):
    """For each of `count` interpreters the batches it answers."""
    size = min(BATCH, -(-len(queries) // (4 * count)) or 1)
    batches = [tuple(queries[at : at + size]) for at in range(0, len(queries), size)]
    return [tuple(batches[i::count]) for i in range(count)]


def samples(searcher, queries):
    """One answered query of each kind, to show."""
    shown = []
    for fits in (str.isidentifier, lambda query: query.endswith("*"), lambda query: " " in query):
        for query in queries:
            if fits(query) and len(query) > 5 and len((found := searcher.search(query))[2]) >= 2:
                shown.append((query, found))
                break
    return shown


def write_pickles(folder, index, batches):
    """What the private copies are loaded from. Returns the bytes of the index's pickle."""
    path = os.path.join(folder, "index.pickle")
    with open(path, "wb") as file:
        pickle.dump(index, file, protocol=pickle.HIGHEST_PROTOCOL)
    for i, mine in enumerate(batches):
        with open(os.path.join(folder, f"queries-{i}.pickle"), "wb") as file:
            pickle.dump(mine, file, protocol=pickle.HIGHEST_PROTOCOL)
    return os.path.getsize(path)


def main(parent):
    settings = parent.settings
    count = settings["interpreters"]
    clock = Clock()
    files, skipped = find_files(parent)
    times = {"scan": clock.lap()}
    parts = build(parent, files, count)
    times["words"] = clock.lap()
    skipped += [tuple(item) for part in parts for item in part["skipped"]]
    if not any(part["files"] for part in parts):
        return {"empty": True, "skipped": skipped}

    parent.stage("merge")
    private = merge(parts, settings["root"])
    times["merge"] = clock.lap()
    index = stoa.publish(INDEX, private)
    times["freeze"] = clock.lap()
    heap = heap_bytes()
    built_by = len(parts)
    del parts
    touch(index)
    alone, _ = memory()

    parent.stage("draw")
    clock.lap()
    searcher = Searcher(index)
    queries = draw(searcher, settings["queries"], settings["seed"])
    batches = batches_of(queries, count)
    times["draw"] = clock.lap()
    pickle_bytes = None
    if settings["folder"] is not None:
        parent.stage("pickle")
        pickle_bytes = write_pickles(settings["folder"], private, batches)
        times["pickle"] = clock.lap()
    del private
    shared_batches = stoa.publish(QUERIES, batches)
    shown = samples(searcher, queries)
    query = shown[0][0] if shown else "self"
    served = side.serve_queries(
        parent, count, lambda i: (serve.hold_shared, INDEX), query, lambda i: shared_batches[i], len(queries)
    )
    return {
        "empty": False,
        "skipped": skipped,
        "files": len(index["files"]),
        "text_bytes": sum(len(record[1]) for record in index["files"]),
        "lines": sum(data.count(b"\n") + (data[-1:] not in (b"", b"\n")) for _, data, _, _ in index["files"]),
        "words": index["words"],
        "terms": len(index["terms"]),
        "built_by": built_by,
        "heap_bytes": heap,
        "memory_alone": alone,
        "pickle_bytes": pickle_bytes,
        "times": times,
        "samples": shown,
        "first_query": query,
        "served": served,
    }


def heap_bytes():
    """Bytes of all objects in the shared heap."""
    return stoa.stats()["region"]["used_bytes"]


if __name__ == "__main__":
    side.run(main)
