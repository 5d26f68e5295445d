/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/payload.h - what every message of every driver carries: a number, a time, and words that depend on it.
 *
 * Used by    all drivers, in C and C++, inlined into their loops, so that all pay the same for writing and reading.
 * Shape      a multiple of 8 bytes, at least 16:  word 0 = publisher << 56 | number, from 0
 *                                                 word 1 = the time it was meant to be sent, ns; 0: none
 *                                                 word i = word 0 + i
 * Proof      the reader adds up all words and compares with the sum that the number implies, so every byte is
 *            written and read, and a torn message shows; numbers show loss and disorder.
 */
#ifndef BUSBAR_BENCH_PAYLOAD_H
#define BUSBAR_BENCH_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

enum {
    BENCH_PUBLISHERS = 128, /* at most, in one case */
    BENCH_SUBSCRIBERS = 128,
    BENCH_MIN_SIZE = 16,
    BENCH_NUMBER_BITS = 56,
};

#define BENCH_NUMBER_MASK ((UINT64_C(1) << BENCH_NUMBER_BITS) - 1)

/* What one publisher sends next. */
struct bench_source {
    uint64_t word;    /* word 0 of the next message; the driver's loop adds one after each */
    int64_t intended; /* word 1 */
    size_t size;      /* bytes of each message */
};

/* What one subscriber has seen. */
struct bench_sink {
    uint64_t next[BENCH_PUBLISHERS]; /* number expected next, by publisher */
    uint64_t messages, bytes;
    uint64_t lost;      /* numbers that were skipped */
    uint64_t disorder;  /* numbers that came again or too late */
    uint64_t torn;      /* messages whose words do not fit their number */
    uint64_t last_word; /* word 0 of the last message */
    int64_t intended;   /* word 1 of the last message */
    /* If not NULL it sees every message, after it was checked. */
    void (*note)(struct bench_sink *sink, void *user);
    void *user;
};

static inline void
bench_fill(struct bench_source *src, void *dst)
{
    uint64_t *w = (uint64_t *)dst;
    size_t words = src->size / sizeof(uint64_t);
    uint64_t word = src->word++;
    w[0] = word;
    w[1] = (uint64_t)src->intended;
    for (size_t i = 2; i < words; i++) {
        w[i] = word + i;
    }
}

#ifdef __cplusplus
extern "C" {
#endif
void bench_mishap(struct bench_sink *sink, uint64_t word, uint64_t expected); /* out of the way */
#ifdef __cplusplus
}
#endif

static inline void
bench_take(struct bench_sink *sink, const void *msg, size_t bytes)
{
    const uint64_t *w = (const uint64_t *)msg;
    uint64_t words = bytes / sizeof(uint64_t);
    uint64_t word = w[0], sum = 0;
    for (size_t i = 2; i < words; i++) {
        sum += w[i];
    }
    /* (words - 2) times word 0, and 2 + 3 + ... + (words - 1) */
    uint64_t expected = (words - 2) * word + (words - 2) * (words + 1) / 2;
    uint64_t *next = &sink->next[(word >> BENCH_NUMBER_BITS) % BENCH_PUBLISHERS];
    if (__builtin_expect(sum != expected || (word & BENCH_NUMBER_MASK) != *next, 0)) {
        if (sum != expected) {
            sink->torn++;
        } else {
            bench_mishap(sink, word, *next);
        }
    }
    *next = (word & BENCH_NUMBER_MASK) + 1;
    sink->messages++;
    sink->bytes += bytes;
    sink->last_word = word;
    sink->intended = (int64_t)w[1];
    if (__builtin_expect(sink->note != NULL, 0)) {
        sink->note(sink, sink->user);
    }
}

#endif
