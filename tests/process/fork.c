/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    A forked child cannot use its parent's handles, harms nothing by closing them, and does not keep the
 *         parent alive for the others; it can open its own.
 */
#include "busbar/inspect.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_MSG = 64, READY = 1, FORKED = 2, GO_ON = 1, N_CHILD = 0, N_CHILD_DONE };

struct handles {
    struct bb_endpoint *ep;
    struct bb_publisher *pub;
    struct bb_topic *topic;
    struct bb_subscriber *sub;
};

/* In the child: every call says so. */
static void
check_refused(struct bbt_side *side, const struct handles *h)
{
    struct bb_msg m;
    void *p;
    int64_t ns;
    struct bb_publisher *pub;
    struct bb_subscriber *sub;
    struct bb_topic *topic;
    struct bb_error err = {0};
    struct bb_publisher_opts po = {.size = sizeof(po), .error = &err};
    struct bb_subscriber_opts so = {.size = sizeof(so)};
    BBT_CHECK(side, bb_publish(h->topic, "x", 1, 0) == BB_EFORKED, "publish");
    BBT_CHECK(side, bb_publish_to(h->pub, "w/1", 3, "x", 1, 0) == BB_EFORKED, "publish_to");
    BBT_CHECK(side, bb_loan(h->topic, 1, &p) == BB_EFORKED, "loan");
    BBT_CHECK(side, bb_flush(h->pub) == BB_EFORKED, "flush");
    BBT_CHECK(side, bb_topic_open(&topic, h->pub, "w/2", 3) == BB_EFORKED, "topic");
    BBT_CHECK(side, bb_topic_wanted(h->topic) == 0, "wanted");
    BBT_CHECK(side, bb_headroom(h->pub) == 0, "headroom");
    BBT_CHECK(side, bb_headroom_messages(h->pub) == 0, "headroom in messages");
    BBT_CHECK(side, bb_poll(h->sub, &m, 1, 0) == BB_EFORKED, "poll");
    BBT_CHECK(side, bb_release(h->sub) == BB_EFORKED, "release");
    BBT_CHECK(side, bb_subscribe(h->sub, "y", 1, 0) == BB_EFORKED, "subscribe");
    BBT_CHECK(side, bb_unsubscribe(h->sub, "w/", 2, 0) == BB_EFORKED, "unsubscribe");
    BBT_CHECK(side, bb_fd(h->sub) == BB_EFORKED, "fd");
    BBT_CHECK(side, bb_publisher_open(&pub, h->ep, &po) == BB_EFORKED, "publisher_open");
    BBT_CHECK(side, err.code == BB_EFORKED && strlen(err.sentence) > 10, "sentence");
    BBT_CHECK(side, bb_subscriber_open(&sub, h->ep, &so) == BB_EFORKED, "subscriber_open");
    BBT_CHECK(side, bb_node_ping(h->ep, "other", 0, &ns) == BB_EFORKED, "ping");
    struct bb_publisher_stats ps = {.size = sizeof(ps)};
    struct bb_subscriber_stats ss = {.size = sizeof(ss)};
    bb_publisher_stats(h->pub, &ps);
    bb_subscriber_stats(h->sub, &ss);
}

/* The child's own endpoint works beside what it inherited. */
static void
check_own(struct bbt_side *side)
{
    struct bb_endpoint *ep = bbt_endpoint(side, "child", 0);
    struct bb_publisher *pub = bbt_publisher(side, ep, NULL);
    struct bb_topic *topic = bbt_topic(side, pub, 2);
    for (uint64_t seq = 1; seq <= 10; seq++) {
        BBT_CHECK(side, bbt_send(topic, 2, seq, MAX_MSG, 0) == 0, "child's publish");
    }
    bb_endpoint_close(ep);
}

