/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/line.c - two threads, two lines, a number that goes there and back.
 */
#include "bench/line.h"

#include "bench/clock.h"
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { LOOKS = 4, TRIPS = 1000 };
static const int64_t answer_ns = 20000000; /* the other core may be busy with somebody else */

struct line {
    alignas(128) _Atomic int there;
    alignas(128) _Atomic int back;
    alignas(128) int cpu;
    bool is_pinned;
};

enum { END = -1 };

static bool
pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof(set), &set) == 0;
}

static void *
echo(void *arg)
{
    struct line *l = arg;
    int last = 0, now;
    l->is_pinned = pin(l->cpu);
    atomic_store_explicit(&l->back, 1, memory_order_release);
    while ((now = atomic_load_explicit(&l->there, memory_order_acquire)) != END) {
        if (now != last) {
            last = now;
            atomic_store_explicit(&l->back, now, memory_order_release);
        }
    }
    return NULL;
}

/* Waits until the number is back; false when it does not come. */
static bool
await_back(struct line *l, int number)
{
    for (int64_t until = 0; atomic_load_explicit(&l->back, memory_order_acquire) != number;) {
        bench_pause();
        if (until == 0) {
            until = bench_now_ns() + answer_ns;
        } else if (bench_now_ns() > until) {
            return false;
        }
    }
    return true;
}

static double
look(struct line *l, int *number)
{
    int64_t from = bench_now_ns();
    for (int i = 0; i < TRIPS; i++) {
        ++*number;
        atomic_store_explicit(&l->there, *number, memory_order_release);
        while (atomic_load_explicit(&l->back, memory_order_acquire) != *number) {
        }
    }
    return (double)(bench_now_ns() - from) / TRIPS;
}

static double
measure(struct line *l)
{
    double least = (double)NAN;
    int number = 1;
    if (!await_back(l, number) || !l->is_pinned) {
        return least;
    }
    for (int i = 0; i < LOOKS; i++) {
        double ns = look(l, &number);
        least = i == 0 || ns < least ? ns : least;
    }
    return least;
}

double
bench_line_ns(int cpu_a, int cpu_b)
{
    struct line l = {.cpu = cpu_b};
    cpu_set_t before;
    pthread_t other;
    double ns = (double)NAN;
    if (cpu_a < 0 || cpu_b < 0 || cpu_a == cpu_b
        || pthread_getaffinity_np(pthread_self(), sizeof(before), &before) != 0
        || pthread_create(&other, NULL, echo, &l) != 0) {
        return ns;
    }
    if (pin(cpu_a)) {
        ns = measure(&l);
    }
    atomic_store_explicit(&l.there, END, memory_order_release);
    (void)pthread_join(other, NULL);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(before), &before);
    return ns;
}
