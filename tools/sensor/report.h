/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/report.h - the manager's result on standard output, for people or as one JSON object.
 *
 *   packets      of the capture: the sum over the workers' shares, of any protocol
 *   connections  TCP connections with SYN and SYN-ACK
 *   events       connection_established, as the workers counted them when they raised them
 *   delivered    handled, by all nodes together: where each goes to all workers, that many times as much
 *   filtered     messages of others on this bus that the manager did not ask for
 *   lost         messages that were overwritten before some node read them
 *   nodes        EX::known_clients of each
 *   log_records  conn records of which a logger said that they are in a file; log_lost: the others
 *   gone, nowhere  only in a result that is not whole: handled by, or on the way to, a node that died; sent
 *                  to nobody, for nobody was there
 */
#ifndef BUSBAR_SENSOR_REPORT_H
#define BUSBAR_SENSOR_REPORT_H

#include "tools/sensor/clients.h"
#include "tools/sensor/layout.h"
#include "tools/sensor/protocol.h"

#include <stdio.h>

/* EX::known_clients of one node. */
struct sensor_known {
    const char *node;
    const char *why;                      /* NULL: it answered; else why not */
    const struct sensor_address *clients; /* sorted */
    size_t count;
};

struct sensor_report {
    const char *watch; /* an address or "any" */
    struct sensor_result sum;
    const struct sensor_layout *layout;
    const struct sensor_known *known; /* of all nodes: the manager, then as in the layout */
    size_t known_count;
    bool complete; /* no node missing, all of the capture read */
};

/* Each returns 0, or -1 if the stream took not all of it. */
int sensor_report_json(FILE *out, const struct sensor_report *report);
int sensor_report_text(FILE *out, const struct sensor_report *report);

#endif
