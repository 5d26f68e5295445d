/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/clock.h - the clock that all rates and latencies are taken with, and the pause of a spinning loop.
 */
#ifndef BUSBAR_BENCH_CLOCK_H
#define BUSBAR_BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t
bench_clock_ns(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int64_t
bench_now_ns(void)
{
    return bench_clock_ns(CLOCK_MONOTONIC);
}

/* bench_nap - sleeps so long at most; a signal ends it early. */
static inline void
bench_nap(int64_t ns)
{
    struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

static inline void
bench_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

#endif
