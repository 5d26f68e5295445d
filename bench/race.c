/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/race.c - every repetition visits every plan and every peer once, so that a slow minute of the
 * machine falls on all of them.
 */
#include "bench/race.h"

#include "bench/line.h"
#include "bench/load.h"
#include "bench/report.h"
#include "bench/store.h"
#include "bench/stream.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct bench_driver *
bench_find_driver(const char *name)
{
    for (size_t i = 0; name != NULL && bench_drivers[i] != NULL; i++) {
        if (strcmp(bench_drivers[i]->name, name) == 0) {
            return bench_drivers[i];
        }
    }
    return NULL;
}

int
bench_cpu(const struct bench_options *o, unsigned index)
{
    if (o->pinning == BENCH_PIN_OFF || o->cpu_count == 0) {
        return -1;
    }
    return o->cpus[o->pinning == BENCH_PIN_SAME ? 0 : index % o->cpu_count];
}

bool
bench_is_reliable(const struct bench_plan *plan, const struct bench_driver *driver)
{
    bool is_lossless_kind = plan->setup.is_store || plan->setup.is_bridge;
    return plan->setup.is_reliable && (is_lossless_kind || (driver->can & BENCH_CAN_RELY) != 0);
}

void
bench_plan_init(struct bench_plan *plan,
                const char *case_name,
                const struct bench_options *o,
                size_t size)
{
    *plan = (struct bench_plan){
        .case_name = case_name,
        .setup = {.size = size,
                  .publishers = 1,
                  .subscribers = 1,
                  .batch = o->batch,
                  .topics = 1,
                  .wanted = 1,
                  .is_reliable = !o->is_lossy,
                  .is_copying = o->is_copying,
                  .wait = o->has_wait ? o->wait : BENCH_SPIN,
                  .ring_bytes = o->ring_bytes,
                  .ring_depth = o->ring_depth,
                  .is_fenced = o->is_fenced,
                  .is_coarse = o->is_coarse,
                  .is_single = o->is_single,
                  .window = 1,
                  .box_cpu = {-1, -1},
                  .commit = BENCH_STORE_COMMIT},
        .seconds = o->seconds,
        .warm_s = 0.06,
        .active = BENCH_PUBLISHERS,
        .raw = "raw",
        .cast = bench_cast_stream,
        .gather = bench_gather_stream,
    };
}

/* ---- the usual stream -------------------------------------------------------------------------- */

void
bench_cast_stream(const struct bench_plan *plan,
                  const struct bench_options *o,
                  struct bench_stage *st)
{
    const struct bench_setup *s = &plan->setup;
    for (unsigned i = 0; i < s->publishers; i++) {
        (void)bench_stage_cast(st, "publisher", bench_play_publisher, i, 1, bench_cpu(o, i));
    }
    for (unsigned i = 0; i < s->subscribers; i++) {
        (void)bench_stage_cast(st, "subscriber", bench_play_subscriber, i, 0,
                               bench_cpu(o, s->publishers + i));
    }
    /* Spinning processes that share a core would only wait for the end of each other's time slices. */
    if (!o->has_wait && s->publishers + s->subscribers > o->cpu_count) {
        st->setup.wait = BENCH_HYBRID;
    }
}

static double
rate_of(uint64_t count, int64_t ns)
{
    return ns > 0 ? (double)count * 1e9 / (double)ns : 0;
}

void
bench_gather_stream(const struct bench_plan *plan,
                    const struct bench_stage *st,
                    struct bench_sample *out)
{
    unsigned subs = 0;
    uint64_t messages = 0;
    int64_t cpu_ns = 0;
    (void)plan;
    for (unsigned i = 0; i < st->actor_count; i++) {
        const struct bench_actor *a = &st->actors[i];
        if (a->hears && !a->is_stopped) {
            subs++;
            out->rate += rate_of(a->messages, a->window_ns);
            messages += a->messages;
            cpu_ns += a->cpu_ns;
            out->lost += a->lost;
            out->disorder += a->disorder;
            out->torn += a->torn;
        }
    }
    out->has_rate = true;
    out->rate /= subs > 0 ? subs : 1;
    out->extra[0] = messages > 0 ? (double)cpu_ns / (double)messages : 0;
}

/* ---- one repetition ---------------------------------------------------------------------------- */

/* The way between the cores, before and after; *share becomes 1 if it is not as it was asked for. */
static double
line_of(const struct bench_options *o, double before, double after, double *share)
{
    if (isnan(before) || isnan(after)) {
        return (double)NAN;
    }
    double least = before < after ? before : after, most = before < after ? after : before;
    if (o->line_max_ns > 0 && (least < o->line_min_ns || most > o->line_max_ns)) {
        *share = 1;
    }
    return (before + after) / 2; /* where they moved meanwhile: like neither */
}

