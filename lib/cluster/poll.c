/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/poll.c - messages and changes of membership, in one order.
 *
 * Changes are applied strictly in the order of the roll.  An UP is applied when it is the next one, and before
 * anything of that node is handed out: a node appends its UP before it publishes, so whoever has a first message
 * in hand reads the roll and finds it.  A DOWN is applied when the subscriber is past that node: its rings are
 * read to their end.  So a DOWN may have to wait, for our own reading only, and the changes behind it with it.
 * Messages of nodes whose UP stands among those are held back: copied, and given right after their UP.
 *
 *   bb_poll() ──► held back? ──► a part's? ──► the caller's array ──► or `ready`, for the next call
 *                     ▲                             ▲
 *   roll ──► pending ─┴── applied: UP, IN, DOWN ────┘
 *
 * Messages stay where bb_poll() put them, in the caller's array, as long as everything fits; what has to make
 * room for a status is copied.
 */
#include "lib/cluster/cluster_impl.h"
#include "shm/os.h"
#include <stdlib.h>
#include <string.h>

enum {
    MOST_ROUNDS = 4096
}; /* of messages that are not for the application, without a look at the time */
static const int64_t GONE_EVERY_NS = 250000000; /* looks for nodes that went without a word */
static const int64_t BLOCKED_WAIT_NS = 1000000; /* while a DOWN waits for our reading */

/* Where messages go: the caller's array, up to room. */
struct out {
    struct bb_msg *msgs;
    size_t n;
    size_t room;
    int came; /* of the last bb_poll(): what was ours is not given */
};

/* ---- lists ---- */

void
bbi_items_init(struct bbi_items *list)
{
    *list = (struct bbi_items){.end = &list->first};
}

void
bbi_items_add(struct bbi_items *list, struct bbi_item *item)
{
    item->next = NULL;
    *list->end = item;
    list->end = &item->next;
}

static struct bbi_item *
take_first(struct bbi_items *list)
{
    struct bbi_item *item = list->first;
    list->first = item->next;
    if (list->first == NULL) {
        list->end = &list->first;
    }
    return item;
}

void
bbi_items_free(struct bbi_items *list)
{
    while (list->first != NULL) {
        struct bbi_item *item = take_first(list);
        free(item->copy);
        free(item);
    }
    list->end = &list->first;
}

static int
keep_copy(struct bbi_items *list, const struct bb_msg *msg)
{
    struct bbi_item *item = calloc(1, sizeof(*item));
    if (item != NULL) {
        item->copy = bbi_msg_copy(msg, &item->msg);
    }
    if (item == NULL || item->copy == NULL) {
        free(item);
        return BB_ENOMEM;
    }
    bbi_items_add(list, item);
    return 0;
}

/*
 * Of a view that was overwritten meanwhile the copy is as void as the view: it is handed out all the same, in its
 * place, and bb_msg_valid() says so.  It counts as lost when the subscriber is polled again.
 */
static void
keep_in_order(struct bb_cluster *c, struct bbi_items *list, const struct bb_msg *msg)
{
    struct bbi_items one;
    bbi_items_init(&one);
    if (keep_copy(&one, msg) < 0) {
        c->is_out_of_memory = true; /* the caller is told */
        return;
    }
    if (!bbi_msg_was_copied(c->sub, msg)) {
        one.first->msg.attr &= ~(uint32_t)BBI_MSG_COPIED;
    }
    bbi_items_add(list, one.first);
}

int
bbi_deliver_to_self(struct bb_cluster *c,
                    const char *topic,
                    size_t topic_bytes,
                    const void *data,
                    size_t bytes,
                    uint32_t attr)
{
    size_t size = topic_bytes + bytes;
    if ((attr & BB_BRIDGED) != 0) {
        return BB_EINVAL;
    }
    if (c->self_bytes > 0 && size > BBI_SELF_MOST_BYTES - c->self_bytes) {
        return BB_EAGAIN;
    }
    const struct bb_msg msg = {.topic = topic,
                               .topic_bytes = topic_bytes,
                               .data = data,
                               .bytes = bytes,
                               .node = c->name,
                               .node_id = c->id,
                               .wall_ns = bbi_os_wall_ns(),
                               .attr = attr & 0xffff,
                               .ring = UINT32_MAX};
    int rc = keep_copy(&c->ready, &msg);
    if (rc == 0) {
        c->self_bytes += size;
        bbi_subscriber_poke(c->sub);
    }
    return rc;
}

