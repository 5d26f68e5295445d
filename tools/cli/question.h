/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/question.h - asks nodes for a variable, or sets it, and prints what each said; for print and set.
 */
#ifndef BUSBAR_TOOLS_CLI_QUESTION_H
#define BUSBAR_TOOLS_CLI_QUESTION_H

#include "tools/cli/verbs.h"
#include <busbar/value.h>
#include <stdint.h>

struct cli_question {
    const struct cli_call *call;
    const char *variable;
    const struct bb_value *value; /* NULL: only ask */
    char *const *nodes;           /* none: all that are up, and all that died */
    int node_count;
    const char *prefix; /* of the cluster's topics; NULL: as its nodes have it */
    int64_t wait_ns;
};

/*
 * cli_question_ask - a line for each node that was asked, by name.
 *
 * Returns   CLI_DONE when all answered with a value; CLI_NO; CLI_NONE no such bus, node or cluster; or what
 *           else went wrong, after it was said.
 */
int cli_question_ask(const struct cli_question *question);

#endif
