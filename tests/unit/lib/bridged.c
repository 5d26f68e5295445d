/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A message that came over a link is handed out as its origin published it, in every way there is to read one,
 *         and tells where it is from; nobody but a bridge can say that it did.
 * Method  One process: a bridge with two rings, a local publisher, and readers of each kind.
 */
#include "lib/endpoint/bridged_impl.h"
#include "lib/endpoint/for_cluster.h"
#include "lib/endpoint/for_store.h"
#include "lib/endpoint/publisher_impl.h"
#include "tests/unit/shm/bus_dir.h"
#include <busbar/endpoint.h>
#include <busbar/inspect.h>
#include <busbar/request.h>
#include <poll.h>
#include <pthread.h>

TestSuite(bridged, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

enum { NODES = 5, MANY = 300, PAYLOAD_MAX = 200 };
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

/* One topic in the dictionary: the next ones travel in the messages. */
static struct scene
scene_open(uint32_t flags)
{
    static const char *const all[] = {""};
    const struct bb_publisher_opts po = {.size = sizeof(po), .lane = BB_LANE_CONTROL, .topics = 1};
    const struct bb_subscriber_opts so = {.size = sizeof(so),
                                          .flags = flags,
                                          .wait = BB_WAIT_SLEEP,
                                          .prefixes = all,
                                          .prefix_count = 1};
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

static struct bb_topic *
topic_of(struct scene *s, const char *topic)
{
    struct bb_topic *t;
    cr_assert_eq(bb_topic_open(&t, s->pub, topic, strlen(topic)), 0);
    return t;
}

/* Of node i of box i % 2, its message number n. */
static struct bbi_origin
origin_of(unsigned i, uint64_t n)
{
    /* The last of each are as long as can be. */
    static const char *const names[NODES] = {
        "a", "worker-1", "", "worker-2",
        "long-name-long-name-long-name-long-name-long-name-long-name-lon"};
    static const char *const boxes[2] = {
        "north", "southern-box-southern-box-southern-box-southern-box-southern-bo"};
    struct bbi_origin o = {
        .epoch = 77 + i % 2,
        .node_id = (UINT64_C(9) << 16) + i,
        .ring = 1000 + i,
        .scope = (uint8_t)(i % 2),
        .ttl = (uint8_t)(30 + i),
        .seq = n,
        .wall_ns = INT64_C(1700000000000000000) + (int64_t)n,
        .name = names[i],
        .name_bytes = strlen(names[i]),
        .box_name = boxes[i % 2],
        .box_name_bytes = strlen(boxes[i % 2]),
    };
    memset(o.box, 0x40 + (int)(i % 2), sizeof(o.box));
    return o;
}

static size_t
payload_of(unsigned i, uint64_t n, unsigned char *out)
{
    size_t bytes = (i * 37 + n * 11) % PAYLOAD_MAX;
    memset(out, (int)(i + n), bytes);
    return bytes;
}

static void
send_one(struct bb_topic *t, unsigned i, uint64_t n)
{
    unsigned char payload[PAYLOAD_MAX];
    struct bbi_origin o = origin_of(i, n);
    size_t bytes = payload_of(i, n, payload);
    cr_assert_eq(bbi_publish_bridged(t, &o, payload, bytes, BB_VALUE | BB_OPAQUE), 0);
}

static void
check_one(const struct bb_msg *msg, const char *topic, unsigned i, uint64_t n)
{
    unsigned char payload[PAYLOAD_MAX];
    struct bbi_origin o = origin_of(i, n);
    struct bb_origin got = {.size = sizeof(got)};
    cr_assert_null(msg->status);
    cr_assert_eq(msg->topic_bytes, strlen(topic));
    cr_assert_eq(memcmp(msg->topic, topic, msg->topic_bytes), 0);
    cr_assert_eq(msg->bytes, payload_of(i, n, payload));
    cr_assert_eq(memcmp(msg->data, payload, msg->bytes), 0);
    cr_assert_eq((uintptr_t)msg->data % 8, 0U);
    cr_assert_eq(msg->attr & 0xffff, (uint32_t)(BB_VALUE | BB_OPAQUE | BB_BRIDGED));
    cr_assert_str_eq(msg->node, o.name);
    cr_assert_eq(msg->seq, n);
    cr_assert_eq(msg->wall_ns, o.wall_ns);
    cr_assert_eq(msg->ring, o.ring);
    cr_assert_eq(msg->node_id & UINT64_C(0xffffffffffff), o.node_id);
    cr_assert_eq(msg->node_id >> 63, 1U, "no member's id");
    cr_assert_eq(bb_msg_origin(msg, &got), 0);
    cr_assert_eq(memcmp(got.box, o.box, sizeof(got.box)), 0);
    cr_assert_eq(got.epoch, o.epoch);
    cr_assert_eq(got.node_id, o.node_id);
    cr_assert_eq(got.ring, o.ring);
    cr_assert_eq(got.scope, o.scope);
    cr_assert_eq(got.ttl, o.ttl);
    cr_assert_eq(got.seq, n);
    cr_assert_str_eq(got.node, o.name);
    cr_assert_str_eq(got.box_name, o.box_name);
}

Test(bridged, a_message_is_as_it_was_published_elsewhere)
{
    struct scene s = scene_open(0);
    struct bb_msg msg;
    send_one(topic_of(&s, "t"), 1, 5);
    cr_assert_eq(bb_poll(s.sub, &msg, 1, SOON_NS), 1);
    check_one(&msg, "t", 1, 5);
    cr_assert_eq(msg.lost, 0U);
    scene_close(&s);
}

/* ---- every way to read ------------------------------------------------------------------------------ */

/* What a stream of all nodes looks like: a message of the bridge's own stands before each fifth. */
static void
send_many(struct scene *s)
{
    struct bb_topic *known = topic_of(s, "t"), *spilled = topic_of(s, "travels/with/it");
    for (unsigned n = 0; n < MANY; n++) {
        if (n % 5 == 0) {
            cr_assert_eq(bb_publish(known, "own", 3, BB_RAW | BB_MORE), 0);
        }
        send_one(n % 3 == 0 ? spilled : known, n % 7 % NODES, n);
    }
}

struct stream {
    unsigned n;    /* messages from elsewhere so far */
    bool had_own;  /* the bridge's own before the next one */
    uint64_t owns; /* its messages, all */
};

static void
check_next(struct stream *st, const struct bb_msg *msg)
{
    struct bb_origin o = {.size = sizeof(o)};
    if (st->n % 5 == 0 && !st->had_own) {
        cr_assert_str_eq(msg->node, "bridge");
        cr_assert_eq(msg->bytes, 3U);
        cr_assert_eq(msg->attr & BB_BRIDGED, 0U);
        cr_assert_eq(bb_msg_origin(msg, &o), BB_ENOENT);
        st->had_own = true;
        st->owns++;
        return;
    }
    check_one(msg, st->n % 3 == 0 ? "travels/with/it" : "t", st->n % 7 % NODES, st->n);
    st->had_own = false;
    st->n++;
}

static void
check_stream(struct bb_subscriber *sub, struct stream *st, size_t most)
{
    struct bb_msg msgs[MANY];
    while (st->n < MANY) {
        int n = bb_poll(sub, msgs, most, SOON_NS);
        cr_assert_gt(n, 0, "%u came", st->n);
        for (int i = 0; i < n; i++) {
            cr_assert_eq(bb_msg_valid(sub, &msgs[i]), 1);
            check_next(st, &msgs[i]);
        }
        for (int i = 0; i < n; i++) { /* what was handed out together is good together */
            cr_assert_eq(msgs[i].node[strlen(msgs[i].node)], '\0');
        }
    }
}

static void
check_counts(const struct bb_subscriber *sub, uint64_t messages, uint64_t delivered)
{
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    bb_subscriber_stats(sub, &st);
    cr_assert_eq(st.messages, messages);
    cr_assert_eq(st.delivered, delivered);
    cr_assert_eq(st.filtered, messages - delivered);
    cr_assert_eq(st.lost, 0U);
}

Test(bridged, copies_and_views_lossy_and_reliable)
{
    static const uint32_t ways[] = {0, BB_SUBSCRIBER_VIEWS, BB_SUBSCRIBER_RELIABLE,
                                    BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_COPIES};
    static const size_t mosts[] = {1, 7, MANY};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        for (size_t k = 0; k < sizeof(mosts) / sizeof(mosts[0]); k++) {
            struct scene s = scene_open(ways[i]);
            struct stream st = {0};
            send_many(&s);
            check_stream(s.sub, &st, mosts[k]);
            check_counts(s.sub, MANY + st.owns, MANY + st.owns);
            scene_close(&s);
        }
    }
}

Test(bridged, a_tap)
{
    static const char *const all[] = {""};
    struct scene s = scene_open(0);
    struct stream st = {0};
    struct bb_look *look = NULL;
    struct bb_subscriber *tap = NULL;
    const struct bb_look_opts lo = {.size = sizeof(lo), .dir = bus_dir, .bus = "b"};
    const struct bb_tap_opts to = {
        .size = sizeof(to), .start = BB_START_OLDEST, .prefixes = all, .prefix_count = 1};
    send_many(&s);
    cr_assert_eq(bb_look_open(&look, &lo), 0);
    cr_assert_eq(bb_tap_open(&tap, look, &to), 0);
    check_stream(tap, &st, 9);
    bb_subscriber_close(tap);
    bb_look_close(look);
    scene_close(&s);
}

static int
stop_often(const struct bb_msg *msg, void *user)
{
    struct stream *st = user;
    check_next(st, msg);
    return (st->n + st->owns) % 4 == 0;
}

Test(bridged, held_back_by_callbacks_that_stop)
{
    static const uint32_t ways[] = {0, BB_SUBSCRIBER_VIEWS};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct scene s = scene_open(ways[i]);
        struct stream st = {0};
        send_many(&s);
        while (st.n < MANY) {
            cr_assert_gt(bb_dispatch(s.sub, MANY, SOON_NS, stop_often, &st), 0);
        }
        scene_close(&s);
    }
}

