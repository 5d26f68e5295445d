/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/outcome.h"

#include "tools/sensor/protocol.h"
#include "tools/sensor/report.h"

#include <inttypes.h>
#include <string.h>

/* ---- counting ---------------------------------------------------------------------------------- */

static uint64_t
less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/*
 * Where each event has an owner the workers know what they sent to whom, and this is exact.  Else it is what is
 * missing when somebody died.
 */
static uint64_t
count_gone(const struct sensor_outcome *outcome, uint64_t expected, uint64_t delivered)
{
    if (outcome->lead->opts->pattern->is_owned) {
        return sensor_layout_gone_events(&outcome->lead->layout);
    }
    return outcome->lead->layout.deaths == 0 ? 0 : less(expected, delivered);
}

static void
count(const struct sensor_outcome *outcome, const struct sensor_end *sum, struct sensor_result *out)
{
    uint64_t copies = outcome->lead->opts->pattern->copies(outcome->lead->layout.workers);
    struct sensor_tally tally;

    sensor_layout_tallies(&outcome->lead->layout, &tally);
    out->packets = sum->packets;
    out->connections = sum->connections;
    out->events = sum->events;
    out->delivered = tally.handled + outcome->lead->node.keeper.handled;
    out->filtered = less(
        sensor_others_count(&outcome->others, outcome->lead->opts, &outcome->lead->node.members),
        outcome->lead->strange_messages);
    out->lost = tally.lost + sensor_node_lost(&outcome->lead->node) + outcome->link_lost;
    out->log_records = tally.logged;
    out->log_lost = tally.unsaid;
    out->nowhere = sum->nowhere;
    out->gone = count_gone(outcome, (sum->events - sum->nowhere) * copies, out->delivered);
}

static void
say_what_is_missing(const struct sensor_outcome *outcome)
{
    for (uint32_t i = 0; i < outcome->lead->layout.count; i++) {
        const struct sensor_peer *peer = &outcome->lead->layout.peers[i];
        const char *loss =
            peer->role == BB_ROLE_WORKER ? "its share of the capture is not in the result"
            : outcome->lead->opts->pattern->is_stored ? "the store went on without it"
                                                      : "what it knew is not in the result";

        if (peer->state == SENSOR_PEER_MISSING) {
            sensor_say(outcome->lead->opts->node, "%s is missing: it %s; %s", peer->name, peer->why,
                       loss);
        }
    }
    for (size_t i = 0; i < outcome->survey.count; i++) {
        if (outcome->survey.known[i].why != NULL) {
            sensor_say(outcome->lead->opts->node, "no answer from %s about " SENSOR_VARIABLE ": %s",
                       outcome->survey.known[i].node, outcome->survey.known[i].why);
        }
    }
}

static void
say_what_was_dropped(const struct sensor_outcome *outcome, const struct sensor_end *sum)
{
    struct sensor_tally tally;
    uint64_t refused = outcome->lead->node.keeper.clients.refused;

    sensor_layout_tallies(&outcome->lead->layout, &tally);
    refused += tally.refused;
    if (sum->dropped != 0) {
        sensor_say(outcome->lead->opts->node,
                   "the kernel dropped %" PRIu64 " packets before the workers read them",
                   sum->dropped);
    }
    if (sum->half_open != 0) {
        sensor_say(outcome->lead->opts->node,
                   "%" PRIu64 " half-open connections were forgotten because the table was full",
                   sum->half_open);
    }
    if (refused != 0) {
        sensor_say(outcome->lead->opts->node,
                   "a set of clients is full at %d; %" PRIu64 " additions were refused",
                   (int)SENSOR_CLIENTS_MAX, refused);
    }
}

/* A node that died took something with it; how much can be told. */
static void
say_what_went(const struct sensor_outcome *outcome, const struct sensor_result *r)
{
    if (r->gone != 0) {
        sensor_say(outcome->lead->opts->node,
                   "%" PRIu64 " events were handled by a node that died, or were on the way to it",
                   r->gone);
    }
    if (r->nowhere != 0) {
        sensor_say(outcome->lead->opts->node,
                   "%" PRIu64 " events were sent to nobody: no node was there to handle them",
                   r->nowhere);
    }
}

/* All that was raised was handled, or is known to be gone; of a worker that is missing nobody knows. */
static bool
is_accounted(const struct sensor_outcome *outcome, const struct sensor_result *r)
{
    uint64_t copies = outcome->lead->opts->pattern->copies(outcome->lead->layout.workers);

    for (uint32_t i = 0; i < outcome->lead->layout.workers; i++) {
        if (outcome->lead->layout.peers[i].state == SENSOR_PEER_MISSING) {
            return true;
        }
    }
    return r->lost == 0 && r->delivered + r->gone == (r->events - r->nowhere) * copies;
}

