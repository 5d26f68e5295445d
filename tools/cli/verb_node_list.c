/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_node_list.c - `busbar node list`: who is on the bus.
 */
#include "tools/cli/attach.h"
#include "tools/cli/clock.h"
#include "tools/cli/format.h"
#include "tools/cli/listing.h"
#include "tools/cli/node_json.h"
#include "tools/cli/report.h"
#include "tools/cli/table.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>
#include <stdlib.h>

static void
print_json(const struct cli_nodes *nodes)
{
    struct cli_json j = {0};
    cli_json_object(&j, NULL);
    cli_json_array(&j, "nodes");
    for (size_t i = 0; i < nodes->count; i++) {
        cli_json_object(&j, NULL);
        cli_node_json_fields(&j, &nodes->v[i]);
        cli_json_end_object(&j);
    }
    cli_json_end_array(&j);
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

static void
put_row(struct cli_cells *table, const struct bb_node_info *node, int64_t now_ns)
{
    char text[CLI_NUMBER_BYTES];
    int64_t up_ns = now_ns - node->joined_wall_ns;

    cli_cell(table, "%s", node->name);
    cli_cell(table, "%s", bb_role_name(node->role));
    cli_cell(table, "%" PRId64, node->pid);
    cli_cell(table, "%s", bb_node_state_name(node->state));
    cli_cell(table, "%s", cli_span(text, up_ns > 0 ? up_ns : 0));
    cli_cell(table, "%s", node->beat_age_ns < 0 ? "-" : cli_span(text, node->beat_age_ns));
    cli_cell(table, "%u", node->rings);
    cli_cell(table, "%u", node->subscribers);
    cli_cell(table, "%" PRIu64, node->published);
    cli_cell(table, "%" PRIu64, node->lag);
    cli_cell(table, "%" PRIu64, node->lost);
}

static int
print_table(const struct cli_nodes *nodes, int header)
{
    static const struct cli_column columns[] = {
        {"NODE", 0},  {"ROLE", 0}, {"PID", 1},       {"STATE", 0}, {"UP", 1},   {"BEAT", 1},
        {"RINGS", 1}, {"SUBS", 1}, {"PUBLISHED", 1}, {"LAG", 1},   {"LOST", 1}, {NULL, 0}};
    struct cli_cells table = {.columns = columns};
    int64_t now_ns = cli_wall_ns();

    for (size_t i = 0; i < nodes->count; i++) {
        put_row(&table, &nodes->v[i], now_ns);
    }
    return cli_cells_print(&table, header);
}

static int
run(const struct cli_call *call, const void *options)
{
    struct cli_nodes nodes = {NULL, 0};
    struct bb_look *look = NULL;
    (void)options;

    int code = cli_look(call, &look);
    if (code == CLI_DONE) {
        code = cli_list_nodes(call, look, &nodes);
    }
    if (code == CLI_DONE && call->common.json) {
        print_json(&nodes);
    } else if (code == CLI_DONE) {
        code = print_table(&nodes, call->common.header);
    }
    free(nodes.v);
    bb_look_close(look);
    return code;
}

const struct cli_verb cli_verb_node_list = {
    .noun = "node",
    .name = "list",
    .line = "list the nodes of the bus",
    .usage = "[--json]",
    .text = "STATE is running, stopped (by a signal or debugger), dead (killed, not tidied\n"
            "up yet) or left.  UP is the time since it attached, BEAT since its last flush\n"
            "or poll.  PUBLISHED counts the messages in its rings; LAG and LOST are the\n"
            "worst lag and all losses of its subscribers.",
    .examples = "busbar node list\nbusbar node list --json | jq -r '.nodes[].name'\n",
    .flags = CLI_JSON | CLI_TABLE,
    .run = run,
};
