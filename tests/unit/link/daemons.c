/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: two bridges, each a process on its own bus, carry what the other bus wants, as it was, once and in order; what is
 * missing is told.  Method: the test attaches to both buses, publishes on one and looks on the other; bridges are stopped,
 * killed and started again.
 */
#include "tests/unit/link/daemons.h"
#include "lib/endpoint/for_bridge.h"
#include <arpa/inet.h>
#include <busbar/inspect.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

TestSuite(daemons, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 100);

/* The second one dials the first. */
static void
two_with(struct box *a, struct box *b, const struct daemon_arg *near, const struct daemon_arg *far)
{
    struct daemon_arg dials = *far;
    box_new_with(a, near);
    dials.peers[0] = a->port;
    box_new_with(b, &dials);
    BBT_UNTIL(box_links(a, NULL) == 1 && box_links(b, NULL) == 1, WAIT_MS, "no link came up");
}

static void
two(struct box *a, struct box *b)
{
    two_with(a, b, &(struct daemon_arg){.bus = "near"}, &(struct daemon_arg){.bus = "far"});
}

Test(daemons, both_ways_as_it_was)
{
    struct box a;
    struct box b;
    struct bb_topic *ta;
    struct bb_topic *tb;
    two(&a, &b);
    struct bb_subscriber *at_a = box_sub(&a, "/b/", 0);
    struct bb_subscriber *at_b = box_sub(&b, "/a/", 0);
    struct bb_subscriber *own = box_sub(&a, "/a/", 0); /* on the bus where it is published */
    box_known(&a, 1);
    box_known(&b, 1);
    struct bb_publisher *pa = box_pub(&a, 0, 0, &ta, "/a/x");
    struct bb_publisher *pb = box_pub(&b, 0, 0, &tb, "/b/x");
    struct seen sa = {0};
    struct seen sb = {0};
    struct seen so = {0};
    for (uint64_t i = 0; i < 5; i++) {
        send_some(ta, i * 1000 + 1, i * 1000 + 1000, 64);
        send_some(tb, i * 1000 + 1, i * 1000 + 1000, 300);
        SEE_UNTIL(at_b, &sb, sb.messages == (i + 1) * 1000, "b has %" PRIu64, sb.messages);
        SEE_UNTIL(at_a, &sa, sa.messages == (i + 1) * 1000, "a has %" PRIu64, sa.messages);
        SEE_UNTIL(own, &so, so.messages == (i + 1) * 1000, "own has %" PRIu64, so.messages);
    }
    cr_assert_eq(sa.skipped + sb.skipped + sa.gap + sb.gap, 0);
    cr_assert_eq(sa.first_seq, 1);
    cr_assert_eq(sb.first_seq, 1);
    cr_assert_str_eq(sa.node, "far");
    cr_assert_str_eq(sb.node, "near");
    /* Each message's time is that of its own bus: the sum over all is the same on both. */
    cr_assert_eq(sb.wall_sum, so.wall_sum);
    /* Nothing comes back: the next message on each bus is the next one of its own. */
    send_some(ta, 5001, 5001, 64);
    SEE_UNTIL(at_b, &sb, sb.messages == 5001, "b has %" PRIu64, sb.messages);
    SEE_UNTIL(own, &so, so.messages == 5001, "own has %" PRIu64, so.messages);
    cr_assert_eq(so.last_seq, 5001);
    bb_publisher_close(pa);
    bb_publisher_close(pb);
    box_end(&b);
    box_end(&a);
}

Test(daemons, origin_of_a_message)
{
    struct box a;
    struct box b;
    struct bb_topic *topic;
    struct bb_msg msgs[16];
    two(&a, &b);
    struct bb_subscriber *sub = box_sub(&b, "/a/", 0);
    box_known(&b, 1);
    struct bb_publisher *pub = box_pub(&a, 0, 0, &topic, "/a/x");
    uint64_t id = bb_endpoint_id(a.ep);
    send_some(topic, 1, 1, 8);
    int64_t end = bbt_now_ms() + bbt_ms(WAIT_MS);
    bool came = false;
    while (!came && bbt_now_ms() < end) {
        int n = bb_poll(sub, msgs, 16, SECOND_NS / 10);
        for (int i = 0; i < n; i++) {
            struct bb_origin origin = {.size = sizeof(origin)};
            if (msgs[i].status != NULL) {
                continue;
            }
            came = true;
            cr_assert_neq(msgs[i].attr & BB_BRIDGED, 0);
            cr_assert_eq(bb_msg_origin(&msgs[i], &origin), 0);
            cr_assert_str_eq(origin.box_name, "near");
            cr_assert_str_eq(origin.node, "near");
            cr_assert_eq(origin.node_id, id);
            cr_assert_eq(origin.seq, 1);
            cr_assert_eq(origin.scope, 0);
        }
    }
    cr_assert(came);
    bb_publisher_close(pub);
    box_end(&b);
    box_end(&a);
}

