#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Goal: when a proxy is killed in the middle of a run only its keys move, each to the node that `busbar pool
# where --if-down` names; when it comes back its keys come back; every event is handled or counted.
# Method: a made capture of 20 clients whose connections lie evenly over it, and a real one of one client, both
# read at a slow rate.  A proxy is killed when a random part of the events has gone.  Since each client is seen
# again after each change, the sets that the proxies have at the end are known exactly, whatever the moment.
#
# usage: sensor_failover.sh SOURCE_DIR BUILD_DIR; BB_DATA: the data directory; SEED: of an earlier run
# bb-timeout: 300
# bb-long
. "$1/tests/acceptance/cli_common.bash"

sensor=$build_dir/tools/busbar-sensor
maker=$build_dir/tools/make-capture
echo_capture=${BB_DATA:-}/pcap/echo-connections.pcap.gz

skip_all() { echo "SKIP sensor_failover: $1"; exit 77; }
[ -x "$sensor" ] || skip_all "busbar-sensor is not built (libpcap)"
command -v jq >/dev/null || skip_all "no jq"

seed=${SEED:-$RANDOM}
RANDOM=$seed
echo "seed $seed"
export TMPDIR=$box/tmp
mkdir "$TMPDIR"

names=proxy-1,proxy-2,proxy-3
connections=2000
rate=2500 # 16,005 packets: more than six seconds

"$maker" --connections "$connections" "$box/many.pcap" >"$box/made.json" || exit 1
mapfile -t clients < <(jq -r '.originators[]' "$box/made.json")

# ---- what must come out ---------------------------------------------------------------------------

declare -A owner second
for client in "${clients[@]}"; do
    owner[$client]=$(b pool where --nodes "$names" "$client")
    second[$client]=$(b pool where --nodes "$names" --if-down "${owner[$client]}" "$client")
done

# set_of PROXY VICTIM - its clients at the end, when VICTIM's were with their second choice for a while.
set_of()
{
    local client
    for client in "${clients[@]}"; do
        if [ "${owner[$client]}" = "$1" ] \
            || { [ "${owner[$client]}" = "$2" ] && [ "${second[$client]}" = "$1" ]; }; then
            echo "$client"
        fi
    done | sort
}
has_set() # PROXY VICTIM
{
    jq -r --arg p "$1" '.nodes[$p][]' "$out" | sort >"$box/got"
    set_of "$1" "$2" >"$box/want"
    cmp -s "$box/got" "$box/want" && return 0
    echo "    $1 has $(paste -sd, "$box/got")"
    echo "    not    $(paste -sd, "$box/want")"
    return 1
}

# ---- running and killing ----------------------------------------------------------------------------

# begin NODES ARGUMENTS... - in the background; its children stand in ${nodes[@]} in the order in which they were forked.
begin()
{
    local count=$1
    shift
    env --default-signal=INT "$sensor" --pattern proxies --json "$@" >"$out" 2>"$err" &
    launcher=$!
    children+=("$launcher")
    is_up() { b cluster status --json 2>/dev/null | jq_e "[.nodes[] | select(.state == \"up\")] | length == $count" >/dev/null; }
    check "$name: all $count nodes are up" soon is_up
    read -r -a nodes <"/proc/$launcher/task/$launcher/children"
}

# has_sent N - the first worker has published so many messages.
has_sent()
{
    b node list --json 2>/dev/null | jq_e ".nodes[] | select(.name == \"worker-1\") | .published >= $1" >/dev/null
}
is_down() { b cluster status --json "$1" 2>/dev/null | jq_e ".nodes[] | select(.name == \"$1\") | .state != \"up\"" >/dev/null; }
ended() { [ "$code" = "$1" ] || { echo "    exit code $code, not $1"; return 1; }; }
accounted()
{
    json ".events == $1 and .connections == $1 and .delivered + .gone == $1 and .nowhere == 0 and .lost == 0" \
        && ! says "not whole"
}
logged() { json ".log_records == $1 and .log_lost == 0"; }

# kill_proxy N - once a random share of the events has gone, between a tenth and a third.
kill_proxy()
{
    local after=$((connections / 4 * (10 + RANDOM % 24) / 100))
    check "$name: $after events from the first worker" soon has_sent "$after"
    kill -KILL "${nodes[$((4 + $1))]}"
}

victim_number=$((1 + RANDOM % 3))
victim=proxy-$victim_number

name="killed"
begin 9 --pcap "$box/many.pcap" --rate "$rate" --proxies 3
kill_proxy "$victim_number"
check "$name: the run ends" ends "$launcher"
check "$name: exit code" ended 1
check "$name: no answer from $victim" json ".nodes[\"$victim\"] == null and .missing == [\"$victim\"]"
check "$name: every event is handled or counted" accounted "$connections"
check "$name: the log is whole" logged "$connections"
for proxy in proxy-1 proxy-2 proxy-3; do
    [ "$proxy" = "$victim" ] || check "$name: $proxy has its own and what came to it" has_set "$proxy" "$victim"
done

name="returned"
begin 9 --pcap "$box/many.pcap" --rate "$rate" --proxies 3
kill_proxy "$victim_number"
check "$name: its going is seen" soon is_down "$victim"
check "$name: the others go on without it" soon has_sent $((connections / 4 * 45 / 100))
"$sensor" --node "$victim" --role proxy --proxies 3 --loggers 1 --pattern proxies >"$box/again" 2>&1 &
again=$!
children+=("$again")
check "$name: the run ends" ends "$launcher"
check "$name: every event is handled or counted" accounted "$connections"
check "$name: the log is whole" logged "$connections"
check "$name: exit code" ended 1
check "$name: what the dead one knew is counted as gone" json '.gone > 0 and .complete == false'
check "$name: nobody is missing at the end" json '(.missing // []) == []'
for proxy in proxy-1 proxy-2 proxy-3; do
    check "$name: $proxy has what is its own, and what came to it" has_set "$proxy" "$victim"
done
check "$name: it ends with the others" ends "$again"
check "$name: and well" ended 0
check "$name: and quietly" silent "$box/again"

# ---- a real capture of one client ---------------------------------------------------------------------

if [ -f "$echo_capture" ]; then
    name="echo"
    clients=(127.0.0.1)
    names=proxy-1,proxy-2
    connections=500
    victim=$(b pool where --nodes "$names" 127.0.0.1)
    heir=$(b pool where --nodes "$names" --if-down "$victim" 127.0.0.1)
    begin 8 --pcap "$echo_capture" --rate 15000
    kill_proxy "${victim#proxy-}"
    check "$name: the run ends" ends "$launcher"
    check "$name: exit code" ended 1
    check "$name: every event is handled or counted" accounted 500
    check "$name: the log is whole" logged 500
    check "$name: the second choice has the client" json ".nodes[\"$heir\"] == [\"127.0.0.1\"]"
    check "$name: nobody else has" json '[.nodes[] | select(. != null and . != [])] | length == 1'
else
    skip echo "no data"
fi

finish
