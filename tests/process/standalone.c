/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A program does alone, unchanged, what it does as four processes; nothing is lost when nobody else
 *         reads, and nothing stays behind.
 * Method  One function is the program.  It runs in one process with BB_CLUSTER_STANDALONE, and in four
 *         without; the results are compared.
 */
#include "busbar/cluster.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000, NUMBERS = 250, SHARE = 150, FLOOD = 100000 };
static const int64_t S_NS = INT64_C(1000000000);

TestSuite(standalone, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 110);

/* ---- the program ---- */

static const struct bb_layout_node LAYOUT[] = {{"manager", BB_ROLE_MANAGER},
                                               {"proxy-1", BB_ROLE_PROXY},
                                               {"worker-1", BB_ROLE_WORKER},
                                               {"worker-2", BB_ROLE_WORKER}};

struct program {
    struct bb_cluster *c;
    struct bbt_side *side;
    const char *name;
    uint32_t flags;
    bool seen[NUMBERS]; /* who owns a number keeps it */
    uint64_t news, twice, hellos, first_up;
    bool is_done;
};

static void
check(struct program *p, int rc, const char *what)
{
    BBT_CHECK(p->side, rc >= 0, "%s: %s: %s", p->name, what, bb_strerror(rc));
}

/* name(count) */
static size_t
make(void *buf, size_t cap, const char *name, uint64_t n)
{
    struct bb_builder b;
    bb_build_init(&b, buf, cap);
    bb_event_begin(&b, name, strlen(name));
    bb_put_count(&b, n);
    bb_event_end(&b);
    int64_t bytes = bb_build_end(&b);
    return bytes > 0 ? (size_t)bytes : 0;
}

static void
publish(struct program *p, const char *topic, const char *name, uint64_t n)
{
    unsigned char buf[256] __attribute__((aligned(8)));
    check(p, bb_cluster_publish(p->c, topic, buf, make(buf, sizeof(buf), name, n), 0), topic);
}

/* Both workers' shares overlap: what both saw is new once. */
static void
generate(struct program *p, uint64_t share)
{
    unsigned char buf[256] __attribute__((aligned(8)));
    for (uint64_t n = share * (NUMBERS - SHARE); n < share * (NUMBERS - SHARE) + SHARE; n++) {
        check(p, bb_cluster_raise(p->c, buf, make(buf, sizeof(buf), "seen", n), 0), "raise");
    }
    check(p,
          bb_cluster_relay_rr(bb_pool_find(p->c, "proxy"), "", "cluster/manager", buf,
                              make(buf, sizeof(buf), "hello", share), 0),
          "relay");
}

static bool
is_worker(const struct program *p, const char *name)
{
    return (p->flags & BB_CLUSTER_STANDALONE) != 0 || strcmp(p->name, name) == 0;
}

static void
on_status(struct program *p, const struct bb_msg *msg)
{
    if (msg->status->kind == BB_STATUS_NODE_UP && strcmp(msg->node, p->name) == 0) {
        p->first_up++;
    }
    if (msg->status->kind == BB_STATUS_LAYOUT_COMPLETE) {
        for (uint64_t i = 0; i < 2; i++) {
            if (is_worker(p, LAYOUT[2 + i].name)) {
                generate(p, i);
            }
        }
    }
}

/* The manager, when everything is in. */
static void
look_whether_done(struct program *p)
{
    if (p->news == NUMBERS && p->hellos == 2) {
        publish(p, "cluster/proxy", "done", 0);
        publish(p, "cluster/worker", "done", 0);
        p->is_done = true;
    }
}

static void
on_event(struct program *p, const struct bb_msg *msg)
{
    struct bb_event ev;
    struct bb_iter it;
    uint64_t n = 0;
    check(p, bb_event_open(&ev, msg->data, msg->bytes), "event");
    (void)bb_event_args(&it, &ev);
    check(p, bb_next_count(&it, &n), "argument");
    if (ev.name_bytes == 4 && memcmp(ev.name, "seen", 4) == 0) {
        p->twice += p->seen[n];
        if (!p->seen[n]) {
            p->seen[n] = true;
            publish(p, "cluster/manager", "new", n);
        }
    } else if (ev.name_bytes == 3 && memcmp(ev.name, "new", 3) == 0) {
        p->news++;
        look_whether_done(p);
    } else if (ev.name_bytes == 5 && memcmp(ev.name, "hello", 5) == 0) {
        p->hellos++;
        look_whether_done(p);
    } else {
        p->is_done = true;
    }
}

