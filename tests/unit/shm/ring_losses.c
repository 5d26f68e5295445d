/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what a reader lost is sorted by topic, exactly, and what cannot be known is not guessed.
 * Method: one thread plays writer and reader by turns, laps and kills included; the sums are compared with what was put.
 */
#include "tests/unit/shm/heap_ring.h"

Test(ring_losses, losses_are_sorted_by_topic_at_the_tail, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a"), b = intern(&h, "b");
    heap_reader_init(&r, &h);
    r.unwanted[1] = true;
    learn_tags(&r, 1);
    put_numbered(&h, a, 10, 8);
    cr_assert_eq(drain(&r), 10U);
    put_numbered(&h, b, 1000, 8);
    put_numbered(&h, a, 7, 8);
    put_numbered(&h, b, 1000, 8);
    put_numbered(&h, a, 3, 8);
    uint64_t got = drain(&r);
    cr_assert_gt(r.laps, 0U);
    cr_assert_eq(bbi_reader_settle(&r.r, false), 0);
    cr_assert_eq(r.r.unsettled, 0U);
    cr_assert_eq(got, 3U);
    cr_assert_eq(r.r.lost, 7U, "exactly the wanted ones that are gone");
    cr_assert_eq(r.r.filtered, 2000U);
    check_sum(&r);
    heap_ring_delete(&h);
}

Test(ring_losses, settling_again_and_again_stays_exact, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    uint64_t wanted = 0, unwanted = 0, got = 0;
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a"), b = intern(&h, "b");
    heap_reader_init(&r, &h);
    r.unwanted[1] = true;
    learn_tags(&r, 1);
    for (uint64_t i = 1; i < 60; i++) {
        put_numbered(&h, b, i * 5 % 37, 8);
        put_numbered(&h, a, i * 11 % 83, 8);
        put_numbered(&h, b, i * 7 % 101, 16);
        unwanted += i * 5 % 37 + i * 7 % 101;
        wanted += i * 11 % 83;
        if (i % 3 == 0) {
            got += drain(&r);
            cr_assert_eq(bbi_reader_settle(&r.r, false), 0);
            cr_assert_eq(r.r.filtered, unwanted, "round %llu", (unsigned long long)i);
            cr_assert_eq(got + r.r.lost, wanted, "round %llu", (unsigned long long)i);
            check_sum(&r);
        }
    }
    cr_assert_gt(r.laps, 5U);
    heap_ring_delete(&h);
}

Test(ring_losses, a_late_reader_knows_what_counted_before_it_came, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a"), b = intern(&h, "b");
    put_numbered(&h, a, 300, 8);
    put_numbered(&h, b, 500, 8);
    heap_reader_init(&r, &h);
    bbi_reader_seek(&r.r, BBI_SEEK_NOW, 0);
    r.unwanted[1] = true;
    learn_tags(&r, 1);
    cr_assert(!r.r.is_based);
    cr_assert_eq(bbi_reader_base(&r.r), 0);
    cr_assert_eq(r.tags[a].seen, 300U);
    cr_assert_eq(r.tags[b].seen, 500U);
    put_numbered(&h, a, 100, 8);
    put_numbered(&h, b, 200, 8);
    (void)drain(&r);
    cr_assert_eq(bbi_reader_settle(&r.r, false), 0);
    cr_assert_eq(r.r.lost, 100U);
    cr_assert_eq(r.r.filtered, 200U);
    check_sum(&r);
    heap_ring_delete(&h);
}

Test(ring_losses, base_is_rewound_to_the_start_in_the_past, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a"), b = intern(&h, "b");
    put_numbered(&h, a, 100, 8);
    put_numbered(&h, b, 10, 8);
    put_numbered(&h, a, 5, 8);
    put_numbered(&h, BBI_TAG_SPILL, 2, 8);
    heap_reader_init(&r, &h);
    bbi_reader_seek(&r.r, BBI_SEEK_LAST, 12); /* 5 of b, 5 of a, 2 spilled */
    learn_tags(&r, 1);
    cr_assert_eq(bbi_reader_base(&r.r), 0);
    cr_assert_eq(r.tags[a].seen, 100U);
    cr_assert_eq(r.tags[b].seen, 5U);
    cr_assert_eq(r.r.spill_seen, 0U);
    put_numbered(&h, b, 1000, 8);
    (void)drain(&r);
    cr_assert_eq(bbi_reader_settle(&r.r, false), 0);
    check_sum(&r);
    heap_ring_delete(&h);
}

