/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what a subscriber is promised at the edges: woken by the first message after it subscribed, not
 * evicted for what it does not want, owed what began after it, copies that stay, losses by topic, true times.
 * Method: endpoints of one process on a bus of its own; a thread only where somebody has to sleep.
 */
#include "shm/hook.h"
#include "shm/os.h"
#include "tests/unit/shm/bus_dir.h"
#include <busbar/endpoint.h>
#include <busbar/inspect.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>

#define S_NS  INT64_C(1000000000)
#define MS_NS INT64_C(1000000)

TestSuite(endpoint_flow, .init = bus_dir_make, .fini = bus_dir_remove, .timeout = 60);

static struct bb_endpoint *
endpoint_new(const char *name)
{
    struct bb_error err = {0};
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {
        .size = sizeof(o), .dir = bus_dir, .bus = "b", .name = name, .error = &err};
    int rc = bb_endpoint_open(&ep, &o);
    cr_assert_eq(rc, 0, "%s", err.sentence);
    return ep;
}

static struct bb_publisher *
publisher_new(struct bb_endpoint *ep, uint32_t depth, uint64_t bytes, uint32_t policy)
{
    struct bb_publisher *pub = NULL;
    const struct bb_publisher_opts o = {.size = sizeof(o),
                                        .lane = BB_LANE_CONTROL,
                                        .depth = depth,
                                        .bytes = bytes,
                                        .policy = policy};
    cr_assert_eq(bb_publisher_open(&pub, ep, &o), 0);
    return pub;
}

static struct bb_subscriber *
subscriber_new(struct bb_endpoint *ep, const char *prefix, uint32_t flags)
{
    struct bb_subscriber *sub = NULL;
    const struct bb_subscriber_opts o = {.size = sizeof(o),
                                         .flags = flags,
                                         .wait = BB_WAIT_SLEEP,
                                         .prefixes = &prefix,
                                         .prefix_count = 1};
    cr_assert_eq(bb_subscriber_open(&sub, ep, &o), 0);
    return sub;
}

static void
publish(struct bb_publisher *pub, const char *topic, const void *data, size_t bytes)
{
    cr_assert_eq(bb_publish_to(pub, topic, strlen(topic), data, bytes, BB_RAW), 0);
}

static struct bb_subscriber_stats
stats_of(const struct bb_subscriber *sub)
{
    struct bb_subscriber_stats s = {.size = sizeof(s)};
    bb_subscriber_stats(sub, &s);
    return s;
}

/* Polls until nothing comes for a while; how many messages. */
static int
poll_all(struct bb_subscriber *sub, int64_t timeout_ns)
{
    struct bb_msg msgs[32];
    int n, total = 0;
    while ((n = bb_poll(sub, msgs, 32, timeout_ns)) > 0) {
        for (int i = 0; i < n; i++) {
            total += msgs[i].status == NULL;
        }
    }
    cr_assert_eq(n, 0);
    return total;
}

static bool
sleeps(const char *node)
{
    struct bb_look *look;
    struct bb_subscriber_info info[16];
    bool asleep = false;
    const struct bb_look_opts o = {.size = sizeof(o), .dir = bus_dir, .bus = "b"};
    cr_assert_eq(bb_look_open(&look, &o), 0);
    int n = bb_look_subscribers(look, info, 16);
    for (int i = 0; i < n; i++) {
        asleep = asleep || (strcmp(info[i].node, node) == 0 && info[i].asleep != 0);
    }
    bb_look_close(look);
    return asleep;
}

static void
wait_until_asleep(const char *node)
{
    int64_t deadline = bbi_os_mono_ns() + 10 * S_NS;
    while (!sleeps(node)) {
        cr_assert_lt(bbi_os_mono_ns(), deadline, "%s does not sleep", node);
        bbi_os_sleep_ns(MS_NS);
    }
    bbi_os_sleep_ns(20 * MS_NS); /* from the bit to the system call */
}

