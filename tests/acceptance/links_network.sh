#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# links_network.sh SOURCE BUILD - a network that fails as networks do: one way only, packets that are lost, too slow.
#
# Two namespaces and a cable between them; nftables drops, tbf limits.
#   one-way cut   both sides say that the link is lost within 3.5 s, and after it heals there is one link, no half of one
#   1 %, 5 %      of the packets lost at random, each way: nothing is missing, and nobody is thought dead
#   rate limit    with each policy for a slow peer: published = delivered + gaps, to the message
# Environment: BB_MESSAGES (40,000), BB_LOSS_S (seconds at each loss: 2; by night 600), BB_ONE_WAY_S (4; 30),
# BB_ENGINES, BB_SEED.
# bb-timeout: 400
# bb-long
# bb-once: what it does to memory links_cut and unit/link do too.
# shellcheck source=tests/acceptance/links_common.bash
. "$(dirname "${BASH_SOURCE[0]}")/links_common.bash"

messages=${BB_MESSAGES:-40000}
loss_s=${BB_LOSS_S:-2}
one_way_s=${BB_ONE_WAY_S:-4}
retry=$(quick_retry)
netns_can ns || { skip links_network "$netns_why"; exit 77; }
netns_new a b && netns_cable a b || { echo "[FAIL] links_network: no cable"; exit 1; }
net=10.9.$netns_cables
find_engines

joined() # joined ENGINE ARGUMENTS-OF-BOTH...
{
    local engine=$1
    shift
    box_new a ip netns exec "$(netns_name a)"
    box_new b ip netns exec "$(netns_name b)"
    bridge b --insecure --engine "$engine" --listen "$net.2:7000" "$@" || return 1
    soon listens b || return 1
    # shellcheck disable=SC2086
    bridge a --insecure --engine "$engine" --peer "b@$net.2:7000" $retry "$@"
    soon is_up a && soon is_up b
}

# ---- one way ----

# deaf_within MS - cuts what comes into one side; how long until both say so, in $lost_ms.
deaf_within()
{
    local start a_ms='' b_ms=''
    start=$(now_ms)
    netns_deaf "$1" || return 1
    while [ -z "$a_ms" ] || [ -z "$b_ms" ]; do
        lost_ms=$(($(now_ms) - start))
        [ "$lost_ms" -gt 8000 ] && break
        [ -z "$a_ms" ] && is_down a && a_ms=$(($(now_ms) - start))
        [ -z "$b_ms" ] && is_down b && b_ms=$(($(now_ms) - start))
    done
    echo "    a said so after ${a_ms:-never} ms, b after ${b_ms:-never} ms"
    [ -n "$a_ms" ] && [ -n "$b_ms" ] && [ "$a_ms" -le "$2" ] && [ "$b_ms" -le "$2" ]
}
one_link_each() { is_up a 1 && is_up b 1; }
# stays_one - a second long, each 50 ms: one link on each side, and of the same two ends.
stays_one()
{
    local i
    for i in 1 2 3 4 5 6 7 8; do
        one_link_each || return 1
        sleep 0.05
    done
    # The kernel too has one connection, not the half of another.
    [ "$(in_ns a ss -Htn state established | wc -l)" = 1 ] && [ "$(in_ns b ss -Htn state established | wc -l)" = 1 ]
}
passes_traffic() # passes_traffic - a little of it, after all that, both verdicts good
{
    traffic sub-b b sub expect=2000 seconds=30
    soon has_said sub-b '^ready' || { show sub-b; return 1; }
    traffic pub-a a pub messages=2000
    finished sub-b 40 || { show sub-b; return 1; }
    end_at 0 pub-a
}

one_way()
{
    local side
    for side in b a; do
        check "$1, one way, $side hears nothing: both say so within 3.5 s" deaf_within $side 3500
        sleep "$((one_way_s - 3))" # it goes on; each side tries again
        check "$1, one way, $side hears nothing: no link meanwhile" is_down b
        netns_hear $side
        check "$1, one way, $side: healed" soon one_link_each
        check "$1, one way, $side: one link and not a half more" soon stays_one
        check "$1, one way, $side: it carries" passes_traffic
    done
}

# ---- packets lost ----

lossy_traffic() # lossy_traffic PERCENT
{
    local count=$((loss_s * 10000)) good=0
    netns_lose a "$1" && netns_lose b "$1" || return 1
    traffic sub-b b sub "expect=$count" "seconds=$((loss_s * 4 + 40))"
    soon has_said sub-b '^ready' || { show sub-b; return 1; }
    traffic pub-a a pub "messages=$count" rate=10000 bytes=200
    finished sub-b $((loss_s * 4 + 60)) || good=1
    netns_lose a 0
    netns_lose b 0
    end_at 0 pub-a || good=1
    tail -n 1 "$box/sub-b.out" | sed 's/^/    /'
    [ $good = 0 ] && [ "$(value sub-b gaps)" = 0 ] && [ "$(value sub-b received)" = "$count" ]
}
no_false_death() { [ "$(link_value a ups)" = 1 ] && [ "$(link_value b ups)" = 1 ]; }

# ---- too slow ----

# limited_traffic - more than the link carries; afterwards all is counted.
limited_traffic()
{
    local good=0
    traffic sub-b b sub "expect=$messages" seconds=60
    soon has_said sub-b '^ready' || { show sub-b; return 1; }
    netns_limit a b 16mbit
    traffic pub-a a pub "messages=$messages" rate=50000 bytes=300
    soon has_said pub-a '^published' || good=1
    finished sub-b 80 || good=1
    netns_limit a b none
    balanced pub-a sub-b a b || good=1
    [ $good = 0 ] || show sub-b a b
    end_at 0 pub-a || good=1
    return $good
}

for engine in "${engines[@]}"; do
    if netns_can nft; then
        if check "$engine: the link comes up" joined "$engine"; then
            one_way "$engine"
        fi
        end_bridge a b
        if check "$engine: the link comes up" joined "$engine" --queue 64M; then
            for percent in 1 5; do
                check "$engine, $percent % of packets lost: nothing is missing" lossy_traffic $percent
            done
            check "$engine, packets lost: nobody was thought dead" no_false_death
        fi
        end_bridge a b
    else
        skip "one-way cuts and lost packets" "$netns_why"
    fi
    if netns_can tbf; then
        for slow in drop-oldest drop-newest disconnect; do
            [ $slow = drop-oldest ] || on_this_engine || continue
            if check "$engine, $slow: the link comes up" joined "$engine" --queue 256K --slow $slow; then
                check "$engine, $slow: 16 Mbit/s, counted to the message" limited_traffic
                check "$engine, $slow: it was too slow indeed" test "$(value sub-b gaps)" -gt 0
            fi
            end_bridge a b
        done
    else
        skip "rate limit" "$netns_why"
    fi
done
finish
