/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/marks.h"

static bool
has(const uint64_t *ids, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

static void
add(uint64_t *ids, size_t *count, uint64_t id)
{
    if (!has(ids, *count, id) && *count < SENSOR_MARKS_MAX) {
        ids[(*count)++] = id;
    }
}

const struct bb_cluster_node *
sensor_members_find(const struct sensor_members *members, uint64_t node_id)
{
    for (size_t i = 0; i < members->count; i++) {
        if (members->nodes[i].id == node_id && node_id != 0) {
            return &members->nodes[i];
        }
    }
    return NULL;
}

static bool
is_up(const struct sensor_members *members, uint64_t node_id)
{
    const struct bb_cluster_node *node = sensor_members_find(members, node_id);

    return node != NULL && node->is_up != 0;
}

void
sensor_marks_start(struct sensor_marks *marks,
                   const struct sensor_start *start,
                   uint64_t manager_id)
{
    if (marks->started) {
        return;
    }
    marks->start = *start;
    marks->manager_id = manager_id;
    marks->epoch = start->epoch > marks->epoch ? start->epoch : marks->epoch;
    marks->started = true;
}

void
sensor_marks_end(struct sensor_marks *marks, uint64_t node_id, uint64_t epoch)
{
    add(marks->ended, &marks->ended_count, node_id);
    marks->epoch = epoch > marks->epoch ? epoch : marks->epoch;
}

void
sensor_marks_pass(struct sensor_marks *marks, uint64_t node_id)
{
    add(marks->passed, &marks->passed_count, node_id);
}

bool
sensor_marks_is_known(const struct sensor_marks *marks, const struct sensor_members *members)
{
    return marks->started && members->epoch >= marks->epoch;
}

bool
sensor_marks_is_ended(const struct sensor_marks *marks, const struct sensor_members *members)
{
    if (!sensor_marks_is_known(marks, members)) {
        return false;
    }
    for (uint32_t i = 0; i < marks->start.id_count; i++) {
        uint64_t id = marks->start.ids[i];

        if (is_up(members, id) && !has(marks->ended, marks->ended_count, id)) {
            return false;
        }
    }
    return true;
}

bool
sensor_marks_is_passed(const struct sensor_marks *marks, const struct sensor_members *members)
{
    if (!sensor_marks_is_ended(marks, members)) {
        return false;
    }
    if (marks->manager_id != members->own_id
        && !has(marks->passed, marks->passed_count, marks->manager_id)) {
        return false;
    }
    for (size_t i = 0; i < members->count; i++) {
        const struct bb_cluster_node *node = &members->nodes[i];

        if (node->role == BB_ROLE_PROXY && node->is_expected != 0 && node->is_up != 0
            && node->id != members->own_id && !has(marks->passed, marks->passed_count, node->id)) {
            return false;
        }
    }
    return true;
}
