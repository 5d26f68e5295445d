/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_rings.c - many-rings: what a reader pays for 64 rings of which 4 are active.
 *
 * Filled     A reader that waits spins, so its CPU time says nothing.  Hence turns: one process, which holds
 *            all publishers, fills the active rings while the reader stands aside; then the reader takes
 *            all of it, and only that time counts, as CPU time per message.
 * Idle       At the end all rings are empty: the time of one look at them all, without waiting, for 64 rings
 *            and for 1; the difference by 63 is the cost of an idle ring.
 */
#include "bench/cases.h"
#include "bench/clock.h"
#include "bench/stream.h"

#include <sched.h>

enum {
    FILL_MAX = 1024,  /* messages in each active ring; below half of the smallest ring's depth */
    LOOKS = 4000,     /* idle looks for one figure */
    TURN_SPINS = 500, /* before a turn's wait gives the core away */
};
static const uint64_t fill_bytes = 256 * 1024; /* in each active ring; a quarter of busbar's */
static const int64_t fill_wait_ns = 1000000;
static const int64_t settle_ns = 20000000;    /* after which all hellos have come */
static const int64_t missing_ns = 2000000000; /* nothing for so long: something is lost */

static uint64_t
fill_count(const struct bench_setup *s)
{
    uint64_t bytes = s->ring_bytes != 0 ? s->ring_bytes / 4 : fill_bytes;
    uint64_t depth = s->ring_depth != 0 ? s->ring_depth / 4 : FILL_MAX;
    uint64_t n = bytes / s->size < depth ? bytes / s->size : depth;
    return n > 0 ? n : 1;
}

/* 0 when it is our turn; -1 when the window has closed. */
static int
await_turn(const struct bench_stage *st, uint64_t mine)
{
    for (unsigned spins = 0;; spins++) {
        if (atomic_load_explicit(&st->baton, memory_order_acquire) % 2 == mine) {
            return 0;
        }
        if (bench_phase(st) >= BENCH_DRAIN) {
            return -1;
        }
        if (spins > TURN_SPINS) {
            (void)sched_yield();
        }
        bench_pause();
    }
}

static void
end_turn(struct bench_stage *st)
{
    atomic_fetch_add_explicit(&st->baton, 1, memory_order_release);
}

static int
play_publishers(struct bench_stage *st, struct bench_actor *self)
{
    static struct bench_pubs p;
    if (bench_pubs_open(st, self, &p) < 0) {
        return 1;
    }
    while (bench_phase(st) < BENCH_DRAIN && await_turn(st, 0) == 0) {
        if (bench_pubs_send(st, &p, fill_count(&st->setup)) < 0) {
            return 1;
        }
        end_turn(st);
    }
    return bench_pubs_close(st, self, &p);
}

/* One turn's messages; also lets the publishers see that they are taken. */
static int
take_all(struct bench_stage *st, void *sub, struct bench_sink *sink, uint64_t count)
{
    uint64_t until = sink->messages + count;
    int64_t deadline = 0;
    while (sink->messages < until) {
        int got = st->driver->sub_recv(sub, sink, fill_wait_ns);
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            int64_t now = bench_now_ns();
            deadline = deadline == 0 ? now + missing_ns : deadline;
            if (now > deadline) {
                (void)fprintf(stderr, "busbar-bench: %s: %llu messages of a turn never came.\n",
                              st->driver->name, (unsigned long long)(until - sink->messages));
                return -1;
            }
        }
    }
    return st->driver->sub_recv(sub, sink, 0) < 0 ? -1 : 0;
}

static int
look_idle(struct bench_stage *st, void *sub, struct bench_sink *sink, double *ns)
{
    int64_t best = INT64_MAX;
    for (unsigned round = 0; round < 8; round++) {
        int64_t start = bench_now_ns();
        for (unsigned i = 0; i < LOOKS / 8; i++) {
            if (st->driver->sub_recv(sub, sink, 0) < 0) {
                return -1;
            }
        }
        int64_t took = bench_now_ns() - start;
        best = took < best ? took : best;
    }
    *ns = (double)best / (LOOKS / 8.0);
    return 0;
}

/*
 * The first turn is the reader's: what is left of the hellos; then, while all rings are there and nobody
 * writes, what looking at them costs.  At the end they are being closed.
 */
