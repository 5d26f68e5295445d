/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: every codec gives back what it was given, as far as its form can hold it.
 * Method: random values of all types, with all bits of numbers and bytes of strings.  BB_SEED=N repeats a run,
 * BB_VALUES=N is how many values each test takes (else 20,000).
 *
 *   exact JSON   native -> JSON -> native: the same bytes, always
 *   binary v1    native -> binary -> native: the same bytes, but that there is only one NaN
 *   JSON v1      values that it can hold: the same bytes.  All others: what was read once stays as it is
 *   text         values that can be told from their text (busbar/codec.h says which): the same bytes
 *
 * bb-timeout: 600
 */
#include "tests/support/codec.h"

#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>

TestSuite(round_trip, .timeout = 3000);

enum holds { ALL, BINARY, JSON_V1, TEXT }; /* what the form at hand can hold */

static struct codec c;
static unsigned char native[1 << 17];
static char printed[1 << 20];

static unsigned long
value_count(void)
{
    const char *given = getenv("BB_VALUES");
    return given != NULL ? strtoul(given, NULL, 0) : 20000;
}

/* ---- random values ------------------------------------------------------------------------------- */

/* Of every size, and with the ends. */
static uint64_t
rnd_bits(void)
{
    uint64_t v = rnd() >> rnd_below(64);
    return rnd_below(16) == 0 ? UINT64_MAX << rnd_below(64) : v;
}

static size_t
rnd_utf8(char *out)
{
    static const char *const pieces[] = {"a",  "\"",           "\\",
                                         "\n", "\x01",         "\x7f",
                                         "ü",  "\xe2\x82\xac", "\xf0\x9f\x9a\x8c",
                                         "/",  "\xed\x9f\xbf", "\xee\x80\x80"};
    size_t bytes = 0;
    for (uint32_t n = rnd_below(12); n > 0; n--) {
        const char *piece = pieces[rnd_below(sizeof(pieces) / sizeof(pieces[0]))];
        size_t piece_bytes = strlen(piece);
        memcpy(out + bytes, piece, piece_bytes);
        bytes += piece_bytes;
    }
    return bytes;
}

/* Neither a number nor an address begins with a w, and the rest needs no quotes. */
static size_t
rnd_word(char *out)
{
    static const char letters[] = "abc019:./-_ +\xff\xc3\xbc";
    size_t bytes = 1 + rnd_below(12);
    out[0] = 'w';
    for (size_t i = 1; i < bytes; i++) {
        out[i] = letters[rnd_below(sizeof(letters) - 1)];
    }
    out[bytes++] = 'w';
    return bytes;
}

static size_t
rnd_string(char *out, enum holds holds)
{
    size_t bytes = rnd_below(48);
    if (holds == TEXT) {
        return rnd_word(out);
    }
    if (holds == JSON_V1 || rnd_below(2) == 0) {
        return rnd_utf8(out);
    }
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (char)rnd_below(256);
    }
    return bytes;
}

static double
rnd_real(enum holds holds)
{
    static const double odd[] = {0.0, -0.0, __builtin_inf(), -__builtin_inf(), __builtin_nan("")};
    uint64_t bits = rnd();
    double v;
    if (holds != TEXT && rnd_below(4) == 0) {
        return odd[rnd_below(holds == ALL || holds == BINARY ? 5 : 4)];
    }
    if (holds == JSON_V1 || holds == TEXT) {
        return (double)(int64_t)(rnd() >> 16) / 64 * (rnd_below(2) == 0 ? -1 : 1);
    }
    bits |= rnd_below(8) == 0 ? UINT64_C(0x7ff) << 52 : 0;
    memcpy(&v, &bits, sizeof(v));
    return holds == BINARY && v != v ? 0.1 : v;
}

