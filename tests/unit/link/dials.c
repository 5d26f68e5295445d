/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    What becomes of an address that is dialed: one link whoever dials, tried again until it comes up, once if that
 *         was asked for, ended for good when it is taken down.
 * Method  Hubs of one thread; both dial in every order; sentences and events are held against what a caller is promised.
 * bb-long
 */
#include "tests/unit/link/proxy.h"

/* Both dial at once, the lower id first or last, and both are satisfied by one link, told once. */
static void
both_dial(const struct kind *k, int head_start)
{
    struct side a = {0}, b = {0};
    pair_open(&a, &b, k);
    side_listen(&a);
    struct side *first = head_start < 0 ? &b : &a, *second = head_start < 0 ? &a : &b;
    side_dial(first, second->port);
    for (int i = 0; i < abs(head_start); i++) {
        turn(first, 100000);
        turn(second, 100000);
    }
    side_dial(second, first->port);
    UNTIL(&a, &b, a.is_up && b.is_up && a.dialed == 1 && b.dialed == 1);
    cr_assert_eq(offer(&a, 100), 1);
    cr_assert_eq(offer(&b, 100), 1);
    UNTIL(&a, &b, a.received == 1 && b.received == 1);
    drive(&a, &b, SECOND_NS / 4); /* nobody dials any more, the old transport is gone */
    cr_assert(a.is_up && b.is_up);
    cr_assert_eq(a.ups, 1, "%d ups, %s", a.ups, a.down);
    cr_assert_eq(b.ups, 1, "%d ups, %s", b.ups, b.down);
    cr_assert_eq(a.unavailable + b.unavailable, 0, "%s %s", a.away, b.away);
    cr_assert_eq(logged(&a, "warning", "") + logged(&b, "warning", ""), 0);
    struct bb_link_info rows[8];
    struct bbi_box *boxes[8];
    cr_assert_eq(bbi_hub_links(a.hub, rows, boxes, 8), 2);
    cr_assert_eq(rows[0].state, BB_LINK_UP);
    cr_assert_eq(rows[0].dialed, 1);
    cr_assert_eq(boxes[0], a.box);
    cr_assert_eq(rows[1].state, BB_LINK_LISTENING);
    pair_close(&a, &b);
}

KIND_PARAMS(link_dials, both_at_once)
ParameterizedTest(struct kind *k, link_dials, both_at_once, .timeout = 100)
{
    begin_kind(k);
    for (int head_start = -12; head_start <= 12; head_start++) {
        both_dial(k, head_start);
    }
}

/* The other side has no room for us: that is not mended within the second, and not tried again within it. */
KIND_PARAMS(link_dials, a_box_without_room_is_let_be)
ParameterizedTest(struct kind *k, link_dials, a_box_without_room_is_let_be, .timeout = 60)
{
    struct side a = {0}, b = {0};
    struct bbi_hub_opts oa = opts_of(k, "alpha", 1), ob = opts_of(k, "bravo", 2);
    struct bb_link_info rows[4];
    begin_kind(k);
    oa.retry_max_ns = 30 * SECOND_NS;
    side_open(&a, &oa);
    side_open(&b, &ob);
    side_listen(&b);
    side_dial(&a, b.port);
    UNTIL(&a, &b, a.is_up && b.is_up);
    bbi_box_end(b.box, BBI_CLOSE_MEMORY, "no ring for the messages of alpha");
    UNTIL(&a, &b, !a.is_up && !b.is_up);
    cr_assert_not_null(strstr(a.down, "no ring for"), "%s", a.down);
    drive(&a, &b, SECOND_NS / 5);
    cr_assert_eq(a.ups, 1);
    cr_assert_eq(bbi_hub_links(a.hub, rows, NULL, 4), 1);
    cr_assert_gt(rows[0].retry_in_ns, 20 * SECOND_NS);
    pair_close(&a, &b);
}

KIND_PARAMS(link_dials, itself)
ParameterizedTest(struct kind *k, link_dials, itself, .timeout = 60)
{
    struct side a = {0}, none = {0};
    struct bbi_hub_opts o = opts_of(k, "alpha", 1);
    begin_kind(k);
    o.retry_max_ns = 30 * SECOND_NS;
    side_open(&a, &o);
    side_listen(&a);
    side_dial(&a, a.port);
    UNTIL(&a, &none, a.unavailable == 1);
    cr_assert_not_null(strstr(a.away, "the node itself"), "%s", a.away);
    drive(&a, &none, SECOND_NS / 5);
    cr_assert_eq(a.unavailable, 1, "a retry soon changes nothing");
    cr_assert_eq(a.ups, 0);
    struct bb_link_info rows[4];
    cr_assert_eq(bbi_hub_links(a.hub, rows, NULL, 4), 2);
    cr_assert_gt(rows[0].retry_in_ns, 20 * SECOND_NS);
    cr_assert_eq(rows[0].attempts, 1);
    side_close(&a);
}

