/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/stress/stress.h - what the plain programs share: seed and budget from the environment, checks that
 * are counted from any thread, a bus in a temporary directory.
 *
 * BB_SEED        seeds every random choice; printed, so that a run can be repeated
 * BB_BUDGET_MS   how long the program works; 3000
 */
#ifndef BUSBAR_TESTS_STRESS_STRESS_H
#define BUSBAR_TESTS_STRESS_STRESS_H

#include "shm/atomic.h"
#include "shm/os.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bbi_u64 stress_passed, stress_failed;
static uint64_t stress_seed;
static int64_t stress_begin_ns, stress_budget_ns;

#define CHECK(cond, ...)                                                                           \
    do {                                                                                           \
        if (cond) {                                                                                \
            (void)bbi_fetch_add_relaxed(&stress_passed, 1);                                        \
        } else if (bbi_fetch_add_relaxed(&stress_failed, 1) < 20) {                                \
            (void)printf("%s:%d: %s: ", __FILE__, __LINE__, #cond);                                \
            (void)printf(__VA_ARGS__);                                                             \
            (void)printf("\n");                                                                    \
        }                                                                                          \
    } while (0)

static inline void stress_dir_remove(void);

/* What cannot go on after this. */
#define MUST(cond, ...)                                                                            \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            (void)printf("%s:%d: %s: ", __FILE__, __LINE__, #cond);                                \
            (void)printf(__VA_ARGS__);                                                             \
            (void)printf("\n%" PRIu64 " passed, %" PRIu64 " failed\n",                             \
                         bbi_load_relaxed(&stress_passed), bbi_load_relaxed(&stress_failed) + 1);  \
            (void)fflush(stdout);                                                                  \
            stress_dir_remove();                                                                   \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static inline void
stress_start(const char *name)
{
    const char *seed = getenv("BB_SEED");
    const char *budget = getenv("BB_BUDGET_MS");
    stress_begin_ns = bbi_os_mono_ns();
    stress_seed = seed != NULL ? strtoull(seed, NULL, 0) : (uint64_t)stress_begin_ns;
    stress_budget_ns = (budget != NULL ? strtoll(budget, NULL, 0) : 3000) * 1000000;
    (void)printf("%s: BB_SEED=%" PRIu64 " BB_BUDGET_MS=%" PRId64 "\n", name, stress_seed,
                 stress_budget_ns / 1000000);
    (void)fflush(stdout);
}

static inline int
stress_end(void)
{
    uint64_t failed = bbi_load_seq_cst(&stress_failed);
    (void)printf("%" PRIu64 " passed, %" PRIu64 " failed\n", bbi_load_seq_cst(&stress_passed),
                 failed);
    return failed != 0;
}

/* A share of the budget, from the beginning, is over. */
static inline bool
stress_is_over(int percent)
{
    return bbi_os_mono_ns() - stress_begin_ns > stress_budget_ns / 100 * percent;
}

static inline uint64_t
stress_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15ULL;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* A generator of its own for each thread. */
static inline uint64_t
stress_stream(uint64_t thread)
{
    uint64_t s = stress_seed + thread * 0x632be59bd9b4e019ULL;
    return stress_random(&s);
}

static char stress_dir[64];

static inline void
stress_dir_remove(void)
{
    char command[128];
    if (strncmp(stress_dir, "/dev/shm/busbar-stress-", 23) == 0) {
        (void)snprintf(command, sizeof(command), "rm -rf '%s'", stress_dir);
        (void)!system(command); /* NOLINT(cert-env33-c): a path of ours */
    }
}

static inline void
stress_dir_make(void)
{
    (void)strcpy(stress_dir, "/dev/shm/busbar-stress-XXXXXX");
    MUST(mkdtemp(stress_dir) != NULL, "no directory");
    (void)atexit(stress_dir_remove);
}

static inline pthread_t
stress_thread(void *(*run)(void *), void *user)
{
    pthread_t t;
    int rc = pthread_create(&t, NULL, run, user);
    MUST(rc == 0, "thread: %d", rc);
    return t;
}

#endif
