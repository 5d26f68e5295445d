/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/mesh.h - what the drivers of ZeroMQ, nanomsg and nng share: sockets between each publisher and
 * each subscriber, with nobody in the middle.
 *
 * Used by    zeromq.c, nanomsg.c, nng.c.  Each brings a struct bench_mesh_library, what its library does in its
 *            own way; BENCH_MESH_DRIVER makes drivers of it, one for each kind.
 * Ends       A publisher has outlets, which wait for connections at ipc:// addresses below the case's directory;
 *            a subscriber has one inlet, connected to an outlet of each publisher.  Nobody has to be open first.
 *            Between boxes they wait at ports of the loopback that were free when start looked.
 * Kinds      push    an outlet for each subscriber; nothing is lost
 *            pubsub  one outlet for all; the topic is a prefix of 8 bytes; the first message waits until all
 *                    subscribers are there, because it would reach nobody before
 *            ping    the same, with one outlet: a subscriber hears the other process's publisher
 * The end    What is on its way when one side leaves is dropped by all three libraries, whatever they linger.
 *            So subscribers note in a shared page what they have heard, and a publisher closes when all have
 *            heard its last message, or when nothing was heard for a while.
 */
#ifndef BUSBAR_BENCH_PEERS_MESH_H
#define BUSBAR_BENCH_PEERS_MESH_H

#include "bench/driver.h"
#include <string.h>

enum {
    BENCH_MESH_TOPIC_BYTES = 8,
    BENCH_MESH_CAN = BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_PING | BENCH_CAN_SPIN
                     | BENCH_CAN_SLEEP, /* what both kinds of all libraries can */
};

enum bench_mesh_kind { BENCH_MESH_PUSH, BENCH_MESH_PUBSUB };

struct bench_mesh; /* the page that all processes of one run share */

struct bench_mesh_topic {
    char name[BENCH_MESH_TOPIC_BYTES];
    bool is_wanted;
};

struct bench_mesh_pub {
    struct bench_setup setup;
    struct bench_mesh *mesh;
    unsigned index;
    bool is_pubsub, is_connected;
    unsigned outlet_count;
    void *outlets;                   /* of the library's struct outlet */
    struct bench_mesh_topic *topics; /* in the order in which they are taken */
    unsigned topic_idx;
    size_t message_bytes; /* of topic and payload */
    unsigned char *copy;  /* as much: is_copying: the publisher's own buffer */
    uint64_t sent_next;   /* one more than the number of the last message that somebody wants */
};

struct bench_mesh_sub {
    struct bench_setup setup;
    struct bench_mesh *mesh;
    unsigned index;
    bool is_pubsub;
    void *inlet;          /* the library's struct inlet */
    size_t message_bytes; /* of topic and payload */
    unsigned char *copy;  /* as much: for copies, and for payloads that are not 8-aligned */
};

/*
 * struct bench_mesh_library - what a library does in its own way.
 *
 * Ends       Outlets and inlets begin as zeros; close takes them in any state from there on.
 * Returns    0; positive: a code of the library's, which say() puts into words; negative: a status of ours.
 */
struct bench_mesh_library {
    int (*check)(void); /* NULL, or: can it run at all?  Says why not. */
    void (*describe)(const struct bench_setup *s, enum bench_mesh_kind kind, FILE *out);
    const char *(*say)(int code);

    size_t outlet_bytes;
    int (*open_outlet)(const struct bench_mesh_pub *pub, void *outlet, const char *url);
    void (*close_outlet)(void *outlet);
    /* pubsub: how many subscribers would hear what goes into this outlet now */
    unsigned (*count_subscribers)(void *outlet, const struct bench_setup *s);
    /* One message into each outlet, made by bench_mesh_fill() once, waiting while there is no room. */
    int (*send)(struct bench_mesh_pub *pub, struct bench_source *src);

    size_t inlet_bytes;
    int (*open_inlet)(const struct bench_mesh_sub *sub, void *inlet);
    void (*close_inlet)(void *inlet);
    int (*subscribe)(void *inlet, const char *prefix, size_t bytes); /* pubsub */
    int (*connect)(void *inlet, const char *url);
    /* One message, through bench_mesh_take(); none: -EAGAIN, after sleeping so long for one at most. */
    int (*take)(struct bench_mesh_sub *sub, struct bench_sink *sink, int64_t sleep_ns);
};