/* What is ready goes first, as far as there is room. */
static void
give_ready(struct bb_cluster *c, struct out *out)
{
    while (c->ready.first != NULL && out->n < out->room) {
        struct bbi_item *item = take_first(&c->ready);
        out->msgs[out->n++] = item->msg;
        if (item->msg.ring == UINT32_MAX && item->msg.node_id == c->id) {
            c->self_bytes -= item->msg.topic_bytes + item->msg.bytes;
        }
        bbi_items_add(&c->told, item);
    }
}

/* ---- what is not for the application ---- */

static bool
is_for_parts(const struct bb_msg *msg)
{
    return (msg->attr & BB_KIND_MASK) == BB_CONTROL || (msg->attr & BBI_MSG_PERSONAL) != 0;
}

static bool
is_taken(struct bb_cluster *c, const struct bb_msg *msg)
{
    for (struct bbi_part *p = c->parts; p != NULL; p = p->next) {
        if (p->message != NULL && p->message(p, c, msg) != 0) {
            return true;
        }
    }
    return false;
}

static bool
is_call_to_look(const struct bb_cluster *c, const struct bb_msg *msg)
{
    return (msg->attr & BB_KIND_MASK) == BB_CONTROL && msg->topic_bytes == c->prefix_bytes + 4
           && memcmp(msg->topic, c->prefix, c->prefix_bytes) == 0
           && memcmp(msg->topic + c->prefix_bytes, "roll", 4) == 0;
}

/* ---- changes ---- */

/* Its UP was applied: what it said meanwhile, in its order. */
static void
release_held(struct bb_cluster *c, uint64_t id)
{
    struct bbi_items rest;
    bbi_items_init(&rest);
    while (c->held.first != NULL) {
        struct bbi_item *item = take_first(&c->held);
        bool is_its = item->msg.node_id == id;
        if (is_its && is_for_parts(&item->msg)
            && (is_call_to_look(c, &item->msg) || is_taken(c, &item->msg))) {
            free(item->copy);
            free(item);
        } else {
            bbi_items_add(is_its ? &c->ready : &rest, item);
        }
    }
    bbi_items_init(&c->held);
    while (rest.first != NULL) {
        bbi_items_add(&c->held, take_first(&rest));
    }
}

static bool
may_apply(struct bb_cluster *c, const struct bbi_change *change)
{
    return change->kind != BBI_ROLL_DOWN || change->id == c->id
           || bbi_subscriber_is_past(c->sub, change->id);
}

/* The peer has no message left: its entry goes, unless it is up again by what was read. */
static void
end_peer(struct bb_cluster *c, struct bbi_peer *peer)
{
    if (!peer->is_up) {
        bbi_peer_remove(c, peer);
    }
}

/* Applies what can be, in order; what the application hears of it is in `ready`. */
static void
advance(struct bb_cluster *c)
{
    struct bbi_pending_changes *p = &c->pending;
    while (p->count > 0 && may_apply(c, &p->at[p->first])) {
        struct bbi_change change = p->at[p->first];
        struct bbi_peer *peer = bbi_peer_find(c, change.id);
        p->first = (p->first + 1) % p->capacity;
        p->count--;
        c->epoch = change.epoch + 1;
        if (peer == NULL) {
            continue;
        }
        bbi_node_apply(c, peer, &change);
        if (change.kind == BBI_ROLL_UP) {
            release_held(c, change.id);
        } else if (change.kind == BBI_ROLL_DOWN) {
            end_peer(c, peer);
        }
    }
    if (p->count == 0) {
        c->epoch = c->read_epoch;
    }
}

static void
look_at_roll(struct bb_cluster *c)
{
    bbi_roll_catch_up(c);
    if (c->pending.count > 0) {
        advance(c);
    }
}

