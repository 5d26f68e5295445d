/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    What happens to a link is told as a status to who asked for statuses, in order with the messages of that ring,
 *         and to nobody else.
 * Method  One process: a bridge that publishes messages and says what happened, and readers of each kind.
 */
#include "lib/endpoint/bridged_impl.h"
#include "lib/endpoint/for_cluster.h"
#include "lib/endpoint/publisher_impl.h"
#include "tests/unit/shm/bus_dir.h"
#include <busbar/endpoint.h>
#include <busbar/inspect.h>
#include <poll.h>

TestSuite(link_status, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

static const int64_t SOON_NS = INT64_C(5000000000);

struct scene {
    struct bb_endpoint *bridge, *reader;
    struct bb_publisher *pub;
    struct bb_subscriber *sub;
};

static struct bb_endpoint *
endpoint_new(const char *name)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

static struct scene
scene_open(uint32_t flags, const char *prefix)
{
    const struct bb_publisher_opts po = {.size = sizeof(po), .lane = BB_LANE_CONTROL};
    const struct bb_subscriber_opts so = {.size = sizeof(so),
                                          .flags = flags,
                                          .wait = BB_WAIT_SLEEP,
                                          .prefixes = &prefix,
                                          .prefix_count = prefix != NULL};
    struct scene s = {.bridge = endpoint_new("bridge"), .reader = endpoint_new("reader")};
    cr_assert_eq(bb_publisher_open(&s.pub, s.bridge, &po), 0);
    cr_assert_eq(bb_subscriber_open(&s.sub, s.reader, &so), 0);
    return s;
}

static void
scene_close(struct scene *s)
{
    bb_endpoint_close(s->reader);
    bb_endpoint_close(s->bridge);
}

static void
say(struct scene *s, uint32_t kind, const char *node, const char *text)
{
    const struct bbi_link_event e = {
        .status = {.kind = kind,
                   .count = 12,
                   .uncertain = 3,
                   .bytes = 4096,
                   .reasons = BB_GAP_OVERRUN | BB_GAP_SIZE},
        .box_name = node,
        .box_name_bytes = strlen(node),
        .text = text,
        .text_bytes = strlen(text),
    };
    cr_assert_eq(bbi_publish_link_event(s->pub, &e), 0);
}

/* The next that is no status of a member here. */
static struct bb_msg
next(struct bb_subscriber *sub)
{
    struct bb_msg msg;
    do {
        cr_assert_eq(bb_poll(sub, &msg, 1, SOON_NS), 1);
    } while (msg.status != NULL && msg.status->kind < BB_STATUS_OVERRUN);
    return msg;
}

static void
check_status(const struct bb_msg *msg, uint32_t kind, const char *node, const char *text)
{
    cr_assert_not_null(msg->status);
    cr_assert_eq(msg->status->kind, kind);
    cr_assert_eq(msg->status->role, (uint32_t)BB_ROLE_NONE);
    cr_assert_eq(msg->status->count, 12U);
    cr_assert_eq(msg->status->uncertain, 3U);
    cr_assert_eq(msg->status->bytes, 4096U);
    cr_assert_eq(msg->status->reasons, (uint32_t)(BB_GAP_OVERRUN | BB_GAP_SIZE));
    cr_assert_eq(msg->topic_bytes, 0U);
    cr_assert_eq(msg->node_id, 0U);
    cr_assert_str_eq(msg->node, node);
    cr_assert_eq(msg->bytes, strlen(text));
    cr_assert_eq(memcmp(msg->data, text, msg->bytes), 0);
}

static void
check_message(const struct bb_msg *msg, const char *data)
{
    cr_assert_null(msg->status);
    cr_assert_eq(msg->bytes, strlen(data));
    cr_assert_eq(memcmp(msg->data, data, msg->bytes), 0);
}

static void
send_text(struct scene *s, const char *text)
{
    cr_assert_eq(bb_publish_to(s->pub, "t", 1, text, strlen(text), BB_RAW | BB_MORE), 0);
}

static void
check_order(uint32_t flags)
{
    struct scene s = scene_open(flags | BB_SUBSCRIBER_STATUS, "");
    struct bb_msg msg;
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    say(&s, BB_STATUS_PEER_ADDED, "north", "the link is up");
    send_text(&s, "one");
    send_text(&s, "two");
    say(&s, BB_STATUS_GAP, "north", "");
    say(&s, BB_STATUS_PEER_LOST, "north", "it was cut");
    send_text(&s, "three");
    say(&s, BB_STATUS_PEER_UNAVAILABLE, "[::1]:4711", "connection refused");
    say(&s, BB_STATUS_PEER_REMOVED, "", "taken down");
    msg = next(s.sub);
    check_status(&msg, BB_STATUS_PEER_ADDED, "north", "the link is up");
    msg = next(s.sub);
    check_message(&msg, "one");
    msg = next(s.sub);
    check_message(&msg, "two");
    msg = next(s.sub);
    check_status(&msg, BB_STATUS_GAP, "north", "");
    msg = next(s.sub);
    check_status(&msg, BB_STATUS_PEER_LOST, "north", "it was cut");
    msg = next(s.sub);
    check_message(&msg, "three");
    msg = next(s.sub);
    check_status(&msg, BB_STATUS_PEER_UNAVAILABLE, "[::1]:4711", "connection refused");
    msg = next(s.sub);
    check_status(&msg, BB_STATUS_PEER_REMOVED, "", "taken down");
    cr_assert_eq(bb_poll(s.sub, &msg, 1, 0), 0);
    bb_subscriber_stats(s.sub, &st);
    cr_assert_eq(st.messages, 8U);
    cr_assert_eq(st.delivered, 3U);
    cr_assert_eq(st.filtered, 5U);
    scene_close(&s);
}

Test(link_status, in_order_with_messages)
{
    check_order(0);
    check_order(BB_SUBSCRIBER_VIEWS);
    check_order(BB_SUBSCRIBER_RELIABLE);
}

/* Several at once: what the status says stays while what comes after it is handed out, too. */
Test(link_status, in_order_within_one_poll)
{
    enum { MOST = 16 };
    struct scene s = scene_open(BB_SUBSCRIBER_STATUS, "");
    struct bb_msg msgs[MOST];
    int n = 0;
    send_text(&s, "one");
    say(&s, BB_STATUS_PEER_LOST, "north", "it was cut");
    while (n == 0 || msgs[n - 1].status == NULL
           || msgs[n - 1].status->kind != BB_STATUS_PEER_LOST) {
        n = bb_poll(s.sub, msgs, MOST, SOON_NS);
        cr_assert_gt(n, 0);
    }
    cr_assert_geq(n, 2, "the message and the status come together");
    check_message(&msgs[n - 2], "one");
    check_status(&msgs[n - 1], BB_STATUS_PEER_LOST, "north", "it was cut");
    scene_close(&s);
}

Test(link_status, not_for_others)
{
    struct scene s = scene_open(0, "");
    struct bb_msg msg;
    say(&s, BB_STATUS_PEER_ADDED, "north", "the link is up");
    send_text(&s, "one");
    msg = next(s.sub);
    check_message(&msg, "one");
    cr_assert_eq(msg.lost, 0U);
    scene_close(&s);
}

/* Who asks for the topic by name gets the bytes that docs/layout.md describes. */
Test(link_status, a_plain_message_for_who_subscribed_to_it)
{
    struct scene s = scene_open(0, "<$>link/");
    struct bbi_link_head head;
    struct bb_msg msg;
    say(&s, BB_STATUS_PEER_ADDED, "north", "up");
    msg = next(s.sub);
    cr_assert_null(msg.status);
    cr_assert_eq(msg.attr, (uint32_t)BB_CONTROL);
    cr_assert_eq(msg.bytes, sizeof(head) + 5 + 2);
    memcpy(&head, msg.data, sizeof(head));
    cr_assert_eq(head.kind, (uint32_t)BB_STATUS_PEER_ADDED);
    cr_assert_eq(memcmp((const char *)msg.data + sizeof(head), "northup", 7), 0);
    scene_close(&s);
}

Test(link_status, a_sleeper_without_prefixes_is_woken)
{
    struct scene s = scene_open(BB_SUBSCRIBER_STATUS, NULL);
    struct bb_publisher_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
    struct bb_msg msg;
    struct pollfd p = {.fd = bb_fd(s.sub), .events = POLLIN};
    send_text(&s, "the publisher knows its audience from its first flush on");
    cr_assert_eq(bb_flush(s.pub), 0);
    while (bb_poll(s.sub, &msg, 1, 0) != 0) { /* who joined */
    }
    bb_publisher_stats(s.pub, &before);
    cr_assert_eq(bb_publish_to(s.pub, "t", 1, "x", 1, BB_RAW), 0);
    bb_publisher_stats(s.pub, &after);
    cr_assert_eq(after.wakes, before.wakes, "nobody wants that");
    say(&s, BB_STATUS_PEER_ADDED, "north", "up");
    bb_publisher_stats(s.pub, &after);
    cr_assert_eq(after.wakes, before.wakes + 1);
    cr_assert_eq(poll(&p, 1, 5000), 1);
    msg = next(s.sub);
    check_status(&msg, BB_STATUS_PEER_ADDED, "north", "up");
    scene_close(&s);
}

static int
count_prefix(const char *prefix, size_t bytes, uint32_t flags, void *user)
{
    (void)flags;
    cr_assert_eq(bytes, 1U);
    cr_assert_eq(*prefix, 'p');
    ++*(int *)user;
    return 0;
}

Test(link_status, is_no_prefix_that_is_shown)
{
    struct scene s = scene_open(BB_SUBSCRIBER_STATUS, "p");
    struct bb_subscriber_info info[4];
    struct bb_look *look = NULL;
    const struct bb_look_opts lo = {.size = sizeof(lo), .dir = bus_dir, .bus = "b"};
    int shown = 0;
    cr_assert_eq(bb_look_open(&look, &lo), 0);
    cr_assert_eq(bb_look_subscribers(look, info, 4), 1);
    cr_assert_eq(info[0].prefixes, 1U);
    cr_assert_eq(bb_look_prefixes(look, info[0].subscriber, count_prefix, &shown), 0);
    cr_assert_eq(shown, 1);
    bb_look_close(look);
    scene_close(&s);
}

Test(link_status, a_tap_hears_it)
{
    struct scene s = scene_open(0, "");
    struct bb_look *look = NULL;
    struct bb_subscriber *tap = NULL;
    struct bb_msg msg;
    const struct bb_look_opts lo = {.size = sizeof(lo), .dir = bus_dir, .bus = "b"};
    const struct bb_tap_opts to = {
        .size = sizeof(to), .flags = BB_SUBSCRIBER_STATUS, .start = BB_START_OLDEST};
    say(&s, BB_STATUS_PEER_LOST, "north", "it was cut");
    cr_assert_eq(bb_look_open(&look, &lo), 0);
    cr_assert_eq(bb_tap_open(&tap, look, &to), 0);
    msg = next(tap);
    check_status(&msg, BB_STATUS_PEER_LOST, "north", "it was cut");
    bb_subscriber_close(tap);
    bb_look_close(look);
    scene_close(&s);
}

Test(link_status, a_copy_has_its_words)
{
    struct scene s = scene_open(BB_SUBSCRIBER_STATUS, NULL);
    struct bb_msg msg, copy;
    say(&s, BB_STATUS_GAP, "north", "twelve are missing");
    msg = next(s.sub);
    void *memory = bbi_msg_copy(&msg, &copy);
    cr_assert_not_null(memory);
    scene_close(&s);
    check_status(&copy, BB_STATUS_GAP, "north", "twelve are missing");
    free(memory);
}

/* Statuses that nobody fetched go with the subscriber. */
Test(link_status, what_nobody_heard_is_freed)
{
    struct scene s = scene_open(BB_SUBSCRIBER_STATUS, "");
    struct bb_msg msg;
    for (int i = 0; i < 20; i++) {
        say(&s, BB_STATUS_GAP, "north", "some are missing");
    }
    cr_assert_eq(bb_poll(s.sub, &msg, 1, SOON_NS), 1);
    scene_close(&s);
}

struct damage {
    size_t at;
    uint32_t value;
};

Test(link_status, what_is_not_well_formed_is_passed_over)
{
    static const struct damage damages[] = {
        {0, 0},
        {0, BB_STATUS_REPLIES},
        {0, BB_STATUS_GAP + 1},
        {0, 64},
        {0, UINT32_MAX},
        {32, 6},
        {32, BBI_LINK_NODE_MAX + 1},
        {32, UINT32_MAX},
        {36, 3},
        {36, BBI_LINK_TEXT_MAX + 1},
        {36, UINT32_MAX},
    };
    union {
        struct bbi_link_head head;
        unsigned char bytes[sizeof(struct bbi_link_head) + 7];
    } good = {.head = {.kind = BB_STATUS_PEER_ADDED,
                       .count = 12,
                       .uncertain = 3,
                       .bytes = 4096,
                       .reasons = BB_GAP_OVERRUN | BB_GAP_SIZE,
                       .node_bytes = 5,
                       .text_bytes = 2}},
      bad;
    const size_t whole = sizeof(good.head) + 7;
    struct scene s = scene_open(BB_SUBSCRIBER_STATUS, "");
    struct bb_topic *t = bbi_topic_reserved(s.pub, BBI_LINK_TOPIC, BBI_LINK_TOPIC_BYTES);
    struct bb_msg msg;
    memcpy(good.bytes + sizeof(good.head), "northup", 7);
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        bad = good;
        memcpy(bad.bytes + damages[i].at, &damages[i].value, 4);
        cr_assert_eq(bb_publish(t, &bad, whole, BB_CONTROL), 0);
    }
    for (size_t bytes = 0; bytes < whole; bytes++) {
        cr_assert_eq(bb_publish(t, &good, bytes, BB_CONTROL), 0);
    }
    cr_assert_eq(bb_publish(t, &good, whole, BB_CONTROL), 0);
    msg = next(s.sub);
    check_status(&msg, BB_STATUS_PEER_ADDED, "north", "up");
    cr_assert_eq(bb_poll(s.sub, &msg, 1, 0), 0);
    scene_close(&s);
    free(t);
}

