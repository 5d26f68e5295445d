/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: messages that one descriptor describes are the messages that were put in, one by one: whenever a reader comes,
 * however the burst grows, and wherever it ends.
 * Method: one thread plays writer and reader by turns.
 */
#include "tests/unit/shm/heap_ring.h"

Test(burst, a_burst_that_grows_is_read_as_it_grows, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a");
    heap_reader_init(&r, &h);
    for (uint64_t i = 1; i <= h.map.batch_msgs; i++) {
        cr_assert(bbi_reader_is_at_tail(&r.r));
        cr_assert_eq(step(&r, &item), BBI_READ_NONE);
        cr_assert_eq(put(&h, a, &i, sizeof(i)), 0); /* not flushed */
        cr_assert(!bbi_reader_is_at_tail(&r.r), "message %llu", (unsigned long long)i);
        cr_assert_eq(step(&r, &item), BBI_READ_ITEM);
        cr_assert_eq(item.seq, i);
        cr_assert_eq(memcmp(item.data, &i, sizeof(i)), 0);
        cr_assert_eq(bbi_reader_tail(&r.r), 64 + i);
    }
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, 65)->seq), 0U, "one descriptor for all");
    bbi_writer_flush(&h.w);
    cr_assert(bbi_reader_is_at_tail(&r.r));
    put_numbered(&h, a, 1, 8);
    cr_assert_neq(bbi_load_relaxed(&desc_of(&h, 80)->seq), 0U, "a flush ends it");
    cr_assert_eq(drain(&r), 1U);
    heap_ring_delete(&h);
}

/* Whatever differs begins a new one, and nothing of the one before is said of it. */
Test(burst, messages_of_another_kind_are_no_more_of_a_burst, .timeout = 20)
{
    static const struct {
        uint32_t bytes, tag, ts, attr;
    } kinds[] = {{8, 0, 1, 0},
                 {8, 0, 1, 0},
                 {16, 0, 1, 0},
                 {8, 0, 1, 0},
                 {8, 1, 1, 0},
                 {8, 1, 2, 0},
                 {8, 1, 2, 5},
                 {8, 1, 2, 5},
                 {7, 1, 2, 5},
                 {0, 1, 2, 5},
                 {0, 1, 2, 5},
                 {1, BBI_TAG_SPILL, 2, 5},
                 {1, BBI_TAG_SPILL, 2, 5}};
    enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    (void)intern(&h, "a");
    (void)intern(&h, "b");
    for (size_t i = 0; i < KINDS; i++) {
        void *p;
        cr_assert_eq(bbi_writer_claim(&h.w, kinds[i].bytes, &p), 0);
        memset(p, (int)i, kinds[i].bytes);
        bbi_writer_commit(&h.w, kinds[i].bytes, kinds[i].tag, kinds[i].ts, kinds[i].attr);
    }
    for (size_t i = 0; i < KINDS; i++) {
        cr_assert_eq(step(&r, &item), BBI_READ_ITEM, "message %zu", i);
        cr_assert_eq(item.bytes, kinds[i].bytes, "message %zu", i);
        cr_assert_eq(item.tag, kinds[i].tag, "message %zu", i);
        cr_assert_eq(item.ts, kinds[i].ts, "message %zu", i);
        cr_assert_eq(item.attr, kinds[i].attr, "message %zu", i);
        for (uint32_t k = 0; k < item.bytes; k++) {
            cr_assert_eq(item.data[k], i, "message %zu", i);
        }
    }
    cr_assert_eq(step(&r, &item), BBI_READ_NONE);
    heap_ring_delete(&h);
}

/* From any message on, with and without the descriptors of those before it. */
Test(burst, a_reader_may_begin_amid_a_burst, .timeout = 20)
{
    struct heap_ring h;
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a");
    for (uint64_t i = 0; i < 3; i++) {
        put_numbered(&h, a, 5 + 4 * i, 8); /* 5, 9 and 13 */
    }
    for (uint64_t at = 64; at <= 64 + 27; at++) {
        struct heap_reader r;
        heap_reader_init(&r, &h);
        r.r.cursor = r.r.start = at;
        cr_assert_eq(bbi_reader_is_at_tail(&r.r), at == 64 + 27);
        cr_assert_eq(drain(&r), 64 + 27 - at, "from %llu", (unsigned long long)at);
        cr_assert_eq(r.laps, 0U);
    }
    heap_ring_delete(&h);
}

/* Whole bursts that nobody wants, and parts of them, up to the end that was given; the rest as it comes. */
Test(burst, bursts_are_skipped_up_to_the_end, .timeout = 20)
{
    for (uint64_t end = 64; end <= 64 + 12; end++) {
        struct heap_ring h;
        struct heap_reader r;
        struct bbi_item item;
        heap_ring_small(&h);
        uint32_t a = intern(&h, "a"), b = intern(&h, "b");
        heap_reader_init(&r, &h);
        r.unwanted[a] = true;
        put_numbered(&h, a, 5, 8);
        put_numbered(&h, a, 1, 8);
        put_numbered(&h, a, 4, 8);
        put_numbered(&h, b, 2, 8);
        learn_tags(&r, 1);
        bool has_met = end > 64 + 10;
        cr_assert_eq(bbi_reader_next(&r.r, &item, end), has_met ? BBI_READ_ITEM : BBI_READ_MORE);
        uint64_t skipped = has_met ? 10 : end - 64;
        cr_assert_eq(r.r.cursor, 64 + skipped, "end %llu", (unsigned long long)end);
        cr_assert_eq(r.r.filtered, skipped);
        cr_assert_eq(r.tags[a].seen, skipped);
        cr_assert_eq(drain(&r), 2U);
        cr_assert_eq(r.r.filtered, 10U);
        cr_assert_eq(bbi_reader_settle(&r.r, false), 0);
        check_sum(&r);
        heap_ring_delete(&h);
    }
}

/* It is looked for twice, as it may have come in between (the model and stress/ring_reliable show that); then no more. */
Test(burst, what_is_announced_and_never_written_is_lost, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a");
    heap_reader_init(&r, &h);
    put_numbered(&h, a, 3, 8);
    cr_assert_eq(drain(&r), 3U);
    cr_assert_eq(step(&r, &item), BBI_READ_NONE);
    bbi_store_relaxed(&h.map.hdr->tail_seq,
                      h.w.n + 1); /* a publisher that lies: announced, never written */
    cr_assert_eq(step(&r, &item), BB_EOVERRUN);
    cr_assert_eq(item.seq, 1U);
    heap_ring_delete(&h);
}
