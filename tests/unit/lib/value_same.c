/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: equal values, and only they, are equal bytes, compare as 0 and have the same hash.
 * Method: pairs of random values, of which many are alike; golden hashes, as they must be the same everywhere.
 */
#include <busbar/value.h>

#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>

TestSuite(value_same, .timeout = 60);

static unsigned char buf[256];

static struct bb_value
open_buf(struct bb_builder *b)
{
    int64_t bytes = bb_build_end(b);
    cr_assert_gt(bytes, 0);
    return (struct bb_value){buf, (size_t)bytes};
}

Test(value_same, hashes_are_the_same_on_every_machine)
{
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_count(&b, 1);
    struct bb_value v = open_buf(&b);
    cr_assert_eq(bb_value_hash(&v), UINT64_C(0xeebf20f9eb18c0f0), "%#llx",
                 (unsigned long long)bb_value_hash(&v));
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_none(&b);
    v = open_buf(&b);
    cr_assert_eq(bb_value_hash(&v), UINT64_C(0xa1fb3d150676dcfe), "%#llx",
                 (unsigned long long)bb_value_hash(&v));
}

Test(value_same, padding_is_no_part_of_a_value)
{
    struct bb_builder b;
    unsigned char other[16];
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_string(&b, "abc", 3);
    struct bb_value v = open_buf(&b);
    memcpy(other, buf, 16);
    memset(other + 11, 'x', 5);
    for (size_t bytes = 11; bytes <= 16; bytes++) {
        struct bb_value w = {other, bytes};
        cr_assert_eq(bb_value_equal(&v, &w), 1);
        cr_assert_eq(bb_value_hash(&v), bb_value_hash(&w));
    }
}

Test(value_same, unreadable_is_equal_to_nothing_and_hashes_as_none)
{
    static const unsigned char none[8] = {8};
    struct bb_value readable = {none, 8};
    struct bb_value unreadable = {none, 7};
    struct bb_value nothing = {NULL, 0};
    cr_assert_eq(bb_value_equal(&readable, &readable), 1);
    cr_assert_eq(bb_value_equal(&unreadable, &unreadable), 0);
    cr_assert_eq(bb_value_equal(&readable, &unreadable), 0);
    cr_assert_eq(bb_value_equal(&nothing, &readable), 0);
    cr_assert_eq(bb_value_hash(&unreadable), bb_value_hash(&readable));
    cr_assert_eq(bb_value_hash(&nothing), bb_value_hash(&readable));
}

Test(value_same, equality_order_and_hash_say_the_same)
{
    uint32_t alike = 0;
    rnd_seed("value_same");
    for (int round = 0; round < 20000; round++) {
        size_t a_bytes;
        size_t b_bytes;
        uint64_t state = rnd_state;
        unsigned char *a = rnd_value(&a_bytes);
        if (rnd_below(2) == 0) {
            rnd_state = state; /* the same once more */
        }
        unsigned char *b = rnd_value(&b_bytes);
        struct bb_value x = {a, a_bytes};
        struct bb_value y = {b, b_bytes};
        bool same = a_bytes == b_bytes && memcmp(a, b, a_bytes) == 0;
        cr_assert_eq(bb_value_equal(&x, &y), same);
        cr_assert_eq(bb_value_equal(&y, &x), same);
        cr_assert_eq(bb_value_compare(&x, &y) == 0, same);
        cr_assert_eq(bb_value_hash(&x) == bb_value_hash(&y), same);
        alike += same;
        rnd();
        free(a);
        free(b);
    }
    cr_assert_gt(alike, 5000);
    cr_assert_lt(alike, 15000);
}