static void
show_news(struct bb_builder *b, void *user)
{
    bb_put_count(b, ((struct program *)user)->news);
}

static int
add_to(const struct bb_variable_answer *answer, void *user)
{
    uint64_t n = 0;
    if (answer->code == 0 && bb_get_count(&answer->value, &n) == 0) {
        *(uint64_t *)user += n;
    }
    return 0;
}

/* n[0]: new numbers; n[1]: seen twice; n[2]: hellos; n[3]: its own UP; n[4]: what print says */
static void
program(struct bbt_side *side, const char *name, uint32_t role, uint32_t flags)
{
    struct bb_error err = {0};
    struct program p = {.side = side, .name = name, .flags = flags};
    const struct bb_cluster_opts o = {.size = sizeof(o),
                                      .dir = bbt_dir(),
                                      .bus = BBT_BUS,
                                      .name = name,
                                      .role = role,
                                      .flags = flags | BB_CLUSTER_CLOSED,
                                      .layout = LAYOUT,
                                      .layout_count = 4,
                                      .error = &err};
    const struct bb_declare_opts d = {.size = sizeof(d), .event = "seen", .via = "proxy"};
    BBT_CHECK(side, bb_cluster_join(&p.c, &o) == 0, "%s: %s", name, err.sentence);
    check(&p, bb_cluster_declare(p.c, &d), "declare");
    check(&p, bb_cluster_variable(p.c, "news", show_news, NULL, &p), "variable");
    int64_t deadline = bbt_now_ms() + bbt_ms(PATIENCE_MS);
    while (!p.is_done) {
        struct bb_msg msgs[16];
        int n = bb_cluster_poll(p.c, msgs, 16, S_NS / 10);
        check(&p, n, "poll");
        BBT_CHECK(side, bbt_now_ms() < deadline, "%s: not done: %d new", name, (int)p.news);
        for (int i = 0; i < n; i++) {
            if (msgs[i].status != NULL) {
                on_status(&p, &msgs[i]);
            } else {
                on_event(&p, &msgs[i]);
            }
        }
    }
    uint64_t said = 0;
    if (role == BB_ROLE_MANAGER) {
        const char *const asked[] = {name};
        check(&p, bb_cluster_ask(p.c, "news", asked, 1, NULL, S_NS, add_to, &said), "ask");
    }
    const uint64_t result[] = {p.news, p.twice, p.hellos, p.first_up, said};
    for (size_t i = 0; i < 5; i++) {
        atomic_store(&side->n[i], result[i]);
    }
    bb_cluster_leave(p.c);
}

static void
alone(struct bbt_side *side, const void *arg)
{
    (void)arg;
    program(side, "manager", BB_ROLE_MANAGER, BB_CLUSTER_STANDALONE);
}

static void
one_of_four(struct bbt_side *side, const void *arg)
{
    const struct bb_layout_node *node = arg;
    program(side, node->name, node->role, 0);
}

/* ---- tests ---- */

static int
entries(void)
{
    DIR *d = opendir(bbt_dir());
    int n = 0;
    if (d == NULL) {
        return 0;
    }
    while (readdir(d) != NULL) {
        n++;
    }
    (void)closedir(d);
    return n - 2;
}

Test(standalone, does_alone_what_four_do)
{
    struct bbt_child one, four[4];
    uint64_t sums[5] = {0};
    bbt_fork(&one, "alone", alone, NULL);
    bbt_wait_end(&one, PATIENCE_MS);
    cr_assert_eq(entries(), 0, "nothing stays behind");
    for (int i = 0; i < 4; i++) {
        bbt_fork(&four[i], LAYOUT[i].name, one_of_four, &LAYOUT[i]);
    }
    for (int i = 0; i < 4; i++) {
        bbt_wait_end(&four[i], PATIENCE_MS);
        for (int k = 0; k < 5; k++) {
            sums[k] += atomic_load(&four[i].side->n[k]);
        }
        cr_assert_eq(atomic_load(&four[i].side->n[3]), 1U, "%s is told of itself", LAYOUT[i].name);
    }
    sums[3] /= 4;
    const uint64_t expected[] = {NUMBERS, 2 * SHARE - NUMBERS, 2, 1, NUMBERS};
    for (int k = 0; k < 5; k++) {
        cr_assert_eq(sums[k], expected[k], "four: result %d is %d", k, (int)sums[k]);
        cr_assert_eq(atomic_load(&one.side->n[k]), expected[k], "alone: result %d is %d", k,
                     (int)atomic_load(&one.side->n[k]));
    }
}

