#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# links_engine.sh SOURCE BUILD - where the kernel refuses io_uring, epoll does the same, soon, and says why.
#
# With so little memory io_uring may have no room for its rings; then the limit is named, and `auto` takes epoll.
# seccomp lets io_uring_setup, or io_uring_register alone, fail with EPERM or ENOSYS, as containers and hardened
# kernels do; a user without rights has 64 KiB of memory to lock.  In each case busbard chooses by itself, says so, and
# the link carries traffic without loss.  With --engine io_uring it refuses to start instead.
# shellcheck source=tests/acceptance/links_common.bash
# bb-long
. "$(dirname "${BASH_SOURCE[0]}")/links_common.bash"

find_engines
messages=20000
slow_start_ms=$([ -n "${BB_SANITIZE:-}" ] && echo 300 || echo 0) # a sanitizer's start

# joined WORDS-OF-BOTH... - both boxes under the command in $before_busbard.
joined()
{
    bridge b --insecure --listen 127.0.0.1:0 "$@"
    soon listens b || { show b; return 1; }
    bridge a --insecure --peer "b@127.0.0.1:$(port_of b)" "$@"
    soon is_up a && soon is_up b
}
carries()
{
    local good=0
    traffic sub-b b sub "expect=$messages" seconds=30
    soon has_said sub-b '^ready' || { show sub-b; return 1; }
    traffic pub-a a pub "messages=$messages" rate=20000
    finished sub-b 40 || { show sub-b; good=1; }
    end_at 0 pub-a || good=1
    return $good
}
chose() { has_logged a "$1" && has_logged b "$1"; }
# chosen_within MS - start, probe and end of busbard; of ten runs the fastest counts, for the cores are not ours alone.
chosen_within()
{
    local i start ms least=
    for i in 1 2 3 4 5 6 7 8 9 10; do
        start=$(now_ms)
        # shellcheck disable=SC2086
        $before_busbard "$busbard" --probe >"$out" 2>"$err" || return 1
        ms=$(($(now_ms) - start))
        [ -z "$least" ] || [ "$ms" -lt "$least" ] && least=$ms
    done
    echo "    $least ms with start and end: $(head -n 1 "$out")"
    [ "$least" -le $((slow_start_ms + $1)) ] && grep -q epoll "$out" "$err"
}
asked_for_is_refused()
{
    box_new c
    # shellcheck disable=SC2086
    ! timeout 10 $before_busbard "$busbard" --dir "$box/c" --bus bus --insecure --engine io_uring \
        --listen 127.0.0.1:0 >"$out" 2>"$err" && grep -q -- "$1" "$err"
}

while read -r call error word; do
    before_busbard="$tools/seccomp_deny $call $error"
    $before_busbard true || { skip "$call, $error" "seccomp is refused here, by a container perhaps; needs root"; continue; }
    name="io_uring_$call: $error"
    check "$name: epoll is chosen within 50 ms" chosen_within 50
    box_new a
    box_new b
    check "$name: the link comes up" joined
    check "$name: both say which engine, and why" chose "epoll.*$word"
    check "$name: it carries" carries
    check "$name: all end in order" end_bridge a b
    check "$name: --engine io_uring says why not" asked_for_is_refused "$word"
done <<LIST
setup EPERM forbidden
setup ENOSYS not there
register EPERM forbidden
register ENOSYS not there
LIST

# A user without rights, with little memory to lock: what looks at that bus is of the same user.
small() # small ENGINE
{
    rm -rf "${box:?}/a" "${box:?}/b"
    box_new a "${nobody[@]}"
    box_new b "${nobody[@]}"
    chown 65534:65534 "$box/a" "$box/b" && joined --engine "$1"
}
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all)
    before_busbard="prlimit --memlock=65536:65536"
    for engine in auto epoll; do
        check "$engine, 64 KiB to lock, no rights: the link comes up" small "$engine" || show a b
        check "$engine, 64 KiB to lock, no rights: it carries" carries
        check "$engine, 64 KiB to lock, no rights: all end in order" end_bridge a b
    done
else
    skip "64 KiB to lock" "needs root"
fi
finish
