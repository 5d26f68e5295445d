/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/keeper.h"

#include "tools/sensor/node.h"

#include <string.h>

void
sensor_keeper_init(struct sensor_keeper *keeper, const struct sensor_options *opts)
{
    memset(keeper, 0, sizeof(*keeper));
    keeper->opts = opts;
    sensor_clients_init(&keeper->clients, SENSOR_CLIENTS_MAX, sensor_random_seed());
}

void
sensor_keeper_fini(struct sensor_keeper *keeper)
{
    sensor_clients_fini(&keeper->clients);
}

void
sensor_keeper_take(struct sensor_keeper *keeper, const uint8_t orig[16], const uint8_t resp[16])
{
    keeper->handled++;
    if (keeper->opts->watch_any || memcmp(resp, keeper->opts->watch, 16) == 0) {
        sensor_clients_add(&keeper->clients, orig);
    }
}

void
sensor_keeper_show(struct bb_builder *b, void *user)
{
    const struct sensor_keeper *keeper = user;
    const struct sensor_clients *set = &keeper->clients;
    static const struct sensor_address nobody;

    bb_put_set_begin(b); /* which puts them in order */
    for (size_t i = 0; i < set->slot_count; i++) {
        if (memcmp(&set->slots[i], &nobody, sizeof(nobody)) != 0) {
            bb_put_address(b, set->slots[i].ip);
        }
    }
    bb_put_end(b);
}
