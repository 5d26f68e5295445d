#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal    What goes wrong is said in a sentence with the exit code of its kind, and harms nobody else.
# Method  Wrong usage, wrong buses, full and foreign directories, other layouts, signals, dead and stopped
#         processes; each in a directory of its own.
. "$(dirname "$0")/cli_common.bash"

says_sentence() { grep -q '^busbar: ..*' "$err" && silent "$out"; }
check_code() { # NAME CODE PATTERN ARGUMENTS...: exit code, one sentence on stderr, nothing on stdout
    local name=$1 code=$2 pattern=$3
    shift 3
    check "$name" run "$code" "$busbar" "$@"
    check "${name}_said" says "$pattern"
    check "${name}_quiet" says_sentence
}

# ---- 2: wrong usage -----------------------------------------------------------------------------------
check no_verb run 2 "$busbar"
check no_verb_helps says '^usage: busbar'
check noun_alone run 2 "$busbar" topic
check noun_alone_helps says 'topic delay'
check_code unknown_verb 2 'did you mean `busbar pub`' pubb x
check_code unknown_noun_verb 2 'topic hzz\|topic. needs' topic hzz x
check_code unknown_option 2 'there is no option "--nope"' sub --nope x
check_code missing_value 2 'count needs a value' sub x -n
check_code wrong_count 2 'whole number, not "many"' sub x -n many
check_code wrong_time 2 'such as 250ms' sub x -W soon
check_code wrong_from 2 'now, oldest or a number' sub x --from yesterday
check_code missing_argument 2 'missing' sub
check_code too_many 2 'one argument too many' pub a b c
check_code no_json_here 2 'no --json' pub a b --json
check_code wrong_event 2 'name(argument' pub a -e nonsense
check_code event_and_data 2 'two messages' pub a b -e 'x()'
check_code fail_and_evict 2 'does not go with' pub a b --fail --evict
check_code repeat_without_data 2 'needs DATA' pub a --repeat 3
check_code reserved_topic 2 'reserved' pub '<$>/x' y
check_code wrong_global 2 'no option' --wrong ls
check usage_makes_nothing test "$(find "$BUSBAR_DIR" -name '*.ring' | wc -l)" = 0
rm -rf "${BUSBAR_DIR:?}"/*

# ---- 4: no such bus, node, topic ----------------------------------------------------------------------
for verb in ls tap gc 'topic info x' 'topic hz x' 'topic bw x' 'topic delay x' 'node list' 'node info x' 'node ping x'; do
    check_code "no_bus_${verb// /_}" 4 'no bus' $verb
done
check looking_makes_no_bus test -z "$(ls "$BUSBAR_DIR")"
name=stays
start sub stays/ --name stays
stays=$child
check stays_there soon is_reading stays
check_code wrong_bus 4 'no bus' -b other ls
check wrong_bus_lists_the_others says "$BUSBAR_DIR/default .* of .*uid $(id -u)"
check_code no_topic_info 4 'no topic' topic info nothing/
check_code no_topic_hz 4 'no topic' topic hz nothing/
check_code no_topic_exact 4 'no topic' topic bw -x stays
check_code no_node_info 4 'no node' node info nobody
check_code no_node_ping 4 'no node' node ping nobody
check_code no_dead_node 4 'no dead node' tap --dead nobody
check ping_answers run 0 "$busbar" node ping stays -c 2
check_code name_is_taken 1 'stays' sub x --name stays

# ---- signals ------------------------------------------------------------------------------------------
name=watch
start sub --status --json none/ --name watch
watch=$child
saw() { jq_e -s --arg n "$1" --arg s "$2" 'any(.[]; .node == $n and .status == $s)' "$box/watch.out" >/dev/null 2>&1; }
check watch_there soon is_reading watch
for signal in INT TERM HUP; do
    name=ends$signal
    start sub x/ --name "$name"
    check "sig${signal}_there" soon is_reading "$name"
    kill "-$signal" "$child"
    check "sig${signal}_ends" ends "$child"
    check "sig${signal}_code" test "$code" = 0
    check "sig${signal}_others_see_left" soon saw "$name" left
done
name=killed
start pub killed/x --name killed < <(printf 'one\ntwo\nthree\n'; exec tail --pid=$$ -f /dev/null 2>/dev/null)
killed=$child
last_of_killed() { b tap killed/ --from oldest -n 3 -W 0.5 >/dev/null 2>&1; }
check killed_publishes soon last_of_killed
kill -KILL "$killed"
check killed_ends ends "$killed"
check others_see_died soon saw killed died
dead_shows() { b tap --dead killed >"$out" 2>"$err" && [ "$(cat "$out")" = 'killed/x one
killed/x two
killed/x three' ]; }
check tap_dead soon dead_shows
check tap_dead_last run 0 "$busbar" tap --dead killed --from 1 --json
check tap_dead_last_form json '.data == "three" and .node == "killed"'
check_code tap_dead_other 4 'no dead node' tap --dead stays

name=gone
mkfifo "$box/gone.pipe"
exec 9<>"$box/gone.pipe"
head -n 1 <"$box/gone.pipe" >"$box/gone.head" 9>&- &
head_pid=$!
env --default-signal=PIPE "$busbar" sub pipe/ --name gone >"$box/gone.pipe" 2>"$box/gone.err" 9>&- &
child=$!
children+=("$child" "$head_pid")
exec 9>&-
check sigpipe_there soon is_reading gone
b pub pipe/x first
check sigpipe_ends ends "$child"
check sigpipe_code test "$code" = 0
check sigpipe_quiet silent "$box/gone.err"
check sigpipe_others_see_left soon saw gone left
check sigpipe_head_got_it grep -q '^pipe/x first$' "$box/gone.head"
full_device() { run 8 sh -c "exec \"\$0\" help >/dev/full" "$busbar" && says 'cannot write to standard output'; }
check full_device full_device
kill -INT "$watch"
check watch_ends ends "$watch"

# ---- slow reliable subscribers ------------------------------------------------------------------------
name=slow
start sub slow/ --reliable --name slow
slow=$child
check slow_there soon is_reading slow
kill -STOP "$slow"
slow_is_stopped() { b node list --json | jq_e '.nodes[] | select(.name == "slow") | .state == "stopped"' >/dev/null; }
check stopped_is_shown soon slow_is_stopped
check stopped_does_not_answer run 1 "$busbar" node ping slow -W 0.2
check doctor_with_stopped run 0 "$busbar" doctor --json
check doctor_sees_stopped json '.checks[] | select(.name == "stopped nodes") | .result == "WARN" and (.fix | test("kill -CONT"))'
kill -CONT "$slow"

# overrun NAME LINES OPTION... - a publisher that "slow" has joined goes on while "slow" is stopped.
overrun()
{
    name=$1
    local lines=$2
    shift 2
    rm -f "$box/overrun.in"
    mkfifo "$box/overrun.in"
    exec 9<>"$box/overrun.in"
    start pub slow/x --name "$name" "$@" <"$box/overrun.in"
    echo "$name" >&9
    soon grep -q "^slow/x $name\$" "$box/slow.out" || return 1
    kill -STOP "$slow"
    soon slow_is_stopped || return 1
    seq "$lines" >&9
    exec 9>&-
    ends "$child"
    kill -CONT "$slow"
}
caught_up() { b node info slow --json | jq_e '.nodes[0] | .state == "running" and .subscriber_list[0].lag == 0' >/dev/null; }
check fail_when_full overrun failing 40000 --fail
check fail_code test "$code" = 1
check fail_counts grep -q '^busbar: [0-9]* of 40001 messages went; [0-9]* were refused' "$box/failing.err"
check fail_slow_catches_up soon caught_up
check block_when_full overrun blocking 4200 --block 10ms --control
check block_code test "$code" = 1
check block_counts grep -q ' of 4201 messages went; [0-9]* were refused' "$box/blocking.err"
check block_slow_catches_up soon caught_up
went() { sed -n 's/^busbar: \([0-9]*\) of .*/\1/p' "$box/failing.err" "$box/blocking.err" | { read -r x; read -r y; echo $((x + y)); }; }
check what_went_arrived test "$(wc -l <"$box/slow.out")" = "$(went)"
check evict_when_full overrun evicting 40000 --evict
check evict_code test "$code" = 0
check evict_says_nothing silent "$box/evicting.err"
slow_reads_on() { b pub slow/end end; grep -q '^slow/end end$' "$box/slow.out"; }
check slow_reads_on soon slow_reads_on
kill -INT "$slow"
check slow_ends ends "$slow"
check slow_code test "$code" = 0
check slow_was_told grep -q 'gave us up' "$box/slow.err"

