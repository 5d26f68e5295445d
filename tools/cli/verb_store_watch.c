/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_store_watch.c - `busbar store watch STORE [KEY_PREFIX]`: changes of keys as they happen.
 *
 * The master keeps a log of changes while somebody watches; it is read in place, also while there is no master.
 */
#include "tools/cli/clock.h"
#include "tools/cli/format.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/stores.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>
#include <stdio.h>

enum { CHANGES = 64 }; /* taken at once */
static const int64_t ANSWER_MAX_NS = 5 * CLI_SECOND_NS;

struct watch_options {
    struct cli_store_options store;
    uint64_t from;  /* UINT64_MAX: from now */
    int64_t end_ns; /* -1: never */
};

static const struct watch_options defaults = {
    .store = CLI_STORE_DEFAULTS, .from = UINT64_MAX, .end_ns = -1};

struct watch {
    struct cli_store store;
    const struct watch_options *o;
    int64_t deadline_ns; /* of all of it: opening too */
    struct cli_buffer native;
    struct bb_value prefix;
    struct bb_watch *w;
    uint64_t last_version; /* seen, or where it began */
    uint64_t printed;
    struct cli_buffer out;
};

static const char *
kind_name(uint32_t kind)
{
    switch (kind) {
    case BB_STORE_INSERTED:
        return "inserted";
    case BB_STORE_UPDATED:
        return "updated";
    case BB_STORE_ERASED:
        return "erased";
    case BB_STORE_EXPIRED:
        return "expired";
    case BB_STORE_GAP:
        return "gap";
    default:
        return "changed";
    }
}

/* put_wall - RFC 3339 with nanoseconds. */
static void
put_wall(struct cli_buffer *out, int64_t wall_ns)
{
    char text[CLI_NUMBER_BYTES];
    (void)cli_wall(text, wall_ns);
    cli_buffer_printf(out, "%.19s.%09lldZ", text, (long long)(wall_ns % CLI_SECOND_NS));
}

static void
put_json(struct watch *watch, const struct bb_store_change *c)
{
    struct cli_buffer *out = &watch->out;
    cli_buffer_puts(out, "{");
    if (c->kind == BB_STORE_GAP) {
        cli_buffer_printf(out,
                          "\"change\":\"gap\",\"after\":%" PRIu64 ",\"version\":%" PRIu64 "}\n",
                          watch->last_version, c->version);
        return;
    }
    cli_buffer_puts(out, "\"t\":\"");
    put_wall(out, c->wall_ns);
    cli_buffer_printf(out, "\",\"version\":%" PRIu64 ",\"change\":\"%s\"", c->version,
                      kind_name(c->kind));
    cli_store_put_json(out, "key", &c->key);
    cli_store_put_json(out, "value", &c->value);
    cli_store_put_json(out, "old", &c->old);
    cli_buffer_puts(out, ",\"expires_ns\":");
    if (c->expires_ns == BB_STORE_NEVER) {
        cli_buffer_puts(out, "null");
    } else {
        cli_buffer_printf(out, "%" PRId64, c->expires_ns);
    }
    cli_buffer_printf(out, ",\"node\":\"%s\",\"node_id\":%" PRIu64 "}\n",
                      c->node != NULL ? c->node : "", c->node_id);
}

static void
put_text(struct watch *watch, const struct bb_store_change *c)
{
    struct cli_buffer *out = &watch->out;
    char span[CLI_NUMBER_BYTES];
    if (c->kind == BB_STORE_GAP) {
        cli_buffer_printf(out,
                          "GAP: the changes after version %" PRIu64 " up to %" PRIu64
                          " are not known any more; `store scan` shows what there is\n",
                          watch->last_version, c->version);
        return;
    }
    put_wall(out, c->wall_ns);
    cli_buffer_printf(out, " %" PRIu64 " %s %s ", c->version,
                      c->node != NULL && c->node[0] != '\0' ? c->node : "?", kind_name(c->kind));
    cli_store_put_text(out, &c->key);
    cli_buffer_puts(out, ": ");
    if (c->old.p != NULL) {
        cli_store_put_text(out, &c->old);
        cli_buffer_puts(out, c->value.p != NULL ? " -> " : "");
    }
    if (c->value.p != NULL) {
        cli_store_put_text(out, &c->value);
    }
    if (c->expires_ns != BB_STORE_NEVER && c->value.p != NULL) {
        cli_buffer_printf(out, " (expires in %s)", cli_span(span, c->expires_ns));
    }
    cli_buffer_puts(out, "\n");
}

static int
is_enough(const struct watch *watch)
{
    return watch->o->store.limit != 0 && watch->printed >= watch->o->store.limit;
}

/* print_next - what came within the time.  How many, or a status. */
static int
print_next(struct watch *watch, int64_t timeout_ns)
{
    struct bb_store_change changes[CHANGES];
    int n = bb_watch_next(watch->w, changes, CHANGES, timeout_ns);
    for (int i = 0; i < n && !is_enough(watch); i++) {
        if (watch->store.call->common.json) {
            put_json(watch, &changes[i]);
        } else {
            put_text(watch, &changes[i]);
        }
        watch->last_version = changes[i].version;
        watch->printed++;
    }
    int rc = cli_store_print(&watch->out);
    return n < 0 ? n : rc < 0 ? rc : n;
}

