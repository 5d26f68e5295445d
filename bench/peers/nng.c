/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/nng.c - nng over ipc:// or tcp://: push/pull, which loses nothing, and pub/sub, which drops when it must.
 *
 * Sockets    nng         PUSH and PULL, in a ping PAIR (version 1)
 *            nng-pubsub  PUB and SUB; the topic is a prefix of the message
 * Receiving  a PULL has no queue: with nng_recvmsg() every message costs two changes of thread.  So several
 *            nng_aio wait at once, as the manual advises; the socket serves them in the order of their start.
 *            SUB and PAIR have a queue, which nng_recvmsg() empties quicker than aios do.
 * Late ones  a PUSH queues before it is connected; a PUB counts its pipes; who dials goes on trying.
 * The end    nng_close() drops what it queues, and a reader whose peer hangs up drops what is left in the
 *            socket; so peers/mesh.h lingers.
 */
#include "bench/peers/mesh.h"

#include "bench/clock.h"
#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pair1/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <semaphore.h>
#include <stdatomic.h>

enum {
    QUEUE_MESSAGES = 8192,           /* the most that nng allows */
    QUEUE_BYTES = 256 * 1024 * 1024, /* large messages: a shorter queue, to stay within this */
    SLOTS = 64,                      /* receives under way at a time; describe() says it */
};
static const int64_t ns_per_s = 1000000000;

struct outlet {
    nng_socket socket;
    bool is_open;
    nng_aio *aio;
    _Atomic unsigned pipes; /* ever connected; written by nng's threads */
};

/* One receive under way. */
struct slot {
    nng_aio *aio;
    sem_t done; /* posted by nng's thread when the aio has a message or an error */
    bool is_made;
};

struct inlet {
    nng_socket socket;
    bool is_open;
    int timeout_ms;    /* of the socket, as last set; 0: not yet */
    bool has_slots;    /* PULL */
    unsigned slot_idx; /* the one that completes next */
    struct slot slots[SLOTS];
};

static int
queue_of(const struct bench_setup *s)
{
    size_t fits = QUEUE_BYTES / s->size;
    return fits > QUEUE_MESSAGES ? QUEUE_MESSAGES : fits < 16 ? 16 : (int)fits;
}

static void
describe(const struct bench_setup *s, enum bench_mesh_kind kind, FILE *out)
{
    const char *sockets = kind == BENCH_MESH_PUBSUB ? "pub0/sub0, lossy, 8-byte topic prefix"
                          : s->is_ping
                              ? "a pair1 for each direction"
                              : "push0/pull0, a socket for each subscriber, 64 aios receive";
    (void)fprintf(out, "nng %s %s, %s, SENDBUF/RECVBUF %d, %s, waits by %s", nng_version(),
                  bench_mesh_transport(s), sockets, queue_of(s),
                  s->is_copying ? "copied into and out of nng_msg" : "nng_msg filled in place",
                  s->wait == BENCH_SLEEP  ? "sleeping at once"
                  : s->wait == BENCH_SPIN ? "polling and sched_yield"
                                          : "polling for 50 us, then sleeping");
}

/* Options that a protocol does not have are left out: a PUSH has no receive buffer. */
static int
set_options(nng_socket socket, const struct bench_setup *s)
{
    int rc = nng_socket_set_int(socket, NNG_OPT_SENDBUF, queue_of(s));
    if (rc != 0 && rc != NNG_ENOTSUP) {
        return rc;
    }
    rc = nng_socket_set_int(socket, NNG_OPT_RECVBUF, queue_of(s));
    if (rc != 0 && rc != NNG_ENOTSUP) {
        return rc;
    }
    return nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0); /* unlimited */
}

/* ---- publisher ---------------------------------------------------------------------------------- */

static void
count_pipe(nng_pipe pipe, nng_pipe_ev event, void *user)
{
    struct outlet *outlet = user;
    (void)pipe;
    (void)event;
    atomic_fetch_add_explicit(&outlet->pipes, 1, memory_order_relaxed);
}

