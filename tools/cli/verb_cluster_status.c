/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_cluster_status.c - `busbar cluster status [NODE...]`: is every node there?
 */
#include "tools/cli/attach.h"
#include "tools/cli/format.h"
#include "tools/cli/members.h"
#include "tools/cli/node_json.h"
#include "tools/cli/report.h"
#include "tools/cli/table.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>

struct status_options {
    const char *layout;
};

struct status {
    const struct cli_call *call;
    struct cli_expected expected;
    struct cli_members members;
};

/* is_shown - all, or those that were named; who is in a layout does not hide the others. */
static int
is_shown(const struct status *status, const struct cli_member *member)
{
    return status->call->arg_count == 0 || member->is_expected;
}

static int64_t
pid_of(const struct cli_member *member)
{
    return member->has_process ? member->process.pid : member->node.pid;
}

static int64_t
since_of(const struct cli_member *member)
{
    if (member->node.change_wall_ns != 0) {
        return member->node.change_wall_ns;
    }
    return member->has_process && cli_member_is_up(member) ? member->process.joined_wall_ns : 0;
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

/* json_no_process - the fields of a node that has none any more, or never had one. */
static void
json_no_process(struct cli_json *j, const struct cli_member *member)
{
    static const char *const unknown[] = {"uid",         "joined",    "rings",
                                          "subscribers", "published", "published_bytes",
                                          "lag",         "lost",      "beat_age_ns"};
    if (member->node.id != 0) {
        cli_json_count(j, "id", member->node.id);
    } else {
        cli_json_null(j, "id");
    }
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        cli_json_null(j, unknown[i]);
    }
}

static void
json_member(struct cli_json *j, const struct cli_member *member)
{
    const struct bb_cluster_node *node = &member->node;

    cli_json_object(j, NULL);
    cli_json_text(j, "name", node->name);
    cli_json_text(j, "role", bb_role_name(node->role));
    if (pid_of(member) > 0) {
        cli_json_integer(j, "pid", pid_of(member));
    } else {
        cli_json_null(j, "pid");
    }
    cli_json_text(j, "state", cli_member_state_name(member->state));
    if (member->has_process) {
        cli_node_json_rest(j, &member->process);
    } else {
        json_no_process(j, member);
    }
    cli_json_wall(j, "since", since_of(member));
    cli_json_count(j, "epoch", node->epoch);
    cli_json_count(j, "starts", node->starts);
    cli_json_boolean(j, "in", cli_member_is_up(member) && node->is_in != 0);
    cli_json_count(j, "weight", node->weight);
    cli_json_boolean(j, "expected", member->is_expected);
    cli_json_end_object(j);
}

static void
print_json(const struct status *status)
{
    const struct cli_members *members = &status->members;
    struct cli_json j = {0};

    cli_json_object(&j, NULL);
    cli_json_count(&j, "epoch", members->epoch);
    cli_json_array(&j, "nodes");
    for (size_t i = 0; i < members->count; i++) {
        if (is_shown(status, &members->v[i])) {
            json_member(&j, &members->v[i]);
        }
    }
    cli_json_end_array(&j);
    cli_json_array(&j, "missing");
    for (size_t i = 0; i < members->count; i++) {
        if (members->v[i].is_expected && !cli_member_is_up(&members->v[i])) {
            cli_json_text(&j, NULL, members->v[i].node.name);
        }
    }
    cli_json_end_array(&j);
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

/* ---- table ----------------------------------------------------------------------------------------- */

static void
put_row(struct cli_cells *table, const struct cli_member *member)
{
    const struct bb_cluster_node *node = &member->node;
    char text[CLI_NUMBER_BYTES];

    cli_cell(table, "%s", node->name);
    cli_cell(table, "%s", node->role != BB_ROLE_NONE ? bb_role_name(node->role) : "-");
    cli_cell(table, "%s", cli_member_state_name(member->state));
    if (pid_of(member) > 0) {
        cli_cell(table, "%" PRId64, pid_of(member));
    } else {
        cli_cell(table, "-");
    }
    cli_cell(table, "%s", since_of(member) > 0 ? cli_wall(text, since_of(member)) : "-");
    cli_cell(table, "%" PRIu64, node->epoch);
    cli_cell(table, "%u", node->starts);
    if (member->has_process) {
        cli_cell(table, "%" PRIu64, member->process.published);
        cli_cell(table, "%" PRIu64, member->process.lost);
    } else {
        cli_cell(table, "-");
        cli_cell(table, "-");
    }
}

static int
print_table(const struct status *status)
{
    static const struct cli_column columns[] = {
        {"NODE", 0},  {"ROLE", 0},   {"STATE", 0},     {"PID", 1},  {"SINCE", 0},
        {"EPOCH", 1}, {"STARTS", 1}, {"PUBLISHED", 1}, {"LOST", 1}, {NULL, 0}};
    struct cli_cells table = {.columns = columns};

    for (size_t i = 0; i < status->members.count; i++) {
        if (is_shown(status, &status->members.v[i])) {
            put_row(&table, &status->members.v[i]);
        }
    }
    return cli_cells_print(&table, status->call->common.header);
}

static int
print(const struct status *status)
{
    int code = CLI_DONE;
    if (status->call->common.json) {
        print_json(status);
    } else {
        code = print_table(status);
    }
    if (status->members.count == 0) {
        return cli_no_cluster();
    }
    if (cli_say_wrong_members(&status->members) > 0 && code == CLI_DONE) {
        code = CLI_NO;
    }
    return code;
}

static int
run(const struct cli_call *call, const void *options)
{
    const struct status_options *o = options;
    struct status status = {.call = call};
    struct bb_look *look = NULL;

    int code = cli_expected_read(call, o->layout, &status.expected);
    if (code == CLI_DONE) {
        code = cli_look(call, &look);
    }
    if (code == CLI_DONE) {
        code = cli_list_members(call, look, &status.expected, &status.members);
    }
    if (code == CLI_DONE) {
        code = print(&status);
    }
    cli_members_free(&status.members);
    cli_expected_free(&status.expected);
    bb_look_close(look);
    return code;
}

static const struct cli_option options[] = {
    {.name = "layout",
     .type = CLI_TEXT,
     .offset = offsetof(struct status_options, layout),
     .arg = "FILE",
     .help = "expect these nodes too: a line each, NAME or NAME ROLE"},
    {.name = NULL},
};

const struct cli_verb cli_verb_cluster_status = {
    .noun = "cluster",
    .name = "status",
    .line = "show the state of each node; exit code 1 when an expected one is missing",
    .usage = "[--json] [--layout FILE] [NODE[:ROLE]...]",
    .text = "States: up; joining, which pools do not use yet; draining, which they use no\n"
            "longer; stopped by a signal or a debugger, but still up; left in order; down,\n"
            "which died; missing, which was expected and never came.\n"
            "\n"
            "The nodes that are named, here or in the layout, are expected to be up.  With\n"
            "none named, those are that died and did not come back.  SINCE is the time of\n"
            "the last change, EPOCH its number, STARTS how often the node came up.\n"
            "\n"
            "No node is asked: all this is read from shared memory, so a manager that is\n"
            "stopped or hangs is shown as such, and the others are shown too.",
    .examples = "busbar cluster status\n"
                "busbar cluster status manager:manager proxy-1 worker-1 worker-2\n"
                "busbar cluster status --json --layout /etc/busbar/nodes\n",
    .options = options,
    .options_bytes = sizeof(struct status_options),
    .max_args = -1,
    .flags = CLI_JSON | CLI_TABLE,
    .run = run,
};
