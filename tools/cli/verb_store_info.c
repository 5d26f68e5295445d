/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_store_info.c - `busbar store info STORE`: all that is known of one store, in words.
 */
#include "tools/cli/format.h"
#include "tools/cli/json.h"
#include "tools/cli/listing.h"
#include "tools/cli/report.h"
#include "tools/cli/stores.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct cli_store_options defaults = CLI_STORE_DEFAULTS;

struct about {
    struct cli_store store;
    struct bb_store_info info;
    char oldest_node[BB_NAME_MAX + 1]; /* empty: no member of this bus */
};

/* name_oldest - which member has the process that holds the oldest view. */
static int
name_oldest(struct about *about)
{
    struct cli_nodes nodes = {0};
    if (about->info.oldest_pid == 0 || about->store.look == NULL) {
        return CLI_DONE;
    }
    int code = cli_list_nodes(about->store.call, about->store.look, &nodes);
    for (size_t i = 0; i < nodes.count; i++) {
        if (nodes.v[i].pid == about->info.oldest_pid && cli_node_is_alive(nodes.v[i].state)) {
            snprintf(about->oldest_node, sizeof(about->oldest_node), "%s", nodes.v[i].name);
        }
    }
    free(nodes.v);
    return code;
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static void
put_master_json(struct cli_json *j, const struct bb_store_info *info)
{
    cli_json_boolean(j, "has_master", info->has_master != 0);
    cli_json_object(j, "master"); /* the last one, if it does not live */
    cli_json_text(j, "node", info->master_node);
    cli_json_count(j, "id", info->master_id);
    cli_json_integer(j, "pid", info->master_pid);
    cli_json_end_object(j);
}

static void
put_oldest_json(struct cli_json *j, const struct about *about)
{
    const struct bb_store_info *info = &about->info;
    if (info->oldest_pid == 0) {
        cli_json_null(j, "oldest_view");
        return;
    }
    cli_json_object(j, "oldest_view");
    cli_json_integer(j, "pid", info->oldest_pid);
    if (about->oldest_node[0] != '\0') {
        cli_json_text(j, "node", about->oldest_node);
    } else {
        cli_json_null(j, "node");
    }
    cli_json_count(j, "behind", info->oldest_behind);
    cli_json_integer(j, "age_ns", info->oldest_ns);
    cli_json_count(j, "held_bytes", info->held_bytes);
    cli_json_end_object(j);
}

static void
print_json(const struct about *about)
{
    const struct bb_store_info *info = &about->info;
    struct cli_json j = {0};
    cli_json_object(&j, NULL);
    cli_json_text(&j, "name", info->name);
    cli_json_text(&j, "path", info->path);
    cli_json_boolean(&j, "memory", info->is_memory != 0);
    cli_json_boolean(&j, "relaxed", info->is_relaxed != 0);
    put_master_json(&j, info);
    cli_json_count(&j, "generation", info->generation);
    cli_json_count(&j, "version", info->version);
    cli_json_count(&j, "keys", info->keys);
    cli_json_count(&j, "due", info->due);
    cli_json_integer(&j, "expiry_lag_ns", info->expiry_lag_ns);
    cli_json_count(&j, "expired", info->expired);
    cli_json_count(&j, "bytes", info->bytes);
    cli_json_count(&j, "used_bytes", info->used_bytes);
    cli_json_count(&j, "held_bytes", info->held_bytes);
    cli_json_count(&j, "quota_bytes", info->quota_bytes);
    cli_json_count(&j, "commands", info->commands);
    cli_json_count(&j, "commits", info->commits);
    cli_json_count(&j, "refused", info->refused);
    cli_json_count(&j, "repeated", info->repeated);
    cli_json_count(&j, "watchers", info->watchers);
    cli_json_count(&j, "log_first", info->log_first);
    cli_json_count(&j, "readers", info->readers);
    put_oldest_json(&j, about);
    if (info->last_error != 0) {
        cli_json_text(&j, "writes_refused", bb_strerror((int)info->last_error));
    } else {
        cli_json_null(&j, "writes_refused");
    }
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

/* ---- words ----------------------------------------------------------------------------------------- */

static void
print_place(const struct bb_store_info *info)
{
    printf("store       %s\n", info->name[0] != '\0' ? info->name : "-");
    printf("where       %s, generation %" PRIu32 "\n", info->path, info->generation);
    printf("durability  %s\n", info->is_memory ? "in memory: ends with the bus"
                               : info->is_relaxed
                                   ? "on disk, relaxed: a power cut may take the last commit"
                                   : "on disk: an answered write is synced");
    if (info->has_master) {
        printf("master      %s (pid %" PRId64 ")\n", info->master_node, info->master_pid);
    } else if (info->master_pid != 0) {
        printf("master      none; the last one was %s (pid %" PRId64 ")\n", info->master_node,
               info->master_pid);
    } else {
        printf("master      none\n");
    }
    if (info->last_error != 0) {
        printf("writes      refused: %s\n", bb_strerror((int)info->last_error));
    }
}

static void
print_content(const struct bb_store_info *info)
{
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES], c[CLI_NUMBER_BYTES];
    printf("version     %" PRIu64 "\n", info->version);
    printf("keys        %" PRIu64, info->keys);
    if (info->due > 0) {
        printf("; %" PRIu64 " of them expired and are not swept yet, the oldest %s ago", info->due,
               cli_span(a, info->expiry_lag_ns));
    }
    printf("\nexpired     %" PRIu64 "\n", info->expired);
    printf("size        %s of %s, %s in use\n", cli_bytes(a, (double)info->bytes),
           cli_bytes(b, (double)info->quota_bytes), cli_bytes(c, (double)info->used_bytes));
    printf("commands    %" PRIu64 " in %" PRIu64 " commits; %" PRIu64 " refused, %" PRIu64
           " came again and were not run again\n",
           info->commands, info->commits, info->refused, info->repeated);
}

static void
print_readers(const struct about *about)
{
    const struct bb_store_info *info = &about->info;
    char held[CLI_NUMBER_BYTES], span[CLI_NUMBER_BYTES];

    printf("watchers    %" PRIu64, info->watchers);
    if (info->log_first != 0) {
        printf("; changes are kept from version %" PRIu64 " on", info->log_first);
    }
    printf("\nreaders     %" PRIu64 "\n", info->readers);
    if (info->oldest_pid == 0) {
        printf("oldest view none\n");
        return;
    }
    printf("oldest view %s%s(pid %" PRId64 "), %" PRIu64 " commits behind",
           about->oldest_node[0] != '\0' ? about->oldest_node : "",
           about->oldest_node[0] != '\0' ? " " : "", info->oldest_pid, info->oldest_behind);
    if (info->oldest_ns > 0) {
        printf(", for %s", cli_span(span, info->oldest_ns));
    }
    printf("; it keeps %s from being used again\n", cli_bytes(held, (double)info->held_bytes));
}

static int
run(const struct cli_call *call, const void *options)
{
    struct about about = {.info = {.size = sizeof(about.info)}};
    int code = cli_store_args(&about.store, call, options, 0);
    if (code == CLI_DONE) {
        code = cli_store_look(&about.store);
    }
    if (code == CLI_DONE) {
        int rc = bb_store_info(about.store.s, &about.info);
        code = rc < 0 ? cli_store_report(&about.store, rc, "cannot look at it") : CLI_DONE;
    }
    if (code == CLI_DONE) {
        code = name_oldest(&about);
    }
    if (code == CLI_DONE && call->common.json) {
        print_json(&about);
    } else if (code == CLI_DONE) {
        print_place(&about.info);
        print_content(&about.info);
        print_readers(&about);
    }
    cli_store_close(&about.store);
    return code;
}

static const struct cli_option options[] = {CLI_STORE_PATH, CLI_STORE_APPEAR, {.name = NULL}};

const struct cli_verb cli_verb_store_info = {
    .noun = "store",
    .name = "info",
    .line = "show one store: who serves it, how large it is, who holds it up",
    .usage = "[OPTION]... STORE",
    .text = "The oldest view is that of the reader that has been looking at one state of the\n"
            "store for longest: pages that were freed since cannot be used again until it\n"
            "ends.  None is as it should be; one of many seconds is a reader that hangs.",
    .examples = "busbar store info hosts\n"
                "busbar store info --path /var/lib/sensor/hosts --json\n",
    .options = options,
    .options_bytes = sizeof(struct cli_store_options),
    .defaults = &defaults,
    .max_args = 1,
    .flags = CLI_JSON,
    .run = run,
};
