/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A leader hears everybody reliably, each node's words in their order and its going after the last of them.
 */
#include "tools/sensor/lead.h"

#include "tools/sensor/others.h"
#include "tools/sensor/protocol.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S    INT64_C(1000000000)
#define HELLO_NS    INT64_C(250000000)  /* between two calls of the roll */
#define PATIENCE_NS INT64_C(5000000000) /* then we say on standard error whom we wait for */
#define STOP_NS     INT64_C(5000000000) /* for the end marks, after `stop` */

/* What is to be said, in this order. */
enum { SAY_HELLO = 1u << 0, SAY_START = 1u << 1, SAY_STOP = 1u << 2, SAY_PASSED = 1u << 3 };

/* ---- what arrives ------------------------------------------------------------------------------ */

static void
take_status(struct sensor_lead *lead, const struct bb_msg *msg)
{
    if (msg->status->kind == BB_STATUS_NODE_DOWN
        && !sensor_earlier_has(lead->opts->earlier, msg->node_id, msg->status->pid)) {
        sensor_layout_gone(&lead->layout, msg->node, msg->node_id,
                           msg->status->count == 1 ? "left before its end mark"
                                                   : "died before its end mark",
                           lead->opts->forked);
    }
}

static void
take_ready(struct sensor_lead *lead, const struct sensor_message *in, const struct bb_msg *msg)
{
    bool fits = in->workers == lead->layout.workers;

    if (fits && sensor_layout_ready(&lead->layout, in->role, in->share, msg->node, msg->node_id)) {
        lead->to_say |= lead->layout.started ? SAY_START : 0u; /* it came back */
        lead->to_say |= lead->has_passed ? SAY_PASSED : 0u;
        return;
    }
    if (lead->layout.started || lead->told_of_mismatch) {
        return;
    }
    lead->told_of_mismatch = true;
    if (!fits) {
        sensor_say(lead->opts->node,
                   "%s was told of %" PRIu64
                   " workers, this manager of %u: start all nodes with the "
                   "same --workers",
                   msg->node, in->workers, lead->layout.workers);
    } else if (in->role == BB_ROLE_WORKER && in->share < lead->layout.workers) {
        sensor_say(lead->opts->node,
                   "%s wants share %" PRIu64 ", which %s has: end their names in different numbers",
                   msg->node, in->share + 1, lead->layout.peers[in->share].name);
    } else {
        sensor_say(lead->opts->node,
                   "%s is one %s more than this manager was told of, or its number is taken: start "
                   "all nodes with the same --proxies and --loggers",
                   msg->node, bb_role_name((uint32_t)in->role));
    }
}

static void
take_connection(struct sensor_lead *lead, const struct bb_msg *msg)
{
    struct sensor_peer *peer = sensor_layout_find(&lead->layout, msg->node_id);

    if (peer != NULL) {
        peer->delivered++;
    }
}

static int
take(void *user, const struct sensor_message *in, const struct bb_msg *msg)
{
    struct sensor_lead *lead = user;

    if (in != NULL) {
        lead->strange_messages += sensor_members_find(&lead->node.members, msg->node_id) == NULL;
    }
    if (lead->opts->box == SENSOR_ON_MANAGER) {
        return 0; /* its nodes are on another box: ids of that one, which others have here */
    }
    if (in == NULL) {
        take_status(lead, msg);
        return 0;
    }
    switch (in->kind) {
    case SENSOR_MSG_READY:
        take_ready(lead, in, msg);
        break;
    case SENSOR_MSG_CONNECTION:
        take_connection(lead, msg);
        break;
    case SENSOR_MSG_END:
        sensor_layout_end(&lead->layout, msg->node_id, &in->end);
        break;
    case SENSOR_MSG_TALLY:
        sensor_layout_tally(&lead->layout, msg->node_id, &in->tally);
        break;
    case SENSOR_MSG_UNKNOWN:
    case SENSOR_MSG_HELLO:
    case SENSOR_MSG_START:
    case SENSOR_MSG_STOP:
    case SENSOR_MSG_PASSED:
    case SENSOR_MSG_RESULT:
    default:
        break;
    }
    return 0;
}

