/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/histogram.c - buckets: 0..63 one each; then 32 for each power of two, from 2^6 up to 2^62.
 */
#include "tools/cli/histogram.h"

static unsigned
bucket_of(uint64_t v)
{
    if (v < 64) {
        return (unsigned)v;
    }
    unsigned power = 63U - (unsigned)__builtin_clzll(v);
    return 64U + (power - 6U) * 32U + (unsigned)(v >> (power - 5U) & 31U);
}

/* bucket_end - the largest value of a bucket. */
static int64_t
bucket_end(unsigned bucket)
{
    if (bucket < 64) {
        return (int64_t)bucket;
    }
    unsigned power = (bucket - 64U) / 32U + 6U;
    uint64_t step = UINT64_C(1) << (power - 5U);
    return (int64_t)((UINT64_C(1) << power) + step * ((bucket - 64U) % 32U + 1U) - 1U);
}

void
cli_histogram_add(struct cli_histogram *h, int64_t v)
{
    v = v < 0 ? 0 : v;
    h->min = h->total == 0 || v < h->min ? v : h->min;
    h->max = h->total == 0 || v > h->max ? v : h->max;
    h->total++;
    h->counts[bucket_of((uint64_t)v)]++;
}

int64_t
cli_histogram_at(const struct cli_histogram *h, double share)
{
    double wanted = share * (double)h->total;
    uint64_t seen = 0;
    for (unsigned i = 0; i < CLI_HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (h->counts[i] > 0 && (double)seen >= wanted) {
            int64_t end = bucket_end(i);
            return end < h->max ? end : h->max;
        }
    }
    return h->max;
}
