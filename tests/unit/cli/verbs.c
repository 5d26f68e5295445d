/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    The table of verbs is complete, and a mistyped verb finds the one that was meant.
 * Method  Walks the table; asks for near and far words.
 */
#include "tools/cli/verbs.h"

#include "tools/cli/complete.h"
#include "tools/cli/help.h"
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Test(cli_verbs, every_entry_is_whole)
{
    const struct cli_verb *verb;
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        cr_assert_not_null(verb->line, "%s", verb->name);
        cr_assert_not_null(verb->usage, "%s", verb->name);
        cr_assert_not_null(verb->run, "%s", verb->name);
        cr_assert_leq(verb->options_bytes, CLI_OPTIONS_BYTES, "%s", verb->name);
        cr_assert_eq(verb->options == NULL, verb->options_bytes == 0, "%s", verb->name);
        cr_assert(verb->max_args < 0 || verb->max_args >= verb->min_args, "%s", verb->name);
        cr_assert_eq(cli_verb_find(verb->noun, verb->name), verb);
    }
}

static size_t
value_bytes(enum cli_type type)
{
    static const size_t bytes[] = {
        [CLI_FLAG] = sizeof(int),       [CLI_TEXT] = sizeof(char *),   [CLI_WORD] = sizeof(char *),
        [CLI_COUNT] = sizeof(uint64_t), [CLI_NUMBER] = sizeof(double), [CLI_SPAN] = sizeof(int64_t),
        [CLI_LIFE] = sizeof(int64_t)};
    return bytes[type];
}

Test(cli_verbs, options_fit_their_struct_and_do_not_clash)
{
    const struct cli_verb *verb;
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        for (const struct cli_option *o = verb->options; o != NULL && o->name != NULL; o++) {
            cr_assert_leq(o->offset + value_bytes(o->type), verb->options_bytes, "%s --%s",
                          verb->name, o->name);
            cr_assert_eq(o->arg == NULL, o->type == CLI_FLAG, "%s --%s", verb->name, o->name);
            cr_assert_not_null(o->help);
            for (const struct cli_option *p = o + 1; p->name != NULL; p++) {
                cr_assert_str_neq(o->name, p->name, "%s", verb->name);
                cr_assert(o->letter == 0 || o->letter != p->letter, "%s -%c", verb->name,
                          o->letter);
                cr_assert_neq(o->offset, p->offset, "%s --%s --%s", verb->name, o->name, p->name);
            }
            for (const struct cli_option *p = cli_common_options; p->name != NULL; p++) {
                cr_assert_str_neq(o->name, p->name, "%s", verb->name);
                cr_assert(o->letter == 0 || o->letter != p->letter, "%s -%c", verb->name,
                          o->letter);
            }
        }
    }
}

/* is_value_list - words, or one of the lists that completion knows. */
static int
is_value_list(const char *values)
{
    static const char *const lists[] = {"@buses",  "@nodes", "@topics", "@dirs",
                                        "@groups", "@types", "@pools",  "@stores"};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (strcmp(values, lists[i]) == 0) {
            return 1;
        }
    }
    return values[0] != '\0' && strpbrk(values, "@\t\n") == NULL;
}

Test(cli_verbs, values_are_for_options_that_take_some)
{
    const struct cli_verb *verb;
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        for (const struct cli_option *o = verb->options; o != NULL && o->name != NULL; o++) {
            if (o->values != NULL) {
                cr_assert_not_null(o->arg, "%s --%s", verb->name, o->name);
                cr_assert(is_value_list(o->values), "%s --%s", verb->name, o->name);
            }
        }
    }
}

Test(cli_verbs, common_options_are_those_that_the_verb_takes)
{
    for (const struct cli_option *o = cli_common_options; o->name != NULL; o++) {
        int is_own = strcmp(o->name, "json") == 0 || strcmp(o->name, "header") == 0;
        cr_assert_eq(cli_verb_takes_common(cli_verb_find(NULL, "ls"), o), 1, "--%s", o->name);
        cr_assert_eq(cli_verb_takes_common(cli_verb_find(NULL, "pub"), o), !is_own, "--%s",
                     o->name);
    }
}

Test(cli_complete, a_line_for_each_verb_and_each_spelling_of_an_option)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);

    cli_complete_words(out);
    fclose(out);
    cr_assert_not_null(strstr(text, "verb\tpub\t @topics DATA\n"));
    cr_assert_not_null(strstr(text, "verb\ttopic info\t @topics...\n"));
    cr_assert_not_null(strstr(text, "verb\tdoctor\t\n"));
    cr_assert_not_null(strstr(text, "option\tsub\t--from\tWHERE\tnow oldest\n"));
    cr_assert_not_null(strstr(text, "option\tls\t--long\t-\t-\noption\tls\t-l\t-\t-\n"));
    cr_assert_not_null(strstr(text, "option\t-\t-b\tNAME\t@buses\n"));
    cr_assert_not_null(strstr(text, "verb\tvalue\t\n"));
    cr_assert_not_null(strstr(text, "option\tvalue\t--type\tTYPE\tany none boolean count "));
    cr_assert_not_null(strstr(text, "verb\tstore get\t @stores KEY...\n"));
    cr_assert_not_null(strstr(text, "verb\tstore copy\t @stores @dirs\n"));
    cr_assert_null(strstr(text, "option\tpub\t--json"));
    free(text);
}

Test(cli_verbs, found_by_noun_and_name)
{
    cr_assert_not_null(cli_verb_find(NULL, "pub"));
    cr_assert_not_null(cli_verb_find("topic", "hz"));
    cr_assert_null(cli_verb_find(NULL, "hz"));
    cr_assert_null(cli_verb_find("topic", "pub"));
    cr_assert_null(cli_verb_find(NULL, ""));
    cr_assert(cli_verb_is_noun("topic"));
    cr_assert(cli_verb_is_noun("node"));
    cr_assert(!cli_verb_is_noun("pub"));
}

Test(cli_verbs, nearest)
{
    static const struct {
        const char *word, *nearest;
    } cases[] = {{"pubb", "pub"},   {"subscribe", "sub"}, {"doktor", "doctor"},
                 {"nodes", "node"}, {"topics", "topic"},  {"verison", "version"},
                 {"taap", "tap"},   {"hlep", "help"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *nearest = cli_verb_nearest(cases[i].word);
        cr_assert_not_null(nearest, "%s", cases[i].word);
        cr_assert_str_eq(nearest, cases[i].nearest);
    }
    cr_assert_null(cli_verb_nearest(""));
    cr_assert_null(cli_verb_nearest("q"));
    cr_assert_null(cli_verb_nearest("a-word-that-is-much-longer-than-any-verb-could-be"));
}

Test(cli_help, names_all_verbs)
{
    char *text = NULL;
    size_t bytes = 0;
    const struct cli_verb *verb;
    FILE *out = open_memstream(&text, &bytes);

    cli_help_list(out, NULL);
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        cli_help_verb(out, verb);
    }
    cli_help_mdoc(out);
    fclose(out);
    for (size_t i = 0; (verb = cli_verb_at(i)) != NULL; i++) {
        char name[64];
        cr_assert_not_null(strstr(text, cli_verb_name(verb, name, sizeof(name))));
    }
    free(text);
}
