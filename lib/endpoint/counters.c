/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/counters.c - numbers by name.
 *
 * Each subject (a ring, a subscriber, a node, the bus) is a row of numbers, one for each counter of its list.
 * Rows are gathered first and told name by name, since all samples of a name belong together.
 */
#include "busbar/counters.h"
#include "lib/endpoint/counters_list.h"
#include "lib/endpoint/look_impl.h"
#include "lib/endpoint/publisher_impl.h"
#include "lib/endpoint/subscriber_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNKNOWN UINT64_MAX /* not seen from here: not told */

#define RING_ID(id, name, type, unit, help)       RING_##id,
#define SUBSCRIBER_ID(id, name, type, unit, help) SUBSCRIBER_##id,
#define NODE_ID(id, name, type, unit, help)       NODE_##id,
#define BUS_ID(id, name, type, unit, help)        BUS_##id,
enum { BBI_RING_COUNTERS(RING_ID) RING_COUNT };
enum { BBI_SUBSCRIBER_COUNTERS(SUBSCRIBER_ID) SUBSCRIBER_COUNT };
enum { BBI_NODE_COUNTERS(NODE_ID) NODE_COUNT };
enum { BBI_BUS_COUNTERS(BUS_ID) BUS_COUNT };

#define ROW(id, counter, kind, in, text)                                                           \
    {.name = (counter), .labels = "", .unit = (in), .help = (text), .type = BB_COUNTER_##kind},
static const struct bb_counter RING_LIST[] = {BBI_RING_COUNTERS(ROW)};
static const struct bb_counter SUBSCRIBER_LIST[] = {BBI_SUBSCRIBER_COUNTERS(ROW)};
static const struct bb_counter NODE_LIST[] = {BBI_NODE_COUNTERS(ROW)};
static const struct bb_counter BUS_LIST[] = {BBI_BUS_COUNTERS(ROW)};

enum {
    MOST_COUNTERS = 16,
    LABEL_BYTES = 192, /* a name, each byte escaped, and numbers */
};
static_assert((int)RING_COUNT <= (int)MOST_COUNTERS, "room");
static_assert((int)SUBSCRIBER_COUNT <= (int)MOST_COUNTERS, "room");

struct subject {
    char labels[LABEL_BYTES];
    uint64_t values[MOST_COUNTERS];
};

static int
tell(const struct bb_counter *list,
     size_t counters,
     const struct subject *subjects,
     size_t count,
     bb_counter_cb cb,
     void *user)
{
    for (size_t c = 0; c < counters; c++) {
        for (size_t i = 0; i < count; i++) {
            struct bb_counter told = list[c];
            told.labels = subjects[i].labels;
            told.value = subjects[i].values[c];
            int rc = told.value != UNKNOWN ? cb(&told, user) : 0;
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

/* `node="NAME"`, as Prometheus escapes it; where it ended. */
static size_t
put_node(char out[LABEL_BYTES], const char *name)
{
    size_t n = (size_t)snprintf(out, LABEL_BYTES, "node=\"");
    for (; *name != '\0' && n + 64 < LABEL_BYTES; name++) {
        if (*name == '"' || *name == '\\') {
            out[n++] = '\\';
        }
        out[n++] = *name;
    }
    out[n++] = '"';
    out[n] = '\0';
    return n;
}

static void
put_labels(struct subject *s, const char *name, const char *key, uint32_t number)
{
    size_t n = put_node(s->labels, name);
    (void)snprintf(s->labels + n, sizeof(s->labels) - n, ",%s=\"%u\"", key, number);
}

/* ---- of a handle ---- */

int
bb_publisher_counters(const struct bb_publisher *pub, bb_counter_cb cb, void *user)
{
    struct bb_publisher_stats st = {.size = sizeof(st)};
    if (bbi_is_forked(pub->fork_gen)) {
        return BB_EFORKED;
    }
    bb_publisher_stats(pub, &st);
    struct subject s = {.values = {
                            [RING_MESSAGES] = st.messages,
                            [RING_BYTES] = st.payload_bytes,
                            [RING_FLUSHES] = st.flushes,
                            [RING_WAKES] = st.wakes,
                            [RING_BLOCKED] = st.blocked,
                            [RING_EVICTED] = st.evicted,
                            [RING_REFUSED] = st.refused,
                            [RING_TOPICS] = bbi_load_relaxed(&pub->writer.map.hdr->topics),
                            [RING_UNHEARD] = st.unheard,
                        }};
    put_labels(&s, pub->ep->at.name, "ring", pub->file.index);
    return tell(RING_LIST, RING_COUNT, &s, 1, cb, user);
}

static uint64_t
largest_lag(const struct bb_subscriber *sub)
{
    uint64_t lag = 0;
    for (const struct bbi_source *src = sub->sources; src != NULL; src = src->next) {
        uint64_t tail = bbi_load_acquire(src->watch); /* R1 */
        if (bbi_is_before(src->reader.cursor, tail)) {
            lag = bbi_max_u64(lag, tail - src->reader.cursor);
        }
    }
    return lag;
}

int
bb_subscriber_counters(const struct bb_subscriber *sub, bb_counter_cb cb, void *user)
{
    struct bb_subscriber_stats st = {.size = sizeof(st)};
    if (bbi_is_forked(sub->fork_gen)) {
        return BB_EFORKED;
    }
    bb_subscriber_stats(sub, &st);
    struct subject s = {.values = {
                            [SUBSCRIBER_MESSAGES] = st.messages,
                            [SUBSCRIBER_DELIVERED] = st.delivered,
                            [SUBSCRIBER_FILTERED] = st.filtered,
                            [SUBSCRIBER_LOST] = st.lost,
                            [SUBSCRIBER_EVICTED] = st.evicted,
                            [SUBSCRIBER_WAKES] = st.wakes,
                            [SUBSCRIBER_RINGS] = st.rings,
                            [SUBSCRIBER_UNREADABLE] = st.unreadable,
                            [SUBSCRIBER_LAG] = largest_lag(sub),
                            [SUBSCRIBER_REQUESTS] = st.requests,
                            [SUBSCRIBER_LATE] = st.late,
                        }};
    if (sub->is_registered) { /* a tap is nobody's, and has no number */
        put_labels(&s, sub->ep->at.name, "subscriber", sub->file.index);
    }
    return tell(SUBSCRIBER_LIST, SUBSCRIBER_COUNT, &s, 1, cb, user);
}

/* ---- of a bus, or of one member on it ---- */

/* What one telling needs; large, so on the heap. */
struct telling {
    struct bb_look look;
    bool is_of_one;
    uint64_t node_id; /* of that one */
    bb_counter_cb cb;
    void *user;
    struct subject subjects[BBI_RINGS];
    union {
        struct bb_ring_info rings[BBI_RINGS];
        struct bb_subscriber_info subscribers[BBI_SUBS];
        struct bb_node_info nodes[BBI_MEMBERS];
    } infos;
};
static_assert(BBI_SUBS <= BBI_RINGS && BBI_MEMBERS <= BBI_RINGS, "subjects are enough for each");

static void
take_ring(struct subject *s, const struct bb_ring_info *r)
{
    *s = (struct subject){.values = {
                              [RING_MESSAGES] = r->messages,
                              [RING_BYTES] = r->payload_bytes,
                              [RING_FLUSHES] = UNKNOWN,
                              [RING_WAKES] = r->wakes,
                              [RING_BLOCKED] = r->blocked,
                              [RING_EVICTED] = r->evicted,
                              [RING_REFUSED] = r->refused,
                              [RING_TOPICS] = r->topics,
                              [RING_UNHEARD] = UNKNOWN,
                          }};
    put_labels(s, r->node, "ring", r->ring);
}

static void
take_subscriber(struct subject *s, const struct bb_subscriber_info *i)
{
    *s = (struct subject){.values = {
                              [SUBSCRIBER_MESSAGES] = i->delivered + i->filtered + i->lost,
                              [SUBSCRIBER_DELIVERED] = i->delivered,
                              [SUBSCRIBER_FILTERED] = i->filtered,
                              [SUBSCRIBER_LOST] = i->lost,
                              [SUBSCRIBER_EVICTED] = i->evicted,
                              [SUBSCRIBER_WAKES] = UNKNOWN,
                              [SUBSCRIBER_RINGS] = UNKNOWN,
                              [SUBSCRIBER_UNREADABLE] = UNKNOWN,
                              [SUBSCRIBER_LAG] = i->lag,
                              [SUBSCRIBER_REQUESTS] = UNKNOWN,
                              [SUBSCRIBER_LATE] = UNKNOWN,
                          }};
    put_labels(s, i->node, "subscriber", i->subscriber);
}

static bool
is_asked_for(const struct telling *t, uint64_t node_id)
{
    return !t->is_of_one || t->node_id == node_id;
}

static int
tell_rings(struct telling *t)
{
    int found = bb_look_rings(&t->look, t->infos.rings, BBI_RINGS);
    size_t n = 0;
    for (int i = 0; i < found && i < BBI_RINGS; i++) {
        if (is_asked_for(t, t->infos.rings[i].node_id)) {
            take_ring(&t->subjects[n++], &t->infos.rings[i]);
        }
    }
    return tell(RING_LIST, RING_COUNT, t->subjects, n, t->cb, t->user);
}

static int
tell_subscribers(struct telling *t)
{
    int found = bb_look_subscribers(&t->look, t->infos.subscribers, BBI_SUBS);
    size_t n = 0;
    for (int i = 0; i < found && i < BBI_SUBS; i++) {
        if (is_asked_for(t, t->infos.subscribers[i].node_id)) {
            take_subscriber(&t->subjects[n++], &t->infos.subscribers[i]);
        }
    }
    return tell(SUBSCRIBER_LIST, SUBSCRIBER_COUNT, t->subjects, n, t->cb, t->user);
}

static int
tell_nodes(struct telling *t)
{
    int found = bb_look_nodes(&t->look, t->infos.nodes, BBI_MEMBERS);
    size_t n = 0;
    for (int i = 0; i < found && i < BBI_MEMBERS; i++) {
        const struct bb_node_info *node = &t->infos.nodes[i];
        struct subject *s = &t->subjects[n++];
        size_t at = put_node(s->labels, node->name);
        (void)snprintf(s->labels + at, sizeof(s->labels) - at, ",role=\"%s\",pid=\"%lld\"",
                       bb_role_name(node->role), (long long)node->pid);
        s->values[NODE_STATE] = node->state;
    }
    return tell(NODE_LIST, NODE_COUNT, t->subjects, n, t->cb, t->user);
}

static int
tell_bus(struct telling *t)
{
    struct bb_bus_info bus;
    int rc = bb_look_bus(&t->look, &bus);
    if (rc < 0) {
        return rc;
    }
    t->subjects[0] = (struct subject){.values = {
                                          [BUS_NODES] = bus.nodes,
                                          [BUS_RINGS] = bus.rings,
                                          [BUS_SUBSCRIBERS] = bus.subscribers,
                                          [BUS_DEAD_RINGS] = bus.dead_rings,
                                          [BUS_BYTES] = bus.bytes,
                                          [BUS_GENERATION] = bus.generation,
                                      }};
    return tell(BUS_LIST, BUS_COUNT, t->subjects, 1, t->cb, t->user);
}

/* A look of our own at the same mapping: it only reads, and is never closed. */
static struct telling *
telling_new(const struct bbi_attach *at, unsigned fork_gen, bb_counter_cb cb, void *user)
{
    struct telling *t = calloc(1, sizeof(*t));
    if (t != NULL) {
        t->look = (struct bb_look){.at = *at, .fork_gen = fork_gen};
        t->cb = cb;
        t->user = user;
    }
    return t;
}

int
bb_endpoint_counters(const struct bb_endpoint *ep, bb_counter_cb cb, void *user)
{
    if (bbi_is_forked(ep->fork_gen)) {
        return BB_EFORKED;
    }
    struct telling *t = telling_new(&ep->at, ep->fork_gen, cb, user);
    if (t == NULL) {
        return BB_ENOMEM;
    }
    t->is_of_one = true;
    t->node_id = ep->id;
    int rc = tell_rings(t);
    rc = rc != 0 ? rc : tell_subscribers(t);
    free(t);
    return rc;
}

int
bb_look_counters(struct bb_look *look, bb_counter_cb cb, void *user)
{
    if (bbi_is_forked(look->fork_gen)) {
        return BB_EFORKED;
    }
    struct telling *t = telling_new(&look->at, look->fork_gen, cb, user);
    if (t == NULL) {
        return BB_ENOMEM;
    }
    int rc = tell_bus(t);
    rc = rc != 0 ? rc : tell_nodes(t);
    rc = rc != 0 ? rc : tell_rings(t);
    rc = rc != 0 ? rc : tell_subscribers(t);
    free(t);
    return rc;
}

int
bb_counter_list(bb_counter_cb cb, void *user)
{
    static const struct subject zeros;
    int rc = tell(BUS_LIST, BUS_COUNT, &zeros, 1, cb, user);
    rc = rc != 0 ? rc : tell(NODE_LIST, NODE_COUNT, &zeros, 1, cb, user);
    rc = rc != 0 ? rc : tell(RING_LIST, RING_COUNT, &zeros, 1, cb, user);
    return rc != 0 ? rc : tell(SUBSCRIBER_LIST, SUBSCRIBER_COUNT, &zeros, 1, cb, user);
}
