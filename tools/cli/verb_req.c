/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_req.c - `busbar req TOPIC [DATA]`: ask, and print the replies.
 *
 * The library keeps the deadline, and says when no more replies come; here they are only counted.  Lines of
 * standard input are asked one after the other: the next one when the last one has ended.
 */
#include "tools/cli/attach.h"
#include "tools/cli/clock.h"
#include "tools/cli/lines.h"
#include "tools/cli/output.h"
#include "tools/cli/receive.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <busbar/request.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { READ_WAIT_MS = 30000 }; /* a signal ends it; one that came just before it is seen then */

struct req_options {
    uint64_t count;
    int64_t wait_ns;
    const char *node;
    const char *name;
};

static const struct req_options defaults = {.count = 1, .wait_ns = 5 * CLI_SECOND_NS};

struct req {
    const struct cli_call *call;
    const struct req_options *o;
    uint64_t node_id; /* 0: everybody who wants the topic */
    struct bb_endpoint *ep;
    struct bb_publisher *publisher;
    struct bb_subscriber *sub;
    struct bb_topic *topic;
};

/* What came to one request. */
struct replies {
    uint64_t id;
    uint64_t count;
    uint64_t errors; /* of these */
    int has_ended;
    struct bb_reply_info end;
};

static int
open_all(struct req *req)
{
    const char *topic = req->call->args[0];
    struct bb_error error = {0};
    struct bb_publisher_opts po = {.size = sizeof(po), .lane = BB_LANE_ONESHOT, .error = &error};
    struct bb_subscriber_opts so = {.size = sizeof(so), .wait = BB_WAIT_SLEEP, .error = &error};

    if (req->call->arg_count == 1 || strlen(req->call->args[1]) + strlen(topic) > 16 << 10) {
        po.lane = BB_LANE_CONTROL; /* a line may be long */
    }
    int rc = bb_subscriber_open(&req->sub, req->ep, &so);
    if (rc < 0) {
        return cli_report(req->call, rc, &error, "cannot listen for replies");
    }
    rc = bb_publisher_open(&req->publisher, req->ep, &po);
    if (rc < 0) {
        return cli_report(req->call, rc, &error, "cannot make a ring");
    }
    rc = bb_topic_open(&req->topic, req->publisher, topic, strlen(topic));
    return rc < 0 ? cli_report(req->call, rc, NULL, "the topic") : CLI_DONE;
}

static int
find_node(struct req *req)
{
    if (req->o->node == NULL) {
        return CLI_DONE;
    }
    int rc = bb_node_find(req->ep, req->o->node, &req->node_id);
    if (rc == BB_ENOENT) {
        cli_say("there is no node \"%.80s\" on this bus; `busbar node list` lists them",
                req->o->node);
        return CLI_NONE;
    }
    return rc < 0 ? cli_report(req->call, rc, NULL, "cannot look for the node") : CLI_DONE;
}

/* take - one message: a reply is printed, an error is said, an end is remembered. */
static int
take(const struct req *req, const struct bb_msg *msg, struct replies *r)
{
    struct bb_reply_info info;
    if (bb_msg_reply(msg, &info) != 0 || info.id != r->id) {
        return 0;
    }
    if (info.is_end) {
        r->has_ended = 1;
        r->end = info;
        return 0;
    }
    r->count++;
    if (info.code != 0) {
        r->errors++;
        cli_say("%s: %.*s (%s)", msg->node, (int)(msg->bytes < 400 ? msg->bytes : 400),
                (const char *)msg->data, bb_strerror(info.code));
        return 0;
    }
    return cli_print_batch(req->sub, msg, 1,
                           req->call->common.json ? CLI_FORM_JSON : CLI_FORM_DATA);
}

static int
is_enough(const struct req *req, const struct replies *r)
{
    return r->has_ended || (req->o->count != 0 && r->count >= req->o->count);
}

/* collect - until there are enough, or no more come.  0 or a status. */
static int
collect(const struct req *req, struct replies *r)
{
    while (!is_enough(req, r) && !cli_stopped()) {
        struct bb_msg msg;
        int rc = bb_poll(req->sub, &msg, 1, CLI_SLICE_NS);
        if (rc == 1) {
            rc = take(req, &msg, r);
        }
        if (rc < 0) {
            return rc;
        }
        if (cli_output_flush() != 0) {
            break;
        }
    }
    return 0;
}

/* say_short - why there are fewer replies than were wanted; the exit code. */
static int
say_short(const struct req *req, const struct replies *r)
{
    unsigned long long got = r->count;
    const char *topic = req->call->args[0];
    char wanted[48] = "";
    if (req->o->count != 0) {
        (void)snprintf(wanted, sizeof(wanted), " of %llu", (unsigned long long)req->o->count);
    }
    if (!r->has_ended) {
        cli_say("interrupted: %llu%s replies came", got, wanted);
        return CLI_NO;
    }
    if (r->end.code == BB_ETIMEDOUT) {
        cli_say("time ran out: %llu%s replies came; %u subscribers want \"%.80s\"", got, wanted,
                r->end.asked, topic);
        return CLI_TIME;
    }
    if (r->end.code == BB_EPEERGONE) {
        cli_say(
            "%llu%s replies came; %u of the %u subscribers that want \"%.80s\" went without one",
            got, wanted, r->end.asked - r->end.answers, r->end.asked, topic);
        return CLI_NO;
    }
    cli_say("%llu%s replies came: all %u subscribers that want \"%.80s\" have answered", got,
            wanted, r->end.asked, topic);
    return CLI_NO;
}

