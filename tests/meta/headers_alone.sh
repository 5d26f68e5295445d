#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: every header brings what it needs.  Method: one translation unit for each that includes nothing
# else: public headers in C and C++, in the oldest standard that they promise and in ours, with all warnings;
# internal headers in C.
. "$(dirname "$0")/meta.bash"

# try_header FILE STANDARD INCLUDE-LINE FLAG... - says what the compiler said, at the header's line.
try_header()
{
    local file=$1 standard=$2 text=$3 said
    shift 3
    if ! said=$(printf '%s\n' "$text" | "$@" -std="$standard" -fsyntax-only -x "${standard%[0-9][0-9]}" - 2>&1); then
        wrong "$file:1" "does not compile alone in $standard:"
        head -n 12 <<<"$said"
    fi
}

check()
{
    local temp file name standard
    local c=("${CC:-cc}" -Wall -Wextra -Wpedantic -Werror)
    local cpp=("${CXX:-c++}" -Wall -Wextra -Wpedantic -Wshadow -Werror)

    # The public include directory as it looks once installed.
    temp=$(mktemp -d "${TMPDIR:-/tmp}/busbar-headers.XXXXXX") || exit 1
    mkdir "$temp/busbar"
    cp "$SOURCE"/lib/include/busbar/*.h "$SOURCE/shm/status.h" "$temp/busbar/"

    command -v "${cpp[0]}" >/dev/null || echo "[SKIP] c++: there is no C++ compiler"
    for file in "$temp"/busbar/*.h; do
        name=$(basename "$file")
        file=lib/include/busbar/$name
        [ "$name" = status.h ] && file=shm/status.h
        for standard in c11 c17; do
            try_header "$file" $standard "#include <busbar/$name>" "${c[@]}" -I "$temp"
        done
        if command -v "${cpp[0]}" >/dev/null; then
            for standard in c++11 c++17; do
                try_header "$file" $standard "#include <busbar/$name>" "${cpp[@]}" -I "$temp"
            done
        fi
    done

    while read -r file; do
        case $file in
        lib/include/*) continue ;;
        tests/*)
            if grep -q '<criterion/' "$SOURCE/$file" && ! [ -e /usr/include/criterion/criterion.h ]; then
                continue
            fi
            ;;
        esac
        try_header "$file" c17 "#include \"$file\"" "${c[@]}" -Wno-pedantic -D_GNU_SOURCE -DBB_HOOKS=1 \
            -DBB_VERSION_STRING='"0"' -DBB_BUILD_STRING='"0"' -I "$temp" -I "$SOURCE"
    done < <(files shm lib tools tests/support -- '*.h')
    rm -rf "$temp"
}

clean_tree()
{
    mkdir -p shm lib/include/busbar lib/topic
    printf '#ifndef S\n#define S\nenum { OK };\n#endif\n' >shm/status.h
    printf '#include <busbar/status.h>\n#include <stddef.h>\nint f(size_t n);\n' >lib/include/busbar/topic.h
    printf '#include <busbar/topic.h>\nstatic inline int g(void) { return OK; }\n' >lib/topic/match.h
}
seed_public_needs_a_type() { echo 'int h(uint32_t v);' >>lib/include/busbar/topic.h; echo 'alone in c11:'; }
seed_public_is_not_cpp() { echo 'int h(int class);' >>lib/include/busbar/topic.h; echo 'alone in c++11:'; }
seed_public_needs_a_newer_c() { echo 'static inline int k(void) { static_assert(1); return 0; }' >>lib/include/busbar/topic.h; echo 'alone in c++11:'; }
seed_internal_needs_a_type() { echo 'int h(uint32_t v);' >>lib/topic/match.h; echo lib/topic/match.h; }
seed_internal_needs_a_macro() { echo '#include "missing.h"' >>shm/status.h; echo shm/status.h; }

meta_main "$@"
