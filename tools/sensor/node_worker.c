/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker reads the whole capture, takes the packets of its share, follows handshakes and publishes each
 * established connection on its data ring; the end mark is the last message of that ring.
 *
 *   open the capture, attach, subscribe ─► ready ─► start ─► packets ... ─► end mark ─► result ─► leave
 *
 * It never loses an event by its own doing: when the manager is a whole ring behind it waits, for a bounded
 * time, and then gives up without an end mark, so that the manager names it as missing.
 */
#include "tools/sensor/capture.h"
#include "tools/sensor/flow.h"
#include "tools/sensor/node.h"
#include "tools/sensor/protocol.h"

#include <inttypes.h>
#include <string.h>

#define NS_PER_S         INT64_C(1000000000)
#define PUBLISH_BLOCK_NS INT64_C(100000000)  /* one wait for the manager */
#define PACE_SLACK_NS    INT64_C(2000000)    /* --rate: shorter waits than this are saved up */
#define LIVE_LATE_NS     INT64_C(300000000)  /* a live frame is handed over at most this late */
#define PATIENCE_NS      INT64_C(5000000000) /* then we say on standard error whom we wait for */

enum {
    PUBLISH_TRIES = 300,  /* of PUBLISH_BLOCK_NS: half a minute */
    FLUSH_EVENTS = 16,    /* at most so many events are held back */
    SERVICE_FRAMES = 256, /* look at the control messages this often; a power of two */
    POLL_MESSAGES = 32,
    LIVE_WAIT_MS = 100,
    FLOWS_MAX = 1 << 17,
    DATA_DEPTH = 8192, /* the manager reads along; 16 workers shall fit in a small /dev/shm */
    DATA_BYTES = 2 << 20,
    CONTROL_DEPTH = 256, /* a few `ready` */
    CONTROL_BYTES = 256 << 10,
};

struct worker {
    const struct sensor_options *opts;
    struct sensor_source source;
    struct sensor_capture *capture;
    struct sensor_flows *flows;
    struct sensor_node node;
    struct bb_publisher *data;
    struct bb_topic *connections;
    struct bb_topic *ends;
    struct sensor_end end;    /* counted as we go */
    uint64_t frames;          /* read, of all shares */
    uint32_t held_events;     /* published, not flushed */
    uint64_t manager_id;      /* whose hello or start we heard; 0: nobody's */
    int64_t start_wall_ns;    /* by the manager's clock; live: what is older is not counted */
    int64_t start_mono_ns;    /* ours; for --rate */
    const char *manager_gone; /* "left" or "died" after the start */
    bool started;
    bool told_stop;
    bool told_result;
    struct sensor_fail fail;
};

/* ---- control messages -------------------------------------------------------------------------- */

static int
say_ready(struct worker *w)
{
    unsigned char buf[SENSOR_EVENT_BYTES];
    int64_t bytes = sensor_write_ready(buf, sizeof(buf), w->opts->share, w->opts->workers);
    int rc = sensor_node_say(&w->node, buf, bytes);

    return rc == 0 ? 0 : sensor_fail_bus(&w->fail, rc, NULL, "cannot publish on the control lane");
}

static int
check_workers(struct worker *w, const struct sensor_message *m, const struct bb_msg *msg)
{
    if (m->workers == w->opts->workers) {
        return 0;
    }
    return sensor_fail(&w->fail, SENSOR_EXIT_USAGE,
                       "%s counts %" PRIu64 " workers, this node was told %u: start all nodes with "
                       "the same --workers",
                       msg->node, m->workers, w->opts->workers);
}

static int
take_hello(struct worker *w, const struct sensor_message *m, const struct bb_msg *msg)
{
    if (w->started) {
        return 0;
    }
    if (check_workers(w, m, msg) != 0) {
        return -1;
    }
    w->manager_id = msg->node_id;
    return say_ready(w);
}

static int
take_start(struct worker *w, const struct sensor_message *m, const struct bb_msg *msg)
{
    if (w->started) {
        return 0;
    }
    if (check_workers(w, m, msg) != 0) {
        return -1;
    }
    w->manager_id = msg->node_id;
    w->start_wall_ns = m->start_wall_ns;
    w->start_mono_ns = sensor_mono_ns();
    w->started = true;
    return 0;
}

