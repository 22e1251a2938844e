#!/usr/bin/env bash
# Brings what the build needs and this machine does not have, says what it does, and stops with a reason if it cannot.
#
#     tools/setup.sh                   the last line of stdout is the Python to build for
#     tools/setup.sh --package NAME    only this system package, which has the same name everywhere
#
#   1. system packages, by name, through apt; only those that are missing. Elsewhere it names them and stops.
#   2. a Python: see tools/find-python.sh. None: the distribution's own if it is 3.12 or newer, else `uv python install`.
#   3. jemalloc is built by CMake through tools/jemalloc.sh.
# Nothing is installed when nothing is missing; it may run any number of times. STOA_SETUP=check only looks.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo); fi

apt_install() {
    say "apt-get install $*"
    [ "${STOA_SETUP:-}" != check ] || die "STOA_SETUP=check: not installed"
    if [ "$(id -u)" != 0 ] && ! { have sudo && { sudo -n true 2>/dev/null || [ -t 0 ]; }; }; then
        die "that needs root. Run this once, then again what you ran:
  sudo apt-get install $*"
    fi
    local get=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get)
    "${get[@]}" install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 && return
    "${get[@]}" update -qq >&2 || say "apt-get update failed; trying with the lists that are here"
    "${get[@]}" install -y -qq --no-install-recommends "$@" >&2 \
        || die "apt-get could not install: $*"
}

if [ "${1:-}" = --package ]; then
    have apt-get || die "install $2 with this machine's package manager (dnf install $2, brew install $2), then run this again"
    apt_install "$2"
    exit
fi

# ---- 1. system packages ----------------------------------------------------------------------------------------------
cmake_is_new_enough() {
    have cmake && cmake --version 2>/dev/null | awk 'NR == 1 { split($3, v, "."); exit !(v[1] > 3 || (v[1] == 3 && v[2] >= 20)) }'
}
compiles() { # compiles HEADER...: does the C compiler find them?
    have "${CC:-cc}" && printf '#include <%s>\n' "$@" | "${CC:-cc}" -E -xc - >/dev/null 2>&1
}

missing=() apt=() dnf=() brew=()
need() { # need WHAT APT DNF BREW
    missing+=("$1")
    apt+=("$2")
    dnf+=("$3")
    brew+=("$4")
}
have "${CC:-cc}" || need "a C compiler" gcc gcc gcc
compiles stdlib.h stdio.h || need "the C library's headers" libc6-dev glibc-devel gcc
have "${CXX:-c++}" || need "a C++ compiler (to check the public headers)" g++ gcc-c++ gcc
cmake_is_new_enough || need "CMake 3.20 or newer" cmake cmake cmake
have ninja || need Ninja ninja-build ninja-build ninja
have make || need make make make make
have bzip2 || need bzip2 bzip2 bzip2 bzip2
have flock || need flock util-linux util-linux flock
have pkg-config || need pkg-config pkg-config pkgconf-pkg-config pkgconf
compiles xxhash.h || need "xxHash's header" libxxhash-dev xxhash-devel xxhash
compiles stdarg.h stddef.h stdint.h setjmp.h cmocka.h || need cmocka libcmocka-dev libcmocka-devel cmocka

if [ ${#missing[@]} -gt 0 ]; then
    say "missing: $(printf '%s, ' "${missing[@]}" | sed 's/, $//')"
    if have apt-get; then
        apt_install "${apt[@]}"
    else
        die "install them with this machine's package manager, then run this again:
  dnf:    sudo dnf install ${dnf[*]}
  brew:   brew install ${brew[*]}
  apt:    sudo apt-get install ${apt[*]}"
    fi
    cmake_is_new_enough || die "CMake is still older than 3.20 ($(cmake --version 2>/dev/null | head -n1)); 'pip install cmake' has a new one"
fi

# ---- 2. a Python -----------------------------------------------------------------------------------------------------
distribution_python() { # installs the distribution's own if it is new enough
    have apt-get || return 1
    local minor
    apt-cache show python3-dev >/dev/null 2>&1 || "${as_root[@]}" apt-get update -qq >&2 || true
    for minor in 15 14 13 12; do
        if [ -n "$(apt-cache madison "python3.$minor-dev" 2>/dev/null)" ]; then
            (apt_install "python3.$minor-dev" "python3.$minor-venv") && return 0
        fi
    done
    return 1
}

uv_python() {
    [ "${STOA_SETUP:-}" != check ] || return 1
    have uv || return 1
    local version
    for version in 3.14 3.13 3.12; do
        say "uv python install $version"
        uv python install "$version" >&2 && return 0
    done
    return 1
}

status=0
python=$("$here/find-python.sh") || status=$?
[ $status != 2 ] || die "choose another one with PYTHON=/path/to/python3.x"
if [ $status != 0 ]; then
    say "no Python that can be built for (CPython 3.12 to 3.15, default build, with headers) was found"
    distribution_python || uv_python || true
    python=$("$here/find-python.sh" 2>/dev/null) || die "there is no Python to build for. Any of these gets one:
  make … PYTHON=/path/to/python3.x      one that you have, with its headers; or export STOA_PYTHON=
  apt-get install python3.13-dev        or another of 3.12 to 3.15, where the distribution has it; dnf install python3.13-devel
  brew install python@3.14
  pyenv install 3.14                    found by itself afterwards
  uv python install 3.14                found by itself afterwards (pip install uv)
  tools/with-python 3.14 make …         in a Debian root of its own (root and apt needed)"
fi
printf '%s\n' "$python"