static int
take_hellos(struct bench_stage *st, void *sub, struct bench_sink *sink, double *idle_ns)
{
    int got = 1;
    bench_await_phase(st, BENCH_WARM);
    for (int64_t until = bench_now_ns() + settle_ns; got >= 0 && bench_now_ns() < until;) {
        got = st->driver->sub_recv(sub, sink, fill_wait_ns);
    }
    if (got >= 0 && look_idle(st, sub, sink, idle_ns) < 0) {
        got = -1;
    }
    end_turn(st);
    return got;
}

static int
play_reader(struct bench_stage *st, struct bench_actor *self)
{
    static struct bench_sink sink;
    void *sub;
    uint64_t each = fill_count(&st->setup) * st->active;
    if (bench_sub_open(st, self, &sub, &sink) < 0) {
        return 1;
    }
    if (take_hellos(st, sub, &sink, &self->extra[0]) < 0) {
        return 1;
    }
    while (bench_phase(st) < BENCH_DRAIN && await_turn(st, 1) == 0) {
        uint32_t phase = bench_phase(st);
        int64_t cpu = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID), start = bench_now_ns();
        if (take_all(st, sub, &sink, each) < 0) {
            return 1;
        }
        if (phase == BENCH_MEASURE) {
            self->cpu_ns += bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
            self->window_ns += bench_now_ns() - start;
            self->messages += each;
        }
        end_turn(st);
    }
    return bench_sub_close(st, self, sub, &sink);
}

static void
cast(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    atomic_store(&st->baton, 1);
    (void)bench_stage_cast(st, "publisher", play_publishers, 0, plan->setup.publishers,
                           bench_cpu(o, 0));
    (void)bench_stage_cast(st, "subscriber", play_reader, 0, 0, bench_cpu(o, 1));
}

static void
gather(const struct bench_plan *plan, const struct bench_stage *st, struct bench_sample *out)
{
    bench_gather_stream(plan, st, out);
    out->extra[1] = st->actors[1].extra[0];
}

static const struct bench_row *
row_with(const struct bench_row *rows,
         unsigned count,
         const struct bench_driver *driver,
         const struct bench_plan *plan)
{
    for (unsigned i = 0; i < count; i++) {
        if (rows[i].driver == driver && rows[i].plan == plan) {
            return &rows[i];
        }
    }
    return NULL;
}

/* The first plan is that of many rings, then few, then one. */
static void
finish(struct bench_row *rows, unsigned count)
{
    const struct bench_plan *first = rows[0].plan;
    for (unsigned i = 0; i < count; i++) {
        struct bench_row *many = &rows[i];
        const struct bench_row *few = row_with(rows, count, many->driver, first + 1);
        const struct bench_row *one = row_with(rows, count, many->driver, first + 2);
        many->extra[2].count = many->extra[3].count = 0;
        if (many->plan != first || few == NULL || one == NULL) {
            continue;
        }
        bench_series_ratio(&many->extra[2], &many->extra[0], &few->extra[0]);
        for (unsigned j = 0; j < many->extra[1].count && j < one->extra[1].count; j++) {
            bench_series_add(&many->extra[3], (many->extra[1].v[j] - one->extra[1].v[j])
                                                  / (many->plan->setup.publishers - 1));
        }
    }
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    unsigned many = o->publishers > 1 ? o->publishers : 64;
    unsigned active = o->active != 0 ? o->active : 4;
    active = active < many ? active : many;
    const unsigned rings[] = {many, active, 1};
    struct bench_plan plans[3];
    for (unsigned i = 0; i < 3; i++) {
        struct bench_plan *p = &plans[i];
        bench_plan_init(p, c->name, o, size);
        p->active = active < rings[i] ? active : rings[i];
        (void)snprintf(p->mode, sizeof(p->mode), "%u ring%s, %u active", rings[i],
                       rings[i] > 1 ? "s" : "", p->active);
        p->setup.publishers = rings[i];
        p->needs = BENCH_CAN_FAN_IN;
        p->extra[0] = "cpu_ns_per_msg";
        p->extra[1] = "sweep_ns";
        p->extra[2] = "cpu_ratio";
        p->extra[3] = "idle_ring_ns";
        p->cast = cast;
        p->gather = gather;
    }
    return bench_race(o, report, plans, 3, finish);
}

const struct bench_case bench_case_many_rings = {
    "many-rings", "a reader of 64 rings of which 4 are active, and what an idle ring costs", true,
    run};
