/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The manager of workers that are on another box.  It hears their events over the link, keeps the clients, tells the
 * workers what it took, and prints what the manager of one box prints.
 *
 *   call ─► their site is ready ─► what we want is known there ─► go ─► events, end marks ─► the site has ended ─► print
 */
#include "tools/sensor/box_view.h"
#include "tools/sensor/far.h"
#include "tools/sensor/outcome.h"

#include <inttypes.h>
#include <string.h>

enum { CALL_SLICE_NS = 250000000 };

struct manager {
    struct sensor_lead lead;
    struct sensor_far far;
    struct sensor_outcome outcome;
    struct sensor_box_view view;
    struct sensor_box_word heard, said; /* large */
    uint64_t run;
    uint64_t phase;
    uint64_t site_phase;
    int64_t word_ns; /* when the next one is due at the latest */
    bool told_of_other;
};

/* ---- what comes over the link ---------------------------------------------------------------------- */

/* The first site that is ready for us is ours; a word of it that has no list of nodes comes before that. */
static void
take_site(struct manager *m, const struct bb_origin *from)
{
    if (m->heard.run != m->run) {
        return; /* the answer to somebody else */
    }
    if (!m->far.is_known && m->heard.phase == SENSOR_BOX_READY
        && sensor_box_view_begin(&m->view, &m->lead.layout, &m->heard) == 0) {
        sensor_far_follow(&m->far, from);
    }
    if (sensor_far_is_it(&m->far, from)) {
        m->site_phase = m->heard.phase;
        sensor_box_view_site(&m->view, &m->heard);
    } else if (m->far.is_known && !m->told_of_other) {
        m->told_of_other = true;
        sensor_say(m->lead.opts->node,
                   "%s has workers too: they are not heard, for this manager has those of %s",
                   from->box_name, m->far.box_name);
    }
}

static void
take_word(struct manager *m, const struct bb_msg *msg)
{
    struct bb_origin from;

    if (!sensor_far_read(&m->lead, msg, &m->heard, &from)) {
        return;
    }
    if (m->heard.kind == SENSOR_BOX_SITE) {
        take_site(m, &from);
    } else if (!sensor_far_is_its_box(&m->far, &from)) {
        return;
    } else if (m->heard.kind == SENSOR_BOX_ASK) {
        (void)sensor_box_view_ask(&m->view, from.node_id, from.seq);
    } else if (m->heard.kind == SENSOR_BOX_GONE) {
        m->far.is_gone = true;
    }
}

static int
take_far(void *user, const struct sensor_message *in, const struct bb_msg *msg)
{
    struct manager *m = user;
    struct bb_origin from = {.size = sizeof(from)};

    if (in == NULL) {
        sensor_far_status(&m->far, msg);
    } else if (in->kind == SENSOR_MSG_UNKNOWN) {
        take_word(m, msg);
    } else if (bb_msg_origin(msg, &from) != 0 || !sensor_far_is_its_box(&m->far, &from)) {
        return 0;
    } else if (in->kind == SENSOR_MSG_END) {
        (void)sensor_box_view_end(&m->view, from.node_id, from.seq, &in->end);
    } else if (in->kind == SENSOR_MSG_CONNECTION
               && sensor_box_view_event(&m->view, from.node_id, from.seq)) {
        sensor_keeper_take(&m->lead.node.keeper, in->orig, in->resp);
    }
    return 0;
}

/* ---- what it says ---------------------------------------------------------------------------------- */

static int
say(struct manager *m)
{
    m->word_ns = sensor_mono_ns() + SENSOR_WORD_NS;
    m->said.kind = SENSOR_BOX_MANAGER;
    m->said.run = m->run;
    m->said.phase = m->phase;
    sensor_box_view_say(&m->view, &m->said);
    return sensor_far_say(&m->lead, SENSOR_TOPIC_BOX_MANAGER, &m->said);
}

static int
service(struct manager *m, int64_t timeout_ns)
{
    if (sensor_lead_service(&m->lead, timeout_ns) != 0) {
        return -1;
    }
    return sensor_box_view_is_due(&m->view) || sensor_mono_ns() >= m->word_ns ? say(m) : 0;
}

