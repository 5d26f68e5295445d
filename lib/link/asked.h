/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/asked.h - which box asks for which prefix of this bus, and so which boxes a topic goes to.
 *
 *   prefix ─► the boxes that ask for it (a bit for each)       topic ─► the union over its prefixes, kept in a cache
 *
 * A topic is looked up once for each length that some prefix has, never once for each prefix: a peer that asks for
 * 65,536 prefixes costs what a topic's bytes cost.  The hash is keyed, so nobody chooses what collides.
 *
 * Used by    lib/link/local.
 * Threads    One.
 * Memory     A node for each prefix; the session bounds how many a box may ask for.
 */
#ifndef BUSBAR_LIB_LINK_ASKED_H
#define BUSBAR_LIB_LINK_ASKED_H

#include "lib/bridge/frame.h"
#include "shm/hash.h"

enum {
    BBI_ASKED_BOXES = 256,
    BBI_ASKED_WORDS = BBI_ASKED_BOXES / 64,
    BBI_ASKED_CACHE = 1024,
    BBI_ASKED_CACHE_TOPIC = 104, /* bytes; longer topics are looked up each time */
};

struct bbi_box_mask {
    uint64_t words[BBI_ASKED_WORDS];
};
bool bbi_box_mask_is_empty(const struct bbi_box_mask *mask);
static inline bool
bbi_box_mask_has(const struct bbi_box_mask *mask, uint32_t box)
{
    return (mask->words[box / 64] >> box % 64 & 1) != 0;
}
void bbi_box_mask_set(struct bbi_box_mask *mask, uint32_t box, bool is_set);

struct bbi_asked_node {
    struct bbi_asked_node *chain;       /* of its bucket */
    struct bbi_asked_node *prev, *next; /* all of them */
    uint64_t hash;
    struct bbi_box_mask by_scope[2]; /* BBI_SCOPE_...: a box may ask with both */
    bool is_taken;                   /* local's: subscribed on the bus */
    uint8_t flags;                   /* BB_TOPIC_PATH or 0 */
    uint16_t bytes;
    char prefix[];
};

/* What a topic goes to, as local worked it out. */
struct bbi_asked_topic {
    struct bbi_box_mask send, denied;
};

struct bbi_asked_cached {
    uint64_t epoch; /* of asked when it was worked out; 0: never */
    uint64_t hash;
    struct bbi_asked_topic is;
    uint32_t bytes;
    char topic[BBI_ASKED_CACHE_TOPIC];
};

struct bbi_asked {
    struct bbi_hash_secret secret;
    struct bbi_asked_node **buckets;
    size_t bucket_count, count;
    struct bbi_asked_node *first;
    uint32_t *lengths;     /* [65536]: how many prefixes have so many bytes */
    uint64_t *length_bits; /* [1024]: which of these are not 0 */
    uint64_t epoch;        /* rises when any answer may change */
    struct bbi_asked_cached *cache;
    struct bbi_asked_cached
        *last; /* of cache: the topic before, which mostly is the next; NULL: none yet */
};

BB_MUST_USE int bbi_asked_init(struct bbi_asked *asked, const uint64_t seed[2]);
void bbi_asked_fini(struct bbi_asked *asked);

/* bbi_asked_add - the node; NULL: no memory. */
struct bbi_asked_node *
bbi_asked_add(struct bbi_asked *asked, uint32_t box, const struct bbi_interest *interest);
/* bbi_asked_remove - the node, perhaps with nobody left, then the caller drops it; NULL: it never asked. */
struct bbi_asked_node *
bbi_asked_remove(struct bbi_asked *asked, uint32_t box, const struct bbi_interest *interest);
void bbi_asked_drop(struct bbi_asked *asked, struct bbi_asked_node *node);
/* bbi_asked_of - all that ask for it, in whatever scope. */
struct bbi_box_mask bbi_asked_of(const struct bbi_asked_node *node);

/* bbi_asked_match - the boxes that ask for this topic. */
void bbi_asked_match(const struct bbi_asked *asked,
                     const char *topic,
                     size_t bytes,
                     struct bbi_box_mask *out);
/* bbi_asked_changed - whatever was worked out is void. */
void bbi_asked_changed(struct bbi_asked *asked);
/*
 * bbi_asked_cached - where the answer for this topic is kept; *is_known false: to be filled in by the caller.
 * NULL: too long to be kept.
 */
struct bbi_asked_topic *
bbi_asked_cached(struct bbi_asked *asked, const char *topic, size_t bytes, bool *is_known);

#endif
