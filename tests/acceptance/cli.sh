#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal    The verbs of `busbar` do what help and man page say: publishing, reading, looking, measuring.
# Method  The program as people run it, on buses in a directory of its own; every listing is parsed by jq.
. "$(dirname "$0")/cli_common.bash"

# ---- before there is a bus ----------------------------------------------------------------------------
check version run 0 "$busbar" version
check version_text prints '^busbar [0-9.]*, memory layout [0-9]*$'
check version_flag run 0 "$busbar" --version --json
check version_json json '.version and (.layout | type == "number")'
check help run 0 "$busbar" help
check help_verb run 0 "$busbar" help topic hz
check help_verb_text prints '^usage: busbar topic hz '
check help_flag run 0 "$busbar" pub --help
check help_noun run 0 "$busbar" help topic
check help_noun_text prints 'topic delay'
for verb in pub sub pipe tap ls bench latency gc doctor version help 'topic info' 'topic hz' 'topic bw' 'topic delay' \
    'node list' 'node info' 'node ping' print set \
    'cluster status' 'cluster nodes' 'cluster watch' 'pool list' 'pool show' 'pool where'; do
    check "help_${verb// /_}" run 0 "$busbar" help $verb
done

man_part() { sed -n '/^\.\\" verbs begin/,/^\.\\" verbs end/p' "$source_dir/docs/man/busbar.1" | sed '1d;$d'; }
man_is_made() { diff <(man_part) <(b help --mdoc) >"$out"; }
check man_page_has_the_table man_is_made

check doctor_without_bus run 0 "$busbar" doctor
check doctor_says_no_bus prints 'no bus to check'
check doctor_json run 0 "$busbar" doctor --json
check doctor_json_form json '.bus == false and .fail == 0 and (.checks | length >= 10)
    and all(.checks[]; .name and (.result | IN("OK", "WARN", "FAIL")) and (.detail | type == "string")
    and ((.result == "OK") == (.fix == "")))'
check no_verb_made_a_bus test "$(file_count)" = 0

mkdir "$box/path"
printf '#!/bin/sh\necho "$BUSBAR_DIR $BUSBAR_BUS $*"\nexit 9\n' >"$box/path/busbar-hello"
chmod +x "$box/path/busbar-hello"
check external_verb run 9 env PATH="$box/path:$PATH" "$busbar" --dir /x -b y hello --json -n 3
check external_verb_gets_all prints '^/x y --json -n 3$'

# ---- messages -----------------------------------------------------------------------------------------
check pub_first run 0 "$busbar" pub zeek/x hello
check pub_prints_nothing silent "$out"
check sub_after_pub run 0 "$busbar" sub zeek/ --json --from oldest -n 1 -W 10
check sub_json json '.topic == "zeek/x" and .data == "hello" and .kind == "raw" and .seq == 1 and .lost == 0
    and (.node | type == "string") and (.t | test("^20[0-9-]*T[0-9:]*\\.[0-9]{9}Z$"))'

name=first
start sub zeek/ --json --from oldest -n 2 -W "$limit" --name first
check sub_is_there soon is_reading first
check pub_second run 0 "$busbar" pub zeek/y 'hello again'
check sub_first_ends ends "$child"
check sub_first_code test "$code" = 0
two_arrived() { jq_e -s 'map(.data) | index("hello again") != null' "$box/first.out" >/dev/null; }
check sub_first_got_it two_arrived

name=five
start sub five/ -n 5 -W "$limit" --reliable --name five
check five_there soon is_reading five
check five_published run 0 "$busbar" pub five/x --repeat 9 same
check five_ends ends "$child"
check five_exactly test "$(wc -l <"$box/five.out")" = 5
check five_text test "$(sort -u "$box/five.out")" = 'five/x same'
check short_of_count run 3 "$busbar" sub nothing/ -n 1 -W 0.2
check short_of_count_said says '0 of 1 messages'
check time_without_count run 0 "$busbar" sub nothing/ -W 100ms

name=lines
start sub --reliable lines/ -n 2000 -W "$limit" --name lines
check lines_there soon is_reading lines
check lines_published run 0 "$busbar" pub lines/x --block 5s <<<"$(seq 1 2000)"
check lines_end ends "$child"
lines_in_order() { diff <(seq -f 'lines/x %.0f' 1 2000) "$box/lines.out" >"$out"; }
check lines_whole_and_in_order lines_in_order
check lines_nothing_lost silent "$box/lines.err"

