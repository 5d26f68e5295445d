/* SPDX-License-Identifier: BSD-3-Clause */
#include "lib/link/asked.h"
#include <busbar/topic.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BUCKETS = 256, LENGTHS = BB_TOPIC_MAX + 1 };

bool
bbi_box_mask_is_empty(const struct bbi_box_mask *mask)
{
    uint64_t any = 0;
    for (int i = 0; i < BBI_ASKED_WORDS; i++) {
        any |= mask->words[i];
    }
    return any == 0;
}

void
bbi_box_mask_set(struct bbi_box_mask *mask, uint32_t box, bool is_set)
{
    uint64_t bit = UINT64_C(1) << box % 64;
    uint64_t *word = &mask->words[box / 64];
    *word = is_set ? *word | bit : *word & ~bit;
}

int
bbi_asked_init(struct bbi_asked *asked, const uint64_t seed[2])
{
    *asked = (struct bbi_asked){.bucket_count = FIRST_BUCKETS, .epoch = 1};
    bbi_hash_secret_make(&asked->secret, seed);
    asked->buckets = calloc(FIRST_BUCKETS, sizeof(struct bbi_asked_node *));
    asked->lengths = calloc(LENGTHS, sizeof(uint32_t));
    asked->length_bits = calloc(LENGTHS / 64, sizeof(uint64_t));
    asked->cache = calloc(BBI_ASKED_CACHE, sizeof(struct bbi_asked_cached));
    if (asked->buckets == NULL || asked->lengths == NULL || asked->length_bits == NULL
        || asked->cache == NULL) {
        bbi_asked_fini(asked);
        return BB_ENOMEM;
    }
    return 0;
}

void
bbi_asked_fini(struct bbi_asked *asked)
{
    struct bbi_asked_node *node = asked->first;
    while (node != NULL) {
        struct bbi_asked_node *next = node->next;
        free(node);
        node = next;
    }
    free(asked->buckets);
    free(asked->lengths);
    free(asked->length_bits);
    free(asked->cache);
    *asked = (struct bbi_asked){0};
}

static uint64_t
hash_of(const struct bbi_asked *asked, const char *bytes, size_t count)
{
    return bbi_hash64_keyed(&asked->secret, bytes, count);
}

static struct bbi_asked_node *
find(const struct bbi_asked *asked, const struct bbi_interest *interest, uint64_t hash)
{
    struct bbi_asked_node *node = asked->buckets[hash & (asked->bucket_count - 1)];
    while (node != NULL
           && (node->hash != hash || node->flags != interest->flags
               || node->bytes != interest->prefix_bytes
               || memcmp(node->prefix, interest->prefix, node->bytes) != 0)) {
        node = node->chain;
    }
    return node;
}

/* Twice as many buckets when chains grow; without memory they stay as they are. */
static void
grow(struct bbi_asked *asked)
{
    size_t count = asked->bucket_count * 2;
    struct bbi_asked_node **buckets = calloc(count, sizeof(struct bbi_asked_node *));
    if (buckets == NULL) {
        return;
    }
    for (struct bbi_asked_node *node = asked->first; node != NULL; node = node->next) {
        struct bbi_asked_node **bucket = &buckets[node->hash & (count - 1)];
        node->chain = *bucket;
        *bucket = node;
    }
    free(asked->buckets);
    asked->buckets = buckets;
    asked->bucket_count = count;
}

static struct bbi_asked_node *
add_new(struct bbi_asked *asked, const struct bbi_interest *interest, uint64_t hash)
{
    struct bbi_asked_node *node = calloc(1, sizeof(*node) + interest->prefix_bytes);
    if (node == NULL) {
        return NULL;
    }
    node->hash = hash;
    node->flags = interest->flags;
    node->bytes = (uint16_t)interest->prefix_bytes;
    if (node->bytes > 0) {
        memcpy(node->prefix, interest->prefix, node->bytes);
    }
    if (asked->count++ >= asked->bucket_count) {
        grow(asked);
    }
    struct bbi_asked_node **bucket = &asked->buckets[hash & (asked->bucket_count - 1)];
    node->chain = *bucket;
    *bucket = node;
    node->next = asked->first;
    if (node->next != NULL) {
        node->next->prev = node;
    }
    asked->first = node;
    asked->lengths[node->bytes]++;
    asked->length_bits[node->bytes / 64] |= UINT64_C(1) << node->bytes % 64;
    return node;
}

