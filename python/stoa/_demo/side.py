"""What the two measured child processes have in common: talking to the parent, and serving.

A child reads its settings as JSON from stdin and writes JSON lines to its stdout: {"stage": …, "done": …, "total": …}
while it works, {"result": …} at the end, {"error": …} for what a user can mend.
"""

import json
import os
import select
import sys
import time
from contextlib import ExitStack

import stoa

from . import serve
from .measure import memory

TICK = 0.1


class Parent:
    """The parent's end of the pipe. A parent that is gone ends this process: nobody would read the result."""

    def __init__(self):
        self.settings = json.load(sys.stdin)
        # Whatever else prints must not get between the lines.
        self.out = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
        os.dup2(2, 1)

    def say(self, **message):
        try:
            self.out.write(json.dumps(message) + "\n")
            self.out.flush()
        except BrokenPipeError:
            os._exit(1)

    def stage(self, stage, done=0, total=0):
        self.say(stage=stage, done=done, total=total)


def run(main):
    """The child's whole life: main(parent) -> result, or SystemExit(text) for what the user can mend."""
    parent = Parent()
    try:
        parent.say(result=main(parent))
    except SystemExit as error:
        parent.say(error=str(error))
    except KeyboardInterrupt:
        os._exit(130)
    except MemoryError as error:
        parent.say(error=f"out of memory: {error or 'try a smaller DIR, --quick, or a higher STOA_HEAP_LIMIT'}")


def wait_all(parent, stage, futures, progress_fd, total):
    """Results of all futures, with progress from the pipe meanwhile: 8 bytes a step, its size."""
    done = 0
    parent.stage(stage, done, total)
    while True:
        finished = all(future.done() for future in futures)
        while select.select([progress_fd], [], [], 0 if finished else TICK)[0]:
            steps = os.read(progress_fd, 8 * 512)
            done += sum(memoryview(steps).cast("Q"))
        parent.stage(stage, done, total)
        if finished:
            return [future.result() for future in futures]


def gather(futures):
    return [future.result() for future in futures]


def serve_queries(parent, count, hold, query, batches, total):
    """Opens `count` interpreters, lets each get the index by hold(i) = (function, argument) and answer its batches.

    Returns the figures of this way: all memory is that of this process, all times are seconds.
    """
    with ExitStack() as stack:
        parent.stage("open", 0, count)
        begin = time.perf_counter()
        servers = [stack.enter_context(stoa.Interpreter(name=f"server-{i}")) for i in range(count)]
        gather([server.submit(serve.hold_queries, batches(i)) for i, server in enumerate(servers)])
        opened = time.perf_counter() - begin
        before, kind = memory()

        parent.stage("load", 0, count)
        begin = time.perf_counter()
        futures = [server.submit(*hold(i), query) for i, server in enumerate(servers)]
        ready = sorted(moment - begin for moment in gather(futures))
        after, _ = memory()

        gather([server.submit(serve.warm_up) for server in servers])
        reader, writer = os.pipe()
        stack.callback(os.close, reader)
        stack.callback(os.close, writer)
        futures = [server.submit(serve.answer, writer) for server in servers]
        answers = wait_all(parent, "serve", futures, reader, total)
    span = max(end for _, _, end, _ in answers) - min(begin for _, begin, _, _ in answers)
    return {
        "interpreters": count,
        "opened": opened,
        "ready": ready,
        "memory_kind": kind,
        "memory_before": before,
        "memory_after": after,
        "span": span,
        "queries": total,
        "per_second": total / span if span else 0.0,
        "cpu_per_query": sum(cpu for _, _, _, cpu in answers) / total if total else 0.0,
        "digests": [digest for digests, _, _, _ in answers for digest in digests],
    }
