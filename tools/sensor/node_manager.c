/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The manager brings the layout together, asks every node what it knows, and prints the result.
 *
 *   join ─► gather ─► start ─► collect ─► ask all ─► print ─► result
 */
#include "tools/sensor/lead.h"
#include "tools/sensor/outcome.h"

#define STORE_NS INT64_C(5000000000) /* for the store to be emptied */

struct manager {
    struct sensor_lead lead;
    struct sensor_outcome outcome;
};

/* All are there and nobody has begun: what an earlier run left in the store goes. */
static int
open_store(struct sensor_lead *m)
{
    int64_t give_up_ns = sensor_mono_ns() + STORE_NS;
    int rc = BB_ETIMEDOUT;

    if (sensor_node_open_store(&m->node, &m->fail) != 0) {
        return -1;
    }
    while (m->opts->pattern->is_stored && rc == BB_ETIMEDOUT && sensor_mono_ns() < give_up_ns) {
        rc = sensor_shelf_clear(&m->node.keeper.shelf);
        if (sensor_lead_service(m, 0) != 0) {
            return -1;
        }
    }
    return !m->opts->pattern->is_stored || rc == 0
               ? 0
               : sensor_fail_bus(&m->fail, rc, NULL, "cannot empty the store " SENSOR_STORE);
}

/* The exit code, or -1 and the sentence. */
static int
run(struct manager *m)
{
    struct sensor_lead *lead = &m->lead;
    int code;

    if (sensor_lead_gather(lead) != 0) {
        return -1;
    }
    if (sensor_layout_number(&lead->layout, SENSOR_PEER_ABSENT) != 0) {
        sensor_say(lead->opts->node, "stopped before all nodes were there: no result");
        return SENSOR_EXIT_MISSING;
    }
    if (open_store(lead) != 0 || sensor_lead_collect(lead) != 0
        || sensor_survey(&m->outcome.survey, &lead->node, &lead->layout, &lead->fail) != 0) {
        return -1;
    }
    code = sensor_outcome_say(&m->outcome);
    if (code >= 0 && lead->opts->stay && sensor_outcome_stay(lead) != 0) {
        return -1;
    }
    return code;
}

int
sensor_manager_run(const struct sensor_options *opts)
{
    static struct manager m; /* large */
    int code = sensor_lead_open(&m.lead, opts);
    int early = code != 0 && opts->forked ? SENSOR_EXIT_EARLY : 0;

    if (code == 0) {
        sensor_outcome_begin(&m.outcome, &m.lead);
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
