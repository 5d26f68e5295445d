/* SPDX-License-Identifier: BSD-3-Clause */
/* To all other workers at once, without a relay; the raising worker keeps what it saw itself. */
#include "tools/sensor/pattern.h"

static int
open_route(struct sensor_route *route)
{
    return sensor_route_class(route, BB_ROLE_WORKER);
}

static int
raise_event(const struct sensor_route *route, const struct sensor_event *event)
{
    return bb_cluster_publish(route->cluster, route->topic, event->data, event->bytes,
                              SENSOR_EVENT_ATTR);
}

const struct sensor_pattern sensor_pattern_direct = {
    .name = "direct",
    .keeps = sensor_is_worker,
    .copies = sensor_copies_all,
    .is_kept_at_home = true,
    .open = open_route,
    .raise = raise_event,
};
