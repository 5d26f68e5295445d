/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/nanomsg.c - nanomsg over ipc:// or tcp://: push/pull, which loses nothing, and pub/sub, which drops.
 *
 * Sockets    nanomsg         PUSH and PULL, in a ping PAIR
 *            nanomsg-pubsub  PUB and SUB; the topic is a prefix of the message
 * Late ones  a PUSH waits until it is connected; a PUB counts its connections.
 * The end    nanomsg has no linger (NN_LINGER does nothing since 1.0), and a reader whose peer hangs up drops
 *            what is left in the socket; so peers/mesh.h lingers.
 */
#include "bench/peers/mesh.h"

#include <dlfcn.h>
#include <errno.h>
#include <nanomsg/ipc.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/tcp.h>

enum {
    BUFFER_BYTES = 4 * 1024 * 1024, /* NN_SNDBUF and NN_RCVBUF; the kernel may grant less */
};

/* Outlet or inlet. */
struct end {
    int socket;
    bool is_open;
    int timeout_ms; /* of receiving, as last set; 0: not yet */
};

/* What became of a call: 0, or the code of its error. */
static int
code_of(int rc)
{
    return rc >= 0 ? 0 : nn_errno() > 0 ? nn_errno() : EIO;
}

/* The library has no version at run time but that of its interface, among its constants; -1: not there. */
static int
constant(const char *name)
{
    const char *found;
    int value;
    for (int i = 0; (found = nn_symbol(i, &value)) != NULL; i++) {
        if (strcmp(found, name) == 0) {
            return value;
        }
    }
    return -1;
}

static void
describe(const struct bench_setup *s, enum bench_mesh_kind kind, FILE *out)
{
    const char *sockets = kind == BENCH_MESH_PUBSUB ? "PUB/SUB, lossy, 8-byte topic prefix"
                          : s->is_ping              ? "a PAIR for each direction"
                                                    : "PUSH/PULL, a socket for each subscriber";
    (void)fprintf(out, "nanomsg interface %d:%d:%d %s, %s, SNDBUF/RCVBUF %d KiB, %s, waits by %s",
                  constant("NN_VERSION_CURRENT"), constant("NN_VERSION_REVISION"),
                  constant("NN_VERSION_AGE"), bench_mesh_transport(s), sockets, BUFFER_BYTES / 1024,
                  s->is_copying ? "copied by nn_send/nn_recv" : "NN_MSG filled in place",
                  s->wait == BENCH_SLEEP  ? "NN_RCVTIMEO"
                  : s->wait == BENCH_SPIN ? "NN_DONTWAIT and sched_yield"
                                          : "NN_DONTWAIT for 50 us, then NN_RCVTIMEO");
}

/* libnng has all of nn_*() too, on top of nng: which of the two is here depends on the order of the link. */
static int
check_link(void)
{
    Dl_info info;
    void *at = dlsym(RTLD_DEFAULT, "nn_socket");
    if (at == NULL || dladdr(at, &info) == 0 || info.dli_fname == NULL) {
        return 0; /* linked statically: the linker would have complained */
    }
    if (strstr(info.dli_fname, "nng") != NULL) {
        (void)fprintf(stderr,
                      "nanomsg: nn_socket() is nng's imitation; link libnanomsg before libnng\n");
        return -ENOSYS;
    }
    return 0;
}

static int
set_int(int socket, int option, int value)
{
    return nn_setsockopt(socket, NN_SOL_SOCKET, option, &value, sizeof(value));
}

static int
open_end(struct end *end, int protocol)
{
    end->socket = nn_socket(AF_SP, protocol);
    if (end->socket < 0) {
        return code_of(-1);
    }
    end->is_open = true;
    if (set_int(end->socket, NN_SNDBUF, BUFFER_BYTES) < 0
        || set_int(end->socket, NN_RCVBUF, BUFFER_BYTES) < 0
        || set_int(end->socket, NN_RCVMAXSIZE, -1) < 0) {
        return code_of(-1);
    }
    return 0;
}

/* Small messages at once; without it they wait for the answer to the one before. */
static int
hurry(const struct end *end, const struct bench_setup *s)
{
    int yes = 1;
    bool is_needed = s->is_bridge && s->is_ping;
    return !is_needed
               ? 0
               : code_of(nn_setsockopt(end->socket, NN_TCP, NN_TCP_NODELAY, &yes, sizeof(yes)));
}

static void
close_end(void *handle)
{
    struct end *end = handle;
    if (end->is_open) {
        nn_close(end->socket);
    }
}

/* ---- publisher ---------------------------------------------------------------------------------- */

static int
open_outlet(const struct bench_mesh_pub *pub, void *handle, const char *url)
{
    struct end *outlet = handle;
    int protocol = pub->is_pubsub ? NN_PUB : pub->setup.is_ping ? NN_PAIR : NN_PUSH;
    int rc = open_end(outlet, protocol);
    rc = rc != 0 ? rc : hurry(outlet, &pub->setup);
    return rc != 0 ? rc : code_of(nn_bind(outlet->socket, url));
}

static unsigned
count_connections(void *handle, const struct bench_setup *s)
{
    struct end *outlet = handle;
    (void)s;
    return (unsigned)nn_get_statistic(outlet->socket, NN_STAT_CURRENT_CONNECTIONS);
}

