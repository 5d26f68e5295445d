#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal    `busbar bench` and `busbar latency` measure, disturb nobody, and leave nothing behind, however they end.
# Method  Short runs on a bus of their own and on one that is there; signals to the verb and to its processes.
#         How fast is not looked at: that is for bench/.
# bb-long
. "$(dirname "$0")/cli_common.bash"

nothing_left() { [ -z "$(ls -A "$BUSBAR_DIR")" ]; }
# hands PID - the processes of a verb; also when it is dead, by their names on the command line.
hands() { pgrep -P "$1"; }
gone_all() { local pid; for pid in "$@"; do ! kill -0 "$pid" 2>/dev/null || return 1; done; }

# ---- a bus of its own ---------------------------------------------------------------------------------
check bench run 0 "$busbar" bench --seconds 300ms --json
check bench_json json '.own_bus and .size == 64 and .batch == 8 and (.reliable | not) and .messages > 0
    and (.msgs_per_s | .min <= .median and .median <= .max and .median > 0)
    and (.publishers | length == 1) and (.subscribers | length == 1) and .other_subscribers == 0
    and .subscribers[0].cpu_ns_per_msg > 0 and (.topic | startswith("busbar/bench/"))'
check bench_says_own_bus says 'measuring on one of its own'
check bench_leaves_nothing nothing_left
check bench_text run 0 "$busbar" bench --seconds 200ms --size 100 --batch 1
check bench_text_rows prints '^subscriber 1  *[0-9.]*[kMG]*  '
check bench_text_line prints '^each subscriber: .* of 100 bytes; [0-9]* lost'
check reliable run 0 "$busbar" bench --seconds 300ms --reliable --publishers 2 --subscribers 2 --json
check reliable_loses_nothing json '.lost == 0 and .reliable and all(.subscribers[]; .messages > 0)
    and ([.publishers[].messages] | length == 2)'
check rate run 0 "$busbar" bench --seconds 1 --rate 2000 --json
check rate_is_kept json '.msgs_per_s.median > 500 and .msgs_per_s.median < 2200 and .lost == 0'
check large run 0 "$busbar" bench --seconds 200ms --size 65536 --reliable --json
check large_json json '.messages > 0 and .lost == 0'

for wait in spin sleep hybrid; do
    check "latency_$wait" run 0 "$busbar" latency --seconds 300ms --wait $wait --json
    check "latency_${wait}_json" json '.n > 10 and .way == "one-way" and .min_ns > 0 and .min_ns <= .p50_ns
        and .p50_ns <= .p90_ns and .p90_ns <= .p99_ns and .p99_ns <= .p999_ns and .p999_ns <= .max_ns'
done
check round_trip run 0 "$busbar" latency --seconds 300ms --round-trip --rate 500 --json
check round_trip_json json '.n > 10 and .way == "round-trip" and .min_ns > 0 and .rate == 500'
check latency_text run 0 "$busbar" latency --seconds 300ms --size 1000
check latency_text_line prints '^one way, 1000 bytes, .* n=[0-9]*  min .* p50 .* p99\.9 .* max '
check latency_text_curve prints '^  max  *[0-9.]*[a-z]*  ####'
check latency_leaves_nothing nothing_left

# ---- wrong usage --------------------------------------------------------------------------------------
check small_size run 2 "$busbar" bench --size 8
check small_size_said says 'at least 16'
check no_batch run 2 "$busbar" bench --batch 0
check large_batch run 2 "$busbar" bench --batch 33
check many_publishers run 2 "$busbar" bench --publishers 65
check no_subscribers run 2 "$busbar" bench --subscribers 0
check no_time run 2 "$busbar" latency --seconds 0
check wrong_wait run 2 "$busbar" latency --wait nicely
check wrong_wait_said says 'spin, sleep or hybrid'
check bench_argument run 2 "$busbar" bench topic
check too_large run 7 "$busbar" bench --size 1000000000
check too_large_said says '^busbar: --size'
check reserved_topic run 2 "$busbar" bench --topic '<$>/x'
check faults_leave_nothing nothing_left

# ---- signals ------------------------------------------------------------------------------------------
is_measuring() { b node list -b "bench-$1" --json 2>/dev/null | jq_e '[.nodes[] | select(.published > 0)] | length > 0' >/dev/null; }
has_result() { jq_e '.messages > 0 and .msgs_per_s.median > 0' "$1" >/dev/null; }
for signal in INT TERM; do
    name=bench$signal
    start bench --seconds 60 --json
    check "sig${signal}_measures" soon is_measuring "$child"
    sleep 1 # into the window, so that there is something to print
    kill "-$signal" "$child"
    check "sig${signal}_ends" ends "$child"
    check "sig${signal}_code" test "$code" = 0
    check "sig${signal}_result" has_result "$box/$name.out"
    check "sig${signal}_leaves_nothing" nothing_left
done
for verb in 'bench --reliable --publishers 2' 'latency --wait spin' 'latency --round-trip --wait sleep'; do
    what=${verb//[^a-z]/_}
    name=killed
    start $verb --seconds 60
    check "${what}_measures" soon is_measuring "$child"
    processes=$(hands "$child")
    kill -KILL "$child"
    check "${what}_ends" ends "$child"
    check "${what}_had_processes" test -n "$processes"
    check "${what}_they_end_too" soon gone_all $processes
    check "${what}_leaves_nothing" soon nothing_left
done
name=bereft
start bench --seconds 60 --json
bereft=$child
check bereft_measures soon is_measuring "$bereft"
kill -KILL "$(hands "$bereft" | head -n 1)"
check bereft_ends ends "$bereft"
check bereft_code test "$code" = 8
check bereft_said grep -q 'sub 1 was killed by signal 9' "$box/bereft.err"
check bereft_prints_nothing silent "$box/bereft.out"
check bereft_leaves_nothing nothing_left

# ---- beside others ------------------------------------------------------------------------------------
name=stays
start sub '' --reliable --name stays
stays=$child
check stays_there soon is_reading stays
only_stays() { b node list --json | jq_e '[.nodes[] | select(.state != "left") | .name] == ["stays"]' >/dev/null; }
check on_this_bus run 0 "$busbar" bench --seconds 200ms --rate 1000 --json
check on_this_bus_json json '(.own_bus | not) and .bus == env.BUSBAR_DIR + "/default" and .other_subscribers == 1'
check on_this_bus_said says '1 more subscriber of this bus wants'
check no_bus_was_made test "$(ls "$BUSBAR_DIR")" = default
check others_left soon only_stays
kill -STOP "$stays"
# Nothing or little arrives: 0 or 1, as the ring is full sooner or later.
zero_or_one() { timeout --kill-after=5 "$limit" "$@" >"$out" 2>"$err"; [ $? -le 1 ]; }
check beside_a_stopped_one zero_or_one "$busbar" bench --seconds 1 --size 1024 --json
check it_waited says 'waited .* for a reliable subscriber'
check it_waited_json json '.publishers[0].waited > 0'
kill -CONT "$stays"
not_evicted() { b node info stays --json | jq_e '.nodes[0] | .lost == 0 and .subscriber_list[0].evicted == 0' >/dev/null; }
check nobody_was_evicted not_evicted
kill -INT "$stays"
check stays_ends ends "$stays"
check stays_code test "$code" = 0
check stays_lost_nothing silent "$box/stays.err"
finish
