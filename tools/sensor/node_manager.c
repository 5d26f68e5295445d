/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The manager brings the layout together, keeps EX::known_clients, and prints the result.
 *
 *   attach, subscribe ─► hello ... ─► all shares ready ─► start ─► events, end marks ─► print ─► result
 *
 * One reliable subscriber hears everything: events, end marks, ready, and who left or died, each in order
 * with the messages of the same ring.  So when the last end mark is here, all events are.
 */
#include "tools/sensor/clients.h"
#include "tools/sensor/layout.h"
#include "tools/sensor/node.h"
#include "tools/sensor/protocol.h"
#include "tools/sensor/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S    INT64_C(1000000000)
#define HELLO_NS    INT64_C(250000000)  /* between two calls of the roll */
#define PATIENCE_NS INT64_C(5000000000) /* then we say on standard error whom we wait for */
#define STOP_NS     INT64_C(5000000000) /* for the end marks, after `stop` */

enum { POLL_MESSAGES = 64 };

struct manager {
    const struct sensor_options *opts;
    struct sensor_node node;
    struct sensor_layout layout;
    struct sensor_clients clients;
    uint64_t other_messages; /* delivered, but no event of a worker of ours */
    bool told_of_mismatch;
    struct sensor_fail fail;
};

/* ---- what arrives ------------------------------------------------------------------------------ */

static void
take_status(struct manager *m, const struct bb_msg *msg)
{
    switch (msg->status->kind) {
    case BB_STATUS_LEFT:
        sensor_layout_gone(&m->layout, msg->node, msg->node_id, "left before its end mark",
                           m->opts->forked);
        break;
    case BB_STATUS_DIED:
        sensor_layout_gone(&m->layout, msg->node, msg->node_id, "died before its end mark",
                           m->opts->forked);
        break;
    default:
        break; /* losses are in the counters */
    }
}

static void
take_ready(struct manager *m, const struct sensor_message *in, const struct bb_msg *msg)
{
    bool fits = in->workers == m->layout.count;

    if (fits && sensor_layout_ready(&m->layout, in->share, msg->node, msg->node_id)) {
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
                   msg->node, in->workers, m->layout.count);
    } else {
        sensor_say(m->opts->node,
                   "%s wants share %" PRIu64 ", which %s has: end their names in different numbers",
                   msg->node, in->share + 1, m->layout.peers[in->share].name);
    }
}

/* True if it was an event of one of our workers. */
static bool
take_connection(struct manager *m, const struct sensor_message *in, const struct bb_msg *msg)
{
    struct sensor_peer *peer = sensor_layout_find(&m->layout, msg->node_id);

    if (peer == NULL) {
        return false;
    }
    peer->delivered++;
    if (m->opts->watch_any || memcmp(in->resp, m->opts->watch, sizeof(in->resp)) == 0) {
        sensor_clients_add(&m->clients, in->orig);
    }
    return true;
}

static void
take_end(struct manager *m, const struct sensor_message *in, const struct bb_msg *msg)
{
    struct sensor_peer *peer = sensor_layout_find(&m->layout, msg->node_id);

    if (peer != NULL && peer->state == SENSOR_PEER_READY) {
        peer->end = in->end;
        peer->state = SENSOR_PEER_ENDED;
    }
}

static void
take_message(struct manager *m, const struct bb_msg *msg)
{
    struct sensor_message in;
    bool is_event = false;

    if (msg->status != NULL) {
        take_status(m, msg);
        return;
    }
    sensor_read(&in, msg->data, msg->bytes); /* copies what it needs out of the ring ... */
    if (!bb_msg_valid(m->node.sub, msg)) {   /* ... and what was overwritten meanwhile is void */
        return;
    }
    if (in.kind == SENSOR_MSG_CONNECTION) {
        is_event = take_connection(m, &in, msg);
    } else if (in.kind == SENSOR_MSG_READY) {
        take_ready(m, &in, msg);
    } else if (in.kind == SENSOR_MSG_END) {
        take_end(m, &in, msg);
    }
    m->other_messages += !is_event;
}

