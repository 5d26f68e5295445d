#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: `busbar pool where` names the node that owns a key, without a bus and as the nodes of a bus do.
# Method: Zeek's winners (BB_DATA) and own rows; then real nodes (pool_node.c), each of which says itself who
# owns which key, before a kill, after it, and when the killed one is back.
. "$(dirname "$0")/cli_common.bash"

where() { run "$1" "$busbar" pool where "${@:2}"; }
exactly() { printf '%s\n' "$@" | cmp -s - "$out"; }
answers() { where 0 "${@:2}" && exactly "$1"; } # answers NAME ARGUMENTS...
refuses() { where 2 "${@:2}" && says "$1" && silent "$out"; } # refuses SENTENCE ARGUMENTS...

# ---- without a bus ---------------------------------------------------------------------------------

three=proxy-1,proxy-2,proxy-3
seed=0123456789abcdeffedcba9876543210

check all_alive answers proxy-3 --nodes $three 10.0.2.15
check one_dead answers proxy-3 --nodes $three --alive proxy-1,proxy-3 10.0.2.15
check owner_dead answers proxy-2 --nodes $three --alive proxy-1,proxy-2 10.0.2.15
check if_down answers proxy-2 --nodes $three --if-down proxy-3 10.0.2.15
check ranks answers proxy-1 --nodes $three --rank 2 10.0.2.15
check empty_key answers proxy-1 --nodes $three ''
check zeek_is_the_default answers proxy-3 --nodes $three --zeek 10.0.2.15
check keyed answers proxy-2 --nodes $three,proxy-4 --seed $seed 192.150.187.43
check a_short_seed_has_zeros_before_it where 0 --json --nodes $three --seed 7 k
mv "$out" "$box/short"
check the_same_in_full where 0 --json --nodes $three --seed 00000000000000000000000000000007 k
check are_one cmp -s "$box/short" "$out"
check json where 0 --json --nodes $three 10.0.2.15
check json_has_owner_and_next exactly '{"key":"10.0.2.15","owner":"proxy-3","next":"proxy-2"}'
check json_of_the_last where 0 --json --nodes $three --rank 2 10.0.2.15
check json_has_no_next json '.owner == "proxy-1" and .next == null and .rank == 2'

check nobody_alive where 1 --nodes $three --alive '' 10.0.2.15
check nobody_is_said says 'none of 3 nodes is alive'
check nobody_in_json where 1 --json --nodes $three --alive '' 10.0.2.15
check null_for_nobody json '.owner == null and .next == null'
check beyond_the_last where 1 --nodes $three --alive proxy-2 --rank 1 10.0.2.15
check rank_is_said says 'no node has rank 1'
check no_such_node where 4 --nodes $three --if-down proxy-4 10.0.2.15

check alive_beyond_nodes refuses 'which --nodes has not' --nodes a,b --alive a,c k
check node_twice refuses 'has "a" twice' --nodes a,b,a k
check node_without_a_name refuses 'is empty' --nodes a,,b k
check alive_without_nodes refuses 'a bus says itself' --alive a k
check pool_and_nodes refuses 'give one of them' --nodes a --pool p k
check seed_and_zeek refuses 'has no seed' --nodes a --zeek --seed 1 k
check seed_is_no_number refuses 'hexadecimal' --nodes a --seed 0x1 k
check seed_too_long refuses 'hexadecimal' --nodes a --seed "${seed}0" k
check too_many_nodes refuses 'at most 512' --nodes "$(seq -s, 513)" k

# Each row of Zeek's list; a tab is white space to read, which would swallow empty keys.
zeeks_winners()
{
    local all live key winner rows=0
    while IFS=$'\001' read -r all live key winner; do
        [ "$("$busbar" pool where --nodes "$all" --alive "$live" -- "$key")" = "$winner" ] \
            || { echo "    all $all, live $live, key $key: not $winner"; return 1; }
        rows=$((rows + 1))
    done < <(tr '\t' '\001' <"$BB_DATA/broker/hrw.tsv")
    [ $rows = 200 ]
}
if [ -n "${BB_DATA:-}" ]; then
    check zeeks_winners zeeks_winners
