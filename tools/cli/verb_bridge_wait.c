/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_bridge_wait.c - `busbar bridge wait`: until the linked boxes know what is subscribed here.
 *
 * Scripts say it right after `busbard &`, so the bus and its busbard are waited for as well.
 */
#include "tools/cli/attach.h"
#include "tools/cli/bridges.h"
#include "tools/cli/clock.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <stdio.h>

struct wait_options {
    int64_t wait_ns;
};

static const struct wait_options defaults = {.wait_ns = 10 * CLI_SECOND_NS};

static int
run(const struct cli_call *call, const void *options)
{
    const struct wait_options *o = options;
    struct bb_error error = {0};
    struct bb_endpoint *ep = NULL;
    int64_t deadline_ns = cli_deadline(o->wait_ns);
    int code = cli_attach_until(call, deadline_ns, &ep);
    if (code == CLI_DONE) {
        int n = bb_interest_wait(ep, o->wait_ns, &error);
        while (n == BB_ENORESPONDERS && cli_again(deadline_ns)) {
            n = bb_interest_wait(ep, cli_left_ns(deadline_ns, INT64_MAX), &error);
        }
        code = n < 0 ? cli_bridge_report(call, n, &error, "cannot wait") : CLI_DONE;
        if (n >= 0) {
            printf("%d\n", n);
        }
    }
    bb_endpoint_close(ep);
    return code;
}

static const struct cli_option options[] = {
    {.letter = 'W',
     .name = "wait",
     .type = CLI_SPAN,
     .offset = offsetof(struct wait_options, wait_ns),
     .arg = "SPAN",
     .help = "wait at most so long (default 10s); then the exit code is 3"},
    {.name = NULL},
};

const struct cli_verb cli_verb_bridge_wait = {
    .noun = "bridge",
    .name = "wait",
    .line = "wait until the linked boxes know what is subscribed here",
    .usage = "[-W SPAN]",
    .text = "Every prefix that some subscriber of this bus has now is known, when it returns,\n"
            "at all boxes that a link is up to: what is published there from then on comes\n"
            "here.  Prints how many boxes that are; 0 when no link is up.\n"
            "Also waits for a busbard that is only being started.  When none came the exit code\n"
            "is 4.",
    .examples = "busbar bridge wait -W 2s\n",
    .options = options,
    .options_bytes = sizeof(struct wait_options),
    .defaults = &defaults,
    .max_args = 0,
    .run = run,
};
