/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/stage.h - one repetition: processes that start together, are measured, and always end.
 *
 * Processes  The harness forks an actor for each process of a case.  Actors share the stage, an anonymous
 *            mapping; the harness moves `phase`, the actors follow and say how far they are in `state`.
 * Time       The harness sleeps while it measures.  Each actor reads the clock itself when it sees the
 *            phase change, so a late harness makes a window longer, not wrong.
 * Death      Actors die with the harness; who is not done when the time is up is killed and reported.
 */
#ifndef BUSBAR_BENCH_STAGE_H
#define BUSBAR_BENCH_STAGE_H

#include "bench/driver.h"
#include "bench/hist.h"
#include <stdalign.h>
#include <stdatomic.h>
#include <sys/types.h>

enum bench_phase {
    BENCH_OPEN_PUB = 0,
    BENCH_OPEN_SUB, /* all publishers are open */
    BENCH_HELLO,    /* publishers send now and then, until every subscriber heard all of them */
    BENCH_WARM,     /* as fast as it goes, not counted yet */
    BENCH_MEASURE,
    BENCH_DRAIN, /* publishers end; subscribers take what is left */
};

enum bench_state {
    BENCH_BORN = 0,
    BENCH_OPENED,    /* a publisher can be connected to */
    BENCH_LISTENING, /* a subscriber is open */
    BENCH_HEARD,     /* a subscriber has heard every publisher */
    BENCH_SENT,      /* a publisher: `sent` is final */
};

struct bench_stage;

/* A process.  Written by itself but for the first group. */
struct bench_actor {
    /* The harness, before the fork. */
    int (*play)(struct bench_stage *st, struct bench_actor *self); /* 0, or its exit status */
    const char *what;                                              /* for reports: "publisher" */
    unsigned index;  /* of its first publisher, or of its subscriber */
    unsigned count;  /* publishers in this process */
    bool hears;      /* a subscriber is in it; bench_stage_cast: if no publisher is */
    int cpu;         /* to run on; -1: any */
    bool is_stopped; /* gets SIGSTOP before the window and SIGCONT after it */
    pid_t pid;

    alignas(128) _Atomic uint32_t state; /* enum bench_state */
    /* Inside the window. */
    uint64_t messages, bytes;
    int64_t window_ns, cpu_ns;
    /* From when all were heard to the end. */
    uint64_t lost, disorder, torn;
    double extra[4]; /* a case's own figures */
    struct bench_hist hist;
};

enum { BENCH_ACTORS_MAX = 2 * BENCH_PUBLISHERS };

struct bench_stage {
    /* The harness, before the fork. */
    const struct bench_driver *driver;
    struct bench_setup setup;
    void *shared;     /* the driver's */
    double seconds;   /* the window */
    double warm_s;    /* before it */
    double rate;      /* messages per second of each publisher; 0: as fast as it goes */
    unsigned active;  /* publishers that send; the first ones */
    const void *user; /* the case's; made before the fork */
    unsigned actor_count;

    /* Of the window: CPU time of what the driver's start started. */
    int64_t carriers_cpu_ns, carriers_window_ns;

    alignas(128) _Atomic uint32_t phase;                  /* the harness */
    alignas(128) _Atomic uint64_t sent[BENCH_PUBLISHERS]; /* by each publisher, before BENCH_SENT */
    alignas(128) _Atomic uint32_t pubs_done;              /* publishers that have set `sent` */
    alignas(128) _Atomic uint64_t baton;                  /* for cases that take turns */
    struct bench_actor actors[BENCH_ACTORS_MAX];
};

/* bench_stage_new - NULL without memory.  bench_stage_delete(NULL) does nothing. */
struct bench_stage *bench_stage_new(void);
void bench_stage_delete(struct bench_stage *st);

/* bench_stage_cast - one more actor. */
struct bench_actor *bench_stage_cast(struct bench_stage *st,
                                     const char *what,
                                     int (*play)(struct bench_stage *, struct bench_actor *),
                                     unsigned index,
                                     unsigned count,
                                     int cpu);

/*
 * bench_stage_run - start the driver, fork all actors, lead them through the phases, take all down again.
 *
 * Returns   0; negative after saying on stderr what went wrong.  Nothing is left running either way.
 */
int bench_stage_run(struct bench_stage *st);

/* bench_interrupted - not 0 after SIGINT or SIGTERM: no more repetitions. */
int bench_interrupted(void);
void bench_watch_signals(void);

/* ---- for actors -------------------------------------------------------------------------------- */

static inline uint32_t
bench_phase(const struct bench_stage *st)
{
    return atomic_load_explicit(&st->phase, memory_order_acquire);
}

static inline void
bench_set_state(struct bench_actor *self, enum bench_state state)
{
    atomic_store_explicit(&self->state, (uint32_t)state, memory_order_release);
}

void bench_await_phase(const struct bench_stage *st, enum bench_phase phase); /* naps */

/* bench_first_word - of publisher index, message number 0. */
static inline uint64_t
bench_first_word(unsigned index)
{
    return (uint64_t)index << BENCH_NUMBER_BITS;
}

#endif
