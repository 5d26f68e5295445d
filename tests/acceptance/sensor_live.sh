#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Goal: the sensor on a living interface counts each connection once, however many workers share it; it ends
# by itself after --seconds, and by SIGINT with a whole result.
# Method: connections over the loopback interface to a port of our own; only those are looked at.
#
# usage: sensor_live.sh SOURCE_DIR BUILD_DIR; needs root or CAP_NET_RAW
set -uo pipefail
export LC_ALL=C

build=${2:?usage: sensor_live.sh SOURCE_DIR BUILD_DIR}
sensor=$build/tools/busbar-sensor
connections=40

skip() {
    echo "SKIP sensor_live: $1"
    exit 77
}
[ -x "$sensor" ] || skip "busbar-sensor is not built (libpcap)"
perl -MIO::Socket::INET -e 1 2> /dev/null || skip "no perl"

tmp=$(mktemp -d)
BUSBAR_DIR=$(mktemp -d /dev/shm/busbar-sensor-test-XXXXXX)
export BUSBAR_DIR
trap 'kill $(jobs -p) 2> /dev/null; wait; rm -rf "$tmp" "$BUSBAR_DIR"' EXIT

"$sensor" --live lo --seconds 1 > /dev/null 2> "$tmp/err"
[ $? = 5 ] && skip "no permission to capture"

failed=0
check() { # NAME EXPECTED GOT
    if [ "$2" != "$3" ]; then
        failed=$((failed + 1))
        printf 'FAIL %s\n  expected %s\n  got      %s\n' "$1" "$2" "$3"
        sed 's/^/  stderr:  /' "$tmp/err"
    fi
}

# From 127.0.0.77 to 127.0.0.88: an address that nobody else uses, so that we know its clients.
traffic() {
    perl -MIO::Socket::INET -e '
        my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.88") or die;
        for (1 .. $ARGV[0]) {
            IO::Socket::INET->new(PeerAddr => "127.0.0.88", PeerPort => $listen->sockport,
                                  LocalAddr => "127.0.0.77") or die;
            $listen->accept or die;
        }' $connections
}

until_capturing() { # the start is on the bus: every worker has its interface open since before
    for _ in $(seq 100); do
        "$build/tools/busbar" tap sensor/manager --from oldest -W 0.1 > "$tmp/tap" 2> /dev/null
        grep -q sensor_start "$tmp/tap" && return 0
        sleep 0.1
    done
    return 1
}

run() { # NAME ARGUMENT...
    local name=$1
    shift
    export BUSBAR_BUS="${name// /-}" # a new bus, so that no old start is seen
    "$sensor" --live lo --watch 127.0.0.88 --json "$@" > "$tmp/out" 2> "$tmp/err" &
    launcher=$!
    until_capturing || check "$name: starts" yes no
    traffic
}

result() { # NAME
    check "$1: exit code" 0 "$code"
    check "$1: nothing lost" 1 "$(grep -c '"lost":0' "$tmp/out")"
    check "$1: the client" 1 "$(grep -c '"manager":\["127.0.0.77"\]' "$tmp/out")"
    check "$1: whole" 0 "$(grep -c complete "$tmp/out")"
    count=$(sed -n 's/.*"connections":\([0-9]*\),.*/\1/p' "$tmp/out")
    # Other programs may connect over lo meanwhile.
    check "$1: connections" yes "$([ "${count:-0}" -ge $connections ] && echo yes || echo "$count")"
}

run "three seconds" --seconds 3 --workers 3
wait $launcher
code=$?
result "three seconds"

run "until SIGINT" --workers 2
sleep 0.5 # the kernel hands a block of packets over after 100 ms
kill -INT $launcher
wait $launcher
code=$?
result "until SIGINT"

echo "sensor_live: $failed failed"
[ "$failed" = 0 ]
