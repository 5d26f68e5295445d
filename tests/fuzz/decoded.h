/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/fuzz/decoded.h - what holds for every decoder: it measures what it writes, what it writes is canonical,
 * and what it refuses has a sentence.
 *
 * Used by    binary, json, text.
 */
#ifndef BUSBAR_TESTS_FUZZ_DECODED_H
#define BUSBAR_TESTS_FUZZ_DECODED_H

#include "tests/fuzz/fuzz.h"

#include <busbar/codec.h>
#include <stdbool.h>

enum { DECODED_BYTES = 1 << 20 };

typedef void (*fuzz_put)(struct bb_builder *b,
                         const void *data,
                         size_t bytes,
                         struct bb_codec_error *error);

/* The decoded value, for free(v->p); false when it was refused. */
static inline bool
fuzz_decode(fuzz_put put, const void *data, size_t bytes, struct bb_value *v)
{
    struct bb_builder b;
    struct bb_codec_error error = {0};
    struct bb_codec_error measured_error = {0};
    bb_build_init(&b, NULL, 0);
    put(&b, data, bytes, &measured_error);
    size_t measured = b.need_bytes;
    int measured_err = b.err;
    FUZZ_CHECK(measured_err == BB_EMSGSIZE || measured_err == BB_EINVAL);
    if (measured_err == BB_EMSGSIZE && measured > DECODED_BYTES) {
        return false;
    }
    /* Exactly what was measured, so that a sanitizer sees a step beyond. */
    size_t cap = measured < DECODED_BYTES ? measured : DECODED_BYTES;
    unsigned char *native = malloc(cap + 1);
    FUZZ_CHECK(native != NULL);
    bb_build_init(&b, native, cap);
    put(&b, data, bytes, &error);
    if (b.err != 0) {
        FUZZ_CHECK(b.err == BB_EINVAL); /* a duplicate, if it was not refused before */
        FUZZ_CHECK(error.sentence[0] != '\0' && error.offset <= bytes);
        FUZZ_CHECK(memchr(error.sentence, '\0', sizeof(error.sentence)) != NULL);
        free(native);
        return false;
    }
    FUZZ_CHECK(measured_err == BB_EMSGSIZE && measured == b.need_bytes);
    FUZZ_CHECK(bb_build_end(&b) == (int64_t)measured && measured > 0);
    FUZZ_CHECK(error.sentence[0] == '\0');
    *v = (struct bb_value){native, b.need_bytes};
    FUZZ_CHECK(bb_value_check(v) == 0);
    return true;
}

static inline void
fuzz_decoded_free(const struct bb_value *v)
{
    free((void *)(uintptr_t)v->p);
}

/* What decodes again must be the same value. */
static inline void
fuzz_expect_same(fuzz_put put, const void *data, size_t bytes, const struct bb_value *wanted)
{
    struct bb_value v;
    FUZZ_CHECK(fuzz_decode(put, data, bytes, &v));
    FUZZ_CHECK(v.bytes == wanted->bytes && memcmp(v.p, wanted->p, v.bytes) == 0);
    fuzz_decoded_free(&v);
}

#endif
