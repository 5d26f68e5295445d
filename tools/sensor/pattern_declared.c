/* SPDX-License-Identifier: BSD-3-Clause */
/* As pattern_proxies.c, but the way stands in one declaration; raising the event asks for nothing more. */
#include "tools/sensor/pattern.h"

static int
open_route(struct sensor_route *route)
{
    const struct bb_declare_opts opts = {
        .size = sizeof(opts),
        .event = "connection_established",
        .via = "proxy",
        .argument = 0, /* orig_h */
    };
    int rc = sensor_route_pool(route); /* for who wants to know where an event goes */

    return rc != 0 ? rc : bb_cluster_declare(route->cluster, &opts);
}

static int
raise_event(const struct sensor_route *route, const struct sensor_event *event)
{
    return bb_cluster_raise(route->cluster, event->data, event->bytes, SENSOR_EVENT_ATTR);
}

const struct sensor_pattern sensor_pattern_declared = {
    .name = "declared",
    .keeps = sensor_is_proxy,
    .copies = sensor_copies_one,
    .is_owned = true,
    .open = open_route,
    .raise = raise_event,
};
