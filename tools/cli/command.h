/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/command.h - runs a shell command with bytes for its input, and keeps what it prints.
 */
#ifndef BUSBAR_TOOLS_CLI_COMMAND_H
#define BUSBAR_TOOLS_CLI_COMMAND_H

#include "tools/cli/buffer.h"
#include <stdint.h>

struct cli_command {
    const char *text; /* for /bin/sh -c */
    const void *input;
    size_t input_bytes;
    size_t max_bytes;    /* of output; a command that prints more is killed */
    int64_t deadline_ns; /* monotonic; then it is killed */
};

/*
 * cli_command_run - its standard output goes to *out (emptied first), its standard error to ours.
 *
 * Returns   the exit code, 0 to 255 (128 and the signal for one that was killed); BB_ETIMEDOUT, BB_EMSGSIZE;
 *           BB_EAGAIN a signal told us to stop; else -errno.  No process of the command's is left then.
 */
int cli_command_run(const struct cli_command *command, struct cli_buffer *out);

#endif
