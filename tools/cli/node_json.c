/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/node_json.c - field names are promised; new ones go to the end.
 */
#include "tools/cli/node_json.h"

void
cli_node_json_fields(struct cli_json *j, const struct bb_node_info *node)
{
    cli_json_text(j, "name", node->name);
    cli_json_text(j, "role", bb_role_name(node->role));
    cli_json_integer(j, "pid", node->pid);
    cli_json_text(j, "state", bb_node_state_name(node->state));
    cli_node_json_rest(j, node);
}

void
cli_node_json_rest(struct cli_json *j, const struct bb_node_info *node)
{
    cli_json_count(j, "id", node->id);
    cli_json_integer(j, "uid", node->uid);
    cli_json_wall(j, "joined", node->joined_wall_ns);
    cli_json_count(j, "rings", node->rings);
    cli_json_count(j, "subscribers", node->subscribers);
    cli_json_count(j, "published", node->published);
    cli_json_count(j, "published_bytes", node->published_bytes);
    cli_json_count(j, "lag", node->lag);
    cli_json_count(j, "lost", node->lost);
    if (node->beat_age_ns >= 0) {
        cli_json_integer(j, "beat_age_ns", node->beat_age_ns);
    } else {
        cli_json_null(j, "beat_age_ns");
    }
}
