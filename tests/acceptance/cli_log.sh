#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# cli_log.sh SOURCE BUILD - `busbar log`: a logger's files, rotation, a full disk, its account at the end.
. "$(dirname "$0")/cli_common.bash"

logs=$box/logs
probe=$box/probe
sanitize=()
[ -n "${BB_SANITIZE:-}" ] && sanitize=("-fsanitize=$BB_SANITIZE")
if ! ${CC:-cc} -std=c17 -D_GNU_SOURCE -O1 "${sanitize[@]}" -I"$source_dir/lib/include" -I"$build_dir/include" \
    "$source_dir/tests/acceptance/cli_log_probe.c" "$build_dir/lib/libbusbar.a" -lpthread -o "$probe" 2>"$err"; then
    fail probe_builds
    exit 1
fi

# end_of NODE PID - it ended by itself when told to
end_of() { kill -TERM "$2" && ends "$2" && test "$code" = 0; }
lines() { cat "$logs"/"$1"* | wc -l; }
# account FIELD... - of the probe: what it printed
account() { test "$(cat "$out")" = "$*" || { echo "    account: $(cat "$out"), not $*"; return 1; }; }

# ---- wrong usage ---------------------------------------------------------------------------------------
check wrong_size run 2 "$busbar" log "$logs" --rotate-size 10X
check wrong_size_said says '100M or 1G'
check wrong_pattern run 2 "$busbar" log "$logs" --pattern ../x
check wrong_pattern_said says 'below the directory'
check bogus_pattern run 2 "$busbar" log "$logs" --pattern '%{strem}-%{n}'
check bogus_pattern_said says 'stands before'
check no_directory run 8 "$busbar" log "$box/not/there"

# ---- files ---------------------------------------------------------------------------------------------
name=logger-1
start log "$logs"
logger=$child
check logger_there soon is_reading logger-1
check written run 0 "$probe" w1 conn 1000 15000
check written_account account 1000 1000 0 0 0
check lines test "$(lines conn)" = 1000
check whole_json test "$(jq -c 'select(.ts == 1521911720.865716 and ."id.orig_h" == "10.0.0.1" and ."id.orig_p" == 80
    and .text == "a \"quoted\" text" and (has("nothing") | not)) | .id' "$logs/conn.log" | sort -n | uniq | wc -l)" = 1000
check second_stream run 0 "$probe" w1 dns 10 15000
check second_file test "$(lines dns.log)" = 10
check ends end_of logger-1 "$logger"
check says_what_it_wrote grep -q '^1010 records, .* in 2 files' "$box/logger-1.out"

# ---- rotation -------------------------------------------------------------------------------------------
start log "$logs" --rotate-size 10K --pattern '%Y/%{stream}-%{n}' --json
logger=$child
check rotator_there soon is_reading logger-1
check rotated run 0 "$probe" w2 conn 4000 15000
check rotated_account account 4000 4000 0 0 0
check rotated_ends end_of logger-1 "$logger"
check rotated_files test "$(ls "$logs"/*/ | wc -l)" -ge 10
check nothing_overwritten test "$(cat "$logs"/*/conn-* "$logs"/conn.log 2>/dev/null | wc -l)" = 5000
check json_at_end jq_e '.records == 4000 and .refused == 0 and .files >= 10' "$box/logger-1.out"

# ---- a full disk -----------------------------------------------------------------------------------------
if [ "$(id -u)" = 0 ] && mkdir "$box/small" && mount -t tmpfs -o size=64k tmpfs "$box/small" 2>/dev/null; then
    mounts+=("$box/small")
    start log "$box/small"
    logger=$child
    check small_there soon is_reading logger-1
    name=w3
    "$probe" w3 conn 4000 15000 >"$box/w3.out" 2>&1 &
    writer=$!
    children+=("$writer")
    check full_said soon grep -q 'the writers keep their records' "$box/logger-1.err"
    check full_whole_lines jq_e -s 'length >= 0' "$box/small/conn.log"
    mount -o remount,size=8m "$box/small"
    wait "$writer"
    check full_nothing_lost grep -q '^4000 4000 0 0 ' "$box/w3.out"
    check full_all_there test "$(jq .id "$box/small/conn.log" | sort -n | uniq | wc -l)" = 4000
    check full_no_twice test "$(wc -l <"$box/small/conn.log")" = 4000
    check full_once test "$(grep -c 'the writers keep' "$box/logger-1.err")" = 1
    check full_ends end_of logger-1 "$logger"
else
    skip full_disk "needs root and the right to mount a tmpfs"
fi

finish
