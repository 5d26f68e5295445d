/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/value/refuse.h - says why a decoder refuses its input.
 *
 * Used by    every decoder, and explain.
 */
#ifndef BUSBAR_LIB_VALUE_REFUSE_H
#define BUSBAR_LIB_VALUE_REFUSE_H

#include <busbar/codec.h>
#include <stdbool.h>

/* bbi_explain - fills *error (may be NULL); the sentence is cut to its room. */
void bbi_explain(struct bb_codec_error *error, size_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * bbi_refuse_input - BB_EINVAL in the builder, as no buffer will do for this input.
 *
 * Replaces BB_EMSGSIZE, which another buffer would mend, and BB_EEXIST, which is how a duplicate in the
 * input came out; any other error was there before, and stays.
 */
void bbi_refuse_input(struct bb_builder *b);

#endif
