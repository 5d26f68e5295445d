/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A view that was copied while it was whole is delivered, whatever overwrites it before it is released; one
 *         that was not is lost, exactly once.
 * Method  Four views of a lossy subscriber; some are said to be copied; then the ring is written round.
 */
#include "lib/endpoint/for_cluster.h"
#include "tests/unit/shm/bus_dir.h"
#include <criterion/criterion.h>

TestSuite(copied, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 20);

enum {
    VIEWS = 4,
    ROUND = 5000,
    BYTES = 512
}; /* the control lane's ring has 4,096 messages, 1 MiB */

struct ends {
    struct bb_endpoint *writer, *reader;
    struct bb_publisher *pub;
    struct bb_subscriber *sub;
    struct bb_msg views[VIEWS];
};

static struct bb_endpoint *
attach(const char *name)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

static void
publish(struct ends *e, int count)
{
    const unsigned char payload[BYTES] = {0};
    for (int i = 0; i < count; i++) {
        cr_assert_eq(bb_publish_to(e->pub, "t", 1, payload, sizeof(payload), BB_RAW), 0);
    }
}

static struct ends
four_views(void)
{
    static const char *const prefixes[] = {"t"};
    struct ends e = {.writer = attach("writer"), .reader = attach("reader")};
    const struct bb_publisher_opts po = {.size = sizeof(po), .lane = BB_LANE_CONTROL};
    const struct bb_subscriber_opts so = {.size = sizeof(so),
                                          .flags = BB_SUBSCRIBER_VIEWS,
                                          .wait = BB_WAIT_SLEEP,
                                          .prefixes = prefixes,
                                          .prefix_count = 1};
    cr_assert_eq(bb_publisher_open(&e.pub, e.writer, &po), 0);
    cr_assert_eq(bb_subscriber_open(&e.sub, e.reader, &so), 0);
    publish(&e, VIEWS);
    cr_assert_eq(bb_poll(e.sub, e.views, VIEWS, INT64_C(1000000000)), VIEWS);
    return e;
}

static void
end(struct ends *e)
{
    bb_endpoint_close(e->reader);
    bb_endpoint_close(e->writer);
}

Test(copied, what_was_copied_is_delivered)
{
    struct ends e = four_views();
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    cr_assert(bbi_msg_was_copied(e.sub, &e.views[0]), "also the first of its run");
    cr_assert(bbi_msg_was_copied(e.sub, &e.views[2]));
    publish(&e, ROUND);
    cr_assert_eq(bb_msg_valid(e.sub, &e.views[1]), 0,
                 "it was not written round: nothing is tested");
    cr_assert_eq(bb_release(e.sub), VIEWS - 2);
    bb_subscriber_stats(e.sub, &st);
    cr_assert_eq(st.delivered, 2);
    cr_assert_eq(st.lost, VIEWS - 2);
    end(&e);
}

Test(copied, what_came_too_late_is_lost)
{
    struct ends e = four_views();
    publish(&e, ROUND);
    cr_assert(!bbi_msg_was_copied(e.sub, &e.views[0]));
    cr_assert_eq(bb_release(e.sub), VIEWS);
    end(&e);
}

Test(copied, all_of_a_run)
{
    struct ends e = four_views();
    for (int i = 0; i < VIEWS; i++) {
        cr_assert(bbi_msg_was_copied(e.sub, &e.views[i]));
    }
    publish(&e, ROUND);
    cr_assert_eq(bb_release(e.sub), 0);
    end(&e);
}
