/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/clock.c - nanoseconds in 64 bits; sums saturate.
 */
#include "tools/cli/clock.h"

#include <time.h>

static int64_t
read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * CLI_SECOND_NS + t.tv_nsec;
}

int64_t
cli_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t
cli_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t
cli_deadline(int64_t wait_ns)
{
    int64_t at;
    if (wait_ns < 0 || __builtin_add_overflow(cli_mono_ns(), wait_ns, &at)) {
        return INT64_MAX;
    }
    return at;
}

int64_t
cli_left_ns(int64_t deadline_ns, int64_t limit_ns)
{
    int64_t left = deadline_ns == INT64_MAX ? limit_ns : deadline_ns - cli_mono_ns();
    if (left < 0) {
        return 0;
    }
    return left < limit_ns ? left : limit_ns;
}

void
cli_sleep_until(int64_t mono_ns)
{
    struct timespec t = {.tv_sec = mono_ns / CLI_SECOND_NS, .tv_nsec = mono_ns % CLI_SECOND_NS};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}
