/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: typed text means what it looks like, or what its type says, and is refused with a place and a sentence
 * when it means nothing.
 * Method: tables of texts with the exact JSON that they come out as; every prefix and every flipped bit of a
 * text with all forms; the same in a locale with a decimal comma.
 */
#include "tests/support/codec.h"

#include <criterion/criterion.h>
#include <locale.h>

static struct codec c;

TestSuite(text_read, .timeout = 60);

#define VALUE(type, data) "{\"@data-type\":\"" type "\",\"data\":" data "}"

struct row {
    int type;
    const char *text;
    const char *json; /* or "offset: sentence", as it begins */
};

static void
expect(const struct row *row)
{
    const char *got = codec_turn(&c, row->type, row->text, bb_value_json_exact);
    cr_expect_eq(strncmp(got, row->json, strlen(row->json)), 0, "%s\n    gives: %s\n    not:   %s",
                 row->text, got, row->json);
}

#define EXPECT_ALL(rows)                                                                           \
    for (size_t i = 0; i < sizeof(rows) / sizeof((rows)[0]); i++) {                                \
        expect(&(rows)[i]);                                                                        \
    }

Test(text_read, any_is_what_it_looks_like)
{
    static const struct row rows[] = {
        {BB_TYPE_ANY, "", VALUE("string", "\"\"")},
        {BB_TYPE_ANY, "nil", VALUE("none", "{}")},
        {BB_TYPE_ANY, "T", VALUE("boolean", "true")},
        {BB_TYPE_ANY, "F", VALUE("boolean", "false")},
        {BB_TYPE_ANY, "true", VALUE("string", "\"true\"")},
        {BB_TYPE_ANY, "0", VALUE("count", "0")},
        {BB_TYPE_ANY, "007", VALUE("count", "7")},
        {BB_TYPE_ANY, "18446744073709551615", VALUE("count", "18446744073709551615")},
        {BB_TYPE_ANY, "+5", VALUE("integer", "5")},
        {BB_TYPE_ANY, "-9223372036854775808", VALUE("integer", "-9223372036854775808")},
        {BB_TYPE_ANY, "2.5", VALUE("real", "2.5")},
        {BB_TYPE_ANY, "-.5", VALUE("real", "-0.5")},
        {BB_TYPE_ANY, "5.", VALUE("real", "5.0")},
        {BB_TYPE_ANY, "1e3", VALUE("real", "1000.0")},
        {BB_TYPE_ANY, "1E-9", VALUE("real", "1e-09")},
        {BB_TYPE_ANY, "300ms", VALUE("timespan", "\"300ms\"")},
        {BB_TYPE_ANY, "-1.5h", VALUE("timespan", "\"-5400s\"")},
        {BB_TYPE_ANY, "5m", VALUE("timespan", "\"300s\"")},
        {BB_TYPE_ANY, "10.0.0.1", VALUE("address", "\"10.0.0.1\"")},
        {BB_TYPE_ANY, "::", VALUE("address", "\"::\"")},
        {BB_TYPE_ANY, "10.1.2.3/8", VALUE("subnet", "\"10.0.0.0/8\"")},
        {BB_TYPE_ANY, "fe80::/10", VALUE("subnet", "\"fe80::/10\"")},
        {BB_TYPE_ANY, "80/tcp", VALUE("port", "\"80/tcp\"")},
        {BB_TYPE_ANY, "1/?", VALUE("port", "\"1/?\"")},
        {BB_TYPE_ANY, "\"a, \\\"b\\\"\\\\\\n\\r\\t\\x00\\xfF\"",
         VALUE("string", "\"a, \\\"b\\\"\\\\\\n\\r\\t\\u0000\\udcff\"")},
        {BB_TYPE_ANY, "\"5\"", VALUE("string", "\"5\"")},
        {BB_TYPE_ANY, "hello, world", VALUE("string", "\"hello, world\"")},
        {BB_TYPE_ANY, " 5", VALUE("string", "\" 5\"")},
        {BB_TYPE_ANY, "a\"b", VALUE("string", "\"a\\\"b\"")},
        {BB_TYPE_ANY, "-", VALUE("string", "\"-\"")},
        {BB_TYPE_ANY, ".", VALUE("string", "\".\"")},
        {BB_TYPE_ANY, "e5", VALUE("string", "\"e5\"")},
        {BB_TYPE_ANY, "1e", VALUE("string", "\"1e\"")},
        {BB_TYPE_ANY, "inf", VALUE("string", "\"inf\"")},
        {BB_TYPE_ANY, "0x10", VALUE("string", "\"0x10\"")},
        {BB_TYPE_ANY, "80/sctp", VALUE("string", "\"80/sctp\"")},
        {BB_TYPE_ANY, "/tcp", VALUE("string", "\"/tcp\"")},
        {BB_TYPE_ANY, "10.0.0.0/", VALUE("string", "\"10.0.0.0/\"")},
        {BB_TYPE_ANY, "5 ms", VALUE("string", "\"5 ms\"")},
        {BB_TYPE_ANY, "2018-07-07T01:12:38", VALUE("string", "\"2018-07-07T01:12:38\"")},
        {BB_TYPE_ANY, VALUE("enum-value", "\"e\""), VALUE("enum-value", "\"e\"")},
        {BB_TYPE_ANY, "{ \"data\" : 5 , \"@data-type\" : \"integer\" }", VALUE("integer", "5")},
        {BB_TYPE_ANY, "65536/tcp", "0: \"65536/tcp\" looks like a port, but is out of range"},
        {BB_TYPE_ANY, "10.0.0.0/33", "0: \"10.0.0.0/33\" looks like a subnet"},
        {BB_TYPE_ANY, "18446744073709551616", "0: \"18446744073709551616\" looks like a count"},
        {BB_TYPE_ANY, "-9223372036854775809", "0: \"-9223372036854775809\" looks like an integer"},
        {BB_TYPE_ANY, "1e999", "0: \"1e999\" looks like a real"},
        {BB_TYPE_ANY, "300000000d", "0: \"300000000d\" looks like a timespan"},
        {BB_TYPE_ANY, "\"a", "0: a quote is not closed"},
        {BB_TYPE_ANY, "\"a\\q\"", "2: there is no such escape"},
        {BB_TYPE_ANY, "\"a\\x4\"", "2: there is no such escape"},
        {BB_TYPE_ANY, "\"a\" b", "4: something follows the value"},
    };
    EXPECT_ALL(rows)
}

