/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    100,000 messages of one byte to the largest there is arrive at four reliable subscribers: each byte,
 *         each message once, in order within its ring.
 * Method  Four publishers, two of them threads of one process, wait for the readers (BLOCK).  The readers read
 *         views, copies, and through a descriptor.  Every byte is a function of (writer, seq).
 */
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

enum {
    WRITERS = 4,
    READERS = 4,
    READY = 1,
    DONE = 2,
    GO = 1,
    QUIT = 2,
    N_LARGEST = 0,
    N_REFUSED = 1
};
static const uint64_t EACH = 25000;

struct reader_kind {
    const char *name;
    uint32_t flags;
    bool by_fd;
};

static const struct reader_kind KINDS[READERS] = {
    {"reader-views", BB_SUBSCRIBER_RELIABLE, false},
    {"reader-copies", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_COPIES, false},
    {"reader-fd", BB_SUBSCRIBER_RELIABLE, true},
    {"reader-status", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_STATUS, false},
};

struct thread {
    struct bbt_side *side;
    struct bb_endpoint *ep;
    uint32_t writer;
};

static void *
publish(void *arg)
{
    const struct thread *t = arg;
    const struct bb_publisher_opts o = {.policy = BB_POLICY_BLOCK_FAIL, .block_ns = 30000000000};
    struct bb_publisher *pub = bbt_publisher(t->side, t->ep, &o);
    struct bb_topic *topic = bbt_topic(t->side, pub, t->writer);
    size_t max = bb_publisher_max(pub);
    for (uint64_t seq = 1; seq <= EACH; seq++) {
        int rc = bbt_send(topic, t->writer, seq, max, seq % 8 != 0 ? BB_MORE : 0);
        BBT_CHECK(t->side, rc == 0, "writer %u, message %lu: %d", t->writer, (unsigned long)seq,
                  rc);
        size_t len = bbt_payload_len(t->writer, seq, max);
        if (len > bbi_load_relaxed(&t->side->n[N_LARGEST])) {
            bbi_store_relaxed(&t->side->n[N_LARGEST], len);
        }
    }
    struct bb_publisher_stats st = {.size = sizeof(st)};
    bb_publisher_stats(pub, &st);
    BBT_CHECK(t->side, st.messages == EACH && st.refused == 0 && st.evicted == 0,
              "writer %u: %lu messages, %lu refused, %lu evicted", t->writer,
              (unsigned long)st.messages, (unsigned long)st.refused, (unsigned long)st.evicted);
    bb_publisher_close(pub);
    return NULL;
}

/* arg: the first writer and how many, one thread for each. */
static void
writing_process(struct bbt_side *side, const void *arg)
{
    const uint32_t *w = arg;
    char name[32];
    pthread_t ids[WRITERS];
    struct thread threads[WRITERS];
    (void)snprintf(name, sizeof(name), "writer-%u", w[0]);
    struct bb_endpoint *ep = bbt_endpoint(side, name, 0);
    bbt_at(side, READY);
    (void)bbt_wait_go(side, GO, 30000);
    for (uint32_t i = 0; i < w[1]; i++) {
        threads[i] = (struct thread){.side = side, .ep = ep, .writer = w[0] + i};
        BBT_CHECK(side, pthread_create(&ids[i], NULL, publish, &threads[i]) == 0, "thread");
    }
    for (uint32_t i = 0; i < w[1]; i++) {
        (void)pthread_join(ids[i], NULL);
    }
    bb_endpoint_close(ep);
}

static void
reading_process(struct bbt_side *side, const void *arg)
{
    const struct reader_kind *kind = arg;
    struct bb_endpoint *ep = bbt_endpoint(side, kind->name, 0);
    struct bb_subscriber *sub = bbt_subscriber(side, ep, "w/", kind->flags);
    struct pollfd pfd = {.fd = kind->by_fd ? bb_fd(sub) : -1, .events = POLLIN};
    uint64_t got = 0;
    side->reader.max = (8 << 20) / 4;
    bbt_at(side, READY);
    while (got < WRITERS * EACH) {
        if (kind->by_fd) {
            (void)poll(&pfd, 1, 5000);
        }
        (void)bbt_take(side, sub, kind->by_fd ? 0 : 200000000);
        got = 0;
        for (uint32_t w = 1; w <= WRITERS; w++) {
            got += bbt_reader_got(&side->reader, w);
        }
    }
    bbt_at(side, DONE);
    (void)bbt_wait_go(side, QUIT, 60000);
    BBT_CHECK(side, bbt_take(side, sub, 0) >= 0, "poll");
    bbt_balance(side, sub);
    bb_endpoint_close(ep);
}

Test(delivery, every_byte_once_in_order, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 110)
{
    static const uint32_t groups[3][2] = {{1, 1}, {2, 1}, {3, 2}};
    struct bbt_child readers[READERS], writers[3];
    for (int i = 0; i < READERS; i++) {
        bbt_fork(&readers[i], KINDS[i].name, reading_process, &KINDS[i]);
        bbt_wait_at(&readers[i], READY, 10000);
    }
    for (int i = 0; i < 3; i++) {
        bbt_fork(&writers[i], "writer", writing_process, groups[i]);
        bbt_wait_at(&writers[i], READY, 10000);
    }
    for (int i = 0; i < 3; i++) {
        bbt_order(&writers[i], GO);
    }
    for (int i = 0; i < 3; i++) {
        bbt_wait_end(&writers[i], 25000);
        cr_assert_eq(writers[i].side->n[N_LARGEST], (8 << 20) / 4, "the largest was %lu bytes",
                     (unsigned long)writers[i].side->n[N_LARGEST]);
    }
    for (int i = 0; i < READERS; i++) {
        bbt_wait_at(&readers[i], DONE, 25000);
    }
    for (int i = 0; i < READERS; i++) {
        const struct bbt_side *side = readers[i].side;
        bbt_order(&readers[i], QUIT);
        bbt_wait_end(&readers[i], 10000);
        for (uint32_t w = 1; w <= WRITERS; w++) {
            cr_assert_eq(bbt_reader_got(&side->reader, w), EACH, "%s: %lu of writer %u",
                         readers[i].name, (unsigned long)bbt_reader_got(&side->reader, w), w);
        }
        cr_assert_eq(side->stats.delivered, WRITERS * EACH);
        cr_assert_eq(side->stats.lost, 0);
        cr_assert_eq(side->stats.evicted, 0);
    }
    bbt_gc("delivery");
}
