/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_node_ping.c - `busbar node ping NAME`: does its subscriber answer, and how fast?
 *
 * The one node verb that attaches: an answer needs somebody to answer to.  It never makes a bus.
 */
#include "tools/cli/attach.h"
#include "tools/cli/clock.h"
#include "tools/cli/format.h"
#include "tools/cli/json.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>
#include <stdio.h>

struct ping_options {
    uint64_t count;
    int64_t wait_ns;
    int64_t every_ns;
};

static const struct ping_options defaults = {
    .count = 1, .wait_ns = CLI_SECOND_NS, .every_ns = CLI_SECOND_NS / 5};

struct ping {
    const struct cli_call *call;
    const struct ping_options *o;
    struct bb_endpoint *ep;
    uint64_t sent, answered;
    int64_t min_ns, max_ns;
    double sum_ns;
    struct cli_json json;
};

static void
put_answer(struct ping *p, int64_t rtt_ns)
{
    char text[CLI_NUMBER_BYTES];

    p->min_ns = p->answered == 0 || rtt_ns < p->min_ns ? rtt_ns : p->min_ns;
    p->max_ns = p->answered == 0 || rtt_ns > p->max_ns ? rtt_ns : p->max_ns;
    p->sum_ns += (double)rtt_ns;
    p->answered++;
    if (p->call->common.json) {
        cli_json_integer(&p->json, NULL, rtt_ns);
    } else {
        printf("%s answered after %s\n", p->call->args[0], cli_span(text, rtt_ns));
        cli_output_flush();
    }
}

/* ping_once - CLI_DONE, also when no answer came in time; else an exit code after a sentence. */
static int
ping_once(struct ping *p)
{
    const char *name = p->call->args[0];
    int64_t rtt_ns = 0;
    int rc = bb_node_ping(p->ep, name, p->o->wait_ns, &rtt_ns);

    p->sent++;
    if (rc == 0) {
        put_answer(p, rtt_ns);
        return CLI_DONE;
    }
    if (rc == BB_ETIMEDOUT) {
        cli_say("%.47s did not answer in time", name);
        return CLI_DONE;
    }
    if (rc == BB_ENOENT) {
        cli_say("no node \"%.47s\" on this bus; `busbar node list` lists those there are", name);
        return CLI_NONE;
    }
    if (rc == BB_ENOTSUP) {
        cli_say("%.47s has no subscriber that could answer", name);
        return CLI_NO;
    }
    return cli_report(p->call, rc, NULL, "cannot ping");
}

static void
print_summary(struct ping *p)
{
    char min[CLI_NUMBER_BYTES];
    char mean[CLI_NUMBER_BYTES];
    char max[CLI_NUMBER_BYTES];

    if (p->call->common.json) {
        cli_json_end_array(&p->json);
        cli_json_count(&p->json, "sent", p->sent);
        cli_json_count(&p->json, "answered", p->answered);
        cli_json_end_object(&p->json);
        cli_json_line_end(&p->json);
    } else if (p->sent > 1 && p->answered > 0) {
        printf("%" PRIu64 " of %" PRIu64 " answered  min %s  mean %s  max %s\n", p->answered,
               p->sent, cli_span(min, p->min_ns),
               cli_span(mean, (int64_t)(p->sum_ns / (double)p->answered)),
               cli_span(max, p->max_ns));
    }
}

static int
ping_all(struct ping *p)
{
    int code = CLI_DONE;
    if (p->call->common.json) {
        cli_json_object(&p->json, NULL);
        cli_json_text(&p->json, "node", p->call->args[0]);
        cli_json_array(&p->json, "rtt_ns");
    }
    while (code == CLI_DONE && !cli_stopped()) {
        int64_t next_ns = cli_mono_ns() + p->o->every_ns;
        code = ping_once(p);
        if (p->sent >= p->o->count) {
            break;
        }
        if (code == CLI_DONE) {
            cli_sleep_until(next_ns);
        }
    }
    print_summary(p);
    return code != CLI_DONE ? code : p->answered > 0 ? CLI_DONE : CLI_NO;
}

static int
run(const struct cli_call *call, const void *options)
{
    struct ping p = {.call = call, .o = options};
    cli_signals_catch();
    int code = cli_attach(call, NULL, NULL, BB_ATTACH_EXISTING, &p.ep);
    if (code == CLI_DONE) {
        code = ping_all(&p);
    }
    bb_endpoint_close(p.ep);
    return code;
}

static const struct cli_option options[] = {
    {.letter = 'c',
     .name = "count",
     .type = CLI_COUNT,
     .offset = offsetof(struct ping_options, count),
     .arg = "N",
     .help = "ping so many times (default 1)"},
    {.letter = 'W',
     .name = "wait",
     .type = CLI_SPAN,
     .offset = offsetof(struct ping_options, wait_ns),
     .arg = "SECONDS",
     .help = "wait at most so long for each answer (default 1s)"},
    {.name = "every",
     .type = CLI_SPAN,
     .offset = offsetof(struct ping_options, every_ns),
     .arg = "TIME",
     .help = "time between two pings (default 200ms)"},
    {.name = NULL},
};

const struct cli_verb cli_verb_node_ping = {
    .noun = "node",
    .name = "ping",
    .line = "ask a node to answer and print the round trip",
    .usage = "[OPTION]... NAME",
    .text = "The node's subscriber answers when it polls, so this also says whether its\n"
            "loop is turning.  The exit code is 1 when no answer came, 4 when there is no\n"
            "such node.",
    .examples = "busbar node ping manager\nbusbar node ping worker-3 -c 10\n",
    .options = options,
    .options_bytes = sizeof(struct ping_options),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 1,
    .flags = CLI_JSON,
    .run = run,
};
