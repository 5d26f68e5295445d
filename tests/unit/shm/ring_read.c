/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a reader hands out only whole messages, once and in order, and accounts for every other one; what a
 * hostile or dead publisher leaves in memory leads to a status and never to a wild read.
 * Method: one thread plays writer and reader by turns over a ring in memory of exactly its size (run it
 * under ASan); hostile words are written by hand.
 */
#include "tests/unit/shm/heap_ring.h"

static struct bbi_desc *
desc_of(const struct heap_ring *h, uint64_t seq)
{
    return &h->map.desc[seq & h->map.desc_mask];
}

/* ---- plain reading ---- */

Test(ring_read, an_empty_ring_says_none, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    cr_assert_eq(step(&r, &item), BBI_READ_NONE);
    cr_assert(bbi_reader_is_at_tail(&r.r));
    cr_assert_eq(bbi_reader_tail(&r.r), 64U);
    check_sum(&r);
    heap_ring_delete(&h);
}

Test(ring_read, a_message_comes_back_as_it_was, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    void *p;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    uint32_t tag = intern(&h, "a/b");
    cr_assert_eq(bbi_writer_claim(&h.w, 5, &p), 0);
    memcpy(p, "hello", 5);
    bbi_writer_commit(&h.w, 5, tag, 77, 0xbeef);
    uint32_t budget = 1;
    cr_assert_eq(bbi_reader_next(&r.r, &item, r.r.cursor + budget), BBI_READ_TAG,
                 "its topic is new");
    cr_assert_eq(item.tag, tag);
    learn_tags(&r, tag);
    cr_assert_eq(bbi_reader_next(&r.r, &item, r.r.cursor + budget), BBI_READ_ITEM,
                 "seen before any flush");
    cr_assert_eq(item.seq, 1U);
    cr_assert_eq(item.bytes, 5U);
    cr_assert_eq(item.ts, 77U);
    cr_assert_eq(item.attr, 0xbeefU);
    cr_assert_eq(memcmp(item.data, "hello", 5), 0);
    cr_assert(bbi_reader_is_whole(&r.r, item.pos));
    cr_assert_eq(bbi_reader_next(&r.r, &item, r.r.cursor + budget), BBI_READ_ITEM,
                 "still there until passed");
    bbi_reader_pass(&r.r, item.tag);
    cr_assert_eq(bbi_reader_next(&r.r, &item, r.r.cursor + budget), BBI_READ_NONE);
    heap_ring_delete(&h);
}

Test(ring_read, busy_and_aborted_messages_are_not_there, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    void *p;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    cr_assert_eq(bbi_writer_claim(&h.w, 8, &p), 0);
    cr_assert_eq(step(&r, &item), BBI_READ_NONE);
    bbi_writer_abort(&h.w);
    cr_assert_eq(step(&r, &item), BBI_READ_NONE);
    cr_assert(bbi_reader_is_at_tail(&r.r));
    put_numbered(&h, intern(&h, "a"), 1, 8);
    cr_assert_eq(drain(&r), 1U);
    heap_ring_delete(&h);
}

Test(ring_read, empty_and_largest_messages_pass, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    unsigned char big[1024], copy[1024];
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    uint32_t tag = intern(&h, "a");
    for (int round = 0; round < 40; round++) {
        memset(big, round, sizeof(big));
        cr_assert_eq(put(&h, tag, "", 0), 0);
        cr_assert_eq(put(&h, tag, big, sizeof(big)), 0);
        cr_assert_eq(step(&r, &item), BBI_READ_ITEM);
        cr_assert_eq(item.bytes, 0U);
        cr_assert_eq(step(&r, &item), BBI_READ_ITEM);
        cr_assert_eq(item.bytes, 1024U);
        bbi_copy_racy(copy, item.data, item.bytes);
        cr_assert(bbi_reader_is_whole(&r.r, item.pos));
        cr_assert_eq(memcmp(copy, big, sizeof(big)), 0);
    }
    cr_assert_eq(r.laps, 0U);
    heap_ring_delete(&h);
}

Test(ring_read, every_length_survives_the_end_of_the_ring, .timeout = 60)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    unsigned char in[1024], out[1024];
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    uint32_t tag = intern(&h, "a");
    for (uint32_t n = 0; n <= 1024; n++) {
        for (uint32_t i = 0; i < n; i++) {
            in[i] = (unsigned char)(n * 31 + i);
        }
        cr_assert_eq(put(&h, tag, in, n), 0);
        cr_assert_eq(step(&r, &item), BBI_READ_ITEM);
        cr_assert_eq(item.bytes, n);
        cr_assert(item.data >= h.map.pay && item.data + n <= h.map.pay + h.map.pay_bytes);
        memset(out, 0, sizeof(out));
        bbi_copy_racy(out, item.data, n);
        cr_assert_eq(memcmp(in, out, n), 0, "length %u", n);
        cr_assert(bbi_reader_is_whole(&r.r, item.pos));
    }
    heap_ring_delete(&h);
}

