/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: JSON v1 is read as Broker reads it, and anything else is refused with a place and a sentence, in bounded
 * time and without memory.
 * Method: tables of texts with what they come out as; every prefix and every flipped bit of a text that has all
 * types; texts made to nest, from memory of exactly their size.
 */
#include "tests/support/codec.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <stdbool.h>

static struct codec c;

TestSuite(json_read, .timeout = 60);

#define VALUE(type, data) "{\"@data-type\":\"" type "\",\"data\":" data "}"

/* ---- what is taken ----------------------------------------------------------------------------- */

/* The data of one type, and the exact form of what was read. */
static const struct {
    const char *type;
    const char *data;
    const char *exact;
} good[] = {
    {"none", "{}", "{}"},
    {"none", "[1,{\"a\":[true,null,-1.5e3,\"x\\\"\"]},[],{}]", "{}"},
    {"none", "null", "{}"},
    {"boolean", "true", "true"},
    {"boolean", "false", "false"},
    {"count", "0", "0"},
    {"count", "-0", "0"},
    {"count", "18446744073709551615", "18446744073709551615"},
    {"integer", "-9223372036854775808", "-9223372036854775808"},
    {"integer", "9223372036854775807", "9223372036854775807"},
    {"real", "1.5", "1.5"},
    {"real", "7", "7.0"},
    {"real", "-0.0", "-0.0"},
    {"real", "1e300", "1e+300"},
    {"real", "0.1", "0.1"},
    {"real", "0.30000000000000004", "0.30000000000000004"},
    {"real", "5e-324", "4.94065645841247e-324"},
    {"real", "1.7976931348623157e308", "1.7976931348623157e+308"},
    {"real", "inf", "\"inf\""},
    {"real", "\"-inf\"", "\"-inf\""},
    {"real", "nan", "\"nan\""},
    {"real", "\"-nan\"", "\"nan(fff8000000000000)\""},
    {"real", "\"nan(7ff0000000000001)\"", "\"nan(7ff0000000000001)\""},
    {"string", "\"\"", "\"\""},
    {"string", "\"\\u00fc\\/\\v\\u0000\"", "\"ü/\\u000b\\u0000\""},
    {"string", "\"\\ud83d\\udE8C\"", "\"\xf0\x9f\x9a\x8c\""},
    {"string", "\"\\uFFFD\\u07ff\\u0800\"", "\"\xef\xbf\xbd\xdf\xbf\xe0\xa0\x80\""},
    {"string", "\"a\xff z\"", "\"a\\udcff z\""},
    {"string", "\"a\\udcff\\udc80z\"", "\"a\\udcff\\udc80z\""},
    {"string", "\"\\udbff\\udfff\"", "\"\xf4\x8f\xbf\xbf\""},
    {"enum-value", "\"A::B\"", "\"A::B\""},
    {"address", "\"10.0.0.1\"", "\"10.0.0.1\""},
    {"address", "\"::ffff:10.0.0.1\"", "\"10.0.0.1\""},
    {"address", "\"2001:DB8::1\"", "\"2001:db8::1\""},
    {"address", "\"\\u003a:1\"", "\"::1\""},
    {"subnet", "\"10.1.2.3/8\"", "\"10.0.0.0/8\""},
    {"subnet", "\"::ffff:10.1.2.3/104\"", "\"10.0.0.0/8\""},
    {"subnet", "\"::ffff:10.1.2.3/90\"", "\"::ffc0:0:0/90\""},
    {"subnet", "\"0.0.0.0/0\"", "\"0.0.0.0/0\""},
    {"subnet", "\"::/0\"", "\"::/0\""},
    {"port", "\"65535/udp\"", "\"65535/udp\""},
    {"port", "\"1/?\"", "\"1/?\""},
    {"port", "\"80\"", "\"80/tcp\""},
    {"timestamp", "\"1970-01-01T00:00:00\"", "\"1970-01-01T00:00:00.000\""},
    {"timestamp", "\"2018-07-07T01:12:38.459474001\"", "\"2018-07-07T01:12:38.459474001\""},
    {"timestamp", "\"2018-07-07T01:12:38.4594740019\"", "\"2018-07-07T01:12:38.459474001\""},
    {"timestamp", "\"2018-07-07 01:12:38Z\"", "\"2018-07-07T01:12:38.000\""},
    {"timestamp", "\"2018-07-07T01:12:38+02:30\"", "\"2018-07-06T22:42:38.000\""},
    {"timestamp", "\"2018-07-07T01:12:38.5-0130\"", "\"2018-07-07T02:42:38.500\""},
    {"timestamp", "\"2018-07-07T01:12:38+02\"", "\"2018-07-06T23:12:38.000\""},
    {"timestamp", "\"2000-02-29T00:00:00\"", "\"2000-02-29T00:00:00.000\""},
    {"timestamp", "\"1677-09-21T00:12:43.145224192\"", "\"1677-09-21T00:12:43.145224192\""},
    {"timestamp", "\"2262-04-11T23:47:16.854775807\"", "\"2262-04-11T23:47:16.854775807\""},
    {"timestamp", "\"1969-12-31T23:59:59.999999999\"", "\"1969-12-31T23:59:59.999999999\""},
    {"timespan", "\"-9223372036854775808ns\"", "\"-9223372036854775808ns\""},
    {"timespan", "\"2us\"", "\"2us\""},
    {"timespan", "\"-5ms\"", "\"-5ms\""},
    {"timespan", "\"0s\"", "\"0s\""},
    {"timespan", "\"1.5s\"", "\"1500ms\""},
    {"timespan", "\"2min\"", "\"120s\""},
    {"timespan", "\"1h\"", "\"3600s\""},
    {"timespan", "\"1d\"", "\"86400s\""},
    {"vector", "[]", "[]"},
    {"table", " [ ] ", "[]"},
    {"set", "[" VALUE("count", "2") "," VALUE("count", "1") "]",
     "[" VALUE("count", "1") "," VALUE("count", "2") "]"},
    {"table", "[{\"key\":" VALUE("count", "2") ",\"value\":" VALUE("vector", "[]") "}]",
     "[{\"key\":" VALUE("count", "2") ",\"value\":" VALUE("vector", "[]") "}]"},
    {"table", "[{\"value\":" VALUE("count", "2") ",\"key\":" VALUE("vector", "[]") "}]",
     "[{\"key\":" VALUE("vector", "[]") ",\"value\":" VALUE("count", "2") "}]"},
};

