"""What bad input gets: a clear error, and nothing is left behind."""
import gc
import unittest

import stoa
from stoa_tests import used_bytes as used


class HostileCase(unittest.TestCase):
    def setUp(self):
        stoa.freeze("warm up")
        gc.collect()

    def refused(self, value, path=None, kind=None, error=stoa.NotFreezable, function=stoa.freeze):
        """function(value) raises `error` for that path, and the heap is as before."""
        before = used()
        with self.assertRaises(error) as caught:
            function(value)
        self.assertEqual(used(), before, "bytes left behind")
        message = str(caught.exception)
        if path is not None:
            self.assertEqual(caught.exception.path, path)
            self.assertIn(path, message)
        if kind is not None:
            self.assertEqual(caught.exception.type_name, kind)
            self.assertIn(kind, message)
        return caught.exception
