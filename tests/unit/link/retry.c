/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: delays are drawn from all of nothing to a bound, which doubles from the least to the largest; what begins anew
 * begins at the least; what a retry soon cannot change waits the longest at once.
 * Method: many draws of many seeds; the bound of each is known, so the largest of many draws lies just below it.
 */
#include "lib/link/retry.h"
#include <criterion/criterion.h>

enum { SEEDS = 400 };
#define MIN_NS INT64_C(100000000)
#define MAX_NS INT64_C(30000000000)

TestSuite(retry, .timeout = 20);

/* The delays number `at`, counted from 0, of many seeds: within the bound, and spread over it. */
static void
expect_spread(int at, int64_t bound_ns)
{
    int64_t most_ns = 0;
    int64_t sum_ns = 0;
    int below_half = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct bbi_retry r;
        bbi_retry_init(&r, MIN_NS, MAX_NS, seed * UINT64_C(0x9e3779b97f4a7c15));
        for (int i = 0; i < at; i++) {
            (void)bbi_retry_next(&r);
        }
        int64_t ns = bbi_retry_next(&r);
        cr_assert_geq(ns, 0);
        cr_assert_leq(ns, bound_ns, "delay %d is %ld", at, (long)ns);
        most_ns = ns > most_ns ? ns : most_ns;
        sum_ns += ns / SEEDS;
        below_half += ns < bound_ns / 2;
    }
    cr_assert_gt(most_ns, bound_ns / 10 * 9, "delay %d: at most %ld of %ld", at, (long)most_ns,
                 (long)bound_ns);
    cr_assert_gt(below_half, SEEDS / 3, "delay %d is no full jitter", at);
    cr_assert_gt(sum_ns, bound_ns / 3);
}

Test(retry, bound_doubles_up_to_the_largest)
{
    int64_t bound_ns = MIN_NS;
    for (int at = 0; at < 12; at++) {
        expect_spread(at, bound_ns);
        bound_ns = bound_ns * 2 > MAX_NS ? MAX_NS : bound_ns * 2;
    }
}

Test(retry, anew_from_the_least)
{
    struct bbi_retry r;
    bbi_retry_init(&r, MIN_NS, MAX_NS, 7);
    for (int i = 0; i < 20; i++) {
        (void)bbi_retry_next(&r);
    }
    for (int i = 0; i < 50; i++) {
        bbi_retry_reset(&r);
        cr_assert_leq(bbi_retry_next(&r), MIN_NS);
    }
}

Test(retry, the_longest_at_once)
{
    struct bbi_retry r;
    bbi_retry_init(&r, MIN_NS, MAX_NS,
                   0); /* 0 is no state of the generator: it must not stand still */
    cr_assert_eq(bbi_retry_long(&r), MAX_NS);
    int64_t most_ns = 0;
    for (int i = 0; i < 100; i++) {
        int64_t ns = bbi_retry_next(&r);
        most_ns = ns > most_ns ? ns : most_ns;
    }
    cr_assert_gt(most_ns, MAX_NS / 2, "what follows is drawn from all of it");
}
