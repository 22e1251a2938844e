"""State that several interpreters share: one dict, one logger, one sqlite3 connection. Each object stays with its owner; the workers,
each with a GIL of its own, use it through a proxy.

sqlite3 lets only the thread that opened a connection touch it. So the connection lives in an interpreter of its own, is opened on that
interpreter's own thread, and has its home there: whoever calls, that thread does it.
"""

import logging

import stoa

WORKER = """
def work(name, count, counts, log, database):
    for number in range(count):
        counts[name] += 1  # this worker's own key: nobody comes between
        database.execute("INSERT INTO done VALUES (?, ?)", (name, number))
        if number % 50 == 49:
            log.info("%s did %d of %d", name, number + 1, count)
    cursor = database.execute("SELECT count(*) FROM done WHERE worker = ?", (name,))
    return cursor.fetchone()[0]  # a cursor is at home where its connection is
"""

DATABASE = """
import sqlite3
import stoa

def connect(path):
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE done (worker TEXT, number INTEGER)")
    return stoa.proxy(database, thread="home")
"""


def main():
    logging.basicConfig(format="%(threadName)s: %(message)s", level=logging.INFO)
    log = logging.getLogger("work")
    counts = {}
    keeper = stoa.Interpreter(name="database")
    keeper.exec(DATABASE)
    database = keeper.submit("__main__:connect", ":memory:").result()

    workers = [stoa.Interpreter(name=f"worker {i}") for i in range(3)]
    try:
        for worker in workers:
            worker.exec(WORKER)
            counts[worker.name] = 0
        futures = [worker.submit("__main__:work", worker.name, 100, counts, log, database) for worker in workers]
        results = [future.result() for future in futures]
        rows = database.execute("SELECT worker, count(*) FROM done GROUP BY worker ORDER BY worker").fetchall()
        rows = stoa.fetch(rows)
    finally:
        for worker in workers:
            worker.close()
        keeper.close()
    print(counts)
    print(rows)
    assert results == [100] * 3 and dict(rows) == counts


if __name__ == "__main__":
    main()
