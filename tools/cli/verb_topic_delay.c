/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_topic_delay.c - `busbar topic delay T`: how long from publishing to reading.
 *
 * A tap reads, so nobody is disturbed; it looks every period, so delays are up to one period too long.
 * Times are wall-clock times of one box; a step of that clock spoils a measurement that is under way.
 */
#include "tools/cli/attach.h"
#include "tools/cli/clock.h"
#include "tools/cli/format.h"
#include "tools/cli/histogram.h"
#include "tools/cli/json.h"
#include "tools/cli/output.h"
#include "tools/cli/receive.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { BATCH_MAX = 64 };

struct delay_options {
    uint64_t count;
    int64_t for_ns;
    int64_t period_ns;
    int exact;
};

static const struct delay_options defaults = {.for_ns = 5 * CLI_SECOND_NS, .period_ns = 20000};

struct delay {
    const struct cli_call *call;
    const struct delay_options *o;
    struct bb_subscriber *sub;
    struct cli_histogram *histogram;
};

static int
open_tap(struct delay *d, struct bb_look *look)
{
    struct bb_error error = {0};
    struct bb_tap_opts opts = {
        .size = sizeof(opts),
        .start = BB_START_NOW,
        .prefixes = (const char *const *)d->call->args,
        .prefix_count = 1,
        .period_ns = d->o->period_ns,
        .error = &error,
    };
    int rc = bb_tap_open(&d->sub, look, &opts);
    return rc < 0 ? cli_report(d->call, rc, &error, "cannot tap the bus") : CLI_DONE;
}

/* step - one poll; 0 or a status. */
static int
step(struct delay *d, int64_t deadline_ns)
{
    struct bb_msg msgs[BATCH_MAX];
    size_t topic_bytes = strlen(d->call->args[0]);
    int n = bb_poll(d->sub, msgs, BATCH_MAX, cli_left_ns(deadline_ns, CLI_SLICE_NS));
    int64_t now_ns = cli_wall_ns();

    for (int i = 0; i < n; i++) {
        if (msgs[i].status == NULL && (!d->o->exact || msgs[i].topic_bytes == topic_bytes)
            && (d->o->count == 0 || d->histogram->total < d->o->count)) {
            cli_histogram_add(d->histogram, now_ns - msgs[i].wall_ns);
        }
    }
    bb_release(d->sub);
    return n < 0 ? n : 0;
}

static int
measure(struct delay *d)
{
    int64_t deadline_ns = cli_deadline(d->o->for_ns);
    int rc = 0;
    while (rc == 0 && !cli_stopped() && !cli_output_is_gone() && cli_left_ns(deadline_ns, 1) > 0
           && (d->o->count == 0 || d->histogram->total < d->o->count)) {
        rc = step(d, deadline_ns);
    }
    return rc < 0 ? cli_report(d->call, rc, NULL, "cannot read from the bus") : CLI_DONE;
}

static const struct {
    const char *text, *key;
    double share;
} shares[] = {{"p50", "p50_ns", 0.5},
              {"p90", "p90_ns", 0.9},
              {"p99", "p99_ns", 0.99},
              {"p99.9", "p999_ns", 0.999}};

enum { SHARE_COUNT = sizeof(shares) / sizeof(shares[0]) };

static void
print_json(const struct delay *d)
{
    struct cli_json j = {0};
    cli_json_object(&j, NULL);
    cli_json_text(&j, "topic", d->call->args[0]);
    cli_json_count(&j, "n", d->histogram->total);
    cli_json_integer(&j, "min_ns", d->histogram->min);
    for (size_t i = 0; i < SHARE_COUNT; i++) {
        cli_json_integer(&j, shares[i].key, cli_histogram_at(d->histogram, shares[i].share));
    }
    cli_json_integer(&j, "max_ns", d->histogram->max);
    cli_json_integer(&j, "period_ns", d->o->period_ns);
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

static void
print_text(const struct delay *d)
{
    char text[CLI_NUMBER_BYTES];
    printf("n=%" PRIu64 "  min %s", d->histogram->total, cli_span(text, d->histogram->min));
    for (size_t i = 0; i < SHARE_COUNT; i++) {
        printf("  %s %s", shares[i].text,
               cli_span(text, cli_histogram_at(d->histogram, shares[i].share)));
    }
    printf("  max %s", cli_span(text, d->histogram->max));
    printf("   (publish to read, looked every %s)\n", cli_span(text, d->o->period_ns));
}

static int
print_result(const struct delay *d)
{
    if (d->call->common.json) {
        print_json(d);
    } else if (d->histogram->total > 0) {
        print_text(d);
    }
    if (d->o->count > 0 && d->histogram->total < d->o->count && !cli_stopped()) {
        cli_say("time ran out: %" PRIu64 " of %" PRIu64 " messages came", d->histogram->total,
                d->o->count);
        return CLI_TIME;
    }
    if (d->histogram->total == 0 && !cli_stopped()) {
        cli_say("no message came on \"%.80s\"", d->call->args[0]);
        return CLI_NO;
    }
    return CLI_DONE;
}

static int
run(const struct cli_call *call, const void *options)
{
    static struct cli_histogram histogram;
    struct delay d = {.call = call, .o = options, .histogram = &histogram};
    struct bb_look *look = NULL;

    cli_signals_catch();
    int code = cli_look(call, &look);
    if (code == CLI_DONE) {
        code = open_tap(&d, look);
    }
    if (code == CLI_DONE) {
        code = measure(&d);
        cli_say_losses(d.sub);
    }
    if (code == CLI_DONE) {
        code = print_result(&d);
    }
    bb_subscriber_close(d.sub);
    bb_look_close(look);
    return code;
}

static const struct cli_option options[] = {
    {.letter = 'n',
     .name = "count",
     .type = CLI_COUNT,
     .offset = offsetof(struct delay_options, count),
     .arg = "COUNT",
     .help = "end after so many messages; short of it the exit code is 3"},
    {.name = "for",
     .type = CLI_SPAN,
     .offset = offsetof(struct delay_options, for_ns),
     .arg = "TIME",
     .help = "end after this time (default 5s)"},
    {.name = "period",
     .type = CLI_SPAN,
     .offset = offsetof(struct delay_options, period_ns),
     .arg = "TIME",
     .help = "look this often (default 20us)"},
    {.letter = 'x',
     .name = "exact",
     .type = CLI_FLAG,
     .offset = offsetof(struct delay_options, exact),
     .help = "T is a whole topic, not a prefix"},
    {.name = NULL},
};

const struct cli_verb cli_verb_topic_delay = {
    .noun = "topic",
    .name = "delay",
    .line = "measure the time from publishing to reading",
    .usage = "[OPTION]... T",
    .text = "A tap reads the messages and compares their times with the clock: nobody is\n"
            "disturbed.  It looks now and then, so a delay may be one --period too long;\n"
            "shorter periods cost more of one core.",
    .examples = "busbar topic delay zeek/ --for 5s\nbusbar topic delay zeek/ -n 1000 --json\n",
    .options = options,
    .options_bytes = sizeof(struct delay_options),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 1,
    .flags = CLI_JSON,
    .run = run,
};
