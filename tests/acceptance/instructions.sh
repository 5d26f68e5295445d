#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# instructions.sh [--update] SOURCE BUILD - a message costs no more instructions than bench/instructions.txt says.
#
# instructions_probe.c runs under callgrind with two numbers of messages; the difference, divided, is one
# message's share, and what is done once falls out.  The two sides are counted apart, each in a function of
# the probe.  More than a tenth above the file fails; more than a tenth below is said, so that the file can
# be lowered.  --update writes the file with what was counted.  An event of three arguments may cost at most 150
# more than a raw message of its size, both sides together, whatever the file says.
#
# A build that is not optimised, has kill points or is not of gcc is not counted: then the library is built
# once more, as people get it, in BUILD/instructions.
# bb-timeout: 400
# bb-long
# bb-release-only
set -euo pipefail
export LC_ALL=C

update=0
if [ "${1:-}" = --update ]; then
    update=1
    shift
fi
if [ $# -ne 2 ]; then
    echo "usage: instructions.sh [--update] SOURCE BUILD" >&2
    exit 2
fi
source_dir=$(cd "$1" && pwd)
build=$(cd "$2" && pwd)
table=$source_dir/bench/instructions.txt
few=8192 many=73728 # messages

skip()
{
    echo "[SKIP] instructions: $1"
    exit 77
}

# Other compilers and machines have other counts; the file knows these only.
for tool in valgrind callgrind_annotate; do
    command -v $tool >/dev/null || skip "there is no $tool here; install the package valgrind"
done
version=$(gcc -dumpversion 2>/dev/null || echo none)
[ "${version%%.*}" = 12 ] && [ "$(uname -m)" = x86_64 ] \
    || skip "counts are known for gcc 12 on x86-64; here are gcc $version and $(uname -m)"

work=$(mktemp -d /dev/shm/busbar-instructions-XXXXXX)
trap 'rm -rf "$work"' EXIT
export BUSBAR_DIR=$work/buses
unset BUSBAR_BUS

# cached NAME - a value of the build's configuration.
cached()
{
    sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"
}

is_as_people_get_it()
{
    [ "$(cached CMAKE_BUILD_TYPE)" = RelWithDebInfo ] && [ "$(cached BB_HOOKS)" = OFF ] \
        && [ -z "$(cached BB_SANITIZE)" ] && [ -z "$(cached CMAKE_C_FLAGS)" ] \
        && [[ "$(cached CMAKE_C_COMPILER)" =~ (^|/)(gcc|cc)$ ]]
}

if ! is_as_people_get_it; then
    build=$build/instructions
    if ! { cmake -S "$source_dir" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DCMAKE_C_COMPILER=gcc -DBB_TESTS=OFF && cmake --build "$build" -j 2 --target busbar_static; } \
        >"$work/build.log" 2>&1; then
        tail -n 40 "$work/build.log"
        echo "[FAIL] instructions: the library does not build in $build"
        exit 1
    fi
fi
gcc -std=c17 -D_GNU_SOURCE -O2 -I"$build/include" -I"$source_dir/lib/include" \
    "$source_dir/tests/acceptance/instructions_probe.c" "$build/lib/libbusbar.a" -lpthread -o "$work/probe"

# run MODE MESSAGES - appends to $work/MODE.MESSAGES a line `COUNT FUNCTION` for each function of the probe.
run()
{
    if ! timeout 120 valgrind --tool=callgrind --callgrind-out-file="$work/out" "$work/probe" "$1" "$2" \
        >"$work/log" 2>&1; then
        tail -n 20 "$work/log"
        echo "[FAIL] instructions: the probe ended badly: instructions_probe $1 $2"
        exit 1
    fi
    callgrind_annotate --inclusive=yes --threshold=100 "$work/out" \
        | sed -nE 's/^ *([0-9,]+) .*:((publish|poll)_[a-z_]+) .*/\1 \2/p' | tr -d , >>"$work/$1.$2"
}

# count NAME MODE FUNCTION - appends `NAME INSTRUCTIONS` to the measured table.  Of two runs the lesser counts:
# a thread that is often put aside asks the kernel for the time more often.
count()
{
    awk -v name="$1" -v fn="$3" -v messages=$((many - few)) '
        $2 == fn && (!seen[FNR == NR]++ || $1 < n[FNR == NR]) { n[FNR == NR] = $1 }
        END { if (seen[0] != 2 || seen[1] != 2) exit 1; printf "%-20s %6.1f\n", name, (n[0] - n[1]) / messages }' \
        "$work/$2.$few" "$work/$2.$many" >>"$work/measured" \
        || { echo "[FAIL] $1: callgrind did not report $3() of the probe"; exit 1; }
}

for mode in loan stopped copy skip batch port-raw port-event string-raw string-event; do
    for messages in $few $many $few $many; do
        run $mode $messages
    done
done
count publish-loan loan publish_batches
count publish-stopped stopped publish_batches
count publish-copy copy publish_batches
count poll-views loan poll_batches
count poll-copies copy poll_batches
count poll-skip skip poll_batches
count publish-batch batch publish_whole_batches
count poll-bursts batch poll_bursts
for kind in port string; do
    for what in raw event; do
        count publish-$kind-$what $kind-$what publish_${kind}_$what
        count poll-$kind-$what $kind-$what poll_${kind}_$what
    done
done

again="bash tests/acceptance/instructions.sh --update . build/release"
if [ $update = 1 ]; then
    { grep '^#' "$table"; cat "$work/measured"; } >"$work/table"
    cat "$work/table" >"$table"
    echo "$table now says:"
    cat "$work/measured"
    exit 0
fi

# Both tables side by side; a row that only one of them has is a fault.
awk -v again="$again" '
    /^#/ || NF == 0 { next }
    FNR == NR { measured[$1] = $2; order[++rows] = $1; next }
    { file[$1] = $2; if (!($1 in measured)) order[++rows] = $1 }
    END {
        for (i = 1; i <= rows; i++) {
            name = order[i]
            if (!(name in file) || !(name in measured)) {
                printf "[FAIL] %s: stands only in %s\n", name, name in file ? "bench/instructions.txt" : "instructions.sh"
                failed = 1
                continue
            }
            is = measured[name]; was = file[name]; percent = (is - was) * 100 / was
            if (percent > 10) {
                printf "[FAIL] %s: %.1f instructions for a message, bench/instructions.txt says %.1f: %.1f %% more\n", name, is, was, percent
                failed = grown = 1
            } else {
                printf "[PASS] %s: %.1f instructions for a message, %.1f in the file\n", name, is, was
                if (percent < -10) {
                    printf "  %s fell by %.1f %%: lower the file: %s\n", name, -percent, again
                }
            }
        }
        beside = measured["publish-stopped"] / measured["publish-loan"]
        if (beside > 1.03) { # the counts themselves differ by 2 % from run to run
            printf "[FAIL] beside_stopped: a stopped reader costs the publisher %.1f %%\n", (beside - 1) * 100
            failed = 1
        } else {
            printf "[PASS] beside_stopped: a stopped reader costs the publisher nothing (%+.1f %%)\n", (beside - 1) * 100
        }
        # The promise of value.h: building and reading costs at most so much more than writing and reading bytes.
        most = 150
        for (i = split("port string", kinds, " "); i > 0; i--) {
            above = 0
            for (j = split("publish poll", sides, " "); j > 0; j--) {
                above += measured[sides[j] "-" kinds[i] "-event"] - measured[sides[j] "-" kinds[i] "-raw"]
            }
            ok = above <= most && above > 0
            printf "[%s] event_with_%s: %.1f instructions above a raw message of the same size, at most %d\n", ok ? "PASS" : "FAIL", kinds[i], above, most
            failed = failed || !ok
        }
        if (grown) {
            printf "  Find what was added to the path of a message (callgrind_annotate shows it by line) and take it off.\n"
            printf "  If it is worth its price, say so in the commit, with the new counts: %s\n", again
        }
        exit failed
    }' "$work/measured" "$table"
