/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A handle's lane, as a part of it: made with its first stream, gone with the handle.  Its batches have a ring of
 * their own, so that no amount of them overtakes who reads the handle's events.
 */
#include "lib/cluster/log_impl.h"
#include "shm/fault.h"
#include "shm/os.h"
#include <stdlib.h>
#include <string.h>

static int lane_message(struct bbi_part *part, struct bb_cluster *c, const struct bb_msg *msg);

struct bbi_lane *
bbi_lane_find(const struct bb_cluster *c)
{
    for (struct bbi_part *part = c->parts; part != NULL; part = part->next) {
        if (part->message == lane_message) {
            return (struct bbi_lane *)part;
        }
    }
    return NULL;
}

void
bbi_part_remove(struct bb_cluster *c, struct bbi_part *part)
{
    for (struct bbi_part **at = &c->parts; *at != NULL; at = &(*at)->next) {
        if (*at == part) {
            *at = part->next;
            return;
        }
    }
}

/* ---- what a cluster's poll brings --------------------------------------------------------------- */

int
bbi_log_head_of(const struct bb_cluster *c,
                const struct bb_msg *msg,
                const char *tail,
                struct bbi_log_head *head)
{
    size_t tail_bytes = strlen(tail);
    *head = (struct bbi_log_head){0};
    if (msg->status != NULL || msg->topic_bytes != c->prefix_bytes + tail_bytes
        || memcmp(msg->topic, c->prefix, c->prefix_bytes) != 0
        || memcmp(msg->topic + c->prefix_bytes, tail, tail_bytes) != 0) {
        return 0;
    }
    struct bbi_log_head read;
    if (msg->bytes >= sizeof(read)) {
        memcpy(&read, msg->data, sizeof(read));
        if (read.magic == BBI_LOG_MAGIC && bb_msg_valid(c->sub, msg) != 0) {
            *head = read;
        }
    }
    return 1;
}

static void
take_said(struct bbi_lane *lane,
          const struct bb_cluster *c,
          const struct bb_msg *msg,
          uint32_t count)
{
    struct bbi_log_said said[BBI_LOG_SAID_MAX];
    if (count <= BBI_LOG_SAID_MAX
        && msg->bytes == sizeof(struct bbi_log_head) + count * sizeof(said[0])) {
        memcpy(said, (const unsigned char *)msg->data + sizeof(struct bbi_log_head),
               count * sizeof(said[0]));
        if (bb_msg_valid(c->sub, msg) != 0) { /* else it is asked again */
            bbi_lane_said(lane, msg->node_id, said, count, bbi_os_mono_ns());
        }
    }
}

static int
lane_message(struct bbi_part *part, struct bb_cluster *c, const struct bb_msg *msg)
{
    struct bbi_lane *lane = (struct bbi_lane *)part;
    struct bbi_log_head head;
    if (bbi_log_head_of(c, msg, "lane/writer/", &head) == 0) {
        return 0;
    }
    if (head.kind == BBI_LOG_SAID) {
        take_said(lane, c, msg, head.count);
    } else if (head.kind == BBI_LOG_HERE) {
        bbi_lane_here(lane, msg->node_id, head.number, bbi_os_mono_ns());
    } else if (head.kind == BBI_LOG_GONE) {
        bbi_lane_gone(lane, msg->node_id);
    }
    return 1;
}

/* A logger may have said that it is here before we could hear it. */
static void
lane_change(struct bbi_part *part, struct bb_cluster *c, const struct bbi_node_change *change)
{
    struct bbi_lane *lane = (struct bbi_lane *)part;
    if (change->kind == BB_STATUS_NODE_UP && change->node->role == BB_ROLE_LOGGER
        && change->node->id != c->id) {
        bbi_lane_ask(lane, change->node->id, 0);
    }
}

static int64_t
lane_tick(struct bbi_part *part, struct bb_cluster *c, int64_t now_ns)
{
    (void)c;
    return bbi_lane_tick((struct bbi_lane *)part, now_ns);
}

/* Streams that were not closed: what is unsaid is lost, and nobody is left to ask for the count. */
static void
lane_leave(struct bbi_part *part, struct bb_cluster *c)
{
    struct bbi_lane *lane = (struct bbi_lane *)part;
    bbi_part_remove(c, part);
    while (lane->logs != NULL) {
        (void)bb_log_close(lane->logs, 0);
    }
    bbi_lane_free(lane);
}

/* ---- making it ---------------------------------------------------------------------------------- */

static int
begin(struct bbi_lane *lane, struct bb_error *error)
{
    struct bb_cluster *c = lane->c;
    char from_logger[128];
    int to = bbi_cluster_topic(c, "lane/", "logger/", "", lane->to_logger, sizeof(lane->to_logger));
    int from = bbi_cluster_topic(c, "lane/", "writer/", "", from_logger, sizeof(from_logger));
    if (to < 0 || from < 0) {
        return to < 0 ? to : from;
    }
    struct bb_publisher_opts opts = {
        .size = sizeof(opts), .lane = BB_LANE_DATA, .policy = BB_POLICY_EVICT, .error = error};
    lane->to_logger_bytes = (size_t)to;
    int rc = bb_subscribe(c->sub, from_logger, (size_t)from, 0);
    rc = rc < 0 ? rc : bb_publisher_open(&lane->pub, c->ep, &opts);
    if (rc == 0) {
        lane->message_max = bb_publisher_max(lane->pub);
        lane->window_bytes = 8 * lane->message_max;
    }
    return rc;
}

int
bbi_lane_get(struct bb_cluster *c, struct bbi_lane **out, struct bb_error *error)
{
    struct bbi_fault f = {.uid = -1};
    struct bbi_lane *lane = bbi_lane_find(c);
    if (lane != NULL) {
        *out = lane;
        return 0;
    }
    lane = calloc(1, sizeof(*lane));
    if (lane == NULL) {
        (void)bbi_fault_set(&f, BB_ENOMEM, "log lane", "the log lane: out of memory");
        return bbi_error_fill(error, &f);
    }
    lane->c = c;
    int rc = begin(lane, error);
    if (rc < 0) {
        free(lane);
        return rc;
    }
    lane->epoch = UINT64_MAX;
    lane->part.message = lane_message;
    lane->part.change = lane_change;
    lane->part.tick = lane_tick;
    lane->part.leave = lane_leave;
    bbi_cluster_add_part(c, &lane->part);
    bbi_lane_ask(lane, 0, 0);
    *out = lane;
    return 0;
}
