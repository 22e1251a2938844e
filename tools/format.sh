#!/usr/bin/env bash
# Lays out all C sources with clang-format 14; `--check` changes nothing, names the files that differ and fails. It looks for
# lines of more than 130 characters, too, in C and Markdown: comments are not wrapped for you.
# Another major version formats differently, so if this machine has none of version 14, it is taken from the Python
# package index into a virtual environment in the cache.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${STOA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stoa}

is_14() { command -v "$1" >/dev/null 2>&1 && "$1" --version 2>/dev/null | grep -q 'version 14\.'; }

tool=
for candidate in clang-format-14 clang-format "$cache/clang-format-14/bin/clang-format"; do
    if is_14 "$candidate"; then tool=$candidate; break; fi
done
if [ -z "$tool" ]; then
    echo "format: getting clang-format 14 from the Python package index" >&2
    python=$(tools/find-python.sh || command -v python3) && "$python" -m venv "$cache/clang-format-14" && "$cache/clang-format-14/bin/pip" install -q 'clang-format==14.*' || {
        echo "format: no clang-format 14 here; install clang-format-14 (apt), or pip install 'clang-format==14.*'" >&2
        exit 2
    }
    tool=$cache/clang-format-14/bin/clang-format
fi

mapfile -t files < <(find include src tests examples bench -name '*.[ch]' -not -path '*/.*' 2>/dev/null | sort)
[ ${#files[@]} -gt 0 ] || { echo "0 files"; exit 0; }
if [ "${1:-}" = --check ]; then
    bad=()
    for file in "${files[@]}"; do
        if ! "$tool" --style=file "$file" | cmp -s - "$file"; then bad+=("$file"); fi
    done
    if [ ${#bad[@]} -gt 0 ]; then
        echo "these files are not as clang-format 14 lays them out; 'make format' does it:"
        printf '  %s\n' "${bad[@]}"
        exit 1
    fi
    mapfile -t texts < <(find . -name '*.md' -not -path './build*' -not -path '*/.*' | sort)
    long=$(LC_ALL=C.UTF-8 grep -nE '.{131,}' "${files[@]}" "${texts[@]}" | cut -d: -f1,2 || true)
    if [ -n "$long" ]; then
        echo "these lines are longer than 130 characters:"
        sed 's/^/  /' <<<"$long"
        exit 1
    fi
    echo "${#files[@]} files are laid out as agreed, and no line of theirs or of ${#texts[@]} Markdown files is too long"
else
    "$tool" --style=file -i "${files[@]}"
    echo "${#files[@]} files"
fi
