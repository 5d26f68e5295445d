/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/busbar.c - busbar through its public API.
 *
 * Loan       built in the ring by the publisher, read there by the subscriber (views).
 * Copy       published from a buffer of ours, delivered as copies.
 * Reliable   the publisher waits for a slow subscriber; lossy: subscribers get checked copies.
 * Topics     "bench/<publisher>/<number>"; subscribers want "bench/", or only the first ones by name.
 * Links      publishers and subscribers are on two buses, joined by two busbards (boxes.h).  A bridge never holds a
 *            publisher: its own queue is bounded, and drops.  So a window is lent (credit.h): 8192 messages or 4 MiB,
 *            half of what the data lane's ring holds, and nothing may be lost within it.
 */
#include "bench/bus.h"
#include "bench/peers/boxes.h"
#include "bench/peers/stores.h"
#include "bench/shuffle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOANS_MAX = 32,      /* for each bb_loan_batch */
    TOPIC_BYTES = 48,    /* of a topic's name, at most */
    COPIES_BYTES = 4096, /* published by one call */
    WINDOW_MESSAGES = 8192,
    WINDOW_BYTES = 4 << 20,
};

/* Where one topic comes in batches: a loan, a commit and an element of a poll for many messages. */
static bool
goes_in_batches(const struct bench_setup *s)
{
    return s->batch > 1 && s->topics == 1 && !s->is_single;
}

/* The same of who publishes; a batch of large copies would have left the cache before it is copied. */
static bool
is_sent_in_batches(const struct bench_setup *s)
{
    return goes_in_batches(s) && (!s->is_copying || s->batch * s->size <= COPIES_BYTES);
}

struct pub {
    struct bb_endpoint *ep;
    struct bb_publisher *pub;
    struct bb_topic **topics; /* in the order in which they are taken */
    size_t topic_count, turn;
    unsigned char *buffer; /* of copies */
    size_t size;
    unsigned batch;
    bool goes_in_batches; /* a loan or a call for each batch, not for each message */
    bool is_linked;
    struct bench_window window; /* is_linked */
};

struct sub {
    struct bb_endpoint *ep;
    struct bb_subscriber *sub;
    struct bench_boxes *boxes; /* NULL: one bus */
    unsigned index;
    bool has_bursts; /* what comes together is taken together */
    union {
        struct bb_msg msgs[BENCH_BUS_POLL];
        struct bb_burst bursts[BENCH_BUS_POLL];
    };
};

static int
start(const struct bench_setup *s, void **shared)
{
    return s->is_bridge ? bench_boxes_start(s, shared) : 0;
}

static void
stop(void *shared)
{
    if (shared != NULL) {
        bench_boxes_stop(shared);
    }
}

static int64_t
carriers_cpu_ns(void *shared)
{
    return shared != NULL ? bench_boxes_cpu_ns(shared) : 0;
}

static void
describe(const struct bench_setup *s, FILE *out)
{
    static const char *const waits[] = {"spin", "sleep", "hybrid"};
    bool has_own_ring = !s->is_bridge && (s->ring_bytes != 0 || s->ring_depth != 0);
    (void)fprintf(out, "%s, %s, %s, %s ring", bb_version(),
                  s->is_reliable ? s->is_evicting ? "reliable (evict)" : "reliable (block)"
                                 : "lossy",
                  s->is_copying || !s->is_reliable ? "copies" : "views",
                  has_own_ring ? "own" : "data lane's");
    if (s->ring_bytes != 0) {
        (void)fprintf(out, " of %" PRIu64 " bytes", s->ring_bytes);
    }
    if (s->ring_depth != 0) {
        (void)fprintf(out, " of %" PRIu32 " messages", s->ring_depth);
    }
    if (s->batch > 1) {
        (void)fprintf(out, ", %s a %s", s->is_copying ? "call" : "loan",
                      is_sent_in_batches(s) ? "batch" : "message");
    }
    (void)fprintf(out, ", %s, waiting by %s%s, %d %s a poll", s->is_fenced ? "fence" : "membarrier",
                  waits[s->wait], s->is_coarse ? ", coarse stamps" : "", BENCH_BUS_POLL,
                  goes_in_batches(s) ? "bursts" : "messages");
}

