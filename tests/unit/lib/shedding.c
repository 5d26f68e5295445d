/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what a capture thread asks before it does the work: who wants a topic, and how much may still go.
 * Method: the answers are held against what publishing then does: with the policy FAIL the first refusal
 * comes exactly where the headroom ended.
 */
#include "tests/unit/shm/bus_dir.h"
#include <busbar/busbar.h>

TestSuite(shedding, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

enum { DEPTH = 64, BYTES = 16384 };

static struct bb_endpoint *a, *b;
static struct bb_publisher *pub;

static struct bb_endpoint *
endpoint_new(const char *name)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

static struct bb_subscriber *
subscriber_new(struct bb_endpoint *ep, const char *prefix, uint32_t flags)
{
    struct bb_subscriber *sub = NULL;
    const struct bb_subscriber_opts o = {.size = sizeof(o),
                                         .flags = flags,
                                         .wait = BB_WAIT_PERIODIC,
                                         .prefixes = &prefix,
                                         .prefix_count = 1};
    cr_assert_eq(bb_subscriber_open(&sub, ep, &o), 0);
    return sub;
}

static void
begin(void)
{
    a = endpoint_new("a");
    b = endpoint_new("b");
    const struct bb_publisher_opts o = {
        .size = sizeof(o), .depth = DEPTH, .bytes = BYTES, .policy = BB_POLICY_FAIL};
    cr_assert_eq(bb_publisher_open(&pub, a, &o), 0);
}

static void
end(void)
{
    bb_endpoint_close(a);
    bb_endpoint_close(b);
}

static struct bb_topic *
topic_new(const char *name)
{
    struct bb_topic *t = NULL;
    cr_assert_eq(bb_topic_open(&t, pub, name, strlen(name)), 0);
    return t;
}

static void
take_all(struct bb_subscriber *sub)
{
    struct bb_msg msgs[DEPTH];
    while (bb_poll(sub, msgs, DEPTH, 0) > 0) {
    }
    (void)bb_release(sub);
}

/* ---- bb_topic_wanted ---- */

Test(shedding, a_topic_is_wanted_while_a_prefix_of_somebody_matches)
{
    begin();
    struct bb_topic *t = topic_new("conn/tcp"), *other = topic_new("dns");
    cr_assert_eq(bb_topic_wanted(t), 0);
    struct bb_subscriber *sub = subscriber_new(b, "conn", 0);
    cr_assert_eq(bb_topic_wanted(t), 1);
    cr_assert_eq(bb_topic_wanted(other), 0);
    cr_assert_eq(bb_subscribe(sub, "d", 1, 0), 0);
    cr_assert_eq(bb_topic_wanted(other), 1, "from the moment on at which bb_subscribe() returned");
    cr_assert_eq(bb_subscribe(sub, "d", 1, BB_TOPIC_PATH), 0);
    cr_assert_eq(bb_unsubscribe(sub, "d", 1, 0), 0);
    cr_assert_eq(bb_topic_wanted(other), 0, "d as a path is not dns");
    cr_assert_eq(bb_unsubscribe(sub, "conn", 4, 0), 0);
    cr_assert_eq(bb_topic_wanted(t), 0);
    cr_assert_eq(bb_subscribe(sub, "", 0, 0), 0);
    cr_assert_eq(bb_topic_wanted(t), 1);
    bb_subscriber_close(sub);
    cr_assert_eq(bb_topic_wanted(t), 0);
    end();
}

Test(shedding, ones_own_subscriber_counts_when_it_hears_us)
{
    begin();
    struct bb_topic *t = topic_new("x");
    struct bb_subscriber *deaf = subscriber_new(a, "", 0);
    cr_assert_eq(bb_topic_wanted(t), 0);
    struct bb_subscriber *loop = subscriber_new(a, "", BB_SUBSCRIBER_LOOPBACK);
    cr_assert_eq(bb_topic_wanted(t), 1);
    bb_subscriber_close(loop);
    cr_assert_eq(bb_topic_wanted(t), 0);
    bb_subscriber_close(deaf);
    end();
}

/* ---- headroom ---- */

/* Publishes until one is refused; how many went. */
static uint64_t
fill_up(struct bb_topic *t, size_t bytes)
{
    static const unsigned char zeros[BYTES];
    uint64_t n = 0;
    while (bb_publish(t, zeros, bytes, BB_RAW) == 0) {
        n++;
        cr_assert_lt(n, 10 * DEPTH, "nobody refused");
    }
    return n;
}

Test(shedding, without_a_reliable_subscriber_it_is_the_whole_ring)
{
    begin();
    struct bb_topic *t = topic_new("x");
    struct bb_subscriber *lossy = subscriber_new(b, "", 0);
    for (int i = 0; i < 10 * DEPTH; i++) {
        cr_assert_eq(bb_publish(t, "12345678", 8, BB_RAW), 0);
        cr_assert_eq(bb_headroom(pub), BYTES);
        cr_assert_eq(bb_headroom_messages(pub), DEPTH);
    }
    bb_subscriber_close(lossy);
    end();
}

Test(shedding, as_many_messages_go_as_it_said)
{
    begin();
    struct bb_topic *t = topic_new("x");
    struct bb_subscriber *sub = subscriber_new(b, "", BB_SUBSCRIBER_RELIABLE);
    for (int lap = 0; lap < 5; lap++) {
        take_all(sub);
        cr_assert_eq(bb_headroom_messages(pub), DEPTH, "lap %d", lap);
        for (uint64_t i = 0; i < DEPTH / 2 + (uint64_t)lap; i++) {
            cr_assert_eq(bb_headroom_messages(pub), DEPTH - i);
            cr_assert_eq(bb_publish(t, "1", 1, BB_RAW), 0);
        }
        uint64_t said = bb_headroom_messages(pub);
        cr_assert_eq(fill_up(t, 1), said, "lap %d", lap);
        cr_assert_eq(bb_headroom_messages(pub), 0);
        cr_assert_eq(bb_headroom(pub), 0);
    }
    end();
}

/* With room for one more of the largest, as the header says, what is promised in bytes goes too. */
Test(shedding, as_many_bytes_go_as_it_said)
{
    static const unsigned char zeros[1024];
    static const size_t sizes[] = {1024, 1000, 640, 33};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        begin();
        struct bb_topic *t = topic_new("x");
        struct bb_subscriber *sub = subscriber_new(b, "", BB_SUBSCRIBER_RELIABLE);
        size_t bytes = sizes[s], taken = (bytes + 31) / 32 * 32;
        for (int lap = 0; lap < 7; lap++) {
            take_all(sub);
            cr_assert_eq(bb_headroom(pub), BYTES, "size %zu, lap %d", bytes, lap);
            while (bb_headroom(pub) >= 2 * taken && bb_headroom_messages(pub) > 0) {
                cr_assert_eq(bb_publish(t, zeros, bytes, BB_RAW), 0, "size %zu, lap %d: %lu left",
                             bytes, lap, (unsigned long)bb_headroom(pub));
            }
            (void)fill_up(t, bytes);
            cr_assert(bb_headroom(pub) < 2 * taken || bb_headroom_messages(pub) == 0);
        }
        end();
    }
}
