/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: a subscriber that joins reliably while publishers write at full speed loses nothing from its first
 * message on, over and over.
 * Method: tiny rings whose publishers wait for reliable readers; joiners open, read some messages without a
 * gap, close, and begin again.
 */
#include "tests/stress/api.h"

enum { JOINERS = 2, PUBLISHERS = 2, MOST = 300 };

static bbi_u32 is_done;
static pthread_barrier_t ready;

static void *
publish_all(void *user)
{
    uint64_t me = (uint64_t)(intptr_t)user;
    char name[16];
    unsigned char body[MOST];
    uint64_t rnd = stress_stream(me), n = 0, refused = 0;
    (void)snprintf(name, sizeof(name), "pub%d", (int)me);
    struct bb_endpoint *ep = endpoint_open(name);
    struct bb_publisher *pub = publisher_open(ep, 64, 4096, BB_POLICY_BLOCK_FAIL, 20 * S_NS,
                                              me == 0 ? BB_PUBLISHER_FENCE : 0);
    struct bb_topic *topic = topic_open(pub, "x");
    (void)pthread_barrier_wait(&ready);
    while (bbi_load_relaxed(&is_done) == 0) {
        size_t bytes = body_make(body, me, n + 1, 16 + n / 512 % (MOST - 15));
        bool more = stress_random(&rnd) % 32 != 0;
        int rc = bb_publish(topic, body, bytes, BB_RAW | (more ? (uint32_t)BB_MORE : 0));
        n += rc == 0;
        refused += rc != 0;
    }
    CHECK(refused == 0, "%" PRIu64 " messages were refused", refused);
    (void)printf("publisher %d: %" PRIu64 " messages\n", (int)me, n);
    bb_publisher_close(pub);
    bb_endpoint_close(ep);
    return NULL;
}

/* One life of a joiner: every message of each ring from the first that it gets. */
static void
join_once(struct bb_endpoint *ep, uint64_t *rnd, bool has_views)
{
    struct bb_msg msgs[32];
    uint64_t next[PUBLISHERS] = {0};
    uint64_t want = 1 + stress_random(rnd) % 400, got = 0;
    struct bb_subscriber *sub =
        subscriber_open(ep,
                        BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_STATUS
                            | (has_views ? 0 : (uint32_t)BB_SUBSCRIBER_COPIES),
                        stress_random(rnd) % 2 == 0 ? BB_WAIT_SLEEP : BB_WAIT_SPIN, "x");
    int64_t deadline = bbi_os_mono_ns() + 10 * S_NS;
    while (got < want && bbi_os_mono_ns() < deadline) {
        int n = bb_poll(sub, msgs, 1 + stress_random(rnd) % 32, S_NS);
        MUST(n >= 0, "poll: %d", n);
        for (int i = 0; i < n; i++) {
            if (msgs[i].status != NULL) {
                CHECK(msgs[i].status->kind != BB_STATUS_OVERRUN, "lost %" PRIu64 " of %s",
                      msgs[i].status->count, msgs[i].node);
                CHECK(msgs[i].status->kind != BB_STATUS_EVICTED
                          && msgs[i].status->kind != BB_STATUS_CORRUPT,
                      "status %u", msgs[i].status->kind);
                continue;
            }
            uint64_t who = (uint64_t)(msgs[i].node[3] - '0');
            unsigned char expected[MOST];
            uint64_t at = msgs[i].seq - 1;
            size_t bytes = body_make(expected, who, msgs[i].seq, 16 + at / 512 % (MOST - 15));
            CHECK(bytes == msgs[i].bytes && memcmp(expected, msgs[i].data, bytes) == 0,
                  "message %" PRIu64, msgs[i].seq);
            CHECK(next[who] == 0 || msgs[i].seq == next[who], "%" PRIu64 " instead of %" PRIu64,
                  msgs[i].seq, next[who]);
            next[who] = msgs[i].seq + 1;
            got++;
        }
        if (has_views) {
            int gone = bb_release(sub);
            CHECK(gone == 0, "%d views overwritten", gone);
        }
    }
    CHECK(got >= want, "only %" PRIu64 " of %" PRIu64 " messages in 10 s", got, want);
    struct bb_subscriber_stats s = {.size = sizeof(s)};
    bb_subscriber_stats(sub, &s);
    CHECK(s.lost == 0 && s.evicted == 0, "%" PRIu64 " lost, %" PRIu64 " evicted", s.lost,
          s.evicted);
    check_stats(sub, "joiner");
    bb_subscriber_close(sub);
}

static void *
join_all(void *user)
{
    int me = (int)(intptr_t)user;
    char name[16];
    uint64_t rnd = stress_stream(10 + (uint64_t)me);
    int joins = 0;
    (void)snprintf(name, sizeof(name), "sub%d", me);
    struct bb_endpoint *ep = endpoint_open(name);
    (void)pthread_barrier_wait(&ready);
    while (!stress_is_over(85)) {
        join_once(ep, &rnd, me % 2 == 0);
        joins++;
    }
    (void)printf("joiner %d: %d joins\n", me, joins);
    CHECK(joins > 5, "hardly anything was tried");
    bb_endpoint_close(ep);
    return NULL;
}

int
main(void)
{
    pthread_t pubs[PUBLISHERS], subs[JOINERS];
    stress_start("stress/join");
    stress_dir_make();
    (void)pthread_barrier_init(&ready, NULL, JOINERS + PUBLISHERS);
    for (intptr_t i = 0; i < PUBLISHERS; i++) {
        pubs[i] = stress_thread(publish_all, (void *)i);
    }
    for (intptr_t i = 0; i < JOINERS; i++) {
        subs[i] = stress_thread(join_all, (void *)i);
    }
    for (int i = 0; i < JOINERS; i++) {
        (void)pthread_join(subs[i], NULL);
    }
    bbi_store_relaxed(&is_done, 1);
    for (int i = 0; i < PUBLISHERS; i++) {
        (void)pthread_join(pubs[i], NULL);
    }
    return stress_end();
}
