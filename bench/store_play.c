/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/store_play.h"

#include "bench/clock.h"
#include <math.h>

enum { BATCH = 100, WINDOW = 16, KEYS = 200000 };
static const int64_t serve_ns = 1000000; /* then the server looks whether all is over */
static const int64_t glance_ns = 200000;

void
bench_store_plan(struct bench_plan *plan,
                 const char *case_name,
                 const struct bench_options *o,
                 size_t size,
                 unsigned clients)
{
    bench_plan_init(plan, case_name, o, size);
    plan->setup.is_store = true;
    plan->setup.publishers = 1;
    plan->setup.subscribers = clients;
    plan->setup.batch = o->has_batch ? o->batch : BATCH;
    plan->setup.window = WINDOW;
    plan->setup.keys = o->keys != 0 ? o->keys : KEYS;
    plan->setup.wait = BENCH_HYBRID;
    plan->needs = BENCH_CAN_STORE;
    plan->raw = "lmdb";
}

/* ---- server ------------------------------------------------------------------------------------ */

static int
play_server(struct bench_stage *st, struct bench_actor *self)
{
    const struct bench_store_driver *d = st->driver->store;
    struct bench_window w = {0};
    void *server;
    uint64_t served = 0;
    if (d->serve_open(&st->setup, st->shared, &server) < 0) {
        return 1;
    }
    bench_set_state(self, BENCH_OPENED);
    while (atomic_load_explicit(&st->pubs_done, memory_order_acquire) < st->setup.subscribers) {
        bench_window_look(&w, self, bench_phase(st), served, 0);
        int n = d->serve(server, serve_ns);
        if (n < 0) {
            return 1;
        }
        served += (uint64_t)n;
    }
    self->extra[0] = d->grouped != NULL ? d->grouped(server) : (double)NAN;
    d->serve_close(server);
    return 0;
}

void
bench_store_cast(const struct bench_plan *plan,
                 const struct bench_options *o,
                 struct bench_stage *st,
                 int (*play)(struct bench_stage *st, struct bench_actor *self))
{
    for (unsigned i = 0; i < st->setup.subscribers; i++) {
        int cpu = bench_cpu(o, plan->is_one_core ? 0 : 1 + i);
        (void)bench_stage_cast(st, "client", play, i, 0, cpu);
    }
    if (st->driver->store->serve_open != NULL) {
        (void)bench_stage_cast(st, "server", play_server, 0, 1, bench_cpu(o, 0));
    }
}

/* ---- clients ----------------------------------------------------------------------------------- */

static int
fill(const struct bench_stage *st, struct bench_store_client *c)
{
    c->work = (struct bench_store_work){.op = BENCH_STORE_PUT, .keys = st->setup.keys};
    if (st->setup.keys == 0) {
        return 0;
    }
    int rc = c->d->write(c->client, &c->work, st->setup.keys);
    return rc < 0 ? rc : c->d->settle(c->client, &c->work);
}

int
bench_store_enter(struct bench_stage *st, struct bench_actor *self, struct bench_store_client *c)
{
    *c = (struct bench_store_client){.d = st->driver->store};
    bench_await_phase(st, BENCH_OPEN_SUB);
    if (c->d->open(&st->setup, st->shared, self->index, &c->client) < 0) {
        return -1;
    }
    bench_set_state(self, BENCH_LISTENING);
    bench_await_phase(st, BENCH_HELLO);
    if (self->index == 0 && fill(st, c) < 0) {
        return -1;
    }
    bench_set_state(self, BENCH_HEARD);
    bench_await_phase(st, BENCH_WARM);
    return 0;
}

void
bench_store_leave(struct bench_stage *st, struct bench_store_client *c)
{
    c->d->close(c->client);
    atomic_fetch_add_explicit(&st->pubs_done, 1, memory_order_release);
}

int
bench_store_settle(struct bench_actor *self, struct bench_store_client *c)
{
    int rc = c->d->settle(c->client, &c->work);
    self->lost += c->work.refused + (c->work.next - c->work.answered);
    return rc;
}

int
bench_store_prove(struct bench_actor *self,
                  struct bench_store_client *c,
                  struct bench_store_reads *r,
                  uint64_t expected_keys)
{
    int rc = c->d->get(c->client, r, expected_keys);
    int64_t count = rc < 0 ? rc : c->d->count(c->client);
    if (count < 0) {
        return -1;
    }
    self->lost += r->missing;
    self->torn += r->wrong;
    if ((uint64_t)count != expected_keys) {
        (void)fprintf(stderr, "busbar-bench: the store has %lld keys, not %llu.\n",
                      (long long)count, (unsigned long long)expected_keys);
        self->disorder++;
    }
    return 0;
}

void
bench_store_await_others(struct bench_stage *st)
{
    while (atomic_load_explicit(&st->baton, memory_order_acquire) + 1 < st->setup.subscribers) {
        bench_nap(glance_ns);
    }
}

void
bench_store_gather(const struct bench_plan *plan,
                   const struct bench_stage *st,
                   struct bench_sample *out)
{
    (void)plan;
    out->extra[0] = (double)NAN;
    out->has_rate = true;
    for (unsigned i = 0; i < st->actor_count; i++) {
        const struct bench_actor *a = &st->actors[i];
        if (!a->hears) {
            out->extra[0] = a->extra[0];
            continue;
        }
        out->rate += a->window_ns > 0 ? (double)a->messages * 1e9 / (double)a->window_ns : 0;
        out->lost += a->lost;
        out->disorder += a->disorder;
        out->torn += a->torn;
    }
}
