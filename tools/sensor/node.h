/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/node.h - what a manager and a worker have in common, and their entry points.
 *
 * A node attaches by itself (after fork, when it is forked); nothing passes between nodes but the bus.
 * A return code at or above SENSOR_EXIT_EARLY tells the launcher that the node did not even get ready.
 */
#ifndef BUSBAR_SENSOR_NODE_H
#define BUSBAR_SENSOR_NODE_H

#include "tools/sensor/fail.h"
#include "tools/sensor/options.h"

#include <busbar/endpoint.h>
#include <stdbool.h>
#include <stdint.h>

enum { SENSOR_EXIT_EARLY = 64 };

#define SENSOR_SLICE_NS                                                                            \
    INT64_C(200000000) /* longest sleep before a look at signals and deadlines */

struct sensor_node {
    struct bb_endpoint *ep;
    struct bb_publisher *control;
    struct bb_topic *control_topic;
    struct bb_subscriber *sub;
};

struct sensor_node_opts {
    const char *listen_prefix;
    const char *control_topic;
    uint32_t subscriber_flags;
    uint32_t control_depth; /* of the control ring; 0: the lane's */
    uint64_t control_bytes;
};

/* sensor_node_open - attach, subscribe, then open the control ring.  0, or -1 and the sentence. */
int sensor_node_open(struct sensor_node *node,
                     const struct sensor_options *opts,
                     const struct sensor_node_opts *how,
                     struct sensor_fail *fail);
void sensor_node_close(struct sensor_node *node);

/* sensor_node_say - publish what was built on the control topic: bytes as sensor_write_...() returned it. */
int sensor_node_say(struct sensor_node *node, const void *event, int64_t bytes);

/* sensor_fail_bus - the library's sentence if it gave one, else ours made of `what` and the status. */
int sensor_fail_bus(struct sensor_fail *fail,
                    int status,
                    const struct bb_error *error,
                    const char *what);

/* ---- signals and clocks ------------------------------------------------------------------------ */

/* sensor_stop_install - SIGINT and SIGTERM only set a flag from here on. */
void sensor_stop_install(void);
bool sensor_stop_requested(void);

int64_t sensor_mono_ns(void);
int64_t sensor_wall_ns(void);
uint64_t sensor_random_seed(void);

/* ---- nodes ------------------------------------------------------------------------------------- */

/* Each runs the node to its end, says on standard error what went wrong, and returns the exit code. */
int sensor_worker_run(const struct sensor_options *opts);
int sensor_manager_run(const struct sensor_options *opts);

#endif
