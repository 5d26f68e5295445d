/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/options.h - reads options by a table, anywhere among the arguments.
 *
 * Forms      -n 3  -n3  --count 3  --count=3; flags may be joined (-lx); `--` ends the options.
 *            A single `-` and negative numbers are arguments, not options.
 */
#ifndef BUSBAR_TOOLS_CLI_OPTIONS_H
#define BUSBAR_TOOLS_CLI_OPTIONS_H

#include <stddef.h>

enum cli_type {
    CLI_FLAG,   /* int, becomes 1 */
    CLI_TEXT,   /* const char *, points into argv */
    CLI_WORD,   /* the same, never empty: `--path "$unset"` is a mistake */
    CLI_COUNT,  /* uint64_t */
    CLI_NUMBER, /* double, above zero */
    CLI_SPAN,   /* int64_t nanoseconds: `250ms`, `1h`; a bare number means seconds */
    CLI_LIFE,   /* the same, for how long a key lives: above zero, at most CLI_LIFE_DAYS_MAX */
};

struct cli_option {
    char letter; /* 0: it has no short form */
    enum cli_type type;
    size_t offset;    /* of its value in the struct that the table describes */
    const char *name; /* long form without dashes; NULL ends a table */
    const char *arg;  /* what the help calls its value; NULL for a flag */
    const char *help;
    const char *values; /* for completion: words that it may be, or @buses, @nodes, @topics, @dirs,
                           @groups, @types, @pools, @stores; NULL: the user's own */
};

struct cli_table {
    const struct cli_option *options; /* NULL: none */
    void *values;                     /* the struct that takes the values */
};

enum { CLI_TABLES_MAX = 2 };

struct cli_parse {
    struct cli_table tables[CLI_TABLES_MAX]; /* searched in this order */
    int stop_at_argument;                    /* end before the first argument (the verb) */
    char wrong[256];                         /* what is wrong, in words */
};

/*
 * cli_options_parse - takes the options out of argv; the arguments move to its front, in their order.
 *
 * Returns   how many arguments there are; with stop_at_argument the index of the first word that was
 *           not read; -1 with a sentence in `wrong`.
 */
int cli_options_parse(struct cli_parse *parse, int argc, char **argv);

#endif
