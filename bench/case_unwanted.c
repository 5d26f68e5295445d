/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_unwanted.c - unwanted: what a publish costs that nobody takes.
 *
 * Nobody is there; or a subscriber is there, asleep, that wants another topic: a lossy one, and a reliable
 * one, which is woken each half a ring to move its cursor on.  Flushed each by itself, and in batches.
 * Counted at the publisher.
 */
#include "bench/cases.h"
#include "bench/stream.h"

static void
gather(const struct bench_plan *plan, const struct bench_stage *st, struct bench_sample *out)
{
    const struct bench_actor *a = &st->actors[0];
    (void)plan;
    if (a->messages > 0 && a->window_ns > 0) {
        out->has_rate = true;
        out->rate = (double)a->messages * 1e9 / (double)a->window_ns;
        out->extra[0] = (double)a->window_ns / (double)a->messages;
        out->extra[1] = (double)a->cpu_ns / (double)a->messages;
    }
}

static void
cast(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    bench_cast_stream(plan, o, st);
    if (st->driver == bench_find_driver("raw")) { /* knows no topics: alone in either case */
        st->actor_count = 1;
        st->setup.subscribers = 0;
    }
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    static const char *const who[] = {"nobody there", "asleep, uninterested, lossy",
                                      "asleep, uninterested, reliable"};
    struct bench_plan plans[6];
    unsigned count = 0;
    for (unsigned i = 0; i < 6; i++) {
        bool is_alone = i < 2;
        unsigned batch = i % 2 == 0 ? o->batch : 1;
        if (i % 2 == 1 && o->batch == 1) {
            continue;
        }
        struct bench_plan *p = &plans[count++];
        bench_plan_init(p, c->name, o, size);
        (void)snprintf(p->mode, sizeof(p->mode), "%s, batch %u", who[i / 2], batch);
        p->setup.is_reliable = i / 2 != 1;
        p->setup.batch = batch;
        p->setup.subscribers = is_alone ? 0 : 1;
        p->setup.wanted = 0;
        p->setup.wait = BENCH_SLEEP;
        p->needs = is_alone ? 0u : BENCH_CAN_TOPICS | BENCH_CAN_SLEEP;
        p->extra[0] = "ns_per_publish";
        p->extra[1] = "cpu_ns_per_msg";
        p->cast = cast;
        p->gather = gather;
    }
    return bench_race(o, report, plans, count, NULL);
}

const struct bench_case bench_case_unwanted = {
    "unwanted", "a publish with nobody there, and one that nobody wants", true, run};
