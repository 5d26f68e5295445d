/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/case_store_expire.c - store-expire: a million keys that are due at one moment.  busbar only.
 *
 * Setting   Every 50th key stays for ever, all others are given what is left until the moment.  Some time before it,
 *           and then until all are gone, one client puts to keys that stay, one by one, each with its result.
 * Figures   latency: of those puts while keys are being swept.  idle_p99_ns: before.  gone_s: from the moment to when
 *           the last key is swept.  rate: keys swept a second.
 * Proof     after the moment no read gives a key that is due, swept or not; at the end there are as many keys as
 *           stay, all of them readable.
 */
#include "bench/bus.h"
#include "bench/cases.h"
#include "bench/clock.h"
#include "bench/store_bus.h"
#include "bench/store_play.h"

enum { KEYS = 1000000, STAY = 50, FRAME = 250, GLANCE = 16, LOOKS = 4, FRAMES_OPEN = 64 };
static const int64_t second_ns = INT64_C(1000000000);
static const int64_t idle_ns = INT64_C(300000000); /* of puts before the moment */

struct client {
    struct bb_endpoint *ep;
    struct bb_store *store;
    struct bench_store_frame frame, one;
    struct bench_store_work work;
    uint64_t keys, stay;
    int64_t due_ns; /* the moment */
    /* What is left counts from when the master runs the frame: so keys are due later by what it waited at most. */
    int64_t made_ns[FRAMES_OPEN], waited_ns;
    uint64_t made, told; /* frames */
    struct bench_hist idle;
};

static void
on_done(int64_t ticket, const struct bb_store_result *results, size_t count, void *user)
{
    struct client *c = user;
    (void)ticket;
    int64_t waited_ns = bench_now_ns() - c->made_ns[c->told++ % FRAMES_OPEN];
    c->waited_ns = waited_ns > c->waited_ns ? waited_ns : c->waited_ns;
    for (size_t i = 0; i < count; i++) {
        bench_store_result(&c->work, results[i].code == 0, results[i].code != 0);
    }
}

static int
open_client(const struct bench_stage *st, struct client *c)
{
    const struct bench_setup *s = &st->setup;
    c->keys = s->keys;
    c->stay = s->keys / STAY;
    int rc = bench_store_frame_init(&c->frame, FRAME, s->size);
    rc = rc < 0 ? rc : bench_store_frame_init(&c->one, 1, s->size);
    rc = rc < 0 ? rc : bench_bus_endpoint(s, "client", 0, &c->ep);
    return rc < 0 ? rc : bench_store_bus_open(s, c->ep, BB_STORE_CLONE, on_done, c, &c->store);
}

static void
close_client(struct client *c)
{
    bb_store_close(c->store);
    bb_endpoint_close(c->ep);
    bench_store_frame_fini(&c->frame);
    bench_store_frame_fini(&c->one);
}

/* ---- filling ----------------------------------------------------------------------------------- */

static int
put_until(struct client *c, uint64_t end)
{
    while (c->work.next < end) {
        c->made_ns[c->made++ % FRAMES_OPEN] = bench_now_ns();
        c->frame.expire_ns = c->due_ns != 0 ? c->due_ns - bench_now_ns() : 0;
        if (c->due_ns != 0 && c->frame.expire_ns <= 0) {
            (void)fputs("busbar-bench: store-expire: filling took too long.\n", stderr);
            return -1;
        }
        bench_store_frame_begin(&c->frame);
        while (c->work.next < end && bench_store_frame_add(&c->frame, &c->work)) {
        }
        if (bench_store_frame_send(&c->frame, c->store) < 0) {
            return -1;
        }
    }
    return bench_store_bus_settle(c->store);
}

/* Those that stay come first, and say how fast it goes. */
static int
fill(struct client *c)
{
    int64_t start = bench_now_ns();
    c->work = (struct bench_store_work){.op = BENCH_STORE_PUT, .keys = c->keys};
    if (put_until(c, c->stay) < 0) {
        return -1;
    }
    int64_t now = bench_now_ns();
    c->due_ns = now + 2 * STAY * (now - start) + 2 * second_ns;
    return put_until(c, c->keys);
}

/* ---- the moment -------------------------------------------------------------------------------- */

static int
put_one(struct client *c, struct bench_hist *h)
{
    static struct bench_store_work w;
    w.op = BENCH_STORE_PUT;
    w.keys = c->stay;
    bench_store_frame_begin(&c->one);
    (void)bench_store_frame_add(&c->one, &w);
    int64_t start = bench_now_ns();
    int rc = bb_store_put(c->store, &c->one.cmds[0].key, &c->one.cmds[0].value, 0, NULL);
    bench_hist_add(h, bench_now_ns() - start);
    return rc < 0 ? bench_bus_complain("cannot put", rc, NULL) : 0;
}

