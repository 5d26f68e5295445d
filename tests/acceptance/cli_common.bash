# SPDX-License-Identifier: BSD-3-Clause
# cli_common.bash - what the scripts cli*.sh share; sourced with the arguments SOURCE BUILD.
#
# A check is `check NAME COMMAND...`: passes when the command does.  `run CODE COMMAND...` is the usual
# command: it runs with a time limit, keeps stdout in $out and stderr in $err, and compares the exit code.
# Nothing sleeps for a fixed time: `soon COMMAND...` asks until it is true, for a bounded time.
set -u

source_dir=$1
build_dir=$2
busbar=$build_dir/tools/busbar
[ -x "$busbar" ] || { echo "[FAIL] $busbar is not built"; exit 1; }

limit=20 # seconds, for each command
[ -n "${BB_SANITIZE:-}" ] && limit=60
passed=0 failed=0 skipped=
children=()
mounts=()

# Buses live on /dev/shm; it is open to other users, for the cases that act as one.
box=$(mktemp -d /dev/shm/busbar-test.XXXXXX)
chmod 0755 "$box"
mkdir -m 0700 "$box/buses"
out=$box/out err=$box/err
export BUSBAR_DIR=$box/buses
unset BUSBAR_BUS

clean_up()
{
    local pid mount
    for pid in "${children[@]}"; do
        kill -CONT "$pid" 2>/dev/null
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    for mount in "${mounts[@]}"; do
        umount "$mount" 2>/dev/null
    done
    rm -rf "$box"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

pass() { echo "[PASS] $1"; passed=$((passed + 1)); }
fail()
{
    echo "[FAIL] $1"
    failed=$((failed + 1))
    shift
    [ $# -gt 0 ] && echo "    $*"
    [ -s "$out" ] && head -c 1500 "$out" | sed 's/^/    out: /'
    [ -s "$err" ] && head -c 1500 "$err" | sed 's/^/    err: /'
}
skip() { echo "[SKIP] $1: $2"; skipped="$skipped $1"; }

check()
{
    local name=$1
    shift
    if "$@"; then pass "$name"; else fail "$name" "$*"; fi
}

# run CODE COMMAND... - true when it ends with this code; standard input is empty unless redirected.
run()
{
    local want=$1 got=0
    shift
    timeout --kill-after=5 "$limit" "$@" >"$out" 2>"$err" || got=$?
    [ "$got" = "$want" ] && return 0
    echo "    exit code $got, not $want: $*"
    return 1
}

# b ARGUMENTS... - busbar with a time limit, its output as it comes.
b() { timeout --kill-after=5 "$limit" "$busbar" "$@"; }

# jq_e ARGUMENTS... - jq -e, and false for no result at all: jq 1.6 calls empty input a success.
jq_e()
{
    local result
    result=$(jq -e "$@") && [ -n "$result" ]
}

# start ARGUMENTS... - busbar in the background, pid in $child; SIGINT is not ignored as bash would have it.
# Output goes to $box/$name.out and .err, where $name is set before.
start()
{
    env --default-signal=INT,PIPE "$busbar" "$@" >"$box/$name.out" 2>"$box/$name.err" <&0 8>&- 9>&- &
    child=$!
    children+=("$child")
}

# soon COMMAND... - true when the command becomes true within the limit.
soon()
{
    local end=$((SECONDS + limit))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.02
    done
}

# ends PID - waits for the end of a child; its exit code in $code.
ends()
{
    local pid=$1
    gone() { ! kill -0 "$pid" 2>/dev/null; }
    soon gone || return 1
    code=0
    wait "$pid" 2>/dev/null || code=$?
}

says() { grep -q -- "$1" "$err"; }         # a pattern in stderr
prints() { grep -q -- "$1" "$out"; }       # a pattern in stdout
silent() { [ ! -s "$1" ]; }                # a file without content
json() { jq_e "$1" "$out" >/dev/null; }   # every object in stdout makes this true
has_lines() { [ "$(wc -l <"$2")" -ge "$1" ]; }
attached() { b node list --json 2>/dev/null | jq_e --arg n "$1" '.nodes[] | select(.name == $n and .state == "running")' >/dev/null; }
is_reading() { b node info "$1" --json 2>/dev/null | jq_e '.nodes[0].subscriber_list | length > 0' >/dev/null; }
file_count() { find "$BUSBAR_DIR" -type f 2>/dev/null | wc -l; }
file_kib() { du -sk "$BUSBAR_DIR" | cut -f 1; }

finish()
{
    [ -n "$skipped" ] && echo "skipped:$skipped"
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
    exit
}
