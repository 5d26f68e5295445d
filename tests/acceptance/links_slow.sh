#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# links_slow.sh SOURCE BUILD - a peer that stops reading costs local publishers nothing and its busbard bounded memory.
#
# The peer's busbard is stopped (SIGSTOP), or the emulator stops reading, while a publisher of this bus goes on.
# Its own memory is counted; the rings that it reads are shared and were there before.
# Compared with a peer that reads: the publisher's system calls by strace, its instructions by callgrind (the same
# messages in both runs).  Then the peer goes on: published = delivered + gaps, to the message, with each policy.
# Environment: BB_STUCK_S (3; by night 60), BB_MESSAGES (60,000 in that time), BB_ENGINES, BB_SEED.
# bb-timeout: 400
# bb-long
# bb-once
# shellcheck source=tests/acceptance/links_common.bash
. "$(dirname "${BASH_SOURCE[0]}")/links_common.bash"

stuck_s=${BB_STUCK_S:-3}
messages=${BB_MESSAGES:-60000}
retry=$(quick_retry)
find_engines

joined() # joined ENGINE SLOW - both with a narrow queue; the emulator between
{
    box_new a
    box_new b
    bridge b --insecure --engine "$1" --listen 127.0.0.1:0 || return 1
    soon listens b && emulator emu "$(port_of b)" || return 1
    # shellcheck disable=SC2086
    bridge a --insecure --engine "$1" --queue 1M --slow "$2" --peer "b@127.0.0.1:$emu_port" $retry
    soon is_up a && soon is_up b
}
all_end() { end_bridge a b && end_at any emu; }

hold() # hold HOW, let_go HOW
{
    case $1 in
    stopped) kill -STOP "${pid_of[b]}" ;;
    unread) emu pause up ;;
    esac
}
let_go()
{
    case $1 in
    stopped) kill -CONT "${pid_of[b]}" ;;
    unread) emu go up ;;
    esac
}

# stuck_traffic HOW - publishes while nobody reads; counts at the end.  In $grown_kib what busbard grew by meanwhile.
stuck_traffic()
{
    local before good=0 start now
    traffic sub-b b sub "expect=$messages" "seconds=$((stuck_s + 60))"
    soon has_said sub-b '^ready' || { show sub-b; return 1; }
    before=$(own_kib a) grown_kib=0
    hold "$1"
    start=$SECONDS
    traffic pub-a a pub "messages=$messages" "rate=$((messages / stuck_s))" bytes=600
    has_published() { has_said pub-a '^published'; }
    while ! has_published && [ $((SECONDS - start)) -lt $((stuck_s + 20)) ]; do
        sleep 0.05
        now=$(($(own_kib a) - before))
        [ "$now" -le "$grown_kib" ] || grown_kib=$now
    done
    peak_kib=$(rss_peak_kib a)
    took_ms=$(value pub-a took_ms)
    blocked=$(value pub-a blocked)
    let_go "$1"
    finished sub-b $((stuck_s + 70)) || good=1
    balanced pub-a sub-b a b || good=1
    [ $good = 0 ] || show sub-b a b
    end_at 0 pub-a || good=1
    return $good
}
was_slow() { [ "$(value sub-b gaps)" -gt 0 ]; }
never_waited() { echo "    blocked $blocked times, took $took_ms ms"; [ "$blocked" = 0 ] && [ "$took_ms" -lt $((stuck_s * 1300 + 500)) ]; }
is_bounded() { echo "    busbard grew by $grown_kib KiB; with all that is shared its peak is $peak_kib KiB"; [ "$grown_kib" -le 16384 ]; }

# ---- what publishing costs ----

# publish_once LABEL COMMAND... - the same messages, as fast as they go, under that command, with a sleeper's interest.
publish_once()
{
    local label=$1
    shift
    start_at "$label" a "$@" "$tools/traffic" pub bus messages=20000 bytes=200 seed=7 rate=20000 stay=0
    finished "$label" 60 && has_said "$label" '^published'
}
# calls LABEL - how many system calls its trace holds, but for waiting for the next millisecond and wake-ups.  wakes LABEL:
# how often it woke its own busbard, which depends on when that one slept: at most once for each of its 625 flushes.
calls() { grep -vcE 'nanosleep|sendto|futex|membarrier|\+\+\+|---' "$box/$1.trace"; }
wakes() { grep -cE 'sendto|futex|membarrier' "$box/$1.trace"; }

costs_the_same()
{
    local free stuck
    traffic sub-b b sub expect=100000000 seconds=300
    soon has_said sub-b '^ready' || return 1
    publish_once free strace -f -o "$box/free.trace" || return 1
    hold stopped
    publish_once stuck strace -f -o "$box/stuck.trace" || { let_go stopped; return 1; }
    let_go stopped
    end_at any sub-b
    free=$(calls free) stuck=$(calls stuck)
    echo "    system calls: $free with a peer that reads, $stuck with one that does not;" \
        "wake-ups $(wakes free) and $(wakes stuck)"
    [ "$stuck" -le $((free + free / 10 + 5)) ] && [ "$(wakes stuck)" -le 660 ] && [ "$(wakes free)" -le 660 ]
}

# instructions LABEL - of the whole program; in both runs all but the peer is the same.
instructions() { sed -n 's/.*Collected *: *\([0-9]*\).*/\1/p' "$box/$1.err"; }
executes_the_same()
{
    local free stuck
    traffic sub-b b sub expect=100000000 seconds=300
    soon has_said sub-b '^ready' || return 1
    publish_once free valgrind --tool=callgrind --callgrind-out-file=/dev/null || return 1
    hold stopped
    publish_once stuck valgrind --tool=callgrind --callgrind-out-file=/dev/null || { let_go stopped; return 1; }
    let_go stopped
    end_at any sub-b
    free=$(instructions free) stuck=$(instructions stuck)
    echo "    instructions: $free with a peer that reads, $stuck with one that does not"
    [ -n "$free" ] && [ "$stuck" -le $((free + free / 20)) ]
}

for engine in "${engines[@]}"; do
    for how in stopped unread; do
        for slow in drop-oldest drop-newest; do
            [ "$how $slow" = "stopped drop-oldest" ] || [ "$how $slow" = "unread drop-newest" ] || on_this_engine || continue
            name="$engine, $how for $stuck_s s, $slow"
            check "$name: the link comes up" joined "$engine" $slow || { show a b; all_end; continue; }
            check "$name: published = delivered + gaps" stuck_traffic $how
            check "$name: some were lost" was_slow
            check "$name: the publisher never waited" never_waited
            check "$name: memory stays within 16 MiB" is_bounded
            check "$name: all end in order" all_end
        done
    done
    check "$engine: the link comes up" joined "$engine" drop-oldest || { show a b; all_end; continue; }
    if command -v strace >/dev/null; then
        check "$engine: a stopped peer costs the publisher no system call more" costs_the_same
    else
        skip "$engine: system calls" "there is no strace here; install the package strace"
    fi
    if command -v valgrind >/dev/null; then
        check "$engine: a stopped peer costs the publisher no instruction more" executes_the_same
    else
        skip "$engine: instructions" "there is no valgrind here; install the package valgrind"
    fi
    check "$engine: all end in order" all_end
done
finish
