/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/sensor/options.h - the command line, checked.
 */
#ifndef BUSBAR_SENSOR_OPTIONS_H
#define BUSBAR_SENSOR_OPTIONS_H

#include "tools/sensor/fail.h"
#include "tools/sensor/pattern.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    SENSOR_NODES_MAX = 256,   /* the bus has 256 subscribers: one for each node */
    SENSOR_WORKERS_MAX = 255, /* and a manager */
    SENSOR_HELPERS_MAX = 64,  /* proxies; loggers */
};

/* A sensor over two boxes: which of them is this? */
enum sensor_box {
    SENSOR_ON_ONE = 0, /* there is but one */
    SENSOR_ON_WORKERS =
        1, /* workers, loggers and a site that leads them; the manager is elsewhere */
    SENSOR_ON_MANAGER = 2, /* the manager alone */
};

struct sensor_options {
    const char **files; /* file_count of them; owned, the strings are argv's */
    size_t file_count;
    const char *live; /* interface, or NULL */
    uint32_t workers;
    uint32_t proxies;
    uint32_t loggers;
    const struct sensor_pattern *pattern;
    enum sensor_box box;
    const char *log_dir; /* NULL: the launcher makes one, and removes it */
    bool watch_any;
    uint8_t watch[16];
    const char *watch_text;
    const char *bus; /* NULL: as the library chooses */
    const char *dir;
    uint32_t seconds; /* live: how long; 0: until it is told to end */
    uint32_t rate;    /* packets per second of the whole capture; 0: as fast as it goes */
    uint32_t
        wait_s; /* how long the manager waits for its workers; boxes for each other; 0: not said */
    bool json;
    bool stay;
    bool help;
    bool version;
    const char *node; /* only this node, in this process; NULL: fork all of them */
    uint32_t role;    /* enum bb_role; of node */
    uint32_t share;   /* of a worker: 0 .. workers - 1; the same for proxies and loggers */
    bool forked;      /* the node is a child of the launcher: nobody starts it again */
    const struct sensor_earlier
        *earlier; /* who was on the bus before the launcher forked; or NULL */
};

/* sensor_options_parse - 0, or -1 and the sentence; after help or version nothing else is checked. */
int sensor_options_parse(struct sensor_options *out,
                         int argc,
                         char *const argv[],
                         struct sensor_fail *fail);
void sensor_options_fini(struct sensor_options *opts);

/* sensor_options_help - the text of --help. */
void sensor_options_help(FILE *out);

#endif
