/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: only the canonical form passes the check, so equal values are equal bytes; the order is a total order
 * and Broker's.
 * Method: each rule broken by hand in a good value; the laws of order over random values.
 */
#include <busbar/value.h>

#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>

static unsigned char buf[1 << 13];

/* A value in buf, with one byte changed if at is not negative. */
static int
check_with(int64_t bytes, int at, unsigned byte)
{
    unsigned char *exact = malloc((size_t)bytes);
    memcpy(exact, buf, (size_t)bytes);
    if (at >= 0) {
        exact[at] = (unsigned char)byte;
    }
    int rc = bb_value_check(&(struct bb_value){exact, (size_t)bytes});
    free(exact);
    return rc;
}

#define REFUSED(bytes, at, byte) cr_assert_eq(check_with(bytes, at, byte), BB_ECORRUPT)

static struct bb_builder
begin(void)
{
    struct bb_builder b;
    bb_build_init(&b, buf, sizeof(buf));
    return b;
}

Test(value_check, heads, .timeout = 20)
{
    struct bb_builder b = begin();
    bb_put_count(&b, 1);
    cr_assert_eq(check_with(16, -1, 0), 0);
    REFUSED(16, 4, 15);  /* no such type */
    REFUSED(16, 4, 255); /* no such type */
    REFUSED(16, 0, 8);   /* too short for a count */
    REFUSED(16, 0, 15);  /* not a count's length */
    REFUSED(16, 0, 17);  /* longer than the window */
    REFUSED(16, 3, 1);   /* much longer */
    REFUSED(16, 0, 0);   /* no head */
    REFUSED(16, 5, 1);   /* a is reserved here */
    REFUSED(16, 6, 1);   /* so is b */
    REFUSED(16, 7, 1);
    REFUSED(16, 4, BB_NONE);    /* 16 bytes of none */
    REFUSED(16, 4, BB_ADDRESS); /* 16 bytes of address */
    REFUSED(8, -1, 0);          /* half of it */
    cr_assert_eq(bb_value_check(&(struct bb_value){NULL, 0}), BB_ECORRUPT);
}

Test(value_check, small_fields, .timeout = 20)
{
    struct bb_builder b = begin();
    bb_put_boolean(&b, 1);
    REFUSED(8, 5, 2);
    REFUSED(8, 6, 1);
    b = begin();
    bb_put_port(&b, 80, BB_PROTO_TCP);
    cr_assert_eq(check_with(8, 5, 3), 0);
    REFUSED(8, 5, 4);
    b = begin();
    bb_put_none(&b);
    REFUSED(8, 5, 1);
}

Test(value_check, subnets_are_masked, .timeout = 20)
{
    static const uint8_t ip[16] = {0x20, 1, 0xd, 0xb8};
    struct bb_builder b = begin();
    bb_put_subnet(&b, ip, 33);
    cr_assert_eq(check_with(24, -1, 0), 0);
    REFUSED(24, 5, 129);
    REFUSED(24, 5, 28);    /* the network has bits beyond */
    REFUSED(24, 12, 0x40); /* a host bit right behind */
    REFUSED(24, 23, 1);    /* the last host bit */
    cr_assert_eq(check_with(24, 12, 0x80), 0);
    cr_assert_eq(check_with(24, 5, 29), 0);
}

Test(value_check, padding_is_zero, .timeout = 20)
{
    struct bb_builder b = begin();
    bb_put_string(&b, "abc", 3);
    cr_assert_eq(check_with(16, -1, 0), 0);
    cr_assert_eq(check_with(11, -1, 0), 0, "the last padding of a message may be missing");
    cr_assert_eq(check_with(13, -1, 0), 0);
    for (int at = 11; at < 16; at++) {
        REFUSED(16, at, 1);
    }
    b = begin();
    bb_put_vector_begin(&b);
    bb_put_string(&b, "abc", 3);
    bb_put_end(&b);
    REFUSED(32, 0, 27); /* inside a container it may not */
    REFUSED(32, 31, 1);
}

Test(value_check, containers_end_where_they_say, .timeout = 20)
{
    struct bb_builder b = begin();
    bb_put_vector_begin(&b);
    bb_put_vector_begin(&b);
    bb_put_none(&b);
    bb_put_end(&b);
    bb_put_none(&b);
    bb_put_end(&b);
    cr_assert_eq(check_with(48, -1, 0), 0);
    REFUSED(48, 8, 1);   /* fewer elements than bytes */
    REFUSED(48, 8, 3);   /* more */
    REFUSED(48, 12, 1);  /* reserved */
    REFUSED(48, 15, 1);  /* reserved */
    REFUSED(48, 16, 32); /* the inner one swallows its neighbour, but has one element */
    REFUSED(48, 16, 16); /* and is empty, but has one element */
    REFUSED(48, 16, 40); /* and ends outside its parent */
    REFUSED(48, 0, 40);
    REFUSED(48, 0, 15);
}

