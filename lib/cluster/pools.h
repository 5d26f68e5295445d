/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/pools.h - the pools of a cluster handle.
 */
#ifndef BUSBAR_LIB_CLUSTER_POOLS_H
#define BUSBAR_LIB_CLUSTER_POOLS_H

#include "lib/cluster/cluster_impl.h"
#include "lib/cluster/pool.h"

struct bb_pool {
    struct bb_cluster *c;
    struct bb_pool *next;
    struct bbi_pool pool;
    bool is_heard; /* its topic is subscribed */
    char name[BB_NAME_MAX + 1];
};

struct bbi_pools {
    struct bbi_hrw hrw;
    struct bb_pool *first;
    struct bbi_pool **sorted; /* those of the list, as pool.c wants them */
    size_t count;
    const struct bbi_node *seats[BBI_HRW_NODES_MAX]; /* nodes by index; NULL: free */
};

/* publish.c: bbi_publish_to_node - to its node topic, or to ourselves.  As bb_cluster_publish(). */
BB_MUST_USE int bbi_publish_to_node(
    struct bb_cluster *c, const char *name, const void *event, size_t bytes, uint32_t attr);

#endif
