# SPDX-License-Identifier: BSD-3-Clause
# example.bash - compiles a program of a page as a reader would; sourced after meta.bash.

# compile_example FOLDER NAME - FOLDER/NAME.c to FOLDER/NAME, against the public headers alone.
compile_example()
{
    local flags=(-std=c17 -Wall -Wextra -Wpedantic -Werror) lib=$BUILD/lib/libbusbar.a
    [ -e "$SOURCE/libbusbar.a" ] && lib=$SOURCE/libbusbar.a # the self-test's own
    [ -n "${BB_SANITIZE:-}" ] && flags+=("-fsanitize=$BB_SANITIZE")
    if ! [ -d "$1/include" ]; then
        mkdir -p "$1/include/busbar"
        cp "$SOURCE"/lib/include/busbar/*.h "$SOURCE/shm/status.h" "$1/include/busbar/"
    fi
    "${CC:-cc}" "${flags[@]}" -I "$1/include" -o "$1/$2" "$1/$2.c" "$lib" -llmdb -pthread
}
