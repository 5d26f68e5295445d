#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Goal: the reference sensor says of real captures what tcpdump says, with any number of workers, started
# together or one by one; it names a killed worker, stops cleanly, and refuses nonsense with the right code.
# Method: the whole JSON object is compared with one made from tcpdump's output.
#
# usage: sensor.sh SOURCE_DIR BUILD_DIR; BB_DATA: the data directory
set -uo pipefail
export LC_ALL=C

build=${2:?usage: sensor.sh SOURCE_DIR BUILD_DIR}
sensor=$build/tools/busbar-sensor
busbar=$build/tools/busbar
pcaps=${BB_DATA:-}/pcap

skip() {
    echo "SKIP sensor: $1"
    exit 77
}
[ -d "$pcaps" ] || skip "no data"
[ -x "$sensor" ] || skip "busbar-sensor is not built (libpcap)"
command -v tcpdump > /dev/null || skip "no tcpdump"

tmp=$(mktemp -d)
BUSBAR_DIR=$(mktemp -d /dev/shm/busbar-sensor-test-XXXXXX)
export BUSBAR_DIR
unset BUSBAR_BUS
trap 'kill $(jobs -p) 2> /dev/null; wait; rm -rf "$tmp" "$BUSBAR_DIR"' EXIT

checks=0
failed=0
check() { # NAME EXPECTED GOT
    checks=$((checks + 1))
    if [ "$2" != "$3" ]; then
        failed=$((failed + 1))
        printf 'FAIL %s\n  expected %s\n  got      %s\n' "$1" "$2" "$3"
        [ -s "$tmp/err" ] && sed 's/^/  stderr:  /' "$tmp/err"
    fi
}

until_true() { # COMMAND...: at most 20 s
    for _ in $(seq 200); do
        "$@" > /dev/null 2>&1 && return 0
        sleep 0.1
    done
    return 1
}

# ---- what tcpdump says ---------------------------------------------------------------------------

plain() {
    case $1 in
    *.gz) gzip -dc "$1" ;;
    *) cat "$1" ;;
    esac
}

# Distinct connections "client.port > server.port SYN's number" whose SYN and SYN-ACK are there.
connections() {
    plain "$1" | tcpdump -nn -S -r - 'tcp[tcpflags] & tcp-syn != 0' 2> /dev/null | awk '
        { to = $5; sub(/:$/, "", to) }
        $7 == "[S]," { seq = $9; sub(/,$/, "", seq); syn[$3 " > " to " " seq] = 1 }
        $7 == "[S.]," { ack = $11; sub(/,$/, "", ack)
                        answered[to " > " $3 " " sprintf("%.0f", (ack + 4294967295) % 4294967296)] = 1 }
        END { for (c in syn) if (c in answered) print c }'
}

# The nodes that are there besides manager and workers, unless all are started one by one.
helpers=',"proxy-1":[],"proxy-2":[],"logger-1":[]'

# The JSON object that FILES must give; clients of any host, or of the host WATCH.
expected() { # WATCH WORKERS FILE...
    local watch=$1 workers=$2 packets=0 count=0 clients names
    shift 2
    : > "$tmp/connections"
    for file in "$@"; do
        packets=$((packets + $(plain "$file" | tcpdump -nn -r - 2> /dev/null | wc -l)))
        connections "$file" >> "$tmp/connections"
    done
    count=$(wc -l < "$tmp/connections")
    clients=$(awk -v watch="$watch" '
        function host(s) { sub(/\.[0-9]+$/, "", s); return s }
        watch == "any" || host($3) == watch { print host($1) }' "$tmp/connections" |
        sort -u -t. -k1,1n -k2,2n -k3,3n -k4,4n | sed 's/.*/"&"/' | paste -sd,)
    names=$(seq "$workers" | sed 's/.*/,"worker-&":[]/' | tr -d '\n')$helpers
    printf '{"packets":%d,"connections":%d,"events":%d,"delivered":%d,"filtered":0,"lost":0,' \
        "$packets" "$count" "$count" "$count"
    printf '"nodes":{"manager":[%s]%s},' "$clients" "$names"
    [ -z "$helpers" ] && count=0 # without a logger nothing is logged
    printf '"log_records":%d,"log_lost":0}\n' "$count"
}

