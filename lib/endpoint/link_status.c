/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/link_status.c - what happened to a link: out of a ring, and told as a status.
 *
 * The bridge says it in the ring of that link, so it is met between the messages that came before and those that come
 * after.  The visit ends there, and what waits to be told is told before it goes on: the same way as for losses.
 */
#include "lib/endpoint/bridged_impl.h"
#include <stdlib.h>
#include <string.h>

static bool
is_well_formed(const struct bbi_link_head *head, size_t bytes)
{
    return bytes >= sizeof(*head) && bbi_is_link_status(head->kind)
           && head->node_bytes <= BBI_LINK_NODE_MAX && head->text_bytes <= BBI_LINK_TEXT_MAX
           && sizeof(*head) + head->node_bytes + head->text_bytes <= bytes;
}

int
bbi_link_status_take(struct bb_subscriber *sub,
                     const struct bbi_source *src,
                     const struct bbi_item *item)
{
    union {
        struct bbi_link_head head;
        char bytes[BBI_LINK_EVENT_MAX];
    } e = {.head = {.kind = 0}};
    size_t n = bbi_min_u64(item->bytes, sizeof(e));
    bbi_copy_racy(&e, item->data, n);
    if (!bbi_reader_is_whole(&src->reader, item->pos)) { /* R2: before it is believed */
        return BB_EOVERRUN;
    }
    if (!is_well_formed(&e.head, n)) {
        return 0;
    }
    const struct bbi_link_head *head = &e.head;
    const char *words = e.bytes + sizeof(*head);
    struct bbi_link_status *s =
        calloc(1, sizeof(*s) + head->node_bytes + (size_t)head->text_bytes + 2);
    if (s == NULL) {
        return 0; /* as other statuses */
    }
    s->event.status = (struct bb_status){
        .kind = head->kind,
        .count = head->count,
        .uncertain = head->uncertain,
        .bytes = head->bytes,
        .reasons = head->reasons,
    };
    s->node_bytes = head->node_bytes;
    s->text_bytes = head->text_bytes;
    memcpy(s->words, words, head->node_bytes);
    memcpy(s->words + head->node_bytes + 1, words + head->node_bytes, head->text_bytes);
    bbi_event_queue(sub, &s->event);
    return 0;
}

void
bbi_link_status_give(const struct bbi_event *ev, struct bb_msg *msg)
{
    const struct bbi_link_status *s = (const void *)ev;
    msg->node = s->words;
    msg->data = s->words + s->node_bytes + 1;
    msg->bytes = s->text_bytes;
}

void *
bbi_link_status_copy(const struct bb_msg *msg, struct bb_msg *out)
{
    const struct bbi_link_status *s =
        (const void *)((const char *)msg->status - offsetof(struct bbi_event, status));
    struct bbi_link_status *copy = malloc(bbi_link_status_bytes(s));
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, s, bbi_link_status_bytes(s));
    *out = *msg;
    out->status = &copy->event.status;
    bbi_link_status_give(&copy->event, out);
    return copy;
}
