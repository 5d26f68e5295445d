/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: every counter is told by its name, with the value that the statistics have, as Prometheus can take it.
 * Method: a publisher and a subscriber whose numbers are known, asked in all four ways; the text of every
 * name, label and help is checked by the rules of Prometheus's format.
 */
#include "tests/unit/shm/bus_dir.h"
#include <busbar/busbar.h>
#include <ctype.h>
#include <sys/wait.h>

TestSuite(counters, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

enum { MOST = 256, NAME = 64, LABELS = 192 };

struct sample {
    char name[NAME], labels[LABELS];
    uint32_t type;
    uint64_t value;
};

struct samples {
    int count, stop_at;
    struct sample s[MOST];
};

static int
take(const struct bb_counter *c, void *user)
{
    struct samples *all = user;
    cr_assert_lt(all->count, MOST);
    struct sample *s = &all->s[all->count++];
    (void)snprintf(s->name, sizeof(s->name), "%s", c->name);
    (void)snprintf(s->labels, sizeof(s->labels), "%s", c->labels);
    s->type = c->type;
    s->value = c->value;
    return all->count == all->stop_at ? 42 : 0;
}

/* The one sample of this name whose labels hold this; fails when there are none or several. */
static uint64_t
value_of(const struct samples *all, const char *name, const char *label)
{
    const struct sample *found = NULL;
    for (int i = 0; i < all->count; i++) {
        if (strcmp(all->s[i].name, name) == 0 && strstr(all->s[i].labels, label) != NULL) {
            cr_assert_null(found, "%s{%s} is there twice", name, label);
            found = &all->s[i];
        }
    }
    cr_assert_not_null(found, "%s{%s} is not there", name, label);
    return found->value;
}

static bool
has(const struct samples *all, const char *name)
{
    for (int i = 0; i < all->count; i++) {
        if (strcmp(all->s[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* All samples of a name stand together. */
static void
check_grouped(const struct samples *all)
{
    for (int i = 1; i < all->count; i++) {
        for (int j = 0; j + 1 < i; j++) {
            bool again = strcmp(all->s[i].name, all->s[j].name) == 0;
            cr_assert(!again || strcmp(all->s[i].name, all->s[i - 1].name) == 0,
                      "%s stands in two places", all->s[i].name);
        }
    }
}

struct stage {
    struct bb_endpoint *a, *b;
    struct bb_publisher *pub;
    struct bb_subscriber *sub;
};

static struct bb_endpoint *
endpoint_new(const char *name)
{
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {
        .size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name, .role = BB_ROLE_WORKER};
    cr_assert_eq(bb_endpoint_open(&ep, &o), 0);
    return ep;
}

/* 7 messages of 10 bytes, 5 of which the subscriber wants; it took 2 of them. */
static void
stage_new(struct stage *s)
{
    struct bb_msg msgs[2];
    const char *prefix = "x/";
    s->a = endpoint_new("a\"quoted\\\"");
    s->b = endpoint_new("b");
    const struct bb_subscriber_opts so = {
        .size = sizeof(so), .prefixes = &prefix, .prefix_count = 1};
    cr_assert_eq(bb_subscriber_open(&s->sub, s->b, &so), 0);
    cr_assert_eq(bb_publisher_open(&s->pub, s->a, NULL), 0);
    for (int i = 0; i < 7; i++) {
        const char *topic = i < 2 ? "y/1" : "x/1";
        cr_assert_eq(bb_publish_to(s->pub, topic, 3, "0123456789", 10, BB_RAW), 0);
    }
    cr_assert_eq(bb_poll(s->sub, msgs, 2, INT64_C(1000000000)), 2);
}

static void
stage_end(struct stage *s)
{
    bb_endpoint_close(s->a);
    bb_endpoint_close(s->b);
}

Test(counters, of_a_publisher)
{
    struct stage s;
    struct samples all = {0};
    struct bb_publisher_stats st = {.size = sizeof(st)};
    stage_new(&s);
    bb_publisher_stats(s.pub, &st);
    cr_assert_eq(bb_publisher_counters(s.pub, take, &all), 0);
    cr_assert_eq(value_of(&all, "busbar_published_messages_total", ""), 7);
    cr_assert_eq(value_of(&all, "busbar_published_bytes_total", ""), 70);
    cr_assert_eq(value_of(&all, "busbar_publisher_flushes_total", ""), st.flushes);
    cr_assert_eq(value_of(&all, "busbar_publisher_wakes_total", ""), st.wakes);
    cr_assert_eq(value_of(&all, "busbar_publisher_waits_total", ""), 0);
    cr_assert_eq(value_of(&all, "busbar_publisher_evictions_total", ""), 0);
    cr_assert_eq(value_of(&all, "busbar_refused_messages_total", ""), 0);
    cr_assert_eq(value_of(&all, "busbar_ring_topics", "node=\"a\\\"quoted\\\\\\\"\""), 2);
    stage_end(&s);
}

Test(counters, of_a_subscriber)
{
    struct stage s;
    struct samples all = {0};
    stage_new(&s);
    cr_assert_eq(bb_subscriber_counters(s.sub, take, &all), 0);
    cr_assert_eq(value_of(&all, "busbar_delivered_messages_total", "node=\"b\""), 2);
    uint64_t filtered = value_of(&all, "busbar_filtered_messages_total", "");
    cr_assert_eq(filtered, 2);
    cr_assert_eq(value_of(&all, "busbar_subscriber_messages_total", ""), 4);
    cr_assert_eq(value_of(&all, "busbar_lost_messages_total", ""), 0);
    cr_assert_eq(value_of(&all, "busbar_subscriber_rings", ""), 1);
    cr_assert_eq(value_of(&all, "busbar_subscriber_unreadable_rings", ""), 0);
    cr_assert_eq(value_of(&all, "busbar_subscriber_lag_messages", "subscriber=\""), 3);
    stage_end(&s);
}

Test(counters, of_a_refusing_publisher)
{
    struct stage s;
    struct samples all = {0};
    const struct bb_publisher_opts po = {
        .size = sizeof(po), .lane = BB_LANE_ONESHOT, .depth = 64, .policy = BB_POLICY_FAIL};
    const char *prefix = "z";
    const struct bb_subscriber_opts so = {.size = sizeof(so),
                                          .flags = BB_SUBSCRIBER_RELIABLE,
                                          .prefixes = &prefix,
                                          .prefix_count = 1};
    struct bb_publisher *pub = NULL;
    struct bb_subscriber *sub = NULL;
    uint64_t refused = 0;
    stage_new(&s);
    cr_assert_eq(bb_subscriber_open(&sub, s.b, &so), 0);
    cr_assert_eq(bb_publisher_open(&pub, s.a, &po), 0);
    for (int i = 0; i < 100; i++) {
        refused += bb_publish_to(pub, "z", 1, "", 0, BB_RAW) == BB_EAGAIN;
    }
    cr_assert_gt(refused, 0);
    cr_assert_eq(bb_publisher_counters(pub, take, &all), 0);
    cr_assert_eq(value_of(&all, "busbar_refused_messages_total", ""), refused);
    cr_assert_eq(value_of(&all, "busbar_published_messages_total", ""), 100 - refused);
    stage_end(&s);
}

/* Shared memory says the same, of one endpoint and of everybody. */
Test(counters, of_an_endpoint_and_of_a_bus)
{
    struct stage s;
    struct samples mine = {0}, bus = {0};
    struct bb_look *look = NULL;
    struct bb_publisher *second = NULL;
    const struct bb_look_opts lo = {.size = sizeof(lo), .dir = bus_dir, .bus = "b"};
    stage_new(&s);
    cr_assert_eq(bb_publisher_open(&second, s.b, NULL), 0);
    cr_assert_eq(bb_publish_to(second, "q", 1, "abc", 3, BB_RAW), 0);
    cr_assert_eq(bb_endpoint_counters(s.b, take, &mine), 0);
    check_grouped(&mine);
    cr_assert_eq(value_of(&mine, "busbar_published_bytes_total", ""), 3, "not the ring of a");
    cr_assert(!has(&mine, "busbar_bus_nodes"));
    cr_assert_eq(bb_look_open(&look, &lo), 0);
    cr_assert_eq(bb_look_counters(look, take, &bus), 0);
    check_grouped(&bus);
    cr_assert_eq(value_of(&bus, "busbar_bus_nodes", ""), 2);
    cr_assert_eq(value_of(&bus, "busbar_bus_rings", ""), 2);
    cr_assert_eq(value_of(&bus, "busbar_bus_subscribers", ""), 1);
    cr_assert_gt(value_of(&bus, "busbar_bus_bytes", ""), 1000000);
    cr_assert_eq(value_of(&bus, "busbar_node_state", "node=\"b\",role=\"worker\""),
                 (uint64_t)BB_NODE_RUNNING);
    cr_assert_eq(value_of(&bus, "busbar_published_bytes_total", "node=\"a\\"), 70);
    cr_assert_eq(value_of(&bus, "busbar_published_bytes_total", "node=\"b\""), 3);
    cr_assert_leq(value_of(&bus, "busbar_subscriber_lag_messages", "node=\"b\""), 7,
                  "as of the cursor that it published last");
    bb_look_close(look);
    stage_end(&s);
}

Test(counters, a_callback_stops_it)
{
    struct stage s;
    stage_new(&s);
    for (int stop = 1; stop < 4; stop++) {
        struct samples all = {.stop_at = stop};
        cr_assert_eq(bb_endpoint_counters(s.a, take, &all), 42);
        cr_assert_eq(all.count, stop);
    }
    stage_end(&s);
}

Test(counters, a_childs_handles_are_refused)
{
    struct stage s;
    int status = 0;
    stage_new(&s);
    pid_t pid = fork();
    if (pid == 0) {
        struct samples all = {0};
        bool good = bb_publisher_counters(s.pub, take, &all) == BB_EFORKED
                    && bb_subscriber_counters(s.sub, take, &all) == BB_EFORKED
                    && bb_endpoint_counters(s.a, take, &all) == BB_EFORKED;
        _exit(good && all.count == 0 ? 0 : 1);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    stage_end(&s);
}

/* ---- the list ---- */

static int
check_legal(const struct bb_counter *c, void *user)
{
    size_t n = strlen(c->name);
    bool is_total = n > 6 && strcmp(c->name + n - 6, "_total") == 0;
    cr_assert_eq(strncmp(c->name, "busbar_", 7), 0, "%s", c->name);
    for (const char *p = c->name; *p != '\0'; p++) {
        cr_assert(islower((unsigned char)*p) || *p == '_', "%s", c->name);
    }
    cr_assert_eq(is_total, c->type == BB_COUNTER_RISING, "%s: _total is for what only rises",
                 c->name);
    cr_assert_not_null(strstr(c->name, c->unit), "%s: its unit is %s", c->name, c->unit);
    cr_assert(n > 0 && c->help[strlen(c->help) - 1] == '.', "%s: %s", c->name, c->help);
    cr_assert_null(strpbrk(c->help, "\\\n"), "%s", c->name);
    cr_assert_str_eq(c->labels, "");
    return take(c, user);
}

Test(counters, the_list_is_legal_and_whole)
{
    struct samples list = {0}, bus = {0}, handles = {0};
    struct bb_look *look = NULL;
    struct stage s;
    const struct bb_look_opts lo = {.size = sizeof(lo), .dir = bus_dir, .bus = "b"};
    cr_assert_eq(bb_counter_list(check_legal, &list), 0);
    for (int i = 0; i < list.count; i++) {
        for (int j = 0; j < i; j++) {
            cr_assert_str_neq(list.s[i].name, list.s[j].name);
        }
    }
    stage_new(&s);
    cr_assert_eq(bb_look_open(&look, &lo), 0);
    cr_assert_eq(bb_look_counters(look, take, &bus), 0);
    cr_assert_eq(bb_publisher_counters(s.pub, take, &handles), 0);
    cr_assert_eq(bb_subscriber_counters(s.sub, take, &handles), 0);
    for (int i = 0; i < list.count; i++) {
        const char *name = list.s[i].name;
        cr_assert(has(&bus, name) || has(&handles, name), "%s is never told", name);
    }
    bb_look_close(look);
    stage_end(&s);
}
