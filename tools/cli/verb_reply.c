/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_reply.c - `busbar reply PREFIX`: answer the requests on some topics.
 *
 * One at a time, in the order of coming.  Each request is printed as `busbar sub` would.
 */
#include "tools/cli/attach.h"
#include "tools/cli/clock.h"
#include "tools/cli/command.h"
#include "tools/cli/format.h"
#include "tools/cli/output.h"
#include "tools/cli/receive.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <busbar/request.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reply_options {
    uint64_t count;
    int64_t wait_ns;
    const char *exec;
    const char *name;
    const char *group;
    int echo;
    int path;
};

static const struct reply_options defaults = {.wait_ns = -1};

struct reply {
    const struct cli_call *call;
    const struct reply_options *o;
    const char *data; /* NULL: echo or exec */
    struct bb_endpoint *ep;
    struct bb_publisher *publisher;
    struct bb_subscriber *sub;
    struct cli_buffer out; /* of the command */
    uint64_t answered;
    uint64_t unheard;
};

static int
check(struct reply *r)
{
    const struct cli_call *call = r->call;
    r->data = call->arg_count > 1 ? call->args[1] : NULL;
    if ((r->data != NULL) + (r->o->exec != NULL) + r->o->echo != 1) {
        return cli_wrong(call->verb, "what is the answer?  Give one of DATA, --exec and --echo");
    }
    return CLI_DONE;
}

static int
open_all(struct reply *r)
{
    const char *prefix = r->call->args[0];
    struct bb_error error = {0};
    struct bb_publisher_opts po = {.size = sizeof(po), .lane = BB_LANE_CONTROL, .error = &error};
    struct bb_subscriber_opts so = {
        .size = sizeof(so),
        .wait = BB_WAIT_SLEEP,
        .prefixes = &prefix,
        .prefix_count = 1,
        .prefix_flags = r->o->path ? BB_TOPIC_PATH : 0U,
        .error = &error,
    };
    int rc = bb_publisher_open(&r->publisher, r->ep, &po); /* it can answer before it is asked */
    if (rc < 0) {
        return cli_report(r->call, rc, &error, "cannot make a ring");
    }
    rc = bb_subscriber_open(&r->sub, r->ep, &so);
    return rc < 0 ? cli_report(r->call, rc, &error, "cannot subscribe") : CLI_DONE;
}