Test(json_read, takes_every_type_with_members_in_either_order)
{
    /* In the odd ones the data comes first. */
    static const char *const shapes[][3] = {
        {"{\"@data-type\":\"", "\",\"data\":", "}"},
        {"{\"data\":", ",\"@data-type\":\"", "\"}"},
        {" \t{ \"@data-type\" : \"", "\" ,\n\"data\" :\r", " } "},
        {"{\"d\\u0061ta\":", ",\"@data\\u002dtype\":\"", "\"}"},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char wanted[512];
        snprintf(wanted, sizeof(wanted), "{\"@data-type\":\"%s\",\"data\":%s}", good[i].type,
                 good[i].exact);
        for (size_t shape = 0; shape < sizeof(shapes) / sizeof(shapes[0]); shape++) {
            char text[512];
            const char *const *piece = shapes[shape];
            bool is_data_first = shape % 2 == 1;
            snprintf(text, sizeof(text), "%s%s%s%s%s", piece[0],
                     is_data_first ? good[i].data : good[i].type, piece[1],
                     is_data_first ? good[i].type : good[i].data, piece[2]);
            cr_assert_str_eq(codec_turn(&c, CODEC_JSON, text, bb_value_json_exact), wanted, "%s",
                             text);
        }
    }
}

/* ---- what is refused --------------------------------------------------------------------------- */

