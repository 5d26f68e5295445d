/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a publisher's limits, policies, masks and wake-ups follow from what subscribers say, whatever they
 * say.
 * Method: publisher and subscribers by turns in one thread on a real bus; hostile cursors by hand.
 */
#include "tests/unit/shm/audience_bus.h"
#include <pthread.h>
#include <sys/resource.h>

TestSuite(audience, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

/* ---- limits ---- */

Test(audience, with_nobody_there_is_no_limit)
{
    struct talker t;
    talker_open(&t, "t");
    cr_assert_eq(t.writer.lim_seq, UINT64_MAX);
    cr_assert_eq(say_until_refused(&t, 100, 1000), 1000);
    cr_assert_eq(bbi_audience_headroom(&t.aud), t.writer.map.pay_bytes);
    talker_close(&t);
}

Test(audience, a_cursor_at_n_gives_a_whole_ring_also_after_laps)
{
    /* Descriptor n holds an old message then: the publisher's own position counts. */
    for (int before = 0; before < 200; before += 13) {
        struct talker t;
        struct hearer h;
        talker_open(&t, "t");
        hearer_open(&h, "h", "");
        for (int i = 0; i < before; i++) {
            (void)say(&t, 8);
        }
        hearer_join(&h, &t, true);
        cr_assert_eq(bbi_audience_headroom(&t.aud), t.writer.map.pay_bytes);
        cr_assert_eq(t.writer.lim_seq, t.writer.n + 64);
        cr_assert_eq(t.writer.lim_pos, t.writer.pos + 4096);
        cr_assert_eq(say_until_refused(&t, 8, 1000), 64, "after %d", before);
        hearer_close(&h);
        talker_close(&t);
    }
}

Test(audience, messages_are_limited_by_descriptors_and_by_bytes)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    hearer_join(&h, &t, true);
    cr_assert_eq(say_until_refused(&t, 512, 1000), 8, "4 KiB");
    cr_assert_eq(bbi_audience_headroom(&t.aud), 0U);
    cr_assert_eq(say(&t, 0), 0, "an empty message needs no byte");
    cr_assert_eq(hear(&h, 3), 3);
    cr_assert_eq(bbi_audience_headroom(&t.aud), 3U * 512);
    cr_assert_eq(say_until_refused(&t, 512, 1000), 3);
    cr_assert_leq(counter(&t.writer.map.hdr->claim_pos.v), t.writer.lim_pos,
                  "the watermark never eats into protected bytes");
    hearer_close(&h);
    talker_close(&t);
}

/* A reader at the end of what it saw of a burst needs its descriptor again: the burst grew meanwhile. */
Test(audience, the_descriptor_of_a_burst_is_kept_for_who_is_amid_it)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    hearer_join(&h, &t, true);
    bbi_audience_look(&t.aud);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(say_more(&t, 8), 0);
    }
    cr_assert_eq(hear(&h, 1000), 2);
    bbi_audience_nudge(&t.aud);
    cr_assert_eq(t.writer.lim_seq, 64 + 64U, "the burst that is open may take in the next one");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(say_more(&t, 8), 0);
    }
    bbi_audience_flush(&t.aud);
    cr_assert_eq(say_until_refused(&t, 8, 1000), 60, "two less than there are slots");
    cr_assert_eq(hear(&h, 1000), 62, "the rest of the burst, too");
    cr_assert_eq(say_until_refused(&t, 8, 1000), 64);
    cr_assert_eq(hear(&h, 1000), 64);
    hearer_close(&h);
    talker_close(&t);
}

/* A loan is committed whatever comes: what it will take the place of is no longer there for who joins now. */
Test(audience, a_loan_is_not_promised_to_who_joins_before_its_commit)
{
    struct talker t;
    struct hearer h;
    void *p;
    uint64_t first, pos;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    for (int i = 0; i < 64; i++) {
        cr_assert_eq(say_more(&t, 8), 0);
    }
    bbi_audience_flush(&t.aud);
    cr_assert_eq(bbi_writer_claim(&t.writer, 8, &p), 0);
    hearer_map(&h, &t);
    bbi_join_begin(&h.join, &h.reader, true, BBI_SEEK_OLDEST, 0);
    cr_assert_eq(h.reader.cursor, 64U, "nothing is overwritten yet");
    bbi_audience_look(&t.aud);
    uint64_t believed = t.aud.listeners[h.file.index].cursor;
    cr_assert_geq(believed, 64U, "taken up");
    memset(p, 0, 8);
    bbi_writer_commit(&t.writer, 8, BBI_TAG_SPILL, 1, 0);
    cr_assert_eq(bbi_writer_locate(&t.writer, believed, &first, &pos), 1,
                 "what was protected, from %llu on, is there", (unsigned long long)believed);
    cr_assert_leq(t.writer.n, t.writer.lim_seq);
    hearer_close(&h);
    talker_close(&t);
}

