/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_latency.c - `busbar latency`: how long a message takes between two processes.
 *
 * Open loop: messages are due at fixed times, and each counts from the time it was due, so a stall of the
 * publisher, the bus or the machine shows in all that were due meanwhile, not in one.
 */
#include "tools/cli/clock.h"
#include "tools/cli/crew.h"
#include "tools/cli/format.h"
#include "tools/cli/histogram.h"
#include "tools/cli/json.h"
#include "tools/cli/load.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    POLL_MAX = 16,
    CURVE_WIDTH = 48,
    EARLY_NS = 80000, /* a sleeper wakes so long before a message is due, and spins until then */
};

#define POLL_NS  (CLI_SECOND_NS / 20)
#define LATE_NS  (2 * CLI_SECOND_NS) /* for messages that were due before the end */
#define WARM_NS  (CLI_SECOND_NS / 5)
#define RATE_MAX 1e6

struct latency_options {
    uint64_t size;
    double rate;
    int64_t for_ns;
    const char *wait;
    int round_trip;
};

static const struct latency_options defaults = {
    .size = 64, .rate = 1000, .for_ns = 5 * CLI_SECOND_NS, .wait = "hybrid"};

enum { TOPIC_BYTES = 64 };

/* What both processes do. */
struct job {
    const struct latency_options *o;
    uint32_t wait; /* enum bb_wait */
    char there[TOPIC_BYTES], back[TOPIC_BYTES];
};

/* What a process has seen: one of the two measures. */
struct seen {
    struct cli_histogram histogram;
    uint64_t lost; /* numbers that did not come */
    uint64_t torn;
};

/* One end: what it publishes on and hears; either may be missing. */
struct end {
    const struct cli_hand *hand;
    const struct job *job;
    struct bb_publisher *publisher;
    struct bb_topic *topic;
    struct bb_subscriber *sub;
    struct cli_window window;
    struct seen *seen;
    uint64_t next; /* number expected */
};

/* ---- both ends ------------------------------------------------------------------------------------- */

static int
open_publisher(struct end *e, const char *topic)
{
    struct bb_error error = {0};
    struct bb_publisher_opts opts = {
        .size = sizeof(opts), .policy = BB_POLICY_FAIL, .error = &error};
    int rc = bb_publisher_open(&e->publisher, e->hand->ep, &opts);
    if (rc < 0) {
        return cli_report(e->hand->call, rc, &error, "cannot make a ring");
    }
    rc = bb_topic_open(&e->topic, e->publisher, topic, strlen(topic));
    if (rc == 0 && e->job->o->size > bb_publisher_max(e->publisher)) {
        rc = BB_EMSGSIZE;
    }
    return rc < 0 ? cli_report(e->hand->call, rc, NULL, "--size") : CLI_DONE;
}

static int
open_subscriber(struct end *e, const char *topic)
{
    struct bb_error error = {0};
    struct bb_subscriber_opts opts = {.size = sizeof(opts),
                                      .wait = e->job->wait,
                                      .prefixes = &topic,
                                      .prefix_count = 1,
                                      .error = &error};
    int rc = bb_subscriber_open(&e->sub, e->hand->ep, &opts);
    return rc < 0 ? cli_report(e->hand->call, rc, &error, "cannot subscribe") : CLI_DONE;
}

static void
close_end(struct end *e)
{
    bb_subscriber_close(e->sub);
    bb_publisher_close(e->publisher);
}

/* publish - a full ring of somebody else's slow reader is no reason to stop: the message counts as lost. */
static int
publish(struct end *e, const struct cli_load *load)
{
    void *data = NULL;
    int rc = bb_loan(e->topic, e->job->o->size, &data);
    if (rc == 0) {
        cli_load_fill(data, e->job->o->size, load);
        rc = bb_commit(e->topic, e->job->o->size, BB_RAW);
    }
    return rc == BB_EAGAIN ? 0 : rc;
}

/* arrived - counts a message by its number and the time from when it was due. */
static void
arrived(struct end *e, const struct cli_load *load)
{
    int64_t now_ns = cli_mono_ns();
    e->seen->lost += load->number > e->next ? load->number - e->next : 0U;
    e->next = load->number + 1;
    if (load->at_ns >= e->window.begin_ns) {
        cli_histogram_add(&e->seen->histogram, now_ns - load->at_ns);
    }
}

/*
 * hear - one poll; sends back or counts what came.  The number of the last one in *last.
 * Returns 0 or a status.
 */