Test(bridged, a_descriptor)
{
    struct scene s = scene_open(0);
    struct bb_msg msg;
    struct pollfd p = {.fd = bb_fd(s.sub), .events = POLLIN};
    unsigned came = 0;
    cr_assert_geq(p.fd, 0);
    for (unsigned n = 0; n < 20; n++) {
        send_one(topic_of(&s, "t"), n % NODES, n);
    }
    while (came < 20) {
        cr_assert_eq(poll(&p, 1, 5000), 1);
        if (bb_poll(s.sub, &msg, 1, 0) == 1) {
            check_one(&msg, "t", came % NODES, came);
            came++;
        }
    }
    scene_close(&s);
}

/* ---- memory ------------------------------------------------------------------------------------------- */

Test(bridged, who_says_it_stays_when_the_view_is_overwritten)
{
    struct scene s = scene_open(BB_SUBSCRIBER_VIEWS);
    struct bb_msg msgs[2];
    struct bb_origin o = {.size = sizeof(o)};
    static const char junk[512];
    send_one(topic_of(&s, "t"), 1, 3);
    send_one(topic_of(&s, "spilled"), 4, 4);
    cr_assert_eq(bb_poll(s.sub, msgs, 2, SOON_NS), 2);
    for (unsigned i = 0; i < 5000; i++) { /* of the ring's 1 MiB and 4,096 messages */
        cr_assert_eq(bb_publish(topic_of(&s, "t"), junk, sizeof(junk), BB_RAW), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(bb_msg_valid(s.sub, &msgs[i]), 0);
        cr_assert_eq(bb_msg_origin(&msgs[i], &o), 0);
        cr_assert_str_eq(msgs[i].node, origin_of(i == 0 ? 1 : 4, 0).name);
        cr_assert_str_eq(o.box_name, origin_of(i == 0 ? 1 : 4, 0).box_name);
        cr_assert_eq(o.seq, 3U + i);
    }
    cr_assert_eq(bb_release(s.sub), 2);
    scene_close(&s);
}

Test(bridged, a_copy_keeps_its_origin)
{
    static const uint32_t ways[] = {0, BB_SUBSCRIBER_VIEWS};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct scene s = scene_open(ways[i]);
        struct bb_msg msg, copy;
        send_one(topic_of(&s, "t"), 3, 9);
        cr_assert_eq(bb_poll(s.sub, &msg, 1, SOON_NS), 1);
        void *memory = bbi_msg_copy(&msg, &copy);
        cr_assert_not_null(memory);
        cr_assert(bbi_msg_was_copied(s.sub, &msg));
        scene_close(&s);
        check_one(&copy, "t", 3, 9);
        free(memory);
    }
}

