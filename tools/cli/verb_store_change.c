/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_store_change.c - `busbar store incr|decr|append|push|pop|sadd|srem`: what is in a value changes.
 *
 * The store wants the amount to be of the value's own type.  People write 5 for all of 5, +5 and 5.0, so an amount
 * without --type is read as the type that is there, when it can be.
 */
#include "tools/cli/convert.h"
#include "tools/cli/report.h"
#include "tools/cli/stores.h"
#include "tools/cli/verb_list.h"
#include <busbar/codec.h>
#include <stdlib.h>
#include <string.h>

struct change_options {
    struct cli_store_options store;
    int table;
};

static const struct change_options defaults = {.store = CLI_STORE_DEFAULTS};

struct change {
    struct cli_store store;
    const struct change_options *o;
    uint32_t op;
    struct cli_buffer key;
    struct cli_buffer *natives; /* two for each command */
    struct bb_store_cmd *cmds;
    struct bb_store_result *results;
    size_t count;
};

/* ---- commands -------------------------------------------------------------------------------------- */

static int
make_room(struct change *c, size_t count)
{
    c->count = count;
    c->natives = calloc(2 * count, sizeof(*c->natives));
    c->cmds = calloc(count, sizeof(*c->cmds));
    c->results = calloc(count, sizeof(*c->results));
    if (c->natives == NULL || c->cmds == NULL || c->results == NULL) {
        return cli_report(c->store.call, BB_ENOMEM, NULL, "the values");
    }
    int code = cli_store_read_key(&c->store, c->store.args[0], &c->key, &c->cmds[0].key);
    for (size_t i = 0; i < count; i++) {
        c->cmds[i] = (struct bb_store_cmd){
            .op = c->op, .expire_ns = c->o->store.ttl_ns, .key = cli_store_value(&c->key)};
    }
    return code;
}

/* read_argument - argument i behind the key, into the command's value or index. */
static int
read_argument(struct change *c, size_t i, const char *what, const char *type, struct bb_value *out)
{
    int code = cli_store_read_word(&c->store, what, type, c->store.args[i + 1], &c->natives[i]);
    *out = cli_store_value(&c->natives[i]);
    return code;
}

/* make_elements - push, sadd, srem: one command for each; a table's are pairs. */
static int
make_elements(struct change *c)
{
    const size_t arguments = (size_t)c->store.arg_count - 1;
    const size_t each = c->o->table ? 2 : 1;
    if (arguments % each != 0) {
        return cli_wrong(c->store.call->verb, "--table takes pairs: INDEX VALUE");
    }
    int code = make_room(c, arguments / each);
    for (size_t i = 0; i < c->count && code == CLI_DONE; i++) {
        struct bb_store_cmd *cmd = &c->cmds[i];
        code = read_argument(c, i * each, c->op == BB_STORE_PUSH ? "VALUE" : "ELEMENT",
                             c->o->store.type, c->op == BB_STORE_PUSH ? &cmd->value : &cmd->index);
        if (code == CLI_DONE && c->o->table) {
            code = read_argument(c, i * each + 1, "VALUE", NULL, &cmd->value);
        }
    }
    return code;
}

/* ---- the amount ------------------------------------------------------------------------------------ */

/* fit_amount - as the number that is in the store; anything else is the master's to refuse. */
static void
fit_amount(struct change *c, const char *text)
{
    struct bb_codec_error error = {0};
    struct bb_value v;
    int there = bb_store_get(c->store.s, &c->cmds[0].key, &v) == 0 ? bb_value_type(&v) : BB_NONE;
    if ((there == BB_INTEGER || there == BB_REAL)
        && cli_value_read(&c->natives[1], CLI_FORM_TEXT, there, text, strlen(text), &error) == 0) {
        c->cmds[0].value = cli_store_value(&c->natives[1]);
    }
}

static int
make_amount(struct change *c)
{
    const char *text = c->store.arg_count > 1 ? c->store.args[1] : "1";
    int code = make_room(c, 1);
    if (code == CLI_DONE) {
        code = cli_store_read_word(&c->store, "AMOUNT", c->o->store.type, text, &c->natives[0]);
        c->cmds[0].value = cli_store_value(&c->natives[0]);
    }
    return code;
}

/* ---- running --------------------------------------------------------------------------------------- */

static int
make_commands(struct change *c)
{
    int code;
    switch (c->op) {
    case BB_STORE_INCREMENT:
    case BB_STORE_DECREMENT:
        return make_amount(c);
    case BB_STORE_APPEND:
        code = make_room(c, 1);
        return code == CLI_DONE ? read_argument(c, 0, "TEXT", "string", &c->cmds[0].value) : code;
    case BB_STORE_POP:
        return make_room(c, 1);
    default:
        return make_elements(c);
    }
}