Test(daemons, interest_shrinks)
{
    struct box a;
    struct box b;
    struct bb_topic *topic;
    struct bb_link_info before = {.sent = 0};
    struct bb_link_info after = {.sent = 0};
    two(&a, &b);
    struct bb_publisher *pub = box_pub(&a, 0, 0, &topic, "/a/x");
    cr_assert_eq(bb_topic_wanted(topic), 0);
    struct bb_subscriber *sub = box_sub(&b, "/a/", 0);
    box_known(&b, 1);
    cr_assert_eq(bb_topic_wanted(topic), 1); /* known there means subscribed there */
    struct seen s = {0};
    send_some(topic, 1, 100, 64);
    SEE_UNTIL(sub, &s, s.messages == 100, "%" PRIu64 " came", s.messages);
    cr_assert_eq(bb_unsubscribe(sub, "/a/", 3, 0), 0);
    BBT_UNTIL(bb_topic_wanted(topic) == 0, WAIT_MS, "it is wanted still");
    BBT_UNTIL(box_links(&a, &before) == 1 && before.queued == 0, WAIT_MS, "not acknowledged");
    cr_assert_eq(before.sent, 100);
    cr_assert_eq(before.peer_interests, 0);
    send_some(topic, 101, 200, 64);
    /* Another topic goes the same way behind them. */
    struct bb_topic *marked;
    cr_assert_eq(bb_subscribe(sub, "/mark", 5, 0), 0);
    box_known(&b, 1);
    cr_assert_eq(bb_topic_open(&marked, pub, "/mark", 5), 0);
    send_some(marked, 201, 201, 64);
    SEE_UNTIL(sub, &s, s.messages == 101, "the mark did not come");
    cr_assert_eq(s.last_seq, 201);
    BBT_UNTIL(box_links(&a, &after) == 1 && after.queued == 0, WAIT_MS, "not acknowledged");
    cr_assert_eq(after.sent, 101);
    bb_publisher_close(pub);
    box_end(&b);
    box_end(&a);
}

/* Each change of what a bridge subscribes costs every publisher: many that come together are one. */
Test(daemons, many_interests_are_few_changes)
{
    enum { MANY = 400, FEW = 40 };
    static char text[MANY][16];
    const char *prefixes[MANY];
    struct box a;
    struct box b;
    struct bb_topic *topic;
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(text[i], sizeof(text[i]), "/many/%d/", i);
        prefixes[i] = text[i];
    }
    two(&a, &b);
    struct bb_publisher *pub = box_pub(&a, 0, 0, &topic, "/many/399/x");
    struct bb_subscriber_opts o = {.size = sizeof(o), .prefixes = prefixes, .prefix_count = MANY};
    struct bb_subscriber *sub;
    uint64_t before = bbi_audience_epoch(a.ep);
    cr_assert_eq(bb_subscriber_open(&sub, b.ep, &o), 0);
    box_known(&b, 1);
    cr_assert_eq(bb_topic_wanted(topic), 1, "known there means that it holds there");
    uint64_t added = bbi_audience_epoch(a.ep) - before;
    cr_assert_lt(added, FEW, "%" PRIu64 " changes for %d prefixes", added, MANY);
    bb_subscriber_close(sub);
    BBT_UNTIL(bb_topic_wanted(topic) == 0, WAIT_MS, "it is wanted for ever");
    uint64_t all = bbi_audience_epoch(a.ep) - before;
    cr_assert_lt(all, 2 * FEW, "%" PRIu64 " changes until they were gone", all);
    bb_publisher_close(pub);
    box_end(&b);
    box_end(&a);
}