Test(bridged, messages_of_one_node_share_its_name)
{
    struct scene s = scene_open(BB_SUBSCRIBER_VIEWS);
    struct bb_msg msgs[4];
    static const unsigned nodes[4] = {1, 1, 3, 3};
    for (unsigned n = 0; n < 4; n++) {
        send_one(topic_of(&s, "t"), nodes[n], n);
    }
    cr_assert_eq(bb_poll(s.sub, msgs, 4, SOON_NS), 4);
    for (unsigned n = 0; n < 4; n++) {
        check_one(&msgs[n], "t", nodes[n], n);
    }
    cr_assert_eq(msgs[0].node, msgs[1].node);
    cr_assert_neq(msgs[1].node, msgs[2].node);
    cr_assert_eq(msgs[2].node, msgs[3].node);
    scene_close(&s);
}

/* More names than a poll has memory for: it hands out what fits, and goes on. */
Test(bridged, many_names_take_several_polls)
{
    enum { COUNT = 4000 };
    static struct bb_msg msgs[COUNT];
    struct scene s = scene_open(BB_SUBSCRIBER_VIEWS | BB_SUBSCRIBER_RELIABLE);
    unsigned came = 0;
    for (unsigned n = 0; n < COUNT; n++) {
        send_one(topic_of(&s, "t"), n % 2 == 0 ? 1 : 4, n);
    }
    while (came < COUNT) {
        int n = bb_poll(s.sub, msgs, COUNT, SOON_NS);
        cr_assert_gt(n, 0);
        for (int i = 0; i < n; i++, came++) {
            check_one(&msgs[i], "t", came % 2 == 0 ? 1 : 4, came);
        }
    }
    check_counts(s.sub, COUNT, COUNT);
    scene_close(&s);
}