/* ---- publisher --------------------------------------------------------------------------------- */

static void
pub_close(void *pub)
{
    struct pub *p = pub;
    bb_publisher_close(p->pub);
    bb_endpoint_close(p->ep);
    free(p->topics);
    free(p->buffer);
    free(p);
}

static int
open_topics(const struct bench_setup *s, struct pub *p, unsigned index)
{
    p->goes_in_batches = is_sent_in_batches(s);
    p->topic_count = s->topics;
    p->topics = calloc(p->topic_count, sizeof(struct bb_topic *));
    for (size_t i = 0; p->topics != NULL && i < p->topic_count; i++) {
        char name[TOPIC_BYTES];
        int bytes = snprintf(name, sizeof(name), "bench/%u/%06zu", index, i);
        int rc = bb_topic_open(&p->topics[i], p->pub, name, (size_t)bytes);
        if (rc < 0) {
            return bench_bus_complain("cannot open a topic", rc, NULL);
        }
    }
    if (p->topics != NULL && s->is_shuffled) {
        bench_shuffle(p->topics, p->topic_count, sizeof(*p->topics));
    }
    return p->topics != NULL ? 0 : bench_bus_complain("cannot open topics", BB_ENOMEM, NULL);
}

static void
open_window(const struct bench_setup *s, struct pub *p, void *shared, unsigned index)
{
    struct bench_boxes *boxes = shared;
    uint64_t fitting = WINDOW_BYTES / s->size;
    p->is_linked = true;
    bench_window_open(&p->window, s, &boxes->credit, index,
                      fitting < WINDOW_MESSAGES ? fitting : WINDOW_MESSAGES);
}

static int
pub_open(const struct bench_setup *setup, void *shared, unsigned index, void **pub)
{
    struct bench_place place;
    const struct bench_setup *s = bench_boxes_at(&place, setup, setup->is_ping ? index : 0);
    struct pub *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return bench_bus_complain("cannot open a publisher", BB_ENOMEM, NULL);
    }
    p->size = s->size;
    p->batch = s->batch < BENCH_BUS_MORE ? s->batch : BENCH_BUS_MORE;
    if (s->is_bridge) {
        open_window(s, p, shared, index);
    }
    int rc = bench_bus_endpoint(s, "pub", index, &p->ep);
    rc = rc < 0 ? rc : bench_bus_publisher(s, p->ep, &p->pub);
    rc = rc < 0 ? rc : open_topics(s, p, index);
    if (rc == 0 && s->is_copying) {
        p->buffer = calloc(p->goes_in_batches ? LOANS_MAX : 1, s->size);
        rc = p->buffer != NULL ? 0 : bench_bus_complain("cannot get a buffer", BB_ENOMEM, NULL);
    }
    if (rc < 0) {
        pub_close(p);
        return rc;
    }
    *pub = p;
    return 0;
}

static inline struct bb_topic *
next_topic(struct pub *p)
{
    struct bb_topic *topic = p->topics[p->turn];
    p->turn = p->turn + 1 == p->topic_count ? 0 : p->turn + 1;
    return topic;
}

static int
send_loans(struct pub *p, struct bench_source *src, uint64_t count)
{
    unsigned open = 0; /* messages since the last flush */
    for (uint64_t i = 0; i < count; i++) {
        struct bb_topic *topic = next_topic(p);
        void *room;
        int rc = bb_loan(topic, src->size, &room);
        if (__builtin_expect(rc < 0, 0)) {
            return bench_bus_complain("cannot get a loan", rc, NULL);
        }
        bench_fill(src, room);
        uint32_t more = ++open < p->batch && i + 1 < count ? BB_MORE : 0;
        rc = bb_commit(topic, src->size, BB_RAW | more);
        if (__builtin_expect(rc < 0, 0)) {
            return bench_bus_complain("cannot commit", rc, NULL);
        }
        open = more != 0 ? open : 0;
    }
    return 0;
}

