/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/sensor/fail.h"

#include <stdarg.h>
#include <stdio.h>

int
sensor_fail(struct sensor_fail *fail, int code, const char *format, ...)
{
    va_list args;

    fail->code = code;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is, one line above */
    (void)vsnprintf(fail->sentence, sizeof(fail->sentence), format, args);
    va_end(args);
    return -1;
}

int
sensor_exit_of(int status)
{
    switch (status) {
    case BB_EINVAL:
    case BB_ENAMETOOLONG:
        return SENSOR_EXIT_USAGE;
    case BB_ETIMEDOUT:
        return SENSOR_EXIT_TIME;
    case BB_ENOBUS:
    case BB_ENOENT:
        return SENSOR_EXIT_NO_BUS;
    case BB_EACCES:
    case BB_ETRUST:
        return SENSOR_EXIT_PERMISSION;
    case BB_EVERSION:
        return SENSOR_EXIT_VERSION;
    case BB_ENOMEM:
    case BB_ENOSPC:
    case BB_EMFILE:
    case BB_ENFILE:
    case BB_EFULL:
        return SENSOR_EXIT_RESOURCE;
    default:
        return SENSOR_EXIT_OTHER;
    }
}

void
sensor_say(const char *node, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is, one line above */
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    /* One call a line: the nodes of one terminal do not cut each other's sentences. */
    if (node != NULL) {
        (void)fprintf(stderr, "busbar-sensor: %s: %s\n", node, text);
    } else {
        (void)fprintf(stderr, "busbar-sensor: %s\n", text);
    }
}
