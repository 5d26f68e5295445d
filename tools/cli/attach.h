/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/attach.h - opens what a verb works on, by the global flags.
 *
 * Each returns CLI_DONE, or an exit code after it has said what is wrong.
 */
#ifndef BUSBAR_TOOLS_CLI_ATTACH_H
#define BUSBAR_TOOLS_CLI_ATTACH_H

#include "tools/cli/verbs.h"
#include <busbar/inspect.h>
#include <stdint.h>

/*
 * cli_attach - a member with role tool.  name NULL: the library's choice; group NULL: a bus that is made
 * now is only this user's; flags: BB_ATTACH_...
 */
int cli_attach(const struct cli_call *call,
               const char *name,
               const char *group,
               uint32_t flags,
               struct bb_endpoint **ep);

/* cli_look - without attaching; CLI_NONE when there is no such bus. */
int cli_look(const struct cli_call *call, struct bb_look **look);

#endif
