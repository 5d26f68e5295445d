/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/bridged_impl.h - messages that came over a link, and what happened to links, in a ring and out of it.
 *
 *   for_bridge.c    into a ring          bridged.c      out of a ring: where a message is from
 *   link_status.c   out of a ring: what happened to a link
 *
 * In the ring a message from elsewhere has BB_BRIDGED, and its payload begins with struct bbi_origin_head and two names,
 * each with a NUL behind it, padded with zeros to a multiple of 8.  A reader takes that off and hands out what follows;
 * a message whose head is not well formed it passes over, and counts as filtered.
 */
#ifndef BUSBAR_LIB_ENDPOINT_BRIDGED_IMPL_H
#define BUSBAR_LIB_ENDPOINT_BRIDGED_IMPL_H

#include "lib/endpoint/for_bridge.h"
#include "lib/endpoint/subscriber_impl.h"
#include <string.h>

#define BBI_ORIGIN_MAGIC UINT32_C(0x316f6262) /* bytes "bbo1" */

/* What messages of one ring and life over there have in common. */
struct bbi_origin_who {
    uint8_t box[16];
    uint64_t epoch, node_id;
    uint32_t ring;
    uint8_t scope, ttl;
    uint8_t name_bytes, box_name_bytes; /* without NUL; at most BBI_ORIGIN_NAME_MAX */
};
static_assert(sizeof(struct bbi_origin_who) == 40, "as docs/layout.md says");

/* Little-endian, as all of a ring. */
struct bbi_origin_head {
    uint32_t magic; /* BBI_ORIGIN_MAGIC */
    uint32_t bytes; /* of all of it, names too; a multiple of 8; a later version's may be more */
    uint64_t seq;
    int64_t wall_ns;
    struct bbi_origin_who who;
    char names[]; /* of the node, then of the box */
};
static_assert(sizeof(struct bbi_origin_head) == 64, "as docs/layout.md says");
static_assert(sizeof(struct bbi_origin_head) + (size_t)2 * (BBI_ORIGIN_NAME_MAX + 1)
                  <= BBI_ORIGIN_BYTES_MAX,
              "as for_bridge.h says");

static inline size_t
bbi_origin_names_bytes(const struct bbi_origin_who *who)
{
    return (size_t)who->name_bytes + who->box_name_bytes + 2;
}

/*
 * A private copy in the arena; msg->node is its names, so that whoever has the message finds it.  Never more than what
 * the head took in the ring.
 */
struct bbi_origin_copy {
    uint64_t local_id; /* msg->node_id */
    struct bbi_origin_who who;
    char names[];
};
static_assert(sizeof(struct bbi_origin_copy) <= sizeof(struct bbi_origin_head), "room for it");

/* Above what a ring can hold in attr, so that no publisher can say it; beside BBI_MSG_COPIED and its kin. */
enum { BBI_MSG_ORIGIN = 1 << 22 };

static inline const struct bbi_origin_copy *
bbi_origin_of(const struct bb_msg *msg)
{
    return (const void *)(msg->node - offsetof(struct bbi_origin_copy, names));
}

/* bbi_origin_copy_bytes - of a copy and its names. */
static inline size_t
bbi_origin_copy_bytes(const struct bbi_origin_copy *copy)
{
    return sizeof(*copy) + bbi_origin_names_bytes(&copy->who);
}

/* Of the message that is being taken. */
struct bbi_bridged {
    const struct bbi_origin_copy *copy;
    uint64_t seq;
    int64_t wall_ns;
};

/*
 * bbi_bridged_take - what stands in front of the payload, at item->data; the arena has room for it.
 *
 * Returns   1: the item then holds the payload; 0: not well formed; BB_EOVERRUN: overwritten meanwhile.
 */
BB_MUST_USE int bbi_bridged_take(struct bb_subscriber *sub,
                                 const struct bbi_source *src,
                                 struct bbi_item *item,
                                 struct bbi_bridged *out);
/* bbi_bridged_given - the message is handed out: it is that node's. */
void bbi_bridged_given(const struct bbi_bridged *bridged, struct bb_msg *msg);

/* ---- what happened to a link ---- */

#define BBI_LINK_TOPIC "<$>link/"
enum {
    BBI_LINK_TOPIC_BYTES = sizeof(BBI_LINK_TOPIC) - 1,
    BBI_LINK_NODE_MAX = 255, /* a name, or HOST:PORT */
};

/* Little-endian; the name and the sentence follow. */
struct bbi_link_head {
    uint32_t kind, reasons; /* enum bb_status_kind, BB_GAP_... */
    uint64_t count, uncertain, bytes;
    uint32_t node_bytes, text_bytes;
};
static_assert(sizeof(struct bbi_link_head) == 40, "as docs/layout.md says");
enum {
    BBI_LINK_EVENT_MAX = (int)sizeof(struct bbi_link_head) + BBI_LINK_NODE_MAX + BBI_LINK_TEXT_MAX,
};

static inline bool
bbi_is_link_topic(const void *topic, size_t bytes)
{
    return bytes == BBI_LINK_TOPIC_BYTES
           && memcmp(topic, BBI_LINK_TOPIC, BBI_LINK_TOPIC_BYTES) == 0;
}

static inline bool
bbi_is_link_status(uint32_t kind)
{
    return kind >= BB_STATUS_PEER_ADDED && kind <= BB_STATUS_GAP;
}

/* A status that brings its own words; in front the event, so that it waits and is freed as any. */
struct bbi_link_status {
    struct bbi_event event;
    uint32_t node_bytes, text_bytes;
    char words[]; /* the name, NUL, the sentence, NUL */
};

static inline size_t
bbi_link_status_bytes(const struct bbi_link_status *status)
{
    return sizeof(*status) + status->node_bytes + status->text_bytes + 2;
}

/*
 * bbi_link_status_take - the status of a message on BBI_LINK_TOPIC whose payload is at item->data waits to be told.
 *
 * Returns   0, also when it is not well formed and nobody will hear of it; BB_EOVERRUN: overwritten meanwhile.
 */
BB_MUST_USE int bbi_link_status_take(struct bb_subscriber *sub,
                                     const struct bbi_source *src,
                                     const struct bbi_item *item);
/* bbi_link_status_give - name and sentence of the message that tells it. */
void bbi_link_status_give(const struct bbi_event *ev, struct bb_msg *msg);
/* bbi_link_status_copy - msg's status, with the words, for bbi_msg_copy(). */
void *bbi_link_status_copy(const struct bb_msg *msg, struct bb_msg *out);

#endif
