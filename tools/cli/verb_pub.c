/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_pub.c - `busbar pub TOPIC [DATA]`: publish a message, or each line of standard input.
 *
 * A single message goes through a one-shot ring, which is cheap to make and to leave behind.  A message
 * that is refused (by policy, or too large) is counted and the next one is tried; only other failures end
 * the verb.
 */
#include "tools/cli/attach.h"
#include "tools/cli/clock.h"
#include "tools/cli/convert.h"
#include "tools/cli/event_text.h"
#include "tools/cli/lines.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <busbar/topic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ONESHOT_MAX_BYTES = 32 << 10, /* data and topic that a one-shot ring takes */
    ONESHOT_MAX_COUNT = 64,       /* a quarter of its depth */
    READ_WAIT_MS = 30000,         /* a signal ends it; one that came just before it is seen then */
};

struct pub_options {
    double rate; /* 0: as fast as it goes */
    uint64_t repeat;
    uint64_t wait;
    int64_t wait_ns;
    int64_t block_ns;
    const char *name;
    const char *group;
    const char *event;
    const char *type;
    int fail;
    int evict;
    int control;
};

static const struct pub_options defaults = {.repeat = 1, .wait_ns = -1, .block_ns = -1};

struct pub {
    const struct cli_call *call;
    const struct pub_options *o;
    const void *data; /* NULL: lines of standard input */
    size_t bytes;
    uint32_t attr;
    void *event; /* data, when it is an event; ours to free */
    int type;    /* of the values to publish, with --type */
    struct cli_buffer value;
    struct bb_endpoint *ep;
    struct bb_publisher *publisher;
    struct bb_topic *topic;
    int64_t start_ns; /* of the first message, for --rate */
    uint64_t tried;
    uint64_t sent;
    uint64_t refused;
    uint64_t too_large;
    uint64_t no_values; /* lines that are no value of the type */
    int status;         /* what ended it, or 0 */
};

static int
check(const struct cli_call *call, const struct pub_options *o)
{
    int has_data = call->arg_count > 1 || o->event != NULL;
    if (o->event != NULL && call->arg_count > 1) {
        return cli_wrong(call->verb, "DATA and --event are two messages; give one of them");
    }
    if (o->event != NULL && o->type != NULL) {
        return cli_wrong(call->verb, "--type is for DATA and lines; --event tells types by looks");
    }
    if (o->type != NULL && cli_type_parse(o->type) == BB_EINVAL) {
        return cli_wrong(call->verb, "there is no type \"%.80s\"; `busbar help value` lists them",
                         o->type);
    }
    if (o->fail && (o->evict || o->block_ns >= 0)) {
        return cli_wrong(call->verb, "--fail does not go with --block or --evict");
    }
    if (o->repeat != 1 && !has_data) {
        return cli_wrong(call->verb, "--repeat needs DATA or --event");
    }
    if (o->repeat == 0) {
        return cli_wrong(call->verb, "--repeat takes a number of 1 or more");
    }
    if (o->wait_ns >= 0 && o->wait == 0) {
        return cli_wrong(call->verb, "-W bounds --wait, which is not given");
    }
    return cli_check_topic(call->args[0]);
}

static int
say_event(const struct pub *pub, const struct bb_codec_error *error)
{
    return cli_wrong(pub->call->verb, "the event, column %zu: %s", error->offset + 1,
                     error->sentence);
}

/* make_event - the event's bytes into pub->event. */
static int
make_event(struct pub *pub)
{
    struct bb_codec_error error = {0};
    struct bb_builder b;

    bb_build_init(&b, NULL, 0);
    if (cli_event_put(&b, pub->o->event, &error) != 0) {
        return say_event(pub, &error);
    }
    size_t bytes = b.need_bytes;
    pub->event = malloc(bytes > 0 ? bytes : 1);
    if (pub->event == NULL) {
        return cli_report(pub->call, BB_ENOMEM, NULL, "the event");
    }
    bb_build_init(&b, pub->event, bytes);
    if (cli_event_put(&b, pub->o->event, &error) != 0) {
        return say_event(pub, &error); /* duplicates show only now */
    }
    int64_t built = bb_build_end(&b);
    if (built < 0) {
        return cli_report(pub->call, (int)built, NULL, "cannot build the event");
    }
    pub->data = pub->event;
    pub->bytes = (size_t)built;
    pub->attr = BB_EVENT | BB_NATIVE;
    return CLI_DONE;
}

