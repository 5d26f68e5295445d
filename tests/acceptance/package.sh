#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# package.sh SOURCE BUILD - what people install, as packages and as a tree of their own.
#
# The packages are built twice, from copies of the sources at two places, and must be the same bytes.  They
# are installed for real where nobody has them (as root; removed at the end, whatever happens), else
# unpacked into a folder.  From there on README's program, a static one, users of the CMake package in C
# and C++, and the installed `busbar` do their work.  Then the same for a tree that `cmake --install` made
# and that was moved.
# bb-release-only
# bb-timeout: 600
. "$(dirname "$0")/cli_common.bash"

debs=$box/debs
root=$box/root # of what was unpacked; empty when the packages are installed
lib=usr/lib/$(gcc -print-multiarch 2>/dev/null)
version=$(sed -n 's/^project(busbar VERSION \([0-9.]*\).*/\1/p' "$source_dir/CMakeLists.txt")
mkdir "$debs"

prints_line() { grep -qxF -- "$1" "$out"; }
installed() { dpkg-query -W -f '${Status}\n' "$1" 2>/dev/null | grep -q ' installed$'; }

# The changelog knows the version that is built; tests/unit/lib/opts.c compares the header's.
changelog_is_current()
{
    run 0 dpkg-parsechangelog -l "$source_dir/cmake/debian/changelog" -SVersion && prints_line "$version"
}

# ---- build -----------------------------------------------------------------------------------------

# Builds the packages from a copy of the sources at this place.
build_at()
{
    mkdir -p "$1"
    tar -C "$source_dir" --exclude=./build --exclude=./.git -cf - . | tar -C "$1" -xf - || return 1
    (
        cd "$1" || exit 1
        SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l cmake/debian/changelog -STimestamp) || exit 1
        export SOURCE_DATE_EPOCH
        limit=200
        run 0 cmake --preset package && run 0 cmake --build --preset package --target package -j 2 && exit 0
        tail -n 15 "$out" >"$out.end" && mv "$out.end" "$out" # what went wrong stands at the end
        exit 1
    )
}

# same_bytes A B - and in what two packages differ, when they do.
same_bytes()
{
    cmp "$1" "$2" && return
    diff <(dpkg-deb -I "$1"; dpkg-deb -c "$1") <(dpkg-deb -I "$2"; dpkg-deb -c "$2") | sed 's/^/    /'
    return 1
}

