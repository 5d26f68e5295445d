/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A message that came over a link is handed out as its origin published it, in every way there is to read one,
 *         and tells where it is from; nobody but a bridge can say that it did.
 * Method  One process: a bridge with two rings, a local publisher, and readers of each kind.
 */
#include "lib/endpoint/for_bridge.h"
#include "lib/endpoint/for_cluster.h"
#include "tests/unit/shm/bus_dir.h"
#include <busbar/endpoint.h>
#include <busbar/inspect.h>
#include <busbar/request.h>
#include <inttypes.h>
#include <poll.h>

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
