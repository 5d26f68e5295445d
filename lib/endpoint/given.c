/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/given.c - what the caller holds of the last poll: until it is released, and whether it is whole.
 *
 * What lies side by side is one entry, and the entries of one visit form a run.  Positions rise within a run, so when
 * its first message is whole all are; only when it is not are they looked at one by one.
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
    struct bbi_given *given = realloc(sub->given, max * sizeof(*given));
    if (given == NULL) {
        return BB_ENOMEM;
    }
    sub->given = given;
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
    free(sub->given);
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

static inline bool
was_copied(const struct bbi_given *g, uint32_t i)
{
    return (g->copied >> i & 1) != 0;
}

static inline bool
is_whole(const struct bbi_source *src, const struct bbi_given *g, uint32_t i)
{
    return bbi_reader_is_whole(&src->reader, g->pos + (uint64_t)i * g->stride);
}

/* How many of a run whose first message is no longer whole were overwritten; they count as lost instead. */
static int
count_overwritten(const struct bb_subscriber *sub, const struct bbi_run *run)
{
    struct bbi_source *src = run->source;
    const struct bbi_given *g = sub->given + run->first;
    int overwritten = 0;
    for (const struct bbi_given *end = g + run->count; g != end; g++) {
        for (uint32_t i = 0; i < g->count; i++) {
            overwritten += !was_copied(g, i) && !is_whole(src, g, i);
        }
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
    if (BBI_UNLIKELY(!is_whole(src, &sub->given[run->first], 0))) {
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
    sub->given_messages = 0;
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

/* A message of the last poll. */
struct held {
    struct bbi_source *source;
    struct bbi_given *given; /* NULL: it is none of them */
    uint32_t index;          /* in it */
};

/* The message of this run whose payload holds data: the last one that begins at or before it.  *out has none yet. */
static bool
find_given(const struct bb_subscriber *sub,
           const struct bbi_run *run,
           const unsigned char *data,
           struct held *out)
{
    const struct bbi_ring_map *m = &run->source->reader.map;
    uintptr_t best = m->max_msg + 1;
    for (uint32_t i = 0; i < run->count; i++) {
        struct bbi_given *g = &sub->given[run->first + i];
        uintptr_t off = (uintptr_t)data - (uintptr_t)(m->pay + (g->pos & m->pay_mask));
        uint32_t index = 0;
        if (g->stride != 0 && off < (uintptr_t)g->count * g->stride) {
            index = (uint32_t)(off / g->stride);
            off %= g->stride;
        }
        if (off < best) { /* behind the data is far above, unsigned */
            best = off;
            *out = (struct held){run->source, g, index};
        }
    }
    return out->given != NULL;
}

/* Of a message from elsewhere, ring is a number over there: so its bytes say whose it is. */
static bool
is_in_ring_of(const struct bbi_source *src, const struct bb_msg *msg)
{
    const struct bbi_ring_map *m = &src->reader.map;
    return (uintptr_t)msg->data - (uintptr_t)m->pay <= m->pay_bytes; /* behind an empty one, too */
}

/* This message of the last poll, copied or not; true while the view is whole. */
static bool
find_whole(const struct bb_subscriber *sub, const struct bb_msg *msg, struct held *out)
{
    bbi_fence_acquire(); /* R2: what was read or copied is so by now */
    for (uint32_t i = 0; i < sub->run_count; i++) {
        const struct bbi_run *run = &sub->runs[i];
        if (is_in_ring_of(run->source, msg) && find_given(sub, run, msg->data, out)) {
            return is_whole(out->source, out->given, out->index);
        }
    }
    return false;
}

int
bb_msg_valid(const struct bb_subscriber *sub, const struct bb_msg *msg)
{
    struct held held = {0};
    if (bbi_is_forked(sub->fork_gen)) {
        return 0;
    }
    if (sub->is_copying || msg->status != NULL || (msg->attr & BBI_MSG_COPIED) != 0) {
        return 1;
    }
    return find_whole(sub, msg, &held);
}

bool
bbi_msg_was_copied(struct bb_subscriber *sub, const struct bb_msg *msg)
{
    struct held held = {0};
    if (sub->is_copying || msg->status != NULL || (msg->attr & BBI_MSG_COPIED) != 0) {
        return true;
    }
    if (!find_whole(sub, msg, &held)) {
        return false;
    }
    held.given->copied |= UINT32_C(1) << held.index;
    return true;
}
