/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    What was read of a topic before it was given up is not taken for lost, nor for filtered, afterwards.
 * Method  One process: a lossy subscriber reads two topics, gives one up, and is lapped; its losses are settled by
 *         topic, from what it had seen of each.
 */
#include "tests/unit/shm/bus_dir.h"
#include <busbar/endpoint.h>

enum { DEPTH = 64, BYTES = 4096, BEFORE = 10, GIVEN_UP = 200, WANTED = 100 };

TestSuite(seen_counts, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 20);

static struct bb_endpoint *
named(const char *name)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

static void
publish(struct bb_publisher *pub, const char *topic, int count)
{
    for (int i = 0; i < count; i++) {
        cr_assert_eq(bb_publish_to(pub, topic, 1, "8 bytes", 8, BB_MORE), 0);
    }
    cr_assert_eq(bb_flush(pub), 0);
}

static int
read_all(struct bb_subscriber *sub)
{
    struct bb_msg msgs[16];
    int total = 0;
    for (int n; (n = bb_poll(sub, msgs, 16, 0)) > 0;) {
        for (int i = 0; i < n; i++) {
            total += msgs[i].status == NULL;
        }
    }
    return total;
}

Test(seen_counts, of_a_topic_that_was_given_up)
{
    const char *const both[] = {"a", "b"};
    struct bb_endpoint *p = named("p"), *s = named("s");
    struct bb_publisher *pub = NULL;
    struct bb_subscriber *sub = NULL;
    const struct bb_publisher_opts po = {.size = sizeof(po), .depth = DEPTH, .bytes = BYTES};
    const struct bb_subscriber_opts so = {.size = sizeof(so), .prefixes = both, .prefix_count = 2};
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    cr_assert_eq(bb_publisher_open(&pub, p, &po), 0);
    cr_assert_eq(bb_subscriber_open(&sub, s, &so), 0);
    publish(pub, "a", BEFORE);
    publish(pub, "b", BEFORE);
    cr_assert_eq(read_all(sub), 2 * BEFORE);
    cr_assert_eq(bb_unsubscribe(sub, "a", 1, 0), 0);
    publish(pub, "a", GIVEN_UP);
    publish(pub, "b", WANTED);
    int got = read_all(sub);
    bb_subscriber_stats(sub, &st);
    cr_assert_lt(got, WANTED, "it was lapped");
    cr_assert_eq(st.delivered, 2U * BEFORE + (unsigned)got);
    cr_assert_eq(st.filtered, (unsigned)GIVEN_UP, "%llu", (unsigned long long)st.filtered);
    cr_assert_eq(st.lost, (unsigned)(WANTED - got), "%llu", (unsigned long long)st.lost);
    bb_subscriber_close(sub);
    bb_publisher_close(pub);
    bb_endpoint_close(s);
    bb_endpoint_close(p);
}
