/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a subscriber's side of one ring: what its line says at each step, where it begins, what eviction and
 * leaving look like; nothing at or after the start of a reliable join is ever overwritten.
 * Method: publisher and subscriber by turns in one thread, the join cut open at its hooks.
 */
#include "shm/hook.h"
#include "tests/unit/shm/audience_bus.h"

TestSuite(join, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

Test(join, a_lossy_join_is_a_note_for_tools_only)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    (void)say(&t, 8);
    uint64_t epoch = counter(&t.at.bus->sub_epoch.v);
    hearer_join(&h, &t, false);
    struct bbi_cursor *line = line_of(&h, &t);
    cr_assert_eq(bbi_load_relaxed(&line->mode), (uint32_t)BBI_JOIN_LOSSY);
    cr_assert_eq(counter(&line->ring_key), t.file.key);
    cr_assert_eq(counter(&line->cursor), 65U);
    cr_assert_eq(counter(&t.at.bus->sub_epoch.v), epoch, "no publisher has to look");
    cr_assert_eq(say_until_refused(&t, 8, 1000), 1000, "and none waits");
    hearer_close(&h);
    talker_close(&t);
}

Test(join, a_reliable_join_tells_publishers_and_starts_at_the_tail)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    for (int i = 0; i < 10; i++) {
        (void)say(&t, 8);
    }
    uint64_t epoch = counter(&t.at.bus->sub_epoch.v);
    hearer_join(&h, &t, true);
    struct bbi_cursor *line = line_of(&h, &t);
    cr_assert_eq(bbi_load_relaxed(&line->mode), (uint32_t)BBI_JOIN_RELIABLE);
    cr_assert_eq(bbi_load_relaxed(&line->join_gen), 1U);
    cr_assert_eq(counter(&line->cursor), 74U);
    cr_assert_eq(counter(&t.at.bus->sub_epoch.v), epoch + 1);
    cr_assert_eq(h.join.published, 74U);
    hearer_close(&h);
    talker_close(&t);
}

/* ---- the join, cut open ---- */

#if defined(BB_HOOKS) && BB_HOOKS
static struct talker *hook_talker;
static const char *hook_at;
static int hook_says;
static size_t hook_bytes;

/* At this point of the join the publisher writes on, in batches as large as it may. */
static void
write_on(const char *name)
{
    if (strcmp(name, hook_at) == 0) {
        hook_at = "";
        for (int i = 0; i < hook_says && say_more(hook_talker, hook_bytes) == 0; i++) {
        }
    }
}

/* The publisher writes wherever the subscriber may be stopped; nothing from its start on goes. */
Test(join, whatever_the_publisher_writes_meanwhile_nothing_from_the_start_on_is_overwritten)
{
    static const char *const points[] = {"join:cursor", "join:line", "join:told", "join:started"};
    static const size_t sizes[] = {8, 200, 1000};
    for (int p = 0; p < 4; p++) {
        for (int s = 0; s < 3; s++) {
            for (int before = 0; before < 20; before += 3) {
                for (int during = 0; during < 200; during += 19) {
                    struct talker t;
                    struct hearer h;
                    talker_open(&t, "t");
                    hearer_open(&h, "h", "");
                    for (int i = 0; i < 100 + before; i++) {
                        (void)say_more(&t, sizes[s]);
                    }
                    hook_talker = &t;
                    hook_at = points[p];
                    hook_says = during;
                    hook_bytes = sizes[s];
                    bbi_hook = write_on;
                    hearer_join(&h, &t, true);
                    bbi_hook = NULL;
                    for (int i = 0; i < 300 && say_more(&t, sizes[s]) == 0; i++) {
                    }
                    cr_assert_leq(t.writer.n, h.reader.cursor + 64);
                    int want = (int)(t.writer.n - h.reader.cursor);
                    cr_assert_eq(hear(&h, 1000), want, "at %s, %zu bytes, %d before, %d during",
                                 points[p], sizes[s], before, during);
                    hearer_close(&h);
                    talker_close(&t);
                }
            }
        }
    }
}
#endif

/* ---- cursors ---- */

Test(join, publishing_a_cursor_rings_only_a_publisher_that_waits)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    hearer_join(&h, &t, true);
    struct bbi_cursor *line = line_of(&h, &t);
    (void)say(&t, 8);
    cr_assert_eq(hear(&h, 1), 1);
    cr_assert_eq(counter(&line->cursor), 65U);
    cr_assert_eq(bbi_load_relaxed(&line->bell), 0U, "nobody waits: no bell");
    (void)say(&t, 8);
    bbi_store_seq_cst(&t.writer.map.hdr->blocked, 1);
    cr_assert_eq(hear(&h, 1), 1);
    cr_assert_eq(bbi_load_relaxed(&line->bell), 1U);
    bbi_join_publish(&h.join, h.reader.cursor);
    cr_assert_eq(bbi_load_relaxed(&line->bell), 1U, "nothing new: no bell");
    hearer_close(&h);
    talker_close(&t);
}