static int
hear(struct end *e, int sends_back, int64_t timeout_ns, uint64_t *last)
{
    struct bb_msg msgs[POLL_MAX];
    struct cli_load load;
    int rc = 0;
    int n = bb_poll(e->sub, msgs, POLL_MAX, timeout_ns);

    for (int i = 0; i < n && rc == 0; i++) {
        int whole = cli_load_read(msgs[i].data, msgs[i].bytes, e->hand->run, &load);
        if (whole > 0 && sends_back) {
            rc = publish(e, &load);
        } else if (whole > 0) {
            arrived(e, &load);
        }
        *last = whole > 0 ? load.number : *last;
        e->seen->torn += whole < 0;
    }
    if (n > 0) {
        bb_release(e->sub);
    }
    return n < 0 ? n : rc;
}

/* ---- the two processes ----------------------------------------------------------------------------- */

/* wait_until - sleeps, then spins, to be there on time. */
static void
wait_until(int64_t due_ns)
{
    if (due_ns - cli_mono_ns() > EARLY_NS) {
        cli_sleep_until(due_ns - EARLY_NS);
    }
    while (!cli_stopped() && cli_mono_ns() < due_ns) {
    }
}

/* wait_for_answer - until that number came back, or the time is over. */
static int
wait_for_answer(struct end *e, uint64_t number)
{
    uint64_t last = UINT64_MAX;
    int64_t give_up_ns = cli_deadline(CLI_SECOND_NS);
    int rc = 0;
    while (rc == 0 && last != number && !cli_stopped() && cli_left_ns(give_up_ns, 1) > 0) {
        rc = hear(e, 0, POLL_NS, &last);
    }
    return rc;
}

/* due_ns - when this number is due. */
static int64_t
due_ns(const struct end *e, uint64_t number)
{
    return e->window.start_ns + (int64_t)((double)number / e->job->o->rate * (double)CLI_SECOND_NS);
}

/* is_over - what was due in time still goes and is waited for, for a while, or the latest would not count. */
static int
is_over(const struct end *e, uint64_t number)
{
    return cli_stopped() || due_ns(e, number) >= e->window.end_ns
           || cli_left_ns(e->window.end_ns + LATE_NS, 1) == 0;
}

static int
send_all(struct end *e)
{
    struct cli_load load = {.run = e->hand->run};
    int rc = 0;

    while (rc == 0 && !is_over(e, load.number)) {
        load.at_ns = due_ns(e, load.number);
        wait_until(load.at_ns);
        if (cli_stopped()) {
            break;
        }
        rc = publish(e, &load);
        if (rc == 0 && e->sub != NULL) {
            rc = wait_for_answer(e, load.number);
        }
        load.number++;
    }
    return rc < 0 ? cli_report(e->hand->call, rc, NULL, "cannot publish") : CLI_DONE;
}

/* send_messages - the work of the process that publishes. */
static int
send_messages(struct cli_hand *hand, const void *job, void *result)
{
    struct end e = {.hand = hand, .job = job, .seen = result};

    prctl(PR_SET_TIMERSLACK, 1UL); /* sleeps end when they should; a failure makes them end later */
    int code = open_publisher(&e, e.job->there);
    if (code == CLI_DONE && e.job->o->round_trip) {
        code = open_subscriber(&e, e.job->back);
    }
    if (code == CLI_DONE) {
        code = cli_crew_ready(hand, &e.window);
    }
    if (code == CLI_DONE) {
        code = send_all(&e);
    }
    close_end(&e);
    return code;
}

/* hear_messages - the work of the process that hears, and answers in a round trip. */
static int
hear_messages(struct cli_hand *hand, const void *job, void *result)
{
    struct end e = {.hand = hand, .job = job, .seen = result};
    uint64_t last = UINT64_MAX; /* plus one: the number that is due next */
    int rc = 0;

    int code = open_subscriber(&e, e.job->there);
    if (code == CLI_DONE && e.job->o->round_trip) {
        code = open_publisher(&e, e.job->back);
    }
    if (code == CLI_DONE) {
        code = cli_crew_ready(hand, &e.window);
    }
    while (code == CLI_DONE && rc == 0 && !is_over(&e, last + 1)) {
        rc = hear(&e, e.job->o->round_trip, POLL_NS, &last);
    }
    if (rc < 0) {
        code = cli_report(hand->call, rc, NULL, "cannot read from the bus");
    }
    close_end(&e);
    return code;
}

/* ---- results --------------------------------------------------------------------------------------- */

