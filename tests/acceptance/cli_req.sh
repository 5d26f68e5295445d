#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# cli_req.sh SOURCE BUILD - `busbar req` and `busbar reply`: answers, many of them, none, too late, and why.
. "$(dirname "$0")/cli_common.bash"

takes_ms() # takes_ms MOST COMMAND...
{
    local most=$1 began=$EPOCHREALTIME
    shift
    "$@" || return 1
    local ms=$(((${EPOCHREALTIME/./} - ${began/./}) / 1000))
    [ "$ms" -le "$most" ] || { echo "    $ms ms, not $most: $*"; return 1; }
}

# ---- nobody -------------------------------------------------------------------------------------------
check no_bus run 4 "$busbar" req time/now ''
check no_bus_said says 'there is no bus'
check made_none silent "$out"
check no_answer_given run 2 "$busbar" reply time/
check two_answers_given run 2 "$busbar" reply time/ noon --echo
check reserved run 2 "$busbar" req 'a<$>b' x
check unknown_option run 2 "$busbar" req --bogus x

name=keeper
start sub other/ --name keeper
check keeper_there soon is_reading keeper
check nobody_at_once takes_ms 4000 run 1 "$busbar" req time/now '' -W 10s
check nobody_said says 'nobody answers "time/now"'
check no_such_node run 4 "$busbar" req --to nobody-here time/now ''

# ---- one ----------------------------------------------------------------------------------------------
name=one
start reply time/ 'noon, or so' --name one
one=$child
check one_there soon is_reading one
check asked run 0 "$busbar" req time/now 'what time?'
check asked_text test "$(cat "$out")" = 'noon, or so'
check asked_json run 0 "$busbar" req time/now 'json?' --json
check asked_json_form json '.topic == "time/now" and .node == "one" and .data == "noon, or so" and .reply == 1'
check lines run 0 "$busbar" req time/now < <(printf 'a\nb\nc')
check lines_three test "$(wc -l <"$out")" = 3
check lines_seen soon has_lines 5 "$box/one.out"
check lines_in_order test "$(cut -d' ' -f2- "$box/one.out" | tail -n 3 | tr '\n' ,)" = a,b,c,
check no_lines run 0 "$busbar" req time/now </dev/null
check no_lines_said_nothing silent "$err"
check short run 1 "$busbar" req time/now x -n 2
check short_said says '1 of 2 replies came: all 1 subscribers'
check by_name run 0 "$busbar" req --to one time/now x
check by_other_name run 1 "$busbar" req --to keeper time/now x
check by_other_name_said says 'no subscriber of node "keeper"'
# An ordinary message is no request, and is passed over.
check not_a_request run 0 "$busbar" pub time/now 'just a message'
check goes_on run 0 "$busbar" req time/now again

# ---- stopped, killed ----------------------------------------------------------------------------------
kill -STOP "$one"
check stopped run 3 "$busbar" req time/now x -W 300ms
check stopped_said says 'time ran out: 0 of 1 replies came; 1 subscribers want'
name=waits
start req time/now x -W "$limit"
waits=$child
waits_is_there() { b node list --json | jq_e ".nodes[] | select(.pid == $waits and .state == \"running\")" >/dev/null; }
check waits_there soon waits_is_there
kill -KILL "$one"
check killed ends "$waits"
check killed_code test "$code" = 1
check killed_said grep -q 'went without one' "$box/waits.err"
check nobody_again takes_ms 4000 run 1 "$busbar" req time/now x -W 10s

# A requester that was killed: nobody waits for it.
name=late
start reply slow/ --exec 'cat >/dev/null; read -r _ <'"$box/fifo"'; echo done' --name late -n 2
late=$child
mkfifo "$box/fifo"
check late_there soon is_reading late
name=goner
start req slow/x y -W "$limit"
goner=$child
check goner_was_heard soon has_lines 1 "$box/late.out"
kill -KILL "$goner"
goner_is_gone() { ! b node list --json | jq_e ".nodes[] | select(.pid == $goner and .state == \"running\")" >/dev/null; }
check goner_is_gone soon goner_is_gone
b gc >/dev/null
echo >"$box/fifo"
name=after
start req slow/x z -W "$limit"
after=$child
check after_was_heard soon has_lines 2 "$box/late.out"
echo >"$box/fifo"
check after_ends ends "$after"
check after_answered test "$code$(cat "$box/after.out")" = 0done
kill -INT "$late" 2>/dev/null
check late_ends ends "$late"
check late_said grep -q '1 replies were not heard' "$box/late.err"

# ---- many ---------------------------------------------------------------------------------------------
for i in 1 2 3; do
    name=r$i
    start reply all/ "answer $i" --name "r$i"
done
many_there() { is_reading r1 && is_reading r2 && is_reading r3; }
check many_there soon many_there
check all run 0 "$busbar" req all/x '' -n 0
check all_three test "$(sort "$out" | tr '\n' ,)" = 'answer 1,answer 2,answer 3,'
check two_of_three run 0 "$busbar" req all/x '' -n 2
check two_lines test "$(wc -l <"$out")" = 2
check all_json run 0 "$busbar" req all/x '' -n 0 --json
check all_json_form jq_e -s 'length == 3 and (map(.node) | sort) == ["r1", "r2", "r3"]' "$out"

# ---- commands -----------------------------------------------------------------------------------------
name=exec
start reply exec/ --exec 'case $BUSBAR_TOPIC in */fail) echo half; exit 3;; */env) echo "$BUSBAR_TOPIC $BUSBAR_NODE";;
    */hang) exec sleep 1000;; */big) head -c 10000000 /dev/zero;; *) tr a-z A-Z;; esac' --name exec
check exec_there soon is_reading exec
check exec run 0 "$busbar" req exec/x 'shout!'
check exec_text test "$(cat "$out")" = 'SHOUT!'
check exec_env run 0 "$busbar" req exec/env '' --name asker
check exec_env_text test "$(cat "$out")" = 'exec/env asker'
check exec_fails run 1 "$busbar" req exec/fail ''
check exec_fails_said says 'exec: the command ended with code 3'
check exec_fails_silent silent "$out"
check exec_hangs run 3 "$busbar" req exec/hang '' -W 300ms
check exec_is_killed run 0 "$busbar" req exec/x 'alive'
check exec_big run 1 "$busbar" req exec/big ''
check exec_big_said says 'given up: message larger'
large=$(head -c 100000 /dev/zero | tr '\0' a)
check exec_large run 0 "$busbar" req exec/x "$large"
check exec_large_whole test "$(wc -c <"$out")" = 100001

# ---- ends ---------------------------------------------------------------------------------------------
name=twice
start reply twice/ --echo -n 2 --name twice
twice=$child
check twice_there soon is_reading twice
check twice_first run 0 "$busbar" req twice/x 1
check twice_second run 0 "$busbar" req twice/x 2
check twice_ends ends "$twice"
check twice_code test "$code" = 0
check reply_in_vain run 3 "$busbar" reply nothing/ x -n 1 -W 200ms
check reply_in_vain_said says '0 of 1 requests were answered'
name=waiting
start reply nothing/ x --name waiting
check waiting_there soon is_reading waiting
kill -INT "$child"
check interrupted ends "$child"
check interrupted_code test "$code" = 0

# Neither requests nor replies are topics; nobody else is disturbed.
check no_topics run 0 "$busbar" ls --json
check no_topics_form json '[.topics[].topic] | all(test("<") | not)'
check keeper_heard_nothing silent "$box/keeper.out"
finish
