/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/request_send.c - messages to one node, by its id.
 */
#include "busbar/topic.h"
#include "lib/endpoint/request_impl.h"

/* The living member of this id. */
static bool
is_living(const struct bbi_attach *at, uint64_t node_id)
{
    uint32_t slot = (uint32_t)(node_id & UINT16_MAX);
    struct bbi_member_view v;
    return slot < BBI_MEMBERS && bbi_member_read(&at->bus->members[slot], &v)
           && v.state == BBI_MEMBER_ACTIVE && bbi_node_id(slot, v.gen) == node_id
           && bbi_is_alive(at, BBI_LOCK_MEMBER + slot);
}

int
bb_send(struct bb_publisher *pub,
        uint64_t to_node,
        const char *topic,
        size_t topic_bytes,
        const void *data,
        size_t bytes,
        uint32_t attr)
{
    if (bbi_is_forked(pub->fork_gen)) {
        return BB_EFORKED;
    }
    if (topic_bytes > BB_TOPIC_MAX) {
        return BB_ENAMETOOLONG;
    }
    topic = topic != NULL || topic_bytes > 0 ? topic : "";
    if (topic == NULL || (data == NULL && bytes > 0) || bb_topic_is_reserved(topic, topic_bytes)) {
        return BB_EINVAL;
    }
    if (!is_living(&pub->ep->at, to_node)) {
        return BB_ENOENT;
    }
    const struct bbi_addressed msg = {
        .to = {.kind = BBI_TO_NODE, .to_node = to_node},
        .topic = topic,
        .topic_bytes = topic_bytes,
        .data = data,
        .bytes = bytes,
        .attr = attr & ~(uint32_t)BB_REPLY,
    };
    return bbi_address_write(pub, &msg);
}

int
bb_node_find(struct bb_endpoint *ep, const char *name, uint64_t *node_id)
{
    uint32_t gen;
    if (bbi_is_forked(ep->fork_gen)) {
        return BB_EFORKED;
    }
    uint32_t slot = bbi_member_find(&ep->at, name, &gen);
    if (slot == BBI_MEMBERS) {
        return BB_ENOENT;
    }
    *node_id = bbi_node_id(slot, gen);
    return 0;
}
