/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/bridge/interest.h - prefixes of one side of a link, in the order of their last change.
 *
 * Each change has a revision, one more than the last.  So "all that changed after revision r" is the end of the list,
 * and one number says what the other side knows.  A prefix that is removed stays, as removed, until the other side
 * knows that, or until there is no other side: then all are told anew.
 *
 * Used by    session: a set of our own interests, and one of the peer's.
 * Memory     From the table, at most as many and as many bytes as init said, removed ones included.
 * Hash       Keyed: a peer cannot choose prefixes that collide.
 */
#ifndef BUSBAR_LIB_BRIDGE_INTEREST_H
#define BUSBAR_LIB_BRIDGE_INTEREST_H

#include "lib/bridge/frame.h"
#include "lib/bridge/memory.h"
#include "shm/hash.h"

struct bbi_interest_node {
    struct bbi_interest_node *chain;       /* of its bucket */
    struct bbi_interest_node *prev, *next; /* older, newer */
    uint64_t revision;
    uint32_t count; /* how many want it; 0: removed */
    bool is_stale;  /* the peer's: not told again since it began to tell all anew */
    uint8_t flags, scope;
    uint16_t prefix_bytes;
    char prefix[];
};

enum { BBI_INTEREST_BUCKETS = 4096 };

struct bbi_interest_set {
    const struct bbi_memory *memory;
    struct bbi_hash_secret secret;
    struct bbi_interest_node **buckets;
    struct bbi_interest_node *oldest, *newest;
    struct bbi_interest_node *untold; /* the oldest that is to be told; NULL: none */
    uint64_t revision;
    uint32_t count, removed; /* nodes that are wanted, and that are not any more */
    uint32_t count_max;
    size_t bytes, bytes_max; /* of nodes */
    bool keeps_removed;      /* there is somebody to tell */
};

BB_MUST_USE int bbi_interest_set_init(struct bbi_interest_set *set,
                                      const struct bbi_memory *memory,
                                      const uint64_t seed[2],
                                      uint32_t count_max,
                                      size_t bytes_max);
void bbi_interest_set_fini(struct bbi_interest_set *set);

/* 1 new, 0 it was there and is counted; BB_EFULL, BB_ENOMEM. */
BB_MUST_USE int bbi_interest_set_add(struct bbi_interest_set *set,
                                     const struct bbi_interest *interest);
/* 1 nobody wants it any more, 0 somebody does; BB_ENOENT. */
BB_MUST_USE int bbi_interest_set_remove(struct bbi_interest_set *set,
                                        const struct bbi_interest *interest);
struct bbi_interest_node *bbi_interest_set_find(const struct bbi_interest_set *set,
                                                const struct bbi_interest *interest);
/* Takes the node out, whoever wants it. */
void bbi_interest_set_drop(struct bbi_interest_set *set, struct bbi_interest_node *node);

/* Somebody is there who knows nothing: all are untold, removed ones forgotten. */
void bbi_interest_set_tell_all(struct bbi_interest_set *set);
/* Nobody is there any more. */
void bbi_interest_set_nobody(struct bbi_interest_set *set);
/* The other side knows all up to this revision. */
void bbi_interest_set_known(struct bbi_interest_set *set, uint64_t revision);

static inline struct bbi_interest
bbi_interest_of(const struct bbi_interest_node *node)
{
    return (struct bbi_interest){.prefix = node->prefix,
                                 .prefix_bytes = node->prefix_bytes,
                                 .flags = node->flags,
                                 .scope = node->scope,
                                 .is_removed = node->count == 0};
}

#endif
