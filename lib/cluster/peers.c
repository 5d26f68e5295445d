/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/peers.c - the roll as this process has read it, and how it adds to it.
 *
 * Who appends has read everything before: so it sees whether the change stands there already, and a change is
 * appended once, whoever noticed it first.  A node whose UP is half a roll old is said to be up anew, by anybody,
 * so that who joins late finds everyone in what is left of the roll; who knows of it passes over the second one.
 */
#include "lib/cluster/cluster_impl.h"
#include "shm/os.h"
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 16, RENEW_AFTER = BBI_ROLL_CHANGES / 2 };

/* ---- peers ---- */

static size_t
slot_of(uint64_t id)
{
    return (size_t)(id & 0xffff) % BBI_MEMBERS;
}

struct bbi_peer *
bbi_peer_find(struct bb_cluster *c, uint64_t id)
{
    size_t at = c->hint[slot_of(id)].at;
    if (at < c->peer_count && c->peers[at].id == id) {
        return &c->peers[at];
    }
    for (size_t i = 0; i < c->peer_count; i++) {
        if (c->peers[i].id == id) {
            c->hint[slot_of(id)].at = (uint32_t)i;
            return &c->peers[i];
        }
    }
    return NULL;
}

struct bbi_peer *
bbi_peer_add(struct bb_cluster *c, uint64_t id)
{
    if (c->peer_count == c->peer_capacity) {
        size_t capacity = c->peer_capacity != 0 ? 2 * c->peer_capacity : FIRST_CAPACITY;
        struct bbi_peer *peers = realloc(c->peers, capacity * sizeof(*peers));
        if (peers == NULL) {
            c->is_out_of_memory = true;
            return NULL;
        }
        c->peers = peers;
        c->peer_capacity = capacity;
    }
    struct bbi_peer *peer = &c->peers[c->peer_count++];
    *peer = (struct bbi_peer){.id = id};
    c->hint[slot_of(id)].at = (uint32_t)(c->peer_count - 1);
    return peer;
}

void
bbi_peer_remove(struct bb_cluster *c, struct bbi_peer *peer)
{
    *peer = c->peers[--c->peer_count];
}

/* ---- reading ---- */

static bool
push_pending(struct bb_cluster *c, const struct bbi_change *change)
{
    struct bbi_pending_changes *p = &c->pending;
    if (p->count == p->capacity) {
        size_t capacity = p->capacity != 0 ? 2 * p->capacity : FIRST_CAPACITY;
        struct bbi_change *at = malloc(capacity * sizeof(*at));
        if (at == NULL) {
            c->is_out_of_memory = true;
            return false;
        }
        for (size_t i = 0; i < p->count; i++) {
            at[i] = p->at[(p->first + i) % p->capacity];
        }
        free(p->at);
        *p = (struct bbi_pending_changes){.at = at, .count = p->count, .capacity = capacity};
    }
    p->at[(p->first + p->count++) % p->capacity] = *change;
    return true;
}

static bool
note_up(struct bbi_peer *peer, const struct bbi_change *change)
{
    bool is_news = !peer->is_up;
    peer->is_up = true;
    peer->up_epoch = change->epoch;
    if (is_news) {
        peer->state = peer->was_up ? peer->state : BBI_PEER_WAITING;
        peer->is_in = change->weight != 0; /* said anew, of one that is in */
        peer->in_epoch = change->epoch;
        peer->weight = change->weight;
    }
    return is_news;
}

static bool
note_in(struct bbi_peer *peer, const struct bbi_change *change)
{
    bool is_news = !peer->is_in || peer->weight != change->weight;
    peer->is_in = true;
    peer->in_epoch = change->epoch;
    peer->weight = change->weight;
    return is_news;
}

/* What the roll says of a peer after this change; false: it says nothing new. */
static bool
note(struct bb_cluster *c, const struct bbi_change *change)
{
    struct bbi_peer *peer = bbi_peer_find(c, change->id);
    if (change->kind == BBI_ROLL_UP) {
        if (peer == NULL && !bbi_member_was(bbi_endpoint_at(c->ep), change->id)) {
            return false; /* nonsense */
        }
        peer = peer != NULL ? peer : bbi_peer_add(c, change->id);
        return peer != NULL && note_up(peer, change);
    }
    if (peer == NULL || !peer->is_up) {
        return false; /* of somebody who is not up: a second DOWN, or nonsense */
    }
    if (change->kind == BBI_ROLL_IN) {
        return note_in(peer, change);
    }
    bool was_in = peer->is_in;
    peer->is_in = false;
    if (change->kind == BBI_ROLL_DOWN) {
        peer->is_up = false;
        return true;
    }
    return was_in;
}

