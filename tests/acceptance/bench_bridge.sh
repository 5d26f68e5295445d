#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal    Each case of links runs with busbar on each engine, plain and TLS, loses nothing, leaves no busbard behind.
# Method  Short runs of busbar-bench.
. "$(dirname "$0")/cli_common.bash" "$@"

bench=$build_dir/bench/busbar-bench
busbard=$build_dir/tools/busbard
for program in "$bench" "$busbard"; do
    [ -x "$program" ] || { echo "[FAIL] $program is not built"; exit 1; }
done
engines=(io_uring epoll)
"$bench" --no-raw --engine io_uring --seconds 0.01 --repeat 1 --patience 0 bridge-ping-pong >"$out" 2>"$err"
if grep -q 'io_uring is left out' "$out"; then
    skip io_uring 'there is no io_uring here'
    engines=(epoll)
fi

# value NAME - the median of a figure in the JSON of the last run.
value()
{
    sed -n "s/.*\"$1\":{\"median\":\([0-9.]*\).*/\1/p" "$out" | head -n 1
}

smoke() # CASE ENGINE OPTION
{
    run 0 "$bench" --json --no-raw --seconds 0.1 --repeat 1 --patience 0 --engine "$2" "$3" "$1" || return 1
    grep -q '"lost":0,"disorder":0,"torn":0' "$out" && ! grep -q '"failed":true' "$out" || return 1
    if [ "$1" = bridge-ping-pong ]; then
        grep -q '"latency_ns":{"p50":[1-9]' "$out"
    else
        [ "$(value msgs_per_s | cut -d. -f1)" -gt 1000 ]
    fi && [ "$(value carriers_cpu_ns_per_msg | cut -d. -f1)" -gt 0 ]
}

for engine in "${engines[@]}"; do
    for case in bridge-one-to-one bridge-ping-pong bridge-fan-out; do
        check "$case-$engine" smoke "$case" "$engine" --plain
        check "$case-$engine-tls" smoke "$case" "$engine" --tls
    done
done

# ---- a busbard that is not there, one that does not start -------------------------------------------------

says() { grep -qF -- "$1" "$err"; }
check no_busbard run 1 env BUSBAR_BUSBARD="$box/none" "$bench" --no-raw --engine epoll --plain --repeat 1 bridge-ping-pong
check no_busbard_said says "there is no busbard at $box/none: build the target busbard"
printf '#!/bin/bash\necho "I do not want to" >&2\nexit 3\n' >"$box/unwilling"
chmod +x "$box/unwilling"
check unwilling run 1 env BUSBAR_BUSBARD="$box/unwilling" "$bench" --no-raw --engine epoll --plain --repeat 1 bridge-ping-pong
check unwilling_said says 'I do not want to'

finish
