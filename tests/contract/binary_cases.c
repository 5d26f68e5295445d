/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: Broker's binary v1, byte for byte: the black-box cases of the data model, 41 to 44, each under its
 * number, and all of Broker's own vectors in both directions.
 * Method: the public API only.  hex -> native -> hex, and the text where it says that the right value was read.
 */
#include <busbar/codec.h>
#include <criterion/criterion.h>
#include <math.h>

#include "tests/support/vectors.h"

static unsigned char binary[3 << 20];
static unsigned char again[3 << 20];
static unsigned char native[3 << 20];
static char text[1 << 16];

TestSuite(binary_cases, .timeout = 60);

/* The value in native. */
static struct bb_value
decoded(const void *data, size_t bytes)
{
    struct bb_builder b;
    struct bb_codec_error error = {0};
    bb_build_init(&b, native, sizeof(native));
    bb_put_binary(&b, data, bytes, &error);
    int64_t native_bytes = bb_build_end(&b);
    cr_assert_gt(native_bytes, 0, "%zu: %s", error.offset, error.sentence);
    struct bb_value v = {native, (size_t)native_bytes};
    cr_assert_eq(bb_value_check(&v), 0);
    return v;
}

static struct bb_value
decoded_hex(const char *hex)
{
    size_t bytes = hex_read(hex, binary, sizeof(binary));
    cr_assert_neq(bytes, (size_t)-1, "%s", hex);
    return decoded(binary, bytes);
}

static void
expect_hex(const struct bb_value *v, const char *hex, const char *name)
{
    static char got[1 << 16];
    int64_t bytes = bb_value_binary(v, again, sizeof(again));
    cr_assert_gt(bytes, 0, "%s", name);
    hex_write(again, (size_t)bytes, got);
    cr_assert_str_eq(got, hex, "%s", name);
    cr_assert_eq(bb_value_binary(v, NULL, 0), bytes, "%s", name);
}

static void
expect_text(const struct bb_value *v, const char *wanted)
{
    cr_assert_geq(bb_value_text(v, text, sizeof(text)), 0);
    cr_assert_str_eq(text, wanted);
}

/* Both directions, for a tree without Broker's vectors too. */
static const struct {
    const char *hex;
    const char *text;
} own[] = {
    {"00", "nil"},
    {"0101", "T"},
    {"0100", "F"},
    {"020000000000000400", "1024"},
    {"02ffffffffffffffff", "18446744073709551615"},
    {"038000000000000000", "-9223372036854775808"},
    {"037fffffffffffffff", "9223372036854775807"},
    {"03fffffffffffffff6", "-10"},
    {"04400c000000000000", "3.500000"},
    {"04fff0000000000000", "inf"},
    {"047ff0000000000000", "-inf"},
    {"04ffffffffffffffff", "nan"},
    {"048000000000000000", "-0.000000"},
    {"0500", ""},
    {"0503627573", "bus"},
    {"0600000000000000000000ffffcb007109", "203.0.113.9"},
    {"0620010db8000000000000000000000009", "2001:db8::9"},
    {"0700000000000000000000ffffcb00710078", "203.0.113.0/24"},
    {"070000000000000000000000000000000000", "::/0"},
    {"070000000000000000000000000000000180", "::1/128"},
    {"08303900", "12345/?"},
    {"08303901", "12345/tcp"},
    {"08303902", "12345/udp"},
    {"08000303", "3/icmp"},
    {"0900000000000003e8", "1000ns"},
    {"0affffffffffffffff", "-1ns"},
    {"0b03413a42", "A:B"},
    {"0c00", "{}"},
    {"0c0301010501780e00", "{T, x, ()}"},
    {"0d00", "{}"},
    {"0d020501610c000501620d00", "{a -> {}, b -> {}}"},
    {"0e00", "()"},
    {"0e020e010005027a7a", "((nil), zz)"},
};