run() { # NAME EXIT EXPECTED-STDOUT ARGUMENT...
    local name=$1 code=$2 want=$3 got
    shift 3
    got=$(timeout 100 "$sensor" "$@" 2> "$tmp/err")
    check "$name: exit code" "$code" "$?"
    check "$name: output" "$want" "$got"
}

# ---- captures ------------------------------------------------------------------------------------

for workers in 1 2 4 16; do
    file=$pcaps/bro.org.pcap
    run "bro.org with $workers workers" 0 "$(expected 192.150.187.43 $workers "$file")" \
        --pcap "$file" --watch 192.150.187.43 --workers $workers --json
done
check "bro.org: connections" 13 "$(connections "$pcaps/bro.org.pcap" | wc -l)"
# 741 SYN packets, of which 241 are retransmissions; in two other captures packets were captured twice.
check "echo-connections: connections" 500 "$(connections "$pcaps/echo-connections.pcap.gz" | wc -l)"
check "ssh: connections" 22 "$(connections "$pcaps/ssh.pcap" | wc -l)"
check "vnd.ms-cab: connections" 5 \
    "$(connections "$pcaps/vnd.ms-cab-compressed-multi-conn.pcap" | wc -l)"

for name in echo-connections.pcap.gz ssh.pcap sshguess.pcap dhcp_flood.pcap \
    vnd.ms-cab-compressed-multi-conn.pcap; do
    run "$name" 0 "$(expected any 4 "$pcaps/$name")" --pcap "$pcaps/$name" --watch any --json
done
run "a host without clients" 0 "$(expected 192.0.2.1 2 "$pcaps/ssh.pcap")" \
    --pcap "$pcaps/ssh.pcap" --watch 192.0.2.1 --workers 2 --json
run "two files" 0 "$(expected any 3 "$pcaps/ssh.pcap" "$pcaps/sshguess.pcap")" \
    --pcap "$pcaps/ssh.pcap" "$pcaps/sshguess.pcap" --workers 3 --json

got=$(timeout 100 "$sensor" --pcap "$pcaps/bro.org.pcap" --watch 192.150.187.43 2> "$tmp/err")
check "for people: exit code" 0 $?
check "for people: the client stands there" 1 "$(grep -c '^  10\.0\.2\.15$' <<< "$got")"
check "for people: nothing lost" 1 "$(grep -c '13 delivered, 0 filtered, 0 lost' <<< "$got")"

# ---- nodes one by one, the manager in the middle --------------------------------------------------

file=$pcaps/bro.org.pcap
worker() {
    timeout 100 "$sensor" -b alone --node "worker-$1" --role worker --workers 3 --pcap "$file" \
        > "$tmp/worker-$1" 2>&1 &
}
worker 3
third=$!
until_true test -d "$BUSBAR_DIR/alone"
timeout 100 "$sensor" -b alone --node manager --role manager --workers 3 --watch 192.150.187.43 --json \
    > "$tmp/manager" 2> "$tmp/err" &
manager=$!
worker 1
first=$!
worker 2
second=$!
for pid in $manager $first $second $third; do
    wait "$pid"
    check "one by one: exit code" 0 $?
done
check "one by one: output" "$(helpers='' expected 192.150.187.43 3 "$file")" "$(cat "$tmp/manager")"
check "one by one: workers are quiet" "" "$(cat "$tmp"/worker-*)"

# ---- a worker is killed --------------------------------------------------------------------------

nodes() { # how many nodes of the sensor are running
    "$busbar" node list --json 2> /dev/null |
        grep -o '"name":"[^"]*","role":"[^"]*","pid":[0-9]*,"state":"running"' |
        grep -c '"manager"\|"worker"'
}
has_nodes() { [ "$(nodes)" = "$1" ]; }
start() { # ARGUMENT...: in the background; its children in the order in which they were forked
    "$sensor" "$@" > "$tmp/out" 2> "$tmp/err" &
    launcher=$!
    until_true has_nodes 5
    check "all nodes are up" 5 "$(nodes)"
    read -r -a children < "/proc/$launcher/task/$launcher/children"
}

