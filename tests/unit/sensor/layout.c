/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the manager's list says of each share who has it, and whether it ended or is missing, in whichever
 * order the news comes.
 * Method: the news by hand.
 */
#include "tools/sensor/layout.h"

#include <criterion/criterion.h>

static struct sensor_layout layout;

static void
setup(void)
{
    cr_assert_eq(sensor_layout_init(&layout, 3), 0);
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
    char names[64];

    cr_assert(sensor_layout_ready(&layout, 1, "worker-2", 12));
    cr_assert(sensor_layout_ready(&layout, 1, "worker-2", 12)); /* says it twice */
    cr_assert_not(sensor_layout_ready(&layout, 1, "w-2", 13));
    cr_assert_not(sensor_layout_ready(&layout, 3, "worker-4", 14));
    sensor_layout_names(&layout, SENSOR_PEER_ABSENT, names, sizeof(names));
    cr_assert_str_eq(names, "worker-1, worker-3");
    cr_assert(sensor_layout_ready(&layout, 0, "w-1", 11));
    cr_assert(sensor_layout_ready(&layout, 2, "worker-3", 15));
    cr_assert_eq(sensor_layout_number(&layout, SENSOR_PEER_READY), 3);
    sensor_layout_names(&layout, SENSOR_PEER_READY, names, 12);
    cr_assert_str_eq(names, "w-1, worker"); /* cut, not overrun */
}

/* A worker is started anew: its ready may come before the news of the old one's death. */
Test(layout, started_anew)
{
    cr_assert(sensor_layout_ready(&layout, 0, "worker-1", 11));
    cr_assert(sensor_layout_ready(&layout, 0, "worker-1", 21));
    gone(11, "died", false);
    cr_assert_eq(layout.peers[0].state, SENSOR_PEER_READY);
    gone(21, "died", false);
    cr_assert_eq(layout.peers[0].state, SENSOR_PEER_ABSENT);
    cr_assert(sensor_layout_ready(&layout, 0, "w-1", 31)); /* the share is free again */
}

Test(layout, gone_for_good)
{
    cr_assert(sensor_layout_ready(&layout, 0, "worker-1", 11));
    gone(11, "died", true);
    cr_assert_eq(layout.peers[0].state, SENSOR_PEER_MISSING);
    cr_assert(sensor_layout_ready(&layout, 1, "worker-2", 12));
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
    cr_assert(sensor_layout_ready(&layout, 0, "worker-1", 11));
    sensor_layout_gone(&layout, "worker-1", 10, "died", true); /* an older one of that name */
    cr_assert_eq(layout.peers[0].state, SENSOR_PEER_READY);
}

Test(layout, ends_and_sums)
{
    struct sensor_end sum;

    cr_assert(sensor_layout_ready(&layout, 0, "worker-1", 11));
    cr_assert(sensor_layout_ready(&layout, 1, "worker-2", 12));
    cr_assert(sensor_layout_ready(&layout, 2, "worker-3", 13));
    layout.started = true;
    cr_assert_not(sensor_layout_ready(&layout, 0, "worker-1", 41)); /* too late */
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

Test(layout, nobody_has_id_zero)
{
    cr_assert_null(sensor_layout_find(&layout, 0));
}
