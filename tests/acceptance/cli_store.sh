#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: `busbar store` as its user has it: what each verb does, prints and answers, on real keys, large values and
# many keys; masters that are killed, that are two, that are full; dumps that come back equal.
# Method: masters are real processes; what others read must be what was written.  Waits poll with a deadline.
# bb-timeout: 300
# bb-long
. "$(dirname "$0")/cli_common.bash" "$@"
[ -n "${BB_SANITIZE:-}" ] && limit=120

st() { b store "$@"; }
# gives TEXT ARGUMENTS... - prints exactly this line, with exit code 0.
gives() { run 0 "$busbar" store "${@:2}" && [ "$(cat "$out")" = "$1" ]; }
# refuses CODE SENTENCE ARGUMENTS... - this exit code, this pattern on standard error, nothing on standard output.
refuses() { run "$1" "$busbar" store "${@:3}" && says "$2" && silent "$out"; }
quietly() { run "$1" "$busbar" store "${@:2}" && silent "$out" && silent "$err"; }
# serve NAME ARGUMENTS... - in the background; its pid in pid_of[NAME], its words in $box/NAME.err.
declare -A pid_of
serve()
{
    name=$1
    start store serve "${@:2}"
    pid_of[$name]=$child
}
said() { grep -q -- "$2" "$box/$1.err"; }
ready() { soon said "$1" 'serving the store'; }
stop() { kill -"$2" "${pid_of[$1]}" && ends "${pid_of[$1]}" && [ "$code" = "$3" ]; }
# keys_and_values - a dump without what is the store's own business.
keys_and_values() { jq -cS 'del(.version, .expires_ns, .deadline)'; }
refuses_some() { run 1 "$busbar" store get other asked nothing --by-request && says 'no key nothing' && prints '^asked.1$'; }

# ---- nothing there ------------------------------------------------------------------------------------
check get_without_bus refuses 4 'there is no bus' get s k
check put_without_bus refuses 4 'there is no bus' put s k v
check ls_without_bus refuses 4 'there is no bus' ls
check made_no_bus silent <(find "$BUSBAR_DIR" -mindepth 1)
check no_store_named run 2 "$busbar" store get
check no_store_named_said says 'which store'
check no_verb run 2 "$busbar" store
check no_verb_said says 'one more word'

# ---- a master -----------------------------------------------------------------------------------------
serve master hosts --name keeper
check serves ready master
check says_where_and_how_many said master "serving the store \"hosts\" in $BUSBAR_DIR/.*(in memory, quota 1.0GiB): 0 keys"
check no_such_store refuses 4 'there is no store "other" on this bus; it has: hosts' get other k
check no_such_store_to_write refuses 4 'it has: hosts' put other k v
check no_such_store_in_time refuses 4 'it has: hosts' get other k -W 50ms
check ls run 0 "$busbar" store ls --header
check ls_header prints '^STORE  *KIND  *MASTER  *KEYS  *VERSION  *SIZE  *QUOTA  *WHERE$'
check ls_row prints '^hosts  *memory  *keeper  *0  *0 .*1.0GiB '
check ls_json run 0 "$busbar" store ls --json
check ls_json_form json ".stores | length == 1 and (.[0] | .name == \"hosts\" and .kind == \"memory\"
    and .master == \"keeper\" and .pid == ${pid_of[master]} and .keys == 0 and .quota_bytes == 1073741824)"

# ---- words become values ------------------------------------------------------------------------------
type_of() { st get "$1" "$2" --json | jq -r '.value["@data-type"]'; }
comes_back() # comes_back WORD TYPE TEXT
{
    quietly 0 put hosts k "$1" && gives "$3" get hosts k && [ "$(type_of hosts k)" = "$2" ]
}
while IFS='|' read -r word type text; do
    check "value_$type" comes_back "$word" "$type" "$text"
done <<'END'
5|count|5
-5|integer|-5
2.5|real|2.500000
T|boolean|T
10.0.0.1|address|10.0.0.1
2001:db8::1|address|2001:db8::1
10.0.0.0/8|subnet|10.0.0.0/8
80/tcp|port|80/tcp
300ms|timespan|300000000ns
nil|none|nil
hello|string|hello
"5"|string|5
(1, a)|vector|(1, a)
{b, a}|set|{a, b}
{a -> 1}|table|{a -> 1}
{"@data-type":"count","data":7}|count|7
END
comes_back_typed() { quietly 0 put hosts k 5 --type string && [ "$(type_of hosts k)" = string ]; }
check type_overrides comes_back_typed
check keys_have_types_too quietly 0 put hosts 10.0.0.1 web
check a_key_of_that_type gives web get hosts 10.0.0.1
check a_string_is_another_key refuses 1 'there is no key 10.0.0.1' get hosts '"10.0.0.1"'
check by_key_type refuses 1 'there is no key' get hosts 10.0.0.1 --key-type string
check empty_key_and_value quietly 0 put hosts '' ''
check empty_comes_back gives '' get hosts ''
check wrong_text refuses 2 'VALUE, column' put hosts k '(1, 2'
check wrong_type refuses 2 'VALUE, column' put hosts k x --type count
check no_such_type refuses 2 'there is no type "colour"' put hosts k x --type colour
check unicode quietly 0 put hosts 'Zürich – 東京 🚌' 'naïve ☃'
check unicode_comes_back gives 'naïve ☃' get hosts 'Zürich – 東京 🚌'
check no_value run 2 "$busbar" store put hosts k
check one_too_many run 2 "$busbar" store put hosts k v w
check unknown_option run 2 "$busbar" store put hosts k v --colour
check bad_span run 2 "$busbar" store put hosts k v --ttl soon

