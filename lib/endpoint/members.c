/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/members.c - a subscriber's view of the members: joined, left, died.
 *
 * `joined` is told before the first message of a member, `left` and `died` after its last: an ending waits
 * until no ring of that member is read any more.  Each is told once: a member is a slot and its generation.
 */
#include "lib/endpoint/subscriber_impl.h"
#include "shm/os.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bbi_event *
bbi_event_add(struct bb_subscriber *sub,
              uint32_t kind,
              const char *name,
              uint64_t id,
              uint32_t role,
              int64_t pid,
              uint64_t count)
{
    if ((sub->flags & BB_SUBSCRIBER_STATUS) == 0) {
        return NULL;
    }
    struct bbi_event *ev = calloc(1, sizeof(*ev));
    if (ev == NULL) {
        return NULL; /* the counters still say it */
    }
    ev->status = (struct bb_status){.kind = kind, .role = role, .count = count, .pid = pid};
    ev->node_id = id;
    (void)snprintf(ev->name, sizeof(ev->name), "%s", name);
    bbi_event_queue(sub, ev);
    return ev;
}

void
bbi_event_queue(struct bb_subscriber *sub, struct bbi_event *ev)
{
    ev->next = NULL;
    *sub->events_end = ev;
    sub->events_end = &ev->next;
}

static void
tell(struct bb_subscriber *sub, const struct bbi_known *k, uint32_t kind)
{
    (void)bbi_event_add(sub, kind, k->name, bbi_node_id(k->slot, k->gen), k->role, k->pid, 0);
}

static struct bbi_known *
find(struct bb_subscriber *sub, uint32_t slot, uint32_t gen)
{
    for (struct bbi_known *k = sub->known; k != NULL; k = k->next) {
        if (k->slot == slot && k->gen == gen) {
            return k;
        }
    }
    return NULL;
}

static bool
is_ourselves(const struct bb_subscriber *sub, uint32_t slot, uint32_t gen)
{
    return slot == sub->at->member && gen == sub->at->member_gen;
}

static struct bbi_known *
add(struct bb_subscriber *sub, uint32_t slot, const struct bbi_member_view *v)
{
    struct bbi_known *k = calloc(1, sizeof(*k));
    if (k == NULL) {
        return NULL;
    }
    *k = (struct bbi_known){
        .next = sub->known, .slot = slot, .gen = v->gen, .role = v->role, .pid = v->pid};
    memcpy(k->name, v->name, sizeof(k->name));
    sub->known = k;
    return k;
}

static struct bbi_known *
add_and_tell(struct bb_subscriber *sub, uint32_t slot, const struct bbi_member_view *v)
{
    struct bbi_known *k = add(sub, slot, v);
    if (k != NULL) {
        tell(sub, k, BB_STATUS_JOINED);
    }
    return k;
}

static uint32_t
ending_of(uint32_t state)
{
    return state == BBI_MEMBER_LEFT   ? BB_STATUS_LEFT
           : state == BBI_MEMBER_DIED ? BB_STATUS_DIED
                                      : 0;
}

struct bbi_known *
bbi_members_learn(struct bb_subscriber *sub, uint32_t slot, uint32_t gen)
{
    struct bbi_known *k = find(sub, slot, gen);
    struct bbi_member_view v;
    if (k == NULL && !is_ourselves(sub, slot, gen)
        && bbi_member_read(&sub->at->bus->members[slot], &v) && v.gen == gen) {
        k = add_and_tell(sub, slot, &v);
    }
    return k;
}

