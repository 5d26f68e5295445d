/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_pipe.c - `busbar pipe TOPIC`: lines to the bus and messages from it, in one process.
 *
 * One thread sleeps in poll(2) on standard input and on the subscriber's descriptor.  Its own lines do not
 * come back: an endpoint does not hear itself.
 */
#include "tools/cli/attach.h"
#include "tools/cli/clock.h"
#include "tools/cli/lines.h"
#include "tools/cli/output.h"
#include "tools/cli/receive.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { BATCH_MAX = 64 };

struct pipe_options {
    uint64_t count;
    int64_t wait_ns;
    const char *prefix; /* NULL: the topic */
    const char *from;
    const char *name;
    const char *group;
    int reliable;
    int path;
    int topic;
};

static const struct pipe_options defaults = {.wait_ns = -1, .from = "now"};

struct pipe {
    const struct cli_call *call;
    const struct pipe_options *o;
    struct bb_endpoint *ep;
    struct bb_publisher *publisher;
    struct bb_topic *topic;
    struct bb_subscriber *sub;
    struct cli_lines lines;
    enum cli_form form;
    int fd; /* of the subscriber */
    uint64_t seen;
    uint64_t refused;
};

static int
open_subscriber(struct pipe *p, struct cli_start start)
{
    struct bb_error error = {0};
    const char *prefix = p->o->prefix != NULL ? p->o->prefix : p->call->args[0];
    struct bb_subscriber_opts opts = {
        .size = sizeof(opts),
        .flags = p->o->reliable ? BB_SUBSCRIBER_RELIABLE : 0U,
        .start = start.start,
        .start_count = start.count,
        .wait = BB_WAIT_SLEEP,
        .prefixes = &prefix,
        .prefix_count = 1,
        .prefix_flags = p->o->path ? BB_TOPIC_PATH : 0U,
        .error = &error,
    };
    int rc = bb_subscriber_open(&p->sub, p->ep, &opts);
    if (rc < 0) {
        return cli_report(p->call, rc, &error, "cannot subscribe");
    }
    p->fd = bb_fd(p->sub);
    return p->fd < 0 ? cli_report(p->call, p->fd, NULL, "no descriptor to wait on") : CLI_DONE;
}

static int
open_publisher(struct pipe *p)
{
    struct bb_error error = {0};
    struct bb_publisher_opts opts = {.size = sizeof(opts), .lane = BB_LANE_DATA, .error = &error};
    int rc = bb_publisher_open(&p->publisher, p->ep, &opts);
    if (rc < 0) {
        return cli_report(p->call, rc, &error, "cannot make a ring");
    }
    rc = bb_topic_open(&p->topic, p->publisher, p->call->args[0], strlen(p->call->args[0]));
    if (rc == 0) {
        rc = cli_lines_init(&p->lines, STDIN_FILENO, bb_publisher_max(p->publisher));
    }
    return rc < 0 ? cli_report(p->call, rc, NULL, "the topic") : CLI_DONE;
}

/* send_lines - all whole lines that are here; 0 or a status. */
static int
send_lines(struct pipe *p)
{
    const char *line;
    size_t bytes;

    while (cli_lines_next(&p->lines, &line, &bytes)) {
        int rc = bb_publish(p->topic, line, bytes, BB_RAW | BB_MORE);
        if (rc == BB_EAGAIN || rc == BB_EMSGSIZE) {
            p->refused++;
        } else if (rc < 0) {
            return rc;
        }
    }
    return bb_flush(p->publisher);
}

/* print_messages - what is here now; how many messages and statuses, or a status code. */
static int
print_messages(struct pipe *p)
{
    struct bb_msg msgs[BATCH_MAX];
    uint64_t left = p->o->count == 0 ? BATCH_MAX : p->o->count - p->seen;
    int n = bb_poll(p->sub, msgs, left < BATCH_MAX ? (size_t)left : BATCH_MAX, 0);
    if (n < 0) {
        return n;
    }
    int printed = cli_print_batch(p->sub, msgs, (size_t)n, p->form);
    bb_release(p->sub);
    p->seen += printed > 0 ? (uint64_t)printed : 0;
    return printed < 0 ? printed : n;
}

/* wait_and_read - sleeps until there is a line or a message; reads standard input. */
static int
wait_and_read(struct pipe *p, int64_t deadline_ns)
{
    struct pollfd fds[2] = {{.fd = p->fd, .events = POLLIN},
                            {.fd = p->lines.at_end ? -1 : p->lines.fd, .events = POLLIN}};
    int wait_ms = (int)(cli_left_ns(deadline_ns, CLI_SLICE_NS) / 1000000);
    if (poll(fds, 2, wait_ms) <= 0 || fds[1].revents == 0) {
        return 0;
    }
    return cli_lines_read(&p->lines, 0);
}

/* is_done - 1 when the end of input ends it: nobody said how much or how long. */
static int
is_done(const struct pipe *p)
{
    if (p->o->count > 0) {
        return p->seen >= p->o->count;
    }
    return p->lines.at_end && p->o->wait_ns < 0;
}

