/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/store/poll.c - what a handle does in the program's loop, and one descriptor that says when.
 *
 * The standby's lock is tried every 20 ms, by one system call: the kernel lets go of a dead master's at once, and
 * a stopped one keeps it.  The descriptor is an epoll set of the subscribers' own ones and a timer for what nobody
 * announces: the lock, frames to be sent again, what is due at a master.
 */
#include "lib/endpoint/endpoint_impl.h"
#include "lib/store/client_impl.h"
#include "lib/store/poll_impl.h"
#include "lib/store/watch_impl.h"
#include "shm/hook.h"
#include "shm/os.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

static const int64_t NS_PER_S = INT64_C(1000000000);
static const int64_t LOCK_EVERY_NS = INT64_C(20000000);
static const int64_t HOUSE_EVERY_NS = INT64_C(50000000); /* a master's sweeps */
static const int64_t OWN_TURN_NS = INT64_C(200000);

struct bbi_waiter {
    int64_t lock_ns; /* the standby's next try */
    int set_fd, timer_fd;
    int client_fd, master_fd; /* in the set; -1 */
};

bool
bbi_store_is_forked(const struct bb_store *s)
{
    return bbi_is_forked(s->fork_gen);
}

int64_t
bbi_until_ns(int64_t timeout_ns)
{
    int64_t now = bbi_os_mono_ns();
    return timeout_ns < 0 || timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

static int
waiter_of(struct bb_store *s, struct bbi_waiter **out)
{
    if (s->waiter == NULL) {
        struct bbi_waiter *w = malloc(sizeof(*w));
        if (w == NULL) {
            return BB_ENOMEM;
        }
        *w = (struct bbi_waiter){.set_fd = -1, .timer_fd = -1, .client_fd = -1, .master_fd = -1};
        s->waiter = w;
    }
    *out = s->waiter;
    return 0;
}

/* ---- the standby ---- */

static bool
is_waiting_for_its_turn(const struct bb_store *s)
{
    return s->role == BB_STORE_STANDBY && s->master == NULL && s->dir.lock_fd >= 0;
}

int64_t
bbi_role_next_ns(const struct bb_store *s)
{
    if (!is_waiting_for_its_turn(s)) {
        return INT64_MAX;
    }
    return s->waiter != NULL ? s->waiter->lock_ns : 0;
}

int
bbi_role_step(struct bb_store *s)
{
    struct bbi_waiter *w;
    struct bbi_fault f;
    if (!is_waiting_for_its_turn(s)) {
        return 0;
    }
    int rc = waiter_of(s, &w);
    int64_t now = bbi_os_mono_ns();
    if (rc < 0 || now < w->lock_ns) {
        return rc;
    }
    w->lock_ns = now + LOCK_EVERY_NS;
    rc = bbi_store_dir_lock(&s->dir);
    if (rc < 0) {
        return rc == BB_EAGAIN ? 0 : rc;
    }
    BBI_HOOK("store:takeover_locked");
    rc = bbi_master_start(s, &f);
    if (rc < 0) {
        bbi_store_dir_unlock(&s->dir);
        return rc;
    }
    /* Whoever waits for a master sleeps on this word; it changed with the first commit, or changes now. */
    (void)bbi_fetch_add_seq_cst(&s->dir.ctl->commits, 1);
    (void)bbi_os_futex_wake(&s->dir.ctl->commits, INT32_MAX);
    bbi_poll_arm(s);
    return 1;
}

/* ---- poll ---- */

static void
drain_timer(const struct bb_store *s)
{
    uint64_t n;
    if (s->waiter != NULL && s->waiter->timer_fd >= 0) {
        (void)!read(s->waiter->timer_fd, &n, sizeof(n));
    }
}

static int64_t
left_ns(int64_t until_ns)
{
    int64_t now = bbi_os_mono_ns();
    return until_ns == INT64_MAX ? -1 : until_ns > now ? until_ns - now : 0;
}

/* A master's own frames of an earlier time go over the bus to itself. */
static int
poll_master(struct bb_store *s, int64_t until_ns)
{
    bool has_own = !bbi_client_is_idle(s);
    if (has_own) {
        until_ns = bbi_min_i64(until_ns, bbi_os_mono_ns() + OWN_TURN_NS);
    }
    int n = bbi_master_poll(s, left_ns(until_ns));
    int told = n >= 0 && s->client != NULL ? bbi_client_poll(s, 0) : 0;
    return n < 0 ? n : told < 0 ? told : n + told;
}

/* Also with nothing open: notes and housekeeping would keep the descriptor readable.  BB_EAGAIN: a signal. */
static int
poll_client(struct bb_store *s, int64_t until_ns)
{
    bool is_idle = bbi_client_is_idle(s);
    s->client->told = 0;
    int n = bbi_client_step(s, until_ns);
    if (n < 0 || s->client->told > 0) {
        return n < 0 ? n : (int)s->client->told;
    }
    return is_idle && n == 0 && bbi_os_mono_ns() < until_ns ? BB_EAGAIN : 0;
}

static int
poll_once(struct bb_store *s, int64_t until_ns)
{
    int became = bbi_role_step(s);
    if (became != 0) {
        return became;
    }
    if (s->master != NULL) {
        return poll_master(s, until_ns);
    }
    until_ns = bbi_min_i64(until_ns, bbi_role_next_ns(s));
    if (s->client != NULL) {
        return poll_client(s, until_ns);
    }
    int64_t left = left_ns(until_ns);
    int rc = left != 0 ? bbi_os_sleep_ns(left < 0 ? NS_PER_S : left) : 0;
    return rc == -EINTR ? BB_EAGAIN : 0;
}

int
bb_store_poll(struct bb_store *s, int64_t timeout_ns)
{
    if (bbi_store_is_forked(s)) {
        return BB_EFORKED;
    }
    if (s->is_orphan) {
        return BB_EINVAL;
    }
    int64_t until = bbi_until_ns(timeout_ns);
    int n;
    drain_timer(s);
    for (;;) {
        n = poll_once(s, until);
        bool is_waited =
            s->master != NULL && bbi_client_is_idle(s); /* all of the time, or a signal came */
        if (n != 0 || is_waited || bbi_os_mono_ns() >= until) {
            break;
        }
    }
    bbi_poll_arm(s);
    return n == BB_EAGAIN ? 0 : n;
}

int
bb_store_is_master(const struct bb_store *s)
{
    return s->master != NULL && !bbi_store_is_forked(s);
}

/* ---- the descriptor ---- */

static void
put_into_set(const struct bbi_waiter *w, int *in, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data = {.fd = fd}};
    if (*in == fd) {
        return;
    }
    if (*in >= 0) {
        (void)epoll_ctl(w->set_fd, EPOLL_CTL_DEL, *in, NULL); /* closed ones went by themselves */
    }
    *in = fd >= 0 && epoll_ctl(w->set_fd, EPOLL_CTL_ADD, fd, &ev) == 0 ? fd : -1;
}

