/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/burst.h - messages side by side that a ring describes once.
 *
 * Idea       Messages of one topic, size, time and kind that follow each other between two flushes differ only
 *            in their number and their bytes.  So the first has a descriptor, which says how many more follow,
 *            and that number grows as they are committed.  The slots of the others stay as they were.
 *            What a message costs in lines that two processes share is then its payload, and little else.
 * Numbers    A message's number is that of its slot, whether anything stands there or not; so what is counted,
 *            lost, filtered or protected is counted in messages as before.
 * Bounds     A burst ends at the flush: at most batch_msgs messages, and tail_seq is always the end of one.
 * Processes  The publisher extends its last burst; any number read.
 * Source     R1 and R3 in docs/memory-model.md; models/ring in tests/model.
 */
#ifndef BUSBAR_SHM_BURST_H
#define BUSBAR_SHM_BURST_H

#include "shm/ring.h"

/* A private copy of a descriptor, checked. */
struct bbi_burst {
    uint64_t first; /* number of its first message */
    uint64_t pos;   /* of that one; the others follow at each stride */
    uint32_t count; /* messages, when we looked; 0: none is known */
    uint32_t bytes; /* of each payload */
    uint32_t stride;
    uint32_t tag, ts, attr;
};

enum { BBI_MORE_SHIFT = 16 }; /* of a descriptor's flags: how many messages follow the first */

static inline uint32_t
bbi_stride_of(uint32_t bytes)
{
    return (uint32_t)bbi_align_up(bytes, BBI_PAYLOAD_ALIGN);
}

static inline bool
bbi_burst_has(const struct bbi_burst *b, uint64_t n)
{
    return n - b->first < b->count;
}

static inline uint64_t
bbi_burst_pos(const struct bbi_burst *b, uint64_t n)
{
    return b->pos + (n - b->first) * b->stride;
}

/* All of its bytes lie in the ring, and its topic may be one of the dictionary. */
static inline bool
bbi_burst_is_sound(const struct bbi_ring_map *m, const struct bbi_burst *b)
{
    uint64_t end = (b->pos & m->pay_mask) + (uint64_t)b->count * b->stride;
    return b->bytes <= m->max_msg && b->count <= m->batch_msgs
           && end <= m->pay_bytes /* which is a multiple of the alignment, as all positions are */
           && (b->tag < m->dict_count || b->tag == BBI_TAG_SPILL);
}

/*
 * bbi_burst_load - the burst that begins with message n.
 *
 * Order     acquire on seq, R1; the fields, then seq again, R3.  flags is loaded before the fields that it does
 *           not speak of, and carries the payload of the messages that it counts, R1.
 * Returns   1 and *out, not checked; 0: none begins there, *word is what stands there instead of n and *out as it
 *           was; or *word is n, as it was replaced meanwhile, and nothing is known in *out.
 */
static BBI_INLINE int
bbi_burst_load(const struct bbi_ring_map *m, uint64_t n, struct bbi_burst *out, uint64_t *word)
{
    struct bbi_desc *d = &m->desc[n & m->desc_mask];
    *word = bbi_load_acquire(&d->seq); /* R1: pairs with the release in bbi_writer_append() */
    if (BBI_UNLIKELY(*word != n)) {
        return 0;
    }
    uint32_t flags = bbi_load_acquire(&d->flags); /* R1, R3 */
    out->first = n;
    out->pos = bbi_load_acquire(&d->pos); /* R3 */
    out->bytes = bbi_load_acquire(&d->len);
    out->tag = bbi_load_acquire(&d->tag);
    out->ts = bbi_load_acquire(&d->ts);
    out->attr = flags & BBI_ATTR_MASK;
    out->count = (flags >> BBI_MORE_SHIFT) + 1;
    out->stride = bbi_stride_of(out->bytes);
    if (BBI_UNLIKELY(bbi_load_relaxed(&d->seq) != n)) { /* R3: after the acquire loads above */
        out->count = 0;
        return 0;
    }
    return 1;
}

/*
 * bbi_burst_find - the burst that message n is in, wherever it begins: at n, or up to batch_msgs - 1 before.
 *
 * Returns   1 and *out, not checked; 0: there is none (any more), *word as above.
 */
int bbi_burst_find(const struct bbi_ring_map *m, uint64_t n, struct bbi_burst *out, uint64_t *word);

#endif
