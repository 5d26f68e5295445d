/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/support/store.h - masters in processes of their own, clones in the test, a clock that both read.
 *
 * Values are written and compared by their text form, as people type them: bbt_v("{a, b}").
 */
#ifndef BUSBAR_TESTS_SUPPORT_STORE_H
#define BUSBAR_TESTS_SUPPORT_STORE_H

#include "busbar/store.h"
#include "tests/support/process.h"

#define BBT_MS_NS INT64_C(1000000)
#define BBT_S_NS  INT64_C(1000000000)

/* ---- values ---- */

/* bbt_v - the value that a text looks like; valid until 32 more were made.  NULL: none, as in a result. */
struct bb_value bbt_v(const char *text);
/* bbt_text - its text form, "(no value)" if p is NULL; valid until 8 more were asked for. */
const char *bbt_text(const struct bb_value *v);
/* bbt_count - the number in a count; fails the test if it is none. */
uint64_t bbt_count(const struct bb_value *v);
/* bbt_number - a number of the environment, or the fallback. */
uint64_t bbt_number(const char *name, uint64_t fallback);

/* ---- the clock ---- */

/* In shared memory: who sets it sets it for all processes that were forked later. */
struct bbt_clock {
    bbi_u64 boot_ns, wall_ns;
    struct bb_store_clock clock; /* for bb_store_opts */
};
struct bbt_clock *
bbt_clock_new(void); /* begins at 1,000 s after boot, in 2023; freed with the process */
void bbt_clock_add(struct bbt_clock *c, int64_t ns);  /* both go on */
void bbt_clock_jump(struct bbt_clock *c, int64_t ns); /* somebody set the wall clock */

/* ---- masters ---- */

enum { BBT_SERVE_READY = 1, BBT_SERVE_QUIT = 1000 };
enum {
    BBT_N_IS_MASTER = 0, /* what bb_store_is_master() said last */
    BBT_N_SINCE_NS,      /* CLOCK_MONOTONIC when it became 1 */
    BBT_N_POLLS,
    BBT_N_RC,       /* of bb_store_open(), of a child that is_tried */
    BBT_N_FREE = 8, /* for the test's own use from here on */
};

/* What a child of bbt_serve() does. */
struct bbt_served {
    const char *node;          /* its endpoint's name */
    struct bb_store_opts opts; /* size and error are filled in */
    bool is_tried;             /* opening may fail: the status is in n[BBT_N_RC], as int64_t */
    const char *hook;          /* killed there, at the kth hit; NULL: not */
    int sig;                   /* or this instead of SIGKILL */
    uint32_t kth;
    bool is_hooked_early; /* hits count from its start, not from when it is the master */
    /* An order below BBT_SERVE_QUIT: done between polls, then at = BBT_SERVE_READY + order. */
    void (*on_order)(struct bbt_side *side, struct bb_store *s, uint32_t order);
};

/* A child (bbt_fork) that opens the store and polls it until its order is BBT_SERVE_QUIT. */
void bbt_serve(struct bbt_side *side, const void *served);
/* bbt_served_quit - tells it to close, waits. */
void bbt_served_quit(struct bbt_child *c);

/* bbt_store - opens, or fails the child or test with the sentence. */
struct bb_store *
bbt_store(struct bbt_side *side, struct bb_endpoint *ep, const struct bb_store_opts *opts);
/* bbt_store_try - the status; err is written. */
int bbt_store_try(struct bb_store **out,
                  struct bb_endpoint *ep,
                  const struct bb_store_opts *opts,
                  struct bb_error *err);

#endif
