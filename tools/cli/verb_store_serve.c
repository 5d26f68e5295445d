/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_store_serve.c - `busbar store serve STORE`: a master in the foreground, or a standby.
 */
#include "tools/cli/attach.h"
#include "tools/cli/clock.h"
#include "tools/cli/format.h"
#include "tools/cli/output.h"
#include "tools/cli/read.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <busbar/store.h>
#include <inttypes.h>
#include <stdio.h>

/* A signal does not end the library's wait, and a master wakes up that often anyhow. */
static const int64_t SLICE_NS = CLI_SECOND_NS / 20;

struct serve_options {
    const char *path;
    const char *quota;
    const char *name;
    const char *group;
    int memory, standby, relaxed, fresh, start_empty, verify;
};

struct serve {
    const struct cli_call *call;
    const struct serve_options *o;
    const char *store; /* its name */
    uint64_t quota_bytes;
    struct bb_endpoint *ep;
    struct bb_store *s;
    int is_master;
};

static int
check(struct serve *serve)
{
    const struct serve_options *o = serve->o;
    if (o->memory && o->path != NULL) {
        return cli_wrong(serve->call->verb,
                         "--memory and --path exclude each other: a store is in memory or on disk");
    }
    if (o->relaxed && o->path == NULL) {
        return cli_wrong(serve->call->verb,
                         "--relaxed is for --path: a store in memory is not synced anyhow");
    }
    if (o->standby && (o->fresh || o->start_empty)) {
        return cli_wrong(serve->call->verb, "a standby begins with what the master leaves: "
                                            "--fresh and --start-empty are for masters");
    }
    if (o->quota != NULL && cli_read_bytes(o->quota, &serve->quota_bytes) < 0) {
        return cli_wrong(serve->call->verb,
                         "--quota takes a size such as 64MiB or 2GiB, not \"%.80s\"", o->quota);
    }
    if (o->quota != NULL && serve->quota_bytes < (1U << 20)) {
        return cli_wrong(serve->call->verb, "--quota takes 1MiB or more");
    }
    return CLI_DONE;
}

static struct bb_store_opts
make_opts(const struct serve *serve, struct bb_error *error)
{
    const struct serve_options *o = serve->o;
    return (struct bb_store_opts){
        .size = sizeof(struct bb_store_opts),
        .name = serve->store,
        .role = o->standby ? BB_STORE_STANDBY : BB_STORE_MASTER,
        .flags = (o->relaxed ? BB_STORE_RELAXED : 0U) | (o->fresh ? BB_STORE_FRESH : 0U)
                 | (o->start_empty ? BB_STORE_START_EMPTY : 0U)
                 | (o->verify ? BB_STORE_VERIFY : 0U),
        .path = o->path,
        .quota_bytes = serve->quota_bytes,
        .error = error,
    };
}

/* say_state - ready, waiting, or taken over; with where it is and what is in it. */
static void
say_state(const struct serve *serve, const char *what)
{
    struct bb_store_info info = {.size = sizeof(info)};
    char bytes[CLI_NUMBER_BYTES];
    if (bb_store_info(serve->s, &info) < 0) {
        cli_say("%s the store \"%.80s\"", what, serve->store);
        return;
    }
    cli_say("%s the store \"%.80s\" in %s (%s, quota %s): %" PRIu64 " keys, version %" PRIu64, what,
            serve->store, info.path,
            info.is_memory    ? "in memory"
            : info.is_relaxed ? "on disk, relaxed"
                              : "on disk",
            cli_bytes(bytes, (double)info.quota_bytes), info.keys, info.version);
    if (!serve->is_master && info.has_master) {
        cli_say("its master is %s (pid %" PRId64 ")", info.master_node, info.master_pid);
    }
}

static int
open_store(struct serve *serve)
{
    struct bb_error error = {0};
    struct bb_store_opts opts = make_opts(serve, &error);
    int rc = bb_store_open(&serve->s, serve->ep, &opts);
    if (rc < 0) {
        if (error.sentence[0] == '\0') {
            (void)snprintf(error.sentence, sizeof(error.sentence),
                           "cannot serve the store \"%.80s\": %s", serve->store, bb_strerror(rc));
        }
        return cli_report(serve->call, rc, &error, "cannot serve the store");
    }
    /* What START_EMPTY did is in the error's sentence, though nothing failed. */
    if (error.sentence[0] != '\0') {
        cli_say("%s", error.sentence);
    }
    serve->is_master = bb_store_is_master(serve->s);
    say_state(serve, serve->is_master ? "serving" : "standing by for");
    return CLI_DONE;
}

