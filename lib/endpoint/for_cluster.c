/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/for_cluster.c - members and messages as the cluster has to see them.
 *
 * When is a member's last message behind us?  Its rings are found by the rows of bus.ctl, so the rows say it:
 * no row of its that we have not read to the end, none of its rings still being drained, its end told.  A slot
 * that has a new owner already is no obstacle: rows name their member with its generation.
 */
#include "lib/endpoint/for_cluster.h"
#include "lib/endpoint/bridged_impl.h"
#include "lib/endpoint/look_impl.h"
#include "lib/endpoint/request_impl.h"
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

static_assert((int)BBI_MSG_PERSONAL == (int)BBI_MSG_ADDRESSED, "the same bits");
static_assert((BBI_MSG_PERSONAL & BBI_MSG_COPIED) == 0, "another bit");

static uint32_t
slot_of(uint64_t node_id)
{
    return (uint32_t)(node_id & 0xffff) % BBI_MEMBERS;
}

static uint32_t
gen_of(uint64_t node_id)
{
    return (uint32_t)(node_id >> 16);
}

const struct bbi_attach *
bbi_endpoint_at(const struct bb_endpoint *ep)
{
    return &ep->at;
}

const struct bbi_attach *
bbi_look_at(const struct bb_look *look)
{
    return &look->at;
}

bool
bbi_endpoint_is_forked(const struct bb_endpoint *ep)
{
    return bbi_is_forked(ep->fork_gen);
}

int
bbi_error_fill(struct bb_error *error, const struct bbi_fault *fault)
{
    return bbi_error_set(error, fault);
}

void
bbi_endpoint_leave(struct bb_endpoint *ep)
{
    while (ep->publishers != NULL) {
        bb_publisher_close(ep->publishers);
    }
    while (ep->subscribers != NULL) {
        bb_subscriber_close(ep->subscribers);
    }
    if (!bbi_is_forked(ep->fork_gen)) {
        bbi_attach_leave(&ep->at);
        bbi_wake_all(ep->at.bus, &ep->waker);
    }
}

bool
bbi_member_was(const struct bbi_attach *at, uint64_t node_id)
{
    uint64_t slot = node_id & 0xffff;
    return slot < BBI_MEMBERS && gen_of(node_id) != 0
           && gen_of(node_id) <= bbi_load_acquire(&at->bus->members[slot].gen); /* R8 */
}

uint32_t
bbi_member_ending(const struct bbi_attach *at, uint64_t node_id)
{
    const struct bbi_member *m = &at->bus->members[slot_of(node_id)];
    uint32_t state = bbi_load_acquire(&m->state); /* R8 */
    uint32_t gen = bbi_load_acquire(&m->gen);
    if (gen == gen_of(node_id) + 1) {
        return bbi_load_acquire(&m->prev_end) == BBI_MEMBER_LEFT ? BB_STATUS_LEFT : BB_STATUS_DIED;
    }
    if (gen != gen_of(node_id)) {
        return BB_STATUS_DIED; /* two owners ago: nobody knows */
    }
    if (state == BBI_MEMBER_LEFT) {
        return BB_STATUS_LEFT;
    }
    bool is_alive =
        state == BBI_MEMBER_ACTIVE && bbi_is_alive(at, BBI_LOCK_MEMBER + slot_of(node_id));
    return is_alive ? 0 : BB_STATUS_DIED;
}

/* Its end is still to be told: it is known and not over, or was not even found yet, or waits in the queue. */
static bool
is_end_owed(const struct bb_subscriber *sub, uint64_t node_id)
{
    const struct bbi_member *m = &sub->at->bus->members[slot_of(node_id)];
    for (const struct bbi_event *ev = sub->events; ev != NULL; ev = ev->next) {
        if (ev->node_id == node_id) {
            return true;
        }
    }
    for (const struct bbi_known *k = sub->known; k != NULL; k = k->next) {
        if (k->slot == slot_of(node_id) && k->gen == gen_of(node_id)) {
            return !k->is_over;
        }
    }
    return bbi_load_acquire(&m->gen) == gen_of(node_id); /* R8 */
}

