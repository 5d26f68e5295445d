/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/load.c - /proc/stat against our own usage.  Time stolen by the hypervisor counts as used by others.
 */
#include "bench/load.h"

#include "bench/clock.h"
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static const int64_t second_ns = 1000000000;

static int64_t
usage_ns(int who)
{
    struct rusage u;
    if (getrusage(who, &u) != 0) {
        return 0;
    }
    return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * second_ns
           + ((int64_t)u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

static int64_t
busy_ns(void)
{
    unsigned long long v[8] = {0}; /* user nice system idle iowait irq softirq steal */
    FILE *f = fopen("/proc/stat", "re");
    if (f == NULL) {
        return 0;
    }
    int got = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
                     &v[4], &v[5], &v[6], &v[7]);
    (void)fclose(f);
    long ticks = sysconf(_SC_CLK_TCK);
    if (got < 4 || ticks <= 0) {
        return 0;
    }
    unsigned long long busy = v[0] + v[1] + v[2] + v[5] + v[6] + v[7];
    return (int64_t)busy * (second_ns / ticks);
}

void
bench_load_now(struct bench_load *l)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    l->when_ns = bench_now_ns();
    l->busy_ns = busy_ns();
    l->ours_ns = usage_ns(RUSAGE_SELF) + usage_ns(RUSAGE_CHILDREN);
    l->cores = cores > 0 ? (unsigned)cores : 1;
}

double
bench_load_share(int64_t busy, int64_t ours, int64_t wall_ns, unsigned cores)
{
    if (wall_ns <= 0 || cores == 0 || busy <= ours) {
        return 0;
    }
    return (double)(busy - ours) / ((double)wall_ns * cores);
}

double
bench_load_of_others(const struct bench_load *from, const struct bench_load *to)
{
    if (to->busy_ns == 0) {
        return 0;
    }
    return bench_load_share(to->busy_ns - from->busy_ns, to->ours_ns - from->ours_ns,
                            to->when_ns - from->when_ns, to->cores);
}
