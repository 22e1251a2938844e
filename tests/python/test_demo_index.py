"""The demo's index: what is found is what is there, whatever the tree holds."""

import os
import random
import re
import socket
import sys
import tempfile
import threading
import unittest

import stoa
from stoa._demo import queries
from stoa._demo.index import HITS, PHRASE_LIMIT, SNIPPET, Searcher, merge, pieces_of
from stoa._demo.scan import scan, split
from stoa._demo.words import LONGEST, index_part, read_text

VOCABULARY = ["def", "self", "x", "return", "Wörter", "snake_case", "naïve", "日本", "a1", "the", "of", "ÉTÉ"]


class Tree(unittest.TestCase):
    """A case with a folder to write files into."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = os.path.realpath(folder.name)

    def write(self, name, data):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return path

    def index(self, count):
        files, skipped = scan(self.root)
        parts = [index_part(run) for run in split(files, count)]
        skipped += [tuple(item) for part in parts for item in part["skipped"]]
        return Searcher(stoa.freeze(merge(parts, self.root))), skipped


class Scan(Tree):
    def test_finds_text_in_name_order_and_says_what_it_left_out(self):
        self.write("b.py", "b")
        self.write("a/c.py", "c")
        self.write(".git/config", "x")
        self.write("big.py", b"y" * 2000)
        os.symlink(self.root, os.path.join(self.root, "loop"))
        os.symlink("nowhere", os.path.join(self.root, "dangling"))
        os.mkfifo(os.path.join(self.root, "pipe"))
        files, skipped = scan(self.root, max_file=1000)
        self.assertEqual([(name, size) for name, _, size in files], [("a/c.py", 1), ("b.py", 1)])
        self.assertEqual(
            sorted(skipped),
            [
                (".git", "folder left out"),
                ("big.py", "larger than 0 MiB"),
                ("dangling", "symbolic link"),
                ("loop", "symbolic link"),
                ("pipe", "not a regular file"),
            ],
        )

    def test_suffixes(self):
        self.write("a.py", "a")
        self.write("a.txt", "a")
        files, skipped = scan(self.root, [".py"])
        self.assertEqual([name for name, _, _ in files], ["a.py"])
        self.assertEqual(skipped, [])

    def test_root_that_is_no_folder(self):
        with self.assertRaises(NotADirectoryError):
            scan(self.write("file", "x"))
        with self.assertRaises(FileNotFoundError):
            scan(os.path.join(self.root, "missing"))

    def test_names_that_are_no_utf8(self):
        with open(os.path.join(os.fsencode(self.root), b"caf\xe9.py"), "wb") as file:
            file.write(b"word")
        searcher, skipped = self.index(1)
        self.assertEqual(searcher.search("word"), (1, 1, (("caf\\udce9.py", 1, "word"),)))
        self.assertEqual(skipped, [])

    def test_total_limit(self):
        for name in "abc":
            self.write(name, "x" * 10)
        files, skipped = scan(self.root, max_total=25)
        self.assertEqual(len(files), 2)
        self.assertEqual([reason for _, reason in skipped], ["beyond 0 MiB of text"])

    def test_split_gives_equal_runs_and_room_for_every_word(self):
        files = [(f"{i:03}", b"", random.Random(i).randrange(5000)) for i in range(300)]
        for count in (1, 2, 7, 300, 1000):
            runs = split(files, count)
            self.assertLessEqual(len(runs), count)
            flat = [file for run in runs for file in run]
            self.assertEqual([file[:3] for file in flat], files)
            for (_, _, size, base), (_, _, _, following) in zip(flat, flat[1:]):
                self.assertGreater(following - base, (size + 1) // 2)
            if count == 2:
                sizes = [sum(file[2] for file in run) for run in runs]
                self.assertLess(abs(sizes[0] - sizes[1]), 12000)
        self.assertEqual(split([], 3), [])


class Files(Tree):
    def test_unusable_files_are_reported_not_fatal(self):
        good = self.write("good.py", "fine")
        cases = {
            "binary": self.write("binary", b"a\0b"),
            "not UTF-8": self.write("latin", b"caf\xe9"),
            "vanished": os.path.join(self.root, "vanished"),
            "grew while being read": self.write("grew", "longer than it was"),
            "not a regular file": os.path.join(self.root, "folder"),
        }
        os.mkdir(cases["not a regular file"])
        link = os.path.join(self.root, "link")
        os.symlink(good, link)
        cases["cannot be read: Too many levels of symbolic links"] = link
        files = [(reason, path, 10, number * 100) for number, (reason, path) in enumerate(cases.items())]
        part = index_part([*files, ("good", good, 10, 5000)])
        self.assertEqual({name: reason for name, reason in part["skipped"]}, {reason: reason for reason in cases})
        self.assertEqual([record[0] for record in part["files"]], ["good"])
        self.assertTrue(stoa.is_shared(part))

    def test_pipe_in_the_place_of_a_file_does_not_hang(self):
        path = os.path.join(self.root, "pipe")
        os.mkfifo(path)
        self.assertEqual(read_text(path, 10), "not a regular file")

    def test_socket_in_the_place_of_a_file(self):
        path = os.path.join(self.root, "socket")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            self.assertRegex(read_text(path, 10), "cannot be read")

    def test_progress_counts_every_byte(self):
        path = self.write("a", "one two")
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        index_part([("a", path, 7, 0), ("b", path + "missing", 3, 10)], writer)
        os.close(writer)
        self.assertEqual(os.read(reader, 100), (7).to_bytes(8, "little") + (3).to_bytes(8, "little"))


class Answers(Tree):
    """Against the plainest search there is: all words of all lines, one after the other."""

    def setUp(self):
        super().setUp()
        random_ = random.Random(7)
        for number in range(23):
            lines = []
            for _ in range(random_.randrange(40)):
                lines.append(" ".join(random_.choices(VOCABULARY, k=random_.randrange(7))))
            self.write(f"{number % 3}/file{number:02}.txt", random_.choice(["\n", "\r\n"]).join(lines))
        self.write("empty", "")
        self.write("long", "start " + "x" * 500)

    def plain(self):
        """[(file, line, text, word)] of every word."""
        places = []
        for name, path, _ in scan(self.root)[0]:
            with open(path, "rb") as file:
                text = file.read().decode()
            for number, line in enumerate(text.split("\n"), 1):
                places += [(name, number, line.strip()[:SNIPPET], word) for word in re.findall(r"\w+", line.lower())]
            places.append(("", 0, "", None))  # no phrase goes on in the next file
        return places

    def expected(self, places, fits, width=1):
        found = [
            places[at][:3]
            for at in range(len(places) - width + 1)
            if fits([word for _, _, _, word in places[at : at + width]])
        ]
        return len(found), tuple(found[:HITS])

    def test_words_prefixes_phrases(self):
        places = self.plain()
        words = {word.lower() for word in VOCABULARY} | {"missing", "start", "x" * 500}
        for count in (1, 2, 5):
            searcher, skipped = self.index(count)
            self.assertEqual(skipped, [])
            self.assertEqual(searcher.totals[-1], sum(word is not None for *_, word in places))
            for word in words:
                total, hits = self.expected(places, lambda at, word=word: at[0] == word)
                self.assertEqual(searcher.search(word.upper() if word.isascii() else word), (total, bool(total), hits))
            for prefix in ("s", "se", "snake_", "日", "q", "é"):
                total, _ = self.expected(places, lambda at, prefix=prefix: at[0] and at[0].startswith(prefix))
                matching = sorted(word for word in set(searcher.terms) if word.startswith(prefix))
                found = searcher.search(prefix + "*")
                self.assertEqual(found[:2], (total, len(matching)))
                if matching:
                    first = self.expected(places, lambda at, word=matching[0]: at[0] == word)
                    self.assertEqual(found[2], first[1])
            for first in ("self", "x", "naïve", "日本"):
                for second in ("x", "x def", "the", "été", "missing"):
                    phrase = [first, *second.split()]
                    total, hits = self.expected(places, lambda at, phrase=phrase: at == phrase, len(phrase))
                    self.assertEqual(searcher.search(f'"{" ".join(phrase)}"'), (total, bool(total), hits))

    def test_odd_queries(self):
        searcher, _ = self.index(2)
        nothing = (0, 0, ())
        self.assertEqual(searcher.search(""), nothing)
        self.assertEqual(searcher.search('""'), nothing)
        self.assertEqual(searcher.search('"x'), searcher.search('"x"'))
        self.assertEqual(searcher.search("*")[1], len(searcher.terms))
        self.assertEqual(searcher.search("\ud800*"), nothing)

    def test_phrases_of_frequent_words_stop_at_their_limit(self):
        self.write("many", "again and " * (3 * PHRASE_LIMIT))
        searcher, _ = self.index(1)
        self.assertEqual(searcher.search('"again and"')[0], PHRASE_LIMIT)
        self.assertEqual(searcher.search('"and again start"')[0], 0)

    def test_merging_uses_the_parts_where_they_are(self):
        files, _ = scan(self.root)
        parts = [index_part(run) for run in split(files, 3)]
        index = stoa.freeze(merge(parts, self.root))
        pieces = {id(piece) for part in parts for piece in part["postings"].values()}
        for numbers in index["postings"].values():
            for piece in pieces_of(numbers):
                self.assertIn(id(piece), pieces)
        for mine, theirs in zip(index["files"], (record for part in parts for record in part["files"])):
            self.assertIs(mine[1], theirs[1])

    def test_drawn_queries_are_the_same_for_the_same_seed_and_mostly_found(self):
        searcher, _ = self.index(2)
        drawn = queries.draw(searcher, 2000, 5)
        self.assertEqual(drawn, queries.draw(searcher, 2000, 5))
        self.assertNotEqual(drawn, queries.draw(searcher, 2000, 6))
        found = [query for query in drawn if searcher.search(query)[0]]
        self.assertGreater(len(found), 1900)
        self.assertLess(len(found), 2000)
        kinds = {"word": 0, "prefix": 0, "phrase": 0}
        for query in drawn:
            kinds["phrase" if query[0] == '"' else "prefix" if query[-1] == "*" else "word"] += 1
        self.assertGreater(min(kinds.values()), 300)

    def test_giant_words_are_no_terms_but_keep_their_place(self):
        self.write("giant", "kbefore " + "q" * 100_000 + " kafter\nkbefore kafter\n")
        searcher, _ = self.index(1)
        self.assertLessEqual(max(map(len, searcher.terms)), LONGEST)
        self.assertEqual(searcher.search("kbefore")[0], 2)
        self.assertEqual(searcher.search('"kbefore kafter"')[0], 1)  # the giant stands between the first two

    def test_no_text(self):
        searcher = Searcher(stoa.freeze(merge([], "")))
        self.assertEqual(searcher.search("x"), (0, 0, ()))
        self.assertEqual(queries.draw(searcher, 10, 1), [])

    def test_a_line_as_long_as_its_file_costs_no_more_than_another(self):
        class Watched(bytes):
            longest = 0

            def __getitem__(self, key):
                found = bytes.__getitem__(self, key)
                Watched.longest = max(Watched.longest, len(found))
                return found

        self.write("one.txt", "wörd " * 50_000 + "end")
        self.write("two.txt", " " * 3000 + "indented")
        searcher, _ = self.index(1)
        searcher.files = [(name, Watched(data), *rest) for name, data, *rest in searcher.files]
        self.assertEqual(searcher.search("wörd"), (50_000, 1, (("one.txt", 1, ("wörd " * 18)[:SNIPPET]),) * HITS))
        self.assertEqual(searcher.search('"wörd wörd end"'), (1, 1, (("one.txt", 1, ("wörd " * 18)[:SNIPPET]),)))
        self.assertEqual(searcher.search("indented"), (1, 1, (("two.txt", 1, "indented"),)))
        self.assertLess(Watched.longest, 5000)

    def test_many_threads_and_interpreters_search_one_copy(self):
        searcher, _ = self.index(2)
        name = "test_demo_index"
        index = {"terms": searcher.terms, "files": searcher.files, "postings": searcher.postings}
        index |= {"file_bases": bytes(searcher.bases), "totals": bytes(searcher.totals)}
        stoa.publish(name, index)
        self.addCleanup(stoa.unpublish, name)
        drawn = tuple(queries.draw(searcher, 500, 3))
        expected = [searcher.search(query) for query in drawn]
        code = (
            "import stoa\nfrom stoa._demo.index import Searcher\n"
            f"searcher = Searcher(stoa.lookup({name!r}))\n"
            "def ask(queries):\n    return tuple(searcher.search(query) for query in queries)\n"
        )
        answers = {}

        def work(number):
            with stoa.Interpreter(name=f"searcher-{number}") as interpreter:
                interpreter.exec(code)
                answers[number] = interpreter.call("__main__:ask", drawn)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([list(answers[number]) for number in range(3)], [expected] * 3)


if __name__ == "__main__":
    sys.exit(unittest.main())
