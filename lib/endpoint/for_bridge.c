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

static struct bbi_origin_who
who_of(const struct bbi_origin *o)
{
    struct bbi_origin_who who = {.epoch = o->epoch,
                                 .node_id = o->node_id,
                                 .ring = o->ring,
                                 .scope = o->scope,
                                 .ttl = o->ttl,
                                 .name_bytes = (uint8_t)o->name_bytes,
                                 .box_name_bytes = (uint8_t)o->box_name_bytes};
    memcpy(who.box, o->box, sizeof(who.box));
    return who;
}

static bool
is_same_bytes(const void *a, const void *b, size_t bytes)
{
    return bytes == 0 || memcmp(a, b, bytes) == 0;
}

/* Does the head that is kept name this origin? */
static bool
is_kept(const struct bb_publisher *pub, const struct bbi_origin *o)
{
    const struct bbi_origin_head *head = (const void *)pub->head;
    const struct bbi_origin_who *who = &head->who;
    return pub->head_bytes > 0 && who->node_id == o->node_id && who->epoch == o->epoch
           && who->ring == o->ring && who->scope == o->scope && who->ttl == o->ttl
           && who->name_bytes == o->name_bytes && who->box_name_bytes == o->box_name_bytes
           && is_same_bytes(who->box, o->box, sizeof(who->box))
           && is_same_bytes(head->names, o->name, o->name_bytes)
           && is_same_bytes(head->names + o->name_bytes + 1, o->box_name, o->box_name_bytes);
}

/* The head and its names, without number and time. */
static void
keep_head(struct bb_publisher *pub, const struct bbi_origin *o)
{
    struct bbi_origin_head *head = (void *)pub->head;
    memset(pub->head, 0, sizeof(pub->head)); /* padding, and what ends the names */
    head->magic = BBI_ORIGIN_MAGIC;
    head->who = who_of(o);
    pub->head_bytes = bbi_align_up(sizeof(*head) + bbi_origin_names_bytes(&head->who), 8);
    head->bytes = (uint32_t)pub->head_bytes;
    if (o->name_bytes > 0) {
        memcpy(head->names, o->name, o->name_bytes);
    }
    if (o->box_name_bytes > 0) {
        memcpy(head->names + o->name_bytes + 1, o->box_name, o->box_name_bytes);
    }
}

/*
 * What messages of one origin have in common is kept and copied whole: a head made anew for each, in small stores, and
 * copied at once by wide loads waits for these stores, which cost half of what a message costs here.
 */
static void
put_head(const struct bb_publisher *pub, unsigned char *p, const struct bbi_origin *o)
{
    bbi_fill_racy(p, pub->head, pub->head_bytes);
    bbi_fill_racy(p + offsetof(struct bbi_origin_head, seq), &o->seq, sizeof(o->seq));
    bbi_fill_racy(p + offsetof(struct bbi_origin_head, wall_ns), &o->wall_ns, sizeof(o->wall_ns));
}

/* No dictionary holds a reserved topic: what came by its tag needs no look. */
static bool
is_reserved(const struct bb_topic *topic)
{
    return topic->tag == BBI_TAG_SPILL && bb_topic_is_reserved(topic->text, topic->bytes);
}

int
bbi_publish_bridged(struct bb_topic *topic,
                    const struct bbi_origin *origin,
                    const void *data,
                    size_t bytes,
                    uint32_t attr)
{
    struct bb_publisher *pub = topic->pub;
    size_t whole;
    void *p;
    if (origin->name_bytes > BBI_ORIGIN_NAME_MAX || origin->box_name_bytes > BBI_ORIGIN_NAME_MAX
        || (attr & BB_BRIDGED) != 0 || is_reserved(topic)) {
        return BB_EINVAL;
    }
    if (!is_kept(pub, origin)) {
        keep_head(pub, origin);
    }
    size_t head_bytes = pub->head_bytes;
    if (__builtin_add_overflow(head_bytes, bytes, &whole)) {
        return BB_EMSGSIZE;
    }
    int rc = bb_loan(topic, whole, &p);
    if (rc < 0) {
        return rc;
    }
    put_head(pub, p, origin);
    if (bytes > 0) {
        bbi_fill_racy((unsigned char *)p + head_bytes, data, bytes);
    }
    pub->spill_heads += head_bytes; /* no payload */
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