static double
look_at_line(const struct bench_options *o)
{
    return bench_line_ns(bench_cpu(o, 0), bench_cpu(o, 1));
}

/* Returns 0; -1 if it failed.  *others becomes the share of the cores that others used. */
static int
measure(const struct bench_options *o,
        const struct bench_row *row,
        struct bench_sample *out,
        double *others)
{
    const struct bench_plan *plan = row->plan;
    struct bench_stage *st = bench_stage_new();
    struct bench_load before, after;
    if (st == NULL) {
        return -1;
    }
    st->driver = row->driver;
    st->setup = plan->setup;
    st->setup.size = row->size;
    st->setup.is_reliable = bench_is_reliable(plan, row->driver);
    st->seconds = plan->seconds;
    st->warm_s = plan->warm_s;
    st->rate = plan->rate;
    st->active = plan->active;
    st->user = plan->user;
    plan->cast(plan, o, st);
    double line_before = look_at_line(o);
    bench_load_now(&before);
    int rc = bench_stage_run(st);
    bench_load_now(&after);
    *others = bench_load_of_others(&before, &after);
    memset(out, 0, sizeof(*out));
    out->line_ns = line_of(o, line_before, look_at_line(o), others);
    if (rc == 0) {
        plan->gather(plan, st, out);
    }
    bench_stage_delete(st);
    return rc;
}

static void
add_sample(struct bench_row *row, const struct bench_sample *s)
{
    bench_series_add(&row->line_ns, s->line_ns);
    if (s->has_rate) {
        bench_series_add(&row->rate, s->rate);
    }
    for (unsigned i = 0; i < BENCH_EXTRAS; i++) {
        if (row->plan->extra[i] != NULL
            && !isnan(s->extra[i])) { /* NaN: this peer has no such figure */
            bench_series_add(&row->extra[i], s->extra[i]);
        }
    }
    if (s->has_latency) {
        const bool is_empty = s->hist.total == 0;
        row->has_latency = true;
        bench_series_add(&row->p50, is_empty ? (double)NAN : (double)bench_hist_at(&s->hist, 0.5));
        bench_series_add(&row->p99, is_empty ? (double)NAN : (double)bench_hist_at(&s->hist, 0.99));
        bench_series_add(&row->p999,
                         is_empty ? (double)NAN : (double)bench_hist_at(&s->hist, 0.999));
        bench_series_add(&row->max, is_empty ? (double)NAN : (double)s->hist.max);
        bench_hist_merge(&row->hist, &s->hist);
    }
    row->lost += s->lost;
    row->disorder += s->disorder;
    row->torn += s->torn;
}

/* Tries again while others disturb, or --line is not kept; the least disturbed try counts. */
static int
repeat_row(const struct bench_options *o, struct bench_row *row)
{
    static struct bench_sample sample, best;
    double least = 2;
    for (unsigned attempt = 0; attempt <= o->patience && least > BENCH_DISTURBED; attempt++) {
        double others;
        if (measure(o, row, &sample, &others) < 0) {
            row->has_failed = true;
            return -1;
        }
        /* A window in which we never ran says nothing. */
        if (sample.has_latency && sample.hist.total == 0) {
            others = 1;
        }
        if (others < least) {
            least = others;
            best = sample;
        }
    }
    add_sample(row, &best);
    row->disturbed += least > BENCH_DISTURBED;
    return 0;
}

void
bench_row_of_raw(const struct bench_row *row, bool is_rate, struct bench_series *out)
{
    static const double same_way = 1.5; /* times as long at most: the cores are where they were */
    const struct bench_row *raw = row->raw;
    *out = (struct bench_series){0};
    if (raw != NULL && raw != row) {
        bench_series_alike(out, is_rate ? &row->rate : &row->p50, &row->line_ns,
                           is_rate ? &raw->rate : &raw->p50, &raw->line_ns, same_way);
    }
}

/* ---- rows -------------------------------------------------------------------------------------- */

static bool
is_able(const struct bench_plan *plan, const struct bench_driver *d)
{
    /* Some can only do ping-pong. */
    unsigned streams = BENCH_CAN_RELY | BENCH_CAN_LOSE;
    unsigned others = BENCH_CAN_PING | BENCH_CAN_STORE | BENCH_CAN_BRIDGE | BENCH_CAN_TLS;
    bool is_apt = (plan->needs & others) != 0 || (d != NULL && (d->can & streams) != 0);
    return d != NULL && is_apt && (d->can & plan->needs) == plan->needs;
}

