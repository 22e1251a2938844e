#!/usr/bin/env bash
# `pip install .` into a fresh virtual environment gives a working `import stoa`. Needs the Python package index.
#
#     tests/install/pip.sh PYTHON [FOLDER]
set -uo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd -P)
python=$1
work=${2:-$(mktemp -d)}
passed=0 failed=0
unset PYTHONPATH STOA_PYTHON PYTHON

try() {
    local name=$1; shift
    if "$@" >"$work.log" 2>&1; then passed=$((passed + 1)); echo "ok       $name"
    else failed=$((failed + 1)); echo "FAILED   $name: $*"; tail -n 60 "$work.log" | sed 's/^/    /'; return 1; fi
}

rm -rf "$work"
try "a virtual environment" "$python" -m venv "$work" \
    && try "pip install" "$work/bin/pip" install -q "$top" \
    && try "import stoa" env -C / "$work/bin/python" -I -c '
import sys, stoa
assert stoa.__file__.startswith(sys.prefix), stoa.__file__
frozen = stoa.freeze({"a": [1, 2.5, "x"]})
assert stoa.is_shared(frozen) and frozen["a"] == (1, 2.5, "x")' \
    && try "python -m stoa info" env -C / "$work/bin/python" -I -m stoa info \
    && try "its version" env -C / "$work/bin/python" -I -c '
import importlib.metadata, re, sys
number = re.search(r"project\(stoa VERSION ([0-9.]+)", open(sys.argv[1]).read()).group(1)
assert importlib.metadata.version("pystoa") == number' "$top/CMakeLists.txt" \
    && try "pip uninstall" "$work/bin/pip" uninstall -q -y pystoa
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
