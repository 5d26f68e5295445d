/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The site leads the workers and loggers of a box whose manager is on another one.  To its nodes it is the manager, to
 * the manager it stands for all of them; events pass it by, from the workers' rings over the link.
 *
 *   gather ─► ready, when the manager is heard ─► it says go ─► collect ─► ended, with what each said ─► it says done
 *
 * Whoever dies here is seen to die here, after its last message, and told to the manager.
 */
#include "tools/sensor/far.h"
#include "tools/sensor/outcome.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct site {
    struct sensor_lead lead;
    struct sensor_far far;
    struct sensor_box_word heard, said; /* large */
    uint64_t run;                       /* of the manager that is followed */
    uint64_t phase;                     /* ours */
    uint64_t manager_phase;
    bool is_due;      /* a word */
    const char *gone; /* why the manager is waited for no longer */
};

/* ---- what the manager says ----------------------------------------------------------------------- */

/* Before the start another manager may come in place of the one that called first. */
static void
take_manager(struct site *s, const struct bb_origin *from)
{
    bool is_new = s->heard.run != s->run || !s->far.is_known;

    if (is_new && (s->phase > SENSOR_BOX_READY || s->heard.phase != SENSOR_BOX_GATHERING)) {
        return;
    }
    if (is_new) {
        sensor_far_follow(&s->far, from);
        s->run = s->heard.run;
    }
    if (sensor_far_is_it(&s->far, from)) {
        s->manager_phase = s->heard.phase;
        s->is_due = true;
    }
}

static int
take_far(void *user, const struct sensor_message *in, const struct bb_msg *msg)
{
    struct site *s = user;
    struct bb_origin from;

    if (in == NULL) {
        sensor_far_status(&s->far, msg);
    } else if (sensor_far_read(&s->lead, msg, &s->heard, &from)) {
        if (s->heard.kind == SENSOR_BOX_MANAGER) {
            take_manager(s, &from);
        } else if (s->heard.kind == SENSOR_BOX_GONE && sensor_far_is_its_box(&s->far, &from)) {
            s->far.is_gone = true;
        }
    }
    return 0;
}

/* ---- what it says -------------------------------------------------------------------------------- */

static int
say(struct site *s)
{
    bool is_whole = s->phase != SENSOR_BOX_GATHERING && s->phase != SENSOR_BOX_RUNNING;

    s->is_due = false;
    s->said.kind = SENSOR_BOX_SITE;
    s->said.run = s->run;
    s->said.phase = s->phase;
    sensor_box_tell(&s->said, &s->lead.layout);
    s->said.peer_count = is_whole ? s->said.peer_count : 0;
    return sensor_far_say(&s->lead, SENSOR_TOPIC_BOX_SITE, &s->said);
}

static int
say_if_due(struct site *s)
{
    return s->is_due && s->far.is_known ? say(s) : 0;
}

/* ---- in step with the manager -------------------------------------------------------------------- */

/* While the nodes come together, or read the capture: a sensor_turn_fn. */
static int
turn(void *user)
{
    struct site *s = user;

    if (s->manager_phase == SENSOR_BOX_STOPPING) {
        sensor_lead_stop(&s->lead);
    }
    if (s->phase == SENSOR_BOX_RUNNING) {
        s->gone = sensor_far_is_over(&s->far);
    }
    return say_if_due(s) != 0 ? -1 : s->gone != NULL;
}

/* Serves its nodes and answers the manager until that has come so far.  0; 1: stopped by a signal; -1. */
static int
wait_for(struct site *s, uint64_t phase, bool is_stoppable)
{
    int knows = s->phase > SENSOR_BOX_READY;

    while (s->manager_phase < phase && s->gone == NULL) {
        if (is_stoppable && sensor_stop_requested()) {
            return 1;
        }
        if (sensor_lead_service(&s->lead, SENSOR_SLICE_NS) != 0) {
            return -1;
        }
        if (knows == 0 && s->far.is_known) { /* what the manager took must come here */
            knows = sensor_far_knows(&s->lead);
        }
        if (knows < 0) {
            return -1;
        }
        s->phase = knows != 0 && s->phase < SENSOR_BOX_READY ? SENSOR_BOX_READY : s->phase;
        sensor_far_hint(&s->far, s->lead.node.cluster);
        if (say_if_due(s) != 0) {
            return -1;
        }
        s->gone = s->phase > SENSOR_BOX_READY ? sensor_far_is_over(&s->far) : NULL;
    }
    return 0;
}