Test(text_read, containers)
{
    static const struct row rows[] = {
        {BB_TYPE_ANY, "()", VALUE("vector", "[]")},
        {BB_TYPE_ANY, "{}", VALUE("set", "[]")},
        {BB_TYPE_ANY, "{ } ", VALUE("set", "[]")},
        {BB_TYPE_ANY, "(1)", VALUE("vector", "[" VALUE("count", "1") "]")},
        {BB_TYPE_ANY, "{a}", VALUE("set", "[" VALUE("string", "\"a\"") "]")},
        {BB_TYPE_ANY, "{b,a}",
         VALUE("set", "[" VALUE("string", "\"a\"") "," VALUE("string", "\"b\"") "]")},
        {BB_TYPE_ANY, "(a b ,\t\"\" )",
         VALUE("vector", "[" VALUE("string", "\"a b\"") "," VALUE("string", "\"\"") "]")},
        {BB_TYPE_ANY, "(a -> b)", VALUE("vector", "[" VALUE("string", "\"a -> b\"") "]")},
        {BB_TYPE_ANY, "{2->a, 1 -> -5}",
         VALUE("table",
               "[{\"key\":" VALUE("count", "1") ",\"value\":" VALUE(
                   "integer", "-5") "},{\"key\":" VALUE("count",
                                                        "2") ",\"value\":" VALUE("string",
                                                                                 "\"a\"") "}]")},
        {BB_TYPE_ANY, "{{1} -> ({} , ())}",
         VALUE("table", "[{\"key\":" VALUE("set", "[" VALUE("count", "1") "]") ",\"value\":" VALUE(
                            "vector", "[" VALUE("set", "[]") "," VALUE("vector", "[]") "]") "}]")},
        {BB_TYPE_ANY, "(" VALUE("set", "[]") ", {\"data\" -> 1})",
         VALUE("vector", "[" VALUE("set", "[]") "," VALUE(
                             "table", "[{\"key\":" VALUE("string", "\"data\"") ",\"value\":" VALUE(
                                          "count", "1") "}]") "]")},
        {BB_TYPE_ANY, "(", "1: the text ends where an element should stand"},
        {BB_TYPE_ANY, "(1", "2: here `,` or `)` should stand"},
        {BB_TYPE_ANY, "(1,", "3: the text ends where an element should stand"},
        {BB_TYPE_ANY, "(1,)", "3: an element is empty"},
        {BB_TYPE_ANY, "(,1)", "1: an element is empty"},
        {BB_TYPE_ANY, "(1}", "2: here `,` or `)` should stand"},
        {BB_TYPE_ANY, "(a(b))", "2: here `,` or `)` should stand (strings with such signs need"},
        {BB_TYPE_ANY, "(\"a\" b)", "5: here `,` or `)` should stand"},
        {BB_TYPE_ANY, "(1) 2", "4: something follows the value"},
        {BB_TYPE_ANY, "{1)", "2: here `,` or `}` should stand"},
        {BB_TYPE_ANY, "{1 -> 2", "7: here `,` or `}` should stand"},
        {BB_TYPE_ANY, "{1 -> 2, 3}", "10: `->` and a value are missing behind the key"},
        {BB_TYPE_ANY, "{1, 2 -> 3}", "6: here `,` or `}` should stand"},
        {BB_TYPE_ANY, "{1 -> 2 -> 3}", "8: here `,` or `}` should stand"},
        {BB_TYPE_ANY, "{-> 2}", "1: an element is empty"},
        {BB_TYPE_ANY, "{1 ->}", "5: an element is empty"},
        {BB_TYPE_ANY, "{1, 1}", "5: the set that ends here holds the same element twice"},
        {BB_TYPE_ANY, "{1 -> 2, 1 -> 3}", "15: the table that ends here holds the same key twice"},
        {BB_TYPE_ANY, "(65536/tcp)", "1: \"65536/tcp\" looks like a port"},
        {BB_TYPE_ANY, "(" VALUE("count", "-1") ")", "30: the data is no count"},
    };
    EXPECT_ALL(rows)
}

