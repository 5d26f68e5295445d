/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/node_json.h - a node as JSON, the same in every listing.
 */
#ifndef BUSBAR_TOOLS_CLI_NODE_JSON_H
#define BUSBAR_TOOLS_CLI_NODE_JSON_H

#include "tools/cli/json.h"
#include <busbar/inspect.h>

/* cli_node_json_fields - name, role, pid, state and more, into an object that is open. */
void cli_node_json_fields(struct cli_json *j, const struct bb_node_info *node);
/* cli_node_json_rest - those that come after name, role, pid and state. */
void cli_node_json_rest(struct cli_json *j, const struct bb_node_info *node);

#endif
