/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_bridge.c - bridge-*: publishers on one box, subscribers on another, TCP over the loopback between.
 *
 * Modes      each engine of busbard, plain and TLS.  Rivals stand beside the first plain one; beside all of them bare
 *            gathered writes (peers/tcp.c), which are the limit here as `raw` is on one box.
 * Cores      a core for each box: what publishes and its busbard on the first, the others on the second.
 * Waiting    all sleep when there is nothing: there are more processes than cores, and CPU time says something.
 * CPU        of all processes, and of what start started (both busbards, a server) by itself.  Of each its share of a
 *            core in its own window; the sum by the rate.  In a ping both ways count, in a fan-out what is published.
 */
#include "bench/cases.h"
#include "bench/stream.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EXTRA_CPU, EXTRA_CARRIERS, EXTRA_OF_BARE };
enum { BRIDGE_BATCH = 64, FAN = 4 };

static void
place(const struct bench_options *o, struct bench_stage *st)
{
    for (unsigned i = 0; i < 2; i++) {
        st->setup.box_cpu[i] = bench_cpu(o, i);
    }
}

static void
cast(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    const struct bench_setup *s = &plan->setup;
    place(o, st);
    for (unsigned i = 0; i < s->publishers; i++) {
        (void)bench_stage_cast(st, "publisher", bench_play_publisher, i, 1, bench_cpu(o, 0));
    }
    for (unsigned i = 0; i < s->subscribers; i++) {
        (void)bench_stage_cast(st, "subscriber", bench_play_subscriber, i, 0, bench_cpu(o, 1));
    }
}

static void
cast_ping(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    place(o, st);
    bench_cast_ping(plan, o, st);
}

static double
share(int64_t used_ns, int64_t window_ns)
{
    return window_ns > 0 ? (double)used_ns / (double)window_ns : 0;
}

/* rate: messages a second that went through. */
static void
count_cpu(const struct bench_stage *st, double rate, struct bench_sample *out)
{
    double carriers = share(st->carriers_cpu_ns, st->carriers_window_ns), all = carriers;
    for (unsigned i = 0; i < st->actor_count; i++) {
        all += share(st->actors[i].cpu_ns, st->actors[i].window_ns);
    }
    bool has_carriers = st->driver->carriers_cpu_ns != NULL;
    out->extra[EXTRA_CPU] = rate > 0 ? all * 1e9 / rate : (double)NAN;
    out->extra[EXTRA_CARRIERS] = rate > 0 && has_carriers ? carriers * 1e9 / rate : (double)NAN;
    out->extra[EXTRA_OF_BARE] = (double)NAN; /* finish() knows it */
}

static void
gather(const struct bench_plan *plan, const struct bench_stage *st, struct bench_sample *out)
{
    bench_gather_stream(plan, st, out);
    count_cpu(st, out->rate, out);
}

static void
gather_ping(const struct bench_plan *plan, const struct bench_stage *st, struct bench_sample *out)
{
    const struct bench_actor *a = &st->actors[0];
    bench_gather_ping(plan, st, out);
    count_cpu(st, 2 * share((int64_t)out->hist.total, a->window_ns) * 1e9, out);
}

static void
finish(struct bench_row *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct bench_row *raw = rows[i].raw;
        if (raw != NULL && raw != &rows[i]) {
            bench_series_ratio(&rows[i].extra[EXTRA_OF_BARE], &rows[i].extra[EXTRA_CPU],
                               &raw->extra[EXTRA_CPU]);
        }
    }
}

/* Whether the kernel lets us have rings at all: a wrong call is wrong in another way where it does not. */
static bool
has_io_uring(void)
{
    return syscall(SYS_io_uring_setup, 0, NULL) >= 0 || (errno != ENOSYS && errno != EPERM);
}

static bool
is_left_out(const struct bench_options *o, const char *engine, bool is_tls)
{
    return (o->engine != NULL && strcmp(o->engine, engine) != 0)
           || (o->has_tls && o->is_tls != is_tls);
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    static const struct {
        const char *engine;
        bool is_tls;
    } modes[] = {{"io_uring", false}, {"epoll", false}, {"io_uring", true}, {"epoll", true}};
    struct bench_plan plans[sizeof(modes) / sizeof(modes[0])];
    bool is_ping = c == &bench_case_bridge_ping_pong, is_fan = c == &bench_case_bridge_fan_out;
    bool has_plain = false, has_ring = has_io_uring();
    unsigned count = 0;
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        bool is_tls = modes[i].is_tls, is_ring = strcmp(modes[i].engine, "io_uring") == 0;
        if (is_left_out(o, modes[i].engine, is_tls)) {
            continue;
        }
        if (is_ring && !has_ring) {
            bench_report_note(report, "%s: io_uring is left out, this kernel does not offer it.",
                              c->name);
            continue;
        }
        struct bench_plan *p = &plans[count++];
        bench_plan_init(p, c->name, o, size);
        (void)snprintf(p->mode, sizeof(p->mode), "%s, %s", is_tls ? "TLS" : "plain",
                       modes[i].engine);
        p->setup.is_bridge = true;
        p->setup.is_tls = is_tls;
        p->setup.engine = modes[i].engine;
        p->setup.is_reliable = true;
        p->setup.is_ping = is_ping;
        p->setup.publishers = is_ping ? 2 : 1;
        p->setup.subscribers = is_ping               ? 2
                               : o->subscribers != 0 ? o->subscribers
                               : is_fan              ? FAN
                                                     : 1;
        p->setup.batch = is_ping ? 1 : o->has_batch ? o->batch : BRIDGE_BATCH;
        p->setup.wait = o->has_wait ? o->wait : BENCH_SLEEP;
        p->needs = is_tls ? BENCH_CAN_TLS : BENCH_CAN_BRIDGE;
        p->is_ours = !is_tls && has_plain; /* rivals have no engines to choose from */
        has_plain = has_plain || !is_tls;
        p->raw = is_tls ? "tls" : "tcp";
        p->extra[EXTRA_CPU] = "cpu_ns_per_msg";
        p->extra[EXTRA_CARRIERS] = "carriers_cpu_ns_per_msg";
        p->extra[EXTRA_OF_BARE] = "cpu_of_bare";
        p->cast = is_ping ? cast_ping : cast;
        p->gather = is_ping ? gather_ping : gather;
    }
    return bench_race(o, report, plans, count, finish);
}

const struct bench_case bench_case_bridge_one_to_one = {
    "bridge-one-to-one", "from one box to another over TCP: two busbards, plain and TLS", true,
    run};
const struct bench_case bench_case_bridge_ping_pong = {
    "bridge-ping-pong", "round trips between two boxes, sleeping", true, run};
const struct bench_case bench_case_bridge_fan_out = {
    "bridge-fan-out", "4 subscribers on the other box; rate of each", true, run};