# ---- get ----------------------------------------------------------------------------------------------
check no_key refuses 1 'there is no key nothing in the store "hosts"' get hosts nothing
check no_key_quietly quietly 1 get hosts nothing -q
quietly 0 put hosts a 1 && quietly 0 put hosts b $'two\tand\nmore'
check several run 1 "$busbar" store get hosts a nothing b
check several_said says 'no key nothing'
check several_are_lines cmp -s "$out" <(printf 'a\t1\nb\ttwo\\tand\\nmore\n')
check one_is_as_it_is cmp -s <(st get hosts b) <(printf 'two\tand\nmore\n')
check get_json run 0 "$busbar" store get hosts a --json
check get_json_form json '.key == {"@data-type":"string","data":"a"} and .value == {"@data-type":"count","data":1}
    and .version > 0 and .expires_ns == null'
check reading_attaches_nothing [ "$(b node list --json | jq '[.nodes[] | select(.name != "keeper" and .state == "running")] | length')" = 0 ]

# ---- put, add, del ------------------------------------------------------------------------------------
check put_json run 0 "$busbar" store put hosts k 1 --json
check put_json_form json '.changed and .version > 0 and .key.data == "k"'
version=$(jq .version "$out")
check if_rev_right quietly 0 put hosts k 2 --if-rev "$version"
check if_rev_wrong refuses 1 "k is at version [0-9]*, not $version: somebody changed it" put hosts k 3 --if-rev "$version"
check if_rev_0_wrong refuses 1 'k is there, at version' put hosts k 3 --if-rev 0
check if_rev_0_right quietly 0 put hosts fresh 3 --if-rev 0
check if_rev_unchanged gives 2 get hosts k
check if_both refuses 2 'exclude each other' put hosts k 3 --if-rev 0 --if-absent
check add quietly 0 add hosts lock me --ttl 1h
check add_again run 1 "$busbar" store add hosts lock you
check add_again_prints_who [ "$(cat "$out")" = me ]
check add_again_said says 'lock is in the store "hosts" already, since version [0-9]*; it expires in '
check if_absent run 1 "$busbar" store put hosts lock you --if-absent
check add_nothing quietly 0 add hosts seen
check add_nothing_is_nil gives nil get hosts seen
check del quietly 0 del hosts lock seen
check del_again refuses 1 'there is no key lock' del hosts lock
check del_all_takes_no_key refuses 2 'takes none' del hosts --all k
check no_dash_is_lost quietly 0 put hosts -- -x -y
check dash_comes_back gives -y get hosts -- -x
one_winner()
{
    local i n=0 pids=()
    for i in {1..6}; do
        b store add hosts race "$i" >/dev/null 2>&1 &
        pids+=("$!")
    done
    for i in "${pids[@]}"; do wait "$i" && n=$((n + 1)); done
    [ "$n" = 1 ]
}
check one_winner one_winner

# ---- words that are refused ---------------------------------------------------------------------------
declare -A verb_of=([path]=get [type]=put [key-type]=get)
for option in path type key-type; do
    check "empty_$option" refuses 2 "--$option needs a value, and got an empty one" ${verb_of[$option]} hosts a "--$option" ''
done
for option in path name quota group; do
    check "serve_empty_$option" refuses 2 "--$option needs a value" serve nothing "--$option="
done
check empty_bus refuses 2 '--bus needs a value' get hosts a -b ''
check empty_names_made_nothing refuses 4 'it has: [^,]*$' get nothing a
check if_rev_max refuses 1 'not 18446744073709551615: somebody' put hosts k 9 --if-rev 18446744073709551615
check if_rev_max_unchanged gives 2 get hosts k
check if_both_max refuses 2 'exclude each other' put hosts k 9 --if-rev 18446744073709551615 --if-absent
check if_rev_word refuses 2 'whole number' put hosts k 9 --if-rev last
for span in 0 0s 36501d 106752d 99999999999999999999d; do
    check "ttl_$span" refuses 2 'above zero and of at most 36500 days' put hosts k 9 --ttl $span
    check "set_ttl_$span" refuses 2 'above zero and of at most 36500 days' ttl hosts k $span
done
check ttl_max quietly 0 put hosts longest 1 --ttl 36500d
check ttl_max_is_whole [ "$(($(st ttl hosts longest --json | jq .expires_ns) / 86400000000000))" = 36499 ]
st del hosts longest
st put hosts colour Color::RED --type enum && st sadd hosts twice 1 2
check holds_an refuses 1 'colour holds an enum-value, which does not go with this `store append`' append hosts colour x
check srem_twice quietly 0 srem hosts twice 1 1
check srem_twice_not_there refuses 1 '^busbar: 7 is not in twice$' srem hosts twice 7 7
check srem_twice_said_once [ "$(wc -l <"$err")" = 1 ]
st del hosts colour twice

