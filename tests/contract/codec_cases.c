/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: JSON v1 and text as Broker has them: the black-box cases 41 to 46, 49 to 51, 56 and 57 as far as they
 * speak of codecs, each under its number, and all of Broker's own vectors in both directions.
 * Method: the public API only.  A handful of vectors stands here, so that a tree without Broker's is tested too.
 */
#include "tests/support/codec.h"
#include "tests/support/vectors.h"

#include <criterion/criterion.h>
#include <math.h>

static struct codec c;
static unsigned char binary[1 << 16];

TestSuite(codec_cases, .timeout = 60);

#define VALUE(type, data) "{\"@data-type\":\"" type "\",\"data\":" data "}"

static const char *
json_to_text(const char *json)
{
    return codec_turn(&c, CODEC_JSON, json, bb_value_text);
}

static const char *
text_to_json(int type, const char *text)
{
    return codec_turn(&c, type, text, bb_value_json);
}

static void
expect_refused(const char *json, const char *sentence)
{
    cr_assert_eq(codec_read(&c, CODEC_JSON, json, strlen(json)), BB_EINVAL, "%s", json);
    cr_assert_not_null(strstr(c.error.sentence, sentence), "%s: %s", json, c.error.sentence);
}

/* ---- Broker's vectors ---------------------------------------------------------------------------- */

/* The native form of a row, from its binary column. */
static size_t
native_of(const struct vector_row *row, unsigned char *native, size_t cap)
{
    struct bb_builder b;
    size_t bytes = hex_read(row->hex, binary, sizeof(binary));
    cr_assert_neq(bytes, (size_t)-1, "%s", row->name);
    bb_build_init(&b, native, cap);
    bb_put_binary(&b, binary, bytes, &c.error);
    int64_t built = bb_build_end(&b);
    cr_assert_gt(built, 0, "%s: %s", row->name, c.error.sentence);
    return (size_t)built;
}

/* Broker writes infinities bare; we read that and write them in quotes. */
static void
expect_json(const struct vector_row *row)
{
    char legal[128];
    const char *wanted = row->json;
    if (strcmp(row->text, "inf") == 0 || strcmp(row->text, "-inf") == 0) {
        snprintf(legal, sizeof(legal), VALUE("real", "\"%s\""), row->text);
        wanted = legal;
    }
    cr_assert_geq(bb_value_json(&c.v, c.printed, sizeof(c.printed)), 0);
    cr_assert_str_eq(c.printed, wanted, "%s", row->name);
}

static void
expect_text(const struct vector_row *row)
{
    cr_assert_geq(bb_value_text(&c.v, c.printed, sizeof(c.printed)), 0);
    cr_assert_str_eq(c.printed, row->text, "%s", row->name);
}

