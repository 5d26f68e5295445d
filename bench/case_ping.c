/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_ping.c - ping-pong: one message there, one back; the time of the round trip.
 *
 * Process 0 sends and waits, process 1 answers.  A ping's number travels in the payload's second word and
 * comes back in it.  The clock is read before the send and after the receive.
 */
#include "bench/cases.h"
#include "bench/clock.h"
#include "bench/stream.h"

#include <string.h>

static const int64_t recv_ns = 20000000;     /* bound of one wait; also of noticing the end */
static const int64_t lost_ns = 1000000000;   /* no answer for so long: lost, send another */
static const int64_t farewell_ns = 10000000; /* the answering side stays so long after the end */

struct side {
    void *pub, *sub;
    struct bench_source src;
    struct bench_sink sink;
};

static int
open_side(struct bench_stage *st, struct bench_actor *self, struct side *s)
{
    const struct bench_driver *d = st->driver;
    s->src = (struct bench_source){.word = bench_first_word(self->index), .size = st->setup.size};
    if (d->pub_open(&st->setup, st->shared, self->index, &s->pub) < 0) {
        return -1;
    }
    bench_set_state(self, BENCH_OPENED);
    bench_await_phase(st, BENCH_OPEN_SUB);
    if (d->sub_open(&st->setup, st->shared, self->index, &s->sub) < 0) {
        return -1;
    }
    bench_set_state(self, BENCH_LISTENING);
    bench_await_phase(st, BENCH_HELLO);
    return 0;
}

/* 1: the answer came; 0: it did not in this time, or all is over; negative: the driver failed. */
static int
await_answer(struct bench_stage *st, struct side *s, int64_t wait_ns)
{
    int64_t until = 0;
    while (s->sink.intended != s->src.intended) {
        int got = st->driver->sub_recv(s->sub, &s->sink, wait_ns < recv_ns ? wait_ns : recv_ns);
        if (got < 0) {
            return got;
        }
        if (got == 0) {
            int64_t now = bench_now_ns();
            until = until == 0 ? now + wait_ns - recv_ns : until;
            if (now >= until || bench_phase(st) >= BENCH_DRAIN) {
                return 0;
            }
        }
    }
    return 1;
}

static int
ping(struct bench_stage *st, struct side *s, int64_t wait_ns)
{
    s->src.intended++;
    int rc = st->driver->pub_send(s->pub, &s->src, 1);
    return rc < 0 ? rc : await_answer(st, s, wait_ns);
}

static int
play_ping(struct bench_stage *st, struct bench_actor *self)
{
    static struct side s;
    int rc = open_side(st, self, &s);
    while (rc == 0) {
        rc = ping(st, &s, recv_ns);
    }
    if (rc < 0) {
        return 1;
    }
    s.sink.lost = s.sink.disorder = s.sink.torn = 0;
    bench_set_state(self, BENCH_HEARD);
    uint64_t lost = 0;
    struct bench_window w = {0};
    for (uint32_t phase; (phase = bench_phase(st)) < BENCH_DRAIN;) {
        bench_window_look(&w, self, phase, s.sink.messages, s.sink.bytes);
        int64_t start = bench_now_ns();
        rc = ping(st, &s, lost_ns);
        int64_t end = bench_now_ns();
        if (rc < 0) {
            return 1;
        }
        if (rc == 0) {
            lost += bench_phase(st) < BENCH_DRAIN;
        } else if (w.phase == BENCH_MEASURE) {
            bench_hist_add(&self->hist, end - start);
        }
    }
    bench_window_look(&w, self, BENCH_DRAIN, s.sink.messages, s.sink.bytes);
    self->lost = lost;
    self->disorder = s.sink.disorder;
    self->torn = s.sink.torn;
    st->driver->pub_close(s.pub);
    st->driver->sub_close(s.sub);
    return 0;
}

