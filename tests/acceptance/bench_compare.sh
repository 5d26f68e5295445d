#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal    bench/compare makes a table, a budget with verdicts, JSON and plots of what busbar-bench prints; it says when
#         a run is void, when there is nothing to run, and when gnuplot is missing.
# Method  A program in place of busbar-bench that prints given figures: nothing is measured here.
# bb-long
set -u
source_dir=$1
passed=0 failed=0
box=$(mktemp -d "${TMPDIR:-/tmp}/busbar-compare.XXXXXX")
trap 'rm -rf "$box"' EXIT
out=$box/stdout err=$box/stderr

pass() { echo "[PASS] $1"; passed=$((passed + 1)); }
fail() { echo "[FAIL] $1"; failed=$((failed + 1)); head -c 2000 "$out" "$err" | sed 's/^/    /'; }
check() { local name=$1; shift; if "$@"; then pass "$name"; else fail "$name"; fi; }
run()
{
    local want=$1 got=0
    shift
    timeout --kill-after=5 60 "$@" >"$out" 2>"$err" || got=$?
    [ "$got" = "$want" ] || { echo "    exit code $got, not $want: $*"; return 1; }
}
prints() { grep -qF -- "$1" "$out"; }
says() { grep -qF -- "$1" "$err"; }
compare() { python3 -B "$source_dir/bench/compare" --build "$box/build" --out "$box/out" "$@"; }
export -f compare
export source_dir box

command -v python3 >/dev/null || { echo "[SKIP] bench_compare: python3 is not here"; exit 77; }

mkdir -p "$box/build/bench"
check nothing_built run 2 bash -c compare
check nothing_built_said says 'is not there: build it with'

# FAKE_RIVAL: what a rival reaches of raw.  FAKE_FAILS: this peer fails.
cat >"$box/build/bench/busbar-bench" <<'END'
#!/usr/bin/env python3
import json, os, sys
args = sys.argv[1:]
if args == ["--peer", "list"]:
    sys.exit(print("busbar  one\nraw  two\nzeromq  three\nnats  four\nredis  five\nlmdb  six"))
if args == ["list"]:
    sys.exit(print("\n".join("one-to-one fan-out fan-in ping-pong many-rings unwanted slow-reader open-loop store-put store-get bridge-one-to-one bridge-ping-pong".split())))
value = {a: b for a, b in zip(args, args[1:])}
case, raw = args[-1], 100e6
three = lambda v: {"median": v, "min": v / 2, "max": v * 2}
percent = lambda v: {"p50": v, "p99": 3 * v, "p999": 9 * v, "max": 20 * v}
modes = {"ping-pong": ["spin", "sleep, one core"], "slow-reader": ["lossy", "lossy, one more is stopped"],
         "unwanted": ["nobody there, batch 8", "asleep, uninterested, batch 8"],
         "many-rings": ["64 rings, 4 active"], "open-loop": ["100000/s, spin"],
         "bridge-one-to-one": ["TLS, epoll"] if "--tls" in args else ["plain, io_uring", "plain, epoll"], "bridge-ping-pong": ["plain, epoll"]}.get(case, [None])
folder = next((a[len("--hgrm="):] for a in args if a.startswith("--hgrm=")), None)
for size in map(int, value.get("--size", "64").split(",")):
    for mode in modes:
        for peer in value["--peer"].split(","):
            share = 0.85 if peer == "busbar" else float(os.environ.get("FAKE_RIVAL", "0.02"))
            row = {"case": case, "peer": peer, "size": size, "batch": int(value.get("--batch", 8)), "lost": 0,
                   "disturbed": 0, "best_of": 3, "machine": "a fake"}
            if case.startswith("store-"):
                row["raw_peer"] = "lmdb"
            if case.startswith("bridge-"):
                row["raw_peer"] = "tcp"
            if mode == "plain, epoll" and peer != "busbar":
                continue
            if mode:
                row["mode"] = mode
            if peer == os.environ.get("FAKE_FAILS"):
                row["failed"] = True
            elif case in ("ping-pong", "slow-reader", "open-loop", "bridge-ping-pong"):
                row.update(latency_ns=percent(500), latency_min_ns=percent(400), latency_max_ns=percent(900))
                row.update(raw_latency_ns=percent(450), p50_of_raw=three(1.11))
            if "latency_ns" in row and folder:
                with open(f"{folder}/{case}-{size}-{peer}-" + "".join("_" if c in " /," else c for c in mode) + ".hgrm", "w") as f:
                    f.write("Value Percentile TotalCount 1/(1-Percentile)\n\n")
                    f.write("".join(f"{300 * n:.3f} {1 - 1 / n:.6f} {n} {n}\n" for n in (1, 2, 10, 100, 1000)))
            elif "latency_ns" not in row and not row.get("failed"):
                # As where the cores moved: what was paired says something else than the medians.
                row.update(msgs_per_s=three(raw * share), raw_msgs_per_s=three(raw),
                           of_raw=three(0.61 if case == "fan-out" else share))
            row.update({"many-rings": {"cpu_ratio": three(1.3), "idle_ring_ns": three(3)},
                        "unwanted": {"ns_per_publish": three(9)},
                        "bridge-one-to-one": {"cpu_of_bare": three(1.7 if mode == "plain, epoll" else 1.2)}}.get(case, {}))
            print(json.dumps(row))
