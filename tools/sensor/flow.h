/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/flow.h - which worker a packet belongs to, and which TCP connections were established.
 *
 * Pure but for the allocation in open.  A connection is established when its SYN and the SYN-ACK that
 * answers it were both seen, in whichever order and direction the capture has them; it is said once.
 *
 * What a SYN means, given what is known of the same addresses and ports:
 *   the initial sequence number that this side has already      a retransmission
 *   the first SYN of this side, nothing established yet         a new attempt, or a simultaneous open
 *   any other                                                   a new connection on the same ports
 *
 * Memory     at most max_flows entries; then the one that no SYN touched for longest makes room, counted.
 * Threads    one.
 */
#ifndef BUSBAR_SENSOR_FLOW_H
#define BUSBAR_SENSOR_FLOW_H

#include "tools/sensor/packet.h"

#include <stdbool.h>
#include <stdint.h>

/* sensor_flow_share - 0 .. workers - 1; the same for both directions; 0 for what is not IP. */
uint32_t sensor_flow_share(const struct sensor_packet *packet, uint32_t workers);

struct sensor_connection {
    uint8_t orig[16]; /* who sent the first SYN */
    uint8_t resp[16];
    uint16_t orig_port;
    uint16_t resp_port;
};

struct sensor_flows;

/* sensor_flows_open - NULL without memory.  The seed makes the table's order hard to guess from outside. */
struct sensor_flows *sensor_flows_open(uint32_t max_flows, uint64_t seed);
void sensor_flows_close(struct sensor_flows *flows);

/* sensor_flows_take - true, and *out, when this packet completes a connection's SYN and SYN-ACK. */
bool sensor_flows_take(struct sensor_flows *flows,
                       const struct sensor_packet *packet,
                       int64_t wall_ns,
                       struct sensor_connection *out);

/* sensor_flows_evicted - entries that made room; half_open: those of them still waiting for one half. */
uint64_t sensor_flows_evicted(const struct sensor_flows *flows);
uint64_t sensor_flows_evicted_half_open(const struct sensor_flows *flows);

#endif
