/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    bbi_clock_ns() is CLOCK_MONOTONIC within a microsecond, by the counter and without it.
 * Method  Each reading is put between two of the kernel's: a thread that is put aside widens that gap only.
 */
#include "shm/clock.h"
#include "shm/os.h"
#include <criterion/criterion.h>

enum { READINGS = 200000, APART_NS = 1000 };

static void
check_against_kernel(struct bbi_clock *clock)
{
    for (int i = 0; i < READINGS; i++) {
        int64_t before = bbi_os_mono_ns();
        int64_t ns = bbi_clock_ns(clock);
        int64_t after = bbi_os_mono_ns();
        cr_assert(ns >= before - APART_NS && ns <= after + APART_NS, "%lld is not in %lld..%lld",
                  (long long)ns, (long long)before, (long long)after);
    }
}

Test(clock, is_the_kernels_within_a_microsecond, .timeout = 20)
{
    struct bbi_clock clock;
    bbi_clock_init(&clock, false);
    check_against_kernel(&clock);
    cr_assert(!clock.has_counter || clock.scale != 0, "it learnt how fast the counter runs");
    bbi_os_sleep_ns(20000000); /* far beyond what is trusted */
    check_against_kernel(&clock);
}

Test(clock, a_counter_that_jumps_is_noticed, .timeout = 20)
{
    struct bbi_clock clock;
    bbi_clock_init(&clock, false);
    check_against_kernel(&clock);
    clock.ticks += UINT64_C(1) << 40; /* as if we had moved to a machine that is younger */
    check_against_kernel(&clock);
    clock.ticks -= UINT64_C(1) << 50;
    check_against_kernel(&clock);
}

Test(clock, without_a_counter_the_kernel_is_asked, .timeout = 20)
{
    struct bbi_clock clock = {0};
    check_against_kernel(&clock);
}

Test(clock, a_coarse_one_is_a_tick_behind_at_most, .timeout = 20)
{
    struct bbi_clock clock;
    bbi_clock_init(&clock, true);
    for (int i = 0; i < READINGS; i++) {
        int64_t before = bbi_os_coarse_ns();
        int64_t ns = bbi_clock_ns(&clock);
        cr_assert(ns >= before && ns <= bbi_os_coarse_ns());
    }
}
