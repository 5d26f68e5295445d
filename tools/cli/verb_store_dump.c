/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_store_dump.c - `busbar store dump STORE`: everything, one JSON object a line, for `store restore`.
 */
#include "tools/cli/clock.h"
#include "tools/cli/format.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/stores.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>

struct dump_options {
    struct cli_store_options store;
    int snapshot;
};

static const struct dump_options defaults = {.store = CLI_STORE_DEFAULTS};

/* put_line - the deadline too: what is left of a key's time is wrong as soon as time passes. */
static void
put_line(struct cli_buffer *out, const struct bb_store_item *item, void *user)
{
    char text[CLI_NUMBER_BYTES];
    (void)user;
    cli_store_put_item(out, item);
    int64_t wall_ns;
    if (item->expires_ns == BB_STORE_NEVER
        || __builtin_add_overflow(cli_wall_ns(), item->expires_ns, &wall_ns)) {
        cli_buffer_puts(out, ",\"deadline\":null}\n");
        return;
    }
    cli_buffer_printf(out, ",\"deadline\":\"%.19s.%09lldZ\"}\n", cli_wall(text, wall_ns),
                      (long long)(wall_ns % CLI_SECOND_NS));
}

static int
dump(struct cli_store *store, struct cli_store_walk *walk)
{
    uint64_t before = bb_store_version(store->s);
    int code = cli_store_walk(store, walk);
    uint64_t after = bb_store_version(store->s);

    if (code != CLI_DONE) {
        cli_say("the dump is not whole: it ends after %" PRIu64 " keys", walk->count);
        return code;
    }
    if (cli_stopped()) {
        cli_say("interrupted: the dump is not whole, it ends after %" PRIu64 " keys", walk->count);
        return CLI_NO;
    }
    if (before == after || walk->is_one_state) {
        cli_say("%" PRIu64 " keys of the store \"%.80s\", version %" PRIu64, walk->count,
                store->name, before);
    } else {
        cli_say("%" PRIu64
                " keys of the store \"%.80s\", which changed meanwhile from version %" PRIu64
                " to %" PRIu64 "; --snapshot dumps one state",
                walk->count, store->name, before, after);
    }
    return CLI_DONE;
}

static int
run(const struct cli_call *call, const void *options)
{
    const struct dump_options *o = options;
    struct cli_store_walk walk = {.put = put_line, .is_one_state = o->snapshot};
    struct cli_buffer native = {0};
    struct cli_store store;
    struct bb_value prefix;

    cli_signals_catch();
    int code = cli_store_args(&store, call, &o->store, 0);
    if (code == CLI_DONE) {
        code = cli_store_read_prefix(&store, o->store.prefix, &native, &prefix, &walk.prefix);
    }
    if (code == CLI_DONE) {
        code = cli_store_look(&store);
    }
    if (code == CLI_DONE) {
        code = dump(&store, &walk);
    }
    cli_store_close(&store);
    cli_buffer_free(&native);
    return code;
}

static const struct cli_option options[] = {
    CLI_STORE_PATH,
    CLI_STORE_PREFIX,
    CLI_STORE_KEY_TYPE,
    {.name = "snapshot",
     .type = CLI_FLAG,
     .offset = offsetof(struct dump_options, snapshot),
     .help = "one state of the store, which is held until the dump is done"},
    CLI_STORE_APPEAR,
    {.name = NULL},
};

const struct cli_verb cli_verb_store_dump = {
    .noun = "store",
    .name = "dump",
    .line = "print everything, as JSON that `store restore` reads",
    .usage = "[OPTION]... STORE",
    .text = "A line for each key, in the store's order: key and value (JSON v1 that loses\n"
            "nothing), version, expires_ns (what is left, or null) and deadline (wall time,\n"
            "or null).  How many there were is said on standard error.\n"
            "\n"
            "Each key is as it was when it was read; a store that is written meanwhile may\n"
            "so give a state that it never had.  --snapshot does not, but holds a view as\n"
            "long as it takes: give it a file, not a slow pipe.  `store copy` is the other way.",
    .examples = "busbar store dump hosts >hosts.ndjson\n"
                "busbar store dump --path /var/lib/sensor/hosts | jq -c .key\n",
    .options = options,
    .options_bytes = sizeof(struct dump_options),
    .defaults = &defaults,
    .max_args = 1,
    .run = run,
};
