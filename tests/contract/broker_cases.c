/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: what Broker's users rely on, and where busbar is deliberately better: the black-box cases of topics
 * and publish/subscribe, 1-12 and 15-21, each under its number.
 * Method: the public API only.  "A, B, C" are endpoints; where a case speaks of processes they are forked.
 */
#include <busbar/endpoint.h>
#include <busbar/inspect.h>
#include <busbar/topic.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define S_NS  INT64_C(1000000000)
#define MS_NS INT64_C(1000000)

static char dir[64];

static void
set_up(void)
{
    (void)strcpy(dir, "/dev/shm/busbar-case-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
}

static void
tear_down(void)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    (void)!system(command);
}

TestSuite(broker_cases, .init = set_up, .fini = tear_down, .timeout = 60);

/* ---- words ---- */

static int64_t
now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * S_NS + ts.tv_nsec;
}

static struct bb_endpoint *
endpoint(const char *name)
{
    struct bb_error err = {0};
    struct bb_endpoint *ep = NULL;
    const struct bb_endpoint_opts o = {
        .size = sizeof(o), .dir = dir, .bus = "b", .name = name, .error = &err};
    int rc = bb_endpoint_open(&ep, &o);
    cr_assert_eq(rc, 0, "%s: %s", name, err.sentence);
    return ep;
}

static struct bb_publisher *
publisher(struct bb_endpoint *ep, uint32_t lane)
{
    struct bb_publisher *pub = NULL;
    const struct bb_publisher_opts o = {.size = sizeof(o), .lane = lane};
    cr_assert_eq(bb_publisher_open(&pub, ep, &o), 0);
    return pub;
}

static struct bb_subscriber *
subscriber_at(struct bb_endpoint *ep,
              const char *prefix,
              uint32_t flags,
              uint32_t start,
              uint32_t prefix_flags)
{
    struct bb_subscriber *sub = NULL;
    const struct bb_subscriber_opts o = {.size = sizeof(o),
                                         .flags = flags,
                                         .start = start,
                                         .prefixes = &prefix,
                                         .prefix_count = prefix != NULL,
                                         .prefix_flags = prefix_flags};
    cr_assert_eq(bb_subscriber_open(&sub, ep, &o), 0);
    return sub;
}

static struct bb_subscriber *
subscriber(struct bb_endpoint *ep, const char *prefix)
{
    return subscriber_at(ep, prefix, 0, BB_START_NOW, 0);
}

static void
publish(struct bb_publisher *pub, const char *topic, const char *data)
{
    cr_assert_eq(bb_publish_to(pub, topic, strlen(topic), data, strlen(data), BB_RAW), 0, "%s",
                 topic);
}

/* What arrives within a moment, as "topic=data topic=data". */
static const char *
arrives(struct bb_subscriber *sub)
{
    static char text[4096];
    struct bb_msg msgs[16];
    int n;
    text[0] = '\0';
    while ((n = bb_poll(sub, msgs, 16, 20 * MS_NS)) > 0) {
        for (int i = 0; i < n; i++) {
            size_t at = strlen(text);
            (void)snprintf(text + at, sizeof(text) - at, "%s%.*s=%.*s", at > 0 ? " " : "",
                           (int)msgs[i].topic_bytes, msgs[i].topic, (int)msgs[i].bytes,
                           (const char *)msgs[i].data);
        }
    }
    cr_assert_eq(n, 0);
    return text;
}

static struct bb_subscriber_stats
stats(const struct bb_subscriber *sub)
{
    struct bb_subscriber_stats s = {.size = sizeof(s)};
    bb_subscriber_stats(sub, &s);
    cr_assert_eq(s.messages, s.delivered + s.filtered + s.lost);
    return s;
}

/* One sender A with a data lane and one receiver B. */
static struct bb_endpoint *a, *b;
static struct bb_publisher *out;

static void
a_and_b(void)
{
    a = endpoint("A");
    b = endpoint("B");
    out = publisher(a, BB_LANE_DATA);
}

static void
close_all(void)
{
    bb_endpoint_close(a);
    bb_endpoint_close(b);
}

