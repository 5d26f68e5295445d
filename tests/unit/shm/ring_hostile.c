/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what a hostile or dead publisher leaves in memory leads to a status, soon, and never to a wild read.
 * Method: hostile words are written by hand, and at random, into a ring in memory of exactly its size (run it under ASan).
 */
#include "tests/unit/shm/heap_ring.h"

Test(ring_hostile, a_hostile_length_is_corrupt, .timeout = 20)
{
    static const uint32_t bad[] = {1025, 4096, 1U << 31, UINT32_MAX};
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    heap_ring_small(&h);
    put_numbered(&h, intern(&h, "a"), 1, 8);
    heap_reader_init(&r, &h);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        bbi_store_relaxed(&desc_of(&h, 64)->len, bad[i]);
        cr_assert_eq(step(&r, &item), BB_ECORRUPT, "length %u", bad[i]);
        cr_assert_eq(r.r.cursor, 64U, "the ring is put aside, nothing is counted");
    }
    heap_ring_delete(&h);
}

/* More messages than a burst can have, or than lie before the end of the ring. */
Test(ring_hostile, a_hostile_burst_is_corrupt, .timeout = 20)
{
    static const uint32_t more[] = {16, 17, 0x7fff, 0xffff};
    struct heap_ring h;
    struct bbi_item item;
    heap_ring_small(&h);
    put_numbered(&h, intern(&h, "a"), 1, 8);
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
        struct heap_reader r;
        heap_reader_init(&r, &h);
        bbi_store_relaxed(&desc_of(&h, 64)->flags, more[i] << BBI_MORE_SHIFT);
        cr_assert_eq(step(&r, &item), BB_ECORRUPT, "%u more", more[i]);
    }
    for (uint32_t count = 1; count <= 16; count++) {
        struct heap_reader r;
        heap_reader_init(&r, &h);
        bbi_store_relaxed(&desc_of(&h, 64)->pos, h.map.pay_bytes - 8 * 16);
        bbi_store_relaxed(&h.map.hdr->claim_pos.v, h.map.pay_bytes);
        bbi_store_relaxed(&desc_of(&h, 64)->flags, (count - 1) << BBI_MORE_SHIFT);
        cr_assert_eq(step(&r, &item), count <= 8 ? BBI_READ_ITEM : BB_ECORRUPT, "%u", count);
    }
    heap_ring_delete(&h);
}

Test(ring_hostile, a_hostile_position_stays_inside_the_ring, .timeout = 20)
{
    static const uint64_t bad[] = {
        1, 4095, 4096 - 7, UINT64_MAX, UINT64_MAX - 4095, UINT64_C(1) << 63, 4096 * 5 - 8};
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    unsigned char out[64];
    heap_ring_small(&h);
    put_numbered(&h, intern(&h, "a"), 1, 64);
    heap_reader_init(&r, &h);
    learn_tags(&r, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (uint32_t len = 0; len <= 64; len++) {
            uint32_t budget = 1;
            bbi_store_relaxed(&desc_of(&h, 64)->pos, bad[i]);
            bbi_store_relaxed(&desc_of(&h, 64)->len, len);
            int rc = bbi_reader_next(&r.r, &item, r.r.cursor + budget);
            if (rc == BBI_READ_ITEM) {
                cr_assert(item.data >= h.map.pay
                          && item.data + item.bytes <= h.map.pay + h.map.pay_bytes);
                bbi_copy_racy(out, item.data, item.bytes); /* ASan looks on */
            } else {
                cr_assert_eq(rc, BB_ECORRUPT);
            }
        }
    }
    heap_ring_delete(&h);
}

