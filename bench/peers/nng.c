/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/nng.c - nng over ipc://: push/pull, which loses nothing, and pub/sub, which drops when it must.
 *
 * Sockets    nng         each publisher listens on a PUSH for each subscriber, each subscriber dials all of its
 *                        own with a PULL
 *            nng-pubsub  each publisher listens on a PUB, each subscriber has a SUB that dials all of them;
 *                        the topic is an 8-byte prefix of the message
 *            ping        one PAIR (version 1) for each direction, or PUB and SUB as above
 * Receiving  a PULL has no queue: with nng_recvmsg() every message costs two changes of thread.  So several
 *            nng_aio wait at once, as the manual advises; the socket serves them in the order of their start.
 *            SUB and PAIR have a queue, which nng_recvmsg() empties quicker than aios do.
 * Late ones  a PUSH queues before it is connected; a PUB waits with its first message until it has as many
 *            pipes as there are subscribers; who dials goes on trying.  So nobody has to be open first.
 * The end    nng_close() drops what it queues, and a reader whose peer hangs up drops what is left in the
 *            socket.  So subscribers note in a shared page what they have heard, and a publisher closes when
 *            all have heard its last message.
 */
#include "bench/driver.h"

#include "bench/clock.h"
#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/pair1/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <sched.h>
#include <semaphore.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    TOPIC_BYTES = 8,
    URL_BYTES = 256,
    QUEUE_MESSAGES = 8192,           /* the most that nng allows */
    QUEUE_BYTES = 256 * 1024 * 1024, /* large messages: a shorter queue, to stay within this */
    SLOTS = 64,                      /* receives under way at a time; describe() says it */
    TAKE_MOST = 256,                 /* messages in one sub_recv */
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

struct link {
    nng_socket socket;
    bool is_open;
    nng_aio *aio;
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
    _Atomic unsigned pipes; /* written by nng's threads */
    unsigned link_count;
    struct link *links;
    struct topic *topics; /* in the order in which they are taken */
    unsigned topic_idx;
    size_t head_bytes;   /* of the topic, or 0 */
    unsigned char *copy; /* is_copying: the publisher's own buffer */
    uint64_t sent_next;  /* one more than the number of the last message that somebody wants */
};

/* One receive under way. */
struct slot {
    nng_aio *aio;
    sem_t done; /* posted by nng's thread when the aio has a message or an error */
    bool is_made;
};

struct sub {
    struct bench_setup setup;
    struct shared *shared;
    unsigned index;
    bool is_pubsub, is_open;
    nng_socket socket;
    int timeout_ms; /* of the socket, as last set */
    size_t head_bytes;
    bool has_slots;    /* PULL */
    unsigned slot_idx; /* the one that completes next */
    struct slot slots[SLOTS];
    unsigned char *copy; /* for copies, and for payloads that are not 8-aligned */
};

static const char *
name_of(bool is_pubsub)
{
    return is_pubsub ? "nng-pubsub" : "nng";
}

/* code: one of nng's; gives our kind of status. */
static int
complain(bool is_pubsub, const char *doing, int code)
{
    (void)fprintf(stderr, "%s: %s: %s\n", name_of(is_pubsub), doing, nng_strerror(code));
    return code == NNG_ENOMEM ? -ENOMEM : -EIO;
}

static int
queue_of(const struct bench_setup *s)
{
    size_t fits = QUEUE_BYTES / s->size;
    return fits > QUEUE_MESSAGES ? QUEUE_MESSAGES : fits < 16 ? 16 : (int)fits;
}

