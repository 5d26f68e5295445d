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

#include "shm/ring.h"

struct bbi_writer {
    struct bbi_ring_map map;
    uint64_t n;         /* number of the next message */
    uint64_t pos;       /* its byte position, before padding */
    uint64_t claim_pos; /* our copy of the watermark */
    uint64_t lim_seq;   /* n may not reach this: the slowest reliable cursor + D */
    uint64_t lim_pos;   /* nor the end of a message exceed this */
    uint64_t flushed_seq, flushed_pos;
    uint64_t loan_pos; /* of the open loan */
    uint32_t loan_bytes;
    bool loan_is_open;
    uint32_t text_used;
    uint32_t topics;
    uint64_t anchor_mono_ns; /* of the last anchor */
};

/* bbi_writer_init - the writer of a ring file that was just made. */
void bbi_writer_init(struct bbi_writer *w, const struct bbi_ring_map *map);

/*
 * bbi_writer_claim - room for the next message.
 *
 * Owner     *out (bytes bytes) is the caller's until commit or abort; claiming again replaces the loan.
 * Order     watermark and BUSY before any byte of the payload: release fence, R2, R3.
 * Returns   0; BB_EMSGSIZE; BB_EBUSY flush first; BB_EAGAIN a reliable cursor is in the way.
 */
BB_MUST_USE int bbi_writer_claim(struct bbi_writer *w, uint64_t bytes, void **out);

/* bbi_writer_has_room - 1 if a claim of so many bytes would not meet a reliable cursor. */
bool bbi_writer_has_room(const struct bbi_writer *w, uint64_t bytes);

/* bbi_writer_commit - publish the first used bytes of the loan.  Release, R1. */
void
bbi_writer_commit(struct bbi_writer *w, uint32_t used, uint32_t tag, uint32_t ts, uint32_t flags);

static inline void
bbi_writer_abort(struct bbi_writer *w)
{
    w->loan_is_open = false; /* the slot stays BUSY and is claimed again */
}

static inline bool
bbi_writer_is_flushed(const struct bbi_writer *w)
{
    return w->n == w->flushed_seq;
}

/* bbi_writer_flush - announces the tail; the caller then looks at epochs and sleepers.  R5. */
void bbi_writer_flush(struct bbi_writer *w);

/*
 * bbi_writer_intern - the tag of a new topic; the caller remembers it.  BBI_TAG_SPILL when the dictionary
 * is full or the topic too long for it.  Release, R7.
 */
uint32_t bbi_writer_intern(struct bbi_writer *w, const char *topic, size_t bytes, uint64_t hash);

/*
 * bbi_writer_stamp - the ts of a message that is published at mono_ns, writing an anchor when the last one
 * is too far off for 32 bits.  The wall time of mono_ns is asked for only then.  Release, R10.
 */
uint32_t
bbi_writer_stamp(struct bbi_writer *w, int64_t mono_ns, int64_t (*wall_of)(int64_t mono_ns));

#endif
