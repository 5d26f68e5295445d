/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/ring_write.h - the publisher's half of a ring.
 *
 * Processes  one thread of one process writes; any number read.
 * Progress   claim, commit, abort and flush are wait-free, allocate nothing, make no system call.
 * Death      before commit: the message never existed, readers see "nothing yet".
 *            after commit, before flush: readers that are awake see it; sleepers are woken by the steward.
 * Bound      at most batch_msgs messages or batch_bytes bytes lie between two flushes: the proof of
 *            joining needs it.  bbi_writer_claim() says BB_EBUSY when a flush is due first.
 * Source     docs/memory-model.md, pairs R1, R2, R3, R5, R7, R10; models in tests/model.
 */
#ifndef BUSBAR_SHM_RING_WRITE_H
#define BUSBAR_SHM_RING_WRITE_H

#include "shm/hook.h"
#include "shm/ring.h"

struct bbi_writer {
    struct bbi_ring_map map;
    uint64_t n;   /* number of the next message */
    uint64_t pos; /* its byte position */
    /* A message below both meets no cursor, no watermark, no flush that is due, no end of the ring. */
    uint64_t free_seq, free_pos;
    struct bbi_desc *slot; /* of the open loan */
    uint32_t loan_bytes;   /* of each message of the loan */
    uint32_t loan_count;   /* messages of the loan */
    uint32_t topics;
    uint64_t claim_pos; /* our copy of the watermark */
    uint64_t lim_seq;   /* n may not reach this: the slowest reliable cursor + D */
    uint64_t lim_pos;   /* nor the end of a message exceed this */
    uint64_t flushed_seq, flushed_pos;
    int64_t anchor_mono_ns; /* of the last anchor */
    uint32_t text_used;
};

/* bbi_writer_init - the writer of a ring file that was just made. */
void bbi_writer_init(struct bbi_writer *w, const struct bbi_ring_map *map);

/* bbi_writer_limit - nothing at or after seq, nor beyond pos, may be overwritten; UINT64_MAX: no limit. */
void bbi_writer_limit(struct bbi_writer *w, uint64_t seq, uint64_t pos);

/* The rest of a claim: watermark, wrap, limits.  Opens the loan or says why not. */
BB_MUST_USE int bbi_writer_claim_slowly(struct bbi_writer *w, uint64_t bytes, void **out);

/* Marks the descriptor BUSY and hands out the bytes at pos. */
static inline void
bbi_writer_open_loan(struct bbi_writer *w, uint64_t bytes, void **out)
{
    const struct bbi_ring_map *m = &w->map;
    struct bbi_desc *d = &m->desc[w->n & m->desc_mask];
    unsigned char *at = m->pay + (w->pos & m->pay_mask);
    bbi_store_relaxed(&d->seq, BBI_BUSY | w->n); /* R3 */
    bbi_fence_release(); /* R2, R3: pairs with the fence in bbi_copy_racy() and the loads of the reader */
    BBI_HOOK("ring:claimed");
    w->slot = d;
    w->loan_bytes = (uint32_t)bytes;
    w->loan_count = 1;
    *out = at;
    bbi_prefetch_write(d + BBI_WRITE_AHEAD_DESCS); /* beyond the end: a hint that misses */
    bbi_prefetch_write(at + BBI_WRITE_AHEAD_BYTES);
}

/*
 * bbi_writer_open_loans - as many of count messages, each of bytes, as need no second look; the first does.
 * They lie side by side, each at a multiple of BBI_PAYLOAD_ALIGN, and so do their descriptors.  How many.
 */
static inline uint32_t
bbi_writer_open_loans(struct bbi_writer *w, uint64_t bytes, uint32_t count, void *out[])
{
    const struct bbi_ring_map *m = &w->map;
    uint64_t room = bbi_align_up(bytes, BBI_PAYLOAD_ALIGN);
    uint64_t n = w->n, most = bbi_min_u64(count, m->depth - (n & m->desc_mask));
    uint64_t k = bbi_min_u64(most, w->free_seq - n);
    if (BBI_UNLIKELY(k * room > w->free_pos - w->pos)) {
        k = (w->free_pos - w->pos) / room;
    }
    struct bbi_desc *d = &m->desc[n & m->desc_mask];
    unsigned char *at = m->pay + (w->pos & m->pay_mask); /* free_pos is in the same lap */
    w->slot = d;
    w->loan_bytes = (uint32_t)bytes;
    w->loan_count = (uint32_t)k;
    for (const struct bbi_desc *end = d + k; d != end; d++, at += room, n++) {
        bbi_store_relaxed(&d->seq, BBI_BUSY | n); /* R3 */
        *out++ = at;
        bbi_prefetch_write(d + BBI_WRITE_AHEAD_DESCS);
        bbi_prefetch_write(at + BBI_WRITE_AHEAD_BYTES);
    }
    bbi_fence_release(); /* R2, R3: as in bbi_writer_open_loan() */
    BBI_HOOK("ring:claimed_all");
    return (uint32_t)k;
}