# ---- incr, decr, append, push, pop, sadd, srem ---------------------------------------------------------
check incr_new gives 1 incr hosts n
check incr gives 6 incr hosts n 5
check decr gives 4 decr hosts n 2
check decr_below_zero refuses 1 'out of the range' decr hosts n 5
check decr_unchanged gives 4 get hosts n
check decr_absent refuses 1 'there is no key' decr hosts absent
quietly 0 put hosts i -7 && quietly 0 put hosts r 0.5 && quietly 0 put hosts when 1h
check incr_integer gives -2 incr hosts i 5
check incr_real gives 1.500000 incr hosts r
check incr_timespan gives 3900000000000ns incr hosts when 5m
check incr_string refuses 1 'b holds a string' incr hosts b
check incr_by_a_word refuses 2 'absent is not there, and `store incr` cannot begin it with a string' incr hosts absent x
check incr_json run 0 "$busbar" store incr hosts n --json
check incr_json_form json '.value.data == 5 and .changed'
check append_new quietly 0 append hosts text 5
check append quietly 0 append hosts text ' and more'
check append_is_text gives '5 and more' get hosts text
check append_to_count refuses 1 'n holds a count' append hosts n x
check push quietly 0 push hosts q 1 two 3.0
check pushed gives '(1, two, 3.000000)' get hosts q
check pop gives 3.000000 pop hosts q
check pops gives two pop hosts q
check popped gives 1 pop hosts q
quietly 0 push hosts q $'two\nlines'
check pop_is_as_it_is cmp -s <(st pop hosts q) <(printf 'two\nlines\n')
check pop_empty refuses 1 'q is an empty vector' pop hosts q
check pop_absent refuses 1 'there is no key' pop hosts absent
check sadd quietly 0 sadd hosts s 10.0.0.2 10.0.0.1 10.0.0.2
check sadd_again quietly 0 sadd hosts s 10.0.0.1
check is_a_set gives '{10.0.0.1, 10.0.0.2}' get hosts s
check srem quietly 0 srem hosts s 10.0.0.2
check srem_absent refuses 1 '10.0.0.2 is not in s' srem hosts s 10.0.0.2
check sadd_table quietly 0 sadd --table hosts t a 1 b 2
check is_a_table gives '{a -> 1, b -> 2}' get hosts t
check sadd_table_odd refuses 2 'pairs' sadd --table hosts t a
check srem_table quietly 0 srem hosts t a
check srem_table_done gives '{b -> 2}' get hosts t
check sadd_to_count refuses 1 'n holds a count' sadd hosts n x
no_count_is_lost()
{
    local i pids=()
    for i in {1..8}; do b store incr hosts together >/dev/null & pids+=("$!"); done
    for i in "${pids[@]}"; do wait "$i" || return 1; done
    gives 8 get hosts together
}
check no_count_is_lost no_count_is_lost

# ---- ttl ----------------------------------------------------------------------------------------------
quietly 0 put hosts short gone --ttl 200ms && quietly 0 put hosts long stays --ttl 2h
check ttl_never gives never ttl hosts a
check ttl_left run 0 "$busbar" store ttl hosts long
check ttl_is_left prints '^[12].[0-9]h$'
check ttl_absent refuses 1 'there is no key' ttl hosts absent
check ttl_set quietly 0 ttl hosts a 1h
check ttl_json run 0 "$busbar" store ttl hosts a --json
check ttl_json_form json '.expires_ns > 3500000000000 and .expires_ns <= 3600000000000'
check ttl_off quietly 0 ttl hosts a never
check ttl_is_off gives never ttl hosts a
check ttl_bad refuses 2 'SPAN is a time' ttl hosts a soon
check ttl_of_nothing refuses 1 'there is no key' ttl hosts absent 1h
expired() { quietly 1 get hosts short -q; }
check it_expires soon expired
swept() { st info hosts --json | jq_e '.expired >= 1 and .due == 0' >/dev/null; }
check it_is_swept soon swept
check arithmetic_keeps_the_deadline gives 1 incr hosts counted --ttl 1h
still_has_one() { gives 2 incr hosts counted && st ttl hosts counted --json | jq_e '.expires_ns > 0' >/dev/null; }
check it_is_kept still_has_one

# ---- keys, scan, count --------------------------------------------------------------------------------
st del hosts --all
for i in {1..12}; do echo "{\"key\":{\"@data-type\":\"address\",\"data\":\"10.0.$i.1\"},\"value\":{\"@data-type\":\"count\",\"data\":$i}}"; done |
    st restore hosts 2>/dev/null
st put hosts web/1 x && st put hosts web/2 y && st put hosts mail z && st put hosts '(a, 1)' v1 && st put hosts '(a, 2)' v2
check count gives 17 count hosts
check count_string gives 2 count hosts web/
check count_json gives '{"count":17}' count hosts --json
check count_subnet gives 7 count hosts 10.0.0.0/21
check count_vector gives 2 count hosts '(a)'
check count_option gives 2 count hosts --prefix web/
check count_none gives 0 count hosts nothing/
check keys_string cmp -s <(st keys hosts web/) <(printf 'web/1\nweb/2\n')
check scan_string cmp -s <(st scan hosts web/) <(printf 'web/1\tx\nweb/2\ty\n')
check keys_in_order cmp -s <(st keys hosts 10.0.0.0/8) <(for i in {1..12}; do echo "10.0.$i.1"; done)
check scan_json run 0 "$busbar" store scan hosts '(a)' --json
check scan_json_form json '.key["@data-type"] == "vector" and (.value.data | startswith("v")) and .version > 0'
check limit cmp -s <(st keys hosts 10.0.0.0/8 --limit 2 --after 10.0.2.1) <(printf '10.0.3.1\n10.0.4.1\n')
check no_prefix refuses 2 'a prefix is a string, a subnet or a vector' keys hosts 5
check no_prefix_address refuses 2 'reads as address; write /32' keys hosts 10.0.0.1
check prefix_twice refuses 2 'are the same' keys hosts a --prefix b

