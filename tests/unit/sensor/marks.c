/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a node says that it has all events neither too early (somebody may still send one) nor never (somebody
 * died who will not say so any more).
 * Method: marks and the cluster's state by hand, in every order that matters.
 */
#include "tools/sensor/marks.h"

#include <criterion/criterion.h>

enum { MANAGER = 1, WORKER_1 = 11, WORKER_2 = 12, PROXY_1 = 21, PROXY_2 = 22 };

static struct sensor_marks marks;
static struct sensor_members members;
static const struct sensor_start a_start = {
    .workers = 2, .epoch = 5, .ids = {WORKER_1, WORKER_2}, .id_count = 2};

static void
join(uint64_t id, uint32_t role)
{
    members.nodes[members.count++] =
        (struct bb_cluster_node){.id = id, .role = role, .is_up = 1, .is_expected = 1};
    members.epoch++;
}

static void
leave(uint64_t id)
{
    for (size_t i = 0; i < members.count; i++) {
        if (members.nodes[i].id == id) {
            members.nodes[i].is_up = 0;
        }
    }
    members.epoch++;
}

static void
setup(void)
{
    join(MANAGER, BB_ROLE_MANAGER);
    join(WORKER_1, BB_ROLE_WORKER);
    join(WORKER_2, BB_ROLE_WORKER);
    join(PROXY_1, BB_ROLE_PROXY);
    join(PROXY_2, BB_ROLE_PROXY);
    members.own_id = PROXY_1;
}

TestSuite(marks, .init = setup, .timeout = 20);

Test(marks, all_of_them_then_all_has_come)
{
    sensor_marks_end(&marks, WORKER_1, 5); /* another ring's: it may be read before `start` is */
    sensor_marks_start(&marks, &a_start, MANAGER);
    cr_assert_not(sensor_marks_is_ended(&marks, &members));
    sensor_marks_end(&marks, WORKER_1, 5);
    cr_assert_not(sensor_marks_is_ended(&marks, &members));
    sensor_marks_end(&marks, WORKER_2, 5);
    cr_assert(sensor_marks_is_ended(&marks, &members));
    cr_assert_not(sensor_marks_is_passed(&marks, &members));
    sensor_marks_pass(&marks, MANAGER);
    cr_assert_not(sensor_marks_is_passed(&marks, &members));
    sensor_marks_pass(&marks, PROXY_2);
    cr_assert(sensor_marks_is_passed(&marks, &members));
}

Test(marks, nothing_before_the_start)
{
    sensor_marks_end(&marks, WORKER_1, 5);
    sensor_marks_end(&marks, WORKER_2, 5);
    cr_assert_not(sensor_marks_is_known(&marks, &members));
    cr_assert_not(sensor_marks_is_ended(&marks, &members));
}

Test(marks, the_dead_are_not_waited_for)
{
    sensor_marks_start(&marks, &a_start, MANAGER);
    sensor_marks_end(&marks, WORKER_1, 5);
    sensor_marks_pass(&marks, MANAGER);
    leave(WORKER_2);
    cr_assert(sensor_marks_is_ended(&marks, &members));
    cr_assert_not(sensor_marks_is_passed(&marks, &members));
    leave(PROXY_2);
    cr_assert(sensor_marks_is_passed(&marks, &members));
}

/* A worker knew of a proxy that we have not heard of: what it relayed may still be on the way to us. */
Test(marks, who_knows_less_waits)
{
    sensor_marks_start(&marks, &a_start, MANAGER);
    sensor_marks_end(&marks, WORKER_1, 5);
    sensor_marks_end(&marks, WORKER_2, 7);
    sensor_marks_pass(&marks, MANAGER);
    sensor_marks_pass(&marks, PROXY_2);
    cr_assert_not(sensor_marks_is_ended(&marks, &members));
    leave(PROXY_2);
    cr_assert_not(sensor_marks_is_passed(&marks, &members));
    join(23, BB_ROLE_PROXY);
    cr_assert(sensor_marks_is_ended(&marks, &members));
    cr_assert_not(sensor_marks_is_passed(&marks, &members));
    sensor_marks_pass(&marks, 23);
    cr_assert(sensor_marks_is_passed(&marks, &members));
}

/* A node that is none of the layout's marks nothing, whatever its role. */
Test(marks, strangers_do_not_count)
{
    join(99, BB_ROLE_PROXY);
    members.nodes[members.count - 1].is_expected = 0;
    join(98, BB_ROLE_WORKER);
    sensor_marks_start(&marks, &a_start, MANAGER);
    sensor_marks_end(&marks, WORKER_1, 5);
    sensor_marks_end(&marks, WORKER_2, 5);
    sensor_marks_pass(&marks, MANAGER);
    sensor_marks_pass(&marks, PROXY_2);
    cr_assert(sensor_marks_is_passed(&marks, &members));
}

Test(marks, the_first_start_counts)
{
    const struct sensor_start again = {.workers = 2, .epoch = 50, .ids = {WORKER_1}, .id_count = 1};

    sensor_marks_start(&marks, &a_start, MANAGER);
    sensor_marks_start(&marks, &again, MANAGER);
    cr_assert_eq(marks.start.id_count, 2);
    cr_assert(sensor_marks_is_known(&marks, &members));
}
