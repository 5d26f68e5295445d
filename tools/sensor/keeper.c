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

bool
sensor_keeper_watches(const struct sensor_keeper *keeper, const uint8_t resp[16])
{
    return keeper->opts->watch_any || memcmp(resp, keeper->opts->watch, 16) == 0;
}

int
sensor_keeper_look(struct sensor_keeper *keeper)
{
    struct sensor_clients found;
    int rc = 0;

    if (keeper->shelf.store == NULL) {
        return 0;
    }
    sensor_clients_init(&found, SENSOR_CLIENTS_MAX, sensor_random_seed());
    rc = sensor_shelf_load(&keeper->shelf, &found);
    if (rc != 0) {
        sensor_clients_fini(&found);
        return rc;
    }
    sensor_clients_fini(&keeper->clients);
    keeper->clients = found;
    return 0;
}

void
sensor_keeper_take(struct sensor_keeper *keeper, const uint8_t orig[16], const uint8_t resp[16])
{
    keeper->handled++;
    if (!keeper->opts->pattern->is_stored && sensor_keeper_watches(keeper, resp)) {
        sensor_clients_add(&keeper->clients, orig);
    }
}

void
sensor_keeper_show(struct bb_builder *b, void *user)
{
    struct sensor_keeper *keeper = user;
    const struct sensor_clients *set = &keeper->clients;
    static const struct sensor_address nobody;

    if (sensor_keeper_look(keeper) != 0) {
        bb_put_none(b); /* no set: who asks sees that there is no answer */
        return;
    }
    bb_put_set_begin(b); /* which puts them in order */
    for (size_t i = 0; i < set->slot_count; i++) {
        if (memcmp(&set->slots[i], &nobody, sizeof(nobody)) != 0) {
            bb_put_address(b, set->slots[i].ip);
        }
    }
    bb_put_end(b);
}
