/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/node.h"

#include <signal.h>
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

static int
open_subscriber(struct sensor_node *node,
                const struct sensor_node_opts *how,
                struct sensor_fail *fail)
{
    struct bb_error error = {0};
    const struct bb_subscriber_opts opts = {
        .size = sizeof(opts),
        .flags = how->subscriber_flags | BB_SUBSCRIBER_STATUS,
        .start = BB_START_NOW,
        .wait = BB_WAIT_SLEEP, /* many nodes share few cores */
        .prefixes = &how->listen_prefix,
        .prefix_count = 1,
        .error = &error,
    };
    int rc = bb_subscriber_open(&node->sub, node->ep, &opts);

    return rc == 0 ? 0 : sensor_fail_bus(fail, rc, &error, "cannot subscribe");
}

static int
open_control(struct sensor_node *node, const struct sensor_node_opts *how, struct sensor_fail *fail)
{
    struct bb_error error = {0};
    const struct bb_publisher_opts opts = {.size = sizeof(opts),
                                           .lane = BB_LANE_CONTROL,
                                           .depth = how->control_depth,
                                           .bytes = how->control_bytes,
                                           .error = &error};
    int rc = bb_publisher_open(&node->control, node->ep, &opts);

    if (rc == 0) {
        rc = bb_topic_open(&node->control_topic, node->control, how->control_topic,
                           strlen(how->control_topic));
    }
    return rc == 0 ? 0 : sensor_fail_bus(fail, rc, &error, "cannot open the control ring");
}

int
sensor_node_open(struct sensor_node *node,
                 const struct sensor_options *opts,
                 const struct sensor_node_opts *how,
                 struct sensor_fail *fail)
{
    struct bb_error error = {0};
    const struct bb_endpoint_opts ep_opts = {.size = sizeof(ep_opts),
                                             .dir = opts->dir,
                                             .bus = opts->bus,
                                             .name = opts->node,
                                             .role = opts->role,
                                             .error = &error};
    int rc;

    memset(node, 0, sizeof(*node));
    rc = bb_endpoint_open(&node->ep, &ep_opts);
    if (rc != 0) {
        return sensor_fail_bus(fail, rc, &error, "cannot attach to the bus");
    }
    if (open_subscriber(node, how, fail) != 0 || open_control(node, how, fail) != 0) {
        sensor_node_close(node);
        return -1;
    }
    return 0;
}

void
sensor_node_close(struct sensor_node *node)
{
    bb_publisher_close(node->control);
    bb_subscriber_close(node->sub);
    bb_endpoint_close(node->ep);
    memset(node, 0, sizeof(*node));
}

int
sensor_node_say(struct sensor_node *node, const void *event, int64_t bytes)
{
    if (bytes < 0) {
        return (int)bytes;
    }
    return bb_publish(node->control_topic, event, (size_t)bytes, BB_EVENT | BB_NATIVE);
}
