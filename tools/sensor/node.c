/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/node.h"

#include "tools/sensor/boxes.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static volatile sig_atomic_t stop_flag; /* written by the handler, read by the node's loop */

static void
request_stop(int signo)
{
    (void)signo;
    stop_flag = 1;
}

void
sensor_stop_install(void)
{
    struct sigaction action;
    sigset_t set;

    memset(&action, 0, sizeof(action));
    action.sa_handler = request_stop; /* no SA_RESTART: a wait shall return */
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGCHLD);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL); /* the launcher holds them back while it forks */
}

bool
sensor_stop_requested(void)
{
    return stop_flag != 0;
}

static int64_t
clock_ns(clockid_t clock)
{
    struct timespec ts;

    (void)clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

int64_t
sensor_mono_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t
sensor_wall_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

uint64_t
sensor_random_seed(void)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed)) {
        seed = (uint64_t)sensor_mono_ns();
    }
    return seed;
}

int
sensor_fail_bus(struct sensor_fail *fail,
                int status,
                const struct bb_error *error,
                const char *what)
{
    int code = sensor_exit_of(status);

    if (error != NULL && error->sentence[0] != '\0') {
        return sensor_fail(fail, code, "%s", error->sentence);
    }
    return sensor_fail(fail, code, "%s: %s", what, bb_strerror(status));
}

/* ---- joining ----------------------------------------------------------------------------------- */

#define WORKER_BLOCK_NS                                                                            \
    INT64_C(100000000) /* then it looks at what came meanwhile, and tries again */
#define RELAY_BLOCK_NS                                                                             \
    INT64_C(5000000000) /* what a relay cannot send it counts, and does not try again */

enum {
    POLL_MESSAGES = 64,
    DATA_DEPTH = 8192, /* readers read along; 16 workers shall fit in a small /dev/shm */
    DATA_BYTES = 2 << 20,
    QUIET_DEPTH = 512, /* a manager's or a logger's: a few words, and answers to `print` */
    QUIET_BYTES = 1 << 20,
    CONTROL_DEPTH = 256,
    CONTROL_BYTES = 256 << 10,
    LAYOUT_MAX = 2 * SENSOR_HELPERS_MAX,
};

static struct bb_layout_node layout[LAYOUT_MAX];
static char layout_names[LAYOUT_MAX][BB_NAME_MAX + 1];

/* Proxies and loggers have fixed names; workers and the manager are found by what they say (protocol.h). */
static size_t
make_layout(const struct sensor_options *opts)
{
    size_t n = 0;

    for (uint32_t i = 0; i < opts->proxies + opts->loggers; i++) {
        uint32_t role = i < opts->proxies ? BB_ROLE_PROXY : BB_ROLE_LOGGER;
        uint32_t number = i < opts->proxies ? i + 1 : i - opts->proxies + 1;

        (void)snprintf(layout_names[n], sizeof(layout_names[n]), "%s-%u", bb_role_name(role),
                       number);
        layout[n] = (struct bb_layout_node){layout_names[n], role};
        n++;
    }
    return n;
}

static int
join(struct sensor_node *node, struct sensor_fail *fail)
{
    const struct sensor_options *opts = node->opts;
    bool is_loud = opts->role == BB_ROLE_WORKER || opts->role == BB_ROLE_PROXY;
    struct bb_error error = {0};
    const struct bb_cluster_opts how = {
        .size = sizeof(how),
        .dir = opts->dir,
        .bus = opts->bus,
        .name = opts->node,
        .role = opts->role,
        .flags = opts->pattern->is_alone ? BB_CLUSTER_STANDALONE : 0,
        .layout = opts->pattern->is_alone ? NULL : layout,
        .layout_count = opts->pattern->is_alone ? 0 : make_layout(opts),
        .hrw = BB_HRW_ZEEK, /* the same owner in each run */
        .subscriber_flags = BB_SUBSCRIBER_RELIABLE,
        .wait = BB_WAIT_SLEEP, /* many nodes share few cores */
        .control_depth = CONTROL_DEPTH,
        .control_bytes = CONTROL_BYTES,
        .data_depth = is_loud ? DATA_DEPTH : QUIET_DEPTH,
        .data_bytes = is_loud ? DATA_BYTES : QUIET_BYTES,
        .data_policy = BB_POLICY_BLOCK_FAIL, /* late is possible, lost is not */
        .data_block_ns = opts->role == BB_ROLE_WORKER ? WORKER_BLOCK_NS : RELAY_BLOCK_NS,
        .error = &error,
    };
    int rc = bb_cluster_join(&node->cluster, &how);

    if (rc != 0) {
        return sensor_fail_bus(fail, rc, &error, "cannot join the bus");
    }
    node->members.own_id = bb_endpoint_id(bb_cluster_endpoint(node->cluster));
    return 0;
}

