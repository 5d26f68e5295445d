/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: JSON v1 and text as Broker itself prints them, and legal JSON where Broker's is not.
 * Method: Broker's own vectors (BB_DATA), by way of their binary v1; hard cases by hand; random
 * values through a strict JSON checker.
 */
#include <busbar/codec.h>

#include "tests/support/vectors.h"
#include "tests/unit/lib/json_check.h"
#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>

static unsigned char buf[1 << 14];
static char text[1 << 16];

static struct bb_value
native_of(const char *hex)
{
    static unsigned char binary[sizeof(buf) / 2];
    struct bb_builder b;
    struct bb_value v;
    size_t bytes = hex_read(hex, binary, sizeof(binary));
    cr_assert_neq(bytes, (size_t)-1);
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_binary(&b, binary, bytes, NULL);
    cr_assert_gt(bb_build_end(&b), 0);
    cr_assert_eq(bb_value_open(&v, buf, b.need_bytes), 0);
    cr_assert_eq(bb_value_check(&v), 0);
    return v;
}

/* Broker writes bare inf; we write it as a string. */
static void
expect_json(const char *name, const char *got, const char *broker)
{
    const char *bare = strstr(broker, "\"data\":inf}");
    bare = bare != NULL ? bare : strstr(broker, "\"data\":-inf}");
    if (bare == NULL) {
        cr_assert_str_eq(got, broker, "%s", name);
        return;
    }
    char legal[128];
    bare += strlen("\"data\":");
    snprintf(legal, sizeof(legal), "%.*s\"%.*s\"}", (int)(bare - broker), broker,
             (int)strlen(bare) - 1, bare);
    cr_assert_str_eq(got, legal, "%s", name);
}

Test(value_json, brokers_own_vectors, .timeout = 20)
{
    static char line[1 << 16];
    struct vector_row row;
    unsigned rows = 0;
    int rc;
    FILE *f = vectors_open();
    if (f == NULL) {
        fprintf(stderr, "value_json: BB_DATA IS NOT SET: BROKER'S VECTORS ARE SKIPPED\n");
        cr_skip_test("BB_DATA is not set");
    }
    while ((rc = vectors_next(f, line, sizeof(line), &row)) == 1) {
        struct bb_value v = native_of(row.hex);
        cr_assert_eq(bb_value_text(&v, text, sizeof(text)), (int64_t)strlen(row.text), "%s",
                     row.name);
        cr_assert_str_eq(text, row.text, "%s", row.name);
        int64_t bytes = bb_value_json(&v, text, sizeof(text));
        expect_json(row.name, text, row.json);
        cr_assert(json_is_legal(text, (size_t)bytes), "%s", row.name);
        rows++;
    }
    fclose(f);
    cr_assert_eq(rc, 0);
    cr_assert_geq(rows, 80);
    printf("value_json: %u rows of vectors.tsv\n", rows);
}

/* ---- where Broker's is not legal --------------------------------------------------------------- */

static const char *
json_of(struct bb_builder *b)
{
    struct bb_value v;
    cr_assert_gt(bb_build_end(b), 0);
    cr_assert_eq(bb_value_open(&v, buf, b->need_bytes), 0);
    int64_t bytes = bb_value_json(&v, text, sizeof(text));
    cr_assert_gt(bytes, 0);
    cr_assert(json_is_legal(text, (size_t)bytes), "%s", text);
    bb_build_init(b, buf, sizeof(buf));
    return text;
}

static void
expect_string(const char *s, size_t bytes, const char *wanted)
{
    struct bb_builder b;
    char whole[256];
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_string(&b, s, bytes);
    snprintf(whole, sizeof(whole), "{\"@data-type\":\"string\",\"data\":\"%s\"}", wanted);
    cr_assert_str_eq(json_of(&b), whole);
}