struct waiter {
    struct bb_subscriber *sub;
    int64_t at_ns;
    int n;
};

static void *
wait_for_one(void *user)
{
    struct waiter *w = user;
    struct bb_msg msg;
    w->n = bb_poll(w->sub, &msg, 1, 5 * S_NS);
    w->at_ns = bbi_os_mono_ns();
    return NULL;
}

/* ---- waking ---- */

Test(endpoint_flow, a_second_subscriber_is_woken_by_the_first_message_after_it_came)
{
    pthread_t t;
    struct bb_endpoint *a = endpoint_new("a"), *b = endpoint_new("b"), *p = endpoint_new("p");
    struct bb_publisher *pub = publisher_new(p, 0, 0, 0);
    struct bb_subscriber *first = subscriber_new(a, "", 0);
    publish(pub, "x", "1", 1); /* who wants x is known now: the first */
    struct waiter w = {.sub = subscriber_new(b, "", 0)};
    cr_assert_eq(pthread_create(&t, NULL, wait_for_one, &w), 0);
    wait_until_asleep("b");
    int64_t t0 = bbi_os_mono_ns();
    publish(pub, "x", "2", 1);
    (void)pthread_join(t, NULL);
    cr_assert_eq(w.n, 1);
    cr_assert_lt(w.at_ns - t0, 500 * MS_NS, "%lld ms", (long long)((w.at_ns - t0) / MS_NS));
    cr_assert_eq(poll_all(first, 0), 2);
    bb_endpoint_close(a);
    bb_endpoint_close(b);
    bb_endpoint_close(p);
}

Test(endpoint_flow, a_sleeper_behind_one_in_an_event_loop_is_woken_too)
{
    pthread_t t;
    struct bb_msg msg;
    struct bb_endpoint *a = endpoint_new("a"), *b = endpoint_new("b"), *p = endpoint_new("p");
    struct bb_publisher *pub = publisher_new(p, 0, 0, 0);
    struct bb_subscriber *loop = subscriber_new(a, "", 0);
    struct waiter w = {.sub = subscriber_new(b, "", 0)};
    struct pollfd pfd = {.fd = bb_fd(loop), .events = POLLIN};
    cr_assert_eq(bb_poll(loop, &msg, 1, 0), 0); /* armed for its socket */
    cr_assert_eq(pthread_create(&t, NULL, wait_for_one, &w), 0);
    wait_until_asleep("b");
    int64_t t0 = bbi_os_mono_ns();
    publish(pub, "x", "1", 1);
    cr_assert_eq(poll(&pfd, 1, 3000), 1);
    cr_assert_eq(bb_poll(loop, &msg, 1, 0), 1);
    (void)pthread_join(t, NULL);
    cr_assert_eq(w.n, 1);
    cr_assert_lt(w.at_ns - t0, 500 * MS_NS, "%lld ms", (long long)((w.at_ns - t0) / MS_NS));
    bb_endpoint_close(a);
    bb_endpoint_close(b);
    bb_endpoint_close(p);
}

#if defined(BB_HOOKS) && BB_HOOKS
static struct bb_publisher *hook_pub;
static const char *hook_at;

static void
publish_at(const char *name)
{
    if (strcmp(name, hook_at) == 0) {
        hook_at = "";
        publish(hook_pub, "x", "1", 1);
    }
}

