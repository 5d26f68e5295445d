/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_tap.c - `busbar tap [PREFIX...]`: watch without being there.
 */
#include "tools/cli/attach.h"
#include "tools/cli/listing.h"
#include "tools/cli/output.h"
#include "tools/cli/receive.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tap_options {
    uint64_t count;
    int64_t wait_ns;
    int64_t period_ns;
    const char *from; /* NULL: now, with --dead the oldest */
    const char *dead;
    int path;
    int status;
};

static const struct tap_options defaults = {.wait_ns = -1};

/* say_dead - which dead nodes still have something to show: by their slots, then by their rings. */
static void
say_dead(const struct cli_call *call, struct bb_look *look)
{
    struct cli_rings rings = {NULL, 0};
    const char *last = "";
    int found = 0;

    if (cli_list_rings(call, look, &rings) != CLI_DONE) {
        return;
    }
    for (size_t i = 0; i < rings.count; i++) {
        if (rings.v[i].node_state == BB_NODE_DEAD && strcmp(rings.v[i].node, last) != 0) {
            fprintf(stderr, "%s %s", found++ == 0 ? "Dead nodes with messages:" : ",",
                    rings.v[i].node);
            last = rings.v[i].node;
        }
    }
    fputs(found > 0 ? "\n" : "There is no dead node with messages.\n", stderr);
    free(rings.v);
}

static int
open_tap(const struct cli_call *call,
         const struct tap_options *o,
         struct cli_start start,
         struct bb_look *look,
         struct bb_subscriber **sub)
{
    static const char *const all[] = {""};
    struct bb_error error = {0};
    struct bb_tap_opts opts = {
        .size = sizeof(opts),
        .start = start.start,
        .start_count = start.count,
        .prefixes = call->arg_count > 0 ? (const char *const *)call->args : all,
        .prefix_count = call->arg_count > 0 ? (size_t)call->arg_count : 1,
        .prefix_flags = o->path ? BB_TOPIC_PATH : 0U,
        .flags = o->status ? BB_SUBSCRIBER_STATUS : 0U,
        .period_ns = o->period_ns,
        .dead_node = o->dead,
        .error = &error,
    };
    int rc = bb_tap_open(sub, look, &opts);
    if (rc >= 0) {
        return CLI_DONE;
    }
    if (rc == BB_ENOENT && o->dead != NULL) {
        cli_say("no dead node \"%.47s\" has left messages on this bus", o->dead);
        say_dead(call, look);
        return CLI_NONE;
    }
    return cli_report(call, rc, &error, "cannot tap the bus");
}

static int
run(const struct cli_call *call, const void *options)
{
    const struct tap_options *o = options;
    const char *from = o->from != NULL ? o->from : o->dead != NULL ? "oldest" : "now";
    struct bb_look *look = NULL;
    struct bb_subscriber *sub = NULL;
    struct cli_start start;

    if (cli_start_parse(from, &start) != 0) {
        return cli_wrong(call->verb, "--from takes now, oldest or a number, not \"%.40s\"", from);
    }
    cli_signals_catch();
    int code = cli_look(call, &look);
    if (code != CLI_DONE) {
        return code;
    }
    code = open_tap(call, o, start, look, &sub);
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
    bb_look_close(look);
    return code;
}

static const struct cli_option options[] = {
    {.letter = 'n',
     .name = "count",
     .type = CLI_COUNT,
     .offset = offsetof(struct tap_options, count),
     .arg = "COUNT",
     .help = "end after so many messages"},
    {.letter = 'W',
     .name = "wait",
     .type = CLI_SPAN,
     .offset = offsetof(struct tap_options, wait_ns),
     .arg = "SECONDS",
     .help = "end after this time; short of --count the exit code is 3"},
    {.name = "from",
     .type = CLI_TEXT,
     .offset = offsetof(struct tap_options, from),
     .arg = "WHERE",
     .help = "begin at now (default), oldest, or a number of messages of each ring",
     .values = "now oldest"},
    {.name = "dead",
     .type = CLI_TEXT,
     .offset = offsetof(struct tap_options, dead),
     .arg = "NODE",
     .help = "print the last messages of a dead process, then end",
     .values = "@nodes"},
    {.name = "path",
     .type = CLI_FLAG,
     .offset = offsetof(struct tap_options, path),
     .help = "prefixes match whole components: a/b matches a/b/c, not a/bc"},
    {.name = "status",
     .type = CLI_FLAG,
     .offset = offsetof(struct tap_options, status),
     .help = "print also who joined, left, died, and what was lost"},
    {.name = "period",
     .type = CLI_SPAN,
     .offset = offsetof(struct tap_options, period_ns),
     .arg = "TIME",
     .help = "look this often (default 1ms)"},
    {.name = NULL},
};

const struct cli_verb cli_verb_tap = {
    .name = "tap",
    .line = "print messages without attaching: nobody sees it or waits for it",
    .usage = "[OPTION]... [PREFIX...]",
    .text = "A tap maps the rings read-only and looks at them now and then.  It registers\n"
            "nothing, so it never slows a publisher, and loses messages when it is slow\n"
            "itself; it says how many.",
    .examples = "busbar tap\n"
                "busbar tap zeek/ --json -n 100\n"
                "busbar tap --dead worker-3 --from 20\n",
    .options = options,
    .options_bytes = sizeof(struct tap_options),
    .defaults = &defaults,
    .max_args = -1,
    .flags = CLI_JSON,
    .run = run,
};
