# SPDX-License-Identifier: BSD-3-Clause
# Completion of `busbard` in bash.  Flags come from the program itself (`busbard --help`), so that they are those of the
# busbard that is being typed; names of buses from `busbar`.  What fails gives no candidates.

_busbard()
{
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words=
    COMPREPLY=()
    case $before in
    -b | --bus)
        words=$(timeout --kill-after=1 1 busbar help --complete buses -- "$current" 2>/dev/null </dev/null)
        ;;
    --engine) words="auto io_uring epoll" ;;
    --slow) words="drop-oldest drop-newest disconnect" ;;
    --cert | --key | --ca | --crl | --psk | --rights | --config)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        return
        ;;
    --listen | --peer | --topics | --name | --cluster | --queue | --ring | --retry-max) return ;;
    *)
        words=$(timeout --kill-after=1 1 "$1" --help 2>/dev/null </dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p')
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _busbard busbard
