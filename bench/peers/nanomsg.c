/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/nanomsg.c - nanomsg over ipc://: push/pull, which loses nothing, and pub/sub, which drops.
 *
 * Sockets    nanomsg         each publisher binds a PUSH for each subscriber, each subscriber connects a PULL
 *                            to all of its own
 *            nanomsg-pubsub  each publisher binds a PUB, each subscriber has a SUB connected to all of them;
 *                            the topic is an 8-byte prefix of the message
 *            ping            one PAIR for each direction, or PUB and SUB as above
 * Late ones  a PUSH waits until it is connected; a PUB waits with its first message until it has as many
 *            connections as there are subscribers.  So nobody has to be open first.
 * The end    nanomsg has no linger (NN_LINGER does nothing since 1.0), and a reader whose peer hangs up drops
 *            what is left in the socket.  So subscribers note in a shared page what they have heard, and a
 *            publisher closes when all have heard its last message.
 */
#include "bench/driver.h"

#include "bench/clock.h"
#include <dlfcn.h>
#include <errno.h>
#include <nanomsg/ipc.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    TOPIC_BYTES = 8,
    BUFFER_BYTES = 4 * 1024 * 1024, /* NN_SNDBUF and NN_RCVBUF; the kernel may grant less */
    TAKE_MOST = 256,                /* messages in one sub_recv */
};
static const int64_t connect_ns = 10000000000, look_ns = 200000, hybrid_spin_ns = 50000;
/* A publisher gives up when nothing was heard for so long; lossy: what is missing then was dropped. */
static const int64_t linger_ns = 5000000000, lossy_linger_ns = 300000000;
static const int64_t ns_per_ms = 1000000, ns_per_s = 1000000000;

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
    bool is_pubsub, is_connected;
    unsigned socket_count;
    int *sockets;         /* -1: not open */
    struct topic *topics; /* in the order in which they are taken */
    unsigned topic_idx;
    size_t head_bytes;   /* of the topic, or 0 */
    unsigned char *copy; /* the publisher's own buffer */
    uint64_t sent_next;  /* one more than the number of the last message that somebody wants */
};

struct sub {
    struct bench_setup setup;
    struct shared *shared;
    unsigned index;
    bool is_pubsub;
    int socket;     /* -1: not open */
    int timeout_ms; /* as last set */
    size_t head_bytes;
    unsigned char *copy; /* for copies, and for payloads that are not 8-aligned */
};

static const char *
name_of(bool is_pubsub)
{
    return is_pubsub ? "nanomsg-pubsub" : "nanomsg";
}

