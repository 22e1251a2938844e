"""Batteries and runners of Stoa's tests, importable wherever `build/python` runs. Not installed."""
import os
import sys

import stoa

SANITIZED = bool(os.environ.get("STOA_SANITIZE"))
SLOW_BUILD = SANITIZED or hasattr(sys, "gettotalrefcount")  # a debug build: all takes several times as long, so less of it has to do


def used_bytes():
    """Bytes of shared objects in the default region."""
    return stoa.stats()["region"]["used_bytes"]