static void
publish_four(void)
{
    publish(out, "a/b", "1");
    publish(out, "a/b/c", "2");
    publish(out, "a/bc", "3");
    publish(out, "a", "4");
}

/* ---- topics ---- */

Test(broker_cases, case_01_a_prefix_matches_byte_wise)
{
    a_and_b();
    struct bb_subscriber *sub = subscriber(b, "a/b");
    publish_four();
    cr_assert_str_eq(arrives(sub), "a/b=1 a/b/c=2 a/bc=3");
    close_all();
}

Test(broker_cases, case_02_a_prefix_that_ends_in_a_slash_does_not_match_itself_without)
{
    a_and_b();
    struct bb_subscriber *sub = subscriber(b, "a/b/");
    publish_four();
    cr_assert_str_eq(arrives(sub), "a/b/c=2");
    close_all();
}

Test(broker_cases, case_03_the_empty_prefix_gets_all_that_users_publish_and_nothing_reserved)
{
    struct bb_topic *t = NULL;
    a_and_b();
    struct bb_subscriber *sub = subscriber(b, "");
    publish_four();
    publish(out, "", "5");
    cr_assert_eq(bb_topic_open(&t, out, "<$>/local/x", 11), BB_EINVAL, "not a user's topic");
    cr_assert_eq(bb_publish_to(out, "a/<$>", 5, "6", 1, BB_RAW), BB_EINVAL);
    cr_assert_str_eq(arrives(sub), "a/b=1 a/b/c=2 a/bc=3 a=4 =5");
    cr_assert_eq(bb_topic_match("", 0, 0, "<$>/local/x", 11), 0);
    close_all();
}

Test(broker_cases, case_04_path_mode_matches_whole_components)
{
    a_and_b();
    struct bb_subscriber *sub = subscriber_at(b, "a/b", 0, BB_START_NOW, BB_TOPIC_PATH);
    publish_four();
    cr_assert_str_eq(arrives(sub), "a/b=1 a/b/c=2");
    close_all();
}

Test(broker_cases, case_05_topics_are_joined_with_one_slash)
{
    static const char *const rows[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a", "b/", "a/b"}, {"a/", "b/", "a/b"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[16];
        int n = bb_topic_join(rows[i][0], strlen(rows[i][0]), rows[i][1], strlen(rows[i][1]), text,
                              sizeof(text));
        cr_assert_eq(n, (int)strlen(rows[i][2]), "'%s' + '%s'", rows[i][0], rows[i][1]);
        cr_assert_eq(memcmp(text, rows[i][2], (size_t)n), 0, "'%s' + '%s' = '%.*s'", rows[i][0],
                     rows[i][1], n, text);
    }
}

Test(broker_cases, case_06_a_topic_has_up_to_65535_bytes)
{
    struct bb_msg msg;
    char *topic = malloc(65536);
    memset(topic, 'x', 65536);
    a_and_b();
    struct bb_subscriber *sub = subscriber(b, "x");
    cr_assert_eq(bb_publish_to(out, topic, 65535, "1", 1, BB_RAW), 0);
    cr_assert_eq(bb_publish_to(out, topic, 65536, "2", 1, BB_RAW), BB_ENAMETOOLONG);
    cr_assert_eq(bb_poll(sub, &msg, 1, S_NS), 1);
    cr_assert_eq(msg.topic_bytes, 65535U);
    cr_assert_eq(memcmp(msg.topic, topic, 65535), 0);
    publish(out, "x", "3"); /* nothing broke */
    cr_assert_str_eq(arrives(sub), "x=3");
    free(topic);
    close_all();
}

struct prefixes {
    char text[256];
};

static int
add_prefix(const char *prefix, size_t bytes, uint32_t flags, void *user)
{
    struct prefixes *p = user;
    size_t at = strlen(p->text);
    (void)flags;
    (void)snprintf(p->text + at, sizeof(p->text) - at, "%s%.*s", at > 0 ? " " : "", (int)bytes,
                   prefix);
    return 0;
}