/* The points of the curve; those of the summary have a key. */
static const struct {
    double share;
    const char *text, *key;
} points[] = {{0.1, "p10", NULL},          {0.25, "p25", NULL},     {0.5, "p50", "p50_ns"},
              {0.75, "p75", NULL},         {0.9, "p90", "p90_ns"},  {0.99, "p99", "p99_ns"},
              {0.999, "p99.9", "p999_ns"}, {0.9999, "p99.99", NULL}};

enum { POINT_COUNT = sizeof(points) / sizeof(points[0]) };

/* has_point - 1 if there are enough messages that this point is not just the largest one. */
static int
has_point(const struct cli_histogram *h, double share)
{
    return (double)h->total * (1 - share) >= 1 - 1e-9;
}

/* doublings - of 1 to get v + 1: near enough to a logarithm, and continuous. */
static double
doublings(int64_t v)
{
    uint64_t n = v < 0 ? 1U : (uint64_t)v + 1;
    int power = 63 - __builtin_clzll(n);
    double base = (double)(UINT64_C(1) << power);
    return (double)power + ((double)n - base) / base;
}

/* put_bar - as long as the logarithm of the value between the least and the largest. */
static void
put_bar(const struct cli_histogram *h, const char *name, int64_t v)
{
    char text[CLI_NUMBER_BYTES];
    double low = doublings(h->min);
    double high = doublings(h->max);
    double part = high > low ? (doublings(v) - low) / (high - low) : 1;
    int width = 1 + (int)(part * (CURVE_WIDTH - 1));

    printf("  %-6s %8s  ", name, cli_span(text, v));
    for (int i = 0; i < width; i++) {
        putchar('#');
    }
    putchar('\n');
}

static void
print_text(const struct job *job, const struct seen *seen)
{
    const struct cli_histogram *h = &seen->histogram;
    char text[CLI_NUMBER_BYTES];

    printf("%s, %" PRIu64 " bytes, %s a second, waiting by %s: ",
           job->o->round_trip ? "round trip" : "one way", job->o->size,
           cli_scaled(text, job->o->rate), job->o->wait);
    printf("n=%" PRIu64 "  min %s", h->total, cli_span(text, h->min));
    for (size_t i = 0; i < POINT_COUNT; i++) {
        if (points[i].key != NULL) {
            printf("  %s %s", points[i].text, cli_span(text, cli_histogram_at(h, points[i].share)));
        }
    }
    printf("  max %s", cli_span(text, h->max));
    printf("  lost %" PRIu64 "\n\n", seen->lost);
    for (size_t i = 0; i < POINT_COUNT; i++) {
        if (has_point(h, points[i].share)) {
            put_bar(h, points[i].text, cli_histogram_at(h, points[i].share));
        }
    }
    put_bar(h, "max", h->max);
}

static void
print_json(const struct cli_crew *crew, const struct job *job, const struct seen *seen)
{
    const struct cli_histogram *h = &seen->histogram;
    struct cli_json j = {0};

    cli_json_object(&j, NULL);
    cli_json_text(&j, "bus", crew->path);
    cli_json_boolean(&j, "own_bus", crew->own_bus[0] != '\0');
    cli_json_text(&j, "topic", job->there);
    cli_json_text(&j, "way", job->o->round_trip ? "round-trip" : "one-way");
    cli_json_count(&j, "size", job->o->size);
    cli_json_real(&j, "rate", job->o->rate);
    cli_json_text(&j, "wait", job->o->wait);
    cli_json_count(&j, "n", h->total);
    cli_json_count(&j, "lost", seen->lost);
    cli_json_integer(&j, "min_ns", h->min);
    for (size_t i = 0; i < POINT_COUNT; i++) {
        if (points[i].key != NULL) {
            cli_json_integer(&j, points[i].key, cli_histogram_at(h, points[i].share));
        }
    }
    cli_json_integer(&j, "max_ns", h->max);
    cli_json_end_object(&j);
    cli_json_line_end(&j);
}

static int
print_result(const struct cli_crew *crew, const struct job *job)
{
    /* Members: listener, sender. */
    const struct cli_crew_member *m = &crew->members[job->o->round_trip ? 1 : 0];
    const struct seen *seen = (const struct seen *)(const void *)m->result;

    if (crew->call.common.json) {
        print_json(crew, job, seen);
    } else if (seen->histogram.total > 0) {
        print_text(job, seen);
    }
    if (seen->torn > 0) {
        cli_say("%" PRIu64 " messages were not what was sent: please report this as a defect",
                seen->torn);
        return CLI_FAILED;
    }
    if (seen->histogram.total == 0 && !cli_stopped()) {
        cli_say("no message arrived");
        return CLI_NO;
    }
    return CLI_DONE;
}

