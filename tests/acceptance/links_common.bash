# SPDX-License-Identifier: BSD-3-Clause
# links_common.bash - boxes that busbard joins, for links_*.sh; sourced with the arguments SOURCE BUILD.
#
# A box is a directory for buses of its own ($box/NAME, so it has a node id and keys of its own), a bus named `bus` and
# the words that run a command there (within[NAME], for network namespaces).  What counts messages is
# tests/support/link/traffic.c; its head says what it holds to.
# Environment: BB_ENGINES (`io_uring epoll` where BB_HOOKS is, so in the preset dev, else the first of them that runs; what
# the kernel refuses is left out, aloud), BB_ALL=1 (each case on each engine, see on_this_engine), BB_SEED.

# shellcheck source=tests/acceptance/cli_common.bash
. "$(dirname "${BASH_SOURCE[0]}")/cli_common.bash"
# shellcheck source=tests/support/netns.bash
. "$source_dir/tests/support/netns.bash"

busbard=$build_dir/tools/busbard
tools=$build_dir/tests/support/link
for program in "$busbard" "$tools/traffic" "$tools/linkemu" "$tools/hostile" "$tools/seccomp_deny"; do
    [ -x "$program" ] || { echo "[FAIL] $program is not built"; exit 1; }
done

seed=${BB_SEED:-$RANDOM$RANDOM}
echo "seed $seed (BB_SEED)"
RANDOM=$seed
declare -A pid_of within
emu_number=0

clean_up_links()
{
    clean_up
    netns_end
}
trap clean_up_links EXIT

# check - as in cli_common.bash, but its own result is the command's.
check()
{
    local name=$1
    shift
    if "$@"; then
        pass "$name"
        return 0
    fi
    : >"$out"
    : >"$err"
    fail "$name" "$*"
    return 1
}

now_ms() { echo $(($(date +%s%N) / 1000000)); }
between() { echo $(($1 + RANDOM % ($2 - $1 + 1))); } # a random number