/* make_value - the value that DATA writes. */
static int
make_value(struct pub *pub)
{
    struct bb_codec_error error = {0};
    int rc = cli_value_read(&pub->value, CLI_FORM_TEXT, pub->type, pub->data, pub->bytes, &error);
    if (rc == BB_EINVAL) {
        return cli_wrong(pub->call->verb, "DATA, column %zu: %s", error.offset + 1, error.sentence);
    }
    if (rc < 0) {
        return cli_report(pub->call, rc, NULL, "the value");
    }
    pub->data = pub->value.p;
    pub->bytes = pub->value.bytes;
    return CLI_DONE;
}

static int
prepare_data(struct pub *pub)
{
    if (pub->o->event != NULL) {
        return make_event(pub);
    }
    if (pub->call->arg_count > 1) {
        pub->data = pub->call->args[1];
        pub->bytes = strlen(pub->call->args[1]);
    }
    pub->attr = BB_RAW;
    if (pub->o->type != NULL) {
        pub->type = cli_type_parse(pub->o->type);
        pub->attr = BB_VALUE | BB_NATIVE;
        return pub->data != NULL ? make_value(pub) : CLI_DONE;
    }
    return CLI_DONE;
}

static uint32_t
choose_lane(const struct pub *pub)
{
    size_t bytes = pub->bytes + strlen(pub->call->args[0]);
    if (pub->o->control) {
        return BB_LANE_CONTROL;
    }
    if (pub->data != NULL && bytes <= ONESHOT_MAX_BYTES && pub->o->repeat <= ONESHOT_MAX_COUNT) {
        return BB_LANE_ONESHOT;
    }
    return BB_LANE_DATA;
}

static uint32_t
choose_policy(const struct pub_options *o)
{
    if (o->block_ns > 0) {
        return o->evict ? BB_POLICY_BLOCK_EVICT : BB_POLICY_BLOCK_FAIL;
    }
    if (o->evict) {
        return BB_POLICY_EVICT;
    }
    return o->fail || o->block_ns == 0 ? BB_POLICY_FAIL : BB_POLICY_DEFAULT;
}

static int
open_publisher(struct pub *pub)
{
    const char *topic = pub->call->args[0];
    struct bb_error error = {0};
    struct bb_publisher_opts opts = {
        .size = sizeof(opts),
        .lane = choose_lane(pub),
        .policy = choose_policy(pub->o),
        .block_ns = pub->o->block_ns > 0 ? pub->o->block_ns : 0,
        .error = &error,
    };
    if (opts.policy == BB_POLICY_BLOCK_FAIL && opts.block_ns > CLI_BLOCK_SLICE_NS) {
        opts.block_ns = CLI_BLOCK_SLICE_NS; /* publish() asks again, so that a signal is seen */
    }
    int rc = bb_publisher_open(&pub->publisher, pub->ep, &opts);
    if (rc < 0) {
        return cli_report(pub->call, rc, &error, "cannot make a ring");
    }
    rc = bb_topic_open(&pub->topic, pub->publisher, topic, strlen(topic));
    return rc < 0 ? cli_report(pub->call, rc, NULL, "the topic") : CLI_DONE;
}

static int
wait_for_subscribers(struct pub *pub)
{
    int64_t deadline_ns = cli_deadline(pub->o->wait_ns);
    for (;;) {
        int count = bb_subscriber_count(pub->topic);
        if (count < 0) {
            return cli_report(pub->call, count, NULL, "cannot count the subscribers");
        }
        if ((uint64_t)count >= pub->o->wait) {
            return CLI_DONE;
        }
        if (cli_stopped() || cli_left_ns(deadline_ns, 1) == 0) {
            cli_say("%s: %d of %llu subscribers want \"%.80s\"; nothing was published",
                    cli_stopped() ? "interrupted" : "time ran out", count,
                    (unsigned long long)pub->o->wait, pub->call->args[0]);
            return cli_stopped() ? CLI_NO : CLI_TIME;
        }
        cli_sleep_until(cli_mono_ns() + CLI_SECOND_NS / 200);
    }
}

/* pace - sleeps until the next message is due. */
static void
pace(const struct pub *pub)
{
    if (pub->o->rate > 0 && pub->tried > 0) {
        int64_t due_ns =
            pub->start_ns + (int64_t)((double)pub->tried / pub->o->rate * (double)CLI_SECOND_NS);
        while (!cli_stopped() && cli_mono_ns() < due_ns) {
            cli_sleep_until(due_ns);
        }
    }
}

/* publish - one message by policy; what is refused is counted.  Other failures go to pub->status. */
static void
publish(struct pub *pub, const void *data, size_t bytes, uint32_t more)
{
    int64_t deadline_ns = cli_deadline(pub->o->block_ns > 0 ? pub->o->block_ns : 0);
    int rc;

    do {
        rc = bb_publish(pub->topic, data, bytes, pub->attr | more);
    } while (rc == BB_EAGAIN && cli_left_ns(deadline_ns, 1) > 0 && !cli_stopped());
    pub->tried++;
    pub->sent += rc >= 0;
    pub->refused += rc == BB_EAGAIN;
    pub->too_large += rc == BB_EMSGSIZE;
    if (rc < 0 && rc != BB_EAGAIN && rc != BB_EMSGSIZE) {
        pub->status = rc;
    }
}

