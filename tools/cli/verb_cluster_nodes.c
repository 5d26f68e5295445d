/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_cluster_nodes.c - `busbar cluster nodes [NODE...]`: the expected layout against what is there.
 */
#include "tools/cli/attach.h"
#include "tools/cli/json.h"
#include "tools/cli/members.h"
#include "tools/cli/report.h"
#include "tools/cli/table.h"
#include "tools/cli/verb_list.h"

struct nodes_options {
    const char *layout;
};

/* verdict - of a node, in a word or two. */
static const char *
verdict(const struct cli_member *member, int is_layout)
{
    if (member->is_expected && !cli_member_is_up(member)) {
        return "missing";
    }
    if (cli_member_is_wrong(member)) {
        return "other role";
    }
    if (is_layout && !member->is_expected && cli_member_is_up(member)) {
        return "not expected";
    }
    return cli_member_is_up(member) ? "ok" : "gone";
}

/* expected_role - of the layout; NULL when any will do, or none is expected. */
static const char *
expected_role(const struct cli_member *member)
{
    return member->expected_role != BB_ROLE_NONE ? bb_role_name(member->expected_role) : NULL;
}

static const char *
seen_role(const struct cli_member *member)
{
    return member->node.id != 0 ? bb_role_name(member->node.role) : NULL;
}

static void
json_text_or_null(struct cli_json *j, const char *key, const char *text)
{
    if (text != NULL) {
        cli_json_text(j, key, text);
    } else {
        cli_json_null(j, key);
    }
}

static void
print_json(const struct cli_members *members, int is_layout)
{
    struct cli_json j = {0};

    cli_json_object(&j, NULL);
    cli_json_count(&j, "epoch", members->epoch);
    cli_json_array(&j, "nodes");
    for (size_t i = 0; i < members->count; i++) {
        const struct cli_member *member = &members->v[i];
        cli_json_object(&j, NULL);
        cli_json_text(&j, "name", member->node.name);
        cli_json_boolean(&j, "expected", member->is_expected);
        json_text_or_null(&j, "expected_role", expected_role(member));
        json_text_or_null(&j, "role", seen_role(member));
        cli_json_text(&j, "state", cli_member_state_name(member->state));
        cli_json_text(&j, "verdict", verdict(member, is_layout));
        cli_json_end_object(&j);
    }
    cli_json_end_array(&j);
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

static int
print_table(const struct cli_members *members, int is_layout, int header)
{
    static const struct cli_column columns[] = {{"NODE", 0},  {"EXPECTED", 0}, {"SEEN", 0},
                                                {"STATE", 0}, {"VERDICT", 0},  {NULL, 0}};
    struct cli_cells table = {.columns = columns};

    for (size_t i = 0; i < members->count; i++) {
        const struct cli_member *member = &members->v[i];
        const char *expected = expected_role(member);
        const char *seen = seen_role(member);
        cli_cell(&table, "%s", member->node.name);
        cli_cell(&table, "%s", expected != NULL ? expected : member->is_expected ? "any" : "-");
        cli_cell(&table, "%s", seen != NULL ? seen : "-");
        cli_cell(&table, "%s", cli_member_state_name(member->state));
        cli_cell(&table, "%s", verdict(member, is_layout));
    }
    return cli_cells_print(&table, header);
}

static int
print(const struct cli_call *call, const struct cli_members *members, int is_layout)
{
    int code = CLI_DONE;
    if (call->common.json) {
        print_json(members, is_layout);
    } else {
        code = print_table(members, is_layout, call->common.header);
    }
    if (members->count == 0) {
        return cli_no_cluster();
    }
    if (cli_say_wrong_members(members) > 0 && code == CLI_DONE) {
        code = CLI_NO;
    }
    return code;
}

static int
run(const struct cli_call *call, const void *options)
{
    const struct nodes_options *o = options;
    struct cli_expected expected = {0};
    struct cli_members members = {0};
    struct bb_look *look = NULL;

    int code = cli_expected_read(call, o->layout, &expected);
    if (code == CLI_DONE) {
        code = cli_look(call, &look);
    }
    if (code == CLI_DONE) {
        code = cli_list_members(call, look, &expected, &members);
    }
    if (code == CLI_DONE) {
        code = print(call, &members, expected.count > 0);
    }
    cli_members_free(&members);
    cli_expected_free(&expected);
    bb_look_close(look);
    return code;
}

static const struct cli_option options[] = {
    {.name = "layout",
     .type = CLI_TEXT,
     .offset = offsetof(struct nodes_options, layout),
     .arg = "FILE",
     .help = "expect these nodes too: a line each, NAME or NAME ROLE"},
    {.name = NULL},
};

const struct cli_verb cli_verb_cluster_nodes = {
    .noun = "cluster",
    .name = "nodes",
    .line = "compare the expected layout with the nodes that are there",
    .usage = "[--json] [--layout FILE] [NODE[:ROLE]...]",
    .text = "Shows all nodes, whether they are named or not.  The verdict is ok; missing;\n"
            "other role, than was expected; not expected, when a layout is given that does\n"
            "not have the node; gone, when a node left that nobody expects.  The exit code\n"
            "is 1 when a node is missing or has another role.",
    .examples = "busbar cluster nodes manager:manager worker-1:worker worker-2:worker\n"
                "busbar cluster nodes --layout /etc/busbar/nodes\n",
    .options = options,
    .options_bytes = sizeof(struct nodes_options),
    .max_args = -1,
    .flags = CLI_JSON | CLI_TABLE,
    .run = run,
};
