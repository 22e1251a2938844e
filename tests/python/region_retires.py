"""A region is retired or refuses to be, as far as this Python and C library let that be told."""

import os
import sys
import time
import unittest

import stoa

CHECKING = bool(os.environ.get("STOA_SANITIZE"))  # its malloc keeps what was freed


def libc_is_known():
    """Is it a glibc whose free blocks and left-over stacks are all told from memory in use?"""
    try:
        name, version = os.confstr("CS_GNU_LIBC_VERSION").split()
        return name == "glibc" and (2, 34) <= tuple(int(part) for part in version.split(".")[:2]) < (2, 42)
    except (AttributeError, OSError, ValueError):
        return False


# Elsewhere an address may stay behind where nobody looks for it any more, and counts as a holder.
EXACT = not CHECKING and not hasattr(sys, "gettotalrefcount") and libc_is_known()


def region_retires(test, region):
    """Nobody is named as a holder any more; and where nothing stays behind unseen, it goes."""
    end = time.monotonic() + 60
    while not region.closed:
        try:
            region.retire(timeout=60 if EXACT else 0.2)  # threads that have just ended may need a moment
        except stoa.Timeout as left:
            if not EXACT and "the memory at" in str(left):
                left.__traceback__ = None
                return
            if time.monotonic() > end:
                raise
            left.__traceback__ = None
    test.assertTrue(region.closed)


class RetireCase(unittest.TestCase):
    def held(self, region, *words, **kwargs):
        with self.assertRaises(stoa.Error) as caught:
            region.retire(**kwargs)
        self.assertFalse(region.closed)
        self.assertIn(region.name, str(caught.exception))
        for word in words:
            self.assertIn(word, str(caught.exception))
        caught.exception.__traceback__ = None
        return type(caught.exception)

    def retired(self, region):
        region_retires(self, region)
