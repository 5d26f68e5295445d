/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_topics.c - many-topics: one publisher with 1, 1,000, 100,000 topics, one subscriber of all.
 *
 * The ring's dictionary is made for them; in the last plan it is too small for half, which then travel in
 * the messages.  Taken in turn, and in a random order, which no prefetcher foresees.
 */
#include "bench/cases.h"

struct mode {
    unsigned topics;
    unsigned dictionary; /* 0: room for all */
    bool is_shuffled;
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
    p->setup.topics = p->setup.wanted = m->topics;
    p->setup.dictionary = m->dictionary;
    p->setup.is_shuffled = m->is_shuffled;
    p->needs = BENCH_CAN_TOPICS;
    p->extra[0] = "cpu_ns_per_msg";
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    static const struct mode usual[] = {{1, 0, false},      {1000, 0, false},  {1000, 0, true},
                                        {100000, 0, false}, {100000, 0, true}, {2000, 1000, false}};
    const struct mode asked[] = {
        {o->topics, 0, false}, {o->topics, 0, true}, {o->topics, o->topics / 2, false}};
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
