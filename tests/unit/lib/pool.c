/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: pools get their nodes as Zeek's do, from the nodes alone; turns go round the living; what a change
 * means for a node's keys is what the keys then do.
 * Method: lists of nodes written as words, `name[:flags]`; moves are compared with the owners of 2,000 keys.
 */
#include "lib/cluster/pool.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(pool, .timeout = 60);

enum { POOLS_MAX = 4, NODES_MAX = 16, KEYS = 2000 };

static struct bbi_hrw hrw;
static struct bbi_pool pool[POOLS_MAX];
static struct bbi_pool *pools[POOLS_MAX];
static size_t pool_count;
static struct bbi_pool_node nodes[NODES_MAX];
static size_t node_count;
static struct bbi_pool_lack lack;

static void
use(uint32_t method)
{
    static const uint64_t seed[2] = {21, 34};
    cr_assert_eq(bbi_hrw_init(&hrw, method, seed), 0);
    pool_count = node_count = 0;
}

static struct bbi_pool *
add_pool(const char *name, uint32_t role, uint32_t max_nodes, bool is_exclusive)
{
    struct bbi_pool *p = &pool[pool_count];
    memset(p, 0, sizeof(*p));
    p->spec = (struct bbi_pool_spec){name, role, max_nodes, is_exclusive};
    p->hrw = &hrw;
    pools[pool_count++] = p;
    return p;
}

/* Of the role that its first letter names; flags: e expected, u up, i in; weight behind them. */
static void
add_node(const char *name, const char *flags)
{
    const char *digits = flags + strspn(flags, "eui");
    nodes[node_count++] = (struct bbi_pool_node){
        .name = name,
        .role = name[0] == 'w' ? BB_ROLE_WORKER : BB_ROLE_PROXY,
        .weight = (uint32_t)strtoul(digits, NULL, 10),
        .is_expected = strchr(flags, 'e') != NULL,
        .is_up = strchr(flags, 'u') != NULL,
        .is_in = strchr(flags, 'i') != NULL,
    };
}

static void
seat(void)
{
    cr_assert_eq(bbi_pools_seat(pools, pool_count, nodes, node_count, &lack), 0);
}

/* "p1 p2": the seats, in their order. */
static const char *
seats(const struct bbi_pool *p)
{
    static char text[256];
    text[0] = '\0';
    for (uint32_t i = 0; i < p->seat_count; i++) {
        (void)strcat(text, i > 0 ? " " : "");
        (void)strcat(text, nodes[p->seats[i]].name);
    }
    return text;
}

/* ---- seats -------------------------------------------------------------------------------------------- */

Test(pool, has_the_nodes_of_its_role_by_name)
{
    use(BB_HRW_KEYED);
    struct bbi_pool *p = add_pool("proxy", BB_ROLE_PROXY, 0, false);
    add_node("p3", "e");
    add_node("w1", "eui");
    add_node("p1", "eui");
    add_node("p2", "e");
    seat();
    cr_assert_str_eq(seats(p), "p1 p2 p3");
    cr_assert_eq(p->live.count, 1u);
    cr_assert(bbi_pool_has(p, 0) && !bbi_pool_has(p, 1));
}

Test(pool, expected_nodes_sit_before_others_and_others_only_while_they_are_up)
{
    use(BB_HRW_KEYED);
    struct bbi_pool *p = add_pool("proxy", BB_ROLE_PROXY, 2, false);
    add_node("p0", "ui");
    add_node("p1", "e");
    add_node("p2", "");
    seat();
    cr_assert_str_eq(seats(p), "p1 p0");
    nodes[0].is_up = false;
    seat();
    cr_assert_str_eq(seats(p), "p1");
}

Test(pool, a_node_that_drains_or_is_held_down_keeps_its_seat)
{
    use(BB_HRW_KEYED);
    struct bbi_pool *p = add_pool("proxy", BB_ROLE_PROXY, 1, false);
    add_node("p1", "u");
    add_node("p2", "ui");
    seat();
    cr_assert_str_eq(seats(p), "p1");
    cr_assert_eq(bbi_pool_owner(p, "k", 1, 0), BBI_HRW_NOBODY);
}

Test(pool, exclusive_ones_come_first_and_the_rest_share_in_turns)
{
    use(BB_HRW_KEYED);
    struct bbi_pool *c = add_pool("c", BB_ROLE_PROXY, 2, false);
    struct bbi_pool *x = add_pool("x", BB_ROLE_PROXY, 2, true);
    struct bbi_pool *a = add_pool("a", BB_ROLE_PROXY, 2, false);
    struct bbi_pool *b = add_pool("b", BB_ROLE_PROXY, 0, false);
    add_node("p1", "e");
    add_node("p2", "e");
    add_node("p3", "e");
    add_node("p4", "e");
    add_node("p5", "e");
    seat();
    cr_assert(pools[0] == a && pools[1] == b && pools[2] == c && pools[3] == x, "by name");
    cr_assert_str_eq(seats(x), "p1 p2");
    cr_assert_str_eq(seats(a), "p3 p4");
    cr_assert_str_eq(seats(b), "p5 p3 p4");
    cr_assert_str_eq(seats(c), "p5 p3");
}