/* Everybody hears everybody's marks; events come where the pattern sends them. */
static const char *const of_member[] = {SENSOR_TOPIC_MANAGER, SENSOR_TOPIC_WORKER, SENSOR_TOPIC_END,
                                        SENSOR_TOPIC_PASSED, NULL};
static const char *const of_manager[] = {SENSOR_TOPIC_ALL, NULL};
/* Over two boxes a prefix that is not needed here would be carried over for nothing. */
static const char *const of_far_member[] = {SENSOR_TOPIC_MANAGER,     SENSOR_TOPIC_WORKER,
                                            SENSOR_TOPIC_END,         SENSOR_TOPIC_PASSED,
                                            SENSOR_TOPIC_BOX_MANAGER, NULL};
static const char *const of_site[] = {SENSOR_TOPIC_WORKER,      SENSOR_TOPIC_END,
                                      SENSOR_TOPIC_PASSED,      SENSOR_TOPIC_TALLY,
                                      SENSOR_TOPIC_BOX_MANAGER, NULL};
static const char *const of_far_manager[] = {SENSOR_TOPIC_CONNECTION, SENSOR_TOPIC_END,
                                             SENSOR_TOPIC_BOX_SITE, SENSOR_TOPIC_BOX_ASK, NULL};

static const char *const *
topics_of(const struct sensor_options *opts)
{
    bool is_leader = opts->role == BB_ROLE_MANAGER;

    switch (opts->box) {
    case SENSOR_ON_WORKERS:
        return is_leader ? of_site : of_far_member;
    case SENSOR_ON_MANAGER:
        return of_far_manager;
    case SENSOR_ON_ONE:
    default:
        return is_leader ? of_manager : of_member;
    }
}

static int
subscribe(struct sensor_node *node)
{
    const char *const *topics = topics_of(node->opts);
    int rc = 0;

    for (; *topics != NULL && rc == 0; topics++) {
        rc = bb_cluster_subscribe(node->cluster, *topics, 0);
    }
    return rc;
}

static int
open_logger(struct sensor_node *node, struct sensor_fail *fail)
{
    struct bb_error error = {0};
    const struct bb_logger_opts how = {
        .size = sizeof(how), .dir = node->opts->log_dir, .error = &error};
    bool is_logger = node->opts->role == BB_ROLE_LOGGER
                     || (node->opts->pattern->is_alone && node->opts->loggers != 0);
    int rc = is_logger ? bb_logger_open(&node->logger, node->cluster, &how) : 0;

    return rc == 0 ? 0 : sensor_fail_bus(fail, rc, &error, "cannot write log files");
}

int
sensor_node_open(struct sensor_node *node,
                 const struct sensor_options *opts,
                 struct sensor_fail *fail)
{
    int rc;

    memset(node, 0, sizeof(*node));
    node->opts = opts;
    sensor_keeper_init(&node->keeper, opts);
    if (join(node, fail) != 0 || open_logger(node, fail) != 0) {
        return -1;
    }
    rc = bb_cluster_variable(node->cluster, SENSOR_VARIABLE, sensor_keeper_show, NULL,
                             &node->keeper);
    if (rc == 0) {
        rc = subscribe(node);
    }
    return rc == 0 ? 0 : sensor_fail_bus(fail, rc, NULL, "cannot subscribe");
}

int
sensor_node_open_store(struct sensor_node *node, struct sensor_fail *fail)
{
    struct bb_error error = {0};
    uint32_t role = node->opts->role;
    int rc = 0;

    if (!node->opts->pattern->is_stored || role == BB_ROLE_LOGGER) {
        return 0;
    }
    rc = role == BB_ROLE_WORKER ? sensor_shelf_join(&node->keeper.shelf, node->cluster, &error)
                                : sensor_shelf_serve(&node->keeper.shelf, node->cluster, &error);
    return rc == 0 ? 0 : sensor_fail_bus(fail, rc, &error, "cannot open the store " SENSOR_STORE);
}

void
sensor_node_close(struct sensor_node *node)
{
    sensor_shelf_close(&node->keeper.shelf);
    bb_logger_close(node->logger);
    node->logger = NULL;
    if (node->cluster != NULL) {
        bb_cluster_leave(node->cluster);
    }
    node->cluster = NULL;
    sensor_keeper_fini(&node->keeper);
}

/* ---- what arrives ------------------------------------------------------------------------------ */

static void
look_at_members(struct sensor_node *node)
{
    struct sensor_members *members = &node->members;
    int n = bb_cluster_nodes(node->cluster, members->nodes, SENSOR_MARKS_MAX);

    members->count = n < 0 ? 0 : (size_t)(n < SENSOR_MARKS_MAX ? n : SENSOR_MARKS_MAX);
    members->epoch = bb_cluster_epoch(node->cluster);
}

