/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_completion.c - `busbar completion bash`: the script, for those who cannot install it.
 */
#include "tools/cli/completion_script.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <stdio.h>
#include <string.h>

static int
run(const struct cli_call *call, const void *options)
{
    (void)options;
    if (strcmp(call->args[0], "bash") != 0) {
        return cli_wrong(call->verb, "there is completion for bash only, not for \"%.40s\"",
                         call->args[0]);
    }
    fwrite(cli_completion_script, 1, cli_completion_script_bytes, stdout);
    return CLI_DONE;
}

const struct cli_verb cli_verb_completion = {
    .name = "completion",
    .line = "print the script by which a shell completes",
    .usage = "SHELL",
    .text = "SHELL is bash.  The script asks this program for its verbs and options, and\n"
            "for the buses, nodes, topics, pools and stores that there are; it makes no bus.",
    .examples = "source <(busbar completion bash)\n",
    .min_args = 1,
    .max_args = 1,
    .run = run,
};