static int
follow(struct watch *watch)
{
    int rc = 0;
    while (!cli_stopped() && !is_enough(watch)) {
        int64_t left_ns = cli_left_ns(watch->deadline_ns, CLI_SLICE_NS);
        rc = print_next(watch, left_ns);
        if (rc == BB_ETIMEDOUT || rc == BB_EAGAIN) {
            rc = 0;
        }
        if (rc < 0 || cli_output_flush() != 0 || cli_output_is_gone()
            || (rc == 0 && left_ns == 0)) {
            break;
        }
    }
    return rc < 0 ? rc : 0;
}

static int
open_watch(struct watch *watch)
{
    const struct cli_store_options *o = &watch->o->store;
    const char *text = watch->store.arg_count > 0 ? watch->store.args[0] : o->prefix;
    const struct bb_value *prefix;
    uint64_t now = 0;

    int code = cli_store_read_prefix(&watch->store, text, &watch->native, &watch->prefix, &prefix);
    if (code == CLI_DONE) {
        code = cli_store_attach(&watch->store);
    }
    if (code != CLI_DONE) {
        return code;
    }
    uint64_t after = watch->o->from != UINT64_MAX ? watch->o->from : 0;
    int rc = bb_watch_open(&watch->w, watch->store.s, prefix, after, &now);
    if (rc < 0) {
        return cli_store_report(&watch->store, rc, "cannot watch");
    }
    watch->last_version = after != 0 ? after : now;
    cli_say("watching the store \"%.80s\" after version %" PRIu64, watch->store.name,
            watch->last_version);
    return CLI_DONE;
}

static int
run(const struct cli_call *call, const void *options)
{
    struct watch_options o = *(const struct watch_options *)options;
    struct watch watch = {.o = &o, .deadline_ns = cli_deadline(o.end_ns)};
    if (o.end_ns >= 0 && o.end_ns < ANSWER_MAX_NS) {
        o.store.answer_ns = o.end_ns > 0 ? o.end_ns : 1; /* 0 would be the default */
    }
    int code = cli_store_args(&watch.store, call, &watch.o->store, 0);
    if (code != CLI_DONE) {
        return code;
    }
    if (watch.o->from == 0) {
        return cli_wrong(call->verb,
                         "--from takes a version of 1 or more; without it, from now on");
    }
    cli_signals_catch();
    code = open_watch(&watch);
    if (code == CLI_DONE) {
        int rc = follow(&watch);
        if (rc < 0) {
            code = cli_store_report(&watch.store, rc, "cannot watch on");
        } else if (watch.o->store.limit != 0 && !is_enough(&watch) && !cli_stopped()
                   && !cli_output_is_gone()) {
            cli_say("time ran out: %" PRIu64 " of %" PRIu64 " changes came", watch.printed,
                    watch.o->store.limit);
            code = CLI_TIME;
        }
        bb_watch_close(watch.w);
    }
    cli_store_close(&watch.store);
    cli_buffer_free(&watch.native);
    cli_buffer_free(&watch.out);
    return code;
}

static const struct cli_option options[] = {
    {.letter = 'n',
     .name = "count",
     .type = CLI_COUNT,
     .offset = offsetof(struct watch_options, store.limit),
     .arg = "COUNT",
     .help = "end after so many changes"},
    {.letter = 'W',
     .name = "wait",
     .type = CLI_SPAN,
     .offset = offsetof(struct watch_options, end_ns),
     .arg = "SPAN",
     .help = "end after this time; short of --count the exit code is 3"},
    {.name = "from",
     .type = CLI_COUNT,
     .offset = offsetof(struct watch_options, from),
     .arg = "VERSION",
     .help = "begin behind this version of the store (else with what comes next)"},
    CLI_STORE_KEY_TYPE,
    CLI_STORE_PREFIX,
    {.name = NULL},
};

const struct cli_verb cli_verb_store_watch = {
    .noun = "store",
    .name = "watch",
    .line = "show changes of keys as they happen",
    .usage = "[OPTION]... STORE [KEY_PREFIX]",
    .text = "A line has the time, the store's version, the node that wrote, what happened\n"
            "(inserted, updated, erased, expired), the key, and old -> new value.  No change\n"
            "is missing, but for a line `GAP`: it says up to which version changes are not\n"
            "known any more, because the log is trimmed (a million changes, or an eighth of\n"
            "the quota) or nobody watched then.\n"
            "\n"
            "With --json a line has t, version, change, key, value, old, expires_ns, node\n"
            "and node_id; a gap has change, after and version.  KEY_PREFIX is as in `store keys`.",
    .examples = "busbar store watch hosts 10.0.0.0/8\n"
                "busbar store watch jobs -n 1 -W 10m --json\n",
    .options = options,
    .options_bytes = sizeof(struct watch_options),
    .defaults = &defaults,
    .max_args = 2,
    .flags = CLI_JSON,
    .run = run,
};
