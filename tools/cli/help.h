/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/help.h - what people read about verbs, made from the table.
 */
#ifndef BUSBAR_TOOLS_CLI_HELP_H
#define BUSBAR_TOOLS_CLI_HELP_H

#include "tools/cli/verbs.h"
#include <stdio.h>

void cli_help_list(FILE *out, const char *noun); /* all verbs, or those of a noun */
void cli_help_verb(FILE *out, const struct cli_verb *verb);
void cli_help_mdoc(FILE *out); /* the verbs and options as they stand in docs/man/busbar.1 */

#endif
