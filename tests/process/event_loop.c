/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: the descriptor of bb_fd() keeps its rules, with a socket and without one (periodic, tap).
 * Method: a child publishes bursts of random length on order; the test has the descriptor in an epoll set and
 * polls only when that says so, a few messages at a time, so a wake-up that is missing is a test that ends.
 */
#include "busbar/inspect.h"
#include "tests/support/process.h"
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { WRITER = 3, BYTES = 256, MESSAGES = 10000, MOST = 7, BURST_MOST = 500 };

struct kind {
    char name[24];
    uint32_t wait;
    int by_tap;
    int by_edge;
};

static struct kind kinds[] = {
    {"knocked", BB_WAIT_HYBRID, 0, 0},
    {"knocked, by edges", BB_WAIT_SLEEP, 0, 1},
    {"periodic", BB_WAIT_PERIODIC, 0, 0},
    {"tap", BB_WAIT_PERIODIC, 1, 0},
    {"periodic, by edges", BB_WAIT_PERIODIC, 0, 1},
};

/* ---- the publisher: at order N it publishes up to number side->n[0] ---- */

static void
publish_on_order(struct bbt_side *side, const void *arg)
{
    uint64_t seq = 1;
    uint32_t go = 1;
    (void)arg;
    struct bb_endpoint *ep = bbt_endpoint(side, "writer", 0);
    struct bb_publisher *pub = bbt_publisher(side, ep, NULL);
    struct bb_topic *topic = bbt_topic(side, pub, WRITER);
    bbt_at(side, 1);
    for (; seq <= MESSAGES; go++) {
        (void)bbt_wait_go(side, go, 60000);
        uint64_t until = bbi_load_acquire(&side->n[0]);
        for (; seq <= until; seq++) {
            BBT_CHECK(side, bbt_send(topic, WRITER, seq, BYTES, 0) == 0, "publish");
        }
        struct bb_publisher_stats st = {.size = sizeof(st)};
        bb_publisher_stats(pub, &st);
        bbi_store_release(&side->n[1], st.wakes);
        bbt_at(side, 1 + go);
    }
    bb_endpoint_close(ep);
}

/* ---- the loop ---- */

struct loop {
    struct bb_endpoint *ep;
    struct bb_look *look;
    struct bb_subscriber *sub;
    struct bbt_side *me;
    int set;
    bool by_edge;
};

static void
loop_open(struct loop *l, const struct kind *k)
{
    const char *prefix = "w/";
    l->by_edge = k->by_edge;
    l->me = bbt_side_new();
    l->me->reader.max = BYTES;
    if (k->by_tap) {
        const struct bb_look_opts lo = {.size = sizeof(lo), .dir = bbt_dir(), .bus = BBT_BUS};
        const struct bb_tap_opts to = {.size = sizeof(to), .prefixes = &prefix, .prefix_count = 1};
        cr_assert_eq(bb_look_open(&l->look, &lo), 0);
        cr_assert_eq(bb_tap_open(&l->sub, l->look, &to), 0);
    } else {
        const struct bb_subscriber_opts so = {.size = sizeof(so),
                                              .wait = k->wait,
                                              .flags = BB_SUBSCRIBER_STATUS,
                                              .prefixes = &prefix,
                                              .prefix_count = 1};
        l->ep = bbt_endpoint(l->me, "reader", 0);
        cr_assert_eq(bb_subscriber_open(&l->sub, l->ep, &so), 0);
    }
    int fd = bb_fd(l->sub);
    cr_assert_geq(fd, 0);
    cr_assert_eq(bb_fd(l->sub), fd, "the same each time");
    struct epoll_event ev = {.events = EPOLLIN | (k->by_edge ? (uint32_t)EPOLLET : 0)};
    l->set = epoll_create1(EPOLL_CLOEXEC);
    cr_assert_eq(epoll_ctl(l->set, EPOLL_CTL_ADD, fd, &ev), 0);
}

static void
loop_close(struct loop *l)
{
    bb_subscriber_close(l->sub);
    bb_look_close(l->look);
    bb_endpoint_close(l->ep);
    (void)close(l->set);
    bbt_side_free(l->me);
}

/* Once round: waits for the descriptor, then takes at most MOST; by edges until fewer came. */
static void
turn(struct loop *l)
{
    struct epoll_event ev;
    int n = epoll_wait(l->set, &ev, 1, (int)bbt_ms(20000));
    cr_assert_eq(n, 1, "the descriptor is not readable");
    do {
        struct bb_msg msgs[MOST];
        char why[256];
        n = bb_poll(l->sub, msgs, MOST, 0);
        cr_assert_geq(n, 0, "%d", n);
        for (int i = 0; i < n; i++) {
            cr_assert(bbt_reader_take(&l->me->reader, &msgs[i], why), "%s", why);
        }
    } while (l->by_edge && n == MOST);
}

ParameterizedTestParameters(event_loop, nothing_is_missed)
{
    return cr_make_param_array(struct kind, kinds, sizeof(kinds) / sizeof(kinds[0]));
}

