/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/fail.h - one sentence and one exit code: how every part of the sensor says what went wrong.
 *
 * Rule       Whoever finds the failure writes the sentence (which thing, what to do); main or the node
 *            prints it once on standard error.
 */
#ifndef BUSBAR_SENSOR_FAIL_H
#define BUSBAR_SENSOR_FAIL_H

#include <busbar/status.h>

enum sensor_exit {
    SENSOR_EXIT_DONE = 0,
    SENSOR_EXIT_MISSING = 1, /* a node did not come to its end */
    SENSOR_EXIT_USAGE = 2,
    SENSOR_EXIT_TIME = 3,
    SENSOR_EXIT_NO_BUS = 4,
    SENSOR_EXIT_PERMISSION = 5,
    SENSOR_EXIT_VERSION = 6,
    SENSOR_EXIT_RESOURCE = 7,
    SENSOR_EXIT_OTHER = 8,
};

struct sensor_fail {
    int code;           /* enum sensor_exit */
    char sentence[768]; /* without program name and newline */
};

/* sensor_fail - fills it; returns -1, so that callers can return sensor_fail(...). */
__attribute__((format(printf, 3, 4))) int
sensor_fail(struct sensor_fail *fail, int code, const char *format, ...);

/* sensor_exit_of - the exit code that fits a negative status of the library. */
int sensor_exit_of(int status);

/* sensor_say - one line on standard error: "busbar-sensor: [NODE: ]SENTENCE".  node may be NULL. */
__attribute__((format(printf, 2, 3))) void sensor_say(const char *node, const char *format, ...);

#endif