static const struct {
    const char *text;
    const char *offset_and_sentence; /* how it begins */
} bad[] = {
    {"", "0: the text ends where `{` should stand"},
    {"[]", "0: here should stand `{`"},
    {"nonsense", "0: here should stand `{`"},
    {"{}", "1: here should stand a string in quotes"},
    {"{\"type\":1}", "1: only the members \"@data-type\" and \"data\" belong here"},
    {VALUE("count", "1") " x", "32: something follows the value"},
    {VALUE("count", "1") VALUE("count", "1"), "31: something follows the value"},
    {"{\"@data-type\":\"count\",\"data\":1,\"data\":1}", "30: here should stand `}`"},
    {"{\"@data-type\":\"count\",\"@data-type\":\"count\"}", "22: here the member \"data\""},
    {"{\"data\":1,\"data\":1}", "10: here the member \"@data-type\""},
    {"{\"@data-type\":\"count\",\"data\":1,\"x\":1}", "30: here should stand `}`"},
    {"{\"@data-type\":\"count\",\"data\":1,}", "30: here should stand `}`"},
    {"{\"@data-type\":\"count\" \"data\":1}", "22: here should stand `,`"},
    {"{\"@data-type\":5,\"data\":1}", "14: here should stand a string in quotes"},
    {VALUE("quad", "1"), "14: there is no such @data-type"},
    {VALUE("enum", "\"a\""), "14: there is no such @data-type"},
    {VALUE("Count", "1"), "14: there is no such @data-type"},
    {VALUE("", "1"), "14: there is no such @data-type"},
    {VALUE("count", "1.0"), "29: the data is no count, which is a whole number"},
    {VALUE("count", "1e2"), "29: the data is no count"},
    {VALUE("count", "-1"), "29: the data is no count"},
    {VALUE("count", "\"1\""), "29: the data is no count"},
    {VALUE("count", "18446744073709551616"), "29: the data is no count"},
    {VALUE("count", "true"), "29: the data is no count"},
    {VALUE("count", "{}"), "29: the data is no count"},
    {VALUE("count", "+1"), "29: \"+1\" is neither a number nor a word of JSON"},
    {VALUE("count", "01"), "29: \"01\" is neither a number"},
    {VALUE("count", "0x1"), "29: \"0x1\" is neither a number"},
    {VALUE("integer", "9223372036854775808"), "31: the data is no integer"},
    {VALUE("integer", "-9223372036854775809"), "31: the data is no integer"},
    {VALUE("real", "1e999"), "28: the data is no real"},
    {VALUE("real", "\"1.5\""), "28: the data is no real"},
    {VALUE("real", "\"infinity\""), "28: the data is no real"},
    {VALUE("real", "\"nan(7ff0000000000000)\""), "28: the data is no real"},
    {VALUE("real", "\"nan(7FF8000000000001)\""), "28: the data is no real"},
    {VALUE("real", "1."), "28: \"1.\" is neither a number"},
    {VALUE("real", ".5"), "28: \".5\" is neither a number"},
    {VALUE("real", "1e"), "28: \"1e\" is neither a number"},
    {VALUE("real", "NaN"), "28: \"NaN\" is neither a number"},
    {VALUE("boolean", "1"), "31: the data is no boolean, which is true or false"},
    {VALUE("boolean", "T"), "31: \"T\" is neither a number"},
    {VALUE("boolean", "\"true\""), "31: the data is no boolean"},
    {VALUE("boolean", "null"), "31: the data is no boolean"},
    {VALUE("none", "[1,]"), "31: here should stand a value"},
    {VALUE("none", "{1:2}"), "29: here should stand a string in quotes"},
    {VALUE("none", "[1}"), "30: here should stand `]`"},
    {VALUE("string", "5"), "30: the data is no string"},
    {VALUE("string", "\"a\nb\""), "32: a control character stands in a string"},
    {VALUE("string", "\"\\x41\""), "31: there is no such escape"},
    {VALUE("string", "\"\\u12g4\""), "31: \\u needs four hex digits"},
    {VALUE("string", "\"\\ud800\""), "31: half of a surrogate pair stands alone"},
    {VALUE("string", "\"\\ud800x\""), "31: half of a surrogate pair stands alone"},
    {VALUE("string", "\"\\ud800\\u0041\""), "31: half of a surrogate pair stands alone"},
    {VALUE("string", "\"\\udc7f\""), "31: half of a surrogate pair stands alone"},
    {VALUE("string", "\"\\udd00\""), "31: half of a surrogate pair stands alone"},
    {VALUE("address", "\"10.0.0\""), "31: the data is no address"},
    {VALUE("address", "\"10.0.0.1\\u0000\""), "31: the data is no address"},
    {VALUE("address", "\"\""), "31: the data is no address"},
    {VALUE("address", "5"), "31: the data is no address"},
    {VALUE("subnet", "\"10.0.0.0/33\""), "30: the data is no subnet"},
    {VALUE("subnet", "\"::/129\""), "30: the data is no subnet"},
    {VALUE("subnet", "\"10.0.0.0\""), "30: the data is no subnet"},
    {VALUE("subnet", "\"10.0.0.0/\""), "30: the data is no subnet"},
    {VALUE("port", "\"65536/tcp\""), "28: the data is no port"},
    {VALUE("port", "\"80/sctp\""), "28: the data is no port"},
    {VALUE("port", "\"/tcp\""), "28: the data is no port"},
    {VALUE("port", "80"), "28: the data is no port"},
    {VALUE("timestamp", "\"2018-02-29T00:00:00\""), "33: the data is no timestamp"},
    {VALUE("timestamp", "\"1900-02-29T00:00:00\""), "33: the data is no timestamp"},
    {VALUE("timestamp", "\"2018-13-01T00:00:00\""), "33: the data is no timestamp"},
    {VALUE("timestamp", "\"2018-00-01T00:00:00\""), "33: the data is no timestamp"},
    {VALUE("timestamp", "\"2018-01-00T00:00:00\""), "33: the data is no timestamp"},
    {VALUE("timestamp", "\"2018-01-01T24:00:00\""), "33: the data is no timestamp"},
    {VALUE("timestamp", "\"2018-01-01T00:60:00\""), "33: the data is no timestamp"},
    {VALUE("timestamp", "\"2018-01-01T00:00:60\""), "33: the data is no timestamp"},
    {VALUE("timestamp", "\"2018-01-01T00:00:00.\""), "33: the data is no timestamp"},
    {VALUE("timestamp", "\"2018-01-01T00:00:00x\""), "33: the data is no timestamp"},
    {VALUE("timestamp", "\"2018-01-01T00:00:00+2\""), "33: the data is no timestamp"},
    {VALUE("timestamp", "\"2018-01-01T00:00:00+02:\""), "33: the data is no timestamp"},
    {VALUE("timestamp", "\"2018-01-01\""), "33: the data is no timestamp"},
    {VALUE("timestamp", "\"1677-09-21T00:12:43.145224191\""), "33: the data is no timestamp"},
    {VALUE("timestamp", "\"2262-04-11T23:47:16.854775808\""), "33: the data is no timestamp"},
    {VALUE("timespan", "\"5\""), "32: the data is no timespan"},
    {VALUE("timespan", "\"5 s\""), "32: the data is no timespan"},
    {VALUE("timespan", "\"5y\""), "32: the data is no timespan"},
    {VALUE("timespan", "\"9223372036854775808ns\""), "32: the data is no timespan"},
    {VALUE("timespan", "\"300000000d\""), "32: the data is no timespan"},
    {VALUE("vector", "{}"), "30: here should stand `[`"},
    {VALUE("vector", "[1]"), "31: here should stand `{`"},
    {VALUE("vector", "[" VALUE("count", "1") ",]"), "63: here should stand `{`"},
    {VALUE("vector", "[" VALUE("count", "1") VALUE("count", "1") "]"), "62: here `,` or `]`"},
    {VALUE("set", "[" VALUE("count", "1") "," VALUE("count", "1") "]"),
     "27: this set holds the same element twice"},
    {VALUE("table", "[{\"key\":]"), "37: here should stand `{`"},
    {VALUE("table", "[" VALUE("count", "1") "]"), "31: only the members \"key\" and \"value\""},
    {VALUE("table", "[{\"key\":" VALUE("count", "1") "}]"), "68: here should stand `,`"},
    {VALUE("table", "[{\"value\":" VALUE("count", "1") ",\"value\":1}]"),
     "71: here the member \"key\""},
    {VALUE(
         "table",
         "[{\"key\":" VALUE("count", "1") ",\"value\":" VALUE(
             "count", "2") "},"
                           "{\"value\":" VALUE("count", "3") ",\"key\":" VALUE("count", "1") "}]"),
     "29: this table holds the same key twice"},
};