check raw_bytes run 0 "$busbar" pub 'odd topic/x' < <(printf 'tab\there \\ \033[31m\377\n')
check raw_escaped run 0 "$busbar" sub odd --from oldest -n 1 -W 10
check raw_text prints '^odd\\x20topic/x tab\\there \\\\ \\x1b\[31m\\xff$'
check raw_json run 0 "$busbar" sub odd --from oldest -n 1 -W 10 --json
check raw_base64 json '.base64 | @base64d | length > 0'
check empty_data run 0 "$busbar" pub empty/x ''
check empty_arrives run 0 "$busbar" sub empty/ --from oldest -n 1 -W 10
check empty_text prints '^empty/x$'

event='Scan::hit(5, -5, 2.5, T, 10.0.0.1, 10.0.0.0/8, 80/tcp, 300ms, "a, b", bare)'
check event_published run 0 "$busbar" pub events/x -e "$event"
check event_arrives run 0 "$busbar" sub events/ --from oldest -n 1 -W 10 --json
check event_types json '.kind == "event" and .event == "Scan::hit" and (.args | map(."@data-type")) ==
    ["count","integer","real","boolean","address","subnet","port","timespan","string","string"]'
check event_values json '.args[0].data == 5 and .args[4].data == "10.0.0.1" and .args[8].data == "a, b"'
check event_text_arrives run 0 "$busbar" sub events/ --from oldest -n 1 -W 10
check event_text prints '^events/x Scan::hit(5, -5, 2.500000, T, 10.0.0.1, 10.0.0.0/8, 80/tcp, 300000000ns, a, b, bare)$'

check prefix_path run 3 "$busbar" sub --path five/x/y odd\ to --from oldest -n 1 -W 0.2
check last_published run 0 "$busbar" pub last/x --repeat 5 again
check last_messages run 3 "$busbar" sub last/ --from 3 -n 4 -W 0.2
check last_count test "$(wc -l <"$out")" = 3

# ---- waiting for subscribers, rate --------------------------------------------------------------------
check wait_in_vain run 3 "$busbar" pub waited/x data --wait 1 -W 200ms
check wait_in_vain_said says '0 of 1 subscribers want "waited/x"'
name=waiting
start pub waited/x data --wait 1 -W "$limit"
waiting=$child
check waited_for run 0 "$busbar" sub waited/ -n 1 -W 10
check waiting_ends ends "$waiting"
check waiting_code test "$code" = 0

# ---- looking at something that lives ------------------------------------------------------------------
name=steady
start pub steady/x 0123456789 --repeat 1000000 --rate 200 --name steady
steady=$child
name=reader
start sub steady/ --reliable --name reader
reader=$child
check steady_there soon attached steady
check reader_there soon is_reading reader
check ls run 0 "$busbar" ls
check ls_text prints '^steady/x  *1  *1  *[0-9]'
check ls_header run 0 "$busbar" ls --header
check ls_header_text prints '^TOPIC  *PUBS  *SUBS  *MESSAGES'
check ls_long run 0 "$busbar" ls -l steady --for 300ms
check ls_json run 0 "$busbar" --json ls -l steady --for 500ms
check ls_json_form json '.topics | length == 1 and .[0].topic == "steady/x" and .[0].publishers == 1
    and .[0].subscribers == 1 and .[0].reliable == 1 and .[0].lost == 0 and .[0].hz > 150 and .[0].hz < 250'
check ls_of_nothing run 0 "$busbar" ls --json nothing-here/
check ls_of_nothing_form json '.topics == []'

check info run 0 "$busbar" topic info steady/
check info_text prints 'subscriber  *reader  *running  *reliable, lag'
check info_json run 0 "$busbar" topic --json info -x steady/x
check info_json_form json '.topics[0] | .publishers[0].node == "steady" and .subscribers[0].node == "reader"
    and .publishers[0].bytes == 10 * .publishers[0].messages and .subscribers[0].lost == 0'
check hz run 0 "$busbar" topic hz steady/ --for 2s --json
check hz_is_true json '.hz > 180 and .hz < 220 and .messages > 350 and .bytes == 10 * .messages'
check hz_lines run 0 "$busbar" topic hz -x steady/x -n 2 --every 200ms
check hz_line_count test "$(wc -l <"$out")" = 3
check bw run 0 "$busbar" topic bw steady/ -n 3 --every 200ms --json
check bw_is_true json '.bytes_per_s > 1500 and .bytes_per_s < 2500'
check delay run 0 "$busbar" topic delay steady/ -n 50 --for 10s --json
check delay_is_sane json '.n == 50 and .min_ns >= 0 and .min_ns <= .p50_ns and .p50_ns < 50000000 and .p99_ns <= .max_ns'
check delay_text_run run 0 "$busbar" topic delay -x steady/x -n 20
check delay_text prints '^n=20  min [0-9.]*[a-z]*  p50 '

