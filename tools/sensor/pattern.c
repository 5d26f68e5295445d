/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/pattern.h"

#include <string.h>

static const struct sensor_pattern *const patterns[] = {
    &sensor_pattern_manager, &sensor_pattern_proxies,  &sensor_pattern_workers,
    &sensor_pattern_direct,  &sensor_pattern_declared, &sensor_pattern_standalone,
    &sensor_pattern_store,
};

const struct sensor_pattern *
sensor_pattern_find(const char *name)
{
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        if (strcmp(patterns[i]->name, name) == 0) {
            return patterns[i];
        }
    }
    return NULL;
}

const char *
sensor_pattern_names(void)
{
    return "manager, proxies, workers, direct, declared, standalone or store";
}

uint64_t
sensor_copies_one(uint32_t workers)
{
    (void)workers;
    return 1;
}

uint64_t
sensor_copies_all(uint32_t workers)
{
    return workers;
}

bool
sensor_is_proxy(uint32_t role)
{
    return role == BB_ROLE_PROXY;
}

bool
sensor_is_worker(uint32_t role)
{
    return role == BB_ROLE_WORKER;
}

int
sensor_route_pool(struct sensor_route *route)
{
    route->pool = bb_pool_find(route->cluster, bb_role_name(BB_ROLE_PROXY));
    return route->pool != NULL ? 0 : BB_ENOENT;
}

int
sensor_route_class(struct sensor_route *route, uint32_t role)
{
    int bytes =
        bb_cluster_topic_class(route->cluster, role, route->topic, sizeof(route->topic) - 1);

    if (bytes < 0) {
        return bytes;
    }
    route->topic[bytes] = '\0';
    return 0;
}
