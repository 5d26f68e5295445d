/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_pool_list.c - `busbar pool list`: the pools, and how many nodes each has.
 */
#include "tools/cli/attach.h"
#include "tools/cli/json.h"
#include "tools/cli/pools.h"
#include "tools/cli/report.h"
#include "tools/cli/table.h"
#include "tools/cli/verb_list.h"
#include <string.h>

static void
print_json(const struct cli_members *members, const struct cli_pools *pools)
{
    struct cli_json j = {0};

    cli_json_object(&j, NULL);
    cli_json_count(&j, "epoch", members->epoch);
    cli_json_array(&j, "pools");
    for (size_t i = 0; i < pools->count; i++) {
        const struct cli_pool *pool = &pools->v[i];
        cli_json_object(&j, NULL);
        cli_json_text(&j, "name", pool->name);
        cli_json_boolean(&j, "registered", pool->role == BB_ROLE_NONE);
        cli_json_array(&j, "nodes");
        for (size_t m = 0; m < members->count; m++) {
            if (pool->has[m]) {
                cli_json_text(&j, NULL, members->v[m].node.name);
            }
        }
        cli_json_end_array(&j);
        cli_json_count(&j, "alive", pool->in);
        cli_json_end_object(&j);
    }
    cli_json_end_array(&j);
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

static int
print_table(const struct cli_pools *pools, int header)
{
    static const struct cli_column columns[] = {
        {"POOL", 0}, {"KIND", 0}, {"NODES", 1}, {"ALIVE", 1}, {NULL, 0}};
    struct cli_cells table = {.columns = columns};

    for (size_t i = 0; i < pools->count; i++) {
        const struct cli_pool *pool = &pools->v[i];
        cli_cell_escaped(&table, pool->name, strlen(pool->name));
        cli_cell(&table, "%s", pool->role != BB_ROLE_NONE ? "role" : "registered");
        cli_cell(&table, "%zu", pool->nodes);
        cli_cell(&table, "%zu", pool->in);
    }
    return cli_cells_print(&table, header);
}

static int
run(const struct cli_call *call, const void *options)
{
    static const struct cli_expected nobody;
    struct cli_members members = {0};
    struct cli_pools pools = {0};
    struct bb_look *look = NULL;
    (void)options;

    int code = cli_look(call, &look);
    if (code == CLI_DONE) {
        code = cli_list_members(call, look, &nobody, &members);
    }
    if (code == CLI_DONE) {
        code = cli_list_pools(call, look, &members, &pools);
    }
    if (code == CLI_DONE && call->common.json) {
        print_json(&members, &pools);
    } else if (code == CLI_DONE) {
        code = print_table(&pools, call->common.header);
    }
    cli_pools_free(&pools);
    cli_members_free(&members);
    bb_look_close(look);
    return code;
}

const struct cli_verb cli_verb_pool_list = {
    .noun = "pool",
    .name = "list",
    .line = "list the pools, and how many nodes each has",
    .usage = "[--json]",
    .text = "The pools manager, proxy, logger and worker are there always, with the nodes of\n"
            "that role that no exclusive pool took.  Registered ones are known by the nodes\n"
            "that have a seat in them.\n"
            "\n"
            "ALIVE are the nodes that can own keys now: up, and not draining.",
    .examples = "busbar pool list\n",
    .max_args = 0,
    .flags = CLI_JSON | CLI_TABLE,
    .run = run,
};
