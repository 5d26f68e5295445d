# SPDX-License-Identifier: BSD-3-Clause
# promises.bash - what the public headers promise; sourced after meta.bash.

# promises - the functions and objects that public headers declare with BB_API, a line for each:
# NAME<TAB>FILE:LINE<TAB>DECLARATION, without the markers and with single blanks.
promises()
{
    local file
    while read -r file; do
        # A declaration may stand on several lines, so lines are joined up to the semicolon.
        awk -v file="$file" '
            {
                # Without comments: a whole one on the line goes, an open one lasts until its end.
                rest = $0
                $0 = ""
                while (rest != "") {
                    if (comment) {
                        if (!(at = index(rest, "*/"))) break
                        rest = substr(rest, at + 2)
                        comment = 0
                    } else if ((at = index(rest, "/*"))) {
                        $0 = $0 substr(rest, 1, at - 1) " "
                        rest = substr(rest, at + 2)
                        comment = 1
                    } else {
                        $0 = $0 rest
                        rest = ""
                    }
                }
            }
            /^[[:space:]]*#/ { next }
            {
                if (text == "") start = FNR
                text = text " " $0
                while (match(text, /[;{}]/)) {
                    part = substr(text, 1, RSTART - 1)
                    text = substr(text, RSTART + 1)
                    if (part ~ /BB_API/ && match(part, /bb_[a-z0-9_]+[[:space:]]*\(/)) {
                        name = substr(part, RSTART, RLENGTH)
                        sub(/[[:space:]]*\(/, "", name)
                        gsub(/BB_MUST_USE|BB_API/, "", part)
                        gsub(/[[:space:]]+/, " ", part)
                        sub(/^ /, "", part)
                        print name "\t" file ":" start "\t" part
                    }
                    start = FNR
                }
                if (text ~ /^[[:space:]]*$/) text = ""
            }' "$SOURCE/$file"
    done < <(files lib/include shm/status.h -- '*.h')
}