/* Between the last look at the rings and the bit that publishers see: only a look after the bit helps. */
Test(endpoint_flow, a_message_that_comes_while_one_falls_asleep_is_not_slept_over)
{
    static const char *const points[] = {"wake:bell_set", "wake:armed", "wake:sleeping"};
    for (int i = 0; i < 3; i++) {
        struct bb_msg msg;
        struct bb_endpoint *a = endpoint_new("a"), *p = endpoint_new("p");
        struct bb_subscriber *sub = subscriber_new(a, "", 0);
        hook_pub = publisher_new(p, 0, 0, 0);
        publish(hook_pub, "x", "0", 1);
        cr_assert_eq(bb_poll(sub, &msg, 1, S_NS), 1);
        hook_at = points[i];
        bbi_hook = publish_at;
        int64_t t0 = bbi_os_mono_ns();
        int n = bb_poll(sub, &msg, 1, 3 * S_NS);
        bbi_hook = NULL;
        cr_assert_eq(n, 1, "at %s", points[i]);
        cr_assert_lt(bbi_os_mono_ns() - t0, 500 * MS_NS, "at %s", points[i]);
        bb_endpoint_close(a);
        bb_endpoint_close(p);
    }
}
#endif

/* ---- reliable ---- */

struct flood {
    struct bb_publisher *pub;
    const char *topic;
    int count, refused;
};

static void *
flood(void *user)
{
    struct flood *f = user;
    char body[64] = {0};
    for (int i = 0; i < f->count; i++) {
        f->refused +=
            bb_publish_to(f->pub, f->topic, strlen(f->topic), body, sizeof(body), BB_RAW) != 0;
    }
    return NULL;
}

Test(endpoint_flow, a_reliable_sleeper_is_not_evicted_for_what_it_does_not_want)
{
    static const uint32_t policies[] = {BB_POLICY_BLOCK_EVICT, BB_POLICY_EVICT};
    for (int i = 0; i < 2; i++) {
        pthread_t t;
        struct bb_endpoint *a = endpoint_new("a"), *p = endpoint_new("p");
        struct bb_publisher *pub = publisher_new(p, 1024, 1 << 16, policies[i]);
        struct waiter w = {.sub = subscriber_new(a, "mine", BB_SUBSCRIBER_RELIABLE)};
        cr_assert_eq(pthread_create(&t, NULL, wait_for_one, &w), 0);
        wait_until_asleep("a");
        struct flood f = {.pub = pub, .topic = "other", .count = 64};
        for (int k = 0; k < 100; k++) { /* six rings full */
            (void)flood(&f);
            /* A quarter is left: it was woken at half, so room comes long before its own second is over. */
            int64_t deadline = bbi_os_mono_ns() + 700 * MS_NS;
            while (bb_headroom(pub) < 16384 && bbi_os_mono_ns() < deadline) {
                bbi_os_sleep_ns(MS_NS / 10);
            }
            cr_assert_geq(bb_headroom(pub), 16384U, "policy %u: it was not woken", policies[i]);
        }
        publish(pub, "mine", "x", 1);
        (void)pthread_join(t, NULL);
        struct bb_publisher_stats s = {.size = sizeof(s)};
        bb_publisher_stats(pub, &s);
        cr_expect_eq(w.n, 1, "policy %u", policies[i]);
        cr_expect_eq(f.refused, 0);
        cr_expect_eq(s.evicted, 0U, "policy %u: evicted %llu times", policies[i],
                     (unsigned long long)s.evicted);
        bb_endpoint_close(a);
        bb_endpoint_close(p);
    }
}

/* "A ring that is made after this returned is read from its first message"; reliable means all of it. */
Test(endpoint_flow, a_reliable_subscriber_is_waited_for_in_a_ring_that_is_younger_than_it)
{
    pthread_t t;
    struct bb_endpoint *a = endpoint_new("a"), *p = endpoint_new("p");
    struct bb_subscriber *sub =
        subscriber_new(a, "x", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_COPIES);
    cr_assert_eq(poll_all(sub, 0), 0);
    struct bb_publisher *pub = publisher_new(p, 64, 8192, BB_POLICY_BLOCK_FAIL);
    struct flood f = {.pub = pub, .topic = "x", .count = 1000};
    cr_assert_eq(pthread_create(&t, NULL, flood, &f), 0);
    int got = poll_all(sub, S_NS);
    (void)pthread_join(t, NULL);
    cr_assert_eq(f.refused, 0);
    cr_assert_eq(got, 1000, "lost %llu", (unsigned long long)stats_of(sub).lost);
    bb_endpoint_close(a);
    bb_endpoint_close(p);
}

