/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/driver.h - what the harness asks of a bus: of ours, of a bare ring, of each rival.
 *
 * Processes  start and stop run in the harness's own process; each publisher and subscriber is a forked child
 *            that opens, works and closes.  Nothing may be open across a fork but what start made for it.
 * Loops      send and recv have their own loops around bench_fill() and bench_take(), so that the call through
 *            a pointer is paid once a batch, not once a message.
 * Errors     0 or a count; negative: said on stderr with the driver's name, the harness gives up the case.
 */
#ifndef BUSBAR_BENCH_DRIVER_H
#define BUSBAR_BENCH_DRIVER_H

#include "bench/payload.h"
#include <stdbool.h>
#include <stdio.h>

enum bench_wait { BENCH_SPIN, BENCH_SLEEP, BENCH_HYBRID };

/* One case as all its processes see it. */
struct bench_setup {
    const char
        *dir;    /* an empty directory on a tmpfs, for sockets and files; removed by the harness */
    size_t size; /* payload bytes; a multiple of 8 from 16 on */
    unsigned publishers, subscribers;
    unsigned batch;   /* messages from one flush to the next; 1: each by itself */
    unsigned topics;  /* distinct topics of each publisher, taken in turn; 1 for most */
    unsigned wanted;  /* of those, how many the subscribers want, the first ones; topics: all */
    bool is_reliable; /* nothing may be lost: a slow subscriber holds the publisher */
    bool is_copying;  /* the publisher copies from its own buffer and the subscriber gets copies */
    bool is_ping;     /* two processes; subscriber i hears only publisher 1 - i; latency matters */
    enum bench_wait wait;
    uint64_t ring_bytes; /* payload bytes of a ring, 0: the driver's default; others ignore it */
    uint32_t ring_depth; /* messages of a ring, 0: the driver's default */
    bool is_fenced;      /* busbar: order by a fence in the publisher */
    bool is_coarse;      /* busbar: time stamps from the coarse clock */
    bool is_single;      /* busbar: a loan for each message, though they go in batches */
    bool is_evicting;    /* reliable, but who does not follow is given up, not waited for */
    bool is_shuffled;    /* topics in a random order, not in turn */
    uint32_t dictionary; /* busbar: topics that a ring's dictionary holds; 0: all of them */

    /* Of the cases of stores; batch: commands of a frame, a pipeline's write, or reads of one view. */
    bool is_store;        /* start and stop are the store's */
    const char *disk_dir; /* as dir, but on a disk; NULL if is_durable is not set */
    bool is_durable;      /* what is answered survives a power cut */
    uint64_t keys;        /* that the store is filled with */
    unsigned window;      /* batches that may wait for their answer */
    unsigned commit;      /* commands of a transaction, where the client decides on that */

    /* Of the cases of links: publishers and subscribers are two boxes, which only TCP joins. */
    bool is_bridge;
    bool is_tls;        /* encrypted and authenticated, by a key that both have */
    const char *engine; /* busbard's --engine; NULL: its own choice */
    int box_cpu[2];     /* core of each box, for what start starts there; -1: any */
};

enum {
    BENCH_CAN_FAN_OUT = 1u << 0,
    BENCH_CAN_FAN_IN = 1u << 1,
    BENCH_CAN_PING = 1u << 2,
    BENCH_CAN_LOSE = 1u << 3, /* has a lossy mode: is_reliable may be false */
    BENCH_CAN_RELY = 1u << 4, /* has a lossless mode */
    BENCH_CAN_TOPICS = 1u << 5,
    BENCH_CAN_SPIN = 1u << 6, /* can wait without sleeping */
    BENCH_CAN_SLEEP = 1u << 7,
    BENCH_CAN_STORE = 1u << 8,   /* has a store */
    BENCH_CAN_DURABLE = 1u << 9, /* which can be durable */
    BENCH_CAN_BRIDGE =
        1u << 10, /* from one box to another: streams that lose nothing, pings, fan-out */
    BENCH_CAN_TLS = 1u << 11, /* the same, encrypted */
};

struct bench_store_driver; /* store.h */

struct bench_driver {
    const char *name;
    unsigned can; /* BENCH_CAN_... */

    /* One line: version and the options that it runs with, without a newline. */
    void (*describe)(const struct bench_setup *s, FILE *out);

    /* In the harness's process, before any fork: shared memory, daemons.  May be NULL. */
    int (*start)(const struct bench_setup *s, void **shared);
    void (*stop)(void *shared);
    /* CPU time so far of what start started, ns.  NULL: nothing of that. */
    int64_t (*carriers_cpu_ns)(void *shared);

    /* index: 0 .. publishers - 1, or subscribers - 1.  pub_open returns when others can connect to it. */
    int (*pub_open)(const struct bench_setup *s, void *shared, unsigned index, void **pub);
    /* Sends count messages, waiting where the bus makes it wait.  Flushes every batch and at the end. */
    int (*pub_send)(void *pub, struct bench_source *src, uint64_t count);
    /* Returns when what was sent no longer needs the process. */
    void (*pub_close)(void *pub);

    int (*sub_open)(const struct bench_setup *s, void *shared, unsigned index, void **sub);
    /* Takes what is there, at most some hundred messages, waiting at most timeout_ns for the first.  How many. */
    int (*sub_recv)(void *sub, struct bench_sink *sink, int64_t timeout_ns);
    void (*sub_close)(void *sub);

    const struct bench_store_driver *store; /* NULL: it has none */
};

/* Those that were built, ours first; NULL at the end. */
extern const struct bench_driver *const bench_drivers[];

#endif
