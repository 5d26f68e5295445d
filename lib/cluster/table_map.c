/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/table_map.c - a hash table with chains, and a binary heap of those that are due.
 */
#include "lib/cluster/table_map.h"
#include "shm/base.h"
#include <stdlib.h>
#include <string.h>

enum { FIRST_BUCKETS = 64, FIRST_HEAP = 16 };
#define NOT_IN_HEAP SIZE_MAX

static struct bbi_element **
bucket_of(const struct bbi_map *m, uint64_t hash)
{
    return &m->buckets[hash & (m->bucket_count - 1)];
}

struct bbi_element *
bbi_map_find(const struct bbi_map *m, const struct bb_value *key)
{
    uint64_t hash = bb_value_hash(key);
    struct bbi_element *e = m->bucket_count > 0 ? *bucket_of(m, hash) : NULL;
    while (e != NULL && (e->hash != hash || bb_value_equal(&e->key, key) == 0)) {
        e = e->next;
    }
    return e;
}

static int
grow(struct bbi_map *m)
{
    size_t count = m->bucket_count > 0 ? 2 * m->bucket_count : FIRST_BUCKETS;
    struct bbi_element **buckets = calloc(count, sizeof(struct bbi_element *));
    if (buckets == NULL) {
        return BB_ENOMEM;
    }
    for (size_t i = 0; i < m->bucket_count; i++) {
        struct bbi_element *next;
        for (struct bbi_element *e = m->buckets[i]; e != NULL; e = next) {
            struct bbi_element **to = &buckets[e->hash & (count - 1)];
            next = e->next;
            e->next = *to;
            *to = e;
        }
    }
    free(m->buckets);
    m->buckets = buckets;
    m->bucket_count = count;
    return 0;
}

struct bbi_element *
bbi_map_add(struct bbi_map *m, const struct bb_value *key)
{
    if (m->count >= m->bucket_count && grow(m) < 0) {
        return NULL;
    }
    struct bbi_element *e = calloc(1, sizeof(*e) + bbi_align_up(key->bytes, 8));
    if (e == NULL) {
        return NULL;
    }
    memcpy(e->key_memory, key->p, key->bytes);
    e->key = (struct bb_value){.p = (const unsigned char *)e->key_memory, .bytes = key->bytes};
    e->hash = bb_value_hash(key);
    e->due_ns = INT64_MAX;
    e->heap_idx = NOT_IN_HEAP;
    e->is_gone = true;
    struct bbi_element **bucket = bucket_of(m, e->hash);
    e->next = *bucket;
    *bucket = e;
    m->count++;
    return e;
}

int
bbi_map_set(struct bbi_map *m,
            struct bbi_element *e,
            const struct bb_value *value,
            unsigned char **old_memory)
{
    unsigned char *memory = NULL;
    if (value != NULL) {
        memory = malloc(bbi_align_up(value->bytes, 8));
        if (memory == NULL) {
            return BB_ENOMEM;
        }
        memcpy(memory, value->p, value->bytes);
    }
    *old_memory = e->value_memory;
    m->live_count += (value != NULL) - (size_t)!e->is_gone;
    e->value_memory = memory;
    e->value = (struct bb_value){.p = memory, .bytes = value != NULL ? value->bytes : 0};
    e->is_gone = value == NULL;
    return 0;
}

/* ---- what is due first -------------------------------------------------------------------------- */

static void
put_at(struct bbi_map *m, struct bbi_element *e, size_t idx)
{
    m->heap[idx] = e;
    e->heap_idx = idx;
}

static void
sift(struct bbi_map *m, struct bbi_element *e, size_t idx)
{
    while (idx > 0 && e->due_ns < m->heap[(idx - 1) / 2]->due_ns) {
        put_at(m, m->heap[(idx - 1) / 2], idx);
        idx = (idx - 1) / 2;
    }
    for (size_t child = 2 * idx + 1; child < m->heap_count; child = 2 * idx + 1) {
        child += child + 1 < m->heap_count && m->heap[child + 1]->due_ns < m->heap[child]->due_ns;
        if (e->due_ns <= m->heap[child]->due_ns) {
            break;
        }
        put_at(m, m->heap[child], idx);
        idx = child;
    }
    put_at(m, e, idx);
}

static void
leave_heap(struct bbi_map *m, struct bbi_element *e)
{
    size_t idx = e->heap_idx;
    if (idx == NOT_IN_HEAP) {
        return;
    }
    struct bbi_element *last = m->heap[--m->heap_count];
    e->heap_idx = NOT_IN_HEAP;
    if (last != e) {
        sift(m, last, idx);
    }
}

int
bbi_map_due(struct bbi_map *m, struct bbi_element *e, int64_t due_ns)
{
    if (due_ns == INT64_MAX) {
        leave_heap(m, e);
        e->due_ns = due_ns;
        return 0;
    }
    if (e->heap_idx == NOT_IN_HEAP && m->heap_count == m->heap_capacity) {
        size_t capacity = m->heap_capacity > 0 ? 2 * m->heap_capacity : FIRST_HEAP;
        struct bbi_element **heap = realloc(m->heap, capacity * sizeof(struct bbi_element *));
        if (heap == NULL) {
            return BB_ENOMEM;
        }
        m->heap = heap;
        m->heap_capacity = capacity;
    }
    e->due_ns = due_ns;
    sift(m, e, e->heap_idx == NOT_IN_HEAP ? m->heap_count++ : e->heap_idx);
    return 0;
}

struct bbi_element *
bbi_map_first(const struct bbi_map *m)
{
    return m->heap_count > 0 ? m->heap[0] : NULL;
}

/* ---- going -------------------------------------------------------------------------------------- */

static void
free_one(struct bbi_element *e)
{
    free(e->value_memory);
    free(e);
}

void
bbi_map_remove(struct bbi_map *m, struct bbi_element *e)
{
    struct bbi_element **at = bucket_of(m, e->hash);
    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    leave_heap(m, e);
    m->count--;
    m->live_count -= !e->is_gone;
    free_one(e);
}

void
bbi_map_fini(struct bbi_map *m)
{
    for (size_t i = 0; i < m->bucket_count; i++) {
        while (m->buckets[i] != NULL) {
            struct bbi_element *e = m->buckets[i];
            m->buckets[i] = e->next;
            free_one(e);
        }
    }
    free(m->buckets);
    free(m->heap);
    *m = (struct bbi_map){.buckets = NULL};
}
