/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: Broker's cases about nodes that live, by number (reference: black-box cases 88, 89, 93, 94).
 * Method: several nodes of one process on a bus of its own, polled in turn until all is quiet or a deadline is
 * over; what each was told is kept as text.
 */
#include "busbar/cluster.h"
#include "lib/cluster/cluster_impl.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"

enum { NODES = 6, TEXT = 8192 };

struct actor {
    struct bb_cluster *c;
    char text[TEXT]; /* "+name" up, "-name" down, "!name" refused, "*" complete, "topic=data" */
};

static struct actor actors[NODES];

TestSuite(cluster_live, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

static int
join_with(struct actor *a, const char *name, struct bb_cluster_opts o, struct bb_error *error)
{
    o.size = sizeof(o);
    o.dir = bus_dir;
    o.bus = "b";
    o.name = name;
    o.role = o.role != 0 ? o.role : BB_ROLE_WORKER;
    o.data_depth = 64;
    o.data_bytes = 8192;
    o.error = error;
    a->text[0] = '\0';
    return bb_cluster_join(&a->c, &o);
}

static void
join(struct actor *a, const char *name, struct bb_cluster_opts o)
{
    struct bb_error error = {0};
    int rc = join_with(a, name, o, &error);
    cr_assert_eq(rc, 0, "%s: %s", name, error.sentence);
}

static void
note(struct actor *a, const struct bb_msg *m)
{
    char line[256] = "";
    if (m->status == NULL) {
        (void)snprintf(line, sizeof(line), "%.*s=%.*s ", (int)m->topic_bytes, m->topic,
                       (int)m->bytes, (const char *)m->data);
    } else if (m->status->kind >= BB_STATUS_NODE_UP && m->status->kind <= BB_STATUS_NODE_REFUSED) {
        static const char marks[] = {'+', '-', 'i', 'o', '*', '!'};
        bool has_name = m->status->kind != BB_STATUS_LAYOUT_COMPLETE;
        (void)snprintf(line, sizeof(line), "%c%s ", marks[m->status->kind - BB_STATUS_NODE_UP],
                       has_name ? m->node : "");
    }
    size_t n = strlen(a->text);
    cr_assert_lt(n + strlen(line) + 1, sizeof(a->text));
    (void)strcpy(a->text + n, line);
}

static void
poll_all(void)
{
    for (int i = 0; i < NODES; i++) {
        struct bb_msg msgs[8];
        int n = actors[i].c != NULL ? bb_cluster_poll(actors[i].c, msgs, 8, 0) : 0;
        cr_assert_geq(n, 0, "%s", bb_strerror(n));
        for (int k = 0; k < n; k++) {
            note(&actors[i], &msgs[k]);
        }
    }
}

static void
wait_for(const struct actor *a, const char *wanted)
{
    int64_t deadline = bbi_os_mono_ns() + INT64_C(10000000000);
    while (strstr(a->text, wanted) == NULL) {
        cr_assert_lt(bbi_os_mono_ns(), deadline, "'%s' did not come, only: %s", wanted, a->text);
        poll_all();
    }
}

static void
leave_all(void)
{
    for (int i = 0; i < NODES; i++) {
        bb_cluster_leave(actors[i].c);
        actors[i].c = NULL;
    }
}

/* Everything published so far has arrived: a last word of this node was heard by the others. */
static void
settle(struct actor *from, const char *topic, const char *word)
{
    char wanted[128];
    cr_assert_eq(bb_cluster_publish(from->c, topic, word, strlen(word), 0), 0);
    (void)snprintf(wanted, sizeof(wanted), "%s=%s", topic, word);
    for (int i = 0; i < NODES; i++) {
        if (actors[i].c != NULL && &actors[i] != from) {
            wait_for(&actors[i], wanted);
        }
    }
}

static const struct bb_layout_node layout[] = {
    {"manager", BB_ROLE_MANAGER}, {"worker-1", BB_ROLE_WORKER}, {"worker-2", BB_ROLE_WORKER}};
static const struct bb_cluster_opts closed = {
    .layout = layout, .layout_count = 3, .flags = BB_CLUSTER_CLOSED};

Test(cluster_live, case_88_unknown_name_is_refused)
{
    struct bb_error error = {0};
    join(&actors[0], "worker-1", closed);
    join(&actors[1], "stranger", (struct bb_cluster_opts){0}); /* knows of no layout */
    wait_for(&actors[0], "!stranger");
    cr_assert_eq(strstr(actors[0].text, "+stranger"), NULL, "%s", actors[0].text);
    cr_assert_eq(join_with(&actors[2], "worker-3", closed, &error), BB_ENOENT);
    cr_assert_neq(strstr(error.sentence, "worker-3"), NULL, "%s", error.sentence);
    actors[2].c = NULL;
    /* A known name with another role is another thing than the layout says. */
    struct bb_cluster_opts o = {.role = BB_ROLE_PROXY};
    join(&actors[3], "worker-2", o);
    wait_for(&actors[0], "!worker-2");
    cr_assert_eq(bb_cluster_is_complete(actors[0].c), 0);
    leave_all();
}

Test(cluster_live, case_88_second_of_a_name_is_refused)
{
    struct bb_error error = {0};
    struct actor again = {0};
    join(&actors[0], "worker-1", closed);
    cr_assert_eq(join_with(&again, "worker-1", closed, &error), BB_EEXIST);
    cr_assert_neq(strstr(error.sentence, "worker-1"), NULL, "%s", error.sentence);
    cr_assert_eq(error.owner_pid, getpid());
    leave_all();
}

Test(cluster_live, case_88_loss_is_told_and_the_pool_follows)
{
    const char *owner = NULL;
    uint32_t moved = 0;
    join(&actors[0], "worker-1", closed);
    struct bb_cluster_opts manager = closed;
    manager.role = BB_ROLE_MANAGER;
    join(&actors[1], "manager", manager);
    join(&actors[2], "worker-2", closed);
    wait_for(&actors[1], "iworker-2");
    wait_for(&actors[1], "iworker-1");
    struct bb_pool *pool = bb_pool_find(actors[1].c, "worker");
    char before[64][BB_NAME_MAX + 1];
    for (uint32_t k = 0; k < 64; k++) {
        cr_assert_eq(bb_pool_where(pool, &k, sizeof(k), 0, &owner), 0);
        (void)strcpy(before[k], owner);
    }
    bb_cluster_leave(actors[2].c);
    actors[2].c = NULL;
    wait_for(&actors[1], "-worker-2");
    for (uint32_t k = 0; k < 64; k++) {
        cr_assert_eq(bb_pool_where(pool, &k, sizeof(k), 0, &owner), 0);
        cr_assert_str_eq(owner, "worker-1");
        moved += strcmp(before[k], owner) != 0;
    }
    cr_assert(moved > 0 && moved < 64, "%u of 64 keys moved", moved);
    join(&actors[2], "worker-2", closed);
    wait_for(&actors[1], "iworker-2 "); /* the text has the first one too: */
    while (bb_pool_where(pool, "x", 1, 1, &owner) != 0) {
        poll_all();
    }
    for (uint32_t k = 0; k < 64; k++) {
        cr_assert_eq(bb_pool_where(pool, &k, sizeof(k), 0, &owner), 0);
        cr_assert_str_eq(owner, before[k], "its keys returned");
    }
    leave_all();
}

Test(cluster_live, case_89_node_topics_are_whole_names)
{
    join(&actors[0], "worker-1", (struct bb_cluster_opts){0});
    join(&actors[1], "worker-10", (struct bb_cluster_opts){0});
    join(&actors[2], "worker-2", (struct bb_cluster_opts){0});
    char topic[64];
    int n = bb_cluster_topic_node(actors[2].c, "worker-1", topic, sizeof(topic) - 1);
    cr_assert_gt(n, 0);
    topic[n] = '\0';
    cr_assert_str_eq(topic, "cluster/node/worker-1/");
    cr_assert_eq(bb_cluster_publish(actors[2].c, topic, "for 1", 5, 0), 0);
    settle(&actors[2], "cluster/worker", "end");
    cr_assert_neq(strstr(actors[0].text, "cluster/node/worker-1/=for 1"), NULL);
    cr_assert_eq(strstr(actors[1].text, "for 1"), NULL, "%s", actors[1].text);
    /* Nor is a class the beginning of another's name. */
    cr_assert_eq(bb_cluster_publish(actors[2].c, "cluster/worker-x", "x", 1, 0), 0);
    settle(&actors[2], "cluster/worker", "end again");
    cr_assert_eq(strstr(actors[0].text, "worker-x"), NULL, "%s", actors[0].text);
    leave_all();
}

Test(cluster_live, case_93_worker_reaches_all_other_workers)
{
    struct bb_cluster_opts proxy = {.role = BB_ROLE_PROXY};
    for (int i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "worker-%d", i);
        join(&actors[i], name, (struct bb_cluster_opts){0});
    }
    join(&actors[4], "proxy", proxy);
    cr_assert_eq(bb_cluster_publish(actors[0].c, "cluster/worker", "all", 3, 0), 0);
    cr_assert_eq(bb_cluster_publish(actors[0].c, "cluster/proxy", "end", 3, 0), 0);
    for (int i = 1; i < 4; i++) {
        wait_for(&actors[i], "cluster/worker=all");
        const char *first = strstr(actors[i].text, "cluster/worker=all");
        cr_assert_eq(strstr(first + 1, "cluster/worker=all"), NULL, "once");
    }
    wait_for(&actors[4], "cluster/proxy=end");
    cr_assert_eq(strstr(actors[4].text, "cluster/worker=all"), NULL, "a proxy is no worker");
    cr_assert_eq(strstr(actors[0].text, "cluster/worker=all"), NULL, "not to itself");
    leave_all();
}