/* What JSON v1 itself loses, as the names of the rows say; the text column has it. */
static int
json_is_lossy(const struct vector_row *row)
{
    static const char *const lossy[] = {
        "real 3.1415926535897931", "real 1.0000000000000001e-09",
        "timestamp 1ns",           "timestamp 1530925958459474000ns",
        "timestamp -1ns",          "event Scan::scan_attempt with time"};
    for (size_t i = 0; i < sizeof(lossy) / sizeof(lossy[0]); i++) {
        if (strcmp(row->name, lossy[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

static void
check_row(const struct vector_row *row)
{
    static unsigned char native[1 << 16];
    static char exact[1 << 17];
    size_t bytes = native_of(row, native, sizeof(native));
    struct bb_value v = {native, bytes};

    /* Broker's JSON in: the same JSON out, and the same value where JSON v1 can hold it. */
    cr_assert_gt(codec_read(&c, CODEC_JSON, row->json, strlen(row->json)), 0, "%s: %s", row->name,
                 c.error.sentence);
    expect_json(row);
    int is_same = c.v.bytes == bytes && memcmp(c.native, native, bytes) == 0;
    cr_assert_eq(is_same, !json_is_lossy(row), "%s", row->name);

    /* Exact JSON loses nothing of any row. */
    int64_t exact_bytes = bb_value_json_exact(&v, exact, sizeof(exact));
    cr_assert_eq(codec_read(&c, CODEC_JSON, exact, (size_t)exact_bytes), (int64_t)bytes, "%s",
                 row->name);
    cr_assert_eq(memcmp(c.native, native, bytes), 0, "%s", row->name);
    expect_json(row);
    expect_text(row);
}

/* Text back: with the type of the row, and with any for what can be told. */
static unsigned
check_text(const struct vector_row *row)
{
    static unsigned char native[1 << 16];
    size_t bytes = native_of(row, native, sizeof(native));
    struct bb_value v = {native, bytes};
    int type = bb_value_type(&v);
    if (type == BB_SET || type == BB_TABLE || type == BB_VECTOR) {
        type = BB_TYPE_ANY;
    }
    int64_t rc = codec_read(&c, type, row->text, strlen(row->text));
    if (strcmp(row->name, "set mixed") == 0) {
        cr_assert_eq(rc, BB_EINVAL); /* count 7 and integer 7 have the same text */
        return 0;
    }
    cr_assert_gt(rc, 0, "%s: %s", row->name, c.error.sentence);
    expect_text(row);
    return rc == (int64_t)bytes && memcmp(c.native, native, bytes) == 0;
}

static const struct vector_row own[] = {
    {"none", "00", VALUE("none", "{}"), "nil"},
    {"count", "020000000000000007", VALUE("count", "7"), "7"},
    {"integer", "03fffffffffffffff6", VALUE("integer", "-10"), "-10"},
    {"real", "04400c000000000000", VALUE("real", "3.500000"), "3.500000"},
    {"real inf", "04fff0000000000000", VALUE("real", "inf"), "inf"},
    {"string", "0503627573", VALUE("string", "\"bus\""), "bus"},
    {"address", "0600000000000000000000ffffc0000201", VALUE("address", "\"192.0.2.1\""),
     "192.0.2.1"},
    {"subnet", "0700000000000000000000ffffc000020078", VALUE("subnet", "\"192.0.2.0/24\""),
     "192.0.2.0/24"},
    {"port", "08005001", VALUE("port", "\"80/tcp\""), "80/tcp"},
    {"timespan", "0a00000000000005dc", VALUE("timespan", "\"1500ns\""), "1500ns"},
    {"set", "0c0201000101",
     VALUE("set", "[" VALUE("boolean", "false") "," VALUE("boolean", "true") "]"), "{F, T}"},
    {"vector", "0e02050362757308003502",
     VALUE("vector", "[" VALUE("string", "\"bus\"") "," VALUE("port", "\"53/udp\"") "]"),
     "(bus, 53/udp)"},
};

Test(codec_cases, own_vectors)
{
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        check_row(&own[i]);
        cr_assert_eq(check_text(&own[i]), 1, "%s", own[i].name);
    }
}

Test(codec_cases, brokers_own_vectors)
{
    static char line[1 << 16];
    struct vector_row row;
    unsigned rows = 0;
    unsigned back = 0;
    int rc;
    FILE *f = vectors_open();
    if (f == NULL) {
        fprintf(stderr, "codec_cases: BB_DATA IS NOT SET: BROKER'S VECTORS ARE SKIPPED\n");
        cr_skip_test("BB_DATA is not set");
    }
    while ((rc = vectors_next(f, line, sizeof(line), &row)) == 1) {
        check_row(&row);
        back += check_text(&row);
        rows++;
    }
    fclose(f);
    cr_assert_eq(rc, 0);
    cr_assert_geq(rows, 80);
    /* Not two reals beyond six decimals, the empty table, the mixed set, the time inside an event. */
    printf("codec_cases: %u rows of vectors.tsv; %u are the same value from their text\n", rows,
           back);
    cr_assert_eq(back, rows - 5);
}

/* ---- the cases ------------------------------------------------------------------------------------- */

Test(codec_cases, case_41_every_type_round_trips)
{
    static const char *const exact[] = {
        VALUE("integer", "-9223372036854775808"),
        VALUE("integer", "9223372036854775807"),
        VALUE("count", "18446744073709551615"),
        VALUE("string", "\"\""),
        VALUE("address", "\"10.0.0.1\""),
        VALUE("address", "\"2001:db8::1\""),
        VALUE("subnet", "\"0.0.0.0/0\""),
        VALUE("subnet", "\"::/0\""),
        VALUE("subnet", "\"10.0.0.1/32\""),
        VALUE("subnet", "\"::1/128\""),
        VALUE("port", "\"1/?\""),
        VALUE("port", "\"2/tcp\""),
        VALUE("port", "\"3/udp\""),
        VALUE("port", "\"4/icmp\""),
        VALUE("timespan", "\"-5ms\""),
        VALUE("table", "[{\"key\":" VALUE("set", "[" VALUE("set", "[]") "]") ",\"value\":" VALUE(
                           "none", "{}") "}]"),
    };
    for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++) {
        cr_assert_str_eq(codec_turn(&c, CODEC_JSON, exact[i], bb_value_json), exact[i]);
    }
}

Test(codec_cases, case_41_a_string_of_1_mib)
{
    enum { BYTES = 1 << 20 };
    static unsigned char native[BYTES + 64];
    static char json[BYTES + 64];
    char *p = stpcpy(json, "{\"@data-type\":\"string\",\"data\":\"");
    memset(p, 's', BYTES);
    strcpy(p + BYTES, "\"}");
    struct bb_builder b;
    bb_build_init(&b, native, sizeof(native));
    bb_put_json(&b, json, strlen(json), NULL);
    cr_assert_eq(bb_build_end(&b), 8 + BYTES);
    struct bb_value v = {native, 8 + BYTES};
    char *again = malloc(sizeof(json));
    cr_assert_not_null(again);
    cr_assert_eq(bb_value_json(&v, again, sizeof(json)), (int64_t)strlen(json));
    cr_assert_str_eq(again, json);
    free(again);
}

Test(codec_cases, case_42_infinities_nan_and_minus_zero_keep_sign_and_kind)
{
    static const char *const data[] = {"inf", "-inf", "\"inf\"", "\"-inf\"", "-0.0"};
    static const double wanted[] = {__builtin_inf(), -__builtin_inf(), __builtin_inf(),
                                    -__builtin_inf(), -0.0};
    char json[64];
    double v;
    for (size_t i = 0; i < 5; i++) {
        snprintf(json, sizeof(json), VALUE("real", "%s"), data[i]);
        cr_assert_gt(codec_read(&c, CODEC_JSON, json, strlen(json)), 0);
        cr_assert_eq(bb_get_real(&c.v, &v), 0);
        cr_assert_eq(memcmp(&v, &wanted[i], sizeof(v)), 0, "%s", data[i]);
    }
    cr_assert_gt(codec_read(&c, CODEC_JSON, VALUE("real", "nan"), strlen(VALUE("real", "nan"))), 0);
    cr_assert_eq(bb_get_real(&c.v, &v), 0);
    cr_assert_neq(isnan(v), 0);
}

Test(codec_cases, case_43_a_set_is_sorted_and_a_repeated_element_refused)
{
    cr_assert_str_eq(json_to_text(VALUE("set", "[" VALUE("count", "3") "," VALUE(
                                                   "count", "1") "," VALUE("count", "2") "]")),
                     "{1, 2, 3}");
    cr_assert_str_eq(text_to_json(BB_TYPE_ANY, "{b, a}"),
                     VALUE("set", "[" VALUE("string", "\"a\"") "," VALUE("string", "\"b\"") "]"));
    expect_refused(VALUE("set", "[" VALUE("count", "1") "," VALUE("count", "1") "]"),
                   "the same element twice");
    expect_refused(
        VALUE(
            "table",
            "[{\"key\":" VALUE("count", "1") ",\"value\":" VALUE("count", "1") "},{\"key\":" VALUE(
                "count", "1") ",\"value\":" VALUE("count", "2") "}]"),
        "the same key twice");
}

Test(codec_cases, case_44_count_1_is_not_integer_1)
{
    cr_assert_str_eq(
        json_to_text(VALUE("set", "[" VALUE("integer", "1") "," VALUE("count", "1") "]")),
        "{1, 1}");
    cr_assert_str_eq(
        text_to_json(BB_TYPE_ANY, "{+1 -> a, 1 -> b}"),
        VALUE("table",
              "[{\"key\":" VALUE("count", "1") ",\"value\":" VALUE(
                  "string", "\"b\"") "},{\"key\":" VALUE("integer",
                                                         "1") ",\"value\":" VALUE("string",
                                                                                  "\"a\"") "}]"));
}

Test(codec_cases, case_45_text_is_read_as_it_is_printed)
{
    static const char *const texts[] = {
        "nil",
        "T",
        "F",
        "7",
        "-7",
        "2.500000",
        "10.0.0.1",
        "::1",
        "10.0.0.0/8",
        "80/tcp",
        "53/udp",
        "8/icmp",
        "1/?",
        "500ns",
        "word",
        "{1, 2}",
        "{a -> 1, b -> 2}",
        "(a, (b), {c})",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        cr_assert_str_eq(codec_turn(&c, BB_TYPE_ANY, texts[i], bb_value_text), texts[i]);
    }
}

/* A length that is impossible is refused by both; bb_put_subnet() makes ::/0 of it. */
Test(codec_cases, case_46_host_bits_are_cleared)
{
    cr_assert_str_eq(json_to_text(VALUE("subnet", "\"10.1.2.3/8\"")), "10.0.0.0/8");
    cr_assert_str_eq(text_to_json(BB_SUBNET, "10.1.2.3/8"), VALUE("subnet", "\"10.0.0.0/8\""));
    expect_refused(VALUE("subnet", "\"10.0.0.0/33\""), "is no subnet");
    cr_assert_eq(codec_read(&c, BB_TYPE_ANY, "10.0.0.0/33", 11), BB_EINVAL);
}

Test(codec_cases, case_49_all_types_in_one_message_come_back_unchanged)
{
    static const char all[] = VALUE(
        "vector", "[" VALUE("none", "{}") "," VALUE("boolean",
                                                    "true") "," VALUE("count", "18446744073709"
                                                                               "551615") "," VALUE("integer", "-9223372036854775808") "," VALUE("real", "1.500000") "," VALUE("string", "\"grüß\"") "," VALUE("address", "\"::1\"") "," VALUE("subnet", "\"10.0.0.0/8\"") "," VALUE("port", "\"80/tcp\"") "," VALUE("timestam"
                                                                                                                                                                                                                                                                                                                    "p",
                                                                                                                                                                                                                                                                                                                    "\"2018-"
                                                                                                                                                                                                                                                                                                                    "07-07T01:"
                                                                                                                                                                                                                                                                                                                    "12:38."
                                                                                                                                                                                                                                                                                                                    "459\"") "," VALUE("timespan", "\"300ms\"") "," VALUE("enum-value",
                                                                                                                                                                                                                                                                                                                                                                          "\"A::B\"") "," VALUE("set", "[]") "," VALUE("table", "[]") "," VALUE("vector",
                                                                                                                                                                                                                                                                                                                                                                                                                                                "[]") "]");
    cr_assert_str_eq(codec_turn(&c, CODEC_JSON, all, bb_value_json), all);
}

/* The codec's part: it is said where, and the next text is read as if nothing had been. */
Test(codec_cases, case_50_garbage_is_refused_and_leaves_nothing_behind)
{
    expect_refused("garbage", "here should stand `{`");
    expect_refused("{\"type\":\"data-message\"", "only the members");
    expect_refused("", "the text ends");
    cr_assert_str_eq(json_to_text(VALUE("count", "1")), "1");
}

Test(codec_cases, case_51_wrong_kinds_are_refused_each)
{
    expect_refused("[]", "here should stand `{`");
    expect_refused("{\"topic\":\"a\",\"@data-type\":\"count\",\"data\":1}", "only the members");
    expect_refused(VALUE("quad", "1"), "there is no such @data-type");
    expect_refused(VALUE("count", "\"1\""), "is no count");
    expect_refused(VALUE("count", "1.0"), "is no count");
}

Test(codec_cases, case_56_no_zone_is_utc_and_milliseconds_go_out)
{
    static const char ns[] = VALUE("timestamp", "\"2018-07-07T01:12:38.459474001\"");
    cr_assert_str_eq(json_to_text(VALUE("timestamp", "\"1970-01-01T00:00:01\"")), "1000000000ns");
    cr_assert_str_eq(json_to_text(VALUE("timestamp", "\"1970-01-01T00:00:01Z\"")), "1000000000ns");
    cr_assert_str_eq(json_to_text(ns), "1530925958459474001ns");
    cr_assert_str_eq(codec_turn(&c, CODEC_JSON, ns, bb_value_json),
                     VALUE("timestamp", "\"2018-07-07T01:12:38.459\""));
    cr_assert_str_eq(codec_turn(&c, CODEC_JSON, ns, bb_value_json_exact), ns);
}

Test(codec_cases, case_57_any_bytes_give_legal_json_that_can_be_read)
{
    static const char bytes[] = "a\x01\xff";
    char json[128];
    struct bb_builder b;
    bb_build_init(&b, c.native, sizeof(c.native));
    bb_put_string(&b, bytes, 3);
    struct bb_value v = {c.native, (size_t)bb_build_end(&b)};
    cr_assert_gt(bb_value_json(&v, json, sizeof(json)), 0);
    cr_assert_str_eq(json, VALUE("string", "\"a\\u0001\\u00ff\""));
    cr_assert_str_eq(json_to_text(json), "a\x01\xc3\xbf");
    cr_assert_str_eq(json_to_text(VALUE("string", "\"a\\u0001\\udcff\"")), bytes);
    cr_assert_str_eq(
        codec_turn(&c, CODEC_JSON, VALUE("string", "\"a\\u0001\\udcff\""), bb_value_json_exact),
        VALUE("string", "\"a\\u0001\\udcff\""));
}
