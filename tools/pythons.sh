#!/usr/bin/env bash
# The Pythons that Stoa is tested with, and where they come from.
#
#     tools/pythons.sh setup      gets those that are missing (needs root, apt and network); idempotent
#     tools/pythons.sh list       one line each: name, where (host or root), command
#     tools/pythons.sh which NAME the same for one; fails if it is not to be had
#     tools/pythons.sh run NAME COMMAND...   see tools/with-python
#
# Names: 3.12 3.13 3.14 3.15, 3.13-dbg 3.14-dbg 3.15-dbg, and full versions as pyenv has them (3.12.1).
# A Debian root of its own, in ${STOA_CACHE:-${XDG_CACHE_HOME:-~/.cache}/stoa}/$suite, holds what this machine's own
# package manager does not have. A command in it sees this checkout, the cache and /tmp at their usual places, mounted
# in a mount namespace of its own, so that nothing has to be cleaned up and nothing can be left behind.
set -euo pipefail

suite=forky
debian=(3.13 3.14 3.15)
packages=(gcc g++ make bzip2 cmake ninja-build pkgconf ccache libxxhash-dev libcmocka-dev ca-certificates
          python3-numpy python3-pytest python3-hypothesis)
# libpython*-testsuite: the `test` package, for tests/stoa_tests/frozen_constants.py
for v in "${debian[@]}"; do packages+=("python$v-dev" "python$v-venv" "python$v-dbg" "libpython$v-testsuite"); done

top=$(cd "$(dirname "$0")/.." && pwd -P)
cache=${STOA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stoa}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd -P)
root=$cache/$suite
stamp=$root/.stoa-packages
export STOA_TOP=$top STOA_CACHE=$cache

