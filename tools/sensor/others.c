/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/others.h"

#include <busbar/inspect.h>
#include <stdbool.h>
#include <string.h>

/* Fills nodes; 0 when the bus cannot be looked at. */
static size_t
look(const struct sensor_options *opts, struct bb_node_info *nodes)
{
    const struct bb_look_opts how = {.size = sizeof(how), .dir = opts->dir, .bus = opts->bus};
    struct bb_look *look;
    int n;

    if (bb_look_open(&look, &how) != 0) {
        return 0;
    }
    n = bb_look_nodes(look, nodes, SENSOR_MARKS_MAX);
    bb_look_close(look);
    if (n < 0) {
        return 0;
    }
    return n < SENSOR_MARKS_MAX ? (size_t)n : SENSOR_MARKS_MAX;
}

bool
sensor_earlier_has(const struct sensor_earlier *earlier, uint64_t id, int64_t pid)
{
    for (size_t i = 0; earlier != NULL && i < earlier->count; i++) {
        if (earlier->ids[i] == id && earlier->pids[i] == pid) {
            return true;
        }
    }
    return false;
}

void
sensor_others_begin(struct sensor_others *others, const struct sensor_options *opts)
{
    static struct bb_node_info nodes[SENSOR_MARKS_MAX];

    others->count = look(opts, nodes);
    for (size_t i = 0; i < others->count; i++) {
        others->ids[i] = nodes[i].id;
        others->published[i] = nodes[i].published;
    }
}

static uint64_t
before(const struct sensor_others *others, uint64_t id)
{
    for (size_t i = 0; i < others->count; i++) {
        if (others->ids[i] == id) {
            return others->published[i];
        }
    }
    return 0;
}

/* busbard publishes what other boxes publish: what we asked for, when the sensor is over two boxes. */
static bool
is_link(const struct sensor_options *opts, const char *name)
{
    return opts->box != SENSOR_ON_ONE && strcmp(name, "busbard") == 0;
}

/* By name: a node that was killed and came again is ours under both its ids. */
static bool
is_ours(const struct sensor_members *members, const char *name)
{
    for (size_t i = 0; i < members->count; i++) {
        if (strcmp(members->nodes[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

uint64_t
sensor_others_count(const struct sensor_others *others,
                    const struct sensor_options *opts,
                    const struct sensor_members *members)
{
    static struct bb_node_info nodes[SENSOR_MARKS_MAX];
    size_t n = look(opts, nodes);
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t then = before(others, nodes[i].id);

        if (!is_ours(members, nodes[i].name) && !is_link(opts, nodes[i].name)
            && nodes[i].published > then) {
            sum += nodes[i].published - then;
        }
    }
    return sum;
}
