#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# sensor_two_boxes.sh SOURCE BUILD - the sensor over two boxes says what it says on one.
#
# Two directories are two boxes, a busbard in each, a link over loopback between them; on one box the workers, on the
# other the manager.  Its JSON must be byte for byte that of a run on one box, on every capture, also when the link is
# cut in the middle: by RST, by a silence that only heartbeats find, and for longer than the windows last.  Then whoever
# leads dies, or a worker, or the link does not come again: nobody hangs, and what is missing is named.
# Method: an emulator (tests/support/link/linkemu.c) stands in the link.  `Middle` is not a moment but a fact: the
# manager's bus has seen events, and not all of them.
# Environment: BB_DATA (real captures, on the first engine and without sanitizers; without it only the made one), BB_ALL,
# BB_ENGINES, BB_SEED.
# bb-timeout: 400
# bb-long
# bb-once
# shellcheck source=tests/acceptance/links_common.bash
. "$(dirname "${BASH_SOURCE[0]}")/links_common.bash"

sensor=$build_dir/tools/busbar-sensor
maker=$build_dir/tools/make-capture
skip_all() { echo "SKIP sensor_two_boxes: $1"; exit 77; }
[ -x "$sensor" ] || skip_all "busbar-sensor is not built (libpcap)"
command -v jq >/dev/null || skip_all "no jq"
export TMPDIR=$box/tmp
mkdir "$TMPDIR"