Test(ring_read, a_full_ring_holds_depth_messages_and_no_lap, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    put_numbered(&h, intern(&h, "a"), 64, 8);
    cr_assert_eq(drain(&r), 64U);
    cr_assert_eq(r.laps, 0U);
    put_numbered(&h, 0, 64, 8);
    cr_assert_eq(drain(&r), 64U);
    cr_assert_eq(r.r.lost, 0U);
    heap_ring_delete(&h);
}

Test(ring_read, nothing_from_the_end_on_is_looked_at, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    put_numbered(&h, intern(&h, "a"), 50, 8);
    r.unwanted[0] = true;
    learn_tags(&r, 0);
    cr_assert_eq(bbi_reader_next(&r.r, &item, r.r.cursor + 20), BBI_READ_MORE);
    cr_assert_eq(r.r.filtered, 20U);
    cr_assert_eq(bbi_reader_next(&r.r, &item, r.r.cursor + 100), BBI_READ_NONE);
    cr_assert_eq(r.r.filtered, 50U);
    check_sum(&r);
    heap_ring_delete(&h);
}

Test(ring_read, several_readers_are_independent, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader a, b;
    heap_ring_small(&h);
    heap_reader_init(&a, &h);
    heap_reader_init(&b, &h);
    put_numbered(&h, intern(&h, "a"), 30, 8);
    cr_assert_eq(drain(&a), 30U);
    put_numbered(&h, 0, 30, 8);
    cr_assert_eq(drain(&b), 60U);
    cr_assert_eq(drain(&a), 30U);
    heap_ring_delete(&h);
}

/* ---- bursts ---- */

Test(ring_read, a_burst_that_grows_is_read_as_it_grows, .timeout = 20)
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
Test(ring_read, messages_of_another_kind_are_no_more_of_a_burst, .timeout = 20)
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
Test(ring_read, a_reader_may_begin_amid_a_burst, .timeout = 20)
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
Test(ring_read, bursts_are_skipped_up_to_the_end, .timeout = 20)
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
Test(ring_read, what_is_announced_and_never_written_is_lost, .timeout = 20)
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

/* ---- seeking ---- */

Test(ring_read, seek_now_begins_at_the_flushed_tail, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    put_numbered(&h, intern(&h, "a"), 10, 8);
    heap_reader_init(&r, &h);
    bbi_reader_seek(&r.r, BBI_SEEK_NOW, 0);
    cr_assert_eq(r.r.cursor, 74U);
    cr_assert_eq(drain(&r), 0U);
    put_numbered(&h, 0, 5, 8);
    cr_assert_eq(drain(&r), 5U);
    heap_ring_delete(&h);
}

Test(ring_read, seek_oldest_gives_all_of_a_ring_that_has_not_wrapped, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    put_numbered(&h, intern(&h, "a"), 64, 8);
    heap_reader_init(&r, &h);
    bbi_reader_seek(&r.r, BBI_SEEK_OLDEST, 0);
    cr_assert_eq(r.r.cursor, 64U);
    cr_assert(r.r.is_based);
    cr_assert_eq(drain(&r), 64U);
    heap_ring_delete(&h);
}

Test(ring_read, seek_oldest_of_a_wrapped_ring_leaves_an_eighth_as_margin, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    put_numbered(&h, intern(&h, "a"), 200, 8);
    heap_reader_init(&r, &h);
    bbi_reader_seek(&r.r, BBI_SEEK_OLDEST, 0);
    uint64_t tail = 264, survivors = 56; /* 200 are 12 bursts of 16 and one of 8, in 64 slots */
    cr_assert_eq(r.r.cursor, tail - survivors + survivors / 8, "the oldest are about to go");
    cr_assert_eq(drain(&r), 49U);
    check_sum(&r);
    heap_ring_delete(&h);
}

Test(ring_read, seek_last_gives_at_most_what_was_asked, .timeout = 20)
{
    for (uint64_t last = 0; last < 100; last++) {
        struct heap_ring h;
        struct heap_reader r;
        heap_ring_small(&h);
        put_numbered(&h, intern(&h, "a"), 150, 8);
        heap_reader_init(&r, &h);
        bbi_reader_seek(&r.r, BBI_SEEK_LAST, last);
        /* 150 are 9 bursts of 16 and one of 6; four of 16 began in these 64 slots, and the 6 over the oldest. */
        cr_assert_eq(drain(&r), last < 48 ? last : 48, "last %llu", (unsigned long long)last);
        cr_assert_eq(r.laps, 0U);
        heap_ring_delete(&h);
    }
}

