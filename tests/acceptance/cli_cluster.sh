#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# cli_cluster.sh SOURCE BUILD - `busbar cluster` and `busbar pool`: who is there, who should be, who comes and goes.
#
# The nodes are real processes (cluster_node.c) that are stopped, drained, killed, ended and started again.
. "$(dirname "$0")/cli_common.bash"
. "$(dirname "$0")/cluster_common.bash"

# ---- nobody -------------------------------------------------------------------------------------------
check status_without_bus run 4 "$busbar" cluster status
check status_without_bus_said says 'there is no bus'
check watch_without_bus run 4 "$busbar" cluster watch -n 1
check pools_without_bus run 4 "$busbar" pool list
check made_no_bus silent <(find "$BUSBAR_DIR" -mindepth 1)
b pub x y >"$out" 2>"$err"
check status_without_cluster run 4 "$busbar" cluster status
check status_without_cluster_said says 'no node has joined a cluster'
check expected_without_cluster run 1 "$busbar" cluster status worker-1
check expected_without_cluster_said says '1 of 1 expected nodes is missing: worker-1'
check wrong_role run 2 "$busbar" cluster status worker-1:boss
check wrong_role_said says 'NAME:ROLE'
check nothing_yet run 0 "$busbar" cluster watch --from oldest -W 0
check nothing_yet_said silent "$out"

# ---- all are there ------------------------------------------------------------------------------------
check the_node_builds build_node
join manager manager
check manager_is_up soon is_state manager up
name=watch
start cluster watch --from oldest --json
watch=$child
for i in 1 2; do join proxy-$i proxy; done
for i in 1 2 3; do join worker-$i worker; done
all=(manager proxy-1 proxy-2 worker-1 worker-2 worker-3)
check all_are_up soon has_states up "${all[@]}"
check status run 0 "$busbar" cluster status --header
check status_header prints '^NODE  *ROLE  *STATE  *PID  *SINCE  *EPOCH  *STARTS  *PUBLISHED  *LOST$'
check status_row prints "^worker-1  *worker  *up  *${pid_of[worker-1]}  *20[0-9-]*T[0-9:]*Z  *[0-9]*  *1  *[0-9]*  *0\$"
check status_json run 0 "$busbar" cluster status --json
check status_json_form json '(.epoch | type == "number") and .missing == [] and (.nodes | length == 6)
    and ([.nodes[].name] == ([.nodes[].name] | sort)) and all(.nodes[]; .state == "up" and .in and .weight == 16
        and .starts == 1 and .lost == 0 and (.since | startswith("20")) and (.pid | type == "number"))'
# What `node list` has of a node stands here under the same names.
same_as_node_list()
{
    diff <(b node list --json | jq -S '[.nodes[] | select(.role != "tool") | del(.state, .published, .published_bytes,
            .lag, .lost, .beat_age_ns)] | sort_by(.name)') \
        <(b cluster status --json | jq -S '[.nodes[] | {name, role, pid, id, uid, joined, rings, subscribers}]') >"$out"
}
check as_node_list same_as_node_list
check named run 0 "$busbar" cluster status --json manager:manager worker-2
check named_only json '[.nodes[].name] == ["manager", "worker-2"]'
check other_role run 1 "$busbar" cluster status manager:logger
check other_role_said says '"manager" is a manager, not a logger'
check missing run 1 "$busbar" cluster status --json manager worker-9
check missing_json json '.missing == ["worker-9"] and (.nodes[1] | .state == "missing" and .id == null and .pid == null)'
check missing_said says '1 of 2 expected nodes is missing: worker-9'
printf '# all of them\nmanager manager\nproxy-1 proxy # and\nproxy-2\n\nworker-1 worker\n' >"$box/layout"
check layout run 0 "$busbar" cluster status --layout "$box/layout"
check layout_does_not_hide has_lines 6 "$out"
check no_layout run 4 "$busbar" cluster status --layout "$box/none"
check no_layout_said says 'cannot read the layout .*/none'
check empty_layout run 2 "$busbar" cluster nodes --layout /dev/null
check empty_layout_said says 'names no node'
printf 'manager manager again\n' >"$box/wrong"
check wrong_layout run 2 "$busbar" cluster status --layout "$box/wrong"
check wrong_layout_said says 'wrong, line 1'