/* One topic: a batch is one loan, one commit, one flush. */
static int
send_loan_batches(struct pub *p, struct bench_source *src, uint64_t count)
{
    struct bb_topic *topic = p->topics[0];
    void *room[LOANS_MAX];
    size_t left = p->batch; /* until the next flush */
    while (count > 0) {
        size_t want = left < count ? left : count;
        int got = bb_loan_batch(topic, src->size, want < LOANS_MAX ? want : LOANS_MAX, room);
        if (__builtin_expect(got < 0, 0)) {
            return bench_bus_complain("cannot get a loan", got, NULL);
        }
        for (int i = 0; i < got; i++) {
            bench_fill(src, room[i]);
        }
        count -= (size_t)got;
        left -= (size_t)got;
        bool is_last = left == 0 || count == 0;
        int rc = bb_commit_batch(topic, NULL, (size_t)got, is_last ? BB_RAW : BB_RAW | BB_MORE);
        if (__builtin_expect(rc < 0, 0)) {
            return bench_bus_complain("cannot commit", rc, NULL);
        }
        left = left == 0 ? p->batch : left;
    }
    return 0;
}

static int
send_copies(struct pub *p, struct bench_source *src, uint64_t count)
{
    unsigned open = 0;
    for (uint64_t i = 0; i < count; i++) {
        bench_fill(src, p->buffer);
        uint32_t more = ++open < p->batch && i + 1 < count ? BB_MORE : 0;
        int rc = bb_publish(next_topic(p), p->buffer, src->size, BB_RAW | more);
        if (__builtin_expect(rc < 0, 0)) {
            return bench_bus_complain("cannot publish", rc, NULL);
        }
        open = more != 0 ? open : 0;
    }
    return 0;
}

/* One topic: a batch is one call and one flush. */
static int
send_copied_batches(struct pub *p, struct bench_source *src, uint64_t count)
{
    struct bb_out out[LOANS_MAX];
    while (count > 0) {
        unsigned n = p->batch < LOANS_MAX ? p->batch : LOANS_MAX;
        n = n < count ? n : (unsigned)count;
        for (unsigned i = 0; i < n; i++) {
            unsigned char *at = p->buffer + i * src->size;
            bench_fill(src, at);
            out[i] = (struct bb_out){p->topics[0], at, src->size, BB_RAW};
        }
        int64_t sent = bb_publish_batch(out, n);
        if (__builtin_expect(sent != (int64_t)n, 0)) {
            return bench_bus_complain("cannot publish", sent < 0 ? (int)sent : BB_EAGAIN, NULL);
        }
        count -= n;
    }
    return 0;
}

static int
send_some(struct pub *p, struct bench_source *src, uint64_t count)
{
    if (p->goes_in_batches) {
        return p->buffer != NULL ? send_copied_batches(p, src, count)
                                 : send_loan_batches(p, src, count);
    }
    return p->buffer != NULL ? send_copies(p, src, count) : send_loans(p, src, count);
}

static int
pub_send(void *pub, struct bench_source *src, uint64_t count)
{
    struct pub *p = pub;
    while (p->is_linked && count > 0) {
        uint64_t number = src->word & BENCH_NUMBER_MASK;
        if (!bench_window_has_room(&p->window, number)
            && bench_window_await(&p->window, number) < 0) {
            return -1;
        }
        uint64_t room = p->window.limit - number, n = room < count ? room : count;
        if (send_some(p, src, n) < 0) {
            return -1;
        }
        count -= n;
    }
    return count > 0 ? send_some(p, src, count) : 0;
}

/* ---- subscriber -------------------------------------------------------------------------------- */

static void
sub_close(void *sub)
{
    struct sub *r = sub;
    if (r->boxes != NULL) {
        bench_credit_close(&r->boxes->credit, r->index);
    }
    bb_subscriber_close(r->sub);
    bb_endpoint_close(r->ep);
    free(r);
}