start --pcap "$file" --watch 192.150.187.43 --rate 300 --json
kill -KILL "${children[2]}"
wait "$launcher"
check "killed worker: exit code" 1 $?
check "killed worker: named" 1 "$(grep -c 'worker-2 is missing: it died' "$tmp/err")"
check "killed worker: the others finished" 1 \
    "$(grep -c '"lost":0,"nodes":.*"complete":false,"missing":\["worker-2"\]}$' "$tmp/out")"

# ---- staying up, and stopping --------------------------------------------------------------------

start --pcap "$file" --watch 192.150.187.43 --stay --json
until_true test -s "$tmp/out"
check "stay: output" "$(expected 192.150.187.43 4 "$file")" "$(cat "$tmp/out")"
check "stay: nodes are there afterwards" 5 "$(nodes)"
run "a second sensor on the same bus" 8 "" --pcap "$file" --json
check "a second sensor: one sentence" 1 "$(grep -c 'already' "$tmp/err")"
kill -INT "$launcher"
wait "$launcher"
check "stay: exit code after SIGINT" 0 $?
check "stay: no node is left" 0 "$(nodes)"
for pid in "${children[@]}"; do
    check "stay: no process is left" "" "$(tr '\0' ' ' 2> /dev/null < "/proc/$pid/cmdline")"
done

has_events() { "$busbar" topic info sensor/connection_established | grep -q '[1-9][0-9]* messages'; }
start --pcap "$file" --rate 50 --json
until_true has_events
kill -TERM "$launcher"
wait "$launcher"
check "stopped early: exit code" 0 $?
check "stopped early: says so" 1 "$(grep -c '"complete":false,"missing":\[\]}$' "$tmp/out")"
check "stopped early: no node is left" 0 "$(nodes)"

# ---- nonsense ------------------------------------------------------------------------------------

refuse() { # EXIT NAMED ARGUMENT...: one sentence that names the thing
    local code=$1 named=$2
    shift 2
    run "refuse $*" "$code" "" "$@"
    check "refuse $*: one line" 1 "$(wc -l < "$tmp/err")"
    check "refuse $*: names $named" 1 "$(grep -cF -- "$named" "$tmp/err")"
}
head -c 1000 "$file" > "$tmp/cut.pcap"
head -c 100 /dev/zero > "$tmp/zeros"
refuse 2 capture
refuse 2 --frob --pcap "$file" --frob
refuse 2 1.2.3 --pcap "$file" --watch 1.2.3
refuse 2 many --pcap "$file" --workers many
refuse 2 proxy --pcap "$file" --pattern proxy
refuse 2 proxy-1 --node proxy-1 --role proxy
refuse 2 --log-dir --node logger-1 --role logger --loggers 1
refuse 8 "$tmp/none" --pcap "$tmp/none"
refuse 8 "$tmp/zeros" --pcap "$file" "$tmp/zeros"
refuse 8 "$tmp" --pcap "$tmp"
timeout 100 "$sensor" --pcap "$tmp/cut.pcap" --json > "$tmp/out" 2> "$tmp/err"
check "damaged capture: exit code" 8 $?
check "damaged capture: named once" 1 "$(grep -c 'cut\.pcap is damaged' "$tmp/err")"
check "damaged capture: what was read" "$(tcpdump -nn -r "$tmp/cut.pcap" 2> /dev/null | wc -l)" \
    "$(sed -n 's/^{"packets":\([0-9]*\),.*/\1/p' "$tmp/out")"
"$sensor" --help > "$tmp/out" 2> "$tmp/err"
check "help: exit code" 0 $?
check "help: text" 1 "$(grep -c '^usage: busbar-sensor' "$tmp/out")"
"$sensor" --pcap "$file" --json > /dev/full 2> "$tmp/err"
check "full standard output" 8 $?

echo "sensor: $checks checks, $failed failed"
[ "$failed" = 0 ]
