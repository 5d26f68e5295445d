/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/member.h"

#include "tools/sensor/boxes.h"

#include <inttypes.h>
#include <string.h>

#define PATIENCE_NS INT64_C(5000000000)  /* then we say on standard error whom we wait for */
#define LOG_WAIT_NS INT64_C(10000000000) /* for the loggers' word, after everything else is done */
#define ALONE_NS    INT64_C(2000000000) /* stopped by a signal: is it the whole sensor that stops? */
#define STOP_NS     INT64_C(10000000000) /* it is: for the manager to say the result */

/* What is to be said, in this order. */
enum {
    SAY_READY = 1u << 0,
    SAY_END = 1u << 1,
    SAY_PASSED = 1u << 2,
    SAY_TALLY = 1u << 3,
    SAY_ASK = 1u << 4,
};

/* ---- speaking ---------------------------------------------------------------------------------- */

static void
count_logs(const struct sensor_member *m, struct sensor_tally *out)
{
    struct bb_log_stats st = {.size = sizeof(st)};

    if (m->log != NULL) {
        bb_log_stats(m->log, &st);
    }
    out->logged = st.written;
    out->unsaid = st.unsaid + st.lost;
}

/* It is large, and has nothing in it that is read. */
static int64_t
write_ask(void *buf, size_t cap)
{
    static const struct sensor_box_word ask = {.kind = SENSOR_BOX_ASK};

    return sensor_box_write(buf, cap, &ask);
}

static int64_t
write_one(struct sensor_member *m, uint32_t what, void *buf, size_t cap)
{
    struct sensor_tally tally = {.handled = m->node.keeper.handled,
                                 .lost = sensor_node_lost(&m->node),
                                 .refused = m->node.keeper.clients.refused};

    switch (what) {
    case SAY_READY:
        return sensor_write_ready(buf, cap, m->opts->share, m->opts->workers, m->opts->role);
    case SAY_END:
        return sensor_write_end(buf, cap, &m->end);
    case SAY_PASSED:
        return sensor_write_passed(buf, cap);
    case SAY_ASK:
        return write_ask(buf, cap);
    default:
        count_logs(m, &tally);
        return sensor_write_tally(buf, cap, &tally);
    }
}

/* Says what is due; what a full ring does not take stays due. */
static int
say_all(struct sensor_member *m)
{
    static const char *const topics[] = {SENSOR_TOPIC_WORKER, SENSOR_TOPIC_END, SENSOR_TOPIC_PASSED,
                                         SENSOR_TOPIC_TALLY, SENSOR_TOPIC_BOX_ASK};
    unsigned char buf[SENSOR_EVENT_BYTES];

    for (uint32_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        uint32_t what = 1u << i;
        int rc = 0;

        if ((m->to_say & what) == 0) {
            continue;
        }
        rc = sensor_node_say(&m->node, topics[i], buf, write_one(m, what, buf, sizeof(buf)));
        if (rc == BB_EAGAIN) {
            return 0;
        }
        if (rc != 0) {
            return sensor_fail_bus(&m->fail, rc, NULL, "cannot publish");
        }
        m->to_say &= ~what;
    }
    return 0;
}

/* ---- listening --------------------------------------------------------------------------------- */

static int
check_workers(struct sensor_member *m, const struct sensor_message *in, const struct bb_msg *msg)
{
    if (in->workers == m->opts->workers) {
        return 0;
    }
    return sensor_fail(&m->fail, SENSOR_EXIT_USAGE,
                       "%s counts %" PRIu64 " workers, this node was told %u: start all nodes with "
                       "the same --workers",
                       msg->node, in->workers, m->opts->workers);
}

static int
take_hello(struct sensor_member *m, const struct sensor_message *in, const struct bb_msg *msg)
{
    if (m->started) {
        return 0;
    }
    if (check_workers(m, in, msg) != 0) {
        return -1;
    }
    m->manager_id = msg->node_id;
    m->to_say |= SAY_READY;
    return 0;
}

