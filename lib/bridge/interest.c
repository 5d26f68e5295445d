/* SPDX-License-Identifier: BSD-3-Clause */
#include "lib/bridge/interest.h"

static size_t
node_bytes(size_t prefix_bytes)
{
    return sizeof(struct bbi_interest_node) + prefix_bytes;
}

int
bbi_interest_set_init(struct bbi_interest_set *set,
                      const struct bbi_memory *memory,
                      const uint64_t seed[2],
                      uint32_t count_max,
                      size_t bytes_max)
{
    size_t table_bytes = BBI_INTEREST_BUCKETS * sizeof(struct bbi_interest_node *);
    memset(set, 0, sizeof(*set));
    set->memory = memory;
    set->count_max = count_max;
    set->bytes_max = bytes_max;
    bbi_hash_secret_make(&set->secret, seed);
    set->buckets = memory->take(memory->user, table_bytes);
    if (set->buckets == NULL) {
        return BB_ENOMEM;
    }
    memset(set->buckets, 0, table_bytes);
    return 0;
}

void
bbi_interest_set_fini(struct bbi_interest_set *set)
{
    if (set->buckets == NULL) {
        return;
    }
    while (set->oldest != NULL) {
        bbi_interest_set_drop(set, set->oldest);
    }
    set->memory->give(set->memory->user, set->buckets,
                      BBI_INTEREST_BUCKETS * sizeof(struct bbi_interest_node *));
    set->buckets = NULL;
}

static struct bbi_interest_node **
bucket_of(const struct bbi_interest_set *set, const char *prefix, size_t bytes)
{
    return &set->buckets[bbi_hash64_keyed(&set->secret, prefix, bytes) % BBI_INTEREST_BUCKETS];
}

struct bbi_interest_node *
bbi_interest_set_find(const struct bbi_interest_set *set, const struct bbi_interest *interest)
{
    struct bbi_interest_node *node = *bucket_of(set, interest->prefix, interest->prefix_bytes);
    while (node != NULL
           && (node->flags != interest->flags || node->scope != interest->scope
               || node->prefix_bytes != interest->prefix_bytes
               || memcmp(node->prefix, interest->prefix, interest->prefix_bytes) != 0)) {
        node = node->chain;
    }
    return node;
}

static void
unlink_node(struct bbi_interest_set *set, struct bbi_interest_node *node)
{
    if (set->untold == node) {
        set->untold = node->next;
    }
    *(node->prev != NULL ? &node->prev->next : &set->oldest) = node->next;
    *(node->next != NULL ? &node->next->prev : &set->newest) = node->prev;
}

/* It changed just now: the newest, and untold. */
static void
append_node(struct bbi_interest_set *set, struct bbi_interest_node *node)
{
    node->revision = ++set->revision;
    node->next = NULL;
    node->prev = set->newest;
    *(set->newest != NULL ? &set->newest->next : &set->oldest) = node;
    set->newest = node;
    if (set->untold == NULL) {
        set->untold = node;
    }
}

void
bbi_interest_set_drop(struct bbi_interest_set *set, struct bbi_interest_node *node)
{
    struct bbi_interest_node **at = bucket_of(set, node->prefix, node->prefix_bytes);
    while (*at != node) {
        at = &(*at)->chain;
    }
    *at = node->chain;
    unlink_node(set, node);
    *(node->count > 0 ? &set->count : &set->removed) -= 1;
    set->bytes -= node_bytes(node->prefix_bytes);
    set->memory->give(set->memory->user, node, node_bytes(node->prefix_bytes));
}

static int
add_new(struct bbi_interest_set *set, const struct bbi_interest *interest)
{
    size_t bytes = node_bytes(interest->prefix_bytes);
    if (set->count + set->removed >= set->count_max || bytes > set->bytes_max - set->bytes) {
        return BB_EFULL;
    }
    struct bbi_interest_node *node = set->memory->take(set->memory->user, bytes);
    if (node == NULL) {
        return BB_ENOMEM;
    }
    *node = (struct bbi_interest_node){.count = 1,
                                       .flags = interest->flags,
                                       .scope = interest->scope,
                                       .prefix_bytes = (uint16_t)interest->prefix_bytes};
    (void)bbi_put_bytes((unsigned char *)node->prefix, interest->prefix, interest->prefix_bytes);
    struct bbi_interest_node **bucket = bucket_of(set, node->prefix, node->prefix_bytes);
    node->chain = *bucket;
    *bucket = node;
    append_node(set, node);
    set->bytes += bytes;
    set->count++;
    return 1;
}

int
bbi_interest_set_add(struct bbi_interest_set *set, const struct bbi_interest *interest)
{
    struct bbi_interest_node *node = bbi_interest_set_find(set, interest);
    if (node == NULL) {
        return add_new(set, interest);
    }
    if (node->count++ > 0) {
        return 0;
    }
    set->removed--;
    set->count++;
    unlink_node(set, node);
    append_node(set, node);
    return 1;
}

int
bbi_interest_set_remove(struct bbi_interest_set *set, const struct bbi_interest *interest)
{
    struct bbi_interest_node *node = bbi_interest_set_find(set, interest);
    if (node == NULL || node->count == 0) {
        return BB_ENOENT;
    }
    if (node->count > 1) {
        node->count--;
        return 0;
    }
    if (!set->keeps_removed) {
        set->revision++;
        bbi_interest_set_drop(set, node);
        return 1;
    }
    node->count = 0;
    set->count--;
    set->removed++;
    unlink_node(set, node);
    append_node(set, node);
    return 1;
}

static void
forget_removed(struct bbi_interest_set *set, uint64_t revision)
{
    struct bbi_interest_node *node = set->oldest;
    while (node != NULL && set->removed > 0 && node->revision <= revision) {
        struct bbi_interest_node *next = node->next;
        if (node->count == 0) {
            bbi_interest_set_drop(set, node);
        }
        node = next;
    }
}

void
bbi_interest_set_tell_all(struct bbi_interest_set *set)
{
    forget_removed(set, UINT64_MAX);
    set->untold = set->oldest;
    set->keeps_removed = true;
}

void
bbi_interest_set_nobody(struct bbi_interest_set *set)
{
    forget_removed(set, UINT64_MAX);
    set->keeps_removed = false;
}

void
bbi_interest_set_known(struct bbi_interest_set *set, uint64_t revision)
{
    forget_removed(set, revision);
}
