/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/load.h - how much of the machine others used, from one moment to the next.
 */
#ifndef BUSBAR_BENCH_LOAD_H
#define BUSBAR_BENCH_LOAD_H

#include <stdint.h>

struct bench_load {
    int64_t when_ns;
    int64_t busy_ns; /* of all cores: all but idle and waiting for disks */
    int64_t ours_ns; /* of this process and its children that have ended */
    unsigned cores;
};

/* Share of all cores above which a repetition counts as disturbed. */
#define BENCH_DISTURBED 0.05

void bench_load_now(struct bench_load *l);

/* bench_load_of_others - their share (0..1) of all cores between the two; 0 if it cannot be known. */
double bench_load_of_others(const struct bench_load *from, const struct bench_load *to);

/* The arithmetic alone. */
double bench_load_share(int64_t busy_ns, int64_t ours_ns, int64_t wall_ns, unsigned cores);

#endif
