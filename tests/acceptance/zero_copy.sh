#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# zero_copy.sh SOURCE BUILD - nothing is copied between loan and take.
#
# A view is the very place of the ring's file where the loan was (zero_copy.c looks), and the instructions
# for a message are the same for 64 bytes and for 64 KiB: a copy would add thousands.
set -euo pipefail
source_dir=$1 build=$2
work=$(mktemp -d /dev/shm/busbar-zero-copy-XXXXXX)
trap 'rm -rf "$work"' EXIT
export BUSBAR_DIR=$work/buses
passed=0 failed=0

check()
{
    if "${@:2}"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $1"
    fi
}

sanitize=
[ -z "${BB_SANITIZE:-}" ] || sanitize=-fsanitize=$BB_SANITIZE
# shellcheck disable=SC2086
cc -std=c17 -D_GNU_SOURCE -O1 $sanitize -I"$build/include" -I"$source_dir/lib/include" \
    "$source_dir/tests/acceptance/zero_copy.c" "$build/lib/libbusbar.a" -lpthread -o "$work/zero_copy"

check "views of 64 bytes lie where the loan was" "$work/zero_copy" 1000 64
check "views of 64 KiB lie where the loan was" "$work/zero_copy" 1000 65536

# count BYTES MESSAGES - instructions of the whole program.
count()
{
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$work/zero_copy" "$2" "$1" 2>&1 \
        | sed -n 's/.*Collected *: *//p'
}

# Valgrind cannot run what a sanitizer made; the address check above holds there too.
if [ -z "$sanitize" ] && command -v valgrind >/dev/null; then
    per_message()
    {
        echo $((($(count "$1" 4000) - $(count "$1" 2000)) / 2000))
    }
    small=$(per_message 64) large=$(per_message 65536)
    echo "instructions from loan to release: $small with 64 bytes, $large with 64 KiB"
    # A copy of 64 KiB takes at least 1,024 instructions, at 64 bytes each.
    check "64 KiB cost at most 500 instructions more than 64 bytes" test "$small" -gt 100 -a $((large - small)) -lt 500
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