/* ---- beginning ---- */

/* Of a roll that is read from its oldest word: a change that still is what holds, or at least a part of it. */
static bool
still_holds(const struct bbi_peer *peer, struct bbi_change *change)
{
    bool is_newest_in = peer->is_in && peer->in_epoch == change->epoch;
    if (!peer->is_up || change->kind == BBI_ROLL_DOWN || change->kind == BBI_ROLL_OUT) {
        return false;
    }
    if (change->kind == BBI_ROLL_IN) {
        return is_newest_in;
    }
    change->weight = is_newest_in ? change->weight : 0;
    return true;
}

static void
drop_what_is_over(struct bb_cluster *c)
{
    struct bbi_pending_changes *p = &c->pending;
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++) {
        struct bbi_change change = p->at[(p->first + i) % p->capacity];
        const struct bbi_peer *peer = bbi_peer_find(c, change.id);
        if (peer != NULL && still_holds(peer, &change)) {
            p->at[(p->first + kept++) % p->capacity] = change;
        }
    }
    p->count = kept;
    for (size_t i = 0; i < c->peer_count;) {
        struct bbi_peer *peer = &c->peers[i];
        if (peer->state == BBI_PEER_WAITING && !peer->is_up && !peer->was_up) {
            bbi_peer_remove(c, peer);
        } else {
            i++;
        }
    }
}

int
bbi_roll_begin(struct bb_cluster *c)
{
    uint64_t end = bbi_roll_end(&c->roll);
    struct bbi_change change;
    uint64_t from = end > BBI_ROLL_CHANGES ? end - BBI_ROLL_CHANGES : 0;
    for (uint64_t e = from; e < end; e++) {
        if (bbi_roll_read(&c->roll, e, &change) > 0 && note(c, &change)
            && !push_pending(c, &change)) {
            return BB_ENOMEM;
        }
    }
    c->read_epoch = end;
    drop_what_is_over(c);
    c->epoch = c->pending.count > 0 ? c->pending.at[c->pending.first].epoch : end;
    return 0;
}

/* Of a node that was up before and is so now: only whether pools use it may have changed. */
static bool
is_news_since(const struct bbi_peer *peer, struct bbi_change *change)
{
    if (!peer->was_up) {
        return true;
    }
    bool is_same = peer->is_in == peer->was_in && peer->weight == peer->weight_was;
    if (is_same || change->epoch != peer->in_epoch) {
        return false;
    }
    change->kind = BBI_ROLL_IN;
    return true;
}

/* What is different now from what was read last, behind what waits. */
static void
push_differences(struct bb_cluster *c, const struct bbi_pending_changes *now, uint64_t was)
{
    for (size_t i = 0; i < c->peer_count; i++) {
        const struct bbi_peer *peer = &c->peers[i];
        struct bbi_change change = {
            .epoch = was, .id = peer->id, .kind = BBI_ROLL_DOWN, .weight = 2};
        bool is_out = peer->is_up && peer->was_in && !peer->is_in;
        change.kind = is_out ? BBI_ROLL_OUT : BBI_ROLL_DOWN;
        if (bbi_member_ending(bbi_endpoint_at(c->ep), peer->id) == BB_STATUS_LEFT) {
            change.weight = 1;
        }
        if (is_out || (peer->was_up && !peer->is_up)) {
            (void)push_pending(c, &change);
        }
    }
    for (size_t i = 0; i < now->count; i++) {
        struct bbi_change change = now->at[(now->first + i) % now->capacity];
        const struct bbi_peer *peer = bbi_peer_find(c, change.id);
        if (peer != NULL && is_news_since(peer, &change)) {
            (void)push_pending(c, &change);
        }
    }
}

