/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/hist.c - buckets: 0..127 one each; then 128 for each power of two, from 2^7 up to 2^62.
 */
#include "bench/hist.h"

#include <math.h>
#include <string.h>

static unsigned
bucket_of(uint64_t v)
{
    if (v < BENCH_HIST_STEPS) {
        return (unsigned)v;
    }
    unsigned power = 63U - (unsigned)__builtin_clzll(v);
    unsigned row = power - BENCH_HIST_BITS + 1U;
    unsigned step = (unsigned)(v >> (power - BENCH_HIST_BITS)) & (BENCH_HIST_STEPS - 1U);
    return row * BENCH_HIST_STEPS + step;
}

/* The first and the last value of a bucket. */
static uint64_t
bucket_start(unsigned bucket)
{
    unsigned row = bucket / BENCH_HIST_STEPS, step = bucket % BENCH_HIST_STEPS;
    return row == 0 ? step : (uint64_t)(BENCH_HIST_STEPS + step) << (row - 1U);
}

static int64_t
bucket_end(unsigned bucket)
{
    return (int64_t)(bucket_start(bucket + 1U) - 1U);
}

void
bench_hist_clear(struct bench_hist *h)
{
    memset(h, 0, sizeof(*h));
}

void
bench_hist_add(struct bench_hist *h, int64_t v)
{
    v = v < 0 ? 0 : v;
    h->min = h->total == 0 || v < h->min ? v : h->min;
    h->max = h->total == 0 || v > h->max ? v : h->max;
    h->total++;
    h->counts[bucket_of((uint64_t)v)]++;
}

void
bench_hist_add_expected(struct bench_hist *h, int64_t v, int64_t interval)
{
    bench_hist_add(h, v);
    for (int64_t missed = v - interval; interval > 0 && missed >= interval; missed -= interval) {
        bench_hist_add(h, missed);
    }
}

void
bench_hist_merge(struct bench_hist *into, const struct bench_hist *from)
{
    if (from->total == 0) {
        return;
    }
    into->min = into->total == 0 || from->min < into->min ? from->min : into->min;
    into->max = into->total == 0 || from->max > into->max ? from->max : into->max;
    into->total += from->total;
    for (unsigned i = 0; i < BENCH_HIST_BUCKETS; i++) {
        into->counts[i] += from->counts[i];
    }
}

/* *seen becomes how many values lie at or below the answer. */
static int64_t
value_at(const struct bench_hist *h, double share, uint64_t *seen)
{
    double wanted = share * (double)h->total;
    *seen = 0;
    for (unsigned i = 0; i < BENCH_HIST_BUCKETS; i++) {
        *seen += h->counts[i];
        if (h->counts[i] > 0 && (double)*seen >= wanted) {
            int64_t end = bucket_end(i);
            return end < h->max ? end : h->max;
        }
    }
    return h->max;
}

int64_t
bench_hist_at(const struct bench_hist *h, double share)
{
    uint64_t seen;
    return value_at(h, share, &seen);
}

static void
write_totals(const struct bench_hist *h, FILE *out)
{
    double sum = 0, squares = 0;
    double total = h->total > 0 ? (double)h->total : 1;
    for (unsigned i = 0; i < BENCH_HIST_BUCKETS; i++) {
        double mid = ((double)bucket_start(i) + (double)bucket_end(i)) / 2;
        sum += mid * (double)h->counts[i];
        squares += mid * mid * (double)h->counts[i];
    }
    double mean = sum / total;
    (void)fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean,
                  sqrt(fmax(squares / total - mean * mean, 0)));
    (void)fprintf(out, "#[Max     = %12.3f, Total count    = %12llu]\n", (double)h->max,
                  (unsigned long long)h->total);
    (void)fprintf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n", 63 - BENCH_HIST_BITS + 1,
                  BENCH_HIST_STEPS);
}

void
bench_hist_write(const struct bench_hist *h, FILE *out)
{
    (void)fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
                  "1/(1-Percentile)");
    /* Five steps for each half of what is left to 1, as the original does. */
    double share = 0;
    for (int half = 0; h->total > 0 && half < 50; half++) {
        double step = ldexp(1.0, -half) / 10;
        for (int i = 0; i < 5; i++, share += step) {
            uint64_t seen;
            int64_t v = value_at(h, share, &seen);
            if (seen >= h->total) {
                half = 50;
                break;
            }
            (void)fprintf(out, "%12.3f %2.12f %10llu %14.2f\n", (double)v, share,
                          (unsigned long long)seen, 1 / (1 - share));
        }
    }
    if (h->total > 0) {
        (void)fprintf(out, "%12.3f %2.12f %10llu\n", (double)h->max, 1.0,
                      (unsigned long long)h->total);
    }
    write_totals(h, out);
}
