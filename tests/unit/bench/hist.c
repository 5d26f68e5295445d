/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Percentiles are within 1/128 of the truth, for any nanoseconds, also after merging.
 * Method  Known series, the ends of the range, and the written form read back.
 */
#include "bench/hist.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct bench_hist h;

Test(bench_hist, small_values_are_exact)
{
    for (int64_t v = 1; v <= 100; v++) {
        bench_hist_add(&h, v);
    }
    cr_assert_eq(bench_hist_at(&h, 0.5), 50);
    cr_assert_eq(bench_hist_at(&h, 0.99), 99);
    cr_assert_eq(bench_hist_at(&h, 1.0), 100);
    cr_assert_eq(h.min, 1);
    cr_assert_eq(h.max, 100);
}

Test(bench_hist, large_values_are_near)
{
    static const double shares[] = {0.001, 0.5, 0.9, 0.99, 0.999};
    for (int64_t v = 1; v <= 100000; v++) {
        bench_hist_add(&h, v * 1000);
    }
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        double truth = shares[i] * 1e8;
        double seen = (double)bench_hist_at(&h, shares[i]);
        cr_assert(seen >= truth && seen <= truth * (1 + 1.0 / 128), "%f: %f", truth, seen);
    }
}

Test(bench_hist, every_power_of_two_has_its_bucket)
{
    for (int power = 0; power < 63; power++) {
        int64_t v = INT64_C(1) << power;
        bench_hist_clear(&h);
        bench_hist_add(&h, v - 1);
        bench_hist_add(&h, v);
        bench_hist_add(&h, INT64_MAX);
        int64_t low = bench_hist_at(&h, 0.3), mid = bench_hist_at(&h, 0.6);
        cr_assert(low >= v - 1 && low <= v - 1 + (v >> 7), "2^%d - 1", power);
        cr_assert(mid >= v && mid <= v + (v >> 7), "2^%d", power);
        cr_assert_eq(bench_hist_at(&h, 1.0), INT64_MAX);
    }
}

Test(bench_hist, the_ends)
{
    cr_assert_eq(bench_hist_at(&h, 0.5), 0);
    bench_hist_add(&h, -5);
    bench_hist_add(&h, INT64_MAX);
    cr_assert_eq(h.min, 0);
    cr_assert_eq(bench_hist_at(&h, 0.5), 0);
}

Test(bench_hist, merging_is_adding)
{
    static struct bench_hist a, b;
    for (int64_t v = 0; v < 5000; v++) {
        bench_hist_add(v % 3 == 0 ? &a : &b, v * v);
        bench_hist_add(&h, v * v);
    }
    bench_hist_merge(&a, &b);
    cr_assert_eq(memcmp(&a, &h, sizeof(h)), 0);
    bench_hist_clear(&b);
    bench_hist_merge(&a, &b);
    cr_assert_eq(memcmp(&a, &h, sizeof(h)), 0, "an empty one changes nothing");
}

Test(bench_hist, a_stall_counts_for_those_that_it_held_up)
{
    bench_hist_add_expected(&h, 50, 100);
    cr_assert_eq(h.total, 1);
    bench_hist_add_expected(&h, 1000, 100); /* and 900, 800, ... 100 */
    cr_assert_eq(h.total, 11);
    cr_assert_eq(h.min, 50);
    cr_assert_eq(h.max, 1000);
    bench_hist_add_expected(&h, 1000, 0);
    cr_assert_eq(h.total, 12);
}

Test(bench_hist, the_written_form)
{
    char *text = NULL;
    size_t bytes = 0;
    for (int64_t v = 1; v <= 1000; v++) {
        bench_hist_add(&h, v);
    }
    FILE *f = open_memstream(&text, &bytes);
    cr_assert_not_null(f);
    bench_hist_write(&h, f);
    cr_assert_eq(fclose(f), 0);

    double last_value = -1, last_share = -1;
    unsigned long long last_count = 0;
    for (char *line = strchr(text, '\n'); line != NULL; line = strchr(line + 1, '\n')) {
        double value, share;
        unsigned long long count;
        if (sscanf(line, "%lf %lf %llu", &value, &share, &count) == 3) {
            cr_assert(value >= last_value && share >= last_share && count >= last_count);
            last_value = value;
            last_share = share;
            last_count = count;
        }
    }
    cr_assert_eq(last_count, 1000);
    cr_assert(last_share > 0.999 && last_value > 999 && last_value < 1001);
    cr_assert_not_null(strstr(text, "#[Mean    =      500."), "%s", text);
    cr_assert_not_null(strstr(text, "Total count    =         1000]"));
    free(text);
}

Test(bench_hist, an_empty_one_can_be_written)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *f = open_memstream(&text, &bytes);
    bench_hist_write(&h, f);
    cr_assert_eq(fclose(f), 0);
    cr_assert_not_null(strstr(text, "Total count    =            0]"));
    free(text);
}
