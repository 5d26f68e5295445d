/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A flush wakes who wants what was published since the last one, nobody else.
 * Method  One process.  The subscriber does not really sleep: its bell is armed by hand, and the publisher's
 *         count of wakes says whether it was rung.
 */
#include "lib/endpoint/subscriber_impl.h"
#include "shm/wake.h"
#include "tests/unit/shm/bus_dir.h"
#include <busbar/endpoint.h>

TestSuite(wake_noted, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

struct scene {
    struct bb_endpoint *a, *p;
    struct bb_subscriber *sub;
    struct bb_publisher *pub;
    struct bb_topic *wanted, *other;
};

static struct bb_endpoint *
endpoint_new(const char *name)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

static void
scene_open(struct scene *s)
{
    const char *const prefixes[] = {"wanted"};
    const struct bb_subscriber_opts so = {
        .size = sizeof(so), .prefixes = prefixes, .prefix_count = 1};
    const struct bb_publisher_opts po = {.size = sizeof(po), .lane = BB_LANE_ONESHOT};
    s->a = endpoint_new("a");
    s->p = endpoint_new("p");
    cr_assert_eq(bb_subscriber_open(&s->sub, s->a, &so), 0);
    cr_assert_eq(bb_publisher_open(&s->pub, s->p, &po), 0);
    cr_assert_eq(bb_topic_open(&s->wanted, s->pub, "wanted", 6), 0);
    cr_assert_eq(bb_topic_open(&s->other, s->pub, "other", 5), 0);
}

static void
scene_close(struct scene *s)
{
    bb_endpoint_close(s->a);
    bb_endpoint_close(s->p);
}

/* Publishes while the subscriber sleeps; how many times it was woken by that. */
static uint64_t
wakes_by(struct scene *s, struct bb_topic *topic, uint32_t attr)
{
    struct bb_publisher_stats before = {.size = sizeof(before)}, after = {.size = sizeof(after)};
    bb_publisher_stats(s->pub, &before);
    (void)bbi_wake_arm(s->sub->at->bus, s->sub->file.index, BBI_BELL_FUTEX);
    cr_assert_eq(bb_publish(topic, "x", 1, attr), 0);
    bb_publisher_stats(s->pub, &after);
    bbi_wake_disarm(s->sub->at->bus, s->sub->file.index);
    return after.wakes - before.wakes;
}

Test(wake_noted, only_the_topic_of_this_flush_counts)
{
    struct scene s;
    scene_open(&s);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(wakes_by(&s, s.wanted, BB_RAW), 1U, "round %d", i);
        cr_assert_eq(wakes_by(&s, s.other, BB_RAW), 0U, "it was woken for what it wants before");
        cr_assert_eq(wakes_by(&s, s.other, BB_RAW), 0U);
    }
    scene_close(&s);
}

Test(wake_noted, all_topics_of_a_batch_count)
{
    struct scene s;
    scene_open(&s);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(wakes_by(&s, s.wanted, BB_RAW | BB_MORE), 0U, "not before the flush");
        cr_assert_eq(wakes_by(&s, s.other, BB_RAW), 1U, "round %d", i);
        cr_assert_eq(wakes_by(&s, s.other, BB_RAW | BB_MORE), 0U);
        cr_assert_eq(wakes_by(&s, s.wanted, BB_RAW), 1U);
    }
    scene_close(&s);
}

Test(wake_noted, a_prefix_that_comes_or_goes_is_seen_at_the_next_flush)
{
    struct scene s;
    scene_open(&s);
    cr_assert_eq(wakes_by(&s, s.other, BB_RAW), 0U);
    cr_assert_eq(bb_subscribe(s.sub, "oth", 3, 0), 0);
    cr_assert_eq(wakes_by(&s, s.other, BB_RAW), 1U, "the stream of one topic looked again");
    cr_assert_eq(wakes_by(&s, s.other, BB_RAW), 1U);
    cr_assert_eq(bb_unsubscribe(s.sub, "oth", 3, 0), 0);
    (void)wakes_by(&s, s.other, BB_RAW); /* the flush that sees it may wake once too often */
    cr_assert_eq(wakes_by(&s, s.other, BB_RAW), 0U);
    scene_close(&s);
}
