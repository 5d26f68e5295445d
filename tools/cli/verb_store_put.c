/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_store_put.c - `busbar store put`, `add` and `del`: keys come, change and go.
 */
#include "tools/cli/convert.h"
#include "tools/cli/format.h"
#include "tools/cli/lines.h"
#include "tools/cli/output.h"
#include "tools/cli/read.h"
#include "tools/cli/report.h"
#include "tools/cli/stores.h"
#include "tools/cli/verb_list.h"
#include <busbar/codec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10, VALUE_MAX_BYTES = 64 << 20 };

struct put_options {
    struct cli_store_options store;
    const char *if_version; /* NULL: not given; any number is a version that one may compare */
    int if_absent;
    int all;
};

static const struct put_options defaults = {.store = CLI_STORE_DEFAULTS};

struct put {
    struct cli_store store;
    const struct put_options *o;
    struct cli_buffer key, value;
    struct bb_store_cmd cmd;
};

/* ---- the value ------------------------------------------------------------------------------------- */

/* read_input - standard input to its end.  0 or a status. */
static int
read_input(struct cli_buffer *text)
{
    for (;;) {
        char *room = cli_buffer_room(text, READ_BYTES);
        if (room == NULL) {
            return text->err;
        }
        ssize_t n = read(STDIN_FILENO, room, READ_BYTES);
        if (n == 0) {
            return 0;
        }
        if (n < 0 && (errno != EINTR || cli_stopped())) {
            return -errno;
        }
        text->bytes += n > 0 ? (size_t)n : 0;
        if (text->bytes > VALUE_MAX_BYTES) {
            return BB_EMSGSIZE;
        }
    }
}

/* value_of_input - with --type string all bytes as they are; else a line's end at the end is not the value's. */
static int
value_of_input(struct put *put)
{
    const char *type_name = put->o->store.type;
    int type = type_name != NULL ? cli_type_parse(type_name) : BB_TYPE_ANY;
    struct bb_codec_error error = {0};
    struct cli_buffer text = {0};

    if (type == BB_EINVAL) {
        return cli_wrong(put->store.call->verb,
                         "there is no type \"%.80s\"; `busbar help value` lists them", type_name);
    }
    int rc = read_input(&text);
    if (rc == 0) {
        size_t bytes = text.bytes;
        bytes -= type != BB_STRING && bytes > 0 && text.p[bytes - 1] == '\n';
        rc = cli_value_read(&put->value, CLI_FORM_TEXT, type, text.p, bytes, &error);
    }
    cli_buffer_free(&text);
    if (rc == BB_EINVAL) {
        return cli_wrong(put->store.call->verb, "VALUE, column %zu: %s", error.offset + 1,
                         error.sentence);
    }
    return rc < 0 ? cli_store_report(&put->store, rc, "cannot read VALUE from standard input")
                  : CLI_DONE;
}

static int
read_value(struct put *put)
{
    const char *text = put->store.arg_count > 1 ? put->store.args[1] : "nil";
    if (strcmp(text, "-") == 0) {
        return value_of_input(put);
    }
    return cli_store_read_word(&put->store, "VALUE",
                               put->store.arg_count > 1 ? put->o->store.type : NULL, text,
                               &put->value);
}

/* ---- put and add ----------------------------------------------------------------------------------- */

/* say_there - what is there instead of ours: on standard output its value. */
static void
say_there(struct put *put)
{
    char key[CLI_KEY_BYTES], span[CLI_NUMBER_BYTES];
    struct bb_store_item item;
    struct cli_buffer out = {0};
    int rc = bb_store_get_item(put->store.s, &put->cmd.key, &item);

    if (put->store.call->common.json) {
        return;
    }
    (void)cli_store_short(key, &put->cmd.key);
    if (rc < 0) {
        cli_say("%s was in the store \"%.80s\", and is gone again", key, put->store.name);
        return;
    }
    cli_store_put_value(&out, &item.value);
    cli_buffer_puts(&out, "\n");
    (void)cli_store_print(&out);
    cli_buffer_free(&out);
    if (put->o->store.quiet) {
        return;
    }
    if (item.expires_ns == BB_STORE_NEVER) {
        cli_say("%s is in the store \"%.80s\" already, since version %llu", key, put->store.name,
                (unsigned long long)item.version);
    } else {
        cli_say("%s is in the store \"%.80s\" already, since version %llu; it expires in %s", key,
                put->store.name, (unsigned long long)item.version, cli_span(span, item.expires_ns));
    }
}

