/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/zeromq.c - ZeroMQ over ipc:// or tcp://: PUSH/PULL, its quickest lossless pair, and XPUB/SUB with topics.
 *
 * Sockets    zeromq         PUSH and PULL, in a ping PAIR
 *            zeromq-pubsub  XPUB and SUB; the topic is a prefix of the one frame; reliable: ZMQ_XPUB_NODROP
 * Late ones  a PUSH waits until it is connected; an XPUB counts subscriptions (ZMQ_XPUB_VERBOSE).
 * The end    An engine whose peer hangs up while its reader stands at the high water mark drops what is left
 *            in the socket: ZMQ_LINGER alone loses messages, so peers/mesh.h lingers.
 */
#include "bench/peers/mesh.h"

#include <errno.h>
#include <zmq.h>

enum {
    HWM_MESSAGES = 10000,
    HWM_BYTES =
        256 * 1024 * 1024, /* large messages: a lower high water mark, to stay within this */
};

/* Outlet or inlet. */
struct end {
    void *socket;
    unsigned subscriptions; /* XPUB: seen so far, of all subscribers */
};

/* One context a process: in a ping its publisher and its subscriber share the I/O thread. */
static struct {
    void *ctx;
    unsigned users;
} context;

/* What became of a call: 0, or the code of its error. */
static int
code_of(int rc)
{
    return rc >= 0 ? 0 : errno > 0 ? errno : EIO;
}

static int
hwm_of(const struct bench_setup *s)
{
    size_t fits = HWM_BYTES / s->size;
    return fits > HWM_MESSAGES ? HWM_MESSAGES : fits < 16 ? 16 : (int)fits;
}

static void
describe(const struct bench_setup *s, enum bench_mesh_kind kind, FILE *out)
{
    int major, minor, patch;
    zmq_version(&major, &minor, &patch);
    bool is_push = kind == BENCH_MESH_PUSH;
    const char *sockets = is_push && s->is_ping ? "a PAIR for each direction"
                          : is_push             ? "PUSH/PULL, a socket for each subscriber"
                          : s->is_reliable      ? "XPUB/SUB, ZMQ_XPUB_NODROP, 8-byte topic prefix"
                                                : "XPUB/SUB, lossy, 8-byte topic prefix";
    (void)fprintf(out, "ZeroMQ %d.%d.%d %s, %s, HWM %d, 1 I/O thread a process, %s, waits by %s",
                  major, minor, patch, bench_mesh_transport(s), sockets, hwm_of(s),
                  s->is_copying ? "zmq_send/zmq_recv" : "zmq_msg_t filled in place",
                  s->wait == BENCH_SLEEP  ? "zmq_poll"
                  : s->wait == BENCH_SPIN ? "ZMQ_DONTWAIT and sched_yield"
                                          : "ZMQ_DONTWAIT for 50 us, then zmq_poll");
}

/* ---- sockets ------------------------------------------------------------------------------------ */

/* A socket, or NULL. */
static void *
new_socket(const struct bench_setup *s, int type)
{
    int hwm = hwm_of(s), none = 0;
    if (context.ctx == NULL) {
        context.ctx = zmq_ctx_new();
    }
    void *socket = zmq_socket(context.ctx, type);
    if (socket == NULL) {
        return NULL;
    }
    /* Subscriptions travel against the messages, and are dropped at the high water mark; 0: there is none. */
    zmq_setsockopt(socket, ZMQ_SNDHWM, type == ZMQ_SUB ? &none : &hwm, sizeof(hwm));
    zmq_setsockopt(socket, ZMQ_RCVHWM, type == ZMQ_XPUB ? &none : &hwm, sizeof(hwm));
    /* The mesh has seen to what matters; a SUB would wait to subscribe again at a publisher that is gone. */
    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof(none));
    if (type == ZMQ_XPUB) {
        int yes = 1, is_nodrop = s->is_reliable;
        zmq_setsockopt(socket, ZMQ_XPUB_VERBOSE, &yes, sizeof(yes));
        zmq_setsockopt(socket, ZMQ_XPUB_NODROP, &is_nodrop, sizeof(is_nodrop));
    }
    context.users++;
    return socket;
}

static void
drop_socket(void *handle)
{
    struct end *end = handle;
    if (end->socket == NULL) {
        return;
    }
    zmq_close(end->socket);
    if (--context.users == 0) {
        while (zmq_ctx_term(context.ctx) < 0 && errno == EINTR) {
        }
        context.ctx = NULL;
    }
}

/* ---- publisher ---------------------------------------------------------------------------------- */

static int
bind_socket(const struct bench_mesh_pub *pub, void *handle, const char *url)
{
    struct end *outlet = handle;
    int type = pub->is_pubsub ? ZMQ_XPUB : pub->setup.is_ping ? ZMQ_PAIR : ZMQ_PUSH;
    outlet->socket = new_socket(&pub->setup, type);
    return code_of(outlet->socket == NULL ? -1 : zmq_bind(outlet->socket, url));
}

static unsigned
count_subscriptions(void *handle, const struct bench_setup *s)
{
    struct end *outlet = handle;
    unsigned char what[1 + BENCH_MESH_TOPIC_BYTES];
    while (zmq_recv(outlet->socket, what, sizeof(what), ZMQ_DONTWAIT) > 0) {
        outlet->subscriptions += what[0] == 1;
    }
    return outlet->subscriptions / bench_mesh_count_subscriptions(s);
}

