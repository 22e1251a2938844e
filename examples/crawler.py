"""A crawler in outline: asyncio waits for pages, a pool of interpreters parses them on all cores, one shared table says what to skip.

The pages are the modules of the standard library, "fetched" with a delay; a link is the name of a module.
"""

import asyncio
import importlib.util
import random
import sys

import stoa

MODULES = sorted(name for name in sys.stdlib_module_names if not name.startswith("_") and "." not in name)
SKIP = ("antigravity", "this", "idlelib", "turtle", "turtledemo", "tkinter", "lib2to3")


def parse(name, text):
    """CPU work, in a worker: (words, links). The table of known modules is shared, not copied."""
    import stoa

    known = stoa.lookup("crawler/known")
    words = {}
    for word in text.split():
        word = word.strip(".,:;()[]'\"`").lower()
        if word:
            words[word] = words.get(word, 0) + 1
    links = tuple(word for word in words if word in known and word != name)
    return words, links


async def fetch(name):
    await asyncio.sleep(random.random() / 200)
    spec = importlib.util.find_spec(name)
    path = spec.origin if spec else None
    if not path or not path.endswith(".py"):
        return f"{name} is written in C"
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


async def crawl(start, pool):
    seen, waiting, totals = set(), asyncio.Queue(), {}

    async def worker():
        while True:
            name = await waiting.get()
            try:
                words, links = await pool.submit(parse, name, await fetch(name))
                for word, count in words.items():
                    totals[word] = totals.get(word, 0) + count
                for link in links:
                    if link not in seen:
                        seen.add(link)
                        waiting.put_nowait(link)
            finally:
                waiting.task_done()

    for name in start:
        seen.add(name)
        waiting.put_nowait(name)
    workers = [asyncio.create_task(worker()) for _ in range(8)]
    await waiting.join()
    for each in workers:
        each.cancel()
    return seen, totals


def main():
    stoa.publish("crawler/known", {name: True for name in MODULES if name not in SKIP})
    with stoa.InterpreterPoolExecutor(2, "parser") as pool:
        seen, totals = asyncio.run(crawl(["asyncio", "argparse"], pool))
    common = sorted(totals, key=totals.get, reverse=True)[:5]
    print(f"{len(seen)} pages, {len(totals)} words, most of all: {', '.join(common)}")
    assert len(seen) > 10 and totals["import"] > 10
    stoa.unpublish("crawler/known")


if __name__ == "__main__":
    main()
