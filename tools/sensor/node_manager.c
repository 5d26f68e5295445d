/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The manager brings the layout together, asks every node what it knows, and prints the result.
 *
 *   join ─► hello ... ─► all are ready ─► start ─► end marks, pass marks, tallies ─► print ─► result
 *
 * It hears everybody reliably, each node's words in their order and its going after the last of them.
 */
#include "tools/sensor/known.h"
#include "tools/sensor/layout.h"
#include "tools/sensor/node.h"
#include "tools/sensor/others.h"
#include "tools/sensor/protocol.h"
#include "tools/sensor/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S    INT64_C(1000000000)
#define HELLO_NS    INT64_C(250000000)  /* between two calls of the roll */
#define PATIENCE_NS INT64_C(5000000000) /* then we say on standard error whom we wait for */
#define STOP_NS     INT64_C(5000000000) /* for the end marks, after `stop` */

/* What is to be said, in this order. */
enum { SAY_HELLO = 1u << 0, SAY_START = 1u << 1, SAY_STOP = 1u << 2, SAY_PASSED = 1u << 3 };

struct manager {
    const struct sensor_options *opts;
    struct sensor_node node;
    struct sensor_layout layout;
    struct sensor_others others;
    struct sensor_survey survey;
    uint64_t strange_messages; /* delivered, from nodes that are none of the cluster */
    uint32_t to_say;
    bool has_passed;
    bool told_of_mismatch;
    struct sensor_fail fail;
};

/* ---- what arrives ------------------------------------------------------------------------------ */

static void
take_status(struct manager *m, const struct bb_msg *msg)
{
    if (msg->status->kind == BB_STATUS_NODE_DOWN) {
        sensor_layout_gone(&m->layout, msg->node, msg->node_id,
                           msg->status->count == 1 ? "left before its end mark"
                                                   : "died before its end mark",
                           m->opts->forked);
    }
}

static void
take_ready(struct manager *m, const struct sensor_message *in, const struct bb_msg *msg)
{
    bool fits = in->workers == m->layout.workers;

    if (fits && sensor_layout_ready(&m->layout, in->role, in->share, msg->node, msg->node_id)) {
        m->to_say |= m->layout.started ? SAY_START : 0u; /* it came back */
        m->to_say |= m->has_passed ? SAY_PASSED : 0u;
        return;
    }
    if (m->layout.started || m->told_of_mismatch) {
        return;
    }
    m->told_of_mismatch = true;
    if (!fits) {
        sensor_say(m->opts->node,
                   "%s was told of %" PRIu64
                   " workers, this manager of %u: start all nodes with the "
                   "same --workers",
                   msg->node, in->workers, m->layout.workers);
    } else if (in->role == BB_ROLE_WORKER && in->share < m->layout.workers) {
        sensor_say(m->opts->node,
                   "%s wants share %" PRIu64 ", which %s has: end their names in different numbers",
                   msg->node, in->share + 1, m->layout.peers[in->share].name);
    } else {
        sensor_say(m->opts->node,
                   "%s is one %s more than this manager was told of, or its number is taken: start "
                   "all nodes with the same --proxies and --loggers",
                   msg->node, bb_role_name((uint32_t)in->role));
    }
}

static void
take_connection(struct manager *m, const struct bb_msg *msg)
{
    struct sensor_peer *peer = sensor_layout_find(&m->layout, msg->node_id);

    if (peer != NULL) {
        peer->delivered++;
    }
}

