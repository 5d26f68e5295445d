/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_open_loop.c - open-loop: messages at a given rate, latency from the moment that was intended.
 *
 * The publisher never waits for an answer and skips nothing: what it sends late counts as late, so a stall
 * shows in every message that it held up.
 */
#include "bench/cases.h"
#include "bench/pace.h"
#include "bench/stream.h"

static const int64_t recv_ns = 2000000;

static int
play_publisher(struct bench_stage *st, struct bench_actor *self)
{
    static struct bench_pubs p;
    if (bench_pubs_open(st, self, &p) < 0) {
        return 1;
    }
    struct bench_pace pace = bench_pace_start(st->rate);
    while (bench_phase(st) < BENCH_DRAIN) {
        if (bench_pace_wait(&pace, st) == 0) {
            break;
        }
        for (unsigned i = 0; i < p.active; i++) {
            p.src[i].intended = pace.next_ns;
        }
        if (bench_pubs_send(st, &p, 1) < 0) {
            return 1;
        }
        pace.next_ns += pace.interval_ns;
    }
    return bench_pubs_close(st, self, &p);
}

struct notes {
    struct bench_actor *self;
    bool is_measuring;
};

static void
note(struct bench_sink *sink, void *user)
{
    struct notes *n = user;
    if (n->is_measuring && sink->intended > 0) {
        bench_hist_add(&n->self->hist, bench_now_ns() - sink->intended);
    }
}

static int
play_subscriber(struct bench_stage *st, struct bench_actor *self)
{
    static struct bench_sink sink;
    struct notes notes = {.self = self};
    struct bench_window w = {0};
    void *sub;
    if (bench_sub_open(st, self, &sub, &sink) < 0) {
        return 1;
    }
    sink.note = note;
    sink.user = &notes;
    for (uint32_t phase; (phase = bench_phase(st)) < BENCH_DRAIN;) {
        bench_window_look(&w, self, phase, sink.messages, sink.bytes);
        notes.is_measuring = phase == BENCH_MEASURE;
        if (st->driver->sub_recv(sub, &sink, recv_ns) < 0) {
            return 1;
        }
    }
    /* What was sent in the window and arrives after it belongs to it. */
    bench_window_look(&w, self, BENCH_DRAIN, sink.messages, sink.bytes);
    return bench_sub_close(st, self, sub, &sink);
}

static void
cast(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    const struct bench_setup *s = &plan->setup;
    for (unsigned i = 0; i < s->publishers; i++) {
        (void)bench_stage_cast(st, "publisher", play_publisher, i, 1, bench_cpu(o, i));
    }
    for (unsigned i = 0; i < s->subscribers; i++) {
        (void)bench_stage_cast(st, "subscriber", play_subscriber, i, 0,
                               bench_cpu(o, s->publishers + i));
    }
}

static void
gather(const struct bench_plan *plan, const struct bench_stage *st, struct bench_sample *out)
{
    bench_gather_stream(plan, st, out);
    out->has_latency = true;
    for (unsigned i = 0; i < st->actor_count; i++) {
        bench_hist_merge(&out->hist, &st->actors[i].hist);
    }
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    static const char *const waits[] = {"spin", "sleep", "hybrid"};
    struct bench_plan plan;
    bench_plan_init(&plan, c->name, o, size);
    plan.rate = o->rate > 0 ? o->rate : 100000;
    plan.setup.publishers = o->publishers != 0 ? o->publishers : 1;
    plan.setup.subscribers = o->subscribers != 0 ? o->subscribers : 1;
    plan.setup.batch = 1;
    plan.needs = (plan.setup.subscribers > 1 ? BENCH_CAN_FAN_OUT : 0u)
                 | (plan.setup.publishers > 1 ? BENCH_CAN_FAN_IN : 0u)
                 | (plan.setup.wait == BENCH_SPIN ? 0u : BENCH_CAN_SLEEP);
    (void)snprintf(plan.mode, sizeof(plan.mode), "%.0f/s, %s", plan.rate, waits[plan.setup.wait]);
    plan.extra[0] = "cpu_ns_per_msg";
    plan.cast = cast;
    plan.gather = gather;
    return bench_race(o, report, &plan, 1, NULL);
}

const struct bench_case bench_case_open_loop = {
    "open-loop", "latency at a given rate, from the intended time", true, run};
