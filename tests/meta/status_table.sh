#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: the table of statuses in busbar(7) is the list of shm/status.h.  Method: the X-macro's rows are
# expanded by the C preprocessor, numbers included, and compared line by line with the page's rows.
. "$(dirname "$0")/meta.bash"

# The rows of the header as the page writes them.
rows_of_header()
{
    {
        grep -v '#include' "$SOURCE/shm/status.h" | sed '/^enum/,$d'
        printf '#endif\n#include <errno.h>\n#define ROW(n, v, k, t) .It Dv @n@ Ta v Ta k Ta t\nBB_STATUS_LIST(ROW)\n'
    } | sed 's/@n@/n/' | cc -E -P -x c - 2>/dev/null | sed 's/\.It/\n.It/g' | grep '^\.It' \
        | sed -E 's/CONDITION/condition/; s/FAULT/fault/; s/Ta - ?([0-9]+)/Ta -\1/; s/"//g; s/ +/ /g; s/ $//'
}

check()
{
    local page=docs/man/busbar.7 wanted found
    wanted=$(rows_of_header)
    found=$(grep -E '^\.It Dv BB_E[A-Z0-9]* Ta ' "$SOURCE/$page" 2>/dev/null)
    [ "$(grep -c . <<<"$wanted")" -gt 0 ] || wrong shm/status.h:0 "no status was found"
    [ "$wanted" = "$found" ] || wrong "$page:$(grep -nm1 '^\.It Dv BB_E' "$SOURCE/$page" | cut -d: -f1)" \
        "the table differs from shm/status.h: $(diff <(echo "$wanted") <(echo "$found") | grep -m1 '^[<>]')"
}

clean_tree()
{
    mkdir -p shm docs/man
    cat >shm/status.h <<'END'
#ifndef BUSBAR_STATUS_H
#define BUSBAR_STATUS_H
#include <errno.h>
#define BB_STATUS_LIST(X)                            \
    X(BB_EAGAIN, -EAGAIN, CONDITION, "try again")    \
    X(BB_EOVERRUN, -5001, FAULT, "gone")
enum e { A };
#endif
END
    printf '.It Dv BB_EAGAIN Ta -11 Ta condition Ta try again\n.It Dv BB_EOVERRUN Ta -5001 Ta fault Ta gone\n' \
        >docs/man/busbar.7
}
seed_row_missing() { sed -i 2d docs/man/busbar.7; echo 'busbar.7:1: the table differs'; }
seed_other_number() { sed -i 's/-5001/-5002/' shm/status.h; echo 'the table differs'; }
seed_other_words() { sed -i 's/try again/wait/' docs/man/busbar.7; echo 'the table differs'; }

meta_main "$@"
