/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/ring.h - one publisher's ring: descriptors, payload, dictionary, anchors.
 *
 * Used by    ring_write.h and ring_read.h, which share these pointers.  Knows no topics' meaning, no
 *            members, no system calls: models, race tests and the product run the same code.
 * Shape      D descriptors of 32 bytes and C payload bytes.  Message n belongs to slot n mod D: there stands its
 *            descriptor, or it is one of a burst (burst.h) that began in a slot before.  Its bytes lie at a
 *            position which never wraps and never lets a message cross the end.  The first message is
 *            number D, so a descriptor that holds 0 was never written.
 */
#ifndef BUSBAR_SHM_RING_H
#define BUSBAR_SHM_RING_H

#include "shm/layout.h"
#include "shm/segment.h"
#include <string.h>

/* Tuned by measurement; one place.  Prefetch distances of reader and writer, in descriptors and bytes. */
enum {
    BBI_READ_AHEAD_DESCS = 32,
    BBI_READ_AHEAD_BYTES = 2048,
    BBI_READ_AHEAD_TAGS =
        12, /* descriptors ahead, when a reader knows more topics than BBI_CACHED_TAGS */
    BBI_CACHED_TAGS = 2048,
    BBI_WRITE_AHEAD_DESCS = 16,
    BBI_WRITE_AHEAD_BYTES = 1024,
    BBI_RACY_WORDS_BYTES = 64, /* copied by relaxed words up to here, by memcpy above */
    BBI_BATCH_MSGS = 32,
    BBI_BATCH_MOST = 1024, /* of any ring: a look for a burst goes back so far at most */
    BBI_PAYLOAD_ALIGN = 16,
};

/* The parts of one ring in this process's mapping, with sizes that were checked once. */
struct bbi_ring_map {
    struct bbi_ring *hdr;
    struct bbi_desc *desc;
    unsigned char *pay;
    struct bbi_dict_entry *dict;
    char *text;
    struct bbi_anchor *anchors;
    uint64_t depth, desc_mask;
    uint64_t pay_bytes, pay_mask;
    uint64_t max_msg, quantum, batch_bytes;
    uint64_t text_bytes;
    uint32_t batch_msgs, dict_count, anchor_count, fence;
};

/* What the creator chooses; everything else follows. */
struct bbi_ring_shape {
    uint32_t depth;      /* power of two, 64 .. 2^24 */
    uint64_t pay_bytes;  /* power of two, 4 KiB .. 2^33 */
    uint32_t dict_count; /* topics */
    uint64_t text_bytes;
    uint32_t fence; /* enum bbi_fence */
};

/* bbi_ring_footprint - bytes of the file, filling *geom; 0 if the shape is impossible. */
uint64_t bbi_ring_footprint(const struct bbi_ring_shape *shape, struct bbi_ring_geom *geom);

/* bbi_ring_join - pointers into a mapped file.  BB_ECORRUPT if its geometry does not fit bytes. */
BB_MUST_USE int bbi_ring_join(void *base, uint64_t bytes, struct bbi_ring_map *out);

/*
 * bbi_copy_racy - copies bytes that a publisher may be overwriting.
 *
 * Order     ends with an acquire fence, R2, so that a look at claim_pos afterwards says whether the copy
 *           is whole.  Pairs with the release fence in bbi_writer_claim().
 */
void bbi_copy_racy(void *dst, const void *src, size_t bytes);

/* bbi_is_small_racy - true if bbi_copy_small_racy() may copy these bytes, rounded up to words. */
static inline bool
bbi_is_small_racy(const void *src, size_t bytes)
{
    return !BBI_TSAN && bytes <= BBI_RACY_WORDS_BYTES && (uintptr_t)src % 8 == 0;
}

/*
 * bbi_copy_small_racy - bbi_copy_racy() for few whole words: no call.  Payloads begin at multiples of 16, so
 * that a last word that is only half theirs may be read too.
 */
static inline void
bbi_copy_small_racy(void *dst, const void *src, size_t bytes)
{
    const bbi_u64 *from = src;
    unsigned char *to = dst;
    for (size_t i = 0; i < bytes / 8; i++) {
        uint64_t word = bbi_load_relaxed(&from[i]);
        memcpy(to + 8 * i, &word, sizeof(word));
    }
    bbi_fence_acquire(); /* R2: the caller looks at claim_pos after this */
}

/* bbi_fill_racy - the writer's side: plain stores, or ordered ones where TSan must see them. */
void bbi_fill_racy(void *dst, const void *src, size_t bytes);

#endif
