"""The hazards battery (stoa_tests.hazards), in the main interpreter and in others, own GIL and shared GIL.

The shared objects are always frozen by the main interpreter; the others get them by name, so they use, by pointer,
what somebody else has made.
"""
import json
import re
import secrets
import unittest

import _stoa_testing
import stoa
from stoa_tests import hazards, writes
from stoa_tests.hazards import runner

CASES = hazards.load_all()


def frozen(case):
    """(token, shared twin of the plain value that the token gives)"""
    token = secrets.token_hex(3)
    return token, stoa.share(case.make(token))


class Recorder(unittest.TestCase):
    """The instrument itself: a battery whose recorder is blind would pass."""

    def test_sees_each_write_and_where(self):
        text = stoa.freeze("written on by " + secrets.token_hex(8))
        with writes.recorded(text) as found:
            _stoa_testing.poke(text, 24)
            _stoa_testing.poke(text, 32)
            _stoa_testing.poke(text, 24)
        self.assertEqual([where for where, _ in found], ["str+24", "str+32", "str+24"])
        self.assertTrue(all("_stoa_testing" in stack[0] for _, stack in found), found)

    def test_sees_writes_inside_nested_objects(self):
        pair = stoa.freeze((secrets.token_bytes(16), "other " + secrets.token_hex(8)))
        with writes.recorded(pair) as found:
            _stoa_testing.poke(pair[0], 32)
        self.assertEqual([where for where, _ in found], ["bytes+32"])

    def test_pages_are_closed_again(self):
        text = stoa.freeze("closed again " + secrets.token_hex(8))
        for _ in range(3):
            with writes.recorded(text) as found:
                _stoa_testing.poke(text, 24)
            self.assertEqual(len(found), 1)

    def test_reports_a_case_that_writes(self):
        bad = hazards.Case("bad", lambda s: _stoa_testing.poke(s, 0) if stoa.is_shared(s) else None,
                           lambda token: "text " + token, None, False, True, True)
        token, shared = frozen(bad)
        self.assertIn("write to str+0", "".join(runner.check(bad, shared, token)))

    def test_reports_a_case_whose_outcome_differs(self):
        bad = hazards.Case("bad", lambda s: stoa.is_shared(s), lambda token: "text " + token, None, False, True, True)
        token, shared = frozen(bad)
        self.assertIn("outcomes differ", "".join(runner.check(bad, shared, token)))


class Main(unittest.TestCase):
    def check_case(self, case):
        token, shared = frozen(case)
        self.assertTrue(stoa.is_shared(shared))
        problems = runner.check(case, shared, token)
        self.assertFalse(problems, "\n".join(problems))


class Elsewhere:
    gil = None

    @classmethod
    def setUpClass(cls):
        cls.interpreter = stoa.Interpreter(name=f"battery-{cls.gil}", gil=cls.gil)

    @classmethod
    def tearDownClass(cls):
        cls.interpreter.close()

    def check_case(self, case):
        token, shared = frozen(case)
        name = f"hazards/{case.name}/{token}"
        stoa.publish(name, shared)
        self.interpreter.exec(f"from stoa_tests.hazards import runner; runner.run_here({case.name!r}, {token!r})")
        stoa.unpublish(name)
        problems = json.loads(stoa.lookup("hazards/problems"))
        self.assertFalse(problems, "\n".join(problems))


class OwnGil(Elsewhere, unittest.TestCase):
    gil = "own"


class SharedGil(Elsewhere, unittest.TestCase):
    gil = "shared"


def add_tests(kind):
    for case in CASES.values():
        if case.when and not (case.main_only and kind is not Main):
            name = "test_" + re.sub(r"\W", "_", case.name)
            setattr(kind, name, lambda self, case=case: self.check_case(case))


for _kind in (Main, OwnGil, SharedGil):
    add_tests(_kind)
del _kind


class Coverage(unittest.TestCase):
    def test_every_hazard_has_a_case(self):
        named = {name.split("_")[0] for name in CASES}
        # W17, W21 and the rest of sections 3 to 5 are not operations on a value: test_hazard_rules.py
        wanted = {f"W{number:02}" for number in range(1, 27)} - {"W17", "W21"} | {"S1a", "S2", "S5"}
        self.assertEqual(wanted - named, set())

    def test_what_is_no_operation_has_a_rule(self):
        import test_hazard_rules as rules  # not at the top: its tests would be run here, too

        kinds = [kind for kind in vars(rules).values() if isinstance(kind, type) and issubclass(kind, unittest.TestCase)]
        named = {name.split("_")[1] for kind in kinds for name in dir(kind) if name.startswith("test_")}
        self.assertEqual({"W17", "W20", "W21", "W22", "S2", "S3", "S4", "S5"} - named, set())


if __name__ == "__main__":
    unittest.main()
