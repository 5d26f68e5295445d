/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine that every kernel has: level-triggered epoll, sendmsg, recv.
 *
 * Sending is tried when it is asked for; after EAGAIN or a short send the socket is waited for.  Each turn receives
 * once from each connection that has something, so that none waits for another's flood.
 */
#include "lib/net/net_impl.h"
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64, RECEIVE_BYTES_MAX = 256 << 10 };

struct engine {
    int fd;
    bool has_no_pwait2;
    size_t buffer_bytes;
    unsigned char *buffer;
    struct epoll_event events[EVENTS];
};

static int
engine_open(struct bbi_net *net, const struct bbi_net_opts *opts, struct bbi_fault *f)
{
    struct engine *e = calloc(1, sizeof(*e));
    if (e == NULL) {
        return bbi_fault_set(f, BB_ENOMEM, "epoll", "no memory for epoll");
    }
    e->buffer_bytes =
        (size_t)bbi_min_u64((uint64_t)opts->buffers * BBI_NET_BUFFER_BYTES, RECEIVE_BYTES_MAX);
    e->buffer = malloc(e->buffer_bytes);
    e->fd = e->buffer != NULL ? epoll_create1(EPOLL_CLOEXEC) : -1;
    if (e->fd < 0) {
        int rc = e->buffer != NULL ? -errno : BB_ENOMEM;
        free(e->buffer);
        free(e);
        return bbi_fault_set(f, rc, "epoll", "epoll cannot be had: %s", bbi_errno_text(-rc));
    }
    net->engine = e;
    return 0;
}

static void
engine_close(struct bbi_net *net)
{
    struct engine *e = net->engine;
    (void)close(e->fd);
    free(e->buffer);
    free(e);
}

static void
send_now(struct bbi_net *net, struct bbi_net_slot *slot)
{
    const struct msghdr *message = bbi_net_message(slot);
    size_t bytes = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        bytes += message->msg_iov[i].iov_len;
    }
    net->stats.system_calls++;
    ssize_t n = sendmsg(slot->fd, message, MSG_NOSIGNAL | MSG_DONTWAIT);
    int64_t result = n < 0 ? -errno : n;
    slot->is_blocked = result == -EAGAIN || (result >= 0 && (size_t)result < bytes);
    bbi_net_on_sent(net, slot, result);
}

/* For io_uring a touch means another request; here the events say whether there is one. */
static void
register_for(struct bbi_net *net, struct bbi_net_slot *slot, uint32_t wants)
{
    const struct engine *e = net->engine;
    const uint32_t in = BBI_NET_BIT(BBI_NET_OP_ACCEPT) | BBI_NET_BIT(BBI_NET_OP_RECV)
                        | BBI_NET_BIT(BBI_NET_OP_READABLE);
    uint32_t events = (wants & in) != 0 ? (uint32_t)EPOLLIN : 0;
    if ((wants & BBI_NET_BIT(BBI_NET_OP_CONNECT)) != 0
        || ((wants & BBI_NET_BIT(BBI_NET_OP_SEND)) != 0 && slot->is_blocked)) {
        events |= (uint32_t)EPOLLOUT;
    }
    /* A connection that is paused stands there without events: a break is told all the same. */
    bool is_wanted = wants != 0;
    if (is_wanted == slot->is_registered && events == slot->armed) {
        return;
    }
    struct epoll_event ev = {.events = events, .data = {.u64 = bbi_net_tag(slot, 0)}};
    int op = !is_wanted ? EPOLL_CTL_DEL : slot->is_registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int rc = epoll_ctl(e->fd, op, slot->fd, &ev);
    slot->is_registered = is_wanted && rc == 0;
    slot->armed = slot->is_registered ? events : 0;
}

static void
engine_settle(struct bbi_net *net, struct bbi_net_slot *slot)
{
    struct bbi_net_id id = slot->id;
    uint32_t wants = bbi_net_wants(net, slot);
    if ((wants & BBI_NET_BIT(BBI_NET_OP_SEND)) != 0 && !slot->is_blocked) {
        send_now(net, slot);
        slot = bbi_net_slot(net, id);
        if (slot == NULL) {
            return;
        }
        wants = bbi_net_wants(net, slot);
    }
    register_for(net, slot, wants);
}

static void
engine_drop(struct bbi_net *net, struct bbi_net_slot *slot)
{
    if (slot->is_registered) {
        register_for(net, slot, 0);
    }
    slot->is_blocked = false;
}

