/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/opts.h - structs of the caller that begin with their size, and may be older or newer than ours.
 *
 * Used by    every function that takes options or fills statistics.
 * Why        A program keeps the sizes of the header that it was compiled with.  Structs only grow at their
 *            end and zero means the default, so what one side does not have can be taken as zero; only an
 *            option that is set and unknown here must not be passed over in silence.
 */
#ifndef BUSBAR_LIB_ENDPOINT_OPTS_H
#define BUSBAR_LIB_ENDPOINT_OPTS_H

#include "busbar/endpoint.h"
#include <stddef.h>
#include <stdint.h>

enum {
    BBI_OPTS_MOST_BYTES = 4096, /* a larger size was never set */
};
#define BBI_OPTS_NO_ERROR SIZE_MAX

/*
 * bbi_opts_take - *dst is the caller's options: defaults where its struct ends before ours.
 *
 * NULL means all defaults.  The sentence goes into the struct bb_error that src points to at error_off, if
 * its struct reaches so far (BBI_OPTS_NO_ERROR: there is none); every version of a struct has that member,
 * so it is also looked for when the size was forgotten.
 *
 * Returns   0; BB_EINVAL size is 0 or none that such a struct can have; BB_ENOTSUP something is set that
 *           this library does not know.  *dst is then all zeros.
 */
BB_MUST_USE int
bbi_opts_take(void *dst, size_t dst_bytes, size_t error_off, const void *src, const char *type);
/* bbi_opts_take() of a struct with the member `error`. */
#define BBI_OPTS_TAKE(type, dst, src)                                                              \
    bbi_opts_take((dst), sizeof(type), offsetof(type, error), (src), #type)

/*
 * bbi_opts_flags - 0, or BB_ENOTSUP and the sentence when a flag is set that is none of `known`: a newer
 * program's, which must not be passed over in silence.
 */
BB_MUST_USE int
bbi_opts_flags(uint32_t flags, uint32_t known, const char *type, struct bb_error *error);

/*
 * bbi_stats_give - fills the caller's struct as far as it reaches; its size becomes the bytes that are valid.
 * With size 0 nothing is filled, and size becomes the bytes of ours.
 */
void bbi_stats_give(void *out, const void *ours, size_t our_bytes);

#endif
