/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/layout.h - the manager's list of nodes: who is there, who came to its end, who is missing.
 *
 * Pure.  A worker's share goes ABSENT ─ready─► READY ─end─► ENDED, and its tally comes after that; a proxy or
 * logger goes ABSENT ─ready─► READY ─tally─► ENDED.  Who goes before the start leaves its place ABSENT again
 * (somebody may start it anew) unless that is final.  A worker that goes later without an end mark is MISSING,
 * and stays it: nobody else reads its share.  A proxy or logger may come back, with empty hands.
 */
#ifndef BUSBAR_SENSOR_LAYOUT_H
#define BUSBAR_SENSOR_LAYOUT_H

#include "tools/sensor/protocol.h"

#include <busbar/endpoint.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sensor_peer_state {
    SENSOR_PEER_ABSENT,
    SENSOR_PEER_READY,
    SENSOR_PEER_ENDED,
    SENSOR_PEER_MISSING
};

struct sensor_peer {
    enum sensor_peer_state state;
    char name[BB_NAME_MAX + 1]; /* "worker-K" until one was heard */
    uint64_t node_id;           /* 0: none */
    uint64_t delivered;         /* its events that we took */
    struct sensor_end end;      /* ENDED: what it said; zero else */
    struct sensor_tally tally;  /* is_told: what it said; zero else */
    const char *why;            /* MISSING or is_gone: "died", "left", "did not come" */
    uint32_t role;              /* enum bb_role */
    bool is_told;               /* its tally is here */
    bool is_gone;               /* ENDED: it went afterwards */
};

struct sensor_layout {
    struct sensor_peer *peers; /* one for each share, then the proxies, then the loggers */
    uint32_t workers, proxies, loggers;
    uint32_t count;  /* of all of them */
    uint32_t deaths; /* since the start, of nodes that had not said what they handled */
    bool started;
};

/* sensor_layout_init - 0, or -1 without memory. */
int sensor_layout_init(struct sensor_layout *layout,
                       uint32_t workers,
                       uint32_t proxies,
                       uint32_t loggers);
void sensor_layout_fini(struct sensor_layout *layout);

/*
 * sensor_layout_ready - this node takes this share, or is the proxy or logger of this number, from 0.  The
 * same name with a new id is the same node, started anew.  False: no such place, or another node has it, or it
 * is too late.
 */
bool sensor_layout_ready(struct sensor_layout *layout,
                         uint64_t role,
                         uint64_t share,
                         const char *name,
                         uint64_t node_id);

/* sensor_layout_find - the peer with this id, or NULL. */
struct sensor_peer *sensor_layout_find(const struct sensor_layout *layout, uint64_t node_id);

/*
 * sensor_layout_gone - a node left or died.  `final`: nobody starts it again, so it is missing before the
 * start too, even if it went before its ready; its name is all that tells who it was then.
 */
void sensor_layout_gone(
    struct sensor_layout *layout, const char *name, uint64_t node_id, const char *why, bool final);

/* sensor_layout_end - a worker's end mark.  sensor_layout_tally - what a node handled. */
void
sensor_layout_end(struct sensor_layout *layout, uint64_t node_id, const struct sensor_end *end);
void sensor_layout_tally(struct sensor_layout *layout,
                         uint64_t node_id,
                         const struct sensor_tally *tally);

/* sensor_layout_awaited - nodes that are there and have something left to say. */
uint32_t sensor_layout_awaited(const struct sensor_layout *layout);

/* sensor_layout_give_up - whoever is not READY (before the start) or not ENDED (after it) is MISSING. */
void sensor_layout_give_up(struct sensor_layout *layout, const char *why);

uint32_t sensor_layout_number(const struct sensor_layout *layout, enum sensor_peer_state state);

/* sensor_layout_names - "worker-2, worker-3" of those in this state, as far as it fits. */
void sensor_layout_names(const struct sensor_layout *layout,
                         enum sensor_peer_state state,
                         char *out,
                         size_t cap);

/* sensor_layout_ids - of the workers that are there, at most max; returns how many. */
uint32_t sensor_layout_ids(const struct sensor_layout *layout, uint64_t *ids, uint32_t max);

/* sensor_layout_tallies - the sum of what the nodes said. */
void sensor_layout_tallies(const struct sensor_layout *layout, struct sensor_tally *out);

/* sensor_layout_gone_events - sent to nodes that did not live to say what they handled, as far as ends tell. */
uint64_t sensor_layout_gone_events(const struct sensor_layout *layout);

/* sensor_layout_sum - of what the ENDED said and, of the MISSING, what was taken from them. */
void sensor_layout_sum(const struct sensor_layout *layout, struct sensor_end *out);

#endif
