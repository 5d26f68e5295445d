/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_store_sync.c - store-sync: how long one put_unique takes that waits for its result; beside it the round
 * trip of a bare futex between two processes, which is what two sleepers cannot do without.
 *
 * Figures     of_futex_p50, of_futex_p99: at the same percentile, of the medians of this run.
 * Proof       each was won, and is read back at the end.
 */
#include "bench/cases.h"
#include "bench/clock.h"
#include "bench/store_play.h"

#include <math.h>

static const uint64_t keys_max = UINT64_C(1) << 26;

static int
play(struct bench_stage *st, struct bench_actor *self)
{
    struct bench_store_client c;
    if (bench_store_enter(st, self, &c) < 0) {
        return 1;
    }
    c.work = (struct bench_store_work){.op = BENCH_STORE_PUT_UNIQUE, .keys = keys_max};
    for (uint32_t phase; (phase = bench_phase(st)) < BENCH_DRAIN && c.work.next < keys_max;) {
        bench_window_look(&c.window, self, phase, c.work.answered, 0);
        int64_t start = bench_now_ns();
        if (c.d->write(c.client, &c.work, 1) < 0 || c.d->settle(c.client, &c.work) < 0) {
            return 1;
        }
        if (c.window.phase == BENCH_MEASURE) {
            bench_hist_add(&self->hist, bench_now_ns() - start);
        }
    }
    bench_window_look(&c.window, self, BENCH_DRAIN, c.work.answered, 0);
    struct bench_store_reads r = {.keys = keys_max, .size = st->setup.size};
    if (bench_store_settle(self, &c) < 0 || bench_store_prove(self, &c, &r, c.work.next) < 0) {
        return 1;
    }
    self->lost += c.work.next - c.work.won;
    bench_store_leave(st, &c);
    return 0;
}

static void
cast(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    if (st->driver->store != NULL) {
        st->setup.subscribers = 1;
        bench_store_cast(plan, o, st, play);
    } else { /* the futex, with two sides */
        st->setup.is_store = false;
        st->setup.publishers = 2;
        bench_cast_ping(plan, o, st);
    }
}

static void
gather(const struct bench_plan *plan, const struct bench_stage *st, struct bench_sample *out)
{
    const struct bench_actor *a = &st->actors[0];
    (void)plan;
    out->extra[0] = out->extra[1] = (double)NAN; /* finish() knows them */
    out->has_latency = true;
    out->hist = a->hist;
    out->lost = a->lost;
    out->disorder = a->disorder;
    out->torn = a->torn;
}

/* Each row beside the futex of its plan. */
static void
finish(struct bench_row *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct bench_row *raw = rows[i].raw;
        if (raw == NULL || raw == &rows[i]) {
            continue;
        }
        bench_series_ratio(&rows[i].extra[0], &rows[i].p50, &raw->p50);
        bench_series_ratio(&rows[i].extra[1], &rows[i].p99, &raw->p99);
    }
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    struct bench_plan plans[2];
    unsigned count = o->pinning == BENCH_PIN_ON ? 2 : 1;
    for (unsigned i = 0; i < count; i++) {
        struct bench_plan *p = &plans[i];
        bench_store_plan(p, c->name, o, size, 2);
        (void)snprintf(p->mode, sizeof(p->mode), "%s", i == 0 ? "two cores" : "one core");
        p->is_one_core = i == 1;
        p->setup.publishers = 2;
        p->setup.batch = p->setup.window = p->setup.commit = 1;
        p->setup.keys = 0;
        p->setup.is_ping = true;
        p->setup.wait = BENCH_SLEEP;
        p->raw = "futex";
        p->cast = cast;
        p->gather = gather;
        p->extra[0] = "of_futex_p50";
        p->extra[1] = "of_futex_p99";
    }
    return bench_race(o, report, plans, count, finish);
}

const struct bench_case bench_case_store_sync = {
    "store-sync", "one put_unique that waits for its result, beside a futex's round trip", true,
    run};
