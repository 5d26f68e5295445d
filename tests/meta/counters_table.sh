#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: the table of counters in docs/counters.md is the list of the code.  Method: the X-macros' rows are
# expanded by the C preprocessor and compared line by line with the page's rows.
. "$(dirname "$0")/meta.bash"

LIST=lib/endpoint/counters_list.h
PAGE=docs/counters.md

# The rows of the list as the page writes them, in the order in which they are told.
rows_of_list()
{
    {
        cat "$SOURCE/$LIST"
        printf '#define ROW(id, name, type, unit, help) @ name ~ type ~ unit ~ help @\n'
        printf 'BBI_BUS_COUNTERS(ROW) BBI_NODE_COUNTERS(ROW) BBI_RING_COUNTERS(ROW) BBI_SUBSCRIBER_COUNTERS(ROW)\n'
    } | cc -E -P -x c - 2>/dev/null | tr '\n' ' ' | tr '@' '\n' | grep '"busbar_' \
        | sed -E 's/^ *"([^"]*)" ~ ([A-Z]*) ~ "([^"]*)" ~ "(.*)" *$/| `\1` | \L\2\E | \3 | \4 |/; s/\|  \|/| |/'
}

check()
{
    local wanted found
    wanted=$(rows_of_list)
    found=$(grep '^| `busbar_' "$SOURCE/$PAGE" 2>/dev/null)
    [ "$(grep -c . <<<"$wanted")" -gt 0 ] || wrong "$LIST:0" "no counter was found"
    [ "$wanted" = "$found" ] || wrong "$PAGE:$(grep -nm1 '^| `busbar_' "$SOURCE/$PAGE" | cut -d: -f1)" \
        "the table differs from $LIST: $(diff <(echo "$wanted") <(echo "$found") | grep -m1 '^[<>]')"
}

clean_tree()
{
    mkdir -p lib/endpoint docs
    cat >lib/endpoint/counters_list.h <<'END'
#define BBI_BUS_COUNTERS(X) X(A, "busbar_a", GAUGE, "", "Of all, \
mostly.")
#define BBI_NODE_COUNTERS(X)
#define BBI_RING_COUNTERS(X) X(B, "busbar_b_total", RISING, "bytes", "Bytes.")
#define BBI_SUBSCRIBER_COUNTERS(X)
END
    printf '| `busbar_a` | gauge | | Of all, mostly. |\n| `busbar_b_total` | rising | bytes | Bytes. |\n' >docs/counters.md
}
seed_row_missing() { sed -i 2d docs/counters.md; echo 'counters.md:1: the table differs'; }
seed_row_too_many() { echo '| `busbar_c` | gauge | | C. |' >>docs/counters.md; echo '> | `busbar_c`'; }
seed_other_name() { sed -i 's/busbar_b_total/busbar_d_total/' lib/endpoint/counters_list.h; echo 'the table differs'; }
seed_other_words() { sed -i 's/mostly/seldom/' docs/counters.md; echo 'the table differs'; }

meta_main "$@"
