#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: the manual is whole and true.  Every public function stands in the synopsis of exactly one page of
# section 3, as its header declares it; every member of a struct that a page describes is there; what a
# page names exists; its example compiles without a warning, runs, and prints what the page says.
# Method: the pages' macros beside the headers; mandoc's own complaints.
# bb-timeout: 300
. "$(dirname "$0")/meta.bash"
. "$(dirname "$0")/promises.bash"
. "$(dirname "$0")/example.bash"

pages() { files docs/man -- '*.[1-8]'; }
headers() { (cd "$SOURCE" && cat lib/include/busbar/*.h shm/status.h); }

# form - declarations from standard input, with blanks only where C needs them.
form() { sed -E 's/[[:space:]]+/ /g; s/ ?([*,()]) ?/\1/g; s/^ //; s/ $//'; }

# ---- functions --------------------------------------------------------------------------------------

# synopsis PAGE - NAME<TAB>LINE<TAB>HEADER<TAB>DECLARATION of each function in its synopsis.
synopsis()
{
    awk '
        function plain(text) { gsub(/"/, "", text); return text }
        function begin(name) { fn = name; line = FNR; list = ""; separator = "" }
        function add(argument) { list = list separator plain(argument); separator = ", " }
        function end() { print fn "\t" line "\t" header "\t" type " " fn "(" list ")" }
        /^\.Sh / { inside = $2 == "SYNOPSIS" }
        !inside { next }
        /^\.In / { header = $2 }
        /^\.Ft / { type = plain(substr($0, 5)) }
        /^\.Fo / { begin($2) }
        /^\.Fa / { add(substr($0, 5)) }
        /^\.Fc/ { end() }
        /^\.Fn / {
            rest = substr($0, 5)
            match(rest, /^[^ ]+/)
            begin(substr(rest, 1, RLENGTH))
            rest = substr(rest, RLENGTH + 2)
            while (match(rest, /^("[^"]*"|[^ ]+) ?/)) {
                one = substr(rest, 1, RLENGTH)
                rest = substr(rest, RLENGTH + 1)
                sub(/ $/, "", one)
                add(one)
            }
            end()
        }' "$SOURCE/$1"
}

# Both ways: a promise without a page, a page without a promise, another declaration, another header.
check_functions()
{
    local page name line header declared place text
    declare -A promised=() from=() where=()
    while IFS=$'\t' read -r name place text; do
        promised[$name]=$(form <<<"$text")
        from[$name]=busbar/$(basename "${place%:*}")
        where[$name]=$place
    done < <(promises)
    declare -A on=()
    while read -r page; do
        [[ $page == *.3 ]] || continue
        while IFS=$'\t' read -r name line header declared; do
            declared=$(form <<<"$declared")
            if [[ $name == \(\** ]]; then
                headers | tr -d '\n' | form | grep -qF "$declared" \
                    || wrong "$page:$line" "no header has '$declared'"
                continue
            fi
            if [ -z "${promised[$name]+x}" ]; then
                wrong "$page:$line" "$name is in no public header"
                continue
            fi
            [ -z "${on[$name]+x}" ] || wrong "$page:$line" "$name stands also in ${on[$name]}"
            on[$name]=$page
            [ "$declared" = "${promised[$name]}" ] \
                || wrong "$page:$line" "says '$declared', the header '${promised[$name]}'"
            [ "$header" = "${from[$name]}" ] || wrong "$page:$line" "$name is in <${from[$name]}>, not <$header>"
        done < <(synopsis "$page")
        check_names "$page"
    done < <(pages)
    for name in "${!promised[@]}"; do
        [ -n "${on[$name]+x}" ] || wrong "${where[$name]}" "$name has no page in docs/man"
    done
}

# The names of a page are its functions: whatis, and the links that are installed, come from them.
check_names()
{
    local listed
    listed=$(awk '/^\.Sh / { inside = $2 == "NAME" } inside && /^\.Nm / { print $2 }' "$SOURCE/$1")
    [ "$listed" = "$(synopsis "$1" | cut -f 1 | grep -v '^(')" ] \
        || wrong "$1:1" "the names are not the functions of its synopsis"
}

# A further name of a page has a link page, which docs/man/CMakeLists.txt makes.
check_links()
{
    local page stem name links=$BUILD/docs/man
    [ -d "$SOURCE/links" ] && links=$SOURCE/links # the self-test's own
    while read -r page; do
        [[ $page == *.3 ]] || continue
        stem=$(basename "$page" .3)
        while read -r name; do
            [ "$name" = "$stem" ] || [ "$(cat "$links/$name.3" 2>/dev/null)" = ".so man3/$stem.3" ] \
                || wrong "$page:1" "$name has no link page $links/$name.3"
        done < <(synopsis "$page" | cut -f 1 | grep -v '^(')
    done < <(pages)
}

# ---- members of structs -----------------------------------------------------------------------------

members_of_header()
{
    headers | awk -v head="struct $1 {" '
        index($0, head) == 1 { inside = 1; next }
        inside { text = text " " $0 }
        inside && /^};/ { exit }
        END {
            while (at = index(text, "/*")) {
                rest = substr(text, at + 2)
                text = substr(text, 1, at - 1) substr(rest, index(rest, "*/") + 2)
            }
            n = split(text, parts, ";")
            for (i = 1; i < n; i++) {
                m = split(parts[i], names, ",")
                for (j = 1; j <= m; j++) {
                    sub(/\[.*/, "", names[j])
                    sub(/.*[ *]/, "", names[j])
                    if (names[j] ~ /^[a-z_0-9]+$/) print names[j]
                }
            }
        }' | sort
}