/* Answers what came last; pings come one by one. */
static int
answer(struct bench_stage *st, struct side *s, int64_t wait_ns)
{
    int got = st->driver->sub_recv(s->sub, &s->sink, wait_ns);
    if (got > 0) {
        s->src.intended = s->sink.intended;
        int rc = st->driver->pub_send(s->pub, &s->src, 1);
        return rc < 0 ? rc : got;
    }
    return got;
}

static int
play_pong(struct bench_stage *st, struct bench_actor *self)
{
    static struct side s;
    if (open_side(st, self, &s) < 0) {
        return 1;
    }
    while (bench_phase(st) < BENCH_DRAIN) {
        int got = answer(st, &s, recv_ns);
        if (got < 0) {
            return 1;
        }
        if (got > 0 && bench_phase(st) == BENCH_HELLO) {
            s.sink.lost = s.sink.disorder = 0;
            bench_set_state(self, BENCH_HEARD);
        }
    }
    int64_t until = bench_now_ns() + farewell_ns;
    while (bench_now_ns() < until) {
        if (answer(st, &s, farewell_ns / 10) < 0) {
            return 1;
        }
    }
    self->torn = s.sink.torn;
    st->driver->pub_close(s.pub);
    st->driver->sub_close(s.sub);
    return 0;
}

void
bench_cast_ping(const struct bench_plan *plan,
                const struct bench_options *o,
                struct bench_stage *st)
{
    for (unsigned i = 0; i < 2; i++) {
        int cpu = bench_cpu(o, plan->is_one_core ? 0 : i);
        struct bench_actor *a =
            bench_stage_cast(st, "side", i == 0 ? play_ping : play_pong, i, 1, cpu);
        a->hears = true;
    }
}

void
bench_gather_ping(const struct bench_plan *plan,
                  const struct bench_stage *st,
                  struct bench_sample *out)
{
    const struct bench_actor *a = &st->actors[0];
    (void)plan;
    out->has_latency = true;
    out->hist = a->hist;
    out->lost = a->lost;
    out->disorder = a->disorder;
    out->torn = a->torn + st->actors[1].torn;
    out->extra[0] = a->window_ns > 0 ? (double)a->cpu_ns / (double)a->window_ns : 0;
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    static const struct {
        const char *mode;
        enum bench_wait wait;
        bool is_one_core;
        unsigned needs;
        const char *raw, *beside;
    } modes[] = {
        {"spin", BENCH_SPIN, false, BENCH_CAN_SPIN, "raw", "cacheline"},
        {"sleep", BENCH_SLEEP, false, BENCH_CAN_SLEEP, "futex", NULL},
        {"sleep, one core", BENCH_SLEEP, true, BENCH_CAN_SLEEP, "futex", NULL},
        {"hybrid", BENCH_HYBRID, false, BENCH_CAN_SPIN | BENCH_CAN_SLEEP, "raw", "futex"},
    };
    struct bench_plan plans[sizeof(modes) / sizeof(modes[0])];
    unsigned count = 0;
    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if ((o->has_wait && o->wait != modes[i].wait)
            || (modes[i].is_one_core && o->pinning != BENCH_PIN_ON)) {
            continue;
        }
        struct bench_plan *p = &plans[count++];
        bench_plan_init(p, c->name, o, size);
        (void)snprintf(p->mode, sizeof(p->mode), "%s", modes[i].mode);
        p->setup.publishers = p->setup.subscribers = 2;
        p->setup.batch = 1;
        p->setup.is_ping = true;
        p->setup.wait = modes[i].wait;
        p->is_one_core = modes[i].is_one_core;
        p->needs = BENCH_CAN_PING | modes[i].needs;
        p->raw = modes[i].raw;
        p->beside = modes[i].beside;
        p->extra[0] = "cpu_share";
        p->cast = bench_cast_ping;
        p->gather = bench_gather_ping;
    }
    return bench_race(o, report, plans, count, NULL);
}

const struct bench_case bench_case_ping_pong = {
    "ping-pong", "round trips between two processes: spinning, sleeping, hybrid", true, run};
