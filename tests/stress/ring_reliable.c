/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: limits and policies with real subscribers: while a publisher waits or refuses, reliable readers get
 * every message once and in order; one that evicts goes on, and the evicted know exactly what they lost.
 * Method: a tiny ring, two publishers, fast and slow reliable readers and a lossy one, for each policy.
 */
#include "tests/stress/api.h"

enum { READERS = 3, PUBLISHERS = 2, MOST = 200 };

struct round {
    const char *name;
    uint32_t policy;
    int64_t block_ns;
    bool is_lossless; /* for reliable readers */
    int until_percent;
};

static const struct round ROUNDS[] = {
    {"fail", BB_POLICY_FAIL, 0, true, 22},
    {"block, then fail", BB_POLICY_BLOCK_FAIL, 20 * S_NS, true, 45},
    {"evict", BB_POLICY_EVICT, 0, false, 65},
    {"block, then evict", BB_POLICY_BLOCK_EVICT, 2 * MS_NS, false, 85},
};

static const struct round *round_now;
static pthread_barrier_t ready;
static uint64_t published[PUBLISHERS];

struct reader {
    int number;
    bool is_reliable, is_slow, has_views;
    uint64_t delivered[PUBLISHERS], lost, evictions;
};

static void *
publish_all(void *user)
{
    int me = (int)(intptr_t)user;
    char name[16];
    unsigned char body[MOST];
    uint64_t rnd = stress_stream((uint64_t)me);
    (void)snprintf(name, sizeof(name), "pub%d", me);
    struct bb_endpoint *ep = endpoint_open(name);
    struct bb_publisher *pub = publisher_open(ep, 64, 4096, round_now->policy, round_now->block_ns,
                                              me == 0 ? BB_PUBLISHER_FENCE : 0);
    struct bb_topic *topic = topic_open(pub, "x");
    (void)pthread_barrier_wait(&ready); /* the ring is there */
    (void)pthread_barrier_wait(&ready); /* it is read */
    uint64_t n = 0;
    while (!stress_is_over(round_now->until_percent) || n < 100) {
        size_t bytes = body_make(body, (uint64_t)me, n + 1, MOST);
        int rc = bb_publish(topic, body, bytes,
                            BB_RAW | (stress_random(&rnd) % 4 != 0 ? (uint32_t)BB_MORE : 0));
        if (rc == 0) {
            n++;
        } else {
            CHECK(rc == BB_EAGAIN && round_now->policy == BB_POLICY_FAIL, "publish: %d", rc);
            bbi_os_sleep_ns(20000);
        }
    }
    published[me] = n;
    bb_publisher_close(pub);
    bb_endpoint_close(ep);
    return NULL;
}

static void
take(struct reader *r, const struct bb_msg *m, int *left, uint64_t *last)
{
    uint64_t who = 0, n = 0;
    if (m->status != NULL) {
        *left -= m->status->kind == BB_STATUS_LEFT && strncmp(m->node, "pub", 3) == 0;
        r->lost += m->status->kind == BB_STATUS_OVERRUN ? m->status->count : 0;
        r->evictions += m->status->kind == BB_STATUS_EVICTED;
        return;
    }
    bool right =
        body_is_right(m->data, m->bytes, MOST, &who, &n) && who < PUBLISHERS && n == m->seq;
    CHECK(right, "%s, reader %d: message %" PRIu64 " of %zu bytes", round_now->name, r->number,
          m->seq, m->bytes);
    if (right) {
        CHECK(n > last[who], "%s, reader %d: %" PRIu64 " after %" PRIu64, round_now->name,
              r->number, n, last[who]);
        last[who] = n;
        r->delivered[who]++;
    }
}

static void *
read_all(void *user)
{
    struct reader *r = user;
    char name[16];
    struct bb_msg msgs[32];
    uint64_t rnd = stress_stream(50 + (uint64_t)r->number);
    uint64_t last[PUBLISHERS] = {0};
    int left = PUBLISHERS;
    (void)snprintf(name, sizeof(name), "sub%d", r->number);
    struct bb_endpoint *ep = endpoint_open(name);
    (void)pthread_barrier_wait(&ready);
    struct bb_subscriber *sub = subscriber_open(
        ep,
        BB_SUBSCRIBER_STATUS | (r->is_reliable ? (uint32_t)BB_SUBSCRIBER_RELIABLE : 0)
            | (r->has_views ? 0 : (uint32_t)BB_SUBSCRIBER_COPIES),
        BB_WAIT_SLEEP, "");
    (void)pthread_barrier_wait(&ready);
    int64_t deadline = bbi_os_mono_ns() + 60 * S_NS;
    while (left > 0 && bbi_os_mono_ns() < deadline) {
        int n = bb_poll(sub, msgs, 1 + stress_random(&rnd) % 32, 100 * MS_NS);
        MUST(n >= 0, "poll: %d", n);
        for (int i = 0; i < n; i++) {
            take(r, &msgs[i], &left, last);
        }
        if (r->is_slow && stress_random(&rnd) % 16 == 0) {
            bbi_os_sleep_ns((int64_t)(stress_random(&rnd) % 5000000));
        }
        if (r->has_views) {
            int gone = bb_release(sub);
            CHECK(gone == 0 || !round_now->is_lossless, "%d views were overwritten", gone);
        }
    }
    CHECK(left == 0, "%s, reader %d: %d publishers did not leave", round_now->name, r->number,
          left);
    check_stats(sub, name);
    bb_subscriber_close(sub);
    bb_endpoint_close(ep);
    return NULL;
}

static void
run(const struct round *round)
{
    struct reader readers[READERS] = {
        {.number = 0, .is_reliable = true, .has_views = round->is_lossless},
        {.number = 1, .is_reliable = true, .is_slow = true},
        {.number = 2},
    };
    pthread_t threads[READERS + PUBLISHERS];
    round_now = round;
    (void)pthread_barrier_init(&ready, NULL, READERS + PUBLISHERS);
    for (intptr_t i = 0; i < PUBLISHERS; i++) {
        threads[i] = stress_thread(publish_all, (void *)i);
    }
    for (int i = 0; i < READERS; i++) {
        threads[PUBLISHERS + i] = stress_thread(read_all, &readers[i]);
    }
    for (int i = 0; i < READERS + PUBLISHERS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < READERS; i++) {
        const struct reader *r = &readers[i];
        uint64_t got = r->delivered[0] + r->delivered[1], all = published[0] + published[1];
        (void)printf("%s, reader %d: %" PRIu64 " of %" PRIu64 ", lost %" PRIu64 ", evicted %" PRIu64
                     "\n",
                     round->name, i, got, all, r->lost, r->evictions);
        CHECK(got + r->lost == all, "reader %d", i);
        if (r->is_reliable && round->is_lossless) {
            CHECK(r->lost == 0 && r->evictions == 0, "reader %d: %" PRIu64 " lost", i, r->lost);
        }
    }
    (void)pthread_barrier_destroy(&ready);
}

int
main(void)
{
    stress_start("stress/ring_reliable");
    stress_dir_make();
    for (size_t i = 0; i < sizeof(ROUNDS) / sizeof(ROUNDS[0]); i++) {
        run(&ROUNDS[i]);
    }
    return stress_end();
}