Test(daemons, one_link_far)
{
    struct box a;
    struct box b;
    struct box c;
    struct bb_topic *ta;
    struct bb_topic *tb;
    two(&a, &b);
    box_new(&c, "third", b.port);
    BBT_UNTIL(box_links(&c, NULL) == 1 && box_links(&b, NULL) == 2, WAIT_MS, "no link came up");
    struct bb_subscriber *at_b = box_sub(&b, "/x", 0);
    struct bb_subscriber *at_c = box_sub(&c, "/x", 0);
    box_known(&b, 2);
    box_known(&c, 1);
    struct bb_publisher *pa = box_pub(&a, 0, 0, &ta, "/x");
    struct bb_publisher *pb = box_pub(&b, 0, 0, &tb, "/x");
    struct seen sb = {0};
    struct seen sc = {0};
    send_some(ta, 1, 100, 64);
    SEE_UNTIL(at_b, &sb, sb.messages == 100, "b has %" PRIu64, sb.messages);
    sb = (struct seen){0};
    send_some(tb, 1, 10, 64);
    SEE_UNTIL(at_c, &sc, sc.messages == 10, "c has %" PRIu64, sc.messages);
    cr_assert_str_eq(sc.node, "far"); /* all of them: another node's would have failed */
    cr_assert_eq(sc.gap, 0);
    /* They were not even sent there: c would have refused them, and counted. */
    struct bb_link_info link = {.received = 0};
    BBT_UNTIL(box_links(&c, &link) == 1 && link.received == 10, WAIT_MS, "not counted");
    cr_assert_eq(link.denied_in, 0);
    bb_publisher_close(pa);
    bb_publisher_close(pb);
    box_end(&c);
    box_end(&b);
    box_end(&a);
}

/* What is for somebody stays on its bus, and nobody waits for an answer of a box that was never asked. */
Test(daemons, requests_stay)
{
    struct box a;
    struct box b;
    struct bb_topic *topic;
    struct bb_msg m;
    struct bb_request_info to;
    struct bb_reply_info info = {.is_end = 0};
    struct bb_request_opts o = {.size = sizeof(o), .timeout_ns = WAIT_MS * INT64_C(1000000)};
    uint64_t id;
    two(&a, &b);
    struct bb_subscriber *at_b = box_sub(&b, "/q", 0);
    box_known(&b, 1);
    struct bb_publisher *pub = box_pub(&a, 0, 0, &topic, "/q");
    struct bb_subscriber *replies = box_sub(&a, "/none", 0);
    cr_assert_eq(bb_topic_wanted(topic), 1);
    cr_assert_eq(bb_request(topic, replies, "?", 1, BB_RAW, &o, &id), BB_ENORESPONDERS);
    struct bb_subscriber *responder = box_sub(&a, "/q", 0);
    cr_assert_eq(bb_request(topic, replies, "?", 1, BB_RAW, &o, &id), 0);
    BBT_UNTIL(bb_poll(responder, &m, 1, SECOND_NS / 10) == 1 && bb_msg_request(&m, &to) == 0,
              WAIT_MS, "it is not asked");
    cr_assert_eq(bb_reply(pub, &to, "!", 1, BB_RAW), 0);
    BBT_UNTIL(bb_poll(replies, &m, 1, SECOND_NS / 10) == 1 && bb_msg_reply(&m, &info) == 0
                  && info.is_end != 0,
              WAIT_MS, "it does not end");
    cr_assert_eq(info.code, BB_EEND, "%s", bb_strerror(info.code));
    cr_assert_eq(info.asked, 1);
    struct seen s = {0};
    send_some(topic, 3, 3, 64); /* the third of that ring, behind request and reply */
    SEE_UNTIL(at_b, &s, s.last_seq == 3, "the mark did not come");
    cr_assert_eq(s.messages, 1);
    cr_assert_eq(s.gap, 0);
    bb_publisher_close(pub);
    box_end(&b);
    box_end(&a);
}

Test(daemons, an_overrun_is_a_gap)
{
    enum { N = 5000 };
    struct box a;
    struct box b;
    struct bb_topic *topic;
    two(&a, &b);
    struct bb_subscriber *sub = box_sub(&b, "/a/", 0);
    box_known(&b, 1);
    struct bb_publisher *pub = box_pub(&a, 256, 1 << 18, &topic, "/a/x");
    struct seen s = {0};
    send_some(topic, 1, 10, 64);
    SEE_UNTIL(sub, &s, s.messages == 10, "%" PRIu64 " came", s.messages);
    bbt_signal(&a.child, SIGSTOP);
    bbt_wait_stop(&a.child, WAIT_MS);
    send_some(topic, 11, N, 64);
    bbt_signal(&a.child, SIGCONT);
    SEE_UNTIL(sub, &s, s.last_seq == N, "the last did not come: %" PRIu64, s.last_seq);
    cr_assert_gt(s.gap, 0);
    cr_assert_eq(s.messages + s.gap, N, "%" PRIu64 " and %" PRIu64, s.messages, s.gap);
    cr_assert_eq(s.skipped, s.gap);
    cr_assert_eq(s.uncertain, 0);
    cr_assert_eq(s.reasons, (uint32_t)BB_GAP_OVERRUN);
    struct bb_bridge_info info = {.size = sizeof(info)};
    cr_assert_eq(bb_bridge_look(a.ep, &info, NULL), 0);
    cr_assert_eq(info.local_lost, s.gap);
    bb_publisher_close(pub);
    box_end(&b);
    box_end(&a);
}

