/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: no wake-up is lost: a message that a sleeper wants reaches it long before its sleep of at most a
 * second would end, with the fence and with membarrier, by futex and by descriptor, also when the woken have
 * to wake each other.
 * Method: rounds.  In each, some publishers publish a little at random moments around the sleepers' falling
 * asleep; the next round begins when everybody got everything, so that no later message heals a lost
 * wake-up.  Later than half a second counts as lost, unless a thread that does nothing but look at the clock
 * was held up as well: then the machine was.
 */
#include "tests/stress/api.h"
#include <poll.h>

enum { SLEEPERS = 4, PUBLISHERS = 3, LATE_MS = 500, HELD_UP_MS = 50 };

static bbi_u32 is_done;
static bbi_u32 round_now;             /* raised by main */
static bbi_u32 finished[PUBLISHERS];  /* the round that this publisher has finished */
static bbi_u64 published[PUBLISHERS]; /* messages */
static bbi_u64 got[SLEEPERS];         /* messages */
static bbi_u64 held_up_ns;            /* when the machine was last seen to be too busy */
static pthread_barrier_t ready;

struct sleeper {
    int number;
    bool by_fd;
    uint64_t late, excused, wakes;
    int64_t worst_ns;
};

static void *
watch_clock(void *user)
{
    int64_t before = bbi_os_mono_ns();
    while (bbi_load_relaxed(&is_done) == 0) {
        bbi_os_sleep_ns(MS_NS);
        int64_t now = bbi_os_mono_ns();
        if (now - before > HELD_UP_MS * MS_NS) {
            bbi_store_relaxed(&held_up_ns, (uint64_t)now);
        }
        before = now;
    }
    return user;
}

static void *
publish_all(void *user)
{
    int me = (int)(intptr_t)user;
    char name[16];
    uint64_t rnd = stress_stream((uint64_t)me);
    (void)snprintf(name, sizeof(name), "pub%d", me);
    struct bb_endpoint *ep = endpoint_open(name);
    struct bb_publisher *pub =
        publisher_open(ep, 0, 0, BB_POLICY_EVICT, 0, me % 2 == 0 ? BB_PUBLISHER_FENCE : 0);
    struct bb_topic *topic = topic_open(pub, "x");
    uint32_t round = 0;
    (void)pthread_barrier_wait(&ready);
    while (bbi_load_seq_cst(&is_done) == 0) {
        if (bbi_load_seq_cst(&round_now) == round) {
            bbi_cpu_relax();
            continue;
        }
        round++;
        uint64_t chance = stress_random(&rnd);
        for (uint64_t n = chance % 3; n > 0; n--) {
            for (uint64_t k = stress_random(&rnd) % 4000; k > 0; k--) {
                bbi_cpu_relax();
            }
            int64_t body[2] = {me, bbi_os_mono_ns()};
            int rc = bb_publish(topic, body, sizeof(body), BB_RAW);
            CHECK(rc == 0, "publish: %d", rc);
            (void)bbi_fetch_add_seq_cst(&published[me], 1);
        }
        bbi_store_seq_cst(&finished[me], round);
    }
    bb_publisher_close(pub);
    bb_endpoint_close(ep);
    return NULL;
}

static void
take(struct sleeper *s, const struct bb_msg *m)
{
    int64_t body[2];
    memcpy(body, m->data, sizeof(body));
    int64_t now = bbi_os_mono_ns(), took = now - body[1];
    (void)bbi_fetch_add_seq_cst(&got[s->number], 1);
    s->worst_ns = took > s->worst_ns ? took : s->worst_ns;
    if (took < LATE_MS * MS_NS) {
        (void)bbi_fetch_add_relaxed(&stress_passed, 1);
    } else if ((int64_t)bbi_load_relaxed(&held_up_ns) > body[1] - S_NS) {
        s->excused++;
    } else {
        s->late++;
        CHECK(took < LATE_MS * MS_NS, "sleeper %d%s: %" PRId64 " ms late", s->number,
              s->by_fd ? " (fd)" : "", took / MS_NS);
    }
}

