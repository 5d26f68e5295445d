/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: relays, declarations and variables of a cluster, and Broker's case 86 (live) and 91.
 * Method: nodes of one process, polled in turn; for what needs nodes that stop, die or ask at the same time,
 * child processes.
 */
#include "busbar/cluster.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t S_NS = INT64_C(1000000000);
enum { PATIENCE_MS = 20000, ANSWERING = 1, CLIENTS = 10000 };

TestSuite(cluster_services, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 110);

/* ---- nodes ---- */

static struct bb_cluster *
join_as(const char *name, uint32_t role, uint32_t flags)
{
    struct bb_error err = {0};
    struct bb_cluster *c = NULL;
    const struct bb_cluster_opts o = {.size = sizeof(o),
                                      .dir = bbt_dir(),
                                      .bus = BBT_BUS,
                                      .name = name,
                                      .role = role,
                                      .flags = flags,
                                      .hrw = BB_HRW_ZEEK,
                                      .error = &err};
    int rc = bb_cluster_join(&c, &o);
    cr_assert_eq(rc, 0, "%s: %s %s", name, bb_strerror(rc), err.sentence);
    return c;
}

static uint32_t
role_of(const char *name)
{
    return name[0] == 'm'   ? BB_ROLE_MANAGER
           : name[0] == 'p' ? BB_ROLE_PROXY
           : name[0] == 'l' ? BB_ROLE_LOGGER
                            : BB_ROLE_WORKER;
}

static struct bb_cluster *
join(const char *name)
{
    return join_as(name, role_of(name), 0);
}

/* What a node hears until nothing comes, as "topic=event:count ..."; statuses are left out. */
static const char *
hears(struct bb_cluster *c)
{
    static char text[4096];
    struct bb_msg msgs[8];
    int n;
    text[0] = '\0';
    while ((n = bb_cluster_poll(c, msgs, 8, 0)) > 0) {
        for (int i = 0; i < n; i++) {
            struct bb_event ev;
            struct bb_value v;
            uint64_t count = 0;
            size_t at = strlen(text);
            if (msgs[i].status != NULL) {
                continue;
            }
            cr_assert_eq(bb_event_open(&ev, msgs[i].data, msgs[i].bytes), 0);
            cr_assert_eq(bb_event_arg(&ev, 0, &v), 0);
            cr_assert_eq(bb_get_count(&v, &count), 0);
            (void)snprintf(text + at, sizeof(text) - at, "%s%.*s=%.*s:%d", at > 0 ? " " : "",
                           (int)msgs[i].topic_bytes, msgs[i].topic, (int)ev.name_bytes, ev.name,
                           (int)count);
        }
    }
    cr_assert_eq(n, 0, "%s", bb_strerror(n));
    return text;
}

/* All know of all, and have relayed what they were asked to. */
static void
settle(struct bb_cluster **nodes, size_t count)
{
    struct bb_msg msg;
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < count; i++) {
            while (bb_cluster_poll(nodes[i], &msg, 1, 0) > 0) {
                cr_assert_not_null(msg.status, "no message so far");
            }
        }
    }
}

static void
leave_all(struct bb_cluster **nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bb_cluster_leave(nodes[i]);
    }
}

static struct {
    size_t bytes;
    unsigned char data[512] __attribute__((aligned(8)));
} made;

/* The event name(count[, text]). */
static void
make(const char *name, uint64_t n, const char *text)
{
    struct bb_builder b;
    bb_build_init(&b, made.data, sizeof(made.data));
    bb_event_begin(&b, name, strlen(name));
    bb_put_count(&b, n);
    if (text != NULL) {
        bb_put_string(&b, text, strlen(text));
    }
    bb_event_end(&b);
    int64_t bytes = bb_build_end(&b);
    cr_assert_gt(bytes, 0);
    made.bytes = (size_t)bytes;
}

/* ---- case 86 ---- */