/* ---- from the call to the last event ----------------------------------------------------------------- */

/* Until a site is ready and knows what we want.  0; 1: stopped by a signal; -1. */
static int
gather(struct manager *m)
{
    int knows = 0;

    while (knows == 0) {
        if (sensor_stop_requested()) {
            return 1;
        }
        if (service(m, CALL_SLICE_NS) != 0) {
            return -1;
        }
        sensor_far_hint(&m->far, m->lead.node.cluster);
        if (m->far.is_known) {
            knows = sensor_far_knows(&m->lead);
        }
    }
    return knows < 0 ? -1 : 0;
}

static int
collect(struct manager *m)
{
    m->lead.layout.started = true;
    m->phase = SENSOR_BOX_RUNNING;
    if (say(m) != 0) {
        return -1;
    }
    while (!sensor_box_view_is_over(&m->view)) {
        const char *gone = sensor_far_is_over(&m->far);

        if (gone != NULL) {
            sensor_say(m->lead.opts->node, "the site on %s %s: the result is of what came from it",
                       m->far.box_name, gone);
            sensor_layout_give_up(&m->lead.layout, "was on a box that is not heard any more");
            return 0;
        }
        if (sensor_stop_requested() && m->phase == SENSOR_BOX_RUNNING) {
            m->phase = SENSOR_BOX_STOPPING;
            m->word_ns = 0;
        }
        if (service(m, SENSOR_SLICE_NS) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the end ----------------------------------------------------------------------------------------- */

/* Requests do not cross a link; but the others keep no clients, and their site said who is there. */
static int
survey(struct manager *m)
{
    struct sensor_survey *survey = &m->outcome.survey;
    const struct sensor_layout *layout = &m->lead.layout;

    if (sensor_survey(survey, &m->lead.node, NULL, &m->lead.fail) != 0) {
        return -1;
    }
    for (uint32_t i = 0; i < layout->count && survey->count < SENSOR_NODES_MAX; i++) {
        const struct sensor_peer *peer = &layout->peers[i];
        bool is_silent = peer->state == SENSOR_PEER_MISSING || peer->is_gone;

        survey->known[survey->count++] =
            (struct sensor_known){.node = peer->name, .why = is_silent ? "it is not there" : NULL};
        survey->silent += is_silent;
    }
    return 0;
}

/* The exit code, or -1 and the sentence. */
static int
run(struct manager *m)
{
    int rc = gather(m);
    int code;

    if (rc < 0) {
        return -1;
    }
    if (rc != 0) {
        sensor_say(m->lead.opts->node, "stopped before the workers' box was there: no result");
        return SENSOR_EXIT_MISSING;
    }
    if (collect(m) != 0 || survey(m) != 0) {
        return -1;
    }
    m->outcome.link_lost = sensor_box_view_lost(&m->view);
    code = sensor_outcome_say(&m->outcome);
    m->phase = SENSOR_BOX_ENDED;
    if (say(m) != 0 || (code >= 0 && m->lead.opts->stay && sensor_outcome_stay(&m->lead) != 0)) {
        return -1;
    }
    return code;
}

static int
open_manager(struct manager *m, const struct sensor_options *opts)
{
    m->lead.opts = opts;
    if (sensor_node_open(&m->lead.node, opts, &m->lead.fail) != 0) {
        return -1;
    }
    sensor_far_init(&m->far, opts);
    sensor_outcome_begin(&m->outcome, &m->lead);
    m->lead.node.take_far = take_far;
    m->lead.node.far_user = m;
    m->run = sensor_random_seed();
    return 0;
}

int
sensor_box_manager_run(const struct sensor_options *opts)
{
    static struct manager m; /* large */
    int code = open_manager(&m, opts);
    int early = code != 0 ? SENSOR_EXIT_EARLY : 0;

    if (code == 0) {
        code = run(&m);
    }
    sensor_outcome_fini(&m.outcome);
    sensor_lead_close(&m.lead);
    if (code >= 0) {
        return code;
    }
    sensor_say(opts->node, "%s", m.lead.fail.sentence);
    return early + m.lead.fail.code;
}
