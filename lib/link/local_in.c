/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lib/link/local_in.c - from another box into its ring on this bus.
 */
#include "lib/link/local_impl.h"
#include <stdio.h>
#include <string.h>

int
bbi_local_ring_open(struct bbi_local *local, struct local_box *lb, struct bbi_fault *f)
{
    struct bb_error error = {0};
    if (lb->pub != NULL) {
        return 0;
    }
    struct bb_publisher_opts opts = {.size = sizeof(opts),
                                     .lane = BB_LANE_DATA,
                                     .bytes = local->ring_bytes,
                                     .topics = LOCAL_TOPICS,
                                     .error = &error};
    int rc = bb_publisher_open(&lb->pub, local->ep, &opts);
    lb->has_topic = false;
    lb->unflushed = 0;
    lb->unflushed_bytes = 0;
    if (rc == 0) {
        bbi_publisher_late(lb->pub);
    }
    if (rc < 0) {
        return bbi_fault_set(f, rc, lb->name, "no ring for the messages of %s: %s", lb->name,
                             error.sentence[0] != '\0' ? error.sentence : bb_strerror(rc));
    }
    return 0;
}

/* Wakes who sleeps. */
static void
flush(struct local_box *lb)
{
    lb->unflushed = 0;
    lb->unflushed_bytes = 0;
    (void)bb_flush(lb->pub);
}

/* ---- statuses ----------------------------------------------------------------------------------------------------- */

void
bbi_local_event(struct bbi_local *local,
                struct local_box *lb,
                const struct bb_status *status,
                const char *text)
{
    if (lb->pub == NULL) {
        return;
    }
    struct bbi_link_event event = {.status = *status,
                                   .box_name = lb->name,
                                   .box_name_bytes = strlen(lb->name),
                                   .text = text,
                                   .text_bytes = strnlen(text, BBI_LINK_TEXT_MAX)};
    int rc = bbi_publish_link_event(lb->pub, &event);
    flush(lb);
    if (rc < 0) {
        bbi_local_say(local, "error", "a status of %s could not be published (%s): %s", lb->name,
                      bb_strerror(rc), text);
    }
}

static void
list_reasons(uint32_t reasons, char *out, size_t cap)
{
    static const char *const words[] = {"overwritten before the bridge read them",
                                        "the oldest of a full queue",
                                        "no room in a full queue",
                                        "the link was ended, its queue full",
                                        "sent to an earlier life of this bridge",
                                        "larger than links carry",
                                        "no longer allowed to this box when the link came up"};
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && used < cap; i++) {
        if ((reasons >> i & 1) != 0) {
            used +=
                (size_t)snprintf(out + used, cap - used, "%s%s", used > 0 ? "; " : "", words[i]);
        }
    }
}

static void
tell_gap(struct bbi_local *local, struct local_box *lb, const struct bb_status *status)
{
    char reasons[256];
    char text[BBI_LINK_TEXT_MAX + 1];
    list_reasons(status->reasons, reasons, sizeof(reasons));
    int used = snprintf(text, sizeof(text), "%llu messages of %s are missing here",
                        (unsigned long long)status->count, lb->name);
    if (status->uncertain > 0) {
        used +=
            snprintf(text + used, sizeof(text) - (size_t)used,
                     ", %llu of these may have come before", (unsigned long long)status->uncertain);
    }
    (void)snprintf(text + used, sizeof(text) - (size_t)used, ": %s", reasons);
    bbi_local_event(local, lb, status, text);
}

void
bbi_local_gap(struct bbi_local *local, struct bbi_box *box, const struct bbi_gap *gap)
{
    struct local_box *lb = bbi_box_user(box);
    if (lb == NULL) {
        return;
    }
    struct bb_status status = {.kind = BB_STATUS_GAP,
                               .count = gap->messages,
                               .uncertain = gap->uncertain,
                               .bytes = gap->bytes,
                               .reasons = gap->reasons};
    tell_gap(local, lb, &status);
}

/* It came, and the ring did not take it: missing, like what never came. */
static void
refuse(struct bbi_local *local, struct local_box *lb, const struct bbi_link_msg *msg, int rc)
{
    struct bb_status status = {.kind = BB_STATUS_GAP,
                               .count = 1,
                               .bytes = msg->bytes,
                               .reasons = rc == BB_EMSGSIZE ? BB_GAP_SIZE : BB_GAP_NEWEST};
    tell_gap(local, lb, &status);
}

/* ---- messages ----------------------------------------------------------------------------------------------------- */

static bool
is_allowed(struct bbi_local *local, struct local_box *lb, const char *topic, size_t bytes)
{
    return bbi_pass_topic(&local->pass, topic, bytes)
           && (lb->view == NULL || bbi_rights_may(lb->view, BBI_RIGHT_PUBLISH, topic, bytes));
}

/* The topic's handle; NULL: it may not publish this, or *rc says why there is none.  Batches repeat their topics. */
static struct bb_topic *
topic_of(struct bbi_local *local, struct local_box *lb, const struct bbi_link_msg *msg, int *rc)
{
    *rc = 0;
    if (lb->has_topic && lb->topic_bytes == msg->topic_bytes
        && (msg->topic_bytes == 0 || memcmp(lb->topic_text, msg->topic, msg->topic_bytes) == 0)) {
        return lb->topic;
    }
    struct bb_topic *topic = NULL;
    if (is_allowed(local, lb, msg->topic, msg->topic_bytes)) {
        *rc = bb_topic_open(&topic, lb->pub, msg->topic, msg->topic_bytes);
    }
    lb->has_topic = *rc == 0 && msg->topic_bytes <= LOCAL_TOPIC_BYTES;
    if (lb->has_topic) {
        lb->topic = topic;
        lb->topic_bytes = (uint32_t)msg->topic_bytes;
        if (msg->topic_bytes > 0) {
            memcpy(lb->topic_text, msg->topic, msg->topic_bytes);
        }
    }
    return topic;
}

