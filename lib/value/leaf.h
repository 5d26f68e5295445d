/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/value/leaf.h - values that are no containers, from their text.
 *
 * Used by    json_read (what stands in its strings and numbers), text_read.
 * Memory     None; a number or address is copied into a small array on the stack.  Never depends on the
 *            locale.
 */
#ifndef BUSBAR_LIB_VALUE_LEAF_H
#define BUSBAR_LIB_VALUE_LEAF_H

#include "lib/value/native.h"

enum {
    BBI_WORD_MAX = 1100, /* bytes of a number; the longest double, written out, has 1077 */
};

/* bbi_leaf_put - puts the value of this type that the text writes; false, and nothing is put, if it writes none. */
bool bbi_leaf_put(struct bb_builder *b, int type, const char *s, size_t bytes);

/* bbi_leaf_type - the type that the text looks like, BB_STRING if no other; it may still be out of range. */
int bbi_leaf_type(const char *s, size_t bytes);

/* bbi_leaf_form - how values of a type are written, to end a sentence. */
const char *bbi_leaf_form(int type);

/* bbi_put_decoded - room for a string or enum of so many bytes; NULL while only counting.  raw: at least as many. */
char *bbi_put_decoded(struct bb_builder *b, int type, const char *raw, size_t bytes);

/* bbi_read_time - YYYY-MM-DDThh:mm:ss[.f...][Z|+hh:mm|-hh:mm]; no zone is UTC; digits below 1 ns are cut off. */
bool bbi_read_time(const char *s, size_t bytes, int64_t *wall_ns);

/* bbi_read_span - [sign]NUMBER[.f...]UNIT with UNIT ns us ms s m min h d; cut below 1 ns. */
bool bbi_read_span(const char *s, size_t bytes, int64_t *span_ns);

/* bbi_is_span - the same form, whether it fits 64 bits or not. */
bool bbi_is_span(const char *s, size_t bytes);

/* bbi_digit_count - how many digits are at the text's start. */
static inline size_t
bbi_digit_count(const char *s, size_t bytes)
{
    size_t n = 0;
    while (n < bytes && s[n] >= '0' && s[n] <= '9') {
        n++;
    }
    return n;
}

/* bbi_sign_bytes - 1 if the text begins with + or -, else 0. */
static inline size_t
bbi_sign_bytes(const char *s, size_t bytes)
{
    return bytes > 0 && (*s == '-' || *s == '+') ? 1 : 0;
}

/* bbi_read_digits - digits and nothing else, as a number that fits 64 bits. */
static inline bool
bbi_read_digits(const char *s, size_t bytes, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(v, UINT64_C(10), &v)
            || __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v)) {
            return false;
        }
    }
    *out = v;
    return bytes > 0;
}

#endif
