/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: random values of all types come back from binary v1 as the same bytes, and obey the laws of an order.
 * Method: BB_VALUES of them (20,000 unless given), from the seed that is printed (BB_SEED repeats it); three
 * neighbours at a time for antisymmetry, transitivity, and equal <=> same bytes <=> compare 0 <=> same hash.
 * bb-timeout: 300
 */
#include <busbar/codec.h>

#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>

TestSuite(value_laws, .timeout = 290);

static uint64_t
value_count(void)
{
    const char *given = getenv("BB_VALUES");
    return given != NULL ? strtoull(given, NULL, 0) : 20000;
}

static void
expect_same_from_binary(const struct bb_value *v)
{
    static unsigned char binary[1 << 16];
    static unsigned char native[1 << 16];
    struct bb_builder b;
    struct bb_codec_error error = {0};
    int64_t bytes = bb_value_binary(v, binary, sizeof(binary));
    cr_assert_gt(bytes, 0);
    cr_assert_leq(bytes, (int64_t)sizeof(binary));
    bb_build_init(&b, native, sizeof(native));
    bb_put_binary(&b, binary, (size_t)bytes, &error);
    cr_assert_eq(bb_build_end(&b), (int64_t)v->bytes, "%zu: %s", error.offset, error.sentence);
    cr_assert_eq(memcmp(native, v->p, v->bytes), 0);
}

static int
sign(int v)
{
    return (v > 0) - (v < 0);
}

static void
expect_pair(const struct bb_value *a, const struct bb_value *b)
{
    int order = sign(bb_value_compare(a, b));
    bool same = a->bytes == b->bytes && memcmp(a->p, b->p, a->bytes) == 0;
    cr_assert_eq(order, -sign(bb_value_compare(b, a)));
    cr_assert_eq(order == 0, same);
    cr_assert_eq(bb_value_equal(a, b) == 1, same);
    cr_assert_eq(bb_value_hash(a) == bb_value_hash(b), same);
}

static void
expect_transitive(const struct bb_value *a, const struct bb_value *b, const struct bb_value *c)
{
    if (bb_value_compare(a, b) <= 0 && bb_value_compare(b, c) <= 0) {
        cr_assert_leq(bb_value_compare(a, c), 0);
    }
    if (bb_value_compare(a, b) >= 0 && bb_value_compare(b, c) >= 0) {
        cr_assert_geq(bb_value_compare(a, c), 0);
    }
}

Test(value_laws, round_trip_and_order)
{
    struct bb_value last[3] = {{NULL, 0}};
    uint64_t count = value_count();
    rnd_seed("value_laws");
    for (uint64_t i = 0; i < count; i++) {
        struct bb_value *v = &last[i % 3];
        free((void *)(uintptr_t)v->p);
        if (i > 0 && rnd_below(8) == 0) { /* the one before once more */
            v->bytes = last[(i + 2) % 3].bytes;
            unsigned char *copy = malloc(v->bytes);
            cr_assert_not_null(copy);
            memcpy(copy, last[(i + 2) % 3].p, v->bytes);
            v->p = copy;
        } else {
            v->p = rnd_value(&v->bytes);
        }
        expect_same_from_binary(v);
        if (i >= 2) {
            expect_pair(v, &last[(i + 2) % 3]);
            expect_transitive(v, &last[(i + 1) % 3], &last[(i + 2) % 3]);
            expect_transitive(v, &last[(i + 2) % 3], &last[(i + 1) % 3]);
        }
    }
    for (int i = 0; i < 3; i++) {
        free((void *)(uintptr_t)last[i].p);
    }
    printf("value_laws: %llu values\n", (unsigned long long)count);
}

/* Numbers of which every bit is random, with those that are special more often than chance has them. */
static uint64_t
special_bits(void)
{
    static const uint64_t some[] = {0,
                                    1,
                                    UINT64_C(0x7ff0000000000000),
                                    UINT64_C(0x7ff8000000000000),
                                    UINT64_C(0x000fffffffffffff),
                                    UINT64_C(0x0010000000000000)};
    uint64_t bits = rnd();
    if (rnd_below(4) == 0) {
        bits = some[rnd_below(6)] | (bits & UINT64_C(1) << 63);
    }
    return bits;
}

Test(value_laws, words_of_random_bits)
{
    uint64_t count = value_count();
    rnd_seed("words");
    for (uint64_t i = 0; i < count; i++) {
        unsigned char buf[32];
        struct bb_builder b;
        uint64_t bits = special_bits();
        double real;
        memcpy(&real, &bits, sizeof(real));
        if (real != real) { /* the wire has one NaN, and it comes back as this one */
            bits = UINT64_C(0x7ff8000000000000);
            memcpy(&real, &bits, sizeof(real));
        }
        bb_build_init(&b, buf, sizeof(buf));
        switch (i % 4) {
        case 0:
            bb_put_real(&b, real);
            break;
        case 1:
            bb_put_integer(&b, (int64_t)bits);
            break;
        case 2:
            bb_put_timestamp(&b, (int64_t)bits);
            break;
        default:
            bb_put_timespan(&b, (int64_t)bits);
            break;
        }
        cr_assert_eq(bb_build_end(&b), 16);
        expect_same_from_binary(&(struct bb_value){buf, 16});
    }
}
