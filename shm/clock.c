/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/clock.c - how fast the counter runs is measured between two looks that are a millisecond apart or more.
 *
 * A look is believed only when the counter was read twice around it at nearly the same moment: a thread that
 * was put aside in between would measure nonsense.  Whatever the counter does (another processor, a machine
 * that moved), it is trusted for no more than a millisecond of its own.
 */
#include "shm/clock.h"
#include "shm/os.h"

enum {
    BASE_NS = 1000000,   /* scale is measured over at least this, and then good for as long */
    APART_TICKS = 10000, /* more between the two reads: we did not run in between */
};

void
bbi_clock_init(struct bbi_clock *clock, bool is_coarse)
{
    *clock = (struct bbi_clock){
        .is_coarse = is_coarse,
        .has_counter = !is_coarse && bbi_os_clock_is_counter(),
    };
}

int64_t
bbi_clock_look(struct bbi_clock *clock)
{
    if (!clock->has_counter) {
        return clock->is_coarse ? bbi_os_coarse_ns() : bbi_os_mono_ns();
    }
    uint64_t before = bbi_clock_ticks();
    int64_t ns = bbi_os_mono_ns();
    uint64_t ticks = bbi_clock_ticks();
    clock->trust = 0;
    if (ticks - before > APART_TICKS) {
        clock->ns = 0;
        return ns;
    }
    int64_t since_ns = ns - clock->ns;
    if (clock->ns != 0 && since_ns < BASE_NS) {
        return ns; /* too near to measure by */
    }
    double per_tick = (double)since_ns / (double)(ticks - clock->ticks);
    if (clock->ns != 0 && per_tick > 0.01 && per_tick < 100) {
        clock->scale = (uint64_t)(per_tick * 4294967296.0);
        clock->trust = (uint64_t)(BASE_NS / per_tick);
    }
    clock->ns = ns;
    clock->ticks = ticks;
    return ns;
}
