/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/stream.h - actors that most cases share: a publisher that sends all the time, a subscriber that
 * takes all and proves what it took.
 */
#ifndef BUSBAR_BENCH_STREAM_H
#define BUSBAR_BENCH_STREAM_H

#include "bench/stage.h"

/* Both with the signature of bench_actor.play.  Publishers beyond st->active only say hello. */
int bench_play_publisher(struct bench_stage *st, struct bench_actor *self);
int bench_play_subscriber(struct bench_stage *st, struct bench_actor *self);

/* ---- parts, for cases with a publisher or subscriber of their own ------------------------------- */

struct bench_pubs {
    void *pub[BENCH_PUBLISHERS];
    struct bench_source src[BENCH_PUBLISHERS];
    unsigned first, count, active; /* active: of these here */
};

/* bench_pubs_open - opens all of this process, says so, and says hello until the phase is WARM. */
int bench_pubs_open(struct bench_stage *st, struct bench_actor *self, struct bench_pubs *p);
/* bench_pubs_send - the same number from each active one; negative when the driver failed. */
int bench_pubs_send(const struct bench_stage *st, struct bench_pubs *p, uint64_t count);
/* bench_pubs_close - makes known how many were sent, then closes. */
int bench_pubs_close(struct bench_stage *st, struct bench_actor *self, struct bench_pubs *p);

/* bench_sub_open - opens, says so, takes hellos until it has heard all; the sink counts from there. */
int bench_sub_open(struct bench_stage *st,
                   struct bench_actor *self,
                   void **sub,
                   struct bench_sink *sink);
/* bench_sub_close - takes what is left, settles what was lost, closes. */
int bench_sub_close(struct bench_stage *st,
                    struct bench_actor *self,
                    void *sub,
                    struct bench_sink *sink);

/* bench_window_look - notes what the window holds: call it after each piece of work. */
struct bench_window {
    uint32_t phase;
    uint64_t messages, bytes;
    int64_t start_ns, start_cpu_ns;
};
void bench_window_turn(struct bench_window *w,
                       struct bench_actor *self,
                       uint32_t phase,
                       uint64_t messages,
                       uint64_t bytes);
static inline void
bench_window_look(struct bench_window *w,
                  struct bench_actor *self,
                  uint32_t phase,
                  uint64_t messages,
                  uint64_t bytes)
{
    if (__builtin_expect(w->phase != phase, 0)) {
        bench_window_turn(w, self, phase, messages, bytes);
    }
}

#endif
