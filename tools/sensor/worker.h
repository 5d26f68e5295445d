/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/worker.h - reading a share of the capture: what a worker and a sensor of one process share.
 */
#ifndef BUSBAR_SENSOR_WORKER_H
#define BUSBAR_SENSOR_WORKER_H

#include "tools/sensor/capture.h"
#include "tools/sensor/flow.h"
#include "tools/sensor/member.h"
#include "tools/sensor/pattern.h"

#include <stdint.h>

struct sensor_worker {
    struct sensor_member member;
    struct sensor_source source;
    struct sensor_capture *capture;
    struct sensor_flows *flows;
    struct sensor_route route;
    uint64_t frames;      /* read, of all shares */
    uint32_t held_events; /* published, not flushed */
    uint64_t room;        /* over two boxes: messages that surely fit into our window */
    uint64_t uid_seed;
};

/* sensor_worker_open - 0, or -1 and the sentence.  Close it also then. */
int sensor_worker_open(struct sensor_worker *w, const struct sensor_options *opts);
void sensor_worker_close(struct sensor_worker *w);

/* sensor_worker_read - to the end of the capture or until told; member.end says what it was. */
int sensor_worker_read(struct sensor_worker *w);

#endif
