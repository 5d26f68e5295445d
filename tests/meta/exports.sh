#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: what the shared library exports is what the public headers promise, no more and no less.
# Method: nm's list of libbusbar.so beside the names declared with BB_API.
. "$(dirname "$0")/meta.bash"
. "$(dirname "$0")/promises.bash"

library()
{
    local found
    # The self-test brings its own library beside its sources.
    for found in "$SOURCE/libbusbar.so" "$BUILD/lib/libbusbar.so"; do
        [ -e "$found" ] && echo "$found" && return
    done
}

check()
{
    local lib exported declared name place
    lib=$(library)
    if [ -z "$lib" ]; then
        wrong "$BUILD/lib/libbusbar.so:0" "is not built"
        return
    fi
    exported=$(nm -D --defined-only "$lib" | awk '$2 != "A" {print $3}' | sed 's/@.*//' \
        | grep -vE '^__(odr_asan|asan|ubsan|lsan|start|stop)' | sort -u)
    for name in $exported; do
        case $name in
        bb_*) ;;
        *) wrong "$(basename "$lib"):0" "exports $name, which does not begin with bb_" ;;
        esac
    done
    while IFS=$'\t' read -r name place _; do
        grep -qx "$name" <<<"$exported" || wrong "$place" "$name is promised but not exported"
    done < <(promises)
    declared=$(promises | cut -f1 | sort -u)
    for name in $exported; do
        grep -qx "$name" <<<"$declared" || wrong "$(basename "$lib"):0" "exports $name, which no public header declares"
    done
}

clean_tree()
{
    mkdir -p lib/include/busbar shm
    echo '#define BB_API __attribute__((visibility("default")))' >shm/status.h
    cat >lib/include/busbar/topic.h <<'END'
/* bb_comment(a) - BB_API in a comment is no promise; *out neither */
/*
 * BB_API int bb_old(void);
 */
#include "shm/status.h"
BB_API int bb_one(int a);
BB_API int bb_two(int a,
                  int b);
END
    cat >lib.c <<'END'
#include "lib/include/busbar/topic.h"
int bb_one(int a) { return a; }
int bb_two(int a, int b) { return a + b; }
int bbi_inside(void);
int bbi_inside(void) { return 0; }
END
    build_mini
}
build_mini() { "${CC:-cc}" -shared -fPIC -fvisibility=hidden -I . -o libbusbar.so lib.c; }
seed_stray_export()
{
    echo 'BB_API int helper(void); int helper(void) { return 0; }' >>lib.c
    build_mini
    echo 'exports helper'
}
seed_internal_export()
{
    echo 'BB_API int bbi_x(void); int bbi_x(void) { return 0; }' >>lib.c
    build_mini
    echo 'exports bbi_x'
}
seed_undeclared_export()
{
    echo 'BB_API int bb_x(void); int bb_x(void) { return 0; }' >>lib.c
    build_mini
    echo 'exports bb_x, which no public header declares'
}
seed_missing_export()
{
    echo 'BB_API const char *bb_three(void);' >>lib/include/busbar/topic.h
    build_mini
    echo 'topic.h:9: bb_three'
}

meta_main "$@"
