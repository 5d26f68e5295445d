/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/credit.c - the subscribers' numbers: [subscriber][publisher], the number that it expects next.
 *
 * Relaxed is enough for all of them: they bound how much is under way, and order no other memory.
 */
#include "bench/peers/credit.h"

#include "bench/clock.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { WINDOW_BYTES = 16 << 20 };
static const int64_t stuck_ns = 20000000000, room_nap_ns = 50000;

static int
complain(const char *driver, const char *what, const char *why)
{
    (void)fprintf(stderr, "%s: %s: %s.\n", driver, what, why);
    return -1;
}

static _Atomic uint64_t *
numbers_of(struct bench_credit *c, unsigned subscriber)
{
    void *base = (unsigned char *)c + c->numbers_off;
    return (_Atomic uint64_t *)base + (size_t)subscriber * c->publishers;
}

int
bench_credit_start(const struct bench_setup *s,
                   const char *driver,
                   size_t bytes,
                   int (*begin)(const struct bench_setup *s, void *shared),
                   void **shared)
{
    size_t step = sizeof(uint64_t), off = (bytes + step - 1) / step * step;
    size_t all = off + (size_t)s->publishers * s->subscribers * step;
    struct bench_credit *c =
        mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c == MAP_FAILED) {
        return complain(driver, "cannot start", strerror(errno));
    }
    *c = (struct bench_credit){.driver = driver,
                               .publishers = s->publishers,
                               .subscribers = s->subscribers,
                               .bytes = all,
                               .numbers_off = off};
    if (begin != NULL && begin(s, c) < 0) {
        bench_credit_stop(c);
        return -1;
    }
    *shared = c;
    return 0;
}

void
bench_credit_stop(struct bench_credit *c)
{
    (void)munmap(c, c->bytes);
}

/* ---- subscriber -------------------------------------------------------------------------------- */

static void
tell(_Atomic uint64_t *number, uint64_t next)
{
    if (atomic_load_explicit(number, memory_order_relaxed) != next) {
        atomic_store_explicit(number, next, memory_order_relaxed);
    }
}

static void
tell_all(struct bench_credit *c, unsigned subscriber, uint64_t next)
{
    _Atomic uint64_t *numbers = numbers_of(c, subscriber);
    for (unsigned i = 0; i < c->publishers; i++) {
        tell(&numbers[i], next);
    }
}

void
bench_credit_open(struct bench_credit *c, unsigned subscriber)
{
    tell_all(c, subscriber, 0);
}

void
bench_credit_tell(struct bench_credit *c, unsigned subscriber, const struct bench_sink *sink)
{
    _Atomic uint64_t *numbers = numbers_of(c, subscriber);
    for (unsigned i = 0; i < c->publishers; i++) {
        tell(&numbers[i], sink->next[i]);
    }
}

void
bench_credit_close(struct bench_credit *c, unsigned subscriber)
{
    tell_all(c, subscriber, BENCH_CREDIT_CLOSED);
}

/* ---- publisher --------------------------------------------------------------------------------- */

void
bench_window_open(struct bench_window *w,
                  const struct bench_setup *s,
                  struct bench_credit *c,
                  unsigned publisher,
                  uint64_t messages)
{
    uint64_t fitting = WINDOW_BYTES / s->size;
    bool is_held = messages > 0 && !s->is_ping && s->wanted > 0;
    *w = (struct bench_window){.credit = c, .publisher = publisher};
    /* With topics that nobody wants a subscriber knows how far it is only once a round. */
    w->size = (messages < fitting ? messages : fitting) + s->topics - s->wanted;
    w->limit = is_held ? 0 : BENCH_CREDIT_CLOSED;
}

uint64_t
bench_window_slowest(const struct bench_window *w)
{
    uint64_t slowest = BENCH_CREDIT_CLOSED;
    for (unsigned i = 0; i < w->credit->subscribers; i++) {
        uint64_t next =
            atomic_load_explicit(&numbers_of(w->credit, i)[w->publisher], memory_order_relaxed);
        slowest = next < slowest ? next : slowest;
    }
    return slowest;
}

int
bench_window_await(struct bench_window *w, uint64_t number)
{
    for (int64_t until = bench_now_ns() + stuck_ns;;) {
        uint64_t slowest = bench_window_slowest(w);
        w->limit =
            slowest < BENCH_CREDIT_CLOSED - w->size ? slowest + w->size : BENCH_CREDIT_CLOSED;
        if (bench_window_has_room(w, number)) {
            return 0;
        }
        if (bench_now_ns() > until) {
            return complain(w->credit->driver, "cannot send",
                            "a subscriber has taken nothing for 20 s");
        }
        bench_nap(room_nap_ns);
    }
}
