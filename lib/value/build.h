/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/value/build.h - what the builder's files share.
 *
 * Used by    build, event, zeek, binary_read, refuse.
 *
 * The builder's `depth` holds three things, so that they are known also while measuring, without a buffer:
 *   bits 0..14   containers that are open
 *   bit 15       of Zeek's messages (zeek.c) that are open the innermost is no batch
 *   bits 16..30  floor: of these, how many the caller may not close, as they belong to an event
 *   bit 31       the event's metadata has begun
 * An event that stands in no container has 2 | 2 << 16 while its arguments are built: BB_INLINE_EVENT.
 */
#ifndef BUSBAR_LIB_VALUE_BUILD_H
#define BUSBAR_LIB_VALUE_BUILD_H

#include "lib/value/native.h"

#define BBI_BUILD_DEPTH   UINT32_C(0x7fff)
#define BBI_BUILD_MESSAGE (UINT32_C(1) << 15)
#define BBI_BUILD_META    (UINT32_C(1) << 31)

static inline uint32_t
bbi_build_depth(const struct bb_builder *b)
{
    return b->depth & BBI_BUILD_DEPTH;
}

static inline uint32_t
bbi_build_floor(const struct bb_builder *b)
{
    return b->depth >> 16 & 0x7fff;
}

static inline void
bbi_build_set_event(struct bb_builder *b, uint32_t floor, uint32_t meta)
{
    b->depth = (b->depth & (BBI_BUILD_DEPTH | BBI_BUILD_MESSAGE)) | floor << 16 | meta;
}

/* The first error sticks.  All that sets err comes by here: without room every inlined put goes the long way. */
static inline void
bbi_build_fail(struct bb_builder *b, int err)
{
    if (b->err == 0) {
        b->err = err;
        b->cap_bytes = 0;
    }
}

void bbi_build_open(struct bb_builder *b, enum bb_type type);
void bbi_build_close(struct bb_builder *b);

/* bbi_build_children - values in the innermost open container so far; means nothing after an error. */
static inline uint32_t
bbi_build_children(const struct bb_builder *b)
{
    return b->children;
}

#endif