# ---- 7: no room ---------------------------------------------------------------------------------------
too_long() { head -c 3000000 /dev/zero | tr '\0' x; printf '\nshort\n'; }
check too_large run 7 "$busbar" pub large/x < <(too_long)
check too_large_said says '1 of 2 messages went; 1 were larger than'
mkdir "$box/full"
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=2m,mode=0700 busbar-test "$box/full" 2>/dev/null; then
    mounts+=("$box/full")
    check small_fits run 0 "$busbar" --dir "$box/full" pub x y
    check_code full_tmpfs 7 'needs [0-9]* bytes' --dir "$box/full" pub x --repeat 100 y
    check full_tmpfs_harms_nobody run 0 "$busbar" --dir "$box/full" sub x --from oldest -n 1 -W 10
    check full_tmpfs_doctor run 1 "$busbar" --dir "$box/full" doctor
    check full_tmpfs_doctor_says prints '^FAIL  space: '
else
    skip full_tmpfs 'needs root to mount a small tmpfs'
fi
check doctor_no_tmpfs run 1 "$busbar" --dir /proc doctor
check doctor_no_tmpfs_says prints '^FAIL  file system: '

# ---- 5: another user ----------------------------------------------------------------------------------
as() { # UID COMMAND...
    setpriv --reuid "$1" --regid "$1" --clear-groups -- "${@:2}"
}
if [ "$(id -u)" = 0 ] && cp "$busbar" "$box/busbar" && as 61001 "$box/busbar" version >/dev/null 2>&1; then
    mkdir -m 1777 "$box/shared"
    check their_bus run 0 setpriv --reuid 61001 --regid 61001 --clear-groups -- "$box/busbar" --dir "$box/shared" pub x y
    for verb in 'ls' 'tap -n 1' 'node list' 'gc' 'pub x y' 'sub x -n 1'; do
        check "foreign_bus_${verb%% *}" run 5 setpriv --reuid 61002 --regid 61002 --clear-groups -- "$box/busbar" --dir "$box/shared" $verb
        check "foreign_bus_${verb%% *}_names_the_owner" says '61001'
    done
    check foreign_bus_beside run 0 setpriv --reuid 61002 --regid 61002 --clear-groups -- "$box/busbar" --dir "$box/shared" -b mine pub x y
    check foreign_bus_untouched run 0 setpriv --reuid 61001 --regid 61001 --clear-groups -- "$box/busbar" --dir "$box/shared" sub x --from oldest -n 1 -W 10
    check foreign_buses_listed run 4 "$box/busbar" --dir "$box/shared" -b third ls
    check foreign_buses_owners says 'shared/default .*61001'
    check group_bus run 0 setpriv --reuid 61001 --regid 61001 --groups 61100 -- \
        "$box/busbar" --dir "$box/shared" -b team pub x y --group 61100
    check group_bus_is_shared run 0 setpriv --reuid 61002 --regid 61002 --groups 61100 -- \
        "$box/busbar" --dir "$box/shared" -b team sub x --from oldest -n 1 -W 10
    check group_bus_of_others run 5 setpriv --reuid 61003 --regid 61003 --clear-groups -- \
        "$box/busbar" --dir "$box/shared" -b team ls
