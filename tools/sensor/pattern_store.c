/* SPDX-License-Identifier: BSD-3-Clause */
/* No event travels: a worker looks the client up in the store, and adds it when nobody has. */
#include "tools/sensor/pattern.h"

static bool
keeps(uint32_t role)
{
    (void)role;
    return false; /* of what comes by message; the store has all of it */
}

static int
open_route(struct sensor_route *route)
{
    (void)route;
    return 0;
}

static int
raise_event(const struct sensor_route *route, const struct sensor_event *event)
{
    int rc = event->is_watched ? sensor_shelf_seen(route->shelf, event->orig) : 0;

    return rc < 0 ? rc : 0;
}

const struct sensor_pattern sensor_pattern_store = {
    .name = "store",
    .keeps = keeps,
    .copies = sensor_copies_one,
    .is_kept_at_home = true,
    .is_stored = true,
    .open = open_route,
    .raise = raise_event,
};