/* The exit code of a result that was printed, with a sentence for each thing that is not as it should be. */
static int
judge(const struct sensor_outcome *outcome,
      const struct sensor_end *sum,
      const struct sensor_result *r)
{
    say_what_was_dropped(outcome, sum);
    say_what_is_missing(outcome);
    say_what_went(outcome, r);
    if (!is_accounted(outcome, r)) {
        sensor_say(outcome->lead->opts->node,
                   "of %" PRIu64 " events, %" PRIu64 " handlings were counted; %" PRIu64
                   " messages were lost: the result is not whole",
                   r->events, r->delivered, r->lost);
        return SENSOR_EXIT_OTHER;
    }
    if (sensor_layout_number(&outcome->lead->layout, SENSOR_PEER_MISSING) != 0
        || outcome->survey.silent != 0 || r->gone != 0 || r->nowhere != 0) {
        return SENSOR_EXIT_MISSING;
    }
    if (r->log_lost != 0) {
        sensor_say(outcome->lead->opts->node,
                   "no logger said that it wrote %" PRIu64 " of the conn records", r->log_lost);
        return SENSOR_EXIT_OTHER;
    }
    if (sum->state == SENSOR_END_DAMAGED) {
        sensor_say(outcome->lead->opts->node, "the capture could not be read to its end");
        return SENSOR_EXIT_OTHER;
    }
    if (sum->state == SENSOR_END_STOPPED) {
        sensor_say(outcome->lead->opts->node,
                   "stopped before the end of the capture: the numbers are of a part");
    }
    return SENSOR_EXIT_DONE;
}

static bool
is_complete(const struct sensor_outcome *outcome,
            const struct sensor_end *sum,
            const struct sensor_result *r)
{
    return sensor_layout_number(&outcome->lead->layout, SENSOR_PEER_MISSING) == 0
           && outcome->survey.silent == 0 && r->gone == 0 && r->nowhere == 0
           && sum->state == SENSOR_END_COMPLETE;
}

/* ---- saying it --------------------------------------------------------------------------------- */

void
sensor_outcome_begin(struct sensor_outcome *outcome, struct sensor_lead *lead)
{
    memset(outcome, 0, sizeof(*outcome));
    outcome->lead = lead;
    sensor_others_begin(&outcome->others, lead->opts);
}

void
sensor_outcome_fini(struct sensor_outcome *outcome)
{
    sensor_survey_fini(&outcome->survey);
}

int
sensor_outcome_say(struct sensor_outcome *outcome)
{
    const struct sensor_options *opts = outcome->lead->opts;
    const struct sensor_known *own = &outcome->survey.known[0];
    struct sensor_report r = {.watch = opts->watch_text,
                              .layout = &outcome->lead->layout,
                              .known = outcome->survey.known,
                              .known_count = outcome->survey.count};
    struct sensor_end sum;
    int code;

    sensor_layout_sum(&outcome->lead->layout, &sum);
    count(outcome, &sum, &r.sum);
    r.complete = is_complete(outcome, &sum, &r.sum);
    code = opts->json ? sensor_report_json(stdout, &r) : sensor_report_text(stdout, &r);
    if (code != 0) {
        code =
            sensor_fail(&outcome->lead->fail, SENSOR_EXIT_OTHER, "cannot write to standard output");
    } else {
        code = judge(outcome, &sum, &r.sum);
    }
    if (sensor_lead_say_result(outcome->lead, &r.sum, own->clients, own->count) != 0) {
        code = -1;
    }
    return code;
}

int
sensor_outcome_stay(struct sensor_lead *lead)
{
    const char *flag = lead->opts->bus != NULL ? " -b " : "";
    const char *bus = lead->opts->bus != NULL ? lead->opts->bus : "";

    if (!sensor_stop_requested()) {
        sensor_say(lead->opts->node,
                   "all nodes stay up until Ctrl-C; in another terminal try: busbar%s%s node list, "
                   "busbar%s%s ls, busbar%s%s print " SENSOR_VARIABLE,
                   flag, bus, flag, bus, flag, bus);
    }
    while (!sensor_stop_requested()) {
        if (sensor_lead_service(lead, SENSOR_SLICE_NS) != 0) {
            return -1;
        }
    }
    return 0;
}
