/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/verb_bench.c - `busbar bench`: what this box can carry, with the library's defaults.
 *
 * Publishers and subscribers are processes of their own on a topic of their own.  Every byte is written and
 * read.  The time is cut into slices; a rate is the median over the slices, and who is slow shows in one of
 * them.  Publishers never evict anybody: a reliable subscriber of somebody else makes them wait.
 */
#include "tools/cli/bench_report.h"
#include "tools/cli/clock.h"
#include "tools/cli/crew.h"
#include "tools/cli/load.h"
#include "tools/cli/output.h"
#include "tools/cli/report.h"
#include "tools/cli/verb_list.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_MAX = 32,      /* the library flushes at the latest after so many */
    ROUNDS = 32,         /* messages between two looks at the clock, about */
    POLL_MAX = 256,      /* messages of one poll */
    BLOCK_NS = 20000000, /* so long a publisher waits before it looks at the clock */
    POLL_NS = 50000000,  /* so long a subscriber does */
};

#define WARM_NS (CLI_SECOND_NS / 5)

static const struct cli_bench_options defaults = {
    .size = 64, .batch = 8, .publishers = 1, .subscribers = 1, .for_ns = 3 * CLI_SECOND_NS};

/* What each process does. */
struct job {
    const struct cli_bench_options *o;
    const char *topic;
};

/* ---- counting ------------------------------------------------------------------------------------ */

struct meter {
    struct cli_bench_count *count;
    struct cli_window window;
    int64_t now_ns;
    int64_t cpu_begin_ns; /* -1: before the window */
};

static int64_t
cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * CLI_SECOND_NS + t.tv_nsec;
}

/* tick - counts what was done up to now. */
static void
tick(struct meter *m, uint64_t messages)
{
    m->now_ns = cli_mono_ns();
    if (m->now_ns < m->window.begin_ns || m->now_ns >= m->window.end_ns) {
        return;
    }
    if (m->cpu_begin_ns < 0) {
        m->cpu_begin_ns = cpu_ns();
        return; /* these were done before */
    }
    int64_t slice_ns = (m->window.end_ns - m->window.begin_ns) / CLI_BENCH_SLICES;
    int64_t slice_idx = (m->now_ns - m->window.begin_ns) / slice_ns;
    m->count->slices[slice_idx < CLI_BENCH_SLICES ? slice_idx : CLI_BENCH_SLICES - 1] += messages;
    m->count->messages += messages;
}

static void
stop_meter(struct meter *m)
{
    int64_t end_ns = m->now_ns < m->window.end_ns ? m->now_ns : m->window.end_ns;
    if (m->cpu_begin_ns >= 0) {
        m->count->cpu_ns = cpu_ns() - m->cpu_begin_ns;
        m->count->wall_ns = end_ns - m->window.begin_ns;
    }
}

static int
is_over(const struct meter *m)
{
    return m->now_ns >= m->window.end_ns || cli_stopped();
}

/* ---- publishers ---------------------------------------------------------------------------------- */

struct sender {
    const struct cli_hand *hand;
    const struct cli_bench_options *o;
    struct bb_publisher *publisher;
    struct bb_topic *topic;
    struct cli_load load;
};

static int
open_sender(struct sender *s, const char *topic)
{
    struct bb_error error = {0};
    struct bb_publisher_opts opts = {.size = sizeof(opts),
                                     .policy = BB_POLICY_BLOCK_FAIL,
                                     .block_ns = BLOCK_NS,
                                     .error = &error};
    int rc = bb_publisher_open(&s->publisher, s->hand->ep, &opts);
    if (rc < 0) {
        return cli_report(s->hand->call, rc, &error, "cannot make a ring");
    }
    rc = bb_topic_open(&s->topic, s->publisher, topic, strlen(topic));
    if (rc < 0) {
        return cli_report(s->hand->call, rc, NULL, "the topic");
    }
    if (s->o->size > bb_publisher_max(s->publisher)) {
        return cli_report(s->hand->call, BB_EMSGSIZE, NULL, "--size");
    }
    return CLI_DONE;
}

