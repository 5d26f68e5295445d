/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_topics.c - many-topics: one publisher with 1, 1,000, 100,000 topics, one subscriber of all.
 *
 * The ring's dictionary is made for them; in the last plan it is too small for half, which then travel in
 * the messages.  Taken in turn, and in a random order, which no prefetcher foresees.  Messages of one topic form bursts
 * and cost less for that; so it is two topics in turn, each message alone, that 1,000 are held against.
 */
#include "bench/cases.h"

#include <string.h>

struct mode {
    unsigned topics;
    unsigned dictionary; /* 0: room for all */
    bool is_shuffled;
    bool is_at_reader; /* by turns: only what the reader takes for a message */
};

static void
plan_mode(struct bench_plan *p,
          const struct bench_case *c,
          const struct bench_options *o,
          size_t size,
          const struct mode *m)
{
    bench_plan_init(p, c->name, o, size);
    if (m->dictionary != 0) {
        (void)snprintf(p->mode, sizeof(p->mode), "%u topics, room for %u", m->topics,
                       m->dictionary);
    } else if (m->topics == 1) {
        (void)snprintf(p->mode, sizeof(p->mode), "1 topic");
    } else {
        (void)snprintf(p->mode, sizeof(p->mode), "%u topics, %s", m->topics,
                       m->is_shuffled ? "random" : "in turn");
    }
    if (m->is_at_reader) {
        size_t used = strlen(p->mode);
        (void)snprintf(p->mode + used, sizeof(p->mode) - used, ", at the reader");
        p->cast = bench_cast_turns;
        p->gather = bench_gather_turns;
    }
    p->setup.is_single = true; /* each message has another topic: they cannot be lent together */
    p->setup.topics = p->setup.wanted = m->topics;
    p->setup.dictionary = m->dictionary;
    p->setup.is_shuffled = m->is_shuffled;
    p->needs = BENCH_CAN_TOPICS;
    p->extra[0] = m->is_at_reader ? "ns_per_msg" : "cpu_ns_per_msg";
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    static const struct mode usual[] = {
        {1, 0, false, false},      {1000, 0, false, false},  {1000, 0, true, false},
        {100000, 0, false, false}, {100000, 0, true, false}, {2000, 1000, false, false},
        {1, 0, false, true},       {2, 0, false, true},      {1000, 0, false, true},
        {100000, 0, false, true},  {100000, 0, true, true},
    };
    const struct mode asked[] = {{o->topics, 0, false, false},
                                 {o->topics, 0, true, false},
                                 {o->topics, o->topics / 2, false, false}};
    const struct mode *modes = o->topics != 0 ? asked : usual;
    unsigned count = o->topics > 1 ? 3 : o->topics == 1 ? 1 : sizeof(usual) / sizeof(usual[0]);
    struct bench_plan plans[sizeof(usual) / sizeof(usual[0])];
    for (unsigned i = 0; i < count; i++) {
        plan_mode(&plans[i], c, o, size, &modes[i]);
    }
    return bench_race(o, report, plans, count, NULL);
}

const struct bench_case bench_case_many_topics = {
    "many-topics", "1, 1,000, 100,000 topics, and a full dictionary", true, run};
