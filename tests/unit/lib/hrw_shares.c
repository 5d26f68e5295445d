/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: keys are spread as promised: each node's share of 100,000 addresses within four standard deviations
 * of even, for every pool of 1 to 64 nodes, and of its weight when weights differ; who does not know the seed
 * cannot tell an owner; a loss moves the lost node's keys and no others.
 * Method: the keyed variant with a fixed seed, so a run is the same everywhere; sums of squares over many
 * seeds beside it, which also show a spread that is too even to be chance.
 */
#include "lib/cluster/hrw.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(hrw_shares, .timeout = 110);

enum { KEYS = 100000, NODES_MAX = 64 };

static uint32_t keys[KEYS]; /* addresses, as four bytes in network order */
static struct bbi_hrw hrw;
static struct bbi_hrw_live live;
static uint32_t shares[NODES_MAX];

/* (is - expected)^2 / variance: sixteen is four standard deviations. */
static double
squares(double is, double expected, double variance)
{
    return (is - expected) * (is - expected) / variance;
}
enum { FOUR_SQUARED = 16 };

/* A network's worth of addresses in their order: nothing about the keys themselves is random. */
static void
make_keys(void)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        const unsigned char a[4] = {10, (unsigned char)(i >> 16), (unsigned char)(i >> 8),
                                    (unsigned char)i};
        memcpy(&keys[i], a, sizeof(a));
    }
}

static void
make_live(uint64_t seed, size_t count, const uint32_t *weights)
{
    static char text[NODES_MAX][16];
    const char *names[NODES_MAX];
    uint64_t hashes[NODES_MAX];
    const uint64_t two[2] = {seed, ~seed};
    cr_assert_eq(bbi_hrw_init(&hrw, BB_HRW_KEYED, two), 0);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(text[i], sizeof(text[i]), "proxy-%zu", i + 1);
        names[i] = text[i];
    }
    cr_assert_eq(bbi_hrw_names(&hrw, names, count, hashes), 0);
    live.count = live.is_mixed = 0;
    for (size_t i = 0; i < count; i++) {
        bbi_hrw_live_add(&hrw, &live, (uint32_t)i, hashes[i], weights != NULL ? weights[i] : 0);
    }
}

static void
count_shares(uint32_t key_count)
{
    memset(shares, 0, sizeof(shares));
    for (uint32_t k = 0; k < key_count; k++) {
        shares[bbi_hrw_owner(&hrw, &live, &keys[k], sizeof(keys[k]))]++;
    }
}

/* Each share within four standard deviations; returns how far the worst is away, squared. */
static double
expect_shares(const uint32_t *weights)
{
    double worst = 0;
    double sum = 0;
    for (uint32_t i = 0; i < live.count; i++) {
        sum += weights != NULL ? weights[i] : 1;
    }
    for (uint32_t i = 0; i < live.count; i++) {
        double p = (weights != NULL ? weights[i] : 1) / sum;
        if (live.count == 1) {
            cr_assert_eq(shares[i], (uint32_t)KEYS);
            return 0;
        }
        double off = squares(shares[i], KEYS * p, KEYS * p * (1 - p));
        cr_assert_leq(off, FOUR_SQUARED, "node %u of %u has %u keys, %.0f expected", i + 1,
                      live.count, shares[i], KEYS * p);
        worst = off > worst ? off : worst;
    }
    return worst;
}

Test(hrw_shares, even_over_1_to_64_nodes)
{
    double worst = 0;
    make_keys();
    for (size_t n = 1; n <= NODES_MAX; n++) {
        make_live(1, n, NULL);
        count_shares(KEYS);
        double off = expect_shares(NULL);
        worst = off > worst ? off : worst;
    }
    cr_log_info("worst of 2080 shares: %.2f standard deviations, squared", worst);
    cr_assert_gt(worst, 4.0, "2080 shares, none off by two deviations: that is no chance");
}

Test(hrw_shares, by_weight)
{
    static const uint32_t weights[][8] = {
        {16, 16, 16, 16, 16, 16, 16, 32},
        {1, 255},
        {1, 2, 3, 4, 5, 6, 7, 8},
        {255, 254, 253, 1},
        {1, 17},
        {8, 16, 32, 64, 128, 16, 16, 1},
    };
    static const size_t counts[] = {8, 2, 8, 4, 2, 8};
    make_keys();
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        make_live(2, counts[i], weights[i]);
        cr_assert_eq(live.is_mixed, 1u);
        count_shares(KEYS);
        cr_log_info("row %zu: worst %.2f, squared", i, expect_shares(weights[i]));
    }
}

/* The sum over seeds and nodes of (share - expected)^2 / expected has a known mean and deviation. */
static void
expect_chance(const uint32_t *weights, size_t count)
{
    enum { SEEDS = 150, SOME_KEYS = 8000 };
    double chi2 = 0;
    double sum = 0;
    double mean = (double)SEEDS * (double)(count - 1);
    for (size_t i = 0; i < count; i++) {
        sum += weights[i];
    }
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        make_live(seed * UINT64_C(0x1000001), count, weights);
        count_shares(SOME_KEYS);
        for (size_t i = 0; i < count; i++) {
            double expected = SOME_KEYS * weights[i] / sum;
            chi2 += squares(shares[i], expected, expected);
        }
    }
    cr_log_info("chi2 %.1f, mean %.1f", chi2, mean);
    cr_assert_leq(squares(chi2, mean, 2 * mean), FOUR_SQUARED, "chi2 %f, mean %f", chi2, mean);
}

