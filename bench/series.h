/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/series.h - one figure of each repetition: median, minimum, maximum.
 */
#ifndef BUSBAR_BENCH_SERIES_H
#define BUSBAR_BENCH_SERIES_H

enum { BENCH_REPEAT_MAX = 64 };

struct bench_series { /* {0} is an empty one */
    double v[BENCH_REPEAT_MAX];
    unsigned count;
};

/* A NaN keeps the place of a repetition that gave nothing; it counts nowhere. */
void bench_series_add(struct bench_series *s, double v);

/* All 0 when empty.  With an even count the median is the mean of the two in the middle. */
double bench_series_median(const struct bench_series *s);
double bench_series_min(const struct bench_series *s);
double bench_series_max(const struct bench_series *s);

/* bench_series_ratio - *out gets a[i] / b[i] for each i that both have. */
void bench_series_ratio(struct bench_series *out,
                        const struct bench_series *a,
                        const struct bench_series *b);

/*
 * bench_series_alike - *out gets, for each i, a[i] over the median of those b[j] that were measured in the same state:
 * their keys are at most `within` times apart, or both not known.  Where there are none, nothing.
 */
void bench_series_alike(struct bench_series *out,
                        const struct bench_series *a,
                        const struct bench_series *key_a,
                        const struct bench_series *b,
                        const struct bench_series *key_b,
                        double within);

#endif