Test(audience, the_slowest_cursor_counts)
{
    struct talker t;
    struct hearer a, b;
    talker_open(&t, "t");
    hearer_open(&a, "a", "");
    hearer_open(&b, "b", "");
    hearer_join(&a, &t, true);
    hearer_join(&b, &t, true);
    cr_assert_eq(say_until_refused(&t, 8, 1000), 64);
    cr_assert_eq(hear(&a, 1000), 64);
    cr_assert_eq(say_until_refused(&t, 8, 1000), 0);
    cr_assert_eq(hear(&b, 10), 10);
    cr_assert_eq(say_until_refused(&t, 8, 1000), 10);
    hearer_close(&a);
    hearer_close(&b);
    talker_close(&t);
}

Test(audience, hostile_cursors_are_clamped)
{
    static const uint64_t bad[] = {
        0, 1, 63, UINT64_MAX, UINT64_C(1) << 63, (UINT64_C(1) << 63) - 1, 1000000, UINT64_MAX - 64};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct talker t;
        struct hearer h;
        talker_open(&t, "t");
        hearer_open(&h, "h", "");
        hearer_join(&h, &t, true);
        for (int k = 0; k < 30; k++) {
            (void)say(&t, 8);
        }
        cr_assert_eq(hear(&h, 20), 20);
        (void)bbi_audience_headroom(&t.aud);
        uint64_t believed = t.aud.listeners[h.file.index].cursor;
        cr_assert_eq(believed, 84U);
        bbi_store_relaxed(&line_of(&h, &t)->cursor, bad[i]);
        (void)bbi_audience_headroom(&t.aud);
        uint64_t now = t.aud.listeners[h.file.index].cursor;
        cr_assert_geq(now, believed, "never back: %llx", (unsigned long long)bad[i]);
        cr_assert_leq(now, t.writer.n, "never beyond what was written");
        int went = say_until_refused(&t, 8, 1000);
        cr_assert(went >= 54 && went <= 1000, "%d", went);
        hearer_close(&h);
        talker_close(&t);
    }
}

Test(audience, a_cursor_of_a_message_that_is_gone_is_not_taken_back_to)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    for (int i = 0; i < 300; i++) {
        (void)say(&t, 8);
    }
    hearer_map(&h, &t);
    h.join.is_reliable = true;
    struct bbi_cursor *line = line_of(&h, &t); /* step 1 of the join, with a cursor of long ago */
    bbi_store_relaxed(&line->cursor, 70);
    bbi_store_relaxed(&line->ring_key, t.file.key);
    bbi_store_relaxed(&line->join_gen, 1);
    bbi_store_release(&line->mode, BBI_JOIN_RELIABLE);
    (void)bbi_fetch_add_seq_cst(&t.at.bus->sub_epoch.v, 1);
    (void)say(&t, 8);
    cr_assert_geq(t.aud.listeners[h.file.index].cursor, t.aud.listeners[h.file.index].floor,
                  "the floor holds");
    cr_assert_gt(say_until_refused(&t, 8, 1000), 40, "it is not blocked by what is gone");
    hearer_close(&h);
    talker_close(&t);
}

Test(audience, a_line_for_another_ring_of_that_row_is_ignored)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    hearer_map(&h, &t);
    h.join.ring_key = t.file.key + 2;
    bbi_join_begin(&h.join, &h.reader, true, BBI_SEEK_NOW, 0);
    cr_assert_eq(say_until_refused(&t, 8, 1000), 1000);
    hearer_close(&h);
    talker_close(&t);
}

Test(audience, a_batch_is_bounded_whatever_the_caller_does)
{
    struct talker t;
    talker_open(&t, "t");
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(say_more(&t, 8), 0);
        cr_assert_leq(t.writer.n - t.writer.flushed_seq, 16U);
    }
    talker_close(&t);
}