/* Only a node of the cluster raises events; what others publish by hand is not counted as ours. */
static void
take_connection(struct sensor_node *node, const struct sensor_message *in, const struct bb_msg *msg)
{
    const struct sensor_options *opts = node->opts;

    if (!opts->pattern->keeps(opts->role)) {
        return;
    }
    if (sensor_members_find(&node->members, msg->node_id) == NULL) {
        look_at_members(node);
    }
    if (sensor_members_find(&node->members, msg->node_id) != NULL) {
        sensor_keeper_take(&node->keeper, in->orig, in->resp);
    }
}

static void
take_own(struct sensor_node *node, const struct sensor_message *in, const struct bb_msg *msg)
{
    switch (in->kind) {
    case SENSOR_MSG_CONNECTION:
        take_connection(node, in, msg);
        break;
    case SENSOR_MSG_END:
        sensor_marks_end(&node->marks, msg->node_id, in->end.epoch);
        break;
    case SENSOR_MSG_PASSED:
        sensor_marks_pass(&node->marks, msg->node_id);
        break;
    case SENSOR_MSG_UNKNOWN:
    case SENSOR_MSG_HELLO:
    case SENSOR_MSG_READY:
    case SENSOR_MSG_START:
    case SENSOR_MSG_STOP:
    case SENSOR_MSG_TALLY:
    case SENSOR_MSG_RESULT:
    default:
        break;
    }
}

/* From another box, or about a link.  Who is on one box has nothing to do with sensors on others. */
static bool
is_far(const struct bb_msg *msg)
{
    if (msg->status == NULL) {
        return (msg->attr & BB_BRIDGED) != 0;
    }
    return msg->status->kind == BB_STATUS_GAP || msg->status->kind == BB_STATUS_PEER_ADDED
           || msg->status->kind == BB_STATUS_PEER_LOST
           || msg->status->kind == BB_STATUS_PEER_REMOVED;
}

static int
take_far(struct sensor_node *node, const struct sensor_message *in, const struct bb_msg *msg)
{
    return node->take_far != NULL ? node->take_far(node->far_user, in, msg) : 0;
}

static int
take_one(struct sensor_node *node, const struct bb_msg *msg, sensor_take_fn take, void *user)
{
    static struct sensor_message in; /* large, for the ids of a start */

    if (msg->status != NULL) {
        return is_far(msg) ? take_far(node, NULL, msg) : take(user, NULL, msg);
    }
    sensor_read(&in, msg->data, msg->bytes); /* copies what it needs out of the ring ... */
    if (!bb_msg_valid(bb_cluster_subscriber(node->cluster), msg)) {
        return 0; /* ... and what was overwritten meanwhile is void */
    }
    if (is_far(msg)) {
        return take_far(node, &in, msg);
    }
    take_own(node, &in, msg);
    return take(user, &in, msg);
}

int
sensor_node_poll(struct sensor_node *node,
                 int64_t timeout_ns,
                 sensor_take_fn take,
                 void *user,
                 struct sensor_fail *fail)
{
    struct bb_msg msgs[POLL_MESSAGES];
    int n = 0;
    int rc = 0;

    if (node->keeper.shelf.can_serve) { /* commands come here as well as messages */
        rc = sensor_shelf_wait(&node->keeper.shelf, node->cluster, timeout_ns);
        timeout_ns = 0;
    }
    if (rc != 0) {
        return sensor_fail_bus(fail, rc, NULL, "cannot serve the store " SENSOR_STORE);
    }
    n = bb_cluster_poll(node->cluster, msgs, POLL_MESSAGES, timeout_ns);
    if (n < 0) {
        return sensor_fail_bus(fail, n, NULL, "cannot read the bus");
    }
    for (int i = 0; i < n && rc == 0; i++) {
        rc = take_one(node, &msgs[i], take, user);
    }
    (void)bb_release(bb_cluster_subscriber(node->cluster));
    look_at_members(node);
    return rc;
}

int
sensor_node_say(struct sensor_node *node, const char *topic, const void *event, int64_t bytes)
{
    if (bytes < 0) {
        return (int)bytes;
    }
    return bb_cluster_publish(node->cluster, topic, event, (size_t)bytes, BB_EVENT | BB_NATIVE);
}

uint64_t
sensor_node_lost(const struct sensor_node *node)
{
    struct bb_subscriber_stats st = {.size = sizeof(st)};

    bb_subscriber_stats(bb_cluster_subscriber(node->cluster), &st);
    return st.lost;
}

int
sensor_node_run(const struct sensor_options *opts)
{
    switch (opts->role) {
    case BB_ROLE_MANAGER:
        return opts->box == SENSOR_ON_WORKERS   ? sensor_site_run(opts)
               : opts->box == SENSOR_ON_MANAGER ? sensor_box_manager_run(opts)
                                                : sensor_manager_run(opts);
    case BB_ROLE_WORKER:
        return sensor_worker_run(opts);
    default:
        return sensor_helper_run(opts);
    }
}
