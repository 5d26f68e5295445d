/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a link goes one box far, and the reader sees to it: what another box sends in a third one's name is refused and
 * counted, and what is its own comes.
 * Method: a bridge as a process, and a hub of the test that says what no bridge of ours would.
 */
#include "tests/unit/link/daemons.h"
#include "tests/unit/link/hub_pair.h"

TestSuite(foreign, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 60);

static void
send_as(struct side *s, const struct bbi_link_id *origin, uint64_t seq)
{
    struct bbi_link_msg msg = {.origin = {.box = *origin,
                                          .epoch = 5,
                                          .node_id = 7,
                                          .ring = 1,
                                          .name = "worker",
                                          .name_bytes = 6},
                               .seq = seq,
                               .wall_ns = 1,
                               .topic = "/a/x",
                               .topic_bytes = 4,
                               .data = &seq,
                               .bytes = sizeof(seq),
                               .attr = BB_RAW,
                               .ttl = BBI_LINK_TTL};
    cr_assert_eq(bbi_session_offer(bbi_box_session(s->box), &msg), 1);
}

Test(foreign, what_a_box_says_for_another_is_refused)
{
    struct box b;
    struct side a = {0}, none = {0};
    struct bbi_hub_opts o = opts_of(&KINDS[2], "alpha", 1);
    struct bbi_link_id third = {.v = {3}};
    struct bb_link_info link = {.received = 0};
    struct bb_msg msgs[8];
    box_new(&b, "far", 0);
    struct bb_subscriber *sub = box_sub(&b, "/a/", 0);
    side_open(&a, &o);
    side_dial(&a, b.port);
    UNTIL(&a, &none, a.is_up && a.interests == 1);
    send_as(&a, &third, 1);
    send_as(&a, &third, 2);
    send_as(&a, &o.self.node, 3);
    uint64_t first = 0;
    for (int64_t end = bbt_now_ms() + bbt_ms(WAIT_MS); first == 0 && bbt_now_ms() < end;) {
        drive(&a, &none, SECOND_NS / 100);
        int n = bb_poll(sub, msgs, 8, 0);
        for (int i = 0; i < n; i++) {
            first = first == 0 && msgs[i].status == NULL ? msgs[i].seq : first;
        }
    }
    cr_assert_eq(first, 3, "%" PRIu64 " came first", first);
    cr_assert_eq(box_links(&b, &link), 1);
    cr_assert_eq(link.denied_in, 2);
    side_close(&a);
    box_end(&b);
}
