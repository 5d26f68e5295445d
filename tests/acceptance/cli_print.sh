#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# cli_print.sh SOURCE BUILD - `busbar print` and `busbar set`: values of all nodes, and who did not answer.
#
# The nodes are real processes (cluster_node.c); replies of many questions at once never mix.
. "$(dirname "$0")/cli_common.bash"
. "$(dirname "$0")/cluster_common.bash"

check no_bus run 4 "$busbar" print test::name
check no_bus_said says 'there is no bus'
check made_no_bus silent <(find "$BUSBAR_DIR" -mindepth 1)
b pub x y >"$out" 2>"$err"
check no_cluster run 4 "$busbar" print test::name
check no_cluster_said says 'no node has joined a cluster'

check the_node_builds build_node
join manager manager
for i in 1 2; do join worker-$i worker; done
check all_are_up soon has_states up manager worker-1 worker-2

# ---- values -------------------------------------------------------------------------------------------
lines() # lines LINE... - what was printed, its columns one blank apart
{
    diff <(printf '%s\n' "$@") <(sed -E 's/^ +//; s/   +/ /' "$out")
}
check all run 0 "$busbar" print -W 15s test::name
check all_lines lines 'manager test::name = manager' 'worker-1 test::name = worker-1' 'worker-2 test::name = worker-2'
check as_broctl prints '^     manager   test::name = manager$'
check said_nothing_else silent "$err"
check two run 0 "$busbar" print -W 15s test::clients worker-2 manager
check two_lines lines 'manager test::clients = {::1, 10.0.0.1, 10.0.0.2}' 'worker-2 test::clients = {::1, 10.0.0.1, 10.0.0.2}'
check json run 0 "$busbar" print -W 15s test::clients worker-1 --json
check json_form json '.node == "worker-1" and .name == "test::clients" and .value["@data-type"] == "set"
    and ([.value.data[].data] | sort) == ["10.0.0.1", "10.0.0.2", "::1"]'
check large run 0 "$busbar" print -W 15s test::large --json worker-1
check large_whole json '.value.data | length == 10000 and .[9999].data == 9999'
check standard run 0 "$busbar" print -W 15s busbar::pid worker-1
check standard_pid lines "worker-1 busbar::pid = ${pid_of[worker-1]}"
check unknown_variable run 1 "$busbar" print -W 15s test::nothing worker-1 worker-2
check unknown_variable_lines prints '^ *worker-2   .*no.* variable'
check unknown_node run 4 "$busbar" print test::name worker-9
check unknown_node_said says 'there is no node "worker-9" in this cluster'
check nothing_asked run 2 "$busbar" print

# ---- set ----------------------------------------------------------------------------------------------
check set_one run 0 "$busbar" set -W 15s test::count 42 worker-1
check set_one_line lines 'worker-1 test::count = 42'
check set_that_one run 0 "$busbar" print -W 15s test::count
check set_that_one_lines lines 'manager test::count = 7' 'worker-1 test::count = 42' 'worker-2 test::count = 7'
check set_all run 0 "$busbar" set -W 15s test::count 43
check set_all_lines lines 'manager test::count = 43' 'worker-1 test::count = 43' 'worker-2 test::count = 43'
check set_json run 0 "$busbar" set -W 15s test::count 44 worker-1 --json
check set_json_form json '.node == "worker-1" and .value == {"@data-type": "count", "data": 44}'
check set_type run 1 "$busbar" set -W 15s test::count '"many"' worker-1
check set_type_said prints '^ *worker-1   .*type'
check set_by_type run 1 "$busbar" set -W 15s --type string test::count 5 worker-1
check set_too_large run 1 "$busbar" set -W 15s test::count 1000 worker-1 worker-2
check set_too_large_lines has_lines 2 "$out"
check set_refused_json run 1 "$busbar" set -W 15s test::count 1000 worker-1 --json
check set_refused_json_form json '.value == null and (.error | type == "string")'
check set_constant run 1 "$busbar" set -W 15s test::name me worker-1
check set_constant_said prints '^ *worker-1   .*set'
check set_no_value run 2 "$busbar" set test::count '(1, 2'
check set_no_value_said says 'VALUE, column'
check set_no_type run 2 "$busbar" set --type number test::count 1
check set_unchanged run 0 "$busbar" print -W 15s test::count worker-1
check set_unchanged_line lines 'worker-1 test::count = 44'

