/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a link compresses when both of its bridges were told to, else not; either way what goes over is the same.
 * Method: two bridges as processes on buses of their own, messages that are mostly zeros, and the counts of both sides.
 */
#include "tests/unit/link/daemons.h"

TestSuite(compressed, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 100);

enum { N = 20000, BYTES = 500 };

static void
link_with(bool near_does, bool far_does)
{
    struct box a;
    struct box b;
    struct bb_topic *topic;
    struct bb_link_info out, in;
    box_new_with(&b, &(struct daemon_arg){.bus = "far", .is_compressing = far_does});
    box_new_with(
        &a, &(struct daemon_arg){.bus = "near", .peers = {b.port}, .is_compressing = near_does});
    BBT_UNTIL(box_links(&a, NULL) == 1 && box_links(&b, NULL) == 1, WAIT_MS, "no link came up");
    struct bb_subscriber *sub = box_sub(&b, "/a/", BB_SUBSCRIBER_RELIABLE);
    box_known(&b, 1);
    struct bb_publisher *pub = box_pub(&a, 0, 1 << 24, &topic, "/a/x");
    struct seen s = {0};
    send_and_see(topic, sub, &s, 1, N, BYTES); /* together they are more than a queue holds */
    cr_assert_eq(s.messages, N);
    cr_assert_eq(s.gap, 0);
    BBT_UNTIL(box_links(&a, &out) == 1 && out.sent == N, WAIT_MS, "they are not acknowledged");
    cr_assert_eq(box_links(&b, &in), 1);
    bool both = near_does && far_does;
    cr_assert_eq(out.compressed, both);
    cr_assert_eq(in.compressed, both);
    cr_assert_gt(out.sent_plain_bytes, N * BYTES);
    cr_assert_gt(in.received_plain_bytes, N * BYTES);
    if (both) {
        cr_assert_lt(out.sent_bytes, out.sent_plain_bytes / 4, "%" PRIu64 " of %" PRIu64,
                     out.sent_bytes, out.sent_plain_bytes);
        cr_assert_lt(in.received_bytes, in.received_plain_bytes / 4);
    } else {
        cr_assert_eq(out.sent_bytes, out.sent_plain_bytes);
        cr_assert_eq(in.received_bytes, in.received_plain_bytes);
    }
    bb_publisher_close(pub);
    box_end(&a);
    box_end(&b);
}

Test(compressed, both_sides)
{
    link_with(true, true);
}

Test(compressed, who_dials_only)
{
    link_with(true, false);
}

Test(compressed, who_is_dialed_only)
{
    link_with(false, true);
}
