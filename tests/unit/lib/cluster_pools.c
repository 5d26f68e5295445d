/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: who hears a pool's topic are the pool's nodes, before and after a seat changes hands.
 * Method: several handles of one process on a bus of its own.  That a node does not hear something is shown
 * by what it hears next from the same publisher, not by waiting.
 */
#include "busbar/busbar.h"
#include "busbar/cluster.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { PROXIES = 3 };

struct member {
    struct bb_cluster *c;
    struct bb_pool *few;
    char heard[64]; /* the payloads, one letter each */
};

static struct member proxies[PROXIES];
static struct bb_cluster *manager;

static struct bb_cluster *
join(const char *name, uint32_t role)
{
    struct bb_error error = {0};
    struct bb_cluster *c = NULL;
    const struct bb_cluster_opts o = {
        .size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name, .role = role, .error = &error};
    int rc = bb_cluster_join(&c, &o);
    cr_assert_eq(rc, 0, "%s: %s", bb_strerror(rc), error.sentence);
    return c;
}

static struct bb_pool *
add_few(struct bb_cluster *c, uint32_t is_exclusive)
{
    struct bb_pool *pool = NULL;
    const struct bb_pool_opts o = {.size = sizeof(o),
                                   .name = "few",
                                   .role = BB_ROLE_PROXY,
                                   .max_nodes = 2,
                                   .is_exclusive = is_exclusive};
    cr_assert_eq(bb_pool_register(c, &o, &pool), 0);
    return pool;
}

static void
start(uint32_t is_exclusive)
{
    static const char *const names[PROXIES] = {"p1", "p2", "p3"};
    manager = join("m", BB_ROLE_MANAGER);
    (void)add_few(manager, is_exclusive);
    for (size_t i = 0; i < PROXIES; i++) {
        proxies[i] = (struct member){.c = join(names[i], BB_ROLE_PROXY)};
        proxies[i].few = add_few(proxies[i].c, is_exclusive);
    }
}

static void
stop(void)
{
    for (size_t i = 0; i < PROXIES; i++) {
        bb_cluster_leave(proxies[i].c);
    }
    bb_cluster_leave(manager);
    bus_dir_remove();
}

static void
poll_one(struct bb_cluster *c, char heard[64])
{
    struct bb_msg msgs[8];
    int n = bb_cluster_poll(c, msgs, 8, 0);
    cr_assert_geq(n, 0, "%s", bb_strerror(n));
    for (int i = 0; i < n && heard != NULL; i++) {
        if (msgs[i].status == NULL) {
            (void)strncat(heard, msgs[i].data, 1);
        }
    }
    bb_release(bb_cluster_subscriber(c));
}

static void
poll_all(void)
{
    poll_one(manager, NULL);
    for (size_t i = 0; i < PROXIES; i++) {
        if (proxies[i].c != NULL) {
            poll_one(proxies[i].c, proxies[i].heard);
        }
    }
}

/* "p1 p2": the nodes of the pool that are up, as this member knows them. */
static const char *
up_in(const struct bb_pool *pool)
{
    static char text[256];
    struct bb_cluster_node nodes[8];
    int n = bb_pool_nodes(pool, nodes, 8);
    text[0] = '\0';
    for (int i = 0; i < n; i++) {
        if (nodes[i].is_in) {
            (void)strcat(strcat(text, text[0] != '\0' ? " " : ""), nodes[i].name);
        }
    }
    return text;
}

static void
poll_until_few_is(const char *wanted)
{
    int64_t deadline = bbi_os_mono_ns() + INT64_C(10000000000);
    bool is_done = false;
    while (!is_done) {
        cr_assert_lt(bbi_os_mono_ns(), deadline, "few does not become %s", wanted);
        poll_all();
        is_done = true;
        for (size_t i = 0; i < PROXIES; i++) {
            is_done &= proxies[i].c == NULL || strcmp(up_in(proxies[i].few), wanted) == 0;
        }
    }
}

static void
publish(int n, const char *topic, const char *letter)
{
    cr_assert_geq(n, 0);
    struct bb_publisher *pub = bb_cluster_publisher(manager);
    cr_assert_geq(bb_publish_to(pub, topic, (size_t)n, letter, 1, 0), 0);
    cr_assert_geq(bb_flush(pub), 0);
}

/* The letter to the pool, then "." to all proxies: so each knows when there was no letter for it. */
static void
tell_pool(const char *pool, const char *letter)
{
    char topic[128];
    int64_t deadline = bbi_os_mono_ns() + INT64_C(10000000000);
    size_t told = 0;
    for (size_t i = 0; i < PROXIES; i++) {
        proxies[i].heard[0] = '\0';
    }
    publish(bb_cluster_topic_pool(manager, pool, topic, sizeof(topic)), topic, letter);
    publish(bb_cluster_topic_class(manager, BB_ROLE_PROXY, topic, sizeof(topic)), topic, ".");
    while (told < PROXIES) {
        cr_assert_lt(bbi_os_mono_ns(), deadline);
        poll_all();
        told = 0;
        for (size_t i = 0; i < PROXIES; i++) {
            told += proxies[i].c == NULL || strchr(proxies[i].heard, '.') != NULL;
        }
    }
}

TestSuite(cluster_pools, .init = bus_dir_make, .timeout = 60);

Test(cluster_pools, its_nodes_hear_its_topic_and_no_others)
{
    start(0);
    poll_until_few_is("p1 p2");
    tell_pool("few", "a");
    cr_assert_str_eq(proxies[0].heard, "a.");
    cr_assert_str_eq(proxies[1].heard, "a.");
    cr_assert_str_eq(proxies[2].heard, ".");
    tell_pool("proxy", "b");
    for (size_t i = 0; i < PROXIES; i++) {
        cr_assert_str_eq(proxies[i].heard, "b.");
    }

    /* p1 goes, and p3 has its seat; it comes back, and has it again. */
    bb_cluster_leave(proxies[0].c);
    proxies[0].c = NULL;
    poll_until_few_is("p2 p3");
    tell_pool("few", "c");
    cr_assert_str_eq(proxies[1].heard, "c.");
    cr_assert_str_eq(proxies[2].heard, "c.");
    proxies[0].c = join("p1", BB_ROLE_PROXY);
    proxies[0].few = add_few(proxies[0].c, 0);
    poll_until_few_is("p1 p2");
    tell_pool("few", "d");
    cr_assert_str_eq(proxies[0].heard, "d.");
    cr_assert_str_eq(proxies[1].heard, "d.");
    cr_assert_str_eq(proxies[2].heard, ".");
    stop();
}

Test(cluster_pools, what_an_exclusive_one_took_is_no_others)
{
    start(1);
    poll_until_few_is("p1 p2");
    cr_assert_str_eq(up_in(bb_pool_find(manager, "proxy")), "p3");
    tell_pool("few", "a");
    cr_assert_str_eq(proxies[0].heard, "a.");
    cr_assert_str_eq(proxies[2].heard, ".");
    tell_pool("proxy", "b");
    cr_assert_str_eq(proxies[0].heard, ".");
    cr_assert_str_eq(proxies[1].heard, ".");
    cr_assert_str_eq(proxies[2].heard, "b.");
    stop();
}