/* print_value - the sum, or what was popped. */
static int
print_value(struct change *c)
{
    struct cli_buffer out = {0};
    char key[CLI_KEY_BYTES];
    const struct bb_value *v = &c->results[0].value;

    if (v->p == NULL) {
        if (!c->o->store.quiet) {
            cli_say("%s is an empty vector", cli_store_short(key, &c->cmds[0].key));
        }
        return CLI_NO;
    }
    if (!c->store.call->common.json) {
        cli_store_put_value(&out, v);
        cli_buffer_puts(&out, "\n");
        (void)cli_store_print(&out);
    }
    cli_buffer_free(&out);
    return CLI_DONE;
}

/* was_given_before - the same element once more: the first one took it, or has been said. */
static int
was_given_before(const struct change *c, size_t i)
{
    const struct bb_value *v = &c->cmds[i].index;
    for (size_t k = 0; k < i; k++) {
        if (c->cmds[k].index.bytes == v->bytes && memcmp(c->cmds[k].index.p, v->p, v->bytes) == 0) {
            return 1;
        }
    }
    return 0;
}

/* say_unchanged - srem: elements that were not there. */
static int
say_unchanged(const struct change *c)
{
    char key[CLI_KEY_BYTES], element[CLI_KEY_BYTES];
    int code = CLI_DONE;
    for (size_t i = 0; i < c->count; i++) {
        if (c->results[i].changed == 0 && !was_given_before(c, i)) {
            code = CLI_NO;
            if (!c->o->store.quiet) {
                cli_say("%s is not in %s", cli_store_short(element, &c->cmds[i].index),
                        cli_store_short(key, &c->cmds[i].key));
            }
        }
    }
    return code;
}

static int
run_commands(struct change *c)
{
    int is_number = c->op == BB_STORE_INCREMENT || c->op == BB_STORE_DECREMENT;
    int code = cli_store_attach(&c->store);
    if (code == CLI_DONE && is_number && c->o->store.type == NULL) {
        fit_amount(c, c->store.arg_count > 1 ? c->store.args[1] : "1");
    }
    if (code == CLI_DONE) {
        code = cli_store_write(&c->store, c->cmds, c->count, c->results);
    }
    if (code == CLI_DONE && (is_number || c->op == BB_STORE_POP)) {
        code = print_value(c);
    }
    if (code == CLI_DONE && c->op == BB_STORE_REMOVE) {
        code = say_unchanged(c);
    }
    return code;
}

static int
run_op(const struct cli_call *call, const void *options, uint32_t op, int min)
{
    const struct change_options *o = options;
    struct change c = {.o = o, .op = op};
    int code = cli_store_args(&c.store, call, &o->store, min);
    if (code == CLI_DONE) {
        code = make_commands(&c);
    }
    if (code == CLI_DONE) {
        code = run_commands(&c);
    }
    cli_store_close(&c.store);
    for (size_t i = 0; c.natives != NULL && i < 2 * c.count; i++) {
        cli_buffer_free(&c.natives[i]);
    }
    cli_buffer_free(&c.key);
    free(c.natives);
    free(c.cmds);
    free(c.results);
    return code;
}

static int
run_incr(const struct cli_call *call, const void *options)
{
    return run_op(call, options, BB_STORE_INCREMENT, 1);
}

static int
run_decr(const struct cli_call *call, const void *options)
{
    return run_op(call, options, BB_STORE_DECREMENT, 1);
}

static int
run_append(const struct cli_call *call, const void *options)
{
    return run_op(call, options, BB_STORE_APPEND, 2);
}

static int
run_push(const struct cli_call *call, const void *options)
{
    return run_op(call, options, BB_STORE_PUSH, 2);
}

static int
run_pop(const struct cli_call *call, const void *options)
{
    return run_op(call, options, BB_STORE_POP, 1);
}

static int
run_sadd(const struct cli_call *call, const void *options)
{
    return run_op(call, options, BB_STORE_INSERT, 2);
}

static int
run_srem(const struct cli_call *call, const void *options)
{
    return run_op(call, options, BB_STORE_REMOVE, 2);
}

/* ---- the verbs ------------------------------------------------------------------------------------- */

static const struct cli_option value_options[] = {
    CLI_STORE_TYPE, CLI_STORE_KEY_TYPE, CLI_STORE_TTL,
    CLI_STORE_WAIT, CLI_STORE_QUIET,    {.name = NULL},
};

static const struct cli_option key_options[] = {
    CLI_STORE_KEY_TYPE, CLI_STORE_TTL, CLI_STORE_WAIT, CLI_STORE_QUIET, {.name = NULL},
};

static const struct cli_option sadd_options[] = {
    {.name = "table",
     .type = CLI_FLAG,
     .offset = offsetof(struct change_options, table),
     .help = "into a table: the arguments are pairs, INDEX VALUE"},
    CLI_STORE_TYPE,
    CLI_STORE_KEY_TYPE,
    CLI_STORE_TTL,
    CLI_STORE_WAIT,
    CLI_STORE_QUIET,
    {.name = NULL},
};