Test(value_json, strings_are_escaped, .timeout = 20)
{
    expect_string("\"\\/", 3, "\\\"\\\\/");
    expect_string("\b\f\n\r\t", 5, "\\b\\f\\n\\r\\t");
    expect_string("\v\0\x1f\x7f", 4, "\\u000b\\u0000\\u001f\x7f");
    expect_string("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
    expect_string("\xf0\x9f\x9a\x8c", 4, "\xf0\x9f\x9a\x8c");
}

Test(value_json, bytes_that_are_no_utf8_become_characters_of_that_number, .timeout = 20)
{
    expect_string("a\xff\xfe z", 5, "a\\u00ff\\u00fe z");
    expect_string("\xc3", 1, "\\u00c3");
    expect_string("\xc3(", 2, "\\u00c3(");
    expect_string("\xc0\xaf", 2, "\\u00c0\\u00af");                       /* overlong */
    expect_string("\xe0\x80\xaf", 3, "\\u00e0\\u0080\\u00af");            /* overlong */
    expect_string("\xed\xa0\x80", 3, "\\u00ed\\u00a0\\u0080");            /* a surrogate */
    expect_string("\xf4\x90\x80\x80", 4, "\\u00f4\\u0090\\u0080\\u0080"); /* above U+10FFFF */
    expect_string("\xf0\x9f\x9a", 3, "\\u00f0\\u009f\\u009a");            /* cut off */
    expect_string("\x80", 1, "\\u0080");
}

Test(value_json, reals_that_json_does_not_know_are_strings, .timeout = 20)
{
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_real(&b, __builtin_inf());
    cr_assert_str_eq(json_of(&b), "{\"@data-type\":\"real\",\"data\":\"inf\"}");
    bb_put_real(&b, -__builtin_inf());
    cr_assert_str_eq(json_of(&b), "{\"@data-type\":\"real\",\"data\":\"-inf\"}");
    bb_put_real(&b, __builtin_nan(""));
    cr_assert_str_eq(json_of(&b), "{\"@data-type\":\"real\",\"data\":\"nan\"}");
}

Test(value_json, times, .timeout = 20)
{
    static const struct {
        int64_t ns;
        const char *wanted;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000"},         {-1, "1970-01-01T00:00:00.000"},
        {-1000000, "1969-12-31T23:59:59.999"},  {951782400000000000, "2000-02-29T00:00:00.000"},
        {INT64_MAX, "2262-04-11T23:47:16.854"}, {INT64_MIN, "1677-09-21T00:12:43.146"},
    };
    struct bb_builder b;
    char wanted[128];
    bb_build_init(&b, buf, sizeof(buf));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bb_put_timestamp(&b, rows[i].ns);
        snprintf(wanted, sizeof(wanted), "{\"@data-type\":\"timestamp\",\"data\":\"%s\"}",
                 rows[i].wanted);
        cr_assert_str_eq(json_of(&b), wanted);
    }
    bb_put_timespan(&b, INT64_MIN);
    cr_assert_str_eq(json_of(&b),
                     "{\"@data-type\":\"timespan\",\"data\":\"-9223372036854775808ns\"}");
    bb_put_timespan(&b, 2000);
    cr_assert_str_eq(json_of(&b), "{\"@data-type\":\"timespan\",\"data\":\"2us\"}");
}

/* About each week of the 585 years that 64 bits of nanoseconds have. */
Test(value_json, dates_agree_with_the_c_library, .timeout = 20)
{
    struct bb_builder b;
    char wanted[128];
    bb_build_init(&b, buf, sizeof(buf));
    for (time_t s = -9223372036; s < 9223372036; s += 86400 * 7 + 3601) {
        struct tm tm;
        gmtime_r(&s, &tm);
        strftime(wanted, sizeof(wanted),
                 "{\"@data-type\":\"timestamp\",\"data\":\"%Y-%m-%dT%H:%M:%S.000\"}", &tm);
        bb_put_timestamp(&b, (int64_t)s * 1000000000);
        cr_assert_str_eq(json_of(&b), wanted);
    }
}

Test(value_json, any_value_gives_legal_json, .timeout = 20)
{
    rnd_seed("legal_json");
    for (int round = 0; round < 2000; round++) {
        size_t bytes;
        struct bb_value v;
        v.p = rnd_value(&bytes);
        v.bytes = bytes;
        int64_t (*print)(const struct bb_value *, char *, size_t) =
            round % 2 == 0 ? bb_value_json : bb_value_json_exact;
        int64_t chars = print(&v, text, sizeof(text));
        cr_assert_gt(chars, 0);
        if ((size_t)chars < sizeof(text)) {
            cr_assert(json_is_legal(text, (size_t)chars), "%s", text);
        }
        free((void *)(uintptr_t)v.p);
    }
}

Test(value_json, any_bytes_in_a_string_give_legal_json, .timeout = 20)
{
    rnd_seed("legal_strings");
    for (int round = 0; round < 20000; round++) {
        char s[12];
        struct bb_builder b;
        for (size_t i = 0; i < sizeof(s); i++) {
            s[i] = (char)(rnd_below(2) == 0 ? 0x80 + rnd_below(128) : rnd_below(256));
        }
        bb_build_init(&b, buf, sizeof(buf));
        bb_put_string(&b, s, rnd_below(sizeof(s) + 1));
        (void)json_of(&b);
    }
}

Test(value_json, every_capacity_is_respected, .timeout = 20)
{
    struct bb_builder b;
    struct bb_value v;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_table_begin(&b);
    bb_put_string(&b, "k\n", 2);
    bb_put_real(&b, 1.0);
    bb_put_end(&b);
    cr_assert_eq(bb_value_open(&v, buf, b.need_bytes), 0);
    int64_t whole = bb_value_json(&v, text, sizeof(text));
    for (size_t cap = 1; cap <= (size_t)whole + 1; cap++) {
        char *out = malloc(cap);
        cr_assert_eq(bb_value_json(&v, out, cap), whole);
        cr_assert_eq(strlen(out), cap - 1);
        cr_assert_eq(memcmp(out, text, cap - 1), 0);
        free(out);
    }
}
