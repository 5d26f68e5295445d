/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/race.h - several set-ups and several peers, measured round robin, and what came of it.
 *
 * Words      A plan is one way to run a case (one size, one waiting mode).  A row is one plan with one peer.
 *            A repetition gives a sample for each row; a row keeps the figures of all its samples.
 */
#ifndef BUSBAR_BENCH_RACE_H
#define BUSBAR_BENCH_RACE_H

#include "bench/options.h"
#include "bench/series.h"
#include "bench/stage.h"

enum { BENCH_EXTRAS = 4, BENCH_PLANS_MAX = 24 };

/* What one repetition gave. */
struct bench_sample {
    bool has_rate, has_latency;
    double line_ns;             /* a cache line there and back, before and after; NaN: not known */
    double rate;                /* messages per second */
    double extra[BENCH_EXTRAS]; /* NaN: it has no such figure */
    uint64_t lost, disorder, torn;
    struct bench_hist hist;
};

struct bench_plan {
    const char *case_name;
    char mode[40]; /* "spin"; "" if the case has one plan only */
    struct bench_setup setup;
    double seconds, warm_s;
    double rate;
    unsigned active;
    unsigned needs;                  /* BENCH_CAN_... of the peer */
    bool is_one_core;                /* all processes on the first core */
    bool is_ours;                    /* only busbar can do this */
    bool may_lose;                   /* loss is part of it, not a failure */
    const char *extra[BENCH_EXTRAS]; /* names of a case's own figures, with their unit */
    const char *raw;                 /* name of the driver beside; NULL: none */
    const char *beside;              /* one more driver, shown in tables; NULL: none */
    const void *user;

    /* Puts actors on the stage, for a peer. */
    void (*cast)(const struct bench_plan *plan,
                 const struct bench_options *o,
                 struct bench_stage *st);
    /* Reads what the actors left there. */
    void (*gather)(const struct bench_plan *plan,
                   const struct bench_stage *st,
                   struct bench_sample *out);
};

struct bench_row {
    const struct bench_plan *plan;
    const struct bench_driver *driver;
    size_t size;   /* payload bytes; may differ from the plan's in a case with its own */
    bool is_asked; /* the user asked for this peer; else it only stands beside */
    bool has_failed, has_latency;
    struct bench_series line_ns, rate, p50, p99, p999, max, extra[BENCH_EXTRAS];
    struct bench_hist hist; /* of all samples */
    uint64_t lost, disorder, torn;
    unsigned
        disturbed; /* samples during which others used the cores or --line was not kept, after all tries */
    const struct bench_row *raw;
};

struct bench_report;

/*
 * bench_race - measures all plans with all peers asked for, and reports the rows, plan by plan.
 *
 * finish    may be NULL; sees all rows before they are reported.
 * Returns   0; 1 if something failed, was torn, disordered or lost without leave; negative: give up all.
 */
int bench_race(const struct bench_options *o,
               struct bench_report *report,
               const struct bench_plan *plans,
               unsigned plan_count,
               void (*finish)(struct bench_row *rows, unsigned count));

/*
 * bench_row_of_raw - ratios to raw, each of repetitions during which a cache line took about as long between the cores:
 * of the rates, or of p50.  Empty where there are none.
 */
void bench_row_of_raw(const struct bench_row *row, bool is_rate, struct bench_series *out);

/* bench_plan_init - a plan with what the options say. */
void bench_plan_init(struct bench_plan *plan,
                     const char *case_name,
                     const struct bench_options *o,
                     size_t size);

/* bench_is_reliable - whether nothing may be lost with this peer: a store never may. */
bool bench_is_reliable(const struct bench_plan *plan, const struct bench_driver *driver);

/* bench_cpu - for process number `index` of a case; -1: any. */
int bench_cpu(const struct bench_options *o, unsigned index);

/* bench_find_driver - NULL if it is not built. */
const struct bench_driver *bench_find_driver(const char *name);

/* The usual cast and gathering of a stream: each publisher and subscriber a process. */
void bench_cast_stream(const struct bench_plan *plan,
                       const struct bench_options *o,
                       struct bench_stage *st);
void bench_gather_stream(const struct bench_plan *plan,
                         const struct bench_stage *st,
                         struct bench_sample *out);

#endif
