/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/expected.h - the nodes that an operator expects, by words or by a file.
 *
 * Words      NAME or NAME:ROLE.
 * File       a node a line, `NAME` or `NAME ROLE`; blank lines and what follows a # are passed over.
 */
#ifndef BUSBAR_TOOLS_CLI_EXPECTED_H
#define BUSBAR_TOOLS_CLI_EXPECTED_H

#include "tools/cli/verbs.h"
#include <busbar/endpoint.h>
#include <stddef.h>
#include <stdint.h>

struct cli_expected_node {
    char name[BB_NAME_MAX + 1];
    uint32_t role; /* enum bb_role; BB_ROLE_NONE: any */
};

struct cli_expected { /* {0} is an empty list */
    struct cli_expected_node *v;
    size_t count;
};

/* cli_expected_read - the verb's arguments and then the file (NULL: none).  CLI_DONE, or an exit code. */
int
cli_expected_read(const struct cli_call *call, const char *layout_path, struct cli_expected *out);
void cli_expected_free(struct cli_expected *expected);

/* cli_expected_find - the one with this name, or NULL. */
const struct cli_expected_node *cli_expected_find(const struct cli_expected *expected,
                                                  const char *name);

#endif