Test(ring_losses, base_waits_for_a_publisher_between_count_and_commit, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a");
    put_numbered(&h, a, 100, 8);
    heap_reader_init(&r, &h);
    bbi_reader_seek(&r.r, BBI_SEEK_NOW, 0);
    learn_tags(&r, 0);
    bbi_own_add(&h.map.dict[a].counts.messages, 1); /* counted, not yet committed */
    cr_assert_eq(bbi_reader_base(&r.r), BB_EAGAIN);
    cr_assert(!r.r.is_based);
    heap_ring_delete(&h);
}

Test(ring_losses, settle_needs_every_topic_and_the_tail, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a");
    heap_reader_init(&r, &h);
    put_numbered(&h, a, 200, 8);
    struct bbi_item item;
    cr_assert_eq(step(&r, &item), BB_EOVERRUN);
    cr_assert_eq(bbi_reader_settle(&r.r, false), BB_EAGAIN, "not at the tail");
    (void)drain(&r);
    (void)intern(&h, "new and never heard of");
    cr_assert_eq(bbi_reader_settle(&r.r, false), BB_EAGAIN, "a topic is missing");
    learn_tags(&r, 1);
    cr_assert_eq(bbi_reader_settle(&r.r, false), 0);
    cr_assert_eq(r.r.unsettled, 0U);
    heap_ring_delete(&h);
}

/* What a publisher leaves that was killed between counting and committing: a new burst, or more of one. */
enum phantom { PHANTOM_SPILLED, PHANTOM_BURST, PHANTOM_MORE, PHANTOMS };

static void
leave_phantom(struct heap_ring *h, uint32_t tag, enum phantom what, uint32_t count)
{
    struct bbi_counts *c = bbi_writer_counts(&h->w, what == PHANTOM_SPILLED ? BBI_TAG_SPILL : tag);
    void *p;
    cr_assert_eq(bbi_writer_claim(&h->w, 8, &p), 0);
    if (what == PHANTOM_MORE) { /* of a burst that is there */
        memset(p, 0, 8);
        bbi_writer_commit(&h->w, 8, tag, 0, 0);
    } else {
        struct bbi_desc *d = desc_of(h, h->w.n);
        bbi_store_relaxed(&d->seq, BBI_BUSY | h->w.n);
        bbi_store_relaxed(&d->tag, what == PHANTOM_SPILLED ? BBI_TAG_SPILL : tag);
    }
    bbi_own_add(&c->messages, count);
}

Test(ring_losses, what_its_publisher_counted_and_never_committed_is_taken_back, .timeout = 20)
{
    for (enum phantom what = 0; what < PHANTOMS; what++) {
        for (uint32_t count = 1; count <= 16; count += 5) {
            struct heap_ring h;
            struct heap_reader r;
            heap_ring_small(&h);
            uint32_t a = intern(&h, "a"), b = intern(&h, "b");
            heap_reader_init(&r, &h);
            r.unwanted[1] = true;
            learn_tags(&r, 1);
            put_numbered(&h, a, 100, 8);
            put_numbered(&h, b, 100, 8);
            put_numbered(&h, a, 1, 8);
            leave_phantom(&h, b, what, count);
            cr_assert_eq(drain(&r), 1U, "the phantom is never delivered");
            cr_assert_eq(bbi_reader_settle(&r.r, false), BB_EAGAIN, "it may still come");
            cr_assert_eq(bbi_reader_settle(&r.r, true), 0);
            cr_assert_eq(r.r.lost, 100U);
            cr_assert_eq(r.r.filtered, 100U + (what == PHANTOM_MORE), "the phantom is in no count");
            check_sum(&r);
            heap_ring_delete(&h);
        }
    }
}

Test(ring_losses, counters_that_make_no_sense_are_corrupt_or_ignored, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a"), b = intern(&h, "b");
    heap_reader_init(&r, &h);
    r.unwanted[1] = true;
    learn_tags(&r, 1);
    put_numbered(&h, a, 150, 8);
    put_numbered(&h, b, 50, 8);
    (void)drain(&r);
    /* The same sum, other shares: more unwanted ones are missing than messages are. */
    bbi_store_relaxed(&h.map.dict[a].counts.messages, 0);
    bbi_store_relaxed(&h.map.dict[b].counts.messages, 200);
    int rc = bbi_reader_settle(&r.r, false);
    cr_assert_eq(rc, BB_ECORRUPT);
    heap_ring_delete(&h);
}
