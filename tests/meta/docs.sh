#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: the pages are true.  Method: every link to a file points at one; the C program of the README
# compiles without a warning against the public headers, links, runs, and prints what the README says.
. "$(dirname "$0")/meta.bash"
. "$(dirname "$0")/example.bash"

check_links()
{
    local page line target path
    while read -r page; do
        while IFS=: read -r line target; do
            target=${target#*](}
            target=${target%)}
            target=${target%% *}
            case $target in
            http://* | https://* | mailto:* | '#'*) continue ;;
            esac
            path=${target%%#*}
            case $path in
            /*) path=$SOURCE$path ;;
            *) path=$SOURCE/$(dirname "$page")/$path ;;
            esac
            [ -e "$path" ] || wrong "$page:$line" "link to $target: there is no such file"
        done < <(outside_code "$SOURCE/$page" | grep -noE '\]\([^)]+\)')
    done < <(files . -- '*.md')
}

# The page with the lines of code blocks emptied, so that line numbers stay.
outside_code()
{
    awk '/^[[:space:]]*```/ { code = !code; print ""; next } { print code ? "" : $0 }' "$1"
}

# The README's first C block that has a main, and the block after "prints".
check_program()
{
    local temp line said expected
    temp=$(mktemp -d "${TMPDIR:-/tmp}/busbar-docs.XXXXXX") || exit 1
    awk -f "$(dirname "$0")/../support/first_program.awk" -v dir="$temp" "$SOURCE/README.md"
    if ! [ -s "$temp/program.c" ]; then
        wrong README.md:1 "has no C program"
    else
        line=$(cat "$temp/line")
        if ! said=$(compile_example "$temp" program 2>&1); then
            wrong "README.md:$line" "the C program does not compile:"
            head -n 20 <<<"$said"
        elif [ -x "$temp/program" ]; then
            said=$(cd "$temp" && BUSBAR_DIR=$temp BUSBAR_BUS=readme timeout 20 ./program 2>&1) \
                || wrong "README.md:$line" "the C program ends with $?: $said"
            expected=$(sed -n 's,^.*prints `\([^`]*\)`.*,\1,p' "$SOURCE/README.md" | head -n 1)
            [ "$said" = "$expected" ] || wrong "README.md:$line" "the C program prints '$said', not '$expected'"
        fi
    fi
    rm -rf "$temp"
}

check()
{
    check_links
    check_program
}

clean_tree()
{
    mkdir -p docs lib/include/busbar shm
    echo 'int bb_f(void);' >shm/status.h
    echo '#include <busbar/status.h>' >lib/include/busbar/busbar.h
    cat >README.md <<'END'
# A page with [a link](docs/a.md#part), [a site](https://example.org/) and [a part](#x)
```c
#include <busbar/busbar.h>
#include <stdio.h>
int main(void) { puts("seven"); return bb_f(); }
```
It prints `seven`.
END
    printf '[back](../README.md "title")\n```\n[no link](nowhere.md) in code\n```\n' >docs/a.md
    echo 'int bb_f(void); int bb_f(void) { return 0; }' >f.c
    "${CC:-cc}" ${BB_SANITIZE:+"-fsanitize=$BB_SANITIZE"} -c f.c && ar rc libbusbar.a f.o
}
seed_dead_link() { echo '[x](gone.md)' >>docs/a.md; echo 'docs/a.md:5: link to gone.md'; }
seed_dead_picture() { echo '![x](gone.svg)' >>README.md; echo 'README.md:8: link to gone.svg'; }
seed_program_with_an_error() { sed -i 's/bb_f()/bb_g()/' README.md; echo 'README.md:2: the C program'; }
seed_program_that_fails() { sed -i 's/bb_f()/3/' README.md; echo 'the C program ends with 3'; }
seed_program_that_says_else() { sed -i 's/("seven")/("eight")/' README.md; echo "prints 'eight'"; }
seed_no_program() { sed -i 's/^```c/```/' README.md; echo 'has no C program'; }

meta_main "$@"
