/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/stores_write.c - cli_store_write(): commands of one verb as one frame, and what became of them.
 */
#include "tools/cli/report.h"
#include "tools/cli/stores.h"
#include <busbar/codec.h>
#include <stdio.h>
#include <string.h>

static const char *
article(const char *name)
{
    return strchr("aeiou", name[0]) != NULL ? "an" : "a";
}

/* say_type - "it holds a string"; what is there now may be something else again. */
static int
say_type(const struct cli_store *store, const struct bb_store_cmd *cmd, const char *key)
{
    const char *verb = store->call->verb->name;
    struct bb_value v = {0};
    int is_there = bb_store_get(store->s, &cmd->key, &v) == 0;
    const char *name = bb_type_name(bb_value_type(is_there ? &v : &cmd->value));
    name = name != NULL ? name : "value";

    if (is_there) {
        cli_say("%s holds %s %s, which does not go with this `store %s`; it stays as it was", key,
                article(name), name, verb);
        return CLI_NO;
    }
    cli_say("%s is not there, and `store %s` cannot begin it with %s %s", key, verb, article(name),
            name);
    return CLI_USAGE;
}

static void
say_busy(const struct bb_store_cmd *cmd, const struct bb_store_result *result, const char *key)
{
    if (result->version == 0) {
        cli_say("%s is not there, so it is not at version %llu", key,
                (unsigned long long)cmd->if_version);
    } else if (cmd->if_version == 0) {
        cli_say("%s is there, at version %llu", key, (unsigned long long)result->version);
    } else {
        cli_say("%s is at version %llu, not %llu: somebody changed it since", key,
                (unsigned long long)result->version, (unsigned long long)cmd->if_version);
    }
}

/* say_refused - the exit code of one command's answer. */
static int
say_refused(const struct cli_store *store,
            const struct bb_store_cmd *cmd,
            const struct bb_store_result *result)
{
    char key[CLI_KEY_BYTES];
    (void)cli_store_short(key, &cmd->key);
    switch (result->code) {
    case 0:
    case BB_ECANCELED: /* the one that undid it is said */
        return CLI_DONE;
    case BB_ENOENT:
        return cli_store_say_no_key(store, &cmd->key);
    case BB_EEXIST:
        if (!store->o->quiet) {
            cli_say("%s is in the store \"%.80s\" already", key, store->name);
        }
        return CLI_NO;
    case BB_EBUSY:
        if (!store->o->quiet) {
            say_busy(cmd, result, key);
        }
        return CLI_NO;
    case BB_ERANGE:
        cli_say("%s cannot hold the result: it is out of the range of its type; it stays as it was",
                key);
        return CLI_NO;
    case BB_ETYPE:
        return say_type(store, cmd, key);
    default:
        return cli_store_report(store, result->code, key);
    }
}

static void
put_result(struct cli_buffer *out,
           const struct bb_store_cmd *cmd,
           const struct bb_store_result *result)
{
    cli_buffer_puts(out, "{");
    cli_store_put_json(out, "key", &cmd->key);
    cli_buffer_printf(out, ",\"changed\":%s,\"version\":%llu",
                      result->changed != 0 ? "true" : "false", (unsigned long long)result->version);
    if (result->value.p != NULL) {
        cli_store_put_json(out, "value", &result->value);
    }
    if (result->code != 0) {
        cli_buffer_printf(out, ",\"error\":\"%s\"", bb_strerror(result->code));
    }
    cli_buffer_puts(out, "}\n");
}

/* has_results - the frame ran: a status of its own would have left them as they were. */
static int
has_results(const struct bb_store_result *results, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (results[i].code != 0) {
            return 1;
        }
    }
    return 0;
}

int
cli_store_report_unsent(const struct cli_store *store, int status, const char *what)
{
    const struct bb_error *words = bb_store_error(store->s);
    if (status != BB_ENOSPC || (words != NULL && words->code == status)) {
        return cli_store_report(store, status, what);
    }
    cli_say(
        "there is no room for this process's own ring beside the bus, from which it would send to "
        "the store \"%.80s\": the file system of the bus is full, not the store; remove what "
        "fills it, or end a member (`busbar node list`)",
        store->name);
    return CLI_RESOURCE;
}

int
cli_store_write(struct cli_store *store,
                const struct bb_store_cmd *cmds,
                size_t count,
                struct bb_store_result *results)
{
    struct cli_buffer out = {0};
    int code = CLI_DONE;

    memset(results, 0, count * sizeof(*results));
    int rc = bb_store_run(store->s, cmds, count, count > 1 ? BB_STORE_ATOMIC : 0, results);
    if (rc < 0 && !has_results(results, count)) {
        return cli_store_report_unsent(store, rc, "cannot write");
    }
    for (size_t i = 0; i < count; i++) {
        if (store->call->common.json) { /* first, as the sentence may read from the store */
            put_result(&out, &cmds[i], &results[i]);
        }
    }
    (void)cli_store_print(&out);
    cli_buffer_free(&out);
    for (size_t i = 0; i < count && code == CLI_DONE; i++) {
        code = say_refused(store, &cmds[i], &results[i]);
    }
    return code;
}
