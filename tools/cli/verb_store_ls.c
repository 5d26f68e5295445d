/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_store_ls.c - `busbar store ls`: the stores of a bus.
 */
#include "tools/cli/attach.h"
#include "tools/cli/format.h"
#include "tools/cli/json.h"
#include "tools/cli/report.h"
#include "tools/cli/table.h"
#include "tools/cli/verb_list.h"
#include <busbar/store.h>
#include <inttypes.h>
#include <string.h>

struct ls {
    const struct cli_call *call;
    struct cli_cells table;
    struct cli_json json;
};

static const char *
kind_name(const struct bb_store_info *info)
{
    return info->is_memory ? "memory" : info->is_relaxed ? "relaxed" : "disk";
}

static void
put_json(struct cli_json *j, const struct bb_store_info *info)
{
    cli_json_object(j, NULL);
    cli_json_text(j, "name", info->name);
    cli_json_text(j, "kind", kind_name(info));
    cli_json_text(j, "path", info->path);
    if (info->has_master) {
        cli_json_text(j, "master", info->master_node);
        cli_json_integer(j, "pid", info->master_pid);
    } else {
        cli_json_null(j, "master");
        cli_json_null(j, "pid");
    }
    cli_json_count(j, "keys", info->keys);
    cli_json_count(j, "version", info->version);
    cli_json_count(j, "bytes", info->bytes);
    cli_json_count(j, "quota_bytes", info->quota_bytes);
    cli_json_end_object(j);
}

static int
put_store(const struct bb_store_info *info, void *user)
{
    struct ls *ls = user;
    struct cli_cells *t = &ls->table;
    char bytes[CLI_NUMBER_BYTES], quota[CLI_NUMBER_BYTES];

    if (ls->call->common.json) {
        put_json(&ls->json, info);
        return 0;
    }
    cli_cell(t, "%s", info->name);
    cli_cell(t, "%s", kind_name(info));
    cli_cell(t, "%s", info->has_master ? info->master_node : "-");
    cli_cell(t, "%" PRIu64, info->keys);
    cli_cell(t, "%" PRIu64, info->version);
    cli_cell(t, "%s", cli_bytes(bytes, (double)info->bytes));
    cli_cell(t, "%s", cli_bytes(quota, (double)info->quota_bytes));
    cli_cell_escaped(t, info->path, strlen(info->path));
    return 0;
}

static int
run(const struct cli_call *call, const void *options)
{
    static const struct cli_column columns[] = {{"STORE", 0}, {"KIND", 0},    {"MASTER", 0},
                                                {"KEYS", 1},  {"VERSION", 1}, {"SIZE", 1},
                                                {"QUOTA", 1}, {"WHERE", 0},   {NULL, 0}};
    struct ls ls = {.call = call, .table = {.columns = columns}};
    struct bb_look *look = NULL;
    (void)options;

    int code = cli_look(call, &look);
    if (code != CLI_DONE) {
        return code;
    }
    if (call->common.json) {
        cli_json_object(&ls.json, NULL);
        cli_json_array(&ls.json, "stores");
    }
    int rc = bb_look_stores(look, put_store, &ls);
    if (call->common.json) {
        cli_json_end_array(&ls.json);
        cli_json_end_object(&ls.json);
        cli_json_line_end(&ls.json);
    } else {
        code = cli_cells_print(&ls.table, call->common.header);
    }
    bb_look_close(look);
    return rc < 0 ? cli_report(call, rc, NULL, "cannot list the stores") : code;
}

const struct cli_verb cli_verb_store_ls = {
    .noun = "store",
    .name = "ls",
    .line = "list the stores",
    .usage = "[--json]",
    .text = "KIND is memory, disk, or relaxed (on disk, where a power cut may take the last\n"
            "commit).  MASTER is - when nobody serves the store: it can be read, not written.",
    .examples = "busbar store ls\n",
    .max_args = 0,
    .flags = CLI_JSON | CLI_TABLE,
    .run = run,
};