/* ---- what is not well formed -------------------------------------------------------------------------- */

/* A ring as a broken bridge may write it: these bytes, as a message from elsewhere. */
static void
send_bytes(struct bb_topic *t, const void *data, size_t bytes)
{
    void *p;
    cr_assert_eq(bb_loan(t, bytes, &p), 0);
    memcpy(p, data, bytes);
    cr_assert_eq(bbi_loan_commit(t, bytes, BB_RAW | BB_BRIDGED), 0);
}

struct damage {
    size_t at;
    uint32_t width, value;
};

static void
check_hostile(uint32_t flags, const char *topic)
{
    static const struct damage damages[] = {
        {0, 4, 0},          {0, 4, BBI_ORIGIN_MAGIC + 1},
        {4, 4, 0},          {4, 4, 64},
        {4, 4, 68},         {4, 4, 81},
        {4, 4, UINT32_MAX}, {4, 4, 104},
        {62, 1, 64},        {62, 1, 255},
        {63, 1, 255},       {63, 1, 64},
        {62, 1, 63},
    };
    enum { HEAD = 80, BYTES = 96 }; /* names "n" and "box", 16 bytes of payload */
    union {
        struct bbi_origin_head head;
        unsigned char bytes[BYTES];
    } good = {.head = {.magic = BBI_ORIGIN_MAGIC,
                       .bytes = HEAD,
                       .who = {.name_bytes = 1, .box_name_bytes = 3}}},
      bad;
    struct scene s = scene_open(flags);
    struct bb_msg msg;
    uint64_t sent = 0;
    (void)topic_of(&s, "t"); /* fills the dictionary */
    struct bb_topic *t = topic_of(&s, topic);
    memcpy(good.bytes + sizeof(good.head), "n\0box", 6);
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++, sent++) {
        bad = good;
        memcpy(bad.bytes + damages[i].at, &damages[i].value, damages[i].width);
        send_bytes(t, &bad, BYTES);
    }
    for (size_t bytes = 0; bytes < HEAD; bytes++, sent++) {
        send_bytes(t, &good, bytes);
    }
    send_bytes(t, &good, BYTES);
    cr_assert_eq(bb_poll(s.sub, &msg, 1, SOON_NS), 1, "the good one");
    cr_assert_eq(msg.bytes, (size_t)(BYTES - HEAD));
    cr_assert_str_eq(msg.node, "n");
    cr_assert_eq(bb_poll(s.sub, &msg, 1, 0), 0);
    check_counts(s.sub, sent + 1, 1);
    scene_close(&s);
}

Test(bridged, an_origin_that_is_not_well_formed_is_passed_over)
{
    check_hostile(0, "t");
    check_hostile(0, "spilled");
    check_hostile(BB_SUBSCRIBER_VIEWS, "t");
    check_hostile(BB_SUBSCRIBER_VIEWS, "spilled");
    check_hostile(BB_SUBSCRIBER_RELIABLE, "t");
}