/* Some topics of each publisher, each by its name. */
static int
want_some(const struct bench_setup *s, struct sub *r)
{
    for (unsigned i = 0; i < s->publishers; i++) {
        for (unsigned j = 0; j < s->wanted; j++) {
            char name[TOPIC_BYTES];
            int bytes = snprintf(name, sizeof(name), "bench/%u/%06u", i, j);
            int rc = bb_subscribe(r->sub, name, (size_t)bytes, 0);
            if (rc < 0) {
                return bench_bus_complain("cannot subscribe", rc, NULL);
            }
        }
    }
    return 0;
}

static int
sub_open(const struct bench_setup *setup, void *shared, unsigned index, void **sub)
{
    struct bench_place place;
    const struct bench_setup *s = bench_boxes_at(&place, setup, setup->is_ping ? index : 1);
    struct sub *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return bench_bus_complain("cannot open a subscriber", BB_ENOMEM, NULL);
    }
    r->index = index;
    if (s->is_bridge) {
        r->boxes = shared;
        bench_credit_open(&r->boxes->credit, index);
    }
    char prefix[TOPIC_BYTES] = "bench/";
    if (s->is_ping) {
        (void)snprintf(prefix, sizeof(prefix), "bench/%u/", 1 - index);
    } else if (s->wanted == 0) {
        (void)snprintf(prefix, sizeof(prefix), "other/");
    }
    r->has_bursts = goes_in_batches(s);
    bool is_choosy = s->wanted > 0 && s->wanted < s->topics;
    int rc = bench_bus_endpoint(s, "sub", index, &r->ep);
    rc = rc < 0 ? rc : bench_bus_subscriber(s, r->ep, is_choosy ? NULL : prefix, &r->sub);
    rc = rc < 0 || !is_choosy ? rc : want_some(s, r);
    if (rc < 0) {
        sub_close(r);
        return rc;
    }
    *sub = r;
    return 0;
}

static int
recv_bursts(struct sub *r, struct bench_sink *sink, int64_t timeout_ns)
{
    int got = bb_poll_bursts(r->sub, r->bursts, BENCH_BUS_POLL, timeout_ns), messages = 0;
    if (__builtin_expect(got < 0, 0)) {
        return bench_bus_complain("cannot poll", got, NULL);
    }
    for (const struct bb_burst *b = r->bursts, *end = b + got; b != end; b++) {
        const unsigned char *data = b->first.data;
        for (uint32_t i = 0; i < b->count; i++, data += b->stride) {
            bench_take(sink, data, b->first.bytes);
        }
        messages += (int)b->count;
    }
    return messages;
}

static int
recv_messages(struct sub *r, struct bench_sink *sink, int64_t timeout_ns)
{
    int got = bb_poll(r->sub, r->msgs, BENCH_BUS_POLL, timeout_ns);
    if (__builtin_expect(got < 0, 0)) {
        return bench_bus_complain("cannot poll", got, NULL);
    }
    for (int i = 0; i < got; i++) {
        bench_take(sink, r->msgs[i].data, r->msgs[i].bytes);
    }
    return got;
}

static int
sub_recv(void *sub, struct bench_sink *sink, int64_t timeout_ns)
{
    struct sub *r = sub;
    int got = r->has_bursts ? recv_bursts(r, sink, timeout_ns) : recv_messages(r, sink, timeout_ns);
    if (r->boxes != NULL && got > 0) {
        bench_credit_tell(&r->boxes->credit, r->index, sink);
    }
    return got;
}

const struct bench_driver bench_driver_busbar = {
    .name = "busbar",
    .can = BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_PING | BENCH_CAN_LOSE | BENCH_CAN_RELY
           | BENCH_CAN_TOPICS | BENCH_CAN_SPIN | BENCH_CAN_SLEEP | BENCH_CAN_STORE
           | BENCH_CAN_DURABLE | BENCH_CAN_BRIDGE | BENCH_CAN_TLS,
    .describe = describe,
    .start = start,
    .stop = stop,
    .carriers_cpu_ns = carriers_cpu_ns,
    .pub_open = pub_open,
    .pub_send = pub_send,
    .pub_close = pub_close,
    .sub_open = sub_open,
    .sub_recv = sub_recv,
    .sub_close = sub_close,
    .store = &bench_store_busbar,
};
