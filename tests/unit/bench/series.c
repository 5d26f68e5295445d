/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Medians, ends and paired ratios of a few figures.
 * Method  By hand.
 */
#include "bench/series.h"

#include <criterion/criterion.h>
#include <math.h>

/* Whole numbers and halves, which a double holds exactly. */
static bool
is(double a, double b)
{
    return !(a < b) && !(a > b);
}

Test(bench_series, an_empty_one_is_zero)
{
    struct bench_series s = {0};
    cr_assert(is(bench_series_median(&s), 0));
    cr_assert(is(bench_series_min(&s), 0));
    cr_assert(is(bench_series_max(&s), 0));
}

Test(bench_series, odd_and_even)
{
    struct bench_series s = {0};
    bench_series_add(&s, 9);
    cr_assert(is(bench_series_median(&s), 9));
    bench_series_add(&s, 1);
    cr_assert(is(bench_series_median(&s), 5));
    bench_series_add(&s, 2);
    cr_assert(is(bench_series_median(&s), 2));
    bench_series_add(&s, 3);
    cr_assert(is(bench_series_median(&s), 2.5));
    cr_assert(is(bench_series_min(&s), 1));
    cr_assert(is(bench_series_max(&s), 9));
    cr_assert(is(s.v[0], 9), "the order stays");
}

Test(bench_series, too_many_are_left_out)
{
    struct bench_series s = {0};
    for (unsigned i = 0; i < BENCH_REPEAT_MAX + 10; i++) {
        bench_series_add(&s, i);
    }
    cr_assert_eq(s.count, BENCH_REPEAT_MAX);
    cr_assert(is(bench_series_max(&s), BENCH_REPEAT_MAX - 1));
}

Test(bench_series, a_missing_one_keeps_its_place)
{
    struct bench_series a = {0}, b = {0}, r = {0};
    bench_series_add(&a, (double)NAN);
    bench_series_add(&a, 4);
    bench_series_add(&a, 6);
    bench_series_add(&b, 1);
    bench_series_add(&b, 2);
    bench_series_add(&b, (double)NAN);
    cr_assert(is(bench_series_median(&a), 5));
    cr_assert(is(bench_series_min(&a), 4));
    cr_assert(is(bench_series_max(&b), 2));
    bench_series_ratio(&r, &a, &b);
    cr_assert_eq(r.count, 1);
    cr_assert(is(r.v[0], 2));
}

Test(bench_series, ratios_are_paired)
{
    struct bench_series a = {0}, b = {0}, r = {.count = 5};
    bench_series_add(&a, 10);
    bench_series_add(&a, 30);
    bench_series_add(&a, 7);
    bench_series_add(&b, 5);
    bench_series_add(&b, 10);
    bench_series_ratio(&r, &a, &b);
    cr_assert_eq(r.count, 2);
    cr_assert(is(r.v[0], 2));
    cr_assert(is(r.v[1], 3));
    b.v[0] = 0;
    bench_series_ratio(&r, &a, &b);
    cr_assert_eq(r.count, 1, "nothing is divided by zero");
}

Test(bench_series, what_was_measured_in_one_state_is_compared)
{
    static const double rates[] = {10, 40, 44, 11}, ways[] = {500, 100, 120, (double)NAN};
    static const double others[] = {100, 20, 24, 55}, their_ways[] = {110, 490, 520, (double)NAN};
    struct bench_series a = {0}, b = {0}, way_a = {0}, way_b = {0}, r = {.count = 5};
    for (int i = 0; i < 4; i++) {
        bench_series_add(&a, rates[i]);
        bench_series_add(&way_a, ways[i]);
        bench_series_add(&b, others[i]);
        bench_series_add(&way_b, their_ways[i]);
    }
    bench_series_alike(&r, &a, &way_a, &b, &way_b, 1.5);
    cr_assert_eq(r.count, 4);
    cr_assert(is(r.v[0], 10.0 / 22), "far: of 20 and 24");
    cr_assert(is(r.v[1], 0.4) && is(r.v[2], 0.44), "near: of 100");
    cr_assert(is(r.v[3], 0.2), "not known: of 55");
    way_b.v[0] = 300;
    bench_series_alike(&r, &a, &way_a, &b, &way_b, 1.5);
    cr_assert_eq(r.count, 2, "near: of none");
}
