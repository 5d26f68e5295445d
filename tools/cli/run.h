/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/run.h - from a command line to a verb.
 */
#ifndef BUSBAR_TOOLS_CLI_RUN_H
#define BUSBAR_TOOLS_CLI_RUN_H

/* cli_run - argv without the program's name; returns the exit code.  An external verb replaces the process. */
int cli_run(int argc, char **argv);

#endif
