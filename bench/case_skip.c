/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_skip.c - skip: what a message costs a reader that does not want it.
 *
 * The reader wants 1 of 100 topics.  Turns, as in many-rings: the publisher fills while the reader stands
 * aside, then the reader goes over all of it, and only that time counts; reading the wanted 1 % is part of it.
 *
 * Cold       Publisher and reader on two cores: what the reader goes over lies in the other core's cache.
 * Warm       Both in one process on one core.
 */
#include "bench/cases.h"
#include "bench/clock.h"
#include "bench/stream.h"

#include <sched.h>

enum {
    TOPICS = 100,
    ROUNDS = 20,           /* times all topics in one turn: 2,000 messages */
    RING_DEPTH_MIN = 4096, /* holds a turn and the rest of the one before */
    TURN_SPINS = 500,
};
static const int64_t missing_ns = 2000000000; /* nothing for so long: something is lost */
static const int64_t recv_ns = 1000000;

/* A turn of messages from one publisher; the first of each hundred is wanted, also of the hellos. */
static int
fill(struct bench_stage *st, void *pub, struct bench_source *src)
{
    size_t room = st->setup.ring_bytes != 0 ? st->setup.ring_bytes / 2 : 512 * 1024;
    uint64_t rounds = room / (src->size * TOPICS);
    rounds = rounds < ROUNDS ? rounds : ROUNDS;
    int rc = st->driver->pub_send(pub, src, rounds > 0 ? rounds * TOPICS : TOPICS);
    atomic_store_explicit(&st->sent[0], src->word & BENCH_NUMBER_MASK, memory_order_release);
    return rc;
}

/* From one wanted message to the next. */
static uint64_t
stride_of(const struct bench_stage *st)
{
    return st->setup.wanted == st->setup.topics ? 1 : TOPICS;
}

/* Goes on until the last wanted one of what was sent. */
static int
go_over(struct bench_stage *st, void *sub, struct bench_sink *sink)
{
    uint64_t sent = atomic_load_explicit(&st->sent[0], memory_order_acquire);
    uint64_t last = (sent - 1) / stride_of(st) * stride_of(st);
    int64_t deadline = 0;
    while (sink->next[0] <= last) {
        int got = st->driver->sub_recv(sub, sink, recv_ns);
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            int64_t now = bench_now_ns();
            deadline = deadline == 0 ? now + missing_ns : deadline;
            if (now > deadline) {
                (void)fprintf(stderr, "busbar-bench: %s: message %llu never came.\n",
                              st->driver->name, (unsigned long long)last);
                return -1;
            }
        }
    }
    return 0;
}

/* The timed turn.  Counts from wanted message to wanted message. */
static int
timed_turn(struct bench_stage *st, struct bench_actor *self, void *sub, struct bench_sink *sink)
{
    uint64_t from = sink->next[0];
    bool is_measured = bench_phase(st) == BENCH_MEASURE;
    int64_t start = bench_now_ns();
    if (go_over(st, sub, sink) < 0) {
        return -1;
    }
    if (is_measured) {
        self->window_ns += bench_now_ns() - start;
        self->messages += sink->next[0] - from;
    }
    /* Makes known that all was read. */
    return st->driver->sub_recv(sub, sink, 0) < 0 ? -1 : 0;
}

/* ---- cold: turns of two processes -------------------------------------------------------------- */

static int
await_turn(const struct bench_stage *st, uint64_t mine)
{
    for (unsigned spins = 0; atomic_load_explicit(&st->baton, memory_order_acquire) % 2 != mine;
         spins++) {
        if (bench_phase(st) >= BENCH_DRAIN) {
            return -1;
        }
        if (spins > TURN_SPINS) {
            (void)sched_yield();
        }
        bench_pause();
    }
    return 0;
}

