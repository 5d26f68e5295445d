/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_attach.c - attach: how long a newcomer takes.  busbar only.
 *
 * Subscriber   bb_endpoint_open and bb_subscriber_open on a bus that has 1, 64, 512 rings, and the first
 *              bb_poll, in which the rings are found.
 * Message      from before bb_publisher_open to when a spinning subscriber has the first message.
 */
#include "bench/cases.h"
#include "bench/clock.h"

#include <busbar/busbar.h>

enum { RINGS_MAX = 512 };
static const int64_t nap_ns = 500000;          /* between two newcomers */
static const int64_t patience_ns = 1000000000; /* for one message */
static const char topic_name[] = "bench/attach";

static int
complain(const char *what, int rc, const struct bb_error *e)
{
    (void)fprintf(stderr, "busbar-bench: attach: %s: %s\n", what,
                  e->sentence[0] != '\0' ? e->sentence : bb_strerror(rc));
    return rc;
}

static int
open_endpoint(const struct bench_stage *st, const char *name, struct bb_endpoint **ep)
{
    struct bb_error error = {0};
    const struct bb_endpoint_opts opts = {
        .size = sizeof(opts), .dir = st->setup.dir, .bus = "bench", .name = name, .error = &error};
    int rc = bb_endpoint_open(ep, &opts);
    return rc < 0 ? complain("cannot attach", rc, &error) : 0;
}

static int
open_publisher(struct bb_endpoint *ep, struct bb_publisher **pub, struct bb_topic **topic)
{
    struct bb_error error = {0};
    const struct bb_publisher_opts opts = {
        .size = sizeof(opts), .lane = BB_LANE_ONESHOT, .error = &error};
    int rc = bb_publisher_open(pub, ep, &opts);
    rc = rc < 0 ? rc : bb_topic_open(topic, *pub, topic_name, sizeof(topic_name) - 1);
    return rc < 0 ? complain("cannot open a publisher", rc, &error) : 0;
}

static int
open_subscriber(struct bb_endpoint *ep, struct bb_subscriber **sub)
{
    static const char *const prefix = "bench/";
    struct bb_error error = {0};
    const struct bb_subscriber_opts opts = {.size = sizeof(opts),
                                            .wait = BB_WAIT_SPIN,
                                            .prefixes = &prefix,
                                            .prefix_count = 1,
                                            .error = &error};
    int rc = bb_subscriber_open(sub, ep, &opts);
    return rc < 0 ? complain("cannot open a subscriber", rc, &error) : 0;
}

/* ---- the hosts --------------------------------------------------------------------------------- */

/* Holds rings until all is over. */
static int
play_rings(struct bench_stage *st, struct bench_actor *self)
{
    struct bb_endpoint *ep;
    if (open_endpoint(st, "host", &ep) < 0) {
        return 1;
    }
    for (unsigned i = 0; i < st->setup.publishers; i++) {
        struct bb_publisher *pub;
        struct bb_topic *topic;
        if (open_publisher(ep, &pub, &topic) < 0) {
            return 1;
        }
    }
    bench_set_state(self, BENCH_OPENED);
    bench_await_phase(st, BENCH_DRAIN);
    bb_endpoint_close(ep); /* and its publishers */
    return 0;
}

/* Notes when each first message comes, and hands the baton back. */
static int
play_listener(struct bench_stage *st, struct bench_actor *self)
{
    struct bb_endpoint *ep;
    struct bb_subscriber *sub;
    if (open_endpoint(st, "listener", &ep) < 0 || open_subscriber(ep, &sub) < 0) {
        return 1;
    }
    bench_set_state(self, BENCH_LISTENING);
    bench_set_state(self, BENCH_HEARD);
    while (bench_phase(st) < BENCH_DRAIN) {
        struct bb_msg msg;
        int got = bb_poll(sub, &msg, 1, nap_ns);
        int64_t now = bench_now_ns();
        if (got < 0) {
            return 1;
        }
        if (got == 1 && msg.bytes == sizeof(int64_t)) {
            int64_t start = *(const int64_t *)msg.data;
            if (bench_phase(st) == BENCH_MEASURE) {
                bench_hist_add(&self->hist, now - start);
                self->messages++;
            }
            atomic_fetch_add_explicit(&st->baton, 1, memory_order_release);
        }
    }
    bb_endpoint_close(ep);
    return 0;
}

/* ---- the newcomers ----------------------------------------------------------------------------- */