static int
complain(bool is_pubsub, const char *doing)
{
    int rc = nn_errno() > 0 ? -nn_errno() : -EIO;
    (void)fprintf(stderr, "%s: %s: %s\n", name_of(is_pubsub), doing, nn_strerror(nn_errno()));
    return rc;
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
describe(const struct bench_setup *s, FILE *out, bool is_pubsub)
{
    const char *sockets = is_pubsub    ? "PUB/SUB, lossy, 8-byte topic prefix"
                          : s->is_ping ? "a PAIR for each direction"
                                       : "PUSH/PULL, a socket for each subscriber";
    (void)fprintf(out,
                  "nanomsg interface %d:%d:%d ipc://, %s, SNDBUF/RCVBUF %d KiB, %s, waits by %s",
                  constant("NN_VERSION_CURRENT"), constant("NN_VERSION_REVISION"),
                  constant("NN_VERSION_AGE"), sockets, BUFFER_BYTES / 1024,
                  s->is_copying ? "copied by nn_send/nn_recv" : "NN_MSG filled in place",
                  s->wait == BENCH_SLEEP  ? "NN_RCVTIMEO"
                  : s->wait == BENCH_SPIN ? "NN_DONTWAIT and sched_yield"
                                          : "NN_DONTWAIT for 50 us, then NN_RCVTIMEO");
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

/* libnng has all of nn_*() too, on top of nng: which of the two is here depends on the order of the link. */
static bool
is_nanomsg(void)
{
    Dl_info info;
    void *at = dlsym(RTLD_DEFAULT, "nn_socket");
    if (at == NULL || dladdr(at, &info) == 0 || info.dli_fname == NULL) {
        return true; /* linked statically: the linker would have complained */
    }
    return strstr(info.dli_fname, "nng") == NULL;
}

static int
start(const struct bench_setup *s, void **shared)
{
    if (!is_nanomsg()) {
        (void)fprintf(stderr,
                      "nanomsg: nn_socket() is nng's imitation; link libnanomsg before libnng\n");
        return -ENOSYS;
    }
    size_t bytes = sizeof(struct shared) + s->subscribers * sizeof(struct heard);
    struct shared *page =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        int rc = -errno;
        (void)fprintf(stderr, "nanomsg: mapping %zu shared bytes: %s\n", bytes, strerror(errno));
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

static int
set_int(int socket, int option, int value)
{
    return nn_setsockopt(socket, NN_SOL_SOCKET, option, &value, sizeof(value));
}

/* A socket, or -1. */
static int
new_socket(int protocol)
{
    int socket = nn_socket(AF_SP, protocol);
    if (socket < 0) {
        return -1;
    }
    if (set_int(socket, NN_SNDBUF, BUFFER_BYTES) < 0 || set_int(socket, NN_RCVBUF, BUFFER_BYTES) < 0
        || set_int(socket, NN_RCVMAXSIZE, -1) < 0) {
        nn_close(socket);
        return -1;
    }
    return socket;
}

/* Binds or connects to a publisher's end for one subscriber; pubsub: number 0, for all. */
static int
attach(int socket,
       int (*how)(int, const char *),
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
        if (pub->sockets[i] >= 0) {
            nn_close(pub->sockets[i]);
        }
    }
    free(pub->sockets);
    free(pub->topics);
    free(pub->copy);
    free(pub);
}

static int
open_sockets(struct pub *pub)
{
    const struct bench_setup *s = &pub->setup;
    int protocol = pub->is_pubsub ? NN_PUB : s->is_ping ? NN_PAIR : NN_PUSH;
    for (unsigned i = 0; i < pub->socket_count; i++) {
        unsigned to = s->is_ping ? 1 - pub->index : i;
        pub->sockets[i] = new_socket(protocol);
        if (pub->sockets[i] < 0
            || attach(pub->sockets[i], nn_bind, s, pub->index, pub->is_pubsub ? 0 : to) < 0) {
            return -1;
        }
    }
    return 0;
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
    pub->head_bytes = is_pubsub ? TOPIC_BYTES : 0;
    pub->socket_count = is_pubsub || s->is_ping ? 1 : s->subscribers;
    pub->sockets = malloc((pub->socket_count + 1) * sizeof(*pub->sockets));
    for (unsigned i = 0; pub->sockets != NULL && i < pub->socket_count; i++) {
        pub->sockets[i] = -1;
    }
    pub->copy = malloc(TOPIC_BYTES + s->size);
    pub->topics = list_topics(s, index);
    if (pub->sockets == NULL || pub->copy == NULL || pub->topics == NULL || open_sockets(pub) < 0) {
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

/* What a PUB sends without a connection is gone. */
static int
await_subscribers(struct pub *pub)
{
    uint64_t wanted = pub->setup.is_ping ? 1 : pub->setup.subscribers, there;
    int64_t deadline = bench_now_ns() + connect_ns;
    while ((there = nn_get_statistic(pub->sockets[0], NN_STAT_CURRENT_CONNECTIONS)) < wanted) {
        if (bench_now_ns() > deadline) {
            (void)fprintf(stderr,
                          "%s: publisher %u: only %llu of %llu subscribers connected in %lld s\n",
                          name_of(true), pub->index, (unsigned long long)there,
                          (unsigned long long)wanted, (long long)(connect_ns / ns_per_s));
            return -ETIMEDOUT;
        }
        bench_nap(look_ns);
    }
    pub->is_connected = true;
    return 0;
}

/* Takes a message that nn_allocmsg() made, or copies bytes. */
static int
send_by(int socket, const void *data, size_t bytes)
{
    int rc;
    do {
        rc = nn_send(socket, data, bytes, 0);
    } while (rc < 0 && nn_errno() == EINTR);
    return rc < 0 ? -1 : 0;
}

static int
send_chunk(struct pub *pub, struct bench_source *src, const char *topic)
{
    size_t bytes = pub->head_bytes + src->size;
    unsigned char *msg = nn_allocmsg(bytes, 0);
    if (msg == NULL) {
        return -1;
    }
    memcpy(msg, topic, pub->head_bytes);
    bench_fill(src, msg + pub->head_bytes);
    for (unsigned i = 0; i + 1 < pub->socket_count; i++) {
        if (send_by(pub->sockets[i], msg, bytes) < 0) {
            nn_freemsg(msg);
            return -1;
        }
    }
    if (pub->socket_count == 0 || send_by(pub->sockets[pub->socket_count - 1], &msg, NN_MSG) < 0) {
        nn_freemsg(msg);
        return pub->socket_count == 0 ? 0 : -1;
    }
    return 0;
}

static int
send_copies(struct pub *pub, struct bench_source *src, const char *topic)
{
    memcpy(pub->copy, topic, pub->head_bytes);
    bench_fill(src, pub->copy + pub->head_bytes);
    for (unsigned i = 0; i < pub->socket_count; i++) {
        if (send_by(pub->sockets[i], pub->copy, pub->head_bytes + src->size) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
pub_send(void *handle, struct bench_source *src, uint64_t count)
{
    struct pub *pub = handle;
    if (pub->is_pubsub && !pub->is_connected) {
        int rc = await_subscribers(pub);
        if (rc < 0) {
            return rc;
        }
    }
    int (*send_one)(struct pub *, struct bench_source *, const char *) =
        pub->setup.is_copying ? send_copies : send_chunk;
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
    int64_t patience_ns = pub->is_pubsub ? lossy_linger_ns : linger_ns;
    uint64_t heard, heard_before = 0;
    int64_t since = bench_now_ns();
    unsigned behind;
    while ((behind = count_behind(pub, &heard)) > 0) {
        if (heard != heard_before) {
            heard_before = heard;
            since = bench_now_ns();
        } else if (bench_now_ns() - since > patience_ns) {
            if (!pub->is_pubsub) {
                (void)fprintf(stderr,
                              "%s: publisher %u leaves: %u subscribers took nothing for %lld s\n",
                              name_of(pub->is_pubsub), pub->index, behind,
                              (long long)(patience_ns / ns_per_s));
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
        if (sub->socket >= 0) {
            nn_close(sub->socket);
        }
        free(sub->copy);
        free(sub);
    }
}

static int
subscribe(struct sub *sub)
{
    const struct bench_setup *s = &sub->setup;
    for (unsigned i = 0; i < count_subscriptions(s); i++) {
        char topic[TOPIC_BYTES];
        size_t bytes = name_subscription(s, i, topic);
        if (nn_setsockopt(sub->socket, NN_SUB, NN_SUB_SUBSCRIBE, topic, bytes) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
connect_publishers(struct sub *sub)
{
    const struct bench_setup *s = &sub->setup;
    unsigned end = sub->is_pubsub ? 0 : sub->index;
    for (unsigned i = 0; i < s->publishers; i++) {
        bool is_own = s->is_ping && i == sub->index;
        if (!is_own && attach(sub->socket, nn_connect, s, i, end) < 0) {
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
    sub->is_pubsub = is_pubsub;
    sub->timeout_ms = -1;
    sub->head_bytes = is_pubsub ? TOPIC_BYTES : 0;
    sub->copy = malloc(TOPIC_BYTES + s->size);
    sub->socket = new_socket(is_pubsub ? NN_SUB : s->is_ping ? NN_PAIR : NN_PULL);
    if (sub->copy == NULL || sub->socket < 0 || (is_pubsub && subscribe(sub) < 0)
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

static int
take_chunk(struct sub *sub, struct bench_sink *sink, int flags)
{
    unsigned char *msg;
    int bytes = nn_recv(sub->socket, &msg, NN_MSG, flags);
    if (bytes < 0) {
        return bytes;
    }
    if ((size_t)bytes == sub->head_bytes + sub->setup.size) {
        const unsigned char *payload = msg + sub->head_bytes;
        if ((uintptr_t)payload % sizeof(uint64_t) != 0) {
            payload = memcpy(sub->copy, payload, sub->setup.size);
        }
        bench_take(sink, payload, sub->setup.size);
    }
    nn_freemsg(msg);
    return bytes;
}

static int
take_copy(struct sub *sub, struct bench_sink *sink, int flags)
{
    size_t room = sub->head_bytes + sub->setup.size;
    int bytes = nn_recv(sub->socket, sub->copy, room, flags);
    if (bytes >= 0 && (size_t)bytes == room) {
        bench_take(sink, sub->copy + sub->head_bytes, sub->setup.size);
    }
    return bytes;
}

/* There is nothing: how to receive next, as the case wants to wait. */
static int
rest(struct sub *sub, int64_t waited_ns, int64_t left_ns)
{
    if (sub->setup.wait == BENCH_SPIN
        || (sub->setup.wait == BENCH_HYBRID && waited_ns < hybrid_spin_ns)) {
        sched_yield(); /* on few cores nanomsg's own thread would starve otherwise */
        return NN_DONTWAIT;
    }
    int timeout_ms = (int)((left_ns + ns_per_ms - 1) / ns_per_ms);
    if (timeout_ms != sub->timeout_ms) {
        sub->timeout_ms = timeout_ms;
        set_int(sub->socket, NN_RCVTIMEO, timeout_ms);
    }
    return 0;
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
    int (*take_one)(struct sub *, struct bench_sink *, int) =
        sub->setup.is_copying ? take_copy : take_chunk;
    int taken = 0, flags = NN_DONTWAIT;
    int64_t since = 0;
    while (taken < TAKE_MOST) {
        int bytes = take_one(sub, sink, flags);
        if (bytes >= 0) {
            if ((size_t)bytes != sub->head_bytes + sub->setup.size) {
                (void)fprintf(stderr, "%s: subscriber %u: a message of %d bytes\n",
                              name_of(sub->is_pubsub), sub->index, bytes);
                return -EPROTO;
            }
            flags = NN_DONTWAIT;
            taken++;
            continue;
        }
        if (nn_errno() != EAGAIN && nn_errno() != ETIMEDOUT && nn_errno() != EINTR) {
            return complain(sub->is_pubsub, "receiving");
        }
        if (taken > 0) {
            break;
        }
        int64_t now = bench_now_ns();
        since = since == 0 ? now : since;
        if (now - since >= timeout_ns) {
            return 0;
        }
        flags = rest(sub, now - since, since + timeout_ns - now);
    }
    note_heard(sub, sink);
    return taken;
}

const struct bench_driver bench_driver_nanomsg = {
    .name = "nanomsg",
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

const struct bench_driver bench_driver_nanomsg_pubsub = {
    .name = "nanomsg-pubsub",
    .can = BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_PING | BENCH_CAN_LOSE | BENCH_CAN_TOPICS
           | BENCH_CAN_SPIN | BENCH_CAN_SLEEP,
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