/* ---- the verb -------------------------------------------------------------------------------------- */

static int
parse_wait(const char *text, uint32_t *wait)
{
    static const struct {
        const char *text;
        uint32_t wait;
    } modes[] = {{"spin", BB_WAIT_SPIN}, {"sleep", BB_WAIT_SLEEP}, {"hybrid", BB_WAIT_HYBRID}};

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(text, modes[i].text) == 0) {
            *wait = modes[i].wait;
            return 1;
        }
    }
    return 0;
}

static int
check(const struct cli_call *call, const struct latency_options *o, uint32_t *wait)
{
    if (o->size < CLI_LOAD_MIN_BYTES) {
        return cli_wrong(call->verb, "--size is at least %d bytes: a number and a time",
                         CLI_LOAD_MIN_BYTES);
    }
    if (o->rate > RATE_MAX) {
        return cli_wrong(call->verb, "--rate is at most %.0f", RATE_MAX);
    }
    if (o->for_ns < CLI_SECOND_NS / 100) {
        return cli_wrong(call->verb, "--seconds is at least 10ms");
    }
    if (!parse_wait(o->wait, wait)) {
        return cli_wrong(call->verb, "--wait takes spin, sleep or hybrid, not \"%.40s\"", o->wait);
    }
    return CLI_DONE;
}

static int
run(const struct cli_call *call, const void *options)
{
    static struct cli_crew crew;
    const struct latency_options *o = options;
    struct job job = {.o = o};

    int code = check(call, o, &job.wait);
    if (code != CLI_DONE) {
        return code;
    }
    snprintf(job.there, sizeof(job.there), "busbar/bench/%ld/there", (long)getpid());
    snprintf(job.back, sizeof(job.back), "busbar/bench/%ld/back", (long)getpid());
    cli_signals_catch();
    code = cli_crew_init(&crew, call, sizeof(struct seen));
    if (code == CLI_DONE) {
        code = cli_crew_hire(&crew, "listener", 0, hear_messages, &job);
    }
    if (code == CLI_DONE) {
        code = cli_crew_hire(&crew, "sender", 0, send_messages, &job);
    }
    if (code == CLI_DONE) {
        cli_crew_say_bus(&crew);
        code = cli_crew_run(&crew, o->for_ns < WARM_NS ? o->for_ns : WARM_NS, o->for_ns);
    }
    if (code == CLI_DONE) {
        code = print_result(&crew, &job);
    }
    cli_crew_fini(&crew);
    return code;
}

static const struct cli_option options[] = {
    {.name = "size",
     .type = CLI_COUNT,
     .offset = offsetof(struct latency_options, size),
     .arg = "BYTES",
     .help = "payload of each message (default 64)"},
    {.name = "rate",
     .type = CLI_NUMBER,
     .offset = offsetof(struct latency_options, rate),
     .arg = "N",
     .help = "messages a second (default 1000)"},
    {.name = "seconds",
     .type = CLI_SPAN,
     .offset = offsetof(struct latency_options, for_ns),
     .arg = "SECONDS",
     .help = "measure so long (default 5)"},
    {.name = "wait",
     .type = CLI_TEXT,
     .offset = offsetof(struct latency_options, wait),
     .arg = "HOW",
     .help = "the subscriber waits by spin, sleep or hybrid (default: spins a little)",
     .values = "spin sleep hybrid"},
    {.name = "round-trip",
     .type = CLI_FLAG,
     .offset = offsetof(struct latency_options, round_trip),
     .help = "there and back again, one message at a time"},
    {.name = NULL},
};

const struct cli_verb cli_verb_latency = {
    .name = "latency",
    .line = "measure how long a message takes from one process to another",
    .usage = "[OPTION]...",
    .text = "Starts a sender and a listener on a topic of their own.  Messages are due at\n"
            "fixed times, and each counts from the time when it was due: what a stall\n"
            "delayed is late, not missing.  Prints percentiles and their curve, on a\n"
            "logarithmic scale.\n"
            "\n"
            "It measures on the bus that is there.  Without one it makes one of its own,\n"
            "bench-PID, and removes it at the end.",
    .examples = "busbar latency\n"
                "busbar latency --wait spin --rate 10000 --seconds 10\n"
                "busbar latency --round-trip --wait sleep --json\n",
    .options = options,
    .options_bytes = sizeof(struct latency_options),
    .defaults = &defaults,
    .max_args = 0,
    .flags = CLI_JSON,
    .run = run,
};
