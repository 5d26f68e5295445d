/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/pool.h - which nodes a pool has, who of them is there, whose turn it is, and whose keys move.
 *
 * Used by    lib/cluster: the pools of a cluster handle, worked out anew after each change of membership.
 * Pure       From nodes and specifications alone, so all processes that know the same nodes have the same
 *            pools.  No allocation, no system call.
 * Seats      A pool's members are nodes of its role that the layout expects, or that are up; expected ones
 *            come first, then by name.  A node that is expected keeps its seat while it is down.  Exclusive
 *            pools are served first, in the order of names, and what they took is gone; the rest share,
 *            each beginning where the one before ended, as Zeek's do.
 * Live       A member that is up and that pools may use (it does not drain, its hold-down has passed).
 */
#ifndef BUSBAR_LIB_CLUSTER_POOL_H
#define BUSBAR_LIB_CLUSTER_POOL_H

#include "lib/cluster/hrw.h"

enum {
    BBI_POOL_TURNS = 256, /* keys of round robin with a turn of their own */
};

struct bbi_pool_node {
    const char *name;
    uint32_t role;   /* enum bb_role; an unknown one has no seat anywhere */
    uint32_t weight; /* 0: BB_WEIGHT_EVEN */
    bool is_expected;
    bool is_up;
    bool is_in;
};

struct bbi_pool_spec {
    const char *name;
    uint32_t role;
    uint32_t max_nodes; /* 0: all */
    bool is_exclusive;  /* with max_nodes */
};

/* Whose turn it is, for each key. */
struct bbi_pool_turn {
    uint64_t hash; /* of the key */
    uint32_t seat; /* where to look first; an index into seats */
    uint32_t is_taken;
};

/* About 26 KiB: the owner allocates it.  Zeros but for spec and hrw at the start. */
struct bbi_pool {
    struct bbi_pool_spec spec;
    const struct bbi_hrw *hrw;
    uint32_t seat_count;
    uint16_t seats[BBI_HRW_NODES_MAX]; /* members, as indices of nodes, in the order of turns */
    struct bbi_hrw_live live;          /* of these, who is there; in the same order */
    struct bbi_hrw_live was;           /* before the last bbi_pools_seat() */
    struct bbi_pool_turn turns[BBI_POOL_TURNS];
};

/* What is missing when exclusive pools ask for too much. */
struct bbi_pool_lack {
    uint32_t role;
    uint32_t wanted; /* nodes of all exclusive pools of that role */
    uint32_t have;   /* that the layout expects */
};

/*
 * bbi_pools_seat - works out seats and live nodes of all pools.
 *
 * Caller    owns all of it.  A node has the same index in each call as long as it is known; what is neither
 *           expected nor up may be forgotten and its index given to another.
 * Effect    pools are put in the order of their names.  On failure none is changed otherwise.
 * Returns   0; BB_ENOENT the layout has not enough nodes for exclusive pools, see *lack; BB_EINVAL a pool's
 *           role that is none, an exclusive pool without max_nodes, a weight above 255, a name twice;
 *           BB_ENOMEM more than BBI_HRW_NODES_MAX nodes.
 */
BB_MUST_USE int bbi_pools_seat(struct bbi_pool **pools,
                               size_t pool_count,
                               const struct bbi_pool_node *nodes,
                               size_t node_count,
                               struct bbi_pool_lack *lack);

/* bbi_pools_seat_alone - standalone: this node is all of every pool, whatever its role.  0; BB_EINVAL name. */
BB_MUST_USE int
bbi_pools_seat_alone(struct bbi_pool **pools, size_t pool_count, const char *name, uint32_t node);

/* bbi_pool_has - true if the node has a seat. */
bool bbi_pool_has(const struct bbi_pool *pool, uint32_t node);

/* bbi_pool_owner - the node that owns the key when the first `rank` owners are gone, or BBI_HRW_NOBODY. */
uint32_t
bbi_pool_owner(const struct bbi_pool *pool, const void *key, size_t key_bytes, uint32_t rank);

/*
 * bbi_pool_next - the live node whose turn it is, or BBI_HRW_NOBODY.
 *
 * Each key goes its own round, from the pool's first seat.  When more than BBI_POOL_TURNS keys are in use, a
 * further one takes over the place of another, in mid-round: the shares stay even.
 */
uint32_t bbi_pool_next(struct bbi_pool *pool, const char *key);

/* Keys that moved between two nodes; one is the node that asked. */
struct bbi_pool_move {
    uint32_t other;
    bool came; /* from other; else they went to it */
};

/*
 * bbi_pool_moves - what the last bbi_pools_seat() meant for this node's keys, one other node after the other.
 *
 * Begin with *pos 0; false after the last.  Others' keys that did not touch this node are not named.
 */
bool bbi_pool_moves(const struct bbi_pool *pool,
                    uint32_t self,
                    uint32_t *pos,
                    struct bbi_pool_move *move);

#endif
