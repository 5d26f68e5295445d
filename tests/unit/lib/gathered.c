/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: prefixes that change together hold together, at the price of one change.
 * Method: the number that tells publishers to look again is counted; a publisher of another member is asked what is wanted.
 */
#include "lib/endpoint/for_bridge.h"
#include "tests/unit/shm/bus_dir.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct bb_endpoint *here, *there;
static struct bb_subscriber *sub;
static struct bb_publisher *pub;

static void
begin(void)
{
    bus_dir_make();
    struct bb_endpoint_opts opts = {.size = sizeof(opts), .dir = bus_dir, .bus = "g"};
    cr_assert_eq(bb_endpoint_open(&here, &opts), 0);
    cr_assert_eq(bb_endpoint_open(&there, &opts), 0);
    cr_assert_eq(bb_subscriber_open(&sub, here, NULL), 0);
    cr_assert_eq(bb_publisher_open(&pub, there, NULL), 0);
}

static void
end(void)
{
    bb_publisher_close(pub);
    bb_subscriber_close(sub);
    bb_endpoint_close(there);
    bb_endpoint_close(here);
    bus_dir_remove();
}

TestSuite(gathered, .timeout = 20, .init = begin, .fini = end);

static int
is_wanted(const char *text)
{
    struct bb_topic *topic;
    cr_assert_eq(bb_topic_open(&topic, pub, text, strlen(text)), 0);
    return bb_topic_wanted(topic);
}

static void
change_many(int count, int (*change)(struct bb_subscriber *, const char *, size_t, uint32_t))
{
    for (int i = 0; i < count; i++) {
        char prefix[16];
        int n = snprintf(prefix, sizeof(prefix), "p%d/", i);
        cr_assert_geq(change(sub, prefix, (size_t)n, 0), 0);
    }
}

Test(gathered, a_hundred_changes_cost_one)
{
    uint64_t before = bbi_audience_epoch(here);
    bbi_subscribe_gather(sub);
    change_many(100, bb_subscribe);
    cr_assert_eq(bbi_audience_epoch(here), before);
    cr_assert_eq(is_wanted("p7/x"), 0);
    cr_assert_eq(bbi_subscribe_settle(sub), 0);
    cr_assert_eq(bbi_audience_epoch(here), before + 1);
    cr_assert_eq(is_wanted("p7/x"), 1);
    cr_assert_eq(is_wanted("p99/x"), 1);
    bbi_subscribe_gather(sub);
    change_many(99, bb_unsubscribe);
    cr_assert_eq(is_wanted("p7/x"), 1);
    cr_assert_eq(bbi_subscribe_settle(sub), 0);
    cr_assert_eq(bbi_audience_epoch(here), before + 2);
    cr_assert_eq(is_wanted("p7/x"), 0);
    cr_assert_eq(is_wanted("p99/x"), 1);
}

Test(gathered, nothing_gathered_is_nothing_settled)
{
    uint64_t before = bbi_audience_epoch(here);
    cr_assert_eq(bbi_subscribe_settle(sub), 0);
    bbi_subscribe_gather(sub);
    cr_assert_eq(bb_unsubscribe(sub, "never", 5, 0), BB_ENOENT);
    cr_assert_eq(bbi_subscribe_settle(sub), 0);
    cr_assert_eq(bbi_audience_epoch(here), before);
    cr_assert_geq(bb_subscribe(sub, "a", 1, 0), 0);
    cr_assert_eq(bbi_audience_epoch(here), before + 1, "and after it each by itself again");
    cr_assert_eq(is_wanted("ab"), 1);
}