Test(pool, exclusive_ones_of_one_role_are_counted_together)
{
    use(BB_HRW_KEYED);
    add_pool("x", BB_ROLE_PROXY, 2, true);
    add_pool("w", BB_ROLE_WORKER, 1, true);
    add_pool("y", BB_ROLE_PROXY, 2, true);
    add_node("p1", "e");
    add_node("p2", "e");
    add_node("p3", "e");
    add_node("p4", "ui");
    add_node("w1", "e");
    cr_assert_eq(bbi_pools_seat(pools, pool_count, nodes, node_count, &lack), BB_ENOENT);
    cr_assert(lack.role == BB_ROLE_PROXY && lack.wanted == 4 && lack.have == 3);
    nodes[3].is_expected = true;
    seat();
    pools[0]->spec.max_nodes = UINT32_MAX;
    pools[2]->spec.max_nodes = UINT32_MAX;
    cr_assert_eq(bbi_pools_seat(pools, pool_count, nodes, node_count, &lack), BB_ENOENT);
}

Test(pool, without_a_layout_exclusive_ones_take_what_comes)
{
    use(BB_HRW_KEYED);
    struct bbi_pool *x = add_pool("x", BB_ROLE_PROXY, 2, true);
    struct bbi_pool *all = add_pool("proxy", BB_ROLE_PROXY, 0, false);
    seat();
    cr_assert(x->seat_count == 0 && all->seat_count == 0);
    add_node("p2", "ui");
    seat();
    cr_assert_str_eq(seats(x), "p2");
    cr_assert_str_eq(seats(all), "");
    add_node("p1", "ui");
    add_node("p3", "ui");
    seat();
    cr_assert_str_eq(seats(x), "p1 p2");
    cr_assert_str_eq(seats(all), "p3");
}

Test(pool, alone_one_node_is_all_of_every_pool)
{
    use(BB_HRW_ZEEK);
    struct bbi_pool *p = add_pool("proxy", BB_ROLE_PROXY, 0, false);
    struct bbi_pool *w = add_pool("worker", BB_ROLE_WORKER, 3, true);
    cr_assert_eq(bbi_pools_seat_alone(pools, pool_count, "me", 7), 0);
    cr_assert(bbi_pool_owner(p, "k", 1, 0) == 7 && bbi_pool_next(w, "") == 7);
    cr_assert_eq(bbi_pool_next(w, ""), 7u);
    cr_assert_eq(bbi_pool_owner(p, "k", 1, 1), BBI_HRW_NOBODY);
    cr_assert_eq(bbi_pools_seat_alone(pools, pool_count, "", 7), BB_EINVAL);
}

/* From a newer process perhaps: it takes nobody's place. */
Test(pool, a_node_of_an_unknown_role_has_no_seat)
{
    use(BB_HRW_KEYED);
    struct bbi_pool *p = add_pool("proxy", BB_ROLE_PROXY, 0, false);
    add_node("p1", "eui");
    add_node("p2", "eui");
    nodes[1].role = UINT32_MAX;
    seat();
    cr_assert_str_eq(seats(p), "p1");
}

Test(pool, what_is_refused_changes_nothing)
{
    static struct bbi_pool_node many[BBI_HRW_NODES_MAX + 1];
    use(BB_HRW_KEYED);
    struct bbi_pool *p = add_pool("proxy", BB_ROLE_PROXY, 0, false);
    add_node("p1", "eui");
    seat();
    add_node("p1", "eui");
    cr_assert_eq(bbi_pools_seat(pools, 1, nodes, 2, &lack), BB_EINVAL, "a name twice");
    nodes[1].name = "p2";
    nodes[1].weight = 256;
    cr_assert_eq(bbi_pools_seat(pools, 1, nodes, 2, &lack), BB_EINVAL, "weight");
    nodes[1].weight = 0;
    cr_assert_eq(bbi_pools_seat(pools, 1, many, BBI_HRW_NODES_MAX + 1, &lack), BB_ENOMEM);
    add_pool("x", BB_ROLE_NONE, 1, false);
    cr_assert_eq(bbi_pools_seat(pools, 2, nodes, 2, &lack), BB_EINVAL, "role of a pool");
    pools[1]->spec = (struct bbi_pool_spec){"x", BB_ROLE_PROXY, 0, true};
    cr_assert_eq(bbi_pools_seat(pools, 2, nodes, 2, &lack), BB_EINVAL, "all for itself");
    cr_assert_str_eq(seats(p), "p1");
    cr_assert_eq(p->live.count, 1u);
}

