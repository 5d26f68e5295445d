/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a connection, the same for both engines.
 *
 *   listen ► LISTENING ► accepted ─┐
 *   connect ► CONNECTING ► connected ─► OPEN ► closed            the peer ended, or it broke
 *                    (next address)      └────► ENDING ► free    bbi_net_end(): send what is under way, FIN, wait for
 *                                                                the peer's FIN; after a second no more
 *
 * A send that fails does not end a connection at once: the peer may have said why before it closed, and that is still
 * to be received.
 */
#include "lib/net/net_impl.h"
#include "shm/os.h"
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t END_NS =
    INT64_C(1000000000); /* for an orderly end, and to read on after a failed send */
static const int64_t HOLD_NS = INT64_C(100000000);      /* without descriptors: look again */
static const int64_t CONNECT_NS = INT64_C(10000000000); /* when nobody says another */
enum { KEEP_IDLE_S = 15, KEEP_INTERVAL_S = 5, KEEP_COUNT = 3 };

/* ---- sockets ---- */

static void
set_int(int fd, int level, int name, int value)
{
    /* What a kind of socket does not know (the self-test's) it does without. */
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

/* What every connection has, from the moment that it is one. */
static void
dress(const struct bbi_net *net, int fd)
{
    int flags = fcntl(fd, F_GETFL);
    bool is_nonblocking = (flags & O_NONBLOCK) != 0;
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT);
    if (net->user_timeout_ns > 0) {
        int64_t ms = bbi_min_i64(net->user_timeout_ns / 1000000, INT32_MAX);
        set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, ms > 0 ? (int)ms : 1);
    }
    if (is_nonblocking != net->ops->is_nonblocking) {
        (void)fcntl(fd, F_SETFL,
                    net->ops->is_nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
    }
}

static int
pending_error(int fd)
{
    int error = 0;
    socklen_t bytes = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 ? -error : -errno;
}

int
bbi_net_adopt(struct bbi_net *net, int fd, struct bbi_net_id *out)
{
    struct bbi_net_slot *slot = bbi_net_slot_take(net, BBI_NET_OPEN, fd);
    if (slot == NULL) {
        (void)close(fd);
        return BB_EFULL;
    }
    dress(net, fd);
    *out = slot->id;
    return 0;
}

/* ---- the end ---- */

static void
tell_closed(struct bbi_net *net, struct bbi_net_slot *slot, int status)
{
    struct bbi_net_id id = slot->id;
    bbi_net_slot_free(net, slot, status == 0 ? BBI_NET_ORDERLY : BBI_NET_ABORT);
    net->called++;
    net->handler.closed(net->user, id, status);
}

/* Of an end that the user asked for: nothing to tell, unless memory was in use. */
static void
finish(struct bbi_net *net, struct bbi_net_slot *slot)
{
    struct bbi_net_id id = slot->id;
    bool was_sending = slot->is_sending;
    bbi_net_slot_free(net, slot, was_sending ? BBI_NET_ABORT : BBI_NET_ORDERLY);
    if (was_sending) {
        net->called++;
        net->handler.sent(net->user, id);
    }
}

static void
send_fin(struct bbi_net *net, struct bbi_net_slot *slot)
{
    if (slot->is_peer_done || shutdown(slot->fd, SHUT_WR) != 0) {
        finish(net, slot);
    }
}

static void
begin_end(struct bbi_net *net, struct bbi_net_slot *slot)
{
    slot->state = BBI_NET_ENDING;
    slot->is_paused = false;
    /* After a send that failed nothing is left to wait for. */
    bbi_net_set_deadline(net, slot, slot->is_failed ? 1 : bbi_os_mono_ns() + END_NS);
    bbi_net_touch(net, slot);
    if (!slot->is_sending) {
        send_fin(net, slot);
    }
}

void
bbi_net_end(struct bbi_net *net, struct bbi_net_id id, enum bbi_net_how how)
{
    struct bbi_net_slot *slot = bbi_net_slot(net, id);
    if (slot == NULL || slot->state == BBI_NET_WATCHED) {
        return;
    }
    if (how == BBI_NET_ABORT || slot->state == BBI_NET_LISTENING
        || slot->state == BBI_NET_CONNECTING) {
        bbi_net_slot_free(net, slot, BBI_NET_ABORT);
    } else if (slot->state == BBI_NET_OPEN) {
        begin_end(net, slot);
    }
}

