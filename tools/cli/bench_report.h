/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/bench_report.h - what the processes of `busbar bench` counted, and how it is printed.
 */
#ifndef BUSBAR_TOOLS_CLI_BENCH_REPORT_H
#define BUSBAR_TOOLS_CLI_BENCH_REPORT_H

#include "tools/cli/crew.h"
#include "tools/cli/load.h"
#include <assert.h>
#include <stdint.h>

enum {
    CLI_BENCH_SLICES = 10,
    CLI_BENCH_EACH_MAX = CLI_LOAD_PUBLISHERS, /* publishers, and subscribers */
};

static_assert(2 * CLI_BENCH_EACH_MAX <= CLI_CREW_MAX, "all of them are one crew");

struct cli_bench_options {
    uint64_t size, batch, publishers, subscribers;
    int64_t for_ns;
    double rate; /* of each publisher; 0: as fast as it goes */
    const char *topic;
    int reliable;
};

/* What each process has seen. */
struct cli_bench_count {
    uint64_t slices[CLI_BENCH_SLICES]; /* messages */
    uint64_t messages;                 /* of all slices */
    int64_t cpu_ns;                    /* of the same time */
    int64_t wall_ns;                   /* how long that was; shorter when it was interrupted */
    uint64_t lost;                     /* from the first message on, by their numbers */
    uint64_t torn;                     /* bytes that do not fit their number: never */
    uint64_t waited; /* publisher: times that it waited for a reliable subscriber */
    uint64_t wakes;  /* publisher: calls that woke somebody; subscriber: times it was woken */
    uint64_t others; /* publisher: subscribers of somebody else that want the topic */
};

/* Members of the crew: all subscribers, then all publishers; the result of each is a struct cli_bench_count. */
struct cli_bench_report {
    const struct cli_bench_options *o;
    const struct cli_crew *crew;
    const char *topic;
};

/* cli_bench_print - a table or JSON, and sentences on what disturbed; the exit code. */
int cli_bench_print(const struct cli_bench_report *r);

#endif
