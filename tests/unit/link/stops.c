/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A bridge that stops says so, after what was offered; who goes on hears why, and dials again.  The hub's own
 *         errands: descriptors that it watches, rates, memory that comes back.
 */
#include "tests/unit/link/proxy.h"

KIND_PARAMS(link_stops, after_what_was_offered)
ParameterizedTest(struct kind *k, link_stops, after_what_was_offered, .timeout = 60)
{
    struct side a = {0}, b = {0};
    struct bbi_hub_opts oa = opts_of(k, "alpha", 1), ob = opts_of(k, "bravo", 2);
    begin_kind(k);
    ob.stop_max_ns = 15 * SECOND_NS; /* a busy box may need more than the usual second */
    side_open(&a, &oa);
    side_open(&b, &ob);
    side_listen(&b);
    side_dial(&a, b.port);
    UNTIL(&a, &b, a.is_up && b.is_up);
    for (int i = 0; i < 3000; i++) {
        cr_assert_eq(offer(&b, 1000), 1);
    }
    UNTIL(&a, &b, bbi_hub_stop(b.hub));
    cr_assert_not(b.is_up);
    cr_assert_eq(b.why, BBI_DOWN_REMOVED);
    UNTIL(&a, &b, !a.is_up);
    cr_assert_eq(a.received, 3000);
    cr_assert_eq(a.why, BBI_DOWN_LOST);
    cr_assert_not_null(strstr(a.down, "stopping"), "%s", a.down);
    side_close(&b);
    UNTIL(&a, &b, a.unavailable > 0); /* it dials again */
    UNTIL(&a, &b, bbi_hub_stop(a.hub));
    side_close(&a);
}

/* The other side does not read: a second, no more. */
Test(link_stops, not_for_ever, .timeout = 60)
{
    struct side a = {0}, b = {0}, none = {0};
    pair_up(&a, &b, &KINDS[2]);
    for (int i = 0; i < 5000; i++) {
        cr_assert_eq(offer(&a, 1000), 1);
    }
    int64_t since_ns = bbi_os_mono_ns();
    UNTIL(&a, &none, bbi_hub_stop(a.hub));
    int64_t took_ns = bbi_os_mono_ns() - since_ns;
    cr_assert_lt(took_ns, 5 * SECOND_NS, "%ld ms", (long)(took_ns / 1000000));
    cr_assert_gt(took_ns, SECOND_NS / 2, "what was offered had no time: %ld ms",
                 (long)(took_ns / 1000000));
    cr_assert_eq(a.downs, 1);
    pair_close(&a, &b);
}

KIND_PARAMS(link_stops, watched_descriptors)
ParameterizedTest(struct kind *k, link_stops, watched_descriptors, .timeout = 60)
{
    struct side a = {0}, b = {0};
    int fds[2];
    begin_kind(k);
    pair_up(&a, &b, k);
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(bbi_net_watch(bbi_hub_net(a.hub), fds[0]), 0);
    cr_assert_eq(write(fds[1], "xyz", 3), 3);
    UNTIL(&a, &b, a.readable == 3);
    bbi_net_unwatch(bbi_hub_net(a.hub), fds[0]);
    (void)close(fds[0]);
    (void)close(fds[1]);
    pair_close(&a, &b);
}

/* Ended by its user, within an event: told, and up again. */
KIND_PARAMS(link_stops, ended_by_its_user)
ParameterizedTest(struct kind *k, link_stops, ended_by_its_user, .timeout = 60)
{
    struct side a = {0}, b = {0};
    begin_kind(k);
    pair_up(&a, &b, k);
    bbi_box_end(b.box, BBI_CLOSE_SLOW, "the rights of alpha were taken away, for this test");
    UNTIL(&a, &b, a.downs == 1 && b.downs == 1);
    cr_assert_not_null(strstr(a.down, "for this test"), "%s", a.down);
    UNTIL(&a, &b, a.is_up && b.is_up);
    cr_assert_eq(a.resumed, 1);
    pair_close(&a, &b);
}

/* Rows of the table while messages flow. */
Test(link_stops, rates, .timeout = 60)
{
    struct side a = {0}, b = {0};
    struct bb_link_info rows[4];
    struct bbi_link_time clock = {SECOND_NS, SECOND_NS};
    struct bbi_hub_opts oa = opts_of(&KINDS[2], "alpha", 1), ob = opts_of(&KINDS[2], "bravo", 2);
    a.clock = b.clock = &clock;
    side_open(&a, &oa);
    side_open(&b, &ob);
    side_listen(&b);
    side_dial(&a, b.port);
    UNTIL(&a, &b, a.is_up && b.is_up);
    for (int i = 0; i < 500; i++) {
        cr_assert_eq(offer(&a, 10), 1);
    }
    UNTIL(&a, &b, b.received == 500);
    clock.mono_ns += SECOND_NS / 2; /* acknowledged */
    UNTIL(&a, &b, bbi_hub_links(a.hub, rows, NULL, 4) == 1 && rows[0].sent == 500);
    clock.mono_ns += SECOND_NS / 2;
    drive(&a, &b, SECOND_NS / 50);
    cr_assert_eq(bbi_hub_links(a.hub, rows, NULL, 4), 1);
    cr_assert_eq(rows[0].sent_per_s, 500, "%lu", (unsigned long)rows[0].sent_per_s);
    cr_assert_eq(rows[0].queued, 0);
    cr_assert_eq(rows[0].ups, 1);
    cr_assert_eq(bbi_hub_links(b.hub, rows, NULL, 4), 2);
    cr_assert_eq(rows[0].received_per_s, 500);
    cr_assert_eq(rows[0].received, 500);
    cr_assert_eq(rows[0].dialed, 0);
    cr_assert_eq(rows[0].retry_in_ns, -1);
    cr_assert_str_eq(rows[0].name, "alpha");
    clock.mono_ns += SECOND_NS;
    drive(&a, &b, SECOND_NS / 50);
    (void)bbi_hub_links(b.hub, rows, NULL, 4);
    cr_assert_eq(rows[0].received_per_s, 0);
    pair_close(&a, &b);
}
