/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verbs.h - what a verb is, and the one table of all verbs.
 *
 * A new verb is one file with one `struct cli_verb` and one line in verbs.c: parsing, help, `help --mdoc`
 * (the man page's list), completion in a shell and the nearest-verb sentence come from that.
 */
#ifndef BUSBAR_TOOLS_CLI_VERBS_H
#define BUSBAR_TOOLS_CLI_VERBS_H

#include "tools/cli/options.h"
#include <stddef.h>

/* What every verb takes, before or after its name. */
struct cli_common {
    const char *dir; /* NULL: the library's default */
    const char *bus; /* NULL: the library's default */
    int json;
    int header;
    int help;
    int version;
};

struct cli_verb;

struct cli_call {
    const struct cli_verb *verb;
    struct cli_common common;
    char **args; /* the arguments after the verb, without options */
    int arg_count;
};

enum {
    CLI_JSON = 1 << 0,  /* takes --json */
    CLI_TABLE = 1 << 1, /* prints a table, so takes --header */
};

enum { CLI_OPTIONS_BYTES = 256 }; /* of the largest options_bytes */

struct cli_verb {
    const char *noun; /* "topic" of `topic hz`, or NULL */
    const char *name;
    const char *line;                 /* what it does, in one line */
    const char *usage;                /* its arguments */
    const char *text;                 /* more about it, or NULL */
    const char *examples;             /* command lines, each ended by a newline, or NULL */
    const struct cli_option *options; /* NULL: none of its own */
    size_t options_bytes;             /* of the struct that they describe */
    const void *defaults;             /* such a struct, or NULL for zeros */
    int min_args, max_args;           /* max_args -1: any number */
    unsigned flags;                   /* CLI_JSON, CLI_TABLE */
    int (*run)(const struct cli_call *call, const void *options); /* returns the exit code */
};

/* The options of struct cli_common, for parsing and help. */
extern const struct cli_option cli_common_options[];

/* cli_verb_takes_common - 1 unless it is --json or --header and the verb has none. */
int cli_verb_takes_common(const struct cli_verb *verb, const struct cli_option *common);

/* cli_verb_at - the verb with this index, NULL after the last; in the order of the help. */
const struct cli_verb *cli_verb_at(size_t i);

/* cli_verb_find - the verb with this noun (or NULL) and name, or NULL. */
const struct cli_verb *cli_verb_find(const char *noun, const char *name);

/* cli_verb_is_noun - 1 if some verb has this noun. */
int cli_verb_is_noun(const char *word);

/* cli_verb_nearest - the verb or noun that looks most like the word, or NULL when nothing does. */
const char *cli_verb_nearest(const char *word);

/* cli_verb_name - "topic hz" in buf, for sentences. */
const char *cli_verb_name(const struct cli_verb *verb, char *buf, size_t bytes);

#endif
