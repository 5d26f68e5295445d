/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shm/join.h - a subscriber's side of one ring: join it lossy or reliable, publish its cursor, leave.
 *
 * Joining reliably, in this order:
 *   1  cursor = tail, mode, generation, key of the ring
 *   2  sub_epoch += 1, then a barrier in every publisher
 *   3  the tail again: that is where we begin
 * A publisher that missed the bump had shown us its tail of that flush; until its next look it can write a
 * batch, which is less than what would reach that far.  So nothing at or after the start is overwritten.
 * Source     R4, R5, R9 in docs/memory-model.md; model join.
 */
#ifndef BUSBAR_SHM_JOIN_H
#define BUSBAR_SHM_JOIN_H

#include "shm/attach.h"
#include "shm/ring_read.h"

struct bbi_join {
    struct bbi_bus *bus;
    struct bbi_sub *sub; /* our own file, writable */
    struct bbi_ring *ring;
    uint32_t ring_index, sub_index;
    uint64_t ring_key;
    uint32_t gen;       /* of this join; never 0, top bit clear */
    uint32_t mark;      /* what a publisher that gave us up before we joined writes instead */
    uint64_t published; /* the cursor that publishers see */
    bool is_reliable;
};

/* bbi_join_begin - lossy: only says that we read it.  reliable: steps 1 and 2, and then seeks the reader. */
void bbi_join_begin(
    struct bbi_join *j, struct bbi_reader *r, bool reliable, enum bbi_seek seek, uint64_t last);

/* bbi_join_publish - publishers may now overwrite everything before cursor; wakes one that is blocked. */
void bbi_join_publish(struct bbi_join *j, uint64_t cursor);

/*
 * bbi_join_evicted - 1 if the publisher gave this join up (enum bbi_evict_why in *why), else 0.  Acquire, R4.
 */
int bbi_join_evicted(const struct bbi_join *j, uint32_t *why);

/* bbi_join_again - after an eviction: a new generation at the reader's cursor; what is gone is found by laps. */
void bbi_join_again(struct bbi_join *j, const struct bbi_reader *r);

/* bbi_join_end - we do not read it any more. */
void bbi_join_end(struct bbi_join *j);

#endif