say() { printf 'pythons: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

complete() { # everything we want has been installed into the root
    [ -f "$stamp" ] && ! printf '%s\n' "${packages[@]}" | grep -vxFq -f "$stamp"
}

mirror() { # the Debian archive that this machine itself uses
    apt-get indextargets --format '$(SITE) $(CREATED_BY) $(ORIGIN) $(COMPONENT)' 2>/dev/null \
        | awk '$2 == "Packages" && $3 == "Debian" && $4 == "main" && !/security/ { print $1; exit }'
}

in_root() { # in_root DIRECTORY COMMAND...
    local dir=$1; shift
    local unshare=(unshare --mount --propagation private)
    [ "$(id -u)" = 0 ] || unshare+=(--map-root-user)
    mkdir -p "$root$HOME" 2>/dev/null || true
    exec "${unshare[@]}" bash -c '
        set -e
        root=$1 dir=$2; shift 2
        mount --rbind /proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --bind /tmp "$root/tmp"
        for place in "$STOA_TOP" "$STOA_CACHE"; do
            mkdir -p "$root$place"
            mount --bind "$place" "$root$place"
        done
        exec chroot "$root" /usr/bin/env -C "$dir" "$@"
    ' with-python "$root" "$dir" "$@"
}

setup_root() {
    complete && return
    [ "$(id -u)" = 0 ] || die "making $root needs root: run 'sudo -E tools/pythons.sh setup' once"
    command -v apt-get >/dev/null || die "Python ${debian[*]} and their debug builds come from Debian $suite, and this machine has no
  apt to take its mirror from. Stoa is built for any Python by 'make test PYTHON=/path/to/python3.x'."
    exec 9>"$cache/.$suite.lock"
    flock 9
    complete && return # somebody else was faster
    if [ ! -d "$root" ]; then
        if ! command -v debootstrap >/dev/null; then
            say "installing debootstrap"
            apt-get install -y -qq --no-install-recommends debootstrap >/dev/null \
                || { apt-get update -qq; apt-get install -y -qq --no-install-recommends debootstrap >/dev/null; }
        fi
        local scripts=/usr/share/debootstrap/scripts from
        from=$(mirror)
        [ -n "$from" ] || { apt-get update -qq; from=$(mirror); }
        [ -n "$from" ] || die "this machine's apt names no Debian archive to take $suite from"
        rm -rf "$root.part"
        say "making a Debian $suite root in $root"
        # the script of every recent suite is the one of sid; debootstrap takes it by path when it has none of that name
        if [ -e "$scripts/$suite" ]; then
            debootstrap --variant=minbase "$suite" "$root.part" "$from" >"$root.log" 2>&1
        else
            debootstrap --variant=minbase "$suite" "$root.part" "$from" "$scripts/sid" >"$root.log" 2>&1
        fi || { tail -n 20 "$root.log" >&2; die "debootstrap failed; the whole log is $root.log"; }
        mv "$root.part" "$root"
    fi
    # as this machine is set up, so is the root: name resolution, and whether dates of archives are believed
    cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
    apt-config dump Acquire 2>/dev/null | grep -E '^Acquire::(Check-|http|https|Retries)' >"$root/etc/apt/apt.conf.d/90stoa" || true
    say "installing into it: ${packages[*]}"
    (in_root / env DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -ec '
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "$@"
        apt-get clean' install "${packages[@]}") >>"$root.log" 2>&1 \
        || { tail -n 20 "$root.log" >&2; die "installing failed; the whole log is $root.log"; }
    printf '%s\n' "${packages[@]}" >>"$stamp"
}

# find NAME: sets where=host|root and command
find_python() {
    local name=$1 path
    where= command=
    case $name in
    *-dbg)
        for path in /usr/bin/python$name /usr/local/bin/python$name; do
            if [ -x "$path" ]; then where=host command=$path; return 0; fi
        done ;;
    *.*.*)
        path=${PYENV_ROOT:-$HOME/.pyenv}/versions/$name/bin/python3
        if [ -x "$path" ]; then where=host command=$path; return 0; fi
        return 1 ;;
    esac
    if [ -x "$root/usr/bin/python$name" ] && [ -e "$root/usr/include/python${name%-dbg}/Python.h" ]; then
        where=root command=/usr/bin/python$name
        return 0
    fi
    # whatever this machine has of that minor version, with headers; the newest patch of pyenv's
    for path in $(ls -d "${PYENV_ROOT:-$HOME/.pyenv}/versions/$name".*/bin/python3 2>/dev/null | sort -Vr) \
                $(command -v "python$name" 2>/dev/null) \
                $(command -v uv >/dev/null && uv python find "$name" 2>/dev/null); do
        if "$path" -c 'import sys, sysconfig, os.path as p
sys.exit(sysconfig.get_python_version() != sys.argv[1] or not p.exists(p.join(sysconfig.get_path("include"), "Python.h")))' \
            "$name" 2>/dev/null; then
            where=host command=$path
            return 0
        fi
    done
    return 1
}

all_names() {
    printf '%s\n' 3.12 "${debian[@]}" "${debian[@]/%/-dbg}"
    ls "${PYENV_ROOT:-$HOME/.pyenv}/versions" 2>/dev/null | grep -E '^3\.(1[2-9]|[2-9][0-9])\.[0-9]+$' || true
}

case ${1:-} in
setup) setup_root ;;
list)
    for name in $(all_names); do
        if find_python "$name"; then printf '%-9s %-5s %s\n' "$name" "$where" "$command"
        else printf '%-9s %-5s %s\n' "$name" - "not here; 'tools/pythons.sh setup' may get it"; fi
    done ;;
which)
    find_python "${2:?name}" && printf '%s %s\n' "$where" "$command" ;;
run)
    name=${2:?name}
    shift 2
    [ $# -gt 0 ] || die "run $name what?"
    if ! find_python "$name"; then
        say "no Python $name yet"
        case " ${debian[*]} ${debian[*]/%/-dbg} " in
        *" $name "*) (setup_root) ;;
        *) command -v uv >/dev/null && uv python install "$name" >&2 || true ;;
        esac
        find_python "$name" || die "there is no Python $name here; 'tools/pythons.sh list' tells which there are"
    fi
    export PYTHON=$command STOA_PYTHON=$command STOA_BUILD=build-$name
    export CCACHE_DIR=${CCACHE_DIR:-$cache/ccache}
    if [ "$where" = host ]; then exec "$@"; fi
    complete || (setup_root)
    unset CC CXX LD_LIBRARY_PATH PYTHONPATH PYTHONHOME
    in_root "$PWD" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@" ;;
*)
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 2 ;;
esac
