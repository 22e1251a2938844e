"""Packages that are measured beside Stoa: installed by name into a folder of the build, if they are not there."""
import importlib
import os
import subprocess
import sys

import stoa


def folder():
    build = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(stoa._stoa.__file__)), "..", ".."))
    return os.path.join(build, "bench", "packages")


def get(name):
    """The package of that name; None with a word where pip cannot install it."""
    if folder() not in sys.path:
        sys.path.append(folder())
    try:
        return importlib.import_module(name)
    except ImportError:
        pass
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "10",
               "--target", folder(), name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"{name} is left out: pip cannot install it ({done.stderr.strip().splitlines()[-1:]})", file=sys.stderr)
        return None
    importlib.invalidate_caches()
    return importlib.import_module(name)
