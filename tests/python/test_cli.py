"""The command line but for the demo: info, doctor, bench; each for people and for programs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from cli_support import child, stoa

import stoa as stoa_package
from stoa._cli import doctor, main


class Commands(unittest.TestCase):
    def test_help_names_every_command(self):
        done = stoa("--help")
        self.assertEqual(done.returncode, 0)
        for command in ("demo", "info", "doctor", "bench"):
            self.assertIn(command, done.stdout)
            self.assertEqual(stoa(command, "--help").returncode, 0)

    def test_no_or_unknown_command(self):
        self.assertEqual(stoa().returncode, 2)
        done = stoa("frobnicate")
        self.assertEqual(done.returncode, 2)
        self.assertIn("frobnicate", done.stderr)

    def test_reader_that_goes_away(self):
        command = f"{sys.executable} -m stoa info | head -n 1"
        done = subprocess.run(command, shell=True, capture_output=True, encoding="utf-8", timeout=60)
        self.assertEqual(done.stderr, "")

    def test_interrupt(self):
        with mock.patch("stoa._cli.run", side_effect=KeyboardInterrupt), mock.patch("sys.stderr"):
            self.assertEqual(main(["info"]), 130)


class Info(unittest.TestCase):
    def test_for_people(self):
        done = stoa("info")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(stoa_package.__version__, done.stdout)
        for word in ("jemalloc", "STOA_GUARD", "used_bytes"):
            self.assertIn(word, done.stdout)

    def test_for_programs(self):
        done = stoa("info", "--json", env={**os.environ, "STOA_GUARD": "strict"})
        content = json.loads(done.stdout)
        self.assertEqual(content["stoa"]["version"], stoa_package.__version__)
        self.assertEqual(content["python"]["version"].split("+")[0], sys.version.split()[0].split("+")[0])
        self.assertEqual(content["settings"]["STOA_GUARD"], "strict")
        self.assertEqual(content["names"], [])
        self.assertEqual(len(content["process"]["interpreters"]), 1)
        self.assertIsInstance(content["process"]["region"]["used_bytes"], int)
        self.assertEqual(content["stoa"]["library"], stoa_package.__version__)
        self.assertGreater(content["stoa"]["limits"]["reserved_bytes"], 1 << 30)


class Doctor(unittest.TestCase):
    def test_this_machine_is_fit(self):
        done = stoa("doctor")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn(f"{len(doctor.CHECKS)} checks: 0 bad", done.stdout)

    def test_for_programs(self):
        rows = json.loads(stoa("doctor", "--json").stdout)
        self.assertEqual([row["what"] for row in rows], [what for what, _ in doctor.CHECKS])
        for row in rows:
            self.assertIn(row["status"], ("ok", "note", "bad"))
            self.assertEqual(row["status"] == "ok", not row["remedy"], row)

    def test_bad_guard_setting(self):
        done = stoa("doctor", env={**os.environ, "STOA_GUARD": "sometimes"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("set it to strict, tolerate or off", done.stdout)

    @unittest.skipIf(os.environ.get("STOA_SANITIZE"), "a sanitizer needs terabytes of addresses itself")
    def test_small_address_space(self):
        script = (
            "import resource, runpy, sys\n"
            "resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))\n"
            "sys.argv[1:] = ['doctor']\nrunpy.run_module('stoa', run_name='__main__', alter_sys=True)\n"
        )
        done = child("-c", script)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("limited to 16.0 GiB", done.stdout)

    def test_works_where_the_module_cannot_be_imported(self):
        with tempfile.TemporaryDirectory() as folder:
            package = os.path.dirname(stoa_package.__file__)
            shutil.copytree(package, os.path.join(folder, "stoa"), ignore=shutil.ignore_patterns("*.so", "__pycache__"))
            options = {"cwd": folder, "env": {**os.environ, "PYTHONPATH": folder}}
            done = stoa("doctor", **options)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stdout, "BAD +extension module .*_stoa")
            self.assertIn("make build PYTHON=", done.stdout)
            self.assertIn("1 bad", done.stdout)
            self.assertIn("_stoa", child("-c", "import stoa", **options).stderr)

    def findings(self, **patches):
        with mock.patch.multiple(doctor, **patches):
            return {what: (status, found, remedy) for what, status, found, remedy in doctor.examine()}

    def test_each_shortcoming_has_its_remedy(self):
        files = {
            "/proc/sys/vm/overcommit_memory": "2",
            "/sys/fs/cgroup/memory.max": str(1 << 30),
            "/sys/kernel/mm/transparent_hugepage/shmem_enabled": "always within_size advise [never] deny force",
        }
        found = self.findings(read=files.get, kernel_version=lambda: (5, 10), CHECKS=[row for row in doctor.CHECKS if row[1] not in doctor.NEED_MODULE])
        for what in ("overcommit", "memory limit", "huge pages", "memory readings"):
            self.assertEqual(found[what][0], "note")
            self.assertTrue(found[what][2])
        self.assertIn("1.0 GiB", found["memory limit"][1])

    def test_unsupported_pythons(self):
        for patch in (
            mock.patch.object(doctor, "SUPPORTED", ((3, 1), (3, 2))),
            mock.patch.object(sys.implementation, "name", "pypy"),
            mock.patch("sysconfig.get_config_var", return_value=1),
        ):
            with patch:
                self.assertEqual(doctor.check_python()[0], "bad")
        with mock.patch("platform.system", return_value="Plan 9"):
            self.assertEqual(doctor.check_kernel()[0], "bad")
        with mock.patch("platform.machine", return_value="riscv64"):
            self.assertEqual(doctor.check_kernel()[0], "note")
        with mock.patch("sysconfig.get_path", return_value="/nowhere"):
            self.assertIn("python3-dev", doctor.check_headers()[2])
        with mock.patch("os.memfd_create", side_effect=PermissionError(1, "Operation not permitted")):
            self.assertEqual(doctor.check_memfd()[0], "note")

    def test_a_check_that_fails_is_a_finding(self):
        def broken():
            raise ZeroDivisionError("oops")

        found = self.findings(CHECKS=[("broken", broken)])
        self.assertEqual(found["broken"][:2], ("bad", "ZeroDivisionError: oops"))


class Bench(unittest.TestCase):
    def test_every_figure_has_its_baseline(self):
        done = stoa("bench", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = json.loads(done.stdout)
        self.assertGreaterEqual(len(rows), 4)
        for row in rows:
            self.assertGreater(row["value"], 0)
            self.assertGreater(row["baseline_value"], 0)


if __name__ == "__main__":
    sys.exit(unittest.main())
