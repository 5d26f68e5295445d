/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/help.c - the table of verbs as text and as mdoc.
 */
#include "tools/cli/help.h"

#include <string.h>

enum { NAME_BYTES = 64 };

/* put_columns - a name and what it means, in two columns. */
static void
put_columns(FILE *out, const char *name, const char *meaning)
{
    fprintf(out, "  %-22s %s\n", name, meaning);
}

/* put_option - one option of a table, in two columns. */
static void
put_option(FILE *out, const struct cli_option *o)
{
    char name[NAME_BYTES];
    char letter[8] = "    ";
    if (o->letter != 0) {
        snprintf(letter, sizeof(letter), "-%c, ", o->letter);
    }
    snprintf(name, sizeof(name), "%s--%s%s%s", letter, o->name, o->arg != NULL ? " " : "",
             o->arg != NULL ? o->arg : "");
    put_columns(out, name, o->help);
}

static void
put_options(FILE *out, const struct cli_option *options)
{
    for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++) {
        put_option(out, o);
    }
}

/* put_common_options - those that the verb takes: --json and --header are not for all. */
static void
put_common_options(FILE *out, const struct cli_verb *verb)
{
    for (const struct cli_option *o = cli_common_options; o->name != NULL; o++) {
        if (cli_verb_takes_common(verb, o)) {
            put_option(out, o);
        }
    }
}

static int
is_of_noun(const struct cli_verb *verb, const char *noun)
{
    return noun == NULL || (verb->noun != NULL && strcmp(verb->noun, noun) == 0);
}

void
cli_help_list(FILE *out, const char *noun)
{
    const struct cli_verb *verb;
    char name[NAME_BYTES];

    if (noun == NULL) {
        fputs("usage: busbar [--dir DIR] [-b NAME] VERB [ARGUMENTS]\n\n", out);
    }
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        if (is_of_noun(verb, noun)) {
            put_columns(out, cli_verb_name(verb, name, sizeof(name)), verb->line);
        }
    }
    if (noun == NULL) {
        fputs("\nwith every verb:\n", out);
        put_options(out, cli_common_options);
        fputs("\n`busbar help VERB` says more.  Any other VERB runs the program busbar-VERB of "
              "PATH.\n",
              out);
    }
}

/* put_indented - each line of the text with a margin. */
static void
put_indented(FILE *out, const char *margin, const char *text)
{
    while (*text != '\0') {
        size_t bytes = strcspn(text, "\n");
        fprintf(out, "%s%.*s\n", margin, (int)bytes, text);
        text += bytes + (text[bytes] == '\n');
    }
}

void
cli_help_verb(FILE *out, const struct cli_verb *verb)
{
    char name[NAME_BYTES];

    cli_verb_name(verb, name, sizeof(name));
    fprintf(out, "busbar %s - %s\n\nusage: busbar %s %s\n", name, verb->line, name, verb->usage);
    if (verb->text != NULL) {
        fputc('\n', out);
        put_indented(out, "", verb->text);
    }
    if (verb->options != NULL) {
        fputs("\noptions:\n", out);
        put_options(out, verb->options);
    }
    fputs("\nand before or after the verb:\n", out);
    put_common_options(out, verb);
    if (verb->examples != NULL) {
        fputs("\nexamples:\n", out);
        put_indented(out, "  ", verb->examples);
    }
}

/* ---- mdoc ------------------------------------------------------------------------------------------ */

/* put_roff - text: nothing in it is taken for a request or an escape; each sentence begins a line. */
static void
put_roff(FILE *out, const char *text, size_t bytes)
{
    if (bytes > 0 && (text[0] == '.' || text[0] == '\'')) {
        fputs("\\&", out);
    }
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\\') {
            fputs("\\e", out);
        } else if (text[i] == '-') {
            fputs("\\-", out);
        } else if (text[i] == ' ' && i + 1 < bytes && text[i + 1] == ' ') {
            fputc('\n', out);
            i++;
        } else {
            fputc(text[i], out);
        }
    }
    fputc('\n', out);
}

static void
put_roff_lines(FILE *out, const char *text)
{
    while (*text != '\0') {
        size_t bytes = strcspn(text, "\n");
        if (bytes == 0) {
            fputs(".Pp\n", out);
        } else {
            put_roff(out, text, bytes);
        }
        text += bytes + (text[bytes] == '\n');
    }
}

static void
put_mdoc_options(FILE *out, const struct cli_option *options)
{
    fputs(".Bl -tag -width Ds\n", out);
    for (const struct cli_option *o = options; o != NULL && o->name != NULL; o++) {
        fputs(".It ", out);
        if (o->letter != 0) {
            fprintf(out, "Fl %c , ", o->letter);
        }
        fprintf(out, "Fl \\-%s%s%s\n", o->name, o->arg != NULL ? " Ar " : "",
                o->arg != NULL ? o->arg : "");
        put_roff(out, o->help, strlen(o->help));
    }
    fputs(".El\n", out);
}

static void
put_mdoc_verb(FILE *out, const struct cli_verb *verb)
{
    char name[NAME_BYTES];
    char usage[256];

    snprintf(usage, sizeof(usage), "busbar %s %s", cli_verb_name(verb, name, sizeof(name)),
             verb->usage);
    fputs(".Ss ", out);
    put_roff(out, usage, strlen(usage));
    put_roff(out, verb->line, strlen(verb->line));
    if (verb->text != NULL) {
        fputs(".Pp\n", out);
        put_roff_lines(out, verb->text);
    }
    if (verb->options != NULL) {
        put_mdoc_options(out, verb->options);
    }
}

void
cli_help_mdoc(FILE *out)
{
    const struct cli_verb *verb;
    fputs(".Sh OPTIONS\nThese stand before or after the verb:\n", out);
    put_mdoc_options(out, cli_common_options);
    fputs(".Sh VERBS\n", out);
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        put_mdoc_verb(out, verb);
    }
}
