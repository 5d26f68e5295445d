/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    What a program publishes in a row of one topic and size has one descriptor, whichever call it uses.
 * Method  One publisher; its ring is looked at.
 */
#include "lib/endpoint/publisher_impl.h"
#include "tests/unit/shm/bus_dir.h"
#include <busbar/endpoint.h>

enum { COUNT = 8, BYTES = 40 };

TestSuite(described_once, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 20);

static void
by_publish(struct bb_topic *topic)
{
    const unsigned char data[BYTES] = {0};
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(bb_publish(topic, data, sizeof(data), BB_MORE), 0);
    }
}

static void
by_loan(struct bb_topic *topic)
{
    for (int i = 0; i < COUNT; i++) {
        void *p;
        cr_assert_eq(bb_loan(topic, BYTES, &p), 0);
        memset(p, i, BYTES);
        cr_assert_eq(bb_commit(topic, BYTES, BB_MORE), 0);
    }
}

static void
by_batch(struct bb_topic *topic)
{
    void *p[COUNT];
    cr_assert_eq(bb_loan_batch(topic, BYTES, COUNT, p), COUNT);
    cr_assert_eq(bb_commit_batch(topic, NULL, COUNT, BB_MORE), 0);
}

Test(described_once, by_each_way_to_publish)
{
    void (*const ways[])(struct bb_topic *) = {by_publish, by_loan, by_batch};
    struct bb_endpoint *ep = NULL;
    struct bb_publisher *pub = NULL;
    struct bb_topic *topic = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = "p"};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    cr_assert_eq(bb_publisher_open(&pub, ep, NULL), 0);
    cr_assert_eq(bb_topic_open(&topic, pub, "t", 1), 0);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        const struct bbi_ring_map *m = &pub->writer.map;
        uint64_t first = pub->writer.n;
        ways[i](topic);
        const struct bbi_desc *d = &m->desc[first & m->desc_mask];
        cr_assert_eq(bbi_load_relaxed(&d->seq), first);
        cr_assert_eq(bbi_load_relaxed(&d->flags) >> BBI_MORE_SHIFT, COUNT - 1U, "way %zu", i);
        cr_assert_eq(pub->writer.n, first + COUNT);
        cr_assert_eq(bb_flush(pub), 0);
    }
    bb_publisher_close(pub);
    bb_endpoint_close(ep);
}