# ---- real keys ----------------------------------------------------------------------------------------
# Services that were seen on hosts: the key is (host, port), the value the set of their names.
if [ -n "${BB_DATA:-}" ]; then
    services() { zcat "$BB_DATA/zeek-json/known_services.json.gz"; }
else
    services()
    {
        local i
        for i in {1..1500}; do
            echo "{\"host\":\"10.47.$((i % 31)).$((i % 251))\",\"port_num\":$((i % 977)),\"port_proto\":\"tcp\",\"service\":[\"HTTP\"]}"
        done
    }
    echo "real_keys: no BB_DATA here, so the keys are made up"
fi
services | jq -c '{key: {"@data-type": "vector", data: [{"@data-type": "address", data: .host},
        {"@data-type": "port", data: "\(.port_num)/\(.port_proto)"}]},
    value: {"@data-type": "set", data: [.service | unique[] | {"@data-type": "string", data: .}]}}' >"$box/services"
jq -c .key "$box/services" | sort -u >"$box/services.keys"
serve services services
check serves_another ready services
restored() { st restore services <"$box/services" 2>"$err"; }
check services_restored restored
check services_counted says "restore: $(wc -l <"$box/services") keys are in the store \"services\" now"
check all_of_them gives "$(wc -l <"$box/services.keys")" count services
check the_same_keys cmp -s <(st keys services --json | jq -c .key | sort -u) "$box/services.keys"
host=$(jq -r '.key.data[0].data' "$box/services" | head -n 1)
of_host() { [ "$(st count services "($host)")" = "$(jq -r '.data[0].data' "$box/services.keys" | grep -cFx "$host")" ]; }
check those_of_a_host of_host
of_one()
{
    local key
    key=$(st keys services --limit 1) && st get services "$key" >"$out"
}
check a_printed_key_is_a_key of_one

# ---- dump and restore ---------------------------------------------------------------------------------
st put hosts passing x --ttl 1h && st put hosts exact 0.1 && st put hosts bytes - --type string < <(printf 'a\377\0b\n')
st put hosts weird '{"@data-type":"timestamp","data":"2020-01-02T03:04:05.123456789"}'
st dump hosts >"$box/dump" 2>"$err"
check dump_says says 'keys of the store "hosts", version [0-9]*$'
check dump_is_whole [ "$(wc -l <"$box/dump")" = "$(st count hosts)" ]
serve copy other
check serves_the_copy ready copy
check restore_a_dump run 0 "$busbar" store restore other <"$box/dump"
check dump_again_is_equal cmp -s <(st dump other 2>/dev/null | keys_and_values) <(keys_and_values <"$box/dump")
check bytes_are_the_same cmp -s <(st get other bytes) <(printf 'a\377\0b\n\n')
check the_deadline_is_the_same [ "$(($(st ttl other passing --json | jq .expires_ns) / 600000000000))" = 5 ]
check services_too cmp -s <(st dump services 2>/dev/null | keys_and_values) \
    <(st del other --all; st dump services 2>/dev/null | st restore other --atomic 2>/dev/null; st dump other 2>/dev/null | keys_and_values)
{
    head -n 2 "$box/dump"
    echo 'not json'
    echo '{"key":{"@data-type":"count","data":1}}'
    echo '{"key":{"@data-type":"count","data":"x"},"value":{"@data-type":"count","data":1}}'
    echo '{"key":{"@data-type":"count","data":1},"value":{"@data-type":"count","data":1},"colour":1}'
    tail -n 1 "$box/dump"
    printf '{"key":{"@data-type":"count","data":1},"value":{"@data-typ'
} >"$box/bad"
st del other --all
check bad_lines run 1 "$busbar" store restore other <"$box/bad"
for line in 3 4 5 6 8; do check "bad_line_$line" says "restore: line $line: column [0-9]*: "; done
check bad_lines_counted says 'restore: 5 of 8 lines were refused'
check good_lines_are_there gives 3 count other
st del other --all
check bad_lines_atomic run 1 "$busbar" store restore other --atomic <"$box/bad"
check bad_lines_atomic_said says 'nothing was restored'
check bad_lines_atomic_none gives 0 count other
st put other web/1 mine
check if_absent_restore run 0 "$busbar" store restore other --if-absent <"$box/dump"
check if_absent_said says '1 keys were there already'
check if_absent_kept gives mine get other web/1
echo '{"key":{"@data-type":"count","data":1},"value":{"@data-type":"count","data":1},"deadline":"2020-01-01T00:00:00Z","expires_ns":60000000000}' >"$box/old"
check expired_since run 0 "$busbar" store restore other <"$box/old"
check expired_since_said says '1 keys had expired since'
check expired_is_not_there quietly 1 get other 1 -q
check keep_ttl run 0 "$busbar" store restore other --keep-ttl <"$box/old"
check keep_ttl_lives gives 1 get other 1

