/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_store_get.c - store-get: point reads in a random order from a store that is full.
 *
 * In views    a batch of reads of one state: ours in a view, in place; LMDB: one read transaction, renewed; SQLite the
 *             same; Redis: one pipeline.
 * Alone       each read by itself: ours copies the value; LMDB renews and resets its transaction around it.
 * Proof       every value is summed up and must fit its key.
 */
#include "bench/cases.h"
#include "bench/store_play.h"

enum { STEP = 64, VIEW = 16 };

static int
play(struct bench_stage *st, struct bench_actor *self)
{
    struct bench_store_client c;
    if (bench_store_enter(st, self, &c) < 0) {
        return 1;
    }
    struct bench_store_reads r = {.keys = st->setup.keys, .size = st->setup.size};
    uint64_t step = st->setup.batch > STEP ? st->setup.batch : STEP;
    for (uint32_t phase; (phase = bench_phase(st)) < BENCH_DRAIN;) {
        bench_window_look(&c.window, self, phase, r.next, 0);
        if (c.d->get(c.client, &r, step) < 0) {
            return 1;
        }
    }
    bench_window_look(&c.window, self, BENCH_DRAIN, r.next, 0);
    self->lost += r.missing;
    self->torn += r.wrong;
    bench_store_leave(st, &c);
    return 0;
}

static void
cast(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    bench_store_cast(plan, o, st, play);
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
        bench_store_plan(p, c->name, o, size, 1);
        p->setup.batch = i == 1 ? 1 : o->has_batch ? o->batch : VIEW;
        if (i == 0) {
            (void)snprintf(p->mode, sizeof(p->mode), "views of %u", p->setup.batch);
        } else {
            (void)snprintf(p->mode, sizeof(p->mode), "alone");
        }
        p->cast = cast;
        p->gather = bench_store_gather;
    }
    return bench_race(o, report, plans, 2, NULL);
}

const struct bench_case bench_case_store_get = {
    "store-get", "point reads of a full store, in views and alone", true, run};
