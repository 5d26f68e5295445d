#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: a program that was compiled for an older busbar goes on working with this one.
# Method: the shared library's symbols, and from the public headers every struct's size, every member's place
# and every constant, are compared with the list in tests/data/abi/busbar-0.txt.  The names come from the
# compiler's debug information, the numbers from a program that it compiles.
#
#   abi.sh SOURCE BUILD            compares
#   abi.sh --list SOURCE BUILD     prints the list as it would be now
#   abi.sh --self-test SOURCE BUILD
#
# bb-not-sanitized
#
# What is new is written into the list, so that it is meant: abi.sh --list . build/dev >tests/data/abi/busbar-0.txt
# What is there stays: a line that goes or changes breaks programs that were compiled before.  The only lines
# that may be changed by hand are the sizes of structs that begin with `size`, with new members at their end.
. "$(dirname "$0")/meta.bash"

LIST=tests/data/abi/busbar-0.txt

abi_library()
{
    local found
    # The self-test brings its own library beside its sources.
    for found in "$SOURCE/libbusbar.so" "$BUILD/lib/libbusbar.so"; do
        [ -e "$found" ] && echo "$found" && return
    done
}

# Lines `symbol NAME`.  A sanitizer's own symbols are not ours.
symbols()
{
    nm -D --defined-only "$1" | awk '$2 != "A" { print "symbol", $3 }' | sed 's/@.*//' | grep -E '^symbol bb_' | sort -u
}

# Lines `struct NAME`, `member STRUCT NAME`, `constant NAME` of what headers.c declares.  Anonymous unions and
# structs inside a struct, and constants of nameless enums, are taken too; what only points to others is not.
names()
{
    readelf --debug-dump=info "$1" 2>/dev/null | awk '
        / Abbrev Number: / {
            flush_die()
            tag = $0; sub(/.*\(/, "", tag); sub(/\).*/, "", tag)
            level = $0; sub(/^ *</, "", level); sub(/>.*/, "", level)
            name = ""; declared = 0
            next
        }
        / DW_AT_name / { name = $0; sub(/.*: /, "", name); sub(/^\(indirect[^)]*\): /, "", name); sub(/[ \t]+$/, "", name) }
        / DW_AT_declaration / { declared = 1 }
        END { flush_die() }
        function flush_die() {
            if (tag == "DW_TAG_structure_type" || tag == "DW_TAG_union_type") {
                if (level == 1) owner = (declared || name !~ /^bb_/) ? "" : name
                if (level == 1 && owner != "") print "struct", owner
            } else if (tag == "DW_TAG_member" && level == 2 && owner != "" && name != "") {
                print "member", owner, name
            } else if (tag == "DW_TAG_enumerator" && name ~ /^BB_/) {
                print "constant", name
            }
            tag = ""
        }'
}

# A program that prints the numbers of those names.
program()
{
    all_headers
    echo '#include <stdio.h>'
    echo '#define STRUCT(s) printf("struct %s %zu\n", #s, sizeof(struct s));'
    echo '#define MEMBER(s, m) printf("member %s.%s at %zu, %zu bytes\n", #s, #m, offsetof(struct s, m), sizeof(((struct s *)0)->m));'
    echo '#define CONSTANT(c) printf("constant %s %lld\n", #c, (long long)(c));'
    echo 'int main(void) {'
    sed -E 's/^struct (.*)/STRUCT(\1)/; s/^member (.*) (.*)/MEMBER(\1, \2)/; s/^constant (.*)/CONSTANT(\1)/'
    echo 'return 0; }'
}