# The master is stopped while it should write: the deadline is not moved by that, and what is over is not there.
deadline_ms() { st dump other 2>/dev/null | jq -r "select(.key.data == \"$1\") | .deadline" | xargs -rI {} date -d {} +%s%3N; }
restores_late()
{
    local line='{"key":{"@data-type":"string","data":"%s"},"value":{"@data-type":"count","data":1},"deadline":"%sZ"}\n'
    local now ok=1 end restorer
    st del other --all
    now=$(date +%s%3N)
    end=$(date -u -d "@$((now / 1000 + 600))" +%Y-%m-%dT%H:%M:%S)
    # shellcheck disable=SC2059
    {
        printf "$line" far "$end"
        printf "$line" soon "$(date -u -d "@$((now / 1000 + 3))" +%Y-%m-%dT%H:%M:%S)"
    } >"$box/late"
    kill -STOP "${pid_of[copy]}"
    name=restorer
    start store restore other -W 20s <"$box/late"
    restorer=$child
    until [ "$(date +%s%3N)" -gt "$((now + 3500))" ]; do sleep 0.1; done # past the second deadline
    kill -CONT "${pid_of[copy]}"
    ends "$restorer" && [ "$code" = 0 ] || ok=0
    echo "moved by $(($(deadline_ms far) - $(date -d "${end}Z" +%s%3N))) ms" >"$out"
    cp "$box/restorer.err" "$err"
    [ "$(($(deadline_ms far) - $(date -d "${end}Z" +%s%3N)))" -lt 1000 ] || ok=0
    st get other soon -q && ok=0
    said restorer '1 keys had expired since' || ok=0
    said restorer '1 keys are in the store' || ok=0
    [ $ok = 1 ]
}
check a_late_master_moves_no_deadline restores_late
st del other --all

# ---- by request ---------------------------------------------------------------------------------------
st put other asked 1 && st put other asked-too 2
check ask_get gives 1 get other asked --by-request
check ask_some refuses_some
check ask_scan cmp -s <(st scan other asked --by-request) <(printf 'asked\t1\nasked-too\t2\n')
check ask_pages cmp -s <(st keys other asked --by-request -n 1 --after asked) <(echo asked-too)
check ask_count gives 2 count other asked --by-request
check ask_by_path refuses 2 '--path has none' get --path "$box/x" a --by-request
apart=(unshare -p -f --mount-proc)
if [ "$(id -u)" = 0 ] && "${apart[@]}" true 2>/dev/null; then
    check apart_get run 8 "${apart[@]}" "$busbar" store get other asked
    check apart_said says 'another PID namespace, .* take --by-request'
    check apart_asked run 0 "${apart[@]}" "$busbar" store get other asked --by-request
    check apart_writes run 0 "${apart[@]}" "$busbar" store put other asked 3
    check apart_wrote gives 3 get other asked
else
    skip apart 'needs root and a PID namespace of its own'
fi
st del other --all

# ---- a page behind the last key -----------------------------------------------------------------------
# Keys of several types whose text is the same, or not exact: what is printed reads back as the same key.
odd_keys=(5 '{"@data-type":"integer","data":5}' '"5"' 1e-9 0.0 $'a\nb' '"a b"' '' '"T"' 'a\b' '"\"q\""' $'tab\there' '"{"' '(1, 2)'
    '{"@data-type":"vector","data":[{"@data-type":"integer","data":1}]}' '"(1, 2)"' ' space ' $'\xff\xfe' '-5' '"-5"' 0.1 1e300 '"nil"')
serve odd odd
check serves_odd ready odd
puts_odd_keys()
{
    local key
    for key in "${odd_keys[@]}"; do quietly 0 put odd -- "$key" x || return; done
    gives "${#odd_keys[@]}" count odd
}
check odd_keys puts_odd_keys
pages_end() # pages_end OPTION... - one key a page, by what was printed; as the store has them in one go
{
    local after=() key keys=0
    : >"$box/paged"
    while key=$(st keys odd --limit 1 "$@" "${after[@]}") && [ -n "$key" ] && [ "$keys" -le "${#odd_keys[@]}" ]; do
        printf '%s\n' "$key" >>"$box/paged"
        after=(--after "$key")
        keys=$((keys + 1))
    done
    run 0 "$busbar" store keys odd "$@" && cmp "$box/paged" "$out" >"$err" && [ "$keys" = "${#odd_keys[@]}" ]
}
check pages_of_one_end pages_end
check pages_by_key_type_end pages_end --key-type string
json_key() { sed 's/^{"key":\(.*\)}$/\1/'; } # as it is: jq has no bytes that are no character
check pages_by_json_end cmp -s <(
    after=()
    for _ in "${odd_keys[@]}" end; do
        key=$(st keys odd -n 1 --json "${after[@]}" | json_key)
        [ -n "$key" ] || break
        echo "$key"
        after=(--after "$key")
    done
) <(st keys odd --json | json_key)
each_is_read() # what is printed is a KEY of the other verbs
{
    local key n=0
    st keys odd >"$out"
    while IFS= read -r key; do
        [ "$(st get odd -- "$key")" = x ] && n=$((n + 1))
    done <"$out"
    [ "$n" = "${#odd_keys[@]}" ]
}
check printed_keys_are_read each_is_read
check scan_has_the_same_keys cmp -s <(st scan odd | cut -f 1) <(st keys odd)
check stop_odd stop odd TERM 0