static int
listen_at(const struct bench_mesh_pub *pub, void *handle, const char *url)
{
    struct outlet *outlet = handle;
    nng_socket *socket = &outlet->socket;
    int rc = pub->is_pubsub       ? nng_pub0_open(socket)
             : pub->setup.is_ping ? nng_pair1_open(socket)
                                  : nng_push0_open(socket);
    if (rc != 0) {
        return rc;
    }
    outlet->is_open = true;
    if ((rc = nng_aio_alloc(&outlet->aio, NULL, NULL)) != 0
        || (rc = set_options(*socket, &pub->setup)) != 0
        || (rc = nng_pipe_notify(*socket, NNG_PIPE_EV_ADD_POST, count_pipe, outlet)) != 0) {
        return rc;
    }
    nng_aio_set_timeout(outlet->aio, NNG_DURATION_INFINITE);
    return nng_listen(*socket, url, NULL, 0);
}

static void
close_outlet(void *handle)
{
    struct outlet *outlet = handle;
    if (outlet->is_open) {
        nng_close(outlet->socket);
    }
    nng_aio_free(outlet->aio);
}

static unsigned
count_pipes(void *handle, const struct bench_setup *s)
{
    struct outlet *outlet = handle;
    (void)s;
    return atomic_load_explicit(&outlet->pipes, memory_order_relaxed);
}

/* As nng_sendmsg(), but with an aio that lives longer than one message.  Takes msg over, sent or not. */
static int
send_by(struct outlet *outlet, nng_msg *msg)
{
    nng_aio_set_msg(outlet->aio, msg);
    nng_send_aio(outlet->socket, outlet->aio);
    nng_aio_wait(outlet->aio);
    int rc = nng_aio_result(outlet->aio);
    if (rc != 0) {
        nng_msg_free(msg);
    }
    return rc;
}

static int
send_message(struct bench_mesh_pub *pub, struct bench_source *src)
{
    struct outlet *outlets = pub->outlets;
    nng_msg *msg;
    int rc = nng_msg_alloc(&msg, pub->message_bytes);
    if (rc != 0) {
        return rc;
    }
    if (pub->setup.is_copying) {
        bench_mesh_fill(pub, src, pub->copy);
        memcpy(nng_msg_body(msg), pub->copy, pub->message_bytes);
    } else {
        bench_mesh_fill(pub, src, nng_msg_body(msg));
    }
    for (unsigned i = 0; i + 1 < pub->outlet_count; i++) {
        nng_msg *twin;
        if ((rc = nng_msg_dup(&twin, msg)) != 0 || (rc = send_by(&outlets[i], twin)) != 0) {
            nng_msg_free(msg);
            return rc;
        }
    }
    if (pub->outlet_count == 0) {
        nng_msg_free(msg);
        return 0;
    }
    return send_by(&outlets[pub->outlet_count - 1], msg);
}

/* ---- subscriber --------------------------------------------------------------------------------- */

static void
slot_is_done(void *user)
{
    struct slot *slot = user;
    sem_post(&slot->done);
}

static int
start_slots(struct inlet *inlet)
{
    inlet->has_slots = true;
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *slot = &inlet->slots[i];
        int rc = nng_aio_alloc(&slot->aio, slot_is_done, slot);
        if (rc != 0) {
            return rc;
        }
        sem_init(&slot->done, 0, 0);
        slot->is_made = true;
        nng_aio_set_timeout(slot->aio, NNG_DURATION_INFINITE);
        nng_recv_aio(inlet->socket, slot->aio);
    }
    return 0;
}

static int
open_inlet(const struct bench_mesh_sub *sub, void *handle)
{
    struct inlet *inlet = handle;
    bool is_pull = !sub->is_pubsub && !sub->setup.is_ping;
    int rc = sub->is_pubsub ? nng_sub0_open(&inlet->socket)
             : is_pull      ? nng_pull0_open(&inlet->socket)
                            : nng_pair1_open(&inlet->socket);
    if (rc != 0) {
        return rc;
    }
    inlet->is_open = true;
    rc = set_options(inlet->socket, &sub->setup);
    return rc == 0 && is_pull ? start_slots(inlet) : rc;
}

static void
close_inlet(void *handle)
{
    struct inlet *inlet = handle;
    if (inlet->is_open) {
        nng_close(inlet->socket);
    }
    for (unsigned i = 0; i < SLOTS && inlet->slots[i].is_made; i++) {
        struct slot *slot = &inlet->slots[i];
        nng_aio_stop(slot->aio);
        if (sem_trywait(&slot->done) == 0 && nng_aio_result(slot->aio) == 0) {
            nng_msg_free(nng_aio_get_msg(slot->aio));
        }
        nng_aio_free(slot->aio);
        sem_destroy(&slot->done);
    }
}