/* ---- what it says ------------------------------------------------------------------------------ */

static int64_t
write_start(struct sensor_lead *lead, void *buf, size_t cap)
{
    struct sensor_start *start = &lead->node.marks.start;

    if (!lead->node.marks.started) {
        struct sensor_start now = {.workers = lead->layout.workers,
                                   .wall_ns = sensor_wall_ns(),
                                   .epoch = lead->node.members.epoch};

        now.id_count = sensor_layout_ids(&lead->layout, now.ids, SENSOR_IDS_MAX);
        sensor_marks_start(&lead->node.marks, &now, lead->node.members.own_id);
    }
    return sensor_write_start(buf, cap, start);
}

static int64_t
write_one(struct sensor_lead *lead, uint32_t what, void *buf, size_t cap)
{
    switch (what) {
    case SAY_HELLO:
        return sensor_write_hello(buf, cap, lead->layout.workers);
    case SAY_START:
        return write_start(lead, buf, cap);
    case SAY_STOP:
        return sensor_write_stop(buf, cap);
    default:
        return sensor_write_passed(buf, cap);
    }
}

/* Says what is due; what a full ring does not take stays due. */
static int
say_all(struct sensor_lead *lead)
{
    unsigned char buf[SENSOR_EVENT_BYTES];

    for (uint32_t what = SAY_HELLO; what <= SAY_PASSED; what <<= 1) {
        const char *topic = what == SAY_PASSED ? SENSOR_TOPIC_PASSED : SENSOR_TOPIC_MANAGER;
        int rc;

        if ((lead->to_say & what) == 0) {
            continue;
        }
        rc = sensor_node_say(&lead->node, topic, buf, write_one(lead, what, buf, sizeof(buf)));
        if (rc == BB_EAGAIN) {
            return 0;
        }
        if (rc != 0) {
            return sensor_fail_bus(&lead->fail, rc, NULL, "cannot publish");
        }
        lead->to_say &= ~what;
    }
    return 0;
}

int
sensor_lead_service(struct sensor_lead *lead, int64_t timeout_ns)
{
    if (sensor_node_poll(&lead->node, lead->to_say != 0 ? 0 : timeout_ns, take, lead, &lead->fail)
        != 0) {
        return -1;
    }
    if (!lead->has_passed && sensor_marks_is_ended(&lead->node.marks, &lead->node.members)) {
        lead->has_passed = true;
        lead->to_say |= SAY_PASSED;
    }
    return say_all(lead);
}

/* 0, 1 or -1, as sensor_turn_fn. */
static int
turn(struct sensor_lead *lead)
{
    if (say_all(lead) != 0 || sensor_lead_service(lead, SENSOR_SLICE_NS) != 0) {
        return -1;
    }
    return lead->turn != NULL ? lead->turn(lead->turn_user) : 0;
}

/* ---- the layout comes together ----------------------------------------------------------------- */

static void
say_who_is_awaited(const struct sensor_lead *lead)
{
    char names[256];

    sensor_layout_names(&lead->layout, SENSOR_PEER_ABSENT, names, sizeof(names));
    sensor_say(lead->opts->node, "waiting for %s", names);
}