/* send_one - 1; 0 when somebody reliable is a whole ring behind; or a status. */
static int
send_one(struct sender *s, uint32_t more)
{
    void *data = NULL;
    int rc = bb_loan(s->topic, s->o->size, &data);
    if (rc == BB_EAGAIN) {
        return 0;
    }
    if (rc < 0) {
        return rc;
    }
    cli_load_fill(data, s->o->size, &s->load);
    rc = bb_commit(s->topic, s->o->size, BB_RAW | more);
    s->load.number += rc >= 0;
    return rc < 0 ? rc : 1;
}

/* send_some - whole batches, about ROUNDS messages; how many, or a status. */
static int
send_some(struct sender *s)
{
    uint64_t batch = s->o->batch;
    uint64_t want = s->o->rate > 0 || batch > ROUNDS ? batch : ROUNDS / batch * batch;
    int sent = 0;
    int rc = 1;

    for (uint64_t i = 1; i <= want && rc == 1; i++) {
        rc = send_one(s, i % batch != 0 ? BB_MORE : 0U);
        sent += rc == 1;
    }
    if (rc == 0) {
        rc = bb_flush(s->publisher); /* nothing waits for the rest of the batch */
    }
    return rc < 0 ? rc : sent;
}

/* pace - until the next batch is due. */
static void
pace(const struct sender *s, const struct meter *m)
{
    if (s->o->rate > 0) {
        int64_t due_ns = m->window.start_ns
                         + (int64_t)((double)s->load.number / s->o->rate * (double)CLI_SECOND_NS);
        if (due_ns > m->now_ns) {
            cli_sleep_until(due_ns < m->window.end_ns ? due_ns : m->window.end_ns);
        }
    }
}

static int
send_all(struct sender *s, struct meter *m)
{
    int rc = 0;
    cli_sleep_until(m->window.start_ns);
    tick(m, 0);
    while (rc >= 0 && !is_over(m)) {
        pace(s, m);
        rc = send_some(s);
        tick(m, rc > 0 ? (uint64_t)rc : 0U);
    }
    return rc < 0 ? cli_report(s->hand->call, rc, NULL, "cannot publish") : CLI_DONE;
}

/* publish - the work of a publisher. */
static int
publish(struct cli_hand *hand, const void *job, void *result)
{
    const struct job *j = job;
    struct sender s = {
        .hand = hand, .o = j->o, .load = {.run = hand->run, .publisher = hand->index}};
    struct meter m = {.count = result, .cpu_begin_ns = -1};
    struct bb_publisher_stats stats = {.size = sizeof(stats)};

    int code = open_sender(&s, j->topic);
    if (code == CLI_DONE) {
        code = cli_crew_ready(hand, &m.window);
    }
    if (code == CLI_DONE) {
        int readers = bb_subscriber_count(s.topic);
        code = send_all(&s, &m);
        stop_meter(&m);
        bb_publisher_stats(s.publisher, &stats);
        m.count->waited = stats.blocked;
        m.count->wakes = stats.wakes;
        m.count->others =
            readers > (int)j->o->subscribers ? (uint64_t)readers - j->o->subscribers : 0U;
    }
    bb_publisher_close(s.publisher);
    return code;
}

/* ---- subscribers --------------------------------------------------------------------------------- */

struct receiver {
    const struct cli_hand *hand;
    struct bb_subscriber *sub;
    struct cli_bench_count *count;
    uint64_t next[CLI_LOAD_PUBLISHERS]; /* number expected, by publisher */
};

static int
open_receiver(struct receiver *r, const struct job *j)
{
    struct bb_error error = {0};
    struct bb_subscriber_opts opts = {.size = sizeof(opts),
                                      .flags = j->o->reliable ? BB_SUBSCRIBER_RELIABLE : 0U,
                                      .prefixes = &j->topic,
                                      .prefix_count = 1,
                                      .error = &error};
    int rc = bb_subscriber_open(&r->sub, r->hand->ep, &opts);
    return rc < 0 ? cli_report(r->hand->call, rc, &error, "cannot subscribe") : CLI_DONE;
}

