#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# links_cut.sh SOURCE BUILD - a link that is cut again and again loses nothing silently, repeats and reorders nothing.
#
# Messages of several rings go both ways at once while an emulator (tests/support/link/linkemu.c) or a pulled cable
# cuts the link.  With a roomy queue not one may be missing; with a narrow one exactly those that gaps report; the
# counters of both busbards are the subscribers' own.  Also: bits that change on the way, delay, and stand-still within
# frames.  On both engines.
# Environment: BB_MESSAGES (each way; 40,000, by night 10,000,000), BB_CUTS (4, by night 100), BB_RATE (messages a second,
# so that the traffic outlasts the cuts), BB_ENGINES, BB_SEED, BB_OTHER (7: every so manieth message more is of a topic that
# nobody wants; 0 by night: a ring that is overwritten before the link read it loses these as well, and gaps count them).
# bb-timeout: 400
# bb-long
# shellcheck source=tests/acceptance/links_common.bash
. "$(dirname "${BASH_SOURCE[0]}")/links_common.bash"

messages=${BB_MESSAGES:-40000}
cuts=${BB_CUTS:-4}
retry=$(quick_retry)
rate=${BB_RATE:-$((messages / (cuts * 3 / 2 + 2)))} # the traffic outlasts the cuts, of some second each
other=${BB_OTHER:-7}
patience=$((60 + messages / rate + cuts * 3))
find_engines

# joined ENGINE QUEUE - boxes a and b, the emulator between: b listens, a dials.
joined()
{
    box_new a
    box_new b
    bridge b --insecure --engine "$1" --queue "$2" --listen 127.0.0.1:0 || return 1
    soon listens b && emulator emu "$(port_of b)" || return 1
    # shellcheck disable=SC2086
    bridge a --insecure --engine "$1" --queue "$2" --peer "b@127.0.0.1:$emu_port" $retry
    soon is_up a && soon is_up b
}

# cabled ENGINE QUEUE - the same with a cable between two namespaces.
cabled()
{
    box_new a ip netns exec "$(netns_name a)"
    box_new b ip netns exec "$(netns_name b)"
    bridge b --insecure --engine "$1" --queue "$2" --listen "$cable.2:7000" || return 1
    soon listens b || return 1
    # shellcheck disable=SC2086
    bridge a --insecure --engine "$1" --queue "$2" --peer "b@$cable.2:7000" $retry
    soon is_up a && soon is_up b
}

# traffic_both [NAME=VALUE...] - subscribers on both sides, then publishers on both.
traffic_both()
{
    local way
    traffic sub-b b sub way=ab "expect=$messages" seconds=$patience
    traffic sub-a a sub way=ba "expect=$messages" seconds=$patience
    for way in a b; do
        soon has_said "sub-$way" '^ready' || { show "sub-$way"; return 1; }
    done
    traffic pub-a a pub way=ab "messages=$messages" "rate=$rate" rings=4 "other=$other" "$@"
    traffic pub-b b pub way=ba "messages=$messages" "rate=$rate" rings=4 "other=$other" "$@"
}
# both_even - the verdicts of both directions, from the subscribers and the bridges.
both_even()
{
    local good=0
    finished sub-b $patience || good=1
    finished sub-a $patience || good=1
    soon has_said pub-a '^published' && soon has_said pub-b '^published' || good=1
    balanced pub-a sub-b a b || good=1
    balanced pub-b sub-a b a || good=1
    [ $good = 0 ] || show sub-a sub-b a b
    return $good
}
no_gaps() { [ "$(value sub-a gaps)" = 0 ] && [ "$(value sub-b gaps)" = 0 ]; }
some_gaps() { [ $(($(value sub-a gaps) + $(value sub-b gaps))) -gt 0 ]; }
all_end() { end_at 0 pub-a pub-b && end_bridge a b && { [ -z "${pid_of[emu]:-}" ] || end_at any emu; }; }

is_up_again() { [ "$(link_value a ups)" -gt "$1" ] && is_up a && is_up b; }
# cut_once - at a moment of chance, by RST or by silence; the last lasts until heartbeats find it.
cut_once()
{
    local before
    before=$(link_value a ups)
    sleep "0.0$(between 1 9)"
    case $1 in
    reset) emu reset ;;
    silence) emu cut && sleep "0.$(between 1 5)" && emu reset && emu open ;; # open alone leaves it, when no byte was lost
    dead) emu cut && soon is_down a && soon is_down b && emu open ;;
    esac
    soon is_up_again "$before"
}
cut_often()
{
    local i kinds=(reset silence)
    for ((i = 1; i < cuts; i++)); do
        cut_once "${kinds[RANDOM % 2]}" || { echo "    cut $i: the link did not come again"; return 1; }
    done
    cut_once dead
}
pull_often()
{
    local i
    for ((i = 1; i <= (cuts + 1) / 2; i++)); do
        netns_pull a b && sleep "$(between 0 1).$(between 2 9)" && netns_plug a b || return 1
        soon is_up a && soon is_up b || { echo "    pull $i: the link did not come again"; return 1; }
    done
    netns_pull a b && soon is_down a && soon is_down b && netns_plug a b && soon is_up a && soon is_up b
}

for engine in "${engines[@]}"; do
    for queue in 64M 256K; do
        [ $queue = 64M ] || on_this_engine || continue
        name="$engine, queue $queue"
        check "$name: the link comes up" joined "$engine" $queue || { show a b; continue; }
        check "$name: traffic both ways" traffic_both
        check "$name: $cuts cuts, by RST and silence" cut_often
        check "$name: none twice, in order, missing only as reported, counts equal" both_even
        if [ $queue = 64M ]; then
            check "$name: nothing is missing at all" no_gaps
        else
            check "$name: some were lost, so gaps were seen" some_gaps
        fi
        check "$name: all end in order" all_end
    done

    # Bits change: found by checksums, the link begins anew, nothing wrong is delivered.
    name="$engine, changed bits"
    messages_before=$messages
    messages=$((messages * 3 / 8)) # the emulator is slow here
    [ "$messages" -le 100000 ] || messages=100000
    if check "$name: the link comes up" joined "$engine" 64M; then
        emu flip 300000 && emu delay 20 && emu stall 50000 5
        check "$name: traffic both ways" traffic_both bytes=400
        check "$name: not one is wrong, none is missing" both_even
        check "$name: nothing is missing at all" no_gaps
        flips() { emu count && [ "$(sed -n 's/.*flips \([0-9]*\) .*/\1/p' "$box/emu.out" | tail -n 1)" -gt 0 ]; }
        check "$name: bits were changed" flips
        check "$name: and found: the link began anew" test "$(link_value a ups)" -gt 1
        check "$name: all end in order" all_end
    fi
    messages=$messages_before
done

if netns_can ns; then
    netns_new a b && netns_cable a b
    cable=10.9.$netns_cables
    for engine in "${engines[@]}"; do
        name="$engine, cable"
        check "$name: the link comes up" cabled "$engine" 64M || { show a b; continue; }
        check "$name: traffic both ways" traffic_both
        check "$name: pulled and plugged" pull_often
        check "$name: none twice, in order, missing only as reported, counts equal" both_even
        # A cable that is out for seconds, and what TCP waits afterwards, is more than 64 MiB when it goes fast.
        [ "$rate" -gt 20000 ] || check "$name: nothing is missing at all" no_gaps
        check "$name: all end in order" all_end
    done
else
    skip "cable" "$netns_why"
fi
finish
