/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/complete.h - what a shell asks to complete a command line: `busbar help --complete WHAT`.
 *
 * Form       One candidate a line.  `words` is the table of verbs, with tabs between fields:
 *              verb    VERB  OPERAND...            `topic hz` is one VERB; `@topics` stands for a topic
 *              option  VERB  OPTION  ARG  VALUES   once for each spelling; `-` for nothing; VERB `-`:
 *                                                  before the verb
 * Trace      None: it only looks, makes no bus and waits for nobody.
 */
#ifndef BUSBAR_TOOLS_CLI_COMPLETE_H
#define BUSBAR_TOOLS_CLI_COMPLETE_H

#include "tools/cli/verbs.h"
#include <stdio.h>

/* cli_complete_words - the verbs and all their options. */
void cli_complete_words(FILE *out);

/*
 * cli_complete - prints the candidates of `what` (words, buses, nodes, topics, pools, stores) that begin with the prefix.
 *
 * Names with control characters are left out: nobody types them.  Returns the exit code.
 */
int cli_complete(const struct cli_call *call, const char *what, const char *prefix);

#endif
