/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/pace.h - messages at fixed moments, whether or not the bus keeps up.
 */
#ifndef BUSBAR_BENCH_PACE_H
#define BUSBAR_BENCH_PACE_H

#include "bench/clock.h"
#include "bench/stage.h"

struct bench_pace {
    int64_t next_ns; /* when the next message is meant to go */
    int64_t interval_ns;
};

static inline struct bench_pace
bench_pace_start(double rate)
{
    int64_t interval = rate > 0 ? (int64_t)(1e9 / rate) : 0;
    return (struct bench_pace){.next_ns = bench_now_ns(),
                               .interval_ns = interval > 0 ? interval : 1};
}

/*
 * bench_pace_wait - spins until it is time; returns now, or 0 when the phase ended meanwhile.  A moment that
 * has passed already is not skipped: its message is late, and says so.
 */
static inline int64_t
bench_pace_wait(const struct bench_pace *p, const struct bench_stage *st)
{
    for (;;) {
        int64_t now = bench_now_ns();
        if (now >= p->next_ns) {
            return now;
        }
        if (bench_phase(st) >= BENCH_DRAIN) {
            return 0;
        }
        bench_pause();
    }
}

#endif