Test(endpoint_flow, what_was_published_and_closed_reaches_a_loopback_subscriber)
{
    struct bb_endpoint *a = endpoint_new("a"), *other = endpoint_new("other");
    struct bb_subscriber *sub = subscriber_new(a, "x", BB_SUBSCRIBER_LOOPBACK);
    struct bb_publisher *pub = publisher_new(a, 64, 8192, 0);
    for (int i = 0; i < 5; i++) {
        publish(pub, "x", "y", 1);
    }
    bb_publisher_close(pub);
    const struct bb_gc_opts gc = {.size = sizeof(gc), .dir = bus_dir, .bus = "b"};
    cr_assert_geq(bb_gc(&gc), 0); /* a steward's scan, by somebody else */
    int got = poll_all(sub, 0);
    struct bb_subscriber_stats s = stats_of(sub);
    cr_assert_eq(got, 5, "and %llu lost", (unsigned long long)s.lost);
    bb_endpoint_close(other);
    bb_endpoint_close(a);
}

/* ---- copies, topics, losses ---- */

Test(endpoint_flow, a_spilled_topic_stays_where_it_is_when_its_payload_is_large)
{
    struct bb_endpoint *a = endpoint_new("a"), *p = endpoint_new("p");
    struct bb_subscriber *sub = subscriber_new(a, "", 0);
    struct bb_publisher *pub = NULL;
    const struct bb_publisher_opts o = {.size = sizeof(o), .lane = BB_LANE_DATA};
    cr_assert_eq(bb_publisher_open(&pub, p, &o), 0);
    char *topic = malloc(60001);
    size_t bytes = 1 << 20;
    unsigned char *data = malloc(bytes);
    memset(data, 0x5a, bytes);
    for (int i = 0; i < 8; i++) { /* 256 KiB of topics fit: the last ones travel in the payload */
        struct bb_msg msg;
        memset(topic, 'a' + i, 60000);
        topic[60000] = '\0';
        publish(pub, topic, data, bytes);
        cr_assert_eq(bb_poll(sub, &msg, 1, S_NS), 1);
        cr_assert_eq(msg.topic_bytes, 60000U);
        cr_assert_eq(memcmp(msg.topic, topic, 60000), 0, "topic %d", i);
        cr_assert_eq(msg.bytes, bytes);
        cr_assert_eq(memcmp(msg.data, data, bytes), 0);
    }
    free(topic);
    free(data);
    bb_endpoint_close(a);
    bb_endpoint_close(p);
}

Test(endpoint_flow, the_longest_topic_is_accepted_on_every_lane)
{
    struct bb_endpoint *a = endpoint_new("a"), *p = endpoint_new("p");
    struct bb_subscriber *sub = subscriber_new(a, "", 0);
    char *topic = malloc(65537);
    memset(topic, 't', 65536);
    topic[65536] = '\0';
    for (uint32_t lane = BB_LANE_DATA; lane <= BB_LANE_ONESHOT; lane++) {
        struct bb_publisher *pub = NULL;
        struct bb_msg msg;
        const struct bb_publisher_opts o = {.size = sizeof(o), .lane = lane};
        cr_assert_eq(bb_publisher_open(&pub, p, &o), 0);
        int rc = bb_publish_to(pub, topic, 65535, "x", 1, BB_RAW);
        cr_expect_eq(rc, 0, "lane %u: %s", lane, bb_strerror(rc));
        if (rc == 0) {
            cr_expect_eq(bb_poll(sub, &msg, 1, S_NS), 1);
            cr_expect_eq(msg.topic_bytes, 65535U);
        }
        cr_expect_eq(bb_publish_to(pub, topic, 65536, "x", 1, BB_RAW), BB_ENAMETOOLONG);
    }
    free(topic);
    bb_endpoint_close(a);
    bb_endpoint_close(p);
}

