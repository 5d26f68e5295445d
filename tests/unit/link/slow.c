/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a peer that is too slow for the policy `disconnect` is told so before the link ends; both sides' statuses and
 * tables say why, and every message is delivered or stands in a gap.  A link that was taken down and comes again says
 * on which side something is missing that nobody counted.
 * Method: two bridges as processes; a reliable reader that stands still keeps the credit, so that the queue fills.
 */
#include "tests/unit/link/daemons.h"

TestSuite(slow_links, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 100);

/* The last reason that the table of this box shows. */
static void
last_of(struct box *b, char *out, size_t cap)
{
    struct bb_error error = {0};
    struct bb_link_info links[8] = {0};
    int n = bb_bridge_links(b->ep, links, 8, &error);
    out[0] = '\0';
    for (int i = 0; i < n && i < 8; i++) {
        if (links[i].state != BB_LINK_LISTENING) {
            (void)snprintf(out, cap, "%s", links[i].last);
        }
    }
}

static void
says(const char *who, const char *text, const char *words)
{
    cr_assert_not_null(strstr(text, words), "%s: %s", who, text);
}

/* The side that sends has the policy, whichever side dialed. */
static void
disconnects(bool is_dialing)
{
    enum { N = 40000, BYTES = 256, DEPTH = 1 << 16 /* all of them: the ring loses none */ };
    struct box a;
    struct box b;
    struct bb_topic *topic;
    char last[256];
    struct daemon_arg sender = {.bus = "near", .slow = BB_SLOW_DISCONNECT, .queue_bytes = 1 << 20};
    struct daemon_arg reader = {.bus = "far", .hold_max_ns = 60 * SECOND_NS};
    if (is_dialing) {
        box_new_with(&b, &reader);
        sender.peers[0] = b.port;
        box_new_with(&a, &sender);
    } else {
        box_new_with(&a, &sender);
        reader.peers[0] = a.port;
        box_new_with(&b, &reader);
    }
    BBT_UNTIL(box_links(&a, NULL) == 1 && box_links(&b, NULL) == 1, WAIT_MS, "no link came up");
    struct bb_subscriber *at_a = box_sub(&a, "/nothing", 0);
    struct bb_subscriber *sub = box_sub(&b, "/a/", BB_SUBSCRIBER_RELIABLE);
    box_known(&b, 1);
    struct bb_publisher *pub = box_pub(&a, DEPTH, 1 << 24, &topic, "/a/x");
    struct seen sa = {0};
    struct seen s = {0};
    send_some(topic, 1, N, BYTES);
    SEE_UNTIL(at_a, &sa, sa.gone >= 1, "the sender's side is not told");
    says("sender's status", sa.text, "is full and its policy is to disconnect");
    last_of(&a, last, sizeof(last));
    says("sender's table", last, "is full and its policy is to disconnect");
    /* It comes again by itself, and the reader goes on: all is there, or told. */
    SEE_UNTIL(sub, &s, s.gone >= 1, "the reader's side is not told");
    says("reader's status", s.text, "it says: the queue of 1048576 bytes for this peer is full");
    SEE_UNTIL(sub, &s, s.messages + s.gap == N, "%" PRIu64 " and %" PRIu64, s.messages, s.gap);
    cr_assert_gt(s.gap, 0);
    cr_assert_eq(s.reasons, BB_GAP_SLOW, "%u", s.reasons);
    cr_assert_eq(s.uncertain, 0);
    cr_assert_eq(s.anew, 0, "no bridge was started anew");
    cr_assert_eq(s.evicted + s.lost, 0);
    struct bb_link_info link;
    BBT_UNTIL(box_links(&a, &link) == 1 && link.sent == s.messages, WAIT_MS, "not acknowledged");
    cr_assert_eq(link.dropped, s.gap);
    cr_assert_eq(link.slow, BB_SLOW_DISCONNECT);
    says("sender's table, up again", link.last, "is full and its policy is to disconnect");
    cr_assert_eq(box_links(&b, &link), 1);
    cr_assert_eq(link.gap_messages, s.gap);
    says("reader's table, up again", link.last, "it says: the queue of");
    bb_publisher_close(pub);
    box_end(&b);
    box_end(&a);
}

Test(slow_links, disconnect_of_a_peer_that_was_dialed)
{
    disconnects(true);
}

Test(slow_links, disconnect_of_a_peer_that_came)
{
    disconnects(false);
}

/* Who took it down gets all that the other side published meanwhile; the other side is told that it did not. */
Test(slow_links, taken_down_and_back)
{
    enum { N = 1000 };
    struct box a;
    struct box b;
    struct bb_topic *here;
    struct bb_topic *there;
    struct bb_error error = {0};
    const struct bb_link_opts opts = {.size = sizeof(opts), .error = &error};
    box_new(&b, "far", 0);
    box_new(&a, "near", b.port);
    BBT_UNTIL(box_links(&a, NULL) == 1 && box_links(&b, NULL) == 1, WAIT_MS, "no link came up");
    struct bb_subscriber *at_a = box_sub(&a, "/b/", 0);
    struct bb_subscriber *at_b = box_sub(&b, "/a/", 0);
    box_known(&a, 1);
    box_known(&b, 1);
    struct bb_publisher *pub_a = box_pub(&a, 0, 0, &here, "/a/x");
    struct bb_publisher *pub_b = box_pub(&b, 0, 0, &there, "/b/x");
    struct seen sa = {0};
    struct seen sb = {0};
    cr_assert_eq(bb_unpeer(a.ep, "127.0.0.1", b.port, &opts), 0, "%s", error.sentence);
    SEE_UNTIL(at_a, &sa, sa.removed == 1, "it is not said to be taken down");
    SEE_UNTIL(at_b, &sb, sb.gone == 1, "it is not said to be lost");
    send_some(here, 1, N, 64);
    send_some(there, 1, N, 64);
    cr_assert_eq(bb_peer(a.ep, "127.0.0.1", b.port, &opts), 0, "%s", error.sentence);
    SEE_UNTIL(at_a, &sa, sa.added == 1 && sa.messages == N, "%" PRIu64 " came", sa.messages);
    cr_assert_eq(sa.anew, 0, "it went on where it was");
    cr_assert_eq(sa.gap, 0);
    SEE_UNTIL(at_b, &sb, sb.added == 1, "it is not said to be back");
    cr_assert_eq(sb.anew, 1, "what was published there meanwhile is told by nobody");
    box_known(&b, 1);
    send_some(here, N + 1, N + 1, 64);
    SEE_UNTIL(at_b, &sb, sb.last_seq == N + 1, "the next does not come");
    /* What the bridge had not passed by yet when it was asked again may come, in order; the rest is not told. */
    cr_assert_leq(sb.messages, N + 1);
    cr_assert_eq(sb.gap, 0);
    bb_publisher_close(pub_a);
    bb_publisher_close(pub_b);
    box_end(&b);
    box_end(&a);
}