Test(ring_hostile, a_hostile_tag_is_corrupt, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    uint32_t budget = 1;
    heap_ring_small(&h);
    put_numbered(&h, intern(&h, "a"), 1, 8);
    heap_reader_init(&r, &h);
    bbi_store_relaxed(&desc_of(&h, 64)->tag, 16); /* the dictionary has 16 */
    cr_assert_eq(bbi_reader_next(&r.r, &item, r.r.cursor + budget), BB_ECORRUPT);
    bbi_store_relaxed(&desc_of(&h, 64)->tag, UINT32_MAX - 1);
    cr_assert_eq(bbi_reader_next(&r.r, &item, r.r.cursor + budget), BB_ECORRUPT);
    bbi_store_relaxed(&desc_of(&h, 64)->tag, 15); /* possible, not published */
    cr_assert_eq(bbi_reader_next(&r.r, &item, r.r.cursor + budget), BBI_READ_TAG);
    const char *t;
    uint32_t n;
    cr_assert_eq(bbi_reader_topic(&h.map, 15, &t, &n), BB_ENOENT);
    heap_ring_delete(&h);
}

Test(ring_hostile, a_hostile_tail_or_number_ends_each_call_soon, .timeout = 20)
{
    static const uint64_t bad[] = {
        0, 1, 63, 1000, UINT64_C(1) << 40, UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 64};
    struct heap_ring h;
    struct bbi_item item;
    heap_ring_small(&h);
    put_numbered(&h, intern(&h, "a"), 100, 8);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
            struct heap_reader r;
            heap_reader_init(&r, &h);
            learn_tags(&r, 0);
            bbi_store_relaxed(&h.map.hdr->tail_seq, bad[i]);
            bbi_store_relaxed(&h.map.hdr->claim_pos.v, bad[k]);
            bbi_store_relaxed(&desc_of(&h, 64)->seq, bad[k]);
            for (int how = BBI_SEEK_NOW; how <= BBI_SEEK_FIRST; how++) {
                bbi_reader_seek(&r.r, (enum bbi_seek)how, 10);
                (void)bbi_reader_base(&r.r);
                for (int n = 0; n < 100; n++) {
                    uint32_t budget = 100;
                    int rc = bbi_reader_next(&r.r, &item, r.r.cursor + budget);
                    if (rc == BBI_READ_ITEM) {
                        bbi_reader_pass(&r.r, item.tag);
                    }
                    (void)bbi_reader_is_at_tail(&r.r);
                }
                (void)bbi_reader_overrun(&r.r);
                (void)bbi_reader_settle(&r.r, true);
            }
        }
    }
    heap_ring_delete(&h);
}

/* Random bytes over everything behind the identity: every read stays inside (ASan), every call ends. */
Test(ring_hostile, random_memory_leads_to_no_wild_read, .timeout = 60)
{
    struct heap_ring h;
    heap_ring_small(&h);
    uint64_t x = 0x853c49e6748fea9bULL;
    unsigned char out[1024];
    for (int round = 0; round < 300; round++) {
        struct heap_reader r;
        struct bbi_item item;
        put_numbered(&h, BBI_TAG_SPILL, 10, 8);
        for (int k = 0; k < 400; k++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            uint64_t off = BBI_PAGE_BYTES + x % (h.bytes - BBI_PAGE_BYTES);
            ((unsigned char *)h.base)[off] = (unsigned char)(x >> 40);
        }
        heap_reader_init(&r, &h);
        bbi_reader_seek(&r.r, (enum bbi_seek)(round % 4), 20);
        for (int n = 0; n < 200; n++) {
            uint32_t budget = 64;
            int rc = bbi_reader_next(&r.r, &item, r.r.cursor + budget);
            if (rc == BBI_READ_TAG) {
                const char *t;
                uint32_t bytes;
                if (item.tag >= HEAP_TAGS || bbi_reader_topic(&h.map, item.tag, &t, &bytes) < 0) {
                    break;
                }
                memcpy(out, t, bytes);
                while (r.r.tag_count <= item.tag) {
                    r.tags[r.r.tag_count++] = (struct bbi_tag){.is_wanted = true};
                }
            } else if (rc == BBI_READ_ITEM) {
                bbi_copy_racy(out, item.data, item.bytes);
                (void)bbi_reader_wall_ns(&r.r, item.seq, item.ts);
                bbi_reader_pass(&r.r, item.tag);
            } else if (rc == BB_ECORRUPT || rc == BBI_READ_NONE) {
                break;
            }
        }
        (void)bbi_reader_base(&r.r);
        (void)bbi_reader_settle(&r.r, true);
        heap_ring_delete(&h);
        heap_ring_small(&h);
    }
    heap_ring_delete(&h);
}