static int
play_publisher(struct bench_stage *st, struct bench_actor *self)
{
    static struct bench_pubs p;
    if (bench_pubs_open(st, self, &p) < 0) {
        return 1;
    }
    while (bench_phase(st) < BENCH_DRAIN && await_turn(st, 0) == 0) {
        if (fill(st, p.pub[0], &p.src[0]) < 0) {
            return 1;
        }
        atomic_fetch_add_explicit(&st->baton, 1, memory_order_release);
    }
    return bench_pubs_close(st, self, &p);
}

static int
play_reader(struct bench_stage *st, struct bench_actor *self)
{
    static struct bench_sink sink;
    void *sub;
    if (bench_sub_open(st, self, &sub, &sink) < 0) {
        return 1;
    }
    while (bench_phase(st) < BENCH_DRAIN && await_turn(st, 1) == 0) {
        if (timed_turn(st, self, sub, &sink) < 0) {
            return 1;
        }
        atomic_fetch_add_explicit(&st->baton, 1, memory_order_release);
    }
    return bench_sub_close(st, self, sub, &sink);
}

/* ---- warm: one process ------------------------------------------------------------------------- */

static int
play_both(struct bench_stage *st, struct bench_actor *self)
{
    static struct bench_sink sink;
    struct bench_source src = {.word = bench_first_word(0), .size = st->setup.size};
    const struct bench_driver *d = st->driver;
    void *pub, *sub;
    if (d->pub_open(&st->setup, st->shared, 0, &pub) < 0) {
        return 1;
    }
    bench_set_state(self, BENCH_OPENED);
    bench_await_phase(st, BENCH_OPEN_SUB);
    if (d->sub_open(&st->setup, st->shared, 0, &sub) < 0) {
        return 1;
    }
    bench_set_state(self, BENCH_HEARD);
    bench_await_phase(st, BENCH_WARM);
    while (bench_phase(st) < BENCH_DRAIN) {
        if (fill(st, pub, &src) < 0 || timed_turn(st, self, sub, &sink) < 0) {
            return 1;
        }
    }
    self->torn = sink.torn;
    self->disorder = sink.disorder;
    d->pub_close(pub);
    d->sub_close(sub);
    return 0;
}

/* ---- case -------------------------------------------------------------------------------------- */

void
bench_cast_turns(const struct bench_plan *plan,
                 const struct bench_options *o,
                 struct bench_stage *st)
{
    (void)plan;
    (void)bench_stage_cast(st, "publisher", play_publisher, 0, 1, bench_cpu(o, 0));
    (void)bench_stage_cast(st, "subscriber", play_reader, 0, 0, bench_cpu(o, 1));
}

static void
cast_warm(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    (void)plan;
    struct bench_actor *a = bench_stage_cast(st, "process", play_both, 0, 1, bench_cpu(o, 0));
    a->hears = true;
}

void
bench_gather_turns(const struct bench_plan *plan,
                   const struct bench_stage *st,
                   struct bench_sample *out)
{
    bench_gather_stream(plan, st, out);
    out->extra[0] = out->rate > 0 ? 1e9 / out->rate : 0;
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    struct bench_plan plans[2];
    for (unsigned i = 0; i < 2; i++) {
        struct bench_plan *p = &plans[i];
        bench_plan_init(p, c->name, o, size);
        (void)snprintf(p->mode, sizeof(p->mode), "%s", i == 0 ? "cold" : "warm");
        p->setup.topics = TOPICS;
        p->setup.wanted = 1;
        if (p->setup.ring_depth != 0 && p->setup.ring_depth < RING_DEPTH_MIN) {
            p->setup.ring_depth = RING_DEPTH_MIN;
        }
        p->needs = BENCH_CAN_TOPICS;
        /* raw knows no topics: its reader takes every message, which is what filtering saves. */
        p->extra[0] = "ns_per_msg";
        p->cast = i == 0 ? bench_cast_turns : cast_warm;
        p->gather = bench_gather_turns;
    }
    return bench_race(o, report, plans, 2, NULL);
}

const struct bench_case bench_case_skip = {
    "skip", "a message that a reader skips: it wants 1 of 100 topics", true, run};