static void
publish_data(struct pub *pub)
{
    while (pub->status == 0 && pub->tried < pub->o->repeat && !cli_stopped()) {
        int more = pub->o->rate <= 0 && pub->tried + 1 < pub->o->repeat;
        pace(pub);
        publish(pub, pub->data, pub->bytes, more ? BB_MORE : 0U);
    }
}

/* publish_line - as it is, or as the value that it writes; one that writes none is said and counted. */
static void
publish_line(struct pub *pub, uint64_t number, const char *line, size_t bytes, uint32_t more)
{
    struct bb_codec_error error = {0};
    if (pub->o->type == NULL) {
        publish(pub, line, bytes, more);
        return;
    }
    int rc = cli_value_read(&pub->value, CLI_FORM_TEXT, pub->type, line, bytes, &error);
    if (rc == 0) {
        publish(pub, pub->value.p, pub->value.bytes, more);
    } else if (rc == BB_EINVAL) {
        cli_say("pub: line %llu: column %zu: %s", (unsigned long long)number, error.offset + 1,
                error.sentence);
        pub->tried++;
        pub->no_values++;
    } else {
        pub->status = rc;
    }
}

static void
publish_lines(struct pub *pub)
{
    struct cli_lines lines;
    const char *line;
    size_t bytes;

    pub->status = cli_lines_init(&lines, STDIN_FILENO, bb_publisher_max(pub->publisher));
    while (pub->status == 0 && !cli_stopped()) {
        if (cli_lines_next(&lines, &line, &bytes)) {
            int more = pub->o->rate <= 0 && cli_lines_has_next(&lines);
            pace(pub);
            publish_line(pub, pub->tried + lines.too_long + 1, line, bytes, more ? BB_MORE : 0U);
        } else if (lines.at_end) {
            break;
        } else {
            int rc = bb_flush(pub->publisher); /* nothing may wait for the next line */
            pub->status = rc < 0 ? rc : cli_lines_read(&lines, READ_WAIT_MS);
        }
    }
    pub->tried += lines.too_long;
    pub->too_large += lines.too_long;
    cli_lines_fini(&lines);
}

/* say_result - what did not go, and why; the exit code. */
static int
say_result(const struct pub *pub)
{
    unsigned long long sent = pub->sent;
    unsigned long long tried = pub->tried;

    if (pub->status < 0) {
        if (tried > 1) {
            cli_say("%llu messages went before it failed", sent);
        }
        return cli_report(pub->call, pub->status, NULL, "cannot publish");
    }
    if (pub->refused > 0) {
        cli_say("%llu of %llu messages went; %llu were refused, since a reliable subscriber is a "
                "whole ring "
                "behind (`busbar node list` shows which)",
                sent, tried, (unsigned long long)pub->refused);
    }
    if (pub->too_large > 0) {
        cli_say(
            "%llu of %llu messages went; %llu were larger than the %zu bytes that this ring takes",
            sent, tried, (unsigned long long)pub->too_large, bb_publisher_max(pub->publisher));
    }
    if (pub->no_values > 0) {
        cli_say("%llu of %llu messages went; %llu lines were no values of the type \"%s\"", sent,
                tried, (unsigned long long)pub->no_values, pub->o->type);
    }
    if (pub->data != NULL && tried < pub->o->repeat) {
        cli_say("interrupted: %llu of %llu messages went", sent,
                (unsigned long long)pub->o->repeat);
        return CLI_NO;
    }
    return pub->too_large > 0                       ? CLI_RESOURCE
           : pub->refused > 0 || pub->no_values > 0 ? CLI_NO
                                                    : CLI_DONE;
}

static int
publish_all(struct pub *pub)
{
    int code = open_publisher(pub);
    if (code == CLI_DONE && pub->o->wait > 0) {
        code = wait_for_subscribers(pub);
    }
    if (code != CLI_DONE) {
        return code;
    }
    pub->start_ns = cli_mono_ns();
    if (pub->data != NULL) {
        publish_data(pub);
    } else {
        publish_lines(pub);
    }
    int rc = bb_flush(pub->publisher);
    if (pub->status == 0 && rc < 0) {
        pub->status = rc;
    }
    return say_result(pub);
}

