/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker reads the whole capture, takes the packets of its share, follows handshakes, raises an event for each
 * established connection and hands it to the log; the end mark is the last message of its ring.
 *
 *   open the capture, join ─► ready ─► start ─► packets ... ─► end mark ─► tally ─► result ─► leave
 *
 * It never loses an event by its own doing: when a reader is a whole ring behind it waits, for a bounded
 * time, and then gives up without an end mark, so that the manager names it as missing.
 */
#include "tools/sensor/worker.h"

#include "tools/sensor/boxes.h"
#include "tools/sensor/conn_log.h"

#include <inttypes.h>
#include <string.h>

#define NS_PER_S      INT64_C(1000000000)
#define PACE_SLACK_NS INT64_C(2000000)   /* --rate: shorter waits than this are saved up */
#define LIVE_LATE_NS  INT64_C(300000000) /* a live frame is handed over at most this late */

enum {
    RAISE_TRIES = 300,    /* each waits 100 ms for room: half a minute */
    FLUSH_EVENTS = 16,    /* at most so many events are held back */
    SERVICE_FRAMES = 256, /* look at the control messages this often; a power of two */
    LIVE_WAIT_MS = 100,
    FLOWS_MAX = 1 << 17,
    EVENT_BYTES = 512, /* of one connection_established */
};

/* ---- raising events ---------------------------------------------------------------------------- */

/* Counts an event for the node that it went to: what becomes of it depends on whether that one lives. */
static void
count_sent(struct sensor_end *end, uint64_t id)
{
    for (uint64_t i = 0; i < end->sent_count; i++) {
        if (end->sent[i].id == id) {
            end->sent[i].events++;
            return;
        }
    }
    if (end->sent_count < SENSOR_SENT_MAX) {
        end->sent[end->sent_count++] = (struct sensor_sent){.id = id, .events = 1};
    }
}

/* The node that owns this event now; 0 where events have no owner. */
static uint64_t
owner_of(const struct sensor_worker *w, const struct sensor_event *event)
{
    const struct sensor_members *members = &w->member.node.members;
    const char *name = NULL;

    if (!w->member.opts->pattern->is_owned
        || bb_pool_where(w->route.pool, event->key, event->key_bytes, 0, &name) != 0) {
        return 0;
    }
    for (size_t i = 0; i < members->count; i++) {
        if (strcmp(members->nodes[i].name, name) == 0) {
            return members->nodes[i].id;
        }
    }
    return 0;
}

static uint64_t
find_room(struct sensor_worker *w)
{
    struct sensor_member *m = &w->member;
    struct bb_publisher_stats st = {.size = sizeof(st)};
    uint64_t window = sensor_box_window(m->opts->workers);

    bb_publisher_stats(bb_cluster_publisher(m->node.cluster), &st);
    return st.messages < m->taken_seq + window ? m->taken_seq + window - st.messages : 0;
}

/*
 * Over two boxes: at most a window beyond what the manager took.  We wait as long as its box is waited for: while the link
 * is cut nothing is lost, nor given up by us.  A service may say a word or two of our own: the window is not that exact.
 */
static int
wait_for_room(struct sensor_worker *w)
{
    struct sensor_member *m = &w->member;

    if (w->room != 0 || m->opts->box == SENSOR_ON_ONE) {
        return 0;
    }
    while ((w->room = find_room(w)) == 0) {
        m->end.waits += !m->is_blocked;
        m->is_blocked = true;
        if (sensor_member_service(m, SENSOR_SLICE_NS) != 0) {
            return -1;
        }
        if (m->manager_gone != NULL) {
            return sensor_fail(&m->fail, SENSOR_EXIT_MISSING, "the manager %s", m->manager_gone);
        }
        if (sensor_member_is_told_to_end(m)) {
            break; /* the ring takes this last one */
        }
    }
    m->is_blocked = false;
    return 0;
}

/* Sends it on its way, waiting for slow readers as long as is reasonable. */
static int
raise_event(struct sensor_worker *w, const struct sensor_event *event)
{
    struct sensor_member *m = &w->member;

    if (wait_for_room(w) != 0) {
        return -1;
    }
    for (int tries = 0; tries < RAISE_TRIES; tries++) {
        uint64_t owner = owner_of(w, event);
        int rc = m->opts->pattern->raise(&w->route, event);

        if (rc == 0) {
            w->room -= w->room != 0;
            if (owner != 0) {
                count_sent(&m->end, owner);
            }
            return 0;
        }
        if (rc == BB_ENOENT) {
            m->end.nowhere++;
            return 0;
        }
        if (rc != BB_EAGAIN) {
            return sensor_fail_bus(&m->fail, rc, NULL, "cannot publish");
        }
        m->end.waits++;
        if (sensor_member_service(m, 0) != 0) { /* perhaps somebody waits for us to read */
            return -1;
        }
        if (m->manager_gone != NULL) {
            return sensor_fail(&m->fail, SENSOR_EXIT_MISSING, "the manager %s", m->manager_gone);
        }
    }
    return sensor_fail(&m->fail, SENSOR_EXIT_TIME,
                       "a node has not read for half a minute and the ring is full: giving up "
                       "without an end mark; is it stopped?  `busbar node list` "
                       "shows who lags");
}