/* pump - until done, late, stopped, or the reader of our output is gone; 0 or a status. */
static int
pump(struct pipe *p, int64_t deadline_ns)
{
    int rc = 0;
    while (rc >= 0 && !cli_stopped()) {
        rc = send_lines(p);
        if (rc >= 0) {
            rc = print_messages(p);
        }
        int got = rc > 0;
        if (rc < 0 || cli_output_flush() != 0 || is_done(p)) {
            break;
        }
        if (!got && (cli_output_is_gone() || cli_left_ns(deadline_ns, 1) == 0)) {
            break;
        }
        if (!got) {
            rc = wait_and_read(p, deadline_ns);
        }
    }
    return rc < 0 ? rc : 0;
}

static int
pipe_all(struct pipe *p, struct cli_start start)
{
    int64_t deadline_ns = cli_deadline(p->o->wait_ns);
    int code = open_subscriber(p, start);
    if (code == CLI_DONE) {
        code = open_publisher(p);
    }
    if (code != CLI_DONE) {
        return code;
    }
    int rc = pump(p, deadline_ns);
    uint64_t refused = p->refused + p->lines.too_long;
    cli_say_losses(p->sub);
    if (rc < 0) {
        return cli_report(p->call, rc, NULL, "the bus");
    }
    if (p->seen < p->o->count && !cli_stopped() && cli_left_ns(deadline_ns, 1) == 0) {
        cli_say("time ran out: %llu of %llu messages came", (unsigned long long)p->seen,
                (unsigned long long)p->o->count);
        return CLI_TIME;
    }
    if (refused > 0) {
        cli_say("%llu lines were not published: too large, or a reliable subscriber is too slow",
                (unsigned long long)refused);
        return CLI_NO;
    }
    return CLI_DONE;
}

static int
run(const struct cli_call *call, const void *options)
{
    struct pipe p = {.call = call, .o = options};
    struct cli_start start;

    if (cli_start_parse(p.o->from, &start) != 0) {
        return cli_wrong(call->verb, "--from takes now, oldest or a number, not \"%.40s\"",
                         p.o->from);
    }
    p.form = call->common.json                     ? CLI_FORM_JSON
             : p.o->topic || isatty(STDOUT_FILENO) ? CLI_FORM_TEXT
                                                   : CLI_FORM_DATA;
    cli_signals_catch();
    int code = cli_attach(call, p.o->name, p.o->group, 0, &p.ep);
    if (code == CLI_DONE) {
        code = pipe_all(&p, start);
    }
    cli_lines_fini(&p.lines);
    bb_publisher_close(p.publisher);
    bb_subscriber_close(p.sub);
    bb_endpoint_close(p.ep);
    return code;
}

static const struct cli_option options[] = {
    {.letter = 'n',
     .name = "count",
     .type = CLI_COUNT,
     .offset = offsetof(struct pipe_options, count),
     .arg = "COUNT",
     .help = "end after so many messages from the bus"},
    {.letter = 'W',
     .name = "wait",
     .type = CLI_SPAN,
     .offset = offsetof(struct pipe_options, wait_ns),
     .arg = "SECONDS",
     .help = "end after this time; short of --count the exit code is 3"},
    {.name = "prefix",
     .type = CLI_TEXT,
     .offset = offsetof(struct pipe_options, prefix),
     .arg = "PREFIX",
     .help = "print the messages of these topics (default: TOPIC)",
     .values = "@topics"},
    {.name = "from",
     .type = CLI_TEXT,
     .offset = offsetof(struct pipe_options, from),
     .arg = "WHERE",
     .help = "begin at now (default), oldest, or a number of messages of each ring",
     .values = "now oldest"},
    {.name = "reliable",
     .type = CLI_FLAG,
     .offset = offsetof(struct pipe_options, reliable),
     .help = "publishers wait for us or give us up, by their policy"},
    {.name = "path",
     .type = CLI_FLAG,
     .offset = offsetof(struct pipe_options, path),
     .help = "the prefix matches whole components"},
    {.name = "topic",
     .type = CLI_FLAG,
     .offset = offsetof(struct pipe_options, topic),
     .help = "print TOPIC DATA, escaped (the default on a terminal)"},
    {.name = "name",
     .type = CLI_WORD,
     .offset = offsetof(struct pipe_options, name),
     .arg = "NODE",
     .help = "attach under this name"},
    {.name = "group",
     .type = CLI_WORD,
     .offset = offsetof(struct pipe_options, group),
     .arg = "GROUP",
     .help = "share a bus that is made now with this group of users",
     .values = "@groups"},
    {.name = NULL},
};

const struct cli_verb cli_verb_pipe = {
    .name = "pipe",
    .line = "standard input to the bus and the bus to standard output, line by line",
    .usage = "[OPTION]... TOPIC",
    .text = "Each line of standard input is published on TOPIC; what others publish there\n"
            "is printed, the data only.  Its own lines do not come back.  It ends with its\n"
            "input, or with -n or -W when given.",
    .examples = "busbar pipe chat/room\n"
                "producer | busbar pipe work/in --prefix work/out -n 100 > results\n",
    .options = options,
    .options_bytes = sizeof(struct pipe_options),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 1,
    .flags = CLI_JSON,
    .run = run,
};