/* A link goes one box far: what is not of its own is of nobody that we know. */
static bool
is_its_own(const struct local_box *lb, const struct bbi_link_msg *msg)
{
    return bbi_link_id_compare(&msg->origin.box, &bbi_box_hello(lb->box)->node) == 0;
}

/* Messages of one call that name the same bytes as their origin's name came with one origin, which stood there once. */
static bool
has_same_origin(const struct bbi_link_msg *msg, const struct bbi_link_msg *before)
{
    return msg->origin.name == before->origin.name && msg->scope == before->scope
           && msg->ttl == before->ttl;
}

static void
set_origin(struct bbi_origin *out, const struct local_box *lb, const struct bbi_link_msg *msg)
{
    *out = (struct bbi_origin){.epoch = msg->origin.epoch,
                               .node_id = msg->origin.node_id,
                               .ring = msg->origin.ring,
                               .scope = msg->scope,
                               .ttl = msg->ttl,
                               .name = msg->origin.name,
                               .name_bytes = msg->origin.name_bytes,
                               .box_name = lb->name,
                               .box_name_bytes = strlen(lb->name)};
    memcpy(out->box, msg->origin.box.v, sizeof(out->box));
}

static int
publish(struct local_box *lb,
        struct bb_topic *topic,
        struct bbi_origin *origin,
        const struct bbi_link_msg *msg)
{
    uint32_t attr = msg->attr & (uint32_t)LOCAL_ATTR;
    origin->seq = msg->seq;
    origin->wall_ns = msg->wall_ns;
    int rc = bbi_publish_bridged(topic, origin, msg->data, msg->bytes, attr | BB_MORE);
    lb->unflushed++;
    lb->unflushed_bytes += msg->bytes;
    if (lb->unflushed >= LOCAL_FLUSH || lb->unflushed_bytes >= LOCAL_FLUSH_BYTES) {
        flush(lb);
    }
    return rc;
}

void
bbi_local_messages(struct bbi_local *local,
                   struct bbi_box *box,
                   const struct bbi_link_msg *msgs,
                   size_t count)
{
    struct local_box *lb = bbi_box_user(box);
    if (lb == NULL || lb->pub == NULL) {
        return; /* its ring could not be opened: the link is being ended for that */
    }
    struct bbi_origin origin = {0};
    bool is_own = false;
    lb->is_used = true;
    for (size_t i = 0; i < count; i++) {
        const struct bbi_link_msg *msg = &msgs[i];
        int rc = 0;
        if (i == 0 || !has_same_origin(msg, &msgs[i - 1])) {
            set_origin(&origin, lb, msg);
            is_own = is_its_own(lb, msg);
        }
        struct bb_topic *topic = is_own ? topic_of(local, lb, msg, &rc) : NULL;
        if (topic == NULL && rc == 0) {
            lb->denied_in++;
            continue;
        }
        rc = rc < 0 ? rc : publish(lb, topic, &origin, msg);
        if (rc < 0) {
            refuse(local, lb, msg, rc);
        }
    }
}

/* ---- room --------------------------------------------------------------------------------------------------------- */

/* Could what may still come push out a reliable subscriber? */
static bool
is_tight(struct local_box *lb)
{
    uint64_t ring = 3 * (uint64_t)bb_publisher_max(lb->pub); /* of a small one: three quarters */
    uint64_t need = LOCAL_WINDOW_BYTES < ring ? LOCAL_WINDOW_BYTES : ring;
    return bb_headroom(lb->pub) < need || bb_headroom_messages(lb->pub) < LOCAL_WINDOW_MESSAGES;
}

static void
hold(struct local_box *lb, bool is_held, int64_t mono_ns)
{
    if (lb->is_held != is_held) {
        lb->is_held = is_held;
        lb->held_ns = mono_ns;
        bbi_session_hold(bbi_box_session(lb->box), is_held);
    }
}

int64_t
bbi_local_room(const struct bbi_local *local, struct local_box *lb, int64_t mono_ns)
{
    if (lb->pub == NULL) {
        return INT64_MAX;
    }
    if (lb->unflushed > 0) {
        flush(lb);
    }
    if (!lb->is_used && !lb->is_held && !lb->is_hold_spent) {
        return INT64_MAX;
    }
    lb->is_used = false;
    bool tight = lb->is_up && is_tight(lb);
    if (!tight) {
        lb->is_hold_spent = false;
        hold(lb, false, mono_ns);
        return INT64_MAX;
    }
    if (lb->is_held && mono_ns - lb->held_ns >= local->hold_max_ns) {
        lb->is_hold_spent = true; /* from here on the ring's policy decides */
        hold(lb, false, mono_ns);
    } else if (!lb->is_hold_spent) {
        hold(lb, true, mono_ns);
    }
    return mono_ns + LOCAL_HELD_NS;
}