check nodes run 1 "$busbar" cluster nodes --json --layout "$box/layout" worker-2:proxy logger-1:logger
check nodes_json json '(.nodes | map({key: .name, value: .verdict}) | from_entries) == {"logger-1": "missing",
    "manager": "ok", "proxy-1": "ok", "proxy-2": "ok", "worker-1": "ok", "worker-2": "other role",
    "worker-3": "not expected"}'
check nodes_said_role says '"worker-2" is a worker, not a proxy'
check nodes_said_missing says '1 of 6 expected nodes is missing: logger-1'
check nodes_text run 0 "$busbar" cluster nodes --header --layout "$box/layout"
check nodes_text_form prints '^proxy-2  *any  *proxy  *up  *ok$'
check nodes_plain run 0 "$busbar" cluster nodes
check nodes_plain_form prints '^worker-3  *-  *worker  *up  *ok$'

# ---- pools --------------------------------------------------------------------------------------------
# `few` takes two; a node hears the topic until it has seen that it has no seat.
few_is() { b pool list --json 2>/dev/null | jq_e --arg n "$1" '.pools[] | select(.name == "few") | .nodes | join(" ") == $n' >"$out"; }
check few soon few_is 'worker-1 worker-2'
check pools run 0 "$busbar" pool list --json
check pools_json json '(.pools | map({key: .name, value: .}) | from_entries) as $p
    | ($p.proxy | .nodes == ["proxy-1", "proxy-2"] and .alive == 2 and (.registered | not))
    and ($p.worker.alive == 3) and ($p.manager.alive == 1) and ($p.logger | .nodes == [] and .alive == 0)
    and ($p.few | .registered and .nodes == ["worker-1", "worker-2"])'
check pools_text run 0 "$busbar" pool list --header
check pools_text_form prints '^few  *registered  *2  *2$'
check pool run 0 "$busbar" pool show proxy --json
check pool_json json '.pool == "proxy" and .alive == 2
    and all(.nodes[]; .role == "proxy" and .state == "up" and .alive and .weight == 16)'
check pool_text run 0 "$busbar" pool show --header worker
check pool_text_form prints '^worker-3  *worker  *up  *yes  *16  *[0-9]*$'
check empty_pool run 1 "$busbar" pool show logger
check empty_pool_said says 'the pool "logger" has no node that is alive'
check no_pool run 4 "$busbar" pool show ducks
check no_pool_said says 'there is no pool "ducks"'
check pool_completion run 0 "$busbar" help --complete pools -- p
check pool_completion_form test "$(cat "$out")" = proxy

# ---- drained, stopped, killed, ended, back ------------------------------------------------------------
kill -USR1 "${pid_of[proxy-1]}"
check draining soon is_state proxy-1 draining
check draining_is_no_failure run 0 "$busbar" cluster status proxy-1
check draining_pool run 0 "$busbar" pool show proxy --json
check draining_pool_json json '.alive == 1 and (.nodes[0] | .state == "draining" and (.alive | not))'
kill -USR2 "${pid_of[proxy-1]}"
check drained_is_back soon is_state proxy-1 up

# The manager is stopped: nobody waits for it, and it is named.
check manager_stops stop manager
quick() { local limit=10; run "$@"; }
check stopped_status quick 0 "$busbar" cluster status --json
check stopped_named json '[.nodes[] | select(.state == "stopped")] | length == 1 and .[0].name == "manager"'
check stopped_others json '[.nodes[] | select(.state == "up")] | length == 5'
check stopped_pools quick 0 "$busbar" pool list
check manager_goes_on go_on manager

check worker_is_killed kill_node worker-2
check killed_status run 1 "$busbar" cluster status --json
check killed_json json '.missing == ["worker-2"] and (.nodes[] | select(.name == "worker-2") | .state == "down" and (.in | not))'
check killed_said says '1 of 1 expected nodes is missing: worker-2'
check killed_is_not_asked_for run 0 "$busbar" cluster status worker-1
noticed() { jq_e 'select(.change == "died" and .name == "worker-2")' "$box/watch.out" >/dev/null; }
check killed_is_noticed soon noticed
b gc >/dev/null
check killed_after_gc run 1 "$busbar" cluster status
check killed_after_gc_said says 'missing: worker-2'

