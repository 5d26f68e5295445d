/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/series.c - kept in the order in which they came, so that two series can be paired.
 */
#include "bench/series.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void
bench_series_add(struct bench_series *s, double v)
{
    if (s->count < BENCH_REPEAT_MAX) {
        s->v[s->count++] = v;
    }
}

static int
by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* In order, without those that count nowhere. */
static struct bench_series
sort(const struct bench_series *s)
{
    struct bench_series sorted = {0};
    for (unsigned i = 0; i < s->count; i++) {
        if (!isnan(s->v[i])) {
            sorted.v[sorted.count++] = s->v[i];
        }
    }
    qsort(sorted.v, sorted.count, sizeof(sorted.v[0]), by_value);
    return sorted;
}

double
bench_series_median(const struct bench_series *s)
{
    struct bench_series sorted = sort(s);
    unsigned n = sorted.count;
    return n == 0 ? 0 : (sorted.v[(n - 1) / 2] + sorted.v[n / 2]) / 2;
}

double
bench_series_min(const struct bench_series *s)
{
    struct bench_series sorted = sort(s);
    return sorted.count == 0 ? 0 : sorted.v[0];
}

double
bench_series_max(const struct bench_series *s)
{
    struct bench_series sorted = sort(s);
    return sorted.count == 0 ? 0 : sorted.v[sorted.count - 1];
}

void
bench_series_ratio(struct bench_series *out,
                   const struct bench_series *a,
                   const struct bench_series *b)
{
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < a->count && i < b->count; i++) {
        if (b->v[i] > 0 && !isnan(a->v[i])) {
            bench_series_add(out, a->v[i] / b->v[i]);
        }
    }
}

static bool
are_alike(double a, double b, double within)
{
    return isnan(a) || isnan(b) ? isnan(a) && isnan(b) : a <= within * b && b <= within * a;
}

void
bench_series_alike(struct bench_series *out,
                   const struct bench_series *a,
                   const struct bench_series *key_a,
                   const struct bench_series *b,
                   const struct bench_series *key_b,
                   double within)
{
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < a->count && i < key_a->count; i++) {
        struct bench_series same = {0};
        for (unsigned j = 0; j < b->count && j < key_b->count; j++) {
            if (are_alike(key_a->v[i], key_b->v[j], within)) {
                bench_series_add(&same, b->v[j]);
            }
        }
        double of = bench_series_median(&same);
        if (of > 0 && !isnan(a->v[i])) {
            bench_series_add(out, a->v[i] / of);
        }
    }
}
