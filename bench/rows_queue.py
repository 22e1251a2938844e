"""F8, F8b, F8c, F9b: queues and locks between interpreters."""
import ctypes
import glob
import multiprocessing
import os
import queue
import sys
import threading
import time

import stoa
from measure import median, median_ratio, row, take_turns


def std_round_trip(count):
    """Microseconds of a round trip over the standard library's queues between interpreters."""
    from concurrent import interpreters

    there, back = interpreters.create_queue(), interpreters.create_queue()
    other = interpreters.create()
    other.prepare_main(there=there, back=back)
    thread = threading.Thread(target=other.exec, args=(ECHO,), daemon=True)
    thread.start()
    taken = round_trip(there.put, back.get, count)
    there.put(None)
    thread.join()
    other.close()
    return taken


def std_one_way(count):
    """Millions of items a second through a queue of the standard library's, between interpreters."""
    from concurrent import interpreters

    q, done = interpreters.create_queue(), interpreters.create_queue()
    other = interpreters.create()
    other.prepare_main(q=q, done=done, count=count)
    thread = threading.Thread(target=other.exec, args=(DRAIN,), daemon=True)
    started = time.perf_counter()
    for i in range(count):  # before anybody gets: its get() looks every 10 ms only when it finds nothing
        q.put(i)
    thread.start()
    done.get()
    taken = time.perf_counter() - started
    thread.join()
    other.close()
    return count / taken / 1e6


def futex_pair(count, pause=0.0):
    """Microseconds of a round trip of two bare threads over two futex words (bench/futex_pair.c)."""
    folder = os.environ.get("STOA_BENCH_DIR") or os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(stoa._stoa.__file__))), "..", "bench")
    found = glob.glob(os.path.join(folder, "*futex_pair*.so"))
    if not found:
        raise RuntimeError(f"futex_pair is not built: no *futex_pair*.so in {folder}; `make build` makes it")
    library = ctypes.CDLL(found[0])
    library.bench_futex_round_trip.restype = ctypes.c_double
    library.bench_futex_round_trip.argtypes = [ctypes.c_int, ctypes.c_double]
    return library.bench_futex_round_trip(count, pause) * 1e6


PAUSE = 100e-6  # far longer than a waiter of ours looks for its item before it sleeps
ECHO = "while (x := there.get()) is not None: back.put(x)"


def echo_between_interpreters(there, back):
    other = stoa.Interpreter()
    other.prepare_main(there=there, back=back)
    thread = threading.Thread(target=other.exec, args=(ECHO,), daemon=True)
    thread.start()

    def end():
        there.put(None)
        thread.join()
        other.close()

    return end


def echo_between_threads(there, back):
    def work():
        while (x := there.get()) is not None:
            back.put(x)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def end():
        there.put(None)
        thread.join()

    return end


def paused_round_trip(put, get, count, pause, item=7):
    """As round_trip, but busy for `pause` seconds before each, so that the other side sleeps when the item comes."""
    clock, taken = time.perf_counter, 0.0
    for _ in range(count):
        started = clock()
        while clock() - started < pause:
            pass
        started = clock()
        put(item)
        get()
        taken += clock() - started
    return taken / count * 1e6


def _echo_queues(there, back):
    while (x := there.get()) is not None:
        back.put(x)


def _echo_pipe(pipe):
    while (x := pipe.recv()) is not None:
        pipe.send(x)


def round_trip(put, get, count, item=7):
    started = time.perf_counter()
    for _ in range(count):
        put(item)
        get()
    return (time.perf_counter() - started) / count * 1e6


def process_pair(context, target, *args):
    process = context.Process(target=target, args=args, daemon=True)
    process.start()
    return process