Test(link_status, what_cannot_be_said)
{
    struct scene s = scene_open(0, "");
    static const char many[BBI_LINK_TEXT_MAX + 1];
    struct bbi_link_event e = {.status = {.kind = BB_STATUS_DIED}, .box_name = "", .text = many};
    cr_assert_eq(bbi_publish_link_event(s.pub, &e), BB_EINVAL);
    e.status.kind = BB_STATUS_GAP + 1;
    cr_assert_eq(bbi_publish_link_event(s.pub, &e), BB_EINVAL);
    e.status.kind = BB_STATUS_GAP;
    e.text_bytes = BBI_LINK_TEXT_MAX + 1;
    cr_assert_eq(bbi_publish_link_event(s.pub, &e), BB_EINVAL);
    e.text_bytes = BBI_LINK_TEXT_MAX;
    e.box_name = many;
    e.box_name_bytes = BBI_LINK_NODE_MAX + 1;
    cr_assert_eq(bbi_publish_link_event(s.pub, &e), BB_EINVAL);
    e.box_name_bytes = BBI_LINK_NODE_MAX;
    cr_assert_eq(bbi_publish_link_event(s.pub, &e), 0);
    scene_close(&s);
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

static void
expect(const struct bb_status *status, const char *text, const char *wanted)
{
    char line[512];
    const struct bb_msg msg = {.topic = "",
                               .data = text,
                               .bytes = strlen(text),
                               .node = "north",
                               .wall_ns = 1500000000,
                               .status = status};
    cr_assert_eq(bb_msg_json(&msg, line, sizeof(line)), (int64_t)strlen(wanted));
    cr_assert_str_eq(line, wanted);
}

#define HEAD "{\"t\":\"1970-01-01T00:00:01.500000000Z\",\"status\":"

Test(link_status, json)
{
    struct bb_status s = {.kind = BB_STATUS_PEER_ADDED};
    expect(&s, "up", HEAD "\"peer added\",\"node\":\"north\",\"resumed\":true,\"text\":\"up\"}");
    s.count = 1;
    expect(&s, "up", HEAD "\"peer added\",\"node\":\"north\",\"resumed\":false,\"text\":\"up\"}");
    s.kind = BB_STATUS_PEER_REMOVED;
    expect(&s, "", HEAD "\"peer removed\",\"node\":\"north\",\"text\":\"\"}");
    s.kind = BB_STATUS_PEER_LOST;
    expect(&s, "a \"b\"", HEAD "\"peer lost\",\"node\":\"north\",\"text\":\"a \\\"b\\\"\"}");
    s.kind = BB_STATUS_PEER_UNAVAILABLE;
    expect(&s, "x", HEAD "\"peer unavailable\",\"node\":\"north\",\"text\":\"x\"}");
    s = (struct bb_status){
        .kind = BB_STATUS_GAP, .count = 12, .uncertain = 3, .bytes = 99, .reasons = 0x8000003f};
    expect(&s, "x",
           HEAD "\"gap\",\"node\":\"north\",\"count\":12,\"uncertain\":3,\"bytes\":99,\"reasons\":["
                "\"overrun\",\"oldest\",\"newest\",\"slow\",\"restart\",\"size\"],\"text\":\"x\"}");
    s = (struct bb_status){.kind = BB_STATUS_GAP, .count = 1, .bytes = UINT64_MAX};
    expect(&s, "x",
           HEAD "\"gap\",\"node\":\"north\",\"count\":1,\"uncertain\":0,\"bytes\":null,"
                "\"reasons\":[],\"text\":\"x\"}");
}
