/* SPDX-License-Identifier: BSD-3-Clause */
/* All events go to the manager, by a topic that it subscribed to; nobody else asked for them. */
#include "tools/sensor/pattern.h"

#include "tools/sensor/protocol.h"

static bool
keeps(uint32_t role)
{
    return role == BB_ROLE_MANAGER;
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
    return bb_cluster_publish(route->cluster, SENSOR_TOPIC_CONNECTION, event->data, event->bytes,
                              SENSOR_EVENT_ATTR);
}

const struct sensor_pattern sensor_pattern_manager = {
    .name = "manager",
    .keeps = keeps,
    .copies = sensor_copies_one,
    .open = open_route,
    .raise = raise_event,
};
