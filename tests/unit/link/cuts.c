/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A link that is cut, or falls silent, is told once as down and once as up again, and nothing is lost or comes
 *         twice: every message arrives in order (hub_pair.h checks each number).
 * Method  A wire between both hubs that is cut (RST) after so many bytes, or held.
 */
#include "tests/unit/link/proxy.h"

static void
open_over_proxy(
    struct side *a, struct side *b, struct proxy *p, const struct kind *k, int64_t dead_ns)
{
    struct bbi_hub_opts oa = opts_of(k, "alpha", 1), ob = opts_of(k, "bravo", 2);
    oa.session.ping_ns = ob.session.ping_ns = SECOND_NS / 10;
    oa.session.dead_ns = ob.session.dead_ns = dead_ns;
    side_open(a, &oa);
    side_open(b, &ob);
    side_listen(b);
    proxy_open(p, b->port);
    side_dial(a, p->port);
    UNTIL(a, b, a->is_up && b->is_up);
}

KIND_PARAMS(link_cuts, in_the_middle_of_a_stream)
ParameterizedTest(struct kind *k, link_cuts, in_the_middle_of_a_stream, .timeout = 100)
{
    enum { CUTS = 25, ROUND = 3000 };
    struct side a = {0}, b = {0};
    struct proxy p;
    begin_kind(k);
    open_over_proxy(&a, &b, &p, k, 20 * SECOND_NS); /* a busy box is no cut */
    for (int cut = 1; cut <= CUTS; cut++) {
        atomic_store(&p.cut_after, atomic_load(&p.bytes) + (unsigned long)(20000 * cut));
        for (int i = 0; i < ROUND; i++) {
            cr_assert_eq(offer(&a, (size_t)(i % 500)), 1);
            cr_assert_eq(offer(&b, (size_t)(i % 900)), 1);
            if (i % 64 == 0) {
                turn(&a, 0);
                turn(&b, 0);
            }
        }
        UNTIL(&a, &b, (int)atomic_load(&p.cuts) == cut && a.ups == cut + 1 && b.ups == cut + 1);
        UNTIL(&a, &b, b.received == a.offered && a.received == b.offered);
    }
    cr_assert_eq(a.downs, CUTS);
    cr_assert_eq(b.downs, CUTS);
    cr_assert_eq(a.resumed, CUTS);
    cr_assert_eq(b.resumed, CUTS);
    cr_assert_eq(a.gap + b.gap, 0);
    cr_assert_eq(a.why, BBI_DOWN_LOST);
    pair_close(&a, &b);
    proxy_close(&p);
}

/* As with a process that was stopped: no byte, no end; and then it goes on. */
KIND_PARAMS(link_cuts, silence_is_noticed_and_outlived)
ParameterizedTest(struct kind *k, link_cuts, silence_is_noticed_and_outlived, .timeout = 60)
{
    struct side a = {0}, b = {0};
    struct proxy p;
    begin_kind(k);
    open_over_proxy(&a, &b, &p, k, SECOND_NS);
    cr_assert_eq(offer(&a, 100), 1);
    UNTIL(&a, &b, b.received == 1);
    atomic_store(&p.is_held, true);
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(offer(&a, 200), 1);
    }
    UNTIL(&a, &b, !a.is_up && !b.is_up);
    cr_assert_not_null(strstr(a.down, "silent"), "%s", a.down);
    cr_assert_eq(a.why, BBI_DOWN_LOST);
    drive(&a, &b, SECOND_NS / 5); /* it is dialed again, and waits for a word */
    cr_assert_eq(a.unavailable, 0);
    atomic_store(&p.is_held, false);
    UNTIL(&a, &b, a.is_up && b.is_up && b.received == a.offered);
    cr_assert_eq(a.ups, a.downs + 1);
    cr_assert_eq(b.ups, b.downs + 1);
    cr_assert_eq(b.resumed, b.downs);
    cr_assert_eq(b.gap, 0);
    pair_close(&a, &b);
    proxy_close(&p);
}

/* One bridge was stopped for 10 s; what came meanwhile waits in its socket.  Real silence is noticed as before. */
KIND_PARAMS(link_cuts, a_bridge_that_stood_still_reads_first)
ParameterizedTest(struct kind *k, link_cuts, a_bridge_that_stood_still_reads_first, .timeout = 60)
{
    struct bbi_link_time clock = {.mono_ns = 1000 * SECOND_NS, .wall_ns = bbi_os_wall_ns()};
    struct side a = {.clock = &clock}, b = {0};
    begin_kind(k);
    pair_up(&a, &b, k);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(offer(&b, 200), 1);
    }
    for (int i = 0; i < 20; i++) {
        turn(&b, 1000000);
    }
    clock.mono_ns += 10 * SECOND_NS;
    turn(&a, 0);
    UNTIL(&a, &b, a.received == b.offered);
    cr_assert_eq(a.downs, 0, "%s", a.down);
    cr_assert_eq(b.downs, 0, "%s", b.down);
    for (int i = 0; i < 100 && a.is_up; i++) {
        clock.mono_ns += SECOND_NS / 10;
        turn(&a, 0);
    }
    cr_assert_eq(a.downs, 1);
    cr_assert_not_null(strstr(a.down, "silent"), "%s", a.down);
    pair_close(&a, &b);
}

static uint64_t
acknowledged(const struct side *s)
{
    struct bbi_session_stats stats;
    bbi_session_stats(bbi_box_session(s->box), &stats);
    return stats.acknowledged;
}

/* Another life of the other side: what it may have had is told as uncertain; what was not sent comes. */
KIND_PARAMS(link_cuts, restart_of_the_other_side)
ParameterizedTest(struct kind *k, link_cuts, restart_of_the_other_side, .timeout = 60)
{
    struct side a = {0}, b = {0};
    begin_kind(k);
    pair_up(&a, &b, k);
    uint16_t port = b.port;
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(offer(&a, 10), 1);
    }
    UNTIL(&a, &b, b.received == 100 && acknowledged(&a) == 100);
    side_close(&b);
    UNTIL(&a, &b, !a.is_up);
    cr_assert_eq(a.why, BBI_DOWN_LOST);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(offer(&a, 10), 1);
    }
    struct bbi_hub_opts ob = opts_of(k, "bravo", 2);
    ob.self.epoch = 7777;
    side_open(&b, &ob);
    b.port = port;
    b.seq = 100;
    side_listen(&b);
    UNTIL(&a, &b, a.is_up && b.received + b.gap == 100);
    cr_assert_eq(a.resumed, 0);
    cr_assert_eq(a.ups, 2);
    cr_assert_eq(a.downs, 1);
    pair_close(&a, &b);
}
