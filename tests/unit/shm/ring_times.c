/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: each message has the wall time at which it was published, however long ago and whatever the clock did.
 * Method: a writer that is told the time; the truth is computed beside it.
 */
#include "tests/unit/shm/heap_ring.h"

/* The wall clock is so far ahead of the monotonic one. */
static const int64_t EPOCH_NS = INT64_C(1700000000000000000);

static int64_t
wall_of_clock(int64_t mono_ns)
{
    return EPOCH_NS + mono_ns;
}

static void
put_at(struct heap_ring *h, int64_t mono_ns)
{
    void *p;
    uint32_t ts = bbi_writer_stamp(&h->w, mono_ns, wall_of_clock);
    cr_assert_eq(bbi_writer_claim(&h->w, 8, &p), 0);
    memset(p, 0, 8);
    bbi_writer_commit(&h->w, 8, BBI_TAG_SPILL, ts, 0);
    bbi_writer_flush(&h->w);
}

/* The time of message seq as a reader computes it, against the truth, to 64 ns. */
static void
check_time(struct heap_reader *r, uint64_t seq, int64_t mono_ns)
{
    const struct bbi_desc *d = &r->r.map.desc[(seq + r->r.map.depth - 1) & r->r.map.desc_mask];
    int64_t wall = bbi_reader_wall_ns(&r->r, seq, bbi_load_relaxed(&d->ts));
    int64_t off = wall - (EPOCH_NS + mono_ns);
    cr_assert(off > -64 && off <= 64, "message %llu is %lld ns off", (unsigned long long)seq,
              (long long)off);
}

Test(ring_times, times_are_right_within_a_batch_and_over_minutes, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    int64_t t = 123456789;
    int64_t at[50];
    for (int i = 0; i < 50; i++) {
        at[i] = t;
        put_at(&h, t);
        t += INT64_C(7000000000);
    }
    for (int i = 0; i < 50; i++) {
        check_time(&r, (uint64_t)i + 1, at[i]);
    }
    for (int i = 49; i >= 0; i--) { /* backwards too */
        check_time(&r, (uint64_t)i + 1, at[i]);
    }
    heap_ring_delete(&h);
}

Test(ring_times, times_are_right_over_gaps_of_hours, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    int64_t at[8];
    heap_ring_small(&h); /* has 8 anchors */
    heap_reader_init(&r, &h);
    for (int i = 0; i < 8; i++) {
        at[i] = 1000 + (int64_t)i * INT64_C(5 * 3600) * 1000000000;
        put_at(&h, at[i]);
    }
    for (int i = 0; i < 8; i++) {
        check_time(&r, (uint64_t)i + 1, at[i]);
    }
    for (int i = 7; i >= 0; i--) {
        check_time(&r, (uint64_t)i + 1, at[i]);
    }
    heap_ring_delete(&h);
}

/* Stamps of capture threads go back and forth a little. */
Test(ring_times, times_are_right_when_stamps_go_back, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    int64_t at[40];
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    for (int i = 0; i < 40; i++) {
        at[i] = INT64_C(3000000000000) + (i % 2 == 0 ? 1 : -1) * (int64_t)i * INT64_C(10000000000);
        put_at(&h, at[i]);
    }
    for (int i = 0; i < 40; i++) {
        check_time(&r, (uint64_t)i + 1, at[i]);
    }
    heap_ring_delete(&h);
}

Test(ring_times, an_uptime_of_years_changes_nothing, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    int64_t years = INT64_C(10 * 365 * 24 * 3600) * 1000000000;
    for (int i = 0; i < 30; i++) {
        put_at(&h, years + (int64_t)i * INT64_C(60000000000));
    }
    for (int i = 29; i >= 29 - 7; i--) {
        check_time(&r, (uint64_t)i + 1, years + (int64_t)i * INT64_C(60000000000));
    }
    heap_ring_delete(&h);
}

/*
 * A slow publisher needs an anchor for each message, and the ring keeps fewer anchors than messages: every
 * message that can still be read should show its true time all the same (DESIGN 4, "Time").
 */
Test(ring_times, every_readable_message_of_a_slow_publisher_has_its_true_time, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    int64_t at[40];
    for (int i = 0; i < 40; i++) {
        at[i] = 1000 + (int64_t)i * INT64_C(3600) * 1000000000;
        put_at(&h, at[i]);
    }
    for (int i = 39; i >= 0; i--) {
        check_time(&r, (uint64_t)i + 1, at[i]);
    }
    heap_ring_delete(&h);
}

Test(ring_times, an_anchor_that_is_being_replaced_is_not_believed, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    put_at(&h, 1000);
    put_at(&h, INT64_C(100000000000));
    bbi_store_relaxed(&h.map.anchors[1].seq, BBI_BUSY); /* its writer was stopped there */
    bbi_store_relaxed(&h.map.anchors[1].wall_ns, 1);
    check_time(&r, 1, 1000);
    int64_t wall = bbi_reader_wall_ns(&r.r, 2, (uint32_t)(INT64_C(100000000000) >> 6));
    cr_assert_eq(wall >> 20, (EPOCH_NS + INT64_C(100000000000)) >> 20, "from the one before");
    heap_ring_delete(&h);
}
