/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/support/process.h - a bus of its own for each test, and child processes that report.
 *
 * A child and its test share one page range of anonymous memory (struct bbt_side): a child that was killed
 * or stopped at any instruction has then said exactly what it had said, and nothing hangs in a pipe.
 * Nobody sleeps to let something happen: every wait polls or sleeps on a futex, and has a deadline.
 * Children die with their test (PR_SET_PDEATHSIG).
 */
#ifndef BUSBAR_TESTS_SUPPORT_PROCESS_H
#define BUSBAR_TESTS_SUPPORT_PROCESS_H

#include "tests/support/payload.h"
#include <sys/types.h>

/* ---- the bus ---- */

#define BBT_BUS "test"

/* bbt_bus_new - an empty directory /dev/shm/busbar-test-PID; also removes those of tests that were killed. */
void bbt_bus_new(void);
/* bbt_bus_end - ends all children, removes the directory; for .fini. */
void bbt_bus_end(void);
const char *bbt_dir(void);  /* holds buses */
const char *bbt_path(void); /* of the bus BBT_BUS */

/* bbt_gc - everybody left: bb_gc() must leave nothing but `lock` and directories. */
void bbt_gc(const char *label);
/* bbt_files - names of the bus's files except `lock`, joined by blanks; how many. */
int bbt_files(char *out, size_t cap);

/* bbt_ms - milliseconds for a deadline: more of them under sanitizers. */
int64_t bbt_ms(int64_t ms);
int64_t bbt_now_ms(void);

/* ---- what a child and its test share ---- */

enum { BBT_NUMBERS = 32 };

struct bbt_side {
    bbi_u32 go;        /* test to child: orders, counting up */
    bbi_u32 at;        /* child to test: how far it is */
    bbi_u32 hit;       /* hooks that stopped or killed it */
    bbi_u64 committed; /* messages that it committed, counted by the hook itself */
    bbi_u64 n[BBT_NUMBERS];
    struct bbt_reader reader;
    struct bb_subscriber_stats stats;
    char said[512]; /* why it failed */
};

struct bbt_child {
    pid_t pid;
    struct bbt_side *side;
    int status; /* of waitpid, once it is gone */
    bool is_gone;
    const char *name;
};

typedef void (*bbt_child_fn)(struct bbt_side *side, const void *arg);

/* bbt_side_new - memory to share; a child gets one by itself. */
struct bbt_side *bbt_side_new(void);
/* bbt_fork - a child that runs fn and exits 0. */
void bbt_fork(struct bbt_child *c, const char *name, bbt_child_fn fn, const void *arg);

/* For the test.  All fail it when the time is over or the child failed. */
void bbt_order(struct bbt_child *c, uint32_t go);
void bbt_wait_at(struct bbt_child *c, uint32_t at, int64_t ms);
void bbt_wait_end(struct bbt_child *c, int64_t ms); /* it exits 0 */
void bbt_wait_kill(struct bbt_child *c,
                   int64_t ms); /* it is killed by SIGKILL, by itself or by us */
void bbt_wait_stop(struct bbt_child *c, int64_t ms); /* it stopped */
void bbt_signal(struct bbt_child *c, int sig);
void bbt_check_alive(struct bbt_child *c); /* it has not failed so far */

/* Waits until the expression is true; `...` says what did not come. */
#define BBT_UNTIL(expr, ms, ...)                                                                   \
    do {                                                                                           \
        int64_t bbt_deadline = bbt_now_ms() + bbt_ms(ms);                                          \
        while (!(expr)) {                                                                          \
            bbt_check_all();                                                                       \
            if (bbt_now_ms() > bbt_deadline) {                                                     \
                cr_assert_fail(__VA_ARGS__);                                                       \
            }                                                                                      \
            bbt_nap();                                                                             \
        }                                                                                          \
    } while (0)
void bbt_nap(void);       /* half a millisecond, between two looks */
void bbt_check_all(void); /* fails the test when a child failed */

void bbt_side_free(struct bbt_side *side);

/* For the child, and for a test that plays a part itself. */
void bbt_at(struct bbt_side *side, uint32_t at);
/* bbt_wait_go - until the test's order is at least go; fails the child after ms.  The order. */
uint32_t bbt_wait_go(struct bbt_side *side, uint32_t go, int64_t ms);
_Noreturn void bbt_fail(struct bbt_side *side, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define BBT_CHECK(side, cond, ...)                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            bbt_fail((side), __VA_ARGS__);                                                         \
        }                                                                                          \
    } while (0)

/* ---- endpoints, in a child ---- */

/* Open or fail the child with the sentence. */
struct bb_endpoint *bbt_endpoint(struct bbt_side *side, const char *name, uint32_t flags);
struct bb_publisher *
bbt_publisher(struct bbt_side *side, struct bb_endpoint *ep, const struct bb_publisher_opts *o);
struct bb_subscriber *
bbt_subscriber(struct bbt_side *side, struct bb_endpoint *ep, const char *prefix, uint32_t flags);
struct bb_subscriber *bbt_subscriber_from(struct bbt_side *side,
                                          struct bb_endpoint *ep,
                                          const char *prefix,
                                          uint32_t flags,
                                          uint32_t start,
                                          uint32_t start_count);
struct bb_topic *bbt_topic(struct bbt_side *side, struct bb_publisher *pub, uint32_t writer);
/* bbt_send - publishes message seq of this writer, at most max bytes.  The status of bb_publish(). */
int bbt_send(struct bb_topic *topic, uint32_t writer, uint64_t seq, size_t max, uint32_t attr);
/* bbt_send_batch - messages seq to seq + count - 1, at most 8, as one loan and one commit.  How many went, or a status. */
int bbt_send_batch(struct bb_topic *topic,
                   uint32_t writer,
                   uint64_t seq,
                   uint32_t count,
                   size_t max,
                   uint32_t attr);
/* bbt_take - polls once and checks what came.  How many. */
int bbt_take(struct bbt_side *side, struct bb_subscriber *sub, int64_t timeout_ns);
/* bbt_balance - messages = delivered + filtered + lost; leaves the statistics in side->stats. */
void bbt_balance(struct bbt_side *side, struct bb_subscriber *sub);

/* ---- hooks ---- */

/*
 * bbt_hook_arm - at the kth hit of the hook: raise(sig).  SIGKILL, SIGSTOP, or 0 to count only.
 *
 * Also counts commits in side->committed.  Call it in the child, before it attaches.
 */
void bbt_hook_arm(struct bbt_side *side, const char *name, uint32_t kth, int sig);

#endif
