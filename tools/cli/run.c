/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/run.c - global flags, the verb, its options, its arguments; then the verb runs.
 *
 * Global flags may stand before the verb, between a noun and its verb, and after it.
 */
#include "tools/cli/run.h"

#include "tools/cli/help.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include "tools/cli/verbs.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* read_common - the global flags before the next argument; its index, or -1 when it was said what is wrong. */
static int
read_common(struct cli_common *common, int argc, char **argv)
{
    struct cli_parse parse = {.tables = {{cli_common_options, common}}, .stop_at_argument = 1};
    int next = cli_options_parse(&parse, argc, argv);
    if (next < 0) {
        cli_say("%s; `busbar help` lists what there is", parse.wrong);
    }
    return next;
}

/* run_external - `busbar-WORD` of PATH, as git does it; returns only when there is none. */
static void
run_external(const struct cli_common *common, char **argv)
{
    char program[128];
    int n = snprintf(program, sizeof(program), "busbar-%s", argv[0]);
    if (n < 0 || (size_t)n >= sizeof(program) || strchr(argv[0], '/') != NULL) {
        return;
    }
    if (common->dir != NULL) {
        setenv("BUSBAR_DIR", common->dir, 1); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    if (common->bus != NULL) {
        setenv("BUSBAR_BUS", common->bus, 1); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    char *word = argv[0];
    argv[0] = program;
    execvp(program, argv);
    if (errno != ENOENT) {
        cli_say("cannot start %s: %s", program, strerrordesc_np(errno));
    }
    argv[0] = word;
}

static int
no_such_verb(const char *word)
{
    const char *nearest = cli_verb_nearest(word);
    if (cli_verb_is_noun(word)) {
        cli_say("`busbar %s` needs one more word:", word);
        cli_help_list(stderr, word);
    } else if (nearest != NULL) {
        cli_say("there is no verb \"%.40s\" and no program busbar-%.40s; did you mean `busbar %s`? "
                "`busbar help` lists all verbs",
                word, word, nearest);
    } else {
        cli_say(
            "there is no verb \"%.40s\" and no program busbar-%.40s; `busbar help` lists all verbs",
            word, word);
    }
    return CLI_USAGE;
}

static int
check_arguments(const struct cli_call *call)
{
    const struct cli_verb *verb = call->verb;
    if (call->common.json && !(verb->flags & CLI_JSON)) {
        return cli_wrong(verb, "this verb has no --json");
    }
    if (call->common.header && !(verb->flags & CLI_TABLE)) {
        return cli_wrong(verb, "this verb prints no table that could have a --header");
    }
    if (call->arg_count < verb->min_args) {
        return cli_wrong(verb, "%s",
                         verb->min_args == 1 ? "an argument is missing" : "arguments are missing");
    }
    if (verb->max_args >= 0 && call->arg_count > verb->max_args) {
        return cli_wrong(verb, "\"%.80s\" is one argument too many", call->args[verb->max_args]);
    }
    return CLI_DONE;
}

/* run_verb - argv are the words after the verb's name. */
static int
run_verb(const struct cli_verb *verb, const struct cli_common *common, int argc, char **argv)
{
    static union {
        max_align_t align;
        unsigned char bytes[CLI_OPTIONS_BYTES];
    } options;
    struct cli_call call = {.verb = verb, .common = *common, .args = argv};
    struct cli_parse parse = {
        .tables = {{verb->options, options.bytes}, {cli_common_options, &call.common}}};

    memset(&options, 0, sizeof(options));
    if (verb->defaults != NULL) {
        memcpy(options.bytes, verb->defaults, verb->options_bytes);
    }
    call.arg_count = cli_options_parse(&parse, argc, argv);
    if (call.arg_count < 0) {
        return cli_wrong(verb, "%s", parse.wrong);
    }
    if (call.common.help) {
        cli_help_verb(stdout, verb);
        return CLI_DONE;
    }
    if (call.common.version) {
        call.verb = &cli_verb_version;
        return cli_verb_version.run(&call, NULL);
    }
    int rc = check_arguments(&call);
    return rc != CLI_DONE ? rc : verb->run(&call, options.bytes);
}

/* run_no_verb - only global flags, a noun alone, a program of PATH, or a mistake. */
static int
run_no_verb(const struct cli_common *common, const char *noun, char **argv)
{
    struct cli_call version = {.verb = &cli_verb_version, .common = *common};

    if (common->version) {
        return cli_verb_version.run(&version, NULL);
    }
    if (common->help) {
        cli_help_list(stdout, noun);
        return CLI_DONE;
    }
    if (argv[0] == NULL && noun == NULL) {
        cli_help_list(stderr, NULL);
        return CLI_USAGE;
    }
    if (noun != NULL) {
        return no_such_verb(noun);
    }
    run_external(common, argv);
    return no_such_verb(argv[0]);
}

static int
run(int argc, char **argv)
{
    struct cli_common common = {0};
    const char *noun = NULL;
    int at = read_common(&common, argc, argv);

    if (at >= 0 && at < argc && cli_verb_is_noun(argv[at])) {
        noun = argv[at++];
        int more = read_common(&common, argc - at, argv + at);
        at = more < 0 ? -1 : at + more;
    }
    if (at < 0) {
        return CLI_USAGE;
    }
    const struct cli_verb *verb = at < argc ? cli_verb_find(noun, argv[at]) : NULL;
    if (verb != NULL) {
        return run_verb(verb, &common, argc - at - 1, argv + at + 1);
    }
    return run_no_verb(&common, noun, argv + at);
}

int
cli_run(int argc, char **argv)
{
    cli_output_start();
    return cli_output_finish(run(argc, argv));
}