static void
add_row(struct bench_row *rows,
        unsigned *count,
        const struct bench_plan *plan,
        const struct bench_driver *d,
        bool is_asked)
{
    for (unsigned i = 0; i < *count; i++) {
        if (rows[i].plan == plan && rows[i].driver == d) {
            rows[i].is_asked = rows[i].is_asked || is_asked;
            return;
        }
    }
    struct bench_row *row = &rows[(*count)++];
    row->plan = plan;
    row->driver = d;
    row->size = plan->setup.size;
    row->is_asked = is_asked;
}

static void
add_asked(struct bench_row *rows,
          unsigned *count,
          const struct bench_plan *plan,
          const char *name,
          struct bench_report *report)
{
    bool all = strcmp(name, "all") == 0;
    for (size_t i = 0; bench_drivers[i] != NULL; i++) {
        const struct bench_driver *d = bench_drivers[i];
        if (!all && strcmp(name, d->name) != 0) {
            continue;
        }
        if (is_able(plan, d) && (!plan->is_ours || strcmp(d->name, "busbar") == 0)) {
            add_row(rows, count, plan, d, true);
        } else if (!all) {
            bench_report_note(report, "%s%s%s: not with %s, which has nothing for it.",
                              plan->case_name, plan->mode[0] != '\0' ? " " : "", plan->mode,
                              d->name);
        }
    }
}

static unsigned
make_rows(const struct bench_options *o,
          const struct bench_plan *plan,
          struct bench_row *rows,
          struct bench_report *report)
{
    unsigned count = 0;
    const struct bench_driver *raw = o->without_raw ? NULL : bench_find_driver(plan->raw);
    if (raw != NULL) {
        add_row(rows, &count, plan, raw, false);
    }
    if (!o->without_raw && bench_find_driver(plan->beside) != NULL) {
        add_row(rows, &count, plan, bench_find_driver(plan->beside), false);
    }
    for (unsigned i = 0; i < o->peer_count; i++) {
        add_asked(rows, &count, plan, o->peers[i], report);
    }
    bool any = false;
    for (unsigned i = 0; i < count; i++) {
        any = any || rows[i].is_asked;
        rows[i].raw = raw != NULL ? &rows[0] : NULL;
    }
    return any ? count : 0;
}

static int
verdict_of(const struct bench_row *row)
{
    const struct bench_plan *plan = row->plan;
    bool is_lossless = !plan->may_lose && bench_is_reliable(plan, row->driver);
    if (row->torn > 0 || row->disorder > 0 || (is_lossless && row->lost > 0)) {
        (void)fprintf(stderr, "busbar-bench: %s %s: %s: %llu lost, %llu out of order, %llu torn.\n",
                      plan->case_name, plan->mode, row->driver->name, (unsigned long long)row->lost,
                      (unsigned long long)row->disorder, (unsigned long long)row->torn);
        return 1;
    }
    return row->has_failed;
}

enum { ROWS_MAX = BENCH_PLANS_MAX * BENCH_LIST_MAX };

static void
report_all(struct bench_report *report,
           const struct bench_plan *plans,
           unsigned plan_count,
           const struct bench_row *rows,
           unsigned count)
{
    for (unsigned p = 0; p < plan_count; p++) {
        unsigned first = 0, n = 0;
        for (unsigned i = 0; i < count; i++) {
            if (rows[i].plan == &plans[p]) {
                first = n == 0 ? i : first;
                n++;
            }
        }
        if (n > 0) {
            bench_report_rows(report, rows + first, n);
        }
    }
}

int
bench_race(const struct bench_options *o,
           struct bench_report *report,
           const struct bench_plan *plans,
           unsigned plan_count,
           void (*finish)(struct bench_row *rows, unsigned count))
{
    unsigned count = 0;
    int verdict = 0;
    struct bench_row *rows = calloc(ROWS_MAX, sizeof(*rows));
    if (rows == NULL) {
        perror("busbar-bench");
        return -1;
    }
    for (unsigned p = 0; p < plan_count; p++) {
        count += make_rows(o, &plans[p], rows + count, report);
    }
    for (unsigned rep = 0; rep < o->repeat; rep++) {
        for (unsigned i = 0; i < count && !bench_interrupted(); i++) {
            if (!rows[i].has_failed) {
                (void)repeat_row(o, &rows[i]);
            }
        }
    }
    for (unsigned i = 0; i < count; i++) {
        verdict |= bench_interrupted() ? 1 : verdict_of(&rows[i]);
    }
    if (!bench_interrupted()) {
        if (finish != NULL) {
            finish(rows, count);
        }
        report_all(report, plans, plan_count, rows, count);
    }
    free(rows);
    return bench_interrupted() ? -1 : verdict;
}
