"""A pipeline of interpreters over queues: one reads, two count, one adds up; each runs on a GIL of its own.

    build/python examples/pipeline.py [FOLDER]

Lines travel by value, the stop words as one shared object, and the counts come home as frozen mappings.
"""
import collections
import glob
import os
import sys
import threading

import stoa

READ = """
import glob
for path in paths.get():
    with open(path, encoding="utf-8", errors="replace") as file:
        lines.put_many(file)
lines.shutdown()  # who counts finishes what is in it
"""

COUNT = """
import collections, re, stoa
words = collections.Counter()
try:
    while True:
        for line in lines.get_many(200):
            words.update(word for word in re.findall("[a-z]+", line.lower()) if word not in stop)
except stoa.ShutDown:
    counts.put(stoa.freeze(dict(words)))
"""


def main(folder):
    paths, lines, counts = stoa.Queue(), stoa.Queue(maxsize=5000), stoa.Queue()
    stop = stoa.freeze(frozenset({"the", "a", "of", "to", "in", "is", "and"}))
    paths.put(tuple(sorted(glob.glob(os.path.join(folder, "*.py")))[:40]))
    stages = [stoa.Interpreter(name=name) for name in ("reader", "counter 1", "counter 2")]
    threads = []
    for stage, program in zip(stages, (READ, COUNT, COUNT)):
        stage.prepare_main(paths=paths, lines=lines, counts=counts, stop=stop)
        threads.append(threading.Thread(target=stage.exec, args=(program,)))
        threads[-1].start()
    total = collections.Counter()
    for _ in range(2):
        total.update(counts.get(timeout=60))
    for thread in threads:
        thread.join()
    for stage in stages:
        stage.close()
    print(*(f"{word}: {number}" for word, number in total.most_common(5)), sep="\n")
    return 0 if total else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.__file__)))
