/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_store_care.c - `busbar store copy`, `compact` and `verify`: what a store needs now and then.
 */
#include "tools/cli/clock.h"
#include "tools/cli/format.h"
#include "tools/cli/json.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/stores.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>
#include <stdio.h>

static const struct cli_store_options defaults = CLI_STORE_DEFAULTS;

static const int64_t SETTLE_NS = CLI_SECOND_NS * 12 / 10;

static int
read_info(const struct cli_store *store, struct bb_store_info *info)
{
    *info = (struct bb_store_info){.size = sizeof(*info)};
    int rc = bb_store_info(store->s, info);
    return rc < 0 ? cli_store_report(store, rc, "cannot look at it") : CLI_DONE;
}

/* ---- copy ------------------------------------------------------------------------------------------ */

static int
copy(struct cli_store *store, const char *path)
{
    struct bb_store_opts opts = {.size = sizeof(opts), .path = path};
    struct bb_store *made = NULL;
    struct bb_store_info info = {.size = sizeof(info)};
    char bytes[CLI_NUMBER_BYTES];

    int rc = bb_store_copy(store->s, path);
    if (rc == BB_EEXIST) {
        cli_say("\"%.200s\" is there already; a copy is a new directory", path);
        return CLI_NO;
    }
    if (rc == BB_ENOENT) {
        cli_say("the directory above \"%.200s\" is not there", path);
        return CLI_NONE;
    }
    if (rc < 0) {
        cli_say("cannot copy the store \"%.80s\" to \"%.200s\": %s", store->name, path,
                bb_strerror(rc));
        return cli_exit_code(rc);
    }
    rc = bb_store_open_path(&made, &opts); /* what was made is what counts */
    rc = rc < 0 ? rc : bb_store_info(made, &info);
    bb_store_close(made);
    if (rc < 0) {
        cli_say("the copy \"%.200s\" was made, and cannot be read: %s", path, bb_strerror(rc));
        return cli_exit_code(rc);
    }
    cli_say("%" PRIu64 " keys of the store \"%.80s\", version %" PRIu64 ", are in \"%.200s\" (%s)",
            info.keys, store->name, info.version, path, cli_bytes(bytes, (double)info.bytes));
    return CLI_DONE;
}

static int
run_copy(const struct cli_call *call, const void *options)
{
    struct cli_store store;
    int code = cli_store_args(&store, call, options, 1);
    if (code == CLI_DONE) {
        code = cli_store_look(&store);
    }
    if (code == CLI_DONE) {
        code = copy(&store, store.args[0]);
    }
    cli_store_close(&store);
    return code;
}

static const struct cli_option look_options[] = {CLI_STORE_PATH, CLI_STORE_APPEAR, {.name = NULL}};

const struct cli_verb cli_verb_store_copy = {
    .noun = "store",
    .name = "copy",
    .line = "copy a store into a new directory, while it is in use",
    .usage = "[OPTION]... STORE DIR",
    .text = "One state of it, without free pages; its master goes on meanwhile.  DIR is made,\n"
            "and `store serve --path DIR` serves it, `store get --path DIR` reads it.",
    .examples = "busbar store copy hosts /backup/hosts-monday\n",
    .options = look_options,
    .options_bytes = sizeof(struct cli_store_options),
    .defaults = &defaults,
    .max_args = 2,
    .run = run_copy,
};

/* ---- compact --------------------------------------------------------------------------------------- */

/* read_settled - the master counts its files anew every second: what it says at first is of before. */
static int
read_settled(const struct cli_store *store, struct bb_store_info *info)
{
    const int64_t deadline_ns = cli_deadline(SETTLE_NS);
    int code = read_info(store, info);
    const uint64_t bytes = info->bytes;
    while (code == CLI_DONE && info->bytes == bytes && !cli_stopped()
           && cli_left_ns(deadline_ns, INT64_MAX) > 0) {
        cli_sleep_until(cli_mono_ns() + CLI_SECOND_NS / 50);
        code = read_info(store, info);
    }
    return code;
}

static int
compact(struct cli_store *store)
{
    struct bb_store_info before, after;
    struct cli_json j = {0};
    char a[CLI_NUMBER_BYTES], b[CLI_NUMBER_BYTES];

    int code = read_info(store, &before);
    if (code != CLI_DONE) {
        return code;
    }
    int rc = bb_store_compact(store->s);
    if (rc == BB_ECANCELED) {
        cli_say(
            "the master of the store \"%.80s\" ended while it compacted: nothing has changed; try "
            "again (`busbar store info %.80s` says who serves it now)",
            store->name, store->name);
        return CLI_NO;
    }
    if (rc < 0) {
        return cli_store_report(store, rc, "cannot compact it");
    }
    code = read_settled(store, &after);
    if (code != CLI_DONE) {
        return code;
    }
    if (store->call->common.json) {
        cli_json_object(&j, NULL);
        cli_json_count(&j, "before_bytes", before.bytes);
        cli_json_count(&j, "after_bytes", after.bytes);
        cli_json_count(&j, "generation", after.generation);
        cli_json_end_object(&j);
        cli_json_line_end(&j);
    } else {
        printf("%s before, %s after\n", cli_bytes(a, (double)before.bytes),
               cli_bytes(b, (double)after.bytes));
    }
    return CLI_DONE;
}

