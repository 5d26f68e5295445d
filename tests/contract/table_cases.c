/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: shared tables, and Broker's case 92: changes of one node appear on the others, in batches of a bounded
 * size and delay, are never published again, and fill who comes late.
 * Method: nodes of one process, polled in turn, with a wall clock that the test moves; a third party counts
 * the messages.
 */
#include "busbar/shared_table.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 3, MANY = 20000 };
static const int64_t S_NS = INT64_C(1000000000);

TestSuite(table_cases, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 110);

static int64_t wall_ns = INT64_C(1700000000000000000);

static int64_t
wall(void)
{
    return wall_ns;
}

struct node {
    struct bb_cluster *c;
    struct bb_table *t;
    char said[4096]; /* changes: +key=value, ~key=value, -key, !key */
    int changes;
};

static const char *
text_of(const struct bb_value *v)
{
    static char text[2][64];
    static int turn;
    turn = !turn;
    cr_assert_geq(bb_value_text(v, text[turn], sizeof(text[turn])), 0);
    return text[turn];
}

static void
note(const struct bb_table_change *change, void *user)
{
    struct node *n = user;
    size_t at = strlen(n->said);
    n->changes++;
    if (at + 64 > sizeof(n->said)) {
        return;
    }
    (void)snprintf(n->said + at, sizeof(n->said) - at, "%c%s=%s%s", " +~-!"[change->kind],
                   text_of(&change->key), text_of(&change->value), change -> is_own ? "* " : " ");
}

static struct node
start(struct node *n, const char *name, struct bb_table_opts to)
{
    const struct bb_cluster_opts o = {
        .size = sizeof(o), .dir = bbt_dir(), .bus = BBT_BUS, .name = name, .role = BB_ROLE_WORKER};
    *n = (struct node){.changes = 0};
    cr_assert_eq(bb_cluster_join(&n->c, &o), 0);
    to.size = sizeof(to);
    to.name = "hosts";
    to.changed = note;
    to.user = n;
    to.wall_ns = wall;
    cr_assert_eq(bb_table_open(&n->t, n->c, &to), 0);
    return *n;
}

/* Each has done all that there is to do now. */
static void
settle(struct node *nodes, size_t count)
{
    struct bb_msg msg;
    for (int round = 0; round < 6; round++) {
        for (size_t i = 0; i < count; i++) {
            cr_assert_eq(bb_table_flush(nodes[i].t), 0);
            while (bb_cluster_poll(nodes[i].c, &msg, 1, 0) > 0) {
                cr_assert_not_null(msg.status, "nothing for the application");
            }
        }
    }
}

static void
start_all(struct node *nodes, struct bb_table_opts to)
{
    static const char *const NAMES[] = {"worker-1", "worker-2", "worker-3"};
    for (size_t i = 0; i < NODES; i++) {
        (void)start(&nodes[i], NAMES[i], to);
    }
    settle(nodes, NODES);
}

static void
end_all(struct node *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bb_cluster_leave(nodes[i].c);
    }
}

static struct bb_value
value(uint64_t n, int which)
{
    static unsigned char buf[2][16] __attribute__((aligned(8)));
    struct bb_builder b;
    struct bb_value v = {.p = NULL};
    bb_build_init(&b, buf[which], 16);
    bb_put_count(&b, n);
    cr_assert_eq(bb_value_open(&v, buf[which], (size_t)bb_build_end(&b)), 0);
    return v;
}

static void
put(struct node *n, uint64_t k, uint64_t v)
{
    const struct bb_value key = value(k, 0), val = value(v, 1);
    cr_assert_eq(bb_table_put(n->t, &key, &val), 0);
}

static int
take_out(struct node *n, uint64_t k)
{
    const struct bb_value key = value(k, 0);
    return bb_table_remove(n->t, &key);
}

/* The whole, as text. */
static const char *
whole(const struct node *n)
{
    static char text[2][4096];
    static unsigned char buf[1 << 16] __attribute__((aligned(8)));
    static int turn;
    struct bb_builder b;
    struct bb_value v;
    turn = !turn;
    bb_build_init(&b, buf, sizeof(buf));
    bb_table_put_all(n->t, &b);
    cr_assert_eq(bb_value_open(&v, buf, (size_t)bb_build_end(&b)), 0);
    cr_assert_geq(bb_value_text(&v, text[turn], sizeof(text[turn])), 0);
    return text[turn];
}

static void
check_said(struct node *n, const char *expected)
{
    cr_assert_str_eq(n->said, expected);
    n->said[0] = '\0';
}

