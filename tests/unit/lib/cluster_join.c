/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: join, changes, leave as one process sees them.
 * Method: several handles of one process on a bus of its own; polled in turn, with a deadline.
 */
#include "busbar/busbar.h"
#include "busbar/cluster.h"
#include "lib/cluster/cluster_impl.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bb_cluster *
join(const char *name, uint32_t role, const struct bb_cluster_opts *more)
{
    struct bb_error error = {0};
    struct bb_cluster_opts o = more != NULL ? *more : (struct bb_cluster_opts){0};
    struct bb_cluster *c = NULL;
    o.size = sizeof(o);
    o.dir = bus_dir;
    o.bus = "b";
    o.name = name;
    o.role = role;
    o.error = &error;
    int rc = bb_cluster_join(&c, &o);
    cr_assert_eq(rc, 0, "%s: %s", bb_strerror(rc), error.sentence);
    return c;
}

/* Polls until a message or status that `wants` names came; its fields in words. */
static void
poll_for(struct bb_cluster *c, const char *wanted)
{
    int64_t deadline = bbi_os_mono_ns() + INT64_C(10000000000);
    char log[1024] = "";
    while (bbi_os_mono_ns() < deadline) {
        struct bb_msg m;
        char line[128];
        int n = bb_cluster_poll(c, &m, 1, INT64_C(100000000));
        cr_assert_geq(n, 0, "%s", bb_strerror(n));
        if (n == 0) {
            continue;
        }
        if (m.status != NULL) {
            (void)snprintf(line, sizeof(line), "%s %s %d",
                           m.status->kind == BB_STATUS_NODE_UP           ? "up"
                           : m.status->kind == BB_STATUS_NODE_DOWN       ? "down"
                           : m.status->kind == BB_STATUS_NODE_IN         ? "in"
                           : m.status->kind == BB_STATUS_NODE_OUT        ? "out"
                           : m.status->kind == BB_STATUS_LAYOUT_COMPLETE ? "complete"
                           : m.status->kind == BB_STATUS_NODE_REFUSED    ? "refused"
                                                                         : "status",
                           m.node, (int)m.status->count);
        } else {
            (void)snprintf(line, sizeof(line), "%.*s: %.*s", (int)m.topic_bytes, m.topic,
                           (int)m.bytes, (const char *)m.data);
        }
        cr_assert_str_eq(line, wanted, "after %s", log);
        return;
    }
    cr_assert_fail("'%s' did not come", wanted);
}

TestSuite(cluster_join, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

Test(cluster_join, two_nodes_see_the_same)
{
    struct bb_cluster *a = join("worker-1", BB_ROLE_WORKER, NULL);
    poll_for(a, "up worker-1 0");
    poll_for(a, "in worker-1 16");
    struct bb_cluster *b = join("worker-10", BB_ROLE_WORKER, NULL);
    poll_for(b, "up worker-1 0");
    poll_for(b, "in worker-1 16");
    poll_for(b, "up worker-10 0");
    poll_for(b, "in worker-10 16");
    cr_assert_eq(bb_cluster_publish(b, "cluster/worker", "hello", 5, 0), 0);
    poll_for(a, "up worker-10 0");
    poll_for(a, "in worker-10 16");
    poll_for(a, "cluster/worker: hello");
    cr_assert_eq(bb_cluster_publish(b, "cluster/node/worker-1/", "you", 3, 0), 0);
    poll_for(a, "cluster/node/worker-1/: you");
    cr_assert_eq(bb_cluster_drain(b, 1), 0);
    poll_for(a, "out worker-10 0");
    bb_cluster_leave(b);
    poll_for(a, "down worker-10 1");
    bb_cluster_leave(a);
}
