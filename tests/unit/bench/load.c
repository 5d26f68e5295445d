/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    The share of the cores that others used.
 * Method  The arithmetic by hand, and our own work seen as ours.
 */
#include "bench/load.h"

#include "bench/clock.h"
#include <criterion/criterion.h>

Test(bench_load, share)
{
    /* Two cores for a second; 1.5 s busy, 1 s of it ours: a quarter was others'. */
    double share = bench_load_share(1500000000, 1000000000, 1000000000, 2);
    cr_assert(share > 0.249 && share < 0.251);
    cr_assert(!(bench_load_share(5, 10, 100, 2) > 0), "ticks are coarse: never negative");
    cr_assert(!(bench_load_share(5, 1, 0, 2) > 0));
}

Test(bench_load, our_own_work_is_ours)
{
    struct bench_load from, to;
    bench_load_now(&from);
    for (int64_t until = bench_now_ns() + 50000000; bench_now_ns() < until;) {
    }
    bench_load_now(&to);
    cr_assert_gt(to.ours_ns, from.ours_ns);
    cr_assert_gt(to.when_ns, from.when_ns);
    cr_assert_geq(to.busy_ns, from.busy_ns);
    cr_assert_gt(to.cores, 0);
}