Test(table_cases, case_92_new_changed_removed_and_expired_appear_on_the_others)
{
    struct node nodes[NODES];
    start_all(nodes, (struct bb_table_opts){.expire_ns = 60 * S_NS});
    put(&nodes[0], 1, 10);
    settle(nodes, NODES);
    check_said(&nodes[0], "+1=10* ");
    check_said(&nodes[1], "+1=10 ");
    check_said(&nodes[2], "+1=10 ");
    put(&nodes[1], 1, 11); /* at the same time, by another: later, as it knew of the first */
    settle(nodes, NODES);
    check_said(&nodes[0], "~1=11 ");
    check_said(&nodes[1], "~1=11* ");
    check_said(&nodes[2], "~1=11 ");
    put(&nodes[2], 2, 20);
    cr_assert_eq(take_out(&nodes[2], 1), 0);
    cr_assert_eq(take_out(&nodes[2], 1), BB_ENOENT);
    settle(nodes, NODES);
    check_said(&nodes[0], "+2=20 -1=11 ");
    check_said(&nodes[2], "+2=20* -1=11* ");
    wall_ns += 59 * S_NS;
    settle(nodes, NODES);
    check_said(&nodes[0], "");
    wall_ns += S_NS;
    settle(nodes, NODES);
    check_said(&nodes[0], "!2=20 ");
    check_said(&nodes[1], "+2=20 -1=11 !2=20 ");
    check_said(&nodes[2], "!2=20* ");
    for (size_t i = 0; i < NODES; i++) {
        cr_assert_str_eq(whole(&nodes[i]), "{}");
        cr_assert_eq(bb_table_count(nodes[i].t), 0U);
    }
    end_all(nodes, NODES);
}

/* Messages of changes, and the records in each, as a stranger hears them. */
struct traffic {
    struct bb_endpoint *ep;
    struct bb_subscriber *sub;
};

static struct traffic
listen(void)
{
    struct traffic l = {0};
    const char *prefix = "cluster/table/hosts/changes";
    const struct bb_endpoint_opts eo = {
        .size = sizeof(eo), .dir = bbt_dir(), .bus = BBT_BUS, .name = "stranger"};
    const struct bb_subscriber_opts so = {
        .size = sizeof(so), .prefixes = &prefix, .prefix_count = 1};
    cr_assert_eq(bb_endpoint_open(&l.ep, &eo), 0);
    cr_assert_eq(bb_subscriber_open(&l.sub, l.ep, &so), 0);
    return l;
}

static const char *
sizes(struct traffic *l)
{
    static char text[512];
    struct bb_msg msg;
    text[0] = '\0';
    while (bb_poll(l->sub, &msg, 1, 0) == 1) {
        struct bb_event ev;
        size_t at = strlen(text);
        cr_assert_eq(bb_event_open(&ev, msg.data, msg.bytes), 0);
        (void)snprintf(text + at, sizeof(text) - at, "%u ", ev.arg_count);
    }
    return text;
}

Test(table_cases, case_92_batches_have_a_size_and_a_delay_and_nothing_is_published_again)
{
    struct node nodes[NODES];
    struct bb_msg msg;
    start_all(nodes, (struct bb_table_opts){.batch_changes = 4, .batch_ns = S_NS / 4});
    struct traffic l = listen();
    for (uint64_t i = 0; i < 10; i++) {
        put(&nodes[0], i, i);
    }
    cr_assert_str_eq(sizes(&l), "4 4 ", "full ones at once");
    int64_t before = bbt_now_ms(), deadline = before + bbt_ms(20000);
    const char *text = "";
    while (*text == '\0') {
        cr_assert_lt(bbt_now_ms(), deadline);
        cr_assert_geq(bb_cluster_poll(nodes[0].c, &msg, 1, S_NS), 0);
        text = sizes(&l);
    }
    cr_assert_str_eq(text, "2 ", "the rest when its time is over");
    cr_assert_geq(bbt_now_ms() - before, 200, "and not before: a quarter of a second");
    settle(nodes, NODES);
    cr_assert_str_eq(sizes(&l), "", "who hears of it says nothing");
    cr_assert_eq(nodes[1].changes, 10);
    cr_assert_eq(nodes[2].changes, 10);
    put(&nodes[1], 3, 99);
    settle(nodes, NODES);
    cr_assert_str_eq(sizes(&l), "1 ");
    cr_assert_str_eq(whole(&nodes[0]), whole(&nodes[1]));
    bb_endpoint_close(l.ep);
    end_all(nodes, NODES);
}

Test(table_cases, case_92_a_late_joiner_is_filled)
{
    struct node nodes[NODES];
    static const char *const NAMES[] = {"worker-1", "worker-2", "worker-3"};
    for (size_t i = 0; i < 2; i++) {
        (void)start(&nodes[i], NAMES[i], (struct bb_table_opts){.batch_ns = 60 * S_NS});
    }
    settle(nodes, 2);
    cr_assert_eq(bb_table_is_filled(nodes[0].t), 1);
    for (uint64_t i = 0; i < 5; i++) {
        put(&nodes[i % 2], i, i);
    }
    settle(nodes, 2);
    cr_assert_eq(take_out(&nodes[0], 4), 0);
    put(&nodes[1], 7, 7); /* not yet published: only its author can say it */
    (void)start(&nodes[2], NAMES[2], (struct bb_table_opts){0});
    cr_assert_eq(bb_table_is_filled(nodes[2].t), 0);
    settle(nodes, NODES);
    cr_assert_eq(bb_table_is_filled(nodes[2].t), 1);
    cr_assert_str_eq(whole(&nodes[2]), "{0 -> 0, 1 -> 1, 2 -> 2, 3 -> 3, 7 -> 7}");
    /* Of one that left before, the others know. */
    bb_cluster_leave(nodes[0].c);
    bb_cluster_leave(nodes[2].c);
    settle(nodes + 1, 1);
    (void)start(&nodes[2], NAMES[2], (struct bb_table_opts){0});
    settle(nodes + 1, 2);
    cr_assert_str_eq(whole(&nodes[2]), "{0 -> 0, 1 -> 1, 2 -> 2, 3 -> 3, 7 -> 7}");
    end_all(nodes + 1, 2);
}

