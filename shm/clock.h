/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/clock.h - CLOCK_MONOTONIC for those who ask often: the processor's counter between two looks at it.
 *
 * Used by    a publisher, for the times of its messages; one thread.
 * Cost       a read of the counter and a multiplication; the kernel's clock once a millisecond.
 * Accuracy   within a microsecond of CLOCK_MONOTONIC; may step back by less than that at a look.
 * Fallback   where the kernel itself does not keep time by that counter, every call asks the kernel.
 */
#ifndef BUSBAR_SHM_CLOCK_H
#define BUSBAR_SHM_CLOCK_H

#include "shm/base.h"

struct bbi_clock {
    uint64_t ticks; /* of the counter at the last look */
    int64_t ns;     /* of the kernel's clock then */
    uint64_t scale; /* nanoseconds in a tick, times 2^32 */
    uint64_t trust; /* ticks after a look for which scale may be used; 0: ask the kernel */
    bool has_counter;
    bool is_coarse; /* the kernel's last tick is good enough: 1 to 4 ms */
};

void bbi_clock_init(struct bbi_clock *clock, bool is_coarse);

/* bbi_clock_look - asks the kernel, and learns how fast the counter runs. */
int64_t bbi_clock_look(struct bbi_clock *clock);

static inline uint64_t
bbi_clock_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return 0;
#endif
}

/* bbi_clock_ns - CLOCK_MONOTONIC, now. */
static inline int64_t
bbi_clock_ns(struct bbi_clock *clock)
{
    uint64_t trust = clock->trust;
    uint64_t since = trust != 0 ? bbi_clock_ticks() - clock->ticks : 0;
    if (BBI_UNLIKELY(since >= trust)) {
        return bbi_clock_look(clock);
    }
    return clock->ns + (int64_t)(since * clock->scale >> 32);
}

#endif