else
    skip foreign_bus 'needs root to act as two users'
fi

# ---- 6: another layout --------------------------------------------------------------------------------
check layout_bus run 0 "$busbar" -b old pub x y
printf '\143\000' | dd of="$BUSBAR_DIR/old/bus.ctl" bs=1 seek=8 conv=notrunc 2>/dev/null
for verb in ls 'node list' 'sub x -n 1 -W 1' 'pub x y'; do
    check "layout_${verb%% *}" run 6 "$busbar" -b old $verb
    check "layout_${verb%% *}_said" says 'layout'
done
check layout_doctor run 1 "$busbar" -b old doctor
check layout_doctor_says prints '^FAIL  layout: '

# ---- gc -----------------------------------------------------------------------------------------------
name=dies
start pub dies/x --name dies < <(printf 'one\n'; exec tail --pid=$$ -f /dev/null 2>/dev/null)
dies=$child
dies_published() { b tap dies/ --from oldest -n 1 -W 0.5 >/dev/null 2>&1; }
check dies_publishes soon dies_published
kill -KILL "$dies"
check dies_ends ends "$dies"
check gc_dry run 0 "$busbar" gc -n --json
check gc_dry_form json '.dry_run and .count > 0 and .bytes > 0 and all(.files[]; .removed == false and (.why | length > 0))'
check gc_dry_names json 'any(.files[]; .node == "dies")'
check gc_dry_removes_nothing run 0 "$busbar" tap --dead dies
check gc_keep run 0 "$busbar" gc --keep-dead
check gc_kept run 0 "$busbar" tap --dead dies
check gc run 0 "$busbar" gc
check gc_text prints '^removed .*dies'
check gc_again run 0 "$busbar" gc --json
check gc_again_form json '.count == 0 and .files == []'
check_code gc_forgets 4 'no dead node' tap --dead dies
check gc_spares_the_living run 0 "$busbar" node ping stays

# ---- standard streams that are closed: what is opened next must not take their place ------------------
closed() { # CODE ARGUMENTS...: without any standard stream
    local want=$1 got=0
    shift
    (timeout --kill-after=5 "$limit" "$busbar" "$@" <&- >&- 2>&-) || got=$?
    [ "$got" = "$want" ]
}
check closed_kept b pub closed/x 'a text that is longer than the lock file'
lock_before=$(stat -c %s "$BUSBAR_DIR/default/lock")
check closed_out closed 8 sub closed/ --from oldest -n 1
check closed_in closed 8 pub closed/x
check closed_err closed 4 node info nobody
check closed_lock_is_whole test "$(stat -c %s "$BUSBAR_DIR/default/lock")" = "$lock_before"

kill -INT "$stays"
check stays_ends ends "$stays"
check gc_of_an_empty_bus run 0 "$busbar" gc
check nothing_is_left test -z "$(find "$BUSBAR_DIR/default" -type f ! -name lock)"
finish
