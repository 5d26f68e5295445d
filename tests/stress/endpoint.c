/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: threads of one process, each with its own publishers and subscribers of one endpoint, opening and
 * closing all the time, harm neither each other nor the bus, and leave nothing behind.
 * Method: four threads share one endpoint, two more have endpoints that come and go; descriptors and files
 * are counted at the end.
 */
#include "tests/stress/api.h"
#include <dirent.h>
#include <poll.h>

enum { SHARED = 4, LONE = 2, MOST = 500 };

static struct bb_endpoint *shared;

static int
count_entries(const char *path, const char *prefix)
{
    DIR *d = opendir(path);
    const struct dirent *e;
    int n = 0;
    while (d != NULL && (e = readdir(d)) != NULL) {
        n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    return n;
}

static void
publish_some(struct bb_endpoint *ep, uint64_t who, uint64_t *rnd)
{
    unsigned char body[MOST];
    char name[16];
    struct bb_publisher *pub = publisher_open(ep, 64, 16384, BB_POLICY_EVICT, 0,
                                              stress_random(rnd) % 2 == 0 ? BB_PUBLISHER_FENCE : 0);
    uint64_t count = stress_random(rnd) % 200;
    for (uint64_t i = 1; i <= count; i++) {
        (void)snprintf(name, sizeof(name), "t/%d", (int)(stress_random(rnd) % 8));
        size_t bytes = body_make(body, who, i, MOST);
        int rc = bb_publish_to(pub, name, strlen(name), body, bytes,
                               BB_RAW | (i % 3 == 0 ? (uint32_t)BB_MORE : 0));
        CHECK(rc == 0, "publish: %d", rc);
    }
    struct bb_publisher_stats s = {.size = sizeof(s)};
    bb_publisher_stats(pub, &s);
    CHECK(s.messages == count, "%" PRIu64 " of %" PRIu64, s.messages, count);
    bb_publisher_close(pub);
}

static void
check_message(const struct bb_msg *m)
{
    uint64_t who, n;
    CHECK(body_is_right(m->data, m->bytes, MOST, &who, &n) && n == m->seq,
          "message %" PRIu64 " of %s, %zu bytes", m->seq, m->node, m->bytes);
    CHECK(m->topic_bytes == 3 && memcmp(m->topic, "t/", 2) == 0, "topic '%.*s'",
          (int)m->topic_bytes, m->topic);
}

static void
subscribe_some(struct bb_endpoint *ep, uint64_t *rnd)
{
    static const uint32_t flags[] = {0, BB_SUBSCRIBER_LOOPBACK,
                                     BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_COPIES,
                                     BB_SUBSCRIBER_STATUS | BB_SUBSCRIBER_LOOPBACK};
    struct bb_msg msgs[16];
    struct bb_subscriber *sub =
        subscriber_open(ep, flags[stress_random(rnd) % 4],
                        stress_random(rnd) % 2 == 0 ? BB_WAIT_SLEEP : BB_WAIT_HYBRID, "t/");
    int fd = stress_random(rnd) % 3 == 0 ? bb_fd(sub) : -1;
    for (uint64_t polls = 1 + stress_random(rnd) % 100; polls > 0; polls--) {
        int n;
        if (fd >= 0) {
            struct pollfd p = {.fd = fd, .events = POLLIN};
            (void)poll(&p, 1, 3);
            n = bb_poll(sub, msgs, 16, 0);
        } else {
            n = bb_poll(sub, msgs, 16, 3 * MS_NS);
        }
        MUST(n >= 0, "poll: %d", n);
        for (int i = 0; i < n; i++) {
            if (msgs[i].status == NULL) {
                check_message(&msgs[i]);
            }
        }
        if (polls % 16 == 0) {
            int rc = bb_subscribe(sub, "t/1", 3, 0);
            CHECK(rc == 0, "subscribe: %d", rc);
            rc = bb_unsubscribe(sub, "t/1", 3, 0);
            CHECK(rc == 0, "unsubscribe: %d", rc);
        }
    }
    check_stats(sub, bb_endpoint_name(ep));
    bb_subscriber_close(sub);
}

static void *
share(void *user)
{
    uint64_t me = (uint64_t)(intptr_t)user;
    uint64_t rnd = stress_stream(me);
    while (!stress_is_over(80)) {
        if (stress_random(&rnd) % 2 == 0) {
            publish_some(shared, me, &rnd);
        } else {
            subscribe_some(shared, &rnd);
        }
    }
    return NULL;
}

static void *
be_alone(void *user)
{
    uint64_t me = (uint64_t)(intptr_t)user;
    uint64_t rnd = stress_stream(me);
    char name[16];
    while (!stress_is_over(80)) {
        (void)snprintf(name, sizeof(name), "lone%d", (int)me);
        struct bb_endpoint *ep = endpoint_open(name);
        for (uint64_t i = stress_random(&rnd) % 4; i > 0; i--) {
            if (stress_random(&rnd) % 2 == 0) {
                publish_some(ep, me, &rnd);
            } else {
                subscribe_some(ep, &rnd);
            }
        }
        bb_endpoint_close(ep);
    }
    return NULL;
}

int
main(void)
{
    pthread_t threads[SHARED + LONE];
    char path[128];
    stress_start("stress/endpoint");
    stress_dir_make();
    int fds = count_entries("/proc/self/fd", "");
    shared = endpoint_open("shared");
    for (intptr_t i = 0; i < SHARED + LONE; i++) {
        threads[i] = stress_thread(i < SHARED ? share : be_alone, (void *)i);
    }
    for (int i = 0; i < SHARED + LONE; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    bb_endpoint_close(shared);
    int now = count_entries("/proc/self/fd", "");
    CHECK(now == fds, "%d descriptors, %d before", now, fds);
    int rc = bb_gc(
        &(struct bb_gc_opts){.size = sizeof(struct bb_gc_opts), .dir = stress_dir, .bus = "b"});
    CHECK(rc >= 0, "gc: %d", rc);
    (void)snprintf(path, sizeof(path), "%s/b", stress_dir);
    CHECK(count_entries(path, "pub-") == 0 && count_entries(path, "sub-") == 0
              && count_entries(path, "sock") == 0 && count_entries(path, "dead") == 0,
          "files are left in %s", path);
    return stress_end();
}