static int
take_start(struct sensor_member *m, const struct sensor_message *in, const struct bb_msg *msg)
{
    if (m->node.marks.started) {
        return 0;
    }
    if (check_workers(m, in, msg) != 0) {
        return -1;
    }
    m->manager_id = msg->node_id;
    sensor_marks_start(&m->node.marks, &in->start, msg->node_id);
    return 0;
}

/* Somebody comes, perhaps late: it has not heard what we said before. */
static void
take_ready(struct sensor_member *m)
{
    m->to_say |= m->has_end ? SAY_END : 0u;
    m->to_say |= m->has_passed ? SAY_PASSED : 0u;
}

static void
take_status(struct sensor_member *m, const struct bb_msg *msg)
{
    uint32_t kind = msg->status->kind;

    if (msg->node_id != m->manager_id || kind != BB_STATUS_NODE_DOWN) {
        return;
    }
    m->manager_id = 0;
    if (m->node.marks.started) { /* before the start: another one may come */
        m->manager_gone = msg->status->count == 1 ? "left" : "died";
    }
}

static int
take(void *user, const struct sensor_message *in, const struct bb_msg *msg)
{
    struct sensor_member *m = user;

    if (in == NULL) {
        take_status(m, msg);
        return 0;
    }
    switch (in->kind) {
    case SENSOR_MSG_HELLO:
        return take_hello(m, in, msg);
    case SENSOR_MSG_START:
        return take_start(m, in, msg);
    case SENSOR_MSG_STOP:
        m->told_stop |= msg->node_id == m->manager_id;
        return 0;
    case SENSOR_MSG_RESULT:
        m->told_result |= msg->node_id == m->manager_id;
        return 0;
    case SENSOR_MSG_READY:
        take_ready(m);
        return 0;
    case SENSOR_MSG_UNKNOWN:
    case SENSOR_MSG_END:
    case SENSOR_MSG_PASSED:
    case SENSOR_MSG_TALLY:
    case SENSOR_MSG_CONNECTION:
    default:
        return 0;
    }
}

/* What the manager on the other box took of us.  If that makes no room, we ask: what was lost leaves no other trace. */
static int
take_far(void *user, const struct sensor_message *in, const struct bb_msg *msg)
{
    static struct sensor_box_word word; /* large */
    struct sensor_member *m = user;

    if (in == NULL) {
        return 0; /* a link came or went: that is its leader's matter */
    }
    sensor_box_read(&word, msg->data, msg->bytes);
    if (word.kind != SENSOR_BOX_MANAGER
        || bb_msg_valid(bb_cluster_subscriber(m->node.cluster), msg) == 0) {
        return 0;
    }
    for (uint32_t i = 0; i < word.taken_count; i++) {
        if (word.taken[i].id != m->node.members.own_id) {
            continue;
        }
        m->to_say |= m->is_blocked && word.taken[i].seq <= m->taken_seq ? SAY_ASK : 0u;
        m->taken_seq = word.taken[i].seq > m->taken_seq ? word.taken[i].seq : m->taken_seq;
    }
    return 0;
}

/* ---- what follows from it ---------------------------------------------------------------------- */

/* The loggers said of all our records that they are written, or will not say it any more. */
static bool
is_logged(struct sensor_member *m)
{
    struct bb_log_stats st = {.size = sizeof(st)};

    if (m->log == NULL) {
        return true;
    }
    if (m->give_up_log_ns == 0) {
        m->give_up_log_ns = sensor_mono_ns() + LOG_WAIT_NS;
        (void)bb_log_flush(m->log);
    }
    bb_log_stats(m->log, &st);
    return st.unsaid == 0 || sensor_mono_ns() > m->give_up_log_ns;
}

static void
note_what_is_due(struct sensor_member *m)
{
    const struct sensor_marks *marks = &m->node.marks;
    const struct sensor_members *members = &m->node.members;
    bool is_reader = m->opts->role == BB_ROLE_WORKER;

    if (!m->started && sensor_marks_is_known(marks, members)) {
        m->start_mono_ns = sensor_mono_ns();
        m->started = true;
    }
    if (!m->started || (is_reader && !m->has_end) || (m->to_say & SAY_END) != 0) {
        return;
    }
    if (is_reader) { /* we do not hear our own mark */
        sensor_marks_end(&m->node.marks, members->own_id, 0);
    }
    if (!m->has_passed && m->opts->role == BB_ROLE_PROXY && sensor_marks_is_ended(marks, members)) {
        m->has_passed = true;
        m->to_say |= SAY_PASSED;
    }
    if (!m->has_told && sensor_marks_is_passed(marks, members) && is_logged(m)) {
        m->has_told = true;
        m->to_say |= SAY_TALLY;
    }
}

