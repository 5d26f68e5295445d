/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/others.h - who else is on the sensor's bus, and what they publish: counted without listening to it.
 *
 * As far as it can still be seen at the end: a node that came and went meanwhile took its counters with it.
 */
#ifndef BUSBAR_SENSOR_OTHERS_H
#define BUSBAR_SENSOR_OTHERS_H

#include "tools/sensor/marks.h"
#include "tools/sensor/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sensor_others {
    uint64_t ids[SENSOR_MARKS_MAX];
    uint64_t published[SENSOR_MARKS_MAX]; /* of ids[i], when we began */
    size_t count;
};

/* Members from before a sensor was started: of our names, perhaps, but none of ours.  A bus made anew counts ids anew. */
enum { SENSOR_EARLIER_MAX = 1024 }; /* as many as a roll of members remembers */
struct sensor_earlier {
    uint64_t ids[SENSOR_EARLIER_MAX];
    int64_t pids[SENSOR_EARLIER_MAX];
    size_t count;
};

/* sensor_earlier_has - false for NULL. */
bool sensor_earlier_has(const struct sensor_earlier *earlier, uint64_t id, int64_t pid);

/* sensor_others_begin - the counters as they are now. */
void sensor_others_begin(struct sensor_others *others, const struct sensor_options *opts);

/* sensor_others_count - messages published since by nodes that have no name of a member. */
uint64_t sensor_others_count(const struct sensor_others *others,
                             const struct sensor_options *opts,
                             const struct sensor_members *members);

#endif