Test(ring_read, seek_first_of_a_wrapped_ring_counts_what_is_gone, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    heap_ring_small(&h);
    put_numbered(&h, intern(&h, "a"), 500, 8);
    heap_reader_init(&r, &h);
    bbi_reader_seek(&r.r, BBI_SEEK_FIRST, 0);
    uint64_t got = drain(&r);
    cr_assert_gt(r.laps, 0U);
    cr_assert_eq(got + r.r.lost, 500U);
    cr_assert_eq(r.lost_told, r.r.lost, "each lap says how many");
    heap_ring_delete(&h);
}

/* ---- lapped ---- */

Test(ring_read, a_lap_by_one_message_is_seen, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    put_numbered(&h, intern(&h, "a"), 65, 8);
    cr_assert_eq(step(&r, &item), BB_EOVERRUN);
    cr_assert_eq(item.seq, r.r.lost);
    cr_assert_geq(r.r.lost, 1U);
    cr_assert_leq(r.r.lost, 16U + 48 / 8, "the burst that is gone, and the margin");
    uint64_t got = drain(&r);
    cr_assert_eq(got + r.r.lost, 65U);
    heap_ring_delete(&h);
}

Test(ring_read, a_claim_laps_nobody_and_its_commit_does, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    void *p;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    put_numbered(&h, intern(&h, "a"), 64, 8);
    learn_tags(&r, 0);
    cr_assert_eq(bbi_writer_claim(&h.w, 8, &p), 0);
    cr_assert_eq(bbi_reader_next(&r.r, &item, r.r.cursor + 1), BBI_READ_ITEM, "all is there still");
    memset(p, 0, 8);
    bbi_writer_commit(&h.w, 8, 0, 0, 0);
    struct heap_reader late;
    heap_reader_init(&late, &h);
    cr_assert_eq(step(&late, &item), BB_EOVERRUN, "its descriptor is the next one's");
    heap_ring_delete(&h);
}

Test(ring_read, payload_that_went_before_its_descriptor_is_not_handed_out, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    put_numbered(&h, intern(&h, "a"), 1, 512);
    put_numbered(&h, 0, 8, 512); /* 4 KiB later the first bytes are gone, its descriptor is not */
    cr_assert_eq(step(&r, &item), BB_EOVERRUN);
    uint64_t got = drain(&r);
    cr_assert_eq(got + r.r.lost, 9U);
    heap_ring_delete(&h);
}

/* The slot of a message that is one more of a burst keeps what stood there, for as many laps as it may take. */
Test(ring_read, a_slot_in_which_nothing_began_for_laps_is_not_believed, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    heap_ring_small(&h);
    uint32_t a = intern(&h, "a");
    put_numbered(&h, a, 3, 8);
    heap_reader_init(&r, &h);
    learn_tags(&r, 0);
    put_numbered(&h, a, 13, 8);
    for (int lap = 0; lap < 5; lap++) { /* bursts of 16, and so none begins in the fourth slot */
        put_numbered(&h, a, 64, 8);
    }
    cr_assert_eq(bbi_load_relaxed(&desc_of(&h, 67)->seq), 67U, "it stands there still");
    r.r.cursor = r.r.start = 67;
    cr_assert_eq(step(&r, &item), BB_EOVERRUN);
    uint64_t got = drain(&r);
    cr_assert_gt(got, 0U);
    cr_assert_eq(got + r.r.lost, 333U);
    heap_ring_delete(&h);
}

Test(ring_read, the_watermark_makes_a_view_invalid_before_its_bytes_change, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    void *p;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    put_numbered(&h, intern(&h, "a"), 8, 512); /* exactly 4 KiB */
    cr_assert_eq(step(&r, &item), BBI_READ_ITEM);
    cr_assert(bbi_reader_is_whole(&r.r, item.pos), "full is not overwritten");
    uint64_t before;
    memcpy(&before, item.data, 8);
    cr_assert_eq(bbi_writer_claim(&h.w, 8, &p), 0);
    cr_assert_eq(memcmp(&before, item.data, 8), 0, "not yet touched");
    cr_assert(!bbi_reader_is_whole(&r.r, item.pos), "and announced already");
    heap_ring_delete(&h);
}