/* A topic that came and went within one lap is known to nobody when the reader is back at the tail. */
Test(endpoint_flow, losses_of_a_topic_that_was_never_seen_are_sorted_out_too)
{
    struct bb_endpoint *a = endpoint_new("a"), *p = endpoint_new("p");
    struct bb_subscriber *sub = subscriber_new(a, "mine", 0);
    struct bb_publisher *pub = publisher_new(p, 64, 8192, 0);
    publish(pub, "mine", "x", 1);
    cr_assert_eq(poll_all(sub, 0), 1);
    for (int i = 0; i < 500; i++) {
        publish(pub, "other", "x", 1);
    }
    for (int i = 0; i < 100; i++) {
        publish(pub, "mine", "x", 1);
    }
    int got = 1 + poll_all(sub, 0);
    (void)poll_all(sub, 0);
    struct bb_subscriber_stats s = stats_of(sub);
    cr_assert_eq(s.messages, 601U);
    cr_assert_eq(s.delivered + s.lost, 101U, "delivered %llu, lost %llu, filtered %llu",
                 (unsigned long long)s.delivered, (unsigned long long)s.lost,
                 (unsigned long long)s.filtered);
    cr_assert_eq(s.filtered, 500U);
    cr_assert_eq(s.delivered, (uint64_t)got);
    bb_endpoint_close(a);
    bb_endpoint_close(p);
}

/* Who joins a ring that does not hold still learns later what had been counted before it came. */
struct chatter {
    struct bb_publisher *pub;
    bbi_u32 stop;
};

static void *
chatter(void *user)
{
    struct chatter *c = user;
    while (bbi_load_relaxed(&c->stop) == 0) {
        publish(c->pub, "other", "x", 1);
    }
    return NULL;
}

Test(endpoint_flow, losses_are_sorted_out_also_for_who_joined_a_busy_ring)
{
    struct bb_endpoint *a = endpoint_new("a"), *p = endpoint_new("p");
    int sorted = 0;
    for (int round = 0; round < 10; round++) {
        pthread_t t;
        struct chatter c = {.pub = publisher_new(p, 64, 8192, 0)};
        cr_assert_eq(pthread_create(&t, NULL, chatter, &c), 0);
        bbi_os_sleep_ns(2 * MS_NS);
        struct bb_subscriber *sub = subscriber_new(a, "mine", 0);
        bbi_os_sleep_ns(2 * MS_NS);
        bbi_store_relaxed(&c.stop, 1);
        (void)pthread_join(t, NULL);
        (void)poll_all(sub, 0);
        for (int i = 0; i < 300; i++) {
            publish(c.pub, "other", "x", 1);
        }
        (void)poll_all(sub, 0);
        struct bb_subscriber_stats s = stats_of(sub);
        cr_assert_eq(s.messages, s.delivered + s.filtered + s.lost);
        sorted += s.lost == 0; /* nobody published what it wants */
        bb_subscriber_close(sub);
        bb_publisher_close(c.pub);
    }
    cr_assert_eq(sorted, 10);
    bb_endpoint_close(a);
    bb_endpoint_close(p);
}

/* ---- time ---- */

Test(endpoint_flow, a_message_that_is_stamped_in_the_past_shows_that_time)
{
    struct bb_endpoint *a = endpoint_new("a"), *p = endpoint_new("p");
    struct bb_subscriber *sub = subscriber_new(a, "", 0);
    struct bb_publisher *pub = publisher_new(p, 64, 8192, 0);
    struct bb_topic *topic = NULL;
    struct bb_msg msg;
    void *data;
    cr_assert_eq(bb_topic_open(&topic, pub, "x", 1), 0);
    for (int64_t ago = 0; ago <= 90; ago += 30) {
        int64_t now = bbi_os_mono_ns(), wall = bbi_os_wall_ns();
        cr_assert_eq(bb_loan(topic, 8, &data), 0);
        memset(data, 0, 8);
        cr_assert_eq(bb_commit_at(topic, 8, BB_RAW, now - ago * S_NS), 0);
        cr_assert_eq(bb_poll(sub, &msg, 1, S_NS), 1);
        int64_t off = msg.wall_ns - (wall - ago * S_NS);
        cr_assert(off > -100 * MS_NS && off < 100 * MS_NS, "%lld s ago: %lld ms off",
                  (long long)ago, (long long)(off / MS_NS));
    }
    bb_endpoint_close(a);
    bb_endpoint_close(p);
}

