/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: pools as Zeek's users know them: the black-box cases 85 to 87 of the cluster layer, each under its
 * number, as far as they need no bus; with Zeek's own winners for string keys.
 * Method: the public bb_hrw() and the pools' pure part.  Some rows stand here, made by a program of a few
 * lines that is not ours, so that a tree without Zeek's list of winners is tested too.
 */
#include "lib/cluster/pool.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(cluster_cases, .timeout = 60);

enum { NODES_MAX = 16, LINE_MAX_BYTES = 4096 };

static const struct bb_hrw_opts zeek = {.size = sizeof(zeek), .method = BB_HRW_ZEEK};
static const struct bb_hrw_opts keyed = {.size = sizeof(keyed), .seed = {7, 11}};

/* ---- words ------------------------------------------------------------------------------------------ */

struct nodes {
    struct bb_hrw_node v[NODES_MAX];
    size_t count;
};

/* "A,B,C", cut up in place; none of them alive. */
static struct nodes
nodes_of(char *list)
{
    struct nodes n = {0};
    char *rest = NULL;
    for (char *word = strtok_r(list, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        cr_assert_lt(n.count, (size_t)NODES_MAX);
        n.v[n.count++] = (struct bb_hrw_node){.name = word};
    }
    return n;
}

static void
set_alive(struct nodes *n, const char *name, uint32_t is_alive)
{
    for (size_t i = 0; i < n->count; i++) {
        if (strcmp(n->v[i].name, name) == 0) {
            n->v[i].is_alive = is_alive;
            return;
        }
    }
    cr_assert_fail("no node %s", name);
}

/* The owner's name; "" when nobody is alive. */
static const char *
owner(const struct nodes *n, const char *key, size_t key_bytes, const struct bb_hrw_opts *opts)
{
    uint32_t first = 0;
    int got = bb_hrw(n->v, n->count, key, key_bytes, opts, &first, 1);
    cr_assert_geq(got, 0, "%d", got);
    return got == 0 ? "" : n->v[first].name;
}

static void
expect_owner(const char *all, const char *live, const char *key, size_t key_bytes, const char *name)
{
    char all_copy[LINE_MAX_BYTES];
    char live_copy[LINE_MAX_BYTES];
    (void)snprintf(all_copy, sizeof(all_copy), "%s", all);
    (void)snprintf(live_copy, sizeof(live_copy), "%s", live);
    struct nodes n = nodes_of(all_copy);
    struct nodes up = nodes_of(live_copy);
    for (size_t i = 0; i < up.count; i++) {
        set_alive(&n, up.v[i].name, 1);
    }
    cr_assert_str_eq(owner(&n, key, key_bytes, &zeek), name, "all %s, live %s, key %s", all, live,
                     key);
}

/* ---- 85: the same node as Zeek ------------------------------------------------------------------------ */

Test(cluster_cases, case_85_zeeks_list_of_winners)
{
    char path[4096];
    char line[LINE_MAX_BYTES];
    unsigned rows = 0;
    const char *data = getenv("BB_DATA");
    if (data == NULL) {
        cr_skip_test("no BB_DATA: Zeek's list of winners is not here");
    }
    (void)snprintf(path, sizeof(path), "%s/broker/hrw.tsv", data);
    FILE *f = fopen(path, "re");
    cr_assert_not_null(f, "%s", path);
    while (fgets(line, sizeof(line), f) != NULL) {
        char *column[4];
        char *rest = line;
        line[strcspn(line, "\n")] = '\0';
        for (size_t i = 0; i < 4; i++) {
            column[i] = strsep(&rest, "\t");
            cr_assert_not_null(column[i], "row %u of %s", rows + 1, path);
        }
        expect_owner(column[0], column[1], column[2], strlen(column[2]), column[3]);
        rows++;
    }
    (void)fclose(f);
    cr_assert_eq(rows, 200);
}

Test(cluster_cases, case_85_own_rows)
{
    static const struct {
        const char *live, *key;
        size_t key_bytes;
        const char *owner;
    } rows[] = {
        {"proxy-1,proxy-2,proxy-3", "10.0.2.15", 9, "proxy-3"},
        {"proxy-1,proxy-2", "10.0.2.15", 9, "proxy-2"},
        {"proxy-1", "10.0.2.15", 9, "proxy-1"},
        {"proxy-1,proxy-2,proxy-3", "192.150.187.43", 14, "proxy-3"},
        {"proxy-1,proxy-2,proxy-3", "", 0, "proxy-1"},
        {"proxy-2,proxy-3", "", 0, "proxy-2"},
        {"proxy-1,proxy-2,proxy-3", "\0\377", 2, "proxy-3"},
        {"proxy-1,proxy-2,proxy-3", "example.org", 11, "proxy-1"},
        {"proxy-2,proxy-3", "example.org", 11, "proxy-3"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_owner("proxy-1,proxy-2,proxy-3", rows[i].live, rows[i].key, rows[i].key_bytes,
                     rows[i].owner);
    }
}

/* fnv1a32("worker-48148.0") = fnv1a32("worker-203020.0"): the later one of the pool becomes NAME.1. */
Test(cluster_cases, case_85_names_with_the_same_site_id)
{
    static const char *const two = "worker-48148,worker-203020";
    static const char *const swapped = "worker-203020,worker-48148";
    expect_owner(two, two, "10.0.2.0", 8, "worker-48148");
    expect_owner(swapped, swapped, "10.0.2.0", 8, "worker-203020");
    expect_owner(two, two, "10.0.2.1", 8, "worker-203020");
    expect_owner(swapped, swapped, "10.0.2.1", 8, "worker-48148");
    /* That it is the later one does not change when the earlier one is down. */
    expect_owner("worker-48148,worker-203020,c", "worker-203020,c", "10.0.3.2", 8, "worker-203020");
    expect_owner("worker-203020,c", "worker-203020,c", "10.0.3.2", 8, "c");
}

/* ---- 85: only the lost node's keys move, and they return ------------------------------------------------ */

static void
lose_each_once(const struct bb_hrw_opts *opts)
{
    enum { KEYS = 2000 };
    static const char *before[KEYS];
    char list[] = "a,b,c,d,e,f,g";
    struct nodes n = nodes_of(list);
    char key[32];
    for (size_t i = 0; i < n.count; i++) {
        n.v[i].is_alive = 1;
    }
    for (unsigned k = 0; k < KEYS; k++) {
        (void)snprintf(key, sizeof(key), "10.1.%u.%u", k / 256, k % 256);
        before[k] = owner(&n, key, strlen(key), opts);
    }
    for (size_t gone = 0; gone < n.count; gone++) {
        unsigned moved = 0;
        for (unsigned k = 0; k < KEYS; k++) {
            uint32_t order[2];
            (void)snprintf(key, sizeof(key), "10.1.%u.%u", k / 256, k % 256);
            cr_assert_eq(bb_hrw(n.v, n.count, key, strlen(key), opts, order, 2), 2);
            n.v[gone].is_alive = 0;
            const char *now = owner(&n, key, strlen(key), opts);
            n.v[gone].is_alive = 1;
            bool is_its = before[k] == n.v[gone].name;
            cr_assert_eq(now, is_its ? n.v[order[1]].name : before[k], "%s without %s", key,
                         n.v[gone].name);
            cr_assert_eq(owner(&n, key, strlen(key), opts), before[k], "%s is back", key);
            moved += is_its;
        }
        cr_assert_gt(moved, 0u, "%s owned nothing", n.v[gone].name);
    }
}

Test(cluster_cases, case_85_a_lost_nodes_keys_move_and_return)
{
    lose_each_once(&zeek);
    lose_each_once(&keyed);
}

/* ---- 86: nobody alive; round robin passes the dead --------------------------------------------------------- */

Test(cluster_cases, case_86_with_nobody_alive_there_is_no_owner)
{
    char list[] = "a,b,c";
    struct nodes n = nodes_of(list);
    cr_assert_str_eq(owner(&n, "key", 3, &zeek), "");
    cr_assert_str_eq(owner(&n, "key", 3, &keyed), "");
    n.count = 0;
    cr_assert_str_eq(owner(&n, "key", 3, &keyed), "");
}

Test(cluster_cases, case_86_round_robin_a_c_a_c)
{
    struct bbi_hrw hrw;
    struct bbi_pool_lack lack;
    static struct bbi_pool pool;
    struct bbi_pool *pools[] = {&pool};
    struct bbi_pool_node nodes[] = {
        {.name = "a", .role = BB_ROLE_PROXY, .is_expected = true, .is_up = true, .is_in = true},
        {.name = "b", .role = BB_ROLE_PROXY, .is_expected = true},
        {.name = "c", .role = BB_ROLE_PROXY, .is_expected = true, .is_up = true, .is_in = true},
    };
    cr_assert_eq(bbi_hrw_init(&hrw, BB_HRW_ZEEK, zeek.seed), 0);
    pool = (struct bbi_pool){.spec = {.name = "proxy", .role = BB_ROLE_PROXY}, .hrw = &hrw};
    cr_assert_eq(bbi_pools_seat(pools, 1, nodes, 3, &lack), 0);
    for (unsigned round = 0; round < 3; round++) {
        cr_assert_eq(bbi_pool_next(&pool, ""), 0u);
        cr_assert_eq(bbi_pool_next(&pool, ""), 2u);
    }
    nodes[0].is_up = nodes[2].is_up = false;
    cr_assert_eq(bbi_pools_seat(pools, 1, nodes, 3, &lack), 0);
    cr_assert_eq(bbi_pool_next(&pool, ""), BBI_HRW_NOBODY);
}

/* ---- 87: exclusive pools -------------------------------------------------------------------------------------- */

Test(cluster_cases, case_87_an_exclusive_pool_takes_its_nodes)
{
    struct bbi_hrw hrw;
    struct bbi_pool_lack lack;
    static struct bbi_pool all;
    static struct bbi_pool own;
    struct bbi_pool *pools[] = {&all, &own};
    struct bbi_pool_node nodes[] = {
        {.name = "proxy-1", .role = BB_ROLE_PROXY, .is_expected = true},
        {.name = "proxy-2", .role = BB_ROLE_PROXY, .is_expected = true},
        {.name = "proxy-3", .role = BB_ROLE_PROXY, .is_expected = true},
        {.name = "worker-1", .role = BB_ROLE_WORKER, .is_expected = true},
    };
    cr_assert_eq(bbi_hrw_init(&hrw, BB_HRW_KEYED, keyed.seed), 0);
    all = (struct bbi_pool){.spec = {.name = "proxy", .role = BB_ROLE_PROXY}, .hrw = &hrw};
    own = all;
    own.spec = (struct bbi_pool_spec){
        .name = "sumstats", .role = BB_ROLE_PROXY, .max_nodes = 2, .is_exclusive = true};

    cr_assert_eq(bbi_pools_seat(pools, 2, nodes, 4, &lack), 0);
    cr_assert(bbi_pool_has(&own, 0) && bbi_pool_has(&own, 1) && own.seat_count == 2);
    cr_assert(bbi_pool_has(&all, 2) && all.seat_count == 1);

    own.spec.max_nodes = 4;
    cr_assert_eq(bbi_pools_seat(pools, 2, nodes, 4, &lack), BB_ENOENT);
    cr_assert_eq(lack.role, (uint32_t)BB_ROLE_PROXY);
    cr_assert_eq(lack.wanted, 4u);
    cr_assert_eq(lack.have, 3u);
}
