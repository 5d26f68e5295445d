/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A message from another box is no node's of this cluster, whatever its publisher is called there: the
 *         application gets it, the parts of the cluster do not, and no order waits for it.
 * Method  One node, and a bridge on the same bus that publishes as others would over there.
 */
#include "busbar/cluster.h"
#include "lib/cluster/cluster_impl.h"
#include "lib/endpoint/for_bridge.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"

TestSuite(cluster_bridged, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

struct scene {
    struct bb_cluster *c;
    struct bb_endpoint *bridge;
    struct bb_publisher *pub;
};

static void
scene_open(struct scene *s)
{
    const struct bb_cluster_opts co = {
        .size = sizeof(co), .dir = bus_dir, .bus = "b", .name = "worker-1", .role = BB_ROLE_WORKER};
    const struct bb_endpoint_opts eo = {
        .size = sizeof(eo), .dir = bus_dir, .bus = "b", .name = "bridge"};
    cr_assert_eq(bb_cluster_join(&s->c, &co), 0);
    cr_assert_eq(bb_endpoint_open(&s->bridge, &eo), 0);
    cr_assert_eq(bb_publisher_open(&s->pub, s->bridge, NULL), 0);
}

/* As the node itself would say it, were it over there: same name, same id, a ring of any number. */
static void
send_as_itself(struct scene *s, const char *topic, const char *text, uint32_t attr)
{
    struct bb_topic *t = NULL;
    const struct bbi_origin o = {.epoch = 1,
                                 .node_id = bb_endpoint_id(bb_cluster_endpoint(s->c)),
                                 .ring = UINT32_MAX,
                                 .seq = 1,
                                 .name = "worker-1",
                                 .name_bytes = 8,
                                 .box_name = "north",
                                 .box_name_bytes = 5};
    cr_assert_eq(bb_topic_open(&t, s->pub, topic, strlen(topic)), 0);
    cr_assert_eq(bbi_publish_bridged(t, &o, text, strlen(text), attr), 0);
}

static struct bb_msg
next_message(struct bb_cluster *c)
{
    struct bb_msg msg = {.status = NULL};
    int64_t deadline = bbi_os_mono_ns() + INT64_C(10000000000);
    while (bbi_os_mono_ns() < deadline) {
        int n = bb_cluster_poll(c, &msg, 1, INT64_C(100000000));
        cr_assert_geq(n, 0);
        if (n == 1 && msg.status == NULL) {
            return msg;
        }
    }
    cr_assert_fail("nothing came");
    return msg;
}

Test(cluster_bridged, the_application_gets_it_and_the_parts_do_not)
{
    struct scene s;
    struct bb_origin o = {.size = sizeof(o)};
    scene_open(&s);
    size_t self_bytes = s.c->self_bytes;
    send_as_itself(&s, "cluster/roll", "look", BB_CONTROL);
    send_as_itself(&s, "cluster/worker", "hello", BB_EVENT);
    struct bb_msg msg = next_message(s.c);
    cr_assert_eq(msg.bytes, 5U);
    cr_assert_eq(memcmp(msg.data, "hello", 5), 0);
    cr_assert_neq(msg.attr & BB_BRIDGED, 0U);
    cr_assert_eq(bb_msg_origin(&msg, &o), 0);
    cr_assert_str_eq(o.box_name, "north");
    cr_assert_eq(s.c->self_bytes, self_bytes);
    bb_cluster_leave(s.c);
    bb_endpoint_close(s.bridge);
}

Test(cluster_bridged, not_even_for_itself)
{
    struct scene s;
    struct bb_msg msg;
    const char *owner;
    scene_open(&s);
    while (bb_pool_where(bb_pool_find(s.c, "worker"), "k", 1, 0, &owner) != 0) {
        cr_assert_geq(bb_cluster_poll(s.c, &msg, 1, INT64_C(10000000)), 0);
    }
    cr_assert_eq(bb_cluster_publish(s.c, "cluster/worker", "x", 1, BB_BRIDGED), BB_EINVAL);
    cr_assert_eq(bb_cluster_publish_hrw(bb_pool_find(s.c, "worker"), "k", 1, "x", 1, BB_BRIDGED),
                 BB_EINVAL);
    bb_cluster_leave(s.c);
    bb_endpoint_close(s.bridge);
}