static int
put_key(struct put *put)
{
    struct bb_store_result result;
    if (put->cmd.op != BB_STORE_PUT_UNIQUE) {
        return cli_store_write(&put->store, &put->cmd, 1, &result);
    }
    /* The sentence says more than cli_store_write() knows. */
    struct cli_store_options quiet = put->o->store;
    quiet.quiet = 1;
    put->store.o = &quiet;
    int code = cli_store_write(&put->store, &put->cmd, 1, &result);
    put->store.o = &put->o->store;
    if (code == CLI_NO && result.code == BB_EEXIST) {
        say_there(put);
    }
    return code;
}

/* read_op - which of the puts it is, and the version to compare. */
static int
read_op(struct put *put, int is_add)
{
    const struct put_options *o = put->o;
    const struct cli_verb *verb = put->store.call->verb;
    put->cmd.op = is_add || o->if_absent  ? BB_STORE_PUT_UNIQUE
                  : o->if_version != NULL ? BB_STORE_PUT_IF
                                          : BB_STORE_PUT;
    if (o->if_version == NULL) {
        return CLI_DONE;
    }
    if (o->if_absent) {
        return cli_wrong(verb, "--if-absent and --if-rev exclude each other");
    }
    if (cli_read_count(o->if_version, &put->cmd.if_version) < 0) {
        return cli_wrong(verb, "--if-rev takes a whole number, not \"%.80s\"", o->if_version);
    }
    return CLI_DONE;
}

static int
run_put(const struct cli_call *call, const void *options)
{
    const struct put_options *o = options;
    const int is_add = call->verb == &cli_verb_store_add;
    struct put put = {.o = o};

    int code = cli_store_args(&put.store, call, &o->store, is_add ? 1 : 2);
    if (code == CLI_DONE) {
        code = read_op(&put, is_add);
    }
    if (code == CLI_DONE) {
        code = cli_store_read_key(&put.store, put.store.args[0], &put.key, &put.cmd.key);
    }
    if (code == CLI_DONE) {
        code = read_value(&put);
    }
    put.cmd.expire_ns = o->store.ttl_ns;
    put.cmd.value = cli_store_value(&put.value);
    if (code == CLI_DONE) {
        code = cli_store_attach(&put.store);
    }
    if (code == CLI_DONE) {
        code = put_key(&put);
    }
    cli_store_close(&put.store);
    cli_buffer_free(&put.key);
    cli_buffer_free(&put.value);
    return code;
}

static const struct cli_option put_options[] = {
    CLI_STORE_TYPE,
    CLI_STORE_KEY_TYPE,
    CLI_STORE_TTL,
    {.name = "if-absent",
     .type = CLI_FLAG,
     .offset = offsetof(struct put_options, if_absent),
     .help = "only if the key is not there, as `store add`"},
    {.name = "if-rev",
     .type = CLI_WORD,
     .offset = offsetof(struct put_options, if_version),
     .arg = "VERSION",
     .help = "only if the key is at this version; 0: if it is not there"},
    CLI_STORE_WAIT,
    CLI_STORE_QUIET,
    {.name = NULL},
};

const struct cli_verb cli_verb_store_put = {
    .noun = "store",
    .name = "put",
    .line = "write a key",
    .usage = "[OPTION]... STORE KEY VALUE",
    .text = CLI_STORE_LOOKS
    "\n"
    "VALUE - is standard input: with --type string all of its bytes, else without\n"
    "the line end at its end.  A value has at most 64 MiB.\n"
    "\n"
    "When it ends with 0 the master has written it (on disk, unless the store is\n"
    "relaxed or in memory), and everybody reads it.  A key that is written anew\n"
    "loses its expiry, unless --ttl gives one.  --json prints the key's version,\n"
    "which --if-rev compares: exit code 1 when somebody was faster.",
    .examples = "busbar store put hosts 10.0.0.1 '{\"web\", \"mail\"}' --ttl 1h\n"
                "busbar store put limits scan 0.75 --if-rev 17\n"
                "busbar store put files page.html - --type string <page.html\n",
    .options = put_options,
    .options_bytes = sizeof(struct put_options),
    .defaults = &defaults,
    .max_args = 3,
    .flags = CLI_JSON,
    .run = run_put,
};

