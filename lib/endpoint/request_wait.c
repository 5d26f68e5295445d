/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/request_wait.c - requests that are open: found by number, by deadline, by who is to answer.
 *
 * They cost a poll nothing while there are none.  While there are, each poll looks at the clock before its
 * sweep; a deadline ends a request only when a sweep began after it, so that an answer that came in time and
 * was not polled in time is still one.
 */
#include "lib/endpoint/request_impl.h"
#include "shm/os.h"
#include <stdlib.h>

enum { FIRST_COUNT = 16 };

/* ---- by number ---- */

static struct bbi_pending **
chain_of(const struct bbi_requests *r, uint64_t id)
{
    return &r->by_id[id & (r->by_id_count - 1)];
}

struct bbi_pending *
bbi_requests_find(const struct bb_subscriber *sub, uint64_t id)
{
    const struct bbi_requests *r = sub->requests;
    struct bbi_pending *p = r != NULL ? *chain_of(r, id) : NULL;
    while (p != NULL && p->info.id != id) {
        p = p->same_hash;
    }
    return p;
}

/* ---- by deadline: a binary heap ---- */

static void
put_at(struct bbi_requests *r, struct bbi_pending *p, uint32_t idx)
{
    r->heap[idx] = p;
    p->heap_idx = idx;
}

static void
sift_up(struct bbi_requests *r, struct bbi_pending *p, uint32_t idx)
{
    while (idx > 0 && p->deadline_ns < r->heap[(idx - 1) / 2]->deadline_ns) {
        put_at(r, r->heap[(idx - 1) / 2], idx);
        idx = (idx - 1) / 2;
    }
    put_at(r, p, idx);
}

static void
sift_down(struct bbi_requests *r, struct bbi_pending *p, uint32_t idx)
{
    for (uint32_t child = 2 * idx + 1; child < r->count; child = 2 * idx + 1) {
        bool is_right =
            child + 1 < r->count && r->heap[child + 1]->deadline_ns < r->heap[child]->deadline_ns;
        child += is_right;
        if (p->deadline_ns <= r->heap[child]->deadline_ns) {
            break;
        }
        put_at(r, r->heap[child], idx);
        idx = child;
    }
    put_at(r, p, idx);
}

/* ---- come and go ---- */

/* Twice as many; both tables have the same size. */
static int
grow(struct bbi_requests *r)
{
    uint32_t count = r->by_id_count != 0 ? r->by_id_count * 2 : FIRST_COUNT;
    struct bbi_pending **heap = realloc(r->heap, count * sizeof(struct bbi_pending *));
    if (heap == NULL) {
        return BB_ENOMEM;
    }
    r->heap = heap;
    struct bbi_pending **by_id = calloc(count, sizeof(struct bbi_pending *));
    if (by_id == NULL) {
        return BB_ENOMEM;
    }
    free(r->by_id);
    r->by_id = by_id;
    r->by_id_count = count;
    for (uint32_t i = 0; i < r->count; i++) {
        struct bbi_pending **chain = chain_of(r, heap[i]->info.id);
        heap[i]->same_hash = *chain;
        *chain = heap[i];
    }
    return 0;
}

int
bbi_requests_reserve(struct bb_subscriber *sub)
{
    if (sub->requests == NULL) {
        struct bbi_requests *r = calloc(1, sizeof(*r));
        if (r == NULL || grow(r) < 0) {
            free(r != NULL ? r->heap : NULL);
            free(r);
            return BB_ENOMEM;
        }
        sub->requests = r;
    }
    return sub->requests->count < sub->requests->by_id_count ? 0 : grow(sub->requests);
}

void
bbi_requests_add(struct bb_subscriber *sub, struct bbi_pending *p)
{
    struct bbi_requests *r = sub->requests;
    struct bbi_pending **chain = chain_of(r, p->info.id);
    p->same_hash = *chain;
    *chain = p;
    for (uint32_t i = 0; i < BBI_ASKED; i++) {
        r->asked[i].open += (uint32_t)(p->awaits[i / 64] >> i % 64 & 1);
    }
    sift_up(r, p, r->count++);
    sub->must_finish |= BBI_FINISH_REQUESTS;
}

