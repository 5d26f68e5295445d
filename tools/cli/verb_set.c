/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_set.c - `busbar set NAME VALUE [NODE...]`: changes a variable that its program lets be set.
 */
#include "tools/cli/clock.h"
#include "tools/cli/convert.h"
#include "tools/cli/question.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <string.h>

struct set_options {
    int64_t wait_ns;
    const char *prefix;
    const char *type;
};

static const struct set_options defaults = {.wait_ns = 2 * CLI_SECOND_NS};

/* read_value - CLI_DONE, or an exit code after it said what is wrong. */
static int
read_value(const struct cli_call *call, const struct set_options *o, struct cli_buffer *native)
{
    struct bb_codec_error error = {0};
    const char *text = call->args[1];
    int type = o->type != NULL ? cli_type_parse(o->type) : BB_TYPE_ANY;

    if (type == BB_EINVAL) {
        return cli_wrong(call->verb, "there is no type \"%.80s\"; `busbar help value` lists them",
                         o->type);
    }
    int rc = cli_value_read(native, CLI_FORM_TEXT, type, text, strlen(text), &error);
    if (rc == BB_EINVAL) {
        return cli_wrong(call->verb, "VALUE, column %zu: %s", error.offset + 1, error.sentence);
    }
    return rc < 0 ? cli_report(call, rc, NULL, "the value") : CLI_DONE;
}

static int
run(const struct cli_call *call, const void *options)
{
    const struct set_options *o = options;
    struct cli_buffer native = {0};
    struct bb_value value;

    int code = read_value(call, o, &native);
    if (code == CLI_DONE) {
        int rc = bb_value_open(&value, native.p, native.bytes);
        code = rc < 0 ? cli_report(call, rc, NULL, "the value") : CLI_DONE;
    }
    if (code == CLI_DONE) {
        code = cli_question_ask(&(struct cli_question){
            .call = call,
            .variable = call->args[0],
            .value = &value,
            .nodes = call->args + 2,
            .node_count = call->arg_count - 2,
            .prefix = o->prefix,
            .wait_ns = o->wait_ns,
        });
    }
    cli_buffer_free(&native);
    return code;
}

static const struct cli_option options[] = {
    {.letter = 'W',
     .name = "wait",
     .type = CLI_SPAN,
     .offset = offsetof(struct set_options, wait_ns),
     .arg = "SECONDS",
     .help = "wait at most so long for the answers (default 2s)"},
    {.name = "type",
     .type = CLI_TEXT,
     .offset = offsetof(struct set_options, type),
     .arg = "TYPE",
     .help = "the value's type (else what it looks like; `busbar help value` has both)",
     .values = "@types"},
    {.name = "prefix",
     .type = CLI_TEXT,
     .offset = offsetof(struct set_options, prefix),
     .arg = "PREFIX",
     .help = "of the cluster's topics (else as its nodes have it)"},
    {.name = NULL},
};

const struct cli_verb cli_verb_set = {
    .name = "set",
    .line = "change a variable of the nodes of a cluster",
    .usage = "[OPTION]... VARIABLE VALUE [NODE...]",
    .text = "Prints what each node has then, as `busbar print` does.  A node sets a variable\n"
            "only if its program allows that, and refuses values that it does not like; then\n"
            "the line says why, and the exit code is 1.\n"
            "\n"
            "Without NODE all that are up are asked.  Nothing is undone when one refuses.  A\n"
            "node that did not begin in time, because it was stopped, does not set it later.",
    .examples = "busbar set EX::threshold 100\n"
                "busbar set EX::watched '{10.0.0.1, 10.0.0.2}' worker-1\n"
                "busbar set --type string EX::label 7 manager\n",
    .options = options,
    .options_bytes = sizeof(struct set_options),
    .defaults = &defaults,
    .min_args = 2,
    .max_args = -1,
    .flags = CLI_JSON,
    .run = run,
};
