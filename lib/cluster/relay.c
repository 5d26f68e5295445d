/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/cluster/relay.c - through a node of a pool, or the manager when the pool has nobody.
 *
 *   sender ──► node/NAME/busbar/relay ──► NAME publishes on the topic ──► whoever wants it
 *
 * Everybody who subscribed to the topic hears it once, whichever node it went through: also who sent it, and
 * the node that relays, which does not hear its own ring and takes the event out of the envelope instead.
 * An envelope never holds another one, so nothing is relayed twice.  It is done also by a node that has left
 * the pool meanwhile: its sender knew no better.
 */
#include "lib/cluster/pools.h"
#include "lib/cluster/services.h"
#include <stdlib.h>
#include <string.h>

/* ---- the envelope ------------------------------------------------------------------------------- */

void
bbi_envelope_put(struct bb_builder *b, const struct bbi_envelope *e)
{
    bb_event_begin(b, BBI_RELAY_SERVICE, sizeof(BBI_RELAY_SERVICE) - 1);
    bb_put_string(b, e->topic, e->topic_bytes);
    bb_put_count(b, e->attr);
    bb_put_string(b, e->data, e->bytes);
    bb_event_end(b);
}

static bool
is_control(uint32_t attr)
{
    return (attr & BB_KIND_MASK) == BB_CONTROL;
}

int
bbi_envelope_open(struct bbi_envelope *out, const void *data, size_t bytes)
{
    struct bb_event ev;
    struct bb_iter it;
    struct bbi_envelope e = {.topic = NULL};
    const char *body = NULL;
    uint64_t attr = 0;
    int rc = bb_event_open(&ev, data, bytes);
    if (rc < 0) {
        return rc;
    }
    if (bb_event_args(&it, &ev) != 3 || ev.name_bytes != sizeof(BBI_RELAY_SERVICE) - 1
        || memcmp(ev.name, BBI_RELAY_SERVICE, ev.name_bytes) != 0) {
        return BB_ETYPE;
    }
    if ((rc = bb_next_string(&it, &e.topic, &e.topic_bytes)) < 0
        || (rc = bb_next_count(&it, &attr)) < 0
        || (rc = bb_next_string(&it, &body, &e.bytes)) < 0) {
        return rc;
    }
    uint32_t most = BB_KIND_MASK | BB_FORMAT_MASK | BB_PRIORITY;
    if (attr > most || (attr & ~(uint64_t)most) != 0 || is_control((uint32_t)attr)) {
        return BB_ETYPE;
    }
    e.attr = (uint32_t)attr;
    e.data = body;
    *out = e;
    return 0;
}

/* ---- the node that relays ----------------------------------------------------------------------- */

/* Alone we hear our own ring. */
static bool
must_tell_ourselves(const struct bb_cluster *c, const char *topic, size_t topic_bytes)
{
    return !bbi_cluster_is_alone(c) && bbi_subscriber_hears(c->sub, topic, topic_bytes);
}

static int
publish(struct bb_cluster *c, const struct bbi_envelope *e, uint32_t more)
{
    int rc = bbi_cluster_out(c, e->topic, e->topic_bytes, e->data, e->bytes, e->attr | more);
    if (rc < 0 || !must_tell_ourselves(c, e->topic, e->topic_bytes)) {
        return rc;
    }
    return bbi_deliver_to_self(c, e->topic, e->topic_bytes, e->data, e->bytes, e->attr);
}

/* A view may be overwritten while it is read: what was copied of it until then is not published. */
static int
copy_and_publish(struct bb_cluster *c,
                 const struct bb_msg *msg,
                 const struct bbi_envelope *e,
                 char *topic)
{
    struct bb_topic *t;
    void *loan = NULL;
    memcpy(topic, e->topic, e->topic_bytes);
    if (!bb_msg_valid(c->sub, msg)) {
        return BB_EOVERRUN;
    }
    int rc = bb_topic_open(&t, c->data, topic, e->topic_bytes);
    rc = rc < 0 ? rc : bb_loan(t, e->bytes, &loan);
    if (rc < 0) {
        return rc;
    }
    memcpy(loan, e->data, e->bytes);
    rc = bb_msg_valid(c->sub, msg) ? 0 : BB_EOVERRUN;
    if (rc == 0 && must_tell_ourselves(c, topic, e->topic_bytes)) {
        rc = bbi_deliver_to_self(c, topic, e->topic_bytes, loan, e->bytes, e->attr);
    }
    if (rc < 0) {
        bb_abort(c->data);
        return rc;
    }
    return bb_commit(t, e->bytes, e->attr);
}