/* put_environment - what the command may want to know of the request. */
static void
put_environment(const struct bb_msg *msg)
{
    char *topic = strndup(msg->topic, msg->topic_bytes);
    if (topic != NULL) {
        setenv("BUSBAR_TOPIC", topic, 1); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    setenv("BUSBAR_NODE", msg->node, 1); /* NOLINT(concurrency-mt-unsafe): one thread */
    free(topic);
}

/* run_command - the command's output as the reply, or an error when it failed. */
static int
run_command(struct reply *r, const struct bb_msg *msg, const struct bb_request_info *to)
{
    const struct cli_command command = {
        .text = r->o->exec,
        .input = msg->data,
        .input_bytes = msg->bytes,
        .max_bytes = bb_publisher_max(r->publisher) / 2,
        .deadline_ns = to->deadline_ns,
    };
    char sentence[128];
    put_environment(msg);
    int rc = cli_command_run(&command, &r->out);
    if (rc == 0) {
        return bb_reply(r->publisher, to, r->out.p, r->out.bytes, BB_RAW);
    }
    if (rc > 0) {
        (void)snprintf(sentence, sizeof(sentence), "the command ended with code %d", rc);
    } else {
        (void)snprintf(sentence, sizeof(sentence), "the command was given up: %s",
                       rc == BB_EAGAIN ? "the responder was told to end" : bb_strerror(rc));
    }
    return bb_reply_error(r->publisher, to, rc > 0 ? BB_EIO : rc, sentence);
}

/* answer - one request; only what ends the verb is returned. */
static int
answer(struct reply *r, const struct bb_msg *msg, const struct bb_request_info *to)
{
    int rc = r->o->exec != NULL ? run_command(r, msg, to)
             : r->o->echo       ? bb_reply(r->publisher, to, msg->data, msg->bytes,
                                           msg->attr & (BB_KIND_MASK | BB_FORMAT_MASK))
                                : bb_reply(r->publisher, to, r->data, strlen(r->data), BB_RAW);
    r->answered += rc == 0;
    if (rc == BB_EMSGSIZE) {
        rc = bb_reply_error(r->publisher, to, rc, "the answer is larger than its ring takes");
    }
    if (rc == BB_EPEERGONE || rc == BB_ETIMEDOUT || rc == BB_EAGAIN) {
        r->unheard++;
        rc = 0;
    }
    return rc;
}

/* step - at most one message.  1 something came, 0 nothing, or a status. */
static int
step(struct reply *r, int64_t deadline_ns)
{
    struct bb_msg msg;
    struct bb_request_info to;
    int rc = bb_poll(r->sub, &msg, 1, cli_left_ns(deadline_ns, CLI_SLICE_NS));
    if (rc <= 0 || bb_msg_request(&msg, &to) != 0) {
        return rc;
    }
    rc = cli_print_batch(r->sub, &msg, 1, r->call->common.json ? CLI_FORM_JSON : CLI_FORM_TEXT);
    if (rc >= 0 && cli_output_flush() == 0) { /* a command may take long */
        rc = answer(r, &msg, &to);
    }
    return rc < 0 ? rc : 1;
}

static int
say_result(const struct reply *r, int rc)
{
    if (r->unheard > 0) {
        cli_say("%llu replies were not heard: who asked went, or no longer waited",
                (unsigned long long)r->unheard);
    }
    if (rc < 0) {
        return cli_report(r->call, rc, NULL, "cannot reply");
    }
    if (r->answered < r->o->count && !cli_stopped()) {
        cli_say("time ran out: %llu of %llu requests were answered",
                (unsigned long long)r->answered, (unsigned long long)r->o->count);
        return CLI_TIME;
    }
    return CLI_DONE;
}

static int
serve(struct reply *r)
{
    int64_t deadline_ns = cli_deadline(r->o->wait_ns);
    int rc = 0;
    while (!cli_stopped() && (r->o->count == 0 || r->answered < r->o->count)) {
        rc = step(r, deadline_ns);
        if (rc < 0 || cli_output_flush() != 0 || (rc == 0 && cli_output_is_gone())
            || (rc == 0 && cli_left_ns(deadline_ns, 1) == 0)) {
            break;
        }
    }
    return say_result(r, rc);
}

static int
run(const struct cli_call *call, const void *options)
{
    struct reply r = {.call = call, .o = options};
    int code = check(&r);

    if (code == CLI_DONE) {
        cli_signals_catch();
        code = cli_attach(call, r.o->name, r.o->group, 0, &r.ep);
    }
    if (code == CLI_DONE) {
        code = open_all(&r);
    }
    if (code == CLI_DONE) {
        code = serve(&r);
    }
    bb_publisher_close(r.publisher);
    bb_subscriber_close(r.sub);
    bb_endpoint_close(r.ep);
    cli_buffer_free(&r.out);
    return code;
}

static const struct cli_option options[] = {
    {.name = "exec",
     .type = CLI_TEXT,
     .offset = offsetof(struct reply_options, exec),
     .arg = "COMMAND",
     .help = "run this shell command; request in, reply out"},
    {.name = "echo",
     .type = CLI_FLAG,
     .offset = offsetof(struct reply_options, echo),
     .help = "the reply is the request"},
    {.letter = 'n',
     .name = "count",
     .type = CLI_COUNT,
     .offset = offsetof(struct reply_options, count),
     .arg = "COUNT",
     .help = "end after so many replies"},
    {.letter = 'W',
     .name = "wait",
     .type = CLI_SPAN,
     .offset = offsetof(struct reply_options, wait_ns),
     .arg = "SECONDS",
     .help = "end after this time; short of --count the exit code is 3"},
    {.name = "path",
     .type = CLI_FLAG,
     .offset = offsetof(struct reply_options, path),
     .help = "the prefix matches whole components: a/b matches a/b/c, not a/bc"},
    {.name = "name",
     .type = CLI_WORD,
     .offset = offsetof(struct reply_options, name),
     .arg = "NODE",
     .help = "attach under this name"},
    {.name = "group",
     .type = CLI_WORD,
     .offset = offsetof(struct reply_options, group),
     .arg = "GROUP",
     .help = "share a bus that is made now with this group of users",
     .values = "@groups"},
    {.name = NULL},
};

const struct cli_verb cli_verb_reply = {
    .name = "reply",
    .line = "answer the requests on the topics that begin with a prefix",
    .usage = "[OPTION]... PREFIX [DATA]",
    .text = "The reply is DATA, or the request itself, or what a command prints: it gets the\n"
            "request as its standard input, and the topic and who asks in BUSBAR_TOPIC and\n"
            "BUSBAR_NODE.  A command that fails, or is not done when the requester stops\n"
            "waiting, is answered for with an error.  Prints the requests as `busbar sub`\n"
            "does; messages that are no requests are passed over.  A bus that is not there\n"
            "is made.",
    .examples = "busbar reply time/now --exec date\n"
                "busbar reply echo/ --echo\n"
                "busbar reply cluster/status 'all is well' -n 1\n",
    .options = options,
    .options_bytes = sizeof(struct reply_options),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 2,
    .flags = CLI_JSON,
    .run = run,
};
