#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: one layout of the code.  Method: clang-format 14 finds nothing to change.
. "$(dirname "$0")/meta.bash"

check()
{
    local said list=()
    mapfile -t list < <(files shm lib tools tests bench examples -- '*.c' '*.cc' '*.h')
    [ ${#list[@]} -gt 0 ] || return 0
    said=$(cd "$SOURCE" && clang-format --dry-run -Werror --ferror-limit=1 "${list[@]}" 2>&1)
    while IFS=: read -r file line rest; do
        wrong "$file:$line" "clang-format would change it; run: clang-format -i $file"
    done < <(grep -E '^[^ ]+:[0-9]+:[0-9]+: error' <<<"$said")
    if [ $faults = 0 ] && [ -n "$said" ]; then
        wrong .clang-format:1 "$said"
    fi
}

clean_tree()
{
    mkdir -p shm
    cp "$(dirname "$SCRIPT")/../../.clang-format" .
    printf 'int f(int a);\n\nint\nf(int a)\n{\n    return a;\n}\n' >shm/a.c
}
seed_two_spaces() { sed -i 's/    return/  return/' shm/a.c; echo 'shm/a.c:'; }
seed_brace() { printf 'int g(void) {\n    return 0;\n}\n' >>shm/a.c; echo 'shm/a.c:'; }

SCRIPT=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
if ! clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
    echo "[SKIP] format: clang-format 14 is not here"
    exit 77
fi
meta_main "$@"