static int
run_compact(const struct cli_call *call, const void *options)
{
    struct cli_store store;
    int code = cli_store_args(&store, call, options, 0);
    if (code == CLI_DONE) {
        code = cli_store_attach(&store);
    }
    if (code == CLI_DONE) {
        code = compact(&store);
    }
    cli_store_close(&store);
    return code;
}

static const struct cli_option wait_options[] = {CLI_STORE_WAIT, {.name = NULL}};

const struct cli_verb cli_verb_store_compact = {
    .noun = "store",
    .name = "compact",
    .line = "have the master give unused pages back",
    .usage = "[OPTION]... STORE",
    .text = "The master writes what is in use into new files, in steps between commands, and\n"
            "swaps them in; nobody waits for it, and readers go on.  It does so by itself\n"
            "when the files come near the quota.",
    .examples = "busbar store compact hosts\n",
    .options = wait_options,
    .options_bytes = sizeof(struct cli_store_options),
    .defaults = &defaults,
    .max_args = 1,
    .flags = CLI_JSON,
    .run = run_compact,
};

/* ---- verify ---------------------------------------------------------------------------------------- */

static int
print_verdict(const struct cli_store *store, int rc, const struct bb_store_verdict *v)
{
    struct cli_json j = {0};
    char bytes[CLI_NUMBER_BYTES];
    if (store->call->common.json) {
        cli_json_object(&j, NULL);
        cli_json_boolean(&j, "whole", rc == 0);
        cli_json_count(&j, "keys", v->keys);
        cli_json_count(&j, "expiring", v->expiring);
        cli_json_count(&j, "bytes", v->bytes);
        cli_json_count(&j, "damaged", v->damaged);
        cli_json_text(&j, "what", v->what);
        cli_json_end_object(&j);
        cli_json_line_end(&j);
    } else if (rc == 0) {
        printf("whole: %" PRIu64 " keys, %" PRIu64 " of them expire, %s\n", v->keys, v->expiring,
               cli_bytes(bytes, (double)v->bytes));
    } else {
        printf("damaged: %s (%" PRIu64 " keys could be read, %" PRIu64 " entries are wrong)\n",
               v->what[0] != '\0' ? v->what : "it cannot be read", v->keys, v->damaged);
    }
    return rc == 0 ? CLI_DONE : CLI_NO;
}

/* verify - in its directory: a damaged store need not open. */
static int
verify(struct cli_store *store)
{
    struct bb_store_verdict verdict = {.size = sizeof(verdict)};
    struct bb_store_info info = {.size = sizeof(info)};
    const char *path = store->o->path;

    if (path == NULL) {
        int code = cli_store_look(store);
        if (code == CLI_DONE) {
            code = read_info(store, &info);
        }
        if (code != CLI_DONE) {
            return code;
        }
        path = info.path;
    }
    int rc = bb_store_verify(path, &verdict);
    if (rc == BB_ENOENT) {
        cli_say("there is no store in \"%.200s\"", path);
        return CLI_NONE;
    }
    if (rc < 0 && rc != BB_ECORRUPT) {
        cli_say("cannot verify the store in \"%.200s\": %s", path, bb_strerror(rc));
        return cli_exit_code(rc);
    }
    return print_verdict(store, rc, &verdict);
}

static int
run_verify(const struct cli_call *call, const void *options)
{
    struct cli_store store;
    int code = cli_store_args(&store, call, options, 0);
    if (code == CLI_DONE) {
        code = verify(&store);
    }
    cli_store_close(&store);
    return code;
}

const struct cli_verb cli_verb_store_verify = {
    .noun = "store",
    .name = "verify",
    .line = "read every record of a store, and say whether it is whole",
    .usage = "[OPTION]... STORE",
    .text = "In a process of its own, which a damaged file may take down.  Exit code 1 when it\n"
            "is damaged.  A damaged store is mended by serving its copy, or by `store serve\n"
            "--start-empty`, which moves it aside.",
    .examples = "busbar store verify hosts\n"
                "busbar store verify --path /var/lib/sensor/hosts\n",
    .options = look_options,
    .options_bytes = sizeof(struct cli_store_options),
    .defaults = &defaults,
    .max_args = 1,
    .flags = CLI_JSON,
    .run = run_verify,
};