static int
take(void *user, const struct sensor_message *in, const struct bb_msg *msg)
{
    struct manager *m = user;

    if (in == NULL) {
        take_status(m, msg);
        return 0;
    }
    m->strange_messages += sensor_members_find(&m->node.members, msg->node_id) == NULL;
    switch (in->kind) {
    case SENSOR_MSG_READY:
        take_ready(m, in, msg);
        break;
    case SENSOR_MSG_CONNECTION:
        take_connection(m, msg);
        break;
    case SENSOR_MSG_END:
        sensor_layout_end(&m->layout, msg->node_id, &in->end);
        break;
    case SENSOR_MSG_TALLY:
        sensor_layout_tally(&m->layout, msg->node_id, &in->tally);
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
write_start(struct manager *m, void *buf, size_t cap)
{
    struct sensor_start *start = &m->node.marks.start;

    if (!m->node.marks.started) {
        struct sensor_start now = {.workers = m->layout.workers,
                                   .wall_ns = sensor_wall_ns(),
                                   .epoch = m->node.members.epoch};

        now.id_count = sensor_layout_ids(&m->layout, now.ids, SENSOR_IDS_MAX);
        sensor_marks_start(&m->node.marks, &now, m->node.members.own_id);
    }
    return sensor_write_start(buf, cap, start);
}

static int64_t
write_one(struct manager *m, uint32_t what, void *buf, size_t cap)
{
    switch (what) {
    case SAY_HELLO:
        return sensor_write_hello(buf, cap, m->layout.workers);
    case SAY_START:
        return write_start(m, buf, cap);
    case SAY_STOP:
        return sensor_write_stop(buf, cap);
    default:
        return sensor_write_passed(buf, cap);
    }
}

/* Says what is due; what a full ring does not take stays due. */
static int
say_all(struct manager *m)
{
    unsigned char buf[SENSOR_EVENT_BYTES];

    for (uint32_t what = SAY_HELLO; what <= SAY_PASSED; what <<= 1) {
        const char *topic = what == SAY_PASSED ? SENSOR_TOPIC_PASSED : SENSOR_TOPIC_MANAGER;
        int rc;

        if ((m->to_say & what) == 0) {
            continue;
        }
        rc = sensor_node_say(&m->node, topic, buf, write_one(m, what, buf, sizeof(buf)));
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

static int
service(struct manager *m, int64_t timeout_ns)
{
    if (sensor_node_poll(&m->node, m->to_say != 0 ? 0 : timeout_ns, take, m, &m->fail) != 0) {
        return -1;
    }
    if (!m->has_passed && sensor_marks_is_ended(&m->node.marks, &m->node.members)) {
        m->has_passed = true;
        m->to_say |= SAY_PASSED;
    }
    return say_all(m);
}

/* ---- the layout comes together ----------------------------------------------------------------- */

static void
say_who_is_awaited(const struct manager *m)
{
    char names[256];

    sensor_layout_names(&m->layout, SENSOR_PEER_ABSENT, names, sizeof(names));
    sensor_say(m->opts->node, "waiting for %s", names);
}

/* Calls the roll until every place is taken, time runs out or we are told to end. */
static int
gather(struct manager *m)
{
    int64_t now_ns = sensor_mono_ns();
    int64_t patience_ns = now_ns + PATIENCE_NS;
    int64_t give_up_ns = m->opts->wait_s == 0 ? INT64_MAX : now_ns + m->opts->wait_s * NS_PER_S;
    int64_t hello_ns = now_ns;

    while (sensor_layout_number(&m->layout, SENSOR_PEER_ABSENT) != 0 && !sensor_stop_requested()) {
        if (now_ns >= hello_ns) {
            hello_ns = now_ns + HELLO_NS;
            m->to_say |= SAY_HELLO;
        }
        if (now_ns >= give_up_ns) {
            sensor_layout_give_up(&m->layout, "did not come");
            break;
        }
        if (now_ns >= patience_ns) {
            patience_ns = INT64_MAX;
            say_who_is_awaited(m);
        }
        if (say_all(m) != 0 || service(m, SENSOR_SLICE_NS) != 0) {
            return -1;
        }
        now_ns = sensor_mono_ns();
    }
    return 0;
}

/* ---- until everybody said what it handled ------------------------------------------------------- */

/* All events are where they go: everybody else says so, and we have all of ours. */
static bool
is_over(const struct manager *m)
{
    return sensor_layout_awaited(&m->layout) == 0
           && sensor_marks_is_passed(&m->node.marks, &m->node.members);
}

static int
collect(struct manager *m)
{
    int64_t give_up_ns = INT64_MAX;

    m->layout.started = true;
    m->to_say = SAY_START;
    if (say_all(m) != 0) {
        return -1;
    }
    while (!is_over(m)) {
        if (sensor_stop_requested() && give_up_ns == INT64_MAX) {
            give_up_ns = sensor_mono_ns() + STOP_NS;
            m->to_say |= SAY_STOP;
        }
        if (give_up_ns != INT64_MAX && sensor_mono_ns() > give_up_ns) {
            sensor_layout_give_up(&m->layout, "did not stop within 5 s");
            break;
        }
        if (say_all(m) != 0 || service(m, SENSOR_SLICE_NS) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the result -------------------------------------------------------------------------------- */

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
count_gone(const struct manager *m, uint64_t expected, uint64_t delivered)
{
    if (m->opts->pattern->is_owned) {
        return sensor_layout_gone_events(&m->layout);
    }
    return m->layout.deaths == 0 ? 0 : less(expected, delivered);
}

static void
count(const struct manager *m, const struct sensor_end *sum, struct sensor_result *out)
{
    uint64_t copies = m->opts->pattern->copies(m->layout.workers);
    struct sensor_tally tally;

    sensor_layout_tallies(&m->layout, &tally);
    out->packets = sum->packets;
    out->connections = sum->connections;
    out->events = sum->events;
    out->delivered = tally.handled + m->node.keeper.handled;
    out->filtered =
        less(sensor_others_count(&m->others, m->opts, &m->node.members), m->strange_messages);
    out->lost = tally.lost + sensor_node_lost(&m->node);
    out->log_records = tally.logged;
    out->log_lost = tally.unsaid;
    out->nowhere = sum->nowhere;
    out->gone = count_gone(m, (sum->events - sum->nowhere) * copies, out->delivered);
}

/* Tells the others (and whoever listens); with all clients if they fit into a message. */
static int
say_result(struct manager *m, const struct sensor_report *r)
{
    const struct sensor_known *own = &m->survey.known[0];
    size_t max = bb_publisher_max(bb_cluster_publisher(m->node.cluster));
    size_t cap = SENSOR_EVENT_BYTES + own->count * 32;
    unsigned char *buf;
    int64_t bytes;
    int rc;

    cap = cap < max ? cap : max;
    buf = malloc(cap);
    if (buf == NULL) {
        return sensor_fail(&m->fail, SENSOR_EXIT_RESOURCE, "out of memory");
    }
    bytes = sensor_write_result(buf, cap, &r->sum, own->clients, own->count);
    rc = bytes == BB_EMSGSIZE ? BB_EMSGSIZE
                              : sensor_node_say(&m->node, SENSOR_TOPIC_MANAGER, buf, bytes);
    if (rc == BB_EMSGSIZE) {
        bytes = sensor_write_result(buf, cap, &r->sum, NULL, 0);
        rc = sensor_node_say(&m->node, SENSOR_TOPIC_MANAGER, buf, bytes);
    }
    free(buf);
    return rc == 0 ? 0 : sensor_fail_bus(&m->fail, rc, NULL, "cannot publish the result");
}

static void
say_what_is_missing(const struct manager *m)
{
    for (uint32_t i = 0; i < m->layout.count; i++) {
        const struct sensor_peer *peer = &m->layout.peers[i];
        const char *loss = peer->role == BB_ROLE_WORKER
                               ? "its share of the capture is not in the result"
                           : m->opts->pattern->is_stored ? "the store went on without it"
                                                         : "what it knew is not in the result";

        if (peer->state == SENSOR_PEER_MISSING) {
            sensor_say(m->opts->node, "%s is missing: it %s; %s", peer->name, peer->why, loss);
        }
    }
    for (size_t i = 0; i < m->survey.count; i++) {
        if (m->survey.known[i].why != NULL) {
            sensor_say(m->opts->node, "no answer from %s about " SENSOR_VARIABLE ": %s",
                       m->survey.known[i].node, m->survey.known[i].why);
        }
    }
}

static void
say_what_was_dropped(const struct manager *m, const struct sensor_end *sum)
{
    struct sensor_tally tally;
    uint64_t refused = m->node.keeper.clients.refused;

    sensor_layout_tallies(&m->layout, &tally);
    refused += tally.refused;
    if (sum->dropped != 0) {
        sensor_say(m->opts->node,
                   "the kernel dropped %" PRIu64 " packets before the workers read them",
                   sum->dropped);
    }
    if (sum->half_open != 0) {
        sensor_say(m->opts->node,
                   "%" PRIu64 " half-open connections were forgotten because the table was full",
                   sum->half_open);
    }
    if (refused != 0) {
        sensor_say(m->opts->node,
                   "a set of clients is full at %d; %" PRIu64 " additions were refused",
                   (int)SENSOR_CLIENTS_MAX, refused);
    }
}

/* A node that died took something with it; how much can be told. */
static void
say_what_went(const struct manager *m, const struct sensor_result *r)
{
    if (r->gone != 0) {
        sensor_say(m->opts->node,
                   "%" PRIu64 " events were handled by a node that died, or were on the way to it",
                   r->gone);
    }
    if (r->nowhere != 0) {
        sensor_say(m->opts->node,
                   "%" PRIu64 " events were sent to nobody: no node was there to handle them",
                   r->nowhere);
    }
}

/* All that was raised was handled, or is known to be gone; of a worker that is missing nobody knows. */
static bool
is_accounted(const struct manager *m, const struct sensor_result *r)
{
    uint64_t copies = m->opts->pattern->copies(m->layout.workers);

    for (uint32_t i = 0; i < m->layout.workers; i++) {
        if (m->layout.peers[i].state == SENSOR_PEER_MISSING) {
            return true;
        }
    }
    return r->lost == 0 && r->delivered + r->gone == (r->events - r->nowhere) * copies;
}

/* The exit code of a result that was printed, with a sentence for each thing that is not as it should be. */
static int
judge(const struct manager *m, const struct sensor_end *sum, const struct sensor_result *r)
{
    say_what_was_dropped(m, sum);
    say_what_is_missing(m);
    say_what_went(m, r);
    if (!is_accounted(m, r)) {
        sensor_say(m->opts->node,
                   "of %" PRIu64 " events, %" PRIu64 " handlings were counted; %" PRIu64
                   " messages were lost: the result is not whole",
                   r->events, r->delivered, r->lost);
        return SENSOR_EXIT_OTHER;
    }
    if (sensor_layout_number(&m->layout, SENSOR_PEER_MISSING) != 0 || m->survey.silent != 0
        || r->gone != 0 || r->nowhere != 0) {
        return SENSOR_EXIT_MISSING;
    }
    if (r->log_lost != 0) {
        sensor_say(m->opts->node, "no logger said that it wrote %" PRIu64 " of the conn records",
                   r->log_lost);
        return SENSOR_EXIT_OTHER;
    }
    if (sum->state == SENSOR_END_DAMAGED) {
        sensor_say(m->opts->node, "the capture could not be read to its end");
        return SENSOR_EXIT_OTHER;
    }
    if (sum->state == SENSOR_END_STOPPED) {
        sensor_say(m->opts->node,
                   "stopped before the end of the capture: the numbers are of a part");
    }
    return SENSOR_EXIT_DONE;
}

static bool
is_complete(const struct manager *m, const struct sensor_end *sum, const struct sensor_result *r)
{
    return sensor_layout_number(&m->layout, SENSOR_PEER_MISSING) == 0 && m->survey.silent == 0
           && r->gone == 0 && r->nowhere == 0 && sum->state == SENSOR_END_COMPLETE;
}

/* Prints, tells the others, and returns the exit code; -1 and the sentence if that failed. */
static int
finish(struct manager *m)
{
    struct sensor_report r = {
        .watch = m->opts->watch_text, .layout = &m->layout, .known = m->survey.known};
    struct sensor_end sum;
    int code;

    if (sensor_survey(&m->survey, &m->node, &m->layout, &m->fail) != 0) {
        return -1;
    }
    r.known_count = m->survey.count;
    sensor_layout_sum(&m->layout, &sum);
    count(m, &sum, &r.sum);
    r.complete = is_complete(m, &sum, &r.sum);
    code = m->opts->json ? sensor_report_json(stdout, &r) : sensor_report_text(stdout, &r);
    if (code != 0) {
        code = sensor_fail(&m->fail, SENSOR_EXIT_OTHER, "cannot write to standard output");
    } else {
        code = judge(m, &sum, &r.sum);
    }
    if (say_result(m, &r) != 0) {
        code = -1;
    }
    return code;
}

/* --stay: go on reading, so that nobody waits for us, until we are told to end. */
static int
stay(struct manager *m)
{
    const char *flag = m->opts->bus != NULL ? " -b " : "";
    const char *bus = m->opts->bus != NULL ? m->opts->bus : "";

    if (!sensor_stop_requested()) {
        sensor_say(m->opts->node,
                   "all nodes stay up until Ctrl-C; in another terminal try: busbar%s%s node list, "
                   "busbar%s%s ls, busbar%s%s print " SENSOR_VARIABLE,
                   flag, bus, flag, bus, flag, bus);
    }
    while (!sensor_stop_requested()) {
        if (service(m, SENSOR_SLICE_NS) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the manager's life ------------------------------------------------------------------------ */

static int
open_manager(struct manager *m)
{
    const struct sensor_options *o = m->opts;

    if (sensor_layout_init(&m->layout, o->workers, o->proxies, o->loggers) != 0) {
        return sensor_fail(&m->fail, SENSOR_EXIT_RESOURCE, "out of memory");
    }
    if (sensor_node_open(&m->node, o, &m->fail) != 0) {
        return -1;
    }
    sensor_others_begin(&m->others, o);
    return 0;
}

/* All are there and nobody has begun: what an earlier run left in the store goes. */
static int
open_store(struct manager *m)
{
    int64_t give_up_ns = sensor_mono_ns() + STOP_NS;
    int rc = BB_ETIMEDOUT;

    if (sensor_node_open_store(&m->node, &m->fail) != 0) {
        return -1;
    }
    while (m->opts->pattern->is_stored && rc == BB_ETIMEDOUT && sensor_mono_ns() < give_up_ns) {
        rc = sensor_shelf_clear(&m->node.keeper.shelf);
        if (service(m, 0) != 0) {
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
    int code;

    if (gather(m) != 0) {
        return -1;
    }
    if (sensor_layout_number(&m->layout, SENSOR_PEER_ABSENT) != 0) {
        sensor_say(m->opts->node, "stopped before all nodes were there: no result");
        return SENSOR_EXIT_MISSING;
    }
    if (open_store(m) != 0 || collect(m) != 0) {
        return -1;
    }
    code = finish(m);
    if (code >= 0 && m->opts->stay && stay(m) != 0) {
        return -1;
    }
    return code;
}

int
sensor_manager_run(const struct sensor_options *opts)
{
    static struct manager m; /* large */
    int code;
    int early;

    m.opts = opts;
    code = open_manager(&m);
    early = code != 0 && opts->forked ? SENSOR_EXIT_EARLY : 0;

    if (code == 0) {
        code = run(&m);
    }
    sensor_node_close(&m.node);
    sensor_survey_fini(&m.survey);
    sensor_layout_fini(&m.layout);
    if (code >= 0) {
        return code;
    }
    sensor_say(opts->node, "%s", m.fail.sentence);
    return early + m.fail.code;
}
