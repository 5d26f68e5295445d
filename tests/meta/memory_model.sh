#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: every release names its acquire, and the other way round.  Method: a pair R<number> (of the bus) or S<number>
# (of stores) that the source cites is described in docs/memory-model.md (a heading, list item or table row begins with it), and each
# pair described there is cited at two places of the source or more.
. "$(dirname "$0")/meta.bash"

check()
{
    local page=docs/memory-model.md cited described id place line count
    if ! [ -f "$SOURCE/$page" ]; then
        wrong "$page:0" "is missing"
        return
    fi
    # ID FILE:LINE, one for each line that cites the pair.
    cited=$(cd "$SOURCE" && grep -rnoE --include='*.c' --include='*.h' '\b[RS][0-9]+\b' shm lib 2>/dev/null \
        | awk -F: '!seen[$0]++ { print $3, $1 ":" $2 }')
    described=$(grep -noE '^[[:space:]]*[|#*-]*[[:space:]]*[`*]*[RS][0-9]+\b' "$SOURCE/$page" \
        | sed -E 's/^([0-9]+):.*([RS][0-9]+)$/\2 \1/')

    while read -r id place; do
        [ -n "$id" ] || continue
        awk '{print $1}' <<<"$described" | grep -qx "$id" || wrong "$place" "pair $id is not described in $page"
    done <<<"$cited"
    while read -r id line; do
        [ -n "$id" ] || continue
        count=$(awk -v id="$id" '$1 == id' <<<"$cited" | grep -c .)
        [ "$count" -ge 2 ] || wrong "$page:$line" "pair $id is cited at $count places of the source: both sides should cite it"
    done < <(sort -u -k1,1 <<<"$described")
}

clean_tree()
{
    mkdir -p shm docs
    printf '# Memory model\n\n| pair | what |\n|---|---|\n| R1 | tail |\n\n## R2: head\n- **R3** bell\n' >docs/memory-model.md
    printf '/* R1: pairs with the acquire in take(); R2 */\n/* R1, and R3 */\nint R; /* R2 */\n/* R3 */\n' >shm/ring.c
}
seed_undescribed() { echo '/* R4: new */' >>shm/ring.c; echo 'shm/ring.c:5: pair R4'; }
seed_one_side_only() { sed -i 's/, and R3//' shm/ring.c; echo 'memory-model.md:8: pair R3 is cited at 1'; }
seed_of_a_store() { mkdir -p lib/store; echo '/* S1 */' >lib/store/dir.c; echo 'lib/store/dir.c:1: pair S1'; }
seed_not_cited() { echo '| R9 | gone |' >>docs/memory-model.md; echo 'memory-model.md:9: pair R9 is cited at 0'; }
seed_no_page() { rm docs/memory-model.md; echo 'is missing'; }

meta_main "$@"