static void *
sleep_all(void *user)
{
    struct sleeper *s = user;
    char name[16];
    struct bb_msg msgs[16];
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    (void)snprintf(name, sizeof(name), "sub%d", s->number);
    struct bb_endpoint *ep = endpoint_open(name);
    struct bb_subscriber *sub = subscriber_open(ep, 0, BB_WAIT_SLEEP, "");
    int fd = s->by_fd ? bb_fd(sub) : -1;
    (void)pthread_barrier_wait(&ready);
    while (bbi_load_seq_cst(&is_done) == 0) {
        if (s->by_fd) {
            struct pollfd p = {.fd = fd, .events = POLLIN};
            (void)poll(&p, 1, 1500);
        }
        int n = bb_poll(sub, msgs, 16, s->by_fd ? 0 : S_NS);
        MUST(n >= 0, "poll: %d", n);
        for (int i = 0; i < n; i++) {
            take(s, &msgs[i]);
        }
    }
    bb_subscriber_stats(sub, &st);
    s->wakes = st.wakes;
    check_stats(sub, name);
    CHECK(st.lost == 0, "%" PRIu64 " lost", st.lost);
    bb_subscriber_close(sub);
    bb_endpoint_close(ep);
    return NULL;
}

/* One round; false when somebody did not get everything in three seconds. */
static bool
one_round(uint64_t *rnd)
{
    uint64_t want = 0;
    bool all = false;
    uint32_t round = bbi_fetch_add_seq_cst(&round_now, 1) + 1;
    for (int p = 0; p < PUBLISHERS; p++) {
        while (bbi_load_seq_cst(&finished[p]) != round) {
            bbi_os_sleep_ns(10000);
        }
        want += bbi_load_seq_cst(&published[p]);
    }
    int64_t deadline = bbi_os_mono_ns() + 3 * S_NS;
    while (!all && bbi_os_mono_ns() < deadline) {
        all = true;
        for (int i = 0; i < SLEEPERS; i++) {
            all = all && bbi_load_seq_cst(&got[i]) == want;
        }
        if (!all) {
            bbi_os_sleep_ns(10000);
        }
    }
    uint64_t pause = stress_random(rnd);
    if (pause % 4 != 0) {
        bbi_os_sleep_ns((int64_t)(pause >> 32) % (pause % 4 == 1 ? 300000 : 30000));
    }
    return all;
}

int
main(void)
{
    static struct sleeper sleepers[SLEEPERS];
    pthread_t subs[SLEEPERS], pubs[PUBLISHERS];
    uint64_t late = 0, excused = 0, rounds = 0;
    stress_start("stress/wake");
    stress_dir_make();
    uint64_t rnd = stress_stream(99);
    (void)pthread_barrier_init(&ready, NULL, SLEEPERS + PUBLISHERS + 1);
    for (int i = 0; i < SLEEPERS; i++) {
        sleepers[i] = (struct sleeper){.number = i, .by_fd = i % 2 == 0};
        subs[i] = stress_thread(sleep_all, &sleepers[i]);
    }
    for (intptr_t i = 0; i < PUBLISHERS; i++) {
        pubs[i] = stress_thread(publish_all, (void *)i);
    }
    pthread_t clock = stress_thread(watch_clock, NULL);
    (void)pthread_barrier_wait(&ready);
    for (; !stress_is_over(80); rounds++) {
        CHECK(one_round(&rnd), "round %" PRIu64 ": not everything arrived", rounds);
    }
    bbi_store_seq_cst(&is_done, 1);
    for (int i = 0; i < PUBLISHERS; i++) {
        (void)pthread_join(pubs[i], NULL);
    }
    for (int i = 0; i < SLEEPERS; i++) {
        (void)pthread_join(subs[i], NULL);
        (void)printf("sleeper %d%s: slept %" PRIu64 " times, worst %" PRId64 " us, late %" PRIu64
                     "\n",
                     i, sleepers[i].by_fd ? " (fd)" : "", sleepers[i].wakes,
                     sleepers[i].worst_ns / 1000, sleepers[i].late);
        late += sleepers[i].late;
        excused += sleepers[i].excused;
        CHECK(sleepers[i].wakes > 10, "sleeper %d hardly slept: nothing was tried", i);
    }
    (void)pthread_join(clock, NULL);
    (void)printf("%" PRIu64 " rounds, lost wake-ups: %" PRIu64
                 ", late with a busy machine: %" PRIu64 "\n",
                 rounds, late, excused);
    return stress_end();
}
