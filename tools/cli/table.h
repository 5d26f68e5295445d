/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/table.h - aligned columns on standard output.
 *
 * Rows are kept until the end, for the widths.  The header is printed on a terminal, or when asked.
 */
#ifndef BUSBAR_TOOLS_CLI_TABLE_H
#define BUSBAR_TOOLS_CLI_TABLE_H

#include "tools/cli/buffer.h"

struct cli_column {
    const char *name; /* NULL ends the list */
    int right;        /* numbers are aligned to the right */
};

struct cli_cells {
    const struct cli_column *columns;
    struct cli_buffer cells; /* NUL-terminated texts, row by row */
};

/* cli_cell - the next cell; after the last of a row comes the first of the next row. */
__attribute__((format(printf, 2, 3))) void cli_cell(struct cli_cells *t, const char *format, ...);
void cli_cell_escaped(struct cli_cells *t, const char *bytes, size_t count);
/* cli_cells_print - prints all, frees the cells; CLI_DONE, or an exit code after a sentence. */
int cli_cells_print(struct cli_cells *t, int header);

#endif
