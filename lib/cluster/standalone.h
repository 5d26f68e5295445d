/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/standalone.h - one process that is the whole cluster.
 *
 * It has a bus of its own, below the directory where buses live, that goes when it leaves; of one that was
 * killed, the next standalone process removes it.  Its subscriber hears its own rings, all classes, all nodes'
 * topics and all pools.
 *
 * Nothing is lost   In a cluster somebody else reads while we publish.  Here nobody does, so when the ring is
 *                   full what follows waits in memory, in order, until a poll has made room: at most
 *                   BBI_ALONE_MOST_BYTES, then BB_EAGAIN.
 */
#ifndef BUSBAR_LIB_CLUSTER_STANDALONE_H
#define BUSBAR_LIB_CLUSTER_STANDALONE_H

#include "lib/cluster/cluster_impl.h"

enum { BBI_ALONE_MOST_BYTES = 1 << 26 };

static inline bool
bbi_cluster_is_alone(const struct bb_cluster *c)
{
    return (c->flags & BB_CLUSTER_STANDALONE) != 0;
}

/* bbi_alone_begin - the private bus's names for the endpoint that is opened next.  0; BB_ENOMEM. */
BB_MUST_USE int bbi_alone_begin(struct bb_cluster *c, struct bb_endpoint_opts *eo);
/* bbi_alone_end - after the endpoint was closed; does nothing if it was not begun. */
void bbi_alone_end(struct bb_cluster *c);

/* bbi_cluster_out - bb_publish_to() with the data ring; alone, with what was said above. */
BB_MUST_USE int bbi_cluster_out(struct bb_cluster *c,
                                const char *topic,
                                size_t topic_bytes,
                                const void *data,
                                size_t bytes,
                                uint32_t attr);

#endif