Test(json_read, refuses_with_a_place_and_a_sentence)
{
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *got = codec_turn(&c, CODEC_JSON, bad[i].text, bb_value_json_exact);
        const char *wanted = bad[i].offset_and_sentence;
        cr_expect_eq(strncmp(got, wanted, strlen(wanted)), 0, "%s\n    gives: %s\n    not:   %s",
                     bad[i].text, got, wanted);
    }
}

Test(json_read, a_word_may_be_too_long)
{
    static char text[4000];
    snprintf(text, sizeof(text), VALUE("real", "0.%02000d"), 1);
    cr_assert_eq(codec_read(&c, CODEC_JSON, text, strlen(text)), BB_EINVAL);
    snprintf(text, sizeof(text), VALUE("real", "0.%01000d"), 1);
    cr_assert_gt(codec_read(&c, CODEC_JSON, text, strlen(text)), 0);
    snprintf(text, sizeof(text), VALUE("address", "\"%0100d\""), 1);
    cr_assert_eq(codec_read(&c, CODEC_JSON, text, strlen(text)), BB_EINVAL);
}

/* ---- the builder ------------------------------------------------------------------------------- */

Test(json_read, measuring_and_writing_agree)
{
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char text[512];
        struct bb_builder b;
        snprintf(text, sizeof(text), "{\"data\":%s,\"@data-type\":\"%s\"}", good[i].data,
                 good[i].type);
        int64_t bytes = codec_read(&c, CODEC_JSON, text, strlen(text));
        bb_build_init(&b, NULL, 0);
        bb_put_json(&b, text, strlen(text), NULL);
        cr_assert_eq(b.need_bytes, (size_t)bytes, "%s", text);
        cr_assert_eq(bb_build_end(&b), BB_EMSGSIZE);
    }
}

