/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One process is the whole cluster.  It opens what a worker opens and raises as a worker does; every pool has
 * this node, so what it raises comes back to it, and the conn log goes to its own files.  The bus is its own.
 */
#include "tools/sensor/known.h"
#include "tools/sensor/log_dir.h"
#include "tools/sensor/report.h"
#include "tools/sensor/worker.h"

#include <string.h>

#define SETTLE_NS INT64_C(10000000000) /* for its own events and its own logger */

static int
ignore(void *user, const struct sensor_message *in, const struct bb_msg *msg)
{
    (void)user;
    (void)in;
    (void)msg;
    return 0;
}

static struct bb_log_stats
log_stats(const struct sensor_worker *w)
{
    struct bb_log_stats st = {.size = sizeof(st)};

    if (w->member.log != NULL) {
        bb_log_stats(w->member.log, &st);
    }
    return st;
}

static bool
is_settled(const struct sensor_worker *w)
{
    const struct sensor_member *m = &w->member;

    return m->node.keeper.handled == m->end.events - m->end.nowhere && log_stats(w).unsaid == 0;
}

/* All that it raised has come back, and is logged. */
static int
settle(struct sensor_worker *w)
{
    struct sensor_member *m = &w->member;
    int64_t give_up_ns = sensor_mono_ns() + SETTLE_NS;

    if (m->log != NULL) {
        (void)bb_log_flush(m->log);
    }
    (void)bb_flush(bb_cluster_publisher(m->node.cluster));
    while (!is_settled(w) && sensor_mono_ns() < give_up_ns) {
        if (sensor_node_poll(&m->node, SENSOR_SLICE_NS / 10, ignore, NULL, &m->fail) != 0) {
            return -1;
        }
    }
    return 0;
}

/* A pool has its nodes when they were seen to come: this one too. */
static int
see_itself(struct sensor_worker *w)
{
    struct sensor_member *m = &w->member;
    int64_t give_up_ns = sensor_mono_ns() + SETTLE_NS;
    const struct bb_cluster_node *self = NULL;

    while ((self == NULL || self->is_in == 0) && sensor_mono_ns() < give_up_ns) {
        if (sensor_node_poll(&m->node, 0, ignore, NULL, &m->fail) != 0) {
            return -1;
        }
        self = sensor_members_find(&m->node.members, m->node.members.own_id);
    }
    return 0;
}

static void
count(const struct sensor_worker *w, struct sensor_result *out)
{
    const struct sensor_end *end = &w->member.end;
    struct bb_log_stats st = log_stats(w);

    *out = (struct sensor_result){.packets = end->packets,
                                  .connections = end->connections,
                                  .events = end->events,
                                  .delivered = w->member.node.keeper.handled,
                                  .lost = sensor_node_lost(&w->member.node),
                                  .log_records = st.written,
                                  .log_lost = st.unsaid + st.lost,
                                  .nowhere = end->nowhere};
}

static int
judge(const struct sensor_worker *w, const struct sensor_result *r)
{
    const char *node = w->member.opts->node;

    if (r->lost != 0 || r->delivered != r->events || r->log_lost != 0) {
        sensor_say(node, "events or log records were lost: the result is not whole");
        return SENSOR_EXIT_OTHER;
    }
    if (w->member.end.state == SENSOR_END_DAMAGED) {
        sensor_say(node, "the capture could not be read to its end");
        return SENSOR_EXIT_OTHER;
    }
    if (w->member.end.state == SENSOR_END_STOPPED) {
        sensor_say(node, "stopped before the end of the capture: the numbers are of a part");
    }
    return SENSOR_EXIT_DONE;
}

/* Prints; the exit code, or -1 and the sentence. */
static int
report(struct sensor_worker *w)
{
    static struct sensor_survey survey; /* large */
    struct sensor_member *m = &w->member;
    struct sensor_report r = {.watch = m->opts->watch_text};
    int rc;

    if (sensor_survey(&survey, &m->node, NULL, &m->fail) != 0) {
        return -1;
    }
    count(w, &r.sum);
    r.known = survey.known;
    r.known_count = survey.count;
    r.complete = m->end.state == SENSOR_END_COMPLETE;
    rc = m->opts->json ? sensor_report_json(stdout, &r) : sensor_report_text(stdout, &r);
    rc = rc == 0 ? judge(w, &r.sum)
                 : sensor_fail(&m->fail, SENSOR_EXIT_OTHER, "cannot write to standard output");
    sensor_survey_fini(&survey);
    return rc;
}

static int
stay(struct sensor_worker *w)
{
    while (w->member.opts->stay && !sensor_stop_requested()) {
        if (sensor_node_poll(&w->member.node, SENSOR_SLICE_NS, ignore, NULL, &w->member.fail)
            != 0) {
            return -1;
        }
    }
    return 0;
}

/* The exit code, or -1 and the sentence. */
static int
run(struct sensor_worker *w, const struct sensor_options *opts)
{
    struct sensor_member *m = &w->member;
    int code;

    if (sensor_worker_open(w, opts) != 0) {
        return -1;
    }
    m->to_say = 0; /* nobody is there to hear it */
    m->started = true;
    m->start_mono_ns = sensor_mono_ns();
    m->node.marks.start.wall_ns = sensor_wall_ns();
    if (see_itself(w) != 0 || sensor_worker_read(w) != 0 || settle(w) != 0) {
        return -1;
    }
    code = report(w);
    return code >= 0 && stay(w) != 0 ? -1 : code;
}

int
sensor_standalone_run(const struct sensor_options *opts)
{
    static struct sensor_worker w; /* large */
    char log_dir[SENSOR_LOG_DIR_TEXT] = "";
    struct sensor_options alone = *opts;
    struct sensor_fail fail;
    int code;

    alone.node = "standalone";
    alone.role = BB_ROLE_MANAGER;
    alone.workers = 1; /* one share: all of it */
    alone.share = 0;
    if (alone.loggers != 0 && alone.log_dir == NULL) {
        if (sensor_log_dir_make(log_dir, &fail) != 0) {
            sensor_say(NULL, "%s", fail.sentence);
            return fail.code;
        }
        alone.log_dir = log_dir;
    }
    code = run(&w, &alone);
    if (code < 0) {
        sensor_say(NULL, "%s", w.member.fail.sentence);
        code = w.member.fail.code;
    }
    sensor_worker_close(&w);
    sensor_log_dir_remove(log_dir);
    return code;
}