Test(binary_cases, own_vectors_both_ways)
{
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        struct bb_value v = decoded_hex(own[i].hex);
        expect_hex(&v, own[i].hex, own[i].hex);
        expect_text(&v, own[i].text);
    }
}

Test(binary_cases, brokers_vectors_both_ways)
{
    static char line[1 << 16];
    struct vector_row row;
    int rows = 0;
    int rc;
    FILE *f = vectors_open();
    if (f == NULL) {
        cr_skip_test("Broker's vectors are not here (BB_DATA)");
    }
    while ((rc = vectors_next(f, line, sizeof(line), &row)) > 0) {
        struct bb_value v = decoded_hex(row.hex);
        expect_hex(&v, row.hex, row.name);
        expect_text(&v, row.text);
        rows++;
    }
    (void)fclose(f);
    cr_assert_eq(rc, 0);
    cr_assert_eq(rows, 80);
}

/* ---- 41 ---------------------------------------------------------------------------------------- */

/* What put wrote comes back as the same bytes. */
#define ROUND_TRIP(...)                                                                            \
    do {                                                                                           \
        static unsigned char first[3 << 20];                                                       \
        struct bb_builder b;                                                                       \
        bb_build_init(&b, first, sizeof(first));                                                   \
        __VA_ARGS__;                                                                               \
        int64_t bytes = bb_build_end(&b);                                                          \
        cr_assert_gt(bytes, 0);                                                                    \
        struct bb_value before = {first, (size_t)bytes};                                           \
        int64_t coded = bb_value_binary(&before, binary, sizeof(binary));                          \
        cr_assert_gt(coded, 0);                                                                    \
        struct bb_value after = decoded(binary, (size_t)coded);                                    \
        cr_assert_eq(after.bytes, before.bytes);                                                   \
        cr_assert_eq(memcmp(after.p, before.p, before.bytes), 0);                                  \
        cr_assert_eq(bb_value_compare(&after, &before), 0);                                        \
    } while (0)

Test(binary_cases, case_41_numbers_and_strings_round_trip)
{
    static char mib[1 << 20];
    memset(mib, 'm', sizeof(mib));
    ROUND_TRIP(bb_put_integer(&b, INT64_MIN));
    ROUND_TRIP(bb_put_integer(&b, INT64_MAX));
    ROUND_TRIP(bb_put_count(&b, UINT64_MAX));
    ROUND_TRIP(bb_put_count(&b, 0));
    ROUND_TRIP(bb_put_timespan(&b, -1));
    ROUND_TRIP(bb_put_timestamp(&b, INT64_MIN));
    ROUND_TRIP(bb_put_string(&b, "", 0));
    ROUND_TRIP(bb_put_string(&b, mib, sizeof(mib)));
    ROUND_TRIP(bb_put_enum(&b, mib, 128));
    ROUND_TRIP(bb_put_real(&b, 5e-324));                   /* the least subnormal */
    ROUND_TRIP(bb_put_real(&b, -2.2250738585072009e-308)); /* the greatest */
}

