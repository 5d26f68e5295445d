/* SPDX-License-Identifier: BSD-3-Clause */
/* What pattern_proxies.c says, word for word; the cluster is one process, which has all pools to itself. */
#include "tools/sensor/pattern.h"

static bool
keeps(uint32_t role)
{
    (void)role;
    return true;
}

static int
raise_event(const struct sensor_route *route, const struct sensor_event *event)
{
    return bb_cluster_publish_hrw(route->pool, event->key, event->key_bytes, event->data,
                                  event->bytes, SENSOR_EVENT_ATTR);
}

const struct sensor_pattern sensor_pattern_standalone = {
    .name = "standalone",
    .keeps = keeps,
    .copies = sensor_copies_one,
    .is_alone = true,
    .open = sensor_route_pool,
    .raise = raise_event,
};
