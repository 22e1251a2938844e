#!/usr/bin/env bash
# Are the type stubs right? mypy reads them (strictly) and the programs in tests/typing, and stubtest compares them with
# the module as it is. mypy comes from the Python package index, into a virtual environment in the cache.
#
#     tools/typecheck.sh BUILD
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(cd "${1:-build}" && pwd -P)
cache=${STOA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stoa}
python=$build/venv/bin/python
[ -f python/stoa/__init__.pyi ] || { echo "no stubs yet"; exit 0; }

venv=$cache/mypy-$("$python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
if [ ! -x "$venv/bin/mypy" ]; then
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install -q mypy
fi

passed=0 failed=0
check() {
    local name=$1; shift
    if "$@"; then passed=$((passed + 1)); echo "ok       $name"; else failed=$((failed + 1)); echo "FAILED   $name"; fi
}
export MYPYPATH=$build/lib PYTHONPATH=$build/lib
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What is promised to users is checked strictly; private modules have no stubs, and their types are their own business.
config=$work/mypy.ini
printf '[mypy]\nstrict = True\n' >"$config"
for module in python/stoa/_*; do
    module=$(basename "$module" .py)
    case $module in __init__*) continue ;; esac
    printf '[mypy-stoa.%s.*]\nignore_errors = True\n' "$module" >>"$config"
done
check "mypy --strict on the stubs" "$venv/bin/mypy" --config-file "$config" --cache-dir "$work" python/stoa/__init__.pyi
if compgen -G 'tests/typing/*.py' >/dev/null; then
    check "mypy --strict on tests/typing" "$venv/bin/mypy" --config-file "$config" --cache-dir "$work" tests/typing
fi
printf 'stoa.__main__\n' >"$work/allowed" # a program: importing it runs it
check "stubtest: stubs and module agree" env -C "$work" "$venv/bin/python" -m mypy.stubtest stoa --ignore-missing-stub \
    --mypy-config-file "$config" --allowlist "$work/allowed" --ignore-unused-allowlist
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