static void
take_status(struct worker *w, const struct bb_msg *msg)
{
    uint32_t kind = msg->status->kind;

    if (msg->node_id != w->manager_id || (kind != BB_STATUS_LEFT && kind != BB_STATUS_DIED)) {
        return;
    }
    w->manager_id = 0;
    if (w->started) { /* before the start: another one may come */
        w->manager_gone = kind == BB_STATUS_LEFT ? "left" : "died";
    }
}

static int
take_message(struct worker *w, const struct bb_msg *msg)
{
    struct sensor_message m;

    if (msg->status != NULL) {
        take_status(w, msg);
        return 0;
    }
    sensor_read(&m, msg->data, msg->bytes);
    switch (m.kind) {
    case SENSOR_MSG_HELLO:
        return take_hello(w, &m, msg);
    case SENSOR_MSG_START:
        return take_start(w, &m, msg);
    case SENSOR_MSG_STOP:
        w->told_stop |= msg->node_id == w->manager_id;
        return 0;
    case SENSOR_MSG_RESULT:
        w->told_result |= msg->node_id == w->manager_id;
        return 0;
    case SENSOR_MSG_UNKNOWN:
    case SENSOR_MSG_READY:
    case SENSOR_MSG_END:
    case SENSOR_MSG_CONNECTION:
    default:
        return 0;
    }
}

/* Flush, and take what came within timeout_ns.  0, or -1 and the sentence. */
static int
service(struct worker *w, int64_t timeout_ns)
{
    struct bb_msg msgs[POLL_MESSAGES];
    int rc = 0;
    int n;

    (void)bb_flush(w->data);
    w->held_events = 0;
    n = bb_poll(w->node.sub, msgs, POLL_MESSAGES, timeout_ns);
    if (n < 0) {
        return sensor_fail_bus(&w->fail, n, NULL, "cannot read the bus");
    }
    for (int i = 0; i < n && rc == 0; i++) {
        rc = take_message(w, &msgs[i]);
    }
    (void)bb_release(w->node.sub);
    return rc;
}

static bool
is_told_to_end(const struct worker *w)
{
    return w->told_stop || w->manager_gone != NULL || sensor_stop_requested();
}

/* ---- publishing -------------------------------------------------------------------------------- */

/* Room in the data ring, waiting for the manager as long as is reasonable. */
static int
loan(struct worker *w, struct bb_topic *topic, void **out)
{
    for (int tries = 0; tries < PUBLISH_TRIES; tries++) {
        int rc = bb_loan(topic, SENSOR_EVENT_BYTES, out);

        if (rc != BB_EAGAIN) {
            return rc == 0 ? 0 : sensor_fail_bus(&w->fail, rc, NULL, "cannot publish");
        }
        w->end.waits++;
        if (service(w, 0) != 0) { /* is the manager still there? */
            return -1;
        }
        if (w->manager_gone != NULL) {
            return sensor_fail(&w->fail, SENSOR_EXIT_MISSING, "the manager %s", w->manager_gone);
        }
    }
    return sensor_fail(
        &w->fail, SENSOR_EXIT_TIME,
        "the manager has not read for %d s and the ring is full: giving up without an "
        "end mark; is it stopped?",
        (int)(PUBLISH_TRIES * PUBLISH_BLOCK_NS / NS_PER_S));
}

/* bytes: as a sensor_write_...() into the loan returned it. */
static int
commit(struct worker *w, struct bb_topic *topic, int64_t bytes, uint32_t flags)
{
    int rc;

    if (bytes < 0) {
        bb_abort(w->data);
        return sensor_fail_bus(&w->fail, (int)bytes, NULL, "cannot build an event");
    }
    rc = bb_commit(topic, (size_t)bytes, BB_EVENT | BB_NATIVE | flags);
    return rc == 0 ? 0 : sensor_fail_bus(&w->fail, rc, NULL, "cannot publish");
}

static int
publish_connection(struct worker *w, const struct sensor_connection *conn, int64_t wall_ns)
{
    void *event = NULL;
    int64_t bytes;

    if (loan(w, w->connections, &event) != 0) {
        return -1;
    }
    bytes = sensor_write_connection(event, SENSOR_EVENT_BYTES, conn, wall_ns);
    if (commit(w, w->connections, bytes, BB_MORE) != 0) {
        return -1;
    }
    w->end.events++;
    if (++w->held_events == FLUSH_EVENTS) {
        (void)bb_flush(w->data);
        w->held_events = 0;
    }
    return 0;
}