static void
describe(const struct bench_setup *s, FILE *out, bool is_pubsub)
{
    const char *sockets = is_pubsub ? "pub0/sub0, lossy, 8-byte topic prefix"
                          : s->is_ping
                              ? "a pair1 for each direction"
                              : "push0/pull0, a socket for each subscriber, 64 aios receive";
    (void)fprintf(out, "nng %s ipc://, %s, SENDBUF/RECVBUF %d, %s, waits by %s", nng_version(),
                  sockets, queue_of(s),
                  s->is_copying ? "copied into and out of nng_msg" : "nng_msg filled in place",
                  s->wait == BENCH_SLEEP  ? "sleeping at once"
                  : s->wait == BENCH_SPIN ? "polling and sched_yield"
                                          : "polling for 50 us, then sleeping");
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
        (void)fprintf(stderr, "nng: mapping %zu shared bytes: %s\n", bytes, strerror(errno));
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

/* ---- sockets: all of these give 0 or nng's code ------------------------------------------------- */

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

/* The publisher's end for one subscriber; pubsub: number 0, for all. */
static void
name_end(const struct bench_setup *s, unsigned publisher, unsigned subscriber, char url[URL_BYTES])
{
    (void)snprintf(url, URL_BYTES, "ipc://%s/p%u-%u", s->dir, publisher, subscriber);
}

static int
dial(nng_socket socket, const struct bench_setup *s, unsigned publisher, unsigned subscriber)
{
    char url[URL_BYTES];
    name_end(s, publisher, subscriber, url);
    return nng_dial(socket, url, NULL, NNG_FLAG_NONBLOCK); /* goes on trying */
}

static int
listen_at(nng_socket socket, const struct bench_setup *s, unsigned publisher, unsigned subscriber)
{
    char url[URL_BYTES];
    name_end(s, publisher, subscriber, url);
    return nng_listen(socket, url, NULL, 0);
}

/* ---- publisher ---------------------------------------------------------------------------------- */

static void
pub_free(struct pub *pub)
{
    for (unsigned i = 0; pub->links != NULL && i < pub->link_count; i++) {
        if (pub->links[i].is_open) {
            nng_close(pub->links[i].socket);
        }
        nng_aio_free(pub->links[i].aio);
    }
    free(pub->links);
    free(pub->topics);
    free(pub->copy);
    free(pub);
}

static int
open_push_links(struct pub *pub)
{
    const struct bench_setup *s = &pub->setup;
    for (unsigned i = 0; i < pub->link_count; i++) {
        struct link *link = &pub->links[i];
        unsigned to = s->is_ping ? 1 - pub->index : i;
        int rc = s->is_ping ? nng_pair1_open(&link->socket) : nng_push0_open(&link->socket);
        if (rc != 0) {
            return rc;
        }
        link->is_open = true;
        if ((rc = nng_aio_alloc(&link->aio, NULL, NULL)) != 0
            || (rc = set_options(link->socket, s)) != 0
            || (rc = listen_at(link->socket, s, pub->index, to)) != 0) {
            return rc;
        }
        nng_aio_set_timeout(link->aio, NNG_DURATION_INFINITE);
    }
    return 0;
}

static void
count_pipe(nng_pipe pipe, nng_pipe_ev event, void *user)
{
    struct pub *pub = user;
    (void)pipe;
    (void)event;
    atomic_fetch_add_explicit(&pub->pipes, 1, memory_order_relaxed);
}

static int
open_pub_link(struct pub *pub)
{
    const struct bench_setup *s = &pub->setup;
    struct link *link = &pub->links[0];
    pub->head_bytes = TOPIC_BYTES;
    int rc = nng_pub0_open(&link->socket);
    if (rc != 0) {
        return rc;
    }
    link->is_open = true;
    if ((rc = nng_aio_alloc(&link->aio, NULL, NULL)) != 0
        || (rc = set_options(link->socket, s)) != 0
        || (rc = nng_pipe_notify(link->socket, NNG_PIPE_EV_ADD_POST, count_pipe, pub)) != 0) {
        return rc;
    }
    return listen_at(link->socket, s, pub->index, 0);
}

static int
pub_open(const struct bench_setup *s, void *shared, unsigned index, void **out, bool is_pubsub)
{
    struct pub *pub = calloc(1, sizeof(*pub));
    if (pub == NULL) {
        return complain(is_pubsub, "opening a publisher", NNG_ENOMEM);
    }
    pub->setup = *s;
    pub->shared = shared;
    pub->index = index;
    pub->is_pubsub = is_pubsub;
    pub->link_count = is_pubsub || s->is_ping ? 1 : s->subscribers;
    pub->links = calloc(pub->link_count + 1, sizeof(*pub->links));
    pub->copy = malloc(s->size);
    pub->topics = list_topics(s, index);
    int rc = NNG_ENOMEM;
    if (pub->links != NULL && pub->copy != NULL && pub->topics != NULL) {
        rc = is_pubsub ? open_pub_link(pub) : open_push_links(pub);
    }
    if (rc != 0) {
        rc = complain(is_pubsub, "opening a publisher", rc);
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

/* What a PUB sends without a pipe is gone. */
static int
await_subscribers(struct pub *pub)
{
    unsigned wanted = pub->setup.is_ping ? 1 : pub->setup.subscribers;
    int64_t deadline = bench_now_ns() + connect_ns;
    unsigned pipes;
    while ((pipes = atomic_load_explicit(&pub->pipes, memory_order_relaxed)) < wanted) {
        if (bench_now_ns() > deadline) {
            (void)fprintf(stderr,
                          "%s: publisher %u: %u of %u subscribers did not connect in %lld s\n",
                          name_of(true), pub->index, wanted - pipes, wanted,
                          (long long)(connect_ns / ns_per_s));
            return -ETIMEDOUT;
        }
        bench_nap(look_ns);
    }
    pub->is_connected = true;
    return 0;
}

/* As nng_sendmsg(), but with an aio that lives longer than one message.  Takes msg over, sent or not. */
static int
send_by(struct link *link, nng_msg *msg)
{
    nng_aio_set_msg(link->aio, msg);
    nng_send_aio(link->socket, link->aio);
    nng_aio_wait(link->aio);
    int rc = nng_aio_result(link->aio);
    if (rc != 0) {
        nng_msg_free(msg);
    }
    return rc;
}

static int
send_message(struct pub *pub, struct bench_source *src, const char *topic)
{
    nng_msg *msg;
    int rc = nng_msg_alloc(&msg, pub->head_bytes + src->size);
    if (rc != 0) {
        return rc;
    }
    unsigned char *body = nng_msg_body(msg);
    if (pub->is_pubsub) {
        memcpy(body, topic, TOPIC_BYTES);
    }
    if (pub->setup.is_copying) {
        bench_fill(src, pub->copy);
        memcpy(body + pub->head_bytes, pub->copy, src->size);
    } else {
        bench_fill(src, body + pub->head_bytes);
    }
    for (unsigned i = 0; i + 1 < pub->link_count; i++) {
        nng_msg *twin;
        if ((rc = nng_msg_dup(&twin, msg)) != 0 || (rc = send_by(&pub->links[i], twin)) != 0) {
            nng_msg_free(msg);
            return rc;
        }
    }
    if (pub->link_count == 0) {
        nng_msg_free(msg);
        return 0;
    }
    return send_by(&pub->links[pub->link_count - 1], msg);
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
    for (uint64_t i = 0; i < count; i++) {
        const struct topic *topic = &pub->topics[pub->topic_idx];
        int rc = send_message(pub, src, topic->name);
        if (rc != 0) {
            return complain(pub->is_pubsub, "sending", rc);
        }
        if (!pub->is_pubsub || topic->is_wanted) {
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
    if (sub == NULL) {
        return;
    }
    atomic_store_explicit(&sub->shared->heard[sub->index].is_gone, 1, memory_order_relaxed);
    if (sub->is_open) {
        nng_close(sub->socket);
    }
    for (unsigned i = 0; i < SLOTS && sub->slots[i].is_made; i++) {
        struct slot *slot = &sub->slots[i];
        nng_aio_stop(slot->aio);
        if (sem_trywait(&slot->done) == 0 && nng_aio_result(slot->aio) == 0) {
            nng_msg_free(nng_aio_get_msg(slot->aio));
        }
        nng_aio_free(slot->aio);
        sem_destroy(&slot->done);
    }
    free(sub->copy);
    free(sub);
}

static int
subscribe(struct sub *sub)
{
    const struct bench_setup *s = &sub->setup;
    sub->head_bytes = TOPIC_BYTES;
    for (unsigned i = 0; i < count_subscriptions(s); i++) {
        char topic[TOPIC_BYTES];
        size_t bytes = name_subscription(s, i, topic);
        int rc = nng_socket_set(sub->socket, NNG_OPT_SUB_SUBSCRIBE, topic, bytes);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int
dial_publishers(struct sub *sub)
{
    const struct bench_setup *s = &sub->setup;
    for (unsigned i = 0; i < s->publishers; i++) {
        bool is_own = s->is_ping && i == sub->index;
        int rc = is_own ? 0 : dial(sub->socket, s, i, sub->is_pubsub ? 0 : sub->index);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static void
slot_is_done(void *user)
{
    struct slot *slot = user;
    sem_post(&slot->done);
}

static int
start_slots(struct sub *sub)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *slot = &sub->slots[i];
        int rc = nng_aio_alloc(&slot->aio, slot_is_done, slot);
        if (rc != 0) {
            return rc;
        }
        sem_init(&slot->done, 0, 0);
        slot->is_made = true;
        nng_aio_set_timeout(slot->aio, NNG_DURATION_INFINITE);
        nng_recv_aio(sub->socket, slot->aio);
    }
    return 0;
}

static int
open_sub_socket(struct sub *sub)
{
    const struct bench_setup *s = &sub->setup;
    int rc = sub->is_pubsub ? nng_sub0_open(&sub->socket)
             : s->is_ping   ? nng_pair1_open(&sub->socket)
                            : nng_pull0_open(&sub->socket);
    if (rc != 0) {
        return rc;
    }
    sub->is_open = true;
    if ((rc = set_options(sub->socket, s)) != 0 || (sub->is_pubsub && (rc = subscribe(sub)) != 0)
        || (rc = dial_publishers(sub)) != 0) {
        return rc;
    }
    return sub->has_slots ? start_slots(sub) : 0;
}

static int
sub_open(const struct bench_setup *s, void *shared, unsigned index, void **out, bool is_pubsub)
{
    struct sub *sub = calloc(1, sizeof(*sub));
    if (sub == NULL) {
        return complain(is_pubsub, "opening a subscriber", NNG_ENOMEM);
    }
    sub->setup = *s;
    sub->shared = shared;
    sub->index = index;
    sub->is_pubsub = is_pubsub;
    sub->has_slots = !is_pubsub && !s->is_ping;
    sub->copy = malloc(s->size);
    int rc = sub->copy == NULL ? NNG_ENOMEM : open_sub_socket(sub);
    if (rc != 0) {
        rc = complain(is_pubsub, "opening a subscriber", rc);
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

/* From the slot whose turn it is, waiting for it so long: 0, NNG_EAGAIN or another of nng's codes. */
static int
receive_slot(struct sub *sub, int64_t sleep_ns, nng_msg **msg)
{
    struct slot *slot = &sub->slots[sub->slot_idx];
    int64_t until = bench_now_ns() + sleep_ns;
    struct timespec t = {.tv_sec = until / ns_per_s, .tv_nsec = until % ns_per_s};
    if (sem_trywait(&slot->done) < 0
        && (sleep_ns == 0 || sem_clockwait(&slot->done, CLOCK_MONOTONIC, &t) < 0)) {
        return NNG_EAGAIN;
    }
    int rc = nng_aio_result(slot->aio);
    if (rc == 0) {
        *msg = nng_aio_get_msg(slot->aio);
        nng_recv_aio(sub->socket, slot->aio);
        sub->slot_idx = (sub->slot_idx + 1) % SLOTS;
    }
    return rc;
}

/* The same from the socket's queue. */
static int
receive_queued(struct sub *sub, int64_t sleep_ns, nng_msg **msg)
{
    int timeout_ms = (int)((sleep_ns + ns_per_ms - 1) / ns_per_ms);
    if (sleep_ns > 0 && timeout_ms != sub->timeout_ms) {
        sub->timeout_ms = timeout_ms;
        nng_socket_set_ms(sub->socket, NNG_OPT_RECVTIMEO, timeout_ms);
    }
    int rc = nng_recvmsg(sub->socket, msg, sleep_ns > 0 ? 0 : NNG_FLAG_NONBLOCK);
    return rc == NNG_ETIMEDOUT ? NNG_EAGAIN : rc;
}

/* The same, waiting as the case wants it. */
static int
receive(struct sub *sub, int64_t timeout_ns, nng_msg **msg)
{
    int64_t since = 0, sleep_ns = 0;
    for (;;) {
        int rc =
            sub->has_slots ? receive_slot(sub, sleep_ns, msg) : receive_queued(sub, sleep_ns, msg);
        if (rc != NNG_EAGAIN || timeout_ns <= 0) {
            return rc;
        }
        int64_t now = bench_now_ns();
        since = since == 0 ? now : since;
        if (now - since >= timeout_ns) {
            return rc;
        }
        if (sub->setup.wait == BENCH_SPIN
            || (sub->setup.wait == BENCH_HYBRID && now - since < hybrid_spin_ns)) {
            sched_yield(); /* on few cores nng's threads would starve otherwise */
        } else {
            sleep_ns = since + timeout_ns - now;
        }
    }
}

/* Takes msg over. */
static int
take_message(struct sub *sub, struct bench_sink *sink, nng_msg *msg)
{
    size_t bytes = nng_msg_len(msg);
    if (bytes != sub->head_bytes + sub->setup.size) {
        (void)fprintf(stderr, "%s: subscriber %u: a message of %zu bytes\n",
                      name_of(sub->is_pubsub), sub->index, bytes);
        nng_msg_free(msg);
        return -EPROTO;
    }
    const unsigned char *payload = (unsigned char *)nng_msg_body(msg) + sub->head_bytes;
    if (sub->setup.is_copying || (uintptr_t)payload % sizeof(uint64_t) != 0) {
        payload = memcpy(sub->copy, payload, sub->setup.size);
    }
    bench_take(sink, payload, sub->setup.size);
    nng_msg_free(msg);
    return 0;
}

static int
sub_recv(void *handle, struct bench_sink *sink, int64_t timeout_ns)
{
    struct sub *sub = handle;
    int taken = 0;
    for (; taken < TAKE_MOST; taken++) {
        nng_msg *msg;
        int rc = receive(sub, taken == 0 ? timeout_ns : 0, &msg);
        if (rc == NNG_EAGAIN) {
            break;
        }
        rc = rc != 0 ? complain(sub->is_pubsub, "receiving", rc) : take_message(sub, sink, msg);
        if (rc < 0) {
            return rc;
        }
    }
    if (taken > 0) {
        struct heard *h = &sub->shared->heard[sub->index];
        for (unsigned i = 0; i < sub->setup.publishers; i++) {
            atomic_store_explicit(&h->next[i], sink->next[i], memory_order_relaxed);
        }
    }
    return taken;
}

const struct bench_driver bench_driver_nng = {
    .name = "nng",
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

const struct bench_driver bench_driver_nng_pubsub = {
    .name = "nng-pubsub",
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
