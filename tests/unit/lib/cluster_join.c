/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: join, changes, leave as one process sees them.
 * Method: several handles of one process on a bus of its own; polled in turn, with a deadline.
 */
#include "busbar/busbar.h"
#include "busbar/cluster.h"
#include "lib/cluster/pools.h"
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
    while (bbi_os_mono_ns() < deadline) {
        struct bb_msg m;
        char line[128];
        int n = bb_cluster_poll(c, &m, 1, INT64_C(100000000));
        cr_assert_geq(n, 0, "%s", bb_strerror(n));
        if (n == 0 || (m.status != NULL && m.status->kind < BB_STATUS_NODE_UP)) {
            continue; /* of rings: evicted, overrun */
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
        cr_assert_str_eq(line, wanted, "'%s' came, not '%s'", line, wanted);
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

/* ---- hold-down, drain, weights ---- */

static int64_t fake_now_ns;

static int64_t
fake_now(void)
{
    return fake_now_ns;
}

Test(cluster_join, hold_down_is_by_the_clock)
{
    const struct bb_cluster_opts held = {.hold_down_ns = 5000000000, .weight = 40};
    struct bb_cluster *a = join("worker-1", BB_ROLE_WORKER, &held);
    struct bb_pool *pool = bb_pool_find(a, "worker");
    struct bb_msg m;
    const char *owner;
    fake_now_ns = a->up_since_ns + 4999999999;
    a->now_ns = fake_now;
    poll_for(a, "up worker-1 0");
    cr_assert_eq(bb_cluster_poll(a, &m, 1, 0), 0);
    cr_assert_eq(bb_pool_where(pool, "k", 1, 0, &owner), BB_ENOENT);
    fake_now_ns++;
    poll_for(a, "in worker-1 40");
    cr_assert_eq(bb_pool_where(pool, "k", 1, 0, &owner), 0);
    cr_assert_str_eq(owner, "worker-1");
    a->now_ns = bbi_os_mono_ns;
    bb_cluster_leave(a);
}

static struct bb_fate fates[16];
static char fate_others[16][BB_NAME_MAX + 1];
static size_t fate_count;

static void
note_fate(const struct bb_fate *fate, void *user)
{
    cr_assert_eq(user, (void *)fates);
    if (strcmp(bb_pool_name(fate->pool), "worker") == 0 && fate_count < 16) {
        (void)strcpy(fate_others[fate_count], fate->other);
        fates[fate_count++] = *fate;
    }
}

Test(cluster_join, drain_moves_keys_and_says_whose)
{
    const struct bb_cluster_opts o = {.fate = note_fate, .user = fates};
    struct bb_cluster *a = join("worker-1", BB_ROLE_WORKER, &o);
    struct bb_cluster *b = join("worker-2", BB_ROLE_WORKER, NULL);
    struct bb_pool *pool = bb_pool_find(a, "worker");
    struct bb_cluster_node nodes[4];
    const char *owner;
    poll_for(a, "up worker-1 0");
    poll_for(a, "in worker-1 16");
    poll_for(a, "up worker-2 0");
    poll_for(a, "in worker-2 16");
    cr_assert_eq(fate_count, 1);
    cr_assert_eq(fates[0].came, 0, "some keys go to the one that came");
    cr_assert_str_eq(fate_others[0], "worker-2");
    cr_assert_eq(bb_cluster_drain(b, 1), 0);
    cr_assert_eq(bb_cluster_drain(b, 1), 0, "twice is once");
    poll_for(a, "out worker-2 0");
    cr_assert_eq(fate_count, 2);
    cr_assert_eq(fates[1].came, 1);
    cr_assert_str_eq(fate_others[1], "worker-2");
    for (uint32_t k = 0; k < 100; k++) {
        cr_assert_eq(bb_pool_where(pool, &k, sizeof(k), 0, &owner), 0);
        cr_assert_str_eq(owner, "worker-1");
        cr_assert_eq(bb_pool_next(pool, "", &owner), 0);
        cr_assert_str_eq(owner, "worker-1");
    }
    cr_assert_eq(bb_pool_nodes(pool, nodes, 4), 2);
    cr_assert_eq(nodes[1].is_up, 1);
    cr_assert_eq(nodes[1].is_in, 0);
    cr_assert_eq(bb_cluster_drain(b, 0), 0);
    poll_for(a, "in worker-2 16");
    cr_assert_eq(fate_count, 3);
    bb_cluster_leave(b);
    poll_for(a, "down worker-2 1");
    cr_assert_eq(fate_count, 4);
    cr_assert_eq(fates[3].came, 1);
    bb_cluster_leave(a);
}

Test(cluster_join, owner_gets_it_also_when_it_is_ourselves)
{
    struct bb_cluster *a = join("proxy-1", BB_ROLE_PROXY, NULL);
    struct bb_pool *pool = bb_pool_find(a, "proxy");
    cr_assert_eq(bb_cluster_publish_hrw(pool, "k", 1, "mine", 4, 0), BB_ENOENT, "not in yet");
    poll_for(a, "up proxy-1 0");
    poll_for(a, "in proxy-1 16");
    cr_assert_eq(bb_cluster_publish_hrw(pool, "k", 1, "mine", 4, 0), 0);
    poll_for(a, "cluster/node/proxy-1/: mine");
    cr_assert_eq(bb_cluster_publish_rr(pool, "", "mine too", 8, 0), 0);
    poll_for(a, "cluster/node/proxy-1/: mine too");
    cr_assert_eq(bb_cluster_publish_hrw(bb_pool_find(a, "worker"), "k", 1, "x", 1, 0), BB_ENOENT);
    cr_assert_null(bb_pool_find(a, "nobody"));
    bb_cluster_leave(a);
}

Test(cluster_join, registered_pools)
{
    static const struct bb_layout_node layout[] = {
        {"proxy-1", BB_ROLE_PROXY}, {"proxy-2", BB_ROLE_PROXY}, {"worker-1", BB_ROLE_WORKER}};
    const struct bb_cluster_opts o = {.layout = layout, .layout_count = 3};
    struct bb_error error = {0};
    struct bb_cluster_node nodes[4];
    struct bb_cluster *a = join("proxy-1", BB_ROLE_PROXY, &o);
    struct bb_pool *one, *two = NULL;
    struct bb_pool_opts p = {.size = sizeof(p),
                             .name = "hosts",
                             .role = BB_ROLE_PROXY,
                             .max_nodes = 1,
                             .is_exclusive = 1,
                             .error = &error};
    cr_assert_eq(bb_pool_register(a, &p, &one), 0, "%s", error.sentence);
    cr_assert_eq(bb_pool_nodes(one, nodes, 4), 1);
    cr_assert_str_eq(nodes[0].name, "proxy-1");
    cr_assert_eq(bb_pool_nodes(bb_pool_find(a, "proxy"), nodes, 4), 1);
    cr_assert_str_eq(nodes[0].name, "proxy-2");
    cr_assert_eq(bb_pool_register(a, &p, &two), BB_EEXIST);
    p.name = "more";
    p.max_nodes = 2;
    cr_assert_eq(bb_pool_register(a, &p, &two), BB_ENOENT);
    cr_assert_neq(strstr(error.sentence, "3 nodes"), NULL, "%s", error.sentence);
    cr_assert_null(bb_pool_find(a, "more"));
    cr_assert_null(two);
    cr_assert_eq(bb_pool_find(a, "hosts"), one);
    bb_cluster_leave(a);
}

/* ---- looking ---- */

static struct bb_look *
look_new(void)
{
    struct bb_look *look = NULL;
    const struct bb_look_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b"};
    cr_assert_eq(bb_look_open(&look, &o), 0);
    return look;
}

Test(cluster_join, looking_needs_nobody)
{
    struct bb_cluster *a = join("worker-2", BB_ROLE_WORKER, NULL);
    struct bb_cluster *b = join("worker-1", BB_ROLE_WORKER, NULL);
    struct bb_look *look = look_new();
    struct bb_cluster_node nodes[4];
    struct bb_change changes[16];
    struct bb_hrw_opts hashing, again;
    uint64_t epoch = 0, first = 9;
    cr_assert_eq(bb_look_cluster(look, nodes, 4, &epoch), 2);
    cr_assert_eq(epoch, 4);
    cr_assert_str_eq(nodes[0].name, "worker-1");
    cr_assert_eq(nodes[0].is_up, 1);
    cr_assert_eq(nodes[0].is_in, 1);
    cr_assert_eq(nodes[0].starts, 1);
    cr_assert_eq(nodes[0].pid, getpid());
    cr_assert_gt(nodes[0].change_wall_ns, 0);
    cr_assert_eq(bb_cluster_hashing(look, &hashing), 0);
    cr_assert_eq(hashing.method, (uint32_t)BB_HRW_KEYED);
    cr_assert_neq(hashing.seed[0], hashing.seed[1]);
    bb_cluster_leave(b);
    cr_assert_eq(bb_look_cluster(look, nodes, 4, &epoch), 2);
    cr_assert_eq(nodes[0].is_up, 0);
    cr_assert_eq(bb_look_changes(look, 0, changes, 16, &first), 5);
    cr_assert_eq(first, 0);
    cr_assert_eq(changes[4].kind, (uint32_t)BB_STATUS_NODE_DOWN);
    cr_assert_str_eq(changes[4].name, "worker-1", "also when it is gone");
    cr_assert_eq(bb_look_changes(look, 3, changes, 1, NULL), 1);
    cr_assert_eq(changes[0].kind, (uint32_t)BB_STATUS_NODE_IN);
    cr_assert_eq(bb_look_changes(look, 5, changes, 16, NULL), 0);
    bb_cluster_leave(a);
    cr_assert_eq(bb_cluster_hashing(look, &again), 0);
    cr_assert_eq(again.seed[0], hashing.seed[0]);
    bb_look_close(look);
}

Test(cluster_join, nobody_ever_joined)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b"};
    struct bb_hrw_opts hashing;
    uint64_t epoch = 7;
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    struct bb_look *look = look_new();
    cr_assert_eq(bb_look_cluster(look, NULL, 0, &epoch), 0);
    cr_assert_eq(bb_look_changes(look, 0, NULL, 0, NULL), 0);
    cr_assert_eq(bb_cluster_hashing(look, &hashing), BB_ENOENT);
    bb_look_close(look);
    bb_endpoint_close(ep);
}

/* One that hashed differently would give the same key to another owner. */
Test(cluster_join, all_hash_alike)
{
    struct bb_error error = {0};
    struct bb_cluster *first = join("worker-1", BB_ROLE_WORKER, NULL), *other = NULL;
    struct bb_cluster_opts o = {.size = sizeof(o),
                                .dir = bus_dir,
                                .bus = "b",
                                .name = "worker-2",
                                .role = BB_ROLE_WORKER,
                                .hrw = BB_HRW_ZEEK,
                                .error = &error};
    struct bb_hrw_opts hashing;
    struct bb_msg m;
    struct bb_look *look = look_new();
    cr_assert_eq(bb_cluster_hashing(look, &hashing), 0);
    cr_assert_eq(hashing.method, (uint32_t)BB_HRW_KEYED);
    cr_assert_eq(bb_cluster_join(&other, &o), 0, "%s", error.sentence);
    cr_assert_eq(bb_cluster_hashing(look, &hashing), 0);
    cr_assert_eq(hashing.method, (uint32_t)BB_HRW_ZEEK);
    for (int i = 0; i < 100 && first->pools->hrw.method != BB_HRW_ZEEK; i++) {
        cr_assert_geq(bb_cluster_poll(first, &m, 1, 50000000), 0);
    }
    cr_assert_eq(first->pools->hrw.method, (uint32_t)BB_HRW_ZEEK, "with the other's UP");
    cr_assert_eq(other->pools->hrw.method, (uint32_t)BB_HRW_ZEEK);
    bb_look_close(look);
    bb_cluster_leave(other);
    bb_cluster_leave(first);
}

/* More changes than the roll holds: who lives through them is still there for who comes after. */
Test(cluster_join, the_living_are_said_anew)
{
    struct bb_cluster *a = join("worker-1", BB_ROLE_WORKER, NULL);
    struct bb_cluster *b = join("worker-2", BB_ROLE_WORKER, NULL);
    struct bb_msg m;
    for (int i = 0; i < BBI_ROLL_CHANGES; i++) {
        cr_assert_eq(bb_cluster_drain(b, i % 2 == 0), 0);
        if (i % 500 == 0) {
            a->looked_ns = 0; /* it is time to look */
        }
        while (bb_cluster_poll(a, &m, 1, 0) > 0) {
        }
        while (bb_cluster_poll(b, &m, 1, 0) > 0) {
        }
    }
    struct bb_cluster *c = join("worker-3", BB_ROLE_WORKER, NULL);
    char seen[3][32] = {"", "", ""};
    for (int n = 0; n < 3;) {
        if (bb_cluster_poll(c, &m, 1, 0) == 1 && m.status != NULL
            && m.status->kind == BB_STATUS_NODE_UP) {
            (void)snprintf(seen[n++], sizeof(seen[0]), "%s", m.node);
        }
    }
    cr_assert_str_eq(seen[2], "worker-3");
    cr_assert_neq(strcmp(seen[0], seen[1]), 0);
    struct bb_pool *pool = bb_pool_find(c, "worker");
    const char *owner;
    while (bb_pool_where(pool, "k", 1, 2, &owner) != 0) { /* all three are in */
        cr_assert_geq(bb_cluster_poll(c, &m, 1, 0), 0);
    }
    bb_cluster_leave(c);
    bb_cluster_leave(b);
    bb_cluster_leave(a);
}

/* Who slept while a whole roll passed is told what is different, and of nobody twice. */
Test(cluster_join, a_whole_roll_was_missed)
{
    struct bb_cluster *a = join("worker-1", BB_ROLE_WORKER, NULL);
    struct bb_cluster *b = join("worker-2", BB_ROLE_WORKER, NULL);
    struct bb_cluster *gone = join("worker-3", BB_ROLE_WORKER, NULL);
    struct bb_msg m;
    poll_for(a, "up worker-1 0");
    poll_for(a, "in worker-1 16");
    poll_for(a, "up worker-2 0");
    poll_for(a, "in worker-2 16");
    poll_for(a, "up worker-3 0");
    poll_for(a, "in worker-3 16");
    bb_cluster_leave(gone);
    for (int i = 0; i <= BBI_ROLL_CHANGES; i++) {
        cr_assert_eq(bb_cluster_drain(b, i % 2 == 0), 0);
        b->looked_ns = i % 500 == 0 ? 0 : b->looked_ns;
        while (bb_cluster_poll(b, &m, 1, 0) > 0) {
        }
    }
    struct bb_cluster *c = join("worker-4", BB_ROLE_WORKER, NULL);
    poll_for(a, "out worker-2 0");
    poll_for(a, "down worker-3 1");
    poll_for(a, "up worker-4 0");
    poll_for(a, "in worker-4 16");
    cr_assert_gt(a->lost_changes, 0);
    cr_assert_eq(bb_cluster_epoch(a), bb_cluster_epoch(b) + 2, "b has not read the last two");
    bb_cluster_leave(c);
    poll_for(a, "down worker-4 1");
    bb_cluster_leave(b);
    bb_cluster_leave(a);
}