static int
log_connection(struct sensor_worker *w, const struct sensor_connection *conn, int64_t wall_ns)
{
    unsigned char record[SENSOR_RECORD_BYTES];
    char uid[SENSOR_UID_TEXT];
    int64_t bytes;
    int rc;

    if (w->member.log == NULL) {
        return 0;
    }
    sensor_uid(w->uid_seed, w->member.end.connections, uid);
    bytes = sensor_write_record(record, sizeof(record), conn, wall_ns, uid);
    rc = bytes < 0 ? (int)bytes : bb_log_write(w->member.log, record, (size_t)bytes);
    return rc == 0 ? 0 : sensor_fail_bus(&w->member.fail, rc, NULL, "cannot log a connection");
}

static int
raise_connection(struct sensor_worker *w, const struct sensor_connection *conn, int64_t wall_ns)
{
    struct sensor_member *m = &w->member;
    unsigned char buf[EVENT_BYTES];
    char key[SENSOR_ADDRESS_TEXT];
    int64_t bytes = sensor_write_connection(buf, sizeof(buf), conn, wall_ns);
    struct sensor_event event = {.data = buf,
                                 .bytes = (size_t)bytes,
                                 .key = key,
                                 .orig = conn->orig,
                                 .is_watched = sensor_keeper_watches(&m->node.keeper, conn->resp)};

    if (bytes < 0) {
        return sensor_fail_bus(&m->fail, (int)bytes, NULL, "cannot build an event");
    }
    sensor_address_text(conn->orig, key);
    event.key_bytes = strlen(key);
    if (raise_event(w, &event) != 0) {
        return -1;
    }
    m->end.events++;
    if (m->opts->pattern->is_kept_at_home) {
        sensor_keeper_take(&m->node.keeper, conn->orig, conn->resp);
    }
    if (++w->held_events == FLUSH_EVENTS) {
        (void)bb_flush(bb_cluster_publisher(m->node.cluster));
        w->held_events = 0;
    }
    return log_connection(w, conn, wall_ns);
}

/* ---- packets ----------------------------------------------------------------------------------- */

static int
take_frame(struct sensor_worker *w, const struct sensor_frame *frame)
{
    struct sensor_connection conn;
    struct sensor_packet packet;

    sensor_packet_decode(frame->link, frame->data, frame->bytes, &packet);
    if (sensor_flow_share(&packet, w->member.opts->workers) != w->member.opts->share) {
        return 0;
    }
    w->member.end.packets++;
    if (!sensor_flows_take(w->flows, &packet, frame->wall_ns, &conn)) {
        return 0;
    }
    w->member.end.connections++;
    return raise_connection(w, &conn, frame->wall_ns);
}

/* --rate: wait until this frame is due, by the start and its number. */
static int
pace(struct sensor_worker *w)
{
    int64_t due_ns =
        w->member.start_mono_ns + (int64_t)(w->frames / w->member.opts->rate) * NS_PER_S
        + (int64_t)(w->frames % w->member.opts->rate) * NS_PER_S / w->member.opts->rate;
    int64_t left_ns = due_ns - sensor_mono_ns();
    bool is_late = left_ns < PACE_SLACK_NS;

    while (!is_late && left_ns > 0 && !sensor_member_is_told_to_end(&w->member)) {
        if (sensor_member_service(&w->member, left_ns < SENSOR_SLICE_NS ? left_ns : SENSOR_SLICE_NS)
            != 0) {
            return -1;
        }
        left_ns = due_ns - sensor_mono_ns();
    }
    return 0;
}