Test(binary_cases, case_41_addresses_subnets_and_ports_round_trip)
{
    static const uint8_t v4[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 198, 51, 100, 77};
    static const uint8_t v6[16] = {0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    ROUND_TRIP(bb_put_address(&b, v4));
    ROUND_TRIP(bb_put_address(&b, v6));
    for (uint32_t bits = 0; bits <= 32; bits++) {
        ROUND_TRIP(bb_put_subnet(&b, v4, bits));
    }
    for (uint32_t bits = 0; bits <= 128; bits++) {
        ROUND_TRIP(bb_put_subnet(&b, v6, bits));
    }
    for (int protocol = 0; protocol <= 3; protocol++) {
        ROUND_TRIP(bb_put_port(&b, (uint16_t)(65535 - protocol), (enum bb_protocol)protocol));
    }
}

Test(binary_cases, case_41_a_set_in_a_tables_key_round_trips)
{
    ROUND_TRIP(bb_put_table_begin(&b); for (uint64_t i = 0; i < 300; i++) {
        bb_put_set_begin(&b);
        bb_put_count(&b, 1000 - i);
        bb_put_set_begin(&b);
        bb_put_string(&b, "in", 2);
        bb_put_end(&b);
        bb_put_end(&b);
        bb_put_vector_begin(&b);
        bb_put_none(&b);
        bb_put_boolean(&b, 1);
        bb_put_end(&b);
    } bb_put_end(&b));
}

/* ---- 42 ---------------------------------------------------------------------------------------- */

static double
real_of(const char *hex)
{
    double v = 0;
    struct bb_value value = decoded_hex(hex);
    cr_assert_eq(bb_get_real(&value, &v), 0);
    return v;
}

static void
expect_real(double v, const char *hex)
{
    struct bb_builder b;
    bb_build_init(&b, native, sizeof(native));
    bb_put_real(&b, v);
    cr_assert_eq(bb_build_end(&b), 16);
    expect_hex(&(struct bb_value){native, 16}, hex, hex);
}

Test(binary_cases, case_42_infinities_are_swapped_and_kinds_kept)
{
    cr_assert_eq(real_of("04fff0000000000000"), HUGE_VAL);
    cr_assert_eq(real_of("047ff0000000000000"), -HUGE_VAL);
    cr_assert_neq(isnan(real_of("04ffffffffffffffff")), 0);
    cr_assert_neq(signbit(real_of("048000000000000000")), 0);
    cr_assert_eq(signbit(real_of("040000000000000000")), 0);
    expect_real(HUGE_VAL, "04fff0000000000000");
    expect_real(-HUGE_VAL, "047ff0000000000000");
    expect_real(-0.0, "048000000000000000");
    expect_real((double)NAN, "04ffffffffffffffff");
    expect_real(-(double)NAN, "04ffffffffffffffff"); /* there is one NaN on that wire */
    cr_assert_eq(signbit(real_of("047ff8000000000000")), 0);
    cr_assert_neq(isnan(real_of("047ff8000000000000")), 0); /* and any is read as it */
    expect_real(1e-310, "04000012688b70e62b");              /* a subnormal is plain IEEE */
}

/* ---- 43, 44 ------------------------------------------------------------------------------------ */

static void
expect_refused(const char *hex, size_t offset, const char *word)
{
    struct bb_builder b;
    struct bb_codec_error error = {0};
    size_t bytes = hex_read(hex, binary, sizeof(binary));
    bb_build_init(&b, native, sizeof(native));
    bb_put_binary(&b, binary, bytes, &error);
    cr_assert_eq(bb_build_end(&b), BB_EINVAL, "%s", hex);
    cr_assert_eq(error.offset, offset, "%s: %zu: %s", hex, error.offset, error.sentence);
    cr_assert_not_null(strstr(error.sentence, word), "%s: %s", hex, error.sentence);
}

Test(binary_cases, case_43_sets_are_written_sorted_and_duplicates_refused)
{
    static const char sorted[] = "0c03020000000000000001020000000000000002020000000000000003";
    struct bb_value v = decoded_hex("0c03020000000000000003020000000000000001020000000000000002");
    expect_hex(&v, sorted, "set in another order");
    v = decoded_hex("0d020501620005016100");
    expect_hex(&v, "0d020501610005016200", "table in another order");
    expect_refused("0c03020000000000000001020000000000000002020000000000000001", 0, "twice");
    expect_refused("0e0201010d02050161000501610101", 4, "twice");
}

Test(binary_cases, case_44_count_1_and_integer_1_are_two_keys)
{
    struct bb_iter it;
    struct bb_value v = decoded_hex("0d02030000000000000001050169020000000000000001050163");
    cr_assert_eq(bb_iter_open(&it, &v), 2);
    expect_text(&v, "{1 -> c, 1 -> i}");
    expect_refused("0d02030000000000000001050169030000000000000001050163", 0, "twice");
}
