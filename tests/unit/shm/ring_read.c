/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a reader hands out only whole messages, once and in order, and accounts for every other one.
 * Method: one thread plays writer and reader by turns over a ring in memory of exactly its size (run it
 * under ASan).
 */
#include "tests/unit/shm/heap_ring.h"

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