/* Names without the NUL behind them do not run on into what follows. */
Test(bridged, names_end_where_they_say)
{
    struct scene s = scene_open(0);
    struct bb_origin o = {.size = sizeof(o)};
    struct bb_msg msg;
    union {
        struct bbi_origin_head head;
        unsigned char bytes[96];
    } m = {.head = {.magic = BBI_ORIGIN_MAGIC,
                    .bytes = 80,
                    .who = {.name_bytes = 4, .box_name_bytes = 10}}};
    memset(m.bytes + sizeof(m.head), 'x', sizeof(m.bytes) - sizeof(m.head));
    send_bytes(topic_of(&s, "t"), &m, sizeof(m.bytes));
    cr_assert_eq(bb_poll(s.sub, &msg, 1, SOON_NS), 1);
    cr_assert_eq(bb_msg_origin(&msg, &o), 0);
    cr_assert_eq(strlen(o.node), 4U);
    cr_assert_eq(strlen(o.box_name), 10U);
    scene_close(&s);
}

Test(bridged, nothing_from_elsewhere_on_reserved_topics)
{
    static const char *const reserved[] = {"<$>"};
    struct scene s = scene_open(0);
    struct bb_topic *t = NULL;
    struct bb_msg msg;
    struct bbi_origin o = origin_of(0, 1);
    cr_assert_eq(bb_subscribe(s.sub, reserved[0], strlen(reserved[0]), 0), 0);
    cr_assert_eq(bbi_reserved_open(&t, s.pub, "<$>to", 5), 0);
    cr_assert_eq(bbi_publish_bridged(t, &o, "x", 1, BB_RAW), BB_EINVAL);
    send_bytes(t, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 64);
    send_one(topic_of(&s, "t"), 0, 1);
    cr_assert_eq(bb_poll(s.sub, &msg, 1, SOON_NS), 1);
    check_one(&msg, "t", 0, 1);
    check_counts(s.sub, 2, 1);
    scene_close(&s);
    bbi_reserved_close(t);
}

/* ---- publishers --------------------------------------------------------------------------------------- */

Test(bridged, no_application_can_say_it)
{
    struct scene s = scene_open(0);
    struct bb_topic *t = topic_of(&s, "t");
    const struct bb_out batch[] = {{.topic = t, .data = "x", .bytes = 1, .attr = BB_BRIDGED}};
    const uint32_t attr = BB_EVENT | BB_BRIDGED;
    void *data[2];
    struct bb_msg msg;
    cr_assert_eq(bb_publish(t, "x", 1, attr), BB_EINVAL);
    cr_assert_eq(bb_publish_to(s.pub, "t", 1, "x", 1, attr), BB_EINVAL);
    cr_assert_eq(bb_publish_batch(batch, 1), BB_EINVAL);
    cr_assert_eq(bb_loan(t, 8, data), 0);
    cr_assert_eq(bb_commit(t, 8, attr), BB_EINVAL);
    cr_assert_eq(bb_commit_at(t, 8, attr, 1), BB_EINVAL);
    bb_abort(s.pub);
    cr_assert_gt(bb_loan_batch(t, 8, 2, data), 0);
    cr_assert_eq(bb_commit_batch(t, NULL, 1, attr), BB_EINVAL);
    bb_abort(s.pub);
    cr_assert_eq(bb_send(s.pub, bb_endpoint_id(s.reader), "t", 1, "x", 1, attr), BB_EINVAL);
    cr_assert_eq(bb_publish(t, "x", 1, BB_EVENT), 0, "no loan was left open");
    cr_assert_eq(bb_poll(s.sub, &msg, 1, SOON_NS), 1);
    cr_assert_eq(msg.seq, 1U, "nothing of all that was published");
    scene_close(&s);
}

