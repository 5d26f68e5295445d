/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/loop.c - one descriptor for epoll, poll and select.
 *
 * An epoll set of three: the socket that publishers knock at, an event of our own that says "there may be
 * more", and a timer of one second for housekeeping.  Between two polls the bell is armed for the socket;
 * during a poll it is not, so publishers make no system call then.
 *
 * A periodic subscriber, and so a tap, has no socket and never arms: its timer has its period.
 */
#include "lib/endpoint/for_bridge.h"
#include "lib/endpoint/subscriber_impl.h"
#include "shm/os.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

static const int64_t NS_PER_S = INT64_C(1000000000);
static const int64_t HOUSE_NS = INT64_C(1000000000);

static int
add_to_set(int set, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data = {.fd = fd}};
    return epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

static bool
is_periodic(const struct bb_subscriber *sub)
{
    return sub->wait_mode == BB_WAIT_PERIODIC || !sub->is_registered;
}

static int64_t
every_ns(const struct bb_subscriber *sub)
{
    return is_periodic(sub) ? sub->period_ns : HOUSE_NS;
}

static struct timespec
time_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

/* Once, and again as often as this subscriber looks; earlier when requests that are open ask for it. */
static void
set_timer(struct bb_subscriber *sub)
{
    int64_t now = bbi_os_mono_ns();
    int64_t next = bbi_requests_next_ns(sub);
    bool is_usual = next == INT64_MAX;
    if (is_usual ? sub->timer_ns == 0 : sub->timer_ns > now && sub->timer_ns <= next) {
        return;
    }
    int64_t at = next < now + every_ns(sub) ? next : now + every_ns(sub);
    const struct itimerspec when = {.it_interval = time_of(every_ns(sub)), .it_value = time_of(at)};
    (void)timerfd_settime(sub->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
    sub->timer_due_ns = at;
    sub->timer_ns = is_usual ? 0 : at;
}

static int
make_set(struct bb_subscriber *sub)
{
    sub->epoll_fd = bbi_os_keep_fd(epoll_create1(EPOLL_CLOEXEC));
    sub->self_fd = bbi_os_keep_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    sub->timer_fd = bbi_os_keep_fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    if (sub->epoll_fd < 0 || sub->self_fd < 0 || sub->timer_fd < 0) {
        return -errno;
    }
    sub->timer_ns = -1; /* not set */
    set_timer(sub);
    int rc = add_to_set(sub->epoll_fd, sub->self_fd);
    rc = rc < 0 ? rc : add_to_set(sub->epoll_fd, sub->timer_fd);
    if (rc == 0 && !is_periodic(sub)) {
        sub->sock_fd = bbi_wake_socket(sub->at, sub->file.index);
        rc = sub->sock_fd < 0 ? sub->sock_fd : add_to_set(sub->epoll_fd, sub->sock_fd);
    }
    return rc;
}

int
bb_fd(struct bb_subscriber *sub)
{
    if (bbi_is_forked(sub->fork_gen)) {
        return BB_EFORKED;
    }
    if (sub->epoll_fd < 0) {
        int rc = make_set(sub);
        if (rc < 0) {
            bbi_loop_close(sub);
            return rc;
        }
        bbi_loop_leave(sub, true);
    }
    return sub->epoll_fd;
}

/* All knocks: one would do to be readable. */
static void
drain_socket(int fd)
{
    uint64_t v;
    while (fd >= 0 && read(fd, &v, sizeof(v)) > 0) {
    }
}

static void
poke(struct bb_subscriber *sub)
{
    sub->is_poked = true;
    (void)eventfd_write(sub->self_fd, 1);
}

/* True if it went off since; it is not asked before that can be. */
static bool
has_rung(struct bb_subscriber *sub)
{
    uint64_t times;
    if (bbi_os_mono_ns() < sub->timer_due_ns
        || read(sub->timer_fd, &times, sizeof(times)) != sizeof(times)) {
        return false;
    }
    sub->timer_due_ns += (int64_t)times * every_ns(sub);
    return true;
}

void
bbi_loop_enter(struct bb_subscriber *sub)
{
    if (sub->epoll_fd < 0 || sub->is_awake) {
        return;
    }
    if (sub->is_armed) {
        bbi_wake_disarm(sub->at->bus, sub->file.index);
        bbi_wake_pass_on(sub->at->bus, &sub->waker);
        sub->is_armed = false;
        sub->wakes++;
        /* Nobody knocks while it is not armed; who was late is heard by the next turn, for nothing. */
        drain_socket(sub->sock_fd);
    }
    if (sub->is_poked) {
        eventfd_t count;
        sub->is_poked = false;
        (void)eventfd_read(sub->self_fd, &count);
    }
    if (has_rung(sub)) {
        bbi_poll_keep_house(sub); /* who polls when told to makes too few polls to count them */
    }
}

void
bbi_loop_leave(struct bb_subscriber *sub, bool may_have_more)
{
    if (sub->epoll_fd < 0 || sub->is_awake) {
        return;
    }
    if (BBI_UNLIKELY(sub->requests != NULL)) {
        set_timer(sub);
    }
    if (!may_have_more && !is_periodic(sub)) {
        (void)bbi_wake_arm(sub->at->bus, sub->file.index, BBI_BELL_SOCKET);
        sub->is_armed = true;
        may_have_more = bbi_wait_has_news(sub); /* R5: the look after the bit */
    }
    if (may_have_more) {
        poke(sub);
    }
}

void
bbi_subscriber_awake(struct bb_subscriber *sub, bool is_awake)
{
    if (sub->is_awake == is_awake) {
        return;
    }
    if (is_awake) {
        bbi_loop_enter(sub);
        sub->is_awake = true;
    } else {
        sub->is_awake = false;
        bbi_loop_leave(sub, false);
    }
}

void
bbi_loop_poke(struct bb_subscriber *sub)
{
    if (sub->epoll_fd >= 0) {
        poke(sub);
    }
}

static void
close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

void
bbi_loop_close(struct bb_subscriber *sub)
{
    if (sub->is_armed && !bbi_is_forked(sub->fork_gen)) {
        bbi_wake_disarm(sub->at->bus, sub->file.index);
    }
    if (sub->sock_fd >= 0 && !bbi_is_forked(sub->fork_gen)) {
        bbi_wake_socket_remove(sub->at, sub->file.index);
    }
    sub->is_armed = false;
    close_fd(&sub->epoll_fd);
    close_fd(&sub->sock_fd);
    close_fd(&sub->self_fd);
    close_fd(&sub->timer_fd);
}
