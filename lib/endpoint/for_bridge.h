/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/for_bridge.h - what links need of endpoints, and the public headers do not have.
 *
 * A message that came over a link is published again here, by the bridge, in a ring of the bridge's; it keeps what it
 * was at its origin.  In the ring its payload begins with an origin header, and its attributes have BB_BRIDGED; readers
 * take the header off.  No publisher of an application can say so: bb_publish() and its kin refuse BB_BRIDGED.
 *
 * What happens to a link is a message too, of the bridge's, on the reserved topic `<$>link/`, in the ring of that link:
 * so it comes in order with the link's messages.  Subscribers with BB_SUBSCRIBER_STATUS hear it as a status.
 */
#ifndef BUSBAR_LIB_ENDPOINT_FOR_BRIDGE_H
#define BUSBAR_LIB_ENDPOINT_FOR_BRIDGE_H

#include "busbar/endpoint.h"
#include <stdbool.h>

enum {
    BBI_ORIGIN_NAME_MAX = 63, /* bytes of the names of a node and of a box */
    BBI_ORIGIN_BYTES_MAX =
        224, /* a message from elsewhere takes at most so much more of its ring */
    BBI_LINK_TEXT_MAX = 400,
};

struct bbi_origin {
    uint8_t box[16];
    uint64_t epoch;   /* of that box's life */
    uint64_t node_id; /* bb_endpoint_id() there */
    uint32_t ring;
    uint8_t scope, ttl;
    uint64_t seq;
    int64_t wall_ns;
    const char *name; /* of the node */
    size_t name_bytes;
    const char *box_name;
    size_t box_name_bytes;
};

/*
 * bbi_publish_bridged - as bb_publish(), for a message from elsewhere; attr without BB_BRIDGED, BB_MORE as usual.
 *
 * What it says it was copied by then; largest is bb_publisher_max() less BBI_ORIGIN_BYTES_MAX.
 * Returns   as bb_publish(); BB_EINVAL a name that is too long, a reserved topic.
 */
BB_MUST_USE int bbi_publish_bridged(struct bb_topic *topic,
                                    const struct bbi_origin *origin,
                                    const void *data,
                                    size_t bytes,
                                    uint32_t attr);

/*
 * bbi_publisher_late - from now on who sleeps is woken by bb_flush() only, and not by each batch that is full meanwhile.
 *
 * For who publishes many messages with BB_MORE and then flushes: a reader that is woken for each 32 of them reads these and
 * sleeps again.  It hears them that much later, so the flush must not be long in coming.
 */
void bbi_publisher_late(struct bb_publisher *pub);

struct bbi_link_event {
    struct bb_status status; /* kind BB_STATUS_PEER_... or BB_STATUS_GAP */
    const char *
        box_name; /* at most 255 bytes.  The other side: it is the `node` of the status; an address if no name is known */
    size_t box_name_bytes;
    const char *text;  /* a sentence: the `data` of the status */
    size_t text_bytes; /* at most BBI_LINK_TEXT_MAX */
};
/* bbi_publish_link_event - in pub's ring, behind what was published there; flushes.  As bb_publish(). */
BB_MUST_USE int bbi_publish_link_event(struct bb_publisher *pub,
                                       const struct bbi_link_event *event);

/* bbi_audience_epoch - another number whenever a subscriber came, went or changed its prefixes.  A load. */
uint64_t bbi_audience_epoch(const struct bb_endpoint *ep);

/*
 * bbi_subscriber_awake - while true its descriptor says nothing, polls make no system call for it, and no publisher knocks:
 * its user polls again and again.  With false, after a poll that found nothing, it is as bb_fd() says; what came meanwhile
 * makes it readable at once.
 */
void bbi_subscriber_awake(struct bb_subscriber *sub, bool is_awake);

/*
 * bbi_subscribe_gather - bb_subscribe() and bb_unsubscribe() only note from now on; bbi_subscribe_settle() makes all of it
 * hold, at the price of one: a table for all publishers and a barrier in each of them.  Errors of one prefix are told at
 * once, as ever.  settle without gather does nothing.
 *
 * Returns   0; BB_ENOMEM, BB_EFULL.
 */
void bbi_subscribe_gather(struct bb_subscriber *sub);
BB_MUST_USE int bbi_subscribe_settle(struct bb_subscriber *sub);

#endif
