/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Typed events: each argument has the type that it looks like; mistakes are said, nothing is guessed.
 * Method  The event is built, opened again and compared by type and text.
 */
#include "tools/cli/event_text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

struct built {
    unsigned char bytes[4096];
    size_t count;
    struct bb_event event;
};

static void
build(struct built *out, const char *text)
{
    struct bb_codec_error error = {0};
    struct bb_builder b;
    bb_build_init(&b, out->bytes, sizeof(out->bytes));
    cr_assert_eq(cli_event_put(&b, text, &error), 0, "%s: %s", text, error.sentence);
    int64_t n = bb_build_end(&b);
    cr_assert_gt(n, 0, "%s", text);
    out->count = (size_t)n;
    cr_assert_eq(bb_event_open(&out->event, out->bytes, out->count), 0, "%s", text);
}

Test(cli_event, types_by_their_looks)
{
    static const struct {
        const char *arg;
        int type;
        const char *text;
    } cases[] = {
        {"5", BB_COUNT, "5"},
        {"18446744073709551615", BB_COUNT, "18446744073709551615"},
        {"-5", BB_INTEGER, "-5"},
        {"+5", BB_INTEGER, "5"},
        {"-9223372036854775808", BB_INTEGER, "-9223372036854775808"},
        {"2.5", BB_REAL, "2.500000"},
        {"1e3", BB_REAL, "1000.000000"},
        {"T", BB_BOOLEAN, "T"},
        {"F", BB_BOOLEAN, "F"},
        {"nil", BB_NONE, "nil"},
        {"10.0.0.1", BB_ADDRESS, "10.0.0.1"},
        {"::1", BB_ADDRESS, "::1"},
        {"10.0.0.0/8", BB_SUBNET, "10.0.0.0/8"},
        {"10.1.2.3/8", BB_SUBNET, "10.0.0.0/8"},
        {"fe80::/10", BB_SUBNET, "fe80::/10"},
        {"80/tcp", BB_PORT, "80/tcp"},
        {"53/udp", BB_PORT, "53/udp"},
        {"8/icmp", BB_PORT, "8/icmp"},
        {"1/?", BB_PORT, "1/?"},
        {"300ms", BB_TIMESPAN, "300000000ns"},
        {"-1s", BB_TIMESPAN, "-1000000000ns"},
        {"\"quoted, with (signs)\"", BB_STRING, "quoted, with (signs)"},
        {"\"5\"", BB_STRING, "5"},
        {"\"\"", BB_STRING, ""},
        {"\"a\\\"b\\\\c\\n\\x41\"", BB_STRING, "a\"b\\c\nA"},
        {"plain words here", BB_STRING, "plain words here"},
        {"10.0.0", BB_STRING, "10.0.0"},
        {"a/b", BB_STRING, "a/b"},
        {"80/sctp", BB_STRING, "80/sctp"},
        {"inf", BB_STRING, "inf"},
        {"(1, (a))", BB_VECTOR, "(1, (a))"},
        {"{2, 1}", BB_SET, "{1, 2}"},
        {"{k -> 80/tcp}", BB_TABLE, "{k -> 80/tcp}"},
        {"{\"@data-type\":\"enum-value\",\"data\":\"e\"}", BB_ENUM, "e"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        char form[256];
        struct built built;
        struct bb_value v;
        snprintf(text, sizeof(text), "name( %s )", cases[i].arg);
        build(&built, text);
        cr_assert_eq(built.event.arg_count, 1, "%s", text);
        cr_assert_eq(bb_event_arg(&built.event, 0, &v), 0);
        cr_assert_eq(bb_value_type(&v), cases[i].type, "%s", text);
        cr_assert_geq(bb_value_text(&v, form, sizeof(form)), 0);
        cr_assert_str_eq(form, cases[i].text);
    }
}

Test(cli_event, several_arguments_and_none)
{
    struct built built;
    build(&built, " Scan::hit (10.0.0.1,  22/tcp ,\"x\")  ");
    cr_assert_eq(built.event.arg_count, 3);
    cr_assert_eq(built.event.name_bytes, 9);
    cr_assert_eq(memcmp(built.event.name, "Scan::hit", 9), 0);
    build(&built, "quiet()");
    cr_assert_eq(built.event.arg_count, 0);
    build(&built, "quiet( )");
    cr_assert_eq(built.event.arg_count, 0);
}

Test(cli_event, a_long_bare_word_is_a_string)
{
    char text[512] = "e(";
    struct built built;
    struct bb_value v;
    memset(text + 2, '7', 400);
    strcpy(text + 402, ")");
    build(&built, text);
    cr_assert_eq(bb_event_arg(&built.event, 0, &v), 0);
    cr_assert_eq(bb_value_type(&v), BB_STRING);
}

Test(cli_event, mistakes_are_said)
{
    static const char *const bad[] = {"",
                                      "name",
                                      "name(",
                                      "name(1",
                                      "(1)",
                                      "name(1))",
                                      "name(,)",
                                      "name(1,)",
                                      "name(\"a)",
                                      "name(\"\\q\")",
                                      "name(1) more",
                                      "name(\"a\" b)",
                                      "n(a(b))",
                                      "n(65536/tcp)",
                                      "n(10.0.0.0/33)",
                                      "n(::/129)",
                                      "n(18446744073709551616)",
                                      "n(-9223372036854775809)",
                                      "n(\"\\x4\")",
                                      "n({1, 1})",
                                      "n({a -> 1, a -> 2})",
                                      "n({a -> 1, b})"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct bb_codec_error error = {0};
        unsigned char bytes[1024];
        struct bb_builder b;
        bb_build_init(&b, bytes, sizeof(bytes));
        cr_assert_eq(cli_event_put(&b, bad[i], &error), BB_EINVAL, "%s", bad[i]);
        cr_assert_neq(error.sentence[0], '\0', "%s", bad[i]);
    }
}

Test(cli_event, measuring_gives_the_size)
{
    static const char text[] = "name(1, two, \"three\", 10.0.0.1)";
    struct bb_codec_error error = {0};
    struct built built;
    struct bb_builder b;
    build(&built, text);
    bb_build_init(&b, NULL, 0);
    cr_assert_eq(cli_event_put(&b, text, &error), 0);
    cr_assert_eq(b.need_bytes, built.count);
}

Test(cli_event, the_column_counts_from_the_start_of_the_text)
{
    struct bb_codec_error error = {0};
    struct bb_builder b;
    bb_build_init(&b, NULL, 0);
    cr_assert_eq(cli_event_put(&b, " n (1, 65536/tcp)", &error), BB_EINVAL);
    cr_assert_eq(error.offset, 7);
}
