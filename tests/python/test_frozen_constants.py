"""A few of CPython's own test modules with frozen constants, as many as fit here; .ci/run does the whole list.
The runner and what it wants: stoa_tests/frozen_constants.py."""
import contextlib
import importlib.util
import io
import types
import unittest

import stoa
from stoa_tests import frozen_constants

MODULES = ["test_tuple", "test_slice", "test_string", "test_copy", "test_patma"]


class FreezeCode(unittest.TestCase):
    def test_all_constants_become_shared_nested_ones_too(self):
        code = compile("x = 12345.5, b'raw'\ndef f(a=('t', 99999)):\n    'doc'\n    return [i + 54321 for i in a], lambda: 'inner text'\n",
                       "<test>", "exec")
        waiting, seen = [frozen_constants.freeze_code(code)], 0
        while waiting:
            for const in waiting.pop().co_consts:
                if type(const) is types.CodeType:
                    waiting.append(const)
                else:
                    self.assertTrue(stoa.is_shared(const), const)
                    seen += 1
        self.assertGreaterEqual(seen, 6)

    def test_a_difference_is_found(self):
        """The comparison itself: a case that fails in the frozen run only must come out as a problem."""
        class Fake:
            crashed, finished, status, output, seconds, last = False, True, 0, "", 0.0, None
            cases = {"good", "bad"}

            def __init__(self, module, kind, mode, excluded, options, only=()):
                self.outcomes = {"good": "ok", "bad": "fail" if mode == "frozen" else "ok"}
                self.details = {"bad": "why"}

        before, frozen_constants.Run = frozen_constants.Run, Fake
        try:
            _, problems, _ = frozen_constants.compare("test_x", "main", None)
        finally:
            frozen_constants.Run = before
        self.assertEqual(len(problems), 1)
        self.assertIn("plain ok, frozen fail", problems[0])


@unittest.skipUnless(frozen_constants.available("test_tuple"), "the `test` package of this Python is not installed")
class Modules(unittest.TestCase):
    pass


def add_test(module):
    def test(self):
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            status = frozen_constants.main(["--timeout", "60", module])
        self.assertEqual(status, 0, text.getvalue())

    setattr(Modules, module, test)


for _module in MODULES:
    if importlib.util.find_spec("test") is None or frozen_constants.available(_module):
        add_test(_module)

if __name__ == "__main__":
    unittest.main()
