"""F4: throughput of two interpreters over one heap. F20: two interpreters freezing at once."""
import json
import os
import threading
import time

import stoa
from measure import median, row

HERE = os.path.dirname(os.path.abspath(__file__))


def make_index(size):
    """A small full-text index: word -> postings (document, position), and the documents' words."""
    documents = tuple(tuple(f"word{(i * 31 + j * j * 7) % 5003}" for j in range(60)) for i in range(size))
    postings = {}
    for number, words in enumerate(documents):
        for position, word in enumerate(words):
            postings.setdefault(word, []).append((number, position))
    return {"documents": documents, "postings": postings}


def query(rounds):
    """What a server does with an index: words looked up, postings intersected, phrases checked. Only shared data is read."""
    index = stoa.lookup("bench/index")
    postings, documents = index["postings"], index["documents"]
    found = 0
    for number in range(rounds):
        first, second = f"word{number * 17 % 5003}", f"word{number * 29 % 5003}"
        left, right = postings.get(first, ()), postings.get(second, ())
        in_right = {document for document, _ in right}
        for document, position in left[:200]:
            if document in in_right:
                found += documents[document][position] == first
    return found


def freeze_records(seed, count):
    """Makes records, waits for the start, freezes them; publishes (begin, end) of the freezing alone."""
    from records import make_records

    data = make_records(count, seed)
    stoa.replace(f"bench/ready/{seed}", True)
    stoa.lookup("bench/start", timeout=120)
    started, cpu = time.perf_counter(), time.thread_time()
    stoa.freeze(data)
    stoa.replace(f"bench/span/{seed}", (started, time.perf_counter(), time.thread_time() - cpu))


def parallel(interpreters, function, *arguments):
    """(seconds until all of them have done it, CPU seconds of the process meanwhile)"""
    threads = [threading.Thread(target=each.exec, args=(f"import rows_parallel; rows_parallel.{function}(*{arguments!r})",)) for each in interpreters]
    started, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started, time.process_time() - cpu


def open_interpreters(count):
    interpreters = [stoa.Interpreter(name=f"bench-{i}") for i in range(count)]
    for each in interpreters:
        each.exec(f"import sys; sys.path.insert(0, {HERE!r}); import rows_parallel")
    return interpreters


def throughput(quick):
    stoa.publish("bench/index", make_index(2000 if quick else 20_000))
    rounds = 3000 if quick else 40_000
    interpreters = open_interpreters(2)
    for each in interpreters:
        parallel([each], "query", rounds // 10)
    ones, twos = [], []
    for turn in range(3 if quick else 7):
        ones.append(parallel([interpreters[turn % 2]], "query", rounds))
        twos.append(parallel(interpreters, "query", rounds))
        ones.append(parallel([interpreters[(turn + 1) % 2]], "query", rounds))
    for each in interpreters:
        each.close()
    return scaling_rows("F4", "queries, two interpreters over one heap", "1/s", "one interpreter", rounds, ones, twos, 1.95)


def scaling_rows(identity, name, unit, baseline, work, ones, twos, bar):
    """ones: (seconds, CPU seconds) of `work` done by one, before and after each of twos, where two do twice as much. The second
    row asks what the same costs in CPU time: it shows what we are to blame for where the machine has no two idle processors."""
    ratios = [[(before[i] + after[i]) / two[i] for before, after, two in zip(ones[::2], ones[1::2], twos)] for i in (0, 1)]
    speed = median(ratios[0])
    alone, both = median([one[0] for one in ones]), median([two[0] for two in twos])
    alone_cpu, both_cpu = median([one[1] for one in ones]), median([two[1] for two in twos])
    return [row(identity, name, 2 * work / both, unit, baseline, work / alone, ratio=speed, bar=f">= {bar}", ok=speed >= bar, work=work),
            row(identity, f"{name}, CPU time for the double work", both_cpu, "s", "twice that of one", 2 * alone_cpu, ratio=1 / median(ratios[1]))]


def freezing(quick):
    """Each round freezes data that the heap has not seen, once by one interpreter, once different data by each of two."""
    count = 3000 if quick else 30_000
    interpreters = open_interpreters(2)
    seed, ones, twos = 100, [], []

    def spans(who):
        nonlocal seed
        seeds = list(range(seed, seed + len(who)))
        seed += len(who)
        threads = [threading.Thread(target=each.exec, args=(f"import rows_parallel; rows_parallel.freeze_records({s}, {count})",))
                   for each, s in zip(who, seeds)]
        for thread in threads:
            thread.start()
        for s in seeds:
            stoa.lookup(f"bench/ready/{s}", timeout=120)
        stoa.publish("bench/start", True)
        for thread in threads:
            thread.join()
        stoa.unpublish("bench/start")
        both = [stoa.lookup(f"bench/span/{s}") for s in seeds]
        return max(end for _, end, _ in both) - min(begin for begin, _, _ in both), sum(cpu for _, _, cpu in both)

    for turn in range(3 if quick else 5):
        first = spans([interpreters[turn % 2]])
        two = spans(interpreters)
        second = spans([interpreters[(turn + 1) % 2]])
        ones += [first, second]
        twos.append(two)
    for each in interpreters:
        each.close()
    return scaling_rows("F20", "freezing, two interpreters, different data", "records/s", "one interpreter", count, ones, twos, 1.8)


def rows(group, quick):
    return throughput(quick) if group == "F4" else freezing(quick)


def main():
    print(json.dumps(rows("F4", True)))


if __name__ == "__main__":
    main()
