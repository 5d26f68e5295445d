#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: docs/tutorial.md is true: its programs compile as it says, without a warning, its commands work in
# the order in which they stand, and print what it says; and the shedding of load is real.
# Method: takes the page apart.  A ```c block is the file that the text before it names last; ```sh blocks
# are run, one after the other, in one shell that stands in an empty directory, on a bus of its own; a
# ```text block is what the ```sh block before it prints, in a `text varies` block but for the numbers.
# bb-timeout: 300
. "$(dirname "$0")/cli_common.bash" "$@"

source_dir=$(realpath "$source_dir") build_dir=$(realpath "$build_dir") # it runs elsewhere
page=$source_dir/docs/tutorial.md
work=$box/work
mkdir "$work" "$box/blocks" "$box/pc"
script=
trap '[ -n "$script" ] && kill -TERM "$script" 2>/dev/null && wait "$script"; clean_up' EXIT

# Blocks as $box/blocks/N.KIND, in the order of the page; the name of a program in N.name.
take_apart()
{
    awk -v out="$box/blocks" '
        /^```/ && !code {
            code = 1
            n++
            kind = substr($0, 4)
            varies = sub(/ varies$/, "", kind)
            file = sprintf("%s/%02d.%s", out, n, kind == "" ? "other" : kind)
            printf "" >file
            if (varies) { printf "" >(file "-varies") }
            if (kind == "c") { print name >sprintf("%s/%02d.name", out, n) }
            next
        }
        /^```/ { code = 0; close(file); next }
        code { print >file; next }
        { rest = $0; while (match(rest, /`[a-z]+\.c`/)) { name = substr(rest, RSTART + 1, RLENGTH - 2); rest = substr(rest, RSTART + RLENGTH) } }
        END { if (code) exit 1 }' "$page"
}

# As a reader has it: the headers in one directory, the library in another, and a pkg-config that knows.
install_here()
{
    mkdir -p "$box/include/busbar" && cp "$source_dir"/lib/include/busbar/*.h "$source_dir/shm/status.h" "$box/include/busbar/" \
        && cat >"$box/pc/busbar.pc" <<END
Name: busbar
Description: as built
Version: 0
Libs: -L$build_dir/lib -lbusbar
Cflags: -I$box/include
END
}

# What a shell reads: every program of the page before the first command, then the commands, block by block.
make_script()
{
    local block
    cat <<END
export PKG_CONFIG_PATH=$box/pc LD_LIBRARY_PATH=$build_dir/lib PATH=$build_dir/tools:\$PATH
cc() { command "${CC:-cc}" -Werror ${BB_SANITIZE:+-fsanitize=$BB_SANITIZE} "\$@"; }
cd $work || exit 1
END
    for block in "$box"/blocks/*.sh; do
        echo "exec >${block%.sh}.printed 2>&1"
        cat "$block"
        # Once the page has made its directory, the programs are put into it.
        [ "$block" = "$(ls "$box"/blocks/*.sh | head -n 1)" ] && echo "cp $box/blocks/*.c-file . && rename_programs"
        echo "echo \$? >${block%.sh}.code"
    done
}
rename_programs='rename_programs() { local f; for f in *.c-file; do mv "$f" "${f%-file}"; done; }'

run_all()
{
    local block
    for block in "$box"/blocks/*.c; do
        cp "$block" "$box/blocks/$(cat "${block%.c}.name")-file" || return 1
    done
    { echo "$rename_programs"; make_script; } >"$box/script"
    # What hangs is ended with all that it started: timeout passes signals on to its process group.
    timeout --kill-after=5 200 bash "$box/script" </dev/null >"$out" 2>"$err" &
    script=$!
    wait "$script"
}

# like FILE FILE - equal, or equal but for numbers.
like()
{
    if [ -e "$1-varies" ]; then
        diff <(sed -E 's/[0-9]+/N/g' "$1") <(sed -E 's/[0-9]+/N/g' "$2") >"$out"
    else
        diff "$1" "$2" >"$out"
    fi
}

check_blocks()
{
    local block last=
    for block in "$box"/blocks/*; do
        case $block in
        *.sh)
            last=${block%.sh}
            check "commands_$(basename "$last")" test "$(cat "$last.code" 2>/dev/null)" = 0
            ;;
        *.text) check "prints_$(basename "$last")" like "$block" "$last.printed" ;;
        esac
    done
}

# ---- what the last run of capture and collector shows, beyond what they say of themselves ------------

# The numbers of a line that holds the words, blank between them.
numbers() { grep -h -- "$1" "$shed" | grep -oE '[0-9]+' | tr '\n' ' '; }

shedding_is_real()
{
    local packets summaries alarms dropped got_summaries got_alarms lost unbuilt refused woken
    shed=$(grep -l ' arrived, ' "$box"/blocks/*.printed | tail -n 1)
    read -r packets summaries alarms dropped <<<"$(numbers ' published, ')"
    read -r unbuilt refused woken <<<"$(numbers 'dumps not built')"
    read -r got_summaries got_alarms lost <<<"$(numbers ' arrived, ')"
    echo "    $packets packets: $summaries + $alarms published, $dropped shed; $got_summaries + $got_alarms arrived"
    [ "$packets" = 200000 ] && [ "$unbuilt" = 200000 ] && [ "$alarms" = 200 ] || return 1
    # To the packet, by what two processes counted each for itself.
    [ "$got_summaries" = "$summaries" ] && [ "$got_alarms" = "$alarms" ] || return 1
    [ $((got_summaries + got_alarms + dropped)) = "$packets" ] || return 1
    # 1 MiB holds 4,096 records, a quarter of it is kept free: no more could go, and not much less did.
    [ "$summaries" -le 4096 ] && [ "$summaries" -ge 2500 ] && [ "$dropped" -ge 190000 ] || return 1
    [ "$lost" = 0 ] && [ "$refused" = 0 ] && [ "$woken" = 0 ]
}

if ! command -v pkg-config >/dev/null; then
    echo "[SKIP] tutorial: pkg-config is not installed"
    exit 77
fi
check page_is_taken_apart take_apart
check headers_and_library install_here
check programs_are_named test "$(cat "$box"/blocks/*.name | sort | tr '\n' ' ')" = 'capture.c collector.c reader.c sender.c '
check all_commands_ran run_all
check_blocks
check shedding_is_real shedding_is_real
nobody_is_left() { ! b node list 2>/dev/null | grep -E 'running|stopped|dead' >"$out"; }
check nobody_is_left nobody_is_left
finish