/* The largest that links of default rings carry, and one byte more, which a default ring of a publisher still takes. */
Test(daemons, what_is_too_large_is_said_to_be_so)
{
    enum { LARGEST = (2 << 20) - 224 };
    struct box a;
    struct box b;
    struct bb_topic *topic;
    struct bb_link_info link = {.sent = 0};
    two(&a, &b);
    struct bb_subscriber *sub = box_sub(&b, "/a/", 0);
    box_known(&b, 1);
    struct bb_publisher *pub = box_pub(&a, 0, 0, &topic, "/a/x");
    unsigned char *data = calloc(1, LARGEST + 1);
    cr_assert_not_null(data);
    struct seen s = {0};
    for (uint64_t seq = 1; seq <= 3; seq++) {
        memcpy(data, &seq, sizeof(seq));
        cr_assert_eq(bb_publish(topic, data, LARGEST + (seq == 2), BB_RAW), 0);
        SEE_UNTIL(sub, &s, s.messages + s.gap == seq, "%" PRIu64 " came", s.messages);
    }
    cr_assert_eq(s.messages, 2);
    cr_assert_eq(s.gap, 1);
    cr_assert_eq(s.skipped, 1);
    cr_assert_eq(s.reasons, (uint32_t)BB_GAP_SIZE);
    cr_assert_eq(box_links(&a, &link), 1);
    cr_assert_eq(link.lost_before, 1);
    free(data);
    bb_publisher_close(pub);
    box_end(&b);
    box_end(&a);
}

/* The reader's bridge dies: what was under way is one gap, of which some may have come; nothing comes twice. */
Test(daemons, killed_and_back)
{
    enum { N = 30000 };
    struct box a;
    struct box b;
    struct bb_topic *topic;
    two(&a, &b);
    b.arg.listen = b.port;
    struct bb_subscriber *at_a = box_sub(&a, "/nothing", 0);
    struct bb_subscriber *sub = box_sub(&b, "/a/", 0);
    box_known(&b, 1);
    struct bb_publisher *pub = box_pub(&a, 0, 0, &topic, "/a/x");
    struct seen sa = {0};
    struct seen s = {0};
    uint64_t sent = 0;
    for (int round = 0; round < 3; round++) {
        send_some(topic, sent + 1, sent + N / 3, 64);
        sent += N / 3;
        SEE_UNTIL(sub, &s, s.last_seq > sent - N / 6, "nothing comes");
        bbt_signal(&b.child, SIGKILL);
        bbt_wait_kill(&b.child, WAIT_MS);
        SEE_UNTIL(at_a, &sa, sa.gone == round + 1, "the loss is not told");
        /* Its ring to the end, before there is another: across rings there is no order. */
        SEE_UNTIL(sub, &s, s.died == round + 1, "the death is not told");
        box_start(&b);
        SEE_UNTIL(at_a, &sa, sa.added == round + 1, "it is not said to be back");
        box_known(&b, 1);
    }
    send_some(topic, sent + 1, sent + 1, 64);
    sent++;
    SEE_UNTIL(sub, &s, s.last_seq == sent, "the last did not come");
    cr_assert_str_eq(sa.order, "LALALA");
    cr_assert_eq(sa.anew, 3, "each life of it begins anew");
    cr_assert_eq(s.messages + s.skipped, sent); /* from the first on */
    cr_assert_leq(s.skipped, s.gap);
    cr_assert_geq(s.skipped, s.gap - s.uncertain);
    cr_assert_eq(s.reasons & ~(uint32_t)BB_GAP_RESTART, 0);
    bb_publisher_close(pub);
    box_end(&b);
    box_end(&a);
}