Test(cluster_services, case_86_publish_hrw_with_no_live_node_says_so)
{
    struct bb_cluster *nodes[] = {join("worker-1"), join("worker-2")};
    settle(nodes, 2);
    struct bb_pool *proxies = bb_pool_find(nodes[0], "proxy");
    make("seen", 1, NULL);
    cr_assert_eq(bb_cluster_publish_hrw(proxies, "10.0.2.15", 9, made.data, made.bytes, 0),
                 BB_ENOENT);
    cr_assert_eq(bb_cluster_publish_rr(proxies, "", made.data, made.bytes, 0), BB_ENOENT);
    cr_assert_str_eq(hears(nodes[0]), "");
    cr_assert_str_eq(hears(nodes[1]), "");
    struct bb_cluster *proxy = join("proxy-1");
    settle(nodes, 2);
    cr_assert_eq(bb_cluster_publish_hrw(proxies, "10.0.2.15", 9, made.data, made.bytes, 0), 0);
    cr_assert_str_eq(hears(proxy), "cluster/node/proxy-1/=seen:1");
    cr_assert_str_eq(hears(nodes[1]), "");
    bb_cluster_leave(proxy);
    leave_all(nodes, 2);
}

Test(cluster_services, case_86_rr_over_a_dead_b_and_c)
{
    const struct bb_layout_node layout[] = {{"proxy-a", BB_ROLE_PROXY},
                                            {"proxy-b", BB_ROLE_PROXY},
                                            {"proxy-c", BB_ROLE_PROXY},
                                            {"worker-1", BB_ROLE_WORKER}};
    const char *names[] = {"proxy-a", "proxy-c", "worker-1"};
    struct bb_cluster *nodes[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        const struct bb_cluster_opts o = {.size = sizeof(o),
                                          .dir = bbt_dir(),
                                          .bus = BBT_BUS,
                                          .name = names[i],
                                          .role = role_of(names[i]),
                                          .layout = layout,
                                          .layout_count = 4};
        cr_assert_eq(bb_cluster_join(&nodes[i], &o), 0);
    }
    settle(nodes, 3);
    struct bb_pool *proxies = bb_pool_find(nodes[2], "proxy");
    for (uint64_t i = 0; i < 4; i++) {
        make("turn", i, NULL);
        cr_assert_eq(bb_cluster_publish_rr(proxies, "k", made.data, made.bytes, 0), 0);
    }
    cr_assert_str_eq(hears(nodes[0]), "cluster/node/proxy-a/=turn:0 cluster/node/proxy-a/=turn:2");
    cr_assert_str_eq(hears(nodes[1]), "cluster/node/proxy-c/=turn:1 cluster/node/proxy-c/=turn:3");
    leave_all(nodes, 3);
}

/* ---- relays ---- */

Test(cluster_services, a_relay_reaches_all_workers_and_nobody_else)
{
    struct bb_cluster *nodes[] = {join("worker-1"), join("worker-2"), join("worker-3"),
                                  join("proxy-1"), join("manager")};
    settle(nodes, 5);
    struct bb_pool *proxies = bb_pool_find(nodes[0], "proxy");
    make("seen", 7, NULL);
    cr_assert_eq(bb_cluster_relay_rr(proxies, "", "cluster/worker", made.data, made.bytes, 0), 0);
    make("seen", 8, NULL);
    cr_assert_eq(
        bb_cluster_relay_hrw(proxies, "k", 1, "cluster/worker", made.data, made.bytes, BB_MORE), 0);
    cr_assert_eq(bb_flush(bb_cluster_publisher(nodes[0])), 0);
    cr_assert_str_eq(hears(nodes[3]), "", "who relays does not want it");
    for (size_t i = 0; i < 3; i++) {
        cr_assert_str_eq(hears(nodes[i]), "cluster/worker=seen:7 cluster/worker=seen:8",
                         "worker-%zu, also who sent it", i + 1);
    }
    cr_assert_str_eq(hears(nodes[4]), "");
    cr_assert_str_eq(hears(nodes[3]), "", "once");
    leave_all(nodes, 5);
}

