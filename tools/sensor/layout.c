/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Gives places first .. first + n - 1 to a role. */
static void
name_places(struct sensor_layout *layout, uint32_t first, uint32_t n, uint32_t role)
{
    for (uint32_t i = 0; i < n; i++) {
        struct sensor_peer *peer = &layout->peers[first + i];

        (void)snprintf(peer->name, sizeof(peer->name), "%s-%u", bb_role_name(role), i + 1);
        peer->role = role;
    }
}

int
sensor_layout_init(struct sensor_layout *layout,
                   uint32_t workers,
                   uint32_t proxies,
                   uint32_t loggers)
{
    memset(layout, 0, sizeof(*layout));
    layout->peers = calloc((size_t)workers + proxies + loggers, sizeof(*layout->peers));
    if (layout->peers == NULL) {
        return -1;
    }
    layout->workers = workers;
    layout->proxies = proxies;
    layout->loggers = loggers;
    layout->count = workers + proxies + loggers;
    name_places(layout, 0, workers, BB_ROLE_WORKER);
    name_places(layout, workers, proxies, BB_ROLE_PROXY);
    name_places(layout, workers + proxies, loggers, BB_ROLE_LOGGER);
    return 0;
}

void
sensor_layout_fini(struct sensor_layout *layout)
{
    free(layout->peers);
    memset(layout, 0, sizeof(*layout));
}

/* The place of a role's number; NULL if there is none. */
static struct sensor_peer *
find_place(const struct sensor_layout *layout, uint64_t role, uint64_t share)
{
    switch (role) {
    case BB_ROLE_WORKER:
        return share < layout->workers ? &layout->peers[share] : NULL;
    case BB_ROLE_PROXY:
        return share < layout->proxies ? &layout->peers[layout->workers + share] : NULL;
    case BB_ROLE_LOGGER:
        return share < layout->loggers ? &layout->peers[layout->workers + layout->proxies + share]
                                       : NULL;
    default:
        return NULL;
    }
}

bool
sensor_layout_ready(
    struct sensor_layout *layout, uint64_t role, uint64_t share, const char *name, uint64_t node_id)
{
    struct sensor_peer *peer = find_place(layout, role, share);

    if (peer == NULL || (layout->started && role == BB_ROLE_WORKER)) {
        return false;
    }
    if (peer->state == SENSOR_PEER_READY && strcmp(peer->name, name) != 0) {
        return false;
    }
    if (peer->node_id == node_id && peer->state == SENSOR_PEER_ENDED) {
        return true; /* says it once more */
    }
    (void)snprintf(peer->name, sizeof(peer->name), "%s", name);
    peer->node_id = node_id;
    peer->state = SENSOR_PEER_READY;
    peer->is_told = false;
    peer->is_gone = false;
    memset(&peer->tally, 0, sizeof(peer->tally));
    return true;
}

struct sensor_peer *
sensor_layout_find(const struct sensor_layout *layout, uint64_t node_id)
{
    for (uint32_t i = 0; i < layout->count; i++) {
        struct sensor_peer *peer = &layout->peers[i];

        if (peer->node_id == node_id
            && (peer->state == SENSOR_PEER_READY || peer->state == SENSOR_PEER_ENDED)) {
            return peer;
        }
    }
    return NULL;
}

static void
set_missing(struct sensor_peer *peer, const char *why)
{
    peer->state = SENSOR_PEER_MISSING;
    peer->why = why;
}

static struct sensor_peer *
find_absent(const struct sensor_layout *layout, const char *name)
{
    for (uint32_t i = 0; i < layout->count; i++) {
        struct sensor_peer *peer = &layout->peers[i];

        if (peer->state == SENSOR_PEER_ABSENT && strcmp(peer->name, name) == 0) {
            return peer;
        }
    }
    return NULL;
}

void
sensor_layout_gone(
    struct sensor_layout *layout, const char *name, uint64_t node_id, const char *why, bool final)
{
    struct sensor_peer *peer = sensor_layout_find(layout, node_id);

    if (peer == NULL && final) {
        peer = find_absent(layout, name);
    }
    if (peer == NULL) {
        return;
    }
    layout->deaths += layout->started && !peer->is_told;
    if (peer->state == SENSOR_PEER_ENDED) {
        peer->is_gone = true;
        peer->why = why;
        return;
    }
    if (layout->started || final) {
        set_missing(peer, why);
    } else {
        peer->state = SENSOR_PEER_ABSENT;
    }
}