/* What publishers see of the one subscriber on the bus. */
static const char *
filter_seen(void)
{
    static struct prefixes p;
    struct bb_look *look = NULL;
    struct bb_subscriber_info info;
    const struct bb_look_opts o = {.size = sizeof(o), .dir = dir, .bus = "b"};
    p.text[0] = '\0';
    cr_assert_eq(bb_look_open(&look, &o), 0);
    cr_assert_eq(bb_look_subscribers(look, &info, 1), 1);
    cr_assert_eq(bb_look_prefixes(look, info.subscriber, add_prefix, &p), 0);
    bb_look_close(look);
    return p.text;
}

Test(broker_cases, case_07_the_filter_is_minimal)
{
    a_and_b();
    struct bb_subscriber *sub = subscriber(b, "/foo/bar");
    cr_assert_str_eq(filter_seen(), "/foo/bar");
    cr_assert_eq(bb_subscribe(sub, "/foo", 4, 0), 0);
    cr_assert_str_eq(filter_seen(), "/foo");
    cr_assert_eq(bb_subscribe(sub, "/foo/x", 6, 0), 0);
    cr_assert_str_eq(filter_seen(), "/foo");
    publish(out, "/foo/bar", "1");
    publish(out, "/foo/y", "2");
    cr_assert_str_eq(arrives(sub), "/foo/bar=1 /foo/y=2", "each once");
    close_all();
}

Test(broker_cases, case_08_after_unsubscribe_nothing_is_sent_any_more)
{
    struct bb_topic *t = NULL;
    a_and_b();
    struct bb_subscriber *sub = subscriber(b, "a");
    cr_assert_eq(bb_topic_open(&t, out, "a", 1), 0);
    cr_assert_eq(bb_topic_wanted(t), 1);
    publish(out, "a", "1");
    cr_assert_eq(bb_unsubscribe(sub, "a", 1, 0), 0);
    cr_assert_eq(bb_topic_wanted(t), 0, "the publisher knows, and may spare the work");
    cr_assert_eq(bb_subscriber_count(t), 0);
    cr_assert_str_eq(arrives(sub), "", "nor is what was not yet read");
    publish(out, "a", "2");
    cr_assert_str_eq(arrives(sub), "");
    cr_assert_eq(bb_unsubscribe(sub, "never", 5, 0), BB_ENOENT);
    close_all();
}

/* ---- publish and subscribe ---- */

/* A child process that publishes the numbers 0 .. count-1 to `n` and leaves. */
static pid_t
fork_counter(int count, int64_t pause_ns)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct bb_endpoint *ep = endpoint("counter");
        struct bb_publisher *pub = publisher(ep, BB_LANE_CONTROL);
        for (int i = 0; i < count; i++) {
            if (bb_publish_to(pub, "n", 1, &i, sizeof(i), BB_RAW) != 0) {
                _exit(2);
            }
            if (pause_ns > 0) {
                const struct timespec ts = {.tv_nsec = pause_ns};
                (void)nanosleep(&ts, NULL);
            }
        }
        bb_endpoint_close(ep);
        _exit(0);
    }
    cr_assert_gt(pid, 0);
    return pid;
}

static void
child_is_well(pid_t pid)
{
    int st = -1;
    cr_assert_eq(waitpid(pid, &st, 0), pid);
    cr_assert(WIFEXITED(st) && WEXITSTATUS(st) == 0, "child: %x", (unsigned)st);
}

/* Numbers that arrive, each the next one; until `left` comes or the time is over.  How many. */
static int
count_numbers(struct bb_subscriber *sub, int from)
{
    struct bb_msg msgs[64];
    int next = from;
    int64_t deadline = now_ns() + 20 * S_NS;
    while (now_ns() < deadline) {
        int n = bb_poll(sub, msgs, 64, S_NS);
        cr_assert_geq(n, 0);
        for (int i = 0; i < n; i++) {
            int v;
            if (msgs[i].status != NULL) {
                cr_assert_neq(msgs[i].status->kind, (uint32_t)BB_STATUS_OVERRUN);
                cr_assert_neq(msgs[i].status->kind, (uint32_t)BB_STATUS_EVICTED);
                if (msgs[i].status->kind == BB_STATUS_LEFT
                    || msgs[i].status->kind == BB_STATUS_DIED) {
                    return next - from;
                }
                continue;
            }
            memcpy(&v, msgs[i].data, sizeof(v));
            cr_assert_eq(v, next, "%d instead of %d", v, next);
            next++;
        }
    }
    cr_assert_fail("nobody left; %d so far", next - from);
    return -1;
}

