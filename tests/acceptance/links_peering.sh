#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# links_peering.sh SOURCE BUILD - how links come, go and come again, and what subscribers are told of it.
#
# Broker's cases of peering in our words (shared/reference/broker.md 8.3): 22 added on both sides, 23 removed and lost,
# 24 a box that dies and comes again, 25 nobody listens there yet, 31 both sides dial at once, 32 a full mesh, 37 which
# messages survive a full queue, 40 interest that comes after the link; and net-store.md E5 24, a bridge that is killed
# with messages on their way.  Statuses are those that `traffic sub` counts, in order with the link's messages.
# Environment: BB_KILLS (3; by night 500), BB_CROSSINGS (2: both dial at once; by night 100), BB_ALL, BB_ENGINES, BB_SEED.
# bb-timeout: 300
# bb-long
# bb-once
# shellcheck source=tests/acceptance/links_common.bash
. "$(dirname "${BASH_SOURCE[0]}")/links_common.bash"

kills=${BB_KILLS:-3}
crossings=${BB_CROSSINGS:-2}
retry=$(quick_retry)
port=$((20000 + RANDOM % 10000)) # of boxes that must be found again at the same place

listen_at() # listen_at NAME PORT WORDS...
{
    local name=$1 at_port=$2
    shift 2
    bridge "$name" --insecure --engine "$engine" --listen "127.0.0.1:$at_port" "$@"
    soon listens "$name" || { show "$name"; return 1; }
}
dial_to() # dial_to NAME OTHER@PORT... - keeps links to all of them
{
    local name=$1 other words=()
    shift
    for other; do
        words+=(--peer "${other%@*}@127.0.0.1:${other#*@}")
    done
    # shellcheck disable=SC2086
    bridge "$name" --insecure --engine "$engine" "${words[@]}" $retry
}
# watch NAME - statuses from now on; ended by verdict NAME, which leaves its counts for `value watch-NAME ...`.
watch()
{
    traffic "watch-$1" "$1" sub expect=1000000000 boxes=0 seconds=200 trace=1 way=watch
    soon has_said "watch-$1" '^ready'
}
verdict() { end_at any "watch-$1"; }
told() # told NAME WORD COUNT - of the watcher that is still there: by its trace
{
    local kind
    case $2 in
    added) kind=8 ;;
    removed) kind=9 ;;
    lost) kind=10 ;;
    unavailable) kind=11 ;;
    esac
    [ "$(grep -c "^status $kind " "$box/watch-$1.err")" -ge "$3" ]
}
told_exactly() { [ "$(value "watch-$1" "$2")" = "$3" ] || { echo "    $1 was told $2 $(value "watch-$1" "$2") times"; return 1; }; }
# passes FROM TO - a little traffic, all of it
passes()
{
    local way=p$RANDOM
    traffic pass-sub "$2" sub expect=500 seconds=20 "way=$way" boxes=1
    soon has_said pass-sub '^ready' || { show pass-sub; return 1; }
    traffic pass-pub "$1" pub messages=500 "way=$way"
    finished pass-sub 30 || { show pass-sub; return 1; }
    end_at 0 pass-pub
}

both_are_told() # 22, 40
{
    listen_at a 0 && watch a && box_new b && dial_to b "a@$(port_of a)" && soon is_up b && soon told a added 1
}
taken_down() # 23: b takes it down by bb_unpeer(); a is told that it is lost
{
    at b timeout 10 "$tools/traffic" unpeer bus host=127.0.0.1 "port=$(port_of a)" || return 1
    soon told b removed 1 && soon told a lost 1
}

never_there() { [ "$(at b timeout 10 "$tools/traffic" unpeer bus host=127.0.0.1 port=9 2>&1)" = "status -2" ]; }
once_fails() { [ "$(at b timeout 20 "$tools/traffic" peer bus host=127.0.0.1 port=9 once=1 2>&1)" = "status -111" ]; }

dies_and_comes_again() # 24
{
    listen_at a $port && box_new b && dial_to b a@$port && soon is_up b && watch b || return 1
    kill -KILL "${pid_of[a]}" && wait "${pid_of[a]}" 2>/dev/null
    soon told b lost 1 || { echo "    b is not told that it is lost"; return 1; }
    soon told b unavailable 1 || { echo "    b is not told that nobody listens there"; return 1; }
    listen_at a $port && soon told b added 1 && soon is_up b && passes a b && passes b a
}
nobody_there() # 25
{
    box_new b
    dial_to b a@$((port + 1)) && soon attached_at b && watch b && soon told b unavailable 2 || return 1
    listen_at a $((port + 1)) && soon told b added 1 && soon is_up b
}
attached_at() { BUSBAR_DIR=$box/$1 BUSBAR_BUS=bus attached busbard; }

at_once() # 31: each dials the other, again and again; one link, told once
{
    local i good=0 crossed
    for ((i = 1; i <= crossings; i++)); do
        box_new a
        box_new b
        crossed=$((port + 10 + 2 * i))
        # shellcheck disable=SC2086
        bridge a --insecure --engine "$engine" --listen 127.0.0.1:$crossed --peer "b@127.0.0.1:$((crossed + 1))" $retry
        # shellcheck disable=SC2086
        bridge b --insecure --engine "$engine" --listen 127.0.0.1:$((crossed + 1)) --peer "a@127.0.0.1:$crossed" $retry
        soon is_up a 1 && soon is_up b 1 && sleep 0.5 && is_up a 1 && is_up b 1 && passes a b && passes b a || good=1
        # One connection between them, not two.
        crossed=$(ss -Htn state established "( dport = :$crossed or dport = :$((crossed + 1)) )" | wc -l)
        [ "$crossed" = 1 ] || { echo "    $crossed connections"; good=1; }
        [ $good = 0 ] || { show a b; links a; links b; }
        end_bridge a b || good=1
    done
    return $good
}

