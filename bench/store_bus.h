/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/store_bus.h - busbar's stores as the harness uses them: the driver and the cases that only we can run.
 */
#ifndef BUSBAR_BENCH_STORE_BUS_H
#define BUSBAR_BENCH_STORE_BUS_H

#include "bench/store.h"
#include <busbar/busbar.h>
#include <busbar/store.h>

/* bench_store_bus_open - the case's store: on the disk when it is durable.  0, or a status after complaining. */
int bench_store_bus_open(const struct bench_setup *s,
                         struct bb_endpoint *ep,
                         uint32_t role,
                         bb_store_done_cb done,
                         void *user,
                         struct bb_store **store);
/* Until all that was sent is answered. */
int bench_store_bus_settle(struct bb_store *store);

/* A key as a value; value points into itself. */
struct bench_store_key_value {
    unsigned char bytes[8 + BENCH_STORE_KEY_BYTES];
    struct bb_value value;
};
void bench_store_bus_key(struct bench_store_key_value *out, uint64_t number);

/* Commands with what they point to. */
struct bench_store_frame {
    struct bb_store_cmd *cmds;
    unsigned char *bytes; /* key and value of each */
    char *value;          /* text of the one that is built */
    unsigned count, max;
    size_t size, step; /* of a value; from one command's bytes to the next's */
    int64_t expire_ns; /* of each from here on */
};
int bench_store_frame_init(struct bench_store_frame *f, unsigned max, size_t size);
void bench_store_frame_fini(struct bench_store_frame *f);
static inline void
bench_store_frame_begin(struct bench_store_frame *f)
{
    f->count = 0;
}
/* The next command of w; false: the frame is full. */
bool bench_store_frame_add(struct bench_store_frame *f, struct bench_store_work *w);
/* Waits for room. */
int bench_store_frame_send(struct bench_store_frame *f, struct bb_store *store);

#endif
