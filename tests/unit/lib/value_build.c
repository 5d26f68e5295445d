/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the builder writes the one canonical form, measures exactly, and says what is wrong.
 * Method: golden bytes, then random values: build, check, compare, measure; every buffer has the exact size,
 * so that the address sanitizer sees one byte too many.
 */
#include <busbar/value.h>

#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>

static unsigned char buf[1 << 16];

static struct bb_builder
begin(void)
{
    struct bb_builder b;
    memset(buf, 0xee, sizeof(buf));
    bb_build_init(&b, buf, sizeof(buf));
    return b;
}

static void
expect_bytes(struct bb_builder *b, const void *wanted, size_t bytes)
{
    cr_assert_eq(bb_build_end(b), (int64_t)bytes);
    cr_assert_eq(memcmp(buf, wanted, bytes), 0);
    cr_assert_eq(buf[bytes], 0xee, "nothing behind it is written");
}

static void
expect_canonical(size_t bytes)
{
    struct bb_value v;
    cr_assert_eq(bb_value_open(&v, buf, bytes), 0);
    cr_assert_eq(bb_value_check(&v), 0);
}

#define GOLDEN(name, put, ...)                                                                     \
    Test(value_build, golden_##name, .timeout = 20)                                                \
    {                                                                                              \
        static const unsigned char wanted[] = {__VA_ARGS__};                                       \
        struct bb_builder b = begin();                                                             \
        put;                                                                                       \
        expect_bytes(&b, wanted, sizeof(wanted));                                                  \
        expect_canonical(sizeof(wanted));                                                          \
    }

static const uint8_t ip4[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3};

GOLDEN(none, bb_put_none(&b), 8, 0, 0, 0, 0, 0, 0, 0)
GOLDEN(boolean, bb_put_boolean(&b, 7), 8, 0, 0, 0, 1, 1, 0, 0)
GOLDEN(count, bb_put_count(&b, 0x0102030405060708), 16, 0, 0, 0, 2, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1)
GOLDEN(integer,
       bb_put_integer(&b, -2),
       16,
       0,
       0,
       0,
       3,
       0,
       0,
       0,
       0xfe,
       255,
       255,
       255,
       255,
       255,
       255,
       255)
GOLDEN(real, bb_put_real(&b, -1.5), 16, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf8, 0xbf)
GOLDEN(string_empty, bb_put_string(&b, NULL, 0), 8, 0, 0, 0, 5, 0, 0, 0)
GOLDEN(
    string_odd, bb_put_string(&b, "abc", 3), 11, 0, 0, 0, 5, 0, 0, 0, 'a', 'b', 'c', 0, 0, 0, 0, 0)
GOLDEN(string_even,
       bb_put_string(&b, "12345678", 8),
       16,
       0,
       0,
       0,
       5,
       0,
       0,
       0,
       '1',
       '2',
       '3',
       '4',
       '5',
       '6',
       '7',
       '8')
GOLDEN(address,
       bb_put_address(&b, ip4),
       24,
       0,
       0,
       0,
       6,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       255,
       255,
       10,
       1,
       2,
       3)
GOLDEN(subnet,
       bb_put_subnet(&b, ip4, 8),
       24,
       0,
       0,
       0,
       7,
       104,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       255,
       255,
       10,
       0,
       0,
       0)
GOLDEN(port, bb_put_port(&b, 0x1234, BB_PROTO_UDP), 8, 0, 0, 0, 8, 2, 0x34, 0x12)
GOLDEN(timestamp, bb_put_timestamp(&b, 1), 16, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)
GOLDEN(timespan, bb_put_timespan(&b, 1), 16, 0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0)
GOLDEN(enumeration, bb_put_enum(&b, "E", 1), 9, 0, 0, 0, 11, 0, 0, 0, 'E', 0, 0, 0, 0, 0, 0, 0)
GOLDEN(set_empty,
       (bb_put_set_begin(&b), bb_put_end(&b)),
       16,
       0,
       0,
       0,
       12,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0)
GOLDEN(table,
       (bb_put_table_begin(&b),
        bb_put_boolean(&b, 1),
        bb_put_none(&b),
        bb_put_boolean(&b, 0),
        bb_put_string(&b, "x", 1),
        bb_put_end(&b)),
       56,
       0,
       0,
       0,
       13,
       0,
       0,
       0,
       2,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       8,
       0,
       0,
       0,
       1,
       0,
       0,
       0,
       9,
       0,
       0,
       0,
       5,
       0,
       0,
       0,
       'x',
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       8,
       0,
       0,
       0,
       1,
       1,
       0,
       0,
       8,
       0,
       0,
       0,
       0,
       0,
       0,
       0)
GOLDEN(vector_nested,
       (bb_put_vector_begin(&b),
        bb_put_vector_begin(&b),
        bb_put_end(&b),
        bb_put_none(&b),
        bb_put_end(&b)),
       40,
       0,
       0,
       0,
       14,
       0,
       0,
       0,
       2,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       16,
       0,
       0,
       0,
       14,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       0,
       8,
       0,
       0,
       0,
       0,
       0,
       0,
       0)

Test(value_build, case_46_subnets, .timeout = 20)
{
    static const uint8_t ip6[16] = {0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const struct {
        const uint8_t *ip;
        uint32_t bits;
        const char *text;
    } rows[] = {
        {ip4, 8, "10.0.0.0/8"},     {ip4, 32, "10.1.2.3/32"},
        {ip4, 0, "0.0.0.0/0"},      {ip4, 33, "::/0"},
        {ip4, 104, "::/0"},         {ip6, 128, "2001:db8:102:304:506:708:90a:b0c/128"},
        {ip6, 33, "2001:db8::/33"}, {ip6, 0, "::/0"},
        {ip6, 129, "::/0"},         {ip6, UINT32_MAX, "::/0"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bb_builder b = begin();
        struct bb_value v;
        char text[64];
        bb_put_subnet(&b, rows[i].ip, rows[i].bits);
        cr_assert_eq(bb_build_end(&b), 24);
        cr_assert_eq(bb_value_open(&v, buf, 24), 0);
        cr_assert_eq(bb_value_check(&v), 0);
        cr_assert_gt(bb_value_text(&v, text, sizeof(text)), 0);
        cr_assert_str_eq(text, rows[i].text);
    }
}

Test(value_build, several_values_stand_one_after_the_other, .timeout = 20)
{
    struct bb_builder b = begin();
    struct bb_value v;
    bb_put_string(&b, "x", 1);
    bb_put_vector_begin(&b);
    bb_put_none(&b);
    bb_put_end(&b);
    bb_put_boolean(&b, 0);
    cr_assert_eq(bb_build_end(&b), 48);
    cr_assert_eq(bb_value_open(&v, buf, 48), 0);
    cr_assert_eq(v.bytes, 16, "the window ends with the value's padding");
    cr_assert_eq(bb_value_open(&v, v.p + v.bytes, 32), 0);
    cr_assert_eq(v.bytes, 24);
    cr_assert_eq(bb_value_open(&v, v.p + v.bytes, 8), 0);
    cr_assert_eq(bb_value_type(&v), BB_BOOLEAN);
}

/* ---- what is wrong ----------------------------------------------------------------------------- */

Test(value_build, duplicates_are_refused, .timeout = 20)
{
    struct bb_builder b = begin();
    bb_put_set_begin(&b);
    for (uint64_t i = 0; i < 100; i++) {
        bb_put_count(&b, i * 37 % 99);
    }
    bb_put_end(&b);
    cr_assert_eq(bb_build_end(&b), BB_EEXIST);

    b = begin();
    bb_put_table_begin(&b);
    bb_put_string(&b, "k", 1);
    bb_put_count(&b, 1);
    bb_put_string(&b, "k", 1);
    bb_put_count(&b, 2);
    bb_put_end(&b);
    cr_assert_eq(bb_build_end(&b), BB_EEXIST);
}

Test(value_build, a_duplicate_is_found_wherever_it_stands, .timeout = 20)
{
    enum { N = 24 };
    for (uint32_t twin = 0; twin < N * N; twin++) {
        struct bb_builder b = begin();
        uint32_t i = twin / N;
        uint32_t j = twin % N;
        bb_put_set_begin(&b);
        for (uint32_t k = 0; k < N; k++) {
            bb_put_count(&b, (uint64_t)(k == j ? i : k) * 7 % N);
        }
        bb_put_end(&b);
        cr_assert_eq(b.err, i == j ? 0 : BB_EEXIST, "%u as %u", j, i);
    }
}

Test(value_build, case_44_types_make_different_keys, .timeout = 20)
{
    struct bb_builder b = begin();
    bb_put_set_begin(&b);
    bb_put_integer(&b, 1);
    bb_put_count(&b, 1);
    bb_put_real(&b, 0.0);
    bb_put_real(&b, -0.0);
    bb_put_timespan(&b, 1);
    bb_put_timestamp(&b, 1);
    bb_put_enum(&b, "1", 1);
    bb_put_string(&b, "1", 1);
    bb_put_end(&b);
    int64_t bytes = bb_build_end(&b);
    cr_assert_gt(bytes, 0);
    expect_canonical((size_t)bytes);
}

Test(value_build, unbalanced_calls_are_refused, .timeout = 20)
{
    struct bb_builder b = begin();
    bb_put_end(&b);
    cr_assert_eq(bb_build_end(&b), BB_EINVAL);

    b = begin();
    bb_put_vector_begin(&b);
    cr_assert_eq(bb_build_end(&b), BB_EINVAL);

    b = begin();
    bb_put_table_begin(&b);
    bb_put_none(&b);
    bb_put_end(&b);
    cr_assert_eq(bb_build_end(&b), BB_EINVAL);

    b = begin();
    bb_put_port(&b, 1, (enum bb_protocol)4);
    cr_assert_eq(bb_build_end(&b), BB_EINVAL);
}

Test(value_build, the_first_error_sticks, .timeout = 20)
{
    struct bb_builder b = begin();
    bb_put_end(&b);
    bb_put_set_begin(&b);
    bb_put_none(&b);
    bb_put_none(&b);
    bb_put_end(&b);
    cr_assert_eq(b.err, BB_EINVAL);
    cr_assert_eq(b.need_bytes, 32, "it goes on counting");
    cr_assert_eq(buf[0], 0xee, "and does not write");
}

static int64_t
nest(struct bb_builder *b, uint32_t depth)
{
    for (uint32_t i = 0; i < depth; i++) {
        bb_put_vector_begin(b);
    }
    for (uint32_t i = 0; i < depth; i++) {
        bb_put_end(b);
    }
    return bb_build_end(b);
}

Test(value_build, nesting_is_bounded, .timeout = 20)
{
    struct bb_builder b = begin();
    cr_assert_eq(nest(&b, 255), 255 * 16);
    expect_canonical(255 * 16);
    b = begin();
    cr_assert_eq(nest(&b, 256), BB_EINVAL);
    b = begin();
    cr_assert_eq(nest(&b, 70000), BB_EINVAL);
}

Test(value_build, sizes_beyond_u32_do_not_overflow, .timeout = 20)
{
    struct bb_builder b = begin();
    bb_put_string(&b, "x", SIZE_MAX - 3);
    cr_assert_eq(b.err, BB_EMSGSIZE);
    bb_put_string(&b, "x", UINT32_MAX);
    bb_put_none(&b);
    cr_assert_gt(b.need_bytes, (size_t)UINT32_MAX);
    cr_assert_eq(bb_build_end(&b), BB_EMSGSIZE);
}

/* ---- values into values ------------------------------------------------------------------------ */

Test(value_build, put_value_copies_the_canonical_bytes, .timeout = 20)
{
    rnd_seed("put_value");
    for (int i = 0; i < 500; i++) {
        size_t bytes;
        unsigned char *one = rnd_value(&bytes);
        struct bb_value v = {one, bytes};
        unsigned char *copy = malloc(bytes + 16);
        struct bb_builder b;
        bb_build_init(&b, copy, bytes + 16);
        bb_put_set_begin(&b);
        bb_put_value(&b, &v);
        bb_put_end(&b);
        cr_assert_eq(bb_build_end(&b), (int64_t)bytes + 16);
        cr_assert_eq(memcmp(copy + 16, one, bytes), 0);
        free(copy);
        free(one);
    }
}

Test(value_build, put_value_refuses_what_is_not_well_formed, .timeout = 20)
{
    static const unsigned char dirty[16] = {9,   0, 0, 0, BB_STRING, 0, 0, 0,
                                            'x', 0, 0, 0, 0,         0, 0, 1};
    static const unsigned char typeless[8] = {8, 0, 0, 0, 15, 0, 0, 0};
    struct bb_builder b = begin();
    bb_put_value(&b, &(struct bb_value){typeless, 8});
    cr_assert_eq(b.err, BB_ECORRUPT);
    b = begin();
    bb_put_value(&b, &(struct bb_value){NULL, 0});
    cr_assert_eq(b.err, BB_ECORRUPT);
    b = begin();
    bb_put_value(&b, &(struct bb_value){dirty, 16});
    cr_assert_eq(b.err, 0, "the padding is not copied");
    cr_assert_eq(buf[15], 0);
}

Test(value_build, put_value_counts_the_nesting, .timeout = 20)
{
    static unsigned char deep[255 * 16];
    struct bb_builder b;
    bb_build_init(&b, deep, sizeof(deep));
    cr_assert_eq(nest(&b, 200), 200 * 16);
    b = begin();
    for (uint32_t i = 0; i < 55; i++) {
        bb_put_vector_begin(&b);
    }
    bb_put_value(&b, &(struct bb_value){deep, 200 * 16});
    cr_assert_eq(b.err, 0);
    b = begin();
    for (uint32_t i = 0; i < 56; i++) {
        bb_put_vector_begin(&b);
    }
    bb_put_value(&b, &(struct bb_value){deep, 200 * 16});
    cr_assert_eq(b.err, BB_EINVAL);
}

/* ---- order ------------------------------------------------------------------------------------- */

static void
shuffle(uint32_t *order, uint32_t n)
{
    for (uint32_t i = n; i > 1; i--) {
        uint32_t j = rnd_below(i);
        uint32_t kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

/* A set or table of the values of these numbers in this order; a number always gives the same value.  Odd
 * seeds make tables. */
static int64_t
build_in_order(unsigned char *out, size_t cap, const uint32_t *order, uint32_t n, uint64_t seed)
{
    struct bb_builder b;
    uint64_t state = rnd_state;
    bb_build_init(&b, out, cap);
    if (seed % 2 != 0) {
        bb_put_table_begin(&b);
    } else {
        bb_put_set_begin(&b);
    }
    for (uint32_t i = 0; i < n; i++) {
        rnd_state = seed ^ order[i] * UINT64_C(0x123456789);
        rnd_put(&b, order[i], order[i] % 3);
        if (seed % 2 != 0) {
            rnd_put(&b, order[i] / 2, order[i] % 2);
        }
    }
    bb_put_end(&b);
    rnd_state = state;
    return bb_build_end(&b);
}

Test(value_build, case_43_any_order_gives_equal_bytes, .timeout = 20)
{
    enum { MOST = 64 };
    static unsigned char other[sizeof(buf)];
    rnd_seed("order");
    for (int round = 0; round < 400; round++) {
        uint32_t order[MOST];
        uint32_t n = rnd_below(MOST + 1);
        uint64_t seed = rnd();
        for (uint32_t i = 0; i < n; i++) {
            order[i] = i;
        }
        int64_t bytes = build_in_order(buf, sizeof(buf), order, n, seed);
        cr_assert_gt(bytes, 0);
        expect_canonical((size_t)bytes);
        shuffle(order, n);
        cr_assert_eq(build_in_order(other, sizeof(other), order, n, seed), bytes);
        cr_assert_eq(memcmp(buf, other, (size_t)bytes), 0);
    }
}

/* Long elements do not fit the sorter's spare room. */
Test(value_build, long_elements_are_sorted_too, .timeout = 20)
{
    static unsigned char big[1 << 20];
    static char text[4000];
    struct bb_builder b;
    struct bb_value v;
    rnd_seed("long_elements");
    for (int round = 0; round < 50; round++) {
        bb_build_init(&b, big, sizeof(big));
        bb_put_set_begin(&b);
        for (uint32_t i = 0; i < 60; i++) {
            memset(text, (int)('a' + rnd_below(3)), sizeof(text));
            memcpy(text, &i, sizeof(i));
            text[0] = (char)rnd_below(256);
            bb_put_string(&b, text, 4 + rnd_below(sizeof(text) - 4));
        }
        bb_put_end(&b);
        int64_t bytes = bb_build_end(&b);
        cr_assert_gt(bytes, 0);
        cr_assert_eq(bb_value_open(&v, big, (size_t)bytes), 0);
        cr_assert_eq(bb_value_check(&v), 0);
    }
}

Test(value_build, a_set_of_100000_in_random_order, .timeout = 60)
{
    enum { N = 100000 };
    size_t cap = N * 32 + 16;
    unsigned char *big = malloc(cap);
    struct bb_builder b;
    struct bb_value v;
    struct timespec t0;
    struct timespec t1;
    rnd_seed("set_of_100000");
    bb_build_init(&b, big, cap);
    bb_put_set_begin(&b);
    for (uint32_t i = 0; i < N; i++) {
        char text[24];
        int bytes = snprintf(text, sizeof(text), "%x-%x", (unsigned)rnd_below(1u << 30), i);
        bb_put_string(&b, text, (size_t)bytes);
    }
    clock_gettime(CLOCK_MONOTONIC, &t0);
    bb_put_end(&b);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    int64_t bytes = bb_build_end(&b);
    cr_assert_gt(bytes, 0);
    cr_assert_eq(bb_value_open(&v, big, (size_t)bytes), 0);
    cr_assert_eq(bb_value_check(&v), 0);
    printf("set_of_100000: sorted in %.0f ms\n",
           (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6);
    free(big);
}

/* ---- properties -------------------------------------------------------------------------------- */

Test(value_build, random_values_are_canonical_and_measured, .timeout = 20)
{
    rnd_seed("properties");
    for (int round = 0; round < 3000; round++) {
        size_t bytes;
        unsigned char *one = rnd_value(&bytes); /* measures, builds in exactly that, compares */
        struct bb_value v;
        cr_assert_eq(bb_value_open(&v, one, bytes), 0);
        cr_assert_eq(v.bytes, bytes);
        cr_assert_eq(bb_value_check(&v), 0);
        cr_assert_eq(bb_value_compare(&v, &v), 0);
        free(one);
    }
}

Test(value_build, too_small_a_buffer_is_never_overrun_and_the_need_is_exact, .timeout = 20)
{
    rnd_seed("too_small");
    for (int round = 0; round < 100; round++) {
        size_t bytes;
        uint64_t state = rnd_state;
        unsigned char *one = rnd_value(&bytes);
        uint64_t after = rnd_state;
        for (size_t cap = 0; cap < bytes; cap += 1 + bytes / 50) {
            unsigned char *small = malloc(cap + (cap == 0));
            struct bb_builder b;
            rnd_state = state;
            uint32_t deep = rnd_below(5);
            bb_build_init(&b, small, cap);
            rnd_put(&b, 7, deep);
            cr_assert_eq(bb_build_end(&b), BB_EMSGSIZE);
            cr_assert_eq(b.need_bytes, bytes);
            free(small);
        }
        rnd_state = after;
        free(one);
    }
}