Test(broker_cases, case_09_all_values_arrive_once_and_in_order)
{
    b = endpoint("B");
    struct bb_subscriber *sub =
        subscriber_at(b, "n", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_STATUS, BB_START_NOW, 0);
    pid_t pid = fork_counter(20000, 0);
    cr_assert_eq(count_numbers(sub, 0), 20000);
    child_is_well(pid);
    cr_assert_eq(stats(sub).lost, 0U);
    bb_endpoint_close(b);
}

Test(broker_cases, case_10_two_subscribers_of_one_endpoint_get_each_its_share)
{
    a_and_b();
    struct bb_subscriber *x = subscriber(b, "x"), *y = subscriber(b, "y");
    publish(out, "x/1", "1");
    publish(out, "y/1", "2");
    publish(out, "z/1", "3");
    publish(out, "x/2", "4");
    cr_assert_str_eq(arrives(x), "x/1=1 x/2=4");
    cr_assert_str_eq(arrives(y), "y/1=2");
    cr_assert_eq(stats(x).filtered, 2U);
    cr_assert_eq(stats(y).filtered, 3U);
    close_all();
}

static long
resident_kib(void)
{
    long total = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    cr_assert_eq(fscanf(f, "%ld %ld", &total, &resident), 2);
    (void)fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

Test(broker_cases, case_11_publishing_what_nobody_wants_costs_no_memory)
{
    a_and_b();
    struct bb_subscriber *sub = subscriber(b, "other");
    unsigned char body[256] = {0};
    for (int i = 0; i < 200000; i++) { /* every page of the ring was touched */
        cr_assert_eq(bb_publish_to(out, "unwanted", 8, body, sizeof(body), BB_RAW), 0);
    }
    long before = resident_kib();
    for (int i = 0; i < 400000; i++) {
        cr_assert_eq(bb_publish_to(out, "unwanted", 8, body, sizeof(body), BB_RAW), 0);
    }
    cr_assert_leq(resident_kib() - before, 512);
    cr_assert_str_eq(arrives(sub), "");
    struct bb_subscriber_stats s = stats(sub);
    cr_assert_eq(s.delivered, 0U);
    cr_assert_eq(s.lost, 0U, "nothing that it wanted was lost");
    cr_assert_eq(s.filtered, 600000U);
    close_all();
}

Test(broker_cases, case_12_a_batch_is_filtered_message_by_message_and_keeps_its_order)
{
    struct bb_topic *x = NULL, *y = NULL;
    a_and_b();
    struct bb_subscriber *sub = subscriber(b, "x"), *all = subscriber(b, "");
    cr_assert_eq(bb_topic_open(&x, out, "x", 1), 0);
    cr_assert_eq(bb_topic_open(&y, out, "y", 1), 0);
    const struct bb_out msgs[] = {
        {.topic = x, .data = "1", .bytes = 1}, {.topic = y, .data = "2", .bytes = 1},
        {.topic = x, .data = "3", .bytes = 1}, {.topic = y, .data = "4", .bytes = 1},
        {.topic = x, .data = "5", .bytes = 1},
    };
    cr_assert_eq(bb_publish_batch(msgs, 5), 5);
    cr_assert_str_eq(arrives(sub), "x=1 x=3 x=5");
    cr_assert_str_eq(arrives(all), "x=1 y=2 x=3 y=4 x=5");
    close_all();
}

Test(broker_cases, case_13_a_subscriber_does_not_hear_its_own_endpoint_unless_it_asks)
{
    a_and_b();
    struct bb_subscriber *own = subscriber(a, ""), *other = subscriber(b, "");
    struct bb_subscriber *loop = subscriber_at(a, "", BB_SUBSCRIBER_LOOPBACK, BB_START_NOW, 0);
    publish(out, "x", "1");
    cr_assert_str_eq(arrives(own), "");
    cr_assert_str_eq(arrives(other), "x=1");
    cr_assert_str_eq(arrives(loop), "x=1");
    close_all();
}

/* Broker's hub is a publisher and a subscriber of their own in one process: here an endpoint each. */
Test(broker_cases, case_14_hubs_exchange_both_ways_until_one_is_closed)
{
    a_and_b();
    struct bb_endpoint *remote = endpoint("C");
    struct bb_publisher *back = publisher(b, BB_LANE_DATA), *far = publisher(remote, BB_LANE_DATA);
    struct bb_subscriber *in_a = subscriber(a, "x"), *in_b = subscriber(b, "x");
    struct bb_subscriber *in_c = subscriber(remote, "x");
    publish(out, "x/a", "1");
    cr_assert_str_eq(arrives(in_b), "x/a=1", "from hub to hub");
    cr_assert_str_eq(arrives(in_a), "", "not to itself");
    cr_assert_str_eq(arrives(in_c), "x/a=1", "and to others");
    publish(back, "x/b", "2");
    cr_assert_str_eq(arrives(in_a), "x/b=2", "and back");
    cr_assert_str_eq(arrives(in_b), "");
    cr_assert_str_eq(arrives(in_c), "x/b=2");
    publish(far, "x/c", "3");
    cr_assert_str_eq(arrives(in_a), "x/c=3", "others reach hubs");
    cr_assert_str_eq(arrives(in_b), "x/c=3");

    struct bb_topic *t = NULL;
    bb_subscriber_close(in_c);
    cr_assert_eq(bb_topic_open(&t, back, "x/b", 3), 0);
    cr_assert_eq(bb_topic_wanted(t), 1);
    cr_assert_eq(bb_subscriber_count(t), 1);
    bb_endpoint_close(a); /* the hub is closed: nothing is delivered there, and nobody wants it */
    cr_assert_eq(bb_topic_wanted(t), 0);
    cr_assert_eq(bb_subscriber_count(t), 0);
    cr_assert_eq(bb_publish(t, "4", 1, BB_RAW), 0);
    publish(far, "x/c", "5");
    cr_assert_str_eq(arrives(in_b), "x/c=5", "the others go on");
    bb_endpoint_close(b);
    bb_endpoint_close(remote);
}

Test(broker_cases, case_15_a_message_to_a_node_reaches_that_node_only)
{
    a_and_b();
    struct bb_endpoint *c = endpoint("C");
    struct bb_subscriber *in_b = subscriber(b, "node/worker-1/");
    struct bb_subscriber *in_c = subscriber(c, "node/worker-10/");
    publish(out, "node/worker-1/do", "this");
    cr_assert_str_eq(arrives(in_b), "node/worker-1/do=this");
    cr_assert_str_eq(arrives(in_c), "");
    publish(out, "node/worker-10/do", "that");
    cr_assert_str_eq(arrives(in_b), "", "worker-1 is not worker-10");
    cr_assert_str_eq(arrives(in_c), "node/worker-10/do=that");
    bb_endpoint_close(c);
    close_all();
}

Test(broker_cases, case_16_poll_is_empty_at_once_or_after_its_time_and_the_fd_tells)
{
    struct bb_msg msg;
    a_and_b();
    struct bb_subscriber *sub = subscriber(b, "x");
    int64_t t0 = now_ns();
    cr_assert_eq(bb_poll(sub, &msg, 1, 0), 0);
    cr_assert_lt(now_ns() - t0, 100 * MS_NS);
    t0 = now_ns();
    cr_assert_eq(bb_poll(sub, &msg, 1, 50 * MS_NS), 0);
    cr_assert_geq(now_ns() - t0, 50 * MS_NS);
    cr_assert_lt(now_ns() - t0, 2 * S_NS);
    struct pollfd p = {.fd = bb_fd(sub), .events = POLLIN};
    cr_assert_geq(p.fd, 0);
    cr_assert_eq(bb_poll(sub, &msg, 1, 0), 0);
    cr_assert_eq(poll(&p, 1, 0), 0, "nothing there: not readable");
    publish(out, "x", "1");
    publish(out, "x", "2");
    cr_assert_eq(poll(&p, 1, 2000), 1, "something there: readable");
    cr_assert_eq(bb_poll(sub, &msg, 1, 0), 1);
    cr_assert_eq(poll(&p, 1, 0), 1, "one is left: still readable");
    cr_assert_eq(bb_poll(sub, &msg, 1, 0), 1);
    cr_assert_eq(bb_poll(sub, &msg, 1, 0), 0);
    cr_assert_eq(poll(&p, 1, 0), 0, "all taken: not readable");
    close_all();
}

Test(broker_cases, case_17_prefixes_come_and_go_at_run_time)
{
    a_and_b();
    struct bb_subscriber *sub = subscriber(b, NULL);
    publish(out, "x", "0");
    cr_assert_str_eq(arrives(sub), "");
    for (int i = 0; i < 200; i++) {
        /* In force when the call returns: the very next publish is meant. */
        cr_assert_eq(bb_subscribe(sub, "x", 1, 0), 0);
        publish(out, "x", "1");
        publish(out, "y", "2");
        cr_assert_str_eq(arrives(sub), "x=1", "round %d", i);
        cr_assert_eq(bb_unsubscribe(sub, "x", 1, 0), 0);
        cr_assert_eq(bb_subscribe(sub, "y", 1, 0), 0);
        publish(out, "x", "3");
        publish(out, "y", "4");
        cr_assert_str_eq(arrives(sub), "y=4", "round %d", i);
        cr_assert_eq(bb_unsubscribe(sub, "y", 1, 0), 0);
        i += i > 3 ? 49 : 0; /* arrives() waits each time */
    }
    close_all();
}

/* Nanoseconds for so many messages. */
static int64_t
publish_many(int count)
{
    unsigned char body[64] = {0};
    int64_t t0 = now_ns();
    for (int i = 0; i < count; i++) {
        cr_assert_eq(bb_publish_to(out, "x", 1, body, sizeof(body), BB_RAW), 0);
    }
    return now_ns() - t0;
}

/* B is another process: it subscribes, says so, and stops itself; afterwards it reads all. */
static pid_t
fork_stopped_reader(uint64_t published)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct bb_msg msgs[64];
        struct bb_endpoint *ep = endpoint("stopped");
        struct bb_subscriber *sub = subscriber(ep, "x");
        (void)raise(SIGSTOP);
        int n;
        uint64_t read = 0;
        while ((n = bb_poll(sub, msgs, 64, 200 * MS_NS)) > 0) {
            read += (uint64_t)n;
        }
        struct bb_subscriber_stats s = {.size = sizeof(s)};
        bb_subscriber_stats(sub, &s);
        bool exact = s.messages == published && s.delivered == read && s.lost == published - read
                     && s.lost > 0 && s.filtered == 0;
        bb_endpoint_close(ep);
        _exit(exact ? 0 : 1);
    }
    int st;
    cr_assert_eq(waitpid(pid, &st, WUNTRACED), pid);
    cr_assert(WIFSTOPPED(st));
    return pid;
}

