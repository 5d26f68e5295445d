/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/marks.h - has this node all the events that it is going to get?
 *
 * Pure.  Two waves of marks, each the last of what its sender had to say (protocol.h): the end marks of the
 * workers that `start` named, then the pass marks of all who relay.  A node that is not up is waited for no
 * longer: its going was heard of after its last message.
 *
 * Epoch      The marks tell how much of the cluster's changes their senders knew.  Until this node knows as
 *            much, there may be somebody of whom it has not heard.
 */
#ifndef BUSBAR_SENSOR_MARKS_H
#define BUSBAR_SENSOR_MARKS_H

#include "tools/sensor/protocol.h"

#include <busbar/cluster.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SENSOR_MARKS_MAX = 512 }; /* as many nodes as a bus has */

struct sensor_marks {
    struct sensor_start start;
    uint64_t manager_id;
    uint64_t epoch; /* the largest of all marks */
    uint64_t ended[SENSOR_MARKS_MAX];
    size_t ended_count;
    uint64_t passed[SENSOR_MARKS_MAX];
    size_t passed_count;
    bool started;
};

/* What the cluster looks like to this node now. */
struct sensor_members {
    struct bb_cluster_node nodes[SENSOR_MARKS_MAX];
    size_t count;
    uint64_t epoch;
    uint64_t own_id;
};

const struct bb_cluster_node *sensor_members_find(const struct sensor_members *members,
                                                  uint64_t node_id);

/* The first start counts; it comes again for those who come later. */
void sensor_marks_start(struct sensor_marks *marks,
                        const struct sensor_start *start,
                        uint64_t manager_id);
void sensor_marks_end(struct sensor_marks *marks, uint64_t node_id, uint64_t epoch);
void sensor_marks_pass(struct sensor_marks *marks, uint64_t node_id);

/* sensor_marks_is_known - everybody is known to us who was known to the manager when it said `start`. */
bool sensor_marks_is_known(const struct sensor_marks *marks, const struct sensor_members *members);
/* sensor_marks_is_ended - no worker will raise anything any more. */
bool sensor_marks_is_ended(const struct sensor_marks *marks, const struct sensor_members *members);
/* sensor_marks_is_passed - and nobody will relay anything any more; we ourselves do not count. */
bool sensor_marks_is_passed(const struct sensor_marks *marks, const struct sensor_members *members);

#endif