/* Who publishes when its layout is complete is heard by all: without any of them polling before. */
Test(cluster_live, case_94_complete_is_told_once_and_is_true)
{
    struct bb_cluster_opts manager = closed;
    manager.role = BB_ROLE_MANAGER;
    join(&actors[0], "manager", manager);
    wait_for(&actors[0], "+manager");
    cr_assert_eq(bb_cluster_is_complete(actors[0].c), 0);
    join(&actors[1], "worker-1", closed);
    wait_for(&actors[0], "+worker-1");
    cr_assert_eq(bb_cluster_is_complete(actors[0].c), 0);
    struct actor *late = &actors[2];
    join(late, "worker-2", closed);
    struct bb_cluster *not_polled = late->c;
    late->c = NULL;
    wait_for(&actors[0], "+worker-2 *");
    cr_assert_eq(bb_cluster_is_complete(actors[0].c), 1);
    cr_assert_eq(bb_cluster_publish(actors[0].c, "cluster/worker", "ready", 5, 0), 0);
    cr_assert_eq(bb_cluster_publish(actors[0].c, "cluster/node/worker-2/", "ready", 5, 0), 0);
    late->c = not_polled;
    wait_for(late, "cluster/worker=ready");
    wait_for(late, "cluster/node/worker-2/=ready");
    /* It goes and comes: complete a second time, and never more often. */
    bb_cluster_leave(late->c);
    late->c = NULL;
    wait_for(&actors[0], "-worker-2");
    cr_assert_eq(bb_cluster_is_complete(actors[0].c), 0);
    join(late, "worker-2", closed);
    wait_for(&actors[0], "-worker-2 +worker-2 *");
    cr_assert_eq(bb_cluster_publish(late->c, "cluster/manager", "end", 3, 0), 0);
    wait_for(&actors[0], "cluster/manager=end");
    const char *second = strchr(strchr(actors[0].text, '*') + 1, '*');
    cr_assert_not_null(second);
    cr_assert_eq(strchr(second + 1, '*'), NULL, "%s", actors[0].text);
    leave_all();
}