/* take - reads one message; 1 if it is one of ours. */
static int
take(struct receiver *r, const struct bb_msg *msg)
{
    struct cli_load load;
    int whole = cli_load_read(msg->data, msg->bytes, r->hand->run, &load);
    if (whole > 0) {
        uint64_t *next = &r->next[load.publisher];
        r->count->lost += load.number > *next ? load.number - *next : 0U;
        *next = load.number + 1;
    } else if (whole < 0) {
        r->count->torn++;
    }
    return whole > 0;
}

/* take_some - one poll; how many were ours, or a status. */
static int
take_some(struct receiver *r, struct bb_msg msgs[POLL_MAX])
{
    int ours = 0;
    int n = bb_poll(r->sub, msgs, POLL_MAX, POLL_NS);
    for (int i = 0; i < n; i++) {
        ours += take(r, &msgs[i]);
    }
    int overwritten = n > 0 ? bb_release(r->sub) : 0;
    return n < 0 ? n : overwritten < 0 ? overwritten : ours;
}

/* receive - the work of a subscriber. */
static int
receive(struct cli_hand *hand, const void *job, void *result)
{
    static struct bb_msg msgs[POLL_MAX];
    struct receiver r = {.hand = hand, .count = result};
    struct meter m = {.count = result, .cpu_begin_ns = -1};
    struct bb_subscriber_stats stats = {.size = sizeof(stats)};
    int rc = 0;

    int code = open_receiver(&r, job);
    if (code == CLI_DONE) {
        code = cli_crew_ready(hand, &m.window);
    }
    while (code == CLI_DONE && rc >= 0 && !is_over(&m)) {
        rc = take_some(&r, msgs);
        tick(&m, rc > 0 ? (uint64_t)rc : 0U);
    }
    if (code == CLI_DONE && rc < 0) {
        code = cli_report(hand->call, rc, NULL, "cannot read from the bus");
    }
    if (code == CLI_DONE) {
        stop_meter(&m);
        bb_subscriber_stats(r.sub, &stats);
        r.count->wakes = stats.wakes;
    }
    bb_subscriber_close(r.sub);
    return code;
}

/* ---- the verb ------------------------------------------------------------------------------------ */

static int
check(const struct cli_call *call, const struct cli_bench_options *o)
{
    if (o->size < CLI_LOAD_MIN_BYTES) {
        return cli_wrong(call->verb, "--size is at least %d bytes: a number and a time",
                         CLI_LOAD_MIN_BYTES);
    }
    if (o->batch < 1 || o->batch > BATCH_MAX) {
        return cli_wrong(call->verb, "--batch is 1 to %d", BATCH_MAX);
    }
    if (o->publishers < 1 || o->publishers > CLI_BENCH_EACH_MAX || o->subscribers < 1
        || o->subscribers > CLI_BENCH_EACH_MAX) {
        return cli_wrong(call->verb, "--publishers and --subscribers are 1 to %d",
                         CLI_BENCH_EACH_MAX);
    }
    if (o->for_ns < CLI_SECOND_NS / 100) {
        return cli_wrong(call->verb, "--seconds is at least 10ms");
    }
    return o->topic != NULL ? cli_check_topic(o->topic) : CLI_DONE;
}

static int
hire_all(struct cli_crew *crew, const struct job *job)
{
    int code = CLI_DONE;
    for (unsigned i = 0; i < job->o->subscribers && code == CLI_DONE; i++) {
        code = cli_crew_hire(crew, "sub", i, receive, job);
    }
    for (unsigned i = 0; i < job->o->publishers && code == CLI_DONE; i++) {
        code = cli_crew_hire(crew, "pub", i, publish, job);
    }
    return code;
}