def f8(quick):
    count, turns = (200, 3) if quick else (3000, 7)
    there, back = stoa.Queue(), stoa.Queue()
    end = echo_between_interpreters(there, back)
    t_there, t_back = queue.Queue(), queue.Queue()
    s_there, s_back = queue.SimpleQueue(), queue.SimpleQueue()
    t_ends = [echo_between_threads(t_there, t_back), echo_between_threads(s_there, s_back)]
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    m_there, m_back = context.Queue(), context.Queue()
    processes = [process_pair(context, _echo_pipe, theirs), process_pair(context, _echo_queues, m_there, m_back)]
    fewer = max(count // 4, 50)
    figures = take_turns({
        "stoa": lambda: round_trip(there.put, back.get, count),
        "futex": lambda: futex_pair(count),
        "threads": lambda: round_trip(t_there.put, t_back.get, count),
        "simple": lambda: round_trip(s_there.put, s_back.get, count),
        "pipe": lambda: round_trip(ours.send, ours.recv, count),
        "mp": lambda: round_trip(m_there.put, m_back.get, fewer),
        "asleep": lambda: paused_round_trip(there.put, back.get, fewer, PAUSE),
        "futex asleep": lambda: futex_pair(fewer, PAUSE),
    }, turns)
    ours.send(None)
    m_there.put(None)
    for process in processes:
        process.join()
    for ended in [end, *t_ends]:
        ended()
    value, ratio = median(figures["stoa"]), median_ratio(figures["stoa"], figures["futex"])
    asleep, both = median(figures["asleep"]), median_ratio(figures["asleep"], figures["futex asleep"])
    settings = {"round_trips": count, "repetitions": turns}

    def beside(name, key):
        return row("F8", f"the same beside {name}", value, "us", name, median(figures[key]),
                   ratio=median_ratio(figures["stoa"], figures[key]), **settings)

    rows = [
        row("F8", "Queue round trip between two blocked interpreters", value, "us", "bare pair of futexes",
            median(figures["futex"]), ratio=ratio, bar="<= 20 us and <= 1.2x", ok=value <= 20 and ratio <= 1.2, **settings),
        # what the machine takes to wake a sleeper is not ours: so no bar in microseconds
        row("F8", f"the same, after {PAUSE * 1e6:g} us in which the other fell asleep", asleep, "us", "bare pair of futexes, too",
            median(figures["futex asleep"]), ratio=both, bar="<= 1.2x", ok=both <= 1.2, pause_us=PAUSE * 1e6, round_trips=fewer, repetitions=turns),
        beside("queue.Queue, threads", "threads"),
        beside("queue.SimpleQueue, threads", "simple"),
        beside("multiprocessing.Pipe", "pipe"),
        beside("multiprocessing.Queue", "mp"),
    ]
    if sys.version_info >= (3, 14):
        rows.append(row("F8", "the same beside a round trip of the standard library's", value, "us", "concurrent.interpreters.Queue", std_round_trip(20), **settings))
    return rows


DRAIN = """
n = 0
while n < count:
    q.get()
    n += 1
done.put(n)
"""
DRAIN_MANY = """
n = 0
while n < count:
    n += len(q.get_many())
done.put(n)
"""


def one_way(count, many):
    q, done = stoa.Queue(), stoa.Queue()
    other = stoa.Interpreter()
    other.prepare_main(q=q, done=done, count=count)
    thread = threading.Thread(target=other.exec, args=(DRAIN_MANY if many else DRAIN,), daemon=True)
    chunk = list(range(1000))
    thread.start()
    started = time.perf_counter()
    if many:
        for _ in range(count // 1000):
            q.put_many(chunk)
    else:
        put = q.put
        for i in range(count):
            put(i)
    done.get()
    taken = time.perf_counter() - started
    thread.join()
    other.close()
    return count / taken / 1e6


def threads_one_way(count):
    q = queue.SimpleQueue()

    def work():
        for _ in range(count):
            q.get()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    started = time.perf_counter()
    for i in range(count):
        q.put(i)
    thread.join()
    return count / (time.perf_counter() - started) / 1e6


def f8b(quick):
    count, turns = (20_000, 3) if quick else (400_000, 5)
    figures = take_turns({
        "single": lambda: one_way(count, False),
        "many": lambda: one_way(count, True),
        "threads": lambda: threads_one_way(count),
    }, turns)
    single, many = median(figures["single"]), median(figures["many"])
    settings = {"items": count, "repetitions": turns}
    rows = [
        row("F8b", "one way between interpreters, put and get one by one", single, "M/s", "SimpleQueue, threads",
            median(figures["threads"]), ratio=median_ratio(figures["single"], figures["threads"]), bar=">= 0.5 M/s",
            ok=single >= 0.5, **settings),
        row("F8b", "put_many and get_many, 1000 at a time", many, "M/s", "SimpleQueue, threads",
            median(figures["threads"]), ratio=median_ratio(figures["many"], figures["threads"]), bar=">= 2 M/s",
            ok=many >= 2, **settings),
    ]
    if sys.version_info >= (3, 14):
        fewer = count // 20
        std = std_one_way(fewer)
        rows.append(row("F8b", "one by one beside the standard library's", single, "M/s", "concurrent.interpreters.Queue", std,
                        ratio=single / std, items_of_the_other=fewer, **settings))
    return rows


def f8c(quick):
    size, turns, count = (10_000_000, 3, 200) if quick else (1_000_000_000, 7, 5000)
    large = stoa.freeze(bytes(size))
    q = stoa.Queue()
    figures = take_turns({
        "large": lambda: round_trip(lambda _: q.put(large), q.get, count),
        "int": lambda: round_trip(q.put, q.get, count),
    }, turns)
    ratio = median_ratio(figures["large"], figures["int"])
    return [row("F8c", f"put + get of a shared object of {size / 1e9:g} GB", median(figures["large"]), "us", "an int",
                median(figures["int"]), ratio=ratio, bar="<= 1.5x", ok=ratio <= 1.5, bytes=size, repetitions=turns)]


def f9b(quick):
    count, turns = (20_000, 3) if quick else (300_000, 9)

    def use(lock):
        acquire, release = lock.acquire, lock.release
        started = time.perf_counter()
        for _ in range(count):
            acquire()
            release()
        return (time.perf_counter() - started) / count * 1e9

    figures = take_turns({"stoa": lambda lock=stoa.Lock(): use(lock), "threading": lambda lock=threading.Lock(): use(lock)}, turns)
    ratio = median_ratio(figures["stoa"], figures["threading"])
    return [row("F9b", "Lock.acquire + release, uncontended", median(figures["stoa"]), "ns", "threading.Lock",
                median(figures["threading"]), ratio=ratio, bar="<= 1.5x", ok=ratio <= 1.5, repetitions=turns)]


def rows(group, quick):
    return {"F8": f8, "F8b": f8b, "F8c": f8c, "F9b": f9b}[group](quick)
