/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/audience.h - a publisher's view of the subscribers: who wants what, who must be waited for, who sleeps.
 *
 * Used by    the one thread of a publisher, with its writer.
 * Cost       for each message an OR of the masks in use; at a flush a load of sub_epoch and of the sleepers
 *            that matter.  Cursors are read when half of the room they left is used up, not before.
 * Trust      cursors come from outside: a cursor is never taken above our own n nor below what it was.
 * Death      a dead subscriber's lock is free: it is looked at before each wait and every 10 ms, then ignored.
 * Source     R4, R5, R9 in docs/memory-model.md; models/bp and models/join in tests/model.
 */
#ifndef BUSBAR_SHM_AUDIENCE_H
#define BUSBAR_SHM_AUDIENCE_H

#include "shm/attach.h"
#include "shm/filter.h"
#include "shm/ring_write.h"
#include "shm/wake.h"

struct bbi_mask {
    uint64_t words[BBI_SUB_WORDS];
};

/* 1 if this filter item matches the subject; of the layer above. */
typedef int (*bbi_match_fn)(const struct bbi_filter_item *item, const void *subject, size_t bytes);

enum bbi_policy { BBI_FAIL, BBI_EVICT, BBI_BLOCK_EVICT, BBI_BLOCK_FAIL };

struct bbi_listener {
    uint64_t key;                    /* of its file; 0: nobody at this index */
    struct bbi_segment seg;          /* base NULL: not mapped (yet) */
    struct bbi_filter_table *filter; /* private copy */
    uint32_t filter_sel;
    uint32_t join_gen; /* of the reliable join that we honour; 0: none */
    uint64_t cursor;   /* the last that we believed */
    bool is_pending;   /* seen, not mapped yet: protected at floor */
    bool
        is_owed; /* reliable, older than our ring, not joined yet: it will read from the first message */
    bool wants_all;   /* its filters could not be read */
    bool is_unmapped; /* could not be mapped: not protected, wants everything */
    uint64_t floor;   /* nothing below is protected: our tail at the flush before we noticed */
};

struct bbi_audience {
    struct bbi_attach *at;
    struct bbi_writer *writer;
    struct bbi_waker waker;
    uint32_t ring_index;
    uint64_t ring_key;
    uint64_t epoch; /* sub_epoch at the last look */
    uint64_t nudge_seq,
        nudge_pos;        /* where to look again how far the slowest is, and whether asleep */
    uint64_t mask_epoch;  /* rises when any filter changed: cached masks older than this are void */
    uint64_t tail_before; /* our tail at the previous flush */
    struct bbi_mask wake; /* who wants what was published since the last flush */
    struct bbi_mask unmapped; /* listeners that want everything since we cannot know */
    bbi_match_fn match;
    enum bbi_policy policy;
    int64_t block_ns;
    uint32_t top;      /* listeners[] above are unused */
    uint32_t words;    /* of masks that are in use, by top */
    uint32_t pending;  /* listeners that are seen but not mapped */
    uint32_t reliable; /* listeners with a reliable join */
    struct bbi_listener listeners[BBI_SUBS];
};

/* bbi_audience_init - of a ring that was just registered; looks at everybody once. */
void bbi_audience_init(struct bbi_audience *aud,
                       struct bbi_attach *at,
                       struct bbi_writer *writer,
                       uint32_t ring_index,
                       uint64_t ring_key,
                       bbi_match_fn match);
void bbi_audience_fini(struct bbi_audience *aud);

/* bbi_audience_look - if sub_epoch moved, take up who came, went or changed.  Maps at most one file. */
void bbi_audience_look(struct bbi_audience *aud);

/* bbi_audience_mask - who wants this subject now. */
void bbi_audience_mask(const struct bbi_audience *aud,
                       const void *subject,
                       size_t bytes,
                       struct bbi_mask *out);

/* bbi_audience_note - a message was committed that these want. */
static inline void
bbi_audience_note(struct bbi_audience *aud, const struct bbi_mask *mask)
{
    for (uint32_t w = 0; w < aud->words; w++) {
        aud->wake.words[w] |= mask->words[w];
    }
}

/* The rare parts of a flush. */
void bbi_audience_wake(struct bbi_audience *aud);  /* one sleeper, the others are left to it */
void bbi_audience_nudge(struct bbi_audience *aud); /* half of the room is used up */

/* Sleepers among those who want what was published; R5: read after the tail was stored. */
static inline uint64_t
bbi_audience_asleep(const struct bbi_audience *aud)
{
    uint64_t asleep = 0;
    for (uint32_t w = 0; w < aud->words; w++) {
        if (aud->wake.words[w] != 0) {
            asleep |= bbi_load_seq_cst(&aud->at->bus->sleepers[w].v) & aud->wake.words[w];
        }
    }
    return asleep;
}

/*
 * bbi_audience_flush - announce the tail, look at epochs, wake at most one sleeper.  R5.
 *
 * What was noted stays: the caller says bbi_audience_forget_noted() unless it will be the same again.
 */
static inline void
bbi_audience_flush(struct bbi_audience *aud)
{
    struct bbi_writer *w = aud->writer;
    if (bbi_writer_is_flushed(w)) {
        return;
    }
    aud->tail_before = w->flushed_seq;
    bbi_writer_flush(w);
    uint64_t epoch = bbi_load_seq_cst(&aud->at->bus->sub_epoch.v); /* R5: after our tail */
    if (BBI_UNLIKELY(epoch != aud->epoch || aud->pending != 0)) {
        bbi_audience_look(aud);
    }
    if (BBI_UNLIKELY(bbi_audience_asleep(aud) != 0)) {
        bbi_audience_wake(aud);
    }
    if (BBI_UNLIKELY(w->n >= aud->nudge_seq || w->pos >= aud->nudge_pos)) {
        bbi_audience_nudge(aud);
    }
}

/*
 * bbi_audience_announce - as a flush, but wakes nobody for what was published: whoever owes that says bbi_audience_wake() to
 * bbi_audience_asleep() later, before it forgets whom it noted.
 */
void bbi_audience_announce(struct bbi_audience *aud);

static inline void
bbi_audience_forget_noted(struct bbi_audience *aud)
{
    aud->wake = (struct bbi_mask){{0}};
}

/*
 * bbi_audience_make_room - a claim of bytes met a reliable cursor: look again, wait or evict, by policy.
 *
 * Returns   0 claim again; BB_EAGAIN refused (FAIL, or BLOCK_FAIL and the time is over).
 */
BB_MUST_USE int bbi_audience_make_room(struct bbi_audience *aud, uint64_t bytes);

/* bbi_audience_headroom - payload bytes until the slowest reliable subscriber is in the way. */
uint64_t bbi_audience_headroom(struct bbi_audience *aud);
/* bbi_audience_headroom_msgs - the same in messages. */
uint64_t bbi_audience_headroom_msgs(struct bbi_audience *aud);

#endif
