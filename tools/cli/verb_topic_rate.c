/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_topic_rate.c - `busbar topic hz T` and `busbar topic bw T`.
 *
 * Both read the publishers' own counters every 20 ms, so that rings which live shortly are seen too, and
 * print one line each period.  They differ in what they print as text; their JSON is the same.
 */
#include "tools/cli/attach.h"
#include "tools/cli/clock.h"
#include "tools/cli/format.h"
#include "tools/cli/json.h"
#include "tools/cli/meter.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>
#include <stdio.h>

static const int64_t look_ns = CLI_SECOND_NS / 50;

struct rate_options {
    uint64_t samples;
    int64_t for_ns;
    int64_t every_ns;
    int exact;
};

static const struct rate_options defaults = {.for_ns = -1, .every_ns = CLI_SECOND_NS};

struct range {
    double min, max;
};

struct rate {
    const struct cli_call *call;
    const struct rate_options *o;
    int is_bytes; /* bw */
    struct cli_meter meter;
    uint64_t samples;
    int64_t sample_ns; /* when the current sample began */
    uint64_t sample_messages, sample_bytes;
    struct range hz, bandwidth;
};

static double
per_second(uint64_t count, int64_t span_ns)
{
    return span_ns > 0 ? (double)count * (double)CLI_SECOND_NS / (double)span_ns : 0.0;
}

static void
widen(struct range *range, double v, int first)
{
    range->min = first || v < range->min ? v : range->min;
    range->max = first || v > range->max ? v : range->max;
}

/* put_rate - `100.2 msg/s` or `3.1MiB/s`. */
static void
put_rate(const struct rate *r, double hz, double bandwidth)
{
    char text[CLI_NUMBER_BYTES];
    if (r->is_bytes) {
        printf("%s/s", cli_bytes(text, bandwidth));
    } else {
        printf("%.1f msg/s", hz);
    }
}

/* end_sample - closes the current sample with the meter's last look, prints it. */
static void
end_sample(struct rate *r)
{
    int64_t span_ns = r->meter.last_ns - r->sample_ns;
    uint64_t messages = r->meter.messages - r->sample_messages;
    uint64_t bytes = r->meter.payload_bytes - r->sample_bytes;
    double hz = per_second(messages, span_ns);
    double bandwidth = per_second(bytes, span_ns);

    if (span_ns <= 0) {
        return;
    }
    widen(&r->hz, hz, r->samples == 0);
    widen(&r->bandwidth, bandwidth, r->samples == 0);
    r->samples++;
    r->sample_ns = r->meter.last_ns;
    r->sample_messages = r->meter.messages;
    r->sample_bytes = r->meter.payload_bytes;
    if (!r->call->common.json) {
        put_rate(r, hz, bandwidth);
        printf("  %" PRIu64 " messages, %" PRIu64 " bytes in %.3f s\n", messages, bytes,
               (double)span_ns / (double)CLI_SECOND_NS);
    }
}

static int
is_enough(const struct rate *r, int64_t deadline_ns)
{
    return cli_stopped() || cli_left_ns(deadline_ns, 1) == 0
           || (r->o->samples > 0 && r->samples >= r->o->samples);
}

static int
measure(struct rate *r)
{
    int64_t deadline_ns = cli_deadline(r->o->for_ns);
    int code = CLI_DONE;

    r->sample_ns = r->meter.start_ns;
    while (code == CLI_DONE && !is_enough(r, deadline_ns)) {
        int64_t end_ns = r->sample_ns + r->o->every_ns;
        int64_t wait_ns = cli_left_ns(end_ns < deadline_ns ? end_ns : deadline_ns, look_ns);
        cli_sleep_until(cli_mono_ns() + wait_ns);
        code = cli_meter_step(&r->meter);
        if (code == CLI_DONE && r->meter.last_ns >= end_ns) {
            end_sample(r);
            if (cli_output_flush() != 0) {
                break;
            }
        }
        if (cli_output_is_gone()) {
            break;
        }
    }
    if (code == CLI_DONE
        && (r->samples == 0 || r->meter.last_ns - r->sample_ns > r->o->every_ns / 2)) {
        end_sample(r); /* the rest of --for */
    }
    return code;
}