static void
accept_one(struct bbi_net *net, struct bbi_net_slot *slot)
{
    int fd = accept4(slot->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int rc = fd < 0 ? -errno : fd;
    if (rc != -EAGAIN && rc != -EINTR) {
        bbi_net_on_accept(net, slot, rc);
    }
}

static void
receive(struct bbi_net *net, struct bbi_net_slot *slot)
{
    const struct engine *e = net->engine;
    net->stats.system_calls++;
    ssize_t n = recv(slot->fd, e->buffer, e->buffer_bytes, MSG_DONTWAIT);
    if (n > 0) {
        bbi_net_on_received(net, slot, e->buffer, (size_t)n);
    } else if (n == 0) {
        bbi_net_on_end(net, slot, 0);
    } else if (errno != EAGAIN && errno != EINTR) {
        bbi_net_on_end(net, slot, -errno);
    }
}

static void
on_connection(struct bbi_net *net, struct bbi_net_slot *slot, uint32_t events)
{
    struct bbi_net_id id = slot->id;
    const uint32_t broken = (uint32_t)EPOLLHUP | (uint32_t)EPOLLERR;
    uint32_t wants = bbi_net_wants(net, slot);
    if ((events & ((uint32_t)EPOLLIN | broken)) != 0) {
        if ((wants & BBI_NET_BIT(BBI_NET_OP_RECV)) != 0) {
            receive(net, slot);
        } else if ((wants & BBI_NET_BIT(BBI_NET_OP_HANGUP)) != 0 && (events & broken) != 0) {
            bbi_net_on_hangup(net, slot);
        }
        slot = bbi_net_slot(net, id);
    }
    if (slot == NULL || (events & ((uint32_t)EPOLLOUT | broken)) == 0) {
        return;
    }
    slot->is_blocked = false;
    if ((bbi_net_wants(net, slot) & BBI_NET_BIT(BBI_NET_OP_SEND)) != 0) {
        send_now(net, slot);
        slot = bbi_net_slot(net, id);
    }
    if (slot != NULL) {
        bbi_net_touch(net, slot);
    }
}

static void
report(struct bbi_net *net, const struct epoll_event *ev)
{
    struct bbi_net_slot *slot = bbi_net_tagged(net, ev->data.u64);
    if (slot == NULL) {
        net->stats.stale++;
        return;
    }
    switch (slot->state) {
    case BBI_NET_LISTENING:
        accept_one(net, slot);
        break;
    case BBI_NET_CONNECTING:
        bbi_net_on_writable(net, slot);
        break;
    case BBI_NET_WATCHED:
        bbi_net_on_readable(net, slot);
        break;
    case BBI_NET_OPEN:
    case BBI_NET_ENDING:
        on_connection(net, slot, ev->events);
        break;
    case BBI_NET_FREE:
        break;
    }
}

static int
wait_ns(struct engine *e, int64_t timeout_ns)
{
    if (!e->has_no_pwait2 && timeout_ns > 0) {
        struct timespec ts = {.tv_sec = timeout_ns / 1000000000,
                              .tv_nsec = timeout_ns % 1000000000};
        int n = epoll_pwait2(e->fd, e->events, EVENTS, &ts, NULL);
        if (n >= 0 || errno == EINTR) {
            return n >= 0 ? n : -EINTR;
        }
        e->has_no_pwait2 = true; /* a kernel before 5.11, or a filter that does not know it */
    }
    int64_t ms = timeout_ns < 0 ? -1 : bbi_min_i64((timeout_ns + 999999) / 1000000, INT32_MAX);
    int n = epoll_wait(e->fd, e->events, EVENTS, (int)ms);
    return n >= 0 ? n : -errno;
}

static int
engine_wait(struct bbi_net *net, int64_t timeout_ns)
{
    struct engine *e = net->engine;
    net->stats.system_calls++;
    int n = wait_ns(e, timeout_ns);
    for (int i = 0; i < n; i++) {
        report(net, &e->events[i]);
    }
    return n < 0 ? n : 0;
}

const struct bbi_net_ops bbi_net_epoll = {
    .name = "epoll",
    .is_nonblocking = true,
    .open = engine_open,
    .close = engine_close,
    .settle = engine_settle,
    .drop = engine_drop,
    .wait = engine_wait,
};
