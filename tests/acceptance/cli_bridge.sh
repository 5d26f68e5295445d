#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: `busbar bridge` as its user has it: what each verb does, prints and answers; without busbard, with one that is
# stopped, with two that link, with boxes that refuse; cases 22 to 26 and 40 of peering in our terms.
# Method: two real busbards on two buses, linked over loopback with a pre-shared key; `busbar sub --status` hears what
# becomes of links.  Waits poll with a deadline.
# bb-timeout: 300
. "$(dirname "$0")/cli_common.bash" "$@"

busbard=$build_dir/tools/busbard
[ -x "$busbard" ] || { echo "[FAIL] $busbard is not built"; exit 1; }
export BUSBAR_BUS=net
mkdir -m 0700 "$box/a" "$box/b" "$box/c"
(umask 077 && head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$box/psk" \
    && head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$box/other.psk")

# at DIR ARGUMENTS... - busbar bridge there.
at() { "$busbar" --dir "$box/$1" bridge "${@:2}"; }
# gives TEXT DIR ARGUMENTS... - prints exactly this, with exit code 0.
gives() { run 0 "$busbar" --dir "$box/$2" bridge "${@:3}" && [ "$(cat "$out")" = "$1" ]; }
# refuses CODE SENTENCE DIR ARGUMENTS... - this exit code, this pattern on standard error, nothing on standard output.
refuses() { run "$1" "$busbar" --dir "$box/$3" bridge "${@:4}" && says "$2" && silent "$out"; }
quietly() { run "$1" "$busbar" --dir "$box/$2" bridge "${@:3}" && silent "$out" && silent "$err"; }
# wrong SENTENCE ARGUMENTS... - wrong usage, said before anybody is asked.
wrong() { run 2 "$busbar" --dir "$box/none" bridge "${@:2}" && says "$1" && silent "$out"; }
# is DIR FILTER [JQ ARGUMENTS...] - true of some link there.
is() { timeout "$limit" "$busbar" --dir "$box/$1" bridge ls --json 2>/dev/null | jq -s 'any(.[]; '"$2"')' "${@:3}" 2>/dev/null | grep -qx true; }
is_not() { ! is "$@"; }
# daemon NAME DIR FLAGS... - a busbard in the background; its pid in pid_of[NAME], its words in $box/NAME.out and .err.
declare -A pid_of
daemon()
{
    "$busbard" --dir "$box/$2" --name "$1" "${@:3}" >"$box/$1.out" 2>"$box/$1.err" <&0 &
    pid_of[$1]=$!
    children+=("${pid_of[$1]}")
    soon answers "$2" "${pid_of[$1]}"
}
answers() { timeout "$limit" "$busbar" --dir "$box/$1" bridge info --json 2>/dev/null | jq_e --argjson pid "$2" '.pid == $pid' >/dev/null; }
# port_of NAME - that its first --listen got.
port_of() { sed -nE 's/^listening on .*:([0-9]+)$/\1/p' "$box/$1.out" | head -n 1; }
# watch NAME DIR - hears statuses of links, in $box/NAME.out.
watch()
{
    name=$1
    start --dir "$box/$2" sub --status --json --name "$1" nothing/at/all
    soon there "$2" "$1"
}
there() { timeout "$limit" "$busbar" --dir "$box/$1" node info "$2" --json 2>/dev/null | jq_e '.nodes[0].subscriber_list | length > 0' >/dev/null; }
# told NAME STATUS NODE [COUNT] - so often at least.
told() { [ "$(jq -c --arg s "$2" --arg n "$3" 'select(.status == $s and .node == $n)' "$box/$1.out" 2>/dev/null | wc -l)" -ge "${4:-1}" ]; }

# ---- wrong usage ----------------------------------------------------------------------------------------
check no_verb run 2 "$busbar" bridge
check no_address wrong 'an argument is missing' add
check no_port wrong 'is no address' add box-2
check empty_host wrong 'is no address' add :4711
check ipv6_without_brackets wrong '\[::1\]:PORT' add ::1:4711
check port_of_words wrong '"http" is no port' add box-2:http
check port_too_large wrong 'is no port' add box-2:65536
check port_0_to_dial wrong 'is no port' add box-2:0
check every_address_to_dial wrong 'not link to it' add '*:4711'
check once_and_wait wrong 'exclude each other' add box-2:1 --once --wait
check timeout_of_nothing wrong 'for --once and --wait' add box-2:1 -W 1s
check no_such_policy wrong 'drop-oldest, drop-newest or disconnect' add box-2:1 --slow never
check no_such_size wrong 'a size such as' add box-2:1 --queue much
check listen_with_a_name wrong 'no other option' add --listen '*:0' --name box-2
check two_boxes wrong 'too many' info a b

