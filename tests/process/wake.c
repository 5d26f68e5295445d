/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A message to a sleeping reader wakes it: no wake-up is lost, so the net of one second is never needed.
 * Method  Readers sleep in bb_poll() or on bb_fd() without bound.  Thousands of messages, each sent a random
 *         while after the last was seen: into the arming, into the sleep, into the waking.  Slow ones are counted.
 */
#include "shm/os.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READY = 1, READERS = 3, N_SEEN = 0, N_SLOW, N_WAKES, N_WORST_US };
static const int64_t SLOW_NS = 500000000;
static const uint64_t END = UINT64_MAX;

struct kind {
    char name[40];
    uint32_t flags; /* of the publisher */
    uint32_t wait;  /* of the readers */
    bool by_fd;
    int readers;
    uint64_t cycles;
};

static struct bb_subscriber *
open_sleeper(struct bbt_side *side, struct bb_endpoint *ep, const struct kind *kind)
{
    struct bb_subscriber *sub;
    const char *const prefixes[] = {"wake"};
    int rc =
        bb_subscriber_open(&sub, ep,
                           &(struct bb_subscriber_opts){.size = sizeof(struct bb_subscriber_opts),
                                                        .wait = kind->wait,
                                                        .prefixes = prefixes,
                                                        .prefix_count = 1});
    BBT_CHECK(side, rc == 0, "subscriber: %d", rc);
    return sub;
}

/* A message is {number, time}. */
static bool
note(struct bbt_side *side, const struct bb_msg *m)
{
    uint64_t v[2];
    BBT_CHECK(side, m->bytes == sizeof(v), "%zu bytes", m->bytes);
    memcpy(v, m->data, sizeof(v));
    if (v[0] == END) {
        return false;
    }
    int64_t late = bbi_os_mono_ns() - (int64_t)v[1];
    side->n[N_SLOW] += late > SLOW_NS;
    if ((uint64_t)late / 1000 > side->n[N_WORST_US]) {
        side->n[N_WORST_US] = (uint64_t)late / 1000;
    }
    BBT_CHECK(side, v[0] == side->n[N_SEEN] + 1, "message %lu after %lu", (unsigned long)v[0],
              (unsigned long)side->n[N_SEEN]);
    bbi_store_release(&side->n[N_SEEN], v[0]);
    return true;
}

static void
sleeper(struct bbt_side *side, const void *arg)
{
    const struct kind *kind = arg;
    struct bb_endpoint *ep = bbt_endpoint(side, NULL, 0);
    struct bb_subscriber *sub = open_sleeper(side, ep, kind);
    struct pollfd pfd = {.fd = kind->by_fd ? bb_fd(sub) : -1, .events = POLLIN};
    struct bb_msg msgs[8];
    bool more = true;
    bbt_at(side, READY);
    while (more) {
        if (kind->by_fd) {
            BBT_CHECK(side, poll(&pfd, 1, -1) == 1, "poll");
        }
        int n = bb_poll(sub, msgs, 8, kind->by_fd ? 0 : -1);
        BBT_CHECK(side, n >= 0, "bb_poll: %d", n);
        for (int i = 0; i < n && more; i++) {
            more = note(side, &msgs[i]);
        }
    }
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    bb_subscriber_stats(sub, &st);
    side->n[N_WAKES] = st.wakes;
    bb_endpoint_close(ep);
}

static void
say(struct bb_publisher *pub, uint64_t number)
{
    uint64_t v[2] = {number, (uint64_t)bbi_os_mono_ns()};
    int rc = bb_publish_to(pub, "wake/up", 7, v, sizeof(v), 0);
    cr_assert_eq(rc, 0, "publish: %d", rc);
}

ParameterizedTestParameters(wake, never_by_the_net)
{
    static const struct kind KINDS[] = {
        {"futex, membarrier", 0, BB_WAIT_SLEEP, false, 1, 8000},
        {"futex, fence", BB_PUBLISHER_FENCE, BB_WAIT_SLEEP, false, 1, 8000},
        {"futex, hybrid wait", 0, BB_WAIT_HYBRID, false, 1, 4000},
        {"fd, membarrier", 0, BB_WAIT_SLEEP, true, 1, 6000},
        {"fd, fence", BB_PUBLISHER_FENCE, BB_WAIT_SLEEP, true, 1, 6000},
        {"three futex, passed on", 0, BB_WAIT_SLEEP, false, READERS, 4000},
        {"three fd, passed on", 0, BB_WAIT_SLEEP, true, READERS, 4000},
    };
    struct kind *kinds = cr_malloc(sizeof(KINDS));
    memcpy(kinds, KINDS, sizeof(KINDS));
    return cr_make_param_array(struct kind, kinds, sizeof(KINDS) / sizeof(KINDS[0]), NULL);
}

ParameterizedTest(struct kind *kind,
                  wake,
                  never_by_the_net,
                  .init = bbt_bus_new,
                  .fini = bbt_bus_end,
                  .timeout = 100)
{
    struct bbt_child readers[READERS];
    struct bbt_side *me = bbt_side_new();
    unsigned short dice[3] = {1, 2, 3};
    for (int i = 0; i < kind->readers; i++) {
        bbt_fork(&readers[i], kind->name, sleeper, kind);
        bbt_wait_at(&readers[i], READY, 5000);
    }
    struct bb_endpoint *ep = bbt_endpoint(me, "publisher", BB_ATTACH_CAPTURE);
    struct bb_publisher *pub =
        bbt_publisher(me, ep, &(struct bb_publisher_opts){.flags = kind->flags});
    for (uint64_t i = 1; i <= kind->cycles; i++) {
        say(pub, i);
        int64_t deadline = bbi_os_mono_ns() + bbt_ms(3000) * 1000000;
        for (int r = 0; r < kind->readers; r++) {
            while (bbi_load_acquire(&readers[r].side->n[N_SEEN]) < i) {
                if (bbi_os_mono_ns() > deadline) {
                    bbt_check_all();
                    cr_assert_fail("%s: message %lu never came", kind->name, (unsigned long)i);
                }
                bbi_cpu_relax();
            }
        }
        /* Up to 60 us: a reader is then somewhere between its last look and its sleep. */
        int64_t until = bbi_os_mono_ns() + nrand48(dice) % 60000;
        while (bbi_os_mono_ns() < until) {
            bbi_cpu_relax();
        }
    }
    say(pub, END);
    for (int r = 0; r < kind->readers; r++) {
        bbt_wait_end(&readers[r], 5000);
        const struct bbt_side *side = readers[r].side;
        (void)printf("%s: %lu messages, %lu sleeps, the slowest took %lu us\n", kind->name,
                     (unsigned long)side->n[N_SEEN], (unsigned long)side->n[N_WAKES],
                     (unsigned long)side->n[N_WORST_US]);
        cr_assert_eq(side->n[N_SLOW], 0, "%s: %lu of %lu took more than half a second", kind->name,
                     (unsigned long)side->n[N_SLOW], (unsigned long)kind->cycles);
        cr_assert_gt(side->n[N_WAKES], kind->cycles / 20, "%s: it slept only %lu times", kind->name,
                     (unsigned long)side->n[N_WAKES]);
    }
    bb_endpoint_close(ep);
}
