/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * busbar-sensor: everything that can be wrong with the command line or the capture is found here, before
 * anything is forked.
 */
#include "tools/sensor/capture.h"
#include "tools/sensor/launch.h"
#include "tools/sensor/node.h"
#include "tools/sensor/options.h"

#include <busbar/inspect.h>
#include <stdio.h>

static int
run_node(const struct sensor_options *opts)
{
    sensor_stop_install();
    return sensor_node_run(opts);
}

static int
run(const struct sensor_options *opts, struct sensor_fail *fail)
{
    const struct sensor_source source = {opts->files, opts->file_count, opts->live};

    if (opts->help) {
        sensor_options_help(stdout);
        return fflush(stdout) == 0 ? SENSOR_EXIT_DONE : SENSOR_EXIT_OTHER;
    }
    if (opts->version) {
        (void)printf("busbar-sensor %s\n", bb_version());
        return fflush(stdout) == 0 ? SENSOR_EXIT_DONE : SENSOR_EXIT_OTHER;
    }
    if ((source.file_count != 0 || source.live != NULL)
        && sensor_capture_check(&source, fail) != 0) {
        sensor_say(NULL, "%s", fail->sentence);
        return fail->code;
    }
    if (opts->pattern->is_alone) {
        sensor_stop_install();
        return sensor_standalone_run(opts);
    }
    return opts->node != NULL ? run_node(opts) : sensor_launch(opts);
}

int
main(int argc, char *argv[])
{
    struct sensor_options opts;
    struct sensor_fail fail;
    int code;

    if (sensor_options_parse(&opts, argc, argv, &fail) == 0) {
        code = run(&opts, &fail);
    } else {
        sensor_say(NULL, "%s", fail.sentence);
        code = fail.code;
    }
    sensor_options_fini(&opts);
    return code;
}