mesh() # 32: four boxes, each dials those before it
{
    local i j known=() good=0
    for i in 1 2 3 4; do
        box_new "m$i"
        local words=()
        for j in "${known[@]}"; do
            words+=(--peer "$j@127.0.0.1:$(port_of "$j")")
        done
        listen_at "m$i" 0 "${words[@]}" || return 1
        known+=("m$i")
    done
    for i in "${known[@]}"; do
        soon is_up "$i" 3 || { echo "    $i has $(ups "$i") links"; good=1; }
    done
    passes m1 m4 && passes m3 m2 || good=1
    end_bridge "${known[@]}" || good=1
    return $good
}

# 37: while the peer is away, 2,000 messages for a queue that holds some of them.
full_queue() # full_queue POLICY
{
    local good=0 received first last
    listen_at b 0 && emulator emu "$(port_of b)" && box_new a || return 1
    # shellcheck disable=SC2086
    bridge a --insecure --engine "$engine" --queue 256K --slow "$1" --peer "b@127.0.0.1:$emu_port" $retry
    soon is_up a || return 1
    traffic sub-b b sub expect=2000 seconds=40
    soon has_said sub-b '^ready' || return 1
    # Down, so that nothing is on its way: what was sent already is never dropped.
    emu cut && soon is_down a && soon is_down b || return 1
    traffic pub-a a pub messages=2000 rings=1 topics=1 bytes=4000 rate=20000
    soon has_said pub-a '^published'
    settled() { [ "$(link_value a dropped)" -ge 1000 ]; }
    soon settled || good=1
    emu open
    finished sub-b 60 || good=1
    balanced pub-a sub-b a b || good=1
    first=$(value sub-b first_number) last=$(value sub-b last_number) received=$(value sub-b received)
    echo "    $1: received $received, from number $first to $last"
    case $1 in
    drop-oldest) [ "$last" = 2000 ] || good=1 ;; # the newest survive
    drop-newest) [ "$first" = 1 ] && [ "$last" -le 2000 ] || good=1 ;; # the oldest do
    esac
    [ "$(value sub-b gaps)" -gt 0 ] || good=1
    end_at 0 pub-a || good=1
    end_bridge a b || good=1
    end_at any emu
    [ $good = 0 ] || show a b sub-b
    return $good
}

# A bridge is killed with messages on their way.  On the reader's side what it may have had is uncertain, and said so;
# on the writer's side what it had not sent is gone with it, so only order and repetition are asked.
killed() # killed READER|WRITER
{
    local i good=0 victim
    listen_at b $((port + 3)) && box_new a && dial_to a b@$((port + 3)) && soon is_up a || return 1
    traffic sub-b b sub expect=100000000 seconds=120 way=k
    soon has_said sub-b '^ready' || return 1
    traffic pub-a a pub messages=100000000 rate=20000 way=k
    for ((i = 0; i < kills; i++)); do
        sleep "0.$(between 2 6)"
        victim=b
        [ "$1" = writer ] && victim=a
        kill -KILL "${pid_of[$victim]}" && wait "${pid_of[$victim]}" 2>/dev/null
        if [ $victim = b ]; then
            listen_at b $((port + 3)) || good=1
        else
            dial_to a b@$((port + 3))
        fi
        soon is_up a && soon is_up b || { echo "    kill $i: no link again"; good=1; break; }
    done
    sleep 0.3
    end_at 0 pub-a || good=1
    sleep 0.5
    end_at any sub-b
    tail -n 1 "$box/sub-b.out" | sed 's/^/    /'
    [ "$(value sub-b duplicates)" = 0 ] && [ "$(value sub-b disorder)" = 0 ] && [ "$(value sub-b corrupt)" = 0 ] || good=1
    # Nothing is missing that was not told, as long as the writer lives.
    [ "$1" = writer ] || [ "$(value sub-b silent)" = 0 ] || good=1
    [ $good = 0 ] || show a b
    end_bridge a b || good=1
    return $good
}

find_engines
for engine in "${engines[@]}"; do
    box_new a
    box_new b
    check "$engine, 22: both sides are told that it is there" both_are_told || show a b
    watch b
    check "$engine, 40: interest that came after the link is known" passes a b
    check "$engine, 23: taken down here, lost there" taken_down || show a b
    verdict a
    verdict b
    check "$engine, 23: each once" told_exactly a lost 1
    check "$engine, 26: taking down what was never there is refused" never_there
    check "$engine, 25: a peer once, where nobody is, fails at once" once_fails
    check "$engine: all end in order" end_bridge a b

    box_new a
    check "$engine, 24: a box dies and comes again" dies_and_comes_again || show a b
    verdict b
    check "$engine: all end in order" end_bridge a b
    box_new a
    check "$engine, 25: nobody there, until somebody is" nobody_there || show a b
    verdict b
    check "$engine: all end in order" end_bridge a b
    check "$engine, 31: both dial at once, one link" at_once
    check "$engine, 32: a mesh of four" mesh
    for slow in drop-oldest drop-newest disconnect; do
        [ $slow = drop-oldest ] || on_this_engine || continue
        box_new a
        box_new b
        check "$engine, 37: full queue, $slow" full_queue $slow
    done
    for side in reader writer; do
        box_new a
        box_new b
        check "$engine, killed $kills times, the $side's bridge" killed $side
    done
done
finish