check worker_ends end worker-3
check left_is_no_failure run 1 "$busbar" cluster status
check left_is_not_missing says 'missing: worker-2$'
check left_when_expected run 1 "$busbar" cluster status worker-3
check nodes_gone run 1 "$busbar" cluster nodes
check nodes_gone_form prints '^worker-3  *-  *worker  *left  *gone$'

join worker-2 worker
check worker_is_back soon is_state worker-2 up
check back_status run 0 "$busbar" cluster status --json
check back_starts json '.missing == [] and (.nodes[] | select(.name == "worker-2") | .starts == 2 and .state == "up")'

# ---- watched ------------------------------------------------------------------------------------------
last_up() { jq_e -s '[.[] | select(.name == "worker-2") | .change][-1] == "in"' "$box/watch.out" >/dev/null; }
check watch_saw_the_return soon last_up
kill -INT "$watch"
check watch_ends ends "$watch"
check watch_code test "$code" = 0
check watch_epochs jq_e -s '[.[].epoch] == [range(.[0].epoch; .[0].epoch + length)]' "$box/watch.out"
check watch_changes jq_e -s '([.[] | select(.name == "proxy-1") | .change] == ["up", "in", "out", "in"])
    and ([.[] | select(.name == "worker-2") | .change] == ["up", "in", "died", "up", "in"])
    and ([.[] | select(.name == "worker-3") | .change] == ["up", "in", "left"])
    and all(.[] | select(.change == "in"); .weight == 16) and .[0].name == "manager"' "$box/watch.out"
check watch_again run 0 "$busbar" cluster watch --from oldest --json -W 0
check watch_is_the_same cmp "$out" "$box/watch.out"
check watch_text run 0 "$busbar" cluster watch --from oldest -n 2
check watch_text_form test "$(cut -d' ' -f 2- "$out" | tr '\n' ,)" = 'up manager manager,in manager manager,'
check watch_in_vain run 3 "$busbar" cluster watch -n 1 -W 100ms
check watch_in_vain_said says 'time ran out: 0 of 1 changes came'
check watch_wrong run 2 "$busbar" cluster watch --from yesterday

# Two watchers see the same.
name=live
start cluster watch --from oldest
live=$child
name=live2
start cluster watch --from oldest
join worker-4 worker
saw_worker_4() { grep -q 'in .*worker-4' "$box/live.out" && grep -q 'in .*worker-4' "$box/live2.out"; }
check watchers_see_it soon saw_worker_4
check watchers_see_the_same soon cmp -s "$box/live.out" "$box/live2.out"
join worker-4 worker
joined_twice() { ! kill -0 "${pid_of[worker-4]}" 2>/dev/null; }
check name_is_taken soon joined_twice
check name_is_taken_said grep -q "worker-4" "$box/worker-4.err"
check names_of_completion run 0 "$busbar" help --complete nodes -- worker-4
check names_of_completion_form prints '^worker-4$'

# When all have left, the next one begins the bus anew; who watches goes on with it.
export BUSBAR_BUS=anew
join lonely worker
check lonely_is_up soon is_state lonely up
name=anew
start cluster watch --from oldest --json
anew=$child
check anew_first soon has_lines 2 "$box/anew.out"
check lonely_ends end lonely
check anew_left soon has_lines 3 "$box/anew.out"
join lonely worker
check lonely_is_back soon is_state lonely up
check anew_second soon has_lines 5 "$box/anew.out"
check anew_order test "$(jq -r '"\(.epoch) \(.change)"' "$box/anew.out" | tr '\n' ,)" = '0 up,1 in,2 left,0 up,1 in,'
check anew_said grep -q 'the bus was begun anew' "$box/anew.err"
kill -INT "$anew"
check anew_ends ends "$anew"
unset BUSBAR_BUS

# Looking left no trace.
check no_tool_is_there run 0 "$busbar" node list --json
check no_tool_is_there_form json 'all(.nodes[]; .role != "tool" or .state != "running")'
kill -INT "$live"
check live_ends ends "$live"
finish
