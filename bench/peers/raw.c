/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/raw.c - a bare single-writer ring: the limit that the others are held against.
 *
 * Idea       Fixed slots of exactly the payload's size, filled and read in place.  The publisher makes its
 *            position known every 32 messages and at the end of a send; a subscriber makes its own known
 *            after each visit.  Both keep what they last saw of the other, and look again only when that
 *            is used up.  No topics, no sizes, no names, no deaths, no sleeping.
 * Fan-out    One ring, a cursor for each subscriber; the publisher waits for the slowest.
 * Fan-in     A ring for each publisher; the subscriber visits them in turn.
 */
#include "bench/clock.h"
#include "bench/driver.h"

#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#    define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum {
    LINE_BYTES = 128,
    PUBLISH_EVERY = 32,
    VISIT_MAX = 256,          /* messages taken from one ring before the next one */
    PREFETCH_BYTES = 1024,    /* ahead of the reader */
    PREFETCH_SIZE_MAX = 1024, /* larger messages are left to the hardware */
    SPINS_BEFORE_YIELD = 256,
    POPULATE_MAX_BYTES = 128 << 20, /* of all rings together */
};
static const uint64_t default_bytes = UINT64_C(8) << 20; /* busbar's data lane */

/* head is written by the publisher, each cursor by its subscriber; the slots follow. */
struct cursor {
    alignas(LINE_BYTES) _Atomic uint64_t pos;
};
struct ring {
    alignas(LINE_BYTES) _Atomic uint64_t head;
    struct cursor cursors[BENCH_SUBSCRIBERS];
    alignas(LINE_BYTES) unsigned char slots[];
};

struct shared {
    unsigned char *base;
    size_t ring_bytes; /* of one ring with its positions */
    size_t total_bytes;
    uint64_t depth; /* slots, a power of two */
    size_t slot_bytes;
};

struct pub {
    struct ring *ring;
    uint64_t mask;
    size_t slot_bytes;
    unsigned subscribers;
    unsigned first_cursor;
    uint64_t pos;   /* of the next slot */
    uint64_t limit; /* pos may grow to here before the cursors are read again */
    int must_yield; /* more processes than cores */
};

struct sub {
    struct ring *rings[BENCH_PUBLISHERS];
    uint64_t pos[BENCH_PUBLISHERS];
    uint64_t seen[BENCH_PUBLISHERS]; /* of head */
    unsigned ring_count;
    unsigned cursor;
    uint64_t mask;
    size_t slot_bytes;
    int must_yield;
};

static void
pause_a_little(int must_yield, unsigned *spins)
{
    bench_pause();
    if (++*spins >= SPINS_BEFORE_YIELD) {
        *spins = 0;
        if (must_yield) {
            (void)sched_yield();
        }
    }
}

static uint64_t
depth_of(const struct bench_setup *s)
{
    uint64_t bytes = s->ring_bytes != 0 ? s->ring_bytes : default_bytes;
    uint64_t wanted = s->ring_depth != 0 ? s->ring_depth : bytes / s->size;
    uint64_t depth = 2 * PUBLISH_EVERY;
    while (depth * 2 <= wanted) {
        depth *= 2;
    }
    return depth;
}

static void
describe(const struct bench_setup *s, FILE *out)
{
    (void)fprintf(out,
                  "bare single-writer ring, %llu slots of %zu bytes, in place, position "
                  "published every %d messages, reader prefetches",
                  (unsigned long long)depth_of(s), s->size, PUBLISH_EVERY);
}

static int
start(const struct bench_setup *s, void **shared)
{
    struct shared *sh = calloc(1, sizeof(*sh));
    if (sh == NULL || s->subscribers > BENCH_SUBSCRIBERS || s->publishers > BENCH_PUBLISHERS) {
        (void)fprintf(stderr, "raw: at most %d subscribers and %d publishers.\n", BENCH_SUBSCRIBERS,
                      BENCH_PUBLISHERS);
        free(sh);
        return -1;
    }
    sh->depth = depth_of(s);
    sh->slot_bytes = s->size;
    sh->ring_bytes = (sizeof(struct ring) + sh->depth * s->size + 4095) / 4096 * 4096;
    sh->total_bytes = sh->ring_bytes * s->publishers;
    sh->base = mmap(NULL, sh->total_bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (sh->base == MAP_FAILED) {
        perror("raw: cannot map the rings");
        free(sh);
        return -1;
    }
    *shared = sh;
    return 0;
}

static void
stop(void *shared)
{
    struct shared *sh = shared;
    (void)munmap(sh->base, sh->total_bytes);
    free(sh);
}

static struct ring *
ring_at(const struct shared *sh, unsigned index)
{
    void *at = sh->base + index * sh->ring_bytes;
    return at;
}

/* Maps all pages now, so that no first lap pays for them; only a hint, and only where it is not too much. */
static void
touch(const struct shared *sh, struct ring *ring)
{
    if (sh->total_bytes <= POPULATE_MAX_BYTES) {
        (void)madvise(ring, sh->ring_bytes, MADV_POPULATE_WRITE);
    }
}

static int
must_yield(const struct bench_setup *s)
{
    cpu_set_t set;
    unsigned cores = sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
    return s->is_ping ? cores < 1 : s->publishers + s->subscribers > cores;
}

static int
pub_open(const struct bench_setup *s, void *shared, unsigned index, void **pub)
{
    const struct shared *sh = shared;
    struct pub *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return -1;
    }
    p->ring = ring_at(sh, index);
    touch(sh, p->ring);
    p->mask = sh->depth - 1;
    p->slot_bytes = sh->slot_bytes;
    /* In a ping only subscriber 1 - index reads this ring. */
    p->first_cursor = s->is_ping ? 1 - index : 0;
    p->subscribers = s->is_ping ? 1 : s->subscribers;
    p->must_yield = must_yield(s);
    *pub = p;
    return 0;
}

