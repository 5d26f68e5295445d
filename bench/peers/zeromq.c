/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/zeromq.c - ZeroMQ over ipc://: PUSH/PULL, its quickest lossless pair, and XPUB/SUB with topics.
 *
 * Sockets    zeromq         each publisher binds a PUSH for each subscriber, each subscriber connects a PULL to
 *                           all of its own
 *            zeromq-pubsub  each publisher binds an XPUB, each subscriber has a SUB connected to all of them;
 *                           the topic is an 8-byte prefix of the one frame; reliable: ZMQ_XPUB_NODROP
 *            ping           one PAIR for each direction, or XPUB and SUB as above
 * Late ones  a PUSH waits until it is connected; an XPUB counts subscriptions (ZMQ_XPUB_VERBOSE) before its
 *            first message leaves.  So nobody has to be open first.
 * The end    An engine whose peer hangs up while its reader stands at the high water mark drops what is left
 *            in the socket: ZMQ_LINGER alone loses messages.  So subscribers note in a shared page what they
 *            have heard, and a publisher closes when all have heard its last message.
 */
#include "bench/driver.h"

#include "bench/clock.h"
#include <errno.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zmq.h>

enum {
    TOPIC_BYTES = 8,
    HWM_MESSAGES = 10000,
    HWM_BYTES =
        256 * 1024 * 1024, /* large messages: a lower high water mark, to stay within this */
    TAKE_MOST = 256,       /* messages in one sub_recv */
};
static const int64_t connect_ns = 10000000000, look_ns = 200000, hybrid_spin_ns = 50000;
/* A publisher gives up when nothing was heard for so long; lossy: what is missing then was dropped. */
static const int64_t linger_ns = 5000000000, lossy_linger_ns = 300000000;
static const int64_t ns_per_ms = 1000000;

/* What one subscriber has heard; written by it, read by publishers that close. */
struct heard {
    alignas(64) _Atomic uint64_t next[BENCH_PUBLISHERS]; /* number expected next, by publisher */
    _Atomic uint32_t is_gone;
};

struct shared {
    size_t bytes;
    struct heard heard[];
};

struct topic {
    char name[TOPIC_BYTES];
    bool is_wanted;
};

struct pub {
    struct bench_setup setup;
    struct shared *shared;
    unsigned index;
    bool is_pubsub, is_first;
    unsigned socket_count;
    void **sockets;
    struct topic *topics; /* in the order in which they are taken */
    unsigned topic_idx;
    size_t head_bytes;   /* of the topic, or 0 */
    unsigned char *copy; /* is_copying: the publisher's own buffer */
    uint64_t sent_next;  /* one more than the number of the last message that somebody wants */
};

struct sub {
    struct bench_setup setup;
    struct shared *shared;
    unsigned index;
    void *socket;
    size_t head_bytes;
    unsigned char *copy; /* for copies, and for frames that are not 8-aligned */
};

/* One context a process: in a ping its publisher and its subscriber share the I/O thread. */
static struct {
    void *ctx;
    unsigned users;
} context;

static const char *
name_of(bool is_pubsub)
{
    return is_pubsub ? "zeromq-pubsub" : "zeromq";
}

static int
complain(bool is_pubsub, const char *doing)
{
    int rc = errno > 0 ? -errno : -EIO;
    (void)fprintf(stderr, "%s: %s: %s\n", name_of(is_pubsub), doing, zmq_strerror(errno));
    return rc;
}

static int
hwm_of(const struct bench_setup *s)
{
    size_t fits = HWM_BYTES / s->size;
    return fits > HWM_MESSAGES ? HWM_MESSAGES : fits < 16 ? 16 : (int)fits;
}

static void
describe(const struct bench_setup *s, FILE *out, bool is_pubsub)
{
    int major, minor, patch;
    zmq_version(&major, &minor, &patch);
    const char *sockets = !is_pubsub && s->is_ping ? "a PAIR for each direction"
                          : !is_pubsub             ? "PUSH/PULL, a socket for each subscriber"
                          : s->is_reliable ? "XPUB/SUB, ZMQ_XPUB_NODROP, 8-byte topic prefix"
                                           : "XPUB/SUB, lossy, 8-byte topic prefix";
    (void)fprintf(out,
                  "ZeroMQ %d.%d.%d ipc://, %s, HWM %d, 1 I/O thread a process, %s, waits by %s",
                  major, minor, patch, sockets, hwm_of(s),
                  s->is_copying ? "zmq_send/zmq_recv" : "zmq_msg_t filled in place",
                  s->wait == BENCH_SLEEP  ? "zmq_poll"
                  : s->wait == BENCH_SPIN ? "ZMQ_DONTWAIT and sched_yield"
                                          : "ZMQ_DONTWAIT for 50 us, then zmq_poll");
}