int
sensor_lead_gather(struct sensor_lead *lead)
{
    int64_t now_ns = sensor_mono_ns();
    int64_t patience_ns = now_ns + PATIENCE_NS;
    int64_t give_up_ns =
        lead->opts->wait_s == 0 ? INT64_MAX : now_ns + lead->opts->wait_s * NS_PER_S;
    int64_t hello_ns = now_ns;
    int rc = 0;

    while (rc == 0 && sensor_layout_number(&lead->layout, SENSOR_PEER_ABSENT) != 0
           && !sensor_stop_requested()) {
        if (now_ns >= hello_ns) {
            hello_ns = now_ns + HELLO_NS;
            lead->to_say |= SAY_HELLO;
        }
        if (now_ns >= give_up_ns) {
            sensor_layout_give_up(&lead->layout, "did not come");
            break;
        }
        if (now_ns >= patience_ns) {
            patience_ns = INT64_MAX;
            say_who_is_awaited(lead);
        }
        rc = turn(lead);
        now_ns = sensor_mono_ns();
    }
    return rc < 0 ? -1 : 0;
}

/* ---- until everybody said what it handled ------------------------------------------------------- */

/* All events are where they go: everybody else says so, and we have all of ours. */
static bool
is_over(const struct sensor_lead *lead)
{
    return sensor_layout_awaited(&lead->layout) == 0
           && sensor_marks_is_passed(&lead->node.marks, &lead->node.members);
}

int
sensor_lead_collect(struct sensor_lead *lead)
{
    int64_t give_up_ns = INT64_MAX;
    int rc = 0;

    lead->layout.started = true;
    lead->to_say = SAY_START;
    if (say_all(lead) != 0) {
        return -1;
    }
    while (rc == 0 && !is_over(lead)) {
        if ((sensor_stop_requested() || lead->is_stopping) && give_up_ns == INT64_MAX) {
            give_up_ns = sensor_mono_ns() + STOP_NS;
            lead->to_say |= SAY_STOP;
        }
        if (give_up_ns != INT64_MAX && sensor_mono_ns() > give_up_ns) {
            sensor_layout_give_up(&lead->layout, "did not stop within 5 s");
            break;
        }
        rc = turn(lead);
    }
    return rc < 0 ? -1 : 0;
}

/* ---- the end ----------------------------------------------------------------------------------- */

int
sensor_lead_say_result(struct sensor_lead *lead,
                       const struct sensor_result *result,
                       const struct sensor_address *clients,
                       size_t client_count)
{
    size_t max = bb_publisher_max(bb_cluster_publisher(lead->node.cluster));
    size_t cap = SENSOR_EVENT_BYTES + client_count * 32;
    unsigned char *buf;
    int64_t bytes;
    int rc;

    cap = cap < max ? cap : max;
    buf = malloc(cap);
    if (buf == NULL) {
        return sensor_fail(&lead->fail, SENSOR_EXIT_RESOURCE, "out of memory");
    }
    bytes = sensor_write_result(buf, cap, result, clients, client_count);
    rc = bytes == BB_EMSGSIZE ? BB_EMSGSIZE
                              : sensor_node_say(&lead->node, SENSOR_TOPIC_MANAGER, buf, bytes);
    if (rc == BB_EMSGSIZE) {
        bytes = sensor_write_result(buf, cap, result, NULL, 0);
        rc = sensor_node_say(&lead->node, SENSOR_TOPIC_MANAGER, buf, bytes);
    }
    free(buf);
    return rc == 0 ? 0 : sensor_fail_bus(&lead->fail, rc, NULL, "cannot publish the result");
}

void
sensor_lead_stop(struct sensor_lead *lead)
{
    lead->is_stopping = true;
}

/* ---- a leader's life --------------------------------------------------------------------------- */

int
sensor_lead_open(struct sensor_lead *lead, const struct sensor_options *opts)
{
    memset(lead, 0, sizeof(*lead));
    lead->opts = opts;
    if (sensor_layout_init(&lead->layout, opts->workers, opts->proxies, opts->loggers) != 0) {
        return sensor_fail(&lead->fail, SENSOR_EXIT_RESOURCE, "out of memory");
    }
    return sensor_node_open(&lead->node, opts, &lead->fail);
}

void
sensor_lead_close(struct sensor_lead *lead)
{
    sensor_node_close(&lead->node);
    sensor_layout_fini(&lead->layout);
}