static int64_t
next_ns(const struct bb_store *s)
{
    int64_t next = bbi_min_i64(bbi_role_next_ns(s), bbi_client_next_ns(s));
    next = bbi_min_i64(next, bbi_watches_next_ns(s));
    return s->master != NULL ? bbi_min_i64(next, bbi_os_mono_ns() + HOUSE_EVERY_NS) : next;
}

void
bbi_poll_arm(struct bb_store *s)
{
    struct bbi_waiter *w = s->waiter;
    if (w == NULL || w->set_fd < 0) {
        return;
    }
    put_into_set(w, &w->client_fd, s->client != NULL ? bb_fd(s->client->sub) : -1);
    put_into_set(w, &w->master_fd, s->master != NULL ? bbi_master_fd(s) : -1);
    int64_t at = next_ns(s);
    at = at == INT64_MAX ? 0 : at > 0 ? at : 1; /* 0: no timer */
    const struct itimerspec when = {
        .it_value = {.tv_sec = at / NS_PER_S, .tv_nsec = at % NS_PER_S}};
    (void)timerfd_settime(w->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static int
make_set(struct bbi_waiter *w)
{
    struct epoll_event ev = {.events = EPOLLIN};
    w->set_fd = bbi_os_keep_fd(epoll_create1(EPOLL_CLOEXEC));
    w->timer_fd = bbi_os_keep_fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    if (w->set_fd < 0 || w->timer_fd < 0
        || epoll_ctl(w->set_fd, EPOLL_CTL_ADD, w->timer_fd, &ev) < 0) {
        return -errno;
    }
    return 0;
}

static void
close_set(struct bbi_waiter *w)
{
    if (w->set_fd >= 0) {
        (void)close(w->set_fd);
    }
    if (w->timer_fd >= 0) {
        (void)close(w->timer_fd);
    }
    w->set_fd = w->timer_fd = -1;
}

int
bb_store_fd(struct bb_store *s)
{
    struct bbi_waiter *w;
    if (bbi_store_is_forked(s)) {
        return BB_EFORKED;
    }
    int rc = waiter_of(s, &w);
    if (rc == 0 && w->set_fd < 0) {
        rc = make_set(w);
        if (rc < 0) {
            close_set(w);
        }
    }
    if (rc < 0) {
        return rc;
    }
    bbi_poll_arm(s);
    return w->set_fd;
}

void
bbi_poll_close(struct bb_store *s)
{
    if (s->waiter != NULL) {
        close_set(s->waiter);
        free(s->waiter);
        s->waiter = NULL;
    }
}
