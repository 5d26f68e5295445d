/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: keys sort as their values do, and a prefix's range holds exactly what has the prefix.
 * Method: random values of all types (BB_SEED repeats a run) beside chosen edges, every pair compared both ways;
 * each as a prefix of each; long ones, whose order holds as far as the plain bytes go.
 */
#include "lib/store/key.h"

#include "tests/unit/lib/random_value.h"
#include <criterion/criterion.h>

TestSuite(store_key, .timeout = 60);

enum { VALUES = 400 };

struct set {
    struct bb_value v[VALUES];
    struct bbi_key key[VALUES];
    size_t count;
};

static struct bb_value
keep(struct bb_builder *b)
{
    int64_t bytes = bb_build_end(b);
    cr_assert_gt(bytes, 0);
    unsigned char *copy = malloc((size_t)bytes);
    memcpy(copy, b->buf, (size_t)bytes);
    return (struct bb_value){copy, (size_t)bytes};
}

static void
add(struct set *s, struct bb_value v)
{
    cr_assert_lt(s->count, (size_t)VALUES);
    s->v[s->count] = v;
    cr_assert_eq(bbi_key_make(&s->key[s->count], &v, 0), 0);
    s->count++;
}

static void
drop(struct set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free((void *)(uintptr_t)s->v[i].p);
    }
    s->count = 0;
}

static unsigned char room[1 << 16];

static struct bb_value
string(const char *s, size_t bytes)
{
    struct bb_builder b;
    bb_build_init(&b, room, sizeof(room));
    bb_put_string(&b, s, bytes);
    return keep(&b);
}

static struct bb_value
vector(const char *const *strings, const size_t *bytes, size_t count)
{
    struct bb_builder b;
    bb_build_init(&b, room, sizeof(room));
    bb_put_vector_begin(&b);
    for (size_t i = 0; i < count; i++) {
        bb_put_string(&b, strings[i], bytes[i]);
    }
    bb_put_end(&b);
    return keep(&b);
}

static struct bb_value
subnet(const uint8_t ip[16], uint32_t bits)
{
    struct bb_builder b;
    bb_build_init(&b, room, sizeof(room));
    bb_put_subnet(&b, ip, bits);
    return keep(&b);
}

static struct bb_value
address(const uint8_t ip[16])
{
    struct bb_builder b;
    bb_build_init(&b, room, sizeof(room));
    bb_put_address(&b, ip);
    return keep(&b);
}

static int
sign(int v)
{
    return (v > 0) - (v < 0);
}

static int
compare_keys(const struct bbi_key *a, const struct bbi_key *b)
{
    size_t common = a->len < b->len ? a->len : b->len;
    int order = memcmp(a->bytes, b->bytes, common);
    return order != 0 ? sign(order) : sign((int)a->len - (int)b->len);
}

/* Of hashed ones the plain bytes decide, and equal ones say nothing. */
static void
expect_order(const struct set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        for (size_t j = 0; j < s->count; j++) {
            const struct bbi_key *a = &s->key[i];
            const struct bbi_key *b = &s->key[j];
            int values = sign(bb_value_compare(&s->v[i], &s->v[j]));
            bool is_cut = a->is_hashed && b->is_hashed && values != 0
                          && memcmp(a->bytes, b->bytes, BBI_KEY_PLAIN_MAX) == 0;
            if (is_cut) {
                cr_assert_neq(compare_keys(a, b), 0);
            } else {
                cr_assert_eq(compare_keys(a, b), values, "%zu and %zu", i, j);
            }
        }
    }
}

static bool
is_between(const struct bbi_key *key, const struct bbi_key_range *r)
{
    struct bbi_key first = {.len = r->first_len};
    struct bbi_key behind = {.len = r->behind_len};
    memcpy(first.bytes, r->first, r->first_len);
    memcpy(behind.bytes, r->behind, r->behind_len);
    return compare_keys(key, &first) >= 0 && (r->behind_len == 0 || compare_keys(key, &behind) < 0);
}

static bool
is_in(const struct bbi_key *key, const struct bb_value *v, const struct bb_value *prefix)
{
    struct bbi_key_range r;
    cr_assert_eq(bbi_key_range(&r, prefix), 0);
    bool is = is_between(key, &r) && (!r.may_differ || bbi_key_has_prefix(v, prefix));
    if (r.has_next) {
        bbi_key_range_next(&r, prefix);
        cr_assert(!r.has_next);
        is = is || is_between(key, &r);
    }
    return is;
}