/*
 * What is on the bus when a bridge is told to end still goes, also when one poll brings little of it: messages are large
 * here, and a visit of a ring ends after 64 KiB.  It stands still while they are published, so all of them wait.  How long
 * a stop may take is not the matter here (stops.c): on a busy box the second that it has is too short for that many.
 */
Test(daemons, a_clean_stop_leaves_nothing_behind)
{
    enum { N = 1000 };
    const int64_t STOP_NS = 15 * SECOND_NS; /* before we stop waiting */
    struct box a;
    struct box b;
    struct bb_topic *topic;
    two_with(&a, &b, &(struct daemon_arg){.bus = "near", .stop_max_ns = STOP_NS},
             &(struct daemon_arg){.bus = "far"});
    struct bb_subscriber *sub = box_sub(&b, "/a/", 0);
    box_known(&b, 1);
    struct bb_publisher *pub = box_pub(&a, 0, 0, &topic, "/a/x");
    struct seen s = {0};
    bbt_signal(&a.child, SIGSTOP);
    bbt_wait_stop(&a.child, WAIT_MS);
    send_some(topic, 1, N, 4000);
    bbt_signal(&a.child, SIGTERM);
    bbt_signal(&a.child, SIGCONT);
    bbt_wait_end(&a.child, WAIT_MS);
    SEE_UNTIL(sub, &s, s.gone == 1, "the end is not told");
    cr_assert_eq(s.messages, N, "%" PRIu64 " came", s.messages);
    cr_assert_eq(s.gap, 0);
    cr_assert_neq(strstr(s.text, "stopping"), NULL, "%s", s.text);
    bb_publisher_close(pub);
    box_end(&b);
    box_end(&a);
}

enum { HELD_N = 28000, HELD_BYTES = 256 }; /* more than the far box's ring has bytes for */
/* It has all of them, even where each stands in a batch of its own: nothing but the reader's ring can lose one. */
#define HELD_QUEUE (UINT64_C(1) << 24)

/* All that was let through is there and acknowledged, the rest waits at the sender. */
static bool
is_at_rest(struct box *from, struct box *to, uint64_t *received)
{
    struct bb_link_info out = {.queued = 0};
    struct bb_link_info in = {.received = 0};
    *received = 0;
    /* The sender first: each question is a ring, and over there one does not read what it gets. */
    if (box_links(from, &out) != 1 || out.blocked == 0 || out.queued == 0
        || out.sent + out.queued != HELD_N) {
        return false;
    }
    int links = box_links(to, &in);
    *received = in.received;
    return links == 1 && in.received > 0 && in.received == out.sent;
}

/* A reliable reader that stands still for a while holds the other side's credit, and loses nothing. */
Test(daemons, credit_waits_for_a_reliable_reader)
{
    struct box a;
    struct box b;
    struct bb_topic *topic;
    two_with(&a, &b, &(struct daemon_arg){.bus = "near", .queue_bytes = HELD_QUEUE},
             &(struct daemon_arg){.bus = "far", .hold_max_ns = 60 * SECOND_NS});
    struct bb_subscriber *sub = box_sub(&b, "/a/", BB_SUBSCRIBER_RELIABLE);
    box_known(&b, 1);
    struct bb_publisher *pub = box_pub(&a, 0, 1 << 24, &topic, "/a/x");
    struct seen s = {0};
    send_some(topic, 1, HELD_N, HELD_BYTES);
    /* As much came as is let through: both bridges had turns enough to go on, and did not. */
    uint64_t last = UINT64_MAX;
    uint64_t received = 0;
    int same = 0;
    BBT_UNTIL((same = is_at_rest(&a, &b, &received) && received == last ? same + 1 : 0,
               last = received, same >= 20),
              WAIT_MS, "it never rests");
    SEE_UNTIL(sub, &s, s.last_seq == HELD_N, "%" PRIu64 " came", s.last_seq);
    cr_assert_eq(s.messages, HELD_N);
    cr_assert_eq(s.evicted + s.gap + s.lost, 0);
    bb_publisher_close(pub);
    box_end(&b);
    box_end(&a);
}

