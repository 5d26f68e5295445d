/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/log_dir.h - where logs go that nobody asked to keep: a directory of this run, removed at its end.
 */
#ifndef BUSBAR_SENSOR_LOG_DIR_H
#define BUSBAR_SENSOR_LOG_DIR_H

#include "tools/sensor/fail.h"

enum { SENSOR_LOG_DIR_TEXT = 256 };

/* sensor_log_dir_make - below $TMPDIR, else /tmp.  0, or -1 and the sentence. */
int sensor_log_dir_make(char out[SENSOR_LOG_DIR_TEXT], struct sensor_fail *fail);

/* sensor_log_dir_remove - with the files in it; "" is nothing to remove. */
void sensor_log_dir_remove(const char *dir);

#endif