Test(audience, the_floor_is_the_tail_of_the_flush_before)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    for (int i = 0; i < 10; i++) {
        (void)say_more(&t, 8);
    }
    bbi_audience_flush(&t.aud);
    hearer_open(&h, "h", "");
    for (int i = 0; i < 5; i++) {
        (void)say_more(&t, 8);
    }
    bbi_audience_flush(&t.aud);
    cr_assert_eq(t.aud.listeners[h.file.index].floor, 74U);
    hearer_close(&h);
    talker_close(&t);
}

/* ---- policies ---- */

Test(audience, fail_refuses_at_once_and_counts)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    hearer_join(&h, &t, true);
    cr_assert_eq(say_until_refused(&t, 8, 1000), 64);
    int64_t t0 = bbi_os_mono_ns();
    for (int i = 0; i < 99; i++) {
        cr_assert_eq(say(&t, 8), BB_EAGAIN);
    }
    cr_assert_lt(bbi_os_mono_ns() - t0, INT64_C(2000000000));
    cr_assert_eq(counter(&t.writer.map.hdr->counters.refused), 100U);
    cr_assert_eq(counter(&t.writer.map.hdr->counters.evicted), 0U);
    hearer_close(&h);
    talker_close(&t);
}

Test(audience, evict_goes_on_at_once_and_names_the_slow_one_only)
{
    struct talker t;
    struct hearer slow, fast;
    uint32_t why;
    talker_open(&t, "t");
    hearer_open(&slow, "slow", "");
    hearer_open(&fast, "fast", "");
    hearer_join(&slow, &t, true);
    hearer_join(&fast, &t, true);
    t.aud.policy = BBI_EVICT;
    for (int i = 0; i < 500; i++) {
        cr_assert_eq(say(&t, 8), 0);
        cr_assert_eq(hear(&fast, 10), 1);
    }
    cr_assert_eq(bbi_join_evicted(&slow.join, &why), 1);
    cr_assert_eq(bbi_join_evicted(&fast.join, &why), 0);
    cr_assert_eq(counter(&t.writer.map.hdr->counters.evicted), 1U, "once");
    cr_assert_eq(counter(&t.writer.map.hdr->counters.blocked), 0U);
    hearer_close(&slow);
    hearer_close(&fast);
    talker_close(&t);
}

Test(audience, block_waits_its_time_and_then_evicts_or_fails)
{
    static const enum bbi_policy policies[] = {BBI_BLOCK_EVICT, BBI_BLOCK_FAIL};
    for (int i = 0; i < 2; i++) {
        struct talker t;
        struct hearer h;
        uint32_t why;
        talker_open(&t, "t");
        hearer_open(&h, "h", "");
        hearer_join(&h, &t, true);
        t.aud.policy = policies[i];
        t.aud.block_ns = 50000000;
        for (int k = 0; k < 64; k++) {
            cr_assert_eq(say(&t, 8), 0);
        }
        int64_t t0 = bbi_os_mono_ns();
        int rc = say(&t, 8);
        int64_t took = bbi_os_mono_ns() - t0;
        cr_assert(took >= 49000000 && took < INT64_C(3000000000), "%lld", (long long)took);
        cr_assert_eq(rc, i == 0 ? 0 : BB_EAGAIN);
        cr_assert_eq(bbi_join_evicted(&h.join, &why), i == 0);
        cr_assert_eq(counter(&t.writer.map.hdr->counters.blocked), 1U);
        cr_assert_eq(bbi_load_relaxed(&t.writer.map.hdr->blocked), 0U);
        hearer_close(&h);
        talker_close(&t);
    }
}

struct late_reader {
    struct hearer *h;
    int64_t after_ns;
};

static void *
read_later(void *user)
{
    struct late_reader *l = user;
    bbi_os_sleep_ns(l->after_ns);
    (void)hear(l->h, 1000);
    return NULL;
}

