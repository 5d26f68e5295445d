# SPDX-License-Identifier: BSD-3-Clause
# Completion of `busbar` in bash.  Put it where bash-completion looks, as `busbar`, or source it.
#
# Verbs and options come from the program itself (`busbar help --complete words`), so that they are those
# of the busbar that is being typed; buses, nodes, topics, pools, stores from the bus, when there is one.  Looking
# leaves no trace on a bus, makes none, and ends after a second.  What fails gives no candidates.

# _busbar_ask WHAT [PREFIX] - what the program says, on the bus that the line names.
_busbar_ask()
{
    timeout --kill-after=1 1 "$program" ${dir:+--dir "$dir"} ${bus:+-b "$bus"} help --complete "$1" -- "${2-}" \
        2>/dev/null </dev/null
}

# _busbar_split - the line up to the cursor as words[]: bash splits at : and = too, which busbar does not.
_busbar_split()
{
    local i word rest=${COMP_LINE:0:$COMP_POINT} trimmed
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        trimmed=${rest#"${rest%%[![:space:]]*}"}
        if [ "$i" = "$COMP_CWORD" ]; then
            word=$trimmed
        fi
        if [ "$i" -gt 0 ] && [ "$trimmed" = "$rest" ] && [ -n "$rest" ]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        rest=${trimmed#"$word"}
    done
}

# _busbar_plain WORD - in $plain, the word without the quotes and backslashes of the shell.
_busbar_plain()
{
    plain=$1
    case $plain in
    \'*) plain=${plain#\'} plain=${plain%\'} ;;
    \"*) plain=${plain#\"} plain=${plain%\"} ;;
    *) plain=${plain//\\/} ;;
    esac
}

# _busbar_read_table - verbs, nouns and options of the program.
_busbar_read_table()
{
    local kind name a b c
    while IFS=$'\t' read -r kind name a b c; do
        if [ "$kind" = verb ]; then
            operands[$name]=$a
            nouns[${name%% *}]=1
        else
            takes[$name $a]=$b
            values[$name $a]=$c
            spelled[$name]+=" $a"
        fi
    done < <(_busbar_ask words)
}

# _busbar_set OPTION VALUE - remembers which bus the line is about.
_busbar_set()
{
    local plain
    _busbar_plain "$2"
    case $1 in
    --dir) dir=$plain ;;
    -b | --bus) bus=$plain ;;
    esac
}

