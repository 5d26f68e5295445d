/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/report.h - the manager's result on standard output, for people or as one JSON object.
 *
 *   packets      of the capture: the sum over the workers' shares, of any protocol
 *   connections  TCP connections with SYN and SYN-ACK
 *   events       connection_established, as the workers counted them when they published
 *   delivered    of these, how many the manager's subscriber delivered
 *   filtered     messages on the bus that the manager's subscriber did not ask for (other people's)
 *   lost         messages that were overwritten before it read them
 */
#ifndef BUSBAR_SENSOR_REPORT_H
#define BUSBAR_SENSOR_REPORT_H

#include "tools/sensor/clients.h"
#include "tools/sensor/layout.h"
#include "tools/sensor/protocol.h"

#include <stdio.h>

struct sensor_report {
    const char *manager; /* its name */
    const char *watch;   /* an address or "any" */
    struct sensor_result sum;
    const struct sensor_layout *layout;
    const struct sensor_address *clients; /* sorted */
    size_t client_count;
    bool complete; /* no node missing, all of the capture read */
};

/* Each returns 0, or -1 if the stream took not all of it. */
int sensor_report_json(FILE *out, const struct sensor_report *report);
int sensor_report_text(FILE *out, const struct sensor_report *report);

#endif