Test(json_read, a_measuring_builder_learns_that_a_text_is_refused)
{
    struct bb_builder b;
    bb_build_init(&b, NULL, 0);
    bb_put_json(&b, VALUE("count", "-1"), strlen(VALUE("count", "-1")), NULL);
    cr_assert_eq(bb_build_end(&b), BB_EINVAL);
}

Test(json_read, fits_into_what_the_caller_builds)
{
    static const char json[] = VALUE("set", "[" VALUE("string", "\"b\\n\"") "]");
    struct bb_builder b;
    struct bb_event event;
    struct bb_value arg;
    bb_build_init(&b, c.native, sizeof(c.native));
    bb_event_begin(&b, "e", 1);
    bb_put_json(&b, json, sizeof(json) - 1, NULL);
    bb_put_count(&b, 9);
    bb_event_end(&b);
    int64_t bytes = bb_build_end(&b);
    cr_assert_gt(bytes, 0);
    cr_assert_eq(bb_event_open(&event, c.native, (size_t)bytes), 0);
    cr_assert_eq(event.arg_count, 2);
    cr_assert_eq(bb_event_arg(&event, 0, &arg), 0);
    cr_assert_gt(bb_value_json(&arg, c.printed, sizeof(c.printed)), 0);
    cr_assert_str_eq(c.printed, json);
}