/* ---- owners and turns --------------------------------------------------------------------------------- */

Test(pool, a_rank_is_the_owner_when_those_before_are_gone)
{
    char key[16];
    use(BB_HRW_KEYED);
    struct bbi_pool *p = add_pool("proxy", BB_ROLE_PROXY, 0, false);
    add_node("p1", "eui");
    add_node("p2", "eui8");
    add_node("p3", "eui");
    add_node("p4", "eui40");
    for (unsigned k = 0; k < 50; k++) {
        int bytes = snprintf(key, sizeof(key), "key-%u", k);
        uint32_t by_rank[4];
        for (uint32_t i = 0; i < node_count; i++) {
            nodes[i].is_up = true;
        }
        seat();
        for (uint32_t rank = 0; rank < 4; rank++) {
            by_rank[rank] = bbi_pool_owner(p, key, (size_t)bytes, rank);
        }
        cr_assert_eq(bbi_pool_owner(p, key, (size_t)bytes, 4), BBI_HRW_NOBODY);
        for (uint32_t rank = 0; rank < 4; rank++) {
            cr_assert_eq(bbi_pool_owner(p, key, (size_t)bytes, 0), by_rank[rank]);
            nodes[by_rank[rank]].is_up = false;
            seat();
        }
        cr_assert_eq(bbi_pool_owner(p, key, (size_t)bytes, 0), BBI_HRW_NOBODY);
    }
}

Test(pool, each_key_goes_its_own_round)
{
    use(BB_HRW_KEYED);
    struct bbi_pool *p = add_pool("proxy", BB_ROLE_PROXY, 0, false);
    add_node("p1", "eui");
    add_node("p2", "eui");
    add_node("p3", "eui");
    seat();
    cr_assert_eq(bbi_pool_next(p, "a"), 0u);
    cr_assert_eq(bbi_pool_next(p, "a"), 1u);
    cr_assert_eq(bbi_pool_next(p, ""), 0u);
    cr_assert_eq(bbi_pool_next(p, "a"), 2u);
    cr_assert_eq(bbi_pool_next(p, "a"), 0u);
    cr_assert_eq(bbi_pool_next(p, ""), 1u);
    /* A node that dies is passed, and a round goes on from where it was. */
    nodes[2].is_up = false;
    seat();
    cr_assert_eq(bbi_pool_next(p, ""), 0u);
    nodes[2].is_up = true;
    seat();
    cr_assert_eq(bbi_pool_next(p, "a"), 1u);
    cr_assert_eq(bbi_pool_next(p, "a"), 2u);
}

Test(pool, nobody_has_a_turn_in_an_empty_pool)
{
    use(BB_HRW_KEYED);
    struct bbi_pool *p = add_pool("proxy", BB_ROLE_PROXY, 0, false);
    seat();
    cr_assert_eq(bbi_pool_next(p, ""), BBI_HRW_NOBODY);
}

Test(pool, with_more_keys_than_turns_shares_stay_even)
{
    enum { MANY = 10 * BBI_POOL_TURNS, ROUNDS = 6 };
    uint32_t had[3] = {0};
    char key[16];
    use(BB_HRW_KEYED);
    struct bbi_pool *p = add_pool("proxy", BB_ROLE_PROXY, 0, false);
    add_node("p1", "eui");
    add_node("p2", "eui");
    add_node("p3", "eui");
    seat();
    for (unsigned k = 0; k < BBI_POOL_TURNS; k++) {
        (void)snprintf(key, sizeof(key), "%u", k);
        cr_assert_eq(bbi_pool_next(p, key), 0u, "key %u has a turn of its own", k);
    }
    for (unsigned i = 0; i < ROUNDS * MANY; i++) {
        (void)snprintf(key, sizeof(key), "%u", i % MANY);
        had[bbi_pool_next(p, key)]++;
    }
    /* Each turn is off by less than one from even. */
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_leq(labs((long)had[i] - ROUNDS * MANY / 3), (long)BBI_POOL_TURNS, "%u", had[i]);
    }
}

/* ---- whose keys move ------------------------------------------------------------------------------------- */

static uint32_t owners[2][KEYS]; /* before, now */

static void
note_owners(const struct bbi_pool *p, size_t when)
{
    char key[16];
    for (unsigned k = 0; k < KEYS; k++) {
        int bytes = snprintf(key, sizeof(key), "%u", k);
        owners[when][k] = bbi_pool_owner(p, key, (size_t)bytes, 0);
    }
}

