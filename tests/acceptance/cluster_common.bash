# SPDX-License-Identifier: BSD-3-Clause
# cluster_common.bash - nodes of a cluster for cli_cluster.sh and cli_print.sh; sourced after cli_common.bash.

node=$box/cluster_node
declare -A pid_of

# build_node - cluster_node.c as a program of people would be built.
build_node()
{
    # shellcheck disable=SC2086
    cc -std=c17 -D_GNU_SOURCE -O1 ${BB_SANITIZE:+-fsanitize=$BB_SANITIZE} -I"$build_dir/include" \
        -I"$source_dir/lib/include" "$source_dir/tests/acceptance/cluster_node.c" "$build_dir/lib/libbusbar.a" \
        -lpthread -o "$node"
}

# join NAME ROLE [PREFIX] - in the background; pid in ${pid_of[NAME]}.
join()
{
    "$node" "$@" >"$box/$1.out" 2>"$box/$1.err" &
    pid_of[$1]=$!
    children+=("$!")
}

# state NAME - as `cluster status` has it; its exit code is of no matter here.
state() { b cluster status --json 2>/dev/null | jq -r --arg n "$1" '.nodes[] | select(.name == $n) | .state'; }
is_state() { [ "$(state "$1")" = "$2" ]; }
has_states() # has_states STATE NAME...
{
    local name
    for name in "${@:2}"; do
        is_state "$name" "$1" || return 1
    done
}

# stop NAME, go_on NAME, kill_node NAME, end NAME - and it has come to that.
stop() { kill -STOP "${pid_of[$1]}" && soon is_state "$1" stopped; }
go_on() { kill -CONT "${pid_of[$1]}" && soon is_state "$1" up; }
kill_node()
{
    kill -KILL "${pid_of[$1]}"
    wait "${pid_of[$1]}" 2>/dev/null
    soon is_state "$1" down
}
end() { kill -TERM "${pid_of[$1]}" && soon is_state "$1" left; }