Test(json_read, nothing_is_read_into_a_builder_that_has_failed)
{
    struct bb_builder b;
    struct bb_codec_error error = {.offset = 7};
    bb_build_init(&b, c.native, sizeof(c.native));
    bb_put_end(&b);
    bb_put_json(&b, "x", 1, &error);
    cr_assert_eq(bb_build_end(&b), BB_EINVAL);
    cr_assert_eq(error.offset, 7);
}

/* ---- hostile texts ----------------------------------------------------------------------------- */

/* One text with every type in it, and members in both orders. */
static const char *
everything(void)
{
    static char text[1 << 15];
    size_t at = (size_t)snprintf(text, sizeof(text), "{\"@data-type\":\"vector\",\"data\":[");
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        at += (size_t)snprintf(text + at, sizeof(text) - at, i == 0 ? "{" : ",{");
        if (i % 2 == 0) {
            at +=
                (size_t)snprintf(text + at, sizeof(text) - at, "\"@data-type\":\"%s\",\"data\":%s}",
                                 good[i].type, good[i].data);
        } else {
            at +=
                (size_t)snprintf(text + at, sizeof(text) - at, "\"data\":%s,\"@data-type\":\"%s\"}",
                                 good[i].data, good[i].type);
        }
    }
    snprintf(text + at, sizeof(text) - at, "]}");
    return text;
}

Test(json_read, every_prefix_is_refused)
{
    const char *text = everything();
    size_t whole = strlen(text);
    cr_assert_gt(codec_read(&c, CODEC_JSON, text, whole), 0, "%zu: %s", c.error.offset,
                 c.error.sentence);
    for (size_t bytes = 0; bytes < whole; bytes++) {
        cr_assert_eq(codec_read(&c, CODEC_JSON, text, bytes), BB_EINVAL, "%zu bytes", bytes);
    }
}

Test(json_read, any_flipped_bit_is_refused_or_read)
{
    static char text[1 << 15];
    unsigned refused = 0;
    unsigned taken = 0;
    strcpy(text, everything());
    size_t whole = strlen(text);
    for (size_t at = 0; at < whole; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            text[at] = (char)(text[at] ^ (1 << bit));
            int64_t rc = codec_read(&c, CODEC_JSON, text, whole);
            cr_assert(rc > 0 || rc == BB_EINVAL);
            refused += rc < 0;
            taken += rc > 0;
            text[at] = (char)(text[at] ^ (1 << bit));
        }
    }
    cr_assert_gt(refused, 8 * (unsigned)whole / 2);
    cr_assert_gt(taken, 0);
}

/* open and close, so many times around a middle. */
static char *
nested(size_t depth, const char *open, const char *middle, const char *close)
{
    size_t open_bytes = strlen(open);
    size_t close_bytes = strlen(close);
    char *text = malloc(depth * (open_bytes + close_bytes) + strlen(middle) + 1);
    char *p = text;
    cr_assert_not_null(text);
    for (size_t i = 0; i < depth; i++, p += open_bytes) {
        memcpy(p, open, open_bytes);
    }
    p = stpcpy(p, middle);
    for (size_t i = 0; i < depth; i++, p += close_bytes) {
        memcpy(p, close, close_bytes);
    }
    *p = '\0';
    return text;
}

static const char *const nestings[][3] = {
    {"{\"@data-type\":\"vector\",\"data\":[", VALUE("count", "1"), "]}"},
    {"{\"data\":[", VALUE("count", "1"), "],\"@data-type\":\"vector\"}"},
    {"{\"@data-type\":\"table\",\"data\":[{\"key\":", VALUE("count", "1"),
     ",\"value\":{\"@data-type\":\"none\",\"data\":{}}}]}"},
    {"{\"data\":[{\"value\":{\"@data-type\":\"none\",\"data\":{}},\"key\":", VALUE("count", "1"),
     "}],\"@data-type\":\"table\"}"},
};

