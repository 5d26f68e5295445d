/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/peers/bare.c - what the machine itself takes for a ping-pong: a cache line each way, a futex each way.
 *
 * Lanes      one for each direction, written by its publisher only; its number goes up by one with each
 *            message.  The next message overwrites the last: a lane holds one, as a ping-pong needs it.
 * Payload    its first 16 bytes, whatever the size asked for: they share the line of the lane's number, so
 *            one transfer of the line carries all.
 * Waiting    cacheline spins without a pause, futex sleeps at once and is woken after each message.
 */
#include "bench/driver.h"

#include "bench/clock.h"
#include <errno.h>
#include <linux/futex.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    LANES = 2,
    LINE_BYTES = 128,      /* two lines, as processors fetch them in pairs */
    SPINS_PER_LOOK = 4096, /* at the lane, before a look at the clock */
};
static const int64_t ns_per_s = 1000000000;

struct lane {
    alignas(LINE_BYTES) _Atomic uint32_t number; /* messages ever; the word of the futex */
    uint32_t spare;
    uint64_t payload[BENCH_MIN_SIZE / sizeof(uint64_t)];
};

/* One end of a lane. */
struct end {
    struct lane *lane;
    uint32_t number; /* sent or seen */
};

static int
start(const struct bench_setup *s, void **shared)
{
    (void)s;
    void *page = mmap(NULL, LANES * sizeof(struct lane), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        int rc = -errno;
        (void)fprintf(stderr, "bare: mapping two lanes: %s\n", strerror(errno));
        return rc;
    }
    *shared = page;
    return 0;
}

static void
stop(void *shared)
{
    if (shared != NULL) {
        munmap(shared, LANES * sizeof(struct lane));
    }
}

static int
end_open(void *shared, unsigned lane_idx, void **out)
{
    struct end *end = calloc(1, sizeof(*end));
    if (end == NULL || lane_idx >= LANES) {
        (void)fprintf(stderr, "bare: no end for lane %u: there are %d, for a ping-pong\n", lane_idx,
                      LANES);
        free(end);
        return -EINVAL;
    }
    end->lane = (struct lane *)shared + lane_idx;
    *out = end;
    return 0;
}

static int
pub_open(const struct bench_setup *s, void *shared, unsigned index, void **pub)
{
    (void)s;
    return end_open(shared, index, pub);
}

static int
sub_open(const struct bench_setup *s, void *shared, unsigned index, void **sub)
{
    (void)s;
    return end_open(shared, 1 - index, sub);
}

static void
end_close(void *end)
{
    free(end);
}

/* Payload first, then the number that announces it. */
static void
put(struct end *pub, struct bench_source *src)
{
    struct bench_source head = {
        .word = src->word, .intended = src->intended, .size = BENCH_MIN_SIZE};
    bench_fill(&head, pub->lane->payload);
    src->word = head.word;
    atomic_store_explicit(&pub->lane->number, ++pub->number, memory_order_release);
}

static bool
is_new(const struct end *sub)
{
    return atomic_load_explicit(&sub->lane->number, memory_order_acquire) != sub->number;
}

static int
take(struct end *sub, struct bench_sink *sink)
{
    sub->number = atomic_load_explicit(&sub->lane->number, memory_order_acquire);
    bench_take(sink, sub->lane->payload, BENCH_MIN_SIZE);
    return 1;
}

/* ---- a cache line each way ---------------------------------------------------------------------- */

static void
cacheline_describe(const struct bench_setup *s, FILE *out)
{
    (void)s;
    (void)fprintf(out, "a cache line each way, %d bytes in it, spinning without a pause",
                  BENCH_MIN_SIZE);
}

static int
cacheline_send(void *pub, struct bench_source *src, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        put(pub, src);
    }
    return 0;
}

static int
cacheline_recv(void *sub, struct bench_sink *sink, int64_t timeout_ns)
{
    int64_t deadline = 0;
    for (unsigned spins = 1; !is_new(sub); spins++) {
        if (timeout_ns <= 0) {
            return 0;
        }
        if (spins % SPINS_PER_LOOK == 0) {
            int64_t now = bench_now_ns();
            deadline = deadline == 0 ? now + timeout_ns : deadline;
            if (now >= deadline) {
                return 0;
            }
        }
    }
    return take(sub, sink);
}

/* ---- a futex each way --------------------------------------------------------------------------- */

static void
futex_describe(const struct bench_setup *s, FILE *out)
{
    (void)s;
    (void)fprintf(out, "a futex each way, %d bytes beside it, FUTEX_WAKE after each message",
                  BENCH_MIN_SIZE);
}

static int
futex_send(void *handle, struct bench_source *src, uint64_t count)
{
    struct end *pub = handle;
    for (uint64_t i = 0; i < count; i++) {
        put(pub, src);
        if (syscall(SYS_futex, &pub->lane->number, FUTEX_WAKE, 1, NULL, NULL, 0) < 0) {
            int rc = -errno;
            (void)fprintf(stderr, "futex: waking: %s\n", strerror(errno));
            return rc;
        }
    }
    return 0;
}

static int
futex_recv(void *handle, struct bench_sink *sink, int64_t timeout_ns)
{
    struct end *sub = handle;
    int64_t deadline = bench_now_ns() + timeout_ns, left_ns = timeout_ns;
    while (!is_new(sub)) {
        if (left_ns <= 0) {
            return 0;
        }
        struct timespec t = {.tv_sec = left_ns / ns_per_s, .tv_nsec = left_ns % ns_per_s};
        if (syscall(SYS_futex, &sub->lane->number, FUTEX_WAIT, sub->number, &t, NULL, 0) < 0
            && errno != EAGAIN && errno != EINTR && errno != ETIMEDOUT) {
            int rc = -errno;
            (void)fprintf(stderr, "futex: waiting: %s\n", strerror(errno));
            return rc;
        }
        left_ns = deadline - bench_now_ns();
    }
    return take(sub, sink);
}

const struct bench_driver bench_driver_cacheline = {
    .name = "cacheline",
    .can = BENCH_CAN_PING | BENCH_CAN_SPIN,
    .describe = cacheline_describe,
    .start = start,
    .stop = stop,
    .pub_open = pub_open,
    .pub_send = cacheline_send,
    .pub_close = end_close,
    .sub_open = sub_open,
    .sub_recv = cacheline_recv,
    .sub_close = end_close,
};

const struct bench_driver bench_driver_futex = {
    .name = "futex",
    .can = BENCH_CAN_PING | BENCH_CAN_SLEEP,
    .describe = futex_describe,
    .start = start,
    .stop = stop,
    .pub_open = pub_open,
    .pub_send = futex_send,
    .pub_close = end_close,
    .sub_open = sub_open,
    .sub_recv = futex_recv,
    .sub_close = end_close,
};
