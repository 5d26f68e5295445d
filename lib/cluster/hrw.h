/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/hrw.h - who owns a key: rendezvous hashing over the nodes of a pool.
 *
 * Every node gets a score for the key, the highest owns it.  So a node that goes moves its own keys only,
 * each to whoever had the second highest score, and takes exactly these back when it returns.
 *
 * Used by    lib/cluster/pool.c, and behind bb_hrw().
 * Pure       No allocation, no system call, no floating point: all processes of a bus, and all machines, come
 *            to the same owner.  What is prepared (names, secret) may be read by any number of threads.
 * Methods    BB_HRW_KEYED: XXH3 of key and name with a secret; weights by the logarithmic method, so that
 *            a node's share is its weight over the sum of weights, exactly in expectation.
 *            BB_HRW_ZEEK: Zeek's FNV-1a and congruential mix; weights do not count.
 */
#ifndef BUSBAR_LIB_CLUSTER_HRW_H
#define BUSBAR_LIB_CLUSTER_HRW_H

#include "busbar/cluster.h"
#include "shm/base.h"
#include "shm/hash.h"

enum {
    BBI_HRW_NODES_MAX = 512, /* as many as a bus has members */
    BBI_HRW_NAME_MAX = 255,  /* bytes of a name; those of nodes are shorter */
};
#define BBI_HRW_NOBODY UINT32_MAX

/* How to hash; made once. */
struct bbi_hrw {
    uint32_t method; /* BB_HRW_... */
    struct bbi_hash_secret secret;
};

/* bbi_hrw_init - 0; BB_EINVAL no such method. */
BB_MUST_USE int bbi_hrw_init(struct bbi_hrw *hrw, uint32_t method, const uint64_t seed[2]);

/*
 * bbi_hrw_names - hashes[i] becomes the hash of names[i], which bbi_hrw_live_add() wants.
 *
 * Give all nodes of the pool, also those that are down, in the pool's order: when two names have the same
 * hash by Zeek's method, the later one gets another.
 * Returns   0; BB_EINVAL a name is there twice, is empty or too long; BB_ENOMEM above BBI_HRW_NODES_MAX.
 */
BB_MUST_USE int
bbi_hrw_names(const struct bbi_hrw *hrw, const char *const *names, size_t count, uint64_t *hashes);

struct bbi_hrw_site {
    uint64_t hash;   /* of its name */
    uint32_t node;   /* what the caller calls it */
    uint32_t weight; /* 1 to 255 */
};

/* The nodes that may own keys now; zeros are the empty set. */
struct bbi_hrw_live {
    uint32_t count;
    uint32_t is_mixed; /* not all weights are the same, so scores need their logarithm */
    struct bbi_hrw_site sites[BBI_HRW_NODES_MAX];
};

/* bbi_hrw_live_add - at most BBI_HRW_NODES_MAX; weight 0 is BB_WEIGHT_EVEN. */
void bbi_hrw_live_add(const struct bbi_hrw *hrw,
                      struct bbi_hrw_live *live,
                      uint32_t node,
                      uint64_t hash,
                      uint32_t weight);

/* bbi_hrw_owner - the node that owns the key, or BBI_HRW_NOBODY. */
uint32_t bbi_hrw_owner(const struct bbi_hrw *hrw,
                       const struct bbi_hrw_live *live,
                       const void *key,
                       size_t key_bytes);

/* bbi_hrw_order - the owner, who owns it when that one is gone, ...; returns how many of max were filled. */
uint32_t bbi_hrw_order(const struct bbi_hrw *hrw,
                       const struct bbi_hrw_live *live,
                       const void *key,
                       size_t key_bytes,
                       uint32_t *order,
                       size_t max);

/*
 * bbi_hrw_cost - -log2(u / 2^64) in units of 2^-50, at most 64 * 2^50; u 0 counts as 1.
 *
 * Integers only, never rising with u (for each step of it only rounds down), and at most 2 units above the
 * true value.
 */
uint64_t bbi_hrw_cost(uint64_t u);

#endif
