/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/protocol.h - what the nodes say to each other.  All of it are events on the bus.
 *
 *   manager                                worker, proxy, logger
 *   sensor/manager   hello(workers)   ──►         "who is there?", until all are
 *                                     ◄──  sensor/worker  ready(number, workers, role)
 *   sensor/manager   start(workers, t, epoch, ids) ──►   once everybody is there; again for who comes back
 *                                     ◄──  connection_established ...   where the pattern sends them
 *                                     ◄──  sensor/end     end(...)   workers; in the same ring, after the last event
 *   sensor/passed    passed()       ◄──►  sensor/passed  manager and proxies: what was asked to be passed on is
 *                                     ◄──  sensor/tally   tally(...)  everybody: what I handled
 *   sensor/manager   result(...)      ──►         what was printed; all leave
 *   sensor/manager   stop()           ──►         end now, with an end mark, wherever you are
 *
 * Everybody subscribes before speaking, so whoever comes later is heard by those who are there: the manager
 * hears a late worker's ready, a worker that came first hears the manager's hello and answers.
 *
 * Nobody waits for a pause.  A node has all events when it has the end marks of the workers that `start`
 * named (each the last of its ring) and the pass marks of all who relay (each sent when its sender had all
 * end marks, behind everything that it relayed).  epoch makes the nodes' views of the cluster comparable: all
 * see the same changes in the same order, so who is at epoch n knows everybody that the sender knew.
 */
#ifndef BUSBAR_SENSOR_PROTOCOL_H
#define BUSBAR_SENSOR_PROTOCOL_H

#include "tools/sensor/clients.h"
#include "tools/sensor/flow.h"

#include <busbar/value.h>
#include <stddef.h>
#include <stdint.h>

#define SENSOR_TOPIC_ALL        "sensor/"
#define SENSOR_TOPIC_CONNECTION "sensor/connection_established" /* workers */
#define SENSOR_TOPIC_END        "sensor/end"                    /* workers */
#define SENSOR_TOPIC_WORKER     "sensor/worker"                 /* everybody's ready */
#define SENSOR_TOPIC_PASSED     "sensor/passed"                 /* manager and proxies */
#define SENSOR_TOPIC_TALLY      "sensor/tally"                  /* everybody but the manager */
#define SENSOR_TOPIC_MANAGER    "sensor/manager"                /* manager */

enum {
    SENSOR_EVENT_BYTES = 8192, /* room for any event here but a result with many clients */
    SENSOR_IDS_MAX = 255,      /* workers that a start can name */
    SENSOR_SENT_MAX =
        128, /* nodes that an end mark can name: proxies, also those that came again */
};

enum sensor_kind {
    SENSOR_MSG_UNKNOWN,
    SENSOR_MSG_HELLO,
    SENSOR_MSG_READY,
    SENSOR_MSG_START,
    SENSOR_MSG_STOP,
    SENSOR_MSG_END,
    SENSOR_MSG_PASSED,
    SENSOR_MSG_TALLY,
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
    uint64_t nowhere;     /* events that nobody was there to handle */
    uint64_t epoch;       /* of the cluster, as the worker knew it */
    struct sensor_sent {
        uint64_t id;     /* of a node */
        uint64_t events; /* sent to it alone */
    } sent[SENSOR_SENT_MAX];
    uint64_t sent_count; /* used of these */
};

struct sensor_tally {
    uint64_t handled; /* connection_established that this node handled */
    uint64_t lost;    /* messages overwritten before it read them */
    uint64_t refused; /* clients that its set had no room for */
    uint64_t logged;  /* conn records of this node that a logger said are in a file */
    uint64_t unsaid;  /* its other conn records: lost, or nobody said that they are written */
};

/* Who is there at the start. */
struct sensor_start {
    uint64_t workers; /* shares of the capture */
    int64_t wall_ns;
    uint64_t epoch;
    uint64_t ids[SENSOR_IDS_MAX]; /* of the workers that are there */
    uint32_t id_count;
};

struct sensor_result {
    uint64_t packets, connections, events, delivered, filtered, lost;
    uint64_t log_records, log_lost;
    uint64_t gone;    /* handled by, or on the way to, a node that died with what it knew */
    uint64_t nowhere; /* not sent: nobody was there to handle it */
};

struct sensor_message {
    enum sensor_kind kind;
    uint64_t workers; /* hello, ready, start */
    uint64_t share;   /* ready: from 0, of its role */
    uint64_t role;    /* ready: enum bb_role */
    struct sensor_start start;
    struct sensor_end end;
    struct sensor_tally tally;
    uint8_t orig[16]; /* connection */
    uint8_t resp[16];
};

/* Each returns the bytes written into buf, or a negative status: BB_EMSGSIZE when it does not fit. */
BB_MUST_USE int64_t sensor_write_hello(void *buf, size_t cap, uint64_t workers);
BB_MUST_USE int64_t
sensor_write_ready(void *buf, size_t cap, uint64_t share, uint64_t workers, uint32_t role);
BB_MUST_USE int64_t sensor_write_start(void *buf, size_t cap, const struct sensor_start *start);
BB_MUST_USE int64_t sensor_write_stop(void *buf, size_t cap);
BB_MUST_USE int64_t sensor_write_end(void *buf, size_t cap, const struct sensor_end *end);
BB_MUST_USE int64_t sensor_write_passed(void *buf, size_t cap);
BB_MUST_USE int64_t sensor_write_tally(void *buf, size_t cap, const struct sensor_tally *tally);
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

/* sensor_read_clients - the addresses of a set in ascending order, the caller frees them; or a status. */
BB_MUST_USE int
sensor_read_clients(const struct bb_value *set, struct sensor_address **out, size_t *count);

/* sensor_read - what arrived; SENSOR_MSG_UNKNOWN for all that is not one of ours, whole and well formed. */
void sensor_read(struct sensor_message *out, const void *data, size_t bytes);

#endif
