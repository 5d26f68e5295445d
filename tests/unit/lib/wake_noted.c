/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A flush wakes who wants what was published since the last one, nobody else.
 * Method  One process.  The subscriber does not really sleep: its bell is armed by hand, and the publisher's
 *         count of wakes says whether it was rung.
 */
#include "lib/endpoint/for_bridge.h"
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

/* ---- a publisher that wakes late -------------------------------------------------------------------------- */

enum {
    FULL = 32,
    MANY = 3 * FULL
}; /* a batch; some, so that the last one is full and announced already */

static uint64_t
wakes_of(const struct scene *s)
{
    struct bb_publisher_stats st = {.size = sizeof(st)};
    bb_publisher_stats(s->pub, &st);
    return st.wakes;
}

static void
publish_many(struct bb_topic *topic, int count)
{
    for (int i = 0; i < count; i++) {
        cr_assert_eq(bb_publish(topic, "x", 1, BB_RAW | BB_MORE), 0);
    }
}

static void
arm(const struct scene *s)
{
    (void)bbi_wake_arm(s->sub->at->bus, s->sub->file.index, BBI_BELL_FUTEX);
}

static int
poll_all(struct scene *s)
{
    struct bb_msg msgs[MANY * 2];
    bbi_wake_disarm(s->sub->at->bus, s->sub->file.index);
    return bb_poll(s->sub, msgs, MANY * 2, 0);
}

Test(wake_noted, full_batches_are_announced_and_who_sleeps_is_woken_once)
{
    struct scene s;
    scene_open(&s);
    (void)poll_all(&s);
    arm(&s);
    publish_many(s.wanted, FULL + 1);
    cr_assert_eq(wakes_of(&s), 1U, "as always: a full batch wakes");
    cr_assert_eq(bb_flush(s.pub), 0);
    (void)poll_all(&s);

    bbi_publisher_late(s.pub);
    for (int i = 0; i < 3; i++) {
        uint64_t before = wakes_of(&s);
        arm(&s);
        publish_many(s.wanted, MANY + 1);
        cr_assert_eq(wakes_of(&s), before, "round %d", i);
        cr_assert_eq(poll_all(&s), MANY, "what is announced can be read");
        arm(&s);
        cr_assert_eq(bb_flush(s.pub), 0);
        cr_assert_eq(wakes_of(&s), before + 1);
        cr_assert_eq(poll_all(&s), 1);
        arm(&s);
        cr_assert_eq(bb_flush(s.pub), 0);
        cr_assert_eq(wakes_of(&s), before + 1, "nothing came since");
        (void)poll_all(&s);
    }
    scene_close(&s);
}

Test(wake_noted, who_wanted_what_was_announced_is_woken_whatever_came_after)
{
    struct scene s;
    scene_open(&s);
    bbi_publisher_late(s.pub);
    (void)poll_all(&s);
    for (int i = 0; i < 3; i++) {
        uint64_t before = wakes_of(&s);
        arm(&s);
        publish_many(s.wanted, FULL);
        publish_many(s.other, FULL + 1); /* announces what was wanted, then what was not */
        publish_many(s.other, FULL);
        cr_assert_eq(wakes_of(&s), before, "round %d", i);
        cr_assert_eq(bb_flush(s.pub), 0);
        cr_assert_eq(wakes_of(&s), before + 1, "round %d", i);
        cr_assert_eq(poll_all(&s), FULL);

        arm(&s);
        publish_many(s.other, MANY);
        cr_assert_eq(bb_flush(s.pub), 0);
        cr_assert_eq(wakes_of(&s), before + 1, "and what it wanted is forgotten then");
        (void)poll_all(&s);
    }
    scene_close(&s);
}

Test(wake_noted, a_late_publisher_finds_who_subscribes_meanwhile)
{
    struct scene s;
    scene_open(&s);
    bbi_publisher_late(s.pub);
    publish_many(s.other, FULL);
    cr_assert_eq(bb_subscribe(s.sub, "oth", 3, 0), 0);
    (void)poll_all(&s);
    arm(&s);
    publish_many(s.other, MANY);
    cr_assert_eq(wakes_of(&s), 0U);
    cr_assert_eq(bb_flush(s.pub), 0);
    cr_assert_eq(wakes_of(&s), 1U);
    scene_close(&s);
}
