/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
sensor_layout_init(struct sensor_layout *layout, uint32_t count)
{
    memset(layout, 0, sizeof(*layout));
    layout->peers = calloc(count, sizeof(*layout->peers));
    if (layout->peers == NULL) {
        return -1;
    }
    layout->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct sensor_peer *peer = &layout->peers[i];

        (void)snprintf(peer->name, sizeof(peer->name), "worker-%u", i + 1);
    }
    return 0;
}

void
sensor_layout_fini(struct sensor_layout *layout)
{
    free(layout->peers);
    memset(layout, 0, sizeof(*layout));
}

bool
sensor_layout_ready(struct sensor_layout *layout,
                    uint64_t share,
                    const char *name,
                    uint64_t node_id)
{
    struct sensor_peer *peer;

    if (layout->started || share >= layout->count) {
        return false;
    }
    peer = &layout->peers[share];
    if (peer->state == SENSOR_PEER_READY && strcmp(peer->name, name) != 0) {
        return false;
    }
    (void)snprintf(peer->name, sizeof(peer->name), "%s", name);
    peer->node_id = node_id;
    peer->state = SENSOR_PEER_READY;
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
    if (peer == NULL || peer->state == SENSOR_PEER_ENDED) {
        return;
    }
    if (layout->started || final) {
        set_missing(peer, why);
    } else {
        peer->state = SENSOR_PEER_ABSENT;
    }
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

void
sensor_layout_sum(const struct sensor_layout *layout, struct sensor_end *out)
{
    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < layout->count; i++) {
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
        out->state = end->state > out->state ? end->state : out->state;
    }
}
