/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_store_put.c - store-put, store-put-unique, store-persistent: writes, pipelined, with their results.
 *
 * store-put          new values for the keys of a filled store, in an order that has nothing to do with the store's.
 * store-put-unique   keys that are not there yet; with three processes the same keys in the same order: each is won
 *                    by one of them.
 * store-persistent   as store-put on a disk; what is answered is synced.
 * Counted            commands with a result, in the window.  Where the client decides on transactions (LMDB, SQLite)
 *                    a result is what its call said: the commit of the last one comes later.
 * Proof              at the end every key is read back: the value of the last put; or each key tried won just once.
 */
#include "bench/cases.h"
#include "bench/store_play.h"

#include <stdio.h>
#include <sys/mman.h>

enum { STEP = 200, WINNERS_MAX = 1 << 26, RIVALS = 3 };

/* ---- put --------------------------------------------------------------------------------------- */

static int
play_put(struct bench_stage *st, struct bench_actor *self)
{
    struct bench_store_client c;
    if (bench_store_enter(st, self, &c) < 0) {
        return 1;
    }
    for (uint32_t phase; (phase = bench_phase(st)) < BENCH_DRAIN;) {
        bench_window_look(&c.window, self, phase, c.work.answered, 0);
        if (c.d->write(c.client, &c.work, STEP) < 0) {
            return 1;
        }
    }
    bench_window_look(&c.window, self, BENCH_DRAIN, c.work.answered, 0);
    struct bench_store_reads r = {
        .keys = c.work.keys, .written = c.work.next, .size = st->setup.size};
    if (bench_store_settle(self, &c) < 0 || bench_store_prove(self, &c, &r, c.work.keys) < 0) {
        return 1;
    }
    bench_store_leave(st, &c);
    return 0;
}

static void
cast_put(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    bench_store_cast(plan, o, st, play_put);
}

static int
run_put(const struct bench_case *c,
        const struct bench_options *o,
        struct bench_report *report,
        size_t size)
{
    struct bench_plan plan;
    bench_store_plan(&plan, c->name, o, size, 1);
    plan.cast = cast_put;
    plan.gather = bench_store_gather;
    plan.extra[0] = "commands_per_commit";
    return bench_race(o, report, &plan, 1, NULL);
}

static int
run_persistent(const struct bench_case *c,
               const struct bench_options *o,
               struct bench_report *report,
               size_t size)
{
    struct bench_plan plan;
    bench_store_plan(&plan, c->name, o, size, 1);
    plan.setup.is_durable = true;
    plan.needs |= BENCH_CAN_DURABLE;
    plan.cast = cast_put;
    plan.gather = bench_store_gather;
    plan.extra[0] = "commands_per_commit";
    return bench_race(o, report, &plan, 1, NULL);
}

/* ---- put_unique -------------------------------------------------------------------------------- */

/* How often each key was won, of all processes: mapped before they are forked. */
static uint8_t *winners;

/* Of the keys below `tried`, each has one winner; beyond it none. */
static void
judge(struct bench_actor *self, uint64_t tried)
{
    for (uint64_t i = 0; i < tried; i++) {
        self->lost += winners[i] == 0;
        self->disorder += winners[i] > 1;
    }
}

/* The last one out: client 0, when all others have settled.  extra[0] of each is how far it came. */
static int
prove_unique(struct bench_stage *st, struct bench_actor *self, struct bench_store_client *c)
{
    uint64_t tried = c->work.next;
    bench_store_await_others(st);
    for (unsigned i = 0; i < st->setup.subscribers; i++) {
        uint64_t next = atomic_load_explicit(&st->sent[i], memory_order_acquire);
        tried = next > tried ? next : tried;
    }
    judge(self, tried);
    struct bench_store_reads r = {.keys = c->work.keys, .size = st->setup.size};
    return bench_store_prove(self, c, &r, tried);
}

static int
play_unique(struct bench_stage *st, struct bench_actor *self)
{
    struct bench_store_client c;
    if (bench_store_enter(st, self, &c) < 0) {
        return 1;
    }
    c.work = (struct bench_store_work){
        .op = BENCH_STORE_PUT_UNIQUE, .keys = WINNERS_MAX, .winners = winners};
    for (uint32_t phase; (phase = bench_phase(st)) < BENCH_DRAIN && c.work.next < WINNERS_MAX;) {
        bench_window_look(&c.window, self, phase, c.work.answered, c.work.won);
        if (c.d->write(c.client, &c.work, STEP) < 0) {
            return 1;
        }
    }
    bench_window_look(&c.window, self, BENCH_DRAIN, c.work.answered, c.work.won);
    if (bench_store_settle(self, &c) < 0) {
        return 1;
    }
    atomic_store_explicit(&st->sent[self->index], c.work.next, memory_order_relaxed);
    if (self->index != 0) {
        atomic_fetch_add_explicit(&st->baton, 1, memory_order_release);
    } else if (prove_unique(st, self, &c) < 0) {
        return 1;
    }
    bench_store_leave(st, &c);
    return 0;
}

/* Before each repetition nobody has won anything. */
static void
cast_unique(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    (void)madvise(winners, WINNERS_MAX, MADV_REMOVE);
    bench_store_cast(plan, o, st, play_unique);
}

static void
gather_unique(const struct bench_plan *plan, const struct bench_stage *st, struct bench_sample *out)
{
    bench_store_gather(plan, st, out);
    for (unsigned i = 0; i < st->actor_count; i++) {
        const struct bench_actor *a = &st->actors[i];
        if (a->hears && a->window_ns > 0) { /* bytes: keys that were won */
            out->extra[1] += (double)a->bytes * 1e9 / (double)a->window_ns;
        }
    }
}

static int
run_unique(const struct bench_case *c,
           const struct bench_options *o,
           struct bench_report *report,
           size_t size)
{
    struct bench_plan plans[2];
    winners = mmap(NULL, WINNERS_MAX, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (winners == MAP_FAILED) {
        perror("busbar-bench: store-put-unique");
        return -1;
    }
    for (unsigned i = 0; i < 2; i++) {
        struct bench_plan *p = &plans[i];
        bench_store_plan(p, c->name, o, size, i == 0 ? 1 : RIVALS);
        (void)snprintf(p->mode, sizeof(p->mode), i == 0 ? "1 process" : "%d processes, same keys",
                       RIVALS);
        p->setup.keys = 0;
        p->cast = cast_unique;
        p->gather = gather_unique;
        p->extra[0] = "commands_per_commit";
        p->extra[1] = "won_per_s";
    }
    int rc = bench_race(o, report, plans, 2, NULL);
    (void)munmap(winners, WINNERS_MAX);
    return rc;
}

const struct bench_case bench_case_store_put = {
    "store-put", "puts to a store in memory, pipelined, with their results", true, run_put};
const struct bench_case bench_case_store_put_unique = {
    "store-put-unique", "put_unique from one process, and from three for the same keys", true,
    run_unique};
const struct bench_case bench_case_store_persistent = {
    "store-persistent", "the same on a disk, synced before it is answered", true, run_persistent};