/* One that never reads holds it for a second; then it is evicted, and who reads gets the rest. */
Test(daemons, credit_waits_no_longer_than_a_second)
{
    struct box a;
    struct box b;
    struct bb_topic *topic;
    two_with(&a, &b, &(struct daemon_arg){.bus = "near", .queue_bytes = HELD_QUEUE},
             &(struct daemon_arg){.bus = "far"});
    struct bb_subscriber *stuck = box_sub(&b, "/a/", BB_SUBSCRIBER_RELIABLE);
    struct bb_subscriber *sub = box_sub(&b, "/a/", 0);
    box_known(&b, 1);
    struct bb_publisher *pub = box_pub(&a, 0, 1 << 24, &topic, "/a/x");
    struct seen s = {0};
    struct seen of_stuck = {0};
    send_some(topic, 1, HELD_N, HELD_BYTES);
    SEE_UNTIL(sub, &s, s.last_seq == HELD_N, "%" PRIu64 " came", s.last_seq);
    cr_assert_eq(s.gap, 0);
    SEE_UNTIL(stuck, &of_stuck, of_stuck.evicted == 1, "it was not evicted");
    bb_publisher_close(pub);
    box_end(&b);
    box_end(&a);
}

/* A box that falls silent is waited for until it is known to be gone, and does not count. */
Test(daemons, a_barrier_does_not_wait_for_a_lost_box)
{
    struct box a;
    struct box b;
    struct bb_error error = {0};
    two(&a, &b);
    box_known(&a, 1);
    bbt_signal(&b.child, SIGSTOP);
    bbt_wait_stop(&b.child, WAIT_MS);
    struct bb_subscriber *sub = box_sub(&a, "/late", 0);
    cr_assert_eq(bb_interest_wait(a.ep, WAIT_MS * INT64_C(1000000), &error), 0, "%s",
                 error.sentence);
    bbt_signal(&b.child, SIGCONT);
    BBT_UNTIL(box_links(&a, NULL) == 1, WAIT_MS, "the link does not come again");
    bb_subscriber_close(sub);
    box_end(&b);
    box_end(&a);
}

/* busbard has passed all that its bus has. */
static bool
bridge_has_read(const char *bus)
{
    struct bb_look *look = NULL;
    struct bb_subscriber_info infos[8];
    struct bb_look_opts o = {.size = sizeof(o), .dir = bbt_dir(), .bus = bus};
    cr_assert_eq(bb_look_open(&look, &o), 0);
    int n = bb_look_subscribers(look, infos, 8);
    uint64_t lag = 0;
    for (int i = 0; i < n && i < 8; i++) {
        lag += strcmp(infos[i].node, "busbard") == 0 ? infos[i].lag : 0;
    }
    bb_look_close(look);
    return lag == 0;
}

/* Who takes a link down wants no queue for it: what is published until it is there again stays here. */
Test(daemons, taken_down_and_made_again)
{
    struct box a;
    struct box b;
    struct bb_topic *topic;
    struct bb_link_opts wait = {.size = sizeof(wait), .flags = BB_PEER_WAIT};
    box_new(&a, "near", 0);
    box_new(&b, "far", 0);
    cr_assert_eq(bb_peer(a.ep, "127.0.0.1", b.port, &wait), 0);
    BBT_UNTIL(box_links(&b, NULL) == 1, WAIT_MS, "no link came up");
    struct bb_subscriber *at_a = box_sub(&a, "/none", 0);
    struct bb_subscriber *sub = box_sub(&b, "/a/", 0);
    box_known(&b, 1);
    struct bb_publisher *pub = box_pub(&a, 0, 0, &topic, "/a/x");
    struct seen s = {0};
    struct seen sa = {0};
    send_some(topic, 1, 10, 64);
    SEE_UNTIL(sub, &s, s.messages == 10, "%" PRIu64 " came", s.messages);
    cr_assert_eq(bb_unpeer(a.ep, "127.0.0.1", b.port, NULL), 0);
    SEE_UNTIL(at_a, &sa, sa.removed == 1, "it is not said to be gone");
    send_some(topic, 11, 100, 64);
    BBT_UNTIL(bridge_has_read("near"), WAIT_MS, "the bridge does not read its bus");
    cr_assert_eq(bb_peer(a.ep, "127.0.0.1", b.port, &wait), 0);
    BBT_UNTIL(box_links(&b, NULL) == 1, WAIT_MS, "no link came up");
    box_known(&b, 1);
    send_some(topic, 101, 110, 64);
    SEE_UNTIL(sub, &s, s.last_seq == 110, "%" PRIu64 " came", s.messages);
    cr_assert_eq(s.messages, 20, "%" PRIu64, s.messages);
    cr_assert_eq(s.gap, 0);
    bb_publisher_close(pub);
    box_end(&b);
    box_end(&a);
}

