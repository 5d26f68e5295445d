/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_gc.c - `busbar gc`: remove what dead processes left behind.
 */
#include "tools/cli/format.h"
#include "tools/cli/json.h"
#include "tools/cli/report.h"
#include "tools/cli/table.h"
#include "tools/cli/verb_list.h"
#include <busbar/inspect.h>
#include <inttypes.h>
#include <stdio.h>

struct gc_options {
    int dry_run;
    int keep_dead;
};

struct gc {
    const struct cli_call *call;
    const struct gc_options *o;
    struct cli_cells table;
    struct cli_json json;
    uint64_t files, bytes, stuck;
    int begun; /* the JSON is open */
};

/* begin - the JSON begins with the first file, so that a failure before it leaves no half of one. */
static void
begin(struct gc *gc)
{
    if (gc->call->common.json && !gc->begun) {
        cli_json_object(&gc->json, NULL);
        cli_json_array(&gc->json, "files");
    }
    gc->begun = 1;
}

static const char *
action(const struct gc *gc, const struct bb_gc_item *item)
{
    return item->removed ? "removed" : gc->o->dry_run ? "would remove" : "cannot remove";
}

static int
put_item(const struct bb_gc_item *item, void *user)
{
    struct gc *gc = user;
    char bytes[CLI_NUMBER_BYTES];

    begin(gc);
    if (item->removed || gc->o->dry_run) {
        gc->files++;
        gc->bytes += item->bytes;
    } else {
        gc->stuck++;
    }
    if (gc->call->common.json) {
        struct cli_json *j = &gc->json;
        cli_json_object(j, NULL);
        cli_json_text(j, "file", item->file);
        cli_json_text(j, "node", item->node);
        cli_json_integer(j, "pid", item->pid);
        cli_json_count(j, "bytes", item->bytes);
        cli_json_boolean(j, "removed", item->removed != 0);
        cli_json_text(j, "why", item->why != NULL ? item->why : "");
        cli_json_end_object(j);
        return 0;
    }
    cli_cell(&gc->table, "%s", action(gc, item));
    cli_cell(&gc->table, "%s", item->file);
    cli_cell(&gc->table, "%s", cli_bytes(bytes, (double)item->bytes));
    cli_cell(&gc->table, "%s", item->node[0] != '\0' ? item->node : "-");
    cli_cell(&gc->table, "%" PRId64, item->pid);
    cli_cell(&gc->table, "%s", item->why != NULL ? item->why : "");
    return 0;
}

static int
print_end(struct gc *gc)
{
    char bytes[CLI_NUMBER_BYTES];

    if (gc->call->common.json) {
        cli_json_end_array(&gc->json);
        cli_json_boolean(&gc->json, "dry_run", gc->o->dry_run);
        cli_json_count(&gc->json, "count", gc->files);
        cli_json_count(&gc->json, "bytes", gc->bytes);
        cli_json_end_object(&gc->json);
        cli_json_line_end(&gc->json);
        return CLI_DONE;
    }
    int code = cli_cells_print(&gc->table, gc->call->common.header);
    printf("%" PRIu64 " file%s, %s%s\n", gc->files, gc->files == 1 ? "" : "s",
           cli_bytes(bytes, (double)gc->bytes),
           gc->o->dry_run && gc->files > 0 ? "; run without -n to remove" : "");
    return code;
}

static int
run(const struct cli_call *call, const void *options)
{
    static const struct cli_column columns[] = {
        {"ACTION", 0}, {"FILE", 0}, {"BYTES", 1}, {"NODE", 0}, {"PID", 1}, {"WHY", 0}, {NULL, 0}};
    struct gc gc = {.call = call, .o = options, .table = {.columns = columns}};
    struct bb_error error = {0};
    struct bb_gc_opts opts = {
        .size = sizeof(opts),
        .dir = call->common.dir,
        .bus = call->common.bus,
        .flags = (gc.o->dry_run ? BB_GC_DRY_RUN : 0U) | (gc.o->keep_dead ? BB_GC_KEEP_DEAD : 0U),
        .cb = put_item,
        .user = &gc,
        .error = &error,
    };
    int code = CLI_DONE;
    int rc = bb_gc(&opts);
    if (rc >= 0 || gc.begun) {
        begin(&gc);
        code = print_end(&gc);
    }
    if (rc < 0) {
        return cli_report(call, rc, &error, "cannot tidy up");
    }
    if (gc.stuck > 0) {
        cli_say("%" PRIu64 " files could not be removed; whose they are is said above", gc.stuck);
        return CLI_PERMISSION;
    }
    return code;
}

static const struct cli_option options[] = {
    {.letter = 'n',
     .name = "dry-run",
     .type = CLI_FLAG,
     .offset = offsetof(struct gc_options, dry_run),
     .help = "say what would be removed, remove nothing"},
    {.name = "keep-dead",
     .type = CLI_FLAG,
     .offset = offsetof(struct gc_options, keep_dead),
     .help = "keep the rings of dead nodes for `busbar tap --dead`"},
    {.name = NULL},
};

const struct cli_verb cli_verb_gc = {
    .name = "gc",
    .line = "remove what dead processes left behind",
    .usage = "[-n] [--keep-dead] [--json]",
    .text = "Living nodes are not touched.  Says of each file whose it was and why it\n"
            "goes.  When nobody is attached the whole bus goes, also the messages that\n"
            "`sub --from oldest` would still have found.",
    .examples = "busbar gc -n\nbusbar gc\n",
    .options = options,
    .options_bytes = sizeof(struct gc_options),
    .flags = CLI_JSON | CLI_TABLE,
    .run = run,
};