/* A whole roll passed while we did not look: what is different is told, and what was in between counted. */
static void
begin_again(struct bb_cluster *c)
{
    struct bbi_pending_changes waiting = c->pending;
    uint64_t was = c->read_epoch, epoch = c->epoch;
    c->pending = (struct bbi_pending_changes){0};
    for (size_t i = 0; i < c->peer_count; i++) {
        struct bbi_peer *peer = &c->peers[i];
        peer->was_up = peer->is_up;
        peer->was_in = peer->is_in;
        peer->weight_was = peer->weight;
        peer->is_up = peer->is_in = false;
    }
    (void)!bbi_roll_begin(c);
    struct bbi_pending_changes now = c->pending;
    c->pending = waiting;
    c->epoch = epoch;
    push_differences(c, &now, was);
    free(now.at);
    for (size_t i = 0; i < c->peer_count; i++) {
        c->peers[i].was_up = false;
    }
    c->lost_changes += c->read_epoch - was;
}

/* Words that no list can have: whoever wrote them is no node of ours. */
static void
give_up(struct bb_cluster *c)
{
    const struct bb_cluster_node roll = {.name = "roll"};
    c->is_corrupt = true;
    bbi_tell(c, BB_STATUS_CORRUPT, &roll, 0);
}

void
bbi_roll_catch_up(struct bb_cluster *c)
{
    struct bbi_change change;
    if (BBI_UNLIKELY(c->is_corrupt)) {
        return;
    }
    int rc = bbi_roll_read(&c->roll, c->read_epoch, &change);
    while (rc > 0) {
        if (note(c, &change) && !push_pending(c, &change)) {
            return;
        }
        c->read_epoch++;
        rc = bbi_roll_read(&c->roll, c->read_epoch, &change);
    }
    if (BBI_UNLIKELY(rc < 0)) {
        begin_again(c);
        if (bbi_roll_read(&c->roll, c->read_epoch, &change) < 0) {
            give_up(c);
        }
    }
}

/* ---- appending ---- */

static bool
is_needed(struct bb_cluster *c, uint32_t kind, uint64_t id, uint32_t weight)
{
    const struct bbi_peer *peer = bbi_peer_find(c, id);
    bool is_up = peer != NULL && peer->is_up;
    switch ((enum bbi_roll_kind)kind) {
    case BBI_ROLL_UP:
        return !is_up || c->read_epoch - peer->up_epoch > RENEW_AFTER;
    case BBI_ROLL_DOWN:
        return is_up;
    case BBI_ROLL_IN:
        return is_up && (!peer->is_in || peer->weight != weight);
    case BBI_ROLL_OUT:
        return is_up && peer->is_in;
    }
    return false;
}

int
bbi_roll_say(struct bb_cluster *c, uint32_t kind, uint64_t id, uint32_t weight)
{
    for (;;) {
        bbi_roll_catch_up(c);
        if (c->is_out_of_memory || c->is_corrupt || !is_needed(c, kind, id, weight)) {
            return c->is_corrupt ? BB_ECORRUPT : c->is_out_of_memory ? BB_ENOMEM : 0;
        }
        const struct bbi_change change = {
            .epoch = c->read_epoch, .id = id, .kind = kind, .weight = weight};
        if (bbi_roll_append(&c->roll, &change)) {
            bbi_roll_catch_up(c);
            return 0;
        }
    }
}

void
bbi_roll_look_for_gone(struct bb_cluster *c)
{
    for (size_t i = 0; i < c->peer_count; i++) {
        uint64_t id = c->peers[i].id;
        if (!c->peers[i].is_up || id == c->id) {
            continue;
        }
        uint32_t ending = bbi_member_ending(bbi_endpoint_at(c->ep), id);
        if (ending != 0) {
            (void)bbi_roll_say(c, BBI_ROLL_DOWN, id, ending == BB_STATUS_LEFT ? 1 : 2);
        }
    }
    for (size_t i = 0; i < c->peer_count; i++) {
        if (c->peers[i].is_up && c->read_epoch - c->peers[i].up_epoch > RENEW_AFTER) {
            const struct bbi_peer *peer = &c->peers[i];
            (void)bbi_roll_say(c, BBI_ROLL_UP, peer->id, peer->is_in ? peer->weight : 0);
        }
    }
}

void
bbi_roll_wake(struct bb_cluster *c)
{
    uint64_t epoch = c->read_epoch;
    if (c->roll_topic != NULL) {
        (void)!bb_publish(c->roll_topic, &epoch, sizeof(epoch), BB_CONTROL);
    }
}
