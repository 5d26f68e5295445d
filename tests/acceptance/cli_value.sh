#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: `busbar value` converts line by line between all forms and says which line is wrong, where and why;
# `busbar pub --type` publishes what a text says as a value of that type.
# Method: lines by hand, Broker's own vectors (BB_DATA), long lines, and what a subscriber gets.
. "$(dirname "$0")/cli_common.bash"

value() { run "$1" "$busbar" value "${@:2}" <"$box/in"; }
lines() { printf '%s\n' "$@" >"$box/in"; }
exactly() { printf '%s\n' "$@" | cmp -s - "$out"; }

# ---- forms -----------------------------------------------------------------------------------------

lines '5' '(1, {a -> 10.0.0.1})' '80/tcp' 'some words'
check text_to_json value 0
check text_to_json_is_right exactly '{"@data-type":"count","data":5}' \
    '{"@data-type":"vector","data":[{"@data-type":"count","data":1},{"@data-type":"table","data":[{"key":{"@data-type":"string","data":"a"},"value":{"@data-type":"address","data":"10.0.0.1"}}]}]}' \
    '{"@data-type":"port","data":"80/tcp"}' '{"@data-type":"string","data":"some words"}'
check says_nothing silent "$err"
cp "$box/in" "$box/texts"
cp "$out" "$box/jsons"

# Around through all forms: what goes in comes out.
there_and_back()
{
    "$busbar" value --from text --to "$1" <"$box/texts" | "$busbar" value --from "$1" --to "$2" \
        | "$busbar" value --from "$2" --to json | cmp -s - "$box/jsons"
}
for a in json bin native; do
    for b in json bin native; do
        check "text_${a}_${b}_json" there_and_back "$a" "$b"
    done
done

lines '1.5s' '1530925958459474001ns'
check typed_spans value 0 --type timespan --to text
check typed_spans_are_right exactly 1500000000ns 1530925958459474001ns
lines '2018-07-07T01:12:38.459474001Z'
check exact_time value 0 --type timestamp --exact
check exact_time_is_right exactly '{"@data-type":"timestamp","data":"2018-07-07T01:12:38.459474001"}'
lines '0.1'
check exact_real value 0 --exact
check exact_real_is_right exactly '{"@data-type":"real","data":0.1}'
lines '5'
check typed value 0 --type integer --to text
check enum_type value 0 --type enum
check enum_is_right exactly '{"@data-type":"enum-value","data":"5"}'

if [ -n "${BB_DATA:-}" ]; then
    vectors=$BB_DATA/broker/vectors.tsv
    bin_to_text() { cut -f 2 "$vectors" | "$busbar" value --from bin --to text | cmp -s - <(cut -f 4 "$vectors"); }
    json_to_json() { cut -f 3 "$vectors" | "$busbar" value --from json --to json | cmp -s - <(cut -f 3 "$vectors" | sed -E 's/"data":(-?inf)/"data":"\1"/'); }
    bin_to_bin() { cut -f 2 "$vectors" | "$busbar" value --from bin --to json --exact | "$busbar" value --from json --to bin | cmp -s - <(cut -f 2 "$vectors"); }
    check vectors_bin_to_text bin_to_text
    check vectors_json_to_json json_to_json
    check vectors_bin_by_exact_json_to_bin bin_to_bin
else
    skip vectors "BB_DATA is not set"
fi

# ---- lines that are wrong --------------------------------------------------------------------------

lines '1' '65536/tcp' '(2, 3' '' 'nil'
check goes_on_after_a_wrong_line value 1
check the_others_are_converted exactly '{"@data-type":"count","data":1}' \
    '{"@data-type":"string","data":""}' '{"@data-type":"none","data":{}}'
check says_line_and_column says '^busbar: value: line 2: column 1: "65536/tcp" looks like a port'
check says_where_it_ends says '^busbar: value: line 3: column 6: here `,` or `)` should stand'
check counts_the_wrong_lines says '^busbar: value: 2 of 5 lines were refused$'

lines '' '{"@data-type":"count","data":1.0}' 'x'
check wrong_json value 1 --from json
check wrong_json_column says 'line 2: column 30: the data is no count'
check wrong_json_empty says 'line 1: column 1: the text ends where'
check wrong_json_count says '3 of 3 lines'