void
bbi_net_on_end(struct bbi_net *net, struct bbi_net_slot *slot, int status)
{
    if (slot->state == BBI_NET_OPEN) {
        /* The kernel tells the reason once, to whoever asks first; the other hears less. */
        tell_closed(net, slot, status == 0 && slot->is_failed ? slot->status : status);
    } else if (slot->state == BBI_NET_ENDING && status == 0 && slot->is_sending) {
        slot->is_peer_done = true; /* it may still read */
        bbi_net_touch(net, slot);
    } else if (slot->state == BBI_NET_ENDING) {
        finish(net, slot);
    }
}

void
bbi_net_on_hangup(struct bbi_net *net, struct bbi_net_slot *slot)
{
    int status = pending_error(slot->fd);
    bbi_net_on_end(net, slot, status != 0 ? status : -ECONNRESET);
}

/* ---- receiving ---- */

void
bbi_net_on_received(struct bbi_net *net, struct bbi_net_slot *slot, const void *data, size_t bytes)
{
    net->stats.receives++;
    net->stats.received_bytes += bytes;
    if (slot->state == BBI_NET_OPEN) {
        net->called++;
        net->handler.received(net->user, slot->id, data, bytes);
    }
}

void
bbi_net_pause(struct bbi_net *net, struct bbi_net_id conn, bool is_paused)
{
    struct bbi_net_slot *slot = bbi_net_slot(net, conn);
    if (slot != NULL && (slot->state == BBI_NET_OPEN || slot->state == BBI_NET_CONNECTING)) {
        slot->is_paused = is_paused;
        bbi_net_touch(net, slot);
    }
}

/* ---- sending ---- */

int
bbi_net_send(struct bbi_net *net, struct bbi_net_id conn, const struct iovec *pieces, int count)
{
    struct bbi_net_slot *slot = bbi_net_slot(net, conn);
    size_t bytes = 0;
    if (slot == NULL || (slot->state != BBI_NET_OPEN && slot->state != BBI_NET_CONNECTING)) {
        return BB_ENOENT;
    }
    if (slot->state == BBI_NET_CONNECTING) {
        return BB_EAGAIN;
    }
    if (slot->is_sending) {
        return BB_EBUSY;
    }
    if (count < 1 || count > BBI_NET_PIECES) {
        return BB_EINVAL;
    }
    slot->piece_at = 0;
    slot->piece_count = 0;
    for (int i = 0; i < count; i++) {
        if (pieces[i].iov_len > BBI_NET_SEND_BYTES - bytes) {
            return BB_EMSGSIZE;
        }
        bytes += pieces[i].iov_len;
        if (pieces[i].iov_len > 0) {
            slot->pieces[slot->piece_count++] = pieces[i];
        }
    }
    if (bytes == 0) {
        return BB_EINVAL;
    }
    slot->is_sending = true;
    bbi_net_touch(net, slot);
    return 0;
}

struct msghdr *
bbi_net_message(struct bbi_net_slot *slot)
{
    slot->message = (struct msghdr){
        .msg_iov = &slot->pieces[slot->piece_at],
        .msg_iovlen = (size_t)(slot->piece_count - slot->piece_at),
    };
    return &slot->message;
}

/* True when nothing is left. */
static bool
take_sent(struct bbi_net_slot *slot, size_t bytes)
{
    while (slot->piece_at < slot->piece_count) {
        struct iovec *piece = &slot->pieces[slot->piece_at];
        if (bytes < piece->iov_len) {
            piece->iov_base = (unsigned char *)piece->iov_base + bytes;
            piece->iov_len -= bytes;
            return false;
        }
        bytes -= piece->iov_len;
        slot->piece_at++;
    }
    return true;
}

static void
send_failed(struct bbi_net *net, struct bbi_net_slot *slot, int status)
{
    if (slot->state == BBI_NET_ENDING) {
        finish(net, slot);
    } else if (slot->is_paused) {
        tell_closed(net, slot, status);
    } else {
        slot->is_failed = true;
        slot->status = status;
        bbi_net_set_deadline(net, slot, bbi_os_mono_ns() + END_NS);
    }
}

void
bbi_net_on_sent(struct bbi_net *net, struct bbi_net_slot *slot, int64_t result)
{
    if (result == -EAGAIN || result == -EINTR || result == -ECANCELED) {
        bbi_net_touch(net, slot);
        return;
    }
    if (result <= 0) {
        send_failed(net, slot, result == -EPIPE ? -ECONNRESET : result < 0 ? (int)result : BB_EIO);
        return;
    }
    net->stats.sends++;
    net->stats.sent_bytes += (uint64_t)result;
    if (!take_sent(slot, (size_t)result)) {
        net->stats.short_sends++;
        bbi_net_touch(net, slot);
        return;
    }
    struct bbi_net_id id = slot->id;
    slot->is_sending = false;
    net->called++;
    net->handler.sent(net->user, id);
    slot = bbi_net_slot(net, id);
    if (slot != NULL && slot->state == BBI_NET_ENDING && !slot->is_sending) {
        send_fin(net, slot);
    }
}