Test(audience, block_ends_as_soon_as_the_reader_reads)
{
    struct talker t;
    struct hearer h;
    pthread_t thread;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    hearer_join(&h, &t, true);
    t.aud.policy = BBI_BLOCK_FAIL;
    t.aud.block_ns = INT64_C(20000000000);
    for (int k = 0; k < 64; k++) {
        cr_assert_eq(say(&t, 8), 0);
    }
    struct late_reader l = {.h = &h, .after_ns = 30000000};
    cr_assert_eq(pthread_create(&thread, NULL, read_later, &l), 0);
    int64_t t0 = bbi_os_mono_ns();
    cr_assert_eq(say(&t, 8), 0);
    cr_assert_lt(bbi_os_mono_ns() - t0, INT64_C(2000000000));
    (void)pthread_join(thread, NULL);
    hearer_close(&h);
    talker_close(&t);
}

Test(audience, the_dead_are_not_waited_for)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    hearer_join(&h, &t, true);
    t.aud.policy = BBI_BLOCK_FAIL;
    t.aud.block_ns = INT64_C(20000000000);
    for (int k = 0; k < 64; k++) {
        cr_assert_eq(say(&t, 8), 0);
    }
    die(&h.at); /* nobody tells the publisher */
    int64_t t0 = bbi_os_mono_ns();
    cr_assert_eq(say_until_refused(&t, 8, 500), 500);
    cr_assert_lt(bbi_os_mono_ns() - t0, INT64_C(2000000000));
    cr_assert_eq(counter(&t.writer.map.hdr->counters.evicted), 0U, "died, not evicted");
    talker_close(&t);
}

/* A reader that sleeps is up to date; a whole ring of what it does not want must not cost it its place. */
Test(audience, a_sleeper_in_the_way_is_woken_before_it_is_evicted)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    hearer_open(&h, "h", "only/this");
    hearer_join(&h, &t, true);
    (void)bbi_wake_arm(h.at.bus, h.file.index, BBI_BELL_FUTEX);
    t.aud.policy = BBI_BLOCK_FAIL;
    t.aud.block_ns = 50000000;
    cr_assert_eq(say_until_refused(&t, 8, 1000), 64);
    cr_assert_eq(bbi_load_relaxed(&t.at.bus->bells[h.file.index].bell),
                 (uint32_t)BBI_BELL_NOTIFIED);
    hearer_close(&h);
    talker_close(&t);
}

/* ---- masks ---- */

Test(audience, masks_follow_the_filters)
{
    struct talker t;
    struct hearer a, b;
    struct bbi_mask m;
    talker_open(&t, "t");
    hearer_open(&a, "a", "zeek/");
    hearer_open(&b, "b", "zeek/conn");
    for (int i = 0; i < 3; i++) {
        (void)say(&t, 8); /* one file is mapped at a flush */
    }
    bbi_audience_mask(&t.aud, "zeek/conn/x", 11, &m);
    cr_assert(mask_has(&m, a.file.index) && mask_has(&m, b.file.index));
    bbi_audience_mask(&t.aud, "zeek/dns", 8, &m);
    cr_assert(mask_has(&m, a.file.index) && !mask_has(&m, b.file.index));
    bbi_audience_mask(&t.aud, "other", 5, &m);
    cr_assert(!mask_has(&m, a.file.index) && !mask_has(&m, b.file.index));
    uint64_t epoch = t.aud.mask_epoch;
    hearer_want(&b, "oth");
    bbi_audience_look(&t.aud);
    cr_assert_gt(t.aud.mask_epoch, epoch, "cached masks are void");
    bbi_audience_mask(&t.aud, "other", 5, &m);
    cr_assert(mask_has(&m, b.file.index));
    bbi_audience_mask(&t.aud, "zeek/conn", 9, &m);
    cr_assert(!mask_has(&m, b.file.index));
    hearer_close(&a);
    bbi_audience_look(&t.aud);
    bbi_audience_mask(&t.aud, "zeek/conn", 9, &m);
    cr_assert(!mask_has(&m, a.file.index), "who went wants nothing");
    hearer_close(&b);
    talker_close(&t);
}

Test(audience, ones_own_subscriber_is_no_audience_unless_it_asked)
{
    for (uint32_t flags = 0; flags <= BBI_SUB_LOOPBACK; flags += BBI_SUB_LOOPBACK) {
        struct talker t;
        struct bbi_own_file own;
        struct bbi_mask m;
        talker_open(&t, "t");
        cr_assert_eq(bbi_sub_register(&t.at, flags, &own, NULL), 0);
        const struct bbi_filter_item all = {.bytes = (const unsigned char *)"", .len = 0};
        cr_assert_eq(bbi_filter_write(own.seg.base, &all, 1), 0);
        (void)bbi_fetch_add_seq_cst(&t.at.bus->sub_epoch.v, 1);
        bbi_audience_look(&t.aud);
        bbi_audience_mask(&t.aud, "x", 1, &m);
        cr_assert_eq(mask_has(&m, own.index), flags != 0);
        bbi_sub_close(&t.at, &own);
        talker_close(&t);
    }
}

