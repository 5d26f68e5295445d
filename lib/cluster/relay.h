/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/relay.h - an event that another node publishes for us.
 *
 * It travels as a message of kind BB_CONTROL on `PREFIXnode/NAME/busbar/relay` of the node that relays, with
 * the event busbar/relay (string topic, count attr, string bytes): the bytes as they are, whatever their
 * format, so that they are copied once into either ring and read by nobody on the way.
 */
#ifndef BUSBAR_LIB_CLUSTER_RELAY_H
#define BUSBAR_LIB_CLUSTER_RELAY_H

#include "busbar/cluster.h"

#define BBI_RELAY_SERVICE "busbar/relay" /* behind the node topic; and the event's name */

struct bbi_relayed {
    uint64_t done;    /* published for others */
    uint64_t refused; /* not: the ring's policy, or not well formed */
};

struct bbi_envelope {
    const char *topic;
    size_t topic_bytes;
    const void *data;
    size_t bytes;
    uint32_t attr; /* kind and format; not BB_MORE */
};

/* bbi_envelope_put - as one event. */
void bbi_envelope_put(struct bb_builder *b, const struct bbi_envelope *e);
/* bbi_envelope_open - in place.  BB_ETYPE it is none, or holds a control message; BB_ECORRUPT. */
BB_MUST_USE int bbi_envelope_open(struct bbi_envelope *out, const void *data, size_t bytes);

/*
 * bbi_relay_take - publishes what the message holds, and delivers it to ourselves if we want the topic.
 * What cannot be done is counted as refused.
 */
void bbi_relay_take(struct bb_cluster *c, const struct bb_msg *msg);

#endif
