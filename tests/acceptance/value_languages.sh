#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# value_languages.sh SOURCE BUILD - the functions that value.h brings into a program are C and C++, without warnings.
#
# value_languages.c is compiled as both, by each compiler that is here, with and without optimisation and with
# BB_NO_INLINE, warnings as errors, and run.  What only some compilers see at -O2 (a value that may not be set)
# shows here too.
# bb-not-sanitized
set -euo pipefail
export LC_ALL=C
source_dir=$1 build=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/busbar-languages.XXXXXX")
trap 'rm -rf "$work"' EXIT
failed=0

# try NAME COMPILER... - compiles and runs; one line for each case.
try()
{
    local name=$1
    shift
    if ! "$@" -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wcast-qual -Wpointer-arith -Wundef -Werror \
        -I"$build/include" -I"$source_dir/lib/include" "$source_dir/tests/acceptance/value_languages.c" \
        -x none "$build/lib/libbusbar.a" -lpthread -o "$work/program" >"$work/said" 2>&1; then
        echo "[FAIL] $name: does not compile without warnings: $*"
        head -n 20 "$work/said"
        failed=1
    elif ! timeout 20 "$work/program"; then
        echo "[FAIL] $name: the event did not come back as it was built: $*"
        failed=1
    else
        echo "[PASS] $name"
    fi
}

for compiler in gcc clang g++ clang++; do
    case $compiler in
    *++) languages="c++11 c++17" as=c++ ;;
    *) languages="c11 c17" as=c ;;
    esac
    if ! command -v $compiler >/dev/null; then
        echo "[SKIP] $compiler: there is no such compiler here"
        continue
    fi
    for language in $languages; do
        for optimised in -O0 -O2; do
            try "$compiler $language $optimised" $compiler -std="$language" $optimised -x $as
        done
    done
    try "$compiler without inlining" $compiler -DBB_NO_INLINE -O2 -x $as
done
exit $failed
