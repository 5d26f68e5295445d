/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a record is one line of JSON as Zeek has it, whatever its fields hold, and bytes that are no record are refused.
 * Method: values are written as text, read into records, and the lines compared; damaged copies are printed too.
 */
#include "lib/cluster/log_json.h"
#include <busbar/codec.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_MAX = 4096, LINE_BYTES = 8192 };

static unsigned char record[RECORD_MAX] __attribute__((aligned(8)));
static char line[LINE_BYTES];

/* A record of one field, "v"; its bytes. */
static size_t
make(int type, const char *text)
{
    struct bb_builder b;
    bb_build_init(&b, record, sizeof(record));
    bb_put_vector_begin(&b);
    bb_put_text(&b, type, text, strlen(text), NULL);
    bb_put_end(&b);
    int64_t bytes = bb_build_end(&b);
    cr_assert_gt(bytes, 0, "%s: %s", text, bb_strerror((int)bytes));
    return (size_t)bytes;
}

static struct bbi_log_schema *
schema(const struct bb_log_field *fields, size_t count)
{
    struct bbi_log_schema *s = NULL;
    const char *why = NULL;
    int rc = bbi_log_schema_new(&s, "test", fields, count, &why);
    cr_assert_eq(rc, 0, "%s", why == NULL ? "" : why);
    return s;
}

static void
check(int type, const char *text, uint32_t flags, const char *want)
{
    const struct bb_log_field field = {"v", type};
    struct bbi_log_schema *s = schema(&field, 1);
    size_t bytes = make(type, text), used = 0;
    cr_assert_eq(bbi_log_schema_check(s, record, bytes), (int64_t)bytes);
    int64_t n = bbi_log_json(line, sizeof(line), s, record, bytes, flags, &used);
    cr_assert_gt(n, 0, "%s: %s", text, bb_strerror((int)n));
    cr_assert_eq(used, bytes);
    cr_assert_eq(line[n - 1], '\n');
    line[n - 1] = '\0';
    cr_assert_str_eq(line, want, "%s: %s, not %s", text, line, want);
    /* The same line, with no byte to spare for the promise of "surely enough". */
    for (size_t cap = 0; cap < (size_t)n; cap++) {
        int64_t need = bbi_log_json(line, cap, s, record, bytes, flags, &used);
        cr_assert_gt(need, (int64_t)cap, "%s: room for %zu", text, cap);
        cr_assert_geq(need, n, "%s: room for %zu", text, cap);
        cr_assert_leq(bbi_log_json(line, (size_t)need, s, record, bytes, flags, &used), need);
    }
    bbi_log_schema_free(s);
}

TestSuite(log_json, .timeout = 30);

Test(log_json, values_as_zeek_has_them)
{
    check(BB_BOOLEAN, "T", 0, "{\"v\":true}");
    check(BB_COUNT, "18446744073709551615", 0, "{\"v\":18446744073709551615}");
    check(BB_COUNT, "0", 0, "{\"v\":0}");
    check(BB_COUNT, "100", 0, "{\"v\":100}");
    check(BB_INTEGER, "-9223372036854775808", 0, "{\"v\":-9223372036854775808}");
    check(BB_REAL, "0.000870", 0, "{\"v\":0.00087}");
    check(BB_REAL, "2230", 0, "{\"v\":2230.0}");
    check(BB_REAL, "-0.5", 0, "{\"v\":-0.5}");
    check(BB_REAL, "0.1234567890123", 0, "{\"v\":0.1234567890123}");
    check(BB_REAL, "1e300", 0, "{\"v\":1e+300}");
    check(BB_REAL, "nan", 0, "{\"v\":\"nan\"}");
    check(BB_REAL, "-inf", 0, "{\"v\":\"-inf\"}");
    check(BB_ADDRESS, "10.0.200.99", 0, "{\"v\":\"10.0.200.99\"}");
    check(BB_ADDRESS, "2001:db8::1", 0, "{\"v\":\"2001:db8::1\"}");
    check(BB_SUBNET, "10.0.0.0/8", 0, "{\"v\":\"10.0.0.0/8\"}");
    check(BB_SUBNET, "2001:db8::/32", 0, "{\"v\":\"2001:db8::/32\"}");
    check(BB_PORT, "80/tcp", 0, "{\"v\":80}");
    check(BB_ENUM, "Notice::LOG", 0, "{\"v\":\"Notice::LOG\"}");
    check(BB_TIMESPAN, "1500ms", 0, "{\"v\":1.5}");
    check(BB_TIMESPAN, "-1ns", 0, "{\"v\":-0.000000001}");
    check(BB_TIMESPAN, "1h", 0, "{\"v\":3600.0}");
}

Test(log_json, times)
{
    check(BB_TIMESTAMP, "2018-03-24T17:15:20.865716", 0, "{\"v\":1521911720.865716}");
    check(BB_TIMESTAMP, "2018-03-24T17:15:20.865716", BBI_LOG_JSON_ISO,
          "{\"v\":\"2018-03-24T17:15:20.865716Z\"}");
    check(BB_TIMESTAMP, "1969-12-31T23:59:59.5", 0, "{\"v\":-0.500000}");
    check(BB_TIMESTAMP, "1969-12-31T23:59:59.5", BBI_LOG_JSON_ISO,
          "{\"v\":\"1969-12-31T23:59:59.500000Z\"}");
}