static int
run(const struct cli_call *call, const void *options)
{
    static struct cli_crew crew;
    const struct cli_bench_options *o = options;
    char topic[64];
    struct job job = {.o = o, .topic = o->topic};

    int code = check(call, o);
    if (code != CLI_DONE) {
        return code;
    }
    if (o->topic == NULL) {
        snprintf(topic, sizeof(topic), "busbar/bench/%ld", (long)getpid());
        job.topic = topic;
    }
    cli_signals_catch();
    code = cli_crew_init(&crew, call, sizeof(struct cli_bench_count));
    if (code == CLI_DONE) {
        code = hire_all(&crew, &job);
    }
    if (code == CLI_DONE) {
        cli_crew_say_bus(&crew);
        code = cli_crew_run(&crew, o->for_ns < WARM_NS ? o->for_ns : WARM_NS, o->for_ns);
    }
    if (code == CLI_DONE) {
        code =
            cli_bench_print(&(struct cli_bench_report){.o = o, .crew = &crew, .topic = job.topic});
    }
    cli_crew_fini(&crew);
    return code;
}

static const struct cli_option options[] = {
    {.name = "size",
     .type = CLI_COUNT,
     .offset = offsetof(struct cli_bench_options, size),
     .arg = "BYTES",
     .help = "payload of each message (default 64)"},
    {.name = "batch",
     .type = CLI_COUNT,
     .offset = offsetof(struct cli_bench_options, batch),
     .arg = "N",
     .help = "messages from one flush to the next (default 8, at most 32)"},
    {.name = "seconds",
     .type = CLI_SPAN,
     .offset = offsetof(struct cli_bench_options, for_ns),
     .arg = "SECONDS",
     .help = "measure so long (default 3)"},
    {.name = "publishers",
     .type = CLI_COUNT,
     .offset = offsetof(struct cli_bench_options, publishers),
     .arg = "N",
     .help = "so many publishing processes (default 1)"},
    {.name = "subscribers",
     .type = CLI_COUNT,
     .offset = offsetof(struct cli_bench_options, subscribers),
     .arg = "N",
     .help = "so many subscribing processes (default 1)"},
    {.name = "rate",
     .type = CLI_NUMBER,
     .offset = offsetof(struct cli_bench_options, rate),
     .arg = "N",
     .help = "so many messages a second of each publisher (default: all it can)"},
    {.name = "reliable",
     .type = CLI_FLAG,
     .offset = offsetof(struct cli_bench_options, reliable),
     .help = "publishers wait for the slowest subscriber; nothing may be lost"},
    {.name = "topic",
     .type = CLI_TEXT,
     .offset = offsetof(struct cli_bench_options, topic),
     .arg = "TOPIC",
     .help = "publish on this topic (default busbar/bench/PID)"},
    {.name = NULL},
};

const struct cli_verb cli_verb_bench = {
    .name = "bench",
    .line = "measure how many messages a second this box carries",
    .usage = "[OPTION]...",
    .text = "Starts publishers and subscribers of its own on a topic of their own, lets\n"
            "them run, and prints for each process messages a second (median, least and\n"
            "most of ten slices of the time), losses and CPU time per message.  Every byte\n"
            "is written and read.\n"
            "\n"
            "It measures on the bus that is there; nobody on it is evicted,\n"
            "but subscribers of all topics get these messages too, and the cores are\n"
            "busy.  Without a bus it makes one of its own, bench-PID, and removes\n"
            "it at the end.\n"
            "\n"
            "Without --reliable a publisher that is faster than its subscribers overwrites\n"
            "what they have not read: that is counted as lost.  --rate says whether the\n"
            "box carries a given load without losses.",
    .examples = "busbar bench\n"
                "busbar bench --size 256 --publishers 4 --rate 100000\n"
                "busbar bench --subscribers 2 --reliable --seconds 10 --json\n",
    .options = options,
    .options_bytes = sizeof(struct cli_bench_options),
    .defaults = &defaults,
    .max_args = 0,
    .flags = CLI_JSON | CLI_TABLE,
    .run = run,
};
