/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Goal    The way of a cache line between two cores is a time, or honestly unknown; --line takes two numbers.
 * Method  The cores that this process may use; words that are none.
 */
#include "bench/line.h"
#include "bench/options.h"

#include <criterion/criterion.h>
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* The first cores that we may run on, at most two; how many. */
static int
cores(int cpu[2])
{
    cpu_set_t set;
    int n = 0;
    cr_assert(sched_getaffinity(0, sizeof(set), &set) == 0);
    for (int i = 0; i < CPU_SETSIZE && n < 2; i++) {
        if (CPU_ISSET((size_t)i, &set)) {
            cpu[n++] = i;
        }
    }
    return n;
}

Test(bench_line, between_two_cores)
{
    int cpu[2];
    if (cores(cpu) < 2) {
        cr_skip_test("one core");
    }
    cpu_set_t before, after;
    CPU_ZERO(&before);
    CPU_ZERO(&after);
    cr_assert(sched_getaffinity(0, sizeof(before), &before) == 0);
    /* Others may keep a core busy for longer than it waits for an answer; not ten times. */
    double ns = (double)NAN;
    for (int i = 0; i < 10 && isnan(ns); i++) {
        ns = bench_line_ns(cpu[0], cpu[1]);
    }
    cr_assert(ns > 1 && ns < 1e6, "%g", ns);
    cr_assert(sched_getaffinity(0, sizeof(after), &after) == 0);
    cr_assert(CPU_EQUAL(&before, &after), "we run where we ran");
}

Test(bench_line, unknown_on_one_core_or_nowhere)
{
    int cpu[2];
    (void)cores(cpu);
    cr_assert(isnan(bench_line_ns(cpu[0], cpu[0])));
    cr_assert(isnan(bench_line_ns(-1, cpu[0])));
    cr_assert(isnan(bench_line_ns(cpu[0], CPU_SETSIZE - 1)));
}

const struct bench_driver *const bench_drivers[] = {NULL}; /* the options look at their names */

static int
read_line(struct bench_options *o, const char *value)
{
    static char program[] = "busbar-bench", option[] = "--line", name[] = "one-to-one";
    char *argv[] = {program, option, strdup(value), name, NULL};
    optind = 0;
    int rc = bench_options_read(o, 4, argv);
    free(argv[2]); /* no list: nothing of it is kept */
    return rc;
}

Test(bench_line, two_numbers)
{
    struct bench_options o;
    cr_assert(read_line(&o, "0-250.5") == 0);
    cr_assert(o.line_min_ns >= 0 && o.line_min_ns <= 0 && o.line_max_ns > 250
              && o.line_max_ns < 251);
    const char *const wrong[] = {"", "250", "250-", "-250", "250-0", "5-5", "a-b", "0-1x", "0--1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cr_assert(read_line(&o, wrong[i]) == -1, "%s", wrong[i]);
    }
}
