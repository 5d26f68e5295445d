/* SPDX-License-Identifier: BSD-3-Clause */
/* Through a proxy in turn to all workers, the raising one too; the manager relays when there is no proxy. */
#include "tools/sensor/pattern.h"

static int
open_route(struct sensor_route *route)
{
    int rc = sensor_route_pool(route);

    return rc != 0 ? rc : sensor_route_class(route, BB_ROLE_WORKER);
}

static int
raise_event(const struct sensor_route *route, const struct sensor_event *event)
{
    return bb_cluster_relay_rr(route->pool, "", route->topic, event->data, event->bytes,
                               SENSOR_EVENT_ATTR);
}

const struct sensor_pattern sensor_pattern_workers = {
    .name = "workers",
    .keeps = sensor_is_worker,
    .copies = sensor_copies_all,
    .open = open_route,
    .raise = raise_event,
};
