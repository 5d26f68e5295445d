#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# examples.sh SOURCE BUILD - the programs of examples/ do what they show.
#
# Each loop (epoll, libuv, io_uring), also with a period in place of knocking: prints 10,000 messages of one
# burst in order, a second burst after it was idle, those of five publishers at once, the death of a publisher
# with nobody else there to notice, and ends with the message `end`, leaving no member behind.
# Two Zeek backend shims in two processes talk to each other.
# bb-timeout: 240
set -uo pipefail
. "$(dirname "$0")/cli_common.bash" "$@"

examples=$build_dir/examples

# begin PROGRAM NAME ARGUMENTS... - in the background, pid in $child; its lines in $box/NAME.out.
begin()
{
    local program=$1 name=$2
    shift
    "$examples/$program" "$@" >"$box/$name.out" 2>"$box/$name.err" &
    child=$!
    children+=("$child")
}

# data TOPIC FILE - the payloads of the lines on this topic, in the order in which they were printed.
data() { sed -n "s,^$1 ,,p" "$2"; }
has_data() { [ "$(data "$2" "$3" | wc -l)" -ge "$1" ]; }
seq_of() { seq "$1" | cmp -s - <(data "$2" "$3"); }
gone() { ! b node list --json 2>/dev/null | jq_e --arg n "$1" '.nodes[] | select(.name == $n)' >/dev/null; }

# one_burst NAME - 10,000 messages as fast as they go.
one_burst()
{
    seq 10000 | b pub "$1/burst" || return 1
    soon has_data 10000 "$1/burst" "$box/$1.out" && seq_of 10000 "$1/burst" "$box/$1.out"
}

# at_once NAME - five publishers, each in order; none has the core for itself.
at_once()
{
    local i pids=()
    for i in 1 2 3 4 5; do
        seq 1000 | b pub "$1/p$i" &
        pids+=($!)
    done
    wait "${pids[@]}"
    for i in 1 2 3 4 5; do
        soon has_data 1000 "$1/p$i" "$box/$1.out" && seq_of 1000 "$1/p$i" "$box/$1.out" || return 1
    done
}

# one_by_one NAME - each only after the one before was printed: every one must wake the loop.
one_by_one()
{
    local i
    for i in $(seq 20); do
        b pub "$1/single" "$i" || return 1
        soon has_data "$i" "$1/single" "$box/$1.out" || return 1
    done
    seq_of 20 "$1/single" "$box/$1.out"
}

# told_of_death NAME - a publisher is killed; only the loop's own housekeeping can notice.
told_of_death()
{
    local victim
    mkfifo "$box/$1.pipe" || return 1
    "$busbar" pub "$1/x" --name "victim-of-$1" <"$box/$1.pipe" >/dev/null 2>&1 &
    victim=$!
    children+=("$victim")
    exec 7>"$box/$1.pipe"
    echo last >&7
    soon has_data 1 "$1/x" "$box/$1.out" || return 1
    kill -KILL "$victim"
    exec 7>&-
    wait "$victim" 2>/dev/null
    soon grep -qx "\* victim-of-$1 died" "$box/$1.out"
}

ends_well()
{
    b pub "$1/end" end && ends "$2" && [ "$code" = 0 ] && [ ! -s "$box/$1.err" ] && soon gone "$1"
}

# loop PROGRAM NAME [PERIOD_MS]
loop()
{
    local program=$1 name=$2 pid
    if [ ! -x "$examples/$program" ]; then
        skip "$name" "$program is not built: its library is not there"
        return
    fi
    begin "$program" "$name" "$name/" "${@:3}"
    pid=$child
    if ! soon is_reading "$name"; then
        if ends "$pid" && [ "$code" = 77 ]; then
            skip "$name" "$(cat "$box/$name.err")"
        else
            fail "$name starts" "$(cat "$box/$name.err")"
        fi
        return
    fi
    check "$name: a burst of 10,000" one_burst "$name"
    check "$name: five publishers at once" at_once "$name"
    check "$name: one by one" one_by_one "$name"
    check "$name: a death is told" told_of_death "$name"
    check "$name: ends with its message and leaves nothing" ends_well "$name" "$pid"
}

for kind in epoll uv uring; do
    loop loop_$kind $kind
    loop loop_$kind $kind-periodic 5
done

# ---- the Zeek shim ----

talk()
{
    local one two who
    begin zeek_backend_shim worker-1 worker-2 10000
    one=$child
    begin zeek_backend_shim worker-2 worker-1 10000
    two=$child
    ends "$one" && [ "$code" = 0 ] && ends "$two" && [ "$code" = 0 ] || return 1
    for who in worker-1 worker-2; do
        grep -qx 'good: 10000 events, 10 logs, 1 of another format, 0 wrong' "$box/$who.out" \
            && grep -qx "subscribed zeek/node/$who/: success" "$box/$who.out" \
            && grep -qx 'ready to publish: 1' "$box/$who.out" || return 1
    done
}

# A name that is taken is a sentence, not a crash.
name_taken()
{
    b pipe x --name worker-3 <"$box/hold" >/dev/null 2>&1 &
    children+=($!)
    exec 7>"$box/hold"
    soon attached worker-3 || return 1
    run 1 "$examples/zeek_backend_shim" worker-3 worker-4 1
    exec 7>&-
    says "worker-3.*belongs to process"
}

if [ -x "$examples/zeek_backend_shim" ]; then
    mkfifo "$box/hold"
    check "two Zeek backends talk" talk
    check "a Zeek backend says why it cannot start" name_taken
else
    skip "zeek_backend_shim" "it is not built: there is no C++ compiler"
fi
finish