static uint32_t
expect_ranges(const struct set *s)
{
    uint32_t hits = 0;
    for (size_t i = 0; i < s->count; i++) {
        int type = bb_value_type(&s->v[i]);
        struct bbi_key_range r;
        if (type != BB_STRING && type != BB_SUBNET && type != BB_VECTOR) {
            cr_assert_eq(bbi_key_range(&r, &s->v[i]), BB_EINVAL);
            continue;
        }
        for (size_t j = 0; j < s->count; j++) {
            bool has = bbi_key_has_prefix(&s->v[j], &s->v[i]);
            cr_assert_eq(is_in(&s->key[j], &s->v[j], &s->v[i]), has, "%zu of %zu", i, j);
            hits += has;
        }
    }
    return hits;
}

Test(store_key, random_values_sort_as_they_compare)
{
    struct set s = {0};
    rnd_seed("store_key");
    for (size_t i = 0; i < 300; i++) {
        size_t bytes;
        unsigned char *p = rnd_value(&bytes);
        add(&s, (struct bb_value){p, bytes});
    }
    expect_order(&s);
    cr_assert_geq(expect_ranges(&s), 1); /* a prefix has itself */
    drop(&s);
}

static void
put_number(struct bb_builder *b, int type, uint64_t bits)
{
    double real;
    memcpy(&real, &bits, sizeof(real));
    switch (type) {
    case 0:
        bb_put_count(b, bits);
        break;
    case 1:
        bb_put_integer(b, (int64_t)bits);
        break;
    case 2:
        bb_put_real(b, real);
        break;
    case 3:
        bb_put_timestamp(b, (int64_t)bits);
        break;
    default:
        bb_put_timespan(b, (int64_t)bits);
        break;
    }
}

Test(store_key, numbers_at_their_edges)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     255,
                                     256,
                                     UINT64_C(0x7fffffffffffffff),
                                     UINT64_C(0x8000000000000000), /* -0, the least */
                                     UINT64_C(0x8000000000000001),
                                     UINT64_C(0x3ff0000000000000), /* 1.0 */
                                     UINT64_C(0xbff0000000000000), /* -1.0 */
                                     UINT64_C(0x7ff0000000000000), /* inf */
                                     UINT64_C(0xfff0000000000000),
                                     UINT64_C(0x7ff8000000000000), /* NaN */
                                     UINT64_C(0xfff8000000000000),
                                     UINT64_MAX};
    struct set s = {0};
    for (int type = 0; type < 5; type++) {
        for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
            struct bb_builder b;
            bb_build_init(&b, room, sizeof(room));
            put_number(&b, type, edges[i]);
            add(&s, keep(&b));
            bb_build_init(&b, room, sizeof(room));
            bb_put_vector_begin(&b);
            put_number(&b, type, edges[i]);
            bb_put_boolean(&b, (int)(i & 1));
            bb_put_end(&b);
            add(&s, keep(&b));
        }
    }
    expect_order(&s);
    cr_assert_geq(expect_ranges(&s), 70);
    drop(&s);
}

Test(store_key, strings_with_zeros_and_in_vectors)
{
    static const char *const text[] = {"",    "a",  "a\0", "a\0b", "a\0\xff",
                                       "a\1", "ab", "b",   "\xff", "\xff\xff"};
    static const size_t bytes[] = {0, 1, 2, 3, 3, 2, 2, 1, 1, 2};
    struct set s = {0};
    for (size_t i = 0; i < 10; i++) {
        add(&s, string(text[i], bytes[i]));
        add(&s, vector(&text[i], &bytes[i], 1));
        for (size_t j = 0; j < 10; j++) {
            const char *two[] = {text[i], text[j]};
            const size_t two_bytes[] = {bytes[i], bytes[j]};
            add(&s, vector(two, two_bytes, 2));
        }
    }
    add(&s, vector(NULL, NULL, 0));
    expect_order(&s);
    /* Strings: "" 10, a 6, a\0 3 ...; vectors: the empty one has all. */
    cr_assert_geq(expect_ranges(&s), 10 + 111 + 110 + 100);
    drop(&s);
}

