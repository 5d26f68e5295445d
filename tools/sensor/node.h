/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/node.h - what all nodes have in common, and their entry points.
 *
 * A node joins by itself (after fork, when it is forked); nothing passes between nodes but the bus.
 * A return code at or above SENSOR_EXIT_EARLY tells the launcher that the node did not even get ready.
 */
#ifndef BUSBAR_SENSOR_NODE_H
#define BUSBAR_SENSOR_NODE_H

#include "tools/sensor/fail.h"
#include "tools/sensor/keeper.h"
#include "tools/sensor/marks.h"
#include "tools/sensor/options.h"
#include "tools/sensor/protocol.h"

#include <busbar/cluster.h>
#include <busbar/log.h>
#include <stdbool.h>
#include <stdint.h>

enum { SENSOR_EXIT_EARLY = 64 };

#define SENSOR_SLICE_NS                                                                            \
    INT64_C(200000000) /* longest sleep before a look at signals and deadlines */

/* What a node does with a message, after its marks and events were taken; in is NULL for a status. */
typedef int (*sensor_take_fn)(void *user,
                              const struct sensor_message *in,
                              const struct bb_msg *msg);

struct sensor_node {
    const struct sensor_options *opts;
    struct bb_cluster *cluster;
    struct bb_logger *logger; /* of a logger, and of one process that is all */
    struct sensor_keeper keeper;
    struct sensor_marks marks;
    struct sensor_members members; /* as of the last poll */
    sensor_take_fn take_far; /* of two boxes: what came over a link, and what happened to links */
    void *far_user;
};

/* sensor_node_open - join, show EX::known_clients, subscribe.  0, or -1 and the sentence. */
int sensor_node_open(struct sensor_node *node,
                     const struct sensor_options *opts,
                     struct sensor_fail *fail);
void sensor_node_close(struct sensor_node *node);

/*
 * sensor_node_open_store - where the pattern has one: a proxy before it is ready, the manager when all are, a worker
 * at the start.  0, or -1 and the sentence.
 */
int sensor_node_open_store(struct sensor_node *node, struct sensor_fail *fail);

/* sensor_node_poll - what came within timeout_ns.  0, or -1 and the sentence (also take's). */
int sensor_node_poll(struct sensor_node *node,
                     int64_t timeout_ns,
                     sensor_take_fn take,
                     void *user,
                     struct sensor_fail *fail);

/*
 * sensor_node_say - publish what was built on a topic: bytes as sensor_write_...() returned it.  BB_EAGAIN: somebody
 * is a whole ring behind; poll, then say it again.
 */
BB_MUST_USE int
sensor_node_say(struct sensor_node *node, const char *topic, const void *event, int64_t bytes);

/* sensor_node_lost - messages that were overwritten before this node read them. */
uint64_t sensor_node_lost(const struct sensor_node *node);

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
int sensor_site_run(const struct sensor_options *opts);        /* leads in a manager's place */
int sensor_box_manager_run(const struct sensor_options *opts); /* of the workers on another box */
int sensor_helper_run(const struct sensor_options *opts);      /* a proxy, a logger */
int sensor_standalone_run(const struct sensor_options *opts);
/* sensor_node_run - the one of these that opts->role asks for. */
int sensor_node_run(const struct sensor_options *opts);

#endif
