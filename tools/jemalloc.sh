#!/usr/bin/env bash
# Builds the private jemalloc of Stoa, once per compiler, and prints the folder it is in.
#
#     tools/jemalloc.sh [CC]          the last line of stdout is the folder: include/ and lib/libjemalloc_pic.a
#
# Why not the system's: it is built with initial-exec TLS, and a library like that cannot be loaded by `import`
# ("cannot allocate memory in static TLS block"). Ours has a prefix of its own and exports nothing.
#
# The source comes from, in this order:
#   STOA_JEMALLOC_SOURCE   a tarball or an unpacked tree that you provide
#   apt-get source         where apt is; deb-src lines are made in a private folder, the system's files stay as they are
#   the release archive    of the jemalloc project
# A tarball must have one of the SHA-256 below. Results are kept in ${STOA_CACHE:-${XDG_CACHE_HOME:-~/.cache}/stoa}.
set -euo pipefail

# version, SHA-256 of its tarball; the first is what we ask for, the others will do where a distribution has only those
known=(
    5.3.0 2db82d1e7119df3e71b7640219b6dfe84789bc0537983c3b7ac4f7189aecfeaa # the release archive, and Debian's orig.tar.bz2
    5.3.1 aac0e7afdbfb8abcbe7cab63597b63abacf22e8b701116a10a45b5ff50ac0c29 # Debian's orig.tar.gz, without a configure script
)
wanted=${known[0]}
release=https://github.com/jemalloc/jemalloc/releases/download/$wanted/jemalloc-$wanted.tar.bz2
configure=(--disable-initial-exec-tls --with-jemalloc-prefix=stoa_je_ --with-private-namespace=stoa_je_p_
           --disable-cxx --enable-static --disable-shared --disable-doc --disable-prof --disable-fill
           --disable-cache-oblivious)
cflags='-O3 -g1 -fPIC -ffunction-sections -fno-semantic-interposition'

say() { printf 'jemalloc: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

cc=${1:-${CC:-cc}}
cache=${STOA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stoa}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd -P)
compiler=$("$cc" -dumpmachine)-$(basename "$cc")-$("$cc" -dumpversion)
flags_hash=$(printf '%s\n' "${configure[@]}" "$cflags" "$("$cc" --version | head -n1)" "$(getconf GNU_LIBC_VERSION 2>/dev/null || uname -r)" \
             | sha256sum | cut -c1-10)
version= prefix=

use_version() {
    version=$1
    prefix=$cache/jemalloc-$version-$compiler-$flags_hash
}

done_already() { # one of the known versions, or a tree of the user's own
    local i
    for ((i = 0; i < ${#known[@]}; i += 2)); do
        use_version "${known[i]}"
        if [ -f "$prefix/lib/libjemalloc_pic.a" ] && [ -f "$prefix/include/jemalloc/jemalloc.h" ]; then return 0; fi
    done
    return 1
}

checked() { # checked FILE: is it a tarball that we know? Sets the version.
    [ -f "$1" ] || return 1
    local sum i
    sum=$(sha256sum "$1" | cut -d' ' -f1)
    for ((i = 0; i < ${#known[@]}; i += 2)); do
        if [ "$sum" = "${known[i + 1]}" ]; then use_version "${known[i]}"; return 0; fi
    done
    return 1
}

from_apt() { # leaves the tarball in $1
    command -v apt-get >/dev/null && command -v awk >/dev/null || return 1
    local dir; dir=$(mktemp -d) || return 1
    mkdir -p "$dir/lists/partial" "$dir/archives/partial" "$dir/src"
    # the machine's own binary sources, turned into source ones
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(CREATED_BY)' 2>/dev/null \
        | awk '$4 == "Packages" && !seen[$0]++ { print "deb-src", $1, $2, $3 }' >"$dir/sources.list"
    [ -s "$dir/sources.list" ] || { rm -rf "$dir"; return 1; }
    local apt=(apt-get -qq -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null
               -o Dir::State::Lists="$dir/lists" -o Dir::Cache::Archives="$dir/archives"
               -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache= -o APT::Sandbox::User=root)
    local ok=1
    # --tar-only: an archive may miss the packaging files of an older version; we need none of them
    if "${apt[@]}" update >&2 && cd "$dir/src" \
        && { "${apt[@]}" source --download-only --tar-only "jemalloc=$wanted-*" >&2 2>/dev/null \
             || "${apt[@]}" source --download-only --tar-only jemalloc >&2; }; then
        for file in "$dir"/src/jemalloc_*.orig.tar.*; do
            case $file in *.asc) continue ;; esac
            if checked "$file"; then mv "$file" "$1"; ok=0; break; fi
            if [ -f "$file" ]; then say "apt offers $(basename "$file"), which we do not know"; fi
        done
    fi
    cd /
    rm -rf "$dir"
    return $ok
}

from_web() { # leaves the tarball in $1
    say "fetching $release"
    if command -v curl >/dev/null; then
        curl -fsSL --connect-timeout 20 --max-time 300 -o "$1" "$release"
    elif command -v wget >/dev/null; then
        wget -q --timeout=60 -O "$1" "$release"
    else
        return 1
    fi && checked "$1"
}

unpack_source() { # unpacks the source into $1 and sets the version
    local given=${STOA_JEMALLOC_SOURCE:-} tarball=$cache/src/jemalloc.tar
    mkdir -p "$1" "$cache/src"
    if [ -n "$given" ] && [ -d "$given" ]; then
        say "source: the tree $given"
        use_version "$wanted"
        cp -a "$given/." "$1/"
        return
    fi
    if [ -n "$given" ]; then
        checked "$given" || die "STOA_JEMALLOC_SOURCE=$given is no jemalloc that we know (the list is in tools/jemalloc.sh)"
        tarball=$given
    elif ! checked "$tarball"; then
        rm -f "$tarball"
        from_apt "$tarball.part" || from_web "$tarball.part" || die "cannot get the source of jemalloc.
  Put jemalloc-$wanted.tar.bz2 anywhere and say STOA_JEMALLOC_SOURCE=/path/to/it (a tarball or an unpacked tree),
  or give this machine apt with access to source packages, or access to $release"
        mv "$tarball.part" "$tarball"
    fi
    tar -xf "$tarball" -C "$1" --strip-components=1
    if [ ! -x "$1/configure" ] && ! command -v autoconf >/dev/null; then
        say "this source package has no configure script; autoconf makes it"
        "$(dirname "$0")/setup.sh" --package autoconf
    fi
}

if ! done_already; then
    mkdir -p "$cache"
    exec 9>"$cache/.jemalloc.lock"
    flock 9 # somebody else may be building it just now
    if ! done_already; then
        work=$(mktemp -d "$cache/build-jemalloc.XXXXXX")
        trap 'rm -rf "$work"' EXIT
        unpack_source "$work/src"
        say "building $version with $cc (about 40 s, once); log: $prefix.log"
        (
            cd "$work/src"
            [ -x ./configure ] || autoconf
            CC=$cc CFLAGS=$cflags EXTRA_CFLAGS= ./configure --prefix="$work/out" --with-version="$version-0-g0" "${configure[@]}"
            make -j"${STOA_JOBS:-2}" build_lib_static
            make install_include install_lib_static
        ) >"$prefix.log" 2>&1 || { tail -n 30 "$prefix.log" >&2; die "the build failed; the whole log is $prefix.log"; }
        rm -rf "$prefix"
        mv "$work/out" "$prefix"
    fi
fi
printf '%s\n' "$prefix"
