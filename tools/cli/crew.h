/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/cli/crew.h - the processes of a verb that measures: forked, attached by themselves, begun together.
 *
 * Bus        The one that was asked for, if it is there; else one of its own, bench-PID in the same
 *            directory, which whoever leaves last removes.
 * Death      No process of the crew outlives the verb: when the verb is killed, each ends in order (the
 *            others on the bus see that it left) and the bus of its own goes.  One of the crew that dies or
 *            fails ends the measurement, with a sentence.
 * Pipes      Each has one to the verb (ready, result) and one from it (the window).
 */
#ifndef BUSBAR_TOOLS_CLI_CREW_H
#define BUSBAR_TOOLS_CLI_CREW_H

#include "tools/cli/verbs.h"
#include <busbar/endpoint.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CLI_CREW_MAX = 128 };

/* What one process works with. */
struct cli_hand {
    const struct cli_call *call; /* names the bus that is used */
    struct bb_endpoint *ep;      /* attached; closed by the crew */
    const char *role;            /* "pub": also part of its name on the bus */
    unsigned index;              /* 0 .. of its role */
    unsigned run;           /* the same number in all of them, another one in each measurement */
    int to_verb, from_verb; /* descriptors, for cli_crew_ready() */
};

/* When to measure, in monotonic time: work from start, count from begin to end. */
struct cli_window {
    int64_t start_ns, begin_ns, end_ns;
};

/* A process's work: opens what it needs, calls cli_crew_ready(), works, fills its result.  Returns an exit code. */
typedef int (*cli_work)(struct cli_hand *hand, const void *job, void *result);

struct cli_crew {
    struct cli_call call; /* as it was, with the name of the bus that is used */
    char own_bus[32];     /* empty: the bus was there */
    char path[512];       /* of the bus's directory */
    size_t result_bytes;
    unsigned run;
    unsigned count;
    struct cli_crew_member {
        pid_t pid;
        int from, to; /* -1: closed */
        const char *role;
        unsigned index;
        unsigned char *result; /* result_bytes bytes */
        int has_result;
    } members[CLI_CREW_MAX];
};

/* cli_crew_init - finds the bus.  Call cli_crew_fini() in any case. */
int cli_crew_init(struct cli_crew *crew, const struct cli_call *call, size_t result_bytes);

/* cli_crew_hire - forks one process that attaches and runs work(job). */
int cli_crew_hire(
    struct cli_crew *crew, const char *role, unsigned index, cli_work work, const void *job);

/*
 * cli_crew_run - lets all begin when all are ready, and gathers their results in crew->members.
 *
 * A signal ends it early; then there are results all the same.
 * Returns   CLI_DONE, or an exit code after somebody said what is wrong.
 */
int cli_crew_run(struct cli_crew *crew, int64_t warm_ns, int64_t for_ns);

/* cli_crew_say_bus - on standard error, where the measurement takes place when that was not to be expected. */
void cli_crew_say_bus(const struct cli_crew *crew);

/* cli_crew_fini - ends whoever is still there, waits for all, removes a bus of its own. */
void cli_crew_fini(struct cli_crew *crew);

/* cli_crew_ready - in a process: says so and waits for the window.  CLI_DONE, or an exit code: end without result. */
int cli_crew_ready(const struct cli_hand *hand, struct cli_window *window);

#endif
