/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/given.c - what the caller holds of the last poll: until it is released, and whether it is whole.
 *
 * The messages of one visit form a run.  Positions rise within a run, so when its first message is whole all
 * are; only then are they looked at one by one when it is not.
 */
#include "lib/endpoint/for_cluster.h"
#include "lib/endpoint/subscriber_impl.h"
#include <stdlib.h>
#include <string.h>

int
bbi_given_reserve(struct bb_subscriber *sub, size_t max)
{
    if (max <= sub->given_capacity) {
        return 0;
    }
    uint64_t *pos = realloc(sub->given_pos, max * sizeof(*pos));
    if (pos == NULL) {
        return BB_ENOMEM;
    }
    sub->given_pos = pos;
    struct bbi_run *runs = realloc(sub->runs, max * sizeof(*runs));
    if (runs == NULL) {
        return BB_ENOMEM;
    }
    sub->runs = runs;
    sub->given_capacity = max;
    return 0;
}

void
bbi_given_free(struct bb_subscriber *sub)
{
    bbi_given_drop_told(sub);
    free(sub->given_pos);
    free(sub->runs);
    free(sub->arena);
}

/* Statuses that the caller has seen. */
void
bbi_given_drop_told(struct bb_subscriber *sub)
{
    while (sub->told != NULL) {
        struct bbi_event *next = sub->told->next;
        free(sub->told);
        sub->told = next;
    }
}

/* Stands for the position of a message that was copied whole: nothing that happens to the view matters any more. */
#define COPIED_POS UINT64_MAX

/* How many of a run whose first message is no longer whole were overwritten; they count as lost instead. */
static int
count_overwritten(const struct bb_subscriber *sub, const struct bbi_run *run)
{
    struct bbi_source *src = run->source;
    int overwritten = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        uint64_t pos = sub->given_pos[run->first + i];
        overwritten += pos != COPIED_POS && !bbi_reader_is_whole(&src->reader, pos);
    }
    src->delivered -= (uint64_t)overwritten;
    src->reader.lost += (uint64_t)overwritten; /* their topics were wanted: no sorting */
    src->lost_before += (uint64_t)overwritten;
    return overwritten;
}

static int
settle_run(struct bb_subscriber *sub, const struct bbi_run *run)
{
    struct bbi_source *src = run->source;
    int overwritten = 0;
    src->refs -= run->count;
    if (sub->is_copying) {
        return 0;
    }
    uint64_t first = sub->given_pos[run->first];
    if (BBI_UNLIKELY(first == COPIED_POS || !bbi_reader_is_whole(&src->reader, first))) {
        overwritten = count_overwritten(sub, run);
    }
    if (src->refs == 0) {
        bbi_source_publish_cursor(sub, src, src->is_drained);
    }
    return overwritten;
}

int
bbi_given_settle(struct bb_subscriber *sub)
{
    int overwritten = 0;
    bbi_fence_acquire(); /* R2: what the caller read is read by now */
    for (uint32_t i = 0; i < sub->run_count; i++) {
        overwritten += settle_run(sub, &sub->runs[i]);
    }
    sub->arena_used = 0;
    sub->origin_end = 0;
    sub->run_count = 0;
    sub->given_count = 0;
    sub->given_bytes = 0;
    if (BBI_UNLIKELY(sub->told != NULL)) {
        bbi_given_drop_told(sub);
    }
    return overwritten;
}

int
bb_release(struct bb_subscriber *sub)
{
    if (bbi_is_forked(sub->fork_gen)) {
        return BB_EFORKED;
    }
    if (bbi_is_dispatching(sub)) {
        return BB_EBUSY;
    }
    int overwritten = bbi_given_settle(sub);
    sub->held_at = sub->held_count = 0;
    return overwritten;
}

/* The message of this run whose payload holds data: the last one that begins at or before it. */
static bool
find_given(const struct bb_subscriber *sub,
           const struct bbi_run *run,
           const unsigned char *data,
           uint64_t **pos)
{
    const struct bbi_ring_map *m = &run->source->reader.map;
    uintptr_t best = m->max_msg + 1;
    for (uint32_t i = 0; i < run->count; i++) {
        uint64_t *at = &sub->given_pos[run->first + i];
        uintptr_t off = (uintptr_t)data - (uintptr_t)(m->pay + (*at & m->pay_mask));
        if (*at != COPIED_POS && off < best) { /* behind the data is far above, unsigned */
            best = off;
            *pos = at;
        }
    }
    return best <= m->max_msg;
}

/* Of a message from elsewhere, ring is a number over there: so its bytes say whose it is. */
static bool
is_in_ring_of(const struct bbi_source *src, const struct bb_msg *msg)
{
    const struct bbi_ring_map *m = &src->reader.map;
    return (uintptr_t)msg->data - (uintptr_t)m->pay <= m->pay_bytes; /* behind an empty one, too */
}

/* Where the position of this message of the last poll is kept; NULL: it is none, or was copied. */
static uint64_t *
given_of(const struct bb_subscriber *sub, const struct bb_msg *msg, struct bbi_source **source)
{
    uint64_t *pos = NULL;
    for (uint32_t i = 0; i < sub->run_count; i++) {
        const struct bbi_run *run = &sub->runs[i];
        if (is_in_ring_of(run->source, msg) && find_given(sub, run, msg->data, &pos)) {
            *source = run->source;
            return pos;
        }
    }
    return NULL;
}

int
bb_msg_valid(const struct bb_subscriber *sub, const struct bb_msg *msg)
{
    struct bbi_source *source;
    if (bbi_is_forked(sub->fork_gen)) {
        return 0;
    }
    if (sub->is_copying || msg->status != NULL || (msg->attr & BBI_MSG_COPIED) != 0) {
        return 1;
    }
    bbi_fence_acquire(); /* R2 */
    const uint64_t *pos = given_of(sub, msg, &source);
    return pos != NULL ? bbi_reader_is_whole(&source->reader, *pos) : 0;
}

bool
bbi_msg_was_copied(struct bb_subscriber *sub, const struct bb_msg *msg)
{
    struct bbi_source *source;
    if (sub->is_copying || msg->status != NULL || (msg->attr & BBI_MSG_COPIED) != 0) {
        return true;
    }
    bbi_fence_acquire(); /* R2: what was copied is copied by now */
    uint64_t *pos = given_of(sub, msg, &source);
    if (pos == NULL || !bbi_reader_is_whole(&source->reader, *pos)) {
        return false;
    }
    *pos = COPIED_POS;
    return true;
}