/* Waits until there is a free slot. */
static void
wait_for_room(struct pub *p)
{
    unsigned spins = 0;
    atomic_store_explicit(&p->ring->head, p->pos, memory_order_release);
    for (;;) {
        uint64_t slowest = p->subscribers > 0 ? UINT64_MAX : p->pos;
        for (unsigned i = 0; i < p->subscribers; i++) {
            uint64_t at = atomic_load_explicit(&p->ring->cursors[p->first_cursor + i].pos,
                                               memory_order_acquire);
            slowest = at < slowest ? at : slowest;
        }
        p->limit = slowest + p->mask + 1;
        if (p->pos < p->limit) {
            return;
        }
        pause_a_little(p->must_yield, &spins);
    }
}

static int
pub_send(void *pub, struct bench_source *src, uint64_t count)
{
    struct pub *p = pub;
    unsigned char *slots = p->ring->slots;
    size_t slot_bytes = p->slot_bytes;
    uint64_t pos = p->pos, end = pos + count;
    while (pos < end) {
        if (pos == p->limit) {
            p->pos = pos;
            wait_for_room(p);
        }
        uint64_t stop_at = (pos | (PUBLISH_EVERY - 1)) + 1;
        stop_at = stop_at < end ? stop_at : end;
        stop_at = stop_at < p->limit ? stop_at : p->limit;
        for (; pos < stop_at; pos++) {
            bench_fill(src, slots + (pos & p->mask) * slot_bytes);
        }
        atomic_store_explicit(&p->ring->head, pos, memory_order_release);
    }
    p->pos = pos;
    return 0;
}

/* The mapping was made before the fork: what was sent stays. */
static void
pub_close(void *pub)
{
    free(pub);
}

static int
sub_open(const struct bench_setup *s, void *shared, unsigned index, void **sub)
{
    const struct shared *sh = shared;
    struct sub *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return -1;
    }
    r->ring_count = s->is_ping ? 1 : s->publishers;
    for (unsigned i = 0; i < r->ring_count; i++) {
        r->rings[i] = ring_at(sh, s->is_ping ? 1 - index : i);
        touch(sh, r->rings[i]);
    }
    r->cursor = index;
    r->mask = sh->depth - 1;
    r->slot_bytes = sh->slot_bytes;
    r->must_yield = must_yield(s);
    *sub = r;
    return 0;
}

/* The messages from pos to end; both lie before what the publisher made known. */
static void
take_ahead(
    struct sub *r, const unsigned char *slots, struct bench_sink *sink, uint64_t pos, uint64_t end)
{
    uint64_t ahead = PREFETCH_BYTES / r->slot_bytes;
    for (; pos < end; pos++) {
        __builtin_prefetch(slots + ((pos + ahead) & r->mask) * r->slot_bytes);
        bench_take(sink, slots + (pos & r->mask) * r->slot_bytes, r->slot_bytes);
    }
}

static void
take_plain(
    struct sub *r, const unsigned char *slots, struct bench_sink *sink, uint64_t pos, uint64_t end)
{
    for (; pos < end; pos++) {
        bench_take(sink, slots + (pos & r->mask) * r->slot_bytes, r->slot_bytes);
    }
}

static int
visit(struct sub *r, unsigned i, struct bench_sink *sink)
{
    struct ring *ring = r->rings[i];
    uint64_t pos = r->pos[i];
    if (r->seen[i] == pos) {
        r->seen[i] = atomic_load_explicit(&ring->head, memory_order_acquire);
        if (r->seen[i] == pos) {
            return 0;
        }
    }
    uint64_t end = r->seen[i] - pos > VISIT_MAX ? pos + VISIT_MAX : r->seen[i];
    if (r->slot_bytes <= PREFETCH_SIZE_MAX && end - pos > 1) {
        take_ahead(r, ring->slots, sink, pos, end);
    } else {
        take_plain(r, ring->slots, sink, pos, end);
    }
    r->pos[i] = end;
    atomic_store_explicit(&ring->cursors[r->cursor].pos, end, memory_order_release);
    return (int)(end - pos);
}

static int
sub_recv(void *sub, struct bench_sink *sink, int64_t timeout_ns)
{
    struct sub *r = sub;
    int64_t until = 0;
    unsigned spins = 0;
    for (unsigned round = 0;; round++) {
        int got = 0;
        for (unsigned i = 0; i < r->ring_count; i++) {
            got += visit(r, i, sink);
        }
        if (got > 0 || timeout_ns == 0) {
            return got;
        }
        if (round % 1024 == 1023) {
            until = until == 0 ? bench_now_ns() + timeout_ns : until;
            if (bench_now_ns() >= until) {
                return 0;
            }
        }
        if (r->must_yield) {
            pause_a_little(r->must_yield, &spins);
        }
    }
}

static void
sub_close(void *sub)
{
    free(sub);
}

const struct bench_driver bench_driver_raw = {
    .name = "raw",
    .can = BENCH_CAN_FAN_OUT | BENCH_CAN_FAN_IN | BENCH_CAN_PING | BENCH_CAN_RELY | BENCH_CAN_SPIN,
    .describe = describe,
    .start = start,
    .stop = stop,
    .pub_open = pub_open,
    .pub_send = pub_send,
    .pub_close = pub_close,
    .sub_open = sub_open,
    .sub_recv = sub_recv,
    .sub_close = sub_close,
};
