/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/table_map.h - elements by key, and by when something is due of them.
 *
 * Pure but for memory.  A removed element stays, marked as gone, until its time is due: so an older change that
 * comes later does not bring it back.
 */
#ifndef BUSBAR_LIB_CLUSTER_TABLE_MAP_H
#define BUSBAR_LIB_CLUSTER_TABLE_MAP_H

#include "busbar/value.h"
#include <stdbool.h>

struct bbi_element {
    struct bbi_element *next; /* of the same bucket */
    uint64_t hash;
    int64_t wall_ns, created_ns; /* of its last change; of the first */
    uint64_t node_id;            /* whose change that was */
    int64_t due_ns;              /* INT64_MAX: never */
    size_t heap_idx;             /* when it is due */
    uint32_t fill;               /* the last time that somebody confirmed it */
    bool is_gone;
    unsigned char *value_memory;
    struct bb_value key, value;
    uint64_t key_memory[];
};

/* All zeros is an empty one. */
struct bbi_map {
    struct bbi_element **buckets;
    size_t bucket_count; /* a power of two; 0: none yet */
    size_t count;        /* with those that are gone */
    size_t live_count;
    struct bbi_element **heap; /* those that are due some time */
    size_t heap_count, heap_capacity;
};

struct bbi_element *bbi_map_find(const struct bbi_map *m, const struct bb_value *key);
/* bbi_map_add - gone, and without a value; NULL: no memory.  The key is not there yet. */
struct bbi_element *bbi_map_add(struct bbi_map *m, const struct bb_value *key);
void bbi_map_remove(struct bbi_map *m, struct bbi_element *e);
/* bbi_map_set - value NULL: it is gone.  0 or BB_ENOMEM.  *old: its value before, the caller's to free. */
BB_MUST_USE int bbi_map_set(struct bbi_map *m,
                            struct bbi_element *e,
                            const struct bb_value *value,
                            unsigned char **old_memory);
/* bbi_map_due - when something is due.  0 or BB_ENOMEM. */
BB_MUST_USE int bbi_map_due(struct bbi_map *m, struct bbi_element *e, int64_t due_ns);
/* bbi_map_first - whose time comes first; NULL: nobody's ever. */
struct bbi_element *bbi_map_first(const struct bbi_map *m);
void bbi_map_fini(struct bbi_map *m);

#endif