/* 0: go on; 1: all was read; -1. */
static int
read_files(struct sensor_worker *w)
{
    struct sensor_frame frame;
    enum sensor_next next;

    if (w->member.opts->rate != 0 && pace(w) != 0) {
        return -1;
    }
    next = sensor_capture_next(w->capture, &frame, &w->member.fail);
    if (next == SENSOR_NEXT_FAILED) {
        if (w->member.opts->share == 0
            || !w->member.opts->forked) { /* all workers read the same; once is enough */
            sensor_say(w->member.opts->node, "%s", w->member.fail.sentence);
        }
        w->member.end.state = SENSOR_END_DAMAGED;
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
read_live(struct sensor_worker *w)
{
    int64_t end_wall_ns =
        w->member.opts->seconds == 0
            ? INT64_MAX
            : w->member.node.marks.start.wall_ns + (int64_t)w->member.opts->seconds * NS_PER_S;
    struct sensor_frame frame;
    enum sensor_next next = sensor_capture_next(w->capture, &frame, &w->member.fail);

    if (next == SENSOR_NEXT_FAILED) {
        sensor_say(w->member.opts->node, "%s", w->member.fail.sentence);
        w->member.end.state = SENSOR_END_DAMAGED;
        return 1;
    }
    if (next == SENSOR_NEXT_IDLE) {
        if (sensor_wall_ns() - LIVE_LATE_NS > end_wall_ns) {
            return 1;
        }
        sensor_capture_wait(w->capture, LIVE_WAIT_MS);
        return sensor_member_service(&w->member, 0);
    }
    w->frames++;
    if (frame.wall_ns >= end_wall_ns) {
        return 1;
    }
    return frame.wall_ns < w->member.node.marks.start.wall_ns ? 0 : take_frame(w, &frame);
}

int
sensor_worker_read(struct sensor_worker *w)
{
    int rc = 0;

    while (rc == 0 && !sensor_member_is_told_to_end(&w->member)) {
        rc = w->source.live != NULL ? read_live(w) : read_files(w);
        if (rc == 0 && w->frames % SERVICE_FRAMES == 0) {
            rc = sensor_member_service(&w->member, 0);
        }
    }
    if (rc < 0) {
        return -1;
    }
    if (rc == 0 && w->source.live == NULL) {
        w->member.end.state = SENSOR_END_STOPPED;
    }
    w->member.end.half_open = sensor_flows_evicted_half_open(w->flows);
    w->member.end.dropped = sensor_capture_dropped(w->capture);
    return 0;
}

/* ---- the worker's life ------------------------------------------------------------------------- */

static int
open_log(struct sensor_worker *w)
{
    struct sensor_member *m = &w->member;
    struct bb_error error = {0};
    int rc;

    if (m->opts->loggers == 0) {
        return 0;
    }
    w->uid_seed = sensor_random_seed();
    rc = sensor_conn_log_open(&m->log, m->node.cluster, &error);
    return rc == 0 ? 0 : sensor_fail_bus(&m->fail, rc, &error, "cannot open the conn log");
}

/* The capture first: whoever says ready can begin. */
int
sensor_worker_open(struct sensor_worker *w, const struct sensor_options *opts)
{
    struct sensor_member *m = &w->member;
    int rc;

    memset(w, 0, sizeof(*w));
    w->source = (struct sensor_source){opts->files, opts->file_count, opts->live};
    if (sensor_capture_open(&w->capture, &w->source, &m->fail) != 0) {
        return -1;
    }
    w->flows = sensor_flows_open(FLOWS_MAX, sensor_random_seed());
    if (w->flows == NULL) {
        return sensor_fail(&m->fail, SENSOR_EXIT_RESOURCE, "out of memory");
    }
    if (sensor_member_open(m, opts) != 0) {
        return -1;
    }
    w->route.cluster = m->node.cluster;
    w->route.shelf = &m->node.keeper.shelf;
    rc = opts->pattern->open(&w->route);
    if (rc != 0) {
        return sensor_fail_bus(&m->fail, rc, NULL, "cannot find the events' way");
    }
    return open_log(w);
}

void
sensor_worker_close(struct sensor_worker *w)
{
    sensor_member_close(&w->member);
    sensor_flows_close(w->flows);
    sensor_capture_close(w->capture);
}

int
sensor_worker_run(const struct sensor_options *opts)
{
    static struct sensor_worker w; /* large */
    struct sensor_member *m = &w.member;
    int rc = sensor_worker_open(&w, opts);
    bool is_early = rc != 0;

    if (rc == 0) {
        rc = sensor_member_wait_for_start(m);
    }
    if (rc == 0 && m->started) {
        rc = sensor_node_open_store(&m->node, &m->fail);
    }
    if (rc == 0 && m->started) {
        rc = sensor_worker_read(&w);
    }
    if (rc == 0 && m->started) {
        rc = sensor_member_end(m);
    }
    if (rc == 0 && m->started) {
        rc = sensor_member_finish(m);
    }
    sensor_worker_close(&w);
    if (m->opts == NULL) { /* it did not come so far */
        m->opts = opts;
    }
    return sensor_member_exit(m, rc, is_early);
}
