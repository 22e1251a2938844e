"""C modules of the standard library, first imported in an interpreter of ours and then in the main one: the process lives."""

import subprocess
import sys
import unittest

CHILD = """
import stoa
with stoa.Interpreter() as other:
    other.exec({there!r})
{here}
import gc; gc.collect()
print("fine")
"""

CASES = {
    "datetime": "import datetime; assert datetime.date(2024, 2, 29).toordinal()",
    "decimal": "import decimal; assert decimal.Decimal('0.1') * 3 == decimal.Decimal('0.3')",
    "zoneinfo": "import zoneinfo, datetime\ntry: zone = zoneinfo.ZoneInfo('Europe/Berlin')\nexcept zoneinfo.ZoneInfoNotFoundError: pass\n"
                "else: assert datetime.datetime(2024, 7, 1, tzinfo=zone).utcoffset() == datetime.timedelta(hours=2)",
    "asyncio": "import asyncio; assert asyncio.run(asyncio.sleep(0, 5)) == 5",
}


class FirstElsewhere(unittest.TestCase):
    def test_then_here(self):
        for name, code in CASES.items():
            with self.subTest(name):
                child = subprocess.run([sys.executable, "-c", CHILD.format(there=code, here=code)], capture_output=True, text=True)
                self.assertEqual((child.returncode, child.stdout), (0, "fine\n"), child.stderr[-2000:])

    def test_in_two_at_once(self):
        both = "\n".join(CASES.values())
        code = (f"import stoa\na, b = stoa.Interpreter(), stoa.Interpreter()\nwork = [i.submit('builtins:exec', {both!r}) for i in (a, b) for _ in range(5)]\n"
                f"exec({both!r})\n[w.result() for w in work]\na.close(); b.close()\nprint('fine')")
        child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        self.assertEqual((child.returncode, child.stdout), (0, "fine\n"), child.stderr[-2000:])


if __name__ == "__main__":
    unittest.main()
