/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_store_ttl.c - `busbar store ttl STORE KEY [SPAN|never]`: what is left of a key's time, or another.
 */
#include "tools/cli/format.h"
#include "tools/cli/read.h"
#include "tools/cli/report.h"
#include "tools/cli/stores.h"
#include "tools/cli/verb_list.h"
#include <stdio.h>
#include <string.h>

static const struct cli_store_options defaults = CLI_STORE_DEFAULTS;

static int
print_left(struct cli_store *store, const struct bb_value *key)
{
    struct bb_store_item item;
    struct cli_buffer out = {0};
    char span[CLI_NUMBER_BYTES];
    const int is_json = store->call->common.json;

    int rc = bb_store_get_item(store->s, key, &item);
    if (rc == BB_ENOENT) {
        return cli_store_say_no_key(store, key);
    }
    if (rc < 0) {
        return cli_store_report(store, rc, "cannot read");
    }
    if (is_json) {
        cli_buffer_puts(&out, "{");
        cli_store_put_json(&out, "key", key);
        cli_buffer_printf(&out, ",\"expires_ns\":");
    }
    if (item.expires_ns == BB_STORE_NEVER) {
        cli_buffer_puts(&out, is_json ? "null" : "never");
    } else if (is_json) {
        cli_buffer_printf(&out, "%lld", (long long)item.expires_ns);
    } else {
        cli_buffer_puts(&out, cli_span(span, item.expires_ns));
    }
    cli_buffer_puts(&out, is_json ? "}\n" : "\n");
    (void)cli_store_print(&out);
    cli_buffer_free(&out);
    return CLI_DONE;
}

static int
set(struct cli_store *store, const struct bb_value *key, int64_t expire_ns)
{
    struct bb_store_cmd cmd = {.op = BB_STORE_EXPIRE, .expire_ns = expire_ns, .key = *key};
    struct bb_store_result result;
    return cli_store_write(store, &cmd, 1, &result);
}

static int
read_span(const struct cli_store *store, int64_t *expire_ns)
{
    const char *text = store->args[1];
    *expire_ns = BB_STORE_NEVER;
    if (strcmp(text, "never") != 0 && cli_read_life(text, expire_ns) < 0) {
        return cli_wrong(store->call->verb, "SPAN is " CLI_LIFE_NEEDS ", or never, not \"%.80s\"",
                         text);
    }
    return CLI_DONE;
}

static int
run(const struct cli_call *call, const void *options)
{
    struct cli_store store;
    struct cli_buffer native = {0};
    struct bb_value key = {0};
    int64_t expire_ns = 0;

    int code = cli_store_args(&store, call, options, 1);
    if (code == CLI_DONE && store.arg_count > 1) {
        code = store.o->path == NULL
                   ? read_span(&store, &expire_ns)
                   : cli_wrong(call->verb, "--path reads a store, and sets nothing");
    }
    if (code == CLI_DONE) {
        code = cli_store_read_key(&store, store.args[0], &native, &key);
    }
    if (code == CLI_DONE) {
        code = store.arg_count > 1 ? cli_store_attach(&store) : cli_store_look(&store);
    }
    if (code == CLI_DONE) {
        code = store.arg_count > 1 ? set(&store, &key, expire_ns) : print_left(&store, &key);
    }
    cli_store_close(&store);
    cli_buffer_free(&native);
    return code;
}

static const struct cli_option options[] = {
    CLI_STORE_PATH, CLI_STORE_KEY_TYPE, CLI_STORE_WAIT, CLI_STORE_QUIET, {.name = NULL},
};

const struct cli_verb cli_verb_store_ttl = {
    .noun = "store",
    .name = "ttl",
    .line = "show when a key expires, or set it",
    .usage = "[OPTION]... STORE KEY [SPAN]",
    .text = "What is left, as 42s, or never; --json has it in nanoseconds.  With SPAN the key\n"
            "expires after that time from now, and with the word never not at all; its value\n"
            "stays.",
    .examples = "busbar store ttl hosts 10.0.0.1\n"
                "busbar store ttl hosts 10.0.0.1 1h\n"
                "busbar store ttl hosts 10.0.0.1 never\n",
    .options = options,
    .options_bytes = sizeof(struct cli_store_options),
    .defaults = &defaults,
    .max_args = 3,
    .flags = CLI_JSON,
    .run = run,
};
