/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_store_get.c - `busbar store get STORE KEY...`: values, read in place.
 *
 * One value goes out as it is, so that nothing of it is lost in a pipe; several are lines.
 */
#include "tools/cli/report.h"
#include "tools/cli/stores.h"
#include "tools/cli/verb_list.h"
#include <stdlib.h>

struct get {
    struct cli_store store;
    struct cli_buffer *natives; /* of the keys */
    struct bb_value *keys;
    struct bb_store_item *items;
    size_t count;
    struct cli_buffer out;
};

static const struct cli_store_options defaults = CLI_STORE_DEFAULTS;

static void
put_one(struct get *get, const struct bb_store_item *item)
{
    if (get->store.call->common.json) {
        cli_store_put_item(&get->out, item);
        cli_buffer_puts(&get->out, "}\n");
        return;
    }
    if (get->count > 1) {
        cli_store_put_key(&get->out, &get->store, &item->key);
        cli_buffer_puts(&get->out, "\t");
        cli_store_put_text(&get->out, &item->value);
    } else {
        cli_store_put_value(&get->out, &item->value);
    }
    cli_buffer_puts(&get->out, "\n");
}

/* put_all - all of one state. */
static int
put_all(struct get *get)
{
    int64_t n = bb_store_get_many(get->store.s, get->keys, get->count, get->items);
    for (size_t i = 0; i < get->count && n >= 0; i++) {
        if (get->items[i].value.p != NULL) {
            put_one(get, &get->items[i]);
        }
    }
    return n < 0 ? (int)n : get->out.err;
}

/* say_missing - the exit code. */
static int
say_missing(struct get *get)
{
    int code = CLI_DONE;
    for (size_t i = 0; i < get->count; i++) {
        if (get->items[i].value.p == NULL) {
            code = cli_store_say_no_key(&get->store, &get->keys[i]);
        }
    }
    return code;
}

static int
read_keys(struct get *get)
{
    int code = CLI_DONE;
    get->count = (size_t)get->store.arg_count;
    get->natives = calloc(get->count, sizeof(*get->natives));
    get->keys = calloc(get->count, sizeof(*get->keys));
    get->items = calloc(get->count, sizeof(*get->items));
    if (get->natives == NULL || get->keys == NULL || get->items == NULL) {
        return cli_report(get->store.call, BB_ENOMEM, NULL, "the keys");
    }
    for (size_t i = 0; i < get->count && code == CLI_DONE; i++) {
        code = cli_store_read_key(&get->store, get->store.args[i], &get->natives[i], &get->keys[i]);
    }
    return code;
}

static int
print(struct get *get)
{
    const int has_view = !get->store.o->by_request; /* asked for at once, all is of one state too */
    int rc = has_view ? bb_store_view_begin(get->store.s) : 0;
    const int is_begun = has_view && rc == 0;
    if (rc == 0) {
        rc = put_all(get);
    }
    if (is_begun) {
        bb_store_view_end(get->store.s); /* before anything is written to who may be slow */
    }
    if (rc < 0) {
        return cli_store_report(&get->store, rc, "cannot read");
    }
    (void)cli_store_print(&get->out);
    return say_missing(get);
}

static int
run(const struct cli_call *call, const void *options)
{
    struct get get = {.count = 0};
    int code = cli_store_args(&get.store, call, options, 1);
    if (code == CLI_DONE) {
        code = read_keys(&get);
    }
    if (code == CLI_DONE) {
        code = cli_store_open(&get.store);
    }
    if (code == CLI_DONE) {
        code = print(&get);
    }
    cli_store_close(&get.store);
    for (size_t i = 0; get.natives != NULL && i < get.count; i++) {
        cli_buffer_free(&get.natives[i]);
    }
    free(get.natives);
    free(get.keys);
    free(get.items);
    cli_buffer_free(&get.out);
    return code;
}

static const struct cli_option options[] = {
    CLI_STORE_PATH,       CLI_STORE_KEY_TYPE, CLI_STORE_APPEAR,
    CLI_STORE_BY_REQUEST, CLI_STORE_QUIET,    {.name = NULL},
};

const struct cli_verb cli_verb_store_get = {
    .noun = "store",
    .name = "get",
    .line = "print the values of keys",
    .usage = "[OPTION]... STORE KEY...",
    .text = "One value is printed in its text form and a line end behind it: into a pipe\n"
            "byte for byte, on a terminal with what it would not show escaped.  Several are\n"
            "lines of KEY, a tab and the value, with line ends, tabs and backslashes escaped.  "
            "With --json a line\n"
            "has key and value (JSON v1 that loses nothing), version (of its last change)\n"
            "and expires_ns (what is left, or null).\n"
            "\n" CLI_STORE_LOOKS "\n"
            "\n"
            "Values are read in place: it needs no master, and leaves no trace on the bus.\n"
            "The exit code is 1 when a key is not there, 4 when the store is not.",
    .examples = "busbar store get hosts 10.0.0.1\n"
                "busbar store get hosts 10.0.0.1 10.0.0.2 --json\n"
                "busbar store get --path /var/lib/sensor/hosts 10.0.0.1\n",
    .options = options,
    .options_bytes = sizeof(struct cli_store_options),
    .defaults = &defaults,
    .max_args = -1,
    .flags = CLI_JSON,
    .run = run,
};
