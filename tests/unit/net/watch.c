/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal: other descriptors are waited for in the same wait, level-like; deadlines of the wait hold.
 * Method: an eventfd, a pipe, and the descriptor of a bus's subscriber.
 */
#include "tests/support/process.h"
#include "tests/unit/net/net_pair.h"
#include <busbar/busbar.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/time.h>

TestSuite(net_watch, .timeout = 60);

static struct side side;

KIND_PARAMS(net_watch, readable_while_there_is_something)
ParameterizedTest(struct kind *k, net_watch, readable_while_there_is_something)
{
    uint64_t value = 3;
    begin_kind(k);
    side_open(&side, k);
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    cr_assert_eq(bbi_net_watch(side.net, fd), 0);
    cr_assert_eq(bbi_net_watch(side.net, fd), BB_EEXIST);
    for (int round = 0; round < 5; round++) {
        turn(&side, 2000000);
        cr_assert_eq(side.readable, 0);
        cr_assert_eq(write(fd, &value, sizeof(value)), (ssize_t)sizeof(value));
        /* As long as nobody reads it, in every wait. */
        for (int i = 1; i <= 10; i++) {
            turn(&side, INT64_C(5000000000));
            cr_assert_eq(side.readable, i);
        }
        cr_assert_eq(read(fd, &value, sizeof(value)), (ssize_t)sizeof(value));
        turn(&side, 0); /* it may have been looked at before */
        side.readable = 0;
    }
    cr_assert_eq(write(fd, &value, sizeof(value)), (ssize_t)sizeof(value));
    bbi_net_unwatch(side.net, fd);
    turn(&side, 2000000);
    cr_assert_eq(side.readable, 0, "unwatched");
    /* Watched again, and its number used by another file. */
    cr_assert_eq(bbi_net_watch(side.net, fd), 0);
    turn(&side, INT64_C(5000000000));
    cr_assert_eq(side.readable, 1);
    bbi_net_unwatch(side.net, fd);
    cr_assert_neq(fcntl(fd, F_GETFD), -1, "it is the owner's to close");
    (void)close(fd);
    int again = eventfd(0, EFD_CLOEXEC);
    cr_assert_eq(again, fd);
    cr_assert_eq(bbi_net_watch(side.net, again), 0);
    turn(&side, 2000000);
    cr_assert_eq(side.readable, 1);
    side_close(&side);
    (void)close(again);
}

KIND_PARAMS(net_watch, what_cannot_be_watched)
ParameterizedTest(struct kind *k, net_watch, what_cannot_be_watched)
{
    begin_kind(k);
    side_open(&side, k);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    cr_assert_eq(bbi_net_watch(side.net, file), BB_EINVAL);
    cr_assert_eq(bbi_net_watch(side.net, -1), BB_EINVAL);
    cr_assert_eq(bbi_net_watch(side.net, 12345), BB_EINVAL);
    bbi_net_unwatch(side.net, file);
    int rc = 0, fds[BBI_NET_OTHERS + 1];
    for (int i = 0; i <= BBI_NET_OTHERS; i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC);
        rc = bbi_net_watch(side.net, fds[i]);
        cr_assert_eq(rc, i < BBI_NET_OTHERS ? 0 : BB_EFULL);
    }
    side_close(&side);
    for (int i = 0; i <= BBI_NET_OTHERS; i++) {
        (void)close(fds[i]);
    }
    (void)close(file);
}

/* ---- a subscriber of a bus ---- */

static struct bb_subscriber *sub;
static uint64_t delivered, last_seq;

static void
poll_once(struct side *s, int fd)
{
    struct bb_msg msgs[8];
    (void)s;
    (void)fd;
    int n = bb_poll(sub, msgs, 8, 0);
    cr_assert_geq(n, 0, "%s", bb_strerror(n));
    for (int i = 0; i < n; i++) {
        cr_assert_eq(msgs[i].seq, last_seq + 1);
        last_seq = msgs[i].seq;
        delivered++;
    }
}

