"""examples/geometry.c: files that are no surface, and the pictures of some that are."""

import os
import re
import struct
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

PROGRAM = os.path.join(os.path.dirname(os.environ.get("STOA_BUILD_PYTHON", "/nowhere/python")), "examples", "geometry")

# a tetrahedron, corners in the order that shows its outside
CORNERS = ((0, 0, 0), (10, 0, 0), (0, 10, 0), (0, 0, 10))
FACES = ((0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3))


def binary(triangles, count=None, tail=b""):
    records = b"".join(struct.pack("<12f", 0, 0, 0, *[x for corner in triangle for x in corner]) + b"\0\0" for triangle in triangles)
    return b"a surface".ljust(80) + struct.pack("<I", len(triangles) if count is None else count) + records + tail


def text(triangles):
    lines = ["solid a surface"]
    for triangle in triangles:
        lines += ["facet normal nan 0 0", " outer loop", *["  vertex %g %g %g" % corner for corner in triangle], " endloop", "endfacet"]
    return "\n".join([*lines, "endsolid a surface", ""]).encode()


TETRAHEDRON = [[CORNERS[i] for i in face] for face in FACES]


@unittest.skipUnless(os.path.exists(PROGRAM), "the examples are not built")
class Geometry(unittest.TestCase):
    def run_on(self, data, *options):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "surface.stl")
            with open(path, "wb") as file:
                file.write(data)
            done = subprocess.run([PROGRAM, *options, path], capture_output=True, text=True, timeout=60)
        return done

    def test_bad_files_say_what_is_wrong(self):
        good, words = binary(TETRAHEDRON), text(TETRAHEDRON)
        for data, wanted in [
            (b"", "it is empty"),
            (b"garbage", "no STL file"),
            (os.urandom(500), "was cut off, or is no STL file"),
            (good[:-7], "4 triangles, which take 284 bytes, but it has 277"),
            (good + b"x", "but it has 285: it has something behind them"),
            (words + b"more", "behind the last"),
            (binary(TETRAHEDRON, 2**32 - 1), "4294967295 triangles"),
            (binary([], 0), "no triangles"),
            (binary([((0, 0, 0), (1, 0, float("nan")), (0, 1, 0))]), "triangle 0 has a coordinate that is no finite number"),
            (binary([((0, 0, 0), (1, 0, 1e30), (0, 1, 0))]), "triangle 0 has a coordinate that is no finite number, or beyond 1e18"),
            (words[: words.index(b"  vertex")], "cut off"),
            (words.replace(b"vertex", b"vortex", 1), 'line 4: "vortex" where "vertex" has to be'),
            (words.replace(b" 10 ", b" ten ", 1), '"ten" is no coordinate'),
            (words.replace(b" 10 ", b" inf ", 1), '"inf" is no coordinate'),
            (b"solid nothing\nendsolid\n", "no triangles"),
            (b"solid " + b"x" * 5000, "cut off"),
            (b"solid" + good[5:80].replace(b" ", b"\0") + good[80:-7], "4 triangles, which take 284 bytes, but it has 277"),
            (words.replace(b" 10 ", b" " + b"0" * 70 + b"10 ", 1), "is no coordinate"),
        ]:
            with self.subTest(wanted):
                done = self.run_on(data)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn(wanted, done.stderr)
                self.assertIn("surface.stl", done.stderr)
        done = subprocess.run([PROGRAM, "/nowhere/at/all.stl"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("No such file", done.stderr)
        with tempfile.TemporaryDirectory() as folder:
            os.mkfifo(os.path.join(folder, "pipe.stl"))
            done = subprocess.run([PROGRAM, os.path.join(folder, "pipe.stl")], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("it is no file", done.stderr)

    def test_text_as_others_write_it(self):
        words = text(TETRAHEDRON)
        for data, triangles in [
            (words + b"\n" + words, 8),  # several solids
            (b"\xef\xbb\xbf" + words, 4),
            (words.replace(b"\n", b"\r"), 4),
            (b"\r\n  " + words.replace(b"\n", b"\r\n").upper(), 4),
        ]:
            with self.subTest(data[:20]):
                done = self.run_on(data, "-l", "5")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(f"{triangles} triangles, 5 layers", done.stdout)

    def test_text_and_binary_give_one_result(self):
        with tempfile.TemporaryDirectory() as folder:
            pictures = []
            for data in (binary(TETRAHEDRON), text(TETRAHEDRON)):
                path = os.path.join(folder, "picture.svg")
                done = self.run_on(data, "-l", "20", "-b", "3", "-o", path)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("results equal", done.stdout)
                self.assertIn("4 triangles, 20 layers in 3 bands: 20 contours of", done.stdout)
                with open(path) as file:
                    pictures.append(file.read())
        self.assertEqual(pictures[0], pictures[1])
        root = ElementTree.fromstring(pictures[0])
        paths = root.findall(".//{http://www.w3.org/2000/svg}path")
        self.assertEqual(len(paths), 20)
        left, top, width, height = map(float, root.get("viewBox").split())
        for path in paths:  # one triangle a layer, in the picture
            self.assertRegex(path.get("d").strip(), r"^M-?[0-9.]+ -?[0-9.]+(L-?[0-9.]+ -?[0-9.]+){2}Z$")
            for x, y in re.findall(r"[ML](\S+) ([0-9.-]+)", path.get("d")):
                self.assertTrue(left <= float(x) <= left + width and top <= float(y) <= top + height, (x, y))


if __name__ == "__main__":
    unittest.main()
