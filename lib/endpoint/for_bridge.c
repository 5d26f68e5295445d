/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/for_bridge.c - messages from elsewhere, and what happened to links, into a ring.
 */
#include "lib/endpoint/for_bridge.h"
#include "busbar/topic.h"
#include "lib/endpoint/bridged_impl.h"
#include "lib/endpoint/publisher_impl.h"
#include "shm/ring.h"
#include <string.h>

/* The head and its names; how long they are together. */
static size_t
write_head(const struct bbi_origin *o, unsigned char *out)
{
    struct bbi_origin_head head = {
        .magic = BBI_ORIGIN_MAGIC,
        .seq = o->seq,
        .wall_ns = o->wall_ns,
        .who = {.epoch = o->epoch,
                .node_id = o->node_id,
                .ring = o->ring,
                .scope = o->scope,
                .ttl = o->ttl,
                .name_bytes = (uint8_t)o->name_bytes,
                .box_name_bytes = (uint8_t)o->box_name_bytes},
    };
    memcpy(head.who.box, o->box, sizeof(head.who.box));
    size_t bytes = bbi_align_up(sizeof(head) + bbi_origin_names_bytes(&head.who), 8);
    head.bytes = (uint32_t)bytes;
    memset(out + bytes - 8, 0, 8); /* padding */
    memcpy(out, &head, sizeof(head));
    unsigned char *names = out + sizeof(head);
    if (o->name_bytes > 0) {
        memcpy(names, o->name, o->name_bytes);
    }
    names += o->name_bytes;
    *names++ = '\0';
    if (o->box_name_bytes > 0) {
        memcpy(names, o->box_name, o->box_name_bytes);
    }
    names[o->box_name_bytes] = '\0';
    return bytes;
}

int
bbi_publish_bridged(struct bb_topic *topic,
                    const struct bbi_origin *origin,
                    const void *data,
                    size_t bytes,
                    uint32_t attr)
{
    unsigned char head[BBI_ORIGIN_BYTES_MAX];
    size_t whole;
    void *p;
    if (origin->name_bytes > BBI_ORIGIN_NAME_MAX || origin->box_name_bytes > BBI_ORIGIN_NAME_MAX
        || (attr & BB_BRIDGED) != 0 || bb_topic_is_reserved(topic->text, topic->bytes)) {
        return BB_EINVAL;
    }
    size_t head_bytes = write_head(origin, head);
    if (__builtin_add_overflow(head_bytes, bytes, &whole)) {
        return BB_EMSGSIZE;
    }
    int rc = bb_loan(topic, whole, &p);
    if (rc < 0) {
        return rc;
    }
    bbi_fill_racy(p, head, head_bytes);
    if (bytes > 0) {
        bbi_fill_racy((unsigned char *)p + head_bytes, data, bytes);
    }
    topic->pub->spill_heads += head_bytes; /* no payload */
    return bbi_loan_commit(topic, whole, attr | BB_BRIDGED);
}

int
bbi_publish_link_event(struct bb_publisher *pub, const struct bbi_link_event *event)
{
    unsigned char buf[BBI_LINK_EVENT_MAX];
    const struct bb_status *s = &event->status;
    if (!bbi_is_link_status(s->kind) || event->box_name_bytes > BBI_LINK_NODE_MAX
        || event->text_bytes > BBI_LINK_TEXT_MAX) {
        return BB_EINVAL;
    }
    if (bbi_is_forked(pub->fork_gen)) {
        return BB_EFORKED;
    }
    if (pub->of_links == NULL) {
        pub->of_links = bbi_topic_reserved(pub, BBI_LINK_TOPIC, BBI_LINK_TOPIC_BYTES);
    }
    if (pub->of_links == NULL) {
        return BB_ENOMEM;
    }
    const struct bbi_link_head head = {
        .kind = s->kind,
        .reasons = s->reasons,
        .count = s->count,
        .uncertain = s->uncertain,
        .bytes = s->bytes,
        .node_bytes = (uint32_t)event->box_name_bytes,
        .text_bytes = (uint32_t)event->text_bytes,
    };
    memcpy(buf, &head, sizeof(head));
    if (head.node_bytes > 0) {
        memcpy(buf + sizeof(head), event->box_name, head.node_bytes);
    }
    if (head.text_bytes > 0) {
        memcpy(buf + sizeof(head) + head.node_bytes, event->text, head.text_bytes);
    }
    return bb_publish(pub->of_links, buf, sizeof(head) + head.node_bytes + head.text_bytes,
                      BB_CONTROL);
}

uint64_t
bbi_audience_epoch(const struct bb_endpoint *ep)
{
    return bbi_load_seq_cst(&ep->at.bus->sub_epoch.v); /* R8 */
}