builds_twice_the_same()
{
    local deb name
    build_at "$box/one/busbar" && build_at "$box/elsewhere/further/down" || return 1
    for deb in "$box"/one/busbar/build/package/*.deb; do
        name=$(basename "$deb")
        same_bytes "$deb" "$box/elsewhere/further/down/build/package/$name" || return 1
        mv "$deb" "$debs/"
    done
    rm -rf "$box/one" "$box/elsewhere"
    [ "$(find "$debs" -name '*.deb' | wc -l)" = 3 ]
}

# ---- what is in them -------------------------------------------------------------------------------

deb_of() { echo "$debs/$1_${version}_$(dpkg --print-architecture).deb"; }
lists() { dpkg-deb -c "$(deb_of "$1")" | awk '{print $6}' | grep -qx -- "$2" || { echo "    $1 lacks $2"; return 1; }; }
depends() { dpkg-deb -f "$(deb_of "$1")" Depends | grep -qF -- "$2" || { echo "    $1: no $2"; return 1; }; }
lintian_is_content()
{
    limit=60 run 0 lintian --profile debian --allow-root --fail-on error "$debs"/*.deb
    local rc=$?
    sed 's/^/    /' "$out"
    return $rc
}

# Every header, man page and program is in the package where people look for it.
nothing_is_missing()
{
    local file section rc=0
    for file in "$source_dir"/lib/include/busbar/*.h; do
        lists libbusbar-dev "./usr/include/busbar/$(basename "$file")" || rc=1
    done
    for file in "$source_dir"/docs/man/*.[1-8]; do
        section=${file##*.}
        lists "$([ "$section" = 3 ] && echo libbusbar-dev || echo busbar)" \
            "./usr/share/man/man$section/$(basename "$file").gz" || rc=1
    done
    for file in "$source_dir"/tools/completion/*.bash; do
        [ -e "$file" ] || continue
        lists busbar "./usr/share/bash-completion/completions/$(basename "$file" .bash)" || rc=1
    done
    # A page that only names another: made by the build.
    lists libbusbar-dev ./usr/share/man/man3/bb_publish.3.gz || rc=1
    lists busbar ./usr/bin/busbard && lists busbar ./usr/lib/systemd/system/busbard@.service && depends busbar libssl3 \
        && depends busbar liburing && depends busbar libinih && depends busbar liblz4 || rc=1
    lists busbar ./usr/bin/busbar && lists busbar ./usr/bin/busbar-sensor \
        && lists libbusbar0 "./$lib/libbusbar.so.0" && lists libbusbar-dev "./$lib/libbusbar.a" \
        && depends busbar "libbusbar0 (= $version)" && depends libbusbar-dev "libbusbar0 (= $version)" \
        && depends busbar libpcap && depends libbusbar0 libc6 && return $rc
}

# ---- install ---------------------------------------------------------------------------------------

# Another dpkg may be at work: its lock is waited for, any other failure is final.  It has long, as it lists
# all man pages of the machine anew, and must not be cut off in the middle of that.
dpkg_waits()
{
    local end=$((SECONDS + 60)) limit=200
    until run 0 dpkg "$@"; do
        says 'lock' && [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}

purge()
{
    [ -z "$root" ] || return 0
    dpkg_waits --purge busbar libbusbar-dev libbusbar0
}
trap 'purge >/dev/null 2>&1; clean_up' EXIT

put_into_place()
{
    local deb
    # One of these tests at a time has the machine; the lock lasts as long as this script.
    exec 9<"$(command -v dpkg)"
    if [ "$(id -u)" = 0 ] && flock -w 120 9 && ! installed libbusbar0 && ! installed busbar; then
        root=
        dpkg_waits --install "$debs"/*.deb
    else
        for deb in "$debs"/*.deb; do
            dpkg-deb -x "$deb" "$root" || return 1
        done
        export LD_LIBRARY_PATH=$root/$lib PKG_CONFIG_PATH=$root/$lib/pkgconfig CMAKE_PREFIX_PATH=$root/usr
    fi
    echo "    the packages are ${root:+unpacked, }${root:-installed}"
}

removed_without_a_trace()
{
    [ -n "$root" ] && return 0
    purge || return 1
    root=$box/root
    ! installed libbusbar0 && ! [ -e /usr/include/busbar ] && ! [ -e /usr/bin/busbar ] && ! [ -e "/$lib/libbusbar.so.0" ]
}

# ---- the binaries ----------------------------------------------------------------------------------

library_is_as_promised()
{
    local so=$root/$lib/libbusbar.so.0 names
    readelf -d "$so" >"$out" || return 1
    prints 'SONAME.*\[libbusbar\.so\.0\]' && prints 'BIND_NOW\|NOW' && ! prints 'RPATH\|RUNPATH' || return 1
    names=$(nm -D --defined-only "$so" | awk '$2 != "A" {print $3}')
    [ -n "$names" ] && ! grep -vE '^bb_[a-z0-9_]+@@BUSBAR_0$' <<<"$names" || return 1
    # What the static library brings into a program begins with our own prefixes.
    names=$(nm -g --defined-only "$root/$lib/libbusbar.a" 2>/dev/null | awk 'NF == 3 {print $3}')
    [ -n "$names" ] && ! grep -vE '^bbi?_' <<<"$names"
}

programs_are_hardened()
{
    local program
    for program in busbar busbar-sensor; do
        readelf -W -d -l -S -h "$root/usr/bin/$program" >"$out" || return 1
        prints 'Type:.*DYN' && prints 'GNU_RELRO' && prints 'FLAGS.*NOW' && prints '\[libbusbar\.so\.0\]' \
            && ! prints 'RPATH\|RUNPATH' && ! prints '\.symtab\|\.debug_info' || return 1
        run 0 "$root/usr/bin/$program" --version && prints "$version" || return 1
    done
}

# ---- programs against it ---------------------------------------------------------------------------

readme_says() { sed -n 's,^.*prints `\([^`]*\)`.*,\1,p' "$source_dir/README.md" | head -n 1; }

# The program of README hears what it says, and so does a subscriber from the packages.
# shellcheck disable=SC2046 # the flags are words
readme_program_works()
{
    awk -f "$source_dir/tests/support/first_program.awk" -v dir="$box" "$source_dir/README.md"
    mv "$box/program.c" "$box/ex.c"
    (cd "$box" && run 0 cc ex.c $(pkg-config --cflags --libs busbar) && ldd ./a.out | grep -q 'libbusbar\.so\.0 => /') || return 1
    name=hears start sub greeting/ --count 1 --name hears
    soon attached hears && run 0 "$box/a.out" && prints_line "$(readme_says)" || return 1
    ends "$child" && [ "$code" = 0 ] && grep -q hello "$box/hears.out"
}

static_program_works()
{
    (cd "$box" && run 0 cc -static -o static ex.c $(pkg-config --static --cflags --libs busbar)) || return 1
    ! readelf -d "$box/static" | grep -q NEEDED && run 0 "$box/static" && prints_line "$(readme_says)"
}

# consumers PLACE - a CMake project that uses both targets, from C and from C++.
write_consumers()
{
    mkdir -p "$box/consumer"
    cp "$box/ex.c" "$box/consumer/ex.c"
    cat >"$box/consumer/plus.cc" <<'END'
#include <busbar/busbar.h>
#include <cstdio>
#include <cstring>

int
main()
{
    std::printf("%s\n", bb_strerror(BB_ENOBUS));
    return bb_topic_match("a/", 2, 0, "a/b", 3) == 1 ? 0 : 1;
}
END
    cat >"$box/consumer/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.21)
project(consumer C CXX)
find_package(busbar ${WANTED} REQUIRED CONFIG)
message(STATUS "busbar ${busbar_VERSION} in ${busbar_DIR}")
add_executable(shared ex.c)
target_link_libraries(shared PRIVATE busbar::busbar)
add_executable(static ex.c)
target_link_libraries(static PRIVATE busbar::busbar_static)
add_executable(plus plus.cc)
target_link_libraries(plus PRIVATE busbar::busbar)
END
}

# cmake_users_work PREFIX - and that is where the package was found.
cmake_users_work()
{
    local build=$box/consumer-build
    rm -rf "$build"
    write_consumers
    run 0 cmake -G Ninja -S "$box/consumer" -B "$build" -DWANTED=0.1 && prints "busbar $version in $1/" \
        && run 0 cmake --build "$build" || return 1
    run 0 "$build/shared" && prints_line "$(readme_says)" && run 0 "$build/static" && prints_line "$(readme_says)" \
        && run 0 "$build/plus" && prints_line 'no such bus' || return 1
    readelf -d "$build/shared" | grep -q 'NEEDED.*libbusbar\.so\.0' && ! readelf -d "$build/static" | grep -q libbusbar
}

# A version that differs in more than its last part is another API, also when it is older.
other_version_is_refused()
{
    local wanted
    for wanted in 0.0.9 0.99; do
        rm -rf "$box/consumer-build"
        run 1 cmake -G Ninja -S "$box/consumer" -B "$box/consumer-build" -DWANTED=$wanted \
            && says "requested version \"$wanted\"" || return 1
    done
}

installed_busbar_publishes()
{
    name=counts start sub count/ --count 3 --name counts --json
    soon attached counts && printf '%s\n' one two three | run 0 "$busbar" pub count/up || return 1
    ends "$child" && [ "$code" = 0 ] && has_lines 3 "$box/counts.out" && grep -q three "$box/counts.out"
}

# ---- a tree of one's own ---------------------------------------------------------------------------

tree_can_be_moved()
{
    run 0 cmake --install "$build_dir" --prefix "$box/here" && run 0 cmake --install "$build_dir" --prefix "$box/beside" || return 1
    diff -r "$box/here" "$box/beside" || return 1
    mkdir "$box/far" && mv "$box/here" "$box/far/away" || return 1
    # No text in it knows where it was, nor where it was built.
    ! grep -rIlF -e "$box/here" -e "$build_dir" -e "$source_dir" "$box/far/away"
}

moved_tree_works()
{
    local away=$box/far/away libdir
    libdir=$(dirname "$(find "$away" -name libbusbar.a)")
    cp -r "$box/beside" "$box/beside-kept" # the other one stays as it is
    (
        export PKG_CONFIG_PATH=$libdir/pkgconfig LD_LIBRARY_PATH=$libdir CMAKE_PREFIX_PATH=$away
        unset CPATH LIBRARY_PATH
        cd "$box" && run 0 cc -o moved ex.c $(pkg-config --cflags --libs busbar) || exit 1
        ldd ./moved | grep -qF "$away" && run 0 ./moved && prints_line "$(readme_says)" && cmake_users_work "$away" || exit 1
    ) || return 1
    run 0 env -u LD_LIBRARY_PATH "$away/bin/busbar" version && prints "$version" \
        && ! readelf -d "$away/bin/busbar" "$away/bin/busbar-sensor" | grep -q 'RPATH\|RUNPATH' \
        && diff -r "$box/beside" "$box/beside-kept" && [ -f "$away/share/doc/busbar/LICENSE" ]
}

# ---- run -------------------------------------------------------------------------------------------

for tool in dpkg-shlibdeps dpkg-gensymbols pkg-config; do
    command -v $tool >/dev/null || { echo "[SKIP] package: there is no $tool; install dpkg-dev and pkg-config"; exit 77; }
done
sums=$(sha256sum "$build_dir/tools/busbar" "$build_dir/lib/libbusbar.so.$version")

check changelog_is_current changelog_is_current
check builds_twice_the_same builds_twice_the_same
[ "$failed" = 0 ] || finish
if command -v lintian >/dev/null; then
    check lintian_is_content lintian_is_content
else
    skip lintian_is_content "there is no lintian here"
fi
check nothing_is_missing nothing_is_missing

# The tree first: nothing of the system's can be found in its place.
awk -f "$source_dir/tests/support/first_program.awk" -v dir="$box" "$source_dir/README.md"
mv "$box/program.c" "$box/ex.c"
check tree_can_be_moved tree_can_be_moved
check moved_tree_works moved_tree_works

check put_into_place put_into_place
busbar=$root/usr/bin/busbar
check library_is_as_promised library_is_as_promised
check programs_are_hardened programs_are_hardened
check readme_program_works readme_program_works
check static_program_works static_program_works
check cmake_users_work cmake_users_work "$root/usr"
check other_version_is_refused other_version_is_refused
check installed_busbar_publishes installed_busbar_publishes
check removed_without_a_trace removed_without_a_trace
check build_tree_is_as_before test "$sums" = "$(sha256sum "$build_dir/tools/busbar" "$build_dir/lib/libbusbar.so.$version")"
finish