static int
run(const struct cli_call *call, const void *options)
{
    struct pub pub = {.call = call, .o = options};
    int code = check(call, pub.o);

    if (code == CLI_DONE) {
        code = prepare_data(&pub);
    }
    if (code == CLI_DONE) {
        cli_signals_catch();
        code = cli_attach(call, pub.o->name, pub.o->group, 0, &pub.ep);
    }
    if (code == CLI_DONE) {
        code = publish_all(&pub);
    }
    bb_publisher_close(pub.publisher);
    bb_endpoint_close(pub.ep);
    free(pub.event);
    cli_buffer_free(&pub.value);
    return code;
}

static const struct cli_option options[] = {
    {.letter = 'e',
     .name = "event",
     .type = CLI_TEXT,
     .offset = offsetof(struct pub_options, event),
     .arg = "EVENT",
     .help = "publish the typed event name(argument, ...)"},
    {.letter = 't',
     .name = "type",
     .type = CLI_TEXT,
     .offset = offsetof(struct pub_options, type),
     .arg = "TYPE",
     .help = "publish DATA, or each line, as a value of this type (any: by its looks)",
     .values = "@types"},
    {.name = "rate",
     .type = CLI_NUMBER,
     .offset = offsetof(struct pub_options, rate),
     .arg = "N",
     .help = "so many messages a second at most"},
    {.name = "repeat",
     .type = CLI_COUNT,
     .offset = offsetof(struct pub_options, repeat),
     .arg = "N",
     .help = "publish DATA or the event so many times"},
    {.name = "wait",
     .type = CLI_COUNT,
     .offset = offsetof(struct pub_options, wait),
     .arg = "N",
     .help = "first wait until so many subscribers want the topic"},
    {.letter = 'W',
     .name = "wait-time",
     .type = CLI_SPAN,
     .offset = offsetof(struct pub_options, wait_ns),
     .arg = "SECONDS",
     .help = "wait at most so long for them; then the exit code is 3"},
    {.name = "block",
     .type = CLI_SPAN,
     .offset = offsetof(struct pub_options, block_ns),
     .arg = "TIME",
     .help = "wait at most so long for a slow reliable subscriber, then refuse"},
    {.name = "fail",
     .type = CLI_FLAG,
     .offset = offsetof(struct pub_options, fail),
     .help = "refuse a message at once when a reliable subscriber is too slow"},
    {.name = "evict",
     .type = CLI_FLAG,
     .offset = offsetof(struct pub_options, evict),
     .help = "go on without a reliable subscriber that is too slow (after --block)"},
    {.name = "control",
     .type = CLI_FLAG,
     .offset = offsetof(struct pub_options, control),
     .help = "use the control lane"},
    {.name = "name",
     .type = CLI_WORD,
     .offset = offsetof(struct pub_options, name),
     .arg = "NODE",
     .help = "attach under this name"},
    {.name = "group",
     .type = CLI_WORD,
     .offset = offsetof(struct pub_options, group),
     .arg = "GROUP",
     .help = "share a bus that is made now with this group of users",
     .values = "@groups"},
    {.name = NULL},
};

const struct cli_verb cli_verb_pub = {
    .name = "pub",
    .line = "publish a message, or each line of standard input",
    .usage = "[OPTION]... TOPIC [DATA]",
    .text = "DATA is published once, byte for byte.  Without DATA each line of standard\n"
            "input is a message.  A bus that is not there is made.  What was published\n"
            "stays readable for subscribers that are attached, and with `sub --from oldest`\n"
            "as long as the ring is kept.\n"
            "\n"
            "Arguments of an event have the type that they look like: 5 count, -5 integer,\n"
            "2.5 real, T or F boolean, 10.0.0.1 or ::1 address, 10.0.0.0/8 subnet, 80/tcp\n"
            "port, 300ms timespan, nil none, (a, b) vector, {a, b} set, {a -> b} table,\n"
            "\"in quotes\" or anything else string.  `busbar help value` lists the types that\n"
            "--type takes; a line that is none of its type is said, and the exit code is 1.\n"
            "\n"
            "Only reliable subscribers can hold a publisher up.  Without --block, --fail or\n"
            "--evict it depends: lines go on without a subscriber that is too slow; the\n"
            "control lane and single messages wait for it 100 ms first.  Messages that were\n"
            "refused are counted, and the exit code is 1; for messages that are too large\n"
            "it is 7.",
    .examples = "busbar pub zeek/x hello\n"
                "busbar pub scans -e 'scan_seen(10.0.0.1, 22/tcp, 300ms)'\n"
                "busbar pub sensors/limit 0.75 --type real\n"
                "tail -f conn.log | busbar pub zeek/logs/conn\n"
                "busbar pub load/test x --repeat 1000 --rate 100 --wait 1 -W 5s\n",
    .options = options,
    .options_bytes = sizeof(struct pub_options),
    .defaults = &defaults,
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