int
sensor_member_service(struct sensor_member *m, int64_t timeout_ns)
{
    (void)bb_flush(bb_cluster_publisher(m->node.cluster));
    if (sensor_node_poll(&m->node, timeout_ns, take, m, &m->fail) != 0) {
        return -1;
    }
    note_what_is_due(m);
    return say_all(m);
}

bool
sensor_member_is_told_to_end(const struct sensor_member *m)
{
    return m->told_stop || m->manager_gone != NULL || sensor_stop_requested();
}

/* ---- a member's life --------------------------------------------------------------------------- */

int
sensor_member_open(struct sensor_member *m, const struct sensor_options *opts)
{
    memset(m, 0, sizeof(*m));
    m->opts = opts;
    m->to_say = SAY_READY;
    if (sensor_node_open(&m->node, opts, &m->fail) != 0) {
        return -1;
    }
    if (opts->box != SENSOR_ON_ONE) {
        m->node.take_far = take_far;
        m->node.far_user = m;
    }
    return 0;
}

void
sensor_member_close(struct sensor_member *m)
{
    if (m->log != NULL) {
        (void)bb_log_close(m->log, 0);
    }
    sensor_node_close(&m->node);
}

int
sensor_member_wait_for_start(struct sensor_member *m)
{
    int64_t patience_ns = sensor_mono_ns() + PATIENCE_NS;

    while (!m->started && !sensor_stop_requested() && m->manager_gone == NULL) {
        if (sensor_member_service(m, m->to_say != 0 ? 0 : SENSOR_SLICE_NS) != 0) {
            return -1;
        }
        if (!m->started && !m->opts->forked && sensor_mono_ns() > patience_ns) {
            patience_ns = INT64_MAX;
            sensor_say(m->opts->node,
                       m->manager_id == 0
                           ? "waiting for a manager on this bus"
                           : "waiting for the manager to start: it has not all nodes");
        }
    }
    return 0;
}

int
sensor_member_end(struct sensor_member *m)
{
    m->end.epoch = bb_cluster_epoch(m->node.cluster);
    m->has_end = true;
    m->to_say |= SAY_END;
    return say_all(m);
}

/* Told to stop by a signal: the manager says the result soon, unless the signal was for us alone. */
static bool
has_stopped(struct sensor_member *m)
{
    if (!sensor_stop_requested()) {
        return false;
    }
    if (m->stop_mono_ns == 0) {
        m->stop_mono_ns = sensor_mono_ns();
    }
    return m->told_result
           || sensor_mono_ns() > m->stop_mono_ns + (m->told_stop ? STOP_NS : ALONE_NS);
}

/* Stays until the manager said the result, so that our ring is there to be read. */
int
sensor_member_finish(struct sensor_member *m)
{
    while (m->manager_gone == NULL && (m->opts->stay || !m->told_result) && !has_stopped(m)) {
        if (sensor_member_service(m, m->to_say != 0 ? 0 : SENSOR_SLICE_NS) != 0) {
            return -1;
        }
    }
    if (m->manager_gone != NULL && !m->told_result) {
        return sensor_fail(&m->fail, SENSOR_EXIT_MISSING,
                           "the manager %s before it said the result", m->manager_gone);
    }
    return 0;
}

int
sensor_member_exit(const struct sensor_member *m, int rc, bool is_early)
{
    if (rc == 0) {
        return SENSOR_EXIT_DONE;
    }
    if (m->manager_gone == NULL || !m->opts->forked) { /* else the launcher says it once for all */
        sensor_say(m->opts->node, "%s", m->fail.sentence);
    }
    return (is_early && m->opts->forked ? SENSOR_EXIT_EARLY : 0) + m->fail.code;
}
