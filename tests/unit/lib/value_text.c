/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the text form is Broker's, whatever the locale, and behaves like snprintf.
 * Method: samples of reference table 2.1 (Broker's own vectors are in value_json.c); every capacity in turn.
 */
#include <busbar/value.h>

#include <criterion/criterion.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

static unsigned char buf[4096];

static const char *
text_of(struct bb_builder *b)
{
    static char text[1024];
    struct bb_value v;
    int64_t bytes = bb_build_end(b);
    cr_assert_gt(bytes, 0);
    cr_assert_eq(bb_value_open(&v, buf, (size_t)bytes), 0);
    int64_t chars = bb_value_text(&v, text, sizeof(text));
    cr_assert_eq(chars, (int64_t)strlen(text));
    bb_build_init(b, buf, sizeof(buf));
    return text;
}

#define TEXT(wanted, ...)                                                                          \
    do {                                                                                           \
        __VA_ARGS__;                                                                               \
        cr_assert_str_eq(text_of(&b), wanted);                                                     \
    } while (0)

Test(value_text, case_45_samples, .timeout = 20)
{
    static const uint8_t ip4[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
    static const uint8_t ip6[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    TEXT("nil", bb_put_none(&b));
    TEXT("T", bb_put_boolean(&b, 1));
    TEXT("F", bb_put_boolean(&b, 0));
    TEXT("0", bb_put_count(&b, 0));
    TEXT("18446744073709551615", bb_put_count(&b, UINT64_MAX));
    TEXT("-9223372036854775808", bb_put_integer(&b, INT64_MIN));
    TEXT("0.000000", bb_put_real(&b, 1e-9));
    TEXT("-0.000000", bb_put_real(&b, -0.0));
    TEXT("2.500000", bb_put_real(&b, 2.5));
    TEXT("inf", bb_put_real(&b, __builtin_inf()));
    TEXT("-inf", bb_put_real(&b, -__builtin_inf()));
    TEXT("nan", bb_put_real(&b, -__builtin_nan("")));
    TEXT("a \"b\"\n", bb_put_string(&b, "a \"b\"\n", 6));
    TEXT("10.0.0.1", bb_put_address(&b, ip4));
    TEXT("2001:db8::1", bb_put_address(&b, ip6));
    TEXT("10.0.0.0/8", bb_put_subnet(&b, ip4, 8));
    TEXT("2001:db8::/32", bb_put_subnet(&b, ip6, 32));
    TEXT("80/tcp", bb_put_port(&b, 80, BB_PROTO_TCP));
    TEXT("53/udp", bb_put_port(&b, 53, BB_PROTO_UDP));
    TEXT("8/icmp", bb_put_port(&b, 8, BB_PROTO_ICMP));
    TEXT("1/?", bb_put_port(&b, 1, BB_PROTO_UNKNOWN));
    TEXT("-1ns", bb_put_timestamp(&b, -1));
    TEXT("1500ns", bb_put_timespan(&b, 1500));
    TEXT("Notice::LOG", bb_put_enum(&b, "Notice::LOG", 11));
}

Test(value_text, containers, .timeout = 20)
{
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    TEXT("()", bb_put_vector_begin(&b), bb_put_end(&b));
    TEXT("{}", bb_put_set_begin(&b), bb_put_end(&b));
    TEXT("{}", bb_put_table_begin(&b), bb_put_end(&b));
    TEXT("{1, 2}", bb_put_set_begin(&b), bb_put_count(&b, 2), bb_put_count(&b, 1), bb_put_end(&b));
    bb_put_table_begin(&b);
    bb_put_string(&b, "b", 1);
    bb_put_vector_begin(&b);
    bb_put_none(&b);
    bb_put_set_begin(&b);
    bb_put_end(&b);
    bb_put_end(&b);
    bb_put_set_begin(&b);
    bb_put_count(&b, 1);
    bb_put_end(&b);
    bb_put_boolean(&b, 1);
    TEXT("{b -> (nil, {}), {1} -> T}", bb_put_end(&b));
}

Test(value_text, a_locale_with_a_decimal_comma_changes_nothing, .timeout = 20)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8", "cs_CZ.UTF-8"};
    struct bb_builder b;
    size_t i = 0;
    while (i < 4 && setlocale(LC_NUMERIC, names[i]) == NULL) {
        i++;
    }
    if (i == 4) {
        cr_skip_test("no locale with a decimal comma is installed");
    }
    bb_build_init(&b, buf, sizeof(buf));
    TEXT("-1234567.500000", bb_put_real(&b, -1234567.5));
}

Test(value_text, every_capacity_gives_a_prefix_and_the_whole_length, .timeout = 20)
{
    struct bb_builder b;
    struct bb_value v;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_vector_begin(&b);
    bb_put_string(&b, "some text", 9);
    bb_put_count(&b, 1234567);
    bb_put_real(&b, 1.25);
    bb_put_end(&b);
    cr_assert_eq(bb_value_open(&v, buf, b.need_bytes), 0);
    const char *whole = "(some text, 1234567, 1.250000)";
    for (size_t cap = 0; cap <= strlen(whole) + 2; cap++) {
        char *out = malloc(cap + (cap == 0));
        cr_assert_eq(bb_value_text(&v, cap == 0 ? NULL : out, cap), (int64_t)strlen(whole));
        if (cap > 0) {
            size_t kept = cap - 1 < strlen(whole) ? cap - 1 : strlen(whole);
            cr_assert_eq(strlen(out), kept);
            cr_assert_eq(memcmp(out, whole, kept), 0);
        }
        free(out);
    }
}

Test(value_text, a_corrupt_value_gives_a_status_and_an_empty_text, .timeout = 20)
{
    static const unsigned char bad[24] = {24, 0, 0, 0, BB_VECTOR, 0, 0, 0, 2,
                                          0,  0, 0, 0, 0,         0, 0, 8};
    struct bb_value v = {bad, sizeof(bad)};
    char out[8] = "before";
    cr_assert_eq(bb_value_text(&v, out, sizeof(out)), BB_ECORRUPT);
    cr_assert_str_eq(out, "");
    cr_assert_eq(bb_value_json(&v, out, sizeof(out)), BB_ECORRUPT);
    cr_assert_eq(bb_value_text(&v, NULL, 0), BB_ECORRUPT);
}
