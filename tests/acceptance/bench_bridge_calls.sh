#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal    Under load a busbard on io_uring makes at most one io_uring_enter for 32 messages and no call that sends or
#         receives; on epoll sends are gathered too.  A publisher whose bridge is awake makes no calls to wake it.
# Method  A run of busbar-bench of some seconds in which strace counts the calls of both busbards and of the publisher, held
#         against the messages that the bench reports for its window: what was before only adds calls.
# bb-timeout: 300
# bb-serial: it is about a link under load
# bb-release-only: and about what people install
. "$(dirname "$0")/cli_common.bash" "$@"

bench=$build_dir/bench/busbar-bench
busbard=$build_dir/tools/busbard
for program in "$bench" "$busbard"; do
    [ -x "$program" ] || { echo "[FAIL] $program is not built"; exit 1; }
done
engines=(io_uring epoll)
"$bench" --no-raw --engine io_uring --seconds 0.01 --repeat 1 --patience 0 bridge-ping-pong >"$out" 2>"$err"
if grep -q 'io_uring is left out' "$out"; then
    skip io_uring 'there is no io_uring here'
    engines=(epoll)
fi

# value NAME - the median of a figure in the JSON of the last run.
value()
{
    sed -n "s/.*\"$1\":{\"median\":\([0-9.]*\).*/\1/p" "$out" | head -n 1
}

if ! command -v strace >/dev/null; then
    skip calls 'there is no strace here; install the package strace'
elif ! strace -o /dev/null true 2>"$err"; then
    skip calls "strace cannot trace here: $(head -n 1 "$err")"
else
    can_trace=1
fi

# calls FILE NAME... - how many of these calls a summary of strace -c has.
calls()
{
    local file=$1
    shift
    awk -v names=" $* " '$NF != "total" && $4 ~ /^[0-9]+$/ && index(names, " " $NF " ") { n += $4 } END { print n + 0 }' "$file"
}

has_busbards() { mapfile -t daemons < <(pgrep -P "$bench_pid" -x busbard); [ ${#daemons[@]} = 2 ]; }
has_actors() { mapfile -t actors < <(pgrep -P "$bench_pid" -x busbar-bench); [ ${#actors[@]} = 2 ]; }

# Counts the calls of the actors and busbards of a run into $box/calls.{0,1,pub}; leaves `messages`.
trace() # ENGINE
{
    local rate code=0 tracers=()
    "$bench" --json --no-raw --seconds 2 --repeat 1 --patience 0 --plain --engine "$1" bridge-one-to-one >"$out" 2>"$err" &
    bench_pid=$!
    children+=("$bench_pid")
    soon has_busbards && soon has_actors || { fail "trace-$1" 'the processes of the bench did not come up'; return 1; }
    rm -f "$box"/calls.*
    strace -c -f -o "$box/calls.0" -p "${daemons[0]}" 2>/dev/null & tracers+=($!)
    strace -c -f -o "$box/calls.1" -p "${daemons[1]}" 2>/dev/null & tracers+=($!)
    strace -c -f -o "$box/calls.pub" -p "${actors[0]}" 2>/dev/null & tracers+=($!)
    children+=("${tracers[@]}")
    wait "$bench_pid" || code=$?
    wait "${tracers[@]}"
    rate=$(value msgs_per_s | cut -d. -f1)
    messages=$((${rate:-0} * 2))
    [ "$code" = 0 ] && [ "$messages" -gt 100000 ]
}

at_most() # NAME CALLS PART: at most one for so many messages
{
    echo "    $1: $2 calls, $messages messages: one for $((messages / ($2 > 0 ? $2 : 1)))"
    [ $(($2 * $3)) -le "$messages" ]
}

# A descriptor of the bus is read and written now and then, by read and write; a link's never.
moves='recv recvfrom recvmsg recvmmsg send sendto sendmsg sendmmsg readv writev'

# All that is asked of one engine.
is_frugal() # ENGINE
{
    local i good=0
    trace "$1" || return 1
    for i in 0 1; do
        if [ "$1" = io_uring ]; then
            at_most "io_uring_enter of busbard $i" "$(calls "$box/calls.$i" io_uring_enter)" 32 || good=1
            # As it ends it knocks at the sockets of who sleeps on the bus: some calls, however long it ran.
            [ "$(calls "$box/calls.$i" $moves)" -le 16 ] || { echo "    busbard $i sends or receives by itself"; good=1; }
        else
            at_most "calls of busbard $i" "$(calls "$box/calls.$i" $moves epoll_wait epoll_pwait epoll_pwait2)" 8 || good=1
        fi
    done
    at_most 'sends and futexes of the publisher' "$(calls "$box/calls.pub" futex sendto sendmsg write membarrier)" 128 || good=1
    return "$good"
}

# It is about a link under load: while others have the cores there is none, so it is tried again, twice.
is_frugal_once() { is_frugal "$1" || is_frugal "$1" || is_frugal "$1"; }

for engine in ${can_trace:+"${engines[@]}"}; do
    check "calls-$engine" is_frugal_once "$engine"
done

finish
