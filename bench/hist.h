/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/hist.h - percentiles of nanoseconds in 59 KiB: exact below 128, then within 1/128.
 *
 * Plain memory without pointers, so that it can lie in a mapping that processes share.
 */
#ifndef BUSBAR_BENCH_HIST_H
#define BUSBAR_BENCH_HIST_H

#include <stdint.h>
#include <stdio.h>

enum {
    BENCH_HIST_BITS = 7, /* buckets of each power of two: 2^7 */
    BENCH_HIST_STEPS = 1 << BENCH_HIST_BITS,
    BENCH_HIST_BUCKETS = BENCH_HIST_STEPS * (63 - BENCH_HIST_BITS + 1),
};

struct bench_hist { /* {0} is an empty one */
    uint64_t counts[BENCH_HIST_BUCKETS];
    uint64_t total;
    int64_t min, max; /* exact */
};

void bench_hist_clear(struct bench_hist *h);
void bench_hist_add(struct bench_hist *h, int64_t v); /* negative counts as 0 */

/*
 * bench_hist_add_expected - v, and what others would have waited meanwhile if one came every interval:
 * v - interval, v - 2 interval, ... (what HdrHistogram calls the correction for coordinated omission).
 */
void bench_hist_add_expected(struct bench_hist *h, int64_t v, int64_t interval);
void bench_hist_merge(struct bench_hist *into, const struct bench_hist *from);

/* bench_hist_at - the value below or at which this share (0..1) of all lies; 0 when empty. */
int64_t bench_hist_at(const struct bench_hist *h, double share);

/* bench_hist_write - HdrHistogram's percentile format, as its plotter reads it; values in ns. */
void bench_hist_write(const struct bench_hist *h, FILE *out);

#endif
