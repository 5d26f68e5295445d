/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/keeper.h - EX::known_clients of one node: what it knows, and how `busbar print` gets at it.
 */
#ifndef BUSBAR_SENSOR_KEEPER_H
#define BUSBAR_SENSOR_KEEPER_H

#include "tools/sensor/clients.h"
#include "tools/sensor/options.h"
#include "tools/sensor/shelf.h"

#include <busbar/value.h>
#include <stdbool.h>
#include <stdint.h>

#define SENSOR_VARIABLE "EX::known_clients"

struct sensor_keeper {
    const struct sensor_options *opts; /* whom we watch */
    struct sensor_clients clients;
    uint64_t handled;          /* connections that this node was told of */
    struct sensor_shelf shelf; /* open: the clients are there, and come here when somebody asks */
};

void sensor_keeper_init(struct sensor_keeper *keeper, const struct sensor_options *opts);
void sensor_keeper_fini(struct sensor_keeper *keeper);

/* sensor_keeper_watches - whether the clients of this host are kept. */
bool sensor_keeper_watches(const struct sensor_keeper *keeper, const uint8_t resp[16]);

/* sensor_keeper_look - fetches the clients that are in the store.  0, or a status; without a store nothing. */
BB_MUST_USE int sensor_keeper_look(struct sensor_keeper *keeper);

/* sensor_keeper_take - a connection that this node is to handle. */
void
sensor_keeper_take(struct sensor_keeper *keeper, const uint8_t orig[16], const uint8_t resp[16]);

/* sensor_keeper_show - a set of addresses; a bb_show_cb, user is the keeper. */
void sensor_keeper_show(struct bb_builder *b, void *user);

#endif