# _busbar_letters WORD - letters behind one dash; the first that takes a value takes the rest or the next word.
_busbar_letters()
{
    local letters=${1#-} option
    while [ -n "$letters" ]; do
        option=-${letters:0:1}
        letters=${letters:1}
        if [ "${takes[$owner $option]--}" != - ]; then
            if [ -n "$letters" ]; then
                _busbar_set "$option" "$letters"
            else
                pending=$option
            fi
            return
        fi
    done
}

# _busbar_read_line - walks the words before the cursor: the verb, its arguments, an option that wants a value.
_busbar_read_line()
{
    local word
    for word in "${words[@]:1:${#words[@]}-2}"; do
        if [ -n "$pending" ]; then
            _busbar_set "$pending" "$word"
            pending=
        elif [ "$ended" = 0 ] && [ "$word" = -- ]; then
            ended=1
        elif [ "$ended" = 0 ] && [[ $word == --*=* ]]; then
            _busbar_set "${word%%=*}" "${word#*=}"
        elif [ "$ended" = 0 ] && [[ $word == --* ]]; then
            if [ "${takes[$owner $word]--}" != - ]; then
                pending=$word
            fi
        elif [ "$ended" = 0 ] && [[ $word == -?* ]]; then
            _busbar_letters "$word"
        elif [ "$owner" != - ]; then
            arguments+=("$word")
        elif [ -z "$noun" ] && [ -z "${operands[$word]+x}" ] && [ -n "${nouns[$word]+x}" ]; then
            noun=$word
        else
            owner=${noun:+$noun }$word
        fi
    done
}

# _busbar_offer PREFIX CANDIDATE... - those that begin with it, quoted unless the user began a quote.
_busbar_offer()
{
    local candidate
    for candidate in "${@:2}"; do
        if [[ $candidate == "$1"* ]]; then
            if [[ $current != [\'\"]* ]]; then
                printf -v candidate %q "$candidate"
            fi
            COMPREPLY+=("$candidate")
        fi
    done
}

# _busbar_offer_verbs NOUN [programs] - its verbs; without one all verbs and nouns, and programs busbar-VERB of PATH.
_busbar_offer_verbs()
{
    local name found=()
    for name in "${!operands[@]}"; do
        if [ -z "$1" ]; then
            found+=("${name%% *}")
        elif [[ $name == "$1 "* ]]; then
            found+=("${name#* }")
        fi
    done
    if [ -n "${2-}" ] && [ -z "$1" ]; then
        for name in $(compgen -c busbar-); do
            found+=("${name#busbar-}")
        done
    fi
    _busbar_offer "$plain" "${found[@]}"
}

# _busbar_offer_values VALUES - words, or what one of @buses, @nodes, ... stands for.
_busbar_offer_values()
{
    local found=()
    case $1 in
    @buses | @nodes | @topics | @pools | @stores)
        mapfile -t found < <(_busbar_ask "${1#@}" "$plain")
        ;;
    @verbs)
        if [ ${#arguments[@]} -le 1 ]; then
            _busbar_offer_verbs "${arguments[0]-}"
        fi
        ;;
    @groups) mapfile -t found < <(compgen -g -- "$plain") ;;
    @dirs)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$plain")
        ;;
    - | '' | *[A-Z]*) ;;
    *) read -r -a found <<<"$1" ;;
    esac
    _busbar_offer "$plain" "${found[@]}"
}

# _busbar_offer_operand - for the argument at the cursor; the last of the usage may come again.
_busbar_offer_operand()
{
    local list at=${#arguments[@]} one
    read -r -a list <<<"${operands[$owner]-}"
    if [ ${#list[@]} -gt 0 ]; then
        one=${list[-1]}
        if [ "$at" -lt ${#list[@]} ]; then
            one=${list[at]}
        elif [[ $one != *... && $one != @verbs ]]; then
            return
        fi
        _busbar_offer_values "${one%...}"
    fi
}

_busbar()
{
    local program=$1 dir="" bus="" noun="" owner=- pending="" ended=0 plain current i IFS=$' \t\n'
    local words=() arguments=() replies=()
    local -A operands=() nouns=() takes=() values=() spelled=()

    COMPREPLY=()
    program=${program/#~\//$HOME/}
    _busbar_split
    _busbar_read_table
    _busbar_read_line
    current=${words[-1]}
    if [ "$ended" = 0 ] && [ -z "$pending" ] && [[ $current == --*=* ]]; then
        pending=${current%%=*}
        current=${current#*=}
    fi
    _busbar_plain "$current"
    if [ -n "$pending" ]; then
        _busbar_offer_values "${values[$owner $pending]-}"
    elif [ "$ended" = 0 ] && [[ $current == -* ]]; then
        read -r -a replies <<<"${spelled[$owner]-}"
        _busbar_offer "$plain" "${replies[@]}"
    elif [ "$owner" = - ]; then
        _busbar_offer_verbs "$noun" programs
    else
        _busbar_offer_operand
    fi
    # bash puts a candidate in place of what stands behind the last : or = only.
    i=${current%"${current##*[:=]}"}
    if [ -n "$i" ] && [[ $COMP_WORDBREAKS == *"${i: -1}"* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"$i"}")
    fi
    # Each once.
    if [ ${#COMPREPLY[@]} -gt 1 ]; then
        mapfile -t COMPREPLY < <(printf '%s\n' "${COMPREPLY[@]}" | sort -u)
    fi
}

complete -F _busbar busbar
