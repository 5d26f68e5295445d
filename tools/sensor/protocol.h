/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/protocol.h - what the nodes say to each other.  All of it are events on the bus.
 *
 *   manager                                worker
 *   sensor/manager   hello(workers)   ──►         "who is there?", until all are
 *                                     ◄──  sensor/worker  ready(share, workers)
 *   sensor/manager   start(workers, t) ─►         once every share has a worker
 *                                     ◄──  sensor/connection_established  ...
 *                                     ◄──  sensor/end  end(...)   in the same ring, after the last event
 *   sensor/manager   result(...)      ──►         what was printed; workers leave
 *   sensor/manager   stop()           ──►         end now, with an end mark, wherever you are
 *
 * Everybody subscribes before speaking, so whoever comes later is heard by those who are there: the manager
 * hears a late worker's ready, a worker that came first hears the manager's hello and answers.
 */
#ifndef BUSBAR_SENSOR_PROTOCOL_H
#define BUSBAR_SENSOR_PROTOCOL_H

#include "tools/sensor/clients.h"
#include "tools/sensor/flow.h"

#include <busbar/value.h>
#include <stddef.h>
#include <stdint.h>

#define SENSOR_TOPIC_ALL        "sensor/"
#define SENSOR_TOPIC_CONNECTION "sensor/connection_established" /* workers, data lane */
#define SENSOR_TOPIC_END        "sensor/end"                    /* workers, data lane */
#define SENSOR_TOPIC_WORKER     "sensor/worker"                 /* workers, control lane */
#define SENSOR_TOPIC_MANAGER    "sensor/manager"                /* manager, control lane */

enum {
    SENSOR_EVENT_BYTES = 1024, /* room for any event here but a result with many clients */
};

enum sensor_kind {
    SENSOR_MSG_UNKNOWN,
    SENSOR_MSG_HELLO,
    SENSOR_MSG_READY,
    SENSOR_MSG_START,
    SENSOR_MSG_STOP,
    SENSOR_MSG_END,
    SENSOR_MSG_RESULT,
    SENSOR_MSG_CONNECTION,
};

enum sensor_end_state {
    SENSOR_END_COMPLETE = 0, /* all of the capture; live: until it was told to end */
    SENSOR_END_STOPPED = 1,  /* somebody stopped it before */
    SENSOR_END_DAMAGED = 2,  /* the capture could not be read any further */
};

struct sensor_end {
    uint64_t packets;     /* of its share, of any protocol */
    uint64_t connections; /* with SYN and SYN-ACK */
    uint64_t events;      /* published */
    uint64_t state;       /* enum sensor_end_state */
    uint64_t waits;       /* times the manager was a whole ring behind */
    uint64_t half_open;   /* connections forgotten half-open because the table was full */
    uint64_t dropped;     /* packets that the kernel could not keep (live) */
};

struct sensor_result {
    uint64_t packets, connections, events, delivered, filtered, lost;
};

struct sensor_message {
    enum sensor_kind kind;
    uint64_t workers;      /* hello, ready, start */
    uint64_t share;        /* ready: 0 .. workers - 1 */
    int64_t start_wall_ns; /* start */
    struct sensor_end end; /* end */
    uint8_t orig[16];      /* connection */
    uint8_t resp[16];
};

/* Each returns the bytes written into buf, or a negative status: BB_EMSGSIZE when it does not fit. */
BB_MUST_USE int64_t sensor_write_hello(void *buf, size_t cap, uint64_t workers);
BB_MUST_USE int64_t sensor_write_ready(void *buf, size_t cap, uint64_t share, uint64_t workers);
BB_MUST_USE int64_t sensor_write_start(void *buf, size_t cap, uint64_t workers, int64_t wall_ns);
BB_MUST_USE int64_t sensor_write_stop(void *buf, size_t cap);
BB_MUST_USE int64_t sensor_write_end(void *buf, size_t cap, const struct sensor_end *end);
BB_MUST_USE int64_t sensor_write_connection(void *buf,
                                            size_t cap,
                                            const struct sensor_connection *conn,
                                            int64_t network_wall_ns);
/* The clients (sorted) travel as a set, or as `none` when clients is NULL. */
BB_MUST_USE int64_t sensor_write_result(void *buf,
                                        size_t cap,
                                        const struct sensor_result *result,
                                        const struct sensor_address *clients,
                                        size_t client_count);

/* sensor_read - what arrived; SENSOR_MSG_UNKNOWN for all that is not one of ours, whole and well formed. */
void sensor_read(struct sensor_message *out, const void *data, size_t bytes);

#endif