static int
service(struct manager *m, int64_t timeout_ns)
{
    struct bb_msg msgs[POLL_MESSAGES];
    int n = bb_poll(m->node.sub, msgs, POLL_MESSAGES, timeout_ns);

    if (n < 0) {
        return sensor_fail_bus(&m->fail, n, NULL, "cannot read the bus");
    }
    for (int i = 0; i < n; i++) {
        take_message(m, &msgs[i]);
    }
    (void)bb_release(m->node.sub);
    return 0;
}

/* ---- the layout comes together ----------------------------------------------------------------- */

static int
say(struct manager *m, const void *event, int64_t bytes)
{
    int rc = sensor_node_say(&m->node, event, bytes);

    return rc == 0 ? 0 : sensor_fail_bus(&m->fail, rc, NULL, "cannot publish on the control lane");
}

static int
say_hello(struct manager *m)
{
    unsigned char buf[SENSOR_EVENT_BYTES];

    return say(m, buf, sensor_write_hello(buf, sizeof(buf), m->layout.count));
}

static int
say_start(struct manager *m)
{
    unsigned char buf[SENSOR_EVENT_BYTES];

    return say(m, buf, sensor_write_start(buf, sizeof(buf), m->layout.count, sensor_wall_ns()));
}

static int
say_stop(struct manager *m)
{
    unsigned char buf[SENSOR_EVENT_BYTES];

    return say(m, buf, sensor_write_stop(buf, sizeof(buf)));
}

static void
say_who_is_awaited(const struct manager *m)
{
    char names[256];

    sensor_layout_names(&m->layout, SENSOR_PEER_ABSENT, names, sizeof(names));
    sensor_say(m->opts->node, "waiting for %s", names);
}

/* Calls the roll until every share has a worker, time runs out or we are told to end. */
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
            if (say_hello(m) != 0) {
                return -1;
            }
        }
        if (now_ns >= give_up_ns) {
            sensor_layout_give_up(&m->layout, "did not come");
            break;
        }
        if (now_ns >= patience_ns) {
            patience_ns = INT64_MAX;
            say_who_is_awaited(m);
        }
        if (service(m, SENSOR_SLICE_NS) != 0) {
            return -1;
        }
        now_ns = sensor_mono_ns();
    }
    return 0;
}

/* ---- events until the last end mark ------------------------------------------------------------ */

