#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# links_hostile.sh SOURCE BUILD - whatever a peer says, busbard lives, in bounded memory, and others do not notice.
#
# tests/support/link/hostile.c plays each breach against a busbard --insecure on loopback, which meanwhile carries an
# honest link.  Each ends with the reason, in a CLOSE frame with the right code; the honest messages all come; memory
# grows by at most 64 MiB.  Then a thousand strangers at once, with 32 descriptors.
# Environment: BB_SLOW=1 plays the case that takes 30 s too (a frame in single bytes), BB_ENGINES, BB_SEED.
# bb-timeout: 400
# bb-long
# shellcheck source=tests/acceptance/links_common.bash
. "$(dirname "${BASH_SOURCE[0]}")/links_common.bash"

retry=$(quick_retry)
honest=8000 # messages, 1,000 a second, while the hostile ones come and go
find_engines

# CASE CODE PATTERN: what it must be told.
cases=(
    "length-0-first 11 HELLO is longer than"
    "length-2g-first 11 HELLO is longer than"
    "length-4g-first 11 HELLO is longer than"
    "length-0 11 ."
    "length-2g 11 ."
    "length-4g 11 ."
    "credit-overflow 15 ."
    "sequence-ahead 13 100 came, 1 is next"
    "sequence-back 14 ."
    "acknowledged-unsent 10 ."
    "subscriptions 16 ."
    "garbage 4 does not speak busbar"
    "http 4 a protocol of text"
    "tls-hello 5 speaks TLS, this side does not"
    "other-version 3 versions 9 to 9"
    "other-cluster 6 of cluster 'foreign'"
    "topic-beyond 10 not well formed"
    "payload-beyond 10 not well formed"
    "checksum 12 ."
    "unknown-critical 22 ."
    "unknown-harmless good the same 11 bytes came back"
    "long-message 11 ."
)
# Those that wait for something to be over; they wait beside the others.
late=(
    "slow-hello 20 ."
    "half-hello 20 ."
    "silence-later 18 ."
)
[ -n "${BB_SLOW:-}" ] && late+=("slow-frame 19 .")
declare -A late_pid

joined()
{
    box_new a
    box_new b
    bridge b --insecure --engine "$1" --listen 127.0.0.1:0 || return 1
    soon listens b || return 1
    # shellcheck disable=SC2086
    bridge a --insecure --engine "$1" --peer "b@127.0.0.1:$(port_of b)" $retry
    soon is_up a && soon is_up b
}

hostile() { timeout 60 "$tools/hostile" "$1" 127.0.0.1 "$(port_of b)" "${@:2}"; }
begin_late()
{
    local what
    for what in "${late[@]%% *}"; do
        hostile "$what" >"$box/$what.said" &
        late_pid[$what]=$!
        children+=("$!")
    done
}
# is_told CASE CODE PATTERN - what the other side says to it.
is_told()
{
    local said
    if [ -n "${late_pid[$1]:-}" ]; then
        wait "${late_pid[$1]}"
        said=$(cat "$box/$1.said")
        unset "late_pid[$1]"
    else
        said=$(hostile "$1")
    fi
    echo "    $said"
    if [ "$2" = good ]; then
        [[ "$said" == good* ]]
    else
        [[ "$said" == "close $2 "* ]] && grep -q -- "$3" <<<"$said"
    fi
}

honest_begins()
{
    traffic sub-b b sub way=honest expect=$honest seconds=200
    soon has_said sub-b '^ready' || { show sub-b; return 1; }
    traffic pub-a a pub way=honest messages=$honest rate=1000
}
honest_is_well()
{
    local good=0
    finished sub-b 100 || good=1
    tail -n 1 "$box/sub-b.out" | sed 's/^/    /'
    [ $good = 0 ] && [ "$(value sub-b received)" = $honest ] && [ "$(link_value a ups)" = 1 ]
}
grew_little()
{
    local grown=$(($(rss_peak_kib b) - base_kib))
    echo "    busbard grew by $grown KiB at most"
    [ $grown -le 65536 ]
}
lives_well() { lives b && is_up a && soon is_up b; }
says_why() { has_logged b "$1"; }

# ---- a thousand at once ----

flooded()
{
    local before=$1 start ticks hertz ms
    hertz=$(getconf CLK_TCK)
    "$tools/hostile" flood 127.0.0.1 "$(port_of b)" 8 >"$box/flood.out" &
    local flood=$!
    soon grep -q '^connected' "$box/flood.out" || return 1
    ticks=$(cpu_ticks b) start=$(now_ms)
    sleep 2 # as long as we look
    ms=$(($(now_ms) - start))
    ticks=$(($(cpu_ticks b) - ticks))
    cpu_percent=$((ticks * 100000 / hertz / ms))
    echo "    $(head -n 1 "$box/flood.out"); busbard took $cpu_percent % of a core meanwhile"
    wait $flood
    echo "    $(tail -n 1 "$box/flood.out") of them at the end"
    [ "$before" = "$(link_value a ups)" ]
}
takes_new_ones() { is_told unknown-harmless good . >/dev/null; }
with_few_files() { prlimit --nofile=32:32 --pid "${pid_of[b]}"; }

for engine in "${engines[@]}"; do
    check "$engine: an honest link" joined "$engine" || { show a b; end_at any a b; continue; }
    check "$engine: honest traffic" honest_begins
    base_kib=$(rss_kib b)
    begin_late
    for case in "${cases[@]}" "${late[@]}"; do
        read -r what code pattern <<<"$case"
        check "$engine, $what: closed with the reason" is_told "$what" "$code" "$pattern"
    done
    check "$engine: HTTP on this port is logged as such" says_why 'a protocol of text'
    check "$engine: TLS on this port is logged as such" says_why 'speaks TLS, this side does not'
    check "$engine: busbard and the honest link live" lives_well
    check "$engine: at most 64 MiB more" grew_little
    check "$engine: the honest link lost nothing" honest_is_well
    end_at any pub-a

    check "$engine: 32 descriptors" with_few_files
    check "$engine, 1,000 strangers: the old link lives" flooded "$(link_value a ups)"
    check "$engine, 1,000 strangers: accepting does not spin" test "${cpu_percent:-100}" -lt 5
    check "$engine, 1,000 strangers: afterwards new ones are taken" soon takes_new_ones
    check "$engine: all end in order" end_bridge a b
done
finish