/* said[a][b]: node a is told that keys went to b, or node b that they came from a. */
enum { AT_THE_OLD_OWNER = 1, AT_THE_NEW_OWNER = 2 };
static unsigned said[NODES_MAX][NODES_MAX];

static void
note_said(const struct bbi_pool *p)
{
    memset(said, 0, sizeof(said));
    for (uint32_t self = 0; self < node_count; self++) {
        struct bbi_pool_move move;
        uint32_t pos = 0;
        while (bbi_pool_moves(p, self, &pos, &move)) {
            unsigned *at = move.came ? &said[move.other][self] : &said[self][move.other];
            unsigned who = move.came ? AT_THE_NEW_OWNER : AT_THE_OLD_OWNER;
            cr_assert_eq(*at & who, 0u, "%s is told twice of %s", nodes[self].name,
                         nodes[move.other].name);
            *at |= who;
        }
    }
}

/* Both sides of every move are told, and nobody else: each pair of nodes is compared with what keys did. */
static void
change_and_compare(const struct bbi_pool *p)
{
    unsigned went[NODES_MAX][NODES_MAX] = {{0}};
    seat();
    note_said(p);
    note_owners(p, 1);
    for (unsigned k = 0; k < KEYS; k++) {
        uint32_t from = owners[0][k];
        uint32_t to = owners[1][k];
        if (from != to && from != BBI_HRW_NOBODY && to != BBI_HRW_NOBODY) {
            went[from][to]++;
        }
    }
    for (size_t from = 0; from < node_count; from++) {
        for (size_t to = 0; to < node_count; to++) {
            unsigned both = AT_THE_OLD_OWNER | AT_THE_NEW_OWNER;
            cr_assert_eq(said[from][to], went[from][to] > 0 ? both : 0u, "%u keys from %s to %s",
                         went[from][to], nodes[from].name, nodes[to].name);
        }
    }
    memcpy(owners[0], owners[1], sizeof(owners[0]));
}

Test(pool, moves_are_what_keys_do)
{
    use(BB_HRW_KEYED);
    struct bbi_pool *p = add_pool("proxy", BB_ROLE_PROXY, 4, false);
    add_node("p1", "e");
    add_node("p2", "eui");
    add_node("p3", "eui");
    add_node("p4", "eui");
    add_node("p5", "ui");
    add_node("w1", "eui");
    seat();
    note_owners(p, 0);
    nodes[2].is_up = false; /* a loss */
    change_and_compare(p);
    nodes[2].is_up = true; /* a return */
    change_and_compare(p);
    nodes[3].is_in = false; /* a drain */
    change_and_compare(p);
    nodes[0].is_up = nodes[0].is_in = true; /* the first start of one that was expected */
    change_and_compare(p);
    nodes[0].weight = 64; /* more weight */
    change_and_compare(p);
    nodes[1].weight = 4; /* less */
    change_and_compare(p);
    nodes[0].is_expected = false; /* its seat goes to another one */
    nodes[0].is_up = false;
    change_and_compare(p);
    nodes[1].is_up = nodes[2].is_up = nodes[4].is_up = false; /* the last ones */
    change_and_compare(p);
    nodes[1].is_up = true; /* the first one again: nobody's keys come to it */
    change_and_compare(p);
}

Test(pool, no_change_moves_nothing)
{
    use(BB_HRW_ZEEK);
    struct bbi_pool *p = add_pool("proxy", BB_ROLE_PROXY, 0, false);
    struct bbi_pool_move move;
    uint32_t pos = 0;
    add_node("p1", "eui");
    add_node("p2", "eui");
    seat();
    nodes[1].weight = 99; /* Zeek's method knows no weights */
    seat();
    cr_assert_not(bbi_pool_moves(p, 0, &pos, &move));
    cr_assert_eq(bbi_pool_owner(p, "", 0, 0) < 2, true);
}

Test(pool, who_has_no_seat_is_told_nothing)
{
    use(BB_HRW_KEYED);
    struct bbi_pool *p = add_pool("proxy", BB_ROLE_PROXY, 0, false);
    struct bbi_pool_move move;
    uint32_t pos = 0;
    add_node("p1", "eui");
    add_node("p2", "eui");
    add_node("w1", "eui");
    seat();
    nodes[1].is_up = false;
    seat();
    cr_assert_not(bbi_pool_moves(p, 2, &pos, &move));
    pos = 0;
    cr_assert_not(bbi_pool_moves(p, UINT32_MAX, &pos, &move));
    pos = 0;
    cr_assert(bbi_pool_moves(p, 0, &pos, &move) && move.other == 1 && move.came);
    cr_assert_not(bbi_pool_moves(p, 0, &pos, &move));
}