Test(audience, one_file_is_mapped_at_a_flush_and_the_rest_are_protected_meanwhile)
{
    struct talker t;
    struct hearer h[4];
    talker_open(&t, "t");
    for (int i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "h%d", i);
        hearer_open(&h[i], name, "x");
        hearer_join(&h[i], &t, true);
    }
    (void)say(&t, 8);
    cr_assert_eq(t.aud.pending, 3U);
    struct bbi_mask m;
    bbi_audience_mask(&t.aud, "y", 1, &m);
    cr_assert(mask_has(&m, h[3].file.index), "not known yet: rather woken once too often");
    (void)say(&t, 8);
    cr_assert_eq(t.aud.pending, 2U);
    cr_assert_eq(say_until_refused(&t, 8, 1000), 62, "all four from their start on");
    cr_assert_eq(t.aud.pending, 0U);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(hear(&h[i], 1000), 64);
        hearer_close(&h[i]);
    }
    talker_close(&t);
}

Test(audience, a_filter_that_cannot_be_read_wants_everything)
{
    struct talker t;
    struct hearer h;
    struct bbi_mask m;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    struct bbi_filter_table *table = &h.sub->filters[bbi_load_relaxed(&h.sub->filter_sel) & 1];
    table->bytes = UINT32_MAX;
    (void)say(&t, 8);
    bbi_audience_mask(&t.aud, "x", 1, &m);
    cr_assert(mask_has(&m, h.file.index), "rather woken too often than never");
    hearer_want(&h, "y"); /* the other copy is good */
    (void)say(&t, 8);
    bbi_audience_mask(&t.aud, "x", 1, &m);
    cr_assert(!mask_has(&m, h.file.index));
    hearer_close(&h);
    talker_close(&t);
}

Test(audience, who_cannot_be_mapped_is_told_and_woken_by_everything)
{
    struct talker t;
    struct hearer h;
    struct bbi_mask m;
    struct rlimit old, none;
    uint32_t why = 0;
    talker_open(&t, "t");
    hearer_open(&h, "h", "x");
    hearer_join(&h, &t, true);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 3;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    (void)say(&t, 8);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    cr_assert_eq(bbi_join_evicted(&h.join, &why), 1);
    cr_assert_eq(why, (uint32_t)BBI_EVICT_UNMAPPED);
    bbi_audience_mask(&t.aud, "y", 1, &m);
    cr_assert(mask_has(&m, h.file.index));
    cr_assert_eq(say_until_refused(&t, 8, 1000), 1000, "it is not waited for");
    hearer_close(&h);
    (void)say(&t, 8);
    bbi_audience_mask(&t.aud, "y", 1, &m);
    cr_assert(!mask_has(&m, h.file.index), "forgotten when it goes");
    talker_close(&t);
}

Test(audience, a_row_used_again_is_another_subscriber)
{
    struct talker t;
    struct hearer a, b;
    struct bbi_mask m;
    talker_open(&t, "t");
    hearer_open(&a, "a", "x");
    hearer_join(&a, &t, true);
    (void)say(&t, 8);
    uint32_t index = a.file.index;
    hearer_close(&a);
    hearer_open(&b, "b", "y");
    cr_assert_eq(b.file.index, index);
    cr_assert_eq(say_until_refused(&t, 8, 1000), 1000, "the old cursor is gone");
    bbi_audience_mask(&t.aud, "x", 1, &m);
    cr_assert(!mask_has(&m, index));
    bbi_audience_mask(&t.aud, "y", 1, &m);
    cr_assert(mask_has(&m, index));
    hearer_close(&b);
    talker_close(&t);
}

/* ---- waking ---- */

static uint32_t
bell_of(const struct talker *t, uint32_t idx)
{
    return bbi_load_relaxed(&t->at.bus->bells[idx].bell);
}

