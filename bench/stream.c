/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/stream.c - see stream.h.
 *
 * Hello      Some buses lose what is sent before a subscription has arrived.  So publishers send one message
 *            a millisecond until each subscriber has heard all; from there on numbers must have no gap.
 * Settling   Publishers make known how many they sent; subscribers take until they have them all.  Without
 *            that promise (lossy) they stop when nothing came for a while; the rest counts as lost.
 */
#include "bench/stream.h"

#include "bench/clock.h"
#include <string.h>

static const int64_t recv_ns = 2000000;          /* bound of one wait for messages */
static const int64_t sleep_ns = 50000000;        /* the same, for who wants none */
static const int64_t hello_ns = 1000000;         /* between two hellos */
static const int64_t quiet_lossy_ns = 200000000; /* nothing for so long: nothing will come */
static const int64_t quiet_rely_ns = 3000000000;
static const int64_t chunk_low_ns = 100000, chunk_high_ns = 2000000; /* of one pub_send */
enum { CHUNK_MAX = 16384 };

void
bench_mishap(struct bench_sink *sink, uint64_t word, uint64_t expected)
{
    uint64_t number = word & BENCH_NUMBER_MASK;
    if (number > expected) {
        sink->lost += number - expected;
    } else {
        sink->disorder++;
    }
}

void
bench_window_turn(struct bench_window *w,
                  struct bench_actor *self,
                  uint32_t phase,
                  uint64_t messages,
                  uint64_t bytes)
{
    int64_t now = bench_now_ns();
    int64_t cpu = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (w->phase == BENCH_MEASURE) {
        self->messages = messages - w->messages;
        self->bytes = bytes - w->bytes;
        self->window_ns = now - w->start_ns;
        self->cpu_ns = cpu - w->start_cpu_ns;
    } else if (phase == BENCH_MEASURE) {
        w->messages = messages;
        w->bytes = bytes;
        w->start_ns = now;
        w->start_cpu_ns = cpu;
    }
    w->phase = phase;
}

/* ---- publisher --------------------------------------------------------------------------------- */

int
bench_pubs_open(struct bench_stage *st, struct bench_actor *self, struct bench_pubs *p)
{
    memset(p, 0, sizeof(*p));
    p->first = self->index;
    p->count = self->count;
    for (unsigned i = 0; i < p->count; i++) {
        unsigned index = p->first + i;
        if (st->driver->pub_open(&st->setup, st->shared, index, &p->pub[i]) < 0) {
            return -1;
        }
        p->src[i] = (struct bench_source){.word = bench_first_word(index), .size = st->setup.size};
        p->active += index < st->active;
    }
    bench_set_state(self, BENCH_OPENED);
    bench_await_phase(st, BENCH_HELLO);
    while (bench_phase(st) < BENCH_WARM) {
        for (unsigned i = 0; i < p->count; i++) {
            if (st->driver->pub_send(p->pub[i], &p->src[i], 1) < 0) {
                return -1;
            }
        }
        bench_nap(hello_ns);
    }
    return 0;
}

int
bench_pubs_send(const struct bench_stage *st, struct bench_pubs *p, uint64_t count)
{
    for (unsigned i = 0; i < p->active; i++) {
        int rc = st->driver->pub_send(p->pub[i], &p->src[i], count);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

int
bench_pubs_close(struct bench_stage *st, struct bench_actor *self, struct bench_pubs *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        atomic_store_explicit(&st->sent[p->first + i], p->src[i].word & BENCH_NUMBER_MASK,
                              memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&st->pubs_done, p->count, memory_order_release);
    bench_set_state(self, BENCH_SENT);
    for (unsigned i = 0; i < p->count; i++) {
        st->driver->pub_close(p->pub[i]);
    }
    return 0;
}

static uint64_t
sent_here(const struct bench_pubs *p)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < p->count; i++) {
        n += p->src[i].word & BENCH_NUMBER_MASK;
    }
    return n;
}

