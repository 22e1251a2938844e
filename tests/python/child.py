"""Runs a piece of Python in a process of its own, for tests of what may crash, hang or end the process."""

import signal
import subprocess
import sys
import textwrap

from stoa_tests import SLOW_BUILD


def run(source, *, timeout=60, argv=(), env=None):
    """Runs `source`; the CompletedProcess. A hang is a failure of the test, with the stacks of all threads."""
    command = [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(source), *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout * (4 if SLOW_BUILD else 1))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # faulthandler prints the stacks
            try:
                stdout, stderr = process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                stdout, stderr = process.communicate()
            raise AssertionError(f"hangs; stdout {stdout!r} stderr:\n{stderr}") from None
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def check(case, source, *, stdout=None, returncode=0, quiet=True, **options):
    """Runs `source` and expects the return code, the output, and (quiet) nothing on standard error."""
    done = run(source, **options)
    case.assertEqual(done.returncode, returncode, f"\nstdout: {done.stdout}\nstderr: {done.stderr}")
    if quiet:
        case.assertEqual(done.stderr, "")
    if stdout is not None:
        case.assertEqual(done.stdout, stdout)
    return done
