# SPDX-License-Identifier: BSD-3-Clause
# meta.bash - what the scripts of tests/meta share.  A script that sources it has
#
#   check             looks at $SOURCE (and $BUILD) and calls `wrong` for each fault it finds
#   clean_tree        writes the smallest tree without a fault into the current directory
#   seed_NAME         adds one fault to such a tree; its output is a text that the complaint must hold
#
# and ends with `meta_main "$@"`.  Usage: SCRIPT [--self-test] SOURCE BUILD
# The self-test wants the clean tree to pass and every seeded tree to fail for the right reason.
set -uo pipefail
export LC_ALL=C

faults=0

# wrong FILE:LINE TEXT - one fault.
wrong()
{
    echo "$1: ${*:2}"
    faults=$((faults + 1))
}

# files FOLDER... -- PATTERN... - names below $SOURCE, relative to it; folders that are missing count as empty.
files()
{
    local folders=() patterns=() seen=0 word
    for word in "$@"; do
        if [ "$word" = -- ]; then
            seen=1
        elif [ $seen = 0 ]; then
            [ -e "$SOURCE/$word" ] && folders+=("$word")
        else
            [ ${#patterns[@]} -gt 0 ] && patterns+=(-o)
            patterns+=(-name "$word")
        fi
    done
    [ ${#folders[@]} -gt 0 ] || return 0
    (cd "$SOURCE" && find "${folders[@]}" \( -name .git -o -name build \) -prune \
        -o -type f \( "${patterns[@]}" \) -print) | sed 's,^\./,,' | sort
}

run_check()
{
    faults=0
    check
    if [ $faults -gt 0 ]; then
        echo "[FAIL] $(basename "$0" .sh): $faults wrong"
        return 1
    fi
    echo "[PASS] $(basename "$0" .sh)"
}

self_test()
{
    local failed=0 seed expected said
    META_TEMP=$(mktemp -d "${TMPDIR:-/tmp}/busbar-meta.XXXXXX") || exit 1
    trap 'rm -rf "$META_TEMP"' EXIT

    try()
    {
        SOURCE=$META_TEMP/$1
        mkdir -p "$SOURCE"
        (cd "$SOURCE" && clean_tree) >/dev/null
    }

    try clean
    if said=$(run_check 2>&1); then
        echo "[PASS] the clean tree passes"
    else
        echo "[FAIL] the clean tree is said to be wrong:"
        echo "$said"
        failed=1
    fi
    for seed in $(compgen -A function seed_); do
        try "$seed"
        expected=$(cd "$SOURCE" && "$seed")
        if said=$(run_check 2>&1); then
            echo "[FAIL] $seed: not found"
            failed=1
        elif ! grep -qF -- "$expected" <<<"$said"; then
            echo "[FAIL] $seed: expected a complaint with '$expected', got:"
            echo "$said"
            failed=1
        else
            echo "[PASS] $seed: found"
        fi
    done
    return $failed
}

meta_main()
{
    local mode=check
    if [ "${1:-}" = --self-test ]; then
        mode=self
        shift
    fi
    if [ $# -ne 2 ]; then
        echo "usage: $(basename "$0") [--self-test] SOURCE BUILD" >&2
        exit 2
    fi
    SOURCE=$(cd "$1" && pwd) || exit 2
    BUILD=$(cd "$2" && pwd) || exit 2
    if [ $mode = self ]; then
        self_test
    else
        run_check
    fi
}