static int
ask(const struct req *req, const void *data, size_t bytes)
{
    struct replies r = {.count = 0};
    const uint64_t count = req->o->count;
    const struct bb_request_opts opts = {
        .size = sizeof(opts),
        .timeout_ns = req->o->wait_ns > 0 ? req->o->wait_ns : 1,
        .to_node = req->node_id,
    };
    int rc = bb_request(req->topic, req->sub, data, bytes, BB_RAW, &opts, &r.id);
    if (rc == BB_ENORESPONDERS) {
        cli_say("nobody answers \"%.80s\": no subscriber %s%.80s%swants it", req->call->args[0],
                req->o->node != NULL ? "of node \"" : "", req->o->node != NULL ? req->o->node : "",
                req->o->node != NULL ? "\" " : "");
        return CLI_NO;
    }
    if (rc == 0) {
        rc = collect(req, &r);
        (void)bb_request_cancel(req->sub, r.id);
    }
    if (rc < 0) {
        return cli_report(req->call, rc, NULL, "cannot ask");
    }
    int is_all = count == 0 && r.has_ended && r.end.code == BB_EEND;
    if (!is_all && (count == 0 || r.count < count)) {
        return say_short(req, &r);
    }
    return r.errors > 0 ? CLI_NO : CLI_DONE;
}

/* ask_lines - the exit code of the first line that has another one than 0. */
static int
ask_lines(const struct req *req)
{
    struct cli_lines lines;
    const char *line;
    size_t bytes;
    int code = CLI_DONE;
    int rc = cli_lines_init(&lines, STDIN_FILENO, bb_publisher_max(req->publisher));

    while (rc == 0 && !cli_stopped()) {
        if (cli_lines_next(&lines, &line, &bytes)) {
            int got = ask(req, line, bytes);
            code = code == CLI_DONE ? got : code;
        } else if (lines.at_end) {
            break;
        } else {
            rc = cli_lines_read(&lines, READ_WAIT_MS);
        }
    }
    if (lines.too_long > 0) {
        cli_say("%llu lines were longer than the %zu bytes that a request may have",
                (unsigned long long)lines.too_long, bb_publisher_max(req->publisher));
        code = code == CLI_DONE ? CLI_RESOURCE : code;
    }
    cli_lines_fini(&lines);
    return rc < 0 ? cli_report(req->call, rc, NULL, "cannot read standard input") : code;
}

static int
run(const struct cli_call *call, const void *options)
{
    struct req req = {.call = call, .o = options};
    int code = cli_check_topic(call->args[0]);

    if (code == CLI_DONE) {
        cli_signals_catch();
        code = cli_attach(call, req.o->name, NULL, BB_ATTACH_EXISTING, &req.ep);
    }
    if (code == CLI_DONE) {
        code = find_node(&req);
    }
    if (code == CLI_DONE) {
        code = open_all(&req);
    }
    if (code == CLI_DONE) {
        code =
            call->arg_count > 1 ? ask(&req, call->args[1], strlen(call->args[1])) : ask_lines(&req);
    }
    bb_publisher_close(req.publisher);
    bb_subscriber_close(req.sub);
    bb_endpoint_close(req.ep);
    return code;
}

static const struct cli_option options[] = {
    {.letter = 'n',
     .name = "replies",
     .type = CLI_COUNT,
     .offset = offsetof(struct req_options, count),
     .arg = "COUNT",
     .help = "wait for so many replies (default 1); 0: for all who were asked"},
    {.letter = 'W',
     .name = "wait",
     .type = CLI_SPAN,
     .offset = offsetof(struct req_options, wait_ns),
     .arg = "SECONDS",
     .help = "wait at most so long for them (default 5s); then the exit code is 3"},
    {.name = "to",
     .type = CLI_TEXT,
     .offset = offsetof(struct req_options, node),
     .arg = "NODE",
     .help = "ask this node only"},
    {.name = "name",
     .type = CLI_WORD,
     .offset = offsetof(struct req_options, name),
     .arg = "NODE",
     .help = "attach under this name"},
    {.name = NULL},
};

const struct cli_verb cli_verb_req = {
    .name = "req",
    .line = "ask those who want a topic, and print their replies",
    .usage = "[OPTION]... TOPIC [DATA]",
    .text = "DATA is the request, byte for byte.  Without DATA each line of standard input\n"
            "is one; the next is asked when the one before has ended.  Prints the data of\n"
            "each reply on a line.\n"
            "\n"
            "Who is asked is every subscriber that wants TOPIC.  When there is none, or all\n"
            "of them died or left, that is said at once, and the exit code is 1, as it is\n"
            "for a reply that says an error.  The exit code is 3 when time ran out, and 4\n"
            "when there is no bus.",
    .examples = "busbar req time/now ''\n"
                "busbar req cluster/status all -n 0 -W 2s --json\n"
                "busbar req --to worker-1 cluster/status me\n",
    .options = options,
    .options_bytes = sizeof(struct req_options),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 2,
    .flags = CLI_JSON,
    .run = run,
};