check node_list run 0 "$busbar" node list --json
check node_list_form json '[.nodes[] | {name, role, pid, state} | select(.name == "steady" or .name == "reader")]
    | length == 2 and all(.[]; .role == "tool" and .state == "running" and (.pid | type == "number"))'
check node_list_pid json ".nodes[] | select(.name == \"steady\") | .pid == $steady"
check node_list_text run 0 "$busbar" node list --header
check node_list_text_form prints '^reader  *tool  *[0-9]*  *running'
check node_info run 0 "$busbar" node info reader
check node_info_text prints "prefixes 'steady/'"
check node_info_json run 0 "$busbar" node info --json steady
check node_info_json_form json '.nodes[0] | .name == "steady" and .ring_list[0].lane == "data" and .ring_list[0].topics == 1'
check ping run 0 "$busbar" node ping reader -c 3 --every 10ms
check ping_text prints '^3 of 3 answered'
check ping_json run 0 "$busbar" node ping --json reader
check ping_json_form json '.sent == 1 and .answered == 1 and .rtt_ns[0] > 0'
check ping_without_subscriber run 1 "$busbar" node ping steady
check ping_unknown run 4 "$busbar" node ping nobody-here

# A tap shows messages and leaves no trace.
look() { b node list --json | jq -S '[.nodes[] | {name, id, pid, state, role, rings, subscribers}] | sort_by(.id)'; find "$BUSBAR_DIR" | sort; }
other_verbs_are_gone() { b node list --json | jq_e '[.nodes[] | select(.name != "steady" and .name != "reader" and .state == "running")] | length == 0' >/dev/null; }
check others_left soon other_verbs_are_gone
b gc >/dev/null
before=$(look)
name=tap
start tap --json
tap=$child
check tap_prints soon has_lines 20 "$box/tap.out"
check tap_is_unseen test "$(look)" = "$before"
kill -INT "$tap"
check tap_ends ends "$tap"
check tap_code test "$code" = 0
check tap_left_no_trace test "$(look)" = "$before"
tap_json() { jq_e -s 'length >= 20 and all(.[]; .topic == "steady/x" and .node == "steady")' "$box/tap.out" >/dev/null; }
check tap_json tap_json
check tap_count run 0 "$busbar" tap steady -n 3 -W 10
check tap_count_lines test "$(wc -l <"$out")" = 3
check tap_short run 3 "$busbar" tap nothing/ -n 1 -W 0.1

# ---- pipe ---------------------------------------------------------------------------------------------
mkfifo "$box/left.in" "$box/right.in"
exec 8<>"$box/left.in" 9<>"$box/right.in" # both ways, so that opening does not wait; start() closes them
name=left
start pipe talk/left --prefix talk/right --name left <"$box/left.in"
left=$child
name=right
start pipe talk/right --prefix talk/left --name right <"$box/right.in"
right=$child
both_read() { is_reading left && is_reading right; }
check pipes_there soon both_read
echo 'from left' >&8
check right_hears soon has_lines 1 "$box/right.out"
echo 'from right' >&9
check left_hears soon has_lines 1 "$box/left.out"
exec 8>&- 9>&-
check left_ends ends "$left"
check left_code test "$code" = 0
check right_ends ends "$right"
check pipe_data test "$(cat "$box/left.out" "$box/right.out")" = 'from right
from left'

# ---- nothing grows ------------------------------------------------------------------------------------
for i in $(seq 100); do b pub many/x "$i"; done
few_files() { [ "$(file_count)" -le 20 ] && [ "$(file_kib)" -le 40000 ]; }
check hundred_pubs_leave_nothing soon few_files
check steady_goes_on kill -0 "$steady"
reader_lost_nothing() { b node info reader --json | jq_e '.nodes[0].lost == 0 and .nodes[0].subscriber_list[0].evicted == 0' >/dev/null; }
check reader_lost_nothing reader_lost_nothing
kill -INT "$steady" "$reader"
check steady_ends ends "$steady"
check steady_says test "$code" = 1
check reader_ends ends "$reader"
check reader_code test "$code" = 0
finish