/* ---- eviction ---- */

Test(join, an_eviction_is_seen_by_the_join_that_it_meant_and_no_other)
{
    struct talker t;
    struct hearer h;
    uint32_t why = 0;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    hearer_join(&h, &t, true);
    cr_assert_eq(bbi_join_evicted(&h.join, &why), 0);
    struct bbi_evict *e = &t.writer.map.hdr->evicted[h.file.index];
    bbi_store_relaxed(&e->why, BBI_EVICT_SLOW);
    bbi_store_release(&e->gen, 2);
    cr_assert_eq(bbi_join_evicted(&h.join, &why), 0, "another generation");
    bbi_store_release(&e->gen, 1);
    cr_assert_eq(bbi_join_evicted(&h.join, &why), 1);
    cr_assert_eq(why, (uint32_t)BBI_EVICT_SLOW);
    bbi_store_relaxed(&e->why, BBI_EVICT_UNMAPPED);
    bbi_store_release(&e->gen, bbi_evict_mark(h.file.key + 2));
    cr_assert_eq(bbi_join_evicted(&h.join, &why), 0, "whoever had this row before");
    bbi_store_release(&e->gen, bbi_evict_mark(h.file.key));
    cr_assert_eq(bbi_join_evicted(&h.join, &why), 1, "any generation: it cannot look at us");
    cr_assert_eq(why, (uint32_t)BBI_EVICT_UNMAPPED);
    h.join.is_reliable = false;
    cr_assert_eq(bbi_join_evicted(&h.join, &why), 0, "a lossy one is never evicted");
    hearer_close(&h);
    talker_close(&t);
}

Test(join, joining_again_takes_a_new_generation_and_is_protected_again)
{
    struct talker t;
    struct hearer h;
    uint32_t why;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    hearer_join(&h, &t, true);
    t.aud.policy = BBI_EVICT;
    cr_assert_eq(say_until_refused(&t, 8, 100), 100);
    cr_assert_eq(bbi_join_evicted(&h.join, &why), 1);
    bbi_join_again(&h.join, &h.reader);
    cr_assert_eq(bbi_join_evicted(&h.join, &why), 0);
    cr_assert_eq(h.join.gen, 2U);
    struct bbi_item item;
    uint32_t budget = 10;
    cr_assert_eq(bbi_reader_next(&h.reader, &item, h.reader.cursor + budget), BB_EOVERRUN);
    int left = hear(&h, 1000);
    cr_assert_eq(h.reader.lost + (uint64_t)left, 100U);
    t.aud.policy = BBI_FAIL;
    cr_assert_eq(say_until_refused(&t, 8, 1000), 64, "held again");
    cr_assert_eq(hear(&h, 1000), 64);
    hearer_close(&h);
    talker_close(&t);
}

Test(join, generations_never_become_zero_or_a_mark)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    hearer_map(&h, &t);
    h.join.gen = (UINT32_MAX >> 1) - 3;
    bbi_join_begin(&h.join, &h.reader, true, BBI_SEEK_NOW, 0);
    for (int i = 0; i < 8; i++) {
        bbi_join_again(&h.join, &h.reader);
        cr_assert(h.join.gen != 0 && h.join.gen >> 31 == 0, "%x", h.join.gen);
    }
    hearer_close(&h);
    talker_close(&t);
}

Test(join, ending_frees_the_publisher)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    hearer_join(&h, &t, true);
    cr_assert_eq(say_until_refused(&t, 8, 1000), 64);
    bbi_join_end(&h.join);
    cr_assert_eq(say_until_refused(&t, 8, 1000), 1000);
    struct bbi_cursor *line = line_of(&h, &t);
    cr_assert_eq(counter(&line->ring_key), t.file.key, "the steward still sees what was read");
    hearer_close(&h);
    talker_close(&t);
}

Test(join, a_reliable_join_in_the_past_is_protected_from_there)
{
    struct talker t;
    struct hearer h;
    talker_open(&t, "t");
    hearer_open(&h, "h", "");
    for (int i = 0; i < 20; i++) {
        (void)say(&t, 8);
    }
    hearer_map(&h, &t);
    bbi_join_begin(&h.join, &h.reader, true, BBI_SEEK_LAST, 12);
    cr_assert_eq(h.reader.cursor, 72U);
    cr_assert_eq(say_until_refused(&t, 8, 1000), 52);
    cr_assert_eq(hear(&h, 1000), 64);
    hearer_close(&h);
    talker_close(&t);
}
