#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# no_syscall.sh SOURCE BUILD - a publish whose readers are awake, or that nobody wants, makes no system call.
#
# no_syscall_probe.c publishes under strace in several situations, in every way there is; each way stands
# between two markers, and the system calls of that thread in between are counted.  With a reader that sleeps
# and wants the topic there must be some, and only futex calls: so a trace that shows nothing is noticed.
#
# Reading the clock is no system call on most machines (vDSO), and strace does not see it.  Where it is one
# (the kernel's clocksource cannot be read in user space) this is not tested.
# bb-timeout: 400
# bb-not-sanitized
set -euo pipefail
export LC_ALL=C

if [ $# -ne 2 ]; then
    echo "usage: no_syscall.sh SOURCE BUILD" >&2
    exit 2
fi
source_dir=$(cd "$1" && pwd)
build=$(cd "$2" && pwd)

skip()
{
    echo "[SKIP] no_syscall: $1"
    exit 77
}

command -v strace >/dev/null || skip "there is no strace here; install the package strace"

work=$(mktemp -d /dev/shm/busbar-no-syscall-XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
export BUSBAR_DIR=$work/buses
unset BUSBAR_BUS

cc -std=c17 -D_GNU_SOURCE -O2 -I"$build/include" -I"$source_dir/lib/include" \
    "$source_dir/tests/acceptance/no_syscall_probe.c" "$build/lib/libbusbar.a" -lpthread -o "$work/probe"

# trace SITUATION - a file for each thread, $work/SITUATION.TID; the probe's reader is let go when it starts.
trace()
{
    timeout -k 5 70 strace -ff -b execve -o "$work/$1" "$work/probe" "$1" >"$work/log" 2>&1
}

# count SITUATION - a line `WAY CALLS NAME=CALLS...` for each pair of markers, of the thread that made them.
count()
{
    awk '
        /^write\(2, "begin / { way = $3; sub(/\\n".*/, "", way); inside = 1; calls = 0; delete by; next }
        /^write\(2, "end / {
            line = way " " calls
            for (name in by) line = line " " name "=" by[name]
            if (inside) print line
            inside = 0
            next
        }
        inside && /^[a-z_0-9]+\(/ { calls++; by[substr($0, 1, index($0, "(") - 1)]++ }' "$work/$1".*
}

if ! strace -o /dev/null true 2>"$work/log"; then
    skip "strace cannot trace here: $(head -n 1 "$work/log")"
fi
trace clock || { cat "$work/log"; echo "[FAIL] clock: the probe ended badly"; exit 1; }
case $(count clock) in
"clock 0") ;;
clock\ *)
    skip "reading the clock is a system call here, the clocksource is $(
        cat /sys/devices/system/clocksource/clocksource0/current_clocksource 2>/dev/null || echo unknown)"
    ;;
*)
    echo "[FAIL] clock: strace did not show the markers"
    exit 1
    ;;
esac

failed=0

# check SITUATION WAYS MESSAGE CONDITION - WAYS of the probe; CONDITION is awk, of `total` calls, `others`, those that are not futex, and
# `quiet`, the ways without any.
check()
{
    if ! trace "$1"; then
        tail -n 20 "$work/log"
        echo "[FAIL] $1: the probe ended badly: no_syscall_probe $1"
        failed=1
        return
    fi
    count "$1" >"$work/counted"
    if ! awk -v situation="$1" -v text="$3" -v ways="$2" '
        { total += $2; quiet += $2 == 0; lines = lines "\n  " $0 }
        { for (i = 3; i <= NF; i++) if ($i !~ /^futex=/) { split($i, part, "="); others += part[2] } }
        END {
            total += 0; others += 0; quiet += 0
            good = NR == ways && ('"$4"')
            printf "[%s] %s: %s: %d system calls, published in %d of %d ways\n", good ? "PASS" : "FAIL", situation, text, total, NR, ways
            if (!good) print "  calls in each way to publish:" lines
            exit !good
        }' "$work/counted"; then
        failed=1
    fi
    rm -f "$work/$1".*
}

check nobody 7 "nobody is attached" "total == 0"
check unwanted 7 "the one reader sleeps and wants another topic" "total == 0"
check lossy 7 "a lossy reader is awake" "total == 0"
check reliable 7 "a reliable reader is awake and keeps up" "total == 0"
check asleep 7 "a reader sleeps and must be woken, by futex only" "quiet == 0 && others == 0"
check capture 2 "a capture thread, its readers are periodic" "total == 0"
# The fault that the line before would find: a reader that wants to be woken.
check capture-asleep 2 "the same, one reader more that sleeps until woken" "quiet == 0 && others == 0"
exit $failed