/* bbi_writer_is_free - 1 if a claim of so many bytes needs no second look. */
static inline bool
bbi_writer_is_free(const struct bbi_writer *w, uint64_t bytes)
{
    uint64_t end = w->pos + bbi_align_up(bytes, BBI_PAYLOAD_ALIGN);
    return BBI_LIKELY(w->n < w->free_seq) && BBI_LIKELY(end <= w->free_pos)
           && BBI_LIKELY(bytes <= w->map.max_msg);
}

/*
 * bbi_writer_claim - room for the next message.
 *
 * Owner     *out (bytes bytes) is the caller's until commit or abort; claiming again replaces the loan.
 * Order     watermark and BUSY before any byte of the payload: release fence, R2, R3.
 * Returns   0; BB_EMSGSIZE; BB_EBUSY flush first; BB_EAGAIN a reliable cursor is in the way.
 */
BB_MUST_USE static inline int
bbi_writer_claim(struct bbi_writer *w, uint64_t bytes, void **out)
{
    if (!bbi_writer_is_free(w, bytes)) {
        return bbi_writer_claim_slowly(w, bytes, out);
    }
    bbi_writer_open_loan(w, bytes, out);
    return 0;
}

/* bbi_writer_has_room - 1 if a claim of so many bytes would not meet a reliable cursor. */
bool bbi_writer_has_room(const struct bbi_writer *w, uint64_t bytes);

/* bbi_writer_counts - where messages of a tag are counted. */
static inline struct bbi_counts *
bbi_writer_counts(const struct bbi_writer *w, uint32_t tag)
{
    return tag < w->topics ? &w->map.dict[tag].counts : &w->map.hdr->counters.spilled;
}

/* bbi_writer_commit_to - bbi_writer_commit() for who remembers the counts of its tag. */
static inline void
bbi_writer_commit_to(struct bbi_writer *w,
                     struct bbi_counts *counts,
                     uint32_t used,
                     uint32_t tag,
                     uint32_t ts,
                     uint32_t flags)
{
    BBI_DEBUG_ASSERT(used <= w->loan_bytes);
    struct bbi_desc *d = w->slot;
    BBI_HOOK("ring:filled");
    bbi_store_relaxed(&d->pos, w->pos); /* relaxed: seq publishes them all */
    bbi_store_relaxed(&d->len, used);
    bbi_store_relaxed(&d->tag, tag);
    bbi_store_relaxed(&d->ts, ts);
    bbi_store_relaxed(&d->flags, flags);
    BBI_HOOK("ring:described");
    bbi_own_add(&counts->messages, 1); /* before seq: a reader at the tail sees the sum, R1 */
    bbi_own_add(&counts->bytes, used);
    BBI_HOOK("ring:counted");
    bbi_store_release(&d->seq, w->n); /* R1: pairs with the acquire in bbi_reader_next() */
    BBI_HOOK("ring:committed");
    w->n++;
    w->pos += bbi_align_up(used, BBI_PAYLOAD_ALIGN);
}

/*
 * bbi_writer_commit_all - the first count messages of a loan, in order; used NULL: as large as they were asked
 * for.  Each is counted by itself before its seq, so that a death in between leaves what one message would.
 */
static inline void
bbi_writer_commit_all(struct bbi_writer *w,
                      struct bbi_counts *counts,
                      const size_t *used,
                      uint32_t count,
                      uint32_t tag,
                      uint32_t ts,
                      uint32_t flags)
{
    uint64_t room = bbi_align_up(w->loan_bytes, BBI_PAYLOAD_ALIGN);
    uint64_t messages = bbi_load_relaxed(&counts->messages); /* our own word */
    uint64_t n = w->n, pos = w->pos, bytes = 0;
    uint32_t len = w->loan_bytes;
    struct bbi_desc *d = w->slot;
    for (uint64_t end = n + count; n != end; n++, pos += room, d++) {
        len = used != NULL ? (uint32_t)*used++ : len;
        bbi_store_relaxed(&d->pos, pos); /* relaxed: seq publishes them all */
        bbi_store_relaxed(&d->len, len);
        bbi_store_relaxed(&d->tag, tag);
        bbi_store_relaxed(&d->ts, ts);
        bbi_store_relaxed(&d->flags, flags);
        bbi_store_relaxed(&counts->messages, ++messages);
        bytes += len;
        BBI_HOOK("ring:counted_one");
        bbi_store_release(&d->seq, n); /* R1 */
        BBI_HOOK("ring:committed_one");
    }
    bbi_own_add(&counts->bytes, bytes); /* a statistic: a death loses at most one batch of it */
    w->n = n;
    w->pos = pos;
}