Test(hrw_shares, neither_too_uneven_nor_too_even)
{
    static const uint32_t even[] = {16, 16, 16, 16, 16, 16, 16, 16};
    static const uint32_t mixed[] = {16, 32, 8, 24, 16, 64};
    make_keys();
    expect_chance(even, 8);
    expect_chance(mixed, 6);
}

/* With another seed the owner is another one, as far as chance goes: so no key can be aimed. */
Test(hrw_shares, the_seed_decides)
{
    enum { NODES = 8 };
    static uint32_t owners[KEYS];
    const double p = 1.0 / NODES;
    make_keys();
    make_live(3, NODES, NULL);
    for (uint32_t k = 0; k < KEYS; k++) {
        owners[k] = bbi_hrw_owner(&hrw, &live, &keys[k], sizeof(keys[k]));
    }
    for (unsigned bit = 0; bit < 64; bit += 9) {
        uint32_t same = 0;
        make_live(3 ^ (UINT64_C(1) << bit), NODES, NULL);
        for (uint32_t k = 0; k < KEYS; k++) {
            same += owners[k] == bbi_hrw_owner(&hrw, &live, &keys[k], sizeof(keys[k]));
        }
        cr_assert_leq(squares(same, KEYS * p, KEYS * p * (1 - p)), FOUR_SQUARED,
                      "bit %u: %u the same", bit, same);
    }
}

/* A key that is spelled as a node is a key like others, also for that node. */
Test(hrw_shares, a_nodes_name_is_a_key_like_others)
{
    enum { NODES = 4, SEEDS = 20000 };
    uint32_t own = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        make_live(seed, NODES, NULL);
        own += bbi_hrw_owner(&hrw, &live, "proxy-2", 7) == 1;
    }
    const double p = 1.0 / NODES;
    cr_assert_leq(squares(own, SEEDS * p, SEEDS * p * (1 - p)), FOUR_SQUARED, "%u of %d", own,
                  SEEDS);
}

/* ---- losses and returns --------------------------------------------------------------------------------- */

static uint32_t first[KEYS];
static uint32_t second[KEYS];

static void
lose(const struct bbi_hrw_live *full, uint32_t gone)
{
    uint32_t moved = 0;
    live.count = 0;
    for (uint32_t i = 0; i < full->count; i++) {
        if (i != gone) {
            live.sites[live.count++] = full->sites[i];
        }
    }
    for (uint32_t k = 0; k < KEYS; k++) {
        uint32_t now = bbi_hrw_owner(&hrw, &live, &keys[k], sizeof(keys[k]));
        cr_assert_eq(now, first[k] == gone ? second[k] : first[k], "key %u without node %u", k,
                     gone);
        moved += first[k] == gone;
    }
    cr_assert_gt(moved, 0u);
}

/* Back at another place of the list, as a node that returns may be. */
static void
come_back(const struct bbi_hrw_live *full, uint32_t gone)
{
    live.sites[live.count++] = full->sites[gone];
    for (uint32_t k = 0; k < KEYS; k++) {
        cr_assert_eq(bbi_hrw_owner(&hrw, &live, &keys[k], sizeof(keys[k])), first[k], "key %u", k);
    }
}

static void
lose_some(size_t count, const uint32_t *weights)
{
    static struct bbi_hrw_live full;
    make_live(4, count, weights);
    full = live;
    for (uint32_t k = 0; k < KEYS; k++) {
        uint32_t order[2];
        cr_assert_eq(bbi_hrw_order(&hrw, &live, &keys[k], sizeof(keys[k]), order, 2), 2u);
        cr_assert_eq(order[0], bbi_hrw_owner(&hrw, &live, &keys[k], sizeof(keys[k])));
        first[k] = order[0];
        second[k] = order[1];
    }
    lose(&full, 0);
    come_back(&full, 0);
    lose(&full, (uint32_t)count - 1);
    come_back(&full, (uint32_t)count - 1);
}

Test(hrw_shares, a_loss_moves_the_lost_nodes_keys_and_a_return_brings_them_back)
{
    static const size_t counts[] = {2, 3, 4, 7, 16, 33, 64};
    make_keys();
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        lose_some(counts[i], NULL);
    }
}

Test(hrw_shares, so_it_is_with_weights)
{
    static const uint32_t weights[] = {16, 32, 8, 24, 16};
    make_keys();
    lose_some(5, weights);
}

/* Only the heavier node gains, and from all others. */
Test(hrw_shares, more_weight_only_draws_keys)
{
    static const uint32_t before[] = {16, 16, 16, 16};
    static const uint32_t after[] = {16, 16, 20, 16};
    uint32_t came[4] = {0};
    make_keys();
    make_live(5, 4, before);
    for (uint32_t k = 0; k < KEYS; k++) {
        first[k] = bbi_hrw_owner(&hrw, &live, &keys[k], sizeof(keys[k]));
    }
    make_live(5, 4, after);
    for (uint32_t k = 0; k < KEYS; k++) {
        uint32_t now = bbi_hrw_owner(&hrw, &live, &keys[k], sizeof(keys[k]));
        if (now != first[k]) {
            cr_assert_eq(now, 2u, "key %u went from %u to %u", k, first[k], now);
            came[first[k]]++;
        }
    }
    cr_assert(came[0] > 0 && came[1] > 0 && came[2] == 0 && came[3] > 0);
}
