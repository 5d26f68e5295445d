/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/look_topics.c - every topic of every ring, with the publishers' own counters.
 */
#include "busbar/topic.h"
#include "lib/endpoint/look_impl.h"
#include "shm/filter.h"
#include <stdio.h>
#include <stdlib.h>

/* The filters of all living subscribers, read once for a whole listing. */
struct filters {
    struct bbi_filter_table *tables[BBI_SUBS];
    uint32_t count;
};

static void
read_filters(const struct bbi_attach *at, struct filters *f)
{
    f->count = 0;
    for (uint32_t i = 0; i < BBI_SUBS; i++) {
        struct bbi_row row;
        struct bbi_segment seg;
        if (!bbi_is_alive(at, BBI_LOCK_SUB + i) || !bbi_look_sub(at, i, &row, &seg)) {
            continue;
        }
        struct bbi_filter_table *t = malloc(sizeof(*t));
        if (t != NULL && bbi_filter_read(seg.base, t) == 0) {
            f->tables[f->count++] = t;
        } else {
            free(t);
        }
        bbi_segment_close(&seg);
    }
}

static uint32_t
count_wanting(const struct filters *f, const char *topic, size_t bytes)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        struct bbi_filter_item item;
        uint32_t off = 0;
        while (bbi_filter_next(f->tables[i], &off, &item)) {
            if (bb_topic_match((const char *)item.bytes, item.len, item.flags, topic, bytes)) {
                n++;
                break;
            }
        }
    }
    return n;
}

static int
one_topic(const struct filters *f,
          const struct bbi_ring_look *ring,
          uint32_t index,
          uint32_t tag,
          bb_topic_cb cb,
          void *user)
{
    const char *topic;
    uint32_t bytes;
    struct bb_topic_info info = {.ring = index, .node_state = ring->state};
    if (bbi_reader_topic(&ring->map, tag, &topic, &bytes) < 0) {
        return 0;
    }
    info.topic = topic;
    info.topic_bytes = bytes;
    info.messages = bbi_load_relaxed(&ring->map.dict[tag].counts.messages);
    info.payload_bytes = bbi_load_relaxed(&ring->map.dict[tag].counts.bytes);
    info.subscribers = count_wanting(f, topic, bytes);
    (void)snprintf(info.node, sizeof(info.node), "%.47s",
                   ((struct bbi_ident *)ring->seg.base)->name);
    return cb(&info, user);
}

int
bb_look_topics(struct bb_look *look, bb_topic_cb cb, void *user)
{
    struct filters f;
    int rc = 0;
    read_filters(&look->at, &f);
    for (uint32_t i = 0; i < BBI_RINGS && rc == 0; i++) {
        struct bbi_ring_look ring;
        if (!bbi_look_ring(&look->at, i, &ring)) {
            continue;
        }
        uint32_t count = bbi_load_acquire(&ring.map.hdr->topics); /* R7 */
        for (uint32_t t = 0; t < count && t < ring.map.dict_count && rc == 0; t++) {
            rc = one_topic(&f, &ring, i, t, cb, user);
        }
        bbi_segment_close(&ring.seg);
    }
    for (uint32_t i = 0; i < f.count; i++) {
        free(f.tables[i]);
    }
    return rc;
}
