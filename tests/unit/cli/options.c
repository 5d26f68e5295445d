/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    Options are found anywhere, in all their forms; what is wrong is said in words.
 * Method  One table with an option of each type, parsed from small command lines.
 */
#include "tools/cli/options.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>

struct values {
    int flag, other;
    const char *text;
    uint64_t count;
    double number;
    int64_t span_ns;
};

static const struct cli_option table[] = {
    {.letter = 'f', .name = "flag", .type = CLI_FLAG, .offset = offsetof(struct values, flag)},
    {.letter = 'o', .name = "other", .type = CLI_FLAG, .offset = offsetof(struct values, other)},
    {.letter = 't',
     .name = "text",
     .type = CLI_TEXT,
     .offset = offsetof(struct values, text),
     .arg = "TEXT"},
    {.letter = 'n',
     .name = "count",
     .type = CLI_COUNT,
     .offset = offsetof(struct values, count),
     .arg = "N"},
    {.name = "rate", .type = CLI_NUMBER, .offset = offsetof(struct values, number), .arg = "N"},
    {.letter = 'W',
     .name = "wait",
     .type = CLI_SPAN,
     .offset = offsetof(struct values, span_ns),
     .arg = "TIME"},
    {.name = NULL},
};

enum { WORDS_MAX = 16, WORD_BYTES = 40 };

struct result {
    struct values values;
    struct cli_parse parse;
    char words[WORDS_MAX][WORD_BYTES]; /* argv is writable */
    char *argv[WORDS_MAX];
    int argc;
    int rc;
};

/* parse - words up to NULL; into *r, since argv is rewritten there. */
static void
parse(struct result *r, int stop_at_argument, const char *const *words)
{
    *r = (struct result){.parse = {.stop_at_argument = stop_at_argument}};
    r->parse.tables[0] = (struct cli_table){table, &r->values};
    for (; words[r->argc] != NULL; r->argc++) {
        cr_assert_lt(r->argc, WORDS_MAX - 1);
        snprintf(r->words[r->argc], WORD_BYTES, "%s", words[r->argc]);
        r->argv[r->argc] = r->words[r->argc];
    }
    r->rc = cli_options_parse(&r->parse, r->argc, r->argv);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

Test(cli_options, all_forms_and_places)
{
    struct result r;
    parse(&r, 0, WORDS("a", "-n3", "b", "--text=x", "-W", "250ms", "-fo", "--rate", "2.5", "c"));
    cr_assert_eq(r.rc, 3, "%s", r.parse.wrong);
    cr_assert_str_eq(r.argv[0], "a");
    cr_assert_str_eq(r.argv[1], "b");
    cr_assert_str_eq(r.argv[2], "c");
    cr_assert_eq(r.values.count, 3);
    cr_assert_str_eq(r.values.text, "x");
    cr_assert_eq(r.values.span_ns, 250000000);
    cr_assert_eq(r.values.flag + r.values.other, 2);
    cr_assert(r.values.number > 2.4 && r.values.number < 2.6);
}

Test(cli_options, joined_letters_may_end_in_a_value)
{
    struct result r;
    parse(&r, 0, WORDS("-fn", "7", "-otx"));
    cr_assert_eq(r.rc, 0);
    cr_assert_eq(r.values.count, 7);
    cr_assert_str_eq(r.values.text, "x");
    cr_assert_eq(r.values.flag + r.values.other, 2);
}

Test(cli_options, arguments_with_a_dash)
{
    struct result r;
    parse(&r, 0, WORDS("-", "-5", "-.5", "", "--", "-f", "--text"));
    cr_assert_eq(r.rc, 6);
    cr_assert_str_eq(r.argv[1], "-5");
    cr_assert_str_eq(r.argv[4], "-f");
    cr_assert_eq(r.values.flag, 0);
}

Test(cli_options, values_may_be_empty_or_look_like_options)
{
    struct result r;
    parse(&r, 0, WORDS("--text=", "-f"));
    cr_assert_eq(r.rc, 0);
    cr_assert_str_eq(r.values.text, "");
    parse(&r, 0, WORDS("--text", "--flag"));
    cr_assert_eq(r.rc, 0);
    cr_assert_str_eq(r.values.text, "--flag");
    cr_assert_eq(r.values.flag, 0);
}

Test(cli_options, stops_at_the_verb)
{
    struct result r;
    parse(&r, 1, WORDS("-f", "verb", "-n", "3"));
    cr_assert_eq(r.rc, 1);
    cr_assert_eq(r.values.flag, 1);
    cr_assert_eq(r.values.count, 0);
    cr_assert_str_eq(r.argv[2], "-n");
    parse(&r, 1, WORDS("-f"));
    cr_assert_eq(r.rc, 1);
}

Test(cli_options, wrong_ones_are_said)
{
    const struct {
        const char *const *words;
        const char *wrong;
    } cases[] = {
        {WORDS("--nope"), "there is no option \"--nope\""},
        {WORDS("-z"), "there is no option \"-z\""},
        {WORDS("-fz"), "there is no option \"-z\""},
        {WORDS("--fla"), "there is no option \"--fla\""},
        {WORDS("--flag=1"), "--flag takes no value"},
        {WORDS("-n"), "--count needs a value: N"},
        {WORDS("--count"), "--count needs a value: N"},
        {WORDS("-n", "-1"), "--count takes a whole number, not \"-1\""},
        {WORDS("--rate", "0"), "--rate takes a number above zero, not \"0\""},
        {WORDS("-W", "soon"), "--wait takes a time such as 250ms, 5s or 1h, not \"soon\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct result r;
        parse(&r, 0, cases[i].words);
        cr_assert_eq(r.rc, -1);
        cr_assert_str_eq(r.parse.wrong, cases[i].wrong);
    }
}
