"""Running `python -m stoa …` and scripts in a child process."""

import os
import subprocess
import sys

TIMEOUT = 100
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def child(*args, timeout=TIMEOUT, **options):
    """Runs this Python with args. Returns the finished process, its output as text."""
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(
        [sys.executable, *args], capture_output=True, encoding="utf-8", errors="replace", timeout=timeout, **options
    )


def stoa(*args, **options):
    return child("-m", "stoa", *args, **options)
