/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_sub.c - `busbar sub PREFIX...`: print messages.
 */
#include "tools/cli/attach.h"
#include "tools/cli/output.h"
#include "tools/cli/receive.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"

struct sub_options {
    uint64_t count;
    int64_t wait_ns;
    const char *from;
    const char *name;
    const char *group;
    int reliable;
    int path;
    int status;
};

static const struct sub_options defaults = {.wait_ns = -1, .from = "now"};

static int
subscribe(const struct cli_call *call,
          const struct sub_options *o,
          struct cli_start start,
          struct bb_endpoint *ep,
          struct bb_subscriber **sub)
{
    struct bb_error error = {0};
    struct bb_subscriber_opts opts = {
        .size = sizeof(opts),
        .flags =
            (o->reliable ? BB_SUBSCRIBER_RELIABLE : 0U) | (o->status ? BB_SUBSCRIBER_STATUS : 0U),
        .start = start.start,
        .start_count = start.count,
        .wait = BB_WAIT_SLEEP,
        .prefixes = (const char *const *)call->args,
        .prefix_count = (size_t)call->arg_count,
        .prefix_flags = o->path ? BB_TOPIC_PATH : 0U,
        .error = &error,
    };
    int rc = bb_subscriber_open(sub, ep, &opts);
    return rc < 0 ? cli_report(call, rc, &error, "cannot subscribe") : CLI_DONE;
}

static int
run(const struct cli_call *call, const void *options)
{
    const struct sub_options *o = options;
    struct bb_endpoint *ep = NULL;
    struct bb_subscriber *sub = NULL;
    struct cli_start start;

    if (cli_start_parse(o->from, &start) != 0) {
        return cli_wrong(call->verb, "--from takes now, oldest or a number, not \"%.40s\"",
                         o->from);
    }
    cli_signals_catch();
    int code = cli_attach(call, o->name, o->group, 0, &ep);
    if (code != CLI_DONE) {
        return code;
    }
    code = subscribe(call, o, start, ep, &sub);
    if (code == CLI_DONE) {
        code = cli_receive(&(struct cli_receive){
            .call = call,
            .sub = sub,
            .form = call->common.json ? CLI_FORM_JSON : CLI_FORM_TEXT,
            .count = o->count,
            .wait_ns = o->wait_ns,
        });
    }
    bb_subscriber_close(sub);
    bb_endpoint_close(ep);
    return code;
}

static const struct cli_option options[] = {
    {.letter = 'n',
     .name = "count",
     .type = CLI_COUNT,
     .offset = offsetof(struct sub_options, count),
     .arg = "COUNT",
     .help = "end after so many messages"},
    {.letter = 'W',
     .name = "wait",
     .type = CLI_SPAN,
     .offset = offsetof(struct sub_options, wait_ns),
     .arg = "SECONDS",
     .help = "end after this time; short of --count the exit code is 3"},
    {.name = "from",
     .type = CLI_TEXT,
     .offset = offsetof(struct sub_options, from),
     .arg = "WHERE",
     .help = "begin at now (default), oldest, or a number of messages of each ring",
     .values = "now oldest"},
    {.name = "reliable",
     .type = CLI_FLAG,
     .offset = offsetof(struct sub_options, reliable),
     .help = "publishers wait for us or give us up, by their policy"},
    {.name = "path",
     .type = CLI_FLAG,
     .offset = offsetof(struct sub_options, path),
     .help = "prefixes match whole components: a/b matches a/b/c, not a/bc"},
    {.name = "status",
     .type = CLI_FLAG,
     .offset = offsetof(struct sub_options, status),
     .help = "print also who joined, left, died, and what was lost"},
    {.name = "name",
     .type = CLI_WORD,
     .offset = offsetof(struct sub_options, name),
     .arg = "NODE",
     .help = "attach under this name"},
    {.name = "group",
     .type = CLI_WORD,
     .offset = offsetof(struct sub_options, group),
     .arg = "GROUP",
     .help = "share a bus that is made now with this group of users",
     .values = "@groups"},
    {.name = NULL},
};

const struct cli_verb cli_verb_sub = {
    .name = "sub",
    .line = "print the messages of all topics that begin with a prefix",
    .usage = "[OPTION]... PREFIX...",
    .text = "One line a message: TOPIC DATA, with bytes that are not printable escaped.\n"
            "Events are shown as name(arguments).  The empty prefix '' matches all topics.\n"
            "A bus that is not there is made.  At the end, if messages were lost, one line\n"
            "on standard error counts them.",
    .examples = "busbar sub zeek/\n"
                "busbar sub zeek/ -n 10 -W 5s --json\n"
                "busbar sub alerts/ --from oldest --reliable\n",
    .options = options,
    .options_bytes = sizeof(struct sub_options),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = -1,
    .flags = CLI_JSON,
    .run = run,
};