Test(text_read, a_type_says_how_it_is_meant)
{
    static const struct row rows[] = {
        {BB_NONE, "nil", VALUE("none", "{}")},
        {BB_BOOLEAN, "true", VALUE("boolean", "true")},
        {BB_BOOLEAN, "F", VALUE("boolean", "false")},
        {BB_COUNT, "5", VALUE("count", "5")},
        {BB_INTEGER, "5", VALUE("integer", "5")},
        {BB_REAL, "5", VALUE("real", "5.0")},
        {BB_REAL, "-inf", VALUE("real", "\"-inf\"")},
        {BB_REAL, "nan", VALUE("real", "\"nan\"")},
        {BB_STRING, "\"5", VALUE("string", "\"\\\"5\"")},
        {BB_STRING, "(1", VALUE("string", "\"(1\"")},
        {BB_ENUM, "Notice::LOG", VALUE("enum-value", "\"Notice::LOG\"")},
        {BB_ADDRESS, "::1", VALUE("address", "\"::1\"")},
        {BB_SUBNET, "::/0", VALUE("subnet", "\"::/0\"")},
        {BB_PORT, "80", VALUE("port", "\"80/tcp\"")},
        {BB_TIMESTAMP, "1530925958459474000ns",
         VALUE("timestamp", "\"2018-07-07T01:12:38.459474000\"")},
        {BB_TIMESTAMP, "2018-07-07T03:12:38+02:00",
         VALUE("timestamp", "\"2018-07-07T01:12:38.000\"")},
        {BB_TIMESPAN, "-9223372036854775808ns", VALUE("timespan", "\"-9223372036854775808ns\"")},
        {BB_SET, "{}", VALUE("set", "[]")},
        {BB_SET, VALUE("set", "[]"), VALUE("set", "[]")},
        {BB_TABLE, "{}", VALUE("table", "[]")},
        {BB_TABLE, "{ }", VALUE("table", "[]")},
        {BB_TABLE, "{1 -> {}}",
         VALUE("table", "[{\"key\":" VALUE("count", "1") ",\"value\":" VALUE("set", "[]") "}]")},
        {BB_VECTOR, "(T)", VALUE("vector", "[" VALUE("boolean", "true") "]")},
        {BB_NONE, "", "0: \"\" is not a none, which is written nil"},
        {BB_COUNT, "-1", "0: \"-1\" is not a count, which is written a whole number from 0 to"},
        {BB_COUNT, "5.0", "0: \"5.0\" is not a count"},
        {BB_COUNT, "\x1b[31m\xff", "0: \"?[31m?\" is not a count"},
        {BB_INTEGER, "9223372036854775808", "0: \"9223372036854775808\" is not an integer"},
        {BB_REAL, "1e999", "0: \"1e999\" is not a real"},
        {BB_ADDRESS, "10.0.0.0/8", "0: \"10.0.0.0/8\" is not an address"},
        {BB_TIMESPAN, "2018-07-07T03:12:38", "0: \"2018-07-07T03:12:38\" is not a timespan"},
        {BB_SET, "{1 -> 2}", "0: this is not a set"},
        {BB_SET, "(1)", "0: \"(1)\" is not a set, which is written {a, b}"},
        {BB_TABLE, "{1}", "0: this is not a table"},
        {BB_TABLE, "{1, 2}", "0: this is not a table"},
        {BB_VECTOR, "{}", "0: \"{}\" is not a vector"},
        {BB_VECTOR, VALUE("set", "[]"), "0: this is not a vector"},
        {BB_VECTOR + 1, "5", "0: there is no type 15"},
        {-2, "5", "0: there is no type -2"},
    };
    EXPECT_ALL(rows)
}

