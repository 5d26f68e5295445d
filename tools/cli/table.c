/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/table.c - two passes over the cells: widths, then lines without blanks at their ends.
 */
#include "tools/cli/table.h"

#include "tools/cli/format.h"
#include "tools/cli/report.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS_MAX = 16 };

struct widths {
    size_t chars[COLUMNS_MAX];
    size_t count;
};

void
cli_cell(struct cli_cells *t, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    cli_buffer_put(&t->cells, text, strlen(text) + 1);
}

void
cli_cell_escaped(struct cli_cells *t, const char *bytes, size_t count)
{
    cli_put_escaped(&t->cells, bytes, count, 1);
    cli_buffer_put(&t->cells, "", 1);
}

/* char_count - characters of UTF-8, near enough to columns of a terminal. */
static size_t
char_count(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return n;
}

static void
print_cell(const struct cli_column *column, const char *text, size_t width, int last)
{
    size_t chars = char_count(text);
    int pad = width > chars ? (int)(width - chars) : 0;

    if (column->right) {
        printf("%*s%s", pad, "", text);
    } else {
        printf("%s%*s", text, last ? 0 : pad, "");
    }
    fputs(last ? "\n" : "  ", stdout);
}

static size_t
next_column(const struct widths *w, size_t column)
{
    return column + 1 < w->count ? column + 1 : 0;
}

static struct widths
measure(const struct cli_cells *t, int header)
{
    struct widths w = {.count = 0};
    const char *end = t->cells.p + t->cells.bytes;
    size_t column = 0;

    for (; w.count < COLUMNS_MAX && t->columns[w.count].name != NULL; w.count++) {
        w.chars[w.count] = header ? char_count(t->columns[w.count].name) : 0;
    }
    for (const char *cell = t->cells.p; cell < end; cell += strlen(cell) + 1) {
        size_t chars = char_count(cell);
        if (chars > w.chars[column]) {
            w.chars[column] = chars;
        }
        column = next_column(&w, column);
    }
    return w;
}

static void
print_rows(const struct cli_cells *t, int header)
{
    struct widths w = measure(t, header);
    const char *end = t->cells.p + t->cells.bytes;
    size_t column = 0;

    for (size_t i = 0; header && i < w.count; i++) {
        print_cell(&t->columns[i], t->columns[i].name, w.chars[i], i + 1 == w.count);
    }
    for (const char *cell = t->cells.p; cell < end; cell += strlen(cell) + 1) {
        print_cell(&t->columns[column], cell, w.chars[column], column + 1 == w.count);
        column = next_column(&w, column);
    }
}

int
cli_cells_print(struct cli_cells *t, int header)
{
    int err = t->cells.err;
    if (t->cells.bytes > 0 && err == 0) { /* nothing found: no lonely header */
        print_rows(t, header || isatty(STDOUT_FILENO));
    }
    cli_buffer_free(&t->cells);
    if (err != 0) {
        cli_say("cannot print the table: %s", bb_strerror(err));
    }
    return cli_exit_code(err);
}
