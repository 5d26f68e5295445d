/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_value.c - `busbar value --from F --to F`: values of standard input, one a line, in another form.
 *
 * A line that is refused is said and counted, and the next one is tried: the exit code answers whether all
 * lines were values, as `pub` does for messages.
 */
#include "tools/cli/convert.h"
#include "tools/cli/lines.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <stdio.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 64 << 20,
    READ_WAIT_MS = 30000, /* a signal ends it */
};

struct value_options {
    const char *from;
    const char *to;
    const char *type;
    int exact;
};

static const struct value_options defaults = {.from = "text", .to = "json"};

struct conversion {
    enum cli_form from;
    enum cli_form to;
    int type;
    struct cli_buffer native;
    struct cli_buffer out;
    uint64_t lines;
    uint64_t refused;
    int status; /* what ended it, or 0 */
};

static int
prepare(const struct cli_call *call, const struct value_options *o, struct conversion *c)
{
    int from = cli_form_parse(o->from);
    int to = cli_form_parse(o->to);
    if (from < 0 || to < 0) {
        return cli_wrong(call->verb, "--%s takes text, json, bin or native, not \"%.80s\"",
                         from < 0 ? "from" : "to", from < 0 ? o->from : o->to);
    }
    if (o->exact && to != CLI_FORM_JSON) {
        return cli_wrong(call->verb, "--exact goes with --to json");
    }
    if (o->type != NULL && from != CLI_FORM_TEXT) {
        return cli_wrong(call->verb, "--type goes with --from text");
    }
    c->type = o->type != NULL ? cli_type_parse(o->type) : BB_TYPE_ANY;
    if (c->type == BB_EINVAL) {
        return cli_wrong(call->verb, "there is no type \"%.80s\"; `busbar help value` lists them",
                         o->type);
    }
    c->from = (enum cli_form)from;
    c->to = o->exact ? CLI_FORM_EXACT : (enum cli_form)to;
    return CLI_DONE;
}

static void
convert(struct conversion *c, const char *line, size_t bytes)
{
    struct bb_codec_error error = {0};
    int rc = cli_value_read(&c->native, c->from, c->type, line, bytes, &error);
    c->lines++;
    c->out.bytes = 0;
    if (rc == 0) {
        rc = cli_value_print(&c->out, c->to, &c->native);
    } else if (rc == BB_EINVAL) {
        cli_say("value: line %llu: column %zu: %s", (unsigned long long)c->lines, error.offset + 1,
                error.sentence);
        c->refused++;
        return;
    }
    if (rc < 0) {
        c->status = rc;
        return;
    }
    fwrite(c->out.p, 1, c->out.bytes, stdout);
    putchar('\n');
}

/* Lines that were too long stand before the one that has just been found. */
static void
count_too_long(struct conversion *c, const struct cli_lines *lines, uint64_t *seen)
{
    for (; *seen < lines->too_long; (*seen)++) {
        c->lines++;
        c->refused++;
        cli_say("value: line %llu: column %d: a line has at most %d MiB",
                (unsigned long long)c->lines, LINE_MAX_BYTES + 1, LINE_MAX_BYTES >> 20);
    }
}

static void
convert_lines(struct conversion *c)
{
    struct cli_lines lines;
    const char *line;
    size_t bytes;
    uint64_t too_long = 0;
    int is_gone = 0;

    c->status = cli_lines_init(&lines, STDIN_FILENO, LINE_MAX_BYTES);
    while (c->status == 0 && !is_gone && !cli_stopped()) {
        int is_there = cli_lines_next(&lines, &line, &bytes);
        count_too_long(c, &lines, &too_long);
        if (is_there) {
            convert(c, line, bytes);
        } else if (lines.at_end) {
            break;
        } else {
            is_gone = cli_output_flush(); /* nothing may wait for the next line */
            if (!is_gone) {
                c->status = cli_lines_read(&lines, READ_WAIT_MS);
            }
        }
    }
    cli_lines_fini(&lines);
}

static int
run(const struct cli_call *call, const void *options)
{
    struct conversion c = {0};
    int code = prepare(call, options, &c);
    if (code != CLI_DONE) {
        return code;
    }
    cli_signals_catch();
    convert_lines(&c);
    cli_buffer_free(&c.native);
    cli_buffer_free(&c.out);
    if (c.status < 0) {
        code = cli_report(call, c.status, NULL, "cannot convert standard input");
    } else if (c.refused > 0) {
        cli_say("value: %llu of %llu lines were refused", (unsigned long long)c.refused,
                (unsigned long long)c.lines);
        code = CLI_NO;
    }
    return cli_output_finish(code);
}

static const struct cli_option options[] = {
    {.name = "from",
     .type = CLI_TEXT,
     .offset = offsetof(struct value_options, from),
     .arg = "FORM",
     .help = "what is read: text, json, bin or native (else text)",
     .values = "text json bin native"},
    {.name = "to",
     .type = CLI_TEXT,
     .offset = offsetof(struct value_options, to),
     .arg = "FORM",
     .help = "what is printed (else json)",
     .values = "text json bin native"},
    {.name = "type",
     .type = CLI_TEXT,
     .offset = offsetof(struct value_options, type),
     .arg = "TYPE",
     .help = "with --from text: the type of each line (else what it looks like)",
     .values = "@types"},
    {.name = "exact",
     .type = CLI_FLAG,
     .offset = offsetof(struct value_options, exact),
     .help = "with --to json: lose nothing (all digits, nanoseconds, bytes)"},
    {.name = NULL},
};

const struct cli_verb cli_verb_value = {
    .name = "value",
    .line = "convert values, one a line, between text, JSON and binary forms",
    .usage = "[--from FORM] [--to FORM] [--type TYPE] [--exact]",
    .text = "Forms: text as `sub` and people write it; json is JSON v1; bin is Broker's\n"
            "binary v1 and native is a busbar message, both in hex.  No bus is needed.\n"
            "\n"
            "Types: none, boolean, count, integer, real, string, address, subnet, port,\n"
            "timestamp, timespan, enum, set, table, vector, and any, which is what a text\n"
            "looks like: 5 count, -5 integer, 2.5 real, T or F boolean, 10.0.0.1 address,\n"
            "10.0.0.0/8 subnet, 80/tcp port, 300ms timespan, nil none, (a, b) vector,\n"
            "{a, b} set, {a -> b} table, \"in quotes\" or anything else string.\n"
            "\n"
            "A line that is refused is said on standard error, with its number and column;\n"
            "the next ones are still converted, and the exit code is 1.  An empty line is\n"
            "the empty string as text and refused otherwise.  A line has at most 64 MiB.\n"
            "Text goes out as it is: a string that holds a line's end gives two lines.",
    .examples = "echo '(1, 10.0.0.1, {a -> 80/tcp})' | busbar value\n"
                "busbar value --from json --to bin <values.json\n"
                "echo 0e0102000000000000000a | busbar value --from bin --to json --exact\n",
    .options = options,
    .options_bytes = sizeof(struct value_options),
    .defaults = &defaults,
    .min_args = 0,
    .max_args = 0,
    .run = run,
};