all_headers()
{
    (cd "$SOURCE/lib/include" && ls busbar/*.h) | sed 's/.*/#include <&>/'
}

# list - all of it, sorted; fails when something could not be built.
list()
{
    local temp lib rc=0
    lib=$(abi_library)
    [ -n "$lib" ] || { echo "libbusbar.so is not built" >&2; return 1; }
    temp=$(mktemp -d "${TMPDIR:-/tmp}/busbar-abi.XXXXXX") || return 1
    mkdir "$temp/busbar"
    cp "$SOURCE"/lib/include/busbar/*.h "$SOURCE/shm/status.h" "$temp/busbar/"
    all_headers >"$temp/headers.c"
    {
        "${CC:-cc}" -std=c17 -gdwarf-4 -fno-eliminate-unused-debug-types -I "$temp" -c -o "$temp/headers.o" "$temp/headers.c" \
            && names "$temp/headers.o" | sort -u | program >"$temp/program.c" \
            && "${CC:-cc}" -std=c17 -O1 -I "$temp" -o "$temp/program" "$temp/program.c" \
            && { symbols "$lib"; "$temp/program"; } | sort >"$temp/list" && [ -s "$temp/list" ]
    } || rc=1
    [ $rc = 0 ] && cat "$temp/list"
    rm -rf "$temp"
    return $rc
}

# The words that a line is about, without its numbers.
subject() { sed -E 's/^([a-z]+ [^ ]+).*/\1/'; }

check()
{
    local now line old
    now=$(list 2>&1) || { wrong "$LIST:0" "cannot be compared: $now"; return; }
    while read -r line; do
        grep -qxF -- "$line" <<<"$now" && continue
        old=$(grep -F -- "$(subject <<<"$line") " <<<"$now" | head -n 1)
        if [ -n "$old" ]; then
            wrong "$LIST:$(grep -nxF -- "$line" "$SOURCE/$LIST" | cut -d: -f1)" "'$line' is now '$old'"
        else
            wrong "$LIST:$(grep -nxF -- "$line" "$SOURCE/$LIST" | cut -d: -f1)" "'$line' is gone"
        fi
    done < <(grep -v '^#' "$SOURCE/$LIST")
    while read -r line; do
        grep -qF -- "$(subject <<<"$line")" "$SOURCE/$LIST" \
            || wrong "$LIST:0" "'$line' is new: if it is meant to stay, abi.sh --list writes it down"
    done <<<"$now"
}

clean_tree()
{
    mkdir -p lib/include/busbar shm tests/data/abi
    echo '#define BB_API __attribute__((visibility("default")))' >shm/status.h
    cat >lib/include/busbar/busbar.h <<'END'
#pragma once
#include <busbar/status.h>
#include <stddef.h>
struct bb_hidden;
struct bb_opts { size_t size; const char *name; unsigned flags, more; };
enum { BB_ONE = 1, BB_TWO = 2 };
BB_API int bb_one(const struct bb_opts *opts);
BB_API int bb_two(void);
END
    cat >lib.c <<'END'
#include <busbar/busbar.h>
int bb_one(const struct bb_opts *opts) { return (int)opts->flags; }
int bb_two(void) { return 0; }
END
    build_abi
    list >tests/data/abi/busbar-0.txt
}
build_abi()
{
    mkdir -p inc/busbar
    cp lib/include/busbar/*.h shm/status.h inc/busbar/
    "${CC:-cc}" -shared -fPIC -fvisibility=hidden -I inc -o libbusbar.so lib.c
}
seed_symbol_gone()
{
    sed -i '/bb_two/d' lib.c lib/include/busbar/busbar.h
    build_abi
    echo "'symbol bb_two' is gone"
}
seed_symbol_new()
{
    echo 'BB_API int bb_three(void); int bb_three(void) { return 0; }' >>lib.c
    build_abi
    echo "'symbol bb_three' is new"
}
seed_member_moves()
{
    sed -i 's/unsigned flags, more/unsigned more, flags/' lib/include/busbar/busbar.h
    echo "'member bb_opts.flags at 16, 4 bytes' is now 'member bb_opts.flags at 20, 4 bytes'"
}
seed_member_grows()
{
    sed -i 's/unsigned flags, more/unsigned flags; unsigned char more/' lib/include/busbar/busbar.h
    echo "'member bb_opts.more at 20, 4 bytes' is now 'member bb_opts.more at 20, 1 bytes'"
}
seed_member_gone()
{
    sed -i 's/unsigned flags, more/unsigned flags, other/' lib/include/busbar/busbar.h
    echo "'member bb_opts.more at 20, 4 bytes' is gone"
}
seed_member_added()
{
    sed -i 's/flags, more;/flags, more; long last;/' lib/include/busbar/busbar.h
    echo "'member bb_opts.last at 24, 8 bytes' is new"
}
seed_struct_grows()
{
    sed -i 's/flags, more;/flags, more; long last;/' lib/include/busbar/busbar.h
    echo "'struct bb_opts 24' is now 'struct bb_opts 32'"
}
seed_constant_changes()
{
    sed -i 's/BB_TWO = 2/BB_TWO = 3/' lib/include/busbar/busbar.h
    echo "'constant BB_TWO 2' is now 'constant BB_TWO 3'"
}
seed_header_is_broken()
{
    echo 'int bb_bad(unknown_t x);' >>lib/include/busbar/busbar.h
    echo 'cannot be compared'
}

if [ "${1:-}" = --list ] && [ $# = 3 ]; then
    SOURCE=$(cd "$2" && pwd) && BUILD=$(cd "$3" && pwd) || exit 2
    list
    exit
fi
meta_main "$@"