#define CHANGE_EXPIRY "The key's expiry stays as it is, unless --ttl gives another."

const struct cli_verb cli_verb_store_incr = {
    .noun = "store",
    .name = "incr",
    .line = "add to a number, and print the sum",
    .usage = "[OPTION]... STORE KEY [AMOUNT]",
    .text = "AMOUNT is 1 when it is not given, and of the type that is in the store when it\n"
            "can be: count, integer, real; a timespan is added to a timespan or timestamp.\n"
            "A key that is not there begins as zero.  A sum that the type cannot hold is\n"
            "refused, and the exit code is 1.\n" CHANGE_EXPIRY,
    .examples = "busbar store incr stats scans\n"
                "busbar store incr stats load 0.25 --ttl 1m\n",
    .options = value_options,
    .options_bytes = sizeof(struct change_options),
    .defaults = &defaults,
    .max_args = 3,
    .flags = CLI_JSON,
    .run = run_incr,
};

const struct cli_verb cli_verb_store_decr = {
    .noun = "store",
    .name = "decr",
    .line = "take from a number, and print what is left",
    .usage = "[OPTION]... STORE KEY [AMOUNT]",
    .text = "As `store incr`, but the key must be there.  A count does not go below zero:\n"
            "it stays as it is, and the exit code is 1.",
    .examples = "busbar store decr tickets left && ./go\n",
    .options = value_options,
    .options_bytes = sizeof(struct change_options),
    .defaults = &defaults,
    .max_args = 3,
    .flags = CLI_JSON,
    .run = run_decr,
};

const struct cli_verb cli_verb_store_append = {
    .noun = "store",
    .name = "append",
    .line = "append a text to a string",
    .usage = "[OPTION]... STORE KEY TEXT",
    .text = "TEXT is a string whatever it looks like.  A key that is not there begins as\n"
            "the empty string.\n" CHANGE_EXPIRY,
    .examples = "busbar store append notes today \"; restarted worker-3\"\n",
    .options = key_options,
    .options_bytes = sizeof(struct change_options),
    .defaults = &defaults,
    .max_args = 3,
    .flags = CLI_JSON,
    .run = run_append,
};

const struct cli_verb cli_verb_store_push = {
    .noun = "store",
    .name = "push",
    .line = "put values at the end of a vector",
    .usage = "[OPTION]... STORE KEY VALUE...",
    .text = "All in one step.  A key that is not there begins as the empty vector.\n" CHANGE_EXPIRY,
    .examples = "busbar store push queue jobs \"scan 10.0.0.0/24\"\n",
    .options = value_options,
    .options_bytes = sizeof(struct change_options),
    .defaults = &defaults,
    .max_args = -1,
    .flags = CLI_JSON,
    .run = run_push,
};

const struct cli_verb cli_verb_store_pop = {
    .noun = "store",
    .name = "pop",
    .line = "take the last value of a vector, and print it",
    .usage = "[OPTION]... STORE KEY",
    .text = "Exactly one process gets each value.  The exit code is 1 when the vector is\n"
            "empty or the key is not there.\n" CHANGE_EXPIRY,
    .examples = "job=$(busbar store pop -q queue jobs) && ./work \"$job\"\n",
    .options = key_options,
    .options_bytes = sizeof(struct change_options),
    .defaults = &defaults,
    .max_args = 2,
    .flags = CLI_JSON,
    .run = run_pop,
};

const struct cli_verb cli_verb_store_sadd = {
    .noun = "store",
    .name = "sadd",
    .line = "put elements into a set, or into a table",
    .usage = "[OPTION]... STORE KEY ELEMENT...",
    .text = "All in one step.  A key that is not there begins as the empty set, or with\n"
            "--table as the empty table.  An element that is in the set already changes\n"
            "nothing; the value of an index that is in the table is replaced.\n" CHANGE_EXPIRY,
    .examples = "busbar store sadd policy bad_hosts 10.0.0.1 10.0.0.2\n"
                "busbar store sadd --table policy names 10.0.0.1 gateway\n",
    .options = sadd_options,
    .options_bytes = sizeof(struct change_options),
    .defaults = &defaults,
    .max_args = -1,
    .flags = CLI_JSON,
    .run = run_sadd,
};

const struct cli_verb cli_verb_store_srem = {
    .noun = "store",
    .name = "srem",
    .line = "take elements out of a set, or indices out of a table",
    .usage = "[OPTION]... STORE KEY ELEMENT...",
    .text = "All in one step.  Elements that were not in it are said, and the exit code is\n"
            "1; one that is given twice counts once.\n" CHANGE_EXPIRY,
    .examples = "busbar store srem policy bad_hosts 10.0.0.1\n",
    .options = value_options,
    .options_bytes = sizeof(struct change_options),
    .defaults = &defaults,
    .max_args = -1,
    .flags = CLI_JSON,
    .run = run_srem,
};
