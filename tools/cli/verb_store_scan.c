/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_store_scan.c - `busbar store keys`, `scan` and `count`: what is in a store, by prefix.
 */
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/stores.h"
#include "tools/cli/verb_list.h"
#include <stdio.h>

static const struct cli_store_options defaults = CLI_STORE_DEFAULTS;

struct scan {
    struct cli_store store;
    struct cli_buffer prefix_native, after_native;
    struct bb_value prefix, after;
    struct cli_store_walk walk;
};

static void
put_key(struct cli_buffer *out, const struct bb_store_item *item, void *user)
{
    const struct cli_store *store = user;
    if (store->call->common.json) {
        cli_buffer_puts(out, "{");
        cli_store_put_json(out, "key", &item->key);
        cli_buffer_puts(out, "}\n");
        return;
    }
    cli_store_put_key(out, store, &item->key);
    cli_buffer_puts(out, "\n");
}

static void
put_item(struct cli_buffer *out, const struct bb_store_item *item, void *user)
{
    const struct cli_store *store = user;
    if (store->call->common.json) {
        cli_store_put_item(out, item);
        cli_buffer_puts(out, "}\n");
        return;
    }
    cli_store_put_key(out, store, &item->key);
    cli_buffer_puts(out, "\t");
    cli_store_put_text(out, &item->value);
    cli_buffer_puts(out, "\n");
}

/* read_range - prefix and beginning. */
static int
read_range(struct scan *scan)
{
    const struct cli_store_options *o = scan->store.o;
    const char *prefix = scan->store.arg_count > 0 ? scan->store.args[0] : o->prefix;
    if (scan->store.arg_count > 0 && o->prefix != NULL) {
        return cli_wrong(scan->store.call->verb, "KEY_PREFIX and --prefix are the same; give one");
    }
    int code = cli_store_read_prefix(&scan->store, prefix, &scan->prefix_native, &scan->prefix,
                                     &scan->walk.prefix);
    if (code == CLI_DONE && o->after != NULL) {
        code = cli_store_read_after(&scan->store, o->after, &scan->after_native, &scan->after);
        scan->walk.after = &scan->after;
    }
    scan->walk.limit = o->limit;
    return code;
}

static int
print_count(struct scan *scan)
{
    int64_t n = bb_store_count(scan->store.s, scan->walk.prefix);
    if (n < 0) {
        return cli_store_report(&scan->store, (int)n, "cannot count");
    }
    printf(scan->store.call->common.json ? "{\"count\":%lld}\n" : "%lld\n", (long long)n);
    return CLI_DONE;
}

static int
run(const struct cli_call *call, const void *options)
{
    struct scan scan = {.walk = {.user = &scan.store}};
    scan.walk.put = call->verb == &cli_verb_store_keys ? put_key : put_item;

    cli_signals_catch();
    int code = cli_store_args(&scan.store, call, options, 0);
    if (code == CLI_DONE) {
        code = read_range(&scan);
    }
    if (code == CLI_DONE) {
        code = cli_store_open(&scan.store);
    }
    if (code == CLI_DONE && call->verb == &cli_verb_store_count) {
        code = print_count(&scan);
    } else if (code == CLI_DONE) {
        code = cli_store_walk(&scan.store, &scan.walk);
    }
    cli_store_close(&scan.store);
    cli_buffer_free(&scan.prefix_native);
    cli_buffer_free(&scan.after_native);
    return code;
}

static const struct cli_option page_options[] = {
    CLI_STORE_PATH,  CLI_STORE_KEY_TYPE, CLI_STORE_PREFIX,     CLI_STORE_LIMIT,
    CLI_STORE_AFTER, CLI_STORE_APPEAR,   CLI_STORE_BY_REQUEST, {.name = NULL},
};

static const struct cli_option count_options[] = {
    CLI_STORE_PATH,   CLI_STORE_KEY_TYPE,   CLI_STORE_PREFIX,
    CLI_STORE_APPEAR, CLI_STORE_BY_REQUEST, {.name = NULL},
};

#define PREFIX_TEXT                                                                                \
    "KEY_PREFIX is a string (string keys that begin with it), a subnet (address and\n"             \
    "subnet keys in it) or a vector (vector keys that begin with its elements)."
#define PAGE_TEXT                                                                                  \
    "A key is printed so that the command line reads it as the same key: as text, in\n"            \
    "quotes (a string that looks like something else) or as JSON v1 (what its text does\n"         \
    "not have exactly).  Keys come in the store's order, by type and within it.  It goes\n"        \
    "by pages and holds nothing up, however slowly its output is read: a key that is\n"            \
    "there all the time comes once, those that come or go meanwhile may come or not.\n"            \
    "--limit and --after with the last key of one page give the next; a page without\n"            \
    "keys is the end."

const struct cli_verb cli_verb_store_keys = {
    .noun = "store",
    .name = "keys",
    .line = "list the keys",
    .usage = "[OPTION]... STORE [KEY_PREFIX]",
    .text = PREFIX_TEXT "\n\n" PAGE_TEXT,
    .examples =
        "busbar store keys hosts 10.0.0.0/8\n"
        "busbar store keys hosts --limit 100 --after 10.0.0.17\n"
        "while key=$(busbar store keys hosts -n 1 ${key+--after \"$key\"}) && [ \"$key\" ]; do\n"
        "    echo \"$key\"; done\n",
    .options = page_options,
    .options_bytes = sizeof(struct cli_store_options),
    .defaults = &defaults,
    .max_args = 2,
    .flags = CLI_JSON,
    .run = run,
};

const struct cli_verb cli_verb_store_scan = {
    .noun = "store",
    .name = "scan",
    .line = "print keys and values",
    .usage = "[OPTION]... STORE [KEY_PREFIX]",
    .text = "A line has KEY, a tab and the value, with line ends, tabs and backslashes\n"
            "escaped; with --json key, value, version and expires_ns, as `store get` has\n"
            "them.\n"
            "\n" PREFIX_TEXT "\n\n" PAGE_TEXT,
    .examples = "busbar store scan hosts\n"
                "busbar store scan tables '(\"known_hosts\")' --json\n",
    .options = page_options,
    .options_bytes = sizeof(struct cli_store_options),
    .defaults = &defaults,
    .max_args = 2,
    .flags = CLI_JSON,
    .run = run,
};

const struct cli_verb cli_verb_store_count = {
    .noun = "store",
    .name = "count",
    .line = "count the keys",
    .usage = "[OPTION]... STORE [KEY_PREFIX]",
    .text = "Those that have expired are not counted, also when they were not swept yet.\n"
            "\n" PREFIX_TEXT,
    .examples = "busbar store count hosts\n",
    .options = count_options,
    .options_bytes = sizeof(struct cli_store_options),
    .defaults = &defaults,
    .max_args = 2,
    .flags = CLI_JSON,
    .run = run,
};