static struct bb_cluster *
join_alone(uint32_t role)
{
    struct bb_error err = {0};
    struct bb_cluster *c = NULL;
    const struct bb_cluster_opts o = {.size = sizeof(o),
                                      .dir = bbt_dir(),
                                      .name = "only",
                                      .role = role,
                                      .flags = BB_CLUSTER_STANDALONE,
                                      .error = &err};
    cr_assert_eq(bb_cluster_join(&c, &o), 0, "%s", err.sentence);
    return c;
}

/* The topics of what is heard until nothing comes, joined by blanks; statuses as their kind. */
static const char *
heard(struct bb_cluster *c)
{
    static char text[2048];
    struct bb_msg msgs[4];
    int n;
    text[0] = '\0';
    while ((n = bb_cluster_poll(c, msgs, 4, 0)) > 0) {
        for (int i = 0; i < n; i++) {
            size_t at = strlen(text);
            if (msgs[i].status != NULL) {
                (void)snprintf(text + at, sizeof(text) - at, "[%u]", msgs[i].status->kind);
            } else {
                (void)snprintf(text + at, sizeof(text) - at, " %.*s", (int)msgs[i].topic_bytes,
                               msgs[i].topic);
            }
        }
    }
    return text;
}

Test(standalone, every_way_of_publishing_leads_to_oneself)
{
    unsigned char buf[256] __attribute__((aligned(8)));
    size_t bytes = make(buf, sizeof(buf), "e", 1);
    struct bb_cluster *c = join_alone(BB_ROLE_WORKER);
    struct bb_pool *own = NULL;
    const struct bb_pool_opts po = {.size = sizeof(po), .name = "own", .role = BB_ROLE_PROXY};
    cr_assert_eq(bb_pool_register(c, &po, &own), 0);
    cr_assert_str_eq(heard(c), "[64][66]", "up, and in use");
    cr_assert_eq(bb_cluster_is_complete(c), 1);
    static const char *const TOPICS[] = {
        "cluster/manager",    "cluster/proxy",          "cluster/logger",      "cluster/worker",
        "cluster/node/only/", "cluster/node/worker-7/", "cluster/pool/worker", "cluster/pool/own"};
    for (size_t i = 0; i < sizeof(TOPICS) / sizeof(TOPICS[0]); i++) {
        char expected[64];
        cr_assert_eq(bb_cluster_publish(c, TOPICS[i], buf, bytes, 0), 0);
        (void)snprintf(expected, sizeof(expected), " %s", TOPICS[i]);
        cr_assert_str_eq(heard(c), expected);
    }
    cr_assert_eq(bb_cluster_publish(c, "cluster/workers", buf, bytes, 0), 0);
    cr_assert_eq(bb_cluster_publish(c, "other", buf, bytes, 0), 0);
    cr_assert_str_eq(heard(c), "", "what it did not subscribe to");
    cr_assert_eq(bb_cluster_subscribe(c, "other", 0), 0);
    cr_assert_eq(bb_cluster_publish(c, "other", buf, bytes, 0), 0);
    cr_assert_str_eq(heard(c), " other");
    static const char *const POOLS[] = {"manager", "proxy", "logger", "worker", "own"};
    for (size_t i = 0; i < 5; i++) {
        struct bb_pool *pool = bb_pool_find(c, POOLS[i]);
        cr_assert_eq(bb_cluster_publish_hrw(pool, "k", 1, buf, bytes, 0), 0);
        cr_assert_eq(bb_cluster_publish_rr(pool, "k", buf, bytes, 0), 0);
        cr_assert_eq(bb_cluster_relay_hrw(pool, "k", 1, "other", buf, bytes, 0), 0);
        cr_assert_eq(bb_cluster_relay_rr(pool, "k", "cluster/proxy", buf, bytes, 0), 0);
        cr_assert_str_eq(heard(c), " cluster/node/only/ cluster/node/only/ other cluster/proxy",
                         "%s, once each and in order", POOLS[i]);
    }
    bb_cluster_leave(c);
    cr_assert_eq(entries(), 0);
}