Test(store_key, what_lies_in_a_subnet)
{
    struct set s = {0};
    uint8_t ip[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 0};
    uint8_t wide[16] = {0xfe, 0x80};
    uint8_t top[16];
    memset(top, 0xff, sizeof(top));
    static const uint8_t last[][4] = {{9, 255, 255, 255},   {10, 0, 0, 0}, {10, 0, 0, 1},
                                      {10, 255, 255, 255},  {11, 0, 0, 0}, {0, 0, 0, 0},
                                      {255, 255, 255, 255}, {10, 1, 2, 3}, {10, 1, 128, 0}};
    for (size_t i = 0; i < 9; i++) {
        memcpy(ip + 12, last[i], 4);
        add(&s, address(ip));
        for (uint32_t bits = 0; bits <= 32; bits += bits % 8 == 0 ? 7 : 1) {
            add(&s, subnet(ip, bits));
        }
    }
    for (uint32_t bits = 0; bits <= 128; bits += 16) {
        add(&s, subnet(wide, bits));
        add(&s, subnet(top, bits));
    }
    add(&s, address(wide));
    add(&s, address(top));
    expect_order(&s);
    cr_assert_geq(expect_ranges(&s), 500);

    memcpy(ip + 12, last[1], 4);
    struct bb_value net = subnet(ip, 8);
    uint32_t addresses = 0;
    for (size_t i = 0; i < s.count; i++) {
        addresses += bb_value_type(&s.v[i]) == BB_ADDRESS && is_in(&s.key[i], &s.v[i], &net);
    }
    cr_assert_eq(addresses, 5); /* of 10.0.0.0/8 */
    free((void *)(uintptr_t)net.p);
    drop(&s);
}

Test(store_key, long_ones_end_in_a_hash)
{
    struct set s = {0};
    static char text[2000];
    memset(text, 'x', sizeof(text));
    static const size_t bytes[] = {478, 479, 480, 481, 1000, 1500, 2000};
    for (size_t i = 0; i < 7; i++) {
        const char *one = text;
        add(&s, string(text, bytes[i]));
        add(&s, vector(&one, &bytes[i], 1));
        cr_assert_leq(s.key[s.count - 2].len, BBI_DB_KEY_MAX);
        cr_assert_eq(s.key[s.count - 2].is_hashed, bytes[i] > 479);
    }
    text[600] = 'y';
    add(&s, string(text, 1000));
    text[600] = 'x';
    text[100] = 'a';
    add(&s, string(text, 1000));
    expect_order(&s);
    cr_assert_geq(expect_ranges(&s), 30);

    struct bbi_key other = s.key[8];
    cr_assert(other.is_hashed);
    bbi_key_set_nth(&other, 1);
    cr_assert_eq(compare_keys(&other, &s.key[8]), 1);
    bbi_key_set_nth(&other, 0);
    cr_assert_eq(compare_keys(&other, &s.key[8]), 0);
    drop(&s);
}

Test(store_key, no_prefix_is_everything)
{
    struct bbi_key_range r;
    struct bb_value none = {NULL, 0};
    cr_assert_eq(bbi_key_range(&r, NULL), 0);
    cr_assert_eq(r.first_len + r.behind_len, 0);
    cr_assert_eq(bbi_key_range(&r, &none), 0);
    struct bb_value v = string("k", 1);
    cr_assert(bbi_key_has_prefix(&v, NULL));
    free((void *)(uintptr_t)v.p);
}

Test(store_key, what_is_no_value_is_refused)
{
    struct bbi_key key;
    struct bb_value v = string("abcdefgh", 8);
    struct bb_value bad = v;
    bad.bytes = 12;
    cr_assert_eq(bbi_key_make(&key, &bad, 0), BB_ECORRUPT);
    bad = (struct bb_value){NULL, 0};
    cr_assert_eq(bbi_key_make(&key, &bad, 0), BB_ECORRUPT);
    const unsigned char nonsense[16] = {16, 0, 0, 0, 77};
    bad = (struct bb_value){nonsense, sizeof(nonsense)};
    cr_assert_eq(bbi_key_make(&key, &bad, 0), BB_ECORRUPT);
    cr_assert(!bbi_key_has_prefix(&bad, &v));
    free((void *)(uintptr_t)v.p);
}