# ---- nobody there ---------------------------------------------------------------------------------------
check no_bus refuses 4 'there is no bus' a ls
check made_no_bus silent <(find "$box/a" -mindepth 1)
name=holder
start --dir "$box/a" sub held/ --name holder
check holds_the_bus soon there a holder
none='no busbard runs on bus net: start one with `busbard --bus net`'
check no_busbard_ls refuses 4 "$none" a ls
check no_busbard_info refuses 4 "$none" a info
check no_busbard_add refuses 4 "$none" a add box-2:4711
check no_busbard_listen refuses 4 "$none" a add --listen '*:0'
check no_busbard_remove refuses 4 "$none" a remove box-2:4711
check no_busbard_wait refuses 4 "$none" a wait -W 200ms
check no_bus_to_wait_for refuses 4 'there is no bus' c wait -W 200ms
# Right after `busbard &`: on a bus that is there, and on one that it only makes.
waits_for_busbard()
{
    local code good
    "$busbar" --dir "$box/$1" bridge wait -W 20s >"$box/early.out" 2>"$box/early.err" &
    local early=$!
    soon waits_already "$early"
    daemon early "$1" --psk "$box/psk"
    good=$?
    wait "$early"
    code=$?
    stop_daemon early
    [ $good = 0 ] && [ $code = 0 ] && [ "$(cat "$box/early.out")" = 0 ]
}
waits_already() { [ "$(awk '/^voluntary_ctxt_switches/ { print $2 }' "/proc/$1/status" 2>/dev/null || echo 0)" -ge 5 ]; }
stop_daemon() { kill -TERM "${pid_of[$1]}" && wait "${pid_of[$1]}" 2>/dev/null; }
check waits_for_a_busbard waits_for_busbard a
check waits_for_a_bus waits_for_busbard c

# ---- two boxes ------------------------------------------------------------------------------------------
check box_1 daemon box-1 a --psk "$box/psk" --retry-max 0.2
check box_2 daemon box-2 b --psk "$box/psk" --listen 127.0.0.1:0 --retry-max 0.2
port=$(port_of box-2)
there=127.0.0.1:$port
check no_links gives '' a ls
check no_links_json gives '' a ls --json
check nobody_to_wait_for gives 0 a wait
check watch_a watch watch-a a
check watch_b watch watch-b b
check never_added refuses 4 "nothing is linked to $there" a remove "$there" # case 26

# 22: A listens, B peers: both see the other.
check add_and_wait quietly 0 a add "$there" --wait --name box-2 --queue 1MiB --slow disconnect
check added_at_a soon told watch-a 'peer added' box-2
check added_at_b soon told watch-b 'peer added' box-1
check up_at_a is a '.name == "box-2" and .state == "up" and .dialed and .address == $at
    and .slow == "disconnect" and .queue_max == 1048576 and .cipher != "none" and .attempts == 1 and .ups == 1' --arg at "$there"
check up_at_b is b '.name == "box-1" and .state == "up" and (.dialed | not)'
check place_at_b is b '.state == "listening" and .address == $at and .name == null' --arg at "$there"
check added_twice refuses 1 "$there" a add "$there"
check ls run 0 "$busbar" --dir "$box/a" bridge ls --header
check ls_header prints '^BOX  *ADDRESS  *STATE  *UP SINCE  *SENT/S  *RECV/S  *QUEUE  *DROPPED  *MISSING  *LAST$'
check ls_row prints "^box-2  *$there  *up  *20[0-9T:-]*Z  *0  *0  *0B  *0  *0  *-$"
check ls_no_header run 0 "$busbar" --dir "$box/a" bridge ls
check ls_one_line [ "$(wc -l <"$out")" = 1 ]
check info run 0 "$busbar" --dir "$box/a" bridge info
check info_name prints '^bridge      box-1$'
check info_engine prints '^engine      \(io_uring\|epoll\)'
check info_security prints '^security    key$'
check info_pid prints "^busbard     pid ${pid_of[box-1]}, since 20"
check info_up prints '^links       1 of 1 are up$'
check info_link prints '^link        box-2$'
check info_cipher prints '^  cipher    TLS_'
check info_json run 0 "$busbar" --dir "$box/a" bridge info --json box-2
check info_json_form json ".name == \"box-1\" and .pid == ${pid_of[box-1]} and .security == \"key\" and .up == 1
    and (.box | length == 32) and (.links | length == 1) and .links[0].address == \"$there\""
check info_by_address run 0 "$busbar" --dir "$box/a" bridge info "$there"
check info_of_nobody refuses 4 'no link to "box-9"' a info box-9

# 40: subscribed after peering; what is published once the barrier returned arrives.
name=late
start --dir "$box/a" sub late/topic -n 1 -W 20s --name late
check late_subscribes soon there a late
check barrier gives 1 a wait -W 20s
check publish_there run 0 "$busbar" --dir "$box/b" pub late/topic hello
check late_ends ends "$child"
check late_got_it grep -q hello "$box/late.out"
check interest_is_told is b '.name == "box-1" and .peer_interests >= 1'
delivered() { is a '.name == "box-2" and .received == 1' && is b '.name == "box-1" and .sent == 1'; }
check one_message_counted soon delivered