members_of_page()
{
    awk -v mark=".\\\\\" members of struct $2" '
        $0 == mark { inside = 1 }
        inside && /^\.It / { for (i = 2; i <= NF; i++) if ($i != "Fa" && $i != ",") print $i }
        inside && /^\.El/ { exit }' "$SOURCE/$1" | sort
}

check_members()
{
    local page line name
    while read -r page; do
        while IFS=: read -r line name; do
            name=${name##* }
            [ "$(members_of_header "$name")" = "$(members_of_page "$page" "$name")" ] \
                || wrong "$page:$line" "struct $name has other members:" \
                    "$(diff <(members_of_header "$name") <(members_of_page "$page" "$name") | grep '^[<>]' | tr '\n' ' ')"
        done < <(grep -n '^\.\\" members of struct ' "$SOURCE/$page")
    done < <(pages)
}

# ---- what a page names ------------------------------------------------------------------------------

check_words()
{
    local page line word known
    known=$(headers | grep -oE '\<(bb|BB)_[A-Za-z0-9_]+' | sort -u
        pages | sed -E 's,.*/(.*)\.([1-8])$,\1(\2),'
        pages | while read -r page; do
            awk -v s="${page##*.}" '/^\.Sh / { n = $2 == "NAME" } n && /^\.Nm / { print $2 "(" s ")" }' "$SOURCE/$page"
        done)
    while read -r page; do
        while IFS=: read -r line word; do
            grep -qxF -- "$word" <<<"$known" || wrong "$page:$line" "there is no $word"
        done < <(awk '
            /^\.(.* )?(Fn|Dv|Vt) / {
                for (i = 2; i <= NF; i++) {
                    word = $i
                    gsub(/["\\]/, "", word)
                    if (word ~ /^(bb|BB)_[A-Za-z0-9_]+$/) print FNR ":" word
                }
            }
            /^\.Xr (bb|busbar)/ { print FNR ":" $2 "(" $3 ")" }' "$SOURCE/$page")
    done < <(pages)
}

check_sections()
{
    local page wanted
    while read -r page; do
        [[ $page == *.3 ]] || continue
        for wanted in 'Sh NAME' 'Sh SYNOPSIS' 'Sh DESCRIPTION' 'Ss Ownership' 'Ss Threads' 'Sh RETURN VALUES' \
            'Sh EXAMPLES' 'Sh ERRORS' 'Sh SEE ALSO'; do
            grep -qxF ".$wanted" "$SOURCE/$page" || wrong "$page:1" "has no section '$wanted'"
        done
    done < <(pages)
}

# ---- examples ---------------------------------------------------------------------------------------

# literal PAGE FOLDER - the literal blocks of EXAMPLES as FOLDER/block-N, the macros taken out.
# A block after a line `It prints:` is block-N.prints of the one before it.
literal()
{
    awk -v folder="$2" '
        /^\.Sh / { inside = $2 == "EXAMPLES" }
        !inside { next }
        /^\.Bd -literal/ { file = folder "/block-" (says ? n ".prints" : ++n); code = 1; says = 0; printf "" >file; next }
        /^\.Ed/ { code = 0; close(file); next }
        /^It prints:/ { says = 1 }
        code { gsub(/\\&/, ""); gsub(/\\-/, "-"); gsub(/\\e/, "\\"); print >file }' "$SOURCE/$1"
}

# run_example PAGE FOLDER NAME - compiles and runs a program on a bus of its own.
run_example()
{
    local said
    if ! said=$(compile_example "$2" "$3" 2>&1); then
        wrong "$1:1" "an example does not compile:"
        head -n 20 <<<"$said"
        return
    fi
    mkdir -m 0700 "$2/buses"
    (cd "$2" && BUSBAR_DIR=$2/buses BUSBAR_BUS=example timeout --kill-after=5 30 "./$3" >said 2>complained)
    case $? in
    0)
        [ ! -e "$2/$3.prints" ] || cmp -s "$2/$3.prints" "$2/said" \
            || wrong "$1:1" "the example prints '$(cat "$2/said")', not '$(cat "$2/$3.prints")'"
        ;;
    *) wrong "$1:1" "the example does not end well: $(cat "$2/said" "$2/complained")" ;;
    esac
    rm -rf "$2/buses"
}

check_examples()
{
    local page temp block programs
    EXAMPLES_TEMP=$(mktemp -d /dev/shm/busbar-man.XXXXXX) || exit 1
    trap 'rm -rf "$EXAMPLES_TEMP" "${META_TEMP:-}"' EXIT
    temp=$EXAMPLES_TEMP
    while read -r page; do
        programs=0
        rm -f "$temp"/block-*
        literal "$page" "$temp"
        for block in "$temp"/block-*; do
            if [ -e "$block" ] && [[ $block != *.prints ]] && grep -q '^main(' "$block"; then
                programs=$((programs + 1))
                mv "$block" "$block.c"
                run_example "$page" "$temp" "$(basename "$block")"
            fi
        done
        [[ $page != *.3 ]] || [ $programs -gt 0 ] || wrong "$page:1" "has no example"
    done < <(pages)
    rm -rf "$temp"
}

# ---- form -------------------------------------------------------------------------------------------

# mandoc knows only the manuals of this box; that those of ours exist is looked at above.
check_form()
{
    local page line text first last
    if ! command -v mandoc >/dev/null; then
        echo "[SKIP] form: mandoc is not installed"
        return
    fi
    while read -r page; do
        # What is made from the table of verbs may have long lines.
        first=$(grep -n '^\.\\" verbs begin' "$SOURCE/$page" | cut -d: -f1)
        last=$(grep -n '^\.\\" verbs end' "$SOURCE/$page" | cut -d: -f1)
        while IFS=: read -r _ _ line _ text; do
            [[ $text == *STYLE* ]] && [ "$line" -ge "${first:-0}" ] && [ "$line" -le "${last:-0}" ] && continue
            wrong "$page:$line" "$text"
        done < <(mandoc -Tlint "$SOURCE/$page" 2>/dev/null \
            | grep -vE 'referenced manual not found|outdated mandoc.db|^mandoc: [^:]*: (see above|No such)')
    done < <(pages)
}

check()
{
    check_functions
    check_links
    check_members
    check_words
    check_sections
    check_examples
    check_form
}

# ---- the self-test ----------------------------------------------------------------------------------

clean_tree()
{
    mkdir -p docs/man lib/include/busbar shm links
    echo '#define BB_API' >shm/status.h
    cat >lib/include/busbar/f.h <<'END'
#include <busbar/status.h>
struct bb_opts {
    int size; /* of it; in bytes */
    const char *name, *other;
};
typedef int (*bb_cb)(int a, void *user);
BB_API const char *bb_f(const struct bb_opts *opts,
                        bb_cb cb);
END
    cat >docs/man/bb_f.3 <<'END'
.Dd November 22, 2026
.Dt BB_F 3
.Os
.Sh NAME
.Nm bb_f
.Nd do something
.Sh SYNOPSIS
.In busbar/f.h
.Ft typedef int
.Fn (*bb_cb) "int a" "void *user"
.Ft "const char *"
.Fo bb_f
.Fa "const struct bb_opts *opts"
.Fa "bb_cb cb"
.Fc
.Sh DESCRIPTION
.\" members of struct bb_opts
.Bl -tag -width size
.It Fa size
one
.It Fa name , other
two
.El
.Ss Ownership
None.
.Ss Threads
Any.
.Sh RETURN VALUES
.Fn bb_f
returns something.
.Sh EXAMPLES
.Bd -literal
#include <busbar/f.h>
#include <stdio.h>
int
main(void)
{
    printf("%s\en", bb_f(0, 0));
    return 0;
}
.Ed
.Pp
It prints:
.Bd -literal
seven
.Ed
.Sh ERRORS
None.
.Sh SEE ALSO
.Xr fork 2
END
    cat >f.c <<'END'
struct bb_opts;
typedef int (*bb_cb)(int a, void *user);
const char *bb_f(const struct bb_opts *opts, bb_cb cb);
const char *bb_f(const struct bb_opts *opts, bb_cb cb) { (void)opts; (void)cb; return "seven"; }
END
    "${CC:-cc}" ${BB_SANITIZE:+"-fsanitize=$BB_SANITIZE"} -c f.c && ar rc libbusbar.a f.o
}
header=lib/include/busbar/f.h
manual=docs/man/bb_f.3
seed_no_page() { echo 'BB_API int bb_new(void);' >>$header; echo 'f.h:9: bb_new has no page'; }
seed_gone() { sed -i '/^BB_API/,$d' $header; echo 'bb_f is in no public header'; }
seed_other_argument() { sed -i 's/^ *bb_cb cb);/bb_cb cb, int n);/' $header; echo 'the header'; }
seed_other_type() { sed -i 's/^BB_API const char/BB_API char/' $header; echo 'the header'; }
seed_other_header() { sed -i 's/^\.In .*/.In busbar\/status.h/' $manual; echo 'is in <busbar/f.h>'; }
seed_on_two_pages() { cp $manual docs/man/bb_g.3; echo 'stands also in'; }
seed_other_callback() { sed -i 's/(int a, void/(long a, void/' $header; echo "no header has 'typedef int(*bb_cb)(int a,void*user)'"; }
seed_no_link()
{
    mv docs/man/bb_f.3 docs/man/bb_g.3
    echo 'bb_f has no link page'
}
seed_name_missing() { sed -i '0,/^\.Nm bb_f$/s//.Nm bb_h/' $manual; echo 'the names are not'; }
seed_new_member() { sed -i 's/int size;/int size, depth;/' $header; echo 'struct bb_opts has other members: < depth'; }
seed_old_member() { sed -i 's/, \*other;/;/' $header; echo 'struct bb_opts has other members: > other'; }
seed_unknown_function() { sed -i 's/^None\.$/.Fn bb_gone ./' $manual; echo 'there is no bb_gone'; }
seed_unknown_status() { sed -i 's/^Any\.$/.Dv BB_EGONE/' $manual; echo 'there is no BB_EGONE'; }
seed_unknown_page() { echo '.Xr bb_gone 3' >>$manual; echo 'there is no bb_gone(3)'; }
seed_no_threads() { sed -i 's/^\.Ss Threads/.Ss Others/' $manual; echo "has no section 'Ss Threads'"; }
seed_example_with_an_error() { sed -i 's/bb_f(0, 0)/bb_f(0)/' $manual; echo 'an example does not compile'; }
seed_example_that_fails() { sed -i 's/return 0;/return 3;/' $manual; echo 'does not end well'; }
seed_example_that_says_else() { sed -i 's/^seven$/eight/' $manual; echo "prints 'seven', not 'eight'"; }
seed_no_example() { sed -i 's/^main(void)/other(void)/' $manual; echo 'has no example'; }
if command -v mandoc >/dev/null; then
    seed_wrong_macro() { sed -i 's/^None\.$/.Zz none/' $manual; echo 'unknown macro'; }
fi

meta_main "$@"
