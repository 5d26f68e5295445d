/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/shelf.h - EX::known_clients as one store that all nodes of the box read in place.
 *
 * A key is an address, its value none.  The manager and the proxies can serve the store: the first of them is its
 * master, the others stand by, and all of them do that while they wait for messages.  Workers ask the master to add
 * a client that they do not find in the pages, and hear whether they were the first.
 */
#ifndef BUSBAR_SENSOR_SHELF_H
#define BUSBAR_SENSOR_SHELF_H

#include "tools/sensor/clients.h"

#include <busbar/cluster.h>
#include <busbar/store.h>
#include <stdbool.h>
#include <stdint.h>

#define SENSOR_STORE "sensor-known-clients"

struct sensor_shelf {
    struct bb_store *store; /* NULL: this node has not opened it */
    bool can_serve;
};

/* sensor_shelf_serve - opens it as master, or to stand by when another one is.  Twice does nothing. */
BB_MUST_USE int
sensor_shelf_serve(struct sensor_shelf *shelf, struct bb_cluster *cluster, struct bb_error *error);
/* sensor_shelf_join - opens it as a clone. */
BB_MUST_USE int
sensor_shelf_join(struct sensor_shelf *shelf, struct bb_cluster *cluster, struct bb_error *error);
void sensor_shelf_close(struct sensor_shelf *shelf);

/* sensor_shelf_clear - takes out what an earlier run left on this bus. */
BB_MUST_USE int sensor_shelf_clear(struct sensor_shelf *shelf);

/*
 * sensor_shelf_seen - adds a client: 0 it is new, and only we are told so; 1 it was there; BB_EAGAIN nobody serves
 * the store just now: read the bus, then try again.
 */
BB_MUST_USE int sensor_shelf_seen(struct sensor_shelf *shelf, const uint8_t ip[16]);

/* sensor_shelf_load - out, which is empty, gets all of them. */
BB_MUST_USE int sensor_shelf_load(struct sensor_shelf *shelf, struct sensor_clients *out);

/* sensor_shelf_wait - until a message, a command or the time comes; then what a master has to do is done. */
BB_MUST_USE int
sensor_shelf_wait(struct sensor_shelf *shelf, struct bb_cluster *cluster, int64_t timeout_ns);

#endif
