/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/launch.h - fork a manager and the workers, hand signals on, wait for all.
 */
#ifndef BUSBAR_SENSOR_LAUNCH_H
#define BUSBAR_SENSOR_LAUNCH_H

#include "tools/sensor/options.h"

/*
 * sensor_launch - the manager's exit code, or that of the node that could not even begin.
 *
 * Children  left alone only if we are killed by SIGKILL while we fork; later they get SIGTERM then.
 */
int sensor_launch(const struct sensor_options *opts);

#endif