Test(ring_read, overrun_while_used_moves_on_and_counts, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    uint32_t budget = 10;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    put_numbered(&h, intern(&h, "a"), 1, 512);
    learn_tags(&r, 0);
    cr_assert_eq(bbi_reader_next(&r.r, &item, r.r.cursor + budget), BBI_READ_ITEM);
    put_numbered(&h, 0, 20, 512);
    cr_assert(!bbi_reader_is_whole(&r.r, item.pos));
    uint64_t lost = bbi_reader_overrun(&r.r);
    cr_assert_geq(lost, 1U);
    cr_assert_eq(lost, r.r.lost);
    uint64_t got = drain(&r);
    cr_assert_eq(got + r.r.lost, 21U);
    cr_assert_gt(got, 0U, "something survives");
    heap_ring_delete(&h);
}

Test(ring_read,
     a_lapped_reader_never_jumps_over_what_survives_by_more_than_an_eighth,
     .timeout = 20)
{
    for (uint64_t count = 65; count < 400; count += 7) {
        struct heap_ring h;
        struct heap_reader r;
        struct bbi_item item;
        heap_ring_small(&h);
        heap_reader_init(&r, &h);
        put_numbered(&h, intern(&h, "a"), count, 8);
        cr_assert_eq(step(&r, &item), BB_EOVERRUN);
        uint64_t survivors = 64 - 15; /* at least: a burst of 16 goes as a whole */
        cr_assert_geq(r.r.cursor, 64 + count - 64);
        cr_assert_leq(r.r.cursor, 64 + count - survivors + survivors / 8);
        heap_ring_delete(&h);
    }
}

/* Writer and reader by turns, random sizes and paces: the sum holds at every moment. */
Test(ring_read, random_turns_account_for_every_message, .timeout = 60)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct heap_ring h;
        struct heap_reader r;
        uint64_t x = seed * 0x9e3779b97f4a7c15ULL, got = 0;
        heap_ring_small(&h);
        heap_reader_init(&r, &h);
        r.unwanted[1] = true;
        uint32_t a = intern(&h, "a");
        (void)intern(&h, "b");
        for (int i = 0; i < 400; i++) {
            x = x * 6364136223846793005ULL + 1442695040888963407ULL;
            put_numbered(&h, x >> 60 & 1 ? a : 1, (x >> 33) % 40, 8 * ((x >> 20) % 128));
            if ((x >> 50) % 3 == 0) {
                struct bbi_item item;
                for (uint64_t k = (x >> 40) % 60; k > 0; k--) {
                    int rc = step(&r, &item);
                    if (rc == BBI_READ_ITEM && bbi_reader_is_whole(&r.r, item.pos)) {
                        got++;
                    } else if (rc == BBI_READ_ITEM) { /* as the library: found out after use */
                        r.passed[item.tag]--;
                        r.r.lost++;
                    } else if (rc == BBI_READ_NONE) {
                        break;
                    }
                }
                check_sum(&r);
            }
        }
        cr_assert_gt(got, 0U);
        check_sum(&r);
        heap_ring_delete(&h);
    }
}

/* ---- losses by topic ---- */

Test(ring_read, losses_are_sorted_by_topic_at_the_tail, .timeout = 20)
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

Test(ring_read, settling_again_and_again_stays_exact, .timeout = 20)
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

Test(ring_read, a_late_reader_knows_what_counted_before_it_came, .timeout = 20)
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

Test(ring_read, base_is_rewound_to_the_start_in_the_past, .timeout = 20)
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

Test(ring_read, base_waits_for_a_publisher_between_count_and_commit, .timeout = 20)
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

Test(ring_read, settle_needs_every_topic_and_the_tail, .timeout = 20)
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

Test(ring_read, what_its_publisher_counted_and_never_committed_is_taken_back, .timeout = 20)
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

Test(ring_read, counters_that_make_no_sense_are_corrupt_or_ignored, .timeout = 20)
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

/* ---- spilled topics, dictionary ---- */

Test(ring_read, a_spilled_tag_is_handed_out_and_counted, .timeout = 20)
{
    struct heap_ring h;
    struct heap_reader r;
    struct bbi_item item;
    heap_ring_small(&h);
    heap_reader_init(&r, &h);
    put_numbered(&h, BBI_TAG_SPILL, 1, 8);
    cr_assert_eq(step(&r, &item), BBI_READ_ITEM);
    cr_assert_eq(item.tag, BBI_TAG_SPILL);
    cr_assert_eq(r.r.spill_seen, 1U);
    put_numbered(&h, BBI_TAG_SPILL, 200, 8);
    (void)drain(&r);
    cr_assert_eq(bbi_reader_settle(&r.r, false), 0);
    cr_assert_eq(r.r.spill_seen, 201U);
    cr_assert_eq(r.r.filtered, 0U, "of unknown topic: they stay lost");
    check_sum(&r);
    heap_ring_delete(&h);
}