# 23: A is told that it was ended there; who ended it, that it is removed.
check remove quietly 0 a remove "$there"
check removed_at_a soon told watch-a 'peer removed' box-2
check lost_at_b soon told watch-b 'peer lost' box-1
check down_at_a soon is a '.name == "box-2" and .state == "down" and (.dialed | not) and .retry_in_ns == null'
check reason_at_b soon is b '.name == "box-1" and .state == "down" and (.last | contains("taken down"))'
check remove_twice refuses 4 "nothing is linked to $there" a remove "$there"

# 24: B dies; its successor at the same address is found again.
check add_again quietly 0 a add "$there" --wait --name box-2
check added_again soon told watch-a 'peer added' box-2 2
disown "${pid_of[box-2]}" # bash says nothing of its death
check kill_b kill -KILL "${pid_of[box-2]}"
check lost_at_a soon told watch-a 'peer lost' box-2
check box_2_again daemon box-2 b --psk "$box/psk" --listen "$there" --retry-max 0.2
check found_again soon told watch-a 'peer added' box-2 3
check up_again soon is a '.name == "box-2" and .state == "up" and .ups == 3'
check remove_again quietly 0 a remove "$there"

# 25: a closed port: no, and one event; or an error each time until a listener appears.
closed=$(at b add --listen 127.0.0.1:0)
check closes quietly 0 b remove --listen "127.0.0.1:$closed"
check closed_once refuses 1 "no link to 127.0.0.1:$closed: .*refused" a add "127.0.0.1:$closed" --once
check unavailable_once soon told watch-a 'peer unavailable' "127.0.0.1:$closed"
check once_is_forgotten is_not a '.address == $at' --arg at "127.0.0.1:$closed"
check closed_wait refuses 3 'it is tried on' a add "127.0.0.1:$closed" --wait -W 300ms
check unavailable_often soon told watch-a 'peer unavailable' "127.0.0.1:$closed" 3
check down_says_why soon is a '.address == $at and .dialed and .state != "up" and .last != "" and .attempts > 1' --arg at "127.0.0.1:$closed"
check listener_appears gives "$closed" b add --listen "127.0.0.1:$closed"
check then_it_is_up soon is a '.address == $at and .state == "up"' --arg at "127.0.0.1:$closed"
check place_is_taken refuses 1 '127.0.0.1' b add --listen "127.0.0.1:$closed"
check stop_listening quietly 0 b remove --listen "127.0.0.1:$closed"
check its_link_stays is a '.address == $at and .state == "up"' --arg at "127.0.0.1:$closed"
check nobody_listens refuses 4 "nothing listens at 127.0.0.1:$closed" b remove --listen "127.0.0.1:$closed"
check remove_it quietly 0 a remove "127.0.0.1:$closed"

# ---- refused --------------------------------------------------------------------------------------------
check box_3 daemon box-3 c --psk "$box/other.psk"
check wrong_key refuses 5 . c add "$there" --once --name box-2
check wrong_key_leaves_nothing is_not c '.address == $at' --arg at "$there"
check no_such_host refuses 4 'no.such.host.invalid' a add --listen no.such.host.invalid:0
check queue_too_small refuses 2 '64 KiB' a add "$there" --queue 1KiB

# ---- IPv6 -----------------------------------------------------------------------------------------------
if six=$(at b add --listen '[::1]:0' 2>/dev/null); then
    check ipv6_link quietly 0 a add "[::1]:$six" --wait --name box-2
    check ipv6_is_listed is a '.address == $at and .state == "up"' --arg at "[::1]:$six"
    check ipv6_remove quietly 0 a remove "[::1]:$six"
else
    skip ipv6_link 'this box has no IPv6 loopback'
fi

# ---- a busbard that is stopped --------------------------------------------------------------------------
check stop_it kill -STOP "${pid_of[box-1]}"
check stopped_wait refuses 3 "busbard (pid ${pid_of[box-1]}).*kill -CONT ${pid_of[box-1]}" a wait -W 10ms
check stopped_ls refuses 3 "busbard (pid ${pid_of[box-1]}) of bus net is stopped" a ls
check goes_on kill -CONT "${pid_of[box-1]}"
check answers_again soon answers a "${pid_of[box-1]}"

# ---- insecure is written out ----------------------------------------------------------------------------
check ends_3 kill -TERM "${pid_of[box-3]}"
check ended_3 ends "${pid_of[box-3]}"
check insecure daemon box-4 c --insecure
check insecure_info run 0 "$busbar" --dir "$box/c" bridge info
check insecure_said prints '^security    INSECURE: '

finish