KIND_PARAMS(net_watch, a_subscriber_of_a_bus)
ParameterizedTest(
    struct kind *k, net_watch, a_subscriber_of_a_bus, .init = bbt_bus_new, .fini = bbt_bus_end)
{
    enum { COUNT = 20000 };
    struct bb_endpoint_opts eo = {
        .size = sizeof(eo), .dir = bbt_dir(), .bus = BBT_BUS, .name = "bridge"};
    struct bb_endpoint_opts po = eo;
    struct bb_subscriber_opts so = {.size = sizeof(so), .flags = BB_SUBSCRIBER_RELIABLE};
    const char *prefixes[] = {"link/"};
    struct bb_endpoint *reader = NULL, *writer = NULL;
    struct bb_publisher *pub = NULL;
    struct bb_publisher_opts pubo = {.size = sizeof(pubo)};
    struct bb_topic *topic = NULL;
    begin_kind(k);
    side_open(&side, k);
    side.on_readable = poll_once;
    po.name = "source";
    cr_assert_eq(bb_endpoint_open(&reader, &eo), 0);
    cr_assert_eq(bb_endpoint_open(&writer, &po), 0);
    so.prefixes = prefixes;
    so.prefix_count = 1;
    cr_assert_eq(bb_subscriber_open(&sub, reader, &so), 0);
    cr_assert_eq(bb_publisher_open(&pub, writer, &pubo), 0);
    cr_assert_eq(bb_topic_open(&topic, pub, "link/x", 6), 0);
    int fd = bb_fd(sub);
    cr_assert_geq(fd, 0);
    cr_assert_eq(bbi_net_watch(side.net, fd), 0);
    uint64_t seed = 1;
    uint64_t published = 0;
    while (published < COUNT) {
        uint64_t burst = between(&seed, 1, 40);
        for (uint64_t i = 0; i < burst; i++, published++) {
            cr_assert_eq(bb_publish(topic, &published, sizeof(published), 0), 0);
        }
        /* Each wait either brings something or housekeeping; none sleeps while messages are there. */
        int64_t begin_ns = bbi_os_mono_ns();
        UNTIL(&side, no_side(), delivered == published);
        cr_assert_lt(bbi_os_mono_ns() - begin_ns, bbt_ms(5000) * 1000000);
    }
    bbi_net_unwatch(side.net, fd);
    bb_subscriber_close(sub);
    bb_publisher_close(pub);
    bb_endpoint_close(writer);
    bb_endpoint_close(reader);
    side_close(&side);
}

/* ---- the wait ---- */

KIND_PARAMS(net_watch, the_wait_ends_when_it_should)
ParameterizedTest(struct kind *k, net_watch, the_wait_ends_when_it_should)
{
    const int64_t times_ns[] = {0, 1, 300000, 20000000};
    struct bbi_net_stats before, after;
    begin_kind(k);
    side_open(&side, k);
    side_listen(&side, "127.0.0.1");
    for (int i = 0; i < 4; i++) {
        bbi_net_stats(side.net, &before);
        int64_t begin_ns = bbi_os_mono_ns();
        cr_assert_eq(bbi_net_wait(side.net, times_ns[i]), 0);
        int64_t took_ns = bbi_os_mono_ns() - begin_ns;
        bbi_net_stats(side.net, &after);
        cr_assert_geq(took_ns, times_ns[i]);
        cr_assert_leq(after.system_calls - before.system_calls, 3, "it slept");
    }
    side_close(&side);
}

static void
on_alarm(int sig)
{
    (void)sig;
}

/* A signal ends a wait without bound. */
KIND_PARAMS(net_watch, a_signal_ends_the_wait)
ParameterizedTest(struct kind *k, net_watch, a_signal_ends_the_wait)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval every = {.it_interval = {.tv_usec = 20000}, .it_value = {.tv_usec = 20000}};
    struct itimerval never = {0};
    begin_kind(k);
    side_open(&side, k);
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &every, NULL), 0);
    cr_assert_eq(bbi_net_wait(side.net, -1), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    side_close(&side);
}
