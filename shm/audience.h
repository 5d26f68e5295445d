/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/audience.h - a publisher's view of the subscribers: who wants what, who must be waited for, who sleeps.
 *
 * Used by    the one thread of a publisher, with its writer.
 * Cost       nothing for each message: one load of sub_epoch and of the sleepers that matter at a flush.
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
    uint64_t epoch;       /* sub_epoch at the last look */
    uint64_t nudge_seq;   /* when to look again whether the slowest is asleep */
    uint64_t mask_epoch;  /* rises when any filter changed: cached masks older than this are void */
    uint64_t tail_before; /* our tail at the previous flush */
    struct bbi_mask wake; /* who wants what was published since the last flush */
    struct bbi_mask unmapped; /* listeners that want everything since we cannot know */
    bbi_match_fn match;
    enum bbi_policy policy;
    int64_t block_ns;
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

/* bbi_audience_flush - announce the tail, look at epochs, wake at most one sleeper.  R5. */
void bbi_audience_flush(struct bbi_audience *aud);

/*
 * bbi_audience_make_room - a claim of bytes met a reliable cursor: look again, wait or evict, by policy.
 *
 * Returns   0 claim again; BB_EAGAIN refused (FAIL, or BLOCK_FAIL and the time is over).
 */
BB_MUST_USE int bbi_audience_make_room(struct bbi_audience *aud, uint64_t bytes);

/* bbi_audience_headroom - payload bytes until the slowest reliable subscriber is in the way. */
uint64_t bbi_audience_headroom(struct bbi_audience *aud);

#endif
