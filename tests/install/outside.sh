#!/usr/bin/env bash
# Installs a build into a fresh prefix and lets two outside projects, in C and in C++17, use it: through find_package(stoa)
# and through pkg-config. Then the installed Python package is imported with nothing of the build tree in sight.
#
#     tests/install/outside.sh BUILD PYTHON           (ctest runs it with the Python of the build)
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
build=$(cd "$1" && pwd -P)
python=$2
work=$build/tests/install
prefix="$work/pre fix" # a space, as folders of users have
passed=0 failed=0 words=()
unset PYTHONPATH LD_LIBRARY_PATH

try() { # try NAME COMMAND...
    local name=$1 log=$work/log; shift
    if "$@" >"$log" 2>&1; then
        passed=$((passed + 1))
        echo "ok       $name"
    else
        failed=$((failed + 1))
        echo "FAILED   $name: $*"
        sed 's/^/    /' "$log"
        return 1
    fi
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
    exit
}

rm -rf "$work"
mkdir -p "$work"
try install cmake --install "$build" --prefix "$prefix" || finish
package=$(dirname "$(dirname "$(find "$prefix" -name '_stoa.*')")")
minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
base=$("$python" -c 'import sys; print(sys.base_prefix)')
libdir=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')
pkgconfig=$(dirname "$(find "$prefix" -name stoa.pc)")
stoa_libdir=$(dirname "$pkgconfig")

import='import stoa; stoa.freeze([1, "two"]); assert stoa.__file__.startswith("'$prefix'"), stoa.__file__'
try "the installed package" env PYTHONPATH="$package" "$python" -c "$import"

for language in c cxx; do
    out=$work/$language
    try "find_package, configure ($language)" cmake -S "$here/$language" -B "$out" -DCMAKE_PREFIX_PATH="$prefix" \
        -DPython_ROOT_DIR="$base" -DPython_FIND_STRATEGY=LOCATION -DPython_EXECUTABLE="$python" \
        && try "find_package, build ($language)" cmake --build "$out" \
        && try "find_package, run ($language)" env PYTHONPATH="$package" LD_LIBRARY_PATH="$libdir" "$out/outside"

    case $language in
    c) compiler=(cc -std=c11) source=$here/c/outside.c ;;
    cxx) compiler=(c++ -std=c++17) source=$here/cxx/outside.cpp ;;
    esac
    export PKG_CONFIG_PATH=$pkgconfig:$libdir/pkgconfig
    flags=$(pkg-config --cflags --libs stoa "python-$minor-embed") || flags=--no-such-package
    eval "words=($flags)" # pkg-config quotes for a shell
    try "pkg-config, build ($language)" "${compiler[@]}" -Wall -Wextra -o "$out.pc" "$source" "${words[@]}" \
        && try "pkg-config, run ($language)" env PYTHONPATH="$package" LD_LIBRARY_PATH="$stoa_libdir:$libdir" "$out.pc"
done

# a host that leaves Python to Stoa finds the installed package without being told where it is
eval "words=($flags)"
try "a host, build" cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -o "$work/names" "$here/../../examples/names.c" "${words[@]}" -pthread \
    && try "a host, run" env LD_LIBRARY_PATH="$stoa_libdir:$libdir" "$work/names"
finish