/* Takes a message that nn_allocmsg() made, or copies bytes. */
static int
send_by(int socket, const void *data, size_t bytes)
{
    int rc;
    do {
        rc = nn_send(socket, data, bytes, 0);
    } while (rc < 0 && nn_errno() == EINTR);
    return code_of(rc);
}

/* The last socket takes the message, the others copy it. */
static int
send_chunk(const struct bench_mesh_pub *pub, struct bench_source *src)
{
    const struct end *outlets = pub->outlets;
    unsigned last = pub->outlet_count - 1;
    int rc = 0;
    unsigned char *msg = nn_allocmsg(pub->message_bytes, 0);
    if (msg == NULL) {
        return code_of(-1);
    }
    bench_mesh_fill(pub, src, msg);
    for (unsigned i = 0; rc == 0 && i < pub->outlet_count; i++) {
        rc = i < last ? send_by(outlets[i].socket, msg, pub->message_bytes)
                      : send_by(outlets[i].socket, &msg, NN_MSG);
    }
    if (rc != 0 || pub->outlet_count == 0) {
        nn_freemsg(msg); /* nobody took it */
    }
    return rc;
}

static int
send_copies(const struct bench_mesh_pub *pub, struct bench_source *src)
{
    const struct end *outlets = pub->outlets;
    int rc = 0;
    bench_mesh_fill(pub, src, pub->copy);
    for (unsigned i = 0; rc == 0 && i < pub->outlet_count; i++) {
        rc = send_by(outlets[i].socket, pub->copy, pub->message_bytes);
    }
    return rc;
}

static int
send_one(struct bench_mesh_pub *pub, struct bench_source *src)
{
    return pub->setup.is_copying ? send_copies(pub, src) : send_chunk(pub, src);
}

/* ---- subscriber --------------------------------------------------------------------------------- */

static int
open_inlet(const struct bench_mesh_sub *sub, void *handle)
{
    int rc = open_end(handle, sub->is_pubsub ? NN_SUB : sub->setup.is_ping ? NN_PAIR : NN_PULL);
    return rc != 0 ? rc : hurry(handle, &sub->setup);
}

static int
subscribe(void *handle, const char *prefix, size_t bytes)
{
    struct end *inlet = handle;
    return code_of(nn_setsockopt(inlet->socket, NN_SUB, NN_SUB_SUBSCRIBE, prefix, bytes));
}

static int
connect_end(void *handle, const char *url)
{
    struct end *inlet = handle;
    return code_of(nn_connect(inlet->socket, url));
}

/* Why there was nothing to receive. */
static int
why_nothing(void)
{
    int code = nn_errno();
    return code == EAGAIN || code == ETIMEDOUT || code == EINTR ? -EAGAIN : code_of(-1);
}

static int
take_chunk(struct bench_mesh_sub *sub, struct bench_sink *sink, int socket, int flags)
{
    unsigned char *msg;
    int bytes = nn_recv(socket, &msg, NN_MSG, flags);
    if (bytes < 0) {
        return why_nothing();
    }
    int rc = bench_mesh_take(sub, sink, msg, (size_t)bytes);
    nn_freemsg(msg);
    return rc;
}

static int
take_copy(struct bench_mesh_sub *sub, struct bench_sink *sink, int socket, int flags)
{
    int bytes = nn_recv(socket, sub->copy, sub->message_bytes, flags);
    return bytes < 0 ? why_nothing() : bench_mesh_take(sub, sink, sub->copy, (size_t)bytes);
}

static int
take(struct bench_mesh_sub *sub, struct bench_sink *sink, int64_t sleep_ns)
{
    struct end *inlet = sub->inlet;
    int timeout_ms = bench_mesh_ms(sleep_ns), flags = timeout_ms > 0 ? 0 : NN_DONTWAIT;
    if (timeout_ms > 0 && timeout_ms != inlet->timeout_ms) {
        inlet->timeout_ms = timeout_ms;
        set_int(inlet->socket, NN_RCVTIMEO, timeout_ms);
    }
    return sub->setup.is_copying ? take_copy(sub, sink, inlet->socket, flags)
                                 : take_chunk(sub, sink, inlet->socket, flags);
}

/* ---- the two drivers ---------------------------------------------------------------------------- */

static const struct bench_mesh_library library = {
    .check = check_link,
    .describe = describe,
    .say = nn_strerror,
    .outlet_bytes = sizeof(struct end),
    .open_outlet = open_outlet,
    .close_outlet = close_end,
    .count_subscribers = count_connections,
    .send = send_one,
    .inlet_bytes = sizeof(struct end),
    .open_inlet = open_inlet,
    .close_inlet = close_end,
    .subscribe = subscribe,
    .connect = connect_end,
    .take = take,
};

BENCH_MESH_DRIVER(nanomsg, "nanomsg", BENCH_MESH_PUSH, BENCH_CAN_RELY | BENCH_CAN_BRIDGE);
BENCH_MESH_DRIVER(nanomsg_pubsub,
                  "nanomsg-pubsub",
                  BENCH_MESH_PUBSUB,
                  BENCH_CAN_LOSE | BENCH_CAN_TOPICS);