/* ---- accepting ---- */

static int
listen_at(const struct bbi_net *net, const struct sockaddr_storage *addr, socklen_t bytes)
{
    int type = SOCK_STREAM | SOCK_CLOEXEC | (net->ops->is_nonblocking ? SOCK_NONBLOCK : 0);
    int fd = socket(addr->ss_family, type, 0);
    if (fd < 0) {
        return -errno;
    }
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (addr->ss_family == AF_INET6) {
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    if (bind(fd, (const struct sockaddr *)addr, bytes) != 0 || listen(fd, SOMAXCONN) != 0) {
        int rc = -errno;
        (void)close(fd);
        return rc;
    }
    return fd;
}

static uint16_t
port_of(int fd)
{
    struct sockaddr_storage addr = {0};
    struct sockaddr_in6 six;
    struct sockaddr_in four;
    socklen_t bytes = sizeof(addr);
    (void)getsockname(fd, (struct sockaddr *)&addr, &bytes);
    memcpy(&six, &addr, sizeof(six));
    memcpy(&four, &addr, sizeof(four));
    return ntohs(addr.ss_family == AF_INET6 ? six.sin6_port : four.sin_port);
}

static const char *
listen_advice(int rc)
{
    if (rc == -EADDRINUSE) {
        return ": another program listens there; choose another port, or 0 for any that is free";
    }
    if (rc == -EACCES) {
        return ": ports below 1024 need CAP_NET_BIND_SERVICE; choose another port";
    }
    if (rc == -EADDRNOTAVAIL) {
        return ": this box has no such address; * means all that it has";
    }
    return "";
}

int
bbi_net_listen(struct bbi_net *net,
               const char *host,
               uint16_t port,
               struct bbi_net_id *out,
               uint16_t *port_out,
               struct bbi_fault *f)
{
    struct bbi_net_addresses found = {0};
    int rc = bbi_net_resolve_soon(net->resolve, host, port, true, &found, f);
    if (rc != 0) {
        return rc;
    }
    int fd = -EADDRNOTAVAIL;
    for (int i = 0; i < found.count && fd < 0; i++) {
        fd = listen_at(net, &found.at[i], found.bytes[i]);
    }
    if (fd < 0) {
        return bbi_fault_set(f, fd, host, "cannot listen on %s, port %u: %s%s", host,
                             (unsigned)port, bbi_errno_text(-fd), listen_advice(fd));
    }
    struct bbi_net_slot *slot = bbi_net_slot_take(net, BBI_NET_LISTENING, fd);
    if (slot == NULL) {
        (void)close(fd);
        return bbi_fault_set(f, BB_EFULL, host,
                             "too many listeners and watched descriptors: at most %d",
                             BBI_NET_OTHERS);
    }
    *out = slot->id;
    if (port_out != NULL) {
        *port_out = port_of(fd);
    }
    return 0;
}

static void
accept_failed(struct bbi_net *net, struct bbi_net_slot *slot, int status)
{
    bool is_short =
        status == -EMFILE || status == -ENFILE || status == -ENOBUFS || status == -ENOMEM;
    /* Anything else is about the one that wanted to come in (it has gone again, its network is down). */
    if (is_short) {
        slot->is_held = true;
        net->is_holding = true;
        bbi_net_set_deadline(net, slot, bbi_os_mono_ns() + HOLD_NS);
    }
    bbi_net_touch(net, slot);
}

void
bbi_net_on_accept(struct bbi_net *net, struct bbi_net_slot *slot, int result)
{
    struct sockaddr_storage addr = {0};
    socklen_t bytes = sizeof(addr);
    struct bbi_net_id listener = slot->id, conn;
    char peer[BBI_NET_ADDRESS_BYTES];
    if (result < 0) {
        accept_failed(net, slot, result);
        return;
    }
    if (getpeername(result, (struct sockaddr *)&addr, &bytes) != 0) {
        (void)close(result); /* it has gone again */
        return;
    }
    if (bbi_net_adopt(net, result, &conn) != 0) {
        return; /* more came at once than there is room for */
    }
    bbi_net_address_text((const struct sockaddr *)&addr, bytes, peer);
    net->called++;
    net->handler.accepted(net->user, listener, conn, peer);
}

/* ---- connecting ---- */

/* The next address that does not fail at once; false: none is left, the slot's status says why. */
static bool
try_next(struct bbi_net *net, struct bbi_net_slot *slot)
{
    const struct bbi_net_addresses *a = slot->addresses;
    while (slot->address_at < a->count) {
        int at = slot->address_at++;
        int fd = socket(a->at[at].ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0) {
            slot->status = -errno;
            continue;
        }
        if (connect(fd, (const struct sockaddr *)&a->at[at], a->bytes[at]) != 0
            && errno != EINPROGRESS) {
            slot->status = -errno;
            (void)close(fd);
            continue;
        }
        int64_t now_ns = bbi_os_mono_ns();
        int64_t left_ns = slot->give_up_ns > now_ns ? slot->give_up_ns - now_ns : 1;
        slot->fd = fd;
        bbi_net_set_deadline(net, slot, now_ns + left_ns / (a->count - at));
        bbi_net_touch(net, slot);
        return true;
    }
    return false;
}

/* None of them was it. */
static void
refuse(struct bbi_net *net, struct bbi_net_slot *slot)
{
    struct bbi_net_id id = slot->id;
    int status = slot->status;
    bbi_net_slot_free(net, slot, BBI_NET_ORDERLY);
    net->called++;
    net->handler.connected(net->user, id, status);
    net->said[0] = '\0';
}

/* This address is not it. */
static void
connect_failed(struct bbi_net *net, struct bbi_net_slot *slot, int status)
{
    if (slot->lookup != NULL) {
        slot->status = status;
        (void)snprintf(
            net->said, sizeof(net->said),
            "the host %.255s was looked up in vain: no name server answered in time; give "
            "its address, or mend /etc/resolv.conf",
            slot->lookup->host);
    }
    if (slot->fd >= 0) {
        slot->status = status;
        net->ops->drop(net, slot);
        (void)close(slot->fd);
        slot->fd = -1;
        bbi_net_set_deadline(net, slot, 0);
        if (try_next(net, slot)) {
            return;
        }
    }
    refuse(net, slot);
}

/* ---- names ---- */

/* The descriptor that says what came of them is one that is watched. */
static int
open_lookups(struct bbi_net *net)
{
    int rc = bbi_lookups_open(&net->lookups, net->resolve);
    rc = rc == 0 ? bbi_net_watch(net, bbi_lookups_fd(net->lookups)) : rc;
    if (rc != 0) {
        bbi_lookups_close(net->lookups);
        net->lookups = NULL;
    }
    return rc;
}

/* Its addresses are known. */
static int
begin_tries(struct bbi_net *net, struct bbi_net_slot *slot, const char *host, struct bbi_fault *f)
{
    if (try_next(net, slot)) {
        return 0;
    }
    int rc = slot->status;
    if (rc == -EMFILE || rc == -ENFILE) {
        return bbi_fault_set(f, rc, host, "cannot connect to %s: %s", host, bbi_errno_text(-rc));
    }
    bbi_net_set_deadline(net, slot, 1); /* connected() says it, as it says every refusal */
    return 0;
}

static int
begin_lookup(struct bbi_net *net,
             struct bbi_net_slot *slot,
             const char *host,
             uint16_t port,
             struct bbi_fault *f)
{
    int rc = net->lookups == NULL ? open_lookups(net) : 0;
    if (rc != 0) {
        return bbi_fault_set(f, rc, host, "cannot look up the host %s: %s", host, bb_strerror(rc));
    }
    bbi_net_set_deadline(net, slot, slot->give_up_ns);
    return bbi_lookup_start(net->lookups, host, port, false, slot->id.v, &slot->lookup, f);
}

/* One that came back; whoever asked may have ended since. */
static void
found(struct bbi_net *net, const struct bbi_lookup *lookup)
{
    struct bbi_net_slot *slot = bbi_net_slot(net, (struct bbi_net_id){lookup->tag});
    if (slot == NULL || slot->lookup != lookup) {
        net->stats.stale++;
        return;
    }
    slot->lookup = NULL;
    *slot->addresses = lookup->found;
    if (lookup->rc == 0 && try_next(net, slot)) {
        return;
    }
    (void)snprintf(net->said, sizeof(net->said), "%s",
                   lookup->rc != 0 ? lookup->fault.sentence : "");
    slot->status = lookup->rc != 0 ? lookup->rc : slot->status;
    refuse(net, slot);
}

static void
take_lookups(struct bbi_net *net)
{
    for (struct bbi_lookup *l = bbi_lookups_take(net->lookups); l != NULL;
         l = bbi_lookups_take(net->lookups)) {
        found(net, l);
        free(l);
    }
}

int
bbi_net_connect(struct bbi_net *net,
                const char *host,
                uint16_t port,
                int64_t timeout_ns,
                struct bbi_net_id *out,
                struct bbi_fault *f)
{
    struct bbi_net_addresses found = {0};
    int rc = bbi_net_literal(host, port, false, &found, f);
    if (rc != 0 && rc != BB_EAGAIN) {
        return rc;
    }
    struct bbi_net_slot *slot = bbi_net_slot_take(net, BBI_NET_CONNECTING, -1);
    if (slot == NULL) {
        return bbi_fault_set(f, BB_EFULL, host,
                             "cannot connect to %s: all %u connections are in use", host,
                             net->slot_count - BBI_NET_OTHERS);
    }
    slot->addresses = malloc(sizeof(*slot->addresses));
    if (slot->addresses == NULL) {
        bbi_net_slot_free(net, slot, BBI_NET_ORDERLY);
        return bbi_fault_set(f, BB_ENOMEM, host, "no memory to connect to %s", host);
    }
    *slot->addresses = found;
    timeout_ns = timeout_ns > 0 ? timeout_ns : CONNECT_NS;
    if (__builtin_add_overflow(bbi_os_mono_ns(), timeout_ns, &slot->give_up_ns)) {
        slot->give_up_ns = INT64_MAX;
    }
    rc = rc == 0 ? begin_tries(net, slot, host, f) : begin_lookup(net, slot, host, port, f);
    if (rc != 0) {
        bbi_net_slot_free(net, slot, BBI_NET_ORDERLY);
        return rc;
    }
    *out = slot->id;
    return 0;
}

void
bbi_net_on_readable(struct bbi_net *net, struct bbi_net_slot *slot)
{
    if (net->lookups != NULL && slot->fd == bbi_lookups_fd(net->lookups)) {
        take_lookups(net);
        return;
    }
    net->called++;
    net->handler.readable(net->user, slot->fd);
}

/* A port of this box that nobody listens on can be the very one that connect() took for our own end. */
static bool
is_itself(int fd)
{
    struct sockaddr_storage here = {0}, there = {0};
    socklen_t here_bytes = sizeof(here), there_bytes = sizeof(there);
    return getsockname(fd, (struct sockaddr *)&here, &here_bytes) == 0
           && getpeername(fd, (struct sockaddr *)&there, &there_bytes) == 0
           && here_bytes == there_bytes && memcmp(&here, &there, here_bytes) == 0;
}

int
bbi_net_local(struct bbi_net *net, struct bbi_net_id conn, char out[BBI_NET_ADDRESS_BYTES])
{
    struct bbi_net_slot *slot = bbi_net_slot(net, conn);
    struct sockaddr_storage addr = {0};
    socklen_t bytes = sizeof(addr);
    if (slot == NULL || slot->fd < 0
        || getsockname(slot->fd, (struct sockaddr *)&addr, &bytes) != 0) {
        return BB_ENOENT;
    }
    bbi_net_address_text((const struct sockaddr *)&addr, bytes, out);
    return 0;
}

void
bbi_net_on_writable(struct bbi_net *net, struct bbi_net_slot *slot)
{
    int status = pending_error(slot->fd);
    if (status == 0 && is_itself(slot->fd)) {
        status = -ECONNREFUSED;
    }
    if (status != 0) {
        connect_failed(net, slot, status);
        return;
    }
    dress(net, slot->fd);
    free(slot->addresses);
    slot->addresses = NULL;
    slot->state = BBI_NET_OPEN;
    bbi_net_set_deadline(net, slot, 0);
    bbi_net_touch(net, slot);
    net->called++;
    net->handler.connected(net->user, slot->id, 0);
}

/* ---- deadlines ---- */

void
bbi_net_on_deadline(struct bbi_net *net, struct bbi_net_slot *slot)
{
    switch (slot->state) {
    case BBI_NET_LISTENING:
        slot->is_held = false;
        bbi_net_touch(net, slot);
        break;
    case BBI_NET_CONNECTING:
        connect_failed(net, slot, -ETIMEDOUT);
        break;
    case BBI_NET_OPEN:
        tell_closed(net, slot, slot->status);
        break;
    case BBI_NET_ENDING:
        finish(net, slot);
        break;
    case BBI_NET_WATCHED:
    case BBI_NET_FREE:
        break;
    }
}