# ---- many at once -------------------------------------------------------------------------------------
# 20 at once, each of another variable: each has all of its own answers and none of another's.
at_once() # at_once ROUND
{
    local i pids=() rc=0
    for i in {0..19}; do
        b print -W 15s "test::v$i" >"$box/v$i" 2>"$box/v$i.err" &
        pids+=("$!")
    done
    for i in {0..19}; do
        wait "${pids[i]}" || { echo "    round $1: print test::v$i ended with $?: $(cat "$box/v$i.err")"; rc=1; }
        cp "$box/v$i" "$out"
        lines "manager test::v$i = manager says $i" "worker-1 test::v$i = worker-1 says $i" \
            "worker-2 test::v$i = worker-2 says $i" || rc=1
    done
    return $rc
}
for round in 1 2 3; do
    check "twenty_at_once_$round" at_once $round
done

# ---- stopped, killed ----------------------------------------------------------------------------------
check manager_stops stop manager
check stopped run 1 "$busbar" print test::name -W 2s
check stopped_lines lines 'manager no answer (stopped)' 'worker-1 test::name = worker-1' 'worker-2 test::name = worker-2'
check others_do_not_wait run 0 "$busbar" print test::name worker-1 worker-2 -W 1000s
check stopped_json run 1 "$busbar" print test::name manager --json -W 100ms
check stopped_json_form json '.node == "manager" and .value == null and .error == "no answer (stopped)"'
check manager_goes_on go_on manager
check late_answers_do_not_matter run 0 "$busbar" print -W 15s test::name
check late_answers_lines lines 'manager test::name = manager' 'worker-1 test::name = worker-1' 'worker-2 test::name = worker-2'

check worker_is_killed kill_node worker-2
check killed run 1 "$busbar" print -W 15s test::name
check killed_lines lines 'manager test::name = manager' 'worker-1 test::name = worker-1' 'worker-2 no answer (down)'
check killed_by_name run 1 "$busbar" print -W 15s test::name worker-2
check killed_set run 1 "$busbar" set -W 15s test::count 9 worker-1 worker-2
check killed_set_lines lines 'worker-1 test::count = 9' 'worker-2 no answer (down)'
check worker_ends end worker-1
check left_is_not_asked run 1 "$busbar" print -W 15s test::name
check left_lines lines 'manager test::name = manager' 'worker-2 no answer (down)'
check left_by_name run 1 "$busbar" print -W 15s test::name worker-1
check left_by_name_line lines 'worker-1 no answer (left)'
join worker-2 worker
check worker_is_back soon is_state worker-2 up
check back run 0 "$busbar" print -W 15s test::name
check back_lines lines 'manager test::name = manager' 'worker-2 test::name = worker-2'

# All are dead: asking leaves what they left, so it can be asked again.
check manager_is_killed kill_node manager
check worker_is_killed_too kill_node worker-2
for i in 1 2; do
    check "dead_$i" run 1 "$busbar" print test::name
    check "dead_lines_$i" lines 'manager no answer (down)' 'worker-2 no answer (down)'
done
check dead_are_there run 1 "$busbar" cluster status

# ---- another prefix -----------------------------------------------------------------------------------
export BUSBAR_BUS=zeek
join logger-1 logger zeek/cluster/
check logger_is_up soon is_state logger-1 up
check prefix_is_found run 0 "$busbar" print -W 15s test::name
check prefix_is_found_line lines 'logger-1 test::name = logger-1'
check prefix_of_pools run 0 "$busbar" pool show logger
check prefix_is_wrong run 1 "$busbar" print test::name --prefix other/ -W 200ms
unset BUSBAR_BUS

# Who asked has gone.
gone() { b node list --json | jq_e 'all(.nodes[]; .role != "tool" or .state != "running")' >/dev/null; }
check askers_are_gone soon gone
finish
