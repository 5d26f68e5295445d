/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/credit.h - a window lent to a bus that has no flow control, so that it loses nothing.
 *
 * Used by    drivers of such buses, in C and C++.
 * Idea       how far each subscriber is stands in memory that start maps before any fork, next to what else the
 *            driver's processes share.  A publisher stays within a window of the slowest.  It costs the bus no
 *            message, and the publisher a comparison.
 * Writers    of a subscriber's numbers: that subscriber alone.
 */
#ifndef BUSBAR_BENCH_PEERS_CREDIT_H
#define BUSBAR_BENCH_PEERS_CREDIT_H

#include "bench/driver.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_CREDIT_CLOSED UINT64_MAX /* of a subscriber that takes no more: nobody waits for it */

/* The first member of what a driver's processes share.  Written by bench_credit_start(). */
struct bench_credit {
    const char *driver; /* begins what is said on stderr */
    unsigned publishers, subscribers;
    size_t bytes, numbers_off; /* of the mapping; in it */
};

/* bench_must_hold - whether a window is needed: nobody may lose anything, and nobody is given up. */
static inline bool
bench_must_hold(const struct bench_setup *s)
{
    return s->is_reliable && !s->is_evicting;
}

/*
 * bench_credit_start - a driver's start: map its shared struct, all zero, with the subscribers' numbers behind it,
 * and begin what else there is to begin.
 *
 * bytes     of the struct, which begins with a struct bench_credit.
 * begin     may be NULL; negative: the mapping is taken down again.
 * Returns   0; -1 after saying why on stderr.
 */
int bench_credit_start(const struct bench_setup *s,
                       const char *driver,
                       size_t bytes,
                       int (*begin)(const struct bench_setup *s, void *shared),
                       void **shared);
void bench_credit_stop(struct bench_credit *c);

/* ---- subscriber -------------------------------------------------------------------------------- */

/* bench_credit_open - the subscriber has taken nothing yet, and publishers wait for it from now on. */
void bench_credit_open(struct bench_credit *c, unsigned subscriber);
/* bench_credit_tell - it has taken what the sink has seen; told once for many messages. */
void bench_credit_tell(struct bench_credit *c, unsigned subscriber, const struct bench_sink *sink);
void bench_credit_close(struct bench_credit *c, unsigned subscriber);

/* ---- publisher --------------------------------------------------------------------------------- */

struct bench_window {
    struct bench_credit *credit;
    unsigned publisher;
    uint64_t size;  /* messages */
    uint64_t limit; /* the number that must not be sent yet */
};

/*
 * bench_window_open - so many messages at most, and 16 MiB.
 *
 * messages 0, a ping, or topics that nobody wants: size is set, but nothing is held.
 */
void bench_window_open(struct bench_window *w,
                       const struct bench_setup *s,
                       struct bench_credit *c,
                       unsigned publisher,
                       uint64_t messages);

static inline bool
bench_window_has_room(const struct bench_window *w, uint64_t number)
{
    return __builtin_expect(number < w->limit, 1);
}

/* bench_window_await - until that message may go.  0; -1 after saying that nobody took anything for 20 s. */
int bench_window_await(struct bench_window *w, uint64_t number);

/* bench_window_slowest - the least number that a subscriber still expects; BENCH_CREDIT_CLOSED: none does. */
uint64_t bench_window_slowest(const struct bench_window *w);

#ifdef __cplusplus
}
#endif
#endif