/* ---- messages ---- */

/* Somebody's first message: a node has said UP before. */
static struct bbi_peer *
meet(struct bb_cluster *c, uint64_t id)
{
    struct bbi_who who;
    look_at_roll(c);
    struct bbi_peer *peer = bbi_peer_find(c, id);
    if (peer == NULL) {
        peer = bbi_peer_add(c, id);
        if (peer != NULL && bbi_roll_who(&c->roll, id, &who)) {
            peer->state = BBI_PEER_GONE;
        }
    }
    return peer;
}

static void
note_end(struct bb_cluster *c, const struct bb_msg *msg)
{
    struct bbi_peer *peer = bbi_peer_find(c, msg->node_id);
    bool is_node =
        peer != NULL
        && (peer->is_up || peer->state == BBI_PEER_WAITING || peer->state == BBI_PEER_UP);
    if (peer != NULL && !is_node) {
        bbi_peer_remove(c, peer);
    } else if (peer != NULL) {
        (void)bbi_roll_say(c, BBI_ROLL_DOWN, msg->node_id,
                           msg->status->kind == BB_STATUS_LEFT ? 1 : 2);
    }
    look_at_roll(c);
}

/* Into the caller's array when there is room and nothing waits before it. */
static inline void
give(struct bb_cluster *c, struct out *out, const struct bb_msg *msg)
{
    give_ready(c, out);
    if (BBI_LIKELY(c->ready.first == NULL && out->n < out->room)) {
        if (&out->msgs[out->n] != msg) {
            out->msgs[out->n] = *msg;
        }
        out->n++;
    } else {
        keep_in_order(c, &c->ready, msg);
    }
}

static void
take_status(struct bb_cluster *c, struct out *out, const struct bb_msg *msg)
{
    uint32_t kind = msg->status->kind;
    if (kind == BB_STATUS_LEFT || kind == BB_STATUS_DIED) {
        note_end(c, msg);
    } else if (kind == BB_STATUS_JOINED) {
        look_at_roll(c);
    } else if (kind != BB_STATUS_REPLIES || !is_taken(c, msg)) {
        give(c, out, msg);
    }
}

static void
take_unusual(struct bb_cluster *c, struct out *out, const struct bb_msg *msg)
{
    if (msg->status != NULL) {
        take_status(c, out, msg);
    } else if (is_call_to_look(c, msg)) {
        look_at_roll(c);
    } else if (!is_taken(c, msg)) {
        give(c, out, msg);
    }
}

/* From elsewhere: no node of ours, however its publisher is called there.  It waits for nobody's UP, and what the parts
 * of a cluster say to each other over there is not for those here. */
static void
take_bridged(struct bb_cluster *c, struct out *out, const struct bb_msg *msg)
{
    if (!is_for_parts(msg)) {
        give(c, out, msg);
    }
}

static inline void
take(struct bb_cluster *c, struct out *out, const struct bb_msg *msg)
{
    if (BBI_UNLIKELY(msg->status != NULL)) {
        take_status(c, out, msg);
        return;
    }
    if (BBI_UNLIKELY((msg->attr & BB_BRIDGED) != 0)) {
        take_bridged(c, out, msg);
        return;
    }
    struct bbi_peer *peer = bbi_peer_find(c, msg->node_id);
    if (BBI_UNLIKELY(peer == NULL)) {
        peer = meet(c, msg->node_id);
    }
    if (BBI_UNLIKELY(peer != NULL && peer->state == BBI_PEER_GONE)) {
        return;
    }
    if (BBI_UNLIKELY(peer != NULL && peer->state == BBI_PEER_WAITING)) {
        look_at_roll(c);
        peer = bbi_peer_find(c, msg->node_id);
        if (peer != NULL && peer->state == BBI_PEER_WAITING) {
            keep_in_order(c, &c->held, msg);
            return;
        }
    }
    if (BBI_UNLIKELY(is_for_parts(msg))) {
        take_unusual(c, out, msg);
    } else {
        give(c, out, msg);
    }
}