Test(value_check, sets_and_tables_rise, .timeout = 20)
{
    struct bb_builder b = begin();
    bb_put_set_begin(&b);
    bb_put_count(&b, 2);
    bb_put_count(&b, 5);
    bb_put_end(&b);
    cr_assert_eq(check_with(48, -1, 0), 0);
    REFUSED(48, 24, 5); /* twice the same */
    REFUSED(48, 24, 6); /* the wrong way round */
    REFUSED(48, 20, BB_INTEGER);
    cr_assert_eq(check_with(48, 4, BB_VECTOR), 0, "a vector need not rise, but does");
    b = begin();
    bb_put_table_begin(&b);
    bb_put_count(&b, 2);
    bb_put_count(&b, 9);
    bb_put_count(&b, 5);
    bb_put_count(&b, 1);
    bb_put_end(&b);
    cr_assert_eq(check_with(80, -1, 0), 0, "only the keys rise");
    REFUSED(80, 24, 5);
    REFUSED(80, 24, 9);
    REFUSED(80, 4, BB_SET);
}

Test(value_check, any_changed_byte_of_a_canonical_value_is_another_value_or_refused, .timeout = 60)
{
    rnd_seed("changed_byte");
    for (int round = 0; round < 300; round++) {
        size_t bytes;
        unsigned char *one = rnd_value(&bytes);
        unsigned char *other = malloc(bytes);
        struct bb_value a = {one, bytes};
        struct bb_value b = {other, bytes};
        for (int i = 0; i < 100; i++) {
            memcpy(other, one, bytes);
            other[rnd_below((uint32_t)bytes)] ^= (unsigned char)(1u << rnd_below(8));
            if (bb_value_check(&b) == 0) {
                cr_assert_neq(bb_value_compare(&a, &b), 0);
            }
        }
        free(other);
        free(one);
    }
}

static void
put_nested(unsigned char *p, uint32_t depth)
{
    for (uint32_t i = 0; i < depth; i++) {
        uint32_t left = (depth - i) * 16;
        memset(p + i * 16, 0, 16);
        p[i * 16] = (unsigned char)left;
        p[i * 16 + 1] = (unsigned char)(left >> 8);
        p[i * 16 + 4] = BB_VECTOR;
        p[i * 16 + 8] = i + 1 < depth;
    }
}

Test(value_check, nesting_of_255_is_read_and_256_refused, .timeout = 20)
{
    char text[600];
    for (uint32_t depth = 254; depth < 400; depth += depth < 257 ? 1 : 50) {
        struct bb_value v = {buf, depth * 16};
        bool ok = depth <= 255;
        put_nested(buf, depth);
        cr_assert_eq(bb_value_check(&v), ok ? 0 : BB_ECORRUPT);
        cr_assert_eq(bb_value_text(&v, text, sizeof(text)), ok ? (int64_t)depth * 2 : BB_ECORRUPT);
        cr_assert_eq(bb_value_json(&v, NULL, 0) > 0, ok);
        cr_assert_eq(bb_value_compare(&v, &v), 0);
    }
}

/* ---- order ------------------------------------------------------------------------------------- */

static int
sign(int v)
{
    return (v > 0) - (v < 0);
}