Test(bridged, no_request_and_no_reply_can_say_it)
{
    struct scene s = scene_open(0);
    struct bb_topic *t = topic_of(&s, "t");
    struct bb_subscriber *replies = NULL;
    struct bb_publisher *pub = NULL;
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    struct bb_request_info to;
    struct bb_msg msg;
    uint64_t id = 0;
    cr_assert_eq(bb_subscriber_open(&replies, s.bridge, NULL), 0);
    cr_assert_eq(bb_publisher_open(&pub, s.reader, NULL), 0);
    cr_assert_eq(bb_request(t, replies, "x", 1, BB_BRIDGED, NULL, &id), BB_EINVAL);
    cr_assert_eq(bb_call(t, "x", 1, BB_BRIDGED, NULL, &msg), BB_EINVAL);
    bb_subscriber_stats(replies, &st);
    cr_assert_eq(st.requests, 0U);
    cr_assert_eq(bb_request(t, replies, "x", 1, BB_RAW, NULL, &id), 0);
    cr_assert_eq(bb_poll(s.sub, &msg, 1, SOON_NS), 1);
    cr_assert_eq(bb_msg_request(&msg, &to), 0);
    cr_assert_eq(bb_reply(pub, &to, "y", 1, BB_BRIDGED), BB_EINVAL);
    cr_assert_eq(bb_reply(pub, &to, "y", 1, BB_RAW), 0);
    cr_assert_eq(bb_poll(replies, &msg, 1, SOON_NS), 1);
    cr_assert_eq(bb_msg_reply(&msg, &(struct bb_reply_info){0}), 0);
    scene_close(&s);
}

Test(bridged, what_a_bridge_cannot_publish)
{
    struct scene s = scene_open(0);
    struct bb_topic *t = topic_of(&s, "t");
    struct bbi_origin o = origin_of(0, 1);
    size_t most = bb_publisher_max(s.pub);
    void *big = calloc(1, most);
    cr_assert_eq(bbi_publish_bridged(t, &o, "x", 1, BB_RAW | BB_BRIDGED), BB_EINVAL);
    o.name_bytes = BBI_ORIGIN_NAME_MAX + 1;
    cr_assert_eq(bbi_publish_bridged(t, &o, "x", 1, BB_RAW), BB_EINVAL);
    o = origin_of(0, 1);
    o.box_name_bytes = BBI_ORIGIN_NAME_MAX + 1;
    cr_assert_eq(bbi_publish_bridged(t, &o, "x", 1, BB_RAW), BB_EINVAL);
    o = origin_of(0, 1);
    cr_assert_eq(bbi_publish_bridged(t, &o, big, most, BB_RAW), BB_EMSGSIZE);
    cr_assert_eq(bbi_publish_bridged(t, &o, big, SIZE_MAX, BB_RAW), BB_EMSGSIZE);
    cr_assert_eq(bbi_publish_bridged(t, &o, big, most - BBI_ORIGIN_BYTES_MAX, BB_RAW), 0);
    free(big);
    scene_close(&s);
}

Test(bridged, only_payloads_are_counted_as_such)
{
    struct scene s = scene_open(0);
    struct bb_publisher_stats st = {.size = sizeof(st)};
    struct bbi_origin o = origin_of(4, 1);
    cr_assert_eq(bbi_publish_bridged(topic_of(&s, "t"), &o, "hello", 5, BB_RAW), 0);
    cr_assert_eq(bbi_publish_bridged(topic_of(&s, "spilled"), &o, "you", 3, BB_RAW), 0);
    bb_publisher_stats(s.pub, &st);
    cr_assert_eq(st.messages, 2U);
    cr_assert_eq(st.payload_bytes, 8U);
    scene_close(&s);
}

Test(bridged, a_message_made_by_hand_has_no_origin)
{
    const struct bb_msg msg = {
        .topic = "t", .topic_bytes = 1, .data = "x", .bytes = 1, .node = "n", .attr = BB_BRIDGED};
    struct bb_origin o = {.size = sizeof(o)}, forgotten = {.size = 0};
    char text[200];
    cr_assert_eq(bb_msg_origin(&msg, &o), BB_ENOENT);
    cr_assert_eq(bb_msg_origin(&msg, &forgotten), BB_EINVAL);
    cr_assert_gt(bb_msg_json(&msg, text, sizeof(text)), 0);
}

Test(bridged, json_names_the_box)
{
    struct scene s = scene_open(0);
    struct bb_msg msg;
    struct bbi_origin o = origin_of(1, 5);
    char text[512];
    o.box_name = "south";
    o.box_name_bytes = 5;
    o.wall_ns = 1500000000;
    cr_assert_eq(bbi_publish_bridged(topic_of(&s, "t"), &o, "hi", 2, BB_RAW), 0);
    cr_assert_eq(bb_poll(s.sub, &msg, 1, SOON_NS), 1);
    cr_assert_gt(bb_msg_json(&msg, text, sizeof(text)), 0);
    cr_assert_str_eq(text, "{\"t\":\"1970-01-01T00:00:01.500000000Z\",\"topic\":\"t\",\"node\":"
                           "\"worker-1\",\"box\":\"south\",\"seq\":5,\"lost\":0,\"kind\":\"raw\","
                           "\"data\":\"hi\"}");
    scene_close(&s);
}