/* bbi_writer_commit - publish the first used bytes of the loan.  Release, R1. */
static inline void
bbi_writer_commit(struct bbi_writer *w, uint32_t used, uint32_t tag, uint32_t ts, uint32_t flags)
{
    bbi_writer_commit_to(w, bbi_writer_counts(w, tag), used, tag, ts, flags);
}

static inline void
bbi_writer_abort(struct bbi_writer *w)
{
    w->loan_bytes = 0; /* the slot stays BUSY and is claimed again */
}

static inline bool
bbi_writer_is_flushed(const struct bbi_writer *w)
{
    return w->n == w->flushed_seq;
}

/* bbi_writer_set_free - how far claims go without a second look; after any limit moved. */
static inline void
bbi_writer_set_free(struct bbi_writer *w)
{
    uint64_t lap_end = (w->pos & ~w->map.pay_mask) + w->map.pay_bytes;
    uint64_t pos = bbi_min_u64(lap_end, w->flushed_pos + w->map.batch_bytes);
    w->free_seq = bbi_min_u64(w->lim_seq, w->flushed_seq + w->map.batch_msgs);
    w->free_pos = bbi_min_u64(pos, bbi_min_u64(w->lim_pos, w->claim_pos));
}

/* bbi_writer_flush - announces the tail; the caller then looks at epochs and sleepers.  R5. */
static inline void
bbi_writer_flush(struct bbi_writer *w)
{
    struct bbi_ring *hdr = w->map.hdr;
    bbi_store_relaxed(&hdr->tail_pos, w->pos); /* a hint for tools */
    bbi_own_add(&hdr->counters.flushes, 1);
#if BBI_TSAN
    bbi_store_seq_cst(&hdr->tail_seq, w->n);
#else
    bbi_store_release(&hdr->tail_seq, w->n); /* R5 */
    if (w->map.fence == BBI_FENCE_MEMBARRIER) {
        bbi_fence_compiler(); /* R5: the sleeper's membarrier stands in for the fence */
    } else {
        bbi_fence_seq_cst(); /* R5: tail before the looks at epochs and sleepers */
    }
#endif
    BBI_HOOK("ring:flushed");
    w->flushed_seq = w->n;
    w->flushed_pos = w->pos;
    bbi_writer_set_free(w);
}

/*
 * bbi_writer_intern - the tag of a new topic; the caller remembers it.  BBI_TAG_SPILL when the dictionary
 * is full or the topic too long for it.  Release, R7.
 */
uint32_t bbi_writer_intern(struct bbi_writer *w, const char *topic, size_t bytes, uint64_t hash);

/* bbi_writer_anchor - writes down that message n was published at mono_ns = wall_ns.  Release, R10. */
void bbi_writer_anchor(struct bbi_writer *w, int64_t mono_ns, int64_t wall_ns);

/* 1 if the last anchor is too far from mono_ns for the 32 bits of ts; ts wraps after 274.9 s. */
static inline bool
bbi_writer_needs_anchor(const struct bbi_writer *w, int64_t mono_ns)
{
    const int64_t far_ns = INT64_C(1) << 36; /* 68.7 s */
    return (uint64_t)(mono_ns - w->anchor_mono_ns + far_ns - 1) >= (uint64_t)(2 * far_ns - 1)
           || w->anchor_mono_ns == 0;
}

/*
 * bbi_writer_stamp - the ts of a message that is published at mono_ns, writing an anchor when the last one
 * is too far off for 32 bits.  The wall time of mono_ns is asked for only then.
 */
static inline uint32_t
bbi_writer_stamp(struct bbi_writer *w, int64_t mono_ns, int64_t (*wall_of)(int64_t mono_ns))
{
    if (BBI_UNLIKELY(bbi_writer_needs_anchor(w, mono_ns))) {
        bbi_writer_anchor(w, mono_ns, wall_of(mono_ns));
    }
    return (uint32_t)((uint64_t)mono_ns >> BBI_TS_SHIFT);
}

#endif
