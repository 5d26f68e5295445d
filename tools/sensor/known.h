/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/known.h - EX::known_clients of every node, asked over the bus as `busbar print` would.
 */
#ifndef BUSBAR_SENSOR_KNOWN_H
#define BUSBAR_SENSOR_KNOWN_H

#include "tools/sensor/fail.h"
#include "tools/sensor/layout.h"
#include "tools/sensor/node.h"
#include "tools/sensor/report.h"

#include <stddef.h>

struct sensor_survey {
    struct sensor_known known[SENSOR_NODES_MAX]; /* this node, then as in the layout */
    struct sensor_address *owned[SENSOR_NODES_MAX];
    size_t count;
    size_t silent; /* of whom no answer came */
};

/* sensor_survey - asks everybody in the layout (NULL: this node alone).  0, or -1 and the sentence. */
int sensor_survey(struct sensor_survey *survey,
                  struct sensor_node *node,
                  const struct sensor_layout *layout,
                  struct sensor_fail *fail);
void sensor_survey_fini(struct sensor_survey *survey);

#endif