Test(json_read, containers_nest_255_deep_and_no_deeper)
{
    for (size_t i = 0; i < sizeof(nestings) / sizeof(nestings[0]); i++) {
        for (size_t depth = BB_VALUE_DEPTH; depth <= BB_VALUE_DEPTH + 1; depth++) {
            char *text = nested(depth, nestings[i][0], nestings[i][1], nestings[i][2]);
            int64_t rc = codec_read(&c, CODEC_JSON, text, strlen(text));
            cr_assert(depth == BB_VALUE_DEPTH ? rc > 0 : rc == BB_EINVAL, "%zu: %zu %s", depth,
                      c.error.offset, c.error.sentence);
            free(text);
        }
    }
    cr_assert_not_null(strstr(c.error.sentence, "more than 255 deep"));
}

static long
peak_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "re");
    cr_assert_not_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    fclose(f);
    return kib;
}

Test(json_read, depth_10000_is_refused_with_flat_memory)
{
    for (size_t i = 0; i < sizeof(nestings) / sizeof(nestings[0]); i++) {
        char *text = nested(10000, nestings[i][0], nestings[i][1], nestings[i][2]);
        size_t bytes = strlen(text);
        struct bb_codec_error error = {0};
        struct bb_builder b;
        (void)codec_read(&c, CODEC_JSON, VALUE("set", "[]"), strlen(VALUE("set", "[]")));
        long before_kib = peak_kib();
        size_t before = mallinfo2().uordblks;
        for (int cap = 0; cap < 2; cap++) {
            bb_build_init(&b, cap == 0 ? NULL : c.native, cap == 0 ? 0 : sizeof(c.native));
            bb_put_json(&b, text, bytes, &error);
            cr_assert_eq(bb_build_end(&b), BB_EINVAL);
            cr_assert_not_null(strstr(error.sentence, "deep"), "%s", error.sentence);
        }
        cr_assert_eq(mallinfo2().uordblks, before);
        cr_assert_lt(peak_kib() - before_kib, 512, "%ld KiB", peak_kib() - before_kib);
        free(text);
    }
}

/* Members in the costly order, with a load of 8 MiB at the bottom: bounded, by being refused beyond 32 levels. */
Test(json_read, reading_twice_is_bounded)
{
    enum { LOAD_BYTES = 8 << 20 };
    char *middle = malloc(LOAD_BYTES + 64);
    cr_assert_not_null(middle);
    strcpy(middle, "{\"@data-type\":\"none\",\"data\":\"");
    size_t head = strlen(middle);
    memset(middle + head, 'x', LOAD_BYTES);
    strcpy(middle + head + LOAD_BYTES, "\"}");
    for (size_t depth = 8; depth <= 128; depth *= 16) {
        char *text = nested(depth, nestings[1][0], middle, nestings[1][2]);
        struct bb_codec_error error = {0};
        struct bb_builder b;
        bb_build_init(&b, c.native, sizeof(c.native));
        bb_put_json(&b, text, strlen(text), &error);
        int64_t rc = bb_build_end(&b);
        cr_assert(depth == 8 ? rc > 0 : rc == BB_EINVAL, "%zu: %s", depth, error.sentence);
        cr_assert(depth == 8 || strstr(error.sentence, "write them first") != NULL, "%s",
                  error.sentence);
        free(text);
    }
    free(middle);
}

Test(json_read, types_have_names)
{
    cr_assert_str_eq(bb_type_name(BB_COUNT), "count");
    cr_assert_str_eq(bb_type_name(BB_ENUM), "enum-value");
    cr_assert_null(bb_type_name(BB_TYPE_ANY));
    cr_assert_null(bb_type_name(BB_VECTOR + 1));
    for (int type = BB_NONE; type <= BB_VECTOR; type++) {
        cr_assert_eq(bb_type_parse(bb_type_name(type)), type);
    }
    cr_assert_eq(bb_type_parse("enum"), BB_ENUM);
    cr_assert_eq(bb_type_parse("any"), BB_EINVAL);
    cr_assert_eq(bb_type_parse(""), BB_EINVAL);
}