Test(cluster_services, a_relay_goes_through_the_manager_when_the_pool_has_nobody)
{
    struct bb_cluster *nodes[] = {join("worker-1"), join("worker-2"), join("manager")};
    settle(nodes, 3);
    struct bb_pool *proxies = bb_pool_find(nodes[0], "proxy");
    make("seen", 7, NULL);
    cr_assert_eq(bb_cluster_relay_rr(proxies, "", "cluster/worker", made.data, made.bytes, 0), 0);
    cr_assert_str_eq(hears(nodes[2]), "");
    cr_assert_str_eq(hears(nodes[0]), "cluster/worker=seen:7");
    cr_assert_str_eq(hears(nodes[1]), "cluster/worker=seen:7");
    bb_cluster_leave(nodes[2]);
    settle(nodes, 2);
    cr_assert_eq(bb_cluster_relay_rr(proxies, "", "cluster/worker", made.data, made.bytes, 0),
                 BB_ENOENT);
    cr_assert_eq(bb_cluster_relay_hrw(proxies, "k", 1, "cluster/worker", made.data, made.bytes, 0),
                 BB_ENOENT);
    leave_all(nodes, 2);
}

Test(cluster_services, who_relays_hears_what_it_wants_once_whoever_sent_it)
{
    struct bb_cluster *nodes[] = {join("worker-1"), join("proxy-1")};
    settle(nodes, 2);
    make("seen", 1, NULL);
    cr_assert_eq(bb_cluster_relay_rr(bb_pool_find(nodes[0], "proxy"), "", "cluster/proxy",
                                     made.data, made.bytes, 0),
                 0);
    cr_assert_str_eq(hears(nodes[1]), "cluster/proxy=seen:1");
    make("seen", 2, NULL); /* through ourselves */
    cr_assert_eq(bb_cluster_relay_rr(bb_pool_find(nodes[1], "proxy"), "", "cluster/proxy",
                                     made.data, made.bytes, 0),
                 0);
    cr_assert_str_eq(hears(nodes[1]), "cluster/proxy=seen:2");
    make("seen", 3, NULL);
    cr_assert_eq(bb_cluster_relay_rr(bb_pool_find(nodes[1], "proxy"), "", "cluster/worker",
                                     made.data, made.bytes, 0),
                 0);
    cr_assert_str_eq(hears(nodes[1]), "");
    cr_assert_str_eq(hears(nodes[0]), "cluster/worker=seen:3");
    leave_all(nodes, 2);
}

Test(cluster_services, a_relay_that_comes_after_its_node_left_the_pool_is_still_done)
{
    struct bb_cluster *nodes[] = {join("worker-1"), join("worker-2"), join("proxy-1")};
    settle(nodes, 3);
    make("seen", 4, NULL);
    cr_assert_eq(bb_cluster_relay_rr(bb_pool_find(nodes[0], "proxy"), "", "cluster/worker",
                                     made.data, made.bytes, 0),
                 0);
    cr_assert_eq(bb_cluster_drain(nodes[2], 1), 0);
    cr_assert_str_eq(hears(nodes[2]), "");
    cr_assert_str_eq(hears(nodes[1]), "cluster/worker=seen:4");
    leave_all(nodes, 3);
}

Test(cluster_services, a_relay_takes_no_control_message_and_no_reserved_topic)
{
    struct bb_cluster *nodes[] = {join("worker-1"), join("proxy-1")};
    settle(nodes, 2);
    struct bb_pool *proxies = bb_pool_find(nodes[0], "proxy");
    make("seen", 4, NULL);
    cr_assert_eq(bb_cluster_relay_rr(proxies, "", "t", made.data, made.bytes, BB_CONTROL),
                 BB_EINVAL);
    cr_assert_eq(bb_cluster_relay_rr(proxies, "", "<$>t", made.data, made.bytes, 0), BB_EINVAL);
    cr_assert_eq(bb_cluster_relay_rr(proxies, "", NULL, made.data, made.bytes, 0), BB_EINVAL);
    leave_all(nodes, 2);
}