/* How many of some keys that are due are read all the same. */
static uint64_t
read_late(struct client *c, uint64_t turn)
{
    uint64_t late = 0;
    for (uint64_t i = 0; i < LOOKS; i++) {
        struct bench_store_key_value key;
        struct bb_value value;
        bench_store_bus_key(&key, c->stay + (turn * LOOKS + i) * 997 % (c->keys - c->stay));
        late += bb_store_get(c->store, &key.value, &value) == 0;
    }
    return late;
}

static int
outlast(struct bench_actor *self, struct client *c)
{
    struct bb_store_info info = {.size = sizeof(info)};
    while (bench_now_ns() < c->due_ns - idle_ns) {
        bench_nap(second_ns / 1000);
    }
    while (bench_now_ns() < c->due_ns) {
        if (put_one(c, &c->idle) < 0) {
            return -1;
        }
    }
    for (uint64_t turn = 0; info.expired < c->keys - c->stay; turn++) {
        if (put_one(c, &self->hist) < 0 || bb_store_info(c->store, &info) < 0) {
            return -1;
        }
        bool is_over = bench_now_ns() > c->due_ns + c->waited_ns;
        self->torn += is_over && turn % GLANCE == 0 ? read_late(c, turn) : 0;
    }
    self->window_ns = bench_now_ns() - c->due_ns;
    self->messages = c->keys - c->stay;
    return 0;
}

static int
prove(struct bench_actor *self, struct client *c)
{
    int64_t count = bb_store_count(c->store, NULL);
    self->lost += c->work.refused + (c->work.next - c->work.answered);
    for (uint64_t i = 0; i < c->stay; i++) {
        struct bench_store_key_value key;
        struct bb_value value;
        bench_store_bus_key(&key, i);
        self->lost += bb_store_get(c->store, &key.value, &value) != 0;
    }
    self->disorder += count != (int64_t)c->stay;
    return count < 0 ? bench_bus_complain("cannot count", (int)count, NULL) : 0;
}

static int
play(struct bench_stage *st, struct bench_actor *self)
{
    static struct client c;
    bench_await_phase(st, BENCH_OPEN_SUB);
    if (open_client(st, &c) < 0) {
        return 1;
    }
    bench_set_state(self, BENCH_LISTENING);
    bench_await_phase(st, BENCH_HELLO);
    if (fill(&c) < 0) {
        return 1;
    }
    bench_set_state(self, BENCH_HEARD);
    bench_await_phase(st, BENCH_MEASURE);
    if (outlast(self, &c) < 0 || prove(self, &c) < 0) {
        return 1;
    }
    self->extra[0] = (double)bench_hist_at(&c.idle, 0.99);
    close_client(&c);
    atomic_fetch_add_explicit(&st->pubs_done, 1, memory_order_release);
    return 0;
}

/* ---- case -------------------------------------------------------------------------------------- */

static void
cast(const struct bench_plan *plan, const struct bench_options *o, struct bench_stage *st)
{
    bench_store_cast(plan, o, st, play);
}

static void
gather(const struct bench_plan *plan, const struct bench_stage *st, struct bench_sample *out)
{
    const struct bench_actor *a = &st->actors[0];
    (void)plan;
    out->has_rate = out->has_latency = true;
    out->rate = a->window_ns > 0 ? (double)a->messages * 1e9 / (double)a->window_ns : 0;
    out->hist = a->hist;
    out->extra[0] = a->extra[0];
    out->extra[1] = (double)a->window_ns / 1e9;
    out->lost = a->lost;
    out->disorder = a->disorder;
    out->torn = a->torn;
}

static int
run(const struct bench_case *c,
    const struct bench_options *o,
    struct bench_report *report,
    size_t size)
{
    struct bench_plan plan;
    bench_store_plan(&plan, c->name, o, size, 1);
    plan.setup.keys = o->keys != 0 ? o->keys : KEYS;
    plan.setup.batch = FRAME;
    plan.is_ours = true;
    plan.raw = NULL;
    plan.cast = cast;
    plan.gather = gather;
    plan.extra[0] = "idle_p99_ns";
    plan.extra[1] = "gone_s";
    return bench_race(o, report, &plan, 1, NULL);
}

const struct bench_case bench_case_store_expire = {
    "store-expire", "a million keys due at once: puts meanwhile, and until all are gone", false,
    run};