static int
send_message(zmq_msg_t *msg, void *socket)
{
    int rc;
    do {
        rc = zmq_msg_send(msg, socket, 0);
    } while (rc < 0 && errno == EINTR);
    return code_of(rc);
}

/* All but the last socket get a reference to the frame, the last one gets the frame. */
static int
send_frame(const struct bench_mesh_pub *pub, struct bench_source *src)
{
    struct end *outlets = pub->outlets;
    zmq_msg_t msg, ref;
    int rc = code_of(zmq_msg_init_size(&msg, pub->message_bytes));
    if (rc != 0) {
        return rc;
    }
    bench_mesh_fill(pub, src, zmq_msg_data(&msg));
    for (unsigned i = 0; rc == 0 && i + 1 < pub->outlet_count; i++) {
        zmq_msg_init(&ref);
        rc = code_of(zmq_msg_copy(&ref, &msg));
        rc = rc == 0 ? send_message(&ref, outlets[i].socket) : rc;
        zmq_msg_close(&ref); /* empty, once it was sent */
    }
    if (rc == 0 && pub->outlet_count > 0) {
        rc = send_message(&msg, outlets[pub->outlet_count - 1].socket);
    }
    zmq_msg_close(&msg);
    return rc;
}

static int
send_copies(const struct bench_mesh_pub *pub, struct bench_source *src)
{
    const struct end *outlets = pub->outlets;
    bench_mesh_fill(pub, src, pub->copy);
    for (unsigned i = 0; i < pub->outlet_count; i++) {
        int rc;
        do {
            rc = zmq_send(outlets[i].socket, pub->copy, pub->message_bytes, 0);
        } while (rc < 0 && errno == EINTR);
        if (rc < 0) {
            return code_of(rc);
        }
    }
    return 0;
}

static int
send_one(struct bench_mesh_pub *pub, struct bench_source *src)
{
    return pub->setup.is_copying ? send_copies(pub, src) : send_frame(pub, src);
}

/* ---- subscriber --------------------------------------------------------------------------------- */

static int
new_inlet(const struct bench_mesh_sub *sub, void *handle)
{
    struct end *inlet = handle;
    int type = sub->is_pubsub ? ZMQ_SUB : sub->setup.is_ping ? ZMQ_PAIR : ZMQ_PULL;
    inlet->socket = new_socket(&sub->setup, type);
    return code_of(inlet->socket == NULL ? -1 : 0);
}

static int
subscribe(void *handle, const char *prefix, size_t bytes)
{
    struct end *inlet = handle;
    return code_of(zmq_setsockopt(inlet->socket, ZMQ_SUBSCRIBE, prefix, bytes));
}

static int
connect_socket(void *handle, const char *url)
{
    struct end *inlet = handle;
    return code_of(zmq_connect(inlet->socket, url));
}

/* Why there was nothing to receive. */
static int
why_nothing(void)
{
    return errno == EAGAIN || errno == EINTR ? -EAGAIN : code_of(-1);
}

/* Frames of more than 33 bytes are views into the buffer of the I/O thread, at any address. */
static int
take_frame(struct bench_mesh_sub *sub, struct bench_sink *sink, void *socket)
{
    zmq_msg_t msg;
    zmq_msg_init(&msg);
    int bytes = zmq_msg_recv(&msg, socket, ZMQ_DONTWAIT);
    int rc =
        bytes < 0 ? why_nothing() : bench_mesh_take(sub, sink, zmq_msg_data(&msg), (size_t)bytes);
    zmq_msg_close(&msg);
    return rc;
}

static int
take_copy(struct bench_mesh_sub *sub, struct bench_sink *sink, void *socket)
{
    int bytes = zmq_recv(socket, sub->copy, sub->message_bytes, ZMQ_DONTWAIT);
    return bytes < 0 ? why_nothing() : bench_mesh_take(sub, sink, sub->copy, (size_t)bytes);
}

static int
take(struct bench_mesh_sub *sub, struct bench_sink *sink, int64_t sleep_ns)
{
    const struct end *inlet = sub->inlet;
    if (sleep_ns > 0) {
        zmq_pollitem_t item = {.socket = inlet->socket, .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, bench_mesh_ms(sleep_ns));
    }
    return sub->setup.is_copying ? take_copy(sub, sink, inlet->socket)
                                 : take_frame(sub, sink, inlet->socket);
}

/* ---- the two drivers ---------------------------------------------------------------------------- */

static const struct bench_mesh_library library = {
    .describe = describe,
    .say = zmq_strerror,
    .outlet_bytes = sizeof(struct end),
    .open_outlet = bind_socket,
    .close_outlet = drop_socket,
    .count_subscribers = count_subscriptions,
    .send = send_one,
    .inlet_bytes = sizeof(struct end),
    .open_inlet = new_inlet,
    .close_inlet = drop_socket,
    .subscribe = subscribe,
    .connect = connect_socket,
    .take = take,
};

BENCH_MESH_DRIVER(zeromq, "zeromq", BENCH_MESH_PUSH, BENCH_CAN_RELY | BENCH_CAN_BRIDGE);
BENCH_MESH_DRIVER(zeromq_pubsub,
                  "zeromq-pubsub",
                  BENCH_MESH_PUBSUB,
                  BENCH_CAN_RELY | BENCH_CAN_LOSE | BENCH_CAN_TOPICS);