Test(daemons, topics_are_a_limit_and_change)
{
    struct box a;
    struct box b;
    struct bb_topic *other;
    struct bb_topic *flows;
    memset(&a, 0, sizeof(a));
    box_new(&b, "far", 0);
    a.arg = (struct daemon_arg){
        .bus = "near", .peers = {b.port}, .topics = "/flows/", .topics_after = "/other/"};
    box_start(&a);
    struct bb_endpoint_opts o = {
        .size = sizeof(o), .dir = bbt_dir(), .bus = "near", .name = "near"};
    cr_assert_eq(bb_endpoint_open(&a.ep, &o), 0);
    BBT_UNTIL(box_links(&b, NULL) == 1, WAIT_MS, "no link came up");
    struct bb_subscriber *sub = box_sub(&b, "", 0);
    box_known(&b, 1);
    struct bb_publisher *pub = box_pub(&a, 0, 0, &other, "/other/x");
    cr_assert_eq(bb_topic_open(&flows, pub, "/flows/x", 8), 0);
    cr_assert_eq(bb_topic_wanted(flows), 1);
    cr_assert_eq(bb_topic_wanted(other), 0); /* "" was narrowed to what may pass */
    struct seen s = {0};
    send_some(flows, 1, 10, 64);
    SEE_UNTIL(sub, &s, s.messages == 10, "%" PRIu64 " came", s.messages);
    bbt_signal(&a.child, SIGHUP);
    BBT_UNTIL(a.child.side->n[1] == 1, WAIT_MS, "no reload");
    cr_assert_eq(bb_topic_wanted(flows), 0);
    cr_assert_eq(bb_topic_wanted(other), 1);
    send_some(flows, 11, 20, 64);
    send_some(other, 21, 30, 64);
    SEE_UNTIL(sub, &s, s.last_seq == 30, "%" PRIu64 " came", s.messages);
    cr_assert_eq(s.messages, 20);
    bb_publisher_close(pub);
    box_end(&b);
    box_end(&a);
}

static void
second_bridge(struct bbt_side *side, const void *arg)
{
    const struct daemon_arg *a = arg;
    struct bbi_daemon *d = NULL;
    struct bb_error error = {0};
    struct bbi_daemon_opts o = {
        .dir = bbt_dir(), .bus = a->bus, .name = "x", .is_insecure = true, .error = &error};
    int rc = bbi_daemon_open(&d, &o);
    BBT_CHECK(side, rc == BB_EEXIST, "%d", rc);
    BBT_CHECK(side, strstr(error.sentence, "a busbard runs on this bus already") != NULL, "%s",
              error.sentence);
    side->n[0] = (uint64_t)error.owner_pid;
}

Test(daemons, one_on_each_bus)
{
    struct box a;
    struct bbt_child second;
    box_new(&a, "near", 0);
    bbt_fork(&second, "second", second_bridge, &a.arg);
    bbt_wait_end(&second, WAIT_MS);
    cr_assert_eq(second.side->n[0], (uint64_t)a.child.pid);
    box_end(&a);
}

/* ---- a reload that fails ---- */

