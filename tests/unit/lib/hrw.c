/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: bb_hrw() gives the same order on every machine, whole and in parts, and refuses what it cannot do.
 * Method: orders that another program found (xxHash's library for the hashes, decimal arithmetic of 50 digits
 * for the logarithms); and the logarithm against such digits, at its corners and for never rising.
 * What is spread and what moves: hrw_shares.c.  Zeek's winners: contract/cluster_cases.c.
 */
#include "lib/cluster/hrw.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(hrw, .timeout = 60);

static const struct bb_hrw_opts keyed = {
    .size = sizeof(keyed),
    .seed = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)},
};
static const struct bb_hrw_opts zeek = {.size = sizeof(zeek), .method = BB_HRW_ZEEK};

static struct bb_hrw_node proxies[] = {
    {.name = "proxy-1", .is_alive = 1, .weight = 16},
    {.name = "proxy-2", .is_alive = 1, .weight = 16},
    {.name = "proxy-3", .is_alive = 1, .weight = 16},
    {.name = "proxy-4", .is_alive = 1, .weight = 16},
};

/* "3412": the numbers in the nodes' names, in the order for the key. */
static const char *
order_of(const char *key, size_t key_bytes, const struct bb_hrw_opts *opts, size_t max)
{
    static char text[8];
    uint32_t order[4] = {9, 9, 9, 9};
    int count = bb_hrw(proxies, 4, key, key_bytes, opts, order, max);
    cr_assert(count >= 0 && (size_t)count <= max, "%d", count);
    for (int i = 0; i < count; i++) {
        text[i] = (char)('1' + order[i]);
    }
    for (size_t i = (size_t)count; i < 4; i++) {
        cr_assert_eq(order[i], 9u, "nothing is written beyond what was asked for");
    }
    text[count] = '\0';
    return text;
}

Test(hrw, golden_orders)
{
    static const struct {
        const char *key, *even, *mixed;
    } rows[] = {
        {"", "2314", "2431"},
        {"10.0.2.15", "3412", "4132"},
        {"192.150.187.43", "2143", "2143"},
        {"proxy-1", "2413", "2413"},
        {"example.org", "1234", "2134"},
        {"key-0", "1342", "1423"},
        {"key-1", "3241", "2341"},
        {"key-2", "4312", "4123"},
        {"key-3", "2341", "2431"},
        {"key-4", "2314", "2314"},
        {"key-5", "3421", "4231"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t bytes = strlen(rows[i].key);
        cr_assert_str_eq(order_of(rows[i].key, bytes, &keyed, 4), rows[i].even, "%s", rows[i].key);
        proxies[1].weight = 32;
        proxies[2].weight = 12;
        proxies[3].weight = 24;
        cr_assert_str_eq(order_of(rows[i].key, bytes, &keyed, 4), rows[i].mixed, "%s, weights",
                         rows[i].key);
        proxies[1].weight = proxies[2].weight = proxies[3].weight = 16;
    }
}

Test(hrw, long_keys_too)
{
    char key[300];
    memset(key, 'k', sizeof(key));
    cr_assert_str_eq(order_of(key, sizeof(key), &keyed, 4), "3241");
}

Test(hrw, a_part_of_the_order_is_its_beginning)
{
    cr_assert_str_eq(order_of("10.0.2.15", 9, &keyed, 0), "");
    cr_assert_str_eq(order_of("10.0.2.15", 9, &keyed, 1), "3");
    cr_assert_str_eq(order_of("10.0.2.15", 9, &keyed, 3), "341");
    proxies[3].is_alive = 0;
    cr_assert_str_eq(order_of("10.0.2.15", 9, &keyed, 4), "312");
    cr_assert_str_eq(order_of("10.0.2.15", 9, &keyed, 2), "31");
}

Test(hrw, weights_count_for_the_keyed_variant_alone)
{
    char even[8];
    (void)strcpy(even, order_of("key-0", 5, &zeek, 4));
    proxies[0].weight = 1;
    proxies[3].weight = 255;
    cr_assert_str_eq(order_of("key-0", 5, &zeek, 4), even);
    cr_assert_eq(order_of("key-0", 5, &keyed, 4)[0], '4');
    proxies[0].weight = proxies[3].weight = 0; /* the default is even */
    cr_assert_str_eq(order_of("key-0", 5, &keyed, 4), "1342");
}

Test(hrw, without_options_it_is_keyed_with_zeros)
{
    static const struct bb_hrw_opts zeros = {.size = sizeof(zeros)};
    char plain[8];
    (void)strcpy(plain, order_of("key-0", 5, NULL, 4));
    cr_assert_str_eq(plain, order_of("key-0", 5, &zeros, 4));
}

Test(hrw, what_it_refuses)
{
    uint32_t order[4];
    struct bb_hrw_opts bad = keyed;
    struct bb_hrw_node twice[] = {{.name = "a", .is_alive = 1}, {.name = "a"}};
    struct bb_hrw_node heavy = {.name = "a", .is_alive = 1, .weight = 256};
    struct bb_hrw_node nameless = {.is_alive = 1};
    struct bb_hrw_node empty = {.name = "", .is_alive = 1};
    static struct bb_hrw_node many[BBI_HRW_NODES_MAX + 1];

    cr_assert_eq(bb_hrw(NULL, 1, "k", 1, &keyed, order, 4), BB_EINVAL);
    cr_assert_eq(bb_hrw(proxies, 4, NULL, 1, &keyed, order, 4), BB_EINVAL);
    cr_assert_eq(bb_hrw(proxies, 4, "k", 1, &keyed, NULL, 4), BB_EINVAL);
    cr_assert_eq(bb_hrw(twice, 2, "k", 1, &keyed, order, 4), BB_EINVAL);
    cr_assert_eq(bb_hrw(twice, 2, "k", 1, &zeek, order, 4), BB_EINVAL);
    cr_assert_eq(bb_hrw(&heavy, 1, "k", 1, &keyed, order, 4), BB_EINVAL);
    cr_assert_eq(bb_hrw(&nameless, 1, "k", 1, &keyed, order, 4), BB_EINVAL);
    cr_assert_eq(bb_hrw(&empty, 1, "k", 1, &keyed, order, 4), BB_EINVAL);
    bad.method = 2;
    cr_assert_eq(bb_hrw(proxies, 4, "k", 1, &bad, order, 4), BB_EINVAL);
    bad = keyed;
    bad.reserved = 1;
    cr_assert_eq(bb_hrw(proxies, 4, "k", 1, &bad, order, 4), BB_EINVAL);
    bad = keyed;
    bad.size = 3;
    cr_assert_eq(bb_hrw(proxies, 4, "k", 1, &bad, order, 4), BB_EINVAL);
    cr_assert_eq(bb_hrw(many, BBI_HRW_NODES_MAX + 1, "k", 1, &keyed, order, 4), BB_ENOMEM);
    cr_assert_eq(bb_hrw(NULL, 0, NULL, 0, &keyed, NULL, 0), 0);
}

Test(hrw, as_many_nodes_as_a_bus_has_members)
{
    static char names[BBI_HRW_NODES_MAX][16];
    static struct bb_hrw_node many[BBI_HRW_NODES_MAX];
    static uint32_t order[BBI_HRW_NODES_MAX + 1];
    static uint8_t seen[BBI_HRW_NODES_MAX];
    for (unsigned i = 0; i < BBI_HRW_NODES_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "node-%u", i);
        many[i] = (struct bb_hrw_node){.name = names[i], .is_alive = 1, .weight = 1 + i % 255};
    }
    for (unsigned method = BB_HRW_KEYED; method <= BB_HRW_ZEEK; method++) {
        const struct bb_hrw_opts o = {.size = sizeof(o), .method = method};
        memset(seen, 0, sizeof(seen));
        cr_assert_eq(bb_hrw(many, BBI_HRW_NODES_MAX, "k", 1, &o, order, BBI_HRW_NODES_MAX + 1),
                     BBI_HRW_NODES_MAX);
        for (unsigned i = 0; i < BBI_HRW_NODES_MAX; i++) {
            cr_assert_lt(order[i], (uint32_t)BBI_HRW_NODES_MAX);
            cr_assert_eq(seen[order[i]]++, 0u, "node %u twice", order[i]);
        }
    }
}