static int
subscribe(void *handle, const char *prefix, size_t bytes)
{
    struct inlet *inlet = handle;
    return nng_socket_set(inlet->socket, NNG_OPT_SUB_SUBSCRIBE, prefix, bytes);
}

static int
dial(void *handle, const char *url)
{
    struct inlet *inlet = handle;
    return nng_dial(inlet->socket, url, NULL, NNG_FLAG_NONBLOCK); /* goes on trying */
}

/* Sleeps so long at most until the slot's receive is done. */
static bool
is_done(struct slot *slot, int64_t sleep_ns)
{
    if (sem_trywait(&slot->done) == 0) {
        return true;
    }
    if (sleep_ns == 0) {
        return false;
    }
    int64_t until = bench_now_ns() + sleep_ns;
    struct timespec t = {.tv_sec = until / ns_per_s, .tv_nsec = until % ns_per_s};
    return sem_clockwait(&slot->done, CLOCK_MONOTONIC, &t) == 0;
}

/* From the slot whose turn it is: 0, NNG_EAGAIN or another of nng's codes. */
static int
receive_slot(struct inlet *inlet, int64_t sleep_ns, nng_msg **msg)
{
    struct slot *slot = &inlet->slots[inlet->slot_idx];
    if (!is_done(slot, sleep_ns)) {
        return NNG_EAGAIN;
    }
    int rc = nng_aio_result(slot->aio);
    if (rc == 0) {
        *msg = nng_aio_get_msg(slot->aio);
        nng_recv_aio(inlet->socket, slot->aio);
        inlet->slot_idx = (inlet->slot_idx + 1) % SLOTS;
    }
    return rc;
}

/* The same from the socket's queue. */
static int
receive_queued(struct inlet *inlet, int64_t sleep_ns, nng_msg **msg)
{
    int timeout_ms = bench_mesh_ms(sleep_ns);
    if (timeout_ms > 0 && timeout_ms != inlet->timeout_ms) {
        inlet->timeout_ms = timeout_ms;
        nng_socket_set_ms(inlet->socket, NNG_OPT_RECVTIMEO, timeout_ms);
    }
    int rc = nng_recvmsg(inlet->socket, msg, timeout_ms > 0 ? 0 : NNG_FLAG_NONBLOCK);
    return rc == NNG_ETIMEDOUT ? NNG_EAGAIN : rc;
}

static int
take(struct bench_mesh_sub *sub, struct bench_sink *sink, int64_t sleep_ns)
{
    struct inlet *inlet = sub->inlet;
    nng_msg *msg;
    int rc = inlet->has_slots ? receive_slot(inlet, sleep_ns, &msg)
                              : receive_queued(inlet, sleep_ns, &msg);
    if (rc != 0) {
        return rc == NNG_EAGAIN ? -EAGAIN : rc;
    }
    const unsigned char *message = nng_msg_body(msg);
    size_t bytes = nng_msg_len(msg);
    if (sub->setup.is_copying && bytes <= sub->message_bytes) {
        message = memcpy(sub->copy, message, bytes);
    }
    rc = bench_mesh_take(sub, sink, message, bytes);
    nng_msg_free(msg);
    return rc;
}

/* ---- the two drivers ---------------------------------------------------------------------------- */

static const struct bench_mesh_library library = {
    .describe = describe,
    .say = nng_strerror,
    .outlet_bytes = sizeof(struct outlet),
    .open_outlet = listen_at,
    .close_outlet = close_outlet,
    .count_subscribers = count_pipes,
    .send = send_message,
    .inlet_bytes = sizeof(struct inlet),
    .open_inlet = open_inlet,
    .close_inlet = close_inlet,
    .subscribe = subscribe,
    .connect = dial,
    .take = take,
};

BENCH_MESH_DRIVER(nng, "nng", BENCH_MESH_PUSH, BENCH_CAN_RELY | BENCH_CAN_BRIDGE);
BENCH_MESH_DRIVER(nng_pubsub, "nng-pubsub", BENCH_MESH_PUBSUB, BENCH_CAN_LOSE | BENCH_CAN_TOPICS);