# ---- large values -------------------------------------------------------------------------------------
head -c 5242880 /dev/urandom >"$box/large"
check put_5_mb quietly 0 put hosts large - --type string <"$box/large"
check get_5_mb cmp -s <(st get hosts large | head -c 5242880) "$box/large"
check dump_5_mb cmp -s <(st dump hosts --prefix large 2>/dev/null | st restore other 2>/dev/null; st get other large | head -c 5242880) "$box/large"
check too_large refuses 7 'at most 64 MiB' put hosts huge - --type string < <(head -c 70000000 /dev/zero)
check add_again_quietly run 1 "$busbar" store add hosts large x -q
check add_again_quietly_prints cmp -s <(head -c 5242880 "$out") "$box/large"

# ---- many keys ----------------------------------------------------------------------------------------
awk 'BEGIN { for (i = 0; i < 100000; i++)
    printf "{\"key\":{\"@data-type\":\"string\",\"data\":\"key-%06d\"},\"value\":{\"@data-type\":\"count\",\"data\":%d}}\n", i, i }' >"$box/many"
st del other --all
check restore_100000 run 0 "$busbar" store restore other <"$box/many"
check restore_100000_said says '100000 keys are in the store "other" now'
check count_100000 gives 100000 count other
check keys_100000 cmp -s <(st keys other) <(seq -f 'key-%06g' 0 99999)
pages()
{
    local after=() page
    while page=$(st keys other --limit 20000 "${after[@]}") && [ -n "$page" ]; do
        echo "$page"
        after=(--after "${page##*$'\n'}")
    done
}
check pages_100000 cmp -s <(pages) <(seq -f 'key-%06g' 0 99999)
# A reader of our output that stands still holds no view.
holds_nothing()
{
    local ok=1
    mkfifo "$box/slow"
    name=slow
    env --default-signal=INT,PIPE "$busbar" store scan other >"$box/slow" 2>"$box/slow.err" &
    children+=("$!")
    exec 7<"$box/slow"
    head -n 1 <&7 >/dev/null
    soon eval 'st info other --json | jq_e ".oldest_view == null" >/dev/null' || ok=0
    exec 7<&-
    [ $ok = 1 ]
}
check a_slow_pipe_holds_nothing holds_nothing

# ---- watch --------------------------------------------------------------------------------------------
name=watch
start store watch hosts w/ --json
watch=$child
check watch_says_when soon said watch 'watching the store "hosts" after version'
from=$(sed -n 's/.*after version \([0-9]*\).*/\1/p' "$box/watch.err")
st put hosts w/a 1 && st put hosts w/a 2 --ttl 1h && st put hosts other 1 && st del hosts w/a && st put hosts w/b 1 --ttl 50ms
check watch_sees_all soon has_lines 5 "$box/watch.out"
kill -INT "$watch"
check watch_ends ends "$watch"
check watch_ends_well [ "$code" = 0 ]
check watch_order [ "$(jq -r .change "$box/watch.out" | paste -sd ' ')" = 'inserted updated erased inserted expired' ]
check watch_values [ "$(jq -c '[.value.data, .old.data]' "$box/watch.out" | paste -sd ' ')" = '[1,null] [2,1] [null,2] [1,null] [null,1]' ]
check watch_cause [ "$(jq -r 'select(.change == "expired") | .node' "$box/watch.out")" = keeper ]
check watch_versions_grow [ "$(jq .version "$box/watch.out" | sort -nu | wc -l)" = 5 ]
check watch_times jq_e '(.t | test("^20[0-9-]*T[0-9:]*[.][0-9]{9}Z$")) and .node_id > 0' "$box/watch.out" >"$out"
# Its time is kept also when the master does not answer: the library alone would wait 5 s for it.
kill -STOP "${pid_of[master]}"
check watch_in_time run 3 timeout -k 1 4 "$busbar" store watch hosts -W 100ms
kill -CONT "${pid_of[master]}"
# From a version: while another watch keeps the log.
name=keep
start store watch hosts
keep=$child
check keep_watches soon said keep 'watching'
from=$(sed -n 's/.*after version \([0-9]*\).*/\1/p' "$box/keep.err")
st put hosts w/c 'new one' && st put hosts w/c 'newer one'
check watch_from run 0 "$busbar" store watch hosts w/ --from "$from" -n 2 -W 10s
check watch_from_first prints '^20.*Z [0-9]* .* inserted w/c: new one$'
check watch_from_second prints 'updated w/c: new one -> newer one$'
check watch_short run 3 "$busbar" store watch hosts nothing/ -n 1 -W 50ms
check watch_short_said says 'time ran out: 0 of 1'
check watch_a_gap run 0 "$busbar" store watch hosts --from 1 -n 1 -W 10s
check watch_gap_said prints '^GAP: the changes after version 1 up to [0-9]* are not known'
check watch_a_gap_json run 0 "$busbar" store watch hosts --from 1 -n 1 -W 10s --json
check watch_gap_json json '.change == "gap" and .after == 1 and .version > 1'
kill -INT "$keep" && ends "$keep"

