/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/outcome.h - what a manager does at the end: count, print, judge, tell the others, and stay if asked.
 */
#ifndef BUSBAR_SENSOR_OUTCOME_H
#define BUSBAR_SENSOR_OUTCOME_H

#include "tools/sensor/known.h"
#include "tools/sensor/lead.h"
#include "tools/sensor/others.h"

#include <stdint.h>

struct sensor_outcome {
    struct sensor_lead *lead;
    struct sensor_others others;
    struct sensor_survey survey; /* filled before it is said */
    uint64_t link_lost;          /* events that did not come over a link */
};

/* sensor_outcome_begin - the node is open: what others publish is counted from now on. */
void sensor_outcome_begin(struct sensor_outcome *outcome, struct sensor_lead *lead);
void sensor_outcome_fini(struct sensor_outcome *outcome);

/* sensor_outcome_say - prints, tells the others, and returns the exit code; -1 and the sentence if that failed. */
int sensor_outcome_say(struct sensor_outcome *outcome);

/* sensor_outcome_stay - goes on reading, so that nobody waits for us, until we are told to end.  0, or -1. */
int sensor_outcome_stay(struct sensor_lead *lead);

#endif
