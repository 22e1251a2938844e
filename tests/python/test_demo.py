"""`python -m stoa demo`, from outside: what it prints, writes and returns, on good and on bad folders."""

import html.parser
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

from cli_support import child, stoa

from stoa._demo import job, measure


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.tree = os.path.join(self.folder, "tree")
        os.mkdir(self.tree)

    def write(self, name, data):
        path = os.path.join(self.tree, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def fill(self, files=30):
        for number in range(files):
            text = "".join(f"def name{n % 37}(self, value):\n    return value.other{n % 11} + {n}\n" for n in range(50))
            self.write(f"package{number % 3}/module{number}.py", text.encode())

    def demo(self, *args, **options):
        options.setdefault("cwd", self.folder)
        return stoa("demo", self.tree, "-q", "2000", *args, **options)

    def figures(self, *args):
        done = self.demo("--json", "-", *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)


class Runs(Case):
    def test_both_ways_agree_and_everything_is_shown(self):
        self.fill()
        self.write("picture", b"\x89PNG\0\0")
        self.write("latin", b"caf\xe9")
        done = self.demo("--report", "page.html", "--json", "figures.json")
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in ("30 files", "3,000 lines", "1 binary: picture", "1 not UTF-8: latin", "the same   ("):
            self.assertIn(text, done.stdout)
        for stage in ("tokenising and freezing", "getting the index", "answering queries", "queries per second"):
            self.assertIn(stage, done.stdout)
        page = os.path.join(os.path.realpath(self.folder), "page.html")
        self.assertIn(f"Report: {page}", done.stdout)
        with open(os.path.join(self.folder, "figures.json"), encoding="utf-8") as file:
            figures = json.load(file)
        self.assertIs(figures["same"], True)
        self.assertEqual(figures["interpreters"], max(2, job.cores()))
        self.assertEqual(len(figures["shared"]["ready"]), figures["interpreters"])
        self.assertEqual(figures["skipped_files"], 2)
        self.check_page(page)

    def check_page(self, path):
        """Well-formed, charts in it, nothing loaded from elsewhere."""
        with open(path, encoding="utf-8") as file:
            text = file.read()
        parser = Page()
        parser.feed(text)
        parser.close()
        self.assertEqual(parser.open, [])
        self.assertEqual(parser.loaded, [])
        self.assertGreaterEqual(len(parser.titles), 4)
        self.assertEqual(text.count("<svg"), 4)
        for chart in text.split("<svg")[1:]:
            root = xml.etree.ElementTree.fromstring("<svg" + chart.partition("</svg>")[0] + "</svg>")
            _, _, width, height = map(float, root.get("viewBox").split())
            for bar in root.iter("rect"):
                self.assertGreater(float(bar.get("width")), 0)
                self.assertLessEqual(float(bar.get("x")) + float(bar.get("width")), width)
                self.assertLessEqual(float(bar.get("y")) + float(bar.get("height")), height)

    def test_a_further_interpreter_costs_no_copy(self):
        for number in range(40):
            text = "".join(f"word{number}_{n} and some more text that is stored with it\n" for n in range(1500))
            self.write(f"file{number}", text.encode())
        figures = self.figures("--no-report", "-n", "3")
        shared, private = figures["shared"], figures["private"]
        self.assertIs(figures["same"], True)
        self.assertEqual(figures["built_by"], 3)
        self.assertGreater(private["memory_each"], 5e6)
        self.assertLess(shared["memory_each"], private["memory_each"] / 20)

    def test_default_is_the_standard_library(self):
        done = stoa("demo", "--quick", "--no-baseline", "--no-report", "-q", "500", "--json", "-", cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        figures = json.loads(done.stdout)
        self.assertEqual(figures["root"], os.path.dirname(os.path.realpath(os.__file__)))
        self.assertGreater(figures["files"], 50)
        self.assertIsNone(figures["private"])
        self.assertIsNone(figures["same"])

    def test_one_interpreter_one_file_one_query(self):
        self.write("one", b"hello")
        figures = self.figures("-n", "1", "-q", "1", "--no-report")
        self.assertEqual((figures["files"], figures["words"], figures["built_by"]), (1, 1, 1))

    def test_more_interpreters_than_files(self):
        self.write("one", b"hello hello\n")
        figures = self.figures("-n", "3", "--no-report", "--no-baseline")
        self.assertEqual((figures["interpreters"], figures["built_by"]), (3, 1))

    def test_same_figures_whatever_the_number_of_interpreters(self):
        self.fill()
        one, four = (self.figures("--no-baseline", "--no-report", "-n", count) for count in ("1", "4"))
        for key in ("files", "words", "lines", "terms", "text_bytes"):
            self.assertEqual(one[key], four[key])

    def test_output_that_is_ascii_only(self):
        self.write("Wörter", "Grüße und Grüße\n".encode())
        done = self.demo("--no-report", env={**os.environ, "PYTHONIOENCODING": "ascii"})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("####", done.stdout)

    def test_on_a_terminal_progress_is_rewritten_in_place(self):
        self.fill()
        leader, follower = os.openpty()
        self.addCleanup(os.close, leader)
        command = [sys.executable, "-m", "stoa", "demo", self.tree, "-q", "500", "--no-report", "--no-baseline"]
        with subprocess.Popen(command, stdout=follower, stderr=follower, cwd=self.folder) as process:
            os.close(follower)
            output = b""
            while True:
                try:
                    piece = os.read(leader, 65536)
                except OSError:  # Linux says EIO when the other side is closed
                    break
                if not piece:
                    break
                output += piece
        self.assertEqual(process.returncode, 0, output)
        self.assertIn(b"\r\x1b[K", output)
        self.assertIn("█".encode(), output)


class BadInput(Case):
    def fails(self, *args, status=1, **options):
        done = self.demo(*args, **options)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        return done

    def test_no_text_files(self):
        self.write("binary", b"\0")
        done = self.fails()
        self.assertIn("no text file to index", done.stderr)
        self.assertIn("1 binary: binary", done.stdout)

    def test_empty_folder(self):
        self.assertIn("no text file to index", self.fails().stderr)

    def test_text_without_a_word(self):
        self.write("blank", b"\n \n--\n")
        done = self.fails("--no-report", status=0)
        self.assertIn("0 words", done.stdout)

    def test_no_such_folder(self):
        done = stoa("demo", os.path.join(self.folder, "missing"))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "missing: no such folder; name one that exists")
        done = stoa("demo", __file__)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "test_demo.py: a file; the demo wants a folder")

    def test_arguments(self):
        for args in (("-n", "0"), ("-n", "x"), ("-q", "-1"), ("--max-file", "99999"), ("--unknown",)):
            self.fails(*args, status=2)

    def test_report_that_cannot_be_written_goes_elsewhere(self):
        self.fill(3)
        done = self.fails("--no-baseline", "--report", os.path.join(self.folder, "no", "such", "folder.html"), status=0)
        self.assertIn("cannot be written", done.stderr)
        path = done.stdout.partition("Report: ")[2].strip()
        self.assertTrue(os.path.isfile(path))
        os.unlink(path)

    def test_json_that_cannot_be_written(self):
        self.fill(3)
        done = self.fails("--no-baseline", "--no-report", "--json", os.path.join(self.folder, "no", "figures.json"))
        self.assertIn("cannot be written: No such file", done.stderr)

    def test_heap_limit(self):
        self.write("large", b"".join(b"word%d\n" % n for n in range(100_000)))
        done = self.fails("--no-report", env={**os.environ, "STOA_HEAP_LIMIT": str(2 << 20)})
        self.assertRegex(done.stderr, "out of memory: .*raise STOA_HEAP_LIMIT")

    def test_child_that_dies_is_told(self):
        self.fill(1)
        script = (
            "import sys\nfrom stoa._demo import job\n"
            "class Broken(job.Child):\n"
            "    def __init__(self, name, settings):\n        super().__init__(name, None)\n"
            "job.Child = Broken\nfrom stoa._cli import main\n"
            f"sys.exit(main(['demo', {self.tree!r}, '--no-report']))\n"
        )
        done = child("-c", script)
        self.assertEqual(done.returncode, 1)
        self.assertIn("the process for the shared way ended with exit status 1; it said:", done.stderr)
        self.assertIn("TypeError", done.stderr)

    def test_private_copies_that_do_not_fit_are_left_out(self):
        self.assertEqual(job.copies_that_fit(4, 1), 4)
        self.assertEqual(job.copies_that_fit(4, measure.available()), 0)


class Interrupt(Case):
    def test_ctrl_c_ends_it_with_its_children_and_files(self):
        self.fill(300)
        temporary = os.path.join(self.folder, "tmp")
        os.mkdir(temporary)
        command = [sys.executable, "-m", "stoa", "demo", self.tree, "-q", "5000000", "--no-report"]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            cwd=self.folder,
            env={**os.environ, "TMPDIR": temporary, "PYTHONUNBUFFERED": "1"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process:
            for line in process.stdout:
                if "tokenising" in line:
                    break
            children = children_of(process.pid)
            self.assertEqual(len(children), 1)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(errors, "stoa demo: interrupted\n")
        self.assertEqual(os.listdir(temporary), [])
        self.assertFalse(alive(children[0]))


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def alive(pid):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


class Page(html.parser.HTMLParser):
    """Open tags, headings, and whatever would be loaded from elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.loaded, self.titles = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta",):
            self.open.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href") or value and "://" in value]
        if tag == "h2":
            self.titles.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes nothing")


if __name__ == "__main__":
    sys.exit(unittest.main())