static void
describe_push(const struct bench_setup *s, FILE *out)
{
    describe(s, out, false);
}

static void
describe_pubsub(const struct bench_setup *s, FILE *out)
{
    describe(s, out, true);
}

static int
start(const struct bench_setup *s, void **shared)
{
    size_t bytes = sizeof(struct shared) + s->subscribers * sizeof(struct heard);
    struct shared *page =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        int rc = -errno;
        (void)fprintf(stderr, "zeromq: mapping %zu shared bytes: %s\n", bytes, strerror(errno));
        return rc;
    }
    page->bytes = bytes;
    *shared = page;
    return 0;
}

static void
stop(void *shared)
{
    struct shared *page = shared;
    if (page != NULL) {
        munmap(page, page->bytes);
    }
}

/* ---- sockets ------------------------------------------------------------------------------------ */

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
    /* linger() has seen to what matters; a SUB would wait to subscribe again at a publisher that is gone. */
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
drop_socket(void *socket)
{
    if (socket == NULL) {
        return;
    }
    zmq_close(socket);
    if (--context.users == 0) {
        while (zmq_ctx_term(context.ctx) < 0 && errno == EINTR) {
        }
        context.ctx = NULL;
    }
}

/* Binds or connects to a publisher's end for one subscriber; pubsub: number 0, for all. */
static int
attach(void *socket,
       int (*how)(void *, const char *),
       const struct bench_setup *s,
       unsigned publisher,
       unsigned subscriber)
{
    char url[256];
    (void)snprintf(url, sizeof(url), "ipc://%s/p%u-%u", s->dir, publisher, subscriber);
    return how(socket, url);
}

static void
name_topic(unsigned topic, char name[TOPIC_BYTES])
{
    char text[16];
    (void)snprintf(text, sizeof(text), "t%06x/", topic & 0xffffffu);
    memcpy(name, text, TOPIC_BYTES);
}

/* All topics are one prefix, none is another; some are asked for one by one. */
static unsigned
count_subscriptions(const struct bench_setup *s)
{
    return s->wanted > 0 && s->wanted < s->topics ? s->wanted : 1;
}

/* The bytes of name that subscription number i consists of. */
static size_t
name_subscription(const struct bench_setup *s, unsigned i, char name[TOPIC_BYTES])
{
    name_topic(i, name);
    if (s->wanted > 0 && s->wanted < s->topics) {
        return TOPIC_BYTES;
    }
    name[0] = s->wanted > 0 ? 't' : 'o';
    return 1;
}

/* All topics of publisher index, in turn or shuffled; NULL without memory. */
static struct topic *
list_topics(const struct bench_setup *s, unsigned index)
{
    struct topic *topics = calloc(s->topics, sizeof(*topics));
    uint64_t seed = UINT64_C(0x9e3779b97f4a7c15) * (index + 1);
    for (unsigned i = 0; topics != NULL && i < s->topics; i++) {
        name_topic(i, topics[i].name);
        topics[i].is_wanted = i < s->wanted;
    }
    for (unsigned i = s->topics; topics != NULL && s->is_shuffled && i > 1; i--) {
        seed ^= seed << 13; /* Marsaglia's xorshift */
        seed ^= seed >> 7;
        seed ^= seed << 17;
        struct topic *other = &topics[seed % i], kept = *other;
        *other = topics[i - 1];
        topics[i - 1] = kept;
    }
    return topics;
}

/* ---- publisher ---------------------------------------------------------------------------------- */

static void
pub_free(struct pub *pub)
{
    for (unsigned i = 0; pub->sockets != NULL && i < pub->socket_count; i++) {
        drop_socket(pub->sockets[i]);
    }
    free(pub->sockets);
    free(pub->topics);
    free(pub->copy);
    free(pub);
}

