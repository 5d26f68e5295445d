/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/publish.c - an event to a topic, to the owner of a key, to the node whose turn it is.
 *
 * An owner that is this node gets its own message too: it is put among those of the next poll, as the publisher's
 * ring is not read by its own endpoint.  Standalone it is, and all goes the one way.
 */
#include "lib/cluster/cluster_impl.h"
#include "lib/cluster/pools.h"
#include "lib/cluster/standalone.h"
#include <string.h>

enum { TOPIC_BYTES = 192 };

/* An event, unless the caller says another kind. */
static uint32_t
as_event(uint32_t attr)
{
    return (attr & BB_KIND_MASK) == 0 ? attr | BB_EVENT : attr;
}

int
bb_cluster_publish(
    struct bb_cluster *c, const char *topic, const void *event, size_t bytes, uint32_t attr)
{
    return c->data == NULL ? BB_ENOTSUP
                           : bbi_cluster_out(c, topic, strlen(topic), event, bytes, as_event(attr));
}

int
bbi_publish_to_node(
    struct bb_cluster *c, const char *name, const void *event, size_t bytes, uint32_t attr)
{
    char topic[TOPIC_BYTES];
    int n = bb_cluster_topic_node(c, name, topic, sizeof(topic));
    if (n < 0 || c->data == NULL) {
        return n < 0 ? n : BB_ENOTSUP;
    }
    if (strcmp(name, c->name) == 0 && !bbi_cluster_is_alone(c)) {
        return bbi_deliver_to_self(c, topic, (size_t)n, event, bytes, as_event(attr));
    }
    return bbi_cluster_out(c, topic, (size_t)n, event, bytes, as_event(attr));
}

int
bb_cluster_publish_hrw(struct bb_pool *pool,
                       const void *key,
                       size_t key_bytes,
                       const void *event,
                       size_t bytes,
                       uint32_t attr)
{
    const char *name;
    int rc = bb_pool_where(pool, key, key_bytes, 0, &name);
    return rc < 0 ? rc : bbi_publish_to_node(pool->c, name, event, bytes, attr);
}

int
bb_cluster_publish_rr(
    struct bb_pool *pool, const char *rr_key, const void *event, size_t bytes, uint32_t attr)
{
    const char *name;
    int rc = bb_pool_next(pool, rr_key, &name);
    return rc < 0 ? rc : bbi_publish_to_node(pool->c, name, event, bytes, attr);
}
