/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_slow_reader.c - slow-reader: what a publish costs while one reader is stopped.
 *
 * Pairs      One reader follows; then the same with a second one that is stopped (SIGSTOP) before the window.
 *            Lossy readers lose; reliable ones are given up (policy evict).  A bus that can only wait shows
 *            the wait.  Each repetition measures all of them; the ratio of their p99 is taken pair by pair.
 * Latency    The time of each publish, by two clock reads around it (about 20 ns of their own).  Publishes
 *            come at a fixed rate, and a stall also counts for those that it held up.
 */
#include "bench/cases.h"
#include "bench/pace.h"
#include "bench/stream.h"

static int
play_publisher(struct bench_stage *st, struct bench_actor *self)
{
    static struct bench_pubs p;
    struct bench_window w = {0};
    if (bench_pubs_open(st, self, &p) < 0) {
        return 1;
    }
    struct bench_pace pace = bench_pace_start(st->rate);
    uint64_t first = p.src[0].word;
    for (uint32_t phase; (phase = bench_phase(st)) < BENCH_DRAIN;) {
        uint64_t sent = p.src[0].word - first;
        bench_window_look(&w, self, phase, sent, sent * st->setup.size);
        if (bench_pace_wait(&pace, st) == 0) {
            break;
        }
        int64_t start = bench_now_ns();
        if (bench_pubs_send(st, &p, 1) < 0) {
            return 1;
        }
        int64_t end = bench_now_ns();
        if (w.phase == BENCH_MEASURE) {
            bench_hist_add_expected(&self->hist, end - start, pace.interval_ns);
        }
        /* A stall is counted as such; afterwards the pace goes on from now. */
        pace.next_ns += pace.interval_ns;
        pace.next_ns = pace.next_ns < end - pace.interval_ns ? end : pace.next_ns;
    }
    uint64_t sent = p.src[0].word - first;
    bench_window_look(&w, self, BENCH_DRAIN, sent, sent * st->setup.size);
    return bench_pubs_close(st, self, &p);
}

static void
cast(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    (void)bench_stage_cast(st, "publisher", play_publisher, 0, 1, bench_cpu(o, 0));
    for (unsigned i = 0; i < plan->setup.subscribers; i++) {
        struct bench_actor *a =
            bench_stage_cast(st, "subscriber", bench_play_subscriber, i, 0, bench_cpu(o, 1 + i));
        a->is_stopped = i > 0;
    }
}

static void
gather(const struct bench_plan *plan, const struct bench_stage *st, struct bench_sample *out)
{
    (void)plan;
    bench_gather_stream(plan, st, out);
    out->has_latency = true;
    out->hist = st->actors[0].hist;
    out->has_rate = false;
    out->extra[0] = 0;
    out->extra[1] = st->actors[0].window_ns > 0
                        ? (double)st->actors[0].messages * 1e9 / (double)st->actors[0].window_ns
                        : 0;
}

/* Plans come in pairs, the stopped one second. */
static void
finish(struct bench_row *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (rows[i].plan->setup.subscribers < 2) {
            continue;
        }
        for (unsigned j = 0; j < i; j++) {
            if (rows[j].plan == rows[i].plan - 1 && rows[j].driver == rows[i].driver) {
                bench_series_ratio(&rows[i].extra[0], &rows[i].p99, &rows[j].p99);
                rows[i].raw = rows[j].raw; /* with nobody stopped: raw itself would only wait */
            }
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if (rows[i].plan->setup.subscribers < 2) {
            rows[i].extra[0].count = 0;
        }
    }
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    static const char *const modes[] = {"lossy", "lossy, one more is stopped", "reliable",
                                        "reliable, one more is stopped"};
    struct bench_plan plans[4];
    for (unsigned i = 0; i < 4; i++) {
        struct bench_plan *p = &plans[i];
        bool is_stopped = i % 2 == 1;
        bench_plan_init(p, c->name, o, size);
        (void)snprintf(p->mode, sizeof(p->mode), "%s", modes[i]);
        p->rate = o->rate > 0 ? o->rate : 100000;
        p->setup.batch = 1;
        p->setup.subscribers = is_stopped ? 2 : 1;
        p->setup.is_reliable = i >= 2;
        p->setup.is_evicting = i >= 2;
        /* Who does not follow is given up, and a busy machine may bring that about. */
        p->may_lose = true;
        p->needs = (i >= 2 ? BENCH_CAN_RELY : BENCH_CAN_LOSE) | BENCH_CAN_FAN_OUT;
        p->raw = is_stopped ? NULL : "raw";
        p->extra[0] = "p99_ratio";
        p->extra[1] = "publishes_per_s";
        p->cast = cast;
        p->gather = gather;
    }
    return bench_race(o, report, plans, 4, finish);
}

const struct bench_case bench_case_slow_reader = {
    "slow-reader", "time of a publish, with and without a stopped reader", true, run};
