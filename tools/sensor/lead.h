/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/lead.h - to lead the nodes of one bus: call the roll, start them, hear of each what it handled.
 *
 *   hello ... ─► all are ready ─► start ─► end marks, pass marks, tallies
 *
 * The manager does this; where it is on another box, a site does it in its place (node_site.c).
 */
#ifndef BUSBAR_SENSOR_LEAD_H
#define BUSBAR_SENSOR_LEAD_H

#include "tools/sensor/layout.h"
#include "tools/sensor/node.h"

#include <stdbool.h>
#include <stdint.h>

/* What a leader does besides, each time that it looked around.  0; 1: it waits no longer; -1 and the sentence. */
typedef int (*sensor_turn_fn)(void *user);

struct sensor_lead {
    const struct sensor_options *opts;
    struct sensor_node node;
    struct sensor_layout layout;
    uint64_t strange_messages; /* delivered, from nodes that are none of the cluster */
    sensor_turn_fn turn;       /* may be NULL */
    void *turn_user;
    uint32_t to_say;  /* bits, lead.c */
    bool is_stopping; /* stop was asked for, not by a signal */
    bool has_passed;
    bool told_of_mismatch;
    struct sensor_fail fail;
};

/* sensor_lead_open - 0, or -1 and the sentence.  Close it also then. */
int sensor_lead_open(struct sensor_lead *lead, const struct sensor_options *opts);
void sensor_lead_close(struct sensor_lead *lead);

/* sensor_lead_gather - until every place is taken, time runs out or we are told to end.  0, or -1. */
int sensor_lead_gather(struct sensor_lead *lead);
/* sensor_lead_collect - starts them; until everybody said what it handled.  0, or -1. */
int sensor_lead_collect(struct sensor_lead *lead);
/* sensor_lead_stop - all shall end now, wherever they are. */
void sensor_lead_stop(struct sensor_lead *lead);

/* sensor_lead_service - takes what comes within timeout_ns, says what is due.  0, or -1. */
int sensor_lead_service(struct sensor_lead *lead, int64_t timeout_ns);

/* sensor_lead_say_result - all may leave; with the clients (sorted) if they fit into a message.  0, or -1. */
int sensor_lead_say_result(struct sensor_lead *lead,
                           const struct sensor_result *result,
                           const struct sensor_address *clients,
                           size_t client_count);

#endif