END
chmod +x "$box/build/bench/busbar-bench"

check quick run 0 bash -c 'compare --quick'
check table prints '| one-to-one | 64 | 8 | busbar | 85 M [42.5 M-170 M] | 0.85 | 42.5 |'
check table_has_raw prints '| one-to-one | 64 | 8 | raw | 100 M [50 M-200 M] | 1.00 |'
check table_pairs prints '| fan-out | 64 | 8 | busbar | 85 M [42.5 M-170 M] | 0.61 |'
check latency_table prints '| ping-pong, spin | 64 | busbar | 500 ns [400 ns-900 ns] | 1.5 us'
check budget_store prints '| store in memory, put with result | at least 0.5 of bare LMDB | 0.85 | pass |'
check budget_store_redis prints '| the same, put | at least 1 of Redis pipelined | 42.50 | pass |'
check budget_link prints '| link over loopback, plain, io_uring, 1024 B | at least 0.5 of bare gathered writes | 0.85 | pass |'
check budget_link_cpu prints '| link over loopback, plain, epoll, 64 B: CPU a message | at most 1.6 of bare | 1.70 | short |'
check budget_link_zeromq prints '| link over loopback, plain, epoll, 64 B | at least 2 times ZeroMQ tcp | 42.50 | pass |'
check link_limit prints '| bridge-one-to-one, plain, epoll | 64 | 8 | tcp | 100 M'
check link_rivals_only test "$(grep -c '^| bridge-one-to-one, plain, io_uring | 64 | 8 |' "$out")" = 4
check store_rivals_only test "$(grep -c '^| store-put |' "$out")" = 3
check budget_pass prints '| 1→1, views, batch 8, 64 B | at least 0.7 of raw | 0.85 | pass |'
check budget_short prints '| reader of 64 rings, 4 active: CPU a message | at most 1.15 of that with 4 rings | 1.30 | short |'
check budget_unknown prints 'not measured |'
check curve_is_drawn prints '* busbar'
check missing_case_is_said prints 'has no case skip'
check json python3 -c 'import json, sys
rows = json.load(open(sys.argv[1]))
assert len(rows) > 20 and all("case" in r and "peer" in r and "size" in r for r in rows)
assert {r["peer"] for r in rows} == {"busbar", "zeromq", "nats", "redis"}
verdicts = {r["verdict"] for r in json.load(open(sys.argv[2]))}
assert {"pass", "short", "not measured"} == verdicts, verdicts' "$box/out/compare.json" "$box/out/budget.json"
check markdown_is_kept cmp -s "$out" "$box/out/compare.md"
if command -v gnuplot >/dev/null; then
    check plots test -s "$box/out/throughput.svg" -a -s "$box/out/throughput.png" -a -s "$box/out/slow-reader.svg" \
        -a -s "$box/out/slow-reader.png" -a -s "$box/out/ping-pong-spin.svg" -a -s "$box/out/open-loop-100000_s__spin.png"
else
    pass 'plots: gnuplot is not here'
fi
mkdir "$box/bin"
ln -s "$(python3 -c 'import sys; print(sys.executable)')" "$box/bin/python3" # not a wrapper, which needs more of PATH
ln -s "$(command -v env)" "$(command -v bash)" "$box/bin/"
rm -f "$box/out"/*.svg
check no_gnuplot run 0 env PATH="$box/bin" "$box/bin/bash" -c 'compare --quick'
check no_gnuplot_said says 'gnuplot is not there'
check no_gnuplot_no_plots test ! -e "$box/out/throughput.svg"
check some_peers run 0 bash -c 'compare --quick --peers nats --repeat 1'
check other_peers_not test -z "$(grep zeromq "$box/out/compare.json")"
check void run 1 env FAKE_RIVAL=1.2 bash -c 'compare --quick'
check void_said says 'this run is void: one-to-one, 16 bytes: zeromq did 1.20 of raw'
check void_printed prints 'This run is void'
check rival_fails run 0 env FAKE_FAILS=nats bash -c 'compare --quick'
check we_fail run 1 env FAKE_FAILS=busbar bash -c 'compare --quick'
check unknown_peer run 2 bash -c 'compare --peers nobody'
check unknown_peer_said says 'no peer `nobody`'
check unknown_option run 2 bash -c 'compare --nonsense'
check wrong_repeat run 2 bash -c 'compare --repeat 0'
cat >"$box/build/bench/sleeper" <<'END'
#!/bin/bash
case "$*" in list) echo one-to-one ;; '--peer list') echo busbar ;; *) echo $$ >"$box/pid"; exec sleep 600 ;; esac
END
chmod +x "$box/build/bench/sleeper"
mv "$box/build/bench/sleeper" "$box/build/bench/busbar-bench"
interrupt() # SIGNAL CODE: ends compare while busbar-bench works; neither is left
{
    local pid code=0
    rm -f "$box/pid"
    python3 -B "$source_dir/bench/compare" --build "$box/build" --out "$box/out" >"$out" 2>"$err" &
    pid=$!
    for _ in $(seq 500); do [ -s "$box/pid" ] && break; sleep 0.02; done
    kill "-$1" "$pid"
    wait "$pid" || code=$?
    [ "$code" = "$2" ] && ! kill -0 "$(cat "$box/pid")" 2>/dev/null
}
check ended_in_order interrupt TERM 143
check help run 0 bash -c 'compare --help'
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
