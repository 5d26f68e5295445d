/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/local_out.c - from the bus to the boxes that ask for it.
 *
 * The poll copies a message out of its ring, offering copies it once more, into the queue of each box: views would save
 * the first copy, and must then be checked after they were used.
 */
#include "lib/endpoint/for_cluster.h"
#include "lib/link/local_impl.h"
#include <string.h>

/* Who gets this topic, and who asked for it in vain. */
static void
work_out(struct bbi_local *local, const char *topic, size_t bytes, struct bbi_asked_topic *out)
{
    struct bbi_box_mask asked;
    *out = (struct bbi_asked_topic){0};
    if (bb_topic_is_reserved(topic, bytes)) {
        return;
    }
    bool may_pass = bbi_pass_topic(&local->pass, topic, bytes);
    bbi_asked_match(&local->asked, topic, bytes, &asked);
    for (struct local_box *lb = local->boxes; lb != NULL; lb = lb->next) {
        if (lb->is_muted || !bbi_box_mask_has(&asked, lb->index)) {
            continue;
        }
        bool may =
            may_pass
            && (lb->view == NULL || bbi_rights_may(lb->view, BBI_RIGHT_SUBSCRIBE, topic, bytes));
        bbi_box_mask_set(may ? &out->send : &out->denied, lb->index, true);
    }
}

static void
lose(struct local_box *lb, const struct bbi_link_loss *loss)
{
    lb->lost_before += loss->messages;
    bbi_session_lost(bbi_box_session(lb->box), loss);
}

static void
offer(struct local_box *lb, const struct bbi_link_msg *msg)
{
    int rc = bbi_session_offer(bbi_box_session(lb->box), msg);
    if (rc < 0) { /* larger than links carry: it is missing, and that is told */
        struct bbi_link_loss loss = {.origin = msg->origin,
                                     .first_seq = msg->seq,
                                     .last_seq = msg->seq,
                                     .messages = 1,
                                     .bytes = msg->bytes,
                                     .reasons = BBI_GAP_SIZE};
        lose(lb, &loss);
    }
}

static void
fill_origin(struct bbi_link_origin *origin, const struct bb_msg *msg)
{
    origin->node_id = msg->node_id;
    origin->ring = msg->ring;
    if (origin->name != msg->node) { /* of the same poll: the same bytes */
        origin->name = msg->node;
        origin->name_bytes = strlen(msg->node);
    }
}

static void
send(struct bbi_local *local, const struct bbi_asked_topic *to, const struct bb_msg *msg)
{
    struct bbi_link_msg *out = &local->out;
    fill_origin(&out->origin, msg);
    out->seq = msg->seq;
    out->wall_ns = msg->wall_ns;
    out->topic = msg->topic;
    out->topic_bytes = msg->topic_bytes;
    out->data = msg->data;
    out->bytes = msg->bytes;
    out->attr = msg->attr & (uint32_t)LOCAL_ATTR;
    for (uint32_t word = 0; word < BBI_ASKED_WORDS; word++) {
        uint64_t send = to->send.words[word];
        for (; send != 0; send &= send - 1) {
            offer(local->by_index[word * 64 + (uint32_t)__builtin_ctzll(send)], out);
        }
        uint64_t denied = to->denied.words[word];
        for (; denied != 0; denied &= denied - 1) {
            local->by_index[word * 64 + (uint32_t)__builtin_ctzll(denied)]->denied_out++;
        }
    }
}

/*
 * Messages of that ring were overwritten before we read them.  Their topics are gone with them: it is a loss to every box
 * that asks for anything, so the number is what it may have missed at most.
 */
static void
take_loss(struct bbi_local *local, const struct bb_msg *msg)
{
    uint64_t count = msg->status->count;
    if (count == 0) {
        return;
    }
    struct bbi_link_loss loss = {.origin = local->out.origin,
                                 .first_seq = msg->seq >= count ? msg->seq - count + 1 : 0,
                                 .last_seq = msg->seq,
                                 .messages = count,
                                 .bytes = BBI_LINK_UNKNOWN};
    fill_origin(&loss.origin, msg);
    local->lost += count;
    struct bbi_box_mask asking = {0};
    for (const struct bbi_asked_node *n = local->asked.first; n != NULL; n = n->next) {
        struct bbi_box_mask of = n->is_taken ? bbi_asked_of(n) : (struct bbi_box_mask){0};
        for (int i = 0; i < BBI_ASKED_WORDS; i++) {
            asking.words[i] |= of.words[i];
        }
    }
    for (struct local_box *lb = local->boxes; lb != NULL; lb = lb->next) {
        if (!lb->is_muted && bbi_box_mask_has(&asking, lb->index)) {
            lose(lb, &loss);
        }
    }
}

static void
take(struct bbi_local *local, const struct bb_msg *msg)
{
    struct bbi_asked_topic scratch;
    bool is_known = false;
    if (msg->status != NULL) {
        if (msg->status->kind == BB_STATUS_OVERRUN) {
            take_loss(local, msg);
        }
        return;
    }
    if ((msg->attr & (BB_BRIDGED | BB_REPLY | (uint32_t)BBI_MSG_PERSONAL)) != 0) {
        return;
    }
    struct bbi_asked_topic *to =
        bbi_asked_cached(&local->asked, msg->topic, msg->topic_bytes, &is_known);
    if (to == NULL) {
        to = &scratch;
        work_out(local, msg->topic, msg->topic_bytes, to);
    } else if (!is_known) {
        work_out(local, msg->topic, msg->topic_bytes, to);
    }
    send(local, to, msg);
}

int
bbi_local_out(struct bbi_local *local, size_t max)
{
    size_t taken = 0;
    bbi_subscriber_awake(local->sub, true);
    while (taken < max) {
        size_t want = max - taken < LOCAL_POLL ? max - taken : LOCAL_POLL;
        local->out.origin.name = NULL;
        int n = bb_poll(local->sub, local->msgs, want, 0);
        if (n < 0) {
            bbi_subscriber_awake(local->sub, false);
            return taken > 0 ? (int)taken : n;
        }
        for (int i = 0; i < n; i++) {
            take(local, &local->msgs[i]);
        }
        taken += (size_t)n;
        if ((size_t)n < want) {
            break;
        }
    }
    if (taken == 0) {
        bbi_subscriber_awake(local->sub, false);
    }
    return (int)taken;
}

uint64_t
bbi_local_lost(const struct bbi_local *local)
{
    return local->lost;
}
