/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the manager's list says of each share who has it, and whether it ended or is missing, in whichever
 * order the news comes.
 * Method: the news by hand.
 */
#include "tools/sensor/layout.h"

#include <criterion/criterion.h>

enum { W = BB_ROLE_WORKER, P = BB_ROLE_PROXY, L = BB_ROLE_LOGGER };

static struct sensor_layout layout;

static void
setup(void)
{
    cr_assert_eq(sensor_layout_init(&layout, 3, 2, 1), 0);
}

static void
teardown(void)
{
    sensor_layout_fini(&layout);
}

/* Its name is that of nobody: the id counts. */
static void
gone(uint64_t node_id, const char *why, bool final)
{
    sensor_layout_gone(&layout, "somebody", node_id, why, final);
}

TestSuite(layout, .init = setup, .fini = teardown, .timeout = 20);

Test(layout, comes_together)
{
    char names[128];

    cr_assert(sensor_layout_ready(&layout, W, 1, "worker-2", 12));
    cr_assert(sensor_layout_ready(&layout, W, 1, "worker-2", 12)); /* says it twice */
    cr_assert_not(sensor_layout_ready(&layout, W, 1, "w-2", 13));
    cr_assert_not(sensor_layout_ready(&layout, W, 3, "worker-4", 14));
    sensor_layout_names(&layout, SENSOR_PEER_ABSENT, names, sizeof(names));
    cr_assert_str_eq(names, "worker-1, worker-3, proxy-1, proxy-2, logger-1");
    cr_assert(sensor_layout_ready(&layout, W, 0, "w-1", 11));
    cr_assert(sensor_layout_ready(&layout, W, 2, "worker-3", 15));
    cr_assert_eq(sensor_layout_number(&layout, SENSOR_PEER_READY), 3);
    sensor_layout_names(&layout, SENSOR_PEER_READY, names, 12);
    cr_assert_str_eq(names, "w-1, worker"); /* cut, not overrun */
}

/* A worker is started anew: its ready may come before the news of the old one's death. */
Test(layout, started_anew)
{
    cr_assert(sensor_layout_ready(&layout, W, 0, "worker-1", 11));
    cr_assert(sensor_layout_ready(&layout, W, 0, "worker-1", 21));
    gone(11, "died", false);
    cr_assert_eq(layout.peers[0].state, SENSOR_PEER_READY);
    gone(21, "died", false);
    cr_assert_eq(layout.peers[0].state, SENSOR_PEER_ABSENT);
    cr_assert(sensor_layout_ready(&layout, W, 0, "w-1", 31)); /* the share is free again */
}

Test(layout, gone_for_good)
{
    cr_assert(sensor_layout_ready(&layout, W, 0, "worker-1", 11));
    gone(11, "died", true);
    cr_assert_eq(layout.peers[0].state, SENSOR_PEER_MISSING);
    cr_assert(sensor_layout_ready(&layout, W, 1, "worker-2", 12));
    sensor_layout_give_up(&layout, "did not come");
    cr_assert_eq(layout.peers[1].state, SENSOR_PEER_READY);
    cr_assert_eq(layout.peers[2].state, SENSOR_PEER_MISSING);
}

Test(layout, gone_before_its_ready)
{
    sensor_layout_gone(&layout, "worker-2", 12, "died", false);
    cr_assert_eq(layout.peers[1].state, SENSOR_PEER_ABSENT); /* somebody may start it again */
    sensor_layout_gone(&layout, "worker-2", 12, "died", true);
    cr_assert_eq(layout.peers[1].state, SENSOR_PEER_MISSING);
    cr_assert(sensor_layout_ready(&layout, W, 0, "worker-1", 11));
    sensor_layout_gone(&layout, "worker-1", 10, "died", true); /* an older one of that name */
    cr_assert_eq(layout.peers[0].state, SENSOR_PEER_READY);
}

Test(layout, ends_and_sums)
{
    struct sensor_end sum;

    cr_assert(sensor_layout_ready(&layout, W, 0, "worker-1", 11));
    cr_assert(sensor_layout_ready(&layout, W, 1, "worker-2", 12));
    cr_assert(sensor_layout_ready(&layout, W, 2, "worker-3", 13));
    layout.started = true;
    cr_assert_not(sensor_layout_ready(&layout, W, 0, "worker-1", 41)); /* too late */
    layout.peers[0].end =
        (struct sensor_end){.packets = 10, .connections = 2, .events = 2, .waits = 1};
    layout.peers[0].state = SENSOR_PEER_ENDED;
    gone(11, "left", false); /* after its end mark: as it should be */
    cr_assert_eq(layout.peers[0].state, SENSOR_PEER_ENDED);
    layout.peers[1].delivered = 5;
    gone(12, "died", false);
    cr_assert_eq(layout.peers[1].state, SENSOR_PEER_MISSING);
    cr_assert_null(sensor_layout_find(&layout, 12));
    layout.peers[2].end = (struct sensor_end){.packets = 4, .state = SENSOR_END_DAMAGED};
    layout.peers[2].state = SENSOR_PEER_ENDED;
    sensor_layout_sum(&layout, &sum);
    cr_assert_eq(sum.packets, 14);
    cr_assert_eq(sum.connections, 7);
    cr_assert_eq(sum.events, 7);
    cr_assert_eq(sum.waits, 1);
    cr_assert_eq(sum.state, SENSOR_END_DAMAGED);
}