int
bbi_subscriber_is_past(const struct bb_subscriber *sub, uint64_t node_id)
{
    uint32_t slot = slot_of(node_id), gen = gen_of(node_id);
    if (is_end_owed(sub, node_id)) {
        return 0;
    }
    for (const struct bbi_source *s = sub->sources; s != NULL; s = s->next) {
        if (s->member == slot && s->member_gen == gen) {
            return 0;
        }
    }
    for (uint32_t i = 0; i < BBI_RINGS; i++) {
        const struct bbi_entry *e = &sub->at->bus->rings[i];
        if (bbi_load_relaxed(&e->member) == slot && bbi_load_relaxed(&e->member_gen) == gen
            && bbi_load_acquire(&e->state) != BBI_ENTRY_FREE /* R8 */
            && bbi_load_relaxed(&e->key) != sub->past_keys[i]) {
            return 0;
        }
    }
    return 1;
}

/* The bytes in front of what msg points to that belong to it: a letter, or the request that a status ends. */
static void *
copy_status(const struct bb_msg *msg, struct bb_msg *out)
{
    const size_t off = offsetof(struct bbi_event, status);
    bool is_end = msg->status->kind == BB_STATUS_REPLIES;
    size_t bytes = is_end ? sizeof(struct bbi_pending) : sizeof(struct bbi_event);
    struct bbi_event *copy = calloc(1, bytes);
    if (copy == NULL) {
        return NULL;
    }
    if (is_end) {
        memcpy(copy, (const char *)msg->status - off, bytes);
    } else {
        copy->status = *msg->status;
    }
    size_t n = strnlen(msg->node, sizeof(copy->name) - 1);
    memmove(copy->name, msg->node, n);
    copy->name[n] = '\0';
    *out = *msg;
    out->status = &copy->status;
    out->node = copy->name;
    return copy;
}

void *
bbi_msg_copy(const struct bb_msg *msg, struct bb_msg *out)
{
    if (msg->status != NULL) {
        return bbi_is_link_status(msg->status->kind) ? bbi_link_status_copy(msg, out)
                                                     : copy_status(msg, out);
    }
    size_t front = (msg->attr & BBI_MSG_ADDRESSED) != 0 ? sizeof(struct bbi_letter) : 0;
    size_t topic = bbi_align_up(msg->topic_bytes, 16);
    size_t data = bbi_align_up(msg->bytes, 16);
    /* What is copied with the name: of a message from elsewhere its whole origin, which ends with it. */
    bool is_bridged = (msg->attr & BBI_MSG_ORIGIN) != 0;
    size_t before = is_bridged ? offsetof(struct bbi_origin_copy, names) : 0;
    size_t node = is_bridged ? bbi_origin_copy_bytes(bbi_origin_of(msg)) : strlen(msg->node) + 1;
    unsigned char *copy = malloc(bbi_align_up(front, 16) + topic + data + node);
    if (copy == NULL) {
        return NULL;
    }
    unsigned char *text = copy + bbi_align_up(front, 16);
    memcpy(text - front, msg->topic - front, front + msg->topic_bytes);
    if (msg->bytes > 0) {
        memcpy(text + topic, msg->data, msg->bytes);
    }
    memcpy(text + topic + data, msg->node - before, node);
    *out = *msg;
    out->attr |= BBI_MSG_COPIED;
    out->topic = (const char *)text;
    out->data = text + topic;
    out->node = (const char *)text + topic + data + before;
    return copy;
}

bool
bbi_subscriber_hears(const struct bb_subscriber *sub, const char *topic, size_t bytes)
{
    return bbi_subscriber_wants(sub, topic, bytes);
}

void
bbi_subscriber_poke(struct bb_subscriber *sub)
{
    if (sub->epoll_fd >= 0) {
        sub->is_poked = true;
        (void)eventfd_write(sub->self_fd, 1);
    }
}