static int
publish_end(struct worker *w, enum sensor_end_state state)
{
    void *event = NULL;

    w->end.state = (uint64_t)state;
    w->end.half_open = sensor_flows_evicted_half_open(w->flows);
    w->end.dropped = sensor_capture_dropped(w->capture);
    if (loan(w, w->ends, &event) != 0) {
        return -1;
    }
    return commit(w, w->ends, sensor_write_end(event, SENSOR_EVENT_BYTES, &w->end), 0);
}

/* ---- packets ----------------------------------------------------------------------------------- */

static int
take_frame(struct worker *w, const struct sensor_frame *frame)
{
    struct sensor_connection conn;
    struct sensor_packet packet;

    sensor_packet_decode(frame->link, frame->data, frame->bytes, &packet);
    if (sensor_flow_share(&packet, w->opts->workers) != w->opts->share) {
        return 0;
    }
    w->end.packets++;
    if (!sensor_flows_take(w->flows, &packet, frame->wall_ns, &conn)) {
        return 0;
    }
    w->end.connections++;
    return publish_connection(w, &conn, frame->wall_ns);
}

/* --rate: wait until this frame is due, by the start and its number. */
static int
pace(struct worker *w)
{
    int64_t due_ns = w->start_mono_ns + (int64_t)(w->frames / w->opts->rate) * NS_PER_S
                     + (int64_t)(w->frames % w->opts->rate) * NS_PER_S / w->opts->rate;
    int64_t left_ns = due_ns - sensor_mono_ns();
    bool is_late = left_ns < PACE_SLACK_NS;

    while (!is_late && left_ns > 0 && !is_told_to_end(w)) {
        if (service(w, left_ns < SENSOR_SLICE_NS ? left_ns : SENSOR_SLICE_NS) != 0) {
            return -1;
        }
        left_ns = due_ns - sensor_mono_ns();
    }
    return 0;
}

/* 0: go on; 1: all was read; -1. */
static int
read_files(struct worker *w)
{
    struct sensor_frame frame;
    enum sensor_next next;

    if (w->opts->rate != 0 && pace(w) != 0) {
        return -1;
    }
    next = sensor_capture_next(w->capture, &frame, &w->fail);
    if (next == SENSOR_NEXT_FAILED) {
        if (w->opts->share == 0
            || !w->opts->forked) { /* all workers read the same; once is enough */
            sensor_say(w->opts->node, "%s", w->fail.sentence);
        }
        w->end.state = SENSOR_END_DAMAGED;
        return 1;
    }
    if (next == SENSOR_NEXT_END) {
        return 1;
    }
    w->frames++;
    return take_frame(w, &frame);
}

/* The same for an interface: every worker counts the packets of the same span of time. */
static int
read_live(struct worker *w)
{
    int64_t end_wall_ns =
        w->opts->seconds == 0 ? INT64_MAX : w->start_wall_ns + (int64_t)w->opts->seconds * NS_PER_S;
    struct sensor_frame frame;
    enum sensor_next next = sensor_capture_next(w->capture, &frame, &w->fail);

    if (next == SENSOR_NEXT_FAILED) {
        sensor_say(w->opts->node, "%s", w->fail.sentence);
        w->end.state = SENSOR_END_DAMAGED;
        return 1;
    }
    if (next == SENSOR_NEXT_IDLE) {
        if (sensor_wall_ns() - LIVE_LATE_NS > end_wall_ns) {
            return 1;
        }
        sensor_capture_wait(w->capture, LIVE_WAIT_MS);
        return service(w, 0);
    }
    w->frames++;
    if (frame.wall_ns >= end_wall_ns) {
        return 1;
    }
    return frame.wall_ns < w->start_wall_ns ? 0 : take_frame(w, &frame);
}

/* Reads to the end of the capture or until told; then the end mark. */
static int
read_capture(struct worker *w)
{
    int rc = 0;

    while (rc == 0 && !is_told_to_end(w)) {
        rc = w->source.live != NULL ? read_live(w) : read_files(w);
        if (rc == 0 && w->frames % SERVICE_FRAMES == 0) {
            rc = service(w, 0);
        }
    }
    if (rc < 0) {
        return -1;
    }
    if (rc == 0 && w->source.live == NULL) {
        w->end.state = SENSOR_END_STOPPED;
    }
    return publish_end(w, (enum sensor_end_state)w->end.state);
}

