#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: docs/tutorial_two_boxes.md is true: its commands work in the order in which they stand, and print what it says.
# Method: takes the page apart.  A `sh BOX` block is read by the shell of that box, one after the other; a `text BOX`
# block is what the block of that box before it printed.  The two boxes are two directories; of the page's words only
# `*:7447` and `control:7447` are others here, for a port that is free, and a host that has no name.
# bb-timeout: 200
# bb-once
. "$(dirname "$0")/cli_common.bash" "$@"

page=$(realpath "$source_dir")/docs/tutorial_two_boxes.md
build_dir=$(realpath "$build_dir")
[ -x "$build_dir/tools/busbar-sensor" ] || { echo "[SKIP] tutorial_two_boxes: busbar-sensor is not built (libpcap)"; exit 77; }
command -v openssl >/dev/null || { echo "[SKIP] tutorial_two_boxes: no openssl"; exit 77; }
mkdir "$box/blocks"
declare -A shell_of

# Blocks as $box/blocks/NN.KIND.BOX, in the order of the page.
take_apart()
{
    awk -v out="$box/blocks" '
        /^```/ && !code { code = 1; n++; kind = substr($0, 4); gsub(/ /, ".", kind)
                          file = sprintf("%s/%02d.%s", out, n, kind == "" ? "other" : kind); printf "" >file; next }
        /^```/ { code = 0; close(file); next }
        code { print >file }
        END { exit code }' "$page"
}

# One shell for each box, which reads commands from a pipe: $! and jobs last from block to block.
start_box()
{
    mkdir -m 0700 "$box/$1"
    mkfifo "$box/$1.pipe"
    (
        cd "$box/$1" || exit 1
        export BUSBAR_DIR=$box/$1 PATH=$build_dir/tools:$PATH
        exec bash 8>&- 9>&-
    ) <"$box/$1.pipe" >"$box/$1.log" 2>&1 &
    shell_of[$1]=$!
    children+=("$!")
}
stop_boxes()
{
    # What the shells started and left behind: busbard, in order.
    local pid
    for pid in $(cat "$box"/*/jobs 2>/dev/null); do
        kill -TERM "$pid" 2>/dev/null
    done
}
trap 'stop_boxes; clean_up' EXIT

port_of() { sed -n 's/^listening on .*:\([0-9]*\)$/\1/p;T;q' "$box/control.log"; }
has_port() { [ -n "$(port_of)" ]; }
done_with() { [ -s "$box/$1.code" ]; } # it is there before the shell writes it

# run_block FILE - its output in FILE.printed, its exit code in FILE.code.
run_block()
{
    local file=$1 name=${1##*.} n
    n=$(basename "$file")
    sed -e "s/'\*:7447'/127.0.0.1:0/" -e "s/ control:7447/ control@127.0.0.1:$(port_of)/" "$file" >"$file.here"
    {
        # Services write to the box's log; commands to the block's file.
        if grep -q '^busbard' "$file"; then
            echo ". $file.here"
        else
            echo ". $file.here >$file.printed 2>&1"
        fi
        echo "echo \$? >$box/$n.code; jobs -p >jobs"
    } >"$box/${name}.next"
    if [ "$name" = control ]; then cat "$box/control.next" >&8; else cat "$box/sensor-1.next" >&9; fi
    soon done_with "$n" && [ "$(cat "$box/$n.code")" = 0 ]
}
printed() { diff "$1" "$2.printed" >"$out"; }

up_on_both() { BUSBAR_DIR=$box/control b bridge ls | grep -q '^sensor-1 .* up ' && BUSBAR_DIR=$box/sensor-1 b bridge ls | grep -q '^control .* up '; }

run_page()
{
    local block last=
    for block in "$box"/blocks/[0-9][0-9].*; do
        n=$(basename "$block")
        case $n in
        *.sh.control | *.sh.sensor-1)
            check "commands_$n" run_block "$block" || return
            last=$block
            grep -q -- --listen "$block" && check "it_listens" soon has_port
            # A reader takes longer to type the next command than busbard to come up.
            grep -q -- --peer "$block" && check "the_link_is_up_on_both_sides" soon up_on_both
            ;;
        *.text.*) check "prints_$n" printed "$block" "$last" ;;
        # By hand, on two machines.
        *.other) grep -q '^scp -r ca/nodes/sensor-1 sensor-1:tls$' "$block" \
            && check "the_copy" cp -r "$box/control/ca/nodes/sensor-1" "$box/sensor-1/tls" ;;
        esac
    done
}

check page_is_taken_apart take_apart
start_box control
start_box sensor-1
exec 8>"$box/control.pipe" 9>"$box/sensor-1.pipe"
"$build_dir/tools/make-capture" "$box/sensor-1/trace.pcap" >/dev/null
run_page
check all_was_run test "$(ls "$box"/*.code | wc -l)" = "$(ls "$box"/blocks/*.sh.control "$box"/blocks/*.sh.sensor-1 | wc -l)"
stop_boxes
exec 8>&- 9>&-
busbards_end() { ! BUSBAR_DIR=$box/control b node list 2>/dev/null | grep -q running && ! BUSBAR_DIR=$box/sensor-1 b node list 2>/dev/null | grep -q running; }
check nobody_is_left soon busbards_end
finish