/* ---- the logarithm ------------------------------------------------------------------------------------ */

Test(hrw, cost_is_minus_log2)
{
    static const struct {
        uint64_t u, floor; /* of the true value */
    } rows[] = {
        {0, UINT64_C(72057594037927936)},
        {1, UINT64_C(72057594037927936)},
        {2, UINT64_C(70931694131085312)},
        {3, UINT64_C(70273084906016933)},
        {UINT64_C(0xffffffff), UINT64_C(36028797019342161)},
        {UINT64_C(0x8000000000000000), UINT64_C(1125899906842624)},
        {UINT64_C(0x8000000000000001), UINT64_C(1125899906842623)},
        {UINT64_C(0x123456789abcdef0), UINT64_C(4293935887909413)},
        {UINT64_C(0xb504f333f9de6484), UINT64_C(562949953421312)},
        {UINT64_C(0xffffffffffffffff), 0},
        {UINT64_C(0xffffffffffffc000), 1},
        {UINT64_C(0xffffffffc0000000), UINT64_C(94548)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t cost = bbi_hrw_cost(rows[i].u);
        cr_assert(cost >= rows[i].floor && cost - rows[i].floor <= 2, "u %#lx: %lu, not %lu",
                  (unsigned long)rows[i].u, (unsigned long)cost, (unsigned long)rows[i].floor);
    }
}

/* Neighbours, at random places and around every power of two, where one piece of the series ends. */
Test(hrw, cost_never_rises_with_u)
{
    uint64_t x = 88172645463325252; /* xorshift, its first seed */
    for (unsigned i = 0; i < 2000000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t u = x >> (i % 64);
        uint64_t step = (i % 3 == 0 ? 1 : (x & 0xffff)) & (UINT64_MAX - u);
        cr_assert_geq(bbi_hrw_cost(u), bbi_hrw_cost(u + step), "u %lu", (unsigned long)u);
    }
    for (unsigned bit = 1; bit < 64; bit++) {
        uint64_t u = UINT64_C(1) << bit;
        cr_assert_geq(bbi_hrw_cost(u - 1), bbi_hrw_cost(u), "bit %u", bit);
        cr_assert_geq(bbi_hrw_cost(u), bbi_hrw_cost(u + 1), "bit %u", bit);
    }
}
