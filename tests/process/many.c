/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    64 processes attach and publish at once and 8 of them subscribe to all; when nothing is said the bus
 *         costs next to nothing.
 * Method  Each publishes checked messages; then all sit in their waits, and their CPU time (not the wall clock)
 *         is summed.
 */
#include "shm/os.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    ENDPOINTS = 64,
    SUBSCRIBERS = 8,
    MESSAGES = 100,
    MAX_MSG = 100,
    OPEN = 1,
    SAID = 2,
    SAY = 1,
    QUIT = 2,
    N_QUIT = 0,
    N_OPENED,
    IDLE_MS = 5000
};

struct member {
    uint32_t number;
    bool subscribes, by_fd;
};

static void
be_member(struct bbt_side *side, const void *arg)
{
    const struct member *m = arg;
    struct bb_subscriber *sub = NULL;
    char name[32];
    (void)snprintf(name, sizeof(name), "member-%u", m->number);
    struct bb_endpoint *ep = bbt_endpoint(side, name, 0);
    const struct bb_publisher_opts o = {
        .lane = BB_LANE_CONTROL, .policy = BB_POLICY_BLOCK_FAIL, .block_ns = 20000000000};
    struct bb_publisher *pub = bbt_publisher(side, ep, &o);
    struct bb_topic *topic = bbt_topic(side, pub, m->number);
    side->reader.max = MAX_MSG;
    if (m->subscribes) {
        sub = bbt_subscriber(side, ep, "w/", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_LOOPBACK);
    }
    bbt_at(side, OPEN);
    (void)bbt_wait_go(side, SAY, 60000);
    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        BBT_CHECK(side, bbt_send(topic, m->number, seq, MAX_MSG, 0) == 0, "publish");
        if (sub != NULL) {
            (void)bbt_take(side, sub, 0);
        }
    }
    bbt_at(side, SAID);
    /* Idle: a subscriber in its wait, the others in the kernel. */
    while (sub != NULL && bbi_load_acquire(&side->n[N_QUIT]) == 0) {
        (void)bbt_take(side, sub, -1);
    }
    for (uint32_t go = 0; go < QUIT;) {
        (void)bbi_os_futex_wait(&side->go, go, 60000000000);
        go = bbi_load_acquire(&side->go);
    }
    /* The last word of member 1 wakes the subscribers, and they quit. */
    if (m->number == 1) {
        BBT_CHECK(side, bbt_send(topic, 1, MESSAGES + 1, MAX_MSG, 0) == 0, "publish");
    }
    if (sub != NULL) {
        bbt_balance(side, sub);
    }
    bb_endpoint_close(ep);
}

static int64_t
cpu_ns(struct bbt_child *c)
{
    clockid_t id;
    struct timespec ts;
    cr_assert_eq(clock_getcpuclockid(c->pid, &id), 0);
    cr_assert_eq(clock_gettime(id, &ts), 0);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

Test(many, sixty_four_members_and_idle, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 110)
{
    static struct bbt_child c[ENDPOINTS];
    static struct member m[ENDPOINTS];
    static int64_t cpu[ENDPOINTS];
    for (uint32_t i = 0; i < ENDPOINTS; i++) {
        m[i] = (struct member){.number = i + 1, .subscribes = i >= ENDPOINTS - SUBSCRIBERS};
        bbt_fork(&c[i], "member", be_member, &m[i]);
    }
    for (int i = 0; i < ENDPOINTS; i++) {
        bbt_wait_at(&c[i], OPEN, 20000);
    }
    for (int i = 0; i < ENDPOINTS; i++) {
        bbt_order(&c[i], SAY);
    }
    for (int i = 0; i < ENDPOINTS; i++) {
        bbt_wait_at(&c[i], SAID, 20000);
    }
    for (int i = ENDPOINTS - SUBSCRIBERS; i < ENDPOINTS; i++) {
        for (uint32_t w = 1; w <= ENDPOINTS; w++) {
            BBT_UNTIL(bbt_reader_got(&c[i].side->reader, w) == MESSAGES, 20000,
                      "subscriber %d got %lu of writer %u", i,
                      (unsigned long)bbt_reader_got(&c[i].side->reader, w), w);
        }
    }
    int64_t sum = 0, before = bbi_os_mono_ns();
    for (int i = 0; i < ENDPOINTS; i++) {
        cpu[i] = cpu_ns(&c[i]);
    }
    bbi_os_sleep_ns((int64_t)IDLE_MS * 1000000); /* not a synchronisation: what is measured */
    int64_t wall = bbi_os_mono_ns() - before;
    for (int i = 0; i < ENDPOINTS; i++) {
        sum += cpu_ns(&c[i]) - cpu[i];
    }
    (void)printf(
        "idle: %d endpoints, %d subscribers: %.3f ms of CPU in %.1f s: %.4f %% of a core\n",
        ENDPOINTS, SUBSCRIBERS, (double)sum / 1e6, (double)wall / 1e9,
        100.0 * (double)sum / (double)wall);
#ifdef __OPTIMIZE__
    int64_t share = getenv("BB_SANITIZE") != NULL ? 100 : 1000; /* 1 %, 0.1 % */
#else
    int64_t share = 300; /* code that is not optimised: 0.3 % */
#endif
    cr_assert_lt(sum * share, wall, "idle costs %.4f %% of a core",
                 100.0 * (double)sum / (double)wall);
    for (int i = ENDPOINTS - SUBSCRIBERS; i < ENDPOINTS; i++) {
        bbi_store_release(&c[i].side->n[N_QUIT], 1);
    }
    for (int i = 0; i < ENDPOINTS; i++) {
        bbt_order(&c[i], QUIT);
    }
    for (int i = 0; i < ENDPOINTS; i++) {
        bbt_wait_end(&c[i], 20000);
        if (m[i].subscribes) {
            cr_assert_eq(c[i].side->stats.lost, 0);
            cr_assert_eq(c[i].side->stats.evicted, 0);
        }
    }
    bbt_gc("many");
}