Test(audience, a_flush_wakes_one_and_names_the_others)
{
    struct talker t;
    struct hearer h[3];
    talker_open(&t, "t");
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "h%d", i);
        hearer_open(&h[i], name, "");
        (void)say(&t, 8);
    }
    for (int i = 0; i < 3; i++) {
        (void)bbi_wake_arm(t.at.bus, h[i].file.index, BBI_BELL_FUTEX);
    }
    for (int w = 0; w < BBI_SUB_WORDS; w++) {
        t.aud.wake.words[w] = UINT64_MAX; /* as the layer above does for a wanted topic */
    }
    cr_assert_eq(say(&t, 8), 0);
    int rung = 0;
    for (int i = 0; i < 3; i++) {
        rung += bell_of(&t, h[i].file.index) == BBI_BELL_NOTIFIED;
    }
    cr_assert_eq(rung, 1);
    cr_assert_eq(counter(&t.writer.map.hdr->counters.wakes), 1U);
    uint64_t named = counter(&t.at.bus->pass_on[0].v);
    for (int i = 0; i < 3; i++) {
        cr_assert((named >> h[i].file.index & 1) != 0, "subscriber %d", i);
        hearer_close(&h[i]);
    }
    talker_close(&t);
}

Test(audience, a_flush_wakes_nobody_who_does_not_want_it)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    hearer_open(&h, "h", "x");
    (void)say(&t, 8);
    (void)say(&t, 8);
    (void)bbi_wake_arm(t.at.bus, h.file.index, BBI_BELL_FUTEX);
    cr_assert_eq(say(&t, 8), 0);
    cr_assert_eq(bell_of(&t, h.file.index), (uint32_t)BBI_BELL_SLEEPING);
    cr_assert_eq(counter(&t.writer.map.hdr->counters.wakes), 0U);
    hearer_close(&h);
    talker_close(&t);
}

/* Whoever is noticed at this flush may have gone to sleep after it subscribed: it must not miss this one. */
Test(audience, who_came_since_the_last_flush_is_woken_by_this_one)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    (void)say(&t, 8);
    hearer_open(&h, "h", "");
    (void)bbi_wake_arm(t.at.bus, h.file.index, BBI_BELL_FUTEX);
    cr_assert_eq(say(&t, 8), 0); /* its topic's mask was made before h came */
    cr_assert_eq(bell_of(&t, h.file.index), (uint32_t)BBI_BELL_NOTIFIED);
    hearer_close(&h);
    talker_close(&t);
}

Test(audience, a_sleeper_that_was_woken_already_does_not_shadow_the_next)
{
    struct talker t;
    struct hearer a, b;
    talker_open(&t, "t");
    hearer_open(&a, "a", "");
    hearer_open(&b, "b", "");
    (void)say(&t, 8);
    (void)say(&t, 8);
    (void)bbi_wake_arm(t.at.bus, a.file.index, BBI_BELL_FUTEX);
    (void)bbi_wake_arm(t.at.bus, b.file.index, BBI_BELL_FUTEX);
    for (int i = 0; i < 2; i++) {
        t.aud.wake.words[0] = UINT64_MAX;
        (void)say(&t, 8);
    }
    cr_assert_eq(bell_of(&t, a.file.index), (uint32_t)BBI_BELL_NOTIFIED);
    cr_assert_eq(bell_of(&t, b.file.index), (uint32_t)BBI_BELL_NOTIFIED);
    hearer_close(&a);
    hearer_close(&b);
    talker_close(&t);
}

Test(audience, nothing_is_left_open_when_it_ends)
{
    int before = count_fds();
    for (int i = 0; i < 10; i++) {
        struct talker t;
        struct hearer h;
        talker_open(&t, "t");
        hearer_open(&h, "h", "");
        int fd = bbi_wake_socket(&h.at, h.file.index);
        (void)say(&t, 8);
        (void)bbi_wake_arm(t.at.bus, h.file.index, BBI_BELL_SOCKET);
        t.aud.wake.words[0] = UINT64_MAX;
        (void)say(&t, 8);
        cr_assert_eq(bell_of(&t, h.file.index), (uint32_t)BBI_BELL_NOTIFIED);
        (void)close(fd);
        hearer_close(&h);
        talker_close(&t);
    }
    cr_assert_eq(count_fds(), before);
}