/* Before the end of all there is an end mark of each worker and a word of each node. */
Test(layout, everybody_has_its_say)
{
    const struct sensor_end end = {.events = 3};
    const struct sensor_tally tally = {.handled = 3, .lost = 1, .logged = 2, .unsaid = 1};
    struct sensor_tally sum;
    uint64_t ids[4];

    cr_assert(sensor_layout_ready(&layout, W, 0, "worker-1", 11));
    cr_assert(sensor_layout_ready(&layout, W, 2, "worker-3", 13));
    cr_assert(sensor_layout_ready(&layout, P, 1, "proxy-2", 22));
    cr_assert(sensor_layout_ready(&layout, L, 0, "logger-1", 31));
    cr_assert_not(sensor_layout_ready(&layout, P, 2, "proxy-3", 23));
    cr_assert_not(sensor_layout_ready(&layout, BB_ROLE_TOOL, 0, "tool", 24));
    cr_assert_eq(sensor_layout_ids(&layout, ids, 4), 2);
    cr_assert_eq(ids[1], 13);
    layout.started = true;
    cr_assert_eq(sensor_layout_awaited(&layout), 4);
    sensor_layout_end(&layout, 11, &end);
    sensor_layout_end(&layout, 22, &end); /* a proxy has none */
    cr_assert_eq(sensor_layout_awaited(&layout), 4);
    sensor_layout_tally(&layout, 11, &tally);
    sensor_layout_tally(&layout, 11, &tally); /* twice counts once */
    sensor_layout_tally(&layout, 22, &tally);
    cr_assert_eq(sensor_layout_awaited(&layout), 2);
    cr_assert_eq(layout.peers[4].state, SENSOR_PEER_ENDED);
    sensor_layout_end(&layout, 13, &end);
    gone(13, "died", true);
    cr_assert_eq(layout.peers[2].state, SENSOR_PEER_ENDED);
    cr_assert(layout.peers[2].is_gone);
    gone(31, "died", true);
    cr_assert_eq(sensor_layout_awaited(&layout), 0);
    cr_assert_eq(layout.deaths, 2);
    sensor_layout_tallies(&layout, &sum);
    cr_assert_eq(sum.handled, 6);
    cr_assert_eq(sum.lost, 2);
    cr_assert_eq(sum.logged, 4);
    cr_assert_eq(sum.unsaid, 2);
}

/* A proxy comes back after the start, a worker does not; what the proxy had said before it went is void. */
Test(layout, a_proxy_returns)
{
    const struct sensor_tally tally = {.handled = 3};
    struct sensor_tally sum;

    cr_assert(sensor_layout_ready(&layout, W, 0, "worker-1", 11));
    cr_assert(sensor_layout_ready(&layout, P, 0, "proxy-1", 21));
    layout.started = true;
    gone(11, "died", true);
    gone(21, "died", true);
    cr_assert_eq(layout.deaths, 2);
    cr_assert_not(sensor_layout_ready(&layout, W, 0, "worker-1", 12));
    cr_assert(sensor_layout_ready(&layout, P, 0, "proxy-1", 41));
    cr_assert_eq(layout.peers[3].state, SENSOR_PEER_READY);
    sensor_layout_tally(&layout, 41, &tally);
    cr_assert(sensor_layout_ready(&layout, P, 0, "proxy-1", 41)); /* once more: nothing changes */
    sensor_layout_tallies(&layout, &sum);
    cr_assert_eq(sum.handled, 3);
    gone(41, "died", true);
    cr_assert(sensor_layout_ready(&layout, P, 0, "proxy-1", 51));
    sensor_layout_tallies(&layout, &sum);
    cr_assert_eq(sum.handled, 0);
}

/* Events that went to the first of two nodes of one name are gone, those to the second are not. */
Test(layout, events_that_went_with_a_proxy)
{
    const struct sensor_tally tally = {.handled = 3};
    const struct sensor_end end = {
        .events = 10, .sent = {{21, 4}, {22, 3}, {41, 3}}, .sent_count = 3};

    cr_assert(sensor_layout_ready(&layout, W, 0, "worker-1", 11));
    cr_assert(sensor_layout_ready(&layout, P, 0, "proxy-1", 21));
    cr_assert(sensor_layout_ready(&layout, P, 1, "proxy-2", 22));
    layout.started = true;
    gone(21, "died", true);
    cr_assert(sensor_layout_ready(&layout, P, 0, "proxy-1", 41));
    sensor_layout_end(&layout, 11, &end);
    cr_assert_eq(sensor_layout_gone_events(&layout), 10);
    sensor_layout_tally(&layout, 22, &tally);
    sensor_layout_tally(&layout, 41, &tally);
    cr_assert_eq(sensor_layout_gone_events(&layout), 4);
}

Test(layout, nobody_has_id_zero)
{
    cr_assert_null(sensor_layout_find(&layout, 0));
}
