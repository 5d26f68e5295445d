/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/completion_script.h - tools/completion/busbar.bash, as the build put it into the program.
 */
#ifndef BUSBAR_TOOLS_CLI_COMPLETION_SCRIPT_H
#define BUSBAR_TOOLS_CLI_COMPLETION_SCRIPT_H

#include <stddef.h>

extern const unsigned char cli_completion_script[];
extern const size_t cli_completion_script_bytes;

#endif