made=$box/made.pcap
connections=10000
"$maker" --connections $connections "$made" >/dev/null || exit 1
captures=("$made")
[ -d "${BB_DATA:-}/pcap" ] && captures+=("$BB_DATA"/pcap/*.pcap*)
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$box/psk"
chmod 0600 "$box/psk"
retry=$(quick_retry)
find_engines

# joined ENGINE - boxes w (workers) and m (manager); w dials the emulator, m listens behind it.
joined()
{
    box_new w
    box_new m
    bridge m --psk "$box/psk" --engine "$1" --topics sensor/ --listen 127.0.0.1:0 || return 1
    soon listens m && emulator emu "$(port_of m)" || return 1
    # shellcheck disable=SC2086
    bridge w --psk "$box/psk" --engine "$1" --topics sensor/ --peer "m@127.0.0.1:$emu_port" $retry
    soon is_up w && soon is_up m
}
parted() { end_bridge w m && end_at any emu; }

# one ARGUMENTS... - the JSON of one box, in $box/one.
one()
{
    mkdir -m 0700 -p "$box/alone"
    BUSBAR_DIR=$box/alone timeout 60 "$sensor" --proxies 0 --json "$@" >"$box/one" 2>"$err"
}

# two CAPTURE [WORKERS-ARGUMENT...] - both boxes in the background; $manager_words for the other one.
manager_words=()
two()
{
    start_at manager m "$sensor" --box manager --json "${manager_words[@]}"
    start_at workers w "$sensor" --box workers --pcap "$@"
}
# both_end CODE-OF-MANAGER CODE-OF-WORKERS
both_end()
{
    local got=0 good=0
    finished manager 60 || got=$?
    [ "$got" = "$1" ] || { echo "    the manager's box ended with $got, not $1"; good=1; }
    got=0
    finished workers 60 || got=$?
    [ "$got" = "$2" ] || { echo "    the workers' box ended with $got, not $2"; good=1; }
    cp "$box/manager.out" "$out"
    cat "$box/manager.err" "$box/workers.err" >"$err"
    return $good
}
same() { cmp "$box/one" "$box/manager.out"; }
nobody_is_left() { ! b --dir "$box/w" -b bus cluster status 2>&1 | grep -E " up " >/dev/null; }

running() { ! [ -s "$box/manager.out" ] && kill -0 "${pid_of[manager]}"; }
# child LABEL N - the N-th process that this launcher forked.
child()
{
    local pids
    read -r -a pids <"/proc/${pid_of[$1]}/task/${pid_of[$1]}/children"
    echo "${pids[$2]}"
}
# slow SECONDS - a rate at which the capture of the last `one` lasts so long.
slow() { echo $(($(jq .packets "$box/one") / $1 + 1)); }

# received - messages that the manager's bus was given; in_the_middle N - N more than $before, and the run goes on.
received() { link_value m received; }
has_come() { [ "$(received)" -ge $((before + $1)) ]; }
in_the_middle() { soon has_come "$1" && running; }

drained() { [ "$(link_value w queued)" = 0 ] && [ "$(link_value m queued)" = 0 ]; }
links_up() { soon is_up w && soon is_up m; }
silent_cut() { emu cut && soon is_down m && soon is_down w && emu open && links_up; }

for engine in "${engines[@]}"; do
    check "$engine: the link comes up" joined "$engine" || { show w m; continue; }
    for capture in "${captures[@]}"; do
        [ "$capture" = "$made" ] || { on_this_engine && [ -z "${BB_SANITIZE:-}" ]; } || continue
        name="$engine, $(basename "$capture")"
        check "$name: on one box" one --pcap "$capture"
        two "$capture"
        check "$name: both boxes end well" both_end 0 0
        check "$name: byte for byte as on one box" same

        before=$(received)
        two "$capture" --rate "$(slow 2)"
        check "$name: it runs" in_the_middle 4
        check "$name: cut by RST" emu reset
        check "$name: the link comes again" links_up
        check "$name: and once more" emu reset
        check "$name: cut and cut again: both boxes end well" both_end 0 0
        check "$name: cut and cut again: byte for byte as on one box" same
    done
    check "$engine: the link ends" parted
done

engine=${engines[0]}
check "the link comes up" joined "$engine"

# One worker raises 2,500 events a second, so its window of 4,096 is full before heartbeats have found out.
name="silence"
check "$name: on one box" one --pcap "$made" --workers 1
before=$(received)
two "$made" --workers 1 --rate 20000
check "$name: it runs" in_the_middle 100
check "$name: heartbeats find it on both sides, and it comes again" silent_cut
check "$name: both boxes end well" both_end 0 0
check "$name: said" says 'the link to w is cut; waiting for it'
check "$name: byte for byte as on one box" same

# Two sensors of one box each, whose boxes happen to be linked: neither takes the other's words for its own.
name="neighbours"
two_alone()
{
    start_at manager m "$sensor" --pcap "$made" --proxies 0 --json
    start_at workers w "$sensor" --pcap "$made" --proxies 0 --json
}
but_filtered() { cmp <(jq -c 'del(.filtered)' "$box/one") <(jq -c 'del(.filtered)' "$1"); }
check "$name: on one box" one --pcap "$made"
two_alone
check "$name: both end well" both_end 0 0
check "$name: as alone, there" but_filtered "$box/manager.out"
check "$name: as alone, here" but_filtered "$box/workers.out"

name="killed worker"
before=$(received)
two "$made" --rate 20000
check "$name: it runs" in_the_middle 100
kill -KILL "$(child workers 2)"
check "$name: both say that one is missing" both_end 1 1
check "$name: named" json '.missing == ["worker-2"] and .nodes["worker-2"] == null and .lost == 0'
check "$name: what it raised before counts" json '.events == .delivered and .events > 0'
check "$name: said" says 'manager: worker-2 is missing: it died before its end mark'

name="killed manager"
before=$(received)
two "$made" --rate 20000
check "$name: it runs" in_the_middle 100
kill -KILL "$(child manager 0)"
check "$name: nobody waits" both_end 8 1
check "$name: the workers' box says why" says 'site: the manager on m was killed before it said the result'
check "$name: no node is left" soon nobody_is_left

name="killed site"
before=$(received)
two "$made" --rate 20000
check "$name: it runs" in_the_middle 100
kill -KILL "$(child workers 0)"
check "$name: nobody waits" both_end 1 8
check "$name: the manager says why" says 'manager: the site on w was killed: the result is of what came from it'
check "$name: it is not whole" json '.complete == false'

# All processes of the workers' box at once: nobody is left who could say so.
name="killed box"
before=$(received)
manager_words=(--wait 3)
two "$made" --rate 20000
check "$name: it runs" in_the_middle 100
read -r -a victims <"/proc/${pid_of[workers]}/task/${pid_of[workers]}/children"
kill -KILL "${pid_of[workers]}" "${victims[@]}"
check "$name: the manager does not wait for ever" both_end 1 137
check "$name: said" says 'the site on w was not heard for too long'

name="lost link"
before=$(received)
two "$made" --rate 20000 --wait 3
check "$name: it runs" in_the_middle 100
check "$name: cut" emu cut
check "$name: neither waits for ever" both_end 1 1
check "$name: all are named" json '.missing | length == 5'
check "$name: said there" says 'site: the manager on m was not heard for too long'
check "$name: what came is in the result" json '.delivered == .events and .delivered > 0'
check "$name: it comes again" emu open
check "$name: the link" links_up
check "$name: what waited for it is there" soon drained
manager_words=()

name="stopped manager"
before=$(received)
two "$made" --rate 20000
check "$name: it runs" in_the_middle 100
kill -INT "${pid_of[manager]}"
check "$name: both end in order" both_end 0 0
check "$name: what was read until then" json '.complete == false and .missing == [] and .events == .delivered and .lost == 0'

name="stopped workers"
before=$(received)
two "$made" --rate 20000
check "$name: it runs" in_the_middle 100
kill -TERM "${pid_of[workers]}"
check "$name: both end in order" both_end 0 0
check "$name: what was read until then" json '.complete == false and .missing == [] and .events == .delivered and .lost == 0'

# The manager's bridge dies with what it held: what is missing is counted to the event, or nothing is.
name="killed bridge"
port=$(port_of m)
before=$(received)
two "$made" --rate 20000
check "$name: it runs" in_the_middle 100
kill -KILL "${pid_of[m]}"
ends "${pid_of[m]}"
bridge m --psk "$box/psk" --topics sensor/ --listen "127.0.0.1:$port"
check "$name: the link comes again" links_up
finished manager
code=$?
finished workers
cp "$box/manager.out" "$out"
cp "$box/manager.err" "$err"
if [ $code = 0 ]; then
    check "$name: nothing was on the way" json '.lost == 0 and .delivered == .events'
else
    check "$name: exit code" test $code = 8
    check "$name: what is missing is counted" json '.lost > 0 and .delivered + .lost == .events'
    check "$name: said" says 'messages were lost: the result is not whole'
fi
check "$name: all was raised" json ".events == $connections"
check "the link ends" parted

name="without busbard"
box_new alone
start_at manager alone "$sensor" --box manager
hinted() { grep -q 'no busbard runs on this bus' "$box/manager.err"; }
check "$name: says what to start" soon hinted
kill -INT "${pid_of[manager]}"
check "$name: stops" ends "${pid_of[manager]}"
check "$name: exit code" test "$code" = 1

finish
