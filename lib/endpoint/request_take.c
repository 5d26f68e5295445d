/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/request_take.c - a message with an address, out of a ring: is it for us?
 *
 * The address is copied before it is believed, with the topic behind it, and stays in the arena in front of
 * the message's topic: so nobody can change what bb_msg_request() and bb_msg_reply() read.
 */
#include "lib/endpoint/request_impl.h"

static bool
is_tap(const struct bb_subscriber *sub)
{
    return !sub->is_registered;
}

/* A tap sees everything that has a topic of its taste; a reply has the empty one. */
static bool
is_for_us(const struct bb_subscriber *sub, const struct bbi_address *a, const char *topic)
{
    bool is_reply = a->kind == BBI_TO_REPLY;
    if (a->kind < BBI_TO_REQUEST || a->kind > BBI_TO_NODE) {
        return false;
    }
    if (is_reply && !is_tap(sub)) {
        return a->sub_key == sub->file.key;
    }
    bool is_to_all = a->kind == BBI_TO_REQUEST && a->to_node == 0;
    return (is_to_all || is_tap(sub) || a->to_node == sub->ep->id)
           && bbi_subscriber_wants(sub, topic, a->topic_bytes);
}

static uint32_t
mark_of(uint32_t kind)
{
    return kind == BBI_TO_REQUEST ? BBI_MSG_REQUEST
           : kind == BBI_TO_REPLY ? BBI_MSG_REPLY
                                  : BBI_MSG_DIRECT;
}

/* A reply to a request that has ended, or never was. */
static bool
is_late(struct bb_subscriber *sub, const struct bbi_address *a)
{
    if (a->kind != BBI_TO_REPLY || is_tap(sub) || bbi_requests_find(sub, a->id) != NULL) {
        return false;
    }
    if (sub->requests != NULL) {
        sub->requests->late++;
    }
    return true;
}

/* Who answers says which subscriber of its was asked; a reply has the topic of its request. */
static void
fill_letter(const struct bb_subscriber *sub, struct bbi_letter *letter, char *topic)
{
    struct bbi_address *a = &letter->address;
    const struct bbi_pending *p = a->kind == BBI_TO_REPLY ? bbi_requests_find(sub, a->id) : NULL;
    letter->reply = (struct bb_reply_info){.id = a->id};
    if (a->kind == BBI_TO_REQUEST && !is_tap(sub)) {
        a->asked_key = sub->file.key;
        a->asked_index = sub->file.index;
    } else if (p != NULL) {
        memcpy(topic, p->topic, p->topic_bytes);
        a->topic_bytes = p->topic_bytes;
    }
}

int
bbi_address_take(struct bb_subscriber *sub,
                 struct bbi_source *src,
                 struct bbi_item *item,
                 struct bb_msg *msg)
{
    struct bbi_letter *letter = (void *)(sub->arena + sub->arena_used);
    struct bbi_address *a = &letter->address;
    char *topic = (char *)(letter + 1);
    bool has_address = item->bytes >= sizeof(*a);
    if (has_address) {
        bbi_copy_racy(a, item->data, sizeof(*a));
    }
    uint64_t head = sizeof(*a) + bbi_align_up(has_address ? a->topic_bytes : 0, 8);
    bool fits = has_address && a->topic_bytes <= BB_TOPIC_MAX && head <= item->bytes;
    if (fits) {
        bbi_copy_racy(topic, item->data + sizeof(*a), a->topic_bytes);
    }
    if (!bbi_reader_is_whole(&src->reader, item->pos)) { /* R2: before it is believed */
        return BB_EOVERRUN;
    }
    if (!fits || !is_for_us(sub, a, topic) || is_late(sub, a)) {
        return 0;
    }
    fill_letter(sub, letter, topic);
    sub->arena_used += sizeof(*letter) + bbi_align_up(a->topic_bytes, 8);
    msg->topic = topic;
    msg->topic_bytes = a->topic_bytes;
    item->data += head;
    item->bytes -= (uint32_t)head;
    item->attr |= mark_of(a->kind);
    return 1;
}

void
bbi_address_given(struct bb_subscriber *sub, const struct bb_msg *msg)
{
    struct bbi_letter *letter = bbi_letter_of(msg);
    const struct bbi_address *a = &letter->address;
    struct bb_reply_info *info = &letter->reply;
    struct bbi_pending *p = bbi_requests_find(sub, a->id);
    if (a->kind != BBI_TO_REPLY) {
        return;
    }
    info->code = (a->flags & BBI_REPLY_IS_ERROR) != 0 ? a->code : 0;
    info->has_more = (a->flags & BBI_REPLY_HAS_MORE) != 0;
    if (p == NULL) { /* a tap */
        return;
    }
    struct bbi_asked *by = bbi_asked_find(sub->requests, a->asked_index, a->asked_key);
    p->info.replies++;
    p->info.answers += !info->has_more && bbi_requests_is_new(sub, p, by);
    info->replies = p->info.replies;
    info->answers = p->info.answers;
    info->asked = p->info.asked;
    if (!info->has_more) {
        bbi_requests_answered(sub, p, by);
    }
}

int
bb_msg_request(const struct bb_msg *msg, struct bb_request_info *out)
{
    if (msg->status != NULL || (msg->attr & BBI_MSG_REQUEST) == 0) {
        return BB_ENOENT;
    }
    const struct bbi_address *a = &bbi_letter_of(msg)->address;
    *out = (struct bb_request_info){
        .id = a->id,
        .node_id = msg->node_id,
        .deadline_ns = a->deadline_ns,
        .opaque = {a->sub_key, a->asked_key, (uint64_t)a->asked_index << 32 | a->sub_index},
    };
    return 0;
}

int
bb_msg_reply(const struct bb_msg *msg, struct bb_reply_info *out)
{
    if (msg->status != NULL) {
        if (msg->status->kind != BB_STATUS_REPLIES) {
            return BB_ENOENT;
        }
        const struct bbi_pending *p =
            (const void *)((const char *)msg->status - offsetof(struct bbi_event, status));
        *out = p->info;
        return 0;
    }
    if ((msg->attr & BBI_MSG_REPLY) == 0) {
        return BB_ENOENT;
    }
    *out = bbi_letter_of(msg)->reply;
    return 0;
}

int
bb_msg_is_direct(const struct bb_msg *msg)
{
    return msg->status == NULL && (msg->attr & BBI_MSG_DIRECT) != 0;
}
