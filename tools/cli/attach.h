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
#include <stdbool.h>
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

/* cli_attach_until - to a bus that may only be being made: a member with role tool, of a name that the library chooses. */
int cli_attach_until(const struct cli_call *call, int64_t deadline_ns, struct bb_endpoint **ep);
/* cli_again - true after a short rest: what is not there yet may be looked for again; false: time or a signal ends it. */
bool cli_again(int64_t deadline_ns);

/* cli_look - without attaching; CLI_NONE when there is no such bus. */
int cli_look(const struct cli_call *call, struct bb_look **look);

#endif
