/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_pool_show.c - `busbar pool show POOL`: its nodes, and which of them it uses.
 */
#include "tools/cli/attach.h"
#include "tools/cli/json.h"
#include "tools/cli/pools.h"
#include "tools/cli/report.h"
#include "tools/cli/table.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>
#include <string.h>

struct show {
    const struct cli_call *call;
    struct cli_members members;
    struct cli_pools pools;
    const struct cli_pool *pool;
};

static void
print_json(const struct show *show)
{
    struct cli_json j = {0};

    cli_json_object(&j, NULL);
    cli_json_text(&j, "pool", show->pool->name);
    cli_json_boolean(&j, "registered", show->pool->role == BB_ROLE_NONE);
    cli_json_count(&j, "epoch", show->members.epoch);
    cli_json_count(&j, "alive", show->pool->in);
    cli_json_array(&j, "nodes");
    for (size_t i = 0; i < show->members.count; i++) {
        const struct cli_member *member = &show->members.v[i];
        if (!show->pool->has[i]) {
            continue;
        }
        cli_json_object(&j, NULL);
        cli_json_text(&j, "name", member->node.name);
        cli_json_text(&j, "role", bb_role_name(member->node.role));
        cli_json_text(&j, "state", cli_member_state_name(member->state));
        cli_json_boolean(&j, "alive", cli_pool_uses(member));
        cli_json_count(&j, "weight", member->node.weight);
        cli_json_count(&j, "epoch", member->node.epoch);
        cli_json_end_object(&j);
    }
    cli_json_end_array(&j);
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

static int
print_table(const struct show *show)
{
    static const struct cli_column columns[] = {{"NODE", 0},  {"ROLE", 0},   {"STATE", 0},
                                                {"ALIVE", 0}, {"WEIGHT", 1}, {"EPOCH", 1},
                                                {NULL, 0}};
    struct cli_cells table = {.columns = columns};

    for (size_t i = 0; i < show->members.count; i++) {
        const struct cli_member *member = &show->members.v[i];
        if (show->pool->has[i]) {
            cli_cell(&table, "%s", member->node.name);
            cli_cell(&table, "%s", bb_role_name(member->node.role));
            cli_cell(&table, "%s", cli_member_state_name(member->state));
            cli_cell(&table, "%s", cli_pool_uses(member) ? "yes" : "no");
            cli_cell(&table, "%u", member->node.weight);
            cli_cell(&table, "%" PRIu64, member->node.epoch);
        }
    }
    return cli_cells_print(&table, show->call->common.header);
}

static int
print(struct show *show)
{
    const char *name = show->call->args[0];
    for (size_t i = 0; i < show->pools.count; i++) {
        if (strcmp(show->pools.v[i].name, name) == 0) {
            show->pool = &show->pools.v[i];
        }
    }
    if (show->pool == NULL) {
        cli_say("there is no pool \"%.80s\" on this bus; `busbar pool list` lists those there are",
                name);
        return CLI_NONE;
    }
    int code = CLI_DONE;
    if (show->call->common.json) {
        print_json(show);
    } else {
        code = print_table(show);
    }
    if (show->pool->in == 0 && code == CLI_DONE) {
        cli_say("the pool \"%.80s\" has no node that is alive", name);
        code = CLI_NO;
    }
    return code;
}

static int
run(const struct cli_call *call, const void *options)
{
    static const struct cli_expected nobody;
    struct show show = {.call = call};
    struct bb_look *look = NULL;
    (void)options;

    int code = cli_look(call, &look);
    if (code == CLI_DONE) {
        code = cli_list_members(call, look, &nobody, &show.members);
    }
    if (code == CLI_DONE) {
        code = cli_list_pools(call, look, &show.members, &show.pools);
    }
    if (code == CLI_DONE) {
        code = print(&show);
    }
    cli_pools_free(&show.pools);
    cli_members_free(&show.members);
    bb_look_close(look);
    return code;
}

const struct cli_verb cli_verb_pool_show = {
    .noun = "pool",
    .name = "show",
    .line = "show the nodes of one pool, and which of them it uses",
    .usage = "[--json] POOL",
    .text = "ALIVE are the nodes that can own keys now: up, and not draining.  WEIGHT is\n"
            "their share, 16 is even.  The exit code is 1 when no node is alive.",
    .examples = "busbar pool show proxy\n",
    .min_args = 1,
    .max_args = 1,
    .flags = CLI_JSON | CLI_TABLE,
    .run = run,
};