# ---- info ---------------------------------------------------------------------------------------------
check info run 0 "$busbar" store info hosts
for line in '^store  *hosts$' "^where  *$BUSBAR_DIR/" '^durability  *in memory' "^master  *keeper (pid ${pid_of[master]})" \
    '^version  *[0-9]' '^keys  *[0-9]' '^size  *.* of 1.0GiB' '^commands  *[0-9]* in [0-9]* commits' '^oldest view '; do
    check "info has $line" prints "$line"
done
check info_json run 0 "$busbar" store info hosts --json
check info_json_form json '.name == "hosts" and .memory and .has_master and .master.node == "keeper" and .keys > 0
    and .commands > 0 and .commits > 0 and .bytes > 0 and .used_bytes <= .bytes and .writes_refused == null'

# ---- on disk ------------------------------------------------------------------------------------------
disk=$box/disk
serve disk records --path "$disk" --quota 64M
check serves_on_disk ready disk
check says_on_disk said disk "in $disk (on disk, quota 64.0MiB): 0 keys"
st put records a 1 && st put records b 2 --ttl 1h
check by_path_while_served gives 1 get --path "$disk" a
check copy run 0 "$busbar" store copy records "$box/copy"
check copy_said says "2 keys of the store \"records\", version [0-9]*, are in \"$box/copy\""
check copy_is_there gives 2 get --path "$box/copy" b
check copy_again refuses 1 'is there already' copy records "$box/copy"
check copy_nowhere refuses 4 'is not there' copy records "$box/no/where"
check compact run 0 "$busbar" store compact records
check compact_prints prints '^[0-9.]*[KMG]iB before, [0-9.]*[KMG]iB after$'
check compact_json run 0 "$busbar" store compact records --json
check compact_json_form json '.before_bytes > 0 and .after_bytes > 0 and .generation >= 2'
head -c 500000 /dev/zero | tr '\0' x | st put records large - --type string && st del records large
check compact_large run 0 "$busbar" store compact records --json
check compact_large_says_what_is_now json '.after_bytes < .before_bytes'
check compacted_reads gives 1 get records a
check verify run 0 "$busbar" store verify records
check verify_prints prints '^whole: 2 keys, 1 of them expire'
check stops_in_order stop disk TERM 0
check reads_without_a_master gives 1 get records a
check ls_without_master run 0 "$busbar" store ls
check ls_shows_none prints '^records  *disk  *-  *2 '
check no_master refuses 3 "store 'records' has no master: the last was .* (pid ${pid_of[disk]})" put records a 2 -W 100ms
check offline gives 1 get --path "$disk" a
check offline_keys cmp -s <(st keys --path "$disk") <(printf 'a\nb\n')
check offline_scan cmp -s <(st scan --path "$disk" a) <(printf 'a\t1\n')
check offline_count gives 2 count --path "$disk"
check offline_dump [ "$(st dump --path "$disk" 2>/dev/null | wc -l)" = 2 ]
check offline_info run 0 "$busbar" store info --path "$disk"
check offline_info_master prints '^master  *none; the last one was '
check offline_verify run 0 "$busbar" store verify --path "$disk" --json
check offline_verify_form json '.whole and .keys == 2 and .expiring == 1 and .damaged == 0'
check offline_nothing refuses 4 "there is no store in \"$box/nowhere\"" get --path "$box/nowhere" a
check offline_writes_nothing run 2 "$busbar" store put --path "$disk" a 2
check offline_without_a_bus run 0 env BUSBAR_DIR="$box/no-buses" "$busbar" store get --path "$disk" a
serve again records --path "$disk"
check serves_again ready again
check has_its_keys said again 'serving .*: 2 keys'
check ttl_survives run 0 "$busbar" store ttl records b --json
check ttl_survived json '.expires_ns > 3000000000000 and .expires_ns < 3600000000000'
serve second records --path "$disk"
check a_second_master_is_refused ends "${pid_of[second]}"
check a_second_master_code [ "$code" = 1 ]
check a_second_master_said said second "${pid_of[again]}"
serve other_bus records --path "$disk" -b another
check from_another_bus_too ends "${pid_of[other_bus]}"
check from_another_bus_code [ "$code" = 1 ]
check from_another_bus_said said other_bus "${pid_of[again]}"
check stops_by_int stop again INT 0
check serve_wrong_quota refuses 2 'takes a size such as' serve x --quota much
check serve_small_quota refuses 2 '1MiB or more' serve x --quota 1000
check serve_both refuses 2 'exclude each other' serve x --memory --path y
check serve_wrong_name run 2 "$busbar" store serve .hidden
check serve_no_directory run 4 "$busbar" store serve x --path "$box/no/where/at/all"

# A byte in the middle of a page: found, said, refused, moved aside.
cp -r "$box/copy" "$box/damaged"
file=$(find "$box/damaged" -name data.mdb)
damage()
{
    local at
    for at in $(seq 4096 4096 "$(($(stat -c %s "$file") - 4096))"); do
        head -c 64 /dev/zero | tr '\0' '\377' | dd of="$file" bs=1 seek=$((at + 3900)) conv=notrunc status=none
        head -c 12 /dev/zero | tr '\0' '\377' | dd of="$file" bs=1 seek="$((at + 10))" conv=notrunc status=none
    done
}
damage
check damage_is_found run 1 "$busbar" store verify --path "$box/damaged"
check damage_is_said prints '^damaged: '
serve hurt hurt --path "$box/damaged" --verify
check damaged_is_refused ends "${pid_of[hurt]}"
check damaged_is_refused_code [ "$code" = 8 ]
serve mended hurt --path "$box/damaged" --verify --start-empty
check starts_empty ready mended
check starts_empty_with_none said mended 'serving .*: 0 keys'
check what_was_is_aside [ -n "$(find "$box/damaged" -maxdepth 1 -name 'damaged-*')" ]
check stop_mended stop mended TERM 0