else
    echo "zeeks_winners: no BB_DATA here, so the list itself was not compared"
fi

# ---- on a bus --------------------------------------------------------------------------------------

check no_bus where 4 10.0.2.15

node=$box/pool_node
# shellcheck disable=SC2086
check the_node_builds cc -std=c17 -D_GNU_SOURCE -O1 ${BB_SANITIZE:+-fsanitize=$BB_SANITIZE} -I"$build_dir/include" \
    -I"$source_dir/lib/include" "$source_dir/tests/acceptance/pool_node.c" "$build_dir/lib/libbusbar.a" \
    -lpthread -o "$node"

declare -A pid_of
method=
mapfile -t keys < <(printf '10.0.2.%d\n' {1..30}) # so many that each of three nodes has some, whatever the seed
join() # join NAME
{
    "$node" "$1" "$method" "${keys[@]}" >"$box/$1.out" 2>"$box/$1.err" &
    pid_of[$1]=$!
    children+=("$!")
}

# owners POOL [ARGUMENT...] - of all keys, as the verb names them; names [POOL] - the different ones, in order.
owners()
{
    local key flags=()
    [ $method = zeek ] && flags=(--zeek)
    for key in "${keys[@]}"; do
        b pool where "${flags[@]}" --pool "$@" "$key" 2>/dev/null || echo -
    done | paste -sd ' '
}
# agree NAME... - what each of these nodes said last is what the verb says.
agree()
{
    local name now
    now="$(owners proxy) $(owners few)"
    for name in "$@"; do
        [ "$(tail -n 1 "$box/$name.out")" = "$now" ] || return 1
    done
}
owns() { owners proxy | tr ' ' '\n' | grep -qx "$1"; }
owns_nothing() { ! owns "$1"; }

# Only the keys of $2 moved, each to whom --if-down named: $1 before, $3 now, $4 as named.
only_its_keys_moved()
{
    local gone=$2 i
    local -a before now named
    read -ra before <<<"$1"
    read -ra now <<<"$3"
    read -ra named <<<"$4"
    for i in "${!before[@]}"; do
        if [ "${before[i]}" = "$gone" ]; then
            [ "${now[i]}" = "${named[i]}" ] && [ "${now[i]}" != "$gone" ]
        else
            [ "${now[i]}" = "${before[i]}" ]
        fi || return 1
    done
}

for method in keyed zeek; do
    for name in proxy-1 proxy-2 proxy-3; do
        join $name
    done
    all_own() { [ "$(owners proxy | tr ' ' '\n' | grep -v '^-$' | sort -u | wc -l)" = 3 ]; }
    check ${method}_all_take_part soon all_own
    check ${method}_nodes_say_the_same soon agree proxy-1 proxy-2 proxy-3
    before=$(owners proxy)
    named=$(owners proxy --if-down proxy-2)
    [ $method = zeek ] && check zeek_on_a_bus_is_zeek_without answers "${before%% *}" --nodes $three "${keys[0]}"

    kill -KILL "${pid_of[proxy-2]}"
    wait "${pid_of[proxy-2]}" 2>/dev/null
    check ${method}_the_dead_owns_nothing soon owns_nothing proxy-2
    check ${method}_only_its_keys_moved only_its_keys_moved "$before" proxy-2 "$(owners proxy)" "$named"
    check ${method}_the_others_say_the_same soon agree proxy-1 proxy-3

    join proxy-2
    check ${method}_it_is_back soon all_own
    check ${method}_its_keys_are_back [ "$(owners proxy)" = "$before" ]
    check ${method}_all_say_the_same_again soon agree proxy-1 proxy-2 proxy-3

    check ${method}_no_such_pool where 4 --pool nothing 10.0.2.15
    check ${method}_pool_is_named says 'no pool "nothing"'
    for name in proxy-1 proxy-2 proxy-3; do
        kill -TERM "${pid_of[$name]}"
        check ${method}_${name}_leaves ends "${pid_of[$name]}"
    done
    check ${method}_nobody_is_left where 1 10.0.2.15
done

finish
