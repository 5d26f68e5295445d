#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Goal: each pattern of the reference sensor brings each event to whom it is meant for and to nobody else, the
# same in each run, loses nothing, and writes a conn record for each connection; a killed node gives no answer.
# Method: a real capture of 13 connections of one client, and EX::known_clients of every node; the owner of the
# client comes from `busbar pool where`, which knows nothing of the run.
#
# usage: sensor_patterns.sh SOURCE_DIR BUILD_DIR; BB_DATA: the data directory
# bb-timeout: 300
# bb-long
. "$1/tests/acceptance/cli_common.bash"

sensor=$build_dir/tools/busbar-sensor
capture=${BB_DATA:-}/pcap/bro.org.pcap
client=10.0.2.15

skip_all() { echo "SKIP sensor_patterns: $1"; exit 77; }
[ -f "$capture" ] || skip_all "no data"
[ -x "$sensor" ] || skip_all "busbar-sensor is not built (libpcap)"
command -v jq >/dev/null || skip_all "no jq"
export TMPDIR=$box/tmp
mkdir "$TMPDIR"

# sensor_run CODE ARGUMENTS... - the JSON object in $out.
sensor_run()
{
    local code=$1
    shift
    run "$code" "$sensor" --pcap "$capture" --watch 192.150.187.43 --json "$@"
}

# holders - the nodes that know the client and nothing else, one line with commas; others that know something: "?".
holders()
{
    jq -r --arg c "$client" '.nodes | to_entries
        | map(if .value == [$c] then .key elif .value == [] then empty else "?" end) | join(",")' "$out"
}
held_by() { [ "$(holders)" = "$1" ] || { echo "    held by $(holders), not $1"; return 1; }; }

# whole DELIVERED - 13 connections, all of them handled so many times, all of them logged, nothing lost.
whole()
{
    json '.packets == 751 and .connections == 13 and .events == 13 and .filtered == 0 and .lost == 0
          and .log_records == 13 and .log_lost == 0 and (has("complete") | not)' \
        && json ".delivered == $1"
}

# owner NODES [OPTION...] - who owns the client, as busbar says.
owner()
{
    local nodes=$1
    shift
    b pool where --nodes "$nodes" "$@" "$client"
}

# try NAME DELIVERED HOLDERS ARGUMENTS...
try()
{
    local name=$1 delivered=$2 holders=$3
    shift 3
    check "$name: exit code" sensor_run 0 "$@"
    check "$name: all of it" whole "$delivered"
    check "$name: who knows the client" held_by "$holders"
}

all_workers=worker-1,worker-2,worker-3,worker-4
of_two=$(owner proxy-1,proxy-2)
of_three=$(owner proxy-1,proxy-2,proxy-3)
check "busbar names one owner" test -n "$of_two" -a -n "$of_three"

# ---- the seven patterns -------------------------------------------------------------------------

try manager 13 manager --pattern manager
try default 13 manager
for i in 1 2 3; do
    try "proxies, run $i" 13 "$of_two" --pattern proxies
done
try "proxies, three of them" 13 "$of_three" --pattern proxies --proxies 3
try "proxies, one of them" 13 proxy-1 --pattern proxies --proxies 1
try declared 13 "$of_two" --pattern declared
try "declared, three of them" 13 "$of_three" --pattern declared --proxies 3
try workers 52 "$all_workers" --pattern workers
try "workers, without a proxy" 52 "$all_workers" --pattern workers --proxies 0
try direct 52 "$all_workers" --pattern direct
try "direct, without a proxy" 52 "$all_workers" --pattern direct --proxies 0
try "direct, one worker" 13 worker-1 --pattern direct --workers 1
try "two loggers" 13 manager --loggers 2
try standalone 13 standalone --pattern standalone
check "standalone: one node" json '.nodes | length == 1'
check "proxies, none of them: exit code" sensor_run 1 --pattern proxies --proxies 0
check "proxies, none of them: counted" json '.delivered == 0 and .nowhere == 13 and .lost == 0'
check "proxies, none of them: said" says "13 events were sent to nobody"
check "no logger: nothing logged" sensor_run 0 --loggers 0
check "no logger: said" json '.log_records == 0 and .log_lost == 0 and .delivered == 13'

# The store has them, so whoever looks into it knows them: all nodes but the logger.
all_readers() { jq -r '.nodes | keys_unsorted | map(select(startswith("logger") | not)) | join(",")' "$out"; }
in_store() { held_by "$(all_readers)"; }
try_store()
{
    local name=$1
    shift
    check "$name: exit code" sensor_run 0 --pattern store "$@"
    check "$name: all of it" whole 13
    check "$name: who knows the client" in_store
}
try_store store
try_store "store, run 2 on the same bus"
try_store "store, without a proxy" --proxies 0
try_store "store, one worker" --workers 1
try_store "store, many" --workers 16 --proxies 4
# What an earlier run had found is not found again by one that watches somebody else.
check "store, nobody's clients: exit code" run 0 "$sensor" --pcap "$capture" --watch 192.0.2.1 --json --pattern store
check "store, nobody's clients" json '.delivered == 13 and (.nodes | all(. == []))'

# ---- the log ------------------------------------------------------------------------------------

check "logs that nobody asked for are gone" test -z "$(ls -A "$TMPDIR")"