Test(broker_cases, case_18_who_stops_reading_slows_nobody_and_knows_what_it_lost)
{
    enum { COUNT = 200000 };
    struct bb_msg msgs[64];
    a_and_b();
    int64_t alone = publish_many(COUNT);
    pid_t pid = fork_stopped_reader(COUNT);
    struct bb_subscriber *other = subscriber(b, "x");
    int got = 0, n;
    int64_t spent = 0;
    for (int i = 0; i < COUNT / 1000; i++) {
        spent += publish_many(1000);
        while ((n = bb_poll(other, msgs, 64, 0)) > 0) {
            got += n;
        }
    }
    cr_assert_eq(got, COUNT, "others lose nothing");
    cr_assert_eq(stats(other).lost, 0U);
    cr_assert_lt(spent, 20 * alone + S_NS, "%lld ms, alone %lld ms", (long long)(spent / MS_NS),
                 (long long)(alone / MS_NS));
    (void)kill(pid, SIGCONT);
    child_is_well(pid);
    close_all();
}

Test(broker_cases, case_19_a_late_subscriber_gets_the_retained_and_then_the_live_ones)
{
    b = endpoint("B");
    pid_t pid = fork_counter(3000, 200000);
    struct timespec half = {.tv_nsec = 200 * MS_NS};
    (void)nanosleep(&half, NULL);
    struct bb_subscriber *sub =
        subscriber_at(b, "n", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_STATUS, BB_START_OLDEST, 0);
    cr_assert_eq(count_numbers(sub, 0), 3000, "from the first on, no gap, none twice");
    child_is_well(pid);
    bb_endpoint_close(b);
}

