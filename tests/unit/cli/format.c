/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Text for people: a terminal is safe, nothing is lost, numbers are short.
 * Method  Tables of bytes, numbers and times with their text.
 */
#include "tools/cli/format.h"

#include "tools/cli/utf8.h"
#include <criterion/criterion.h>
#include <string.h>

static void
check_escaped(const char *bytes, size_t count, int word, const char *text)
{
    struct cli_buffer b = {0};
    cli_put_escaped(&b, bytes, count, word);
    cli_buffer_put(&b, "", 1);
    cr_assert_eq(b.err, 0);
    cr_assert_str_eq(b.p, text);
    cli_buffer_free(&b);
}

Test(cli_format, unprintable_bytes_are_escaped)
{
    check_escaped("hello world", 11, 0, "hello world");
    check_escaped("hello world", 11, 1, "hello\\x20world");
    check_escaped("a\nb\tc\rd\\e", 9, 0, "a\\nb\\tc\\rd\\\\e");
    check_escaped("\0\x1b[31m\x7f", 7, 0, "\\x00\\x1b[31m\\x7f");
    check_escaped("gr\xc3\xbc\xc3\x9f", 6, 0, "gr\xc3\xbc\xc3\x9f");
    check_escaped("\xe2\x82\xac\xf0\x9f\x9a\x8c", 7, 0, "\xe2\x82\xac\xf0\x9f\x9a\x8c");
    check_escaped("\xc2\x9b", 2, 0, "\\xc2\\x9b"); /* C1: some terminals obey it */
    check_escaped("\xff\xc3", 2, 0, "\\xff\\xc3");
    check_escaped("", 0, 0, "");
}

Test(cli_format, utf8_is_strict)
{
    static const struct {
        const char *bytes;
        size_t count, length;
    } cases[] = {
        {"a", 1, 1},
        {"\xc3\xbc", 2, 2},
        {"\xc3\xbc", 1, 0},
        {"\xc0\x80", 2, 0},
        {"\xc1\xbf", 2, 0},
        {"\xe0\x9f\xbf", 3, 0},
        {"\xed\xa0\x80", 3, 0},
        {"\xef\xbf\xbd", 3, 3},
        {"\x80", 1, 0},
        {"\xf5\x80\x80\x80", 4, 0},
        {"\xf4\x90\x80\x80", 4, 0},
        {"\xf4\x8f\xbf\xbf", 4, 4},
        {"\xf0\x8f\xbf\xbf", 4, 0},
        {"", 0, 0},
        {"\xe2\x28\xa1", 3, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t rune = 0;
        cr_assert_eq(cli_utf8_next((const unsigned char *)cases[i].bytes, cases[i].count, &rune),
                     cases[i].length, "case %zu", i);
    }
}

Test(cli_format, numbers_are_short)
{
    char text[CLI_NUMBER_BYTES];
    cr_assert_str_eq(cli_scaled(text, 0), "0");
    cr_assert_str_eq(cli_scaled(text, 2.5), "2.5");
    cr_assert_str_eq(cli_scaled(text, 950), "950");
    cr_assert_str_eq(cli_scaled(text, 41234), "41.2k");
    cr_assert_str_eq(cli_scaled(text, 3100000), "3.1M");
    cr_assert_str_eq(cli_bytes(text, 950), "950B");
    cr_assert_str_eq(cli_bytes(text, 8 << 20), "8.0MiB");
    cr_assert_str_eq(cli_span(text, 180), "180ns");
    cr_assert_str_eq(cli_span(text, 3100), "3.1us");
    cr_assert_str_eq(cli_span(text, 12345678), "12ms");
    cr_assert_str_eq(cli_span(text, INT64_C(41000000000)), "41s");
    cr_assert_str_eq(cli_span(text, INT64_C(3 * 3600000000000)), "3.0h");
    cr_assert_str_eq(cli_wall(text, INT64_C(1700000000123456789)), "2023-11-14T22:13:20Z");
}

Test(cli_format, owners_have_a_name_or_a_number)
{
    char text[CLI_OWNER_BYTES];
    cr_assert_str_eq(cli_owner(text, 0), "root (uid 0)");
    cr_assert_str_eq(cli_owner(text, 3999999999), "uid 3999999999");
    cr_assert_str_eq(cli_owner(text, -1), "an unknown user");
}

Test(cli_buffer, grows_and_keeps)
{
    struct cli_buffer b = {0};
    for (int i = 0; i < 1000; i++) {
        cli_buffer_printf(&b, "%d,", i);
    }
    cr_assert_eq(b.err, 0);
    cr_assert_eq(b.bytes, 10 * 2 + 90 * 3 + 900 * 4);
    cr_assert_eq(memcmp(b.p + b.bytes - 4, "999,", 4), 0);
    cr_assert_null(cli_buffer_room(&b, SIZE_MAX));
    cr_assert_neq(b.err, 0);
    cli_buffer_free(&b);
    cr_assert_null(b.p);
}