static int
collect(struct manager *m)
{
    int64_t give_up_ns = INT64_MAX;

    m->layout.started = true;
    if (say_start(m) != 0) {
        return -1;
    }
    while (sensor_layout_number(&m->layout, SENSOR_PEER_READY) != 0) {
        if (sensor_stop_requested() && give_up_ns == INT64_MAX) {
            give_up_ns = sensor_mono_ns() + STOP_NS;
            if (say_stop(m) != 0) {
                return -1;
            }
        }
        if (give_up_ns != INT64_MAX && sensor_mono_ns() > give_up_ns) {
            sensor_layout_give_up(&m->layout, "did not stop within 5 s");
            break;
        }
        if (service(m, SENSOR_SLICE_NS) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- the result -------------------------------------------------------------------------------- */

static void
count(const struct manager *m, const struct sensor_end *sum, struct sensor_result *out)
{
    struct bb_subscriber_stats st = {.size = sizeof(st)};

    bb_subscriber_stats(m->node.sub, &st);
    out->packets = sum->packets;
    out->connections = sum->connections;
    out->events = sum->events;
    out->delivered = st.delivered > m->other_messages ? st.delivered - m->other_messages : 0;
    out->filtered = st.filtered;
    out->lost = st.lost;
}

/* Tells the workers (and whoever listens); with all clients if they fit into a message. */
static int
say_result(struct manager *m, const struct sensor_report *r)
{
    size_t max = bb_publisher_max(m->node.control);
    size_t cap = SENSOR_EVENT_BYTES + r->client_count * 32;
    unsigned char *buf;
    int64_t bytes;
    int rc;

    cap = cap < max ? cap : max;
    buf = malloc(cap);
    if (buf == NULL) {
        return sensor_fail(&m->fail, SENSOR_EXIT_RESOURCE, "out of memory");
    }
    bytes = sensor_write_result(buf, cap, &r->sum, r->clients, r->client_count);
    if (bytes == BB_EMSGSIZE) {
        bytes = sensor_write_result(buf, cap, &r->sum, NULL, 0);
    }
    rc = say(m, buf, bytes);
    free(buf);
    return rc;
}

static void
say_what_is_missing(const struct manager *m)
{
    for (uint32_t i = 0; i < m->layout.count; i++) {
        const struct sensor_peer *peer = &m->layout.peers[i];

        if (peer->state == SENSOR_PEER_MISSING) {
            sensor_say(m->opts->node,
                       "%s is missing: it %s; its share of the capture is not in the result",
                       peer->name, peer->why);
        }
    }
}

static void
say_what_was_dropped(const struct manager *m, const struct sensor_end *sum)
{
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
    if (m->clients.refused != 0) {
        sensor_say(m->opts->node,
                   "the set of clients is full at %d; %" PRIu64 " additions were refused",
                   (int)SENSOR_CLIENTS_MAX, m->clients.refused);
    }
}

/* The exit code of a result that was printed, with a sentence for each thing that is not as it should be. */
static int
judge(const struct manager *m, const struct sensor_end *sum, const struct sensor_result *r)
{
    say_what_was_dropped(m, sum);
    if (sensor_layout_number(&m->layout, SENSOR_PEER_MISSING) != 0) {
        say_what_is_missing(m);
        return SENSOR_EXIT_MISSING;
    }
    if (r->lost != 0 || r->delivered != r->events) {
        sensor_say(m->opts->node,
                   "of %" PRIu64 " events %" PRIu64 " were delivered; %" PRIu64
                   " messages were lost: the result is not whole",
                   r->events, r->delivered, r->lost);
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

/* Prints, tells the workers, and returns the exit code; -1 and the sentence if that failed. */
static int
finish(struct manager *m)
{
    struct sensor_address *clients = sensor_clients_sorted(&m->clients);
    struct sensor_report r = {.manager = bb_endpoint_name(m->node.ep),
                              .watch = m->opts->watch_text,
                              .layout = &m->layout,
                              .clients = clients,
                              .client_count = m->clients.count};
    struct sensor_end sum;
    int code;

    if (clients == NULL) {
        return sensor_fail(&m->fail, SENSOR_EXIT_RESOURCE, "out of memory");
    }
    sensor_layout_sum(&m->layout, &sum);
    count(m, &sum, &r.sum);
    r.complete = sensor_layout_number(&m->layout, SENSOR_PEER_MISSING) == 0
                 && sum.state == SENSOR_END_COMPLETE;
    code = m->opts->json ? sensor_report_json(stdout, &r) : sensor_report_text(stdout, &r);
    if (code != 0) {
        code = sensor_fail(&m->fail, SENSOR_EXIT_OTHER, "cannot write to standard output");
    } else {
        code = judge(m, &sum, &r.sum);
    }
    if (say_result(m, &r) != 0) {
        code = -1;
    }
    free(clients);
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
                   "busbar%s%s ls, busbar%s%s topic info sensor/",
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
    const struct sensor_node_opts how = {.listen_prefix = SENSOR_TOPIC_ALL,
                                         .control_topic = SENSOR_TOPIC_MANAGER,
                                         .subscriber_flags = BB_SUBSCRIBER_RELIABLE};

    sensor_clients_init(&m->clients, SENSOR_CLIENTS_MAX, sensor_random_seed());
    if (sensor_layout_init(&m->layout, m->opts->workers) != 0) {
        return sensor_fail(&m->fail, SENSOR_EXIT_RESOURCE, "out of memory");
    }
    return sensor_node_open(&m->node, m->opts, &how, &m->fail);
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
        sensor_say(m->opts->node, "stopped before all workers were there: no result");
        return SENSOR_EXIT_MISSING;
    }
    if (collect(m) != 0) {
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
    struct manager m = {.opts = opts};
    int code = open_manager(&m);
    int early = code != 0 && opts->forked ? SENSOR_EXIT_EARLY : 0;

    if (code == 0) {
        code = run(&m);
    }
    sensor_node_close(&m.node);
    sensor_layout_fini(&m.layout);
    sensor_clients_fini(&m.clients);
    if (code >= 0) {
        return code;
    }
    sensor_say(opts->node, "%s", m.fail.sentence);
    return early + m.fail.code;
}
