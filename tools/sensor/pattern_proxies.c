/* SPDX-License-Identifier: BSD-3-Clause */
/* Each event goes to the one proxy that owns its originator, and to the next in rank when that one is gone. */
#include "tools/sensor/pattern.h"

static int
raise_event(const struct sensor_route *route, const struct sensor_event *event)
{
    return bb_cluster_publish_hrw(route->pool, event->key, event->key_bytes, event->data,
                                  event->bytes, SENSOR_EVENT_ATTR);
}

const struct sensor_pattern sensor_pattern_proxies = {
    .name = "proxies",
    .keeps = sensor_is_proxy,
    .copies = sensor_copies_one,
    .is_owned = true,
    .open = sensor_route_pool,
    .raise = raise_event,
};
