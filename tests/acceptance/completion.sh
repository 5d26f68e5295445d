#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: TAB completes verbs, nouns, options and their values from the program's table, and the names of
# buses, nodes and topics from the bus; it makes no bus, never waits, and is silent about failures.
# Method: calls the completion function as bash does, with the words that bash would make of a line.
# bb-long
. "$(dirname "$0")/cli_common.bash" "$@"

. "$source_dir/tools/completion/busbar.bash"
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'

# tab LINE - completes at its end; the candidates in $found, a blank between them; whatever is said, in $err.
# As readline does, blanks outside quotes part words, and : and = are words of their own.
tab()
{
    local letter word='' quote=''
    COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=() COMPREPLY=()
    while IFS= read -r -n 1 -d '' letter; do
        if [ -n "$quote" ]; then
            word+=$letter
            [ "$letter" = "$quote" ] && quote=
        elif [ "${word: -1}" = \\ ]; then
            word+=$letter
        elif [ "$letter" = ' ' ]; then
            [ -n "$word" ] && COMP_WORDS+=("$word")
            word=
        elif [[ $letter == [:=] ]]; then
            [ -n "$word" ] && COMP_WORDS+=("$word")
            COMP_WORDS+=("$letter")
            word=
        else
            [[ $letter == [\'\"] ]] && quote=$letter
            word+=$letter
        fi
    done < <(printf %s "$1")
    # Behind : or = bash completes an empty word, unless that sign is the end itself.
    if [ -n "$word" ] || [[ $1 != *[:=] ]]; then
        COMP_WORDS+=("$word")
    fi
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _busbar "$busbar" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" >"$out" 2>"$err"
    found="${COMPREPLY[*]}"
    if [ -s "$out" ] || [ -s "$err" ]; then
        echo "    said something for: $1"
        return 1
    fi
}

# gives LINE CANDIDATES - exactly these, in this order.
gives()
{
    tab "$1" || return 1
    [ "$found" = "$2" ] && return 0
    echo "    $1<TAB> gives '$found', not '$2'"
    return 1
}

# holds LINE CANDIDATE... - all of these among others.
holds()
{
    local one
    tab "$1" || return 1
    for one in "${@:2}"; do
        [[ " $found " == *" $one "* ]] || { echo "    $1<TAB> lacks '$one': $found"; return 1; }
    done
}

# ---- the table --------------------------------------------------------------------------------------

every_verb_is_offered()
{
    local kind name
    while IFS=$'\t' read -r kind name _; do
        if [ "$kind" = verb ]; then
            holds 'busbar ' "${name% *}" || return 1
            if [ "${name% *}" != "$name" ]; then
                holds "busbar ${name% *} " "${name##* }" || return 1
            fi
        fi
    done <"$box/words"
}
every_option_is_offered()
{
    local name options
    while read -r name; do
        mapfile -t options < <(awk -F '\t' -v v="$name" '$1 == "option" && $2 == v { print $3 }' "$box/words")
        [ ${#options[@]} -ge 4 ] && holds "busbar ${name#-} -" "${options[@]}" || return 1
    done < <(cut -f 2 "$box/words" | sort -u)
}
# What `busbar help` lists, one by one, is what the words are: both come from one table.
words_are_the_help()
{
    diff <(b help | sed -n 's/^  \([a-z][a-z ]*[a-z]\)  .*/\1/p' | sort) \
        <(sed -n 's/^verb\t\([^\t]*\)\t.*/\1/p' "$box/words" | sort) >"$out"
}
check the_program_prints_the_script run 0 "$busbar" completion bash
check it_is_this_one cmp "$out" "$source_dir/tools/completion/busbar.bash"
check no_script_for_others run 2 "$busbar" completion ksh
b help --complete words >"$box/words"
check words_are_what_help_lists words_are_the_help
check every_verb_is_offered every_verb_is_offered
check every_option_is_offered every_option_is_offered
check verb_by_its_beginning gives 'busbar pi' pipe
check noun gives 'busbar topi' topic
check verbs_of_a_noun gives 'busbar node ' 'info list ping'
check verb_of_a_noun gives 'busbar topic h' hz
check verb_after_options gives 'busbar --dir /x --json no' node
check options_of_a_verb gives 'busbar pub --wa' '--wait --wait-time'
check options_before_a_verb gives 'busbar --d' --dir
check no_option_of_another_verb gives 'busbar gc --wa' ''
check no_json_where_there_is_none gives 'busbar pub --js' ''
check values_of_an_option gives 'busbar sub --from ' 'now oldest'
check values_after_an_equals_sign gives 'busbar sub --from=o' oldest
check values_right_after_the_equals_sign gives 'busbar sub --from=' 'now oldest'
check a_value_of_the_users_own gives 'busbar pub --rate ' ''
check nothing_after_the_last_operand gives 'busbar pub topic data ' ''
check verbs_of_help gives 'busbar help vers' version
check verbs_of_help_with_a_noun gives 'busbar help topic d' delay
check no_options_after_two_dashes gives 'busbar pub -- --wa' ''
check shells gives "busbar completion " bash
check forms_of_a_value gives 'busbar value --to ' 'bin json native text'
check types_of_a_value gives 'busbar pub --type ti' 'timespan timestamp'
check directories gives "busbar --dir $box/bus" "$box/buses"

# ---- without a bus ----------------------------------------------------------------------------------

nothing_at_all()
{
    gives 'busbar node info ' '' && gives 'busbar ls ' '' && gives 'busbar -b ' '' \
        && gives 'busbar --dir /nowhere -b ' '' && gives 'busbar --dir /nowhere ls ' '' && test "$(file_count)" = 0
}
check without_a_bus_nothing_and_no_bus_is_made nothing_at_all

# ---- with one ---------------------------------------------------------------------------------------

name=reader
start sub '' --name reader-1
reader=$child
check reader_attached soon is_reading reader-1
mkfifo "$box/lines"
exec 9<>"$box/lines"
writers=0
for topic in zeek/conn zeek/dns 'two words' 'a:b/c' 'a:b/d' "it's" $'new\nline'; do
    writers=$((writers + 1))
    name=writer-$writers
    start pub "$topic" --name "$name" <&9
done
topics_are_there() { b ls --json 2>/dev/null | jq_e '.topics | length == 7' >/dev/null; }
check topics_are_there soon topics_are_there
b --dir "$box/buses" -b second pub x y >"$out" 2>"$err"

check buses gives 'busbar -b ' 'default second'
check buses_by_their_beginning gives 'busbar sub --bus=s' second
check nodes gives 'busbar node info r' reader-1
check node_of_a_ping holds 'busbar node ping ' reader-1 writer-1 writer-2
check no_node_on_the_other_bus gives 'busbar -b none node info ' ''
check dead_node_of_tap holds 'busbar tap --dead ' reader-1
check topics gives 'busbar sub zeek/' 'zeek/conn zeek/dns'
check topics_again gives 'busbar sub zeek/conn zeek/d' zeek/dns
check one_topic_only gives 'busbar topic hz zeek/conn ' ''
check topic_with_a_blank gives 'busbar sub tw' 'two\ words'
check topic_with_a_blank_going_on gives 'busbar sub two\ w' 'two\ words'
check topic_in_quotes gives 'busbar sub "two ' 'two words'
check topic_with_a_quote gives 'busbar sub it' "it\\'s"
check topic_with_a_colon gives 'busbar sub a:b/' 'b/c b/d'
check no_topic_with_a_newline gives 'busbar sub new' ''
check bus_of_another_directory gives "busbar --dir $box/none sub zeek" ''
for name in keeper-1 keeper-2; do
    start store serve "seen-${name#keeper-}" --name $name
done
stores_are_there() { b store ls --json | jq_e '.stores | length == 2' >/dev/null; }
check stores_are_there soon stores_are_there
check stores gives 'busbar store get ' 'seen-1 seen-2'
check store_by_its_beginning gives 'busbar store info s' 'seen-1 seen-2'
check one_store_only gives 'busbar store ttl seen-1 ' ''
check no_store_on_the_other_bus gives 'busbar -b second store scan ' ''
only_looks() { b node list --json | jq_e '[.nodes[].name] | all(startswith("reader") or startswith("writer") or startswith("keeper"))' >/dev/null; }
check nobody_attached_to_look only_looks

# Nobody answers on this bus, and looking at it does not wait for an answer.
kill -STOP "$reader"
check stopped_members_do_not_matter gives 'busbar node info r' reader-1
kill -CONT "$reader"

# A program that hangs is ended, and what does not exist is silent.
printf '#!/bin/sh\nexec sleep 1000\n' >"$box/hangs"
chmod +x "$box/hangs"
ends_soon()
{
    local begin=$SECONDS real=$busbar
    busbar=$1
    gives 'busbar node ' ''
    local rc=$?
    busbar=$real
    [ $rc = 0 ] && [ $((SECONDS - begin)) -lt 15 ]
}
check a_program_that_hangs_is_ended ends_soon "$box/hangs"
check a_program_that_is_not_there ends_soon "$box/nothing"
check what_is_not_known run 2 "$busbar" help --complete secrets
check what_is_not_known_is_said says 'words, buses, nodes, topics, pools or stores'

finish
