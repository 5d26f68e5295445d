/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/store_play.h - actors and plans that the cases of stores share.
 *
 * Order      The server opens first, if there is one, and ends when all clients have.  Client 0 fills the store
 *            before anybody is measured, and reads it back when all others have settled.
 */
#ifndef BUSBAR_BENCH_STORE_PLAY_H
#define BUSBAR_BENCH_STORE_PLAY_H

#include "bench/race.h"
#include "bench/store.h"
#include "bench/stream.h"

/* bench_store_plan - a plan with what is common: batch, window, keys, bare LMDB beside. */
void bench_store_plan(struct bench_plan *plan,
                      const char *case_name,
                      const struct bench_options *o,
                      size_t size,
                      unsigned clients);

/* bench_store_cast - a server, where the peer needs one, and setup.subscribers clients that play `play`. */
void bench_store_cast(const struct bench_plan *plan,
                      const struct bench_options *o,
                      struct bench_stage *st,
                      int (*play)(struct bench_stage *st, struct bench_actor *self));

struct bench_store_client {
    const struct bench_store_driver *d;
    void *client;
    struct bench_store_work work;
    struct bench_window window;
};

/* bench_store_enter - opens; client 0 fills with setup.keys; back when the phase is WARM.  0, or negative. */
int
bench_store_enter(struct bench_stage *st, struct bench_actor *self, struct bench_store_client *c);
/* bench_store_leave - closes, and says that this client has. */
void bench_store_leave(struct bench_stage *st, struct bench_store_client *c);
/* bench_store_settle - all is answered; what was refused counts as lost. */
int bench_store_settle(struct bench_actor *self, struct bench_store_client *c);
/* bench_store_prove - all keys are read back; what is missing counts as lost, what is wrong as torn. */
int bench_store_prove(struct bench_actor *self,
                      struct bench_store_client *c,
                      struct bench_store_reads *r,
                      uint64_t expected_keys);
/* Waits until all clients but this one have settled: each says so by adding to st->baton. */
void bench_store_await_others(struct bench_stage *st);

/* bench_store_gather - rate: commands a second of all clients together; extra[0]: commands in a commit. */
void bench_store_gather(const struct bench_plan *plan,
                        const struct bench_stage *st,
                        struct bench_sample *out);

#endif