static void
print_summary(const struct rate *r)
{
    const struct cli_meter *m = &r->meter;
    int64_t span_ns = m->last_ns - m->start_ns;
    double seconds = (double)span_ns / (double)CLI_SECOND_NS;
    double hz = per_second(m->messages, span_ns);
    double bandwidth = per_second(m->payload_bytes, span_ns);

    if (!r->call->common.json) {
        fputs("average ", stdout);
        put_rate(r, hz, bandwidth);
        fputs("  min ", stdout);
        put_rate(r, r->hz.min, r->bandwidth.min);
        fputs("  max ", stdout);
        put_rate(r, r->hz.max, r->bandwidth.max);
        printf("  %" PRIu64 " messages, %" PRIu64 " bytes in %.3f s\n", m->messages,
               m->payload_bytes, seconds);
        return;
    }
    struct cli_json j = {0};
    cli_json_object(&j, NULL);
    cli_json_text(&j, "topic", r->call->args[0]);
    cli_json_boolean(&j, "exact", r->o->exact);
    cli_json_real(&j, "seconds", seconds);
    cli_json_count(&j, "messages", m->messages);
    cli_json_count(&j, "bytes", m->payload_bytes);
    cli_json_real(&j, "hz", hz);
    cli_json_real(&j, "hz_min", r->hz.min);
    cli_json_real(&j, "hz_max", r->hz.max);
    cli_json_real(&j, "bytes_per_s", bandwidth);
    cli_json_real(&j, "bytes_per_s_min", r->bandwidth.min);
    cli_json_real(&j, "bytes_per_s_max", r->bandwidth.max);
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

static int
run_rate(const struct cli_call *call, const struct rate_options *o, int is_bytes)
{
    struct cli_topic_filter filter = {call->args, call->arg_count, o->exact};
    struct bb_look *look = NULL;

    if (o->every_ns <= 0) {
        return cli_wrong(call->verb, "--every takes a time above zero");
    }
    int code = cli_look(call, &look);
    if (code != CLI_DONE) {
        return code;
    }
    struct rate r = {.call = call,
                     .o = o,
                     .is_bytes = is_bytes,
                     .meter = {.call = call, .look = look, .filter = &filter}};
    cli_signals_catch();
    code = cli_meter_start(&r.meter);
    if (code == CLI_DONE && r.meter.last.count == 0) {
        code = cli_no_topic(&filter);
    }
    if (code == CLI_DONE) {
        code = measure(&r);
    }
    if (code == CLI_DONE) {
        print_summary(&r);
    }
    cli_meter_stop(&r.meter);
    bb_look_close(look);
    return code;
}

static int
run_hz(const struct cli_call *call, const void *options)
{
    return run_rate(call, options, 0);
}

static int
run_bw(const struct cli_call *call, const void *options)
{
    return run_rate(call, options, 1);
}

static const struct cli_option options[] = {
    {.letter = 'n',
     .name = "samples",
     .type = CLI_COUNT,
     .offset = offsetof(struct rate_options, samples),
     .arg = "N",
     .help = "end after so many lines"},
    {.name = "for",
     .type = CLI_SPAN,
     .offset = offsetof(struct rate_options, for_ns),
     .arg = "TIME",
     .help = "end after this time"},
    {.name = "every",
     .type = CLI_SPAN,
     .offset = offsetof(struct rate_options, every_ns),
     .arg = "TIME",
     .help = "time between two lines (default 1s)"},
    {.letter = 'x',
     .name = "exact",
     .type = CLI_FLAG,
     .offset = offsetof(struct rate_options, exact),
     .help = "T is a whole topic, not a prefix"},
    {.name = NULL},
};

const struct cli_verb cli_verb_topic_hz = {
    .noun = "topic",
    .name = "hz",
    .line = "measure how many messages a second are published",
    .usage = "[OPTION]... T",
    .text = "Counts come from the publishers' own counters: exact without any subscriber,\n"
            "and no reader that is too slow makes them smaller.  Prints a line each second,\n"
            "and the average at the end or at SIGINT.  T is a prefix: all topics that begin\n"
            "with it are counted together.",
    .examples = "busbar topic hz zeek/\nbusbar topic hz -x zeek/logs/conn --for 10s --json\n",
    .options = options,
    .options_bytes = sizeof(struct rate_options),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 1,
    .flags = CLI_JSON,
    .run = run_hz,
};

const struct cli_verb cli_verb_topic_bw = {
    .noun = "topic",
    .name = "bw",
    .line = "measure how many bytes a second are published",
    .usage = "[OPTION]... T",
    .text = "As `topic hz`, in bytes of payload.",
    .examples = "busbar topic bw zeek/ -n 5\n",
    .options = options,
    .options_bytes = sizeof(struct rate_options),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 1,
    .flags = CLI_JSON,
    .run = run_bw,
};