Test(ring_read, topics_are_there_when_they_are_published, .timeout = 20)
{
    struct heap_ring h;
    const char *t;
    uint32_t n;
    heap_ring_small(&h);
    cr_assert_eq(bbi_reader_topic(&h.map, 0, &t, &n), BB_ENOENT);
    (void)intern(&h, "zeek/logs");
    cr_assert_eq(bbi_reader_topic(&h.map, 0, &t, &n), 0);
    cr_assert_eq(n, 9U);
    cr_assert_eq(memcmp(t, "zeek/logs", 9), 0);
    cr_assert_eq(bbi_reader_topic(&h.map, 1, &t, &n), BB_ENOENT);
    cr_assert_eq(bbi_reader_topic(&h.map, UINT32_MAX, &t, &n), BB_ENOENT);
    heap_ring_delete(&h);
}

Test(ring_read, a_hostile_dictionary_is_corrupt, .timeout = 20)
{
    static const struct {
        uint32_t off, len;
    } bad[] = {{0, 257},        {257, 0},
               {256, 1},        {1, 256},
               {UINT32_MAX, 1}, {UINT32_MAX, UINT32_MAX},
               {0, UINT32_MAX}, {200, UINT32_MAX - 100}};
    struct heap_ring h;
    const char *t;
    uint32_t n;
    heap_ring_small(&h);
    (void)intern(&h, "a");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        h.map.dict[0].text_off = bad[i].off;
        h.map.dict[0].len = bad[i].len;
        cr_assert_eq(bbi_reader_topic(&h.map, 0, &t, &n), BB_ECORRUPT, "row %zu", i);
    }
    h.map.dict[0].text_off = 256;
    h.map.dict[0].len = 0;
    cr_assert_eq(bbi_reader_topic(&h.map, 0, &t, &n), 0, "empty, at the very end");
    bbi_store_relaxed(&h.map.hdr->topics, UINT32_MAX);
    cr_assert_eq(bbi_reader_topic(&h.map, 16, &t, &n), BB_ECORRUPT, "more than there is room for");
    cr_assert_eq(bbi_reader_topic(&h.map, UINT32_MAX - 1, &t, &n), BB_ECORRUPT);
    heap_ring_delete(&h);
}

/* ---- a hostile publisher ---- */

Test(ring_read, a_hostile_length_is_corrupt, .timeout = 20)
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
Test(ring_read, a_hostile_burst_is_corrupt, .timeout = 20)
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

Test(ring_read, a_hostile_position_stays_inside_the_ring, .timeout = 20)
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

Test(ring_read, a_hostile_tag_is_corrupt, .timeout = 20)
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

Test(ring_read, a_hostile_tail_or_number_ends_each_call_soon, .timeout = 20)
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
Test(ring_read, random_memory_leads_to_no_wild_read, .timeout = 60)
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

/* ---- racy copies ---- */

Test(ring_read, copies_of_every_length_and_offset_are_exact, .timeout = 20)
{
    for (size_t off = 0; off < 8; off++) {
        for (size_t n = 0; n <= 200; n++) {
            /* Exactly as long as a ring would make it: rounded up to a word. */
            size_t size = bbi_align_up(off + n, 8);
            unsigned char *src = malloc(size > 0 ? size : 1);
            unsigned char out[208];
            for (size_t i = 0; i < size; i++) {
                src[i] = (unsigned char)(i * 7 + 1);
            }
            memset(out, 0xcc, sizeof(out));
            bbi_copy_racy(out, src + off, n);
            cr_assert_eq(memcmp(out, src + off, n), 0);
            cr_assert_eq(out[n], 0xcc, "not a byte more");
            free(src);
        }
    }
}

/* ---- time ---- */

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

Test(ring_read, times_are_right_within_a_batch_and_over_minutes, .timeout = 20)
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

Test(ring_read, times_are_right_over_gaps_of_hours, .timeout = 20)
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
Test(ring_read, times_are_right_when_stamps_go_back, .timeout = 20)
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

Test(ring_read, an_uptime_of_years_changes_nothing, .timeout = 20)
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
Test(ring_read, every_readable_message_of_a_slow_publisher_has_its_true_time, .timeout = 20)
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

Test(ring_read, an_anchor_that_is_being_replaced_is_not_believed, .timeout = 20)
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
