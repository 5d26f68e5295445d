/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Percentiles are within 1/32 of the truth, for any nanoseconds.
 * Method  Known series, and the ends of the range.
 */
#include "tools/cli/histogram.h"

#include <criterion/criterion.h>

static struct cli_histogram h;

Test(cli_histogram, small_values_are_exact)
{
    for (int64_t v = 1; v <= 50; v++) {
        cli_histogram_add(&h, v);
    }
    cr_assert_eq(cli_histogram_at(&h, 0.5), 25);
    cr_assert_eq(cli_histogram_at(&h, 0.9), 45);
    cr_assert_eq(cli_histogram_at(&h, 1.0), 50);
    cr_assert_eq(h.min, 1);
    cr_assert_eq(h.max, 50);
}

Test(cli_histogram, large_values_are_near)
{
    for (int64_t v = 1; v <= 100000; v++) {
        cli_histogram_add(&h, v * 1000);
    }
    static const double shares[] = {0.5, 0.9, 0.99, 0.999};
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        double truth = shares[i] * 1e8;
        double seen = (double)cli_histogram_at(&h, shares[i]);
        cr_assert(seen >= truth && seen <= truth * (1 + 1.0 / 32), "%f: %f", truth, seen);
    }
}

Test(cli_histogram, the_ends)
{
    cr_assert_eq(cli_histogram_at(&h, 0.5), 0);
    cli_histogram_add(&h, -5);
    cli_histogram_add(&h, INT64_MAX);
    cr_assert_eq(h.min, 0);
    cr_assert_eq(cli_histogram_at(&h, 0.5), 0);
    cr_assert_eq(cli_histogram_at(&h, 1.0), INT64_MAX);
}
