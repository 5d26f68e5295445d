/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/main.c - `busbar`.
 */
#include "tools/cli/run.h"

int
main(int argc, char **argv)
{
    return cli_run(argc > 0 ? argc - 1 : 0, argv + 1);
}