Test(log_json, strings_are_legal_whatever_they_hold)
{
    check(BB_STRING, "", 0, "{\"v\":\"\"}");
    check(BB_STRING, "plain text of some length", 0, "{\"v\":\"plain text of some length\"}");
    check(BB_STRING, "a \"quote\" and \\", 0, "{\"v\":\"a \\\"quote\\\" and \\\\\"}");
    check(BB_STRING, "12345678\n", 0, "{\"v\":\"12345678\\n\"}");
    check(BB_STRING, "h\xc3\xa4tte", 0, "{\"v\":\"h\xc3\xa4tte\"}");
    check(BB_STRING, "\xff\x01", 0, "{\"v\":\"\\u00ff\\u0001\"}");
}

Test(log_json, containers)
{
    check(BB_SET, "{1, 2}", 0, "{\"v\":[1,2]}");
    check(BB_VECTOR, "(a, nil, (T, 80/tcp))", 0, "{\"v\":[\"a\",null,[true,80]]}");
    check(BB_VECTOR, "()", 0, "{\"v\":[]}");
    check(BB_TABLE, "{1 -> a, 10.0.0.1 -> (1, 2)}", 0, "{\"v\":{\"1\":\"a\",\"10.0.0.1\":[1,2]}}");
    check(BB_TABLE, "{(1, 2) -> {3 -> 4}}", 0, "{\"v\":{\"(1, 2)\":{\"3\":4}}}");
    check(BB_TYPE_ANY, "5", 0, "{\"v\":5}");
}

Test(log_json, none_is_left_out)
{
    static const struct bb_log_field fields[] = {
        {"id.orig_h", BB_ADDRESS}, {"a \"b\"", BB_COUNT}, {"c", BB_STRING}};
    struct bbi_log_schema *s = schema(fields, 3);
    static const char *const texts[] = {"(nil, nil, nil)", "(nil, 5, nil)", "(10.0.0.1, nil, x)",
                                        "(10.0.0.1, 5, x)"};
    static const char *const want[] = {
        "{}\n", "{\"a \\\"b\\\"\":5}\n", "{\"id.orig_h\":\"10.0.0.1\",\"c\":\"x\"}\n",
        "{\"id.orig_h\":\"10.0.0.1\",\"a \\\"b\\\"\":5,\"c\":\"x\"}\n"};
    for (size_t i = 0; i < 4; i++) {
        struct bb_builder b;
        size_t used;
        bb_build_init(&b, record, sizeof(record));
        bb_put_text(&b, BB_VECTOR, texts[i], strlen(texts[i]), NULL);
        int64_t bytes = bb_build_end(&b);
        int64_t n = bbi_log_json(line, sizeof(line) - 1, s, record, (size_t)bytes, 0, &used);
        cr_assert_gt(n, 0);
        line[n] = '\0';
        cr_assert_str_eq(line, want[i]);
    }
    bbi_log_schema_free(s);
}

/* Every byte of a record and of a schema, set to every eighth value: refused or printed, within the window. */
Test(log_json, damage_is_survived)
{
    static const struct bb_log_field fields[] = {
        {"a", BB_COUNT}, {"b", BB_STRING}, {"c", BB_TABLE}, {"d", BB_TYPE_ANY}};
    struct bbi_log_schema *s = schema(fields, 4), *again = NULL;
    static const char text[] = "(5, hello, {(1, 2) -> (a, b)}, {1, 2})";
    struct bb_builder b;
    size_t used, printed = 0, refused = 0;
    bb_build_init(&b, record, sizeof(record));
    bb_put_text(&b, BB_VECTOR, text, sizeof(text) - 1, NULL);
    size_t bytes = (size_t)bb_build_end(&b);
    for (size_t at = 0; at < bytes; at++) {
        for (unsigned v = 0; v < 256; v += 8) {
            unsigned char *copy = malloc(bytes); /* the sanitizer's to watch */
            memcpy(copy, record, bytes);
            copy[at] = (unsigned char)v;
            int64_t n = bbi_log_json(line, sizeof(line), s, copy, bytes, 0, &used);
            *(n > 0 ? &printed : &refused) += 1;
            (void)!bbi_log_schema_check(s, copy, bytes);
            free(copy);
        }
    }
    cr_assert_gt(printed, 0);
    cr_assert_gt(refused, 0);
    for (size_t at = 0; at < s->wire_bytes; at++) {
        unsigned char *copy = malloc(s->wire_bytes);
        memcpy(copy, s->wire, s->wire_bytes);
        copy[at] ^= 0x55;
        if (bbi_log_schema_read(&again, copy, s->wire_bytes) == 0) {
            bbi_log_schema_free(again);
        }
        free(copy);
        cr_assert_lt(bbi_log_schema_read(&again, s->wire, at), 0, "cut to %zu", at);
    }
    bbi_log_schema_free(s);
}
