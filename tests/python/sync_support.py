"""Somebody who waits in another interpreter, for the tests of queues and locks."""

import threading
import time

import stoa


def run(interpreter, code):
    """Runs code there on a thread of its own; join() returns what it raised, or None."""
    raised = []

    def work():
        try:
            interpreter.exec(code)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()

    def join():
        thread.join(60)
        assert not thread.is_alive(), "it hangs"
        return raised[0] if raised else None

    return join


def waiting(thing, count=1, timeout=60):
    """Until `count` wait for the thing, as stats() sees it."""
    number = thing.__reduce__()[1][2]
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        for entry in stoa.stats()["things"]:
            if entry["handle"] == number and entry["waiters"] >= count:
                return
        time.sleep(0.001)
    raise AssertionError(f"nobody waits for {thing!r}")
