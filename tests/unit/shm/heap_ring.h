/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/shm/heap_ring.h - a ring over plain memory of exactly its size, so that ASan sees every byte
 * that is touched outside it.
 */
#ifndef BUSBAR_TESTS_UNIT_SHM_HEAP_RING_H
#define BUSBAR_TESTS_UNIT_SHM_HEAP_RING_H

#include "shm/ring_read.h"
#include "shm/ring_write.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAP_TAGS = 64 };

struct heap_ring {
    void *base;
    uint64_t bytes;
    struct bbi_ring_map map;
    struct bbi_writer w;
};

/* A reader with room for every tag; want[t] says which topics pass. */
struct heap_reader {
    struct bbi_reader r;
    struct bbi_tag tags[HEAP_TAGS];
    uint64_t now[HEAP_TAGS];
    bool unwanted[HEAP_TAGS];
    uint64_t passed[HEAP_TAGS];
    uint64_t laps;
    uint64_t lost_told; /* sum of what the laps said */
};

static inline struct bbi_ring_shape
shape_of(uint32_t depth, uint64_t pay_bytes, uint32_t topics, uint64_t text_bytes)
{
    return (struct bbi_ring_shape){.depth = depth,
                                   .pay_bytes = pay_bytes,
                                   .dict_count = topics,
                                   .text_bytes = text_bytes,
                                   .fence = BBI_FENCE_FULL};
}

/* As the registry makes a file, without the file. */
static inline void
heap_ring_new(struct heap_ring *h, const struct bbi_ring_shape *shape)
{
    struct bbi_ring_geom geom;
    memset(h, 0, sizeof(*h));
    h->bytes = bbi_ring_footprint(shape, &geom);
    cr_assert(h->bytes > 0 && h->bytes % BBI_PAGE_BYTES == 0);
    h->base = aligned_alloc(BBI_PAGE_BYTES, h->bytes);
    cr_assert_not_null(h->base);
    memset(h->base, 0, h->bytes);
    ((struct bbi_ring *)h->base)->ident.ring = geom;
    cr_assert_eq(bbi_ring_join(h->base, h->bytes, &h->map), 0);
    bbi_writer_init(&h->w, &h->map);
}

static inline void
heap_ring_delete(struct heap_ring *h)
{
    free(h->base);
    h->base = NULL;
}

/* The smallest ring there is: 64 messages, 4 KiB. */
static inline void
heap_ring_small(struct heap_ring *h)
{
    const struct bbi_ring_shape shape = shape_of(64, 4096, 16, 256);
    heap_ring_new(h, &shape);
}

static inline struct bbi_desc *
desc_of(const struct heap_ring *h, uint64_t seq)
{
    return &h->map.desc[seq & h->map.desc_mask];
}

static inline uint32_t
intern(struct heap_ring *h, const char *topic)
{
    return bbi_writer_intern(&h->w, topic, strlen(topic), 1);
}

/* Claim, fill, commit; flushes first when that is due.  0, or what claim said. */
static inline int
put(struct heap_ring *h, uint32_t tag, const void *data, size_t bytes)
{
    void *p = NULL;
    int rc = bbi_writer_claim(&h->w, bytes, &p);
    if (rc == BB_EBUSY) {
        bbi_writer_flush(&h->w);
        rc = bbi_writer_claim(&h->w, bytes, &p);
    }
    if (rc == 0) {
        bbi_fill_racy(p, data, bytes);
        bbi_writer_commit(&h->w, (uint32_t)bytes, tag, 0, 0);
    }
    return rc;
}

/* count messages of bytes bytes, each filled with its own number. */
static inline void
put_numbered(struct heap_ring *h, uint32_t tag, uint64_t count, size_t bytes)
{
    uint64_t words[256];
    cr_assert(bytes <= sizeof(words) && bytes % 8 == 0);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t number = h->w.n - h->map.depth + 1;
        for (size_t k = 0; k < bytes / 8; k++) {
            words[k] = number;
        }
        cr_assert_eq(put(h, tag, words, bytes), 0);
    }
    bbi_writer_flush(&h->w);
}

static inline void
heap_reader_init(struct heap_reader *hr, const struct heap_ring *h)
{
    memset(hr, 0, sizeof(*hr));
    bbi_reader_init(&hr->r, &h->map);
    hr->r.tags = hr->tags;
    hr->r.now = hr->now;
}

/* What a subscriber does when it hears of a tag for the first time. */
static inline void
learn_tags(struct heap_reader *hr, uint32_t upto)
{
    while (hr->r.tag_count <= upto) {
        const char *topic;
        uint32_t bytes;
        cr_assert_eq(bbi_reader_topic(&hr->r.map, hr->r.tag_count, &topic, &bytes), 0);
        hr->tags[hr->r.tag_count] = (struct bbi_tag){.is_wanted = !hr->unwanted[hr->r.tag_count]};
        hr->r.tag_count++;
    }
}

/* One step: passes a message on (1), or says why not (BBI_READ_NONE, BB_EOVERRUN, ...). */
static inline int
step(struct heap_reader *hr, struct bbi_item *item)
{
    uint32_t budget = UINT32_MAX;
    int rc = bbi_reader_next(&hr->r, item, hr->r.cursor + budget);
    while (rc == BBI_READ_TAG) {
        learn_tags(hr, item->tag);
        rc = bbi_reader_next(&hr->r, item, hr->r.cursor + budget);
    }
    if (rc == BB_EOVERRUN) {
        hr->laps++;
        hr->lost_told += item->seq;
    }
    if (rc == BBI_READ_ITEM) {
        hr->passed[item->tag < HEAP_TAGS ? item->tag : HEAP_TAGS - 1]++;
        bbi_reader_pass(&hr->r, item->tag);
    }
    return rc;
}

/* All that is there; checks that numbered messages rise and are whole.  How many were passed on. */
static inline uint64_t
drain(struct heap_reader *hr)
{
    struct bbi_item item;
    uint64_t n = 0, last = 0;
    for (;;) {
        int rc = step(hr, &item);
        if (rc == BB_EOVERRUN) {
            continue;
        }
        if (rc != BBI_READ_ITEM) {
            cr_assert_eq(rc, BBI_READ_NONE, "drain ended with %d", rc);
            return n;
        }
        n++;
        cr_assert(item.seq > last, "message %llu after %llu", (unsigned long long)item.seq,
                  (unsigned long long)last);
        last = item.seq;
        for (uint32_t k = 0; k + 8 <= item.bytes; k += 8) {
            uint64_t v;
            memcpy(&v, item.data + k, 8);
            cr_assert_eq(v, item.seq, "message %llu holds %llu", (unsigned long long)item.seq,
                         (unsigned long long)v);
        }
    }
}

/* The promise: from start to cursor, messages = passed on + filtered + lost. */
static inline void
check_sum(const struct heap_reader *hr)
{
    uint64_t passed = 0;
    for (int t = 0; t < HEAP_TAGS; t++) {
        passed += hr->passed[t];
    }
    cr_assert_eq(passed + hr->r.filtered + hr->r.lost, hr->r.cursor - hr->r.start,
                 "%llu passed + %llu filtered + %llu lost != %llu", (unsigned long long)passed,
                 (unsigned long long)hr->r.filtered, (unsigned long long)hr->r.lost,
                 (unsigned long long)(hr->r.cursor - hr->r.start));
}

#endif