/* ---- its end ------------------------------------------------------------------------------------- */

static void
sum_up(const struct site *s, struct sensor_result *out)
{
    struct sensor_tally tally;
    struct sensor_end sum;

    sensor_layout_sum(&s->lead.layout, &sum);
    sensor_layout_tallies(&s->lead.layout, &tally);
    *out = (struct sensor_result){.packets = sum.packets,
                                  .connections = sum.connections,
                                  .events = sum.events,
                                  .lost = tally.lost,
                                  .log_records = tally.logged,
                                  .log_lost = tally.unsaid};
}

/* All may leave, and the people of this box read what became of their capture. */
static int
finish(struct site *s)
{
    struct sensor_result sum;
    uint32_t missing = sensor_layout_number(&s->lead.layout, SENSOR_PEER_MISSING);

    sum_up(s, &sum);
    (void)printf("%" PRIu64 " packets, %" PRIu64 " connections, %" PRIu64 " events; %" PRIu64
                 " log records written, %" PRIu64 " lost; the manager on %s has the result\n",
                 sum.packets, sum.connections, sum.events, sum.log_records, sum.log_lost,
                 s->far.box_name);
    if (sensor_lead_say_result(&s->lead, &sum, NULL, 0) != 0) {
        return -1;
    }
    if (fflush(stdout) != 0) {
        return sensor_fail(&s->lead.fail, SENSOR_EXIT_OTHER, "cannot write to standard output");
    }
    return missing == 0 ? SENSOR_EXIT_DONE : SENSOR_EXIT_MISSING;
}

static int
fail_gone(struct site *s)
{
    return sensor_fail(&s->lead.fail, SENSOR_EXIT_MISSING,
                       "the manager on %s %s before it said the result; `busbar bridge ls` shows "
                       "the link",
                       s->far.box_name, s->gone);
}

/* The exit code, or -1 and the sentence. */
static int
run(struct site *s)
{
    int code;
    int rc;

    if (sensor_lead_gather(&s->lead) != 0) {
        return -1;
    }
    rc = wait_for(s, SENSOR_BOX_RUNNING, true);
    if (rc < 0) {
        return -1;
    }
    if (rc != 0 || sensor_layout_number(&s->lead.layout, SENSOR_PEER_ABSENT) != 0) {
        sensor_say(s->lead.opts->node, "stopped before all nodes and the manager were there");
        return SENSOR_EXIT_MISSING;
    }
    s->phase = SENSOR_BOX_RUNNING;
    if (sensor_lead_collect(&s->lead) != 0) {
        return -1;
    }
    if (s->gone == NULL) {
        s->phase = SENSOR_BOX_ENDED;
        s->is_due = true;
        if (wait_for(s, SENSOR_BOX_ENDED, false) != 0) {
            return -1;
        }
    }
    if (s->gone != NULL) {
        return fail_gone(s);
    }
    code = finish(s);
    return code >= 0 && s->lead.opts->stay && sensor_outcome_stay(&s->lead) != 0 ? -1 : code;
}

int
sensor_site_run(const struct sensor_options *opts)
{
    static struct site s; /* large */
    int code = sensor_lead_open(&s.lead, opts);
    int early = code != 0 ? SENSOR_EXIT_EARLY : 0;

    if (code == 0) {
        sensor_far_init(&s.far, opts);
        s.lead.node.take_far = take_far;
        s.lead.node.far_user = &s;
        s.lead.turn = turn;
        s.lead.turn_user = &s;
        code = run(&s);
    }
    sensor_lead_close(&s.lead);
    if (code >= 0) {
        return code;
    }
    sensor_say(opts->node, "%s", s.lead.fail.sentence);
    return early + s.lead.fail.code;
}