Test(table_cases, a_late_joiner_is_filled_with_more_than_a_message_holds)
{
    struct node nodes[2];
    (void)start(&nodes[0], "worker-1", (struct bb_table_opts){0});
    for (uint64_t i = 0; i < MANY; i++) {
        put(&nodes[0], i, i * i);
    }
    (void)start(&nodes[1], "worker-2", (struct bb_table_opts){0});
    int64_t deadline = bbt_now_ms() + bbt_ms(30000);
    while (bb_table_is_filled(nodes[1].t) == 0) {
        cr_assert_lt(bbt_now_ms(), deadline, "%d so far", (int)bb_table_count(nodes[1].t));
        settle(nodes, 2);
    }
    cr_assert_eq(bb_table_count(nodes[1].t), (size_t)MANY);
    for (uint64_t i = 0; i < MANY; i++) {
        const struct bb_value key = value(i, 0);
        struct bb_value v;
        uint64_t n = 0;
        cr_assert_eq(bb_table_get(nodes[1].t, &key, &v), 0, "%d", (int)i);
        cr_assert_eq(bb_get_count(&v, &n), 0);
        cr_assert_eq(n, i * i);
    }
    cr_assert_eq(nodes[1].changes, (int)MANY, "each once");
    end_all(nodes, 2);
}

Test(table_cases, changes_that_cross_end_the_same_everywhere)
{
    struct node nodes[NODES];
    uint32_t seed = 12345;
    start_all(nodes, (struct bb_table_opts){.batch_changes = 3});
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 5; i++) {
            seed = seed * 1664525U + 1013904223U;
            struct node *n = &nodes[(seed >> 8) % NODES];
            uint64_t key = (seed >> 12) % 6;
            wall_ns += (seed >> 16) % 2;
            if ((seed >> 20) % 4 == 0) {
                (void)take_out(n, key);
            } else {
                put(n, key, seed >> 24);
            }
        }
        if ((seed >> 10) % 3 == 0) {
            struct bb_msg msg;
            (void)!bb_cluster_poll(nodes[(seed >> 5) % NODES].c, &msg, 1, 0);
        }
    }
    settle(nodes, NODES);
    cr_assert_str_eq(whole(&nodes[0]), whole(&nodes[1]));
    cr_assert_str_eq(whole(&nodes[0]), whole(&nodes[2]));
    cr_assert_gt(bb_table_count(nodes[0].t), 0U);
    end_all(nodes, NODES);
}

Test(table_cases, a_table_is_printed_and_closed)
{
    struct node nodes[2];
    (void)start(&nodes[0], "worker-1", (struct bb_table_opts){0});
    (void)start(&nodes[1], "worker-2", (struct bb_table_opts){0});
    settle(nodes, 2);
    put(&nodes[0], 1, 2);
    struct bb_table *again = NULL;
    struct bb_error err = {0};
    struct bb_table_opts o = {.size = sizeof(o), .name = "hosts", .error = &err};
    cr_assert_eq(bb_table_open(&again, nodes[0].c, &o), BB_EEXIST);
    cr_assert_not_null(strstr(err.sentence, "hosts"));
    o.name = "a/b";
    cr_assert_eq(bb_table_open(&again, nodes[0].c, &o), BB_EINVAL);
    const char *own[] = {"worker-1"};
    cr_assert_eq(bb_cluster_ask(nodes[0].c, "table::hosts", own, 1, NULL, S_NS, NULL, NULL), 1);
    bb_table_close(nodes[0].t); /* what waited was published */
    cr_assert_eq(bb_cluster_ask(nodes[0].c, "table::hosts", own, 1, NULL, S_NS, NULL, NULL), 0);
    settle(nodes + 1, 1);
    cr_assert_str_eq(whole(&nodes[1]), "{1 -> 2}");
    o.name = "hosts";
    o.wall_ns = wall;
    cr_assert_eq(bb_table_open(&nodes[0].t, nodes[0].c, &o), 0, "and opened again");
    settle(nodes, 2);
    cr_assert_str_eq(whole(&nodes[0]), "{1 -> 2}");
    end_all(nodes, 2);
}
