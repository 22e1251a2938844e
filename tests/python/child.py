"""Runs a piece of Python in a process of its own, for tests of what may crash, hang or end the process."""

import subprocess
import sys
import textwrap


def run(source, *, timeout=60, argv=(), env=None):
    """Runs `source`; the CompletedProcess. A hang is a failure of the test, with what was printed until then."""
    try:
        return subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(source), *argv],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=env,
        )
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"hangs; stdout {error.stdout!r} stderr {error.stderr!r}") from None


def check(case, source, *, stdout=None, returncode=0, quiet=True, **options):
    """Runs `source` and expects the return code, the output, and (quiet) nothing on standard error."""
    done = run(source, **options)
    case.assertEqual(done.returncode, returncode, f"\nstdout: {done.stdout}\nstderr: {done.stderr}")
    if quiet:
        case.assertEqual(done.stderr, "")
    if stdout is not None:
        case.assertEqual(done.stdout, stdout)
    return done
