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

#include "shm/burst.h"
#include "shm/hook.h"

/* What all messages of a burst have in common, but for where they lie: two words to compare. */
struct bbi_kind {
    uint64_t what; /* bytes | tag << 32 */
    uint64_t how;  /* ts | attr << 32 */
};

#define BBI_NO_KIND UINT64_MAX /* in what: no message is as large */

/* The burst that the last message is in. */
struct bbi_open_burst {
    struct bbi_kind kind; /* BBI_NO_KIND: the next message begins one of its own */
    uint64_t first;       /* its number */
    struct bbi_desc *desc;
    uint32_t flags; /* as in desc */
};

struct bbi_writer {
    struct bbi_ring_map map;
    uint64_t n;   /* number of the next message */
    uint64_t pos; /* its byte position */
    /* A message below both meets no cursor, no watermark, no flush that is due, no end of the ring. */
    uint64_t free_seq, free_pos;
    uint64_t hard_pos; /* free_pos, but for the flush that is due */
    struct bbi_open_burst burst;
    uint32_t loan_bytes; /* of each message of the loan */
    uint32_t topics;
    uint64_t loan_end;  /* number after the last message on loan; above n while one is open */
    uint64_t claim_pos; /* our copy of the watermark */
    uint64_t lim_seq;   /* n may not reach this: the burst of the slowest reliable cursor + D */
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

/* Hands out the bytes at pos. */
static inline void
bbi_writer_open_loan(struct bbi_writer *w, uint64_t bytes, void **out)
{
    unsigned char *at = w->map.pay + (w->pos & w->map.pay_mask);
    BBI_HOOK("ring:claimed");
    w->loan_bytes = (uint32_t)bytes;
    w->loan_end = w->n + 1;
    *out = at;
    bbi_prefetch_write(at + BBI_WRITE_AHEAD_BYTES); /* beyond the end: a hint that misses */
}

/*
 * bbi_writer_open_loans - as many of count messages, each of bytes, as need no second look; the first does.
 * They lie side by side, each at a multiple of BBI_PAYLOAD_ALIGN.  How many.
 */
static inline uint32_t
bbi_writer_open_loans(struct bbi_writer *w, uint64_t bytes, uint32_t count, void *out[])
{
    uint64_t room = bbi_stride_of((uint32_t)bytes);
    uint64_t k = bbi_min_u64(count, w->free_seq - w->n);
    if (BBI_UNLIKELY(k * room > w->free_pos - w->pos)) {
        k = (w->free_pos - w->pos) / room;
    }
    unsigned char *at = w->map.pay + (w->pos & w->map.pay_mask); /* free_pos is in the same lap */
    w->loan_bytes = (uint32_t)bytes;
    w->loan_end = w->n + k;
    for (void **end = out + k; out != end; at += room) {
        *out++ = at;
        bbi_prefetch_write(at + BBI_WRITE_AHEAD_BYTES);
    }
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
 * Order     the watermark before any byte of the payload: release fence, R2.
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

static inline struct bbi_kind
bbi_kind_of(uint32_t bytes, uint32_t tag, uint32_t ts, uint32_t attr)
{
    return (struct bbi_kind){bytes | (uint64_t)tag << 32, ts | (uint64_t)attr << 32};
}

/* bbi_writer_end_burst - the next message does not lie behind the last one, or is not to be seen as one more. */
static inline void
bbi_writer_end_burst(struct bbi_writer *w)
{
    w->burst.kind.what = BBI_NO_KIND;
}

/* Counted before they are committed: a reader at the tail sees the sum, R1. */
static inline void
bbi_writer_count(struct bbi_counts *counts, uint32_t bytes, uint32_t count)
{
    bbi_own_add(&counts->messages, count);
    bbi_own_add(&counts->bytes, (uint64_t)count * bytes);
    BBI_HOOK("ring:counted");
}

/* A burst of its own for count messages, described; n and pos are the caller's to move. */
static BBI_INLINE void
bbi_writer_begin(struct bbi_writer *w,
                 struct bbi_counts *counts,
                 struct bbi_kind kind,
                 uint32_t count)
{
    struct bbi_desc *d = &w->map.desc[w->n & w->map.desc_mask];
    uint32_t bytes = (uint32_t)kind.what;
    uint32_t flags = (uint32_t)(kind.how >> 32) | (count - 1) << BBI_MORE_SHIFT;
    bbi_store_relaxed(&d->seq, BBI_BUSY | w->n); /* R3 */
    bbi_fence_release();                         /* R3: pairs with the loads in bbi_burst_load() */
    BBI_HOOK("ring:busy");
    bbi_store_relaxed(&d->pos, w->pos); /* relaxed: seq publishes them all */
    bbi_store_relaxed(&d->len, bytes);
    bbi_store_relaxed(&d->tag, (uint32_t)(kind.what >> 32));
    bbi_store_relaxed(&d->ts, (uint32_t)kind.how);
    bbi_store_relaxed(&d->flags, flags);
    BBI_HOOK("ring:described");
    bbi_writer_count(counts, bytes, count);
    bbi_store_release(&d->seq, w->n); /* R1: pairs with bbi_burst_load() */
    BBI_HOOK("ring:committed");
    bbi_prefetch_write(d + BBI_WRITE_AHEAD_DESCS); /* beyond the end: a hint that misses */
    w->burst.kind.what = kind.what;
    w->burst.kind.how = kind.how;
    w->burst.first = w->n;
    w->burst.desc = d;
    w->burst.flags = flags;
}

/* bbi_writer_begin_slowly - the same, out of the way.  The words of the kind go by themselves: in registers. */
void bbi_writer_begin_slowly(
    struct bbi_writer *w, struct bbi_counts *counts, uint64_t what, uint64_t how, uint32_t count);

static inline void
bbi_writer_step(struct bbi_writer *w, uint32_t bytes, uint32_t count)
{
    w->pos += (uint64_t)count * bbi_stride_of(bytes);
    w->n += count;
}

/* count messages of the loan, lying side by side from pos on: as more of the open burst, or as a new one. */
static inline void
bbi_writer_append(struct bbi_writer *w,
                  struct bbi_counts *counts,
                  struct bbi_kind kind,
                  uint32_t count)
{
    struct bbi_open_burst *b = &w->burst;
    uint32_t bytes = (uint32_t)kind.what;
    BBI_DEBUG_ASSERT(bytes <= w->loan_bytes && count <= w->loan_end - w->n);
    BBI_DEBUG_ASSERT(kind.how >> 32 <= BBI_ATTR_MASK);
    BBI_HOOK("ring:filled");
    if (BBI_LIKELY(kind.what == b->kind.what && kind.how == b->kind.how)) {
        b->flags += count << BBI_MORE_SHIFT;
        bbi_writer_count(counts, bytes, count);
        bbi_store_release(&b->desc->flags, b->flags); /* R1: pairs with bbi_burst_load() */
        BBI_HOOK("ring:committed");
    } else {
        bbi_writer_begin_slowly(w, counts, kind.what, kind.how, count);
    }
    bbi_writer_step(w, bytes, count);
}

/* bbi_writer_commit_first - of a message that cannot be one more of a burst: another topic, or after a flush. */
static inline void
bbi_writer_commit_first(struct bbi_writer *w,
                        struct bbi_counts *counts,
                        uint32_t used,
                        uint32_t tag,
                        uint32_t ts,
                        uint32_t attr)
{
    BBI_DEBUG_ASSERT(used <= w->loan_bytes && attr <= BBI_ATTR_MASK);
    BBI_HOOK("ring:filled");
    bbi_writer_begin(w, counts, bbi_kind_of(used, tag, ts, attr), 1);
    bbi_writer_step(w, used, 1);
}

/* bbi_writer_commit_to - bbi_writer_commit() for who remembers the counts of its tag. */
static inline void
bbi_writer_commit_to(struct bbi_writer *w,
                     struct bbi_counts *counts,
                     uint32_t used,
                     uint32_t tag,
                     uint32_t ts,
                     uint32_t attr)
{
    bbi_writer_append(w, counts, bbi_kind_of(used, tag, ts, attr), 1);
}

/*
 * bbi_writer_commit_all - the first count messages of a loan, in order; used NULL: as large as they were asked
 * for, and then all at once.
 */
static inline void
bbi_writer_commit_all(struct bbi_writer *w,
                      struct bbi_counts *counts,
                      const size_t *used,
                      uint32_t count,
                      uint32_t tag,
                      uint32_t ts,
                      uint32_t attr)
{
    if (used == NULL) {
        bbi_writer_append(w, counts, bbi_kind_of(w->loan_bytes, tag, ts, attr), count);
        w->loan_end = w->n; /* the rest of it never was */
        return;
    }
    uint64_t room = bbi_stride_of(w->loan_bytes), pos = w->pos;
    for (const size_t *end = used + count; used != end; used++) {
        bbi_writer_commit_to(w, counts, (uint32_t)*used, tag, ts, attr);
        pos += room; /* where the next one was asked for, however little of this one was used */
        if (w->pos != pos) {
            w->pos = pos;
            bbi_writer_end_burst(w);
        }
    }
    w->loan_end = w->n;
}

/* bbi_writer_commit - publish the first used bytes of the loan.  Release, R1. */
static inline void
bbi_writer_commit(struct bbi_writer *w, uint32_t used, uint32_t tag, uint32_t ts, uint32_t attr)
{
    bbi_writer_commit_to(w, bbi_writer_counts(w, tag), used, tag, ts, attr);
}

static inline void
bbi_writer_abort(struct bbi_writer *w)
{
    w->loan_bytes = 0; /* the bytes are claimed again */
    w->loan_end = w->n;
}

static inline bool
bbi_writer_is_flushed(const struct bbi_writer *w)
{
    return w->n == w->flushed_seq;
}

/* After a flush: how far claims go until the next one is due. */
static inline void
bbi_writer_set_batch(struct bbi_writer *w)
{
    w->free_seq = bbi_min_u64(w->lim_seq, w->flushed_seq + w->map.batch_msgs);
    w->free_pos = bbi_min_u64(w->hard_pos, w->flushed_pos + w->map.batch_bytes);
}

/* bbi_writer_set_free - how far claims go without a second look; after any limit moved, and in a new lap. */
static inline void
bbi_writer_set_free(struct bbi_writer *w)
{
    uint64_t lap_end = (w->pos & ~w->map.pay_mask) + w->map.pay_bytes;
    w->hard_pos = bbi_min_u64(lap_end, bbi_min_u64(w->lim_pos, w->claim_pos));
    if ((w->pos & w->map.pay_mask) == 0) {
        bbi_writer_end_burst(w); /* side by side with the last one only in numbers */
    }
    bbi_writer_set_batch(w);
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
    bbi_writer_end_burst(w); /* so that tail_seq is the end of one */
    bbi_writer_set_batch(w);
}

/*
 * bbi_writer_locate - where message c lies, from the oldest that may still be in the ring to n itself.
 *
 * Returns   1, *first is the number at which its burst begins, which a reader at c may need again, and *pos its
 *           position; 0: it was overwritten, or its descriptor was.
 */
BB_MUST_USE int
bbi_writer_locate(const struct bbi_writer *w, uint64_t c, uint64_t *first, uint64_t *pos);

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