static const struct cli_option add_options[] = {
    CLI_STORE_TYPE, CLI_STORE_KEY_TYPE, CLI_STORE_TTL,
    CLI_STORE_WAIT, CLI_STORE_QUIET,    {.name = NULL},
};

const struct cli_verb cli_verb_store_add = {
    .noun = "store",
    .name = "add",
    .line = "write a key if it is not there: one wins",
    .usage = "[OPTION]... STORE KEY [VALUE]",
    .text = "Of any number of processes that add the same key exactly one gets exit code\n"
            "0.  The others get 1, the value that is there on standard output, and its\n"
            "version and expiry in a sentence.  Without VALUE it is nil.\n"
            "\n" CLI_STORE_LOOKS "\n"
            "VALUE - is standard input, as with `store put`.",
    .examples = "busbar store add jobs nightly \"$HOSTNAME\" --ttl 10m && ./nightly\n",
    .options = add_options,
    .options_bytes = sizeof(struct put_options),
    .defaults = &defaults,
    .max_args = 3,
    .flags = CLI_JSON,
    .run = run_put,
};

/* ---- del ------------------------------------------------------------------------------------------- */

/* say_absent - the keys that were not there: the exit code. */
static int
say_absent(const struct cli_store *store,
           const struct bb_store_cmd *cmds,
           const struct bb_store_result *results,
           size_t count)
{
    int code = CLI_DONE;
    for (size_t i = 0; i < count; i++) {
        if (cmds[i].op == BB_STORE_ERASE && results[i].changed == 0) {
            code = cli_store_say_no_key(store, &cmds[i].key);
        }
    }
    return code;
}

static int delete (struct cli_store *store, size_t count)
{
    struct cli_buffer *natives = calloc(count, sizeof(*natives));
    struct bb_store_cmd *cmds = calloc(count, sizeof(*cmds));
    struct bb_store_result *results = calloc(count, sizeof(*results));
    int code = CLI_DONE;

    if (natives == NULL || cmds == NULL || results == NULL) {
        (void)cli_report(store->call, BB_ENOMEM, NULL, "the keys");
        code = CLI_RESOURCE;
    }
    for (size_t i = 0; code == CLI_DONE && i < count; i++) {
        cmds[i].op = store->arg_count > 0 ? BB_STORE_ERASE : BB_STORE_CLEAR;
        if (store->arg_count > 0) {
            code = cli_store_read_key(store, store->args[i], &natives[i], &cmds[i].key);
        }
    }
    if (code == CLI_DONE) {
        code = cli_store_attach(store);
    }
    if (code == CLI_DONE) {
        code = cli_store_write(store, cmds, count, results);
    }
    if (code == CLI_DONE) {
        code = say_absent(store, cmds, results, count);
    }
    cli_store_close(store);
    for (size_t i = 0; natives != NULL && i < count; i++) {
        cli_buffer_free(&natives[i]);
    }
    free(natives);
    free(cmds);
    free(results);
    return code;
}

static int
run_del(const struct cli_call *call, const void *options)
{
    const struct put_options *o = options;
    struct cli_store store;

    int code = cli_store_args(&store, call, &o->store, o->all ? 0 : 1);
    if (code != CLI_DONE) {
        return code;
    }
    if (o->all && store.arg_count > 0) {
        return cli_wrong(call->verb, "--all deletes every key, and so takes none");
    }
    return delete (&store, o->all ? 1 : (size_t)store.arg_count);
}

static const struct cli_option del_options[] = {
    {.name = "all",
     .type = CLI_FLAG,
     .offset = offsetof(struct put_options, all),
     .help = "all keys of the store"},
    CLI_STORE_KEY_TYPE,
    CLI_STORE_WAIT,
    CLI_STORE_QUIET,
    {.name = NULL},
};

const struct cli_verb cli_verb_store_del = {
    .noun = "store",
    .name = "del",
    .line = "delete keys",
    .usage = "[OPTION]... STORE KEY...",
    .text = "All in one step.  Keys that were not there are said, and the exit code is 1.",
    .examples = "busbar store del hosts 10.0.0.1 10.0.0.2\n"
                "busbar store del hosts --all\n",
    .options = del_options,
    .options_bytes = sizeof(struct put_options),
    .defaults = &defaults,
    .max_args = -1,
    .flags = CLI_JSON,
    .run = run_del,
};