/* arg: whether the child lives on after the parent */
static void
parent(struct bbt_side *side, const void *arg)
{
    const bool *stays = arg;
    struct handles h;
    h.ep = bbt_endpoint(side, "parent", 0);
    h.pub = bbt_publisher(side, h.ep, NULL);
    h.topic = bbt_topic(side, h.pub, 1);
    h.sub = bbt_subscriber(side, h.ep, "w/", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_LOOPBACK);
    side->reader.max = MAX_MSG;
    for (uint64_t seq = 1; seq <= 10; seq++) {
        BBT_CHECK(side, bbt_send(h.topic, 1, seq, MAX_MSG, 0) == 0, "publish");
    }
    (void)bbt_take(side, h.sub, 1000000000);
    pid_t child = fork();
    if (child == 0) {
        check_refused(side, &h);
        if (*stays) {
            (void)prctl(PR_SET_PDEATHSIG, 0);
            bbi_store_release(&side->n[N_CHILD_DONE], 1);
            for (;;) {
                (void)pause();
            }
        }
        bb_subscriber_close(h.sub);
        bb_publisher_close(h.pub);
        bb_endpoint_close(h.ep);
        check_own(side);
        bbi_store_release(&side->n[N_CHILD_DONE], 1);
        _exit(0);
    }
    bbi_store_release(&side->n[N_CHILD], (uint64_t)child);
    int64_t deadline = bbt_now_ms() + bbt_ms(10000);
    while (bbi_load_acquire(&side->n[N_CHILD_DONE]) == 0) {
        BBT_CHECK(side, bbt_now_ms() < deadline && side->said[0] == '\0', "in the child: %s",
                  side->said);
        bbt_nap();
    }
    /* The child closed what it inherited; ours go on. */
    for (uint64_t seq = 11; seq <= 20; seq++) {
        BBT_CHECK(side, bbt_send(h.topic, 1, seq, MAX_MSG, 0) == 0, "publish after fork");
    }
    while (bbt_reader_got(&side->reader, 1) < 20) {
        BBT_CHECK(side, bbt_take(side, h.sub, 1000000000) > 0, "nothing came after the fork");
    }
    bbt_at(side, FORKED);
    (void)bbt_wait_go(side, GO_ON, 30000);
    bb_endpoint_close(h.ep);
}

Test(fork, childs_handles_are_refused, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 30)
{
    static const bool stays = false;
    struct bbt_child c;
    struct bbt_side *me = bbt_side_new();
    me->reader.max = MAX_MSG;
    struct bb_endpoint *ep = bbt_endpoint(me, "other", 0);
    struct bb_subscriber *sub =
        bbt_subscriber(me, ep, "w/", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_STATUS);
    bbt_fork(&c, "parent", parent, &stays);
    bbt_wait_at(&c, FORKED, 10000);
    BBT_UNTIL((bbt_take(me, sub, 0),
               bbt_reader_got(&me->reader, 1) == 20 && bbt_reader_got(&me->reader, 2) == 10),
              5000, "got %lu of 20 and %lu of 10", (unsigned long)bbt_reader_got(&me->reader, 1),
              (unsigned long)bbt_reader_got(&me->reader, 2));
    BBT_UNTIL((bbt_take(me, sub, 0), bbt_reader_told(&me->reader, "child", BB_STATUS_LEFT) == 1),
              5000, "the child left");
    cr_assert_eq(bbt_reader_told(&me->reader, "parent", BB_STATUS_LEFT), 0);
    cr_assert_eq(bbt_reader_told(&me->reader, "parent", BB_STATUS_DIED), 0);
    bbt_order(&c, GO_ON);
    bbt_wait_end(&c, 10000);
    BBT_UNTIL((bbt_take(me, sub, 0), bbt_reader_told(&me->reader, "parent", BB_STATUS_LEFT) == 1),
              5000, "the parent left");
    bb_endpoint_close(ep);
    bbt_gc("fork");
}

Test(fork,
     parents_death_is_seen_while_the_child_lives,
     .init = bbt_bus_new,
     .fini = bbt_bus_end,
     .timeout = 30)
{
    static const bool stays = true;
    struct bbt_child c;
    struct bbt_side *me = bbt_side_new();
    me->reader.max = MAX_MSG;
    struct bb_endpoint *ep = bbt_endpoint(me, "other", 0);
    struct bb_subscriber *sub =
        bbt_subscriber(me, ep, "w/", BB_SUBSCRIBER_RELIABLE | BB_SUBSCRIBER_STATUS);
    bbt_fork(&c, "parent", parent, &stays);
    bbt_wait_at(&c, FORKED, 10000);
    pid_t grandchild = (pid_t)c.side->n[N_CHILD];
    bbt_signal(&c, SIGKILL);
    bbt_wait_kill(&c, 5000);
    int64_t before = bbt_now_ms();
    cr_assert_eq(kill(grandchild, 0), 0, "the child should live");
    BBT_UNTIL((bbt_take(me, sub, 0), bbt_reader_told(&me->reader, "parent", BB_STATUS_DIED) == 1),
              5000, "the parent's death is not seen");
    cr_assert_lt(bbt_now_ms() - before, bbt_ms(2500));
    cr_assert_eq(kill(grandchild, 0), 0, "the child should still live");
    struct bb_endpoint *heir = bbt_endpoint(me, "parent", 0);
    bb_endpoint_close(heir);
    bb_endpoint_close(ep);
    bbt_gc("fork");
    (void)kill(grandchild, SIGKILL);
}
