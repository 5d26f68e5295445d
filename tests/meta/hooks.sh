#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: no step of a protocol is without its kill test.  Method: the names in BBI_HOOK("...") across the
# source and the first words of tests/process/kill_matrix.txt are the same set.
. "$(dirname "$0")/meta.bash"

check()
{
    local matrix=tests/process/kill_matrix.txt file line name hooks listed
    if ! [ -f "$SOURCE/$matrix" ]; then
        wrong "$matrix:0" "is missing"
        return
    fi
    # NAME FILE:LINE of each hook; a hook whose name is not a plain string cannot be listed.
    hooks=$(cd "$SOURCE" && grep -rnE --include='*.c' --include='*.h' '\bBBI_HOOK\(' shm lib tools 2>/dev/null \
        | grep -vE '#[[:space:]]*define[[:space:]]' \
        | sed -E 's/^([^:]+:[0-9]+):.*BBI_HOOK\("([^"]+)"\).*/\2 \1/; t
            s/^([^:]+:[0-9]+):.*/? \1/')
    listed=$(awk '/^[[:space:]]*(#|$)/ { next } { print $1, FNR }' "$SOURCE/$matrix")

    while read -r name file; do
        [ -n "$name" ] || continue
        if [ "$name" = '?' ]; then
            # A comment that speaks of BBI_HOOK() is no hook.
            sed -n "${file##*:}p" "$SOURCE/${file%:*}" | grep -qE '^[[:space:]]*(/?\*|//)' \
                || wrong "$file" "the name of a hook must be a string on the same line"
        elif ! awk '{print $1}' <<<"$listed" | grep -qxF -- "$name"; then
            wrong "$file" "hook $name is not in $matrix"
        fi
    done <<<"$hooks"
    while read -r name line; do
        [ -n "$name" ] || continue
        awk '{print $1}' <<<"$hooks" | grep -qxF -- "$name" || wrong "$matrix:$line" "no hook is named $name"
    done <<<"$listed"
    for name in $(awk '{print $1}' <<<"$listed" | sort | uniq -d); do
        wrong "$matrix:$(awk -v n="$name" '$1 == n {print $2}' <<<"$listed" | tail -n 1)" "$name is listed twice"
    done
}

clean_tree()
{
    mkdir -p shm tests/process
    printf '# name  who dies\n\nring:claimed publisher\nring:committed publisher\n' >tests/process/kill_matrix.txt
    cat >shm/ring.c <<'END'
#define BBI_HOOK(name) ((void)0)
/*
 * BBI_HOOK() marks the steps.
 */
void f(void) {
    BBI_HOOK("ring:claimed"); /* a comment */
    BBI_HOOK("ring:committed");
}
END
}
seed_unlisted_hook() { echo 'void g(void) { BBI_HOOK("ring:new"); }' >>shm/ring.c; echo 'shm/ring.c:9: hook ring:new'; }
seed_name_without_hook() { echo 'ring:gone publisher' >>tests/process/kill_matrix.txt; echo 'kill_matrix.txt:5: no hook'; }
seed_computed_name() { echo 'void g(void) { BBI_HOOK(NAME); }' >>shm/ring.c; echo 'shm/ring.c:9: the name'; }
seed_listed_twice() { echo 'ring:claimed subscriber' >>tests/process/kill_matrix.txt; echo 'kill_matrix.txt:5: ring:claimed is listed twice'; }
seed_no_matrix() { rm tests/process/kill_matrix.txt; echo 'is missing'; }

meta_main "$@"
