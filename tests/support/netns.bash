# SPDX-License-Identifier: BSD-3-Clause
# netns.bash - network namespaces joined by cables, for scripts that want a real network that fails.
#
# Sourced.  Names hold the script's pid, so that runs side by side do not meet; netns_end takes all down again, and must
# be in the script's trap.  `netns_can WHAT` asks whether this kernel and these tools can: ns, nft, tbf.  Needs root.
#
#   netns_new a b            makes namespaces, their lo up
#   netns_cable a b          a veth pair between the two: a has 10.9.N.1, b has 10.9.N.2; each end is named as the other
#   in_ns a COMMAND...       runs it there
#   netns_pull a b, netns_plug a b        the cable down, up
#   netns_lose a PERCENT     of what comes into a, so many of a hundred packets are dropped at random; 0 ends it
#   netns_deaf a, netns_hear a            drops all that comes into a, from everybody but lo: a one-way cut; ends it
#   netns_limit a b RATE     what a sends to b: `tc` words, as 4mbit; `netns_limit a b none` ends it

netns_names=()
netns_cables=0

netns_name() { echo "bb$$-$1"; }
in_ns()
{
    local name=$1
    shift
    ip netns exec "$(netns_name "$name")" "$@"
}

netns_new()
{
    local name
    for name; do
        ip netns add "$(netns_name "$name")" || return 1
        netns_names+=("$(netns_name "$name")")
        in_ns "$name" ip link set lo up || return 1
    done
}

netns_cable()
{
    netns_cables=$((netns_cables + 1))
    local net=10.9.$netns_cables
    ip link add "to-$2" netns "$(netns_name "$1")" type veth peer name "to-$1" netns "$(netns_name "$2")" || return 1
    in_ns "$1" ip address add "$net.1/24" dev "to-$2" && in_ns "$2" ip address add "$net.2/24" dev "to-$1" \
        && netns_plug "$1" "$2"
}

netns_pull() { in_ns "$1" ip link set "to-$2" down && in_ns "$2" ip link set "to-$1" down; }
netns_plug() { in_ns "$1" ip link set "to-$2" up && in_ns "$2" ip link set "to-$1" up; }

# netns_drop NAME RULE - the one rule of that namespace; none when empty.
netns_drop()
{
    in_ns "$1" nft delete table inet busbar 2>/dev/null
    [ -z "$2" ] && return 0
    in_ns "$1" nft -f - <<RULES
table inet busbar {
    chain in {
        type filter hook input priority 0;
        iifname "lo" accept
        $2
    }
}
RULES
}
netns_lose()
{
    if [ "$2" = 0 ]; then
        netns_drop "$1" ""
    else
        netns_drop "$1" "numgen random mod 100 < $2 drop"
    fi
}
netns_deaf() { netns_drop "$1" drop; }
netns_hear() { netns_drop "$1" ""; }

netns_limit()
{
    in_ns "$1" tc qdisc del dev "to-$2" root 2>/dev/null
    [ "$3" = none ] || in_ns "$1" tc qdisc add dev "to-$2" root tbf rate "$3" burst 32kb latency 200ms
}

# netns_can WHAT - quiet; `netns_why` says what is missing.
netns_why=
netns_can()
{
    local able=1
    netns_why=
    case $1 in
    ns)
        [ "$(id -u)" = 0 ] || { netns_why="needs root"; return 1; }
        command -v ip >/dev/null || { netns_why="there is no ip here; install the package iproute2"; return 1; }
        netns_new can 2>/dev/null || able=0
        ip netns del "$(netns_name can)" 2>/dev/null
        netns_why="this kernel makes no network namespaces for us"
        ;;
    nft)
        command -v nft >/dev/null || { netns_why="there is no nft here; install the package nftables"; return 1; }
        unshare -n nft 'add table inet t; add chain inet t c; add rule inet t c numgen random mod 100 < 1 drop' \
            2>/dev/null || able=0
        netns_why="this kernel's nftables refuses numgen"
        ;;
    tbf)
        command -v tc >/dev/null || { netns_why="there is no tc here; install the package iproute2"; return 1; }
        unshare -n tc qdisc add dev lo root tbf rate 1mbit burst 32kb latency 50ms 2>/dev/null || able=0
        netns_why="this kernel's tc refuses tbf"
        ;;
    esac
    [ $able = 1 ]
}

netns_end()
{
    local name pids
    for name in "${netns_names[@]}"; do
        # What still runs there are children of this script that its own clean-up missed.
        pids=$(ip netns pids "$name" 2>/dev/null)
        # shellcheck disable=SC2086
        [ -z "$pids" ] || kill -KILL $pids 2>/dev/null
        ip netns del "$name" 2>/dev/null
    done
    netns_names=()
}
