#!/bin/sh
# Prints the Python to build for: full path of a CPython 3.12-3.15 (default build, with headers).
#
#   1. $PYTHON; 2. $STOA_PYTHON: if set, that one or an error
#   3. the newest one found on the path, in pyenv, in uv and where the package manager puts them
#
# Exit code 1: none has headers; then stderr tells what was seen. 2: the one that was asked for will not do.
set -eu
oldest=12
newest=15

probe='
import os, sys, sysconfig
v = sys.version_info
h = os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
if sys.implementation.name != "cpython": why = "is not CPython"
elif v[0] != 3 or v[1] < int(sys.argv[1]): why = "is too old"
elif v[1] > int(sys.argv[2]) or v.releaselevel in ("alpha", "beta"): why = "is newer than Stoa knows"
elif sysconfig.get_config_var("Py_GIL_DISABLED"): why = "is the free-threaded build"
elif not h: why = "has no headers (python%d.%d-dev)" % v[:2]
else: why = ""
print("%d.%03d.%03d%d|%s|%s" % (v[0], v[1], v[2], not hasattr(sys, "gettotalrefcount"), sys.executable, why))
'

ask() { # ask COMMAND: version|path|why not
    "$1" -I -c "$probe" "$oldest" "$newest" 2>/dev/null || true
}

for variable in PYTHON STOA_PYTHON; do
    eval "given=\${$variable:-}"
    [ -n "$given" ] || continue
    command=$(command -v "$given" 2>/dev/null) || { echo "$variable=$given: there is no such command" >&2; exit 2; }
    answer=$(ask "$command")
    [ -n "$answer" ] || { echo "$variable=$given does not run" >&2; exit 2; }
    why=${answer##*|}
    [ -z "$why" ] || { echo "$variable=$given $why; Stoa needs CPython 3.$oldest to 3.$newest, default build, with headers" >&2; exit 2; }
    path=${answer#*|}
    echo "${path%%|*}"
    exit 0
done

candidates() {
    minor=$newest
    while [ "$minor" -ge "$oldest" ]; do
        command -v "python3.$minor" 2>/dev/null || true
        for folder in /usr/bin /usr/local/bin /opt/homebrew/bin /opt/local/bin; do
            if [ -x "$folder/python3.$minor" ]; then echo "$folder/python3.$minor"; fi
        done
        if command -v uv >/dev/null 2>&1; then
            uv python find --no-python-downloads "3.$minor" 2>/dev/null || true
        fi
        minor=$((minor - 1))
    done
    command -v python3 2>/dev/null || true
    for path in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.*/bin/python3 \
                "${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/uv/python}"/cpython-3.*/bin/python3; do
        if [ -x "$path" ]; then echo "$path"; fi
    done
}

seen=$(candidates | awk '!seen[$0]++' | while read -r command; do ask "$command"; done)
best=$(printf '%s\n' "$seen" | grep '|$' | sort -r | head -n 1 | cut -d'|' -f2)
if [ -n "$best" ]; then
    echo "$best"
else
    printf '%s\n' "$seen" | awk -F'|' 'NF == 3 && !s[$0]++ { print "  " $2 " " $3 }' >&2
    exit 1
fi