Test(standalone, what_nobody_reads_meanwhile_is_not_lost)
{
    unsigned char buf[256] __attribute__((aligned(8)));
    struct bb_cluster *c = join_alone(BB_ROLE_WORKER);
    struct bb_pool *proxies = bb_pool_find(c, "proxy");
    struct bb_msg msgs[64];
    uint64_t next = 0;
    (void)heard(c);
    for (uint64_t i = 0; i < FLOOD; i++) { /* three rings full */
        size_t bytes = make(buf, sizeof(buf), "e", i);
        int rc = i % 2 == 0 ? bb_cluster_publish(c, "cluster/worker", buf, bytes, BB_MORE)
                            : bb_cluster_publish_hrw(proxies, &i, sizeof(i), buf, bytes, 0);
        cr_assert_eq(rc, 0, "%d: %s", (int)i, bb_strerror(rc));
    }
    int64_t deadline = bbt_now_ms() + bbt_ms(PATIENCE_MS);
    while (next < FLOOD) {
        int n = bb_cluster_poll(c, msgs, 64, S_NS);
        cr_assert_lt(bbt_now_ms(), deadline, "only %d came", (int)next);
        for (int i = 0; i < n; i++) {
            struct bb_event ev;
            struct bb_iter it;
            uint64_t v = 0;
            cr_assert_null(msgs[i].status);
            cr_assert_eq(bb_event_open(&ev, msgs[i].data, msgs[i].bytes), 0);
            (void)bb_event_args(&it, &ev);
            cr_assert_eq(bb_next_count(&it, &v), 0);
            cr_assert_eq(v, next, "in order");
            next++;
        }
    }
    cr_assert_str_eq(heard(c), "");
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    bb_subscriber_stats(bb_cluster_subscriber(c), &st);
    cr_assert_eq(st.lost, 0U);
    cr_assert_eq(st.evicted, 0U);
    bb_cluster_leave(c);
}

Test(standalone, what_waits_has_a_bound_and_a_size)
{
    static unsigned char big[(2 << 20) + 64];
    struct bb_cluster *c = join_alone(BB_ROLE_WORKER);
    size_t most = bb_publisher_max(bb_cluster_publisher(c));
    int rc = 0, sent = 0;
    (void)heard(c);
    cr_assert_leq(most, sizeof(big) - 1);
    while (rc == 0 && sent < 1000) {
        rc = bb_cluster_publish(c, "cluster/worker", big, most - 256, BB_RAW);
        sent += rc == 0;
    }
    cr_assert_eq(rc, BB_EAGAIN, "%s", bb_strerror(rc));
    cr_assert_gt(sent, 10, "more than the ring holds");
    cr_assert_eq(bb_cluster_publish(c, "cluster/worker", big, most + 1, BB_RAW), BB_EMSGSIZE);
    struct bb_msg msg;
    int came = 0;
    while (came < sent && bb_cluster_poll(c, &msg, 1, S_NS) == 1) {
        came++;
    }
    cr_assert_eq(came, sent);
    cr_assert_eq(bb_cluster_publish(c, "cluster/worker", big, 100, BB_RAW), 0,
                 "there is room again");
    bb_cluster_leave(c);
    cr_assert_eq(entries(), 0);
}

static void
to_be_killed(struct bbt_side *side, const void *arg)
{
    (void)arg;
    (void)join_alone(BB_ROLE_WORKER);
    bbt_at(side, 1);
    (void)raise(SIGKILL);
}

Test(standalone, of_one_who_was_killed_the_next_removes_all)
{
    struct bbt_child child;
    bbt_fork(&child, "killed", to_be_killed, NULL);
    bbt_wait_kill(&child, PATIENCE_MS);
    cr_assert_eq(entries(), 1);
    struct bb_cluster *a = join_alone(BB_ROLE_WORKER);
    struct bb_cluster *b = join_alone(BB_ROLE_WORKER); /* each on a bus of its own */
    cr_assert_eq(entries(), 2);
    cr_assert_str_eq(heard(a), "[64][66]");
    cr_assert_str_eq(heard(b), "[64][66]");
    bb_cluster_leave(a);
    bb_cluster_leave(b);
    cr_assert_eq(entries(), 0);
}
