/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/pattern.h - the ways that connection_established can take through the cluster.
 *
 *   manager     worker ─► manager                                the manager keeps the clients
 *   proxies     worker ─► the proxy that owns the originator     publish by the hash of a key
 *   declared    the same, but the event knows its way            partition via: declared once, then raised
 *   workers     worker ─► a proxy in turn ─► all workers         a relay; the manager when no proxy is there
 *   direct      worker ─► all other workers                      no relay: the class topic
 *   standalone  one process is all of it                         what is published comes back to it
   store       worker ─► the store's master, if it is new       no message: all nodes read the store in place
 *
 * A file pattern_NAME.c for each of them: these few lines are what an author writes for the way of an event.
 */
#ifndef BUSBAR_SENSOR_PATTERN_H
#define BUSBAR_SENSOR_PATTERN_H

#include "tools/sensor/fail.h"
#include "tools/sensor/shelf.h"

#include <busbar/cluster.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SENSOR_TOPIC_TEXT = 256 }; /* room for a class topic with its NUL */

/* What a worker needs to send its events on their way.  Zeroed, then filled by sensor_pattern.open. */
struct sensor_route {
    struct bb_cluster *cluster;
    struct bb_pool *pool;          /* of proxies; NULL where the pattern needs none */
    char topic[SENSOR_TOPIC_TEXT]; /* "" where the pattern has none */
    struct sensor_shelf *shelf;    /* the node's; open where the pattern is_stored */
};

/* One event, built. */
struct sensor_event {
    const void *data;
    size_t bytes;
    const char *key; /* the originator's address as text: who handles it depends on nothing else */
    size_t key_bytes;
    const uint8_t *orig; /* the originator */
    bool is_watched;     /* it is a client of whom we watch */
};

struct sensor_pattern {
    const char *name;
    bool (*keeps)(uint32_t role);         /* do nodes of this role keep the clients? */
    uint64_t (*copies)(uint32_t workers); /* how many nodes handle each event */
    bool is_kept_at_home;                 /* its own worker handles it without hearing it */
    bool is_stored;                       /* the clients are in a store, not in the nodes */
    bool is_owned;                        /* each event goes to the one node that owns its key */
    bool is_alone;                        /* one process */
    /* 0, or a status.  Called once, before the node says that it is there. */
    int (*open)(struct sensor_route *route);
    /* As bb_cluster_publish(); not flushed.  BB_ENOENT: nobody is there to handle it. */
    int (*raise)(const struct sensor_route *route, const struct sensor_event *event);
};

/* sensor_pattern_find - NULL if there is none of this name. */
const struct sensor_pattern *sensor_pattern_find(const char *name);

/* sensor_pattern_names - "manager, proxies, ...". */
const char *sensor_pattern_names(void);

extern const struct sensor_pattern sensor_pattern_manager;
extern const struct sensor_pattern sensor_pattern_proxies;
extern const struct sensor_pattern sensor_pattern_declared;
extern const struct sensor_pattern sensor_pattern_workers;
extern const struct sensor_pattern sensor_pattern_direct;
extern const struct sensor_pattern sensor_pattern_standalone;
extern const struct sensor_pattern sensor_pattern_store;

/* ---- for the files of the patterns ------------------------------------------------------------- */

enum { SENSOR_EVENT_ATTR = BB_EVENT | BB_NATIVE | BB_MORE };

uint64_t sensor_copies_one(uint32_t workers);
uint64_t sensor_copies_all(uint32_t workers);
bool sensor_is_proxy(uint32_t role);
bool sensor_is_worker(uint32_t role);

/* sensor_route_pool - the pool of the proxies.  0, or BB_ENOENT. */
int sensor_route_pool(struct sensor_route *route);
/* sensor_route_class - the topic that all nodes of a role hear.  0, or a status. */
int sensor_route_class(struct sensor_route *route, uint32_t role);

#endif
