/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench/main.c - busbar-bench: which cases, with whom.
 */
#include "bench/cases.h"
#include "bench/stage.h"
#include "bench/store.h"

#include <string.h>

static const struct bench_case *const cases[] = {
    &bench_case_one_to_one,
    &bench_case_fan_out,
    &bench_case_fan_in,
    &bench_case_many_rings,
    &bench_case_many_topics,
    &bench_case_ping_pong,
    &bench_case_open_loop,
    &bench_case_slow_reader,
    &bench_case_unwanted,
    &bench_case_skip,
    &bench_case_attach,
    &bench_case_record_mix,
    &bench_case_log_lane,
    &bench_case_store_put,
    &bench_case_store_put_unique,
    &bench_case_store_get,
    &bench_case_store_sync,
    &bench_case_store_persistent,
    &bench_case_store_expire,
    &bench_case_store_readers,
    &bench_case_bridge_one_to_one,
    &bench_case_bridge_ping_pong,
    &bench_case_bridge_fan_out,
};

enum { CASE_COUNT = sizeof(cases) / sizeof(cases[0]) };

static void
list_cases(void)
{
    for (unsigned i = 0; i < CASE_COUNT; i++) {
        (void)printf("%-17s  %s\n", cases[i]->name, cases[i]->what);
    }
}

static void
list_peers(const struct bench_options *o)
{
    struct bench_plan plan;
    bench_plan_init(&plan, "list", o, o->sizes[0]);
    for (size_t i = 0; bench_drivers[i] != NULL; i++) {
        const struct bench_store_driver *store = bench_drivers[i]->store;
        (void)printf("%-10s  ", bench_drivers[i]->name);
        bench_drivers[i]->describe(&plan.setup, stdout);
        if (store != NULL && store->describe != bench_drivers[i]->describe) {
            (void)fputs("; store: ", stdout);
            store->describe(&plan.setup, stdout);
        }
        (void)putchar('\n');
    }
}

static bool
is_wanted(const struct bench_options *o, const struct bench_case *c)
{
    for (unsigned i = 0; i < o->case_count; i++) {
        if (strcmp(o->cases[i], "all") == 0 || strcmp(o->cases[i], c->name) == 0) {
            return true;
        }
    }
    return false;
}

/* Negative after a sentence about a word that is no case. */
static int
check_cases(struct bench_options *o)
{
    for (unsigned i = 0; i < o->case_count; i++) {
        bool found = strcmp(o->cases[i], "all") == 0;
        if (strcmp(o->cases[i], "list") == 0) {
            o->wants_cases = found = true;
        }
        for (unsigned j = 0; j < CASE_COUNT; j++) {
            found = found || strcmp(o->cases[i], cases[j]->name) == 0;
        }
        if (!found) {
            (void)fprintf(stderr,
                          "busbar-bench: there is no case `%s`; `busbar-bench list` shows them.\n",
                          o->cases[i]);
            return -1;
        }
    }
    return 0;
}

static int
run(const struct bench_options *o)
{
    struct bench_report report;
    int verdict = 0;
    bench_report_open(&report, o);
    for (unsigned i = 0; i < CASE_COUNT; i++) {
        unsigned times = cases[i]->is_sized ? o->size_count : 1;
        for (unsigned j = 0; j < times && is_wanted(o, cases[i]); j++) {
            int rc = cases[i]->run(cases[i], o, &report, o->sizes[j]);
            if (bench_interrupted()) {
                return 128 + bench_interrupted();
            }
            verdict |= rc != 0;
        }
    }
    return verdict;
}

int
main(int argc, char **argv)
{
    static struct bench_options o;
    if (bench_options_read(&o, argc, argv) < 0 || check_cases(&o) < 0) {
        return 2;
    }
    if (o.wants_help) {
        bench_options_help(stdout);
        return 0;
    }
    if (o.wants_peers || o.wants_cases) {
        if (o.wants_cases) {
            list_cases();
        }
        if (o.wants_peers) {
            list_peers(&o);
        }
        return 0;
    }
    bench_watch_signals();
    return run(&o);
}