static void
look_at_slot(struct bb_subscriber *sub, uint32_t slot, const struct bbi_member_view *v)
{
    struct bbi_known *k = find(sub, slot, v->gen);
    uint32_t ending = ending_of(v->state);
    for (struct bbi_known *old = sub->known; old != NULL; old = old->next) {
        if (old->slot == slot && old->gen != v->gen && old->ending == 0) {
            old->ending = ending_of(v->prev_end); /* its slot has a new owner already */
        }
    }
    if (k == NULL && ending != 0 && !sub->is_started) {
        k = add(sub, slot, v); /* went before we came: nothing to tell */
        if (k != NULL) {
            k->is_over = true;
        }
    } else if (k == NULL) {
        k = add_and_tell(sub, slot, v);
    }
    if (k != NULL && k->ending == 0) {
        k->ending = ending;
    }
}

void
bbi_members_discover(struct bb_subscriber *sub)
{
    for (uint32_t i = 0; i < BBI_MEMBERS; i++) {
        const struct bbi_member *m = &sub->at->bus->members[i];
        struct bbi_member_view v;
        if (bbi_load_relaxed(&m->gen) == 0 || !bbi_member_read(m, &v)
            || is_ourselves(sub, i, v.gen)) {
            continue; /* never used, or being filled: member_epoch will move again */
        }
        look_at_slot(sub, i, &v);
    }
}

static bool
has_rings(const struct bb_subscriber *sub, const struct bbi_known *k)
{
    for (const struct bbi_source *s = sub->sources; s != NULL; s = s->next) {
        if (s->member == k->slot && s->member_gen == k->gen && s->has_joined) {
            return true;
        }
    }
    return false;
}

bool
bbi_members_finish(struct bb_subscriber *sub)
{
    bool is_waiting = false;
    for (struct bbi_known **p = &sub->known; *p != NULL;) {
        struct bbi_known *k = *p;
        if (k->ending != 0 && !k->is_over && !has_rings(sub, k)) {
            tell(sub, k, k->ending);
            k->is_over = true;
        }
        is_waiting = is_waiting || (k->ending != 0 && !k->is_over);
        /* Kept while the slot still names it, so that it is not told of again. */
        if (k->is_over && bbi_load_acquire(&sub->at->bus->members[k->slot].gen) != k->gen) {
            *p = k->next;
            free(k);
        } else {
            p = &k->next;
        }
    }
    return is_waiting;
}

void
bbi_members_look_for_dead(struct bb_subscriber *sub)
{
    for (struct bbi_known *k = sub->known; k != NULL; k = k->next) {
        if (k->ending == 0 && !bbi_is_alive(sub->at, BBI_LOCK_MEMBER + k->slot)) {
            struct bbi_member_view v;
            bool same = bbi_member_read(&sub->at->bus->members[k->slot], &v) && v.gen == k->gen;
            sub->must_finish |= BBI_FINISH_ENDED;
            k->ending = same && v.state == BBI_MEMBER_LEFT ? BB_STATUS_LEFT : BB_STATUS_DIED;
        }
    }
    for (struct bbi_source *s = sub->sources; s != NULL; s = s->next) {
        if (!s->has_ended && !bbi_is_alive(sub->at, BBI_LOCK_RING + s->index)) {
            bbi_source_end(sub, s);
        }
    }
}

void
bbi_members_look_again(struct bb_subscriber *sub)
{
    for (struct bbi_known *k = sub->known; k != NULL; k = k->next) {
        const struct bbi_member *m = &sub->at->bus->members[k->slot];
        uint32_t state = bbi_load_acquire(&m->state); /* R8 */
        bool is_same = bbi_load_acquire(&m->gen) == k->gen && state != BBI_MEMBER_FREE;
        if (k->ending == 0 && (!is_same || state != BBI_MEMBER_ACTIVE)) {
            k->ending = ending_of(is_same ? state : bbi_load_relaxed(&m->prev_end));
            sub->must_discover = true;
        }
    }
}

void
bbi_members_free(struct bb_subscriber *sub)
{
    while (sub->known != NULL) {
        struct bbi_known *k = sub->known;
        sub->known = k->next;
        free(k);
    }
    while (sub->events != NULL) {
        struct bbi_event *ev = sub->events;
        sub->events = ev->next;
        free(ev);
    }
    sub->events_end = &sub->events;
}