Test(text_read, a_nul_is_a_character_like_others)
{
    static const char bare[] = "(a\0b, 1)";
    cr_assert_gt(codec_read(&c, BB_TYPE_ANY, bare, sizeof(bare) - 1), 0);
    cr_assert_gt(bb_value_json(&c.v, c.printed, sizeof(c.printed)), 0);
    cr_assert_str_eq(c.printed, VALUE("vector", "[" VALUE("string", "\"a\\u0000b\"") "," VALUE(
                                                    "count", "1") "]"));
    cr_assert_eq(codec_read(&c, BB_ADDRESS, "10.0.0.1\0", 9), BB_EINVAL);
    cr_assert_eq(codec_read(&c, BB_COUNT, "5\0", 2), BB_EINVAL);
}

static const char everything[] =
    "({1, -2, 2.5, 1e-9, T, nil, 300ms, 10.0.0.1, ::1, 10.0.0.0/8, 80/tcp, \"q\\x41\\\"\", word}, "
    "{a -> {}, (b, {c -> d}) -> " VALUE("timestamp", "\"2018-07-07T01:12:38.459\"") "}, ())";

Test(text_read, every_prefix_is_refused)
{
    size_t whole = sizeof(everything) - 1;
    cr_assert_gt(codec_read(&c, BB_TYPE_ANY, everything, whole), 0, "%zu: %s", c.error.offset,
                 c.error.sentence);
    for (size_t bytes = 1; bytes < whole; bytes++) {
        cr_assert_eq(codec_read(&c, BB_TYPE_ANY, everything, bytes), BB_EINVAL, "%zu", bytes);
    }
}

Test(text_read, any_flipped_bit_is_refused_or_read)
{
    char text[sizeof(everything)];
    unsigned refused = 0;
    unsigned taken = 0;
    memcpy(text, everything, sizeof(text));
    for (size_t at = 0; at + 1 < sizeof(text); at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            text[at] = (char)(text[at] ^ (1 << bit));
            int64_t rc = codec_read(&c, BB_TYPE_ANY, text, sizeof(text) - 1);
            cr_assert(rc > 0 || rc == BB_EINVAL);
            refused += rc < 0;
            taken += rc > 0;
            text[at] = (char)(text[at] ^ (1 << bit));
        }
    }
    cr_assert_gt(refused, 100);
    cr_assert_gt(taken, 100);
}

Test(text_read, nesting_is_bounded)
{
    static char text[20001];
    for (int braces = 0; braces < 2; braces++) {
        for (size_t depth = BB_VALUE_DEPTH; depth <= 10000; depth += 10000 - BB_VALUE_DEPTH) {
            memset(text, braces ? '{' : '(', depth);
            memset(text + depth, braces ? '}' : ')', depth);
            int64_t rc = codec_read(&c, BB_TYPE_ANY, text, 2 * depth);
            cr_assert(depth == BB_VALUE_DEPTH ? rc > 0 : rc == BB_EINVAL, "%zu", depth);
        }
        cr_assert_eq(c.error.offset, BB_VALUE_DEPTH);
        cr_assert_str_eq(c.error.sentence, "containers nest more than 255 deep");
    }
}

Test(text_read, measuring_and_writing_agree)
{
    struct bb_builder b;
    int64_t bytes = codec_read(&c, BB_TYPE_ANY, everything, sizeof(everything) - 1);
    bb_build_init(&b, NULL, 0);
    bb_put_text(&b, BB_TYPE_ANY, everything, sizeof(everything) - 1, NULL);
    cr_assert_eq(b.need_bytes, (size_t)bytes);
    cr_assert_eq(bb_build_end(&b), BB_EMSGSIZE);
    bb_build_init(&b, NULL, 0);
    bb_put_text(&b, BB_SET, "{1 -> 2}", 8, NULL);
    cr_assert_eq(bb_build_end(&b), BB_EINVAL);
}

Test(text_read, numbers_do_not_depend_on_the_locale)
{
    static const char *const commas[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    static const struct row row = {BB_TYPE_ANY, "2.5", VALUE("real", "2.5")};
    const char *found = NULL;
    for (size_t i = 0; i < sizeof(commas) / sizeof(commas[0]) && found == NULL; i++) {
        found = setlocale(LC_NUMERIC, commas[i]);
    }
    if (found == NULL) {
        cr_skip_test("no locale with a decimal comma is installed");
    }
    expect(&row);
}