# find_engines - those that run here, in the array engines.  One run of all presets has each engine in dev; sanitizers and
# release then need one: tests/unit/link and tests/unit/net have both, in every preset.
engines=()
find_engines()
{
    local engine
    for engine in ${BB_ENGINES:-io_uring epoll}; do
        [ -n "${BB_ENGINES:-}${BB_ALL:-}" ] || [ -n "${BB_HOOKS:-}" ] && [ -z "${BB_SANITIZE:-}" ] || [ ${#engines[@]} = 0 ] || break
        box_new probe
        if bridge probe --insecure --engine "$engine" --listen 127.0.0.1:0 && soon is_settled probe && lives probe; then
            engines+=("$engine")
        elif grep -q 'io_uring' "$box/probe.err"; then
            skip "engine $engine" "no io_uring here"
        else
            fail "engine $engine" "busbard does not start: $(tail -n 1 "$box/probe.err")"
        fi
        end_at any probe
    done
}
is_settled() { listens "$1" || ! lives "$1"; }
# on_this_engine - of cases that no engine can tell apart: is it the first one, or is all asked for (BB_ALL)?
on_this_engine() { [ "$engine" = "${engines[0]}" ] || [ -n "${BB_ALL:-}" ]; }

# box_new NAME [COMMAND...] - a directory, and what runs commands there.
box_new()
{
    mkdir -m 0700 -p "$box/$1"
    within[$1]="${*:2}"
}
# at NAME COMMAND... - runs it on that box.
at()
{
    local name=$1
    shift
    # shellcheck disable=SC2086
    BUSBAR_DIR=$box/$name BUSBAR_BUS=bus ${within[$name]} "$@"
}

# start_at LABEL NAME COMMAND... - in the background; pid in ${pid_of[LABEL]}, output in $box/LABEL.out and .err.
start_at()
{
    local label=$1
    shift
    # Now, not when it starts: nobody must read what the one before it said.
    : >"$box/$label.out"
    : >"$box/$label.err"
    # exec: so that the pid is the program's own.  ip netns exec and env replace themselves too.
    (
        name=$1
        shift
        # shellcheck disable=SC2086
        BUSBAR_DIR=$box/$name BUSBAR_BUS=bus exec ${within[$name]} env --default-signal=INT,PIPE "$@"
    ) >"$box/$label.out" 2>"$box/$label.err" </dev/null 8>&- 9>&- &
    pid_of[$label]=$!
    children+=("$!")
}

# bridge NAME ARGUMENTS... - a busbard there; listens NAME - it does; port_of NAME.
bridge()
{
    local name=$1
    shift
    # shellcheck disable=SC2086
    start_at "$name" "$name" ${before_busbard:-} "$busbard" --dir "$box/$name" --bus bus --name "$name" "$@"
}
listens() { grep -qs '^listening on ' "$box/$1.out"; }
port_of() { sed -n 's/^listening on .*:\([0-9]*\)$/\1/p;T;q' "$box/$1.out"; }
lives() { kill -0 "${pid_of[$1]}" 2>/dev/null; }
# end_bridge NAME... - in order, and it must end with 0.
end_bridge() { end_at 0 "$@"; }
# end_at CODE LABEL... - SIGTERM; each ends with this code.
end_at()
{
    local label want=$1 good=0
    shift
    for label; do
        [ -n "${pid_of[$label]:-}" ] || continue
        kill -CONT "${pid_of[$label]}" 2>/dev/null
        kill -TERM "${pid_of[$label]}" 2>/dev/null
        ends "${pid_of[$label]}" || good=1
        [ "$want" = any ] || [ "${code:-}" = "$want" ] || { echo "    $label ended with ${code:-nothing}, not $want"; good=1; }
        unset "pid_of[$label]"
    done
    return $good
}
# finished LABEL - waits, at most $2 seconds (60), for a program that ends by itself; its exit code is the answer.
finished()
{
    local end=$((SECONDS + ${2:-60})) pid=${pid_of[$1]}
    while kill -0 "$pid" 2>/dev/null; do
        [ "$SECONDS" -lt "$end" ] || { echo "    $1 goes on after ${2:-60} s"; return 99; }
        sleep 0.02
    done
    wait "$pid"
}

# traffic LABEL NAME WHAT NAME=VALUE... - traffic.c in the background.
traffic()
{
    local label=$1 name=$2 what=$3
    shift 3
    start_at "$label" "$name" "$tools/traffic" "$what" bus "$@"
}
# value LABEL NAME - NAME=... in the last line that traffic said.
value() { tail -n 1 "$box/$1.out" | tr ' ' '\n' | sed -n "s/^$2=//p"; }
has_said() { grep -qs -- "$2" "$box/$1.out"; }
has_logged() { grep -qs -- "$2" "$box/$1.err"; }

# links NAME - one line for each link of that box.  up NAME [COUNT]: so many are up, and none else.
links() { at "$1" timeout 10 "$tools/traffic" links bus 2>/dev/null; }
ups() { links "$1" | grep -c '^state=up ' || true; }
is_up() { [ "$(ups "$1")" = "${2:-1}" ]; }
is_down() { [ "$(ups "$1")" = 0 ]; }
# link_value NAME FIELD - summed over its links.
link_value() { links "$1" | grep -v '^state=listening' | tr ' ' '\n' | sed -n "s/^$2=//p" | awk '{ n += $1 } END { print n + 0 }'; }

# quick_retry - words for busbard, so that a hundred cuts do not take the half hour that growing pauses would make them.
quick_retry()
{
    "$busbard" --help 2>&1 | grep -q -- --retry-max && echo "--retry-max 0.3"
}

# emulator NAME TO-PORT [WITHIN...] - linkemu before that port; its own port in $emu_port.  emu COMMAND...: tells it.
emulator()
{
    local name=$1 port=$2
    emu_name=$name emu_fifo=$box/$name.control
    : >"$box/$name.out"
    "$tools/linkemu" 0 127.0.0.1 "$port" "$emu_fifo" "$seed" >"$box/$name.out" 2>"$box/$name.err" </dev/null &
    pid_of[$name]=$!
    children+=("$!")
    emu_told=0
    soon listens "$name" || return 1
    emu_port=$(port_of "$name")
}
emu()
{
    echo "$*" >"$emu_fifo"
    emu_told=$((emu_told + 1))
    emu_has_done() { [ "$(grep -c '^\(ok\|wrong\) ' "$box/$emu_name.out")" -ge "$emu_told" ]; }
    soon emu_has_done && ! grep -q '^wrong' "$box/$emu_name.out"
}

own_kib() { awk '/^RssAnon/ { print $2 }' "/proc/${pid_of[$1]}/status"; } # without what is shared
rss_kib() { awk '/^VmRSS/ { print $2 }' "/proc/${pid_of[$1]}/status"; }
rss_peak_kib() { awk '/^VmHWM/ { print $2 }' "/proc/${pid_of[$1]}/status"; }
cpu_ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/${pid_of[$1]}/stat"; }

# show LABEL... - what they said, when a check failed.
show()
{
    local label
    for label; do
        tail -n 5 "$box/$label.out" "$box/$label.err" 2>/dev/null | sed 's/^/    /'
    done
}

# balanced LABEL-PUB LABEL-SUB A B - the subscriber's verdict was good, and both bridges count the same.
balanced()
{
    local published received gaps good=0 sent lost_there in_there
    published=$(value "$1" published)
    received=$(value "$2" received)
    gaps=$(value "$2" gaps)
    [ "$(value "$2" balance)" = even ] || { echo "    the subscriber does not come to $published"; good=1; }
    sent=$(link_value "$3" sent)
    lost_there=$(($(link_value "$3" dropped) + $(link_value "$3" lost_before)))
    in_there=$(link_value "$4" gap_messages)
    [ "$lost_there" = "$gaps" ] || { echo "    $3 lost $lost_there, gaps say $gaps"; good=1; }
    [ "$in_there" = "$gaps" ] || { echo "    $4 was told of $in_there, its subscriber of $gaps"; good=1; }
    [ "$(link_value "$4" received)" = "$received" ] \
        || { echo "    $4 delivered $(link_value "$4" received), its subscriber has $received"; good=1; }
    [ $((sent + lost_there)) = "$published" ] || { echo "    $3: $sent sent, $lost_there lost, $published published"; good=1; }
    echo "    published $published: received $received, in gaps $gaps; $(value "$2" gap_events) gaps," \
        "$(value "$2" duplicates) twice, $(value "$2" disorder) out of order; links up $(link_value "$3" ups) times"
    return $good
}