/* ---- declarations ---- */

static void
declare(struct bb_cluster *c, struct bb_declare_opts o)
{
    o.size = sizeof(o);
    cr_assert_eq(bb_cluster_declare(c, &o), 0);
}

Test(cluster_services, what_was_declared_goes_where_it_was_declared_to_go)
{
    struct bb_cluster *nodes[] = {join("worker-1"), join("worker-2"), join("proxy-1"),
                                  join("proxy-2")};
    char at_1[256], at_2[256];
    settle(nodes, 4);
    for (size_t i = 0; i < 4; i++) {
        declare(nodes[i], (struct bb_declare_opts){.event = "auto", .topic = "cluster/worker"});
        declare(nodes[i], (struct bb_declare_opts){.event = "seen", .via = "proxy", .argument = 1});
        declare(nodes[i],
                (struct bb_declare_opts){.event = "turn", .via = "proxy", .is_round_robin = 1});
    }
    make("auto", 1, NULL);
    cr_assert_eq(bb_cluster_raise(nodes[0], made.data, made.bytes, 0), 0);
    cr_assert_str_eq(hears(nodes[1]), "cluster/worker=auto:1");
    for (uint64_t i = 0; i < 4; i++) {
        make("turn", i, NULL);
        cr_assert_eq(bb_cluster_raise(nodes[0], made.data, made.bytes, 0), 0);
    }
    cr_assert_str_eq(hears(nodes[2]), "cluster/node/proxy-1/=turn:0 cluster/node/proxy-1/=turn:2");
    cr_assert_str_eq(hears(nodes[3]), "cluster/node/proxy-2/=turn:1 cluster/node/proxy-2/=turn:3");
    for (size_t from = 0; from < 4; from++) { /* whoever raises it, also its owner */
        make("seen", from, "10.0.2.15");
        cr_assert_eq(bb_cluster_raise(nodes[from], made.data, made.bytes, 0), 0);
        (void)snprintf(at_1, sizeof(at_1), "%s", hears(nodes[2]));
        (void)snprintf(at_2, sizeof(at_2), "%s", hears(nodes[3]));
        const char *owner = NULL;
        cr_assert_eq(bb_pool_where(bb_pool_find(nodes[0], "proxy"), "10.0.2.15", 9, 0, &owner), 0);
        bool is_1 = strcmp(owner, "proxy-1") == 0;
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "cluster/node/%s/=seen:%zu", owner, from);
        cr_assert_str_eq(is_1 ? at_1 : at_2, expected);
        cr_assert_str_eq(is_1 ? at_2 : at_1, "");
    }
    leave_all(nodes, 4);
}

Test(cluster_services, raising_says_what_is_wrong)
{
    struct bb_error err = {0};
    struct bb_cluster *c = join("worker-1");
    struct bb_declare_opts o = {.size = sizeof(o), .event = "e", .via = "nosuch", .error = &err};
    cr_assert_eq(bb_cluster_declare(c, &o), BB_ENOENT);
    cr_assert_not_null(strstr(err.sentence, "nosuch"));
    o.via = "proxy";
    o.argument = 1;
    cr_assert_eq(bb_cluster_declare(c, &o), 0);
    o.argument = 0;
    cr_assert_eq(bb_cluster_declare(c, &o), BB_EEXIST);
    cr_assert_not_null(strstr(err.sentence, "'e'"));
    make("other", 1, NULL);
    cr_assert_eq(bb_cluster_raise(c, made.data, made.bytes, 0), BB_ENOENT);
    make("e", 1, "k");
    cr_assert_eq(bb_cluster_raise(c, made.data, made.bytes, 0), BB_ENOENT, "the pool has nobody");
    make("e", 1, NULL);
    cr_assert_eq(bb_cluster_raise(c, made.data, made.bytes, 0), BB_EINVAL, "no such argument");
    memset(made.data, 0xff, 16);
    cr_assert_lt(bb_cluster_raise(c, made.data, made.bytes, 0), 0);
    bb_cluster_leave(c);
}

