/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_help.c - `busbar help [VERB]`, and what is made from the table for others to read.
 */
#include "tools/cli/complete.h"
#include "tools/cli/help.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <stddef.h>

struct help_options {
    const char *complete;
    int mdoc;
};

static int
run(const struct cli_call *call, const void *options)
{
    const struct help_options *o = options;
    const char *word = call->arg_count > 0 ? call->args[0] : NULL;
    int is_noun = word != NULL && cli_verb_is_noun(word);

    if (o->mdoc) {
        cli_help_mdoc(stdout);
        return CLI_DONE;
    }
    if (o->complete != NULL) {
        return cli_complete(call, o->complete, word != NULL ? word : "");
    }
    if (word == NULL || (is_noun && call->arg_count == 1)) {
        cli_help_list(stdout, word);
        return CLI_DONE;
    }
    const struct cli_verb *verb =
        is_noun ? cli_verb_find(word, call->args[1]) : cli_verb_find(NULL, word);
    if (verb == NULL) {
        const char *nearest = cli_verb_nearest(word);
        if (nearest != NULL) {
            cli_say("there is no verb \"%.40s\"; `busbar help %s` may be it",
                    call->args[call->arg_count - 1], nearest);
        } else {
            cli_say("there is no verb \"%.40s\"; `busbar help` lists them",
                    call->args[call->arg_count - 1]);
        }
        return CLI_USAGE;
    }
    cli_help_verb(stdout, verb);
    return CLI_DONE;
}

static const struct cli_option options[] = {
    {.name = "mdoc",
     .type = CLI_FLAG,
     .offset = offsetof(struct help_options, mdoc),
     .help = "print the part of busbar(1) that is made from the table of verbs"},
    {.name = "complete",
     .type = CLI_TEXT,
     .offset = offsetof(struct help_options, complete),
     .arg = "WHAT",
     .help = "for shells: words, buses, nodes, topics, pools or stores, one a line",
     .values = "words buses nodes topics"},
    {.name = NULL},
};

const struct cli_verb cli_verb_help = {
    .name = "help",
    .line = "say how a verb is used",
    .usage = "[VERB]",
    .examples = "busbar help\nbusbar help topic hz\n",
    .options = options,
    .options_bytes = sizeof(struct help_options),
    .max_args = 2,
    .run = run,
};