/* In no table any more. */
static void
take_out(struct bb_subscriber *sub, struct bbi_pending *p)
{
    struct bbi_requests *r = sub->requests;
    struct bbi_pending **chain = chain_of(r, p->info.id);
    while (*chain != p) {
        chain = &(*chain)->same_hash;
    }
    *chain = p->same_hash;
    for (uint32_t i = 0; i < BBI_ASKED; i++) {
        r->asked[i].open -= (uint32_t)(p->awaits[i / 64] >> i % 64 & 1);
    }
    struct bbi_pending *last = r->heap[--r->count];
    if (last != p) {
        uint32_t idx = p->heap_idx;
        bool is_sooner = idx > 0 && last->deadline_ns < r->heap[(idx - 1) / 2]->deadline_ns;
        if (is_sooner) {
            sift_up(r, last, idx);
        } else {
            sift_down(r, last, idx);
        }
    }
    if (r->count == 0) {
        sub->must_finish &= (uint8_t)~BBI_FINISH_REQUESTS;
    }
}

void
bbi_requests_remove(struct bb_subscriber *sub, struct bbi_pending *p)
{
    take_out(sub, p);
    free(p);
}

void
bbi_requests_free(struct bb_subscriber *sub)
{
    struct bbi_requests *r = sub->requests;
    for (uint32_t i = 0; r != NULL && i < r->count; i++) {
        free(r->heap[i]);
    }
    if (r != NULL) {
        free(r->heap);
        free(r->by_id);
        free(r);
        sub->requests = NULL;
    }
}

/* ---- the end ---- */

/* The request becomes the status that says so; whoever frees that frees it. */
static void
end(struct bb_subscriber *sub, struct bbi_pending *p, int code)
{
    take_out(sub, p);
    p->info.code = code;
    p->info.is_end = 1;
    p->end.status = (struct bb_status){.kind = BB_STATUS_REPLIES, .count = p->info.id};
    bbi_event_queue(sub, &p->end);
}

static void
stop_waiting_for(struct bbi_pending *p, struct bbi_asked *a, uint32_t slot)
{
    p->awaits[slot / 64] &= ~(UINT64_C(1) << slot % 64);
    p->waits--;
    a->open--;
}

static bool
awaits(const struct bbi_pending *p, uint32_t slot)
{
    return (p->awaits[slot / 64] >> slot % 64 & 1) != 0;
}

bool
bbi_requests_is_new(const struct bb_subscriber *sub,
                    const struct bbi_pending *p,
                    const struct bbi_asked *by)
{
    return by == NULL || awaits(p, (uint32_t)(by - sub->requests->asked));
}

void
bbi_requests_answered(struct bb_subscriber *sub, struct bbi_pending *p, struct bbi_asked *by)
{
    uint32_t slot = by != NULL ? (uint32_t)(by - sub->requests->asked) : 0;
    if (by != NULL && awaits(p, slot)) {
        stop_waiting_for(p, by, slot);
    }
    if (p->answers_wanted != 0 && p->info.answers >= p->answers_wanted) {
        end(sub, p, BB_EEND);
    } else if (p->waits == 0) {
        end(sub, p, p->has_lost ? BB_EPEERGONE : BB_EEND);
    }
}

/* All that this one said is read: nobody waits for it any more. */
static void
let_go(struct bb_subscriber *sub, struct bbi_asked *a)
{
    struct bbi_requests *r = sub->requests;
    uint32_t slot = (uint32_t)(a - r->asked);
    for (uint32_t i = 0; i < r->by_id_count && a->open != 0; i++) {
        struct bbi_pending *next;
        for (struct bbi_pending *p = r->by_id[i]; p != NULL; p = next) {
            next = p->same_hash;
            if (awaits(p, slot)) {
                stop_waiting_for(p, a, slot);
                p->has_lost = true;
                if (p->waits == 0) {
                    end(sub, p, BB_EPEERGONE);
                }
            }
        }
    }
    bbi_asked_free(r, a);
}

void
bbi_requests_check(struct bb_subscriber *sub)
{
    struct bbi_requests *r = sub->requests;
    int64_t now = bbi_os_mono_ns();
    while (r->count > 0 && r->heap[0]->deadline_ns <= r->checked_ns) {
        end(sub, r->heap[0], BB_ETIMEDOUT);
    }
    r->checked_ns = now;
    bbi_asked_look(sub, now);
    struct bbi_asked *a;
    while ((a = bbi_asked_next_read(sub)) != NULL) {
        let_go(sub, a);
    }
    sub->must_peek = sub->must_peek || r->gone != 0; /* also what was never announced */
}

int64_t
bbi_requests_next_ns(const struct bb_subscriber *sub)
{
    const struct bbi_requests *r = sub->requests;
    if (r == NULL || r->count == 0) {
        return INT64_MAX;
    }
    return r->gone != 0 ? 0
                        : bbi_min_i64(r->heap[0]->deadline_ns, r->looked_ns + BBI_ASKED_LOOK_NS);
}