/* Values in rising order, one put after the other; rows[i] is where each begins. */
static size_t
put_rising(struct bb_value *rows)
{
    struct bb_builder b = begin();
    size_t n = 0;
    size_t from = 0;
#define ROW(...)                                                                                   \
    do {                                                                                           \
        __VA_ARGS__;                                                                               \
        rows[n++] = (struct bb_value){buf + from, b.need_bytes - from};                            \
        from = b.need_bytes;                                                                       \
    } while (0)
    static const uint8_t low[16] = {0};
    static const uint8_t high[16] = {0x80};
    ROW(bb_put_none(&b));
    ROW(bb_put_boolean(&b, 0));
    ROW(bb_put_boolean(&b, 1));
    ROW(bb_put_count(&b, 0));
    ROW(bb_put_count(&b, 256));
    ROW(bb_put_count(&b, UINT64_MAX));
    ROW(bb_put_integer(&b, INT64_MIN));
    ROW(bb_put_integer(&b, -1));
    ROW(bb_put_integer(&b, 0));
    ROW(bb_put_real(&b, -__builtin_inf()));
    ROW(bb_put_real(&b, -2.0));
    ROW(bb_put_real(&b, -1.0));
    ROW(bb_put_real(&b, -0.0));
    ROW(bb_put_real(&b, 0.0));
    ROW(bb_put_real(&b, 1e-300));
    ROW(bb_put_real(&b, 7.0));
    ROW(bb_put_real(&b, __builtin_inf()));
    ROW(bb_put_real(&b, __builtin_nan("")));
    ROW(bb_put_string(&b, "", 0));
    ROW(bb_put_string(&b, "a", 1));
    ROW(bb_put_string(&b, "a\0", 2));
    ROW(bb_put_string(&b, "aa", 2));
    ROW(bb_put_string(&b, "b", 1));
    ROW(bb_put_string(&b, "\xff", 1));
    ROW(bb_put_address(&b, low));
    ROW(bb_put_address(&b, high));
    ROW(bb_put_subnet(&b, low, 0));
    ROW(bb_put_subnet(&b, low, 64));
    ROW(bb_put_subnet(&b, high, 1));
    ROW(bb_put_port(&b, 80, BB_PROTO_TCP));
    ROW(bb_put_port(&b, 80, BB_PROTO_UDP));
    ROW(bb_put_port(&b, 256, BB_PROTO_UNKNOWN));
    ROW(bb_put_timestamp(&b, -1));
    ROW(bb_put_timestamp(&b, 1));
    ROW(bb_put_timespan(&b, -1));
    ROW(bb_put_timespan(&b, 1));
    ROW(bb_put_enum(&b, "E", 1));
    ROW(bb_put_set_begin(&b), bb_put_end(&b));
    ROW(bb_put_set_begin(&b), bb_put_count(&b, 1), bb_put_end(&b));
    ROW(bb_put_set_begin(&b), bb_put_count(&b, 1), bb_put_count(&b, 2), bb_put_end(&b));
    ROW(bb_put_set_begin(&b), bb_put_count(&b, 2), bb_put_end(&b));
    ROW(bb_put_table_begin(&b), bb_put_end(&b));
    ROW(bb_put_table_begin(&b), bb_put_count(&b, 1), bb_put_count(&b, 5), bb_put_end(&b));
    ROW(bb_put_table_begin(&b), bb_put_count(&b, 1), bb_put_count(&b, 6), bb_put_end(&b));
    ROW(bb_put_table_begin(&b), bb_put_count(&b, 2), bb_put_count(&b, 0), bb_put_end(&b));
    ROW(bb_put_vector_begin(&b), bb_put_end(&b));
    ROW(bb_put_vector_begin(&b), bb_put_vector_begin(&b), bb_put_end(&b), bb_put_end(&b));
    ROW(bb_put_vector_begin(&b), bb_put_vector_begin(&b), bb_put_end(&b), bb_put_none(&b),
        bb_put_end(&b));
    ROW(bb_put_vector_begin(&b), bb_put_vector_begin(&b), bb_put_none(&b), bb_put_end(&b),
        bb_put_end(&b));
#undef ROW
    cr_assert_eq(bb_build_end(&b), (int64_t)from);
    return n;
}

Test(value_check, brokers_order, .timeout = 20)
{
    struct bb_value rows[64];
    size_t n = put_rising(rows);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            int wanted = (i > j) - (i < j);
            cr_assert_eq(sign(bb_value_compare(&rows[i], &rows[j])), wanted, "rows %zu and %zu", i,
                         j);
        }
    }
}

Test(value_check, laws_of_order, .timeout = 20)
{
    enum { N = 60 };
    struct bb_value v[N];
    rnd_seed("laws");
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < N; i++) {
            v[i].p = rnd_value(&v[i].bytes);
        }
        for (size_t i = 0; i < N * N * N; i++) {
            const struct bb_value *a = &v[i % N];
            const struct bb_value *b = &v[i / N % N];
            const struct bb_value *c = &v[i / N / N];
            int ab = sign(bb_value_compare(a, b));
            cr_assert_eq(ab, -sign(bb_value_compare(b, a)));
            cr_assert_eq(ab == 0, a->bytes == b->bytes && memcmp(a->p, b->p, a->bytes) == 0);
            if (ab <= 0 && bb_value_compare(b, c) <= 0) {
                cr_assert_leq(bb_value_compare(a, c), 0);
            }
        }
        for (size_t i = 0; i < N; i++) {
            free((void *)(uintptr_t)v[i].p);
        }
    }
}

Test(value_check, unreadable_bytes_compare_as_none, .timeout = 20)
{
    static const unsigned char none[8] = {8};
    static const unsigned char truth[8] = {8, 0, 0, 0, BB_BOOLEAN};
    struct bb_value unreadable = {none, 7};
    cr_assert_eq(bb_value_compare(&unreadable, &(struct bb_value){none, 8}), 0);
    cr_assert_lt(bb_value_compare(&unreadable, &(struct bb_value){truth, 8}), 0);
    cr_assert_gt(bb_value_compare(&(struct bb_value){truth, 8}, &unreadable), 0);
}