void
bbi_relay_take(struct bb_cluster *c, const struct bb_msg *msg)
{
    struct bbi_relayed *r = &c->services->relayed;
    struct bbi_envelope e;
    int rc = bbi_envelope_open(&e, msg->data, msg->bytes);
    char *topic = rc == 0 ? malloc(e.topic_bytes + 1) : NULL;
    if (topic != NULL) {
        rc = copy_and_publish(c, msg, &e, topic);
    }
    r->done += topic != NULL && rc == 0;
    r->refused += topic == NULL || rc < 0;
    free(topic);
}

/* ---- the sender --------------------------------------------------------------------------------- */

static int
relay_through(struct bb_cluster *c, const char *node, const struct bbi_envelope *e, uint32_t more)
{
    char topic[BBI_SERVICE_TOPIC_BYTES];
    struct bb_topic *t;
    struct bb_builder b;
    void *loan = NULL;
    int n = bbi_service_topic(c, node, BBI_RELAY_SERVICE, topic);
    int rc = n < 0 ? n : bb_topic_open(&t, c->data, topic, (size_t)n);
    if (rc < 0) {
        return rc;
    }
    bb_build_init(&b, NULL, 0);
    bbi_envelope_put(&b, e);
    rc = bb_loan(t, b.need_bytes, &loan);
    if (rc < 0) {
        return rc;
    }
    bb_build_init(&b, loan, b.need_bytes);
    bbi_envelope_put(&b, e);
    int64_t used = bb_build_end(&b);
    if (used < 0) {
        bb_abort(c->data);
        return (int)used;
    }
    return bb_commit(t, (size_t)used, BB_CONTROL | BB_NATIVE | more);
}

static int
relay(struct bb_cluster *c,
      const char *node,
      const char *topic,
      const void *event,
      size_t bytes,
      uint32_t attr)
{
    size_t topic_bytes = topic != NULL ? strlen(topic) : 0;
    if (c->data == NULL) {
        return BB_ENOTSUP; /* an observer */
    }
    if (topic == NULL || (event == NULL && bytes > 0) || is_control(attr)
        || bb_topic_is_reserved(topic, topic_bytes)) {
        return BB_EINVAL;
    }
    if (topic_bytes > BB_TOPIC_MAX) {
        return BB_ENAMETOOLONG;
    }
    attr |= (attr & BB_KIND_MASK) == BB_RAW ? BB_EVENT : 0;
    const struct bbi_envelope e = {.topic = topic,
                                   .topic_bytes = topic_bytes,
                                   .data = event,
                                   .bytes = bytes,
                                   .attr = attr & ~(uint32_t)BB_MORE};
    uint32_t more = attr & BB_MORE;
    return strcmp(node, c->name) == 0 ? publish(c, &e, more) : relay_through(c, node, &e, more);
}

/* The pool has nobody: the manager, whoever that is. */
static int
find_manager(struct bb_cluster *c, const char **node)
{
    struct bb_pool *managers = bb_pool_find(c, "manager");
    return managers != NULL ? bb_pool_next(managers, "", node) : BB_ENOENT;
}

int
bb_cluster_relay_hrw(struct bb_pool *pool,
                     const void *key,
                     size_t key_bytes,
                     const char *topic,
                     const void *event,
                     size_t bytes,
                     uint32_t attr)
{
    struct bb_cluster *c = pool->c;
    const char *node = NULL;
    int rc = bb_pool_where(pool, key, key_bytes, 0, &node);
    rc = rc == BB_ENOENT ? find_manager(c, &node) : rc;
    return rc < 0 ? rc : relay(c, node, topic, event, bytes, attr);
}

int
bb_cluster_relay_rr(struct bb_pool *pool,
                    const char *rr_key,
                    const char *topic,
                    const void *event,
                    size_t bytes,
                    uint32_t attr)
{
    struct bb_cluster *c = pool->c;
    const char *node = NULL;
    int rc = bb_pool_next(pool, rr_key, &node);
    rc = rc == BB_ENOENT ? find_manager(c, &node) : rc;
    return rc < 0 ? rc : relay(c, node, topic, event, bytes, attr);
}