/* serve_on - until a signal.  0 or a status. */
static int
serve_on(struct serve *serve)
{
    while (!cli_stopped()) {
        int rc = bb_store_poll(serve->s, SLICE_NS);
        if (rc < 0 && rc != BB_EAGAIN && rc != BB_ETIMEDOUT) {
            return rc;
        }
        int is_master = bb_store_is_master(serve->s);
        if (is_master != serve->is_master) {
            serve->is_master = is_master;
            say_state(serve, is_master ? "took over: serving" : "not the master any more of");
        }
    }
    return 0;
}

static int
run(const struct cli_call *call, const void *options)
{
    struct serve serve = {.call = call, .o = options, .store = call->args[0]};
    int code = check(&serve);
    if (code != CLI_DONE) {
        return code;
    }
    cli_signals_catch();
    code = cli_attach(call, serve.o->name, serve.o->group, 0, &serve.ep);
    if (code == CLI_DONE) {
        code = open_store(&serve);
    }
    if (code == CLI_DONE) {
        int rc = serve_on(&serve);
        if (rc < 0) {
            cli_say("the store \"%.80s\" cannot be served any longer: %s; it can still be read",
                    serve.store, bb_strerror(rc));
            code = cli_exit_code(rc);
        }
    }
    bb_store_close(serve.s);
    bb_endpoint_close(serve.ep);
    return code;
}

static const struct cli_option options[] = {
    {.name = "memory",
     .type = CLI_FLAG,
     .offset = offsetof(struct serve_options, memory),
     .help = "in memory, beside the bus, and gone with it (default)"},
    {.name = "path",
     .type = CLI_WORD,
     .offset = offsetof(struct serve_options, path),
     .arg = "DIR",
     .help = "on disk, in this directory, which is made",
     .values = "@dirs"},
    {.name = "standby",
     .type = CLI_FLAG,
     .offset = offsetof(struct serve_options, standby),
     .help = "stand by, and take over when there is no master"},
    {.name = "quota",
     .type = CLI_WORD,
     .offset = offsetof(struct serve_options, quota),
     .arg = "SIZE",
     .help = "of all its files (default 1GiB in memory, 16GiB on disk)"},
    {.name = "relaxed",
     .type = CLI_FLAG,
     .offset = offsetof(struct serve_options, relaxed),
     .help = "a power cut may take the last commit; nothing is damaged"},
    {.name = "fresh",
     .type = CLI_FLAG,
     .offset = offsetof(struct serve_options, fresh),
     .help = "begin empty whatever is there"},
    {.name = "start-empty",
     .type = CLI_FLAG,
     .offset = offsetof(struct serve_options, start_empty),
     .help = "move a damaged store aside and begin empty"},
    {.name = "verify",
     .type = CLI_FLAG,
     .offset = offsetof(struct serve_options, verify),
     .help = "look at every record before serving it"},
    {.name = "name",
     .type = CLI_WORD,
     .offset = offsetof(struct serve_options, name),
     .arg = "NODE",
     .help = "attach under this name"},
    {.name = "group",
     .type = CLI_WORD,
     .offset = offsetof(struct serve_options, group),
     .arg = "GROUP",
     .help = "share a bus that is made now with this group of users",
     .values = "@groups"},
    {.name = NULL},
};

const struct cli_verb cli_verb_store_serve = {
    .noun = "store",
    .name = "serve",
    .line = "be the master of a store, until a signal ends it",
    .usage = "[OPTION]... STORE",
    .text = "A bus and a store that are not there are made.  A line on standard error says\n"
            "when it is ready, where the store lies and how many keys it has.  SIGINT and\n"
            "SIGTERM end it in order: the exit code is 0, and the store stays.\n"
            "\n"
            "There is one master: a second one is refused with the first one's name and\n"
            "pid, exit code 1.  With --standby it waits instead, and says when it took over;\n"
            "nothing that was answered is lost then, and nothing is done twice.\n"
            "\n"
            "A name has at most 47 letters, digits and . _ -.",
    .examples = "busbar store serve hosts\n"
                "busbar store serve hosts --path /var/lib/sensor/hosts --quota 2GiB\n"
                "busbar store serve hosts --standby\n",
    .options = options,
    .options_bytes = sizeof(struct serve_options),
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