void
sensor_layout_end(struct sensor_layout *layout, uint64_t node_id, const struct sensor_end *end)
{
    struct sensor_peer *peer = sensor_layout_find(layout, node_id);

    if (peer != NULL && peer->role == BB_ROLE_WORKER && peer->state == SENSOR_PEER_READY) {
        peer->end = *end;
        peer->state = SENSOR_PEER_ENDED;
    }
}

void
sensor_layout_tally(struct sensor_layout *layout,
                    uint64_t node_id,
                    const struct sensor_tally *tally)
{
    struct sensor_peer *peer = sensor_layout_find(layout, node_id);

    if (peer == NULL || peer->is_told) {
        return;
    }
    peer->tally = *tally;
    peer->is_told = true;
    if (peer->role != BB_ROLE_WORKER) {
        peer->state = SENSOR_PEER_ENDED;
    }
}

uint32_t
sensor_layout_awaited(const struct sensor_layout *layout)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < layout->count; i++) {
        const struct sensor_peer *peer = &layout->peers[i];

        n += peer->state == SENSOR_PEER_READY
             || (peer->state == SENSOR_PEER_ENDED && !peer->is_told && !peer->is_gone);
    }
    return n;
}

void
sensor_layout_give_up(struct sensor_layout *layout, const char *why)
{
    for (uint32_t i = 0; i < layout->count; i++) {
        struct sensor_peer *peer = &layout->peers[i];

        if (peer->state == SENSOR_PEER_ABSENT
            || (layout->started && peer->state == SENSOR_PEER_READY)) {
            set_missing(peer, why);
        }
    }
}

uint32_t
sensor_layout_number(const struct sensor_layout *layout, enum sensor_peer_state state)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < layout->count; i++) {
        n += layout->peers[i].state == state;
    }
    return n;
}

void
sensor_layout_names(const struct sensor_layout *layout,
                    enum sensor_peer_state state,
                    char *out,
                    size_t cap)
{
    size_t used = 0;

    out[0] = '\0';
    for (uint32_t i = 0; i < layout->count && used < cap; i++) {
        const struct sensor_peer *peer = &layout->peers[i];

        if (peer->state == state) {
            used +=
                (size_t)snprintf(out + used, cap - used, "%s%s", used == 0 ? "" : ", ", peer->name);
        }
    }
}

uint32_t
sensor_layout_ids(const struct sensor_layout *layout, uint64_t *ids, uint32_t max)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < layout->workers && n < max; i++) {
        const struct sensor_peer *peer = &layout->peers[i];

        if (peer->state == SENSOR_PEER_READY || peer->state == SENSOR_PEER_ENDED) {
            ids[n++] = peer->node_id;
        }
    }
    return n;
}

void
sensor_layout_tallies(const struct sensor_layout *layout, struct sensor_tally *out)
{
    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < layout->count; i++) {
        const struct sensor_tally *tally = &layout->peers[i].tally;

        out->handled += tally->handled;
        out->lost += tally->lost;
        out->refused += tally->refused;
        out->logged += tally->logged;
        out->unsaid += tally->unsaid;
    }
}

uint64_t
sensor_layout_gone_events(const struct sensor_layout *layout)
{
    uint64_t events = 0;

    for (uint32_t i = 0; i < layout->workers; i++) {
        const struct sensor_end *end = &layout->peers[i].end;

        for (uint64_t k = 0; k < end->sent_count && k < SENSOR_SENT_MAX; k++) {
            const struct sensor_peer *peer = sensor_layout_find(layout, end->sent[k].id);

            events += peer == NULL || !peer->is_told ? end->sent[k].events : 0;
        }
    }
    return events;
}

void
sensor_layout_sum(const struct sensor_layout *layout, struct sensor_end *out)
{
    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < layout->workers; i++) {
        const struct sensor_peer *peer = &layout->peers[i];
        const struct sensor_end *end = &peer->end;

        if (peer->state != SENSOR_PEER_ENDED) {
            out->connections += peer->delivered;
            out->events += peer->delivered;
            continue;
        }
        out->packets += end->packets;
        out->connections += end->connections;
        out->events += end->events;
        out->waits += end->waits;
        out->half_open += end->half_open;
        out->dropped += end->dropped;
        out->nowhere += end->nowhere;
        out->state = end->state > out->state ? end->state : out->state;
    }
}
