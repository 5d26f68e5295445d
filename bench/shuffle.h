/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/shuffle.h - disorder that is the same in every run: topics in no order that a prefetcher foresees.
 *
 * Source     Marsaglia's xorshift64; the shuffle of Fisher and Yates.
 */
#ifndef BUSBAR_BENCH_SHUFFLE_H
#define BUSBAR_BENCH_SHUFFLE_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_RANDOM_SEED UINT64_C(0x9e3779b97f4a7c15)

/* bench_random - the next of a sequence; *x is its state, not 0. */
static inline uint64_t
bench_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* bench_shuffle - count items of item_bytes each. */
static inline void
bench_shuffle(void *items, size_t count, size_t item_bytes)
{
    unsigned char *bytes = (unsigned char *)items;
    uint64_t x = BENCH_RANDOM_SEED;
    for (size_t i = count; i > 1; i--) {
        unsigned char *a = bytes + (i - 1) * item_bytes;
        unsigned char *b = bytes + (size_t)(bench_random(&x) % i) * item_bytes;
        for (size_t k = 0; k < item_bytes; k++) {
            unsigned char t = a[k];
            a[k] = b[k];
            b[k] = t;
        }
    }
}

#endif