/* Statuses may need the room of messages that are not looked at yet: never more than was looked at. */
static void
take_all(struct bb_cluster *c, struct out *out, size_t n, size_t max)
{
    struct bb_msg *raw = out->msgs;
    for (size_t i = 0; i < n; i++) {
        const struct bb_msg msg = raw[i];
        out->room = i + 1;
        take(c, out, &msg);
    }
    out->room = max;
    give_ready(c, out);
}

/* ---- poll ---- */

/* What is due; when something is due next. */
static int64_t
tick(struct bb_cluster *c)
{
    int64_t now = c->now_ns(), next = INT64_MAX;
    const struct bbi_peer *self = bbi_peer_find(c, c->id);
    if (now - c->looked_ns >= GONE_EVERY_NS) {
        c->looked_ns = now;
        bbi_roll_look_for_gone(c);
    }
    if (self != NULL && self->is_up && !self->is_in && !c->is_draining) {
        int64_t due = c->up_since_ns + c->hold_down_ns;
        if (now >= due) {
            (void)bbi_roll_say(c, BBI_ROLL_IN, c->id, c->weight);
            bbi_roll_wake(c);
        } else {
            next = due;
        }
    }
    for (struct bbi_part *p = c->parts, *after; p != NULL; p = after) {
        after = p->next;
        int64_t due = p->tick != NULL ? p->tick(p, c, now) : INT64_MAX;
        next = due < next ? due : next;
    }
    return next;
}

static int64_t
wait_of(const struct bb_cluster *c, int64_t due, int64_t deadline, int64_t timeout_ns)
{
    if (timeout_ns == 0) {
        return 0;
    }
    int64_t now = c->now_ns();
    int64_t until = deadline < due ? deadline : due;
    int64_t left = until == INT64_MAX ? -1 : until > now ? until - now : 0;
    bool is_blocked = c->pending.count > 0;
    return is_blocked && (left < 0 || left > BLOCKED_WAIT_NS) ? BLOCKED_WAIT_NS : left;
}

static int
say_no_memory(struct bb_cluster *c)
{
    c->is_out_of_memory = false;
    return BB_ENOMEM;
}

/* One round; 0: nothing for the application. */
static int
poll_once(struct bb_cluster *c, struct out *out, size_t max, int64_t deadline, int64_t timeout_ns)
{
    int64_t due = tick(c);
    look_at_roll(c);
    out->room = max;
    out->came = 0;
    give_ready(c, out);
    if (out->n > 0 || c->is_out_of_memory) {
        return out->n > 0 ? (int)out->n : say_no_memory(c);
    }
    int n = bb_poll(c->sub, out->msgs, max, wait_of(c, due, deadline, timeout_ns));
    out->came = n;
    if (n < 0) {
        return n;
    }
    take_all(c, out, (size_t)n, max);
    if (c->pending.count > 0) { /* perhaps that was the last message that a DOWN waited for */
        look_at_roll(c);
        give_ready(c, out);
    }
    return (int)out->n;
}

int
bb_cluster_poll(struct bb_cluster *c, struct bb_msg *msgs, size_t max, int64_t timeout_ns)
{
    if (bbi_endpoint_is_forked(c->ep)) {
        return BB_EFORKED;
    }
    if (max == 0 || max > INT32_MAX) {
        return BB_EINVAL;
    }
    bbi_items_free(&c->told);
    int64_t now = c->now_ns();
    bool is_bounded = timeout_ns >= 0 && timeout_ns < INT64_MAX - now;
    int64_t deadline = is_bounded ? now + timeout_ns : INT64_MAX;
    struct out out = {.msgs = msgs};
    for (int rounds = 0;; rounds++) {
        int n = poll_once(c, &out, max, deadline, timeout_ns);
        if (n == 0 && out.came > 0 && rounds < MOST_ROUNDS) {
            continue; /* all of it was the cluster's own: 0 means that nothing is there */
        }
        if (n != 0 || timeout_ns == 0 || c->now_ns() >= deadline) {
            if (c->ready.first != NULL) {
                bbi_subscriber_poke(c->sub); /* a loop that polls when told to polls again */
            }
            return n;
        }
    }
}