Test(bridged, the_epoch_moves_with_the_audience)
{
    struct scene s = scene_open(0);
    uint64_t before = bbi_audience_epoch(s.bridge);
    cr_assert_eq(bbi_audience_epoch(s.bridge), before);
    cr_assert_eq(bb_subscribe(s.sub, "<$>more", 7, 0), 0);
    uint64_t after = bbi_audience_epoch(s.bridge);
    cr_assert_neq(after, before);
    bb_subscriber_close(s.sub);
    cr_assert_neq(bbi_audience_epoch(s.bridge), after);
    scene_close(&s);
}

/* ---- overwritten meanwhile ---------------------------------------------------------------------------- */

Test(bridged, what_was_overwritten_is_not_looked_at)
{
    static struct bbi_ring ring;
    static struct bb_subscriber sub;
    static struct bbi_source src;
    static unsigned char rubbish[96];
    struct bbi_item item = {.data = rubbish, .bytes = sizeof(rubbish)};
    struct bbi_bridged bridged;
    memset(rubbish, 0xff, sizeof(rubbish));
    src.reader.map.hdr = &ring;
    src.reader.map.pay_bytes = 4096;
    cr_assert_eq(bbi_bridged_take(&sub, &src, &item, &bridged), 0);
    cr_assert_eq(bbi_link_status_take(&sub, &src, &item), 0);
    bbi_store_relaxed(&ring.claim_pos.v, 4097);
    cr_assert_eq(bbi_bridged_take(&sub, &src, &item, &bridged), BB_EOVERRUN);
    cr_assert_eq(bbi_link_status_take(&sub, &src, &item), BB_EOVERRUN);
    cr_assert_null(sub.events);
}

enum { FAST = 200000 };

static void *
send_fast(void *user)
{
    struct scene *s = user;
    struct bb_topic *t = topic_of(s, "t");
    for (uint64_t n = 1; n <= FAST; n++) {
        send_one(t, (unsigned)(n / 3 % NODES), n);
    }
    return NULL;
}

/* What is handed out is whole, or is said not to be; and every message is accounted for. */
static void
check_fast(uint32_t flags)
{
    static struct bb_msg msgs[64];
    struct scene s = scene_open(flags);
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    pthread_t writer;
    uint64_t last = 0, whole = 0;
    cr_assert_eq(pthread_create(&writer, NULL, send_fast, &s), 0);
    while (st.messages < FAST) {
        int n = bb_poll(s.sub, msgs, 64, SOON_NS);
        cr_assert_geq(n, 0);
        for (int i = 0; i < n; i++) {
            struct bbi_origin o = origin_of((unsigned)(msgs[i].seq / 3 % NODES), msgs[i].seq);
            unsigned char payload[PAYLOAD_MAX];
            size_t bytes = payload_of((unsigned)(msgs[i].seq / 3 % NODES), msgs[i].seq, payload);
            cr_assert_str_eq(msgs[i].node, o.name);
            if (flags == BB_SUBSCRIBER_VIEWS) { /* lost counts overwritten views once more */
                cr_assert_gt(msgs[i].seq, last);
            } else {
                cr_assert_eq(msgs[i].seq, last + msgs[i].lost + 1);
            }
            cr_assert_eq(msgs[i].bytes, bytes);
            bool is_same = memcmp(msgs[i].data, payload, bytes) == 0;
            bool is_whole = bb_msg_valid(s.sub, &msgs[i]) == 1;
            cr_assert(is_same || !is_whole);
            whole += is_whole;
            last = msgs[i].seq;
        }
        bb_subscriber_stats(s.sub, &st);
    }
    cr_assert_eq(pthread_join(writer, NULL), 0);
    (void)bb_release(s.sub);
    bb_subscriber_stats(s.sub, &st);
    cr_assert_eq(st.messages, (uint64_t)FAST);
    cr_assert_eq(st.delivered + st.lost, (uint64_t)FAST);
    cr_assert_gt(whole, 0U);
    scene_close(&s);
}

Test(bridged, a_fast_bridge_and_a_slow_reader)
{
    check_fast(0);
    check_fast(BB_SUBSCRIBER_VIEWS);
    check_fast(BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_COPIES);
}
