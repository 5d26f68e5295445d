/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_print.c - `busbar print NAME [NODE...]`: a variable of every node.
 */
#include "tools/cli/clock.h"
#include "tools/cli/question.h"
#include "tools/cli/verb_list.h"

struct print_options {
    int64_t wait_ns;
    const char *prefix;
};

static const struct print_options defaults = {.wait_ns = 2 * CLI_SECOND_NS};

static int
run(const struct cli_call *call, const void *options)
{
    const struct print_options *o = options;
    return cli_question_ask(&(struct cli_question){
        .call = call,
        .variable = call->args[0],
        .nodes = call->args + 1,
        .node_count = call->arg_count - 1,
        .prefix = o->prefix,
        .wait_ns = o->wait_ns,
    });
}

static const struct cli_option options[] = {
    {.letter = 'W',
     .name = "wait",
     .type = CLI_SPAN,
     .offset = offsetof(struct print_options, wait_ns),
     .arg = "SECONDS",
     .help = "wait at most so long for the answers (default 2s)"},
    {.name = "prefix",
     .type = CLI_TEXT,
     .offset = offsetof(struct print_options, prefix),
     .arg = "PREFIX",
     .help = "of the cluster's topics (else as its nodes have it)"},
    {.name = NULL},
};

const struct cli_verb cli_verb_print = {
    .name = "print",
    .line = "ask the nodes of a cluster for the value of a variable",
    .usage = "[OPTION]... VARIABLE [NODE...]",
    .text = "A line for each node, by name: `NODE VARIABLE = VALUE`.  Without NODE all\n"
            "that are up are asked, and those that died and did not come back are shown\n"
            "too.  A node that does not answer has `no answer`, with its state when it is\n"
            "stopped or down, and delays the lines of the others by the time of -W at most.\n"
            "\n"
            "With --json each line has node, name and value, which is JSON v1, or null when\n"
            "there is none; then error says why.  The exit code is 1 when any node gave no\n"
            "value.\n"
            "\n"
            "Variables are what the program of a node made known; busbar::variables names\n"
            "them.  Every node has busbar::node, role, pid, epoch, lost, heard and relayed.",
    .examples = "busbar print EX::known_clients\n"
                "busbar print busbar::epoch worker-1 worker-2 --json\n",
    .options = options,
    .options_bytes = sizeof(struct print_options),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = -1,
    .flags = CLI_JSON,
    .run = run,
};