struct bbi_asked_node *
bbi_asked_add(struct bbi_asked *asked, uint32_t box, const struct bbi_interest *interest)
{
    uint64_t hash = hash_of(asked, interest->prefix, interest->prefix_bytes);
    struct bbi_asked_node *node = find(asked, interest, hash);
    node = node != NULL ? node : add_new(asked, interest, hash);
    if (node != NULL) {
        bbi_box_mask_set(&node->by_scope[interest->scope & 1], box, true);
        bbi_asked_changed(asked);
    }
    return node;
}

struct bbi_asked_node *
bbi_asked_remove(struct bbi_asked *asked, uint32_t box, const struct bbi_interest *interest)
{
    uint64_t hash = hash_of(asked, interest->prefix, interest->prefix_bytes);
    struct bbi_asked_node *node = find(asked, interest, hash);
    if (node != NULL) {
        bbi_box_mask_set(&node->by_scope[interest->scope & 1], box, false);
        bbi_asked_changed(asked);
    }
    return node;
}

void
bbi_asked_drop(struct bbi_asked *asked, struct bbi_asked_node *node)
{
    struct bbi_asked_node **at = &asked->buckets[node->hash & (asked->bucket_count - 1)];
    while (*at != node) {
        at = &(*at)->chain;
    }
    *at = node->chain;
    *(node->prev != NULL ? &node->prev->next : &asked->first) = node->next;
    if (node->next != NULL) {
        node->next->prev = node->prev;
    }
    if (--asked->lengths[node->bytes] == 0) {
        asked->length_bits[node->bytes / 64] &= ~(UINT64_C(1) << node->bytes % 64);
    }
    asked->count--;
    free(node);
    bbi_asked_changed(asked);
}

struct bbi_box_mask
bbi_asked_of(const struct bbi_asked_node *node)
{
    struct bbi_box_mask mask = node->by_scope[0];
    for (int i = 0; i < BBI_ASKED_WORDS; i++) {
        mask.words[i] |= node->by_scope[1].words[i];
    }
    return mask;
}

static void
match_length(const struct bbi_asked *asked,
             const char *topic,
             size_t bytes,
             size_t length,
             struct bbi_box_mask *out)
{
    uint64_t hash = hash_of(asked, topic, length);
    const struct bbi_asked_node *node = asked->buckets[hash & (asked->bucket_count - 1)];
    for (; node != NULL; node = node->chain) {
        if (node->hash == hash && node->bytes == length
            && bb_topic_match(node->prefix, length, node->flags, topic, bytes) != 0) {
            struct bbi_box_mask mask = bbi_asked_of(node);
            for (int i = 0; i < BBI_ASKED_WORDS; i++) {
                out->words[i] |= mask.words[i];
            }
        }
    }
}

void
bbi_asked_match(const struct bbi_asked *asked,
                const char *topic,
                size_t bytes,
                struct bbi_box_mask *out)
{
    *out = (struct bbi_box_mask){0};
    for (size_t word = 0; word <= bytes / 64 && word < LENGTHS / 64; word++) {
        uint64_t bits = asked->length_bits[word];
        while (bits != 0) {
            size_t length = word * 64 + (size_t)__builtin_ctzll(bits);
            bits &= bits - 1;
            if (length <= bytes) {
                match_length(asked, topic, bytes, length, out);
            }
        }
    }
}

void
bbi_asked_changed(struct bbi_asked *asked)
{
    asked->epoch++;
}

struct bbi_asked_topic *
bbi_asked_cached(struct bbi_asked *asked, const char *topic, size_t bytes, bool *is_known)
{
    *is_known = false;
    if (bytes > BBI_ASKED_CACHE_TOPIC) {
        return NULL;
    }
    struct bbi_asked_cached *slot = asked->last;
    if (slot != NULL && slot->epoch == asked->epoch && slot->bytes == bytes
        && (bytes == 0 || memcmp(slot->topic, topic, bytes) == 0)) {
        *is_known = true;
        return &slot->is;
    }
    uint64_t hash = hash_of(asked, topic, bytes);
    slot = asked->last = &asked->cache[hash % BBI_ASKED_CACHE];
    if (slot->epoch == asked->epoch && slot->hash == hash && slot->bytes == bytes
        && (bytes == 0 || memcmp(slot->topic, topic, bytes) == 0)) {
        *is_known = true;
        return &slot->is;
    }
    slot->epoch = asked->epoch;
    slot->hash = hash;
    slot->bytes = (uint32_t)bytes;
    if (bytes > 0) {
        memcpy(slot->topic, topic, bytes);
    }
    return &slot->is;
}