/* ---- for the libraries -------------------------------------------------------------------------- */

/* bench_mesh_count_subscriptions - of each subscriber: one for each wanted topic, or one for all. */
unsigned bench_mesh_count_subscriptions(const struct bench_setup *s);

/* bench_mesh_transport - how addresses begin. */
static inline const char *
bench_mesh_transport(const struct bench_setup *s)
{
    return s->is_bridge ? "tcp://" : "ipc://";
}

/* bench_mesh_refuse - says that a message is too long or too short; -EPROTO. */
int bench_mesh_refuse(const struct bench_mesh_sub *sub, size_t bytes);

/* bench_mesh_ms - a timeout in the unit of all three libraries; never 0 for one that is not. */
static inline int
bench_mesh_ms(int64_t ns)
{
    return (int)((ns + 999999) / 1000000);
}

/* bench_mesh_fill - writes the next message, of pub->message_bytes, to where the library wants it. */
static inline void
bench_mesh_fill(const struct bench_mesh_pub *pub, struct bench_source *src, unsigned char *message)
{
    if (pub->is_pubsub) {
        memcpy(message, pub->topics[pub->topic_idx].name, BENCH_MESH_TOPIC_BYTES);
        message += BENCH_MESH_TOPIC_BYTES;
    }
    bench_fill(src, message);
}

/* bench_mesh_take - hands a message that was received to the sink. */
static inline int
bench_mesh_take(struct bench_mesh_sub *sub,
                struct bench_sink *sink,
                const unsigned char *message,
                size_t bytes)
{
    if (bytes != sub->message_bytes) {
        return bench_mesh_refuse(sub, bytes);
    }
    const unsigned char *payload = message + (sub->is_pubsub ? BENCH_MESH_TOPIC_BYTES : 0);
    if ((uintptr_t)payload % sizeof(uint64_t) != 0) {
        payload = memcpy(sub->copy, payload, sub->setup.size);
    }
    bench_take(sink, payload, sub->setup.size);
    return 0;
}

/* ---- drivers ------------------------------------------------------------------------------------ */

/* BENCH_MESH_DRIVER - bench_driver_<id> of the file's `library`; can_too: what it can besides BENCH_MESH_CAN. */
#define BENCH_MESH_DRIVER(id, driver_name, kind, can_too)                                          \
    static void describe_##id(const struct bench_setup *s, FILE *out)                              \
    {                                                                                              \
        library.describe(s, kind, out);                                                            \
    }                                                                                              \
    static int start_##id(const struct bench_setup *s, void **shared)                              \
    {                                                                                              \
        return bench_mesh_start(&library, driver_name, kind, s, shared);                           \
    }                                                                                              \
    const struct bench_driver bench_driver_##id = {                                                \
        .name = driver_name,                                                                       \
        .can = BENCH_MESH_CAN | (can_too),                                                         \
        .describe = describe_##id,                                                                 \
        .start = start_##id,                                                                       \
        .stop = bench_mesh_stop,                                                                   \
        .pub_open = bench_mesh_pub_open,                                                           \
        .pub_send = bench_mesh_pub_send,                                                           \
        .pub_close = bench_mesh_pub_close,                                                         \
        .sub_open = bench_mesh_sub_open,                                                           \
        .sub_recv = bench_mesh_sub_recv,                                                           \
        .sub_close = bench_mesh_sub_close,                                                         \
    }

int bench_mesh_start(const struct bench_mesh_library *library,
                     const char *driver_name,
                     enum bench_mesh_kind kind,
                     const struct bench_setup *s,
                     void **shared);
void bench_mesh_stop(void *shared);
int bench_mesh_pub_open(const struct bench_setup *s, void *shared, unsigned index, void **out);
int bench_mesh_pub_send(void *handle, struct bench_source *src, uint64_t count);
void bench_mesh_pub_close(void *handle);
int bench_mesh_sub_open(const struct bench_setup *s, void *shared, unsigned index, void **out);
int bench_mesh_sub_recv(void *handle, struct bench_sink *sink, int64_t timeout_ns);
void bench_mesh_sub_close(void *handle);

#endif