/* ---- variables ---- */

struct answers {
    char text[8192];
    size_t count;
};

static int
note(const struct bb_variable_answer *a, void *user)
{
    struct answers *all = user;
    size_t at = strlen(all->text);
    char value[256] = "";
    if (a->code == 0 && bb_value_text(&a->value, value, sizeof(value)) >= (int64_t)sizeof(value)) {
        struct bb_iter it;
        (void)snprintf(value, sizeof(value), "%lld elements",
                       (long long)bb_iter_open(&it, &a->value));
    }
    const char *what = a->code == 0              ? value
                       : a->code == BB_ETIMEDOUT ? "no answer"
                       : a->code == BB_EPEERGONE ? "gone"
                       : a->code == BB_ENOENT    ? "no such variable"
                                                 : bb_strerror(a->code);
    (void)snprintf(all->text + at, sizeof(all->text) - at, "%s%s=%s", at > 0 ? " " : "", a->node,
                   what);
    bool is_silent = a->code == 0 || a->code == BB_ETIMEDOUT || a->code == BB_EPEERGONE;
    cr_assert_eq(a->sentence[0] == '\0', is_silent, "%s: %s", a->node, a->sentence);
    all->count++;
    return 0;
}

static struct answers
ask(struct bb_cluster *c, const char *variable, int64_t timeout_ns, int *good)
{
    struct answers all = {.count = 0};
    *good = bb_cluster_ask(c, variable, NULL, 0, NULL, timeout_ns, note, &all);
    return all;
}

static void
show_number(struct bb_builder *b, void *user)
{
    bb_put_count(b, *(uint64_t *)user);
}

static int
set_number(const struct bb_value *value, void *user)
{
    return bb_get_count(value, user);
}

static void
show_clients(struct bb_builder *b, void *user)
{
    bb_put_set_begin(b);
    for (uint32_t i = 0; i < *(uint64_t *)user; i++) {
        const uint8_t ip[16] = {0,
                                0,
                                0,
                                0,
                                0,
                                0,
                                0,
                                0,
                                0,
                                0,
                                0xff,
                                0xff,
                                10,
                                (uint8_t)(i >> 16),
                                (uint8_t)(i >> 8),
                                (uint8_t)i};
        bb_put_address(b, ip);
    }
    bb_put_end(b);
}

struct part {
    const char *name;
    uint64_t number;
    uint64_t clients;
};

/* A node that answers until it is told to end. */
static void
node(struct bbt_side *side, const void *arg)
{
    const struct part *part = arg;
    uint64_t number = part->number, clients = part->clients;
    struct bb_msg msgs[16];
    struct bb_cluster *c = join(part->name);
    BBT_CHECK(side, bb_cluster_variable(c, "number", show_number, set_number, &number) == 0,
              "number");
    BBT_CHECK(side, bb_cluster_variable(c, "clients", show_clients, NULL, &clients) == 0,
              "clients");
    if (strcmp(part->name, "worker-1") == 0) {
        BBT_CHECK(side, bb_cluster_variable(c, "only", show_number, NULL, &number) == 0, "only");
    }
    bbt_at(side, ANSWERING);
    while (atomic_load(&side->go) == 0) {
        int n = bb_cluster_poll(c, msgs, 16, S_NS / 20);
        BBT_CHECK(side, n >= 0, "poll: %s", bb_strerror(n));
    }
    bb_cluster_leave(c);
}

static const struct part PARTS[] = {{"manager", 1, 3}, {"proxy-1", 2, CLIENTS}, {"worker-1", 3, 0}};
enum { PART_COUNT = 3 };
static struct bbt_child children[PART_COUNT];