static int
visit(struct bench_stage *st, struct bench_actor *self)
{
    struct bb_endpoint *ep;
    struct bb_subscriber *sub;
    struct bb_msg msg;
    bool is_measured = bench_phase(st) == BENCH_MEASURE;
    int64_t start = bench_now_ns();
    if (open_endpoint(st, "visitor", &ep) < 0 || open_subscriber(ep, &sub) < 0) {
        return -1;
    }
    int64_t opened = bench_now_ns();
    int rc = bb_poll(sub, &msg, 1, 0);
    int64_t polled = bench_now_ns();
    bb_endpoint_close(ep);
    if (is_measured) {
        bench_hist_add(&self->hist, opened - start);
        self->messages++;
        self->extra[0] += (double)(polled - opened);
        self->extra[1] += (double)(bench_now_ns() - polled);
    }
    return rc < 0 ? rc : 0;
}

static int
play_visitor(struct bench_stage *st, struct bench_actor *self)
{
    bench_await_phase(st, BENCH_OPEN_SUB);
    bench_set_state(self, BENCH_HEARD);
    while (bench_phase(st) < BENCH_DRAIN) {
        if (visit(st, self) < 0) {
            return 1;
        }
        bench_nap(nap_ns);
    }
    return 0;
}

/* One publisher, one message, until the listener has it.  BB_EFULL: those before are not cleared away yet. */
static int
announce(struct bench_stage *st, struct bb_endpoint *ep)
{
    struct bb_publisher *pub;
    struct bb_topic *topic;
    uint64_t baton = atomic_load_explicit(&st->baton, memory_order_acquire);
    int64_t start = bench_now_ns();
    int rc = open_publisher(ep, &pub, &topic);
    rc = rc < 0 ? rc : bb_publish(topic, &start, sizeof(start), BB_RAW);
    if (rc < 0) {
        return rc;
    }
    while (atomic_load_explicit(&st->baton, memory_order_acquire) == baton) {
        if (bench_now_ns() - start > patience_ns) {
            (void)fputs("busbar-bench: attach: a first message never came.\n", stderr);
            return -1;
        }
        if (bench_phase(st) >= BENCH_DRAIN) {
            break;
        }
    }
    bb_publisher_close(pub);
    return 0;
}

static int
play_announcer(struct bench_stage *st, struct bench_actor *self)
{
    struct bb_endpoint *ep;
    if (open_endpoint(st, "announcer", &ep) < 0) {
        return 1;
    }
    bench_set_state(self, BENCH_OPENED);
    bench_await_phase(st, BENCH_WARM);
    while (bench_phase(st) < BENCH_DRAIN) {
        if (announce(st, ep) < 0) {
            return 1;
        }
        bench_nap(nap_ns);
    }
    bb_endpoint_close(ep);
    return 0;
}

/* ---- case -------------------------------------------------------------------------------------- */

static void
cast_visit(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    (void)plan;
    (void)bench_stage_cast(st, "host", play_rings, 0, 1, bench_cpu(o, 0));
    (void)bench_stage_cast(st, "visitor", play_visitor, 0, 0, bench_cpu(o, 1));
}

static void
cast_announce(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    (void)plan;
    (void)bench_stage_cast(st, "announcer", play_announcer, 0, 1, bench_cpu(o, 0));
    (void)bench_stage_cast(st, "listener", play_listener, 0, 0, bench_cpu(o, 1));
}

static void
gather(const struct bench_plan *plan, const struct bench_stage *st, struct bench_sample *out)
{
    const struct bench_actor *a = &st->actors[1];
    (void)plan;
    out->has_latency = a->messages > 0;
    out->hist = a->hist;
    if (a->messages > 0) {
        out->extra[0] = a->extra[0] / (double)a->messages;
        out->extra[1] = a->extra[1] / (double)a->messages;
    }
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    static const unsigned rings[] = {1, 64, RINGS_MAX, 0};
    struct bench_plan plans[sizeof(rings) / sizeof(rings[0])];
    unsigned count = sizeof(rings) / sizeof(rings[0]);
    for (unsigned i = 0; i < count; i++) {
        struct bench_plan *p = &plans[i];
        bool is_visit = rings[i] > 0;
        bench_plan_init(p, c->name, o, is_visit ? size : sizeof(int64_t));
        (void)snprintf(p->mode, sizeof(p->mode),
                       is_visit ? "subscriber, %u ring%s" : "publisher to first message", rings[i],
                       rings[i] > 1 ? "s" : "");
        p->setup.publishers = is_visit ? rings[i] : 1;
        p->setup.batch = 1;
        p->is_ours = true;
        p->raw = NULL;
        p->cast = is_visit ? cast_visit : cast_announce;
        p->gather = gather;
        p->extra[0] = is_visit ? "first_poll_ns" : NULL;
        p->extra[1] = is_visit ? "close_ns" : NULL;
    }
    return bench_race(o, report, plans, count, NULL);
}

const struct bench_case bench_case_attach = {
    "attach", "time to attach to a bus of many rings, and to a publisher's first message", false,
    run};