# ---- a standby ----------------------------------------------------------------------------------------
serve first pair --path "$box/pair" --name first
check first_serves ready first
serve standby pair --path "$box/pair" --standby --name standby
check stands_by soon said standby 'standing by for the store "pair"'
check names_the_master said standby "its master is first (pid ${pid_of[first]})"
answered=0 asked=0
incr_while_killed()
{
    local i
    for i in {1..60}; do
        [ "$i" = 20 ] && kill -KILL "${pid_of[first]}"
        asked=$((asked + 1))
        st incr pair n >/dev/null 2>"$err" && answered=$((answered + 1))
    done
    [ "$answered" = 60 ]
}
check all_are_answered incr_while_killed
check took_over soon said standby 'took over: serving the store "pair"'
check each_counted_once gives "$asked" get pair n
check ls_shows_the_new_one run 0 "$busbar" store ls
check ls_shows_standby prints '^pair  *disk  *standby '
wait "${pid_of[first]}" 2>/dev/null
check stop_standby stop standby TERM 0

# ---- a full file system -------------------------------------------------------------------------------
fill()
{
    local i
    for i in {1..40}; do
        head -c 500000 /dev/zero | tr '\0' x | st put full "big-$i" - --type string 2>"$err" >"$out" || return
    done
    return 0
}
if [ "$(id -u)" = 0 ] && mkdir "$box/full" && mount -t tmpfs -o size=8m,mode=0700 busbar-test "$box/full" 2>/dev/null; then
    mounts+=("$box/full")
    serve full full --path "$box/full/store"
    check serves_on_a_small_disk ready full
    st put full small 1
    fill
    check full_code [ $? = 7 ]
    check full_said says 'its quota or its file system is full'
    check full_reads gives 1 get full small
    check full_info run 0 "$busbar" store info full
    check full_info_says prints '^commands .*; [1-9][0-9]* refused'
    check full_can_delete quietly 0 del full big-1 big-2 big-3
    check room_is_used_again quietly 0 put full small 2
    check master_lives kill -0 "${pid_of[full]}"
    check stop_full stop full TERM 0
    umount "$box/full" && mounts=()
else
    skip full_disk 'needs root and the right to mount a tmpfs'
fi
# The file system of the bus is full, not the store: another sentence.
if [ "$(id -u)" = 0 ] && mkdir "$box/narrow" && mount -t tmpfs -o size=24m,mode=0700 busbar-test "$box/narrow" 2>/dev/null; then
    mounts+=("$box/narrow")
    serve narrow narrow --dir "$box/narrow"
    check serves_narrow ready narrow
    dd if=/dev/zero of="$box/narrow/fill" bs=64k 2>/dev/null
    check no_ring refuses 7 "no room for this process's own ring" put narrow a 1 --dir "$box/narrow"
    rm "$box/narrow/fill"
    check a_ring_again quietly 0 put narrow a 1 --dir "$box/narrow"
    check stop_narrow stop narrow TERM 0
    umount "$box/narrow" && mounts=()
else
    skip no_ring 'needs root and the right to mount a tmpfs'
fi
serve full full --path "$box/quota" --quota 2M
check serves_with_a_quota ready full
fill
check quota_code [ $? = 7 ]
check quota_said says 'its quota'
check quota_info run 0 "$busbar" store info full
check quota_info_says prints '^writes  *refused: no space'
check quota_reads run 0 "$busbar" store get full big-1 --json
check quota_keeps [ "$(du -sk "$box/quota" | cut -f 1)" -le 2400 ] # and 0.3 MiB of locks and control
check quota_can_delete quietly 0 del full --all
check quota_room_again quietly 0 put full k v
check stop_quota stop full TERM 0

# A signal ends a master at once: the best of five, as the box may be busy.
ends_at_once()
{
    local i began took best=1000000
    for i in {1..5}; do
        rm -f "$box/brief.err" # of the one before
        serve brief brief
        ready brief || return
        began=$(date +%s%3N)
        stop brief TERM 0 || return
        took=$(($(date +%s%3N) - began))
        [ "$took" -ge "$best" ] || best=$took
    done
    echo "ended in $best ms" >"$out"
    [ "$best" -lt 600 ]
}
check ends_at_once ends_at_once

# ---- the end ------------------------------------------------------------------------------------------
refuses_as_nobody()
{
    run 5 setpriv --reuid 65534 --regid 65534 --clear-groups -- "$busbar" store get --path "$disk" a && says 'ermission'
}
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    check not_ours refuses_as_nobody
else
    skip not_ours 'needs root to be another user'
fi
check stop_master stop master TERM 0
check stop_services stop services TERM 0
check stop_copy stop copy TERM 0
check a_store_outlives_its_master gives 2 count hosts web/
finish
