/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/unit/shm/audience_bus.h - one publisher with its audience and some subscribers, on a real bus, all
 * in one thread, so that every step of a protocol can be taken by hand.
 */
#ifndef BUSBAR_TESTS_UNIT_SHM_AUDIENCE_BUS_H
#define BUSBAR_TESTS_UNIT_SHM_AUDIENCE_BUS_H

#include "shm/audience.h"
#include "shm/join.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"

struct talker {
    struct bbi_attach at;
    struct bbi_own_file file;
    struct bbi_writer writer;
    struct bbi_audience aud;
};

struct hearer {
    struct bbi_attach at;
    struct bbi_own_file file;
    struct bbi_sub *sub;
    struct bbi_segment seg; /* the ring, as a reader maps it */
    struct bbi_reader reader;
    struct bbi_join join;
    struct bbi_tag tags[16];
    uint64_t now[16];
};

/* A prefix matches byte-wise; the layer above brings the real rule. */
static inline int
match_prefix(const struct bbi_filter_item *item, const void *subject, size_t bytes)
{
    return item->len <= bytes && memcmp(item->bytes, subject, item->len) == 0;
}

static inline void
talker_open_shape(struct talker *t, const char *name, const struct bbi_ring_shape *shape)
{
    struct bbi_ring_map map;
    attach_named(&t->at, name);
    cr_assert_eq(bbi_ring_register(&t->at, shape, 0, &t->file, NULL), 0);
    cr_assert_eq(bbi_ring_join(t->file.seg.base, t->file.seg.bytes, &map), 0);
    bbi_writer_init(&t->writer, &map);
    bbi_audience_init(&t->aud, &t->at, &t->writer, t->file.index, t->file.key, match_prefix);
    t->aud.policy = BBI_FAIL;
}

static inline void
talker_open(struct talker *t, const char *name)
{
    talker_open_shape(t, name, small_shape());
}

static inline void
talker_close(struct talker *t)
{
    bbi_ring_close(&t->at, &t->file);
    bbi_audience_fini(&t->aud);
    bbi_attach_close(&t->at);
}

/* One numbered message; 0, or what the policy said.  Flushes only when it must. */
static inline int
say_more(struct talker *t, size_t bytes)
{
    void *p = NULL;
    for (;;) {
        int rc = bbi_writer_claim(&t->writer, bytes, &p);
        if (rc == 0) {
            break;
        }
        if (rc == BB_EBUSY) {
            bbi_audience_flush(&t->aud);
            bbi_audience_forget_noted(&t->aud);
            bbi_audience_forget_noted(&t->aud);
        } else {
            rc = rc == BB_EAGAIN ? bbi_audience_make_room(&t->aud, bytes) : rc;
            if (rc < 0) {
                return rc;
            }
        }
    }
    uint64_t n = t->writer.n;
    bbi_fill_racy(p, &n, bytes < 8 ? bytes : 8);
    bbi_writer_commit(&t->writer, (uint32_t)bytes, BBI_TAG_SPILL, 0, 0);
    return 0;
}

static inline int
say(struct talker *t, size_t bytes)
{
    int rc = say_more(t, bytes);
    bbi_audience_flush(&t->aud);
    bbi_audience_forget_noted(&t->aud);
    return rc;
}

/* How many messages go until the policy refuses. */
static inline int
say_until_refused(struct talker *t, size_t bytes, int max)
{
    int n = 0;
    while (n < max && say(t, bytes) == 0) {
        n++;
    }
    return n;
}

static inline void
hearer_want(struct hearer *h, const char *prefix)
{
    const struct bbi_filter_item item = {.bytes = (const unsigned char *)prefix,
                                         .len = (uint16_t)strlen(prefix)};
    cr_assert_eq(bbi_filter_write(h->sub, &item, 1), 0);
    (void)bbi_fetch_add_seq_cst(&h->at.bus->sub_epoch.v, 1);
}

/* A subscriber of its own member, with a filter, that reads nothing yet. */
static inline void
hearer_open(struct hearer *h, const char *name, const char *prefix)
{
    memset(h, 0, sizeof(*h));
    attach_named(&h->at, name);
    cr_assert_eq(bbi_sub_register(&h->at, 0, &h->file, NULL), 0);
    h->sub = h->file.seg.base;
    hearer_want(h, prefix);
}

static inline void
hearer_map(struct hearer *h, const struct talker *t)
{
    char name[BBI_FILE_NAME_BYTES];
    struct bbi_ring_map map;
    bbi_place_ring_name(name, t->file.index, t->file.gen, t->file.key);
    cr_assert_eq(bbi_segment_open(h->at.place.dir_fd, name, BBI_FILE_RING, false, &h->seg), 0);
    cr_assert_eq(bbi_ring_join(h->seg.base, h->seg.bytes, &map), 0);
    bbi_reader_init(&h->reader, &map);
    h->reader.tags = h->tags;
    h->reader.now = h->now;
    h->join = (struct bbi_join){.bus = h->at.bus,
                                .sub = h->sub,
                                .ring = map.hdr,
                                .ring_index = t->file.index,
                                .sub_index = h->file.index,
                                .ring_key = t->file.key,
                                .gen = 1};
}

static inline void
hearer_join(struct hearer *h, const struct talker *t, bool reliable)
{
    hearer_map(h, t);
    bbi_join_begin(&h->join, &h->reader, reliable, BBI_SEEK_NOW, 0);
}

/* Reads at most max messages; publishes the cursor.  How many; laps end the test. */
static inline int
hear(struct hearer *h, int max)
{
    struct bbi_item item;
    int n = 0;
    for (; n < max; n++) {
        uint32_t budget = 1000;
        int rc = bbi_reader_next(&h->reader, &item, h->reader.cursor + budget);
        if (rc == BBI_READ_NONE) {
            break;
        }
        cr_assert_eq(rc, BBI_READ_ITEM, "rc %d", rc);
        uint64_t v;
        bbi_copy_racy(&v, item.data, 8);
        cr_assert(bbi_reader_is_whole(&h->reader, item.pos));
        cr_assert_eq(v, h->reader.cursor);
        bbi_reader_pass(&h->reader, item.tag);
    }
    bbi_join_publish(&h->join, h->reader.cursor);
    return n;
}

static inline void
hearer_close(struct hearer *h)
{
    bbi_sub_close(&h->at, &h->file);
    bbi_segment_close(&h->seg);
    bbi_attach_close(&h->at);
}

static inline struct bbi_cursor *
line_of(struct hearer *h, const struct talker *t)
{
    return &h->sub->cursors[t->file.index];
}

static inline bool
mask_has(const struct bbi_mask *m, uint32_t i)
{
    return (m->words[i / 64] >> i % 64 & 1) != 0;
}

static inline uint64_t
counter(const bbi_u64 *p)
{
    return bbi_load_relaxed(p);
}

#endif