lines '' '0g' '020' '0200' '0e0100' '0002'
check wrong_bin value 1 --from bin
check wrong_bin_digit says 'line 2: column 2: this is no hex digit'
check wrong_bin_half says 'line 3: column 4: the last byte has only one'
check wrong_bin_short says 'line 4: column 3: '
check wrong_bin_trailing says 'line 6: column 3: '
check right_among_wrong exactly '{"@data-type":"vector","data":[{"@data-type":"none","data":{}}]}'

lines '' '0800000000000000' '08000000000000' '080000000000000008000000000000000' '08000000000000000800000000000000' '0800000001020000'
check wrong_native value 1 --from native
check wrong_native_trailing says 'line 5: column 17: something follows the value'
check wrong_native_count says '5 of 6 lines'

# ---- lines of any kind -----------------------------------------------------------------------------

printf '5\n7' >"$box/in"
check last_line_may_lack_its_end value 0 --to text
check last_line_is_there exactly 5 7
: >"$box/in"
check no_line_is_no_value value 0
check no_line_prints_nothing silent "$out"
printf 'a\0b\n' >"$box/in"
check nul_is_a_byte value 0
check nul_is_right exactly '{"@data-type":"string","data":"a\u0000b"}'

ten_mib() { head -c 10485760 /dev/zero | tr '\0' x; }
long_line() { (ten_mib; echo; echo 5) | timeout "$limit" "$busbar" value --to text | cmp -s - <(ten_mib; echo; echo 5); }
check a_line_of_10_mib long_line
too_long()
{
    (echo 1; head -c $((64 * 1048576 + 1)) /dev/zero | tr '\0' x; echo; echo 'a)' ) \
        | timeout "$limit" "$busbar" value --from json >"$out" 2>"$err"
    [ $? = 1 ] && says 'line 2: column 67108865: a line has at most 64 MiB' && says 'line 3: column 1: '
}
check a_line_of_more_than_64_mib_is_refused too_long

# A line comes out as soon as it went in, though the input stays open.
mkfifo "$box/pipe"
"$busbar" value --to text <"$box/pipe" >"$box/slow" 2>/dev/null &
child=$!
children+=("$child")
exec 7>"$box/pipe"
echo 5 >&7
check lines_come_out_at_once soon has_lines 1 "$box/slow"
exec 7>&-
check ends_with_its_input ends "$child"

# ---- wrong usage -----------------------------------------------------------------------------------

lines 5
check wrong_from value 2 --from yaml
check wrong_from_says says 'takes text, json, bin or native, not "yaml"'
check wrong_to value 2 --to yaml
check wrong_type value 2 --type quad
check type_needs_text value 2 --type count --from json
check exact_needs_json value 2 --exact --to text
check no_arguments value 2 5

# ---- pub --type ------------------------------------------------------------------------------------

name=reader
start sub t --name reader --from oldest -n 6 -W 20s --json
reader=$child
check reader_attached soon attached reader
check reader_reads soon is_reading reader
check pub_real run 0 "$busbar" pub t 5 --type real
check pub_any run 0 "$busbar" pub t '{1, 2}' -t any
check pub_event run 0 "$busbar" pub t -e 'hit((1, 2), {a -> 80/tcp})'
lines 1 2 three 4
check pub_lines run 1 "$busbar" pub t --type count <"$box/in"
check pub_lines_says says '^busbar: pub: line 3: column 1: "three" is not a count'
check pub_lines_counts says '3 of 4 messages went; 1 lines were no values of the type "count"'
check reader_ends ends "$reader"
check reader_got jq_e -s 'map(.value // .args) == [
    {"@data-type":"real","data":5},
    {"@data-type":"set","data":[{"@data-type":"count","data":1},{"@data-type":"count","data":2}]},
    [{"@data-type":"vector","data":[{"@data-type":"count","data":1},{"@data-type":"count","data":2}]},
     {"@data-type":"table","data":[{"key":{"@data-type":"string","data":"a"},"value":{"@data-type":"port","data":"80/tcp"}}]}],
    {"@data-type":"count","data":1}, {"@data-type":"count","data":2}, {"@data-type":"count","data":4}]' "$box/reader.out"
check pub_wrong_value run 2 "$busbar" pub t x --type count
check pub_wrong_value_says says 'DATA, column 1: "x" is not a count'
check pub_wrong_type run 2 "$busbar" pub t x --type quad
check pub_type_and_event run 2 "$busbar" pub t -e 'a()' --type any
check pub_wrong_event run 2 "$busbar" pub t -e 'a(1, {2, 2})'
check pub_wrong_event_says says 'the event, column 11: the set that ends here holds the same element twice'

finish