static void
put_subnet(struct bb_builder *b)
{
    uint8_t ip[16];
    rnd_ip(ip);
    int is_ipv4 = memcmp(ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0;
    bb_put_subnet(b, ip, rnd_below(is_ipv4 ? 33 : 129));
}

static void
put_leaf(struct bb_builder *b, enum holds holds)
{
    char s[64];
    uint8_t ip[16];
    int64_t ns = (int64_t)rnd_bits();
    switch (rnd_below(12)) {
    case BB_NONE:
        bb_put_none(b);
        break;
    case BB_BOOLEAN:
        bb_put_boolean(b, (int)rnd_below(2));
        break;
    case BB_COUNT:
        bb_put_count(b, rnd_bits());
        break;
    case BB_INTEGER:
        bb_put_integer(b, holds == TEXT ? INT64_MIN + (int64_t)(rnd_bits() >> 1) / 2
                                        : (int64_t)rnd_bits());
        break;
    case BB_REAL:
        bb_put_real(b, rnd_real(holds));
        break;
    case BB_STRING:
        bb_put_string(b, s, rnd_string(s, holds));
        break;
    case BB_ADDRESS:
        rnd_ip(ip);
        bb_put_address(b, ip);
        break;
    case BB_SUBNET:
        put_subnet(b);
        break;
    case BB_PORT:
        bb_put_port(b, (uint16_t)rnd(), (enum bb_protocol)rnd_below(4));
        break;
    case BB_TIMESTAMP:
        if (holds != TEXT) {
            bb_put_timestamp(b, holds == JSON_V1 ? ns / 1000000 * 1000000 : ns);
            break;
        }
        bb_put_none(b);
        break;
    case BB_TIMESPAN:
        bb_put_timespan(b, ns);
        break;
    default:
        if (holds != TEXT) {
            bb_put_enum(b, s, rnd_string(s, holds));
            break;
        }
        bb_put_vector_begin(b);
        bb_put_end(b);
        break;
    }
}

static void
put(struct bb_builder *b, enum holds holds, uint32_t deep)
{
    uint32_t kind = deep == 0 ? 9 : rnd_below(6);
    uint32_t n = rnd_below(6) + (holds == TEXT);
    if (kind > 2) {
        put_leaf(b, holds);
        return;
    }
    if (kind == 0) {
        bb_put_vector_begin(b);
    } else if (kind == 1) {
        bb_put_set_begin(b);
    } else {
        bb_put_table_begin(b);
    }
    for (uint32_t i = 0; i < n << (kind == 2); i++) {
        put(b, holds, deep - 1);
    }
    bb_put_end(b);
}

/* One random value in native; those with duplicates are thrown away. */
static struct bb_value
next_value(enum holds holds)
{
    struct bb_builder b;
    int64_t bytes;
    do {
        bb_build_init(&b, native, sizeof(native));
        put(&b, holds, rnd_below(5));
        bytes = bb_build_end(&b);
    } while (bytes == BB_EEXIST);
    cr_assert_gt(bytes, 0, "%d", b.err);
    return (struct bb_value){native, (size_t)bytes};
}

/* ---- round trips ----------------------------------------------------------------------------------- */

static size_t
print(const struct bb_value *v, codec_printer printer)
{
    int64_t bytes = printer(v, printed, sizeof(printed));
    cr_assert_geq(bytes, 0);
    cr_assert_lt(bytes, (int64_t)sizeof(printed));
    return (size_t)bytes;
}

static void
expect_same(const struct bb_value *v, int64_t rc)
{
    cr_assert_gt(rc, 0, "%zu: %s\n%s", c.error.offset, c.error.sentence, printed);
    cr_assert_eq(c.v.bytes, v->bytes, "%s", printed);
    cr_assert_eq(memcmp(c.v.p, v->p, v->bytes), 0, "%s", printed);
}

Test(round_trip, exact_json)
{
    rnd_seed("exact_json");
    for (unsigned long i = value_count(); i > 0; i--) {
        struct bb_value v = next_value(ALL);
        size_t bytes = print(&v, bb_value_json_exact);
        expect_same(&v, codec_read(&c, CODEC_JSON, printed, bytes));
    }
}

Test(round_trip, binary_v1)
{
    static unsigned char binary[1 << 17];
    rnd_seed("binary_v1");
    for (unsigned long i = value_count(); i > 0; i--) {
        struct bb_value v = next_value(BINARY);
        struct bb_builder b;
        int64_t bytes = bb_value_binary(&v, binary, sizeof(binary));
        cr_assert_gt(bytes, 0);
        cr_assert_leq(bytes, (int64_t)sizeof(binary));
        bb_build_init(&b, c.native, sizeof(c.native));
        bb_put_binary(&b, binary, (size_t)bytes, &c.error);
        int64_t rc = bb_build_end(&b);
        c.v = (struct bb_value){c.native, rc < 0 ? 0 : (size_t)rc};
        expect_same(&v, rc);
    }
}

Test(round_trip, json_v1_of_what_it_holds)
{
    rnd_seed("json_v1");
    for (unsigned long i = value_count(); i > 0; i--) {
        struct bb_value v = next_value(JSON_V1);
        size_t bytes = print(&v, bb_value_json);
        expect_same(&v, codec_read(&c, CODEC_JSON, printed, bytes));
    }
}

/* Six decimals or milliseconds may make two elements of a set the same: that is refused. */
Test(round_trip, json_v1_of_anything_settles)
{
    unsigned long settled = 0;
    unsigned long count = value_count();
    rnd_seed("json_v1_settles");
    for (unsigned long i = 0; i < count; i++) {
        struct bb_value v = next_value(ALL);
        size_t bytes = print(&v, bb_value_json);
        int64_t rc = codec_read(&c, CODEC_JSON, printed, bytes);
        if (rc < 0) {
            cr_assert_not_null(strstr(c.error.sentence, "twice"), "%s\n%s", c.error.sentence,
                               printed);
            continue;
        }
        memcpy(native, c.native, (size_t)rc);
        v = (struct bb_value){native, (size_t)rc};
        bytes = print(&v, bb_value_json);
        expect_same(&v, codec_read(&c, CODEC_JSON, printed, bytes));
        settled++;
    }
    cr_assert_gt(settled, count / 10 * 9);
}

Test(round_trip, text_of_what_can_be_told)
{
    rnd_seed("text");
    for (unsigned long i = value_count(); i > 0; i--) {
        struct bb_value v = next_value(TEXT);
        size_t bytes = print(&v, bb_value_text);
        expect_same(&v, codec_read(&c, BB_TYPE_ANY, printed, bytes));
    }
}

/* A leaf with its type: all but reals, of which text has six decimals, and NaN, of which it has one. */
Test(round_trip, text_of_a_leaf_with_its_type)
{
    rnd_seed("typed_text");
    for (unsigned long i = value_count(); i > 0; i--) {
        struct bb_builder b;
        bb_build_init(&b, native, sizeof(native));
        put_leaf(&b, rnd_below(2) == 0 ? ALL : JSON_V1);
        struct bb_value v = {native, (size_t)bb_build_end(&b)};
        int type = bb_value_type(&v);
        size_t bytes = print(&v, bb_value_text);
        int64_t rc = codec_read(&c, type, printed, bytes);
        if (type != BB_REAL) {
            expect_same(&v, rc);
        } else {
            cr_assert_eq(rc, 16);
        }
    }
}