/* ---- handles ---- */

Test(endpoint_flow, closing_a_parents_handles_in_a_child_harms_none_of_its_own)
{
    struct bb_endpoint *a = endpoint_new("a"), *p = endpoint_new("p");
    struct bb_subscriber *sub = subscriber_new(a, "", 0);
    struct bb_publisher *pub = publisher_new(p, 64, 8192, 0);
    publish(pub, "x", "1", 1);
    cr_assert_eq(poll_all(sub, 0), 1);
    pid_t pid = fork();
    if (pid == 0) {
        struct bb_endpoint *mine = endpoint_new("child"), *mine2 = endpoint_new("child2");
        struct bb_publisher *out = publisher_new(mine, 64, 8192, 0);
        struct bb_subscriber *in = subscriber_new(mine2, "", 0);
        publish(out, "x", "2", 1); /* its mappings may lie where the parent's were */
        bb_publisher_close(pub);
        bb_subscriber_close(sub);
        bb_endpoint_close(p);
        bb_endpoint_close(a);
        publish(out, "x", "3", 1);
        int n = poll_all(in, 0);
        bb_endpoint_close(mine);
        bb_endpoint_close(mine2);
        _exit(n == 2 ? 0 : 1);
    }
    int st;
    (void)waitpid(pid, &st, 0);
    cr_assert(WIFEXITED(st) && WEXITSTATUS(st) == 0, "child: %x", (unsigned)st);
    publish(pub, "x", "4", 1);
    cr_assert_eq(poll_all(sub, S_NS / 10), 3, "the parent's still work");
    bb_endpoint_close(a);
    bb_endpoint_close(p);
}

Test(endpoint_flow, messages_that_a_callback_left_are_not_forgotten)
{
    struct bb_endpoint *a = endpoint_new("a"), *p = endpoint_new("p");
    struct bb_subscriber *sub = subscriber_new(a, "", 0);
    struct bb_publisher *pub = publisher_new(p, 64, 8192, 0);
    for (int i = 0; i < 10; i++) {
        publish(pub, "x", "1", 1);
    }
    struct bb_msg msgs[16];
    int n = bb_poll(sub, msgs, 3, 0);
    cr_assert_eq(n, 3);
    cr_assert_eq(bb_release(sub), 0);
    cr_assert_eq(poll_all(sub, 0), 7);
    cr_assert_eq(stats_of(sub).delivered, 10U);
    bb_endpoint_close(a);
    bb_endpoint_close(p);
}

Test(endpoint_flow, nothing_is_left_open_when_all_is_closed)
{
    int before = count_fds();
    for (int i = 0; i < 5; i++) {
        struct bb_msg msg;
        struct bb_endpoint *a = endpoint_new("a"), *p = endpoint_new("p");
        struct bb_subscriber *sub = subscriber_new(a, "", 0);
        cr_assert_geq(bb_fd(sub), 0);
        cr_assert_eq(bb_poll(sub, &msg, 1, 0), 0);
        struct bb_publisher *pub = publisher_new(p, 64, 8192, 0);
        publish(pub, "x", "1", 1); /* knocks at its socket */
        cr_assert_geq(bb_poll(sub, &msg, 1, S_NS), 0);
        bb_publisher_close(pub);
        bb_subscriber_close(sub);
        bb_endpoint_close(a);
        bb_endpoint_close(p);
    }
    cr_assert_eq(count_fds(), before);
}