static void
start_nodes(void)
{
    for (int i = 0; i < PART_COUNT; i++) {
        bbt_fork(&children[i], PARTS[i].name, node, &PARTS[i]);
    }
    for (int i = 0; i < PART_COUNT; i++) {
        bbt_wait_at(&children[i], ANSWERING, PATIENCE_MS);
    }
}

static void
end_nodes(int from)
{
    for (int i = from; i < PART_COUNT; i++) {
        bbt_order(&children[i], 1);
        bbt_wait_end(&children[i], PATIENCE_MS);
    }
}

Test(cluster_services, case_91_a_variable_of_every_node)
{
    int good;
    start_nodes();
    struct bb_cluster *c = join_as(NULL, BB_ROLE_TOOL, BB_CLUSTER_OBSERVER);
    cr_assert_str_eq(ask(c, "number", 20 * S_NS, &good).text, "manager=1 proxy-1=2 worker-1=3");
    cr_assert_eq(good, 3);
    cr_assert_str_eq(ask(c, "clients", 20 * S_NS, &good).text,
                     "manager={10.0.0.0, 10.0.0.1, 10.0.0.2} proxy-1=10000 elements worker-1={}");
    cr_assert_eq(good, 3);
    cr_assert_str_eq(ask(c, "only", 20 * S_NS, &good).text,
                     "manager=no such variable proxy-1=no such variable worker-1=3");
    cr_assert_eq(good, 1);
    cr_assert_str_eq(ask(c, "busbar::node", 20 * S_NS, &good).text,
                     "manager=manager proxy-1=proxy-1 worker-1=worker-1");
    cr_assert_str_eq(ask(c, "busbar::role", 20 * S_NS, &good).text,
                     "manager=manager proxy-1=proxy worker-1=worker");
    cr_assert_str_eq(ask(c, "busbar::lost", 20 * S_NS, &good).text,
                     "manager=0 proxy-1=0 worker-1=0");
    bb_cluster_leave(c);
    end_nodes(0);
}

Test(cluster_services, only_those_who_were_named_are_asked_and_each_once)
{
    struct answers all = {.count = 0};
    const char *names[] = {"worker-1", "nobody", "manager", "worker-1"};
    start_nodes();
    struct bb_cluster *c = join("worker-9");
    uint64_t nine = 9;
    cr_assert_eq(bb_cluster_variable(c, "number", show_number, NULL, &nine), 0);
    cr_assert_eq(bb_cluster_ask(c, "number", names, 4, NULL, 20 * S_NS, note, &all), 2);
    cr_assert_str_eq(all.text, "manager=1 nobody=gone worker-1=3");
    int good;
    cr_assert_str_eq(ask(c, "number", 20 * S_NS, &good).text,
                     "manager=1 proxy-1=2 worker-1=3 worker-9=9", "ourselves too");
    cr_assert_eq(good, 4);
    cr_assert_eq(bb_cluster_ask(c, NULL, NULL, 0, NULL, S_NS, note, &all), BB_EINVAL);
    cr_assert_eq(bb_cluster_ask(c, "", NULL, 0, NULL, S_NS, note, &all), BB_EINVAL);
    bb_cluster_leave(c);
    end_nodes(0);
}

static struct bb_value
count_value(uint64_t n)
{
    static unsigned char buf[16] __attribute__((aligned(8)));
    struct bb_builder b;
    struct bb_value v = {.p = NULL};
    bb_build_init(&b, buf, sizeof(buf));
    bb_put_count(&b, n);
    cr_assert_eq(bb_value_open(&v, buf, (size_t)bb_build_end(&b)), 0);
    return v;
}