Test(broker_cases, case_20_what_was_published_just_before_the_end_arrives)
{
    b = endpoint("B");
    struct bb_subscriber *sub = subscriber_at(b, "n", BB_SUBSCRIBER_STATUS, BB_START_NOW, 0);
    for (int round = 0; round < 20; round++) {
        int k = round * round * 5 % 700;
        pid_t pid = fork_counter(k, 0);
        child_is_well(pid); /* it is gone before we look */
        cr_assert_eq(count_numbers(sub, 0), k, "round %d", round);
    }
    bb_endpoint_close(b);
}

/* A killed publisher had a message half written; committed ones went before. */
static pid_t
fork_victim(int committed)
{
    int ready[2];
    char c;
    cr_assert_eq(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct bb_topic *t = NULL;
        void *data = NULL;
        struct bb_endpoint *ep = endpoint("victim");
        struct bb_publisher *pub = publisher(ep, BB_LANE_CONTROL);
        if (bb_topic_open(&t, pub, "n", 1) != 0) {
            _exit(2);
        }
        for (int i = 0; i < committed; i++) {
            if (bb_publish(t, &i, sizeof(i), BB_RAW | BB_MORE) != 0) {
                _exit(2);
            }
        }
        if (bb_loan(t, 1000, &data) != 0) {
            _exit(2);
        }
        memset(data, 0xee, 500); /* the torn record */
        (void)!write(ready[1], "x", 1);
        for (;;) {
            (void)pause();
        }
    }
    cr_assert_eq(read(ready[0], &c, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return pid;
}

Test(broker_cases, case_21_a_publisher_killed_in_the_middle_of_a_message)
{
    struct bb_msg msgs[16];
    int died = 0, next = 0, from_a = 0;
    a_and_b();
    struct bb_subscriber *sub = subscriber_at(b, "", BB_SUBSCRIBER_STATUS, BB_START_NOW, 0);
    pid_t pid = fork_victim(10);
    cr_assert_eq(kill(pid, SIGKILL), 0);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    publish(out, "other", "goes on");
    int64_t deadline = now_ns() + 10 * S_NS;
    while ((died == 0 || from_a == 0) && now_ns() < deadline) {
        int n = bb_poll(sub, msgs, 16, 100 * MS_NS);
        cr_assert_geq(n, 0);
        for (int i = 0; i < n; i++) {
            int v;
            if (msgs[i].status != NULL) {
                cr_assert_neq(msgs[i].status->kind, (uint32_t)BB_STATUS_LEFT);
                if (msgs[i].status->kind == BB_STATUS_DIED) {
                    cr_assert_str_eq(msgs[i].node, "victim");
                    cr_assert_eq(next, 10, "after its last message");
                    died++;
                }
            } else if (strcmp(msgs[i].node, "victim") == 0) {
                cr_assert_eq(msgs[i].bytes, sizeof(v), "the torn record is skipped");
                memcpy(&v, msgs[i].data, sizeof(v));
                cr_assert_eq(v, next++);
            } else {
                from_a++;
            }
        }
    }
    cr_assert_eq(next, 10, "what was committed is delivered");
    cr_assert_eq(died, 1);
    cr_assert_eq(from_a, 1, "others go on");
    publish(out, "other", "and on");
    cr_assert_str_eq(arrives(sub), "other=and on", "one status, no more");
    cr_assert_eq(stats(sub).lost, 0U);
    close_all();
}
