/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/fuzz/fuzz.h - what the fuzzers share: the entry, a check that ends the run, and input taken in pieces.
 *
 * A fuzzer is one function.  libFuzzer calls it with inputs of its own (preset fuzz), support/fuzz_replay.c with
 * the files of tests/fuzz/corpus/NAME (every other preset).  It aborts when something is wrong.
 */
#ifndef BUSBAR_TESTS_FUZZ_FUZZ_H
#define BUSBAR_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Input that is used up from its start; when it has ended there are only zeros. */
struct fuzz_in {
    const uint8_t *p;
    size_t left;
};

static inline uint8_t
fuzz_u8(struct fuzz_in *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->p++;
}

static inline uint32_t
fuzz_u16(struct fuzz_in *in)
{
    uint32_t low = fuzz_u8(in);
    return low | (uint32_t)fuzz_u8(in) << 8;
}

/* At most want bytes, which stay part of the input. */
static inline const uint8_t *
fuzz_bytes(struct fuzz_in *in, size_t want, size_t *got)
{
    const uint8_t *p = in->p;
    *got = want < in->left ? want : in->left;
    in->p += *got;
    in->left -= *got;
    return p;
}

/* A copy in memory of exactly that size, so that a sanitizer sees a step beyond; for free(). */
static inline unsigned char *
fuzz_copy(const void *p, size_t bytes)
{
    unsigned char *copy = malloc(bytes > 0 ? bytes : 1);
    if (copy == NULL) {
        abort();
    }
    if (bytes > 0) {
        memcpy(copy, p, bytes);
    }
    return copy;
}

/* Uses every byte, so that a sanitizer looks at it. */
static inline void
fuzz_touch(const void *p, size_t bytes)
{
    const unsigned char *at = p;
    unsigned char sum = 0;
    for (size_t i = 0; i < bytes; i++) {
        sum = (unsigned char)(sum + at[i]);
    }
    __asm__ volatile("" : : "r"(sum));
}

#endif
