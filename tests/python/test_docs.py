"""The documentation is true: its Python runs and prints what it says, its C is that of the examples, its links lead somewhere.

A ```python block is a program; the blocks of one page run in order, as one. A line `print(…)  # -> text` has to print
that text, and nothing else is printed. ```python no-run marks what cannot run by itself.
"""

import glob
import os
import re
import sys
import tempfile
import unittest

from cli_support import SOURCE, child

PAGES = [os.path.join(SOURCE, "README.md"), *sorted(glob.glob(os.path.join(SOURCE, "docs", "*.md")))]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ARROW = re.compile(r"# -> (.*)$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def blocks(text, language):
    return [body for kind, body in FENCE.findall(text) if kind.strip() == language]


def anchors(text):
    """The anchors of a page's headings, as they are made from them by common renderers."""
    headings = re.findall(r"^#+ +(.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class Pages(unittest.TestCase):
    def test_python_blocks_print_what_they_say(self):
        ran = 0
        for page in PAGES:
            text = read(page)
            code = blocks(text, "python")
            if not code:
                continue
            with self.subTest(os.path.basename(page)), tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "page.py")
                with open(path, "w", encoding="utf-8") as file:
                    file.write("\n".join(code))
                done = child(path, cwd=folder)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.stdout.splitlines(), ARROW.findall("\n".join(code)))
                ran += len(code)
        self.assertGreater(ran, 10)

    def test_c_blocks_are_examples_that_are_built_and_run(self):
        examples = [read(path) for path in glob.glob(os.path.join(SOURCE, "examples", "*.c"))]
        found = 0
        for page in PAGES:
            for block in blocks(read(page), "c"):
                with self.subTest(os.path.basename(page), start=block[:40]):
                    self.assertTrue(any(block in example for example in examples), block)
                    found += 1
        self.assertGreater(found, 2)

    def test_links_lead_somewhere(self):
        for page in PAGES:
            text = read(page)
            for target in LINK.findall(FENCE.sub("", text)):
                if "://" in target:
                    continue
                path, _, anchor = target.partition("#")
                whole = os.path.join(os.path.dirname(page), path) if path else page
                with self.subTest(os.path.basename(page), link=target):
                    self.assertTrue(os.path.exists(whole))
                    if anchor:
                        self.assertIn(anchor, anchors(read(whole)))

    def test_every_public_name_is_in_the_reference(self):
        import stoa

        text = read(os.path.join(SOURCE, "docs", "python.md"))
        for name in stoa.__all__:
            with self.subTest(name):
                self.assertRegex(text, rf"`(class )?(stoa\.)?{name}\b")

    def test_every_c_function_is_in_the_reference(self):
        text = read(os.path.join(SOURCE, "docs", "c.md"))
        for path in glob.glob(os.path.join(SOURCE, "include", "stoa", "*.h")):
            for name in re.findall(r"^STOA_API [^;(]*?\b(stoa_\w+)\(", read(path), re.MULTILINE):
                with self.subTest(os.path.basename(path), name=name):
                    self.assertIn(f"`{name}`", text)


if __name__ == "__main__":
    sys.exit(unittest.main())