/* ---- the worker's life ------------------------------------------------------------------------- */

static int
open_data(struct worker *w)
{
    struct bb_error error = {0};
    const struct bb_publisher_opts opts = {.size = sizeof(opts),
                                           .lane = BB_LANE_DATA,
                                           .policy = BB_POLICY_BLOCK_FAIL,
                                           .block_ns = PUBLISH_BLOCK_NS,
                                           .depth = DATA_DEPTH,
                                           .bytes = DATA_BYTES,
                                           .error = &error};
    int rc = bb_publisher_open(&w->data, w->node.ep, &opts);

    if (rc == 0) {
        rc = bb_topic_open(&w->connections, w->data, SENSOR_TOPIC_CONNECTION,
                           strlen(SENSOR_TOPIC_CONNECTION));
    }
    if (rc == 0) {
        rc = bb_topic_open(&w->ends, w->data, SENSOR_TOPIC_END, strlen(SENSOR_TOPIC_END));
    }
    return rc == 0 ? 0 : sensor_fail_bus(&w->fail, rc, &error, "cannot open the data ring");
}

/* The capture first: whoever says ready can begin. */
static int
open_worker(struct worker *w)
{
    const struct sensor_node_opts how = {.listen_prefix = SENSOR_TOPIC_MANAGER,
                                         .control_topic = SENSOR_TOPIC_WORKER,
                                         .control_depth = CONTROL_DEPTH,
                                         .control_bytes = CONTROL_BYTES};

    if (sensor_capture_open(&w->capture, &w->source, &w->fail) != 0) {
        return -1;
    }
    w->flows = sensor_flows_open(FLOWS_MAX, sensor_random_seed());
    if (w->flows == NULL) {
        return sensor_fail(&w->fail, SENSOR_EXIT_RESOURCE, "out of memory");
    }
    if (sensor_node_open(&w->node, w->opts, &how, &w->fail) != 0) {
        return -1;
    }
    return open_data(w);
}

static void
close_worker(struct worker *w)
{
    bb_publisher_close(w->data);
    sensor_node_close(&w->node);
    sensor_flows_close(w->flows);
    sensor_capture_close(w->capture);
}

static int
wait_for_start(struct worker *w)
{
    int64_t patience_ns = sensor_mono_ns() + PATIENCE_NS;

    if (say_ready(w) != 0) {
        return -1;
    }
    while (!w->started && !sensor_stop_requested()) {
        if (service(w, SENSOR_SLICE_NS) != 0) {
            return -1;
        }
        if (!w->started && !w->opts->forked && sensor_mono_ns() > patience_ns) {
            patience_ns = INT64_MAX;
            sensor_say(w->opts->node,
                       w->manager_id == 0
                           ? "waiting for a manager on this bus"
                           : "waiting for the manager to start: it has not all workers");
        }
    }
    return 0;
}

/* The end mark is out; stay until the manager said the result, so that our ring is there to be read. */
static int
wait_for_result(struct worker *w)
{
    while (w->manager_gone == NULL && !sensor_stop_requested()
           && (w->opts->stay || !w->told_result)) {
        if (service(w, SENSOR_SLICE_NS) != 0) {
            return -1;
        }
    }
    if (w->manager_gone != NULL && !w->told_result) {
        return sensor_fail(&w->fail, SENSOR_EXIT_MISSING,
                           "the manager %s before it said the result", w->manager_gone);
    }
    return 0;
}

int
sensor_worker_run(const struct sensor_options *opts)
{
    struct worker w = {.opts = opts, .source = {opts->files, opts->file_count, opts->live}};
    int rc = open_worker(&w);
    int early = rc != 0 && opts->forked ? SENSOR_EXIT_EARLY : 0;

    if (rc == 0) {
        rc = wait_for_start(&w);
    }
    if (rc == 0 && w.started) {
        rc = read_capture(&w);
    }
    if (rc == 0 && w.started) {
        rc = wait_for_result(&w);
    }
    close_worker(&w);
    if (rc == 0) {
        return SENSOR_EXIT_DONE;
    }
    if (w.manager_gone == NULL || !opts->forked) { /* else the launcher says it once for all */
        sensor_say(opts->node, "%s", w.fail.sentence);
    }
    return early + w.fail.code;
}