ParameterizedTest(struct kind *k,
                  event_loop,
                  nothing_is_missed,
                  .init = bbt_bus_new,
                  .fini = bbt_bus_end,
                  .timeout = 110)
{
    struct bbt_child writer;
    struct loop l = {0};
    uint64_t until = 0;
    uint32_t order = 0;
    bbt_fork(&writer, "writer", publish_on_order, NULL);
    bbt_wait_at(&writer, 1, 20000);
    loop_open(&l, k);
    srand(1);
    while (until < MESSAGES) {
        uint64_t burst = rand() % 2 == 0 ? 1 : (uint64_t)(rand() % BURST_MOST);
        until = until + burst < MESSAGES ? until + burst : MESSAGES;
        bbi_store_release(&writer.side->n[0], until);
        bbt_order(&writer, ++order);
        while (bbt_reader_got(&l.me->reader, WRITER) < until) {
            turn(&l);
            bbt_check_alive(&writer);
        }
        bbt_wait_at(&writer, 1 + order, 20000);
    }
    cr_assert_eq(bbt_reader_got(&l.me->reader, WRITER), (uint64_t)MESSAGES, "%s", k->name);
    cr_assert_eq(bbt_reader_lost(&l.me->reader, WRITER), 0);
    uint64_t wakes = bbi_load_acquire(&writer.side->n[1]);
    if (k->wait == BB_WAIT_PERIODIC) {
        cr_assert_eq(wakes, 0, "%s: %lu system calls of the publisher", k->name,
                     (unsigned long)wakes);
    } else {
        cr_assert_gt(wakes, 0);
    }
    bbt_wait_end(&writer, 20000);
    loop_close(&l);
}

/* ---- housekeeping ---- */

/* Nobody else is there to notice the death, and nothing comes but the timer. */
static void
check_death_is_told(const struct kind *k)
{
    struct bbt_child writer;
    struct loop l = {0};
    bbt_fork(&writer, "writer", publish_on_order, NULL);
    bbt_wait_at(&writer, 1, 20000);
    loop_open(&l, k);
    bbi_store_release(&writer.side->n[0], 10);
    bbt_order(&writer, 1);
    while (bbt_reader_got(&l.me->reader, WRITER) < 10) {
        turn(&l);
    }
    for (int i = 0; i < 3; i++) {
        turn(&l); /* it is idle for a while, so that the first look is long ago */
    }
    bbt_signal(&writer, SIGKILL);
    bbt_wait_kill(&writer, 20000);
    int64_t deadline = bbt_now_ms() + bbt_ms(20000);
    while (bbt_reader_told(&l.me->reader, "writer", BB_STATUS_DIED) == 0) {
        cr_assert_lt(bbt_now_ms(), deadline, "%s: its death was not noticed", k->name);
        turn(&l);
    }
    loop_close(&l);
}

Test(event_loop,
     a_death_is_noticed_by_the_timer,
     .init = bbt_bus_new,
     .fini = bbt_bus_end,
     .timeout = 110)
{
    check_death_is_told(&kinds[0]);
    check_death_is_told(&kinds[2]);
}

/* ---- closing ---- */

static int
count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (d != NULL && readdir(d) != NULL) {
        n++;
    }
    (void)closedir(d);
    return n;
}

/* The kernel takes a closed descriptor out of the set; who is still in it goes on. */
Test(event_loop, closed_while_in_a_loop, .init = bbt_bus_new, .fini = bbt_bus_end, .timeout = 60)
{
    struct bbt_side *me = bbt_side_new();
    struct bb_endpoint *ep = bbt_endpoint(me, "both", 0);
    struct bb_publisher *pub = bbt_publisher(me, ep, NULL);
    struct epoll_event ev = {.events = EPOLLIN};
    struct bb_msg msgs[MOST];
    int set = epoll_create1(EPOLL_CLOEXEC), before = count_fds(), with_one = 0;
    struct bb_subscriber *stays = bbt_subscriber(me, ep, "w/", BB_SUBSCRIBER_LOOPBACK);
    ev.data.u64 = 1;
    cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, bb_fd(stays), &ev), 0);
    for (int i = 0; i < 20; i++) {
        struct bb_subscriber *goes = bbt_subscriber(me, ep, "w/", BB_SUBSCRIBER_LOOPBACK);
        ev.data.u64 = 2;
        cr_assert_eq(epoll_ctl(set, EPOLL_CTL_ADD, bb_fd(goes), &ev), 0);
        cr_assert_eq(bb_publish_to(pub, "w/3", 3, "x", 1, BB_RAW), 0); /* it is readable */
        bb_subscriber_close(goes);
        cr_assert_eq(epoll_wait(set, &ev, 1, (int)bbt_ms(10000)), 1);
        cr_assert_eq(ev.data.u64, 1, "only the other one is left");
        cr_assert_eq(bb_poll(stays, msgs, MOST, 0), 1);
        with_one = i < 3 ? count_fds() : with_one; /* with the sockets by which they knock */
        cr_assert_eq(count_fds(), with_one);
    }
    bb_subscriber_close(stays);
    cr_assert_leq(count_fds(), before + 1, "only the socket by which the publisher knocks");
    bb_endpoint_close(ep);
    (void)close(set);
    bbt_side_free(me);
}