/* The row of the one that is waited for may have a new, living owner long before the time is over. */
static void *
leave_and_come_back(void *user)
{
    struct hearer *h = user;
    bbi_os_sleep_ns(30000000);
    bbi_join_end(&h->join);
    bbi_sub_close(&h->at, &h->file);
    cr_assert_eq(bbi_sub_register(&h->at, 0, &h->file, NULL), 0);
    return NULL;
}

Test(audience, who_left_is_not_waited_for_when_its_row_has_a_new_owner)
{
    struct talker t;
    struct hearer h;
    pthread_t thread;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    hearer_join(&h, &t, true);
    uint32_t index = h.file.index;
    t.aud.policy = BBI_BLOCK_FAIL;
    t.aud.block_ns = INT64_C(10000000000);
    for (int k = 0; k < 64; k++) {
        cr_assert_eq(say(&t, 8), 0);
    }
    cr_assert_eq(pthread_create(&thread, NULL, leave_and_come_back, &h), 0);
    int64_t t0 = bbi_os_mono_ns();
    cr_assert_eq(say(&t, 8), 0);
    cr_assert_lt(bbi_os_mono_ns() - t0, INT64_C(3000000000));
    (void)pthread_join(thread, NULL);
    cr_assert_eq(h.file.index, index, "or nothing was tried");
    hearer_close(&h);
    talker_close(&t);
}

/* ---- who is owed a ring ---- */

static void
owed_open(struct talker *t, struct hearer *h)
{
    memset(h, 0, sizeof(*h));
    attach_named(&h->at, "h");
    cr_assert_eq(bbi_sub_register(&h->at, BBI_SUB_RELIABLE, &h->file, NULL), 0);
    h->sub = h->file.seg.base;
    hearer_want(h, "");
    talker_open(t, "t"); /* younger than the subscriber */
}

Test(audience, a_ring_waits_for_a_reliable_subscriber_that_is_older_than_it)
{
    struct talker t;
    struct hearer h;
    owed_open(&t, &h);
    cr_assert_eq(say_until_refused(&t, 8, 1000), 64, "from the first message on");
    hearer_map(&h, &t);
    bbi_join_begin(&h.join, &h.reader, true, BBI_SEEK_FIRST, 0);
    cr_assert_eq(hear(&h, 10), 10);
    cr_assert_eq(say_until_refused(&t, 8, 1000), 10);
    cr_assert_eq(hear(&h, 1000), 64);
    hearer_close(&h);
    talker_close(&t);
}

Test(audience, who_is_owed_a_ring_and_never_comes_is_evicted_and_told)
{
    struct talker t;
    struct hearer h;
    uint32_t why = 0;
    owed_open(&t, &h);
    t.aud.policy = BBI_EVICT;
    cr_assert_eq(say_until_refused(&t, 8, 300), 300);
    cr_assert_eq(counter(&t.writer.map.hdr->counters.evicted), 1U);
    hearer_map(&h, &t);
    bbi_join_begin(&h.join, &h.reader, true, BBI_SEEK_FIRST, 0);
    cr_assert_eq(bbi_join_evicted(&h.join, &why), 1);
    cr_assert_eq(why, (uint32_t)BBI_EVICT_SLOW);
    hearer_close(&h);
    talker_close(&t);
}

Test(audience, who_is_owed_a_ring_and_cannot_be_mapped_is_not_waited_for)
{
    static const enum bbi_policy policies[] = {BBI_FAIL, BBI_BLOCK_FAIL, BBI_BLOCK_EVICT};
    for (int i = 0; i < 3; i++) {
        struct talker t;
        struct hearer h;
        struct rlimit old, none;
        cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
        memset(&h, 0, sizeof(h));
        attach_named(&h.at, "h");
        talker_open(&t, "t");
        cr_assert_eq(bbi_sub_register(&h.at, BBI_SUB_RELIABLE, &h.file, NULL), 0);
        h.sub = h.file.seg.base;
        bbi_store_relaxed(&t.at.bus->subs[h.file.index].born, 0); /* it was there before the ring */
        hearer_want(&h, "");
        none = old;
        none.rlim_cur = 3;
        t.aud.policy = policies[i];
        t.aud.block_ns = 5000000;
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        (void)say(&t, 8);
        int went = say_until_refused(&t, 8, 300);
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
        cr_assert_eq(went, 300, "policy %d: %d", (int)policies[i], went);
        hearer_close(&h);
        talker_close(&t);
    }
}
