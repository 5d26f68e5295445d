/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/far.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_S    INT64_C(1000000000)
#define PATIENCE_NS INT64_C(5000000000)
#define KNOW_NS     INT64_C(200000000) /* for the other box to know our prefixes; then we try again */

enum { RUNNING_WAIT_S = 60 }; /* without --wait, once it was heard */

/* ---- whose word it is ---------------------------------------------------------------------------- */

void
sensor_far_init(struct sensor_far *far, const struct sensor_options *opts)
{
    memset(far, 0, sizeof(*far));
    far->opts = opts;
    far->hint_ns = sensor_mono_ns() + PATIENCE_NS;
}

void
sensor_far_follow(struct sensor_far *far, const struct bb_origin *from)
{
    far->is_known = true;
    memcpy(far->box, from->box, sizeof(far->box));
    (void)snprintf(far->box_name, sizeof(far->box_name), "%s",
                   from->box_name != NULL ? from->box_name : "");
    far->node_id = from->node_id;
    far->heard_ns = sensor_mono_ns();
}

bool
sensor_far_is_its_box(const struct sensor_far *far, const struct bb_origin *from)
{
    return far->is_known && memcmp(far->box, from->box, sizeof(far->box)) == 0;
}

bool
sensor_far_is_it(struct sensor_far *far, const struct bb_origin *from)
{
    if (!sensor_far_is_its_box(far, from) || far->node_id != from->node_id) {
        return false;
    }
    far->heard_ns = sensor_mono_ns();
    return true;
}

bool
sensor_far_read(const struct sensor_lead *lead,
                const struct bb_msg *msg,
                struct sensor_box_word *word,
                struct bb_origin *from)
{
    *from = (struct bb_origin){.size = sizeof(*from)};
    if (msg->status != NULL || bb_msg_origin(msg, from) != 0) {
        return false;
    }
    sensor_box_read(word, msg->data, msg->bytes);
    return word->kind != SENSOR_BOX_NO_WORD
           && bb_msg_valid(bb_cluster_subscriber(lead->node.cluster), msg) != 0;
}

/* ---- the link -------------------------------------------------------------------------------------- */

void
sensor_far_status(struct sensor_far *far, const struct bb_msg *msg)
{
    uint32_t kind = msg->status->kind;

    if (!far->is_known || strcmp(msg->node, far->box_name) != 0) {
        return;
    }
    if (kind == BB_STATUS_GAP) {
        far->gap_messages += msg->status->count;
        sensor_say(far->opts->node, "the link to %s reports %" PRIu64 " messages that are missing",
                   far->box_name, msg->status->count);
    } else if (kind == BB_STATUS_PEER_ADDED && far->is_cut) {
        far->is_cut = false;
        sensor_say(far->opts->node, "the link to %s is up again", far->box_name);
    } else if ((kind == BB_STATUS_PEER_LOST || kind == BB_STATUS_PEER_REMOVED) && !far->is_cut) {
        far->is_cut = true;
        sensor_say(far->opts->node, "the link to %s is cut; waiting for it", far->box_name);
    }
}

const char *
sensor_far_is_over(const struct sensor_far *far)
{
    int64_t wait_s = far->opts->wait_s != 0 ? far->opts->wait_s : RUNNING_WAIT_S;

    if (!far->is_known) {
        return NULL;
    }
    if (far->is_gone) {
        return "was killed";
    }
    return sensor_mono_ns() > far->heard_ns + wait_s * NS_PER_S ? "was not heard for too long"
                                                                : NULL;
}

void
sensor_far_hint(struct sensor_far *far, struct bb_cluster *cluster)
{
    const char *what = far->opts->box == SENSOR_ON_WORKERS ? "manager" : "workers";
    struct bb_bridge_info info = {.size = sizeof(info)};
    struct bb_error error = {0};
    int rc = 0;

    if (far->is_known || sensor_mono_ns() < far->hint_ns) {
        return;
    }
    far->hint_ns = INT64_MAX;
    rc = bb_bridge_look(bb_cluster_endpoint(cluster), &info, &error);
    if (rc == 0 && info.up != 0) {
        sensor_say(far->opts->node,
                   "waiting for the other box: start `busbar-sensor --box %s` there", what);
    } else if (rc == 0) {
        sensor_say(far->opts->node,
                   "waiting for the other box: no link is up; `busbar bridge ls` says why");
    } else if (rc == BB_ENORESPONDERS) {
        sensor_say(far->opts->node, "waiting for the other box: no busbard runs on this bus; "
                                    "`busbard --peer HOST:PORT --topics sensor/` makes a link");
    } else {
        sensor_say(far->opts->node, "waiting for the other box; the links cannot be asked for: %s",
                   error.sentence[0] != '\0' ? error.sentence : bb_strerror(rc));
    }
}

int
sensor_far_knows(struct sensor_lead *lead)
{
    struct bb_error error = {0};
    int rc = bb_interest_wait(bb_cluster_endpoint(lead->node.cluster), KNOW_NS, &error);

    if (rc == BB_ETIMEDOUT || rc == BB_ENORESPONDERS) { /* busbard may come again */
        return 0;
    }
    return rc >= 0 ? rc > 0
                   : sensor_fail_bus(&lead->fail, rc, &error, "cannot ask busbard for the link");
}

/* ---- speaking ---------------------------------------------------------------------------------------- */

int
sensor_far_say(struct sensor_lead *lead, const char *topic, const struct sensor_box_word *word)
{
    static unsigned char buf[SENSOR_BOX_WORD_BYTES];
    int rc = sensor_node_say(&lead->node, topic, buf, sensor_box_write(buf, sizeof(buf), word));

    return rc == 0 || rc == BB_EAGAIN
               ? 0
               : sensor_fail_bus(&lead->fail, rc, NULL, "cannot publish to the other box");
}

static int
publish_gone(struct bb_endpoint *ep, const char *topic)
{
    static struct sensor_box_word gone = {.kind = SENSOR_BOX_GONE}; /* large */
    struct bb_publisher_opts how = {.size = sizeof(how), .lane = BB_LANE_ONESHOT};
    struct bb_publisher *pub;
    unsigned char buf[SENSOR_EVENT_BYTES];
    int64_t bytes = sensor_box_write(buf, sizeof(buf), &gone);
    int rc = bytes < 0 ? (int)bytes : bb_publisher_open(&pub, ep, &how);

    if (rc != 0) {
        return rc;
    }
    rc = bb_publish_to(pub, topic, strlen(topic), buf, (size_t)bytes, BB_EVENT | BB_NATIVE);
    bb_publisher_close(pub);
    return rc;
}

void
sensor_far_say_gone(const struct sensor_options *opts)
{
    struct bb_endpoint_opts at = {
        .size = sizeof(at), .dir = opts->dir, .bus = opts->bus, .flags = BB_ATTACH_EXISTING};
    struct bb_endpoint *ep;

    if (bb_endpoint_open(&ep, &at) != 0) {
        return; /* the other box hears nothing, and gives us up after a while */
    }
    (void)publish_gone(ep, opts->box == SENSOR_ON_WORKERS ? SENSOR_TOPIC_BOX_SITE
                                                          : SENSOR_TOPIC_BOX_MANAGER);
    bb_endpoint_close(ep);
}
