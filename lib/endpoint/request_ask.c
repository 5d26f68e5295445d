/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/endpoint/request_ask.c - bb_request(): who is asked, and is anybody there?
 */
#include "lib/endpoint/bridge_words.h"
#include "lib/endpoint/request_impl.h"
#include "shm/os.h"
#include "shm/registry.h"
#include <stdlib.h>

static const int64_t TIMEOUT_NS = INT64_C(1000000000);

int
bbi_request_opts_take(struct bb_request_opts *o, const struct bb_request_opts *opts)
{
    return bbi_opts_take(o, sizeof(*o), BBI_OPTS_NO_ERROR, opts, "struct bb_request_opts");
}

static int64_t
deadline_of(const struct bb_request_opts *o, int64_t now)
{
    int64_t timeout_ns = o->timeout_ns != 0 ? o->timeout_ns : TIMEOUT_NS;
    return timeout_ns < 0 || timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

/* A bridge subscribes for other boxes, where no request goes: it answers what is asked of it by name, and nothing else. */
static bool
is_bridge(const struct bb_subscriber *replies, const struct bbi_row *row)
{
    struct bbi_member_view m;
    return bbi_member_read(&replies->at->bus->members[row->member], &m)
           && strcmp(m.name, BBI_BRIDGE_NODE) == 0;
}

/* Whose answer `replies` can hear, and who is meant. */
static bool
is_asked(const struct bb_subscriber *replies, uint64_t to_node, const struct bbi_row *row)
{
    uint64_t node_id = bbi_node_id(row->member, row->member_gen);
    bool is_own = node_id == replies->ep->id;
    return (to_node != 0 ? to_node == node_id : !is_bridge(replies, row))
           && (!is_own || (replies->flags & BB_SUBSCRIBER_LOOPBACK) != 0);
}

/* Everybody who wants the topic and lives.  0 or BB_EFULL. */
static int
find_asked(struct bb_topic *topic,
           struct bb_subscriber *replies,
           uint64_t to_node,
           struct bbi_pending *p,
           int64_t now)
{
    bbi_address_look(topic->pub);
    bbi_topic_refresh(topic);
    for (uint32_t i = 0; i < topic->pub->audience.top; i++) {
        struct bbi_row row;
        if ((topic->mask.words[i / 64] >> i % 64 & 1) == 0
            || !bbi_row_read(&replies->at->bus->subs[i], &row)
            || !is_asked(replies, to_node, &row)) {
            continue;
        }
        struct bbi_asked *a = bbi_asked_open(replies->requests, i, &row);
        if (a == NULL) {
            return BB_EFULL;
        }
        if (bbi_asked_is_there(replies, a, now)) {
            uint32_t slot = (uint32_t)(a - replies->requests->asked);
            p->awaits[slot / 64] |= UINT64_C(1) << slot % 64;
            p->waits++;
            a->open++; /* its slot is taken, until we know whether the request went */
        }
    }
    return p->waits > 0 ? 0 : BB_ENORESPONDERS;
}

static void
give_back(struct bbi_requests *r, const struct bbi_pending *p)
{
    for (uint32_t i = 0; i < BBI_ASKED; i++) {
        r->asked[i].open -= (uint32_t)(p->awaits[i / 64] >> i % 64 & 1);
    }
}

static int
publish(struct bb_topic *topic,
        const struct bb_subscriber *replies,
        const struct bbi_pending *p,
        uint64_t to_node,
        struct bbi_addressed *msg)
{
    msg->known = topic;
    msg->to = (struct bbi_address){
        .kind = BBI_TO_REQUEST,
        .to_node = to_node,
        .sub_key = replies->file.key,
        .sub_index = replies->file.index,
        .id = p->info.id,
        .deadline_ns = p->deadline_ns,
    };
    return bbi_address_write(topic->pub, msg);
}

/* The request is open before it is published; what fails leaves nothing. */
static int
ask(struct bb_topic *topic,
    struct bb_subscriber *replies,
    const struct bb_request_opts *o,
    struct bbi_addressed *msg)
{
    int64_t now = bbi_os_mono_ns();
    struct bbi_pending *p = calloc(1, sizeof(*p) + topic->bytes);
    if (p == NULL) {
        return BB_ENOMEM;
    }
    memcpy(p->topic, topic->text, topic->bytes);
    p->topic_bytes = topic->bytes;
    p->info.id = replies->requests->last_id + 1;
    p->answers_wanted = o->answers;
    p->deadline_ns = deadline_of(o, now);
    int rc = find_asked(topic, replies, o->to_node, p, now);
    p->info.asked = p->waits;
    if (rc == 0) {
        rc = publish(topic, replies, p, o->to_node, msg);
    }
    give_back(replies->requests, p);
    if (rc < 0) {
        free(p);
        return rc;
    }
    replies->requests->last_id++;
    if (p->topic_bytes > replies->request_topic_bytes) {
        replies->request_topic_bytes = p->topic_bytes;
    }
    bbi_requests_add(replies, p);
    return 0;
}

int
bb_request(struct bb_topic *topic,
           struct bb_subscriber *replies,
           const void *data,
           size_t bytes,
           uint32_t attr,
           const struct bb_request_opts *opts,
           uint64_t *id)
{
    struct bb_request_opts o;
    int rc = bbi_request_opts_take(&o, opts);
    if (rc < 0) {
        return rc;
    }
    if (bbi_is_forked(topic->pub->fork_gen) || bbi_is_forked(replies->fork_gen)) {
        return BB_EFORKED;
    }
    if (replies->ep != topic->pub->ep || o.reserved != 0 || (data == NULL && bytes > 0)) {
        return BB_EINVAL;
    }
    rc = bbi_requests_reserve(replies);
    if (rc < 0) {
        return rc;
    }
    struct bbi_addressed msg = {.data = data, .bytes = bytes, .attr = attr & ~(uint32_t)BB_REPLY};
    rc = ask(topic, replies, &o, &msg);
    if (rc == 0 && id != NULL) {
        *id = replies->requests->last_id;
    }
    return rc;
}

int
bb_request_cancel(struct bb_subscriber *replies, uint64_t id)
{
    if (bbi_is_forked(replies->fork_gen)) {
        return BB_EFORKED;
    }
    struct bbi_pending *p = bbi_requests_find(replies, id);
    if (p == NULL) {
        return BB_ENOENT;
    }
    bbi_requests_remove(replies, p);
    return 0;
}
