/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/daemon/options.h - the command line of busbard.
 */
#ifndef BUSBAR_TOOLS_DAEMON_OPTIONS_H
#define BUSBAR_TOOLS_DAEMON_OPTIONS_H

#include "tools/daemon/settings.h"
#include <stdio.h>

struct daemon_options {
    struct daemon_settings settings; /* daemon_settings_fini() */
    const char *config;              /* points into argv; NULL: no file */
    int verbosity;                   /* -1 quiet, 0, 1 */
    bool is_check, is_probe, is_help, is_version;
};

/* daemon_options_read - --flag VALUE, --flag=VALUE, -bNAME, -b NAME.  0, or -1 with what is wrong; fini either way. */
int
daemon_options_read(struct daemon_options *out, int argc, char **argv, struct daemon_wrong *wrong);

void daemon_options_help(FILE *to);

#endif