static int
open_push_sockets(struct pub *pub)
{
    const struct bench_setup *s = &pub->setup;
    for (unsigned i = 0; i < pub->socket_count; i++) {
        unsigned to = s->is_ping ? 1 - pub->index : i;
        pub->sockets[i] = new_socket(s, s->is_ping ? ZMQ_PAIR : ZMQ_PUSH);
        if (pub->sockets[i] == NULL || attach(pub->sockets[i], zmq_bind, s, pub->index, to) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
open_xpub_socket(struct pub *pub)
{
    const struct bench_setup *s = &pub->setup;
    pub->head_bytes = TOPIC_BYTES;
    pub->sockets[0] = new_socket(s, ZMQ_XPUB);
    return pub->sockets[0] == NULL ? -1 : attach(pub->sockets[0], zmq_bind, s, pub->index, 0);
}

static int
pub_open(const struct bench_setup *s, void *shared, unsigned index, void **out, bool is_pubsub)
{
    struct pub *pub = calloc(1, sizeof(*pub));
    if (pub == NULL) {
        return complain(is_pubsub, "opening a publisher");
    }
    pub->setup = *s;
    pub->shared = shared;
    pub->index = index;
    pub->is_pubsub = is_pubsub;
    pub->is_first = true;
    pub->socket_count = is_pubsub || s->is_ping ? 1 : s->subscribers;
    pub->sockets = calloc(pub->socket_count + 1, sizeof(*pub->sockets));
    pub->copy = malloc(TOPIC_BYTES + s->size);
    pub->topics = list_topics(s, index);
    if (pub->sockets == NULL || pub->copy == NULL || pub->topics == NULL
        || (is_pubsub ? open_xpub_socket(pub) : open_push_sockets(pub)) < 0) {
        int rc = complain(is_pubsub, "opening a publisher");
        pub_free(pub);
        return rc;
    }
    *out = pub;
    return 0;
}

static int
pub_open_push(const struct bench_setup *s, void *shared, unsigned index, void **out)
{
    return pub_open(s, shared, index, out, false);
}

static int
pub_open_pubsub(const struct bench_setup *s, void *shared, unsigned index, void **out)
{
    return pub_open(s, shared, index, out, true);
}

/* Messages before a subscription would go to nobody, so all subscriptions come first. */
static int
await_subscriptions(struct pub *pub)
{
    const struct bench_setup *s = &pub->setup;
    uint64_t missing = (uint64_t)(s->is_ping ? 1 : s->subscribers) * count_subscriptions(s);
    int64_t deadline = bench_now_ns() + connect_ns;
    while (missing > 0) {
        unsigned char what[1 + TOPIC_BYTES];
        if (zmq_recv(pub->sockets[0], what, sizeof(what), ZMQ_DONTWAIT) > 0) {
            missing -= what[0] == 1;
            continue;
        }
        if (bench_now_ns() > deadline) {
            (void)fprintf(stderr, "%s: publisher %u: %llu subscriptions did not arrive in %lld s\n",
                          name_of(true), pub->index, (unsigned long long)missing,
                          (long long)(connect_ns / 1000000000));
            return -ETIMEDOUT;
        }
        zmq_pollitem_t item = {.socket = pub->sockets[0], .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, 10);
    }
    return 0;
}

static int
send_message(zmq_msg_t *msg, void *socket)
{
    int rc;
    do {
        rc = zmq_msg_send(msg, socket, 0);
    } while (rc < 0 && errno == EINTR);
    return rc;
}

/* All but the last socket get a reference to the frame, the last one gets the frame. */
static int
send_frame(struct pub *pub, struct bench_source *src, const char *topic)
{
    zmq_msg_t msg, ref;
    if (zmq_msg_init_size(&msg, pub->head_bytes + src->size) < 0) {
        return -1;
    }
    unsigned char *frame = zmq_msg_data(&msg);
    if (pub->head_bytes > 0) {
        memcpy(frame, topic, TOPIC_BYTES);
    }
    bench_fill(src, frame + pub->head_bytes);
    for (unsigned i = 0; i + 1 < pub->socket_count; i++) {
        zmq_msg_init(&ref);
        if (zmq_msg_copy(&ref, &msg) < 0 || send_message(&ref, pub->sockets[i]) < 0) {
            zmq_msg_close(&ref);
            zmq_msg_close(&msg);
            return -1;
        }
    }
    if (pub->socket_count == 0 || send_message(&msg, pub->sockets[pub->socket_count - 1]) < 0) {
        zmq_msg_close(&msg);
        return pub->socket_count == 0 ? 0 : -1;
    }
    return 0;
}

static int
send_copies(struct pub *pub, struct bench_source *src, const char *topic)
{
    if (pub->head_bytes > 0) {
        memcpy(pub->copy, topic, TOPIC_BYTES);
    }
    bench_fill(src, pub->copy + pub->head_bytes);
    for (unsigned i = 0; i < pub->socket_count; i++) {
        int rc;
        do {
            rc = zmq_send(pub->sockets[i], pub->copy, pub->head_bytes + src->size, 0);
        } while (rc < 0 && errno == EINTR);
        if (rc < 0) {
            return -1;
        }
    }
    return 0;
}

static int
pub_send(void *handle, struct bench_source *src, uint64_t count)
{
    struct pub *pub = handle;
    if (pub->is_first && pub->is_pubsub) {
        int rc = await_subscriptions(pub);
        if (rc < 0) {
            return rc;
        }
    }
    pub->is_first = false;
    int (*send_one)(struct pub *, struct bench_source *, const char *) =
        pub->setup.is_copying ? send_copies : send_frame;
    for (uint64_t i = 0; i < count; i++) {
        const struct topic *topic = &pub->topics[pub->topic_idx];
        if (send_one(pub, src, topic->name) < 0) {
            return complain(pub->is_pubsub, "sending");
        }
        if (topic->is_wanted || !pub->is_pubsub) {
            pub->sent_next = src->word & BENCH_NUMBER_MASK;
        }
        pub->topic_idx = pub->topic_idx + 1 < pub->setup.topics ? pub->topic_idx + 1 : 0;
    }
    return 0;
}

/* How many of the subscribers still lack the last message; *heard: the sum of what they have. */
static unsigned
count_behind(const struct pub *pub, uint64_t *heard)
{
    unsigned behind = 0;
    *heard = 0;
    for (unsigned i = 0; i < pub->setup.subscribers; i++) {
        const struct heard *h = &pub->shared->heard[i];
        if ((pub->setup.is_ping && i == pub->index)
            || atomic_load_explicit(&h->is_gone, memory_order_relaxed) != 0) {
            continue;
        }
        uint64_t next = atomic_load_explicit(&h->next[pub->index], memory_order_relaxed);
        behind += next < pub->sent_next;
        *heard += next;
    }
    return behind;
}

static void
linger(const struct pub *pub)
{
    int64_t patience_ns = pub->setup.is_reliable ? linger_ns : lossy_linger_ns;
    uint64_t heard, heard_before = 0;
    int64_t since = bench_now_ns();
    unsigned behind;
    while ((behind = count_behind(pub, &heard)) > 0) {
        if (heard != heard_before) {
            heard_before = heard;
            since = bench_now_ns();
        } else if (bench_now_ns() - since > patience_ns) {
            if (pub->setup.is_reliable) {
                (void)fprintf(stderr,
                              "%s: publisher %u leaves: %u subscribers took nothing for %lld ms\n",
                              name_of(pub->is_pubsub), pub->index, behind,
                              (long long)(patience_ns / ns_per_ms));
            }
            return;
        }
        bench_nap(look_ns);
    }
}

static void
pub_close(void *handle)
{
    struct pub *pub = handle;
    if (pub != NULL) {
        linger(pub);
        pub_free(pub);
    }
}

/* ---- subscriber --------------------------------------------------------------------------------- */

static void
sub_close(void *handle)
{
    struct sub *sub = handle;
    if (sub != NULL) {
        atomic_store_explicit(&sub->shared->heard[sub->index].is_gone, 1, memory_order_relaxed);
        drop_socket(sub->socket);
        free(sub->copy);
        free(sub);
    }
}

static int
subscribe(struct sub *sub)
{
    const struct bench_setup *s = &sub->setup;
    sub->head_bytes = TOPIC_BYTES;
    for (unsigned i = 0; i < count_subscriptions(s); i++) {
        char topic[TOPIC_BYTES];
        size_t bytes = name_subscription(s, i, topic);
        if (zmq_setsockopt(sub->socket, ZMQ_SUBSCRIBE, topic, bytes) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
connect_publishers(struct sub *sub)
{
    const struct bench_setup *s = &sub->setup;
    unsigned end = sub->head_bytes > 0 ? 0 : sub->index;
    for (unsigned i = 0; i < s->publishers; i++) {
        bool is_own = s->is_ping && i == sub->index;
        if (!is_own && attach(sub->socket, zmq_connect, s, i, end) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
sub_open(const struct bench_setup *s, void *shared, unsigned index, void **out, bool is_pubsub)
{
    struct sub *sub = calloc(1, sizeof(*sub));
    if (sub == NULL) {
        return complain(is_pubsub, "opening a subscriber");
    }
    sub->setup = *s;
    sub->shared = shared;
    sub->index = index;
    sub->copy = malloc(TOPIC_BYTES + s->size);
    sub->socket = new_socket(s, is_pubsub ? ZMQ_SUB : s->is_ping ? ZMQ_PAIR : ZMQ_PULL);
    if (sub->copy == NULL || sub->socket == NULL || (is_pubsub && subscribe(sub) < 0)
        || connect_publishers(sub) < 0) {
        int rc = complain(is_pubsub, "opening a subscriber");
        sub_close(sub);
        return rc;
    }
    *out = sub;
    return 0;
}

static int
sub_open_pull(const struct bench_setup *s, void *shared, unsigned index, void **out)
{
    return sub_open(s, shared, index, out, false);
}

static int
sub_open_pubsub(const struct bench_setup *s, void *shared, unsigned index, void **out)
{
    return sub_open(s, shared, index, out, true);
}

/* Frames of more than 33 bytes are views into the buffer of the I/O thread, at any address. */
static int
take_frame(struct sub *sub, struct bench_sink *sink)
{
    zmq_msg_t msg;
    zmq_msg_init(&msg);
    int bytes = zmq_msg_recv(&msg, sub->socket, ZMQ_DONTWAIT);
    if (bytes > 0 && (size_t)bytes == sub->head_bytes + sub->setup.size) {
        const unsigned char *payload = (unsigned char *)zmq_msg_data(&msg) + sub->head_bytes;
        if ((uintptr_t)payload % sizeof(uint64_t) != 0) {
            payload = memcpy(sub->copy, payload, sub->setup.size);
        }
        bench_take(sink, payload, sub->setup.size);
    }
    zmq_msg_close(&msg);
    return bytes;
}

static int
take_copy(struct sub *sub, struct bench_sink *sink)
{
    size_t room = sub->head_bytes + sub->setup.size;
    int bytes = zmq_recv(sub->socket, sub->copy, room, ZMQ_DONTWAIT);
    if (bytes > 0 && (size_t)bytes == room) {
        bench_take(sink, sub->copy + sub->head_bytes, sub->setup.size);
    }
    return bytes;
}

/* Waits a little, as the case wants it, for what is not there yet. */
static void
rest(struct sub *sub, int64_t waited_ns, int64_t left_ns)
{
    if (sub->setup.wait == BENCH_SPIN
        || (sub->setup.wait == BENCH_HYBRID && waited_ns < hybrid_spin_ns)) {
        sched_yield(); /* on few cores the I/O thread would starve otherwise */
        return;
    }
    zmq_pollitem_t item = {.socket = sub->socket, .events = ZMQ_POLLIN};
    zmq_poll(&item, 1, (long)((left_ns + ns_per_ms - 1) / ns_per_ms));
}

static void
note_heard(struct sub *sub, const struct bench_sink *sink)
{
    struct heard *h = &sub->shared->heard[sub->index];
    for (unsigned i = 0; i < sub->setup.publishers; i++) {
        atomic_store_explicit(&h->next[i], sink->next[i], memory_order_relaxed);
    }
}

static int
sub_recv(void *handle, struct bench_sink *sink, int64_t timeout_ns)
{
    struct sub *sub = handle;
    int (*take_one)(struct sub *, struct bench_sink *) =
        sub->setup.is_copying ? take_copy : take_frame;
    int64_t since = 0;
    int taken = 0;
    while (taken < TAKE_MOST) {
        int bytes = take_one(sub, sink);
        if (bytes >= 0) {
            if ((size_t)bytes != sub->head_bytes + sub->setup.size) {
                (void)fprintf(stderr, "zeromq: subscriber %u: a message of %d bytes\n", sub->index,
                              bytes);
                return -EPROTO;
            }
            taken++;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR) {
            return complain(sub->head_bytes > 0, "receiving");
        }
        if (taken > 0) {
            break;
        }
        int64_t now = bench_now_ns();
        since = since == 0 ? now : since;
        if (now - since >= timeout_ns) {
            return 0;
        }
        rest(sub, now - since, since + timeout_ns - now);
    }
    note_heard(sub, sink);
    return taken;
}

const struct bench_driver bench_driver_zeromq = {
    .name = "zeromq",
    .can = BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_PING | BENCH_CAN_RELY | BENCH_CAN_SPIN
           | BENCH_CAN_SLEEP,
    .describe = describe_push,
    .start = start,
    .stop = stop,
    .pub_open = pub_open_push,
    .pub_send = pub_send,
    .pub_close = pub_close,
    .sub_open = sub_open_pull,
    .sub_recv = sub_recv,
    .sub_close = sub_close,
};

const struct bench_driver bench_driver_zeromq_pubsub = {
    .name = "zeromq-pubsub",
    .can = BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_PING | BENCH_CAN_LOSE | BENCH_CAN_RELY
           | BENCH_CAN_TOPICS | BENCH_CAN_SPIN | BENCH_CAN_SLEEP,
    .describe = describe_pubsub,
    .start = start,
    .stop = stop,
    .pub_open = pub_open_pubsub,
    .pub_send = pub_send,
    .pub_close = pub_close,
    .sub_open = sub_open_pubsub,
    .sub_recv = sub_recv,
    .sub_close = sub_close,
};