static int
socket_at(uint32_t address, uint16_t port, bool is_connect)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    const struct sockaddr *a = (const struct sockaddr *)&at;
    int rc = is_connect ? connect(fd, a, sizeof(at)) : bind(fd, a, sizeof(at));
    if (rc == 0 && !is_connect) {
        rc = listen(fd, 1);
    }
    if (rc != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/*
 * A port that nobody has, and that nobody is given by chance before it is used: below those that the kernel chooses from,
 * and a process of its own for each test begins to look elsewhere.
 */
static uint16_t
quiet_port(void)
{
    enum { LEAST = 10000, STEP = 16 };
    char line[64] = "";
    FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    cr_assert_not_null(f);
    cr_assert_not_null(fgets(line, sizeof(line), f));
    (void)fclose(f);
    long end = strtol(line, NULL, 10); /* the first that it chooses */
    long span = end > LEAST + STEP ? end - LEAST : LEAST;
    for (long i = 0; i < span; i++) {
        uint16_t port = (uint16_t)(LEAST + ((long)getpid() * STEP + i) % span);
        int fd = socket_at(INADDR_ANY, port, false);
        if (fd >= 0) {
            (void)close(fd);
            return port;
        }
    }
    cr_assert_fail("every port is taken");
    return 0;
}

static uint16_t
port_of_socket(int fd)
{
    struct sockaddr_in at = {0};
    socklen_t bytes = sizeof(at);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
    return ntohs(at.sin_port);
}

static bool
is_listening(uint16_t port, uint32_t address)
{
    int fd = socket_at(address, port, true);
    if (fd >= 0) {
        (void)close(fd);
    }
    return fd >= 0;
}

static void
reload(struct box *a)
{
    uint64_t before = a->child.side->n[1];
    bbt_signal(&a->child, SIGHUP);
    BBT_UNTIL(a->child.side->n[1] == before + 1, WAIT_MS, "no reload");
}

static void
box_attach(struct box *b)
{
    struct bb_endpoint_opts o = {
        .size = sizeof(o), .dir = bbt_dir(), .bus = b->arg.bus, .name = b->arg.bus};
    cr_assert_eq(bb_endpoint_open(&b->ep, &o), 0);
}

/* One of two new listeners has a port that is taken; peers and topics change, too.  Nothing of it happens. */
static void
reload_in_vain(uint32_t engine)
{
    struct box a = {.port = 0};
    struct box b;
    struct bb_topic *flows;
    int taken_fd = socket_at(INADDR_LOOPBACK, 0, false);
    uint16_t free_port = quiet_port();
    box_new(&b, "far", 0);
    a.arg = (struct daemon_arg){
        .bus = "near",
        .engine = engine,
        .peers = {b.port},
        .topics = "/flows/",
        .topics_after = "/other/",
        .listen_after = {{"127.0.0.1", free_port}, {"127.0.0.1", port_of_socket(taken_fd)}},
        .is_alone_after = true,
        .after = -EADDRINUSE};
    box_start(&a);
    box_attach(&a);
    struct bb_link_info before = {.sent = 0};
    struct bb_link_info after = {.sent = 0};
    BBT_UNTIL(box_links(&b, NULL) == 1 && box_links(&a, &before) == 1, WAIT_MS, "no link");
    struct bb_subscriber *sub = box_sub(&b, "", 0);
    box_known(&b, 1);
    struct bb_publisher *pub = box_pub(&a, 0, 0, &flows, "/flows/x");
    reload(&a);
    cr_assert_eq(bb_topic_wanted(flows), 1);
    cr_assert(is_listening(a.port, INADDR_LOOPBACK), "it left its port");
    cr_assert(!is_listening(free_port, INADDR_LOOPBACK), "the half of it that went well stayed");
    struct seen s = {0};
    send_some(flows, 1, 10, 64);
    SEE_UNTIL(sub, &s, s.messages == 10, "%" PRIu64 " came", s.messages);
    cr_assert_eq(s.gone + s.removed, 0);
    cr_assert_eq(box_links(&a, &after), 1);
    cr_assert_eq(after.up_wall_ns, before.up_wall_ns);
    (void)close(taken_fd);
    bb_publisher_close(pub);
    box_end(&b);
    box_end(&a);
}

Test(daemons, a_reload_in_vain_changes_nothing)
{
    reload_in_vain(2);
}

Test(daemons, a_reload_in_vain_changes_nothing_with_either_engine)
{
    reload_in_vain(0);
}

/* A listener on all addresses gives way to one on a single address, and comes back when another of them fails. */
static void
reload_narrower(uint32_t engine)
{
    struct box a = {.port = 0};
    int taken_fd = socket_at(INADDR_LOOPBACK, 0, false);
    uint16_t port = quiet_port();
    a.arg = (struct daemon_arg){
        .bus = "near",
        .engine = engine,
        .host = "0.0.0.0",
        .listen = port,
        .listen_after = {{"127.0.0.1", port}, {"127.0.0.1", port_of_socket(taken_fd)}},
        .after = -EADDRINUSE};
    box_start(&a);
    reload(&a);
    cr_assert(is_listening(port, INADDR_LOOPBACK + 1), "it does not listen on all any more");
    bbt_signal(&a.child, SIGTERM);
    bbt_wait_end(&a.child, WAIT_MS);
    a.arg.listen_after[1] = (struct bbi_daemon_place){0};
    a.arg.after = 0;
    box_start(&a);
    reload(&a);
    cr_assert(is_listening(port, INADDR_LOOPBACK), "it does not listen where it should");
    cr_assert(!is_listening(port, INADDR_LOOPBACK + 1), "it listens on all still");
    (void)close(taken_fd);
    box_end(&a);
}

Test(daemons, a_listener_gives_way_to_a_narrower_one)
{
    reload_narrower(2);
}

Test(daemons, a_listener_gives_way_with_either_engine)
{
    reload_narrower(0);
}