logs=$box/logs
conn_records() { cat "$logs"/conn*; }
record_shape()
{
    conn_records | jq_e -s 'length == 13 and (map(.uid) | unique | length == 13) and all(
        (keys_unsorted == ["ts","uid","id.orig_h","id.orig_p","id.resp_h","id.resp_p","proto"])
        and ."id.orig_h" == "10.0.2.15" and .proto == "tcp"
        and (."id.orig_p" | type == "number" and . > 0 and . < 65536) and .ts > 1389719000)' >/dev/null
}
record_set() { conn_records | jq -rc '[.ts, ."id.orig_p", ."id.resp_h", ."id.resp_p"]' | sort; }
check "log: exit code" sensor_run 0 --log-dir "$logs" --pattern proxies
check "log: fields" record_shape
record_set >"$box/cluster.set"
rm -rf "$logs"
check "standalone log: exit code" sensor_run 0 --log-dir "$logs" --pattern standalone
check "standalone log: fields" record_shape
record_set >"$box/alone.set"
check "one process logs what the cluster logs" cmp "$box/cluster.set" "$box/alone.set"

# ---- for people ---------------------------------------------------------------------------------

check "text" run 0 "$sensor" --pcap "$capture" --watch 192.150.187.43 --pattern workers
check "text: each worker's set" test "$(grep -c '^  10\.0\.2\.15$' "$out")" = 4
check "text: no other's" test "$(grep -c 'EX::known_clients = {}$' "$out")" = 4
check "text: the log" prints '^conn log: 13 records written, 0 lost$'

# ---- nodes that are killed ------------------------------------------------------------------------

# begin ARGUMENTS... - in the background; its children stand in ${nodes[@]} in the order in which they were forked.
begin()
{
    local count=$1
    shift
    env --default-signal=INT "$sensor" --pcap "$capture" --watch 192.150.187.43 "$@" \
        >"$out" 2>"$err" &
    launcher=$!
    children+=("$launcher")
    is_up() { b cluster status --json 2>/dev/null | jq_e "[.nodes[] | select(.state == \"up\")] | length == $count" >/dev/null; }
    check "all $count nodes are up" soon is_up
    read -r -a nodes <"/proc/$launcher/task/$launcher/children"
}
ended() { [ "$code" = "$1" ] || { echo "    exit code $code, not $1"; return 1; }; }

begin 8 --pattern proxies --rate 200 --json
victim=${nodes[$((4 + ${of_two#proxy-}))]}
kill -KILL "$victim"
check "killed proxy: the run ends" ends "$launcher"
check "killed proxy: exit code" ended 1
check "killed proxy: no answer" json ".nodes[\"$of_two\"] == null and .missing == [\"$of_two\"]"
check "killed proxy: said" says "no answer from $of_two about EX::known_clients"
check "killed proxy: every event is handled or counted" \
    json '.delivered + .gone + .nowhere == 13 and .events == 13 and .lost == 0'
check "killed proxy: the log is whole" json '.log_records == 13 and .log_lost == 0'

begin 8 --pattern workers --rate 200
kill -KILL "${nodes[7]}"
check "killed logger: the run ends" ends "$launcher"
check "killed logger: exit code" ended 1
check "killed logger: no answer" prints '^logger-1  *no answer'
check "killed logger: the events are whole" prints '52 delivered, 0 filtered, 0 lost'

# The master is the one proxy; the manager stands by, and what was answered is there.
begin 7 --pattern store --proxies 1 --rate 200 --json
kill -KILL "${nodes[5]}"
check "killed master: the run ends" ends "$launcher"
check "killed master: exit code" ended 1
check "killed master: named" json '.missing == ["proxy-1"] and .nodes["proxy-1"] == null'
check "killed master: nothing is lost" \
    json '.events == 13 and .delivered == 13 and .gone == 0 and .nowhere == 0 and .lost == 0'
check "killed master: the set" json ".nodes.manager == [\"$client\"] and .nodes[\"worker-4\"] == [\"$client\"]"
check "killed master: said" says 'proxy-1 is missing: it died.*the store went on without it'

begin 8 --pattern store --rate 200 --json
kill -KILL "${nodes[2]}"
check "killed worker: the run ends" ends "$launcher"
check "killed worker: exit code" ended 1
check "killed worker: named" json '.missing == ["worker-2"] and .lost == 0'
check "killed worker: the others found theirs" json ".nodes.manager == [\"$client\"] and .nodes[\"worker-1\"] == [\"$client\"]"

# All at once, on a bus that a tool keeps: no member is left who could say so, and the next run, which hears of it,
# misses none of its own.
name="keeper"
start sub nothing/
begin 8 --pattern store --rate 200
kill -KILL "$launcher" "${nodes[@]}"
all_gone() { ! kill -0 "${nodes[@]}" 2>/dev/null; }
check "all killed: the launcher" ends "$launcher"
check "all killed: the nodes" soon all_gone
check "all killed: the next run is whole" \
    run 0 "$sensor" --pcap "$capture" --watch 192.150.187.43 --pattern store --json
check "all killed: nothing is missing" json '.delivered == 13 and .lost == 0'
kill -INT "$child"
check "all killed: the tool ends" ends "$child"

begin 8 --pattern direct --stay --json
check "stay: the result" soon test -s "$out"
kill -KILL "${nodes[2]}"
# Asked by name: a node that is gone is expected no longer by those who ask everybody.
named_no_answer()
{
    local got=0
    b print EX::known_clients worker-1 worker-2 >"$box/print" 2>&1 || got=$?
    [ "$got" = 1 ] && grep -q 'worker-2.*no answer' "$box/print" && grep -q 'worker-1.*10\.0\.2\.15' "$box/print"
}
check "stay: print says who does not answer" soon named_no_answer
kill -INT "$launcher"
check "stay: stops" ends "$launcher"
check "stay: exit code" ended 0

finish