int
bench_play_publisher(struct bench_stage *st, struct bench_actor *self)
{
    struct bench_pubs p;
    struct bench_window w = {0};
    uint64_t chunk = st->setup.batch;
    if (bench_pubs_open(st, self, &p) < 0) {
        return 1;
    }
    int64_t before = bench_now_ns();
    for (uint32_t phase; (phase = bench_phase(st)) < BENCH_DRAIN;) {
        if (w.phase != phase) {
            uint64_t sent = sent_here(&p);
            bench_window_turn(&w, self, phase, sent, sent * st->setup.size);
        }
        if (p.active == 0) {
            bench_nap(hello_ns);
            continue;
        }
        if (bench_pubs_send(st, &p, chunk) < 0) {
            return 1;
        }
        int64_t now = bench_now_ns();
        if (now - before < chunk_low_ns && chunk < CHUNK_MAX) {
            chunk *= 2;
        } else if (now - before > chunk_high_ns && chunk >= 2 * st->setup.batch) {
            chunk /= 2;
        }
        before = now;
    }
    uint64_t sent = sent_here(&p);
    bench_window_look(&w, self, BENCH_DRAIN, sent, sent * st->setup.size);
    return bench_pubs_close(st, self, &p);
}

/* ---- subscriber -------------------------------------------------------------------------------- */

static bool
has_heard_all(const struct bench_stage *st, const struct bench_sink *sink)
{
    if (st->setup.wanted == 0) {
        return true;
    }
    for (unsigned i = 0; i < st->setup.publishers; i++) {
        if (sink->next[i] == 0) {
            return false;
        }
    }
    return true;
}

int
bench_sub_open(struct bench_stage *st,
               struct bench_actor *self,
               void **sub,
               struct bench_sink *sink)
{
    memset(sink, 0, sizeof(*sink));
    bench_await_phase(st, BENCH_OPEN_SUB);
    if (st->driver->sub_open(&st->setup, st->shared, self->index, sub) < 0) {
        return -1;
    }
    bench_set_state(self, BENCH_LISTENING);
    bench_await_phase(st, BENCH_HELLO);
    while (!has_heard_all(st, sink)) {
        if (st->driver->sub_recv(*sub, sink, recv_ns) < 0) {
            return -1;
        }
    }
    sink->lost = sink->disorder = sink->torn = 0;
    bench_set_state(self, BENCH_HEARD);
    return 0;
}

/* How many messages are still missing, now that all is known; UINT64_MAX while it is not. */
static uint64_t
missing(const struct bench_stage *st, const struct bench_sink *sink)
{
    uint64_t n = 0;
    if (atomic_load_explicit(&st->pubs_done, memory_order_acquire) < st->setup.publishers) {
        return UINT64_MAX;
    }
    for (unsigned i = 0; i < st->setup.publishers; i++) {
        uint64_t sent = atomic_load_explicit(&st->sent[i], memory_order_relaxed);
        n += sent > sink->next[i] ? sent - sink->next[i] : 0;
    }
    return n;
}

int
bench_sub_close(struct bench_stage *st,
                struct bench_actor *self,
                void *sub,
                struct bench_sink *sink)
{
    bool is_choosy = st->setup.wanted < st->setup.topics;
    int64_t quiet_ns = st->setup.is_reliable && !st->setup.is_evicting && !is_choosy
                           ? quiet_rely_ns
                           : quiet_lossy_ns;
    int64_t last = bench_now_ns();
    uint64_t left = 0;
    while (st->setup.wanted > 0 && (left = missing(st, sink)) > 0) {
        int got = st->driver->sub_recv(sub, sink, recv_ns);
        int64_t now = bench_now_ns();
        if (got < 0) {
            return 1;
        }
        if (got > 0 || left == UINT64_MAX) {
            last = now;
        } else if (now - last > quiet_ns) {
            break;
        }
    }
    self->lost = is_choosy ? 0 : sink->lost + left;
    self->disorder = sink->disorder;
    self->torn = sink->torn;
    st->driver->sub_close(sub);
    return 0;
}

int
bench_play_subscriber(struct bench_stage *st, struct bench_actor *self)
{
    static struct bench_sink sink;
    struct bench_window w = {0};
    void *sub;
    int64_t wait_ns = st->setup.wanted > 0 ? recv_ns : sleep_ns;
    if (bench_sub_open(st, self, &sub, &sink) < 0) {
        return 1;
    }
    for (uint32_t phase; (phase = bench_phase(st)) < BENCH_DRAIN;) {
        bench_window_look(&w, self, phase, sink.messages, sink.bytes);
        if (st->driver->sub_recv(sub, &sink, wait_ns) < 0) {
            return 1;
        }
    }
    bench_window_look(&w, self, BENCH_DRAIN, sink.messages, sink.bytes);
    return bench_sub_close(st, self, sub, &sink);
}
