/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/others.h - what other people publish on the sensor's bus, counted without listening to it.
 *
 * As far as it can still be seen at the end: a node that came and went meanwhile took its counters with it.
 */
#ifndef BUSBAR_SENSOR_OTHERS_H
#define BUSBAR_SENSOR_OTHERS_H

#include "tools/sensor/marks.h"
#include "tools/sensor/options.h"

#include <stddef.h>
#include <stdint.h>

struct sensor_others {
    uint64_t ids[SENSOR_MARKS_MAX];
    uint64_t published[SENSOR_MARKS_MAX]; /* of ids[i], when we began */
    size_t count;
};

/* sensor_others_begin - the counters as they are now. */
void sensor_others_begin(struct sensor_others *others, const struct sensor_options *opts);

/* sensor_others_count - messages published since by nodes that have no name of a member. */
uint64_t sensor_others_count(const struct sensor_others *others,
                             const struct sensor_options *opts,
                             const struct sensor_members *members);

#endif