KIND_PARAMS(link_dials, once_to_a_closed_port)
ParameterizedTest(struct kind *k, link_dials, once_to_a_closed_port, .timeout = 60)
{
    struct side a = {0}, none = {0};
    struct bbi_hub_opts o = opts_of(k, "alpha", 1);
    uint16_t port;
    begin_kind(k);
    side_open(&a, &o);
    (void)close(bare_listen(&port));
    side_dial_once(&a, port);
    UNTIL(&a, &none, a.dialed == 1);
    cr_assert_eq(a.dialed_status, -ECONNREFUSED);
    cr_assert_not_null(strstr(a.away, "nobody listens there"), "%s", a.away);
    cr_assert_eq(a.unavailable, 1);
    drive(&a, &none, SECOND_NS / 5);
    cr_assert_eq(a.unavailable, 1, "it was tried again");
    cr_assert_eq(bbi_hub_undial(a.hub, "127.0.0.1", port), BB_ENOENT, "it was not forgotten");
    cr_assert_eq(bbi_hub_links(a.hub, NULL, NULL, 0), 0);
    side_close(&a);
}

KIND_PARAMS(link_dials, until_somebody_listens)
ParameterizedTest(struct kind *k, link_dials, until_somebody_listens, .timeout = 60)
{
    struct side a = {0}, b = {0};
    struct bbi_hub_opts oa = opts_of(k, "alpha", 1), ob = opts_of(k, "bravo", 2);
    begin_kind(k);
    side_open(&a, &oa);
    (void)close(bare_listen(&b.port));
    uint16_t port = b.port;
    side_dial(&a, port);
    UNTIL(&a, &b, a.unavailable == 4);
    cr_assert_eq(a.dialed, 0);
    cr_assert_eq(logged(&a, "warning", ""), 1, "the same thing is not said again");
    side_open(&b, &ob);
    b.port = port;
    side_listen(&b);
    UNTIL(&a, &b, a.is_up && b.is_up && a.dialed == 1);
    cr_assert_eq(a.dialed_status, 0);
    pair_close(&a, &b);
}

KIND_PARAMS(link_dials, undial)
ParameterizedTest(struct kind *k, link_dials, undial, .timeout = 60)
{
    struct side a = {0}, b = {0};
    struct bbi_fault f = {0};
    begin_kind(k);
    pair_up(&a, &b, k);
    cr_assert_eq(bbi_hub_undial(a.hub, "127.0.0.1", 1), BB_ENOENT);
    cr_assert_eq(bbi_hub_dial(a.hub, "127.0.0.1", b.port, NULL, &f), BB_EEXIST);
    cr_assert_eq(bbi_hub_dial(a.hub, "127.0.0.1", 0, NULL, &f), BB_EINVAL);
    cr_assert_eq(bbi_hub_undial(a.hub, "127.0.0.1", b.port), 0);
    cr_assert_eq(bbi_hub_undial(a.hub, "127.0.0.1", b.port), BB_ENOENT);
    UNTIL(&a, &b, !a.is_up && !b.is_up);
    cr_assert_eq(a.why, BBI_DOWN_REMOVED);
    cr_assert_eq(b.why, BBI_DOWN_LOST);
    cr_assert_not_null(strstr(b.down, "taken down"), "%s", b.down);
    drive(&a, &b, SECOND_NS / 5);
    cr_assert_eq(a.ups, 1);
    pair_close(&a, &b);
}

/* It ends the link that the other side dialed, too. */
KIND_PARAMS(link_dials, undial_of_what_was_never_up)
ParameterizedTest(struct kind *k, link_dials, undial_of_what_was_never_up, .timeout = 60)
{
    struct side a = {0}, none = {0};
    struct bbi_hub_opts o = opts_of(k, "alpha", 1);
    uint16_t port;
    begin_kind(k);
    side_open(&a, &o);
    int fd = bare_listen(&port); /* which says nothing */
    side_dial(&a, port);
    turn(&a, 0);
    cr_assert_eq(bbi_hub_undial(a.hub, "127.0.0.1", port), 0);
    cr_assert_eq(a.dialed, 0, "events come from the wait alone");
    UNTIL(&a, &none, a.dialed == 1);
    cr_assert_eq(a.dialed_status, BB_ECANCELED);
    cr_assert_eq(a.unavailable, 0);
    cr_assert_eq(bbi_hub_links(a.hub, NULL, NULL, 0), 0);
    side_dial(&a, port); /* it may be dialed anew */
    side_close(&a);
    (void)close(fd);
}

/* The queue and the policy of a link are its dial's, also when the other side's connection carries it. */
Test(link_dials, policy_of_the_dial, .timeout = 60)
{
    struct side a = {0}, b = {0};
    struct bbi_fault f = {0};
    struct bb_link_info rows[4];
    const struct bbi_dial_opts opts = {
        .slow = BBI_SLOW_DROP_NEWEST, .queue_bytes = 70000, .name = "bravo"};
    pair_open(&a, &b, &KINDS[2]);
    cr_assert_eq(bbi_hub_dial(a.hub, "127.0.0.1", b.port, &opts, &f), 0, "%s", f.sentence);
    UNTIL(&a, &b, a.is_up && b.is_up);
    cr_assert_eq(bbi_hub_links(a.hub, rows, NULL, 4), 1);
    cr_assert_eq(rows[0].slow, BB_SLOW_DROP_NEWEST);
    cr_assert_eq(rows[0].queue_max, 70000);
    cr_assert_str_eq(rows[0].name, "bravo");
    cr_assert_gt(rows[0].credit_bytes, 0);
    uint64_t dropped = 0;
    for (int i = 0; i < 300; i++) {
        dropped += offer(&a, 1000) == 0;
    }
    cr_assert_gt(dropped, 200);
    UNTIL(&a, &b, b.received + b.gap == a.offered);
    cr_assert_eq(b.gap, dropped);
    pair_close(&a, &b);
}
