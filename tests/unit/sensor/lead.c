/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: who goes is missed if it is a node of the leader's, and nobody else is: neither one from before the start nor,
 * where the nodes are on another box, one of this bus with the same id.
 * Method: a leader and a member of that name in this process, which leaves; the layout then says what was made of it.
 */
#include "tools/sensor/lead.h"
#include "tools/sensor/others.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICE_NS INT64_C(20000000)

static char dir[64];
static struct sensor_options opts;
static struct sensor_earlier earlier;
static struct sensor_lead lead;

static void
setup(void)
{
    static char line[] = "busbar-sensor --node manager --role manager --workers 1";
    char *words[8], *rest = line;
    int count = 0;
    struct sensor_fail fail;

    while ((words[count] = strsep(&rest, " ")) != NULL) {
        count++;
    }
    (void)snprintf(dir, sizeof(dir), "/dev/shm/bb-lead-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    cr_assert_eq(sensor_options_parse(&opts, count, words, &fail), 0, "%s", fail.sentence);
    opts.dir = dir;
    opts.bus = "lead";
    opts.forked = true; /* who went before its ready is missing: its name says who it was */
}

static void
teardown(void)
{
    char command[96];

    sensor_lead_close(&lead);
    sensor_options_fini(&opts);
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    cr_expect_eq(system(command), 0); /* NOLINT(cert-env33-c): its argument is ours */
}

TestSuite(lead, .init = setup, .fini = teardown, .timeout = 60);

static bool
is_up(uint64_t id)
{
    const struct bb_cluster_node *node = sensor_members_find(&lead.node.members, id);

    return node != NULL && node->is_up != 0;
}

static void
serve_until(uint64_t id, bool up)
{
    int64_t end_ns = sensor_mono_ns() + INT64_C(20000000000);

    while (is_up(id) != up) {
        cr_assert_lt(sensor_mono_ns(), end_ns, "the member is not seen to %s", up ? "come" : "go");
        cr_assert_eq(sensor_lead_service(&lead, SLICE_NS), 0, "%s", lead.fail.sentence);
    }
}

/* A worker-1 comes and goes; with is_ready the leader has its id from elsewhere, as from the other box's list. */
static enum sensor_peer_state
after_a_worker_went(bool is_ready)
{
    struct bb_cluster *c = NULL;
    const struct bb_cluster_opts how = {
        .size = sizeof(how), .dir = dir, .bus = "lead", .name = "worker-1", .role = BB_ROLE_WORKER};
    uint64_t id;

    cr_assert_eq(sensor_lead_open(&lead, &opts), 0, "%s", lead.fail.sentence);
    cr_assert_eq(bb_cluster_join(&c, &how), 0);
    id = bb_endpoint_id(bb_cluster_endpoint(c));
    if (is_ready) {
        cr_assert(sensor_layout_ready(&lead.layout, BB_ROLE_WORKER, 0, "worker-1", id));
    }
    serve_until(id, true);
    earlier.ids[0] = id;
    bb_cluster_leave(c);
    serve_until(id, false);
    return lead.layout.peers[0].state;
}

Test(lead, misses_its_own)
{
    cr_assert_eq(after_a_worker_went(true), SENSOR_PEER_MISSING);
}

Test(lead, misses_its_own_also_before_its_ready)
{
    cr_assert_eq(after_a_worker_went(false), SENSOR_PEER_MISSING);
}

Test(lead, does_not_miss_one_from_before_the_start)
{
    earlier.pids[0] = getpid();
    earlier.count = 1;
    opts.earlier = &earlier;
    cr_assert_eq(after_a_worker_went(false), SENSOR_PEER_ABSENT);
}

/* A bus that was made anew counts ids anew. */
Test(lead, misses_its_own_that_has_the_id_of_one_from_before)
{
    earlier.pids[0] = getpid() + 1;
    earlier.count = 1;
    opts.earlier = &earlier;
    cr_assert_eq(after_a_worker_went(false), SENSOR_PEER_MISSING);
}

Test(lead, of_nodes_on_another_box_takes_no_word_about_ids_of_this_one)
{
    opts.box = SENSOR_ON_MANAGER;
    cr_assert_eq(after_a_worker_went(true), SENSOR_PEER_READY);
}