Test(cluster_services, setting_says_how_it_is_then)
{
    struct answers all = {.count = 0};
    const char *names[] = {"proxy-1", "worker-1"};
    int good;
    start_nodes();
    struct bb_cluster *c = join_as(NULL, BB_ROLE_TOOL, BB_CLUSTER_OBSERVER);
    struct bb_value v = count_value(77);
    cr_assert_eq(bb_cluster_ask(c, "number", names, 2, &v, 20 * S_NS, note, &all), 2);
    cr_assert_str_eq(all.text, "proxy-1=77 worker-1=77");
    cr_assert_str_eq(ask(c, "number", 20 * S_NS, &good).text, "manager=1 proxy-1=77 worker-1=77");
    all.text[0] = '\0';
    cr_assert_eq(bb_cluster_ask(c, "clients", names, 1, &v, 20 * S_NS, note, &all), 0);
    cr_assert_eq(strncmp(all.text, "proxy-1=not supported", 21), 0, "%s", all.text);
    bb_cluster_leave(c);
    end_nodes(0);
}

Test(cluster_services, one_that_is_stopped_is_named_and_the_others_answer)
{
    int good;
    start_nodes();
    struct bb_cluster *c = join_as(NULL, BB_ROLE_TOOL, BB_CLUSTER_OBSERVER);
    bbt_signal(&children[0], SIGSTOP);
    bbt_wait_stop(&children[0], PATIENCE_MS);
    struct bb_value v = count_value(5);
    struct answers all = {.count = 0};
    cr_assert_eq(bb_cluster_ask(c, "number", NULL, 0, &v, bbt_ms(500) * 1000000, note, &all), 2);
    cr_assert_str_eq(all.text, "manager=no answer proxy-1=5 worker-1=5");
    bbt_signal(&children[0], SIGCONT);
    cr_assert_str_eq(ask(c, "number", 20 * S_NS, &good).text, "manager=1 proxy-1=5 worker-1=5",
                     "no answer: then it is not set later either");
    bb_cluster_leave(c);
    end_nodes(0);
}

Test(cluster_services, one_that_was_killed_is_named_without_waiting)
{
    int good;
    start_nodes();
    struct bb_cluster *c = join_as(NULL, BB_ROLE_TOOL, BB_CLUSTER_OBSERVER);
    bbt_signal(&children[0], SIGKILL);
    bbt_wait_kill(&children[0], PATIENCE_MS);
    int64_t before = bbt_now_ms();
    struct answers all = ask(c, "number", 60 * S_NS, &good);
    cr_assert(strcmp(all.text, "manager=gone proxy-1=2 worker-1=3") == 0
                  || strcmp(all.text, "proxy-1=2 worker-1=3") == 0, /* somebody said so already */
              "%s", all.text);
    cr_assert_lt(bbt_now_ms() - before, bbt_ms(20000), "not until the time is over");
    bb_cluster_leave(c);
    end_nodes(1);
}

static void
asker(struct bbt_side *side, const void *arg)
{
    const char *variable = arg;
    struct bb_cluster *c = join_as(NULL, BB_ROLE_TOOL, BB_CLUSTER_OBSERVER);
    const char *expected = strcmp(variable, "number") == 0
                               ? "manager=1 proxy-1=2 worker-1=3"
                               : "manager={10.0.0.0, 10.0.0.1, 10.0.0.2} proxy-1=10000 elements "
                                 "worker-1={}";
    for (int i = 0; i < 25; i++) {
        int good;
        struct answers all = ask(c, variable, 60 * S_NS, &good);
        BBT_CHECK(side, strcmp(all.text, expected) == 0, "round %d of %s: %s", i, variable,
                  all.text);
    }
    bb_cluster_leave(c);
}

Test(cluster_services, case_91_questions_at_the_same_time_do_not_mix)
{
    struct bbt_child askers[4];
    static const char *const WHAT[] = {"number", "clients", "number", "clients"};
    start_nodes();
    for (int i = 0; i < 4; i++) {
        bbt_fork(&askers[i], "asker", asker, WHAT[i]);
    }
    for (int i = 0; i < 4; i++) {
        bbt_wait_end(&askers[i], 60000);
    }
    end_nodes(0);
}
